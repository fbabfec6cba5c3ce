package zeptest_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep/zeptest"
)

func addCollection(t *testing.T, s *zeptest.Server, name string, dimensions int, auto bool) {
	t.Helper()
	status, answer := send(t, s, "POST", "/collection/"+name,
		fmt.Sprintf(`{"name":%q,"embedding_dimensions":%d,"is_auto_embedded":%t}`, name,
			dimensions, auto))
	require.Equal(t, 200, status, answer)
}

// addDocuments adds documents and returns their UUIDs.
func addDocuments(t *testing.T, s *zeptest.Server, collection, documents string) []string {
	t.Helper()
	status, answer := send(t, s, "POST", "/collection/"+collection+"/document", documents)
	require.Equal(t, 200, status, answer)
	return decode[[]string](t, answer)
}

type documentRecord struct {
	UUID       string         `json:"uuid"`
	DocumentID string         `json:"document_id"`
	Content    string         `json:"content"`
	Metadata   map[string]any `json:"metadata"`
	Embedding  []float32      `json:"embedding"`
	IsEmbedded bool           `json:"is_embedded"`
	Score      float64        `json:"score"`
}

type documentPage struct {
	Results     []documentRecord `json:"results"`
	QueryVector []float32        `json:"query_vector"`
	ResultCount int              `json:"result_count"`
}

func (p documentPage) contents() (contents []string) {
	for _, d := range p.Results {
		contents = append(contents, d.Content)
	}
	return contents
}

func findDocuments(t *testing.T, s *zeptest.Server, collection, query, body string) documentPage {
	t.Helper()
	status, answer := send(t, s, "POST", "/collection/"+collection+"/search"+query, body)
	require.Equal(t, 200, status, answer)
	return decode[documentPage](t, answer)
}

// listDocuments lists a collection, as "document_id=content".
func listDocuments(t *testing.T, s *zeptest.Server, collection, body string) []string {
	t.Helper()
	status, answer := send(t, s, "POST", "/collection/"+collection+"/document/list/get", body)
	require.Equal(t, 200, status, answer)
	listed := []string{}
	for _, d := range decode[[]documentRecord](t, answer) {
		listed = append(listed, d.DocumentID+"="+d.Content)
	}
	return listed
}

func TestCollectionValidation(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	long := strings.Repeat("x", 1001)
	for _, test := range []struct{ body, failed string }{
		{`{}`, "Name required, EmbeddingDimensions required, IsAutoEmbedded required"},
		{`{"name":"ab","embedding_dimensions":8,"is_auto_embedded":true}`, "Name min"},
		{`{"name":"` + long[:41] + `","embedding_dimensions":8,"is_auto_embedded":true}`,
			"Name max"},
		{`{"name":"äöü","embedding_dimensions":8,"is_auto_embedded":true}`, "Name alphanum"},
		{`{"name":"abc","embedding_dimensions":7,"is_auto_embedded":true}`,
			"EmbeddingDimensions min"},
		{`{"name":"abc","embedding_dimensions":2001,"is_auto_embedded":true}`,
			"EmbeddingDimensions max"},
		{`{"name":"abc","embedding_dimensions":8,"is_auto_embedded":null,"description":"` + long +
			`"}`, "Description max, IsAutoEmbedded required"},
	} {
		status, answer := send(t, s, "POST", "/collection/abc", test.body)
		assert.Equal(t, 400, status, test.body)
		var want strings.Builder
		for _, failed := range strings.Split(test.failed, ", ") {
			field, tag, _ := strings.Cut(failed, " ")
			fmt.Fprintf(&want,
				"Key: 'CreateDocumentCollectionRequest.%s' Error:Field validation for '%s' "+
					"failed on the '%s' tag\n", field, field, tag)
		}
		assert.Equal(t, want.String(), answer, test.body)
	}
	status, _ := send(t, s, "POST", "/collection/abc", `{"name":"abc",`+
		`"embedding_dimensions":2000,"is_auto_embedded":false,"description":"`+long[1:]+`"}`)
	assert.Equal(t, 200, status)
	status, answer := send(t, s, "PATCH", "/collection/abc", `{"description":"`+long+`"}`)
	assert.Equal(t, 400, status)
	assert.Equal(t,
		"Key: 'UpdateDocumentCollectionRequest.Description' Error:Field validation for "+
			"'Description' failed on the 'max' tag\n", answer)
}

func TestCollections(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	status, answer := send(t, s, "POST", "/collection/path", `{"name":"BODY","description":"d",`+
		`"metadata":{"a":1},"embedding_dimensions":8,"is_auto_embedded":false}`)
	require.Equal(t, 200, status, answer)
	status, _ = send(t, s, "GET", "/collection/path", "")
	assert.Equal(t, 404, status, "the name in the body counts")
	status, answer = send(t, s, "POST", "/collection/body",
		`{"name":"Body","embedding_dimensions":8,"is_auto_embedded":false}`)
	assert.Equal(t, 400, status)
	assert.Equal(t, "failed to create collection: bad request: collection already exists: body\n",
		answer)

	for patch, want := range map[string]string{
		`{}`:                `"description":"d","metadata":{"a":1},`,
		`{"metadata":null}`: `"description":"d","metadata":{"a":1},`,
	} {
		send(t, s, "PATCH", "/collection/bOdY", patch)
		_, answer = send(t, s, "GET", "/collection/body", "")
		assert.Contains(t, answer, want)
	}
	send(t, s, "PATCH", "/collection/body", `{"metadata":{}}`)
	_, answer = send(t, s, "GET", "/collection/body", "")
	assert.NotContains(t, answer, "metadata")

	for _, test := range []struct {
		method, path, body string
		status             int
		answer             string
	}{
		{"POST", "/index/create", "", 500,
			"failed to get collection: collection: nope not found\n"},
		{"POST", "/index/create?force=maybe", "", 400,
			"strconv.ParseBool: parsing \"maybe\": invalid syntax\n"},
		{"GET", "/document/uuid/" + uuid1, "", 404,
			"failed to get documents: failed to get collection: collection: nope not found\n"},
		{"POST", "/document/list/get", `{}`, 404,
			"failed to get documents: failed to get collection: collection: nope not found\n"},
		{"PATCH", "/document/uuid/" + uuid1, `{"document_id":"x"}`, 404,
			"failed to Update documents: failed to get collection: collection: nope not found\n"},
		{"PATCH", "/document/list/update", `[]`, 200, "OK"},
		{"DELETE", "/document/uuid/" + uuid1, "", 404,
			"failed to delete document: failed to get collection: collection: nope not found\n"},
		{"POST", "/document/list/delete", `[]`, 404,
			"failed to delete document: failed to get collection: collection: nope not found\n"},
	} {
		status, answer := send(t, s, test.method, "/collection/NOPE"+test.path, test.body)
		assert.Equal(t, test.status, status, test.path)
		assert.Equal(t, test.answer, answer, test.path)
	}
}

func TestAddDocuments_AllOrNone(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	addCollection(t, s, "own", 8, false)
	addCollection(t, s, "auto", 384, true)
	const v8 = `[1,0,0,0,0,0,0,0]`
	addDocuments(t, s, "own", `[{"embedding":`+v8+`,"document_id":"taken"}]`)
	const field = "Key: 'CreateDocumentRequest.%s' Error:Field validation for '%s' failed on " +
		"the '%s' tag\n"
	const exists = "failed to create documents: bad request: document_id already exists\n"
	for _, test := range []struct {
		collection, second string
		status             int
		answer             string
	}{
		{"own", `{"embedding":[1]}`, 500,
			"failed to create documents: failed to insert documents: ERROR: expected 8 " +
				"dimensions, not 1 (SQLSTATE=22000)\n"},
		{"own", `{"embedding":` + v8 + `,"document_id":"taken"}`, 400, exists},
		{"own", `{"embedding":` + v8 + `,"document_id":"first"}`, 400, exists},
		{"own", `{"content":"without"}`, 400,
			"bad request: cannot create documents without embeddings in a non-auto-embedded " +
				"collection\n"},
		{"own", `{"content":"x","document_id":"ü"}`, 400,
			fmt.Sprintf(field, "DocumentID", "DocumentID", "printascii")},
		{"own", `{"content":"x","document_id":"` + strings.Repeat("x", 101) + `"}`, 400,
			fmt.Sprintf(field, "DocumentID", "DocumentID", "max")},
		{"own", `{"content":""}`, 400, fmt.Sprintf(field, "Content", "Content",
			"required_without") + fmt.Sprintf(
			field, "Embedding", "Embedding", "required_without")},
		{"auto", `{"content":"x"}`, 500,
			"cannot create documents with embeddings in an auto-embedded collection\n"},
	} {
		status, answer := send(t, s, "POST", "/collection/"+test.collection+"/document",
			`[{"embedding":`+v8+`,"document_id":"first"},`+test.second+`]`)
		assert.Equal(t, test.status, status, test.second)
		assert.Equal(t, test.answer, answer, test.second)
	}
	status, answer := send(t, s, "POST", "/collection/own/document", `[{"embedding":[1e99]}]`)
	assert.Equal(t, 400, status)
	assert.Regexp(t, `^json: cannot unmarshal number 1e99 into .*embedding.* of type float32\n$`,
		answer, "in the words of this version of Go")
	assert.Equal(t, []string{"taken="}, listDocuments(t, s, "own", `{}`))
	status, answer = send(t, s, "POST", "/collection/auto/document/list/get", `{}`)
	assert.Equal(t, 404, status)
	assert.Equal(t, "failed to get documents: documents not found\n", answer)

	assert.Len(t,
		addDocuments(t, s, "own",
			`[{"embedding":`+v8+`},{"embedding":`+v8+`,"document_id":"`+strings.Repeat(" ",
				100)+`"}]`), 2)
	addDocuments(t, s, "auto", `[{"embedding":[]}]`)
	assert.Len(t, findDocuments(t, s, "auto", "", `{"text":"x"}`).Results, 1)
}

func TestDocumentUpdates(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	addCollection(t, s, "docs", 384, true)
	uuids := addDocuments(t, s, "docs", `[
		{"content":"a","document_id":"1","metadata":{"k":1}},
		{"content":"b","document_id":"2","metadata":{"k":2}},
		{"content":"c","metadata":{"k":3}}]`)
	one := "/collection/docs/document/uuid/" + uuids[0]
	const list = "/collection/docs/document/list/"
	const failed = "failed to Update documents: "
	for _, test := range []struct {
		method, path, body string
		status             int
		answer             string
	}{
		{"PATCH", one, `{}`, 500, failed + "no fields to update\n"},
		{"PATCH", one, `{"metadata":{}}`, 500, failed + "no fields to update\n"},
		{"PATCH", one, `{"document_id":"2"}`, 500,
			failed + "failed to update documents: ERROR: duplicate key value violates unique " +
				"constraint " +
				"\"docstore_docs_384_document_id_key\" (SQLSTATE=23505)\n"},
		{"PATCH", one, `{"document_id":"` + strings.Repeat("x", 41) + `"}`, 400,
			"Key: 'UpdateDocumentRequest.DocumentID' Error:Field validation for 'DocumentID' " +
				"failed on the 'max' tag\n"},
		{"PATCH", "/collection/docs/document/uuid/" + none, `{}`, 400,
			"documentUUID is required\n"},
		{"PATCH", list + "update", `[{"document_id":"ü"}]`, 400,
			"Key: 'UpdateDocumentListRequest.UUID' Error:Field validation for 'UUID' failed on " +
				"the 'required' tag\n" +
				"Key: 'UpdateDocumentListRequest.UpdateDocumentRequest.DocumentID' Error:Field " +
				"validation for 'DocumentID' failed on the 'printascii' tag\n"},
		{"PATCH", list + "update", `[{"uuid":"` + uuids[0] + `","document_id":"3"},{"uuid":"` +
			uuids[1] + `","document_id":"3"}]`, 500,
			failed + "failed to update documents: ERROR: duplicate key value violates unique " +
				"constraint \"docstore_docs_384_document_id_key\" (SQLSTATE=23505)\n"},
		{"PATCH", list + "update", `[{"uuid":"` + uuid1 + `","document_id":"3"}]`, 404,
			failed + "documents not found\n"},
		{"POST", list + "get", `{"uuids":["` + uuid1 + `"]}`, 404,
			"failed to get documents: documents not found\n"},
		{"POST", list + "get", `{"uuids":["` + uuids[0] + `"],"document_ids":["2"]}`, 500,
			"failed to get documents: cannot specify both uuids and documentIDs\n"},
		{"POST", list + "get", `{"uuids":["x"]}`, 400, "invalid UUID length: 1\n"},
		{"POST", list + "delete", `["` + uuid1 + `"]`, 404,
			"failed to delete document: documents not found\n"},
		{"DELETE", "/collection/docs/document/uuid/x", "", 400,
			"unable to parse document UUID: invalid UUID length: 1\ndocumentUUID is required\n"},
	} {
		status, answer := send(t, s, test.method, test.path, test.body)
		assert.Equal(t, test.status, status, test.path+test.body)
		assert.Equal(t, test.answer, answer, test.path+test.body)
	}
	assert.Equal(t, []string{"1=a", "2=b", "=c"}, listDocuments(t, s, "docs", `{}`),
		"nothing has changed")
	assert.Equal(t, []string{"1=a"}, listDocuments(t, s, "docs",
		`{"uuids":["`+strings.ToUpper(uuids[0])+`","`+uuid1+`"]}`))
	assert.Equal(t, []string{"2=b"}, listDocuments(t, s, "docs", `{"document_ids":["2","2","9"]}`))

	// The metadata is replaced. The document that was written last comes last.
	status, answer := send(t, s, "PATCH", one, `{"metadata":{"z":1}}`)
	require.Equal(t, 200, status, answer)
	assert.Equal(t, []string{"2=b", "=c", "1=a"}, listDocuments(t, s, "docs", `{}`))
	_, answer = send(t, s, "GET", one, "")
	assert.Equal(t, map[string]any{"z": 1.0}, decode[documentRecord](t, answer).Metadata)

	// A field that one update of a list has is emptied in the documents of the others.
	status, answer = send(t, s, "PATCH", list+"update",
		`[{"uuid":"`+uuids[0]+`","document_id":"one"},{"uuid":"`+uuids[1]+`","metadata":{"k":9}}]`)
	require.Equal(t, 200, status, answer)
	assert.Equal(t, []string{"=c", "one=a", "=b"}, listDocuments(t, s, "docs", `{}`))
	_, answer = send(t, s, "GET", one, "")
	assert.Nil(t, decode[documentRecord](t, answer).Metadata)
	// The ids are free again.
	addDocuments(t, s, "docs",
		`[{"content":"d","document_id":"1"},{"content":"e","document_id":"2"}]`)

	// Deleted documents keep their ids, and count.
	status, answer = send(t, s, "POST", list+"delete",
		`["`+uuids[0]+`","`+uuids[1]+`","`+uuid1+`"]`)
	require.Equal(t, 200, status, answer)
	assert.Equal(t, []string{"=c", "1=d", "2=e"}, listDocuments(t, s, "docs", `{}`))
	assert.ElementsMatch(t, []string{"c", "d", "e"},
		findDocuments(t, s, "docs", "", `{"text":"c"}`).contents())
	status, _ = send(t, s, "GET", one, "")
	assert.Equal(t, 404, status)
	status, _ = send(t, s, "PATCH", one, `{"document_id":"x"}`)
	assert.Equal(t, 404, status)
	status, _ = send(t, s, "POST", "/collection/docs/document",
		`[{"content":"f","document_id":"one"}]`)
	assert.Equal(t, 400, status)
	_, answer = send(t, s, "GET", "/collection/docs", "")
	assert.Contains(t, answer, `"document_count":5,"document_embedded_count":5`)

	send(t, s, "DELETE", "/collection/docs", "")
	addCollection(t, s, "docs", 384, true)
	_, answer = send(t, s, "GET", "/collection", "")
	assert.Contains(t, answer, `"document_count":0`)
}

func TestDocumentSearch(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	addCollection(t, s, "docs", 384, true)
	addDocuments(t, s, "docs", `[
		{"content":"shoes","metadata":{"k":1}},
		{"content":"fresh bread","metadata":{"k":2}},
		{"content":"fresh bread, fresh bread","metadata":{"k":1}},{"content":"bread knife"}]`)
	page := findDocuments(t, s, "docs", "?limit=3", `{"text":"fresh bread"}`)
	assert.Equal(t, []string{"fresh bread", "fresh bread, fresh bread", "bread knife"},
		page.contents())
	assert.InDelta(t, 1, page.Results[0].Score, 1e-6)
	assert.InDelta(t, 0.75, page.Results[2].Score, 1e-6)
	assert.Equal(t, page.Results[0].Embedding, page.QueryVector)
	assert.Equal(t, []string{"shoes", "fresh bread, fresh bread"},
		findDocuments(t, s, "docs", "",
			`{"metadata":{"where":{"jsonpath":"$.k ? (@ == 1)"}}}`).contents())
	assert.Equal(t, []string{"fresh bread, fresh bread", "shoes"},
		findDocuments(t, s, "docs", "",
			`{"text":"bread","metadata":{"where":{"jsonpath":"$.k ? (@ == 1)"}}}`).contents())

	page = findDocuments(t, s, "docs", "?limit=2",
		`{"text":"fresh bread today","search_type":"mmr","mmr_lambda":0.1}`)
	assert.Equal(t, []string{"fresh bread", "shoes"}, page.contents())
	assert.Equal(t, 4, page.ResultCount, "of those that it picked from")

	addCollection(t, s, "own", 8, false)
	status, answer := send(t, s, "POST", "/collection/own/search", `{"text":"none yet"}`)
	assert.Equal(t, 200, status)
	assert.Contains(t, answer, `{"results":[],"query_vector":[`)
	addDocuments(t, s, "own",
		`[{"content":"x","embedding":[1,0,0,0,0,0,0,0]},
		{"content":"y","embedding":[0,2,0,0,0,0,0,0]},
		{"content":"-x","embedding":[-1,0,0,0,0,0,0,0]}]`)
	page = findDocuments(t, s, "own", "", `{"embedding":[9,1,0,0,0,0,0,0]}`)
	assert.Equal(t, []string{"x", "y", "-x"}, page.contents())
	assert.Less(t, page.Results[2].Score, 0.01)

	const failed = "failed to search collection: "
	const query = failed +
		"failed to execute search: error executing search: error executing query: "
	for _, test := range []struct{ path, body, answer string }{
		{"own/search", `{"text":"x","embedding":[1]}`,
			failed + "cannot specify both text and embedding\n"},
		{"own/search", `{"text":"x"}`, query + "embedding width mismatch."},
		{"own/search", `{"embedding":[1]}`,
			"(original error: ERROR: different vector dimensions 8 and 1 (SQLSTATE=22000))\n"},
		{"own/search", `{"embedding":[0,0,0,0,0,0,0,0]}`, "json: unsupported value: NaN\n"},
		{"own/search", `{"metadata":{"where":{"jsonpath":"$."}}}`,
			query + "error scanning query ERROR: syntax error at end of jsonpath input " +
				"(SQLSTATE=42601)\n"},
		{"own/search", `{"metadata":{"where":{"jsonpath":"strict $.a"}}}`,
			query + "error scanning query ERROR: zeptest cannot evaluate this jsonpath"},
		{"own/search", `{"metadata":{"where":"x"}}`,
			query + "error building query error applying metadata filter: error unmarshalling " +
				"metadata json: cannot unmarshal string"},
		{"own/search", `{"metadata":{"a":1},"search_type":"mmr"}`,
			"query embedding width does not match embedding vector width\n"},
	} {
		status, answer := send(t, s, "POST", "/collection/"+test.path, test.body)
		assert.Equal(t, 500, status, test.body)
		assert.Contains(t, answer, test.answer, test.body)
	}

	for _, body := range []string{
		`{"metadata":{"where":{"or":[null]}}}`,
		`{"embedding":[0,0,0,0,0,0,0,0],"search_type":"mmr"}`, // all at no angle
	} {
		status, answer := send(t, s, "POST", "/collection/own/search", body)
		assert.Equal(t, 500, status, body)
		assert.Empty(t, answer, body)
	}

	// Documents of another length than the model's are never embedded.
	addCollection(t, s, "other", 16, true)
	addDocuments(t, s, "other", `[{"content":"x"}]`)
	assert.Zero(t, findDocuments(t, s, "other", "", `{"text":"x"}`).Results[0].Score)
	assert.Len(t, findDocuments(t, s, "other", "", `{"metadata":{"a":1}}`).Results, 1)
}

// TestAddDocuments_Concurrent adds batches concurrently. Each is stored whole, in its order.
func TestAddDocuments_Concurrent(t *testing.T) {
	t.Parallel()
	const workers, batches, size = 8, 5, 10
	s := newServer(t)
	addCollection(t, s, "docs", 384, true)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for b := range batches {
				var documents []string
				for i := range size {
					documents = append(documents,
						fmt.Sprintf(`{"content":"number %d","document_id":"%d-%d-%d"}`, i, w, b,
							i))
				}
				resp, err := try(s, "POST", "/collection/docs/document",
					"["+strings.Join(documents, ",")+"]")
				if !assert.NoError(t, err) || !assert.Equal(t, 200, resp.StatusCode, resp.body) {
					return
				}
				uuids := decode[[]string](t, resp.body)
				for _, call := range [][3]string{
					{"POST", "/collection/docs/search", `{"text":"number 3"}`},
					{"PATCH", "/collection/docs/document/uuid/" + uuids[0],
						`{"metadata":{"a":1}}`},
					{"PATCH", "/collection/docs", `{"metadata":{"a":1}}`},
					{"GET", "/collection/docs/document/uuid/" + uuids[1], ""},
					{"DELETE", "/collection/docs/document/uuid/" + uuids[2], ""},
					{"GET", "/collection", ""},
				} {
					resp, err := try(s, call[0], call[1], call[2])
					if assert.NoError(t, err) {
						assert.Equal(t, 200, resp.StatusCode, resp.body)
					}
				}
			}
		}()
	}
	wg.Wait()
	assert.Len(t, listDocuments(t, s, "docs", `{}`), workers*batches*(size-1))
	_, answer := send(t, s, "GET", "/collection/docs", "")
	assert.Contains(t, answer, fmt.Sprintf(`"document_count":%d,`, workers*batches*size))
}
