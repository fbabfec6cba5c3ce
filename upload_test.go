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

// A library is a server with the collection docs, and what was sent to it to upload documents.
type library struct {
	*zeptest.Server
	client *zep.Client

	mu     sync.Mutex
	bodies []int // the sizes
}

// newLibrary has a client that waits for nothing between attempts.
func newLibrary(t *testing.T, opts ...zep.Option) *library {
	t.Helper()
	l := &library{}
	l.Server, _ = startServer(t)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/document") {
			body, err := io.ReadAll(r.Body)
			assert.NoError(t, err)
			r.Body = io.NopCloser(bytes.NewReader(body))
			l.mu.Lock()
			l.bodies = append(l.bodies, len(body))
			l.mu.Unlock()
		}
		l.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	var err error
	l.client, err = zep.NewClient(append([]zep.Option{zep.WithBaseURL(front.URL), zep.WithAPIKey(""), zep.WithBackoff(0, 0)}, opts...)...)
	require.NoError(t, err)
	_, err = l.client.Collection.Add(context.Background(), &zep.CreateCollectionRequest{
		Name: "docs", EmbeddingDimensions: 8, IsAutoEmbedded: true, // a model of another length embeds nothing
	})
	require.NoError(t, err)
	return l
}

// all are the documents of the server, in the order in which they came, as the client never asks for them.
func (l *library) all(t *testing.T) (documents []*zep.Document) {
	t.Helper()
	answer := httptest.NewRecorder()
	l.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/api/v1/collection/docs/document/list/get", strings.NewReader("{}")))
	if answer.Code == http.StatusNotFound {
		return nil
	}
	require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &documents))
	return documents
}

// pages are documents with so many bytes of content each, numbered, with ids if those are wanted.
func pages(n, size int, ids bool) (documents []*zep.CreateDocumentRequest) {
	for i := range n {
		number := fmt.Sprintf("%d:", i)
		d := &zep.CreateDocumentRequest{Content: number + strings.Repeat("x", size-len(number)), Metadata: zep.Metadata{"page": i}}
		if ids {
			d.DocumentID = fmt.Sprint("page ", i)
		}
		documents = append(documents, d)
	}
	return documents
}

// assertPages: the server has just the first so many pages, once and in order, and the UUIDs are theirs.
func (l *library) assertPages(t *testing.T, uuids []string, want int) {
	t.Helper()
	stored := l.all(t)
	require.Len(t, stored, want)
	for i, d := range stored {
		require.Truef(t, strings.HasPrefix(d.Content, fmt.Sprintf("%d:", i)), "document %d is %.20q", i, d.Content)
		if i < len(uuids) {
			require.Equal(t, d.UUID, uuids[i], "UUID %d", i)
		}
	}
}

// TestAnyNumberOfDocumentsGoesUpInOrderUnder5MiB: 2,000 of 10 KB take four requests, because of the 500.
func TestAnyNumberOfDocumentsGoesUpInOrderUnder5MiB(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ documents, size, requests int }{{2000, 10 << 10, 4}, {2, 3 << 20, 2}} {
		t.Run(fmt.Sprint(test.documents, " of ", test.size), func(t *testing.T) {
			t.Parallel()
			l := newLibrary(t)
			uuids, err := l.client.Document.Add(context.Background(), "docs", pages(test.documents, test.size, false))
			require.NoError(t, err)
			require.Len(t, uuids, test.documents)
			l.assertPages(t, uuids, test.documents)
			assert.Len(t, l.bodies, test.requests)
			for _, size := range l.bodies {
				assert.LessOrEqual(t, size, 5<<20)
			}
		})
	}
}

// TestAFailingBatchInTheMiddleReturnsWhatIsOnTheServer: of 2,000 documents, the third request fails.
func TestAFailingBatchInTheMiddleReturnsWhatIsOnTheServer(t *testing.T) {
	t.Parallel()
	fault := func(f zeptest.Fault) zeptest.Fault {
		f.Method, f.Route = http.MethodPost, documentRoute
		return f
	}
	for name, test := range map[string]struct {
		fault    zeptest.Fault
		ids      bool
		returned int
		stored   int
		is       error
		hedged   bool
	}{
		"refused":                         {zeptest.Fault{Status: 413, Body: "request body too large\n"}, false, 1000, 1000, zep.ErrTooLarge, false},
		"refused, with ids":               {zeptest.Fault{Status: 400, Body: "no\n"}, true, 1000, 1000, zep.ErrBadRequest, false},
		"failed":                          {zeptest.Fault{Status: 500}, false, 1000, 1000, zep.ErrServer, false},
		"busy for ever":                   {zeptest.Fault{Status: 503, Times: -1}, true, 1000, 1000, zep.ErrServer, false},
		"busy once":                       {zeptest.Fault{Status: 503}, false, 2000, 2000, nil, false},
		"lost, and stored":                {zeptest.Fault{Status: 502, Apply: true}, false, 1000, 1500, zep.ErrServer, true},
		"lost, and stored, with ids":      {zeptest.Fault{Status: 502, Apply: true}, true, 2000, 2000, nil, false},
		"cut, and stored, with ids":       {zeptest.Fault{Cut: true, Apply: true}, true, 2000, 2000, nil, false},
		"cut, and not stored, with ids":   {zeptest.Fault{Cut: true}, true, 2000, 2000, nil, false},
		"thrice cut, and stored":          {zeptest.Fault{Cut: true, Apply: true, Times: 3}, true, 2000, 2000, nil, false},
		"cut every time, and stored":      {zeptest.Fault{Cut: true, Apply: true, Times: -1}, true, 1000, 1500, nil, true},
		"lost every time, and not stored": {zeptest.Fault{Status: 504, Times: -1}, true, 1000, 1000, zep.ErrServer, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLibrary(t)
			l.Inject(fault(zeptest.Fault{Times: 2}), fault(test.fault)) // the first does nothing
			uuids, err := l.client.Document.Add(context.Background(), "docs", pages(2000, 100, test.ids))
			require.Len(t, uuids, test.returned)
			l.assertPages(t, uuids, test.stored)
			if test.returned == 2000 {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, "zep: Document.Add: the first 1000 of 2000 are stored: zep: POST ")
			if test.is != nil {
				require.ErrorIs(t, err, test.is)
			}
			assert.Equal(t, test.hedged, strings.Contains(err.Error(), "may have been carried out"), err)
		})
	}
}

// TestABatchOfWhichAPartIsThereFromBeforeIsNotTakenForThisCalls: whatever the client could not see.
func TestABatchOfWhichAPartIsThereFromBeforeIsNotTakenForThisCalls(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, fault := range map[string]zeptest.Fault{
		"at once": {Times: 1}, "its refusal lost": {Cut: true, Apply: true}, "its refusal lost in a proxy": {Status: 504, Apply: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLibrary(t)
			before, err := l.client.Document.Add(ctx, "docs", pages(2, 100, true))
			require.NoError(t, err)
			l.Inject(fault)
			uuids, err := l.client.Document.Add(ctx, "docs", pages(3, 100, true))
			require.ErrorIs(t, err, zep.ErrAlreadyExists)
			assert.Empty(t, uuids)
			l.assertPages(t, before, 2)

			// A document that was removed keeps its id.
			require.NoError(t, l.client.Document.DeleteAll(ctx, "docs", before))
			l.Inject(fault)
			_, err = l.client.Document.Add(ctx, "docs", pages(2, 100, true))
			require.ErrorIs(t, err, zep.ErrAlreadyExists)
			require.NotErrorIs(t, err, zep.ErrNotFound)
			assert.Empty(t, l.all(t))
		})
	}
}

// TestUpdateAllTakesNothingFromADocument: the server, given updates of different fields at once, empties what one of them leaves out.
func TestUpdateAllTakesNothingFromADocument(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	l := newLibrary(t)
	uuids, err := l.client.Document.Add(ctx, "docs", pages(4, 100, true))
	require.NoError(t, err)
	require.NoError(t, l.client.Document.UpdateAll(ctx, "docs", []*zep.UpdateDocumentRequest{
		{UUID: uuids[0], DocumentID: "renamed"},
		{UUID: uuids[1], Metadata: zep.Metadata{"changed": true}},
		{UUID: uuids[2], DocumentID: "both", Metadata: zep.Metadata{"changed": true}},
		{UUID: uuids[2], DocumentID: "once more"},
		{UUID: unknownUUID, DocumentID: "nobody's"},
		{UUID: uuids[3], DocumentID: "page 0"}, // free by now
	}))
	documents, err := l.client.Document.GetByUUIDs(ctx, "docs", uuids)
	require.NoError(t, err)
	got := map[string]string{}
	for _, d := range documents {
		got[d.UUID] = fmt.Sprint(d.DocumentID, " ", d.Metadata)
	}
	assert.Equal(t, map[string]string{
		uuids[0]: "renamed map[page:0]", uuids[1]: "page 1 map[changed:true]", uuids[2]: "once more map[changed:true]", uuids[3]: "page 0 map[page:3]",
	}, got)
}

// TestListsOfDocumentsThatAreNotThere: however the lists are cut, it is as if they were not.
func TestListsOfDocumentsThatAreNotThere(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	l := newLibrary(t)
	uuids, err := l.client.Document.Add(ctx, "docs", pages(3, 100, true))
	require.NoError(t, err)
	nobodys, unknown := make([]string, 600), make([]string, 600)
	for i := range nobodys {
		nobodys[i], unknown[i] = fmt.Sprint("nobody ", i), fmt.Sprintf("00000000-0000-4000-8000-%012d", i)
	}
	documents, err := l.client.Document.GetByIDs(ctx, "docs", append(nobodys, "page 2"))
	require.NoError(t, err)
	require.Len(t, documents, 1)
	assert.Equal(t, uuids[2], documents[0].UUID)
	documents, err = l.client.Document.GetByUUIDs(ctx, "docs", unknown)
	require.NoError(t, err)
	assert.Equal(t, []*zep.Document{}, documents)
	_, err = l.client.Document.GetByUUIDs(ctx, "documents", unknown)
	require.ErrorIs(t, err, zep.ErrNotFound, "the collection")

	require.ErrorIs(t, l.client.Document.DeleteAll(ctx, "docs", unknown), zep.ErrNotFound)
	require.NoError(t, l.client.Document.DeleteAll(ctx, "docs", append(unknown, uuids[0])))
	l.Inject(zeptest.Fault{Cut: true, Apply: true}, zeptest.Fault{Status: 502, Apply: true})
	require.NoError(t, l.client.Document.DeleteAll(ctx, "docs", uuids[:2]), "of lost answers")
	assert.Len(t, l.all(t), 1)
}

// TestMessagesAreStoredOnceOverLostAnswers makes adds to a server that does what it is asked and is not heard.
func TestMessagesAreStoredOnceOverLostAnswers(t *testing.T) {
	t.Parallel()
	const zero = "00000000-0000-0000-0000-000000000000"
	publish := "failed to publish new messages: could not serialize access\n"
	race := zeptest.Fault{Status: 400, Body: "bad request: session already exists with session_id: s\n"}
	cut, lost := zeptest.Fault{Cut: true, Apply: true}, zeptest.Fault{Status: 502, Apply: true}
	for name, test := range map[string]struct {
		faults []zeptest.Fault
		is     error
		stored int
	}{
		"cut before it was handled":       {[]zeptest.Fault{{Cut: true}}, nil, 1},
		"cut after":                       {[]zeptest.Fault{cut}, nil, 1},
		"lost in a proxy":                 {[]zeptest.Fault{lost}, nil, 1},
		"cut, busy, cut":                  {[]zeptest.Fault{cut, {Status: 503}, cut}, nil, 1},
		"a race, then cut":                {[]zeptest.Fault{race, cut}, nil, 1},
		"cut, then a race":                {[]zeptest.Fault{{Cut: true}, race}, nil, 1},
		"stored, and not published":       {[]zeptest.Fault{{Status: 500, Body: publish, Apply: true}}, zep.ErrNotPublished, 1},
		"cut, then not published":         {[]zeptest.Fault{{Cut: true}, {Status: 500, Body: publish, Apply: true}}, zep.ErrNotPublished, 1},
		"not published, and that is lost": {[]zeptest.Fault{cut}, nil, 1},
		"a race to the end":               {[]zeptest.Fault{race, race, race, race}, zep.ErrAlreadyExists, 0},
		"a failure":                       {[]zeptest.Fault{{Status: 500}}, zep.ErrServer, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, _ := startServer(t)
			c, err := server.Client(zep.WithBackoff(0, 0))
			require.NoError(t, err)
			for i := range test.faults {
				test.faults[i].Method, test.faults[i].Route = http.MethodPost, "/sessions/{sessionId}/memory"
			}
			server.Inject(test.faults...)
			ctx := context.Background()
			err = c.Memory.Add(ctx, "s", &zep.AddMemoryRequest{Messages: []*zep.Message{
				{Role: zep.RoleHuman, Content: "a"}, {UUID: zero, Role: zep.RoleAI, Content: "b"}, {UUID: newUUID(), Content: "c"},
			}})
			if test.is == nil {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, test.is)
			}
			list, err := c.Message.List(ctx, "s", nil)
			require.NoError(t, err)
			assert.Equal(t, strings.Split(strings.Repeat("a b c", test.stored), " ")[:3*test.stored], append([]string{}, contents(list.Messages)...))
		})
	}
}

// TestMessagesBesideOneThatIsThereAreNotTakenForStored: the caller chose all UUIDs, and one of them twice.
func TestMessagesBesideOneThatIsThereAreNotTakenForStored(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, session := range []string{"s", "another"} {
		server, _ := startServer(t)
		c, err := server.Client(zep.WithBackoff(0, 0))
		require.NoError(t, err)
		first := &zep.Message{UUID: newUUID(), Role: zep.RoleHuman, Content: "first"}
		require.NoError(t, c.Memory.Add(ctx, session, &zep.AddMemoryRequest{Messages: []*zep.Message{first}}))
		server.Inject(zeptest.Fault{Cut: true, Apply: true}) // it was refused, and nobody heard of it
		err = c.Memory.Add(ctx, "s", &zep.AddMemoryRequest{Messages: []*zep.Message{first, {UUID: newUUID(), Content: "second"}}})
		require.ErrorIs(t, err, zep.ErrServer, session)
		require.ErrorContains(t, err, "message_pkey")

		// To add the same once more is to have added it, if its answer was lost.
		server.Inject(zeptest.Fault{Cut: true, Apply: true})
		require.NoError(t, c.Memory.Add(ctx, session, &zep.AddMemoryRequest{Messages: []*zep.Message{first}}))
		list, err := c.Message.List(ctx, session, nil)
		require.NoError(t, err)
		assert.Equal(t, []string{"first"}, contents(list.Messages))
	}
}

// TestACollectionIsMadeAndDeletedOnceOverLostAnswers is what TestMessagesAreStoredOnceOverLostAnswers is for messages.
func TestACollectionIsMadeAndDeletedOnceOverLostAnswers(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	req := &zep.CreateCollectionRequest{Name: "Docs", Description: "d", Metadata: zep.Metadata{"a": 1}, EmbeddingDimensions: 8}
	for name, fault := range map[string]zeptest.Fault{
		"cut before": {Cut: true}, "cut after": {Cut: true, Apply: true}, "lost in a proxy": {Status: 504, Apply: true}, "busy": {Status: 503},
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
			updated, err := c.Collection.Update(ctx, &zep.UpdateCollectionRequest{Name: "docs", Metadata: zep.Metadata{"b": 2}})
			require.NoError(t, err)
			assert.Equal(t, zep.Metadata{"b": 2.0}, updated.Metadata)
			assert.Equal(t, collection.UUID, updated.UUID)

			server.Inject(fault)
			require.NoError(t, c.Collection.Delete(ctx, "docs"))
			require.ErrorIs(t, c.Collection.Delete(ctx, "docs"), zep.ErrNotFound)
		})
	}
}
