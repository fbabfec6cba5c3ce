package zep

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	foxJSON = `{"uuid":"` + uuid1 +
		`","created_at":"2026-11-24T02:21:55.197388Z","updated_at":"2026-11-24T02:21:56Z",` +
		`"document_id":"d1",` +
		`"content":"fox","metadata":{"k":1},"embedding":[0.5,-1],"is_embedded":true}`

	documentTaken = "failed to create documents: bad request: document_id already exists\n"
	noneOfList    = "failed to get documents: documents not found\n"
)

func fox() *Document {
	return &Document{
		UUID:       uuid1,
		CreatedAt:  at("2026-11-24T02:21:55.197388Z"),
		UpdatedAt:  at("2026-11-24T02:21:56Z"),
		DocumentID: "d1",
		Content:    "fox",
		Metadata:   Metadata{"k": 1.0},
		Embedding:  []float32{0.5, -1},
		IsEmbedded: true,
	}
}

func TestDocumentService_Wire(t *testing.T) {
	t.Parallel()
	update := func(req UpdateDocumentRequest) func(context.Context, *Client) (any, error) {
		return func(ctx context.Context, c *Client) (any, error) {
			return errOnly(c.Document.Update(ctx, "docs", &req))
		}
	}
	ok := []string{"OK"}
	runWireCalls(t, map[string]wireCall{
		"Add": {
			func(ctx context.Context, c *Client) (any, error) {
				return c.Document.Add(ctx, "Docs", []*CreateDocumentRequest{
					{
						DocumentID: " ~",
						Content:    "<fox>",
						Metadata:   Metadata{"k": 1},
						Embedding:  []float32{0.5, -1},
					},
					{
						Content:  "dog",
						Metadata: Metadata{},
					},
					{Embedding: []float32{1, 2}},
				})
			},
			[]string{`POST /collection/Docs/document [{"document_id":" ~",` +
				`"content":"<fox>","metadata":{"k":1},"embedding":[0.5,-1]},` +
				`{"content":"dog"},{"embedding":[1,2]}]`},
			[]string{`["a","b","c"]`}, []string{"a", "b", "c"},
		},
		"Get": {
			func(ctx context.Context, c *Client) (any, error) {
				return c.Document.Get(ctx, "docs", uuid1)
			},
			[]string{"GET /collection/docs/document/uuid/" + uuid1}, []string{foxJSON}, fox(),
		},
		"GetByUUIDs": {
			func(ctx context.Context, c *Client) (any, error) {
				return c.Document.GetByUUIDs(ctx, "docs", []string{uuid2, uuid1})
			},
			[]string{`POST /collection/docs/document/list/get {"uuids":["` + uuid2 + `","` +
				uuid1 + `"]}`}, []string{"[" + foxJSON + "]"}, []*Document{
				fox(),
			},
		},
		"GetByIDs": {
			func(ctx context.Context, c *Client) (any, error) {
				return c.Document.GetByIDs(ctx, "docs", []string{"d1", "a/b"})
			},
			[]string{`POST /collection/docs/document/list/get {"document_ids":["d1","a/b"]}`},
			[]string{"null"}, []*Document{},
		},
		"Update": {
			update(UpdateDocumentRequest{
				UUID:       uuid1,
				DocumentID: "d2",
				Metadata:   Metadata{"z": 9},
			}),
			[]string{"PATCH /collection/docs/document/uuid/" + uuid1 +
				` {"document_id":"d2","metadata":{"z":9}}`}, ok, nil,
		},
		"Update sends no field that is empty": {
			update(UpdateDocumentRequest{UUID: uuid1, DocumentID: "d2", Metadata: Metadata{}}),
			[]string{"PATCH /collection/docs/document/uuid/" + uuid1 + ` {"document_id":"d2"}`},
			ok, nil,
		},
		"UpdateAll": {
			func(ctx context.Context, c *Client) (any, error) {
				return errOnly(c.Document.UpdateAll(ctx, "docs", []*UpdateDocumentRequest{
					{UUID: uuid2, DocumentID: "d2", Metadata: Metadata{"z": 9}},
					{UUID: uuid1, DocumentID: "d1", Metadata: Metadata{"z": 8}},
				}))
			},
			[]string{`PATCH /collection/docs/document/list/update [{"uuid":"` + uuid2 +
				`","document_id":"d2","metadata":{"z":9}},` +
				`{"uuid":"` + uuid1 + `","document_id":"d1","metadata":{"z":8}}]`}, ok, nil,
		},
		"Delete": {
			func(ctx context.Context, c *Client) (any, error) {
				return errOnly(c.Document.Delete(ctx, "docs", uuid1))
			},
			[]string{"DELETE /collection/docs/document/uuid/" + uuid1}, ok, nil,
		},
		"DeleteAll": {
			func(ctx context.Context, c *Client) (any, error) {
				return errOnly(c.Document.DeleteAll(ctx, "docs", []string{uuid1, uuid2}))
			},
			[]string{`POST /collection/docs/document/list/delete ["` + uuid1 + `","` + uuid2 +
				`"]`}, ok, nil,
		},
		"Add of none": {
			func(ctx context.Context, c *Client) (any, error) {
				return c.Document.Add(ctx, "docs", nil)
			}, nil, nil, []string{},
		},
		"GetByUUIDs of none": {
			func(ctx context.Context, c *Client) (any, error) {
				return c.Document.GetByUUIDs(ctx, "docs", nil)
			}, nil, nil, []*Document{},
		},
		"GetByIDs of none": {
			func(ctx context.Context, c *Client) (any, error) {
				return c.Document.GetByIDs(ctx, "docs", []string{})
			}, nil, nil, []*Document{},
		},
		"UpdateAll of none": {
			func(ctx context.Context, c *Client) (any, error) {
				return errOnly(c.Document.UpdateAll(ctx, "docs", nil))
			}, nil, nil, nil,
		},
		"DeleteAll of none": {
			func(ctx context.Context, c *Client) (any, error) {
				return errOnly(c.Document.DeleteAll(ctx, "docs", []string{}))
			}, nil, nil, nil,
		},
	})
}

// manyIDs returns n ids.
func manyIDs(prefix string, n int) (ids []string) {
	for i := range n {
		ids = append(ids, fmt.Sprint(prefix, i))
	}
	return ids
}

// TestDocumentGet_Batches checks that the batches form one list, without the documents that do
// not exist.
func TestDocumentGet_Batches(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	ids := manyIDs("x", 1001)
	for name, get := range map[string]func(c *Client, ids []string) ([]*Document, error){
		"uuids": func(c *Client, ids []string) ([]*Document, error) {
			return c.Document.GetByUUIDs(ctx, "docs", ids)
		},
		"document_ids": func(c *Client, ids []string) ([]*Document, error) {
			return c.Document.GetByIDs(ctx, "docs", ids)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			some, none := answers(200, "["+foxJSON+","+foxJSON+"]"), answers(404, noneOfList)
			for _, test := range []struct {
				steps []step
				want  int
			}{
				{[]step{some, some, some}, 6},
				{[]step{some, none, some}, 4},
				{[]step{none, none, some}, 2},
				{[]step{none, none, none}, 0},
			} {
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
			require.NoError(t, err, "retried as a read")
			assert.Len(t, documents, 2)

			for text, want := range map[string]error{
				"failed to get documents: " +
					collectionMissing: ErrNotFound,
				"failed to get documents: failed to get collection: collection: documents not " +
					"found\n": ErrNotFound,
				"failed to get documents: failed to get collection: collection: x: documents " +
					"not found\n": ErrNotFound,
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

func TestDocumentDelete_LostResponse(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, del := range map[string]func(*Client) error{
		"Document.Delete": func(c *Client) error {
			return c.Document.Delete(ctx, "docs", uuid1)
		},
		"Document.DeleteAll": func(c *Client) error {
			return c.Document.DeleteAll(ctx, "docs", []string{uuid1, uuid2})
		},
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
			assert.Equal(t, []error{ErrNotFound}, matched(del(c)), "it did not exist")
			for how, proof := range proofs {
				c, _, _ := scripted(t, nil, proof, gone)
				assert.Equal(t, []error{ErrNotFound}, matched(del(c)), how)
			}
			c, _, _ = scripted(t, nil, answers(500, ""))
			assert.Equal(t, []error{ErrServer}, matched(del(c)))
		})
	}
}

func TestDocumentDeleteAll_Batches(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	ids := manyIDs("x", 1001)
	done, none := answers(200, "OK"), answers(404,
		"failed to delete document: documents not found\n")
	for name, test := range map[string]struct {
		steps   []step
		want    string
		matches []error
	}{
		"all":                      {[]step{done, done, done}, "", nil},
		"none of a batch is there": {[]step{none, done, none}, "", nil},
		"the last is there":        {[]step{none, none, done}, "", nil},
		"none is there":            {[]step{none, none, none}, "not found", []error{ErrNotFound}},
		"a batch fails": {
			[]step{done, answers(500, "no disk")},
			"zep: Document.DeleteAll: the first 500 of 1001 are removed: zep: POST ",
			[]error{ErrServer},
		},
		"the first fails": {
			[]step{answers(400, "invalid UUID length: 2")},
			"zep: POST ",
			[]error{ErrBadRequest},
		},
		"the collection is gone": {
			[]step{done, answers(404, "failed to delete document: "+collectionMissing)},
			"the first 500 of 1001",
			[]error{ErrNotFound},
		},
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

func TestDocumentGet_UnexpectedResponse(t *testing.T) {
	t.Parallel()
	once := []Option{WithMaxAttempts(1)}
	c, _, _ := scripted(t, once, answers(200, "null"), answers(200, "[null]"),
		answers(404, noneOfList))
	_, err := c.Document.Get(context.Background(), "docs", uuid1)
	require.ErrorContains(t, err, "unexpected response")
	_, err = c.Document.GetByIDs(context.Background(), "docs", []string{"d1"})
	require.ErrorContains(t, err, "unexpected response")
	_, err = c.Document.Get(context.Background(), "docs", uuid1)
	require.ErrorIs(t, err, ErrNotFound)
}
