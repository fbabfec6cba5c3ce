package zep

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestDocumentAdd_InvalidDocuments checks that nothing is sent if a document is invalid, also
// one of a later batch, and that the error names its index.
func TestDocumentAdd_InvalidDocuments(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	eight, seven := make([]float32, 8), make([]float32, 7)
	id := strings.Repeat("x", 100)
	tests := map[string]struct {
		documents []*CreateDocumentRequest // the last one is invalid
		want      string
		is        error
	}{
		"nil": {[]*CreateDocumentRequest{nil}, "is nil", ErrBadRequest},
		"neither content nor embedding": {
			[]*CreateDocumentRequest{{DocumentID: "d", Embedding: []float32{}}},
			"has neither Content nor Embedding",
			ErrBadRequest,
		},
		"an embedding of another length": {
			[]*CreateDocumentRequest{
				{Content: "a"},
				{Embedding: eight},
				{Content: "b"},
				{Embedding: seven},
			},
			"has an embedding of 7 numbers, document 601 one of 8", ErrBadRequest,
		},
		"an id of 101": {
			[]*CreateDocumentRequest{{Content: "a", DocumentID: id + "x"}},
			"has a DocumentID of 101 bytes: must be at most 100",
			ErrBadRequest,
		},
		"an id with a letter like é": {
			[]*CreateDocumentRequest{{Content: "a", DocumentID: "é"}},
			`has the DocumentID "é": must be printable ASCII`,
			ErrBadRequest,
		},
		"an id with a tab": {
			[]*CreateDocumentRequest{{Content: "a", DocumentID: "a\tb"}},
			`has the DocumentID "a\tb"`,
			ErrBadRequest,
		},
		"an id with a line break": {
			[]*CreateDocumentRequest{{Content: "a", DocumentID: "a\n"}},
			"must be printable ASCII",
			ErrBadRequest,
		},
		"an id with DEL": {
			[]*CreateDocumentRequest{{Content: "a", DocumentID: "\x7f"}},
			"must be printable ASCII",
			ErrBadRequest,
		},
		"an id that is no UTF-8": {
			[]*CreateDocumentRequest{{Content: "a", DocumentID: "\xff"}},
			"must be printable ASCII",
			ErrBadRequest,
		},
		"an id twice": {
			[]*CreateDocumentRequest{
				{Content: "a", DocumentID: id},
				{Content: "b", DocumentID: id},
			},
			`" of document 600`,
			ErrBadRequest,
		},
		"metadata that is no JSON": {
			[]*CreateDocumentRequest{{Content: "a", Metadata: Metadata{"f": func() {}}}},
			"cannot be sent as JSON",
			ErrBadRequest,
		},
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
			require.Regexp(t, fmt.Sprintf(` %d\b`, len(documents)-1), err.Error(), "which one")
			require.ErrorContains(t, err, "Document.Add")
			assert.Equal(t, []error{test.is}, matched(err))
			assertOneLine(t, err.Error())
			assert.Empty(t, s.requests())
		})
	}
	c, _, _ := scripted(t, nil, answers(200, `["a","b","c"]`))
	_, err := c.Document.Add(ctx, "docs",
		[]*CreateDocumentRequest{
			{Content: "a", DocumentID: id},
			{Embedding: eight},
			{Content: "c", Embedding: eight},
		})
	require.NoError(t, err, "allowed")
}

// numbered returns n documents with the contents 0, 1 and so on, with DocumentIDs if ids is
// true.
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

// manyUUIDs is the response to a batch of n documents.
func manyUUIDs(prefix string, n int) step {
	uuids := make([]string, n)
	for i := range uuids {
		uuids[i] = fmt.Sprint(prefix, i)
	}
	body, _ := json.Marshal(uuids)
	return answers(200, string(body))
}

func TestDocumentAdd_FailedBatch(t *testing.T) {
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
		"the first": {
			[]step{answers(500, "no disk")},
			[]string{},
			"zep: POST /zep/api/v1/collection/docs/document: 500: no disk",
			[]error{ErrServer},
		},
		"the second": {
			[]step{manyUUIDs("a", 500), answers(500, "no disk")},
			first,
			"zep: Document.Add: the first 500 of 1200 are stored: zep: POST /zep/api/v1/" +
				"collection/docs/document: 500: no disk",
			[]error{ErrServer},
		},
		"the third, refused": {
			[]step{manyUUIDs("a", 500), manyUUIDs("b", 500),
				answers(403, "no more")},
			nil,
			"the first 1000 of 1200 are stored",
			[]error{ErrUnauthorized},
		},
		"the second, its answer lost": {
			[]step{manyUUIDs("a", 500), answerLost},
			first,
			"may have been carried out",
			nil,
		},
		"too few UUIDs": {
			[]step{manyUUIDs("a", 500), manyUUIDs("b", 499)},
			first,
			"499 UUIDs for 500 documents",
			nil,
		},
		"too many UUIDs": {
			[]step{manyUUIDs("a", 500), manyUUIDs("b", 501)},
			first,
			"501 UUIDs for 500 documents",
			nil,
		},
		"no UUIDs": {
			[]step{manyUUIDs("a", 500), answers(200, "null")},
			first,
			"unexpected response",
			nil,
		},
		"a UUID that is none": {
			[]step{manyUUIDs("a", 500), answers(200, `[`+strings.Repeat(`"u",`, 499)+`null]`)},
			first,
			"or an empty one",
			nil,
		},
		"the collection is not there": {
			[]step{answers(500, collectionMissing)},
			[]string{},
			"not found",
			[]error{ErrNotFound, ErrServer},
		},
		"an id that is taken, at once": {
			[]step{manyUUIDs("a", 500), answers(400, documentTaken)},
			first,
			"already exists",
			[]error{ErrAlreadyExists},
		},
		"the second, after it was busy": {
			[]step{manyUUIDs("a", 500), answers(429, ""), answers(400, "no")},
			first,
			"(2 attempts)",
			[]error{ErrBadRequest},
		},
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

// TestDocumentAdd_WithoutIDs checks that documents without ids are sent again only after proof
// that none was stored: nothing else would show it.
func TestDocumentAdd_WithoutIDs(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	mixed := numbered(3, true)
	mixed[1].DocumentID = ""
	for name, documents := range map[string][]*CreateDocumentRequest{
		"none":        numbered(3, false),
		"all but one": mixed,
	} {
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
	// This applies to each batch: one without ids does not keep the others from being retried.
	documents := append(numbered(500, true), &CreateDocumentRequest{Content: "x"})
	c, _, _ := scripted(t, nil, answerLost, manyUUIDs("a", 500), answers(429, ""),
		manyUUIDs("b", 1))
	uuids, err := c.Document.Add(ctx, "docs", documents)
	require.NoError(t, err)
	assert.Len(t, uuids, 501)
}

func TestDocumentAdd_LostResponse(t *testing.T) {
	t.Parallel()
	stored := func(uuid, id, more string) string {
		return fmt.Sprintf(`{"uuid":%q,"document_id":%q,%s}`, uuid, id, more)
	}
	a := stored("ua", "a", `"content":"A","metadata":{"k":1},"embedding":[0.25,1]`)
	b := stored("ub", "b", `"content":"B","embedding":[3,0.1]`)
	tests := map[string]struct {
		documents []*CreateDocumentRequest
		there     string // "" for none
		ours      bool
	}{
		"both, in another order": {nil, "[" + b + "," + a + "]", true},
		"both, and one nobody asked": {
			nil,
			"[" + a + "," + stored("ux", "x", `"content":"X"`) + "," + b + "]",
			true,
		},
		"one alone": {nil, "[" + a + "]", false},
		"none":      {nil, "", false},
		"another content": {
			nil,
			"[" + a + "," + stored("ub", "b", `"content":"b"`) + "]",
			false,
		},
		"other metadata": {
			nil,
			"[" + stored("ua", "a", `"content":"A","metadata":{"k":2},"embedding":[0.25,1]`) +
				"," + b + "]",
			false,
		},
		"no metadata": {
			nil,
			"[" + stored("ua", "a", `"content":"A","embedding":[0.25,1]`) + "," + b + "]",
			false,
		},
		"another embedding": {
			nil,
			"[" + stored("ua", "a", `"content":"A","metadata":{"k":1},"embedding":[0.25,2]`) +
				"," + b + "]",
			false,
		},
		"no embedding": {
			nil,
			"[" + stored("ua", "a", `"content":"A","metadata":{"k":1},"embedding":null`) + "," +
				b + "]",
			false,
		},
		"embeddings of the server's": {
			[]*CreateDocumentRequest{{DocumentID: "a", Content: "A"}},
			"[" + stored("ua", "a", `"content":"A","embedding":[9,9]`) + "]",
			true,
		},
		"what the server changes": {
			[]*CreateDocumentRequest{{DocumentID: "a", Content: "<\ufffd", Metadata: large}},
			"[" + stored("ua", "a", `"content":"<\uFFFD","metadata":`+largeStored) + "]",
			true,
		},
		"an embedding of odd numbers": {
			[]*CreateDocumentRequest{
				{DocumentID: "a", Embedding: []float32{0.1, 1e-30, 16777217}},
			},
			"[" + stored("ua", "a", `"content":"","embedding":[0.1,1e-30,16777216]`) + "]",
			true,
		},
		"the same id, with nothing in": {
			[]*CreateDocumentRequest{{DocumentID: "a", Content: "A"}},
			"[" + stored("ua", "a", `"content":""`) + "]",
			false,
		},
	}
	for name, test := range tests {
		for how, lost := range lostAnswers {
			t.Run(name+"/"+how, func(t *testing.T) {
				t.Parallel()
				documents := test.documents
				if documents == nil {
					documents = []*CreateDocumentRequest{
						{
							DocumentID: "a",
							Content:    "A",
							Metadata:   Metadata{"k": 1},
							Embedding:  []float32{0.25, 1},
						},
						{
							DocumentID: "b",
							Content:    "B",
						},
					}
				}
				there := answers(200, test.there)
				if test.there == "" {
					there = answers(404, noneOfList)
				}
				c, s, _ := scripted(t, nil, lost, answers(400, documentTaken), there)
				uuids, err := c.Document.Add(context.Background(), "docs", documents,
					RequestHeader("X-Trace", "t"))
				requests := s.requests()
				require.Len(t, requests, 3)
				assert.Equal(t, requests[0], requests[1], "every attempt sends the same")
				assert.Equal(t,
					"POST http://zep.test/zep/api/v1/collection/docs/document/list/get",
					requests[2].method+" "+requests[2].url)
				assert.True(t, strings.HasPrefix(requests[2].body, `{"document_ids":["a"`),
					requests[2].body)
				assert.Equal(t, "t", requests[2].header.Get("X-Trace"))
				if test.ours {
					require.NoError(t, err)
					assert.Equal(t, []string{"ua", "ub"}[:len(documents)], uuids,
						"in the order of the documents")
					return
				}
				assert.Empty(t, uuids)
				assert.Equal(t, []error{ErrAlreadyExists}, matched(err))
				require.ErrorContains(t, err, "may have been carried out")
			})
		}
	}
}

func TestDocumentAdd_OutcomesAfterLostResponse(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	readBack := func(first, n int) step {
		var there []string
		for i := first + n - 1; i >= first; i-- {
			there = append(there, fmt.Sprintf(
				`{"uuid":"u%[1]d","document_id":"d%[1]d","content":"%[1]d","metadata":{"i":%[1]d}}`, i))
		}
		return answers(200, "["+strings.Join(there, ",")+"]")
	}
	// The response to the second of three batches is lost, and then its ids are taken.
	c, s, _ := scripted(t, nil, manyUUIDs("a", 500), answerLost, answers(400, documentTaken),
		readBack(500, 500), manyUUIDs("c", 200))
	uuids, err := c.Document.Add(ctx, "docs", numbered(1200, true))
	require.NoError(t, err)
	require.Len(t, uuids, 1200)
	assert.Equal(t, []string{"a499", "u500", "u501"}, uuids[499:502])
	assert.Equal(t, []string{"u999", "c0"}, uuids[999:1001])
	assert.Len(t, s.requests(), 5)

	// Nothing is read back if no response was lost.
	c, _, _ = scripted(t, nil, answerLost, manyUUIDs("a", 500), answers(400, documentTaken))
	uuids, err = c.Document.Add(ctx, "docs", numbered(600, true))
	assert.Equal(t, []error{ErrAlreadyExists}, matched(err),
		"that of the batch before does not count")
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
		"with one attempt": {
			[]step{answerLost},
			[]RequestOption{RequestMaxAttempts(1)},
			"may have been carried out",
			nil,
		},
		"with all lost": {
			repeat(4, answerLost),
			nil,
			"may have been carried out",
			nil,
		},
		"with another refusal": {
			[]step{answerLost, answers(400, "no")},
			nil,
			"may have been carried out",
			[]error{ErrBadRequest},
		},
		"that cannot be read back": {
			append([]step{answerLost, answers(400, documentTaken)}, repeat(4, neverDialled)...),
			nil,
			"a document_id exists, but could not verify whether this call created it",
			nil,
		},
		"with a key that expired": {
			[]step{answerLost, answers(400, documentTaken), answers(401, "token is expired")},
			nil,
			"could not verify",
			[]error{ErrUnauthorized},
		},
		"without the collection now": {
			[]step{answerLost, answers(400, documentTaken),
				answers(404, "failed to get documents: "+collectionMissing)},
			nil,
			"could not verify",
			[]error{ErrNotFound},
		},
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

func TestDocumentAdd_ContextEnds(t *testing.T) {
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
