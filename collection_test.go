package zep

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	docsJSON = `{"uuid":"7556b458-0156-4f26-b1e4-e0b0cd086ded",` +
		`"created_at":"2026-11-24T02:21:55.132192Z","updated_at":"2026-11-24T02:21:56Z",` +
		`"name":"docs","description":"d","metadata":{"a":1},"embedding_model_name":"m",` +
		`"embedding_dimensions":384,"is_auto_embedded":true,` +
		`"is_normalized":true,"is_indexed":true,"document_count":3,"document_embedded_count":2}`

	collectionTaken = "failed to create collection: bad request: collection already exists: " +
		"docs\n"
	collectionMissing = "failed to get collection: collection: docs not found\n"
)

func docs() *Collection {
	return &Collection{
		UUID:                  "7556b458-0156-4f26-b1e4-e0b0cd086ded",
		CreatedAt:             at("2026-11-24T02:21:55.132192Z"),
		UpdatedAt:             at("2026-11-24T02:21:56Z"),
		Name:                  "docs",
		Description:           "d",
		Metadata:              Metadata{"a": 1.0},
		EmbeddingModelName:    "m",
		EmbeddingDimensions:   384,
		IsAutoEmbedded:        true,
		IsNormalized:          true,
		IsIndexed:             true,
		DocumentCount:         3,
		DocumentEmbeddedCount: 2,
	}
}

func TestCollectionService_Wire(t *testing.T) {
	t.Parallel()
	add := func(req CreateCollectionRequest) func(context.Context, *Client) (any, error) {
		return func(ctx context.Context, c *Client) (any, error) {
			return c.Collection.Add(ctx, &req)
		}
	}
	update := func(req UpdateCollectionRequest) func(context.Context, *Client) (any, error) {
		return func(ctx context.Context, c *Client) (any, error) {
			return c.Collection.Update(ctx, &req)
		}
	}
	index := func(force bool) func(context.Context, *Client) (any, error) {
		return func(ctx context.Context, c *Client) (any, error) {
			return errOnly(c.Collection.CreateIndex(ctx, "docs", force))
		}
	}
	readBack, one := []string{"OK", docsJSON}, []string{docsJSON}
	runWireCalls(t, map[string]wireCall{
		"Add with all fields, and read back": {
			add(CreateCollectionRequest{
				Name:                "Docs",
				Description:         "d",
				Metadata:            Metadata{"a": 1},
				EmbeddingDimensions: 384,
				IsAutoEmbedded:      true,
			}),
			[]string{
				`POST /collection/Docs {"name":"Docs","description":"d","metadata":{"a":1},` +
					`"embedding_dimensions":384,"is_auto_embedded":true}`,
				"GET /collection/Docs",
			}, readBack, docs(),
		},
		// The server has no default for is_auto_embedded.
		"Add sends that the documents bring their embeddings": {
			add(CreateCollectionRequest{
				Name:                "docs",
				EmbeddingDimensions: 8,
				Metadata:            Metadata{},
			}),
			[]string{
				`POST /collection/docs {"name":"docs","description":"",` +
					`"embedding_dimensions":8,"is_auto_embedded":false}`, "GET /collection/docs",
			}, readBack, docs(),
		},
		"Get": {
			func(ctx context.Context, c *Client) (any, error) {
				return c.Collection.Get(ctx, "docs")
			},
			[]string{"GET /collection/docs"}, one, docs(),
		},
		"Update, and read back": {
			update(UpdateCollectionRequest{
				Name:        "docs",
				Description: "d",
				Metadata:    Metadata{"a": 1},
			}),
			[]string{`PATCH /collection/docs {"description":"d","metadata":{"a":1}}`,
				"GET /collection/docs"}, readBack, docs(),
		},
		"Update sends no field that is empty": {
			update(UpdateCollectionRequest{Name: "docs", Metadata: Metadata{}}),
			[]string{"PATCH /collection/docs {}", "GET /collection/docs"}, readBack, docs(),
		},
		"Delete": {
			func(ctx context.Context, c *Client) (any, error) {
				return errOnly(c.Collection.Delete(ctx, "docs"))
			},
			[]string{"DELETE /collection/docs"}, []string{"OK"}, nil,
		},
		"List": {
			func(ctx context.Context, c *Client) (any, error) { return c.Collection.List(ctx) },
			[]string{"GET /collection"}, []string{"[" + docsJSON + "]"}, []*Collection{docs()},
		},
		"List takes null for an empty list": {
			func(ctx context.Context, c *Client) (any, error) { return c.Collection.List(ctx) },
			[]string{"GET /collection"}, []string{"null"}, []*Collection{},
		},
		"CreateIndex": {
			index(false),
			[]string{"POST /collection/docs/index/create"},
			[]string{"OK"},
			nil,
		},
		"CreateIndex, by force": {
			index(true),
			[]string{"POST /collection/docs/index/create?force=true"},
			[]string{"OK"},
			nil,
		},
		"Search with all fields": {
			func(ctx context.Context, c *Client) (any, error) {
				return c.Collection.Search(ctx, "docs", &SearchDocumentsRequest{
					Text:      "fox",
					Embedding: []float32{0.5, -1},
					Metadata:  Metadata{"where": JSONPath("$.a")},
					Type:      SearchTypeMMR,
					MMRLambda: 0.4,
					Limit:     3,
				})
			},
			[]string{`POST /collection/docs/search?limit=3 {"text":"fox","embedding":[0.5,-1],` +
				`"metadata":{"where":{"jsonpath":"$.a"}},` +
				`"search_type":"mmr","mmr_lambda":0.4}`},
			[]string{`{"results":[` + foxJSON[:len(foxJSON)-1] +
				`,"score":0.9}],"query_vector":[0.5,-1],"result_count":1,"total_pages":2,` +
				`"current_page":3}`},
			&DocumentSearchResults{
				Results:     []*DocumentSearchResult{{Document: *fox(), Score: 0.9}},
				QueryVector: []float32{0.5, -1},
				ResultCount: 1,
				TotalPages:  2,
				CurrentPage: 3,
			},
		},
		"Search that finds nothing": {
			func(ctx context.Context, c *Client) (any, error) {
				return c.Collection.Search(ctx, "docs", &SearchDocumentsRequest{Text: "fox"})
			},
			[]string{`POST /collection/docs/search {"text":"fox"}`}, []string{`{"results":null}`},
			&DocumentSearchResults{Results: []*DocumentSearchResult{}},
		},
	})
}

func TestCollectionSearch_UnexpectedResponse(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"null", "[]", `{"results":[null]}`, `{"results":"x"}`} {
		c, _, _ := scripted(t, []Option{WithMaxAttempts(1)}, answers(200, body))
		_, err := c.Collection.Search(context.Background(), "docs",
			&SearchDocumentsRequest{Text: "fox"})
		require.ErrorContains(t, err, "unexpected response", body)
	}
}

func TestCollectionAdd_InvalidRequests(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		req  CreateCollectionRequest
		want string
		is   error
	}{
		"a name of two": {
			CreateCollectionRequest{Name: "ab", EmbeddingDimensions: 8},
			`Name "ab" must be 3 to 40 letters and digits`,
			ErrBadRequest,
		},
		"a name of 41": {
			CreateCollectionRequest{Name: strings.Repeat("x", 41), EmbeddingDimensions: 8},
			"must be 3 to 40",
			ErrBadRequest,
		},
		"a hyphen": {
			CreateCollectionRequest{Name: "a-b", EmbeddingDimensions: 8},
			"letters and digits",
			ErrBadRequest,
		},
		"a space": {
			CreateCollectionRequest{Name: "my docs", EmbeddingDimensions: 8},
			"letters and digits",
			ErrBadRequest,
		},
		"a line break at an end": {
			CreateCollectionRequest{Name: "docs\n", EmbeddingDimensions: 8},
			"letters and digits",
			ErrBadRequest,
		},
		"a letter beyond ASCII": {
			CreateCollectionRequest{Name: "dôcs", EmbeddingDimensions: 8},
			"letters and digits",
			ErrBadRequest,
		},
		"no name": {CreateCollectionRequest{EmbeddingDimensions: 8}, "collection", ErrInvalidID},
		"a step": {
			CreateCollectionRequest{Name: "..", EmbeddingDimensions: 8},
			"collection",
			ErrInvalidID,
		},
		"no dimensions": {
			CreateCollectionRequest{Name: "docs"},
			"EmbeddingDimensions is 0, must be 8 to 2000",
			ErrBadRequest,
		},
		"7 dimensions": {
			CreateCollectionRequest{Name: "docs", EmbeddingDimensions: 7},
			"is 7, must be 8",
			ErrBadRequest,
		},
		"2001 dimensions": {
			CreateCollectionRequest{Name: "docs", EmbeddingDimensions: 2001},
			"to 2000",
			ErrBadRequest,
		},
		"no JSON": {
			CreateCollectionRequest{
				Name:                "docs",
				EmbeddingDimensions: 8,
				Metadata:            Metadata{"f": func() {}},
			},
			"JSON",
			ErrBadRequest,
		},
	}
	c, s, _ := scripted(t, nil)
	for name, test := range tests {
		_, err := c.Collection.Add(context.Background(), &test.req)
		require.ErrorContains(t, err, test.want, name)
		assert.Equal(t, []error{test.is}, matched(err), name)
		assertOneLine(t, err.Error())
	}
	assert.Empty(t, s.requests())

	for _, req := range []CreateCollectionRequest{
		{Name: "abc", EmbeddingDimensions: 8},
		{Name: strings.Repeat("A1", 20), EmbeddingDimensions: 2000},
	} {
		c, _, _ := scripted(t, nil, answers(200, "OK"), answersRecord)
		_, err := c.Collection.Add(context.Background(), &req)
		require.NoError(t, err, req.Name)
	}
}

func TestCollectionAdd_LostResponse(t *testing.T) {
	t.Parallel()
	full := CreateCollectionRequest{
		Description:         "d",
		Metadata:            Metadata{"a": 1},
		EmbeddingDimensions: 384,
		IsAutoEmbedded:      true,
	}
	tests := map[string]struct {
		req   CreateCollectionRequest
		there string
		ours  bool
	}{
		"only what is needed": {
			CreateCollectionRequest{EmbeddingDimensions: 8},
			`"embedding_dimensions":8,"is_auto_embedded":false`,
			true,
		},
		"everything": {
			full,
			`"description":"d","metadata":{"a":1},"embedding_dimensions":384,` +
				`"is_auto_embedded":true,"is_indexed":true,"document_count":5`,
			true,
		},
		"what the server changes": {
			CreateCollectionRequest{
				Description:         "<\ufffd",
				Metadata:            large,
				EmbeddingDimensions: 8,
			},
			`"description":"<\uFFFD","metadata":` + largeStored + `,"embedding_dimensions":8`,
			true,
		},
		"another description": {
			full,
			`"description":"D","metadata":{"a":1},"embedding_dimensions":384,` +
				`"is_auto_embedded":true`,
			false,
		},
		"other metadata": {
			full,
			`"description":"d","metadata":{"a":2},"embedding_dimensions":384,` +
				`"is_auto_embedded":true`,
			false,
		},
		"metadata that was not sent": {
			CreateCollectionRequest{EmbeddingDimensions: 8},
			`"metadata":{"a":1},"embedding_dimensions":8`,
			false,
		},
		"other dimensions": {
			full,
			`"description":"d","metadata":{"a":1},"embedding_dimensions":385,` +
				`"is_auto_embedded":true`,
			false,
		},
		"embedded by the other party": {
			full,
			`"description":"d","metadata":{"a":1},"embedding_dimensions":384,` +
				`"is_auto_embedded":false`,
			false,
		},
	}
	for name, test := range tests {
		for how, lost := range lostAnswers {
			t.Run(name+"/"+how, func(t *testing.T) {
				t.Parallel()
				req := test.req
				req.Name = "docs"
				before := req
				before.Metadata = maps.Clone(req.Metadata)
				c, s, _ := scripted(t, nil, lost, answers(400, collectionTaken),
					answers(200, `{"uuid":"u","name":"docs",`+test.there+`}`))
				collection, err := c.Collection.Add(context.Background(), &req,
					RequestHeader("X-Trace", "t"))
				requests := s.requests()
				require.Len(t, requests, 3)
				assert.Equal(t, requests[0], requests[1], "every attempt sends the same")
				assert.Equal(t, "GET http://zep.test/zep/api/v1/collection/docs",
					requests[2].method+" "+requests[2].url)
				assert.Equal(t, "t", requests[2].header.Get("X-Trace"))
				assert.Equal(t, before, req, "the request is not modified")
				if test.ours {
					require.NoError(t, err)
					assert.Equal(t, "u", collection.UUID)
					return
				}
				assert.Nil(t, collection)
				assert.Equal(t, []error{ErrAlreadyExists}, matched(err))
			})
		}
	}
}

func TestCollectionAdd_TakenAtFirstAttempt(t *testing.T) {
	t.Parallel()
	req := &CreateCollectionRequest{
		Name:                "docs",
		Description:         "d",
		Metadata:            Metadata{"a": 1},
		EmbeddingDimensions: 384,
		IsAutoEmbedded:      true,
	}
	run := func(steps ...step) {
		c, _, _ := scripted(t, nil, append(steps, answers(400, collectionTaken))...)
		_, err := c.Collection.Add(context.Background(), req)
		assert.Equal(t, []error{ErrAlreadyExists}, matched(err))
		assert.NotContains(t, err.Error(), "may have been carried out")
	}
	run()
	for _, proof := range proofs {
		run(proof)
	}
}

func TestCollectionAdd_OutcomesAfterLostResponse(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		then    []step
		want    string // in the error; "" for none
		matches []error
	}{
		"is done by the second attempt": {
			[]step{answers(200, "OK"), answers(200, docsJSON)},
			"",
			nil,
		},
		"and a collection that is gone": {
			[]step{answers(400, collectionTaken), answers(404, collectionMissing)},
			"already exists",
			[]error{ErrAlreadyExists},
		},
		"that cannot be read back": {
			[]step{answers(400, collectionTaken), answers(401, "token is expired")},
			"it exists, but could not verify whether this call created it",
			[]error{ErrUnauthorized},
		},
		"that is read back at the 2nd try": {
			[]step{answers(400, collectionTaken), answers(502, ""), answers(200, docsJSON)},
			"",
			nil,
		},
		"that is refused for another cause": {
			[]step{answers(400, "Key: 'CreateDocumentCollectionRequest.Name'")},
			"may have been carried out",
			[]error{ErrBadRequest},
		},
		"that nothing settles": {repeat(3, answerLost), "may have been carried out", nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, s, _ := scripted(t, nil, append([]step{answerLost}, test.then...)...)
			collection, err := c.Collection.Add(context.Background(), &CreateCollectionRequest{
				Name:                "docs",
				Description:         "d",
				Metadata:            Metadata{"a": 1},
				EmbeddingDimensions: 384,
				IsAutoEmbedded:      true,
			})
			assert.Len(t, s.requests(), len(test.then)+1)
			if test.want == "" {
				require.NoError(t, err)
				assert.Equal(t, docs(), collection)
				return
			}
			assert.Nil(t, collection)
			require.ErrorContains(t, err, test.want)
			assert.Equal(t, test.matches, matched(err))
		})
	}
}

// TestCollection_ReadBackFails checks that the error says that the write was done, and that
// nothing is written again.
func TestCollection_ReadBackFails(t *testing.T) {
	t.Parallel()
	writes := map[string]func(context.Context, *Client) (*Collection, error){
		"POST": func(ctx context.Context, c *Client) (*Collection, error) {
			return c.Collection.Add(ctx,
				&CreateCollectionRequest{Name: "docs", EmbeddingDimensions: 8})
		},
		"PATCH": func(ctx context.Context, c *Client) (*Collection, error) {
			return c.Collection.Update(ctx,
				&UpdateCollectionRequest{Name: "docs", Description: "d"})
		},
	}
	tests := map[string]struct {
		readBack []step
		matches  []error
	}{
		"no connection":    {repeat(4, neverDialled), nil},
		"the server fails": {repeat(4, answers(500, "")), []error{ErrServer}},
		"the key has expired": {
			[]step{answers(401, "token is expired")},
			[]error{ErrUnauthorized},
		},
		"deleted meanwhile":     {[]step{answers(404, collectionMissing)}, []error{ErrNotFound}},
		"no answer of Zep's":    {repeat(4, answers(200, "<html>")), nil},
		"read at the 2nd try":   {[]step{answerLost, answers(200, docsJSON)}, nil},
		"the end of its caller": {nil, nil},
	}
	for method, write := range writes {
		for name, test := range tests {
			t.Run(method+"/"+name, func(t *testing.T) {
				t.Parallel()
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				steps := append([]step{answers(200, "OK")}, test.readBack...)
				if test.readBack == nil {
					steps = append(steps, func(*http.Request) (*http.Response, error) {
						cancel()
						return nil, context.Canceled
					})
				}
				c, s, _ := scripted(t, nil, steps...)
				collection, err := write(ctx, c)
				assert.Len(t, s.requests(), len(steps))
				for _, request := range s.requests()[1:] {
					assert.Equal(t, http.MethodGet, request.method)
				}
				if strings.HasPrefix(name, "read at") {
					require.NoError(t, err)
					assert.Equal(t, docs(), collection)
					return
				}
				assert.Nil(t, collection)
				require.ErrorContains(t, err,
					fmt.Sprintf("zep: %s /zep/api/v1/collection/docs: done, but reading it "+
						"back failed: ", method))
				assert.Equal(t, test.matches, matched(err))
				assert.Equal(t, test.readBack == nil, errors.Is(err, context.Canceled))
				assertOneLine(t, err.Error())
			})
		}
	}
}

func TestCollectionDelete_LostResponse(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	gone := answers(404, "failed to Delete collection: "+collectionMissing)
	for how, lost := range lostAnswers {
		c, s, _ := scripted(t, nil, lost, gone)
		require.NoError(t, c.Collection.Delete(ctx, "docs"), how)
		assert.Len(t, s.requests(), 2)

		c, _, _ = scripted(t, nil, lost, answers(404, "404 page not found\n"))
		assert.Equal(t, []error{ErrEndpointNotFound}, matched(c.Collection.Delete(ctx, "docs")),
			how)
	}
	c, _, _ := scripted(t, nil, gone)
	assert.Equal(t, []error{ErrNotFound}, matched(c.Collection.Delete(ctx, "docs")),
		"it was not there")
	for _, proof := range proofs {
		c, _, _ := scripted(t, nil, proof, gone)
		assert.Equal(t, []error{ErrNotFound}, matched(c.Collection.Delete(ctx, "docs")),
			"it was not there")
	}
}

// TestCollectionCreateIndex_NotRepeated checks that no second request follows an ambiguous
// attempt: it would drop the index that the first one builds.
func TestCollectionCreateIndex_NotRepeated(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for how, lost := range lostAnswers {
		c, s, _ := scripted(t, nil, lost)
		err := c.Collection.CreateIndex(ctx, "docs", true)
		require.ErrorContains(t, err, "may have been carried out", how)
		assert.Len(t, s.requests(), 1)
	}
	for how, proof := range proofs {
		c, s, _ := scripted(t, nil, proof, answers(200, "OK"))
		require.NoError(t, c.Collection.CreateIndex(ctx, "docs", false), how)
		assert.Len(t, s.requests(), 2)
	}
	c, _, _ := scripted(t, nil,
		answers(500, "failed to create index: not enough rows to create index\n"))
	assert.Equal(t, []error{ErrServer}, matched(c.Collection.CreateIndex(ctx, "docs", false)))
	c, _, _ = scripted(t, nil, answers(500, collectionMissing)) // not a 404 here
	assert.Equal(t, []error{ErrNotFound, ErrServer},
		matched(c.Collection.CreateIndex(ctx, "docs", false)))
}

// TestCollectionAdd_ContextEndsDuringReadBack checks that the context of the call applies to
// reading back.
func TestCollectionAdd_ContextEndsDuringReadBack(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c, s, _ := scripted(t, nil, answerLost, answers(400, collectionTaken),
		func(req *http.Request) (*http.Response, error) {
			cancel()
			return nil, cmp.Or(req.Context().Err(), io.EOF)
		})
	_, err := c.Collection.Add(ctx, &CreateCollectionRequest{Name: "docs", EmbeddingDimensions: 8})
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, ErrAlreadyExists)
	assert.Len(t, s.requests(), 3)
}

// TestCollection_ReadBackKeepsOptions checks that reading back has the headers and the number of
// attempts of the call.
func TestCollection_ReadBackKeepsOptions(t *testing.T) {
	t.Parallel()
	opts := []RequestOption{RequestHeader("X-Request-Id", "1"), RequestMaxAttempts(2)}
	for name, test := range map[string]struct {
		write func(context.Context, *Client) error
		steps []step
	}{
		"an add": {func(ctx context.Context, c *Client) error {
			_, err := c.Collection.Add(ctx,
				&CreateCollectionRequest{Name: "docs", EmbeddingDimensions: 8}, opts...)
			return err
		}, []step{answers(200, "OK")}},
		"an add whose answer was lost": {func(ctx context.Context, c *Client) error {
			_, err := c.Collection.Add(ctx,
				&CreateCollectionRequest{Name: "docs", EmbeddingDimensions: 8}, opts...)
			return err
		}, []step{answerLost, answers(400, collectionTaken)}},
		"an update": {func(ctx context.Context, c *Client) error {
			_, err := c.Collection.Update(ctx,
				&UpdateCollectionRequest{Name: "docs", Description: "d"}, opts...)
			return err
		}, []step{answers(200, "OK")}},
	} {
		c, s, _ := scripted(t, nil, append(test.steps, repeat(2, answers(503, ""))...)...)
		require.Error(t, test.write(context.Background(), c), name)
		require.Len(t, s.requests(), len(test.steps)+2, name)
		for _, request := range s.requests() {
			assert.Equal(t, "1", request.header.Get("X-Request-Id"), name)
		}
	}
}
