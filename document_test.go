package zep

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	foxJSON = `{"uuid":"` + uuid1 + `","created_at":"2026-11-24T02:21:55.197388Z","updated_at":"2026-11-24T02:21:56Z","document_id":"d1",` +
		`"content":"fox","metadata":{"k":1},"embedding":[0.5,-1],"is_embedded":true}`

	documentTaken = "failed to create documents: bad request: document_id already exists\n"
	noneOfList    = "failed to get documents: documents not found\n"
)

func fox() *Document {
	return &Document{
		UUID: uuid1, CreatedAt: at("2026-11-24T02:21:55.197388Z"), UpdatedAt: at("2026-11-24T02:21:56Z"), DocumentID: "d1", Content: "fox",
		Metadata: Metadata{"k": 1.0}, Embedding: []float32{0.5, -1}, IsEmbedded: true,
	}
}

func TestDocumentServiceOnTheWire(t *testing.T) {
	t.Parallel()
	update := func(req UpdateDocumentRequest) func(context.Context, *Client) (any, error) {
		return func(ctx context.Context, c *Client) (any, error) { return only(c.Document.Update(ctx, "docs", &req)) }
	}
	ok := []string{"OK"}
	runWireCalls(t, map[string]wireCall{
		"Add": {
			func(ctx context.Context, c *Client) (any, error) {
				return c.Document.Add(ctx, "Docs", []*CreateDocumentRequest{
					{DocumentID: " ~", Content: "<fox>", Metadata: Metadata{"k": 1}, Embedding: []float32{0.5, -1}}, {Content: "dog", Metadata: Metadata{}},
					{Embedding: []float32{1, 2}},
				})
			},
			[]string{`POST /collection/Docs/document [{"document_id":" ~","content":"\u003cfox\u003e","metadata":{"k":1},"embedding":[0.5,-1]},` +
				`{"content":"dog"},{"embedding":[1,2]}]`},
			[]string{`["a","b","c"]`}, []string{"a", "b", "c"},
		},
		"Get": {
			func(ctx context.Context, c *Client) (any, error) { return c.Document.Get(ctx, "docs", uuid1) },
			[]string{"GET /collection/docs/document/uuid/" + uuid1}, []string{foxJSON}, fox(),
		},
		"GetByUUIDs": {
			func(ctx context.Context, c *Client) (any, error) {
				return c.Document.GetByUUIDs(ctx, "docs", []string{uuid2, uuid1})
			},
			[]string{`POST /collection/docs/document/list/get {"uuids":["` + uuid2 + `","` + uuid1 + `"]}`}, []string{"[" + foxJSON + "]"}, []*Document{fox()},
		},
		"GetByIDs": {
			func(ctx context.Context, c *Client) (any, error) {
				return c.Document.GetByIDs(ctx, "docs", []string{"d1", "a/b"})
			},
			[]string{`POST /collection/docs/document/list/get {"document_ids":["d1","a/b"]}`}, []string{"null"}, []*Document{},
		},
		"Update": {
			update(UpdateDocumentRequest{UUID: uuid1, DocumentID: "d2", Metadata: Metadata{"z": 9}}),
			[]string{"PATCH /collection/docs/document/uuid/" + uuid1 + ` {"document_id":"d2","metadata":{"z":9}}`}, ok, nil,
		},
		"Update sends no field that is empty": {
			update(UpdateDocumentRequest{UUID: uuid1, DocumentID: "d2", Metadata: Metadata{}}),
			[]string{"PATCH /collection/docs/document/uuid/" + uuid1 + ` {"document_id":"d2"}`}, ok, nil,
		},
		"UpdateAll": {
			func(ctx context.Context, c *Client) (any, error) {
				return only(c.Document.UpdateAll(ctx, "docs", []*UpdateDocumentRequest{
					{UUID: uuid2, DocumentID: "d2", Metadata: Metadata{"z": 9}}, {UUID: uuid1, DocumentID: "d1", Metadata: Metadata{"z": 8}},
				}))
			},
			[]string{`PATCH /collection/docs/document/list/update [{"uuid":"` + uuid2 + `","document_id":"d2","metadata":{"z":9}},` +
				`{"uuid":"` + uuid1 + `","document_id":"d1","metadata":{"z":8}}]`}, ok, nil,
		},
		"Delete": {
			func(ctx context.Context, c *Client) (any, error) { return only(c.Document.Delete(ctx, "docs", uuid1)) },
			[]string{"DELETE /collection/docs/document/uuid/" + uuid1}, ok, nil,
		},
		"DeleteAll": {
			func(ctx context.Context, c *Client) (any, error) {
				return only(c.Document.DeleteAll(ctx, "docs", []string{uuid1, uuid2}))
			},
			[]string{`POST /collection/docs/document/list/delete ["` + uuid1 + `","` + uuid2 + `"]`}, ok, nil,
		},
		"Add of none": {
			func(ctx context.Context, c *Client) (any, error) { return c.Document.Add(ctx, "docs", nil) }, nil, nil, []string{},
		},
		"GetByUUIDs of none": {
			func(ctx context.Context, c *Client) (any, error) { return c.Document.GetByUUIDs(ctx, "docs", nil) }, nil, nil, []*Document{},
		},
		"GetByIDs of none": {
			func(ctx context.Context, c *Client) (any, error) { return c.Document.GetByIDs(ctx, "docs", []string{}) }, nil, nil, []*Document{},
		},
		"UpdateAll of none": {
			func(ctx context.Context, c *Client) (any, error) { return only(c.Document.UpdateAll(ctx, "docs", nil)) }, nil, nil, nil,
		},
		"DeleteAll of none": {
			func(ctx context.Context, c *Client) (any, error) {
				return only(c.Document.DeleteAll(ctx, "docs", []string{}))
			}, nil, nil, nil,
		},
	})
}

// TestDocumentsAreCheckedBeforeAnyIsSent: also those of a later batch, and the error names the index.
func TestDocumentsAreCheckedBeforeAnyIsSent(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	eight, seven := make([]float32, 8), make([]float32, 7)
	id := strings.Repeat("x", 100)
	tests := map[string]struct {
		documents []*CreateDocumentRequest // the last is at fault
		want      string
		is        error
	}{
		"nil":                           {[]*CreateDocumentRequest{nil}, "is nil", ErrBadRequest},
		"neither content nor embedding": {[]*CreateDocumentRequest{{DocumentID: "d", Embedding: []float32{}}}, "has neither Content nor Embedding", ErrBadRequest},
		"an embedding of another length": {
			[]*CreateDocumentRequest{{Content: "a"}, {Embedding: eight}, {Content: "b"}, {Embedding: seven}},
			"has an embedding of 7 numbers, document 601 one of 8", ErrBadRequest,
		},
		"an id of 101":                {[]*CreateDocumentRequest{{Content: "a", DocumentID: id + "x"}}, "has a DocumentID of 101 bytes: want at most 100", ErrBadRequest},
		"an id with a letter like é":  {[]*CreateDocumentRequest{{Content: "a", DocumentID: "é"}}, `has the DocumentID "é": want printable ASCII`, ErrBadRequest},
		"an id with a tab":            {[]*CreateDocumentRequest{{Content: "a", DocumentID: "a\tb"}}, `has the DocumentID "a\tb"`, ErrBadRequest},
		"an id with a line break":     {[]*CreateDocumentRequest{{Content: "a", DocumentID: "a\n"}}, "want printable ASCII", ErrBadRequest},
		"an id with DEL":              {[]*CreateDocumentRequest{{Content: "a", DocumentID: "\x7f"}}, "want printable ASCII", ErrBadRequest},
		"an id that is no UTF-8":      {[]*CreateDocumentRequest{{Content: "a", DocumentID: "\xff"}}, "want printable ASCII", ErrBadRequest},
		"an id twice":                 {[]*CreateDocumentRequest{{Content: "a", DocumentID: id}, {Content: "b", DocumentID: id}}, `" of document 600`, ErrBadRequest},
		"metadata that is no JSON":    {[]*CreateDocumentRequest{{Content: "a", Metadata: Metadata{"f": func() {}}}}, "cannot be sent as JSON", ErrBadRequest},
		"one a byte over 5 MiB":       {[]*CreateDocumentRequest{{Content: strings.Repeat("x", maxBatchBytes-15)}}, "takes 5242881 bytes as JSON, and the server takes 5242880", ErrTooLarge},
		"one that JSON makes so long": {[]*CreateDocumentRequest{{Content: strings.Repeat("<", maxBatchBytes/6)}}, "takes 5242894 bytes", ErrTooLarge},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, s, _ := scripted(t, nil)
			var documents []*CreateDocumentRequest
			for range 600 {
				documents = append(documents, &CreateDocumentRequest{Content: "fine"})
			}
			documents = append(documents, test.documents...)
			uuids, err := c.Document.Add(ctx, "docs", documents)
			assert.Nil(t, uuids)
			require.ErrorContains(t, err, test.want)
			require.ErrorContains(t, err, fmt.Sprintf(" %d ", len(documents)-1), "which one")
			require.ErrorContains(t, err, "Document.Add")
			assert.Equal(t, []error{test.is}, matched(err))
			assertOneLine(t, err.Error())
			assert.Empty(t, s.requests())
		})
	}
	c, _, _ := scripted(t, nil, answers(200, `["a","b","c"]`))
	_, err := c.Document.Add(ctx, "docs", []*CreateDocumentRequest{{Content: "a", DocumentID: id}, {Embedding: eight}, {Content: "c", Embedding: eight}})
	require.NoError(t, err, "what is allowed")
}

// TestBatchesAreAsLargeAsTheServerTakes: 500 documents or 5 MiB of JSON, to the byte, whichever comes first.
func TestBatchesAreAsLargeAsTheServerTakes(t *testing.T) {
	t.Parallel()
	of := func(n int) *CreateDocumentRequest { // a document of n bytes of JSON
		return &CreateDocumentRequest{Content: strings.Repeat("x", n-len(`{"content":""}`))}
	}
	many := func(n, size int) (documents []*CreateDocumentRequest) {
		for range n {
			documents = append(documents, of(size))
		}
		return documents
	}
	const most = maxBatchBytes - len("[]")
	tests := map[string]struct {
		documents []*CreateDocumentRequest
		want      []int
	}{
		"one":                             {many(1, 20), []int{1}},
		"one that fills a request":        {many(1, most), []int{1}},
		"two that fill a request":         {[]*CreateDocumentRequest{of(most - 1000 - len(",")), of(1000)}, []int{2}},
		"two that are a byte too much":    {[]*CreateDocumentRequest{of(most - 1000), of(1000)}, []int{1, 1}},
		"small ones around a large one":   {[]*CreateDocumentRequest{of(20), of(most), of(20), of(20)}, []int{1, 1, 2}},
		"a third that does not fit":       {[]*CreateDocumentRequest{of(most / 2), of(most/2 - 1), of(20), of(20)}, []int{2, 2}},
		"500":                             {many(500, 20), []int{500}},
		"501":                             {many(501, 20), []int{500, 1}},
		"1500":                            {many(1500, 20), []int{500, 500, 500}},
		"such that both limits come once": {append(many(500, 20), many(3, most/2-10)...), []int{500, 2, 1}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			batches, err := split("Document.Add", test.documents, nil)
			require.NoError(t, err)
			var got []int
			var items []json.RawMessage
			for _, batch := range batches {
				got = append(got, len(batch))
				items = append(items, batch...)
				body, err := json.Marshal(batch)
				require.NoError(t, err)
				assert.LessOrEqual(t, len(body), maxBatchBytes)
			}
			assert.Equal(t, test.want, got)
			require.Len(t, items, len(test.documents))
			for i, item := range items {
				want, err := json.Marshal(test.documents[i])
				require.NoError(t, err)
				require.True(t, string(want) == string(item), "item %d", i)
			}
		})
	}
}

// numbered are documents with the contents 0, 1 and so on, and with ids if those are wanted.
func numbered(n int, ids bool) (documents []*CreateDocumentRequest) {
	for i := range n {
		d := &CreateDocumentRequest{Content: fmt.Sprint(i), Metadata: Metadata{"i": i}}
		if ids {
			d.DocumentID = fmt.Sprint("d", i)
		}
		documents = append(documents, d)
	}
	return documents
}

// manyUUIDs is the answer to a batch.
func manyUUIDs(prefix string, n int) step {
	uuids := make([]string, n)
	for i := range uuids {
		uuids[i] = fmt.Sprint(prefix, i)
	}
	body, _ := json.Marshal(uuids)
	return answers(200, string(body))
}

func TestABatchThatFailsLeavesTheUUIDsOfThoseBeforeIt(t *testing.T) {
	t.Parallel()
	first := make([]string, 500)
	for i := range first {
		first[i] = fmt.Sprint("a", i)
	}
	tests := map[string]struct {
		steps   []step
		want    []string
		text    string
		matches []error
	}{
		"the first":                     {[]step{answers(500, "no disk")}, []string{}, "zep: POST /zep/api/v1/collection/docs/document: 500: no disk", []error{ErrServer}},
		"the second":                    {[]step{manyUUIDs("a", 500), answers(500, "no disk")}, first, "zep: Document.Add: the first 500 of 1200 are stored: zep: POST /zep/api/v1/collection/docs/document: 500: no disk", []error{ErrServer}},
		"the third, refused":            {[]step{manyUUIDs("a", 500), manyUUIDs("b", 500), answers(413, "request body too large")}, nil, "the first 1000 of 1200 are stored", []error{ErrTooLarge}},
		"the second, its answer lost":   {[]step{manyUUIDs("a", 500), answerLost}, first, "may have been carried out", nil},
		"too few UUIDs":                 {[]step{manyUUIDs("a", 500), manyUUIDs("b", 499)}, first, "499 UUIDs for 500 documents", nil},
		"too many UUIDs":                {[]step{manyUUIDs("a", 500), manyUUIDs("b", 501)}, first, "501 UUIDs for 500 documents", nil},
		"no UUIDs":                      {[]step{manyUUIDs("a", 500), answers(200, "null")}, first, "the answer is not what Zep sends", nil},
		"a UUID that is none":           {[]step{manyUUIDs("a", 500), answers(200, `[`+strings.Repeat(`"u",`, 499)+`null]`)}, first, "or an empty one", nil},
		"the collection is not there":   {[]step{answers(500, collectionMissing)}, []string{}, "not found", []error{ErrNotFound, ErrServer}},
		"an id that is taken, at once":  {[]step{manyUUIDs("a", 500), answers(400, documentTaken)}, first, "already exists", []error{ErrAlreadyExists}},
		"the second, after it was busy": {[]step{manyUUIDs("a", 500), answers(503, ""), answers(400, "no")}, first, "(2 attempts)", []error{ErrBadRequest}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, s, _ := scripted(t, nil, test.steps...)
			uuids, err := c.Document.Add(context.Background(), "docs", numbered(1200, false))
			if test.want != nil {
				assert.Equal(t, test.want, uuids)
			}
			require.ErrorContains(t, err, test.text)
			assert.Equal(t, test.matches, matched(err))
			assert.Len(t, s.requests(), len(test.steps))
			assertOneLine(t, err.Error())
			requireError(t, err)
		})
	}
}

// TestDocumentsWithoutIDsAreSentAgainOnlyIfNoneWasStored: nothing would tell whether they were.
func TestDocumentsWithoutIDsAreSentAgainOnlyIfNoneWasStored(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	mixed := numbered(3, true)
	mixed[1].DocumentID = ""
	for name, documents := range map[string][]*CreateDocumentRequest{"none": numbered(3, false), "all but one": mixed} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for how, lost := range lostAnswers {
				c, s, _ := scripted(t, nil, lost)
				uuids, err := c.Document.Add(ctx, "docs", documents)
				require.ErrorContains(t, err, "may have been carried out", how)
				assert.Empty(t, uuids)
				assert.Len(t, s.requests(), 1)
			}
			for how, proof := range proofs {
				c, s, _ := scripted(t, nil, proof, manyUUIDs("a", 3))
				uuids, err := c.Document.Add(ctx, "docs", documents)
				require.NoError(t, err, how)
				assert.Equal(t, []string{"a0", "a1", "a2"}, uuids)
				assert.Len(t, s.requests(), 2)
			}
		})
	}
	// It goes by the batch: one without ids does not keep the others from being sent again.
	documents := append(numbered(500, true), &CreateDocumentRequest{Content: "x"})
	c, _, _ := scripted(t, nil, answerLost, manyUUIDs("a", 500), answers(503, ""), manyUUIDs("b", 1))
	uuids, err := c.Document.Add(ctx, "docs", documents)
	require.NoError(t, err)
	assert.Len(t, uuids, 501)
}

func TestADocumentAddWhoseAnswerWasLostReturnsWhatItMade(t *testing.T) {
	t.Parallel()
	stored := func(uuid, id, more string) string {
		return fmt.Sprintf(`{"uuid":%q,"document_id":%q,%s}`, uuid, id, more)
	}
	a := stored("ua", "a", `"content":"A","metadata":{"k":1},"embedding":[0.25,1]`)
	b := stored("ub", "b", `"content":"B","embedding":[3,0.1]`)
	tests := map[string]struct {
		documents []*CreateDocumentRequest
		there     string // nil for those above
		ours      bool
	}{
		"both, in another order":       {nil, "[" + b + "," + a + "]", true},
		"both, and one nobody asked":   {nil, "[" + a + "," + stored("ux", "x", `"content":"X"`) + "," + b + "]", true},
		"one alone":                    {nil, "[" + a + "]", false},
		"none":                         {nil, "", false},
		"another content":              {nil, "[" + a + "," + stored("ub", "b", `"content":"b"`) + "]", false},
		"other metadata":               {nil, "[" + stored("ua", "a", `"content":"A","metadata":{"k":2},"embedding":[0.25,1]`) + "," + b + "]", false},
		"no metadata":                  {nil, "[" + stored("ua", "a", `"content":"A","embedding":[0.25,1]`) + "," + b + "]", false},
		"another embedding":            {nil, "[" + stored("ua", "a", `"content":"A","metadata":{"k":1},"embedding":[0.25,2]`) + "," + b + "]", false},
		"no embedding":                 {nil, "[" + stored("ua", "a", `"content":"A","metadata":{"k":1},"embedding":null`) + "," + b + "]", false},
		"embeddings of the server's":   {[]*CreateDocumentRequest{{DocumentID: "a", Content: "A"}}, "[" + stored("ua", "a", `"content":"A","embedding":[9,9]`) + "]", true},
		"what the server changes":      {[]*CreateDocumentRequest{{DocumentID: "a", Content: "nu\x00l \xff<", Metadata: large}}, "[" + stored("ua", "a", `"content":"nul \uFFFD<","metadata":`+largeStored) + "]", true},
		"an embedding of odd numbers":  {[]*CreateDocumentRequest{{DocumentID: "a", Embedding: []float32{0.1, 1e-30, 16777217}}}, "[" + stored("ua", "a", `"content":"","embedding":[0.1,1e-30,16777216]`) + "]", true},
		"the same id, with nothing in": {[]*CreateDocumentRequest{{DocumentID: "a", Content: "A"}}, "[" + stored("ua", "a", `"content":""`) + "]", false},
	}
	for name, test := range tests {
		for how, lost := range lostAnswers {
			t.Run(name+"/"+how, func(t *testing.T) {
				t.Parallel()
				documents := test.documents
				if documents == nil {
					documents = []*CreateDocumentRequest{
						{DocumentID: "a", Content: "A", Metadata: Metadata{"k": 1}, Embedding: []float32{0.25, 1}}, {DocumentID: "b", Content: "B"},
					}
				}
				there := answers(200, test.there)
				if test.there == "" {
					there = answers(404, noneOfList)
				}
				c, s, _ := scripted(t, nil, lost, answers(400, documentTaken), there)
				uuids, err := c.Document.Add(context.Background(), "docs", documents, RequestHeader("X-Trace", "t"))
				requests := s.requests()
				require.Len(t, requests, 3)
				assert.Equal(t, requests[0], requests[1], "each attempt sends the same")
				assert.Equal(t, "POST http://zep.test/zep/api/v1/collection/docs/document/list/get", requests[2].method+" "+requests[2].url)
				assert.True(t, strings.HasPrefix(requests[2].body, `{"document_ids":["a"`), requests[2].body)
				assert.Equal(t, "t", requests[2].header.Get("X-Trace"))
				if test.ours {
					require.NoError(t, err)
					assert.Equal(t, []string{"ua", "ub"}[:len(documents)], uuids, "in the order of the documents")
					return
				}
				assert.Empty(t, uuids)
				assert.Equal(t, []error{ErrAlreadyExists}, matched(err))
				require.ErrorContains(t, err, "may have been carried out")
			})
		}
	}
}

func TestADocumentAddAfterALostAnswer(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	readBack := func(first, n int) step {
		var there []string
		for i := first + n - 1; i >= first; i-- {
			there = append(there, fmt.Sprintf(`{"uuid":"u%d","document_id":"d%d","content":"%d","metadata":{"i":%d}}`, i, i, i, i))
		}
		return answers(200, "["+strings.Join(there, ",")+"]")
	}
	// Of three batches, the second one's answer is lost, and its ids turn out to be taken.
	c, s, _ := scripted(t, nil, manyUUIDs("a", 500), answerLost, answers(400, documentTaken), readBack(500, 500), manyUUIDs("c", 200))
	uuids, err := c.Document.Add(ctx, "docs", numbered(1200, true))
	require.NoError(t, err)
	require.Len(t, uuids, 1200)
	assert.Equal(t, []string{"a499", "u500", "u501"}, uuids[499:502])
	assert.Equal(t, []string{"u999", "c0"}, uuids[999:1001])
	assert.Len(t, s.requests(), 5)

	// It is not read back if no answer was lost.
	c, _, _ = scripted(t, nil, answerLost, manyUUIDs("a", 500), answers(400, documentTaken))
	uuids, err = c.Document.Add(ctx, "docs", numbered(600, true))
	assert.Equal(t, []error{ErrAlreadyExists}, matched(err), "that of the batch before does not count")
	assert.NotContains(t, err.Error(), "may have been carried out")
	assert.Len(t, uuids, 500)
	for how, proof := range proofs {
		c, _, _ = scripted(t, nil, proof, answers(400, documentTaken))
		_, err = c.Document.Add(ctx, "docs", numbered(1, true))
		assert.Equal(t, []error{ErrAlreadyExists}, matched(err), how)
		assert.NotContains(t, err.Error(), "may have been carried out")
	}

	tests := map[string]struct {
		steps   []step
		opts    []RequestOption
		want    string
		matches []error
	}{
		"with one attempt":           {[]step{answerLost}, []RequestOption{RequestMaxAttempts(1)}, "may have been carried out", nil},
		"with all lost":              {repeat(4, answerLost), nil, "may have been carried out", nil},
		"with another refusal":       {[]step{answerLost, answers(400, "no")}, nil, "may have been carried out", []error{ErrBadRequest}},
		"that cannot be read back":   {append([]step{answerLost, answers(400, documentTaken)}, repeat(4, neverDialled)...), nil, "a document_id exists, and whether this call made it cannot be told", nil},
		"with a key that expired":    {[]step{answerLost, answers(400, documentTaken), answers(401, "token is expired")}, nil, "cannot be told", []error{ErrUnauthorized}},
		"without the collection now": {[]step{answerLost, answers(400, documentTaken), answers(404, "failed to get documents: "+collectionMissing)}, nil, "cannot be told", []error{ErrNotFound}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, s, _ := scripted(t, nil, test.steps...)
			uuids, err := c.Document.Add(ctx, "docs", numbered(2, true), test.opts...)
			assert.Empty(t, uuids)
			require.ErrorContains(t, err, test.want)
			assert.Equal(t, test.matches, matched(err))
			assert.Len(t, s.requests(), len(test.steps))
			assertOneLine(t, err.Error())
		})
	}
}

func TestTheEndOfItsContextEndsAnUpload(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	c, s, _ := scripted(t, nil, func(req *http.Request) (*http.Response, error) {
		cancel()
		return manyUUIDs("a", 500)(req)
	})
	uuids, err := c.Document.Add(ctx, "docs", numbered(501, true))
	require.ErrorIs(t, err, context.Canceled)
	assert.Len(t, uuids, 500, "the batch was answered")
	assert.Len(t, s.requests(), 1)
}

// manyIDs are n of them.
func manyIDs(prefix string, n int) (ids []string) {
	for i := range n {
		ids = append(ids, fmt.Sprint(prefix, i))
	}
	return ids
}

// TestListsOfDocumentsGoInBatches: it is one list all the same, from which those that are not there are missing.
func TestListsOfDocumentsGoInBatches(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	ids := manyIDs("x", 1001)
	for name, get := range map[string]func(c *Client, ids []string) ([]*Document, error){
		"uuids":        func(c *Client, ids []string) ([]*Document, error) { return c.Document.GetByUUIDs(ctx, "docs", ids) },
		"document_ids": func(c *Client, ids []string) ([]*Document, error) { return c.Document.GetByIDs(ctx, "docs", ids) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			some, none := answers(200, "["+foxJSON+","+foxJSON+"]"), answers(404, noneOfList)
			for _, test := range []struct {
				steps []step
				want  int
			}{{[]step{some, some, some}, 6}, {[]step{some, none, some}, 4}, {[]step{none, none, some}, 2}, {[]step{none, none, none}, 0}} {
				c, s, _ := scripted(t, nil, test.steps...)
				documents, err := get(c, ids)
				require.NoError(t, err)
				assert.NotNil(t, documents)
				assert.Len(t, documents, test.want)
				var asked []string
				for i, request := range s.requests() {
					var body map[string][]string
					require.NoError(t, json.Unmarshal([]byte(request.body), &body))
					require.Len(t, body, 1)
					assert.Len(t, body[name], []int{500, 500, 1}[i])
					asked = append(asked, body[name]...)
				}
				assert.Equal(t, ids, asked)
			}

			c, _, _ := scripted(t, nil, answerLost, answers(500, ""), some)
			documents, err := get(c, ids[:1])
			require.NoError(t, err, "it is a read")
			assert.Len(t, documents, 2)

			for text, want := range map[string]error{
				"failed to get documents: " + collectionMissing:                                           ErrNotFound,
				"failed to get documents: failed to get collection: collection: documents not found\n":    ErrNotFound,
				"failed to get documents: failed to get collection: collection: x: documents not found\n": ErrNotFound,
				"404 page not found\n": ErrEndpointNotFound,
			} {
				c, _, _ := scripted(t, nil, some, answers(404, text))
				documents, err := get(c, ids)
				assert.Nil(t, documents)
				assert.Equal(t, []error{want}, matched(err), text)
			}
		})
	}
}

func TestDocumentDeletesWhoseAnswerWasLostDidIt(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, del := range map[string]func(*Client) error{
		"Document.Delete":    func(c *Client) error { return c.Document.Delete(ctx, "docs", uuid1) },
		"Document.DeleteAll": func(c *Client) error { return c.Document.DeleteAll(ctx, "docs", []string{uuid1, uuid2}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gone := answers(404, "failed to delete document: documents not found\n")
			for how, lost := range lostAnswers {
				c, s, _ := scripted(t, nil, lost, answers(200, "OK"))
				require.NoError(t, del(c), how)
				assert.Equal(t, s.requests()[0], s.requests()[1])
				c, _, _ = scripted(t, nil, lost, gone)
				require.NoError(t, del(c), how)
				c, _, _ = scripted(t, nil, lost, answers(404, "404 page not found"))
				assert.Equal(t, []error{ErrEndpointNotFound}, matched(del(c)), how)
			}
			c, _, _ := scripted(t, nil, gone)
			assert.Equal(t, []error{ErrNotFound}, matched(del(c)), "it never was there")
			for how, proof := range proofs {
				c, _, _ := scripted(t, nil, proof, gone)
				assert.Equal(t, []error{ErrNotFound}, matched(del(c)), how)
			}
			c, _, _ = scripted(t, nil, answers(500, ""))
			assert.Equal(t, []error{ErrServer}, matched(del(c)))
		})
	}
}

func TestDeletesOfManyDocumentsGoInBatches(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	ids := manyIDs("x", 1001)
	done, none := answers(200, "OK"), answers(404, "failed to delete document: documents not found\n")
	for name, test := range map[string]struct {
		steps   []step
		want    string
		matches []error
	}{
		"all":                      {[]step{done, done, done}, "", nil},
		"none of a batch is there": {[]step{none, done, none}, "", nil},
		"the last is there":        {[]step{none, none, done}, "", nil},
		"none is there":            {[]step{none, none, none}, "not found", []error{ErrNotFound}},
		"a batch fails":            {[]step{done, answers(500, "no disk")}, "zep: Document.DeleteAll: the first 500 of 1001 are removed: zep: POST ", []error{ErrServer}},
		"the first fails":          {[]step{answers(400, "invalid UUID length: 2")}, "zep: POST ", []error{ErrBadRequest}},
		"the collection is gone":   {[]step{done, answers(404, "failed to delete document: "+collectionMissing)}, "the first 500 of 1001", []error{ErrNotFound}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, s, _ := scripted(t, nil, test.steps...)
			err := c.Document.DeleteAll(ctx, "docs", ids)
			assert.Len(t, s.requests(), len(test.steps))
			if test.want != "" {
				require.ErrorContains(t, err, test.want)
				assert.Equal(t, test.matches, matched(err))
				return
			}
			require.NoError(t, err)
			var deleted []string
			for _, request := range s.requests() {
				var batch []string
				require.NoError(t, json.Unmarshal([]byte(request.body), &batch))
				deleted = append(deleted, batch...)
			}
			assert.Equal(t, ids, deleted)
		})
	}
}

func TestUpdatesThatTheServerWouldNotTakeAreRefusedBeforeAnyIsSent(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	tests := map[string]struct {
		req  UpdateDocumentRequest
		want string
	}{
		"an id of 41":        {UpdateDocumentRequest{UUID: uuid2, DocumentID: strings.Repeat("x", 41)}, "has a DocumentID of 41 bytes: want at most 40"},
		"an id beyond ASCII": {UpdateDocumentRequest{UUID: uuid2, DocumentID: "é"}, `has the DocumentID "é": want printable ASCII`},
		"no JSON":            {UpdateDocumentRequest{UUID: uuid2, Metadata: Metadata{"f": func() {}}}, "cannot be sent as JSON"},
	}
	for name, test := range tests {
		c, s, _ := scripted(t, nil)
		err := c.Document.Update(ctx, "docs", &test.req)
		require.ErrorContains(t, err, test.want, name)
		assert.Equal(t, []error{ErrBadRequest}, matched(err), name)
		err = c.Document.UpdateAll(ctx, "docs", []*UpdateDocumentRequest{{UUID: uuid1, DocumentID: strings.Repeat("x", 40)}, &test.req})
		require.ErrorContains(t, err, test.want, name)
		require.ErrorContains(t, err, " 1 ", "which one")
		assert.Equal(t, []error{ErrBadRequest}, matched(err), name)
		assert.Empty(t, s.requests())
		assert.True(t, idle(c.updates))
	}
	for how, call := range map[string]func(c *Client) error{
		"nil": func(c *Client) error {
			return c.Document.UpdateAll(ctx, "docs", []*UpdateDocumentRequest{{UUID: uuid1, DocumentID: "d"}, nil})
		},
		"too long": func(c *Client) error {
			return c.Document.UpdateAll(ctx, "docs", []*UpdateDocumentRequest{{UUID: uuid1, DocumentID: "d"}, {UUID: uuid2, Metadata: Metadata{"x": strings.Repeat("x", maxBatchBytes)}}})
		},
	} {
		c, s, _ := scripted(t, nil)
		require.ErrorContains(t, call(c), " 1 ", how)
		assert.Empty(t, s.requests())
	}
}

// TestUpdatesOfDifferentFieldsGoInDifferentRequests: the server changes in every document of a request what it changes in one.
func TestUpdatesOfDifferentFieldsGoInDifferentRequests(t *testing.T) {
	t.Parallel()
	id := func(uuid string) *UpdateDocumentRequest { return &UpdateDocumentRequest{UUID: uuid, DocumentID: "d"} }
	metadata := func(uuid string) *UpdateDocumentRequest {
		return &UpdateDocumentRequest{UUID: uuid, Metadata: Metadata{"k": 1}}
	}
	both := func(uuid string) *UpdateDocumentRequest {
		return &UpdateDocumentRequest{UUID: uuid, DocumentID: "d", Metadata: Metadata{"k": 1}}
	}
	empty := func(uuid string) *UpdateDocumentRequest {
		return &UpdateDocumentRequest{UUID: uuid, DocumentID: "d", Metadata: Metadata{}}
	}
	var many []*UpdateDocumentRequest
	for i := range 1001 {
		many = append(many, id(fmt.Sprint("u", i)))
	}
	tests := map[string]struct {
		reqs []*UpdateDocumentRequest
		want []int
	}{
		"the same field":                {[]*UpdateDocumentRequest{id("a"), id("b"), id("c")}, []int{3}},
		"the same, once empty":          {[]*UpdateDocumentRequest{id("a"), empty("b"), id("c")}, []int{3}},
		"both in all":                   {[]*UpdateDocumentRequest{both("a"), both("b")}, []int{2}},
		"one field, then another":       {[]*UpdateDocumentRequest{id("a"), id("b"), metadata("c"), metadata("d")}, []int{2, 2}},
		"both, then neither":            {[]*UpdateDocumentRequest{both("a"), {UUID: "b"}}, []int{1, 1}},
		"one field, then both":          {[]*UpdateDocumentRequest{metadata("a"), both("b")}, []int{1, 1}},
		"in turn, in their order":       {[]*UpdateDocumentRequest{id("a"), metadata("b"), id("c"), both("d"), both("e")}, []int{1, 1, 1, 2}},
		"a document twice":              {[]*UpdateDocumentRequest{id("a"), id("b"), id("a"), id("c")}, []int{2, 2}},
		"a document thrice":             {[]*UpdateDocumentRequest{id("a"), id("a"), id("a")}, []int{1, 1, 1}},
		"a document in many forms":      {[]*UpdateDocumentRequest{id(uuid1), id(strings.ToUpper(uuid1)), id("{" + uuid1 + "}")}, []int{1, 1, 1}},
		"twice, but in other batches":   {[]*UpdateDocumentRequest{id("a"), metadata("b"), id("a"), id("c")}, []int{1, 1, 2}},
		"1001 of the same":              {many, []int{500, 500, 1}},
		"1001, the first one once more": {append(slices.Clone(many), id("u0")), []int{500, 500, 2}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, s, _ := scripted(t, nil, repeat(len(test.want), answers(200, "OK"))...)
			require.NoError(t, c.Document.UpdateAll(context.Background(), "docs", test.reqs))
			var got []int
			var sent []*UpdateDocumentRequest
			for _, request := range s.requests() {
				var batch []*UpdateDocumentRequest
				require.NoError(t, json.Unmarshal([]byte(request.body), &batch))
				got = append(got, len(batch))
				sent = append(sent, batch...)
			}
			assert.Equal(t, test.want, got)
			require.Len(t, sent, len(test.reqs))
			for i, req := range sent {
				assert.Equal(t, test.reqs[i].UUID, req.UUID, "in their order")
			}
			assert.True(t, idle(c.updates))
		})
	}
}

func TestABatchOfUpdatesThatFailsTellsHowManyWereMade(t *testing.T) {
	t.Parallel()
	var reqs []*UpdateDocumentRequest
	for i := range 1001 {
		reqs = append(reqs, &UpdateDocumentRequest{UUID: fmt.Sprint("u", i), DocumentID: "d"})
	}
	for _, test := range []struct {
		steps   []step
		want    string
		matches []error
	}{
		{[]step{answers(404, "failed to Update documents: documents not found\n")}, "zep: PATCH ", []error{ErrNotFound}},
		{[]step{answers(200, "OK"), answers(500, "no disk")}, "zep: Document.UpdateAll: the first 500 of 1001 are updated: zep: PATCH ", []error{ErrServer}},
		{[]step{answers(200, "OK"), answers(200, "OK"), answers(400, "no")}, "the first 1000 of 1001 are updated", []error{ErrBadRequest}},
	} {
		c, s, _ := scripted(t, nil, test.steps...)
		err := c.Document.UpdateAll(context.Background(), "docs", reqs)
		require.ErrorContains(t, err, test.want)
		assert.Equal(t, test.matches, matched(err))
		assert.Len(t, s.requests(), len(test.steps))
		assert.True(t, idle(c.updates))
	}
}

// TestUpdatesOfManyDocumentsInOppositeOrdersEnd lets updates of the same documents in opposite orders meet, over and over.
func TestUpdatesOfManyDocumentsInOppositeOrdersEnd(t *testing.T) {
	t.Parallel()
	c, g := turnstiled(t)
	forth := []*UpdateDocumentRequest{{UUID: "a", DocumentID: "1"}, {UUID: "b", DocumentID: "2"}, {UUID: "c", DocumentID: "3"}}
	back := slices.Clone(forth)
	slices.Reverse(back)
	const calls = 40
	done := make(chan error, calls)
	for i := range calls {
		go func() {
			switch i % 4 {
			case 0:
				done <- c.Document.UpdateAll(context.Background(), "docs", forth)
			case 1:
				done <- c.Document.UpdateAll(context.Background(), "docs", back)
			case 2:
				done <- c.Document.UpdateAll(context.Background(), "docs", back[1:])
			default:
				done <- c.Document.Update(context.Background(), "docs", forth[1])
			}
		}()
	}
	for range calls { // all of them have b in common
		a := g.next(t)
		select {
		case other := <-g.arrived:
			require.FailNow(t, "two at a time", other.body)
		default:
		}
		close(a.pass)
		require.NoError(t, <-done)
	}
	assert.True(t, idle(c.updates))
}

// TestAnUpdateDoesNotOvertakeOneOfManyDocumentsThatCameFirst: the one of many stands in the lines of all of its documents at once.
func TestAnUpdateDoesNotOvertakeOneOfManyDocumentsThatCameFirst(t *testing.T) {
	t.Parallel()
	c, g := turnstiled(t)
	ctx := context.Background()
	done := make(chan error, 3)
	req := func(uuid, id string) *UpdateDocumentRequest {
		return &UpdateDocumentRequest{UUID: uuid, DocumentID: id}
	}
	go func() { done <- c.Document.Update(ctx, "docs", req("a", "first")) }()
	held := g.next(t)
	go func() {
		done <- c.Document.UpdateAll(ctx, "docs", []*UpdateDocumentRequest{req("a", "second"), req("b", "second")})
	}()
	waitUntil(t, "the second waits for a", func() bool { return waiting(c.updates, record{"document", "a"}) == 1 })
	go func() { done <- c.Document.Update(ctx, "docs", req("b", "third")) }()
	waitUntil(t, "the third waits for b", func() bool { return waiting(c.updates, record{"document", "b"}) == 1 })
	close(held.pass)
	second := g.next(t)
	assert.Contains(t, second.body, "second")
	close(second.pass)
	third := g.next(t)
	assert.Contains(t, third.body, "third")
	close(third.pass)
	for range 3 {
		require.NoError(t, <-done)
	}
	assert.True(t, idle(c.updates))
}

// TestUpdatesOfManyDocumentsThatGiveUpLetTheOthersPass: one that waits stands before others, too.
func TestUpdatesOfManyDocumentsThatGiveUpLetTheOthersPass(t *testing.T) {
	t.Parallel()
	c, g := turnstiled(t)
	call := func(ctx context.Context, uuids ...string) chan error {
		done := make(chan error, 1)
		var reqs []*UpdateDocumentRequest
		for _, uuid := range uuids {
			reqs = append(reqs, &UpdateDocumentRequest{UUID: uuid, DocumentID: "d"})
		}
		go func() { done <- c.Document.UpdateAll(ctx, "docs", reqs) }()
		return done
	}
	ctx, cancel := context.WithCancel(context.Background())
	first := call(context.Background(), "b")
	held := g.next(t)
	second := call(ctx, "b", "a")
	waitUntil(t, "the second has a and waits for b", func() bool { return waiting(c.updates, record{"document", "b"}) == 1 })
	third := call(context.Background(), "a")
	waitUntil(t, "the third waits for a", func() bool { return waiting(c.updates, record{"document", "a"}) == 1 })
	cancel()
	err := <-second
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "waiting for an earlier update of the same record")
	close(g.next(t).pass)
	require.NoError(t, <-third)
	close(held.pass)
	require.NoError(t, <-first)
	assert.True(t, idle(c.updates))
}

// TestTheCallersDocumentsAreNotWrittenTo: nor are the lists of them.
func TestTheCallersDocumentsAreNotWrittenTo(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	c, _, _ := scripted(t, nil, manyUUIDs("a", 2), answers(200, "OK"), answers(200, "OK"))
	documents := numbered(2, true)
	_, err := c.Document.Add(ctx, "docs", documents)
	require.NoError(t, err)
	assert.Equal(t, numbered(2, true), documents)

	reqs := func() []*UpdateDocumentRequest {
		return []*UpdateDocumentRequest{{UUID: uuid2, DocumentID: "b"}, {UUID: uuid1, DocumentID: "a"}}
	}
	updates := reqs()
	require.NoError(t, c.Document.UpdateAll(ctx, "docs", updates))
	require.NoError(t, c.Document.Update(ctx, "docs", updates[0]))
	assert.Equal(t, reqs(), updates)
}

func TestADocumentThatIsNoneIsAnError(t *testing.T) {
	t.Parallel()
	c, _, _ := scripted(t, nil, answers(200, "null"), answers(200, "[null]"), answers(404, noneOfList))
	_, err := c.Document.Get(context.Background(), "docs", uuid1)
	require.ErrorContains(t, err, "the answer is not what Zep sends")
	_, err = c.Document.GetByIDs(context.Background(), "docs", []string{"d1"})
	require.ErrorContains(t, err, "the answer is not what Zep sends")
	_, err = c.Document.Get(context.Background(), "docs", uuid1)
	require.ErrorIs(t, err, ErrNotFound)
}
