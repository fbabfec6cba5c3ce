package zep_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/zeptest"
)

const documentRoute = "/collection/{collectionName}/document"

// uploadServer is a server with the collection docs, which records the sizes of uploads.
type uploadServer struct {
	*zeptest.Server
	client *zep.Client

	mu    sync.Mutex
	sizes []int // of the bodies
}

// newUploadServer starts an uploadServer. Its client does not wait between attempts.
func newUploadServer(t *testing.T, opts ...zep.Option) *uploadServer {
	t.Helper()
	s := &uploadServer{}
	s.Server, _ = startServer(t)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/document") {
			body, err := io.ReadAll(r.Body)
			assert.NoError(t, err)
			r.Body = io.NopCloser(bytes.NewReader(body))
			s.mu.Lock()
			s.sizes = append(s.sizes, len(body))
			s.mu.Unlock()
		}
		s.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	var err error
	s.client, err = zep.NewClient(append([]zep.Option{
		zep.WithBaseURL(front.URL), zep.WithAPIKey(""), zep.WithBackoff(0, 0),
	}, opts...)...)
	require.NoError(t, err)
	_, err = s.client.Collection.Add(context.Background(), &zep.CreateCollectionRequest{
		Name:                "docs",
		EmbeddingDimensions: 8,
		IsAutoEmbedded:      true, // the server has no model of 8 dimensions
	})
	require.NoError(t, err)
	return s
}

// documents returns the documents of the server in the order of their creation.
func (s *uploadServer) documents(t *testing.T) (documents []*zep.Document) {
	t.Helper()
	const path = "/api/v1/collection/docs/document/list/get"
	response := httptest.NewRecorder()
	s.ServeHTTP(response, httptest.NewRequest(http.MethodPost, path, strings.NewReader("{}")))
	if response.Code == http.StatusNotFound {
		return nil
	}
	require.NoError(t, json.Unmarshal(response.Body.Bytes(), &documents))
	return documents
}

// assertPages checks that the server has exactly the first pages, each once and in order, and that
// the UUIDs are theirs.
func (s *uploadServer) assertPages(t *testing.T, uuids []string, want int) {
	t.Helper()
	stored := s.documents(t)
	require.Len(t, stored, want)
	for i, d := range stored {
		require.Truef(t, strings.HasPrefix(d.Content, fmt.Sprintf("%d:", i)),
			"document %d is %.20q", i, d.Content)
		if i < len(uuids) {
			require.Equal(t, d.UUID, uuids[i], "UUID %d", i)
		}
	}
}

// numberedPages returns n numbered documents with size bytes of content, with or without ids.
func numberedPages(n, size int, ids bool) (documents []*zep.CreateDocumentRequest) {
	for i := range n {
		number := fmt.Sprintf("%d:", i)
		d := &zep.CreateDocumentRequest{
			Content:  number + strings.Repeat("x", size-len(number)),
			Metadata: zep.Metadata{"page": i},
		}
		if ids {
			d.DocumentID = fmt.Sprint("page ", i)
		}
		documents = append(documents, d)
	}
	return documents
}

// TestDocumentAdd_Batches checks that no request is stored in part. 2,000 documents of 10 KB take
// four requests, because a request has 500 at most. One over 5 MiB is refused and split, and
// those after it are smaller from the start.
func TestDocumentAdd_Batches(t *testing.T) {
	t.Parallel()
	limit := []zep.Option{zep.WithMaxRequestBytes(5 << 20)}
	for _, test := range []struct {
		documents, size, requests, refused int
		opts                               []zep.Option
	}{
		{2000, 1 << 10, 4, 0, nil},
		{2, 3 << 20, 3, 1, nil},
		{500, 20 << 10, 4, 1, nil}, // of 10 MiB: the second half is a few bytes more
		{2, 3 << 20, 2, 0, limit},
		{600, 20 << 10, 3, 0, limit},
	} {
		name := fmt.Sprint(test.documents, " of ", test.size, ", ", test.refused, " refused")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newUploadServer(t, test.opts...)
			documents := numberedPages(test.documents, test.size, false)
			uuids, err := s.client.Document.Add(context.Background(), "docs", documents)
			require.NoError(t, err)
			require.Len(t, uuids, test.documents)
			s.assertPages(t, uuids, test.documents)
			assert.Len(t, s.sizes, test.requests)
			refused := 0
			for _, size := range s.sizes {
				if size > 5<<20 {
					refused++
				}
			}
			assert.Equal(t, test.refused, refused)
		})
	}
}

// TestMemoryAdd_Over5MiB adds 8 MiB of messages to a server that takes 5 MiB in a request.
func TestMemoryAdd_Over5MiB(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s, c := startServer(t)
	var want []string
	req := &zep.AddMemoryRequest{Metadata: zep.Metadata{"k": 1}}
	for i := range 8 {
		want = append(want, fmt.Sprint(i))
		content := fmt.Sprintf("%d:%s", i, strings.Repeat("x", 1<<20))
		req.Messages = append(req.Messages, &zep.Message{Role: zep.RoleHuman, Content: content})
	}
	require.NoError(t, c.Memory.Add(ctx, "s", req))
	assert.Equal(t, 1+2, s.Requests(), "8 MiB, and then 4 MiB each")
	list, err := c.Message.List(ctx, "s", nil)
	require.NoError(t, err)
	var got []string
	for _, m := range list.Messages {
		number, _, _ := strings.Cut(m.Content, ":")
		got = append(got, number)
	}
	assert.Equal(t, want, got)

	req.Messages = append(req.Messages[:2:2], &zep.Message{Content: strings.Repeat("x", 6<<20)})
	err = c.Memory.Add(ctx, "t", req)
	require.ErrorIs(t, err, zep.ErrTooLarge)
	assert.ErrorContains(t, err, "zep: Memory.Add: the first 2 of 3 are stored: zep: POST ")
	list, err = c.Message.List(ctx, "t", nil)
	require.NoError(t, err)
	assert.Len(t, list.Messages, 2)
}

// TestDocumentAdd_BatchFails sends 2,000 documents, and lets the third request fail.
func TestDocumentAdd_BatchFails(t *testing.T) {
	t.Parallel()
	fault := func(f zeptest.Fault) zeptest.Fault {
		f.Method, f.Route = http.MethodPost, documentRoute
		return f
	}
	for name, test := range map[string]struct {
		fault     zeptest.Fault
		ids       bool
		returned  int
		stored    int
		is        error
		ambiguous bool // the error says that it may have been carried out
	}{
		"too large once": {
			zeptest.Fault{Status: 413, Body: "request body too large\n"},
			false, 2000, 2000, nil, false,
		},
		"too large, whatever the size": {
			zeptest.Fault{Status: 413, Body: "request body too large\n", Times: -1},
			false, 1000, 1000, zep.ErrTooLarge, false,
		},
		"refused, with ids": {
			zeptest.Fault{Status: 400, Body: "no\n"}, true, 1000, 1000, zep.ErrBadRequest, false,
		},
		"failed": {zeptest.Fault{Status: 500}, false, 1000, 1000, zep.ErrServer, false},
		"always busy": {
			zeptest.Fault{Status: 503, Times: -1}, true, 1000, 1000, zep.ErrServer, true,
		},
		"busy once": {zeptest.Fault{Status: 429}, false, 2000, 2000, nil, false},
		"lost, and stored": {
			zeptest.Fault{Status: 502, Apply: true}, false, 1000, 1500, zep.ErrServer, true,
		},
		"lost, and stored, with ids": {
			zeptest.Fault{Status: 502, Apply: true}, true, 2000, 2000, nil, false,
		},
		"cut, and stored, with ids": {
			zeptest.Fault{Cut: true, Apply: true}, true, 2000, 2000, nil, false,
		},
		"cut, and not stored, with ids": {zeptest.Fault{Cut: true}, true, 2000, 2000, nil, false},
		"cut three times, and stored": {
			zeptest.Fault{Cut: true, Apply: true, Times: 3}, true, 2000, 2000, nil, false,
		},
		"cut every time, and stored": {
			zeptest.Fault{Cut: true, Apply: true, Times: -1}, true, 1000, 1500, nil, true,
		},
		"lost every time, and not stored": {
			zeptest.Fault{Status: 504, Times: -1}, true, 1000, 1000, zep.ErrServer, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newUploadServer(t)
			pass := zeptest.Fault{Times: 2} // lets two requests pass
			s.Inject(fault(pass), fault(test.fault))
			documents := numberedPages(2000, 100, test.ids)
			uuids, err := s.client.Document.Add(context.Background(), "docs", documents)
			require.Len(t, uuids, test.returned)
			s.assertPages(t, uuids, test.stored)
			if test.returned == 2000 {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err,
				"zep: Document.Add: the first 1000 of 2000 are stored: zep: POST ")
			if test.is != nil {
				require.ErrorIs(t, err, test.is)
			}
			assert.Equal(t, test.ambiguous,
				strings.Contains(err.Error(), "may have been carried out"), err)
		})
	}
}

// TestDocumentAdd_PartlyStoredBefore checks that documents of an earlier call are not taken for
// this call's.
func TestDocumentAdd_PartlyStoredBefore(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, fault := range map[string]zeptest.Fault{
		"refused":                 {Times: 1},
		"refusal lost":            {Cut: true, Apply: true},
		"refusal lost in a proxy": {Status: 504, Apply: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newUploadServer(t)
			before, err := s.client.Document.Add(ctx, "docs", numberedPages(2, 100, true))
			require.NoError(t, err)
			s.Inject(fault)
			uuids, err := s.client.Document.Add(ctx, "docs", numberedPages(3, 100, true))
			require.ErrorIs(t, err, zep.ErrAlreadyExists)
			assert.Empty(t, uuids)
			s.assertPages(t, before, 2)

			// A document that was removed keeps its id.
			require.NoError(t, s.client.Document.DeleteAll(ctx, "docs", before))
			s.Inject(fault)
			_, err = s.client.Document.Add(ctx, "docs", numberedPages(2, 100, true))
			require.ErrorIs(t, err, zep.ErrAlreadyExists)
			require.NotErrorIs(t, err, zep.ErrNotFound)
			assert.Empty(t, s.documents(t))
		})
	}
}

// TestDocumentUpdateAll_KeepsOtherFields checks that no update overwrites the fields of another.
// The server does so if they arrive at the same time.
func TestDocumentUpdateAll_KeepsOtherFields(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := newUploadServer(t)
	uuids, err := s.client.Document.Add(ctx, "docs", numberedPages(4, 100, true))
	require.NoError(t, err)
	require.NoError(t, s.client.Document.UpdateAll(ctx, "docs", []*zep.UpdateDocumentRequest{
		{UUID: uuids[0], DocumentID: "renamed"},
		{UUID: uuids[1], Metadata: zep.Metadata{"changed": true}},
		{UUID: uuids[2], DocumentID: "both", Metadata: zep.Metadata{"changed": true}},
		{UUID: uuids[2], DocumentID: "once more"},
		{UUID: unknownUUID, DocumentID: "unknown"},
		{UUID: uuids[3], DocumentID: "page 0"}, // no longer in use
	}))
	documents, err := s.client.Document.GetByUUIDs(ctx, "docs", uuids)
	require.NoError(t, err)
	got := map[string]string{}
	for _, d := range documents {
		got[d.UUID] = fmt.Sprint(d.DocumentID, " ", d.Metadata)
	}
	assert.Equal(t, map[string]string{
		uuids[0]: "renamed map[page:0]",
		uuids[1]: "page 1 map[changed:true]",
		uuids[2]: "once more map[changed:true]",
		uuids[3]: "page 0 map[page:3]",
	}, got)
}

// TestDocumentLists_MissingDocuments checks that splitting a list does not change the result.
func TestDocumentLists_MissingDocuments(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := newUploadServer(t)
	uuids, err := s.client.Document.Add(ctx, "docs", numberedPages(3, 100, true))
	require.NoError(t, err)
	ids, unknown := make([]string, 600), make([]string, 600)
	for i := range ids {
		ids[i] = fmt.Sprint("unknown ", i)
		unknown[i] = fmt.Sprintf("00000000-0000-4000-8000-%012d", i)
	}
	documents, err := s.client.Document.GetByIDs(ctx, "docs", append(ids, "page 2"))
	require.NoError(t, err)
	require.Len(t, documents, 1)
	assert.Equal(t, uuids[2], documents[0].UUID)
	documents, err = s.client.Document.GetByUUIDs(ctx, "docs", unknown)
	require.NoError(t, err)
	assert.Equal(t, []*zep.Document{}, documents)
	_, err = s.client.Document.GetByUUIDs(ctx, "documents", unknown)
	require.ErrorIs(t, err, zep.ErrNotFound, "the collection")

	require.ErrorIs(t, s.client.Document.DeleteAll(ctx, "docs", unknown), zep.ErrNotFound)
	require.NoError(t, s.client.Document.DeleteAll(ctx, "docs", append(unknown, uuids[0])))
	s.Inject(zeptest.Fault{Cut: true, Apply: true}, zeptest.Fault{Status: 502, Apply: true})
	require.NoError(t, s.client.Document.DeleteAll(ctx, "docs", uuids[:2]), "with lost responses")
	assert.Len(t, s.documents(t), 1)
}

// TestMemoryAdd_LostResponses uses a server that handles a request and loses the response.
func TestMemoryAdd_LostResponses(t *testing.T) {
	t.Parallel()
	const zero = "00000000-0000-0000-0000-000000000000"
	publish := "failed to publish new messages: could not serialize access\n"
	race := zeptest.Fault{
		Status: 400,
		Body:   "bad request: session already exists with session_id: s\n",
	}
	cut, lost := zeptest.Fault{Cut: true, Apply: true}, zeptest.Fault{Status: 502, Apply: true}
	for name, test := range map[string]struct {
		faults []zeptest.Fault
		is     error
		stored int
	}{
		"cut before it was handled": {[]zeptest.Fault{{Cut: true}}, nil, 1},
		"cut after":                 {[]zeptest.Fault{cut}, nil, 1},
		"lost in a proxy":           {[]zeptest.Fault{lost}, nil, 1},
		"cut, busy, cut":            {[]zeptest.Fault{cut, {Status: 503}, cut}, nil, 1},
		"a race, then cut":          {[]zeptest.Fault{race, cut}, nil, 1},
		"cut, then a race":          {[]zeptest.Fault{{Cut: true}, race}, nil, 1},
		"stored, and not published": {
			[]zeptest.Fault{{Status: 500, Body: publish, Apply: true}}, zep.ErrNotPublished, 1,
		},
		"cut, then not published": {
			[]zeptest.Fault{{Cut: true}, {Status: 500, Body: publish, Apply: true}},
			zep.ErrNotPublished, 1,
		},
		"not published, and lost": {[]zeptest.Fault{cut}, nil, 1},
		"a race in every attempt": {
			[]zeptest.Fault{race, race, race, race}, zep.ErrAlreadyExists, 0,
		},
		"a failure": {[]zeptest.Fault{{Status: 500}}, zep.ErrServer, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, _ := startServer(t)
			c, err := server.Client(zep.WithBackoff(0, 0))
			require.NoError(t, err)
			for i := range test.faults {
				test.faults[i].Method = http.MethodPost
				test.faults[i].Route = "/sessions/{sessionId}/memory"
			}
			server.Inject(test.faults...)
			ctx := context.Background()
			err = c.Memory.Add(ctx, "s", &zep.AddMemoryRequest{Messages: []*zep.Message{
				{Role: zep.RoleHuman, Content: "a"},
				{UUID: zero, Role: zep.RoleAI, Content: "b"},
				{UUID: newUUID(), Content: "c"},
			}})
			if test.is == nil {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, test.is)
			}
			list, err := c.Message.List(ctx, "s", nil)
			require.NoError(t, err)
			want := strings.Split(strings.Repeat("a b c", test.stored), " ")[:3*test.stored]
			assert.Equal(t, want, append([]string{}, contents(list.Messages)...))
		})
	}
}

// TestMemoryAdd_UUIDTaken sends messages whose UUIDs the caller chose, one of them twice.
func TestMemoryAdd_UUIDTaken(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, session := range []string{"s", "another"} {
		server, _ := startServer(t)
		c, err := server.Client(zep.WithBackoff(0, 0))
		require.NoError(t, err)
		first := &zep.Message{UUID: newUUID(), Role: zep.RoleHuman, Content: "first"}
		alone := &zep.AddMemoryRequest{Messages: []*zep.Message{first}}
		require.NoError(t, c.Memory.Add(ctx, session, alone))
		server.Inject(zeptest.Fault{Cut: true, Apply: true}) // the refusal is lost
		err = c.Memory.Add(ctx, "s", &zep.AddMemoryRequest{Messages: []*zep.Message{
			first, {UUID: newUUID(), Content: "second"},
		}})
		require.ErrorIs(t, err, zep.ErrServer, session)
		require.ErrorContains(t, err, "message_pkey")

		// An add of the same message alone is done if its response was lost.
		server.Inject(zeptest.Fault{Cut: true, Apply: true})
		require.NoError(t, c.Memory.Add(ctx, session, alone))
		list, err := c.Message.List(ctx, session, nil)
		require.NoError(t, err)
		assert.Equal(t, []string{"first"}, contents(list.Messages))
	}
}

// TestCollection_LostResponses uses a server that handles a request and loses the response.
func TestCollection_LostResponses(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	req := &zep.CreateCollectionRequest{
		Name:                "Docs",
		Description:         "d",
		Metadata:            zep.Metadata{"a": 1},
		EmbeddingDimensions: 8,
	}
	for name, fault := range map[string]zeptest.Fault{
		"cut before":      {Cut: true},
		"cut after":       {Cut: true, Apply: true},
		"lost in a proxy": {Status: 504, Apply: true},
		"busy":            {Status: 503},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, _ := startServer(t)
			c, err := server.Client(zep.WithBackoff(0, 0))
			require.NoError(t, err)
			server.Inject(fault)
			collection, err := c.Collection.Add(ctx, req)
			require.NoError(t, err)
			assert.Equal(t, "docs", collection.Name)

			other := *req
			other.Description = "another"
			server.Inject(fault)
			_, err = c.Collection.Add(ctx, &other)
			require.ErrorIs(t, err, zep.ErrAlreadyExists)

			server.Inject(fault)
			updated, err := c.Collection.Update(ctx,
				&zep.UpdateCollectionRequest{Name: "docs", Metadata: zep.Metadata{"b": 2}})
			require.NoError(t, err)
			assert.Equal(t, zep.Metadata{"b": 2.0}, updated.Metadata)
			assert.Equal(t, collection.UUID, updated.UUID)

			server.Inject(fault)
			require.NoError(t, c.Collection.Delete(ctx, "docs"))
			require.ErrorIs(t, c.Collection.Delete(ctx, "docs"), zep.ErrNotFound)
		})
	}
}
