package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/zeptest"
)

var ctx = context.Background()

// exportOf returns an export of a server with a few records: user jane with a session "books" of
// four messages, user joe with a session "films" of two, and a collection with three documents.
func exportOf(t *testing.T) (dir string, messageIDs []string) {
	t.Helper()
	server, client := newServer(t)
	messageIDs = addBooks(t, client, 4)
	_, err := client.User.Add(ctx, &zep.CreateUserRequest{UserID: "joe", Email: "joe@example.com"})
	require.NoError(t, err)
	_, err = client.Session.Add(ctx, &zep.CreateSessionRequest{SessionID: "films", UserID: "joe"})
	require.NoError(t, err)
	require.NoError(t, client.Memory.Add(ctx, "films", &zep.AddMemoryRequest{
		Messages: []*zep.Message{{Role: "user", Content: "f0"}, {Role: "ai", Content: "f1"}},
	}))
	addLibrary(t, client)
	dir = filepath.Join(t.TempDir(), "export")
	mustRun(t, server.URL, "export", "-o", dir)
	return dir, messageIDs
}

// addBooks adds user jane, her session "books", and so many of its messages.
func addBooks(t *testing.T, client *zep.Client, messages int) (ids []string) {
	t.Helper()
	_, err := client.User.Add(ctx, &zep.CreateUserRequest{
		UserID:   "jane",
		Email:    "jane@example.com",
		Metadata: zep.Metadata{"plan": "pro"},
	})
	require.NoError(t, err)
	_, err = client.Session.Add(ctx, &zep.CreateSessionRequest{
		SessionID: "books",
		UserID:    "jane",
		Metadata:  zep.Metadata{"topic": "books"},
	})
	require.NoError(t, err)
	for i := range 4 {
		ids = append(ids, "00000000-0000-4000-8000-00000000000"+itoa(i))
	}
	addMessages(t, client, "books", ids[:messages]...)
	return ids
}

// addMessages adds messages with these UUIDs, whose contents are those of exportOf.
func addMessages(t *testing.T, client *zep.Client, session string, ids ...string) {
	t.Helper()
	for _, id := range ids {
		require.NoError(t, client.Memory.Add(ctx, session, &zep.AddMemoryRequest{
			Messages: []*zep.Message{{
				UUID:     id,
				Role:     "user",
				Content:  "message " + id,
				Metadata: zep.Metadata{"mood": "calm"},
			}},
		}))
	}
}

func addLibrary(t *testing.T, client *zep.Client, without ...string) {
	t.Helper()
	_, err := client.Collection.Add(ctx, &zep.CreateCollectionRequest{
		Name:                "library",
		Description:         "books",
		Metadata:            zep.Metadata{"shelf": "a"},
		EmbeddingDimensions: 8,
	})
	require.NoError(t, err)
	for i, id := range []string{"doc-0", "doc-1", "doc-2"} {
		if slices.Contains(without, id) {
			continue
		}
		_, err = client.Document.Add(ctx, "library", []*zep.CreateDocumentRequest{{
			DocumentID: id,
			Content:    "text of " + id,
			Metadata:   zep.Metadata{"page": i},
			Embedding:  []float32{float32(i), 1, 2, 3, 4, 5, 6, 7},
		}})
		require.NoError(t, err)
	}
}

// Conflicts are listed, and what is there stays as it is, unless -overwrite says more.
func TestImport_Conflicts(t *testing.T) {
	t.Parallel()
	dir, ids := exportOf(t)
	tests := []struct {
		name   string
		there  func(t *testing.T, client *zep.Client) // what the server has before
		listed []string                               // kind, id and difference
		left   []string                               // of them, after -overwrite
	}{
		{
			name: "user",
			there: func(t *testing.T, client *zep.Client) {
				_, err := client.User.Add(ctx, &zep.CreateUserRequest{
					UserID: "jane", Email: "other@example.com", Metadata: zep.Metadata{"plan": "free"},
				})
				require.NoError(t, err)
			},
			listed: []string{"users jane changed: email metadata"},
		},
		{
			name: "user with more metadata",
			there: func(t *testing.T, client *zep.Client) {
				_, err := client.User.Add(ctx, &zep.CreateUserRequest{
					UserID:   "jane",
					Email:    "jane@example.com",
					Metadata: zep.Metadata{"plan": "pro", "more": 1},
				})
				require.NoError(t, err)
			},
			listed: []string{"users jane changed: metadata"},
			left:   []string{"users jane changed: metadata"}, // the API cannot remove a key
		},
		{
			name: "session's metadata",
			there: func(t *testing.T, client *zep.Client) {
				addBooks(t, client, 1)
				_, err := client.Session.Update(ctx, &zep.UpdateSessionRequest{
					SessionID: "books", Metadata: zep.Metadata{"topic": "cooking"},
				})
				require.NoError(t, err)
			},
			listed: []string{
				"sessions books changed: metadata",
				"messages " + ids[1] + " refused in books",
				"messages " + ids[2] + " refused in books",
				"messages " + ids[3] + " refused in books",
			},
		},
		{
			name: "somebody else's session",
			there: func(t *testing.T, client *zep.Client) {
				_, err := client.User.Add(ctx, &zep.CreateUserRequest{UserID: "eve"})
				require.NoError(t, err)
				_, err = client.Session.Add(ctx, &zep.CreateSessionRequest{
					SessionID: "films", UserID: "eve",
				})
				require.NoError(t, err)
			},
			listed: []string{
				"sessions films changed: user_id", "messages * refused in films",
				"messages * refused in films",
			},
			left: []string{
				"sessions films changed: user_id", "messages * refused in films",
				"messages * refused in films",
			},
		},
		{
			name: "deleted session",
			there: func(t *testing.T, client *zep.Client) {
				_, err := client.User.Add(ctx, &zep.CreateUserRequest{
					UserID: "joe", Email: "joe@example.com",
				})
				require.NoError(t, err)
				_, err = client.Session.Add(ctx, &zep.CreateSessionRequest{
					SessionID: "films", UserID: "joe",
				})
				require.NoError(t, err)
				require.NoError(t, client.Session.Delete(ctx, "films"))
			},
			listed: []string{
				"sessions films missing", "messages * refused in films", "messages * refused in films",
			},
		},
		{
			name: "message's metadata",
			there: func(t *testing.T, client *zep.Client) {
				addBooks(t, client, 2)
				_, err := client.Message.UpdateMetadata(ctx, "books", ids[1], zep.Metadata{"mood": "angry"})
				require.NoError(t, err)
			},
			listed: []string{"messages " + ids[1] + " changed: metadata in books"},
		},
		{
			name: "message's content",
			there: func(t *testing.T, client *zep.Client) {
				addBooks(t, client, 0)
				require.NoError(t, client.Memory.Add(ctx, "books", &zep.AddMemoryRequest{
					Messages: []*zep.Message{{UUID: ids[0], Role: "ai", Content: "another"}},
				}))
			},
			listed: []string{"messages " + ids[0] + " changed: content metadata role in books"},
			left:   []string{"messages " + ids[0] + " changed: content role in books"},
		},
		{
			name: "UUID of another session's message",
			there: func(t *testing.T, client *zep.Client) {
				addMessages(t, client, "elsewhere", ids[2])
			},
			listed: []string{"messages " + ids[2] + " refused in books"},
			left:   []string{"messages " + ids[2] + " refused in books"},
		},
		{
			name: "later messages are there",
			there: func(t *testing.T, client *zep.Client) {
				addBooks(t, client, 1)
				addMessages(t, client, "books", ids[2])
			},
			listed: []string{
				"messages " + ids[1] + " order in books", "messages " + ids[3] + " order in books",
			},
		},
		{
			name: "collection of another length",
			there: func(t *testing.T, client *zep.Client) {
				_, err := client.Collection.Add(ctx, &zep.CreateCollectionRequest{
					Name:                "library",
					Description:         "books",
					Metadata:            zep.Metadata{"shelf": "a"},
					EmbeddingDimensions: 16,
				})
				require.NoError(t, err)
			},
			listed: []string{
				"collections library changed: embedding_dimensions", "documents doc-0 refused in library",
				"documents doc-1 refused in library", "documents doc-2 refused in library",
			},
			left: []string{
				"collections library changed: embedding_dimensions", "documents doc-0 refused in library",
				"documents doc-1 refused in library", "documents doc-2 refused in library",
			},
		},
		{
			name: "document",
			there: func(t *testing.T, client *zep.Client) {
				addLibrary(t, client, "doc-1")
				_, err := client.Document.Add(ctx, "library", []*zep.CreateDocumentRequest{{
					DocumentID: "doc-1",
					Content:    "text of doc-1",
					Metadata:   zep.Metadata{"page": 17, "more": true},
					Embedding:  []float32{1, 1, 2, 3, 4, 5, 6, 7},
				}})
				require.NoError(t, err)
			},
			listed: []string{"documents doc-1 changed: metadata in library"},
		},
		{
			name: "collection's description",
			there: func(t *testing.T, client *zep.Client) {
				addLibrary(t, client, "doc-2")
				_, err := client.Collection.Update(ctx, &zep.UpdateCollectionRequest{
					Name: "library", Description: "films", Metadata: zep.Metadata{"shelf": "a"},
				})
				require.NoError(t, err)
			},
			listed: []string{
				"collections library changed: description", "documents doc-2 refused in library",
			},
		},
		{
			name: "document_id of a deleted document",
			there: func(t *testing.T, client *zep.Client) {
				addLibrary(t, client, "doc-0")
				found, err := client.Document.GetByIDs(ctx, "library", []string{"doc-1"})
				require.NoError(t, err)
				require.NoError(t, client.Document.Delete(ctx, "library", found[0].UUID))
			},
			listed: []string{"documents doc-1 refused in library"},
			left:   []string{"documents doc-1 refused in library"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server, client := newServer(t)
			test.there(t, client)
			testConflicts(t, server, dir, test.listed, test.left)
		})
	}
}

func testConflicts(t *testing.T, server *zeptest.Server, dir string, listed, left []string) {
	t.Helper()
	before := filepath.Join(t.TempDir(), "before")
	mustRun(t, server.URL, "export", "-o", before)
	list := filepath.Join(t.TempDir(), "conflicts")
	for i := range 2 {
		r := zepdump(t, server.URL, "import", dir, "-conflicts", list)
		require.Equal(t, exitDifferent, r.status, r.stderr)
		assert.Contains(t, r.stdout, fmt.Sprintf(
			"Not as in the export: %d, listed in %s\n", len(listed), list))
		found := describe(t, readFile(t, list))
		if i == 0 {
			assert.Equal(t, listed, found)
		} else { // the others are there by now, also those behind one that was refused
			assert.Len(t, found, len(listed))
		}
		for _, d := range differences(t, zepdump(t, server.URL, "verify", before).stdout) {
			assert.Equal(t, isExtra, d.Difference, "nothing was overwritten")
		}
	}
	r := zepdump(t, server.URL, "verify", dir)
	assert.Equal(t, exitDifferent, r.status, r.stderr)
	assert.NotEmpty(t, r.stdout)

	r = zepdump(t, server.URL, "import", "-overwrite", dir, "-conflicts", list)
	if len(left) > 0 {
		assert.Equal(t, exitDifferent, r.status, r.stderr)
		assert.Equal(t, left, describe(t, readFile(t, list)))
		return
	}
	assert.Equal(t, exitOK, r.status, r.stdout+r.stderr)
	assert.NoFileExists(t, list)
	if r := zepdump(t, server.URL, "verify", dir); !strings.Contains(listed[0], " order ") {
		assert.Empty(t, r.stdout)
	} else {
		assert.Contains(t, r.stdout, `"order"`)
	}
}

// describe returns the kinds, ids and differences of JSON Lines, sorted. The ids of random messages
// are *.
func describe(t *testing.T, lines string) []string {
	t.Helper()
	var all []string
	for _, d := range differences(t, lines) {
		if d.Kind == messages && d.In == "films" {
			d.ID = "*"
		}
		text := d.Kind + " " + d.ID + " " + d.Difference
		if len(d.Fields) > 0 {
			var names []string
			for name := range d.Fields {
				names = append(names, name)
			}
			slices.Sort(names)
			text += ": " + strings.Join(names, " ")
		}
		if d.In != "" {
			text += " in " + d.In
		}
		all = append(all, text)
	}
	order := []string{users, sessions, messages, collections, documents}
	slices.SortFunc(all, func(a, b string) int {
		kind := func(s string) int { return slices.Index(order, strings.Fields(s)[0]) }
		if kind(a) != kind(b) {
			return kind(a) - kind(b)
		}
		return strings.Compare(a, b)
	})
	return all
}

// A server with other records keeps them, and gets those of the export.
func TestImport_UsedServer(t *testing.T) {
	t.Parallel()
	dir, ids := exportOf(t)
	server, client := newServer(t)
	addBooks(t, client, 3) // an import that did not end
	fill(t, server, client, load{users: 7, sessions: 5, messages: 20, documents: 8})
	_, err := client.Collection.Get(ctx, "library")
	require.NoError(t, err)
	require.NoError(t, client.Collection.Delete(ctx, "library"))
	before := filepath.Join(t.TempDir(), "before")
	mustRun(t, server.URL, "export", "-o", before)

	mustRun(t, server.URL, "import", dir)
	assert.Empty(t, mustRun(t, server.URL, "verify", dir).stdout)
	r := mustRun(t, server.URL, "verify", before, "-only", "users,sessions,collections")
	assert.Empty(t, r.stdout)
	list, err := zep.Collect(client.Message.All(ctx, "books"))
	require.NoError(t, err)
	var uuids []string
	for _, m := range list {
		uuids = append(uuids, m.UUID)
	}
	assert.Equal(t, ids, uuids, "in their order, once")
	r = zepdump(t, server.URL, "verify", dir, "-extra")
	assert.Equal(t, exitDifferent, r.status)
	for _, d := range differences(t, r.stdout) {
		assert.Equal(t, isExtra, d.Difference)
	}
	assert.Len(t, differences(t, r.stdout), 7+5+2+4, "users, sessions, collections, documents")
}

// A session whose user is not there cannot be imported, and its messages make no other one of it.
func TestImport_UserIsMissing(t *testing.T) {
	t.Parallel()
	dir, ids := exportOf(t)
	for _, only := range []string{"sessions,messages", "messages"} {
		t.Run(only, func(t *testing.T) {
			t.Parallel()
			server, client := newServer(t)
			list := filepath.Join(t.TempDir(), "conflicts")
			r := zepdump(t, server.URL, "import", dir, "-only", only, "-conflicts", list)
			assert.Equal(t, exitDifferent, r.status, r.stderr)
			var want []string
			if only != "messages" {
				want = append(want, "sessions books refused", "sessions films refused")
			}
			want = append(want, "messages * refused in films", "messages * refused in films")
			for _, id := range ids {
				want = append(want, "messages "+id+" refused in books")
			}
			assert.Equal(t, want, describe(t, readFile(t, list)))
			assert.Empty(t, counts(t, client))
		})
	}
}

func TestImport_TimeKey(t *testing.T) {
	t.Parallel()
	dir, ids := exportOf(t)
	server, client := newServer(t)
	r := mustRun(t, server.URL, "import", dir, "-time-key", "created_at")
	assert.Contains(t, r.stdout, `the times of 6 messages; they go into the metadata as "created_at"`)
	times := map[string]time.Time{}
	for m, err := range fileRecords[messageRecord](dir, timelessFile(t, dir, messages)) {
		require.NoError(t, err)
		times[m.UUID] = m.CreatedAt
	}
	for _, session := range []string{"books", "films"} {
		for m, err := range client.Message.All(ctx, session) {
			require.NoError(t, err)
			at, err := time.Parse(time.RFC3339Nano, m.Metadata["created_at"].(string))
			require.NoError(t, err)
			assert.True(t, at.Equal(times[m.UUID]))
		}
	}
	assert.Empty(t, mustRun(t, server.URL, "verify", dir, "-time-key", "created_at").stdout)
	r = zepdump(t, server.URL, "verify", dir)
	assert.Equal(t, exitDifferent, r.status)
	assert.Contains(t, describe(t, r.stdout), "messages "+ids[0]+" changed: metadata in books")

	// The times of the first server stay, also through a second migration.
	second := filepath.Join(t.TempDir(), "second")
	mustRun(t, server.URL, "export", "-o", second)
	third, _ := newServer(t)
	mustRun(t, third.URL, "import", second, "-time-key", "created_at")
	assert.Empty(t, mustRun(t, third.URL, "verify", dir, "-time-key", "created_at").stdout)
}

func timelessFile(t *testing.T, dir, kind string) *fileInfo {
	t.Helper()
	m := timeless(t, dir)
	return m.file(kind)
}

func TestImport_Embeddings(t *testing.T) {
	t.Parallel()
	source, client := newServer(t)
	fill(t, source, client, smallLoad)
	dir := filepath.Join(t.TempDir(), "export")
	mustRun(t, source.URL, "export", "-o", dir)
	embedded := func(client *zep.Client, id string) *zep.Document {
		found, err := client.Document.GetByIDs(ctx, "library", []string{id})
		require.NoError(t, err)
		require.Len(t, found, 1)
		return found[0]
	}
	want := embedded(client, "doc-2").Embedding

	t.Run("carry", func(t *testing.T) {
		t.Parallel()
		server, client := newServer(t, zeptest.WithEmbeddingDimensions(512)) // another model
		mustRun(t, server.URL, "import", dir, "-embeddings", "carry",
			"-conflicts", filepath.Join(t.TempDir(), "conflicts"))
		collection, err := client.Collection.Get(ctx, "library")
		require.NoError(t, err)
		assert.False(t, collection.IsAutoEmbedded)
		assert.Equal(t, want, embedded(client, "doc-2").Embedding)
		assert.Empty(t, mustRun(t, server.URL, "verify", dir, "-embeddings", "carry").stdout)
		r := zepdump(t, server.URL, "verify", dir)
		assert.Equal(t, []string{"collections library changed: is_auto_embedded",
			"collections empty changed: is_auto_embedded"}[1:], describe(t, r.stdout)[:1])
	})
	t.Run("server", func(t *testing.T) {
		t.Parallel()
		server, client := newServer(t, zeptest.WithDelayedEnrichment())
		mustRun(t, server.URL, "import", dir,
			"-conflicts", filepath.Join(t.TempDir(), "conflicts"))
		assert.Nil(t, embedded(client, "doc-2").Embedding)
		assert.Empty(t, mustRun(t, server.URL, "verify", dir).stdout, "before the server embedded them")
		server.Enrich()
		assert.Equal(t, want, embedded(client, "doc-2").Embedding)
		assert.Empty(t, mustRun(t, server.URL, "verify", dir).stdout)
	})
	t.Run("not embedded yet", func(t *testing.T) {
		t.Parallel()
		source, client := newServer(t, zeptest.WithDelayedEnrichment())
		fill(t, source, client, load{documents: 4})
		dir := filepath.Join(t.TempDir(), "export")
		mustRun(t, source.URL, "export", "-o", dir)
		server, _ := newServer(t)
		r := zepdump(t, server.URL, "import", dir, "-embeddings", "carry")
		assert.Equal(t, exitDifferent, r.status)
		for _, d := range differences(t, readFile(t, filepath.Join(dir, "conflicts.jsonl"))) {
			assert.Equal(t, "library", d.In)
			assert.Equal(t, isRefused, d.Difference)
		}
	})
}

// The program retries what the client must not: an add that failed with a 500.
func TestImport_ServerErrors(t *testing.T) {
	t.Parallel()
	dir, _ := exportOf(t)
	for _, apply := range []bool{false, true} {
		server, _ := newServer(t)
		for _, route := range []string{
			"/user", "/sessions", "/sessions/{sessionId}/memory", "/collection/{collectionName}",
			"/collection/{collectionName}/document",
		} {
			server.Inject(zeptest.Fault{
				Method: "POST", Route: route, Status: 500, Body: "broken\n", Apply: apply,
			})
		}
		mustRun(t, server.URL, "import", dir)
		assert.Empty(t, mustRun(t, server.URL, "verify", "-extra", dir).stdout)
	}

	// One record that the server never takes does not keep the others out.
	server, _ := newServer(t)
	server.Inject(zeptest.Fault{
		Method: "POST", Route: "/user", Status: 500, Body: "poison\n", Times: maxTries,
	})
	list := filepath.Join(t.TempDir(), "conflicts")
	r := zepdump(t, server.URL, "import", dir, "-conflicts", list, "-workers", "1", "-only", "users")
	assert.Equal(t, exitDifferent, r.status, r.stderr)
	assert.Equal(t, []string{"users jane refused"}, describe(t, readFile(t, list)))
	assert.Contains(t, r.stdout, "users               1 added")

	// A server that takes none ends the import.
	many, client := newServer(t)
	fill(t, many, client, load{users: 100})
	dir = filepath.Join(t.TempDir(), "many")
	mustRun(t, many.URL, "export", "-o", dir)
	server, _ = newServer(t)
	server.Inject(zeptest.Fault{
		Method: "POST", Route: "/user", Status: 500, Body: "poison\n", Times: -1,
	})
	r = zepdump(t, server.URL, "import", dir)
	assert.Equal(t, exitError, r.status)
	assert.Contains(t, r.stderr, "zepdump: the server had errors for more than 20 records: ")
	assert.NoFileExists(t, filepath.Join(dir, "conflicts.jsonl"))
	assert.FileExists(t, filepath.Join(dir, "conflicts.jsonl"+partialSuffix))
}

// A session with more messages than one request takes keeps their order.
func TestImport_LongSession(t *testing.T) {
	t.Parallel()
	server, client := newServer(t)
	fill(t, server, client, load{sessions: 2, messages: 3 * batchMessages})
	dir := filepath.Join(t.TempDir(), "export")
	mustRun(t, server.URL, "export", "-o", dir)
	tests := []struct {
		args  []string
		posts int
	}{
		{nil, 3}, // two for 300 messages, one for 150
		{[]string{"-batch", "50"}, 9},
	}
	for _, tt := range tests {
		fresh, _ := newServer(t)
		mustRun(t, fresh.URL, append([]string{"import", dir}, tt.args...)...)
		assert.Empty(t, mustRun(t, fresh.URL, "verify", dir, "-extra").stdout)
		posts := 0
		for _, r := range fresh.RequestLog() {
			if r.Method == "POST" && r.Route == "/sessions/{sessionId}/memory" {
				posts++
			}
		}
		assert.Equal(t, tt.posts, posts, tt.args)
	}
}

// Messages of the export that come before one that is there are not added behind it, however many
// they are.
func TestImport_LongSessionInOtherOrder(t *testing.T) {
	t.Parallel()
	source, client := newServer(t)
	fill(t, source, client, load{sessions: 1, messages: 3 * batchMessages})
	dir := filepath.Join(t.TempDir(), "export")
	mustRun(t, source.URL, "export", "-o", dir)
	all, err := zep.Collect(client.Message.All(ctx, "session-0"))
	require.NoError(t, err)
	last := all[len(all)-1]

	server, client := newServer(t)
	mustRun(t, server.URL, "import", dir, "-only", "users,sessions")
	require.NoError(t, client.Memory.Add(ctx, "session-0", &zep.AddMemoryRequest{
		Messages: []*zep.Message{last},
	}))
	r := zepdump(t, server.URL, "import", dir)
	assert.Equal(t, exitDifferent, r.status, r.stderr)
	conflicts := differences(t, readFile(t, filepath.Join(dir, "conflicts.jsonl")))
	require.Len(t, conflicts, len(all)-1)
	for i, d := range conflicts {
		assert.Equal(t, isMoved, d.Difference)
		assert.Equal(t, all[i].UUID, d.ID)
	}
	there, err := zep.Collect(client.Message.All(ctx, "session-0"))
	require.NoError(t, err)
	assert.Len(t, there, 1)
}

// The collections are added before the messages: a server that has messages to embed lets the
// addition of a collection wait.
func TestImport_CollectionsBeforeMessages(t *testing.T) {
	t.Parallel()
	dir, _ := exportOf(t)
	server, _ := newServer(t)
	mustRun(t, server.URL, "import", dir)
	var routes []string
	for _, r := range server.RequestLog() {
		if r.Method == "POST" && !slices.Contains(routes, r.Route) {
			routes = append(routes, r.Route)
		}
	}
	added := func(route string) int { return slices.Index(routes, route) }
	require.GreaterOrEqual(t, added("/collection/{collectionName}"), 0, routes)
	assert.Greater(t, added("/sessions/{sessionId}/memory"), added("/collection/{collectionName}"))
}
