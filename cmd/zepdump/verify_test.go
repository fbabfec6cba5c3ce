package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
)

// verify finds each kind of difference, in each kind of record, and only that.
func TestVerify_Differences(t *testing.T) {
	t.Parallel()
	dir, ids := exportOf(t)
	tests := []struct {
		name   string
		change func(t *testing.T, client *zep.Client)
		want   []string
		extra  []string // only with -extra
	}{
		{
			name: "user changed",
			change: func(t *testing.T, client *zep.Client) {
				_, err := client.User.Update(ctx, &zep.UpdateUserRequest{UserID: "joe", LastName: "Doe"})
				require.NoError(t, err)
			},
			want: []string{"users joe changed: last_name"},
		},
		{
			name: "user's metadata changed",
			change: func(t *testing.T, client *zep.Client) {
				_, err := client.User.Update(ctx, &zep.UpdateUserRequest{
					UserID: "jane", Metadata: zep.Metadata{"plan": nil},
				})
				require.NoError(t, err)
			},
			want: []string{"users jane changed: metadata"},
		},
		{
			name: "user deleted",
			change: func(t *testing.T, client *zep.Client) {
				require.NoError(t, client.User.Delete(ctx, "joe"))
			},
			want: []string{
				"users joe missing", "sessions films missing", "messages * missing in films",
				"messages * missing in films",
			},
		},
		{
			name: "user added",
			change: func(t *testing.T, client *zep.Client) {
				_, err := client.User.Add(ctx, &zep.CreateUserRequest{UserID: "new"})
				require.NoError(t, err)
			},
			extra: []string{"users new extra"},
		},
		{
			name: "session changed",
			change: func(t *testing.T, client *zep.Client) {
				_, err := client.Session.Update(ctx, &zep.UpdateSessionRequest{
					SessionID: "films", Metadata: zep.Metadata{"n": 1},
				})
				require.NoError(t, err)
			},
			want: []string{"sessions films changed: metadata"},
		},
		{
			name: "session of another user",
			change: func(t *testing.T, client *zep.Client) {
				require.NoError(t, client.User.Delete(ctx, "joe"))
				_, err := client.User.Add(ctx, &zep.CreateUserRequest{
					UserID: "joe", Email: "joe@example.com",
				})
				require.NoError(t, err)
				_, err = client.Session.Add(ctx, &zep.CreateSessionRequest{
					SessionID: "films", UserID: "jane",
				})
				require.NoError(t, err)
			},
			want: []string{
				"sessions films changed: user_id", "messages * missing in films",
				"messages * missing in films",
			},
		},
		{
			name: "session added",
			change: func(t *testing.T, client *zep.Client) {
				addMessages(t, client, "new", "00000000-0000-4000-8000-0000000000ff")
			},
			extra: []string{"sessions new extra"},
		},
		{
			name: "message changed",
			change: func(t *testing.T, client *zep.Client) {
				_, err := client.Message.UpdateMetadata(ctx, "books", ids[2], zep.Metadata{"mood": 1})
				require.NoError(t, err)
			},
			want: []string{"messages " + ids[2] + " changed: metadata in books"},
		},
		{
			name: "message added",
			change: func(t *testing.T, client *zep.Client) {
				addMessages(t, client, "books", "00000000-0000-4000-8000-0000000000ff")
			},
			want: []string{"messages 00000000-0000-4000-8000-0000000000ff extra in books"},
		},
		{
			name: "messages missing and in another order",
			change: func(t *testing.T, client *zep.Client) {
				require.NoError(t, client.User.Delete(ctx, "jane"))
				addBooks(t, client, 1)
				addMessages(t, client, "books", ids[3], ids[2])
			},
			want: []string{
				"messages " + ids[1] + " missing in books", "messages " + ids[3] + " order in books",
			},
		},
		{
			name: "collection changed",
			change: func(t *testing.T, client *zep.Client) {
				_, err := client.Collection.Update(ctx, &zep.UpdateCollectionRequest{
					Name: "library", Description: "more books",
				})
				require.NoError(t, err)
			},
			want: []string{"collections library changed: description"},
		},
		{
			name: "collection deleted",
			change: func(t *testing.T, client *zep.Client) {
				require.NoError(t, client.Collection.Delete(ctx, "library"))
			},
			want: []string{
				"collections library missing", "documents doc-0 missing in library",
				"documents doc-1 missing in library", "documents doc-2 missing in library",
			},
		},
		{
			name: "collection added",
			change: func(t *testing.T, client *zep.Client) {
				_, err := client.Collection.Add(ctx, &zep.CreateCollectionRequest{
					Name: "other", EmbeddingDimensions: 8,
				})
				require.NoError(t, err)
			},
			extra: []string{"collections other extra"},
		},
		{
			name: "document changed, deleted and added",
			change: func(t *testing.T, client *zep.Client) {
				found, err := client.Document.GetByIDs(ctx, "library", []string{"doc-0", "doc-1"})
				require.NoError(t, err)
				require.NoError(t, client.Document.Update(ctx, "library", &zep.UpdateDocumentRequest{
					UUID: found[0].UUID, Metadata: zep.Metadata{"page": "one"},
				}))
				require.NoError(t, client.Document.Delete(ctx, "library", found[1].UUID))
				_, err = client.Document.Add(ctx, "library", []*zep.CreateDocumentRequest{{
					DocumentID: "new", Embedding: make([]float32, 8),
				}})
				require.NoError(t, err)
			},
			want: []string{
				"documents doc-0 changed: metadata in library", "documents doc-1 missing in library",
			},
			extra: []string{"documents new extra in library"},
		},
		{
			name: "embedding changed",
			change: func(t *testing.T, client *zep.Client) {
				require.NoError(t, client.Collection.Delete(ctx, "library"))
				addLibrary(t, client, "doc-2")
				_, err := client.Document.Add(ctx, "library", []*zep.CreateDocumentRequest{{
					DocumentID: "doc-2", Content: "text of doc-2", Metadata: zep.Metadata{"page": 2},
					Embedding: []float32{2, 1, 2, 3, 4, 5, 6, 7.001},
				}})
				require.NoError(t, err)
			},
			want: []string{"documents doc-2 changed: embedding in library"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server, client := newServer(t)
			mustRun(t, server.URL, "import", dir, "-conflicts", filepath.Join(t.TempDir(), "none"))
			test.change(t, client)
			for _, flag := range []string{"-extra=false", "-extra"} {
				want := test.want
				if flag == "-extra" {
					want = append(want, test.extra...)
				}
				r := zepdump(t, server.URL, "verify", flag, dir)
				assert.ElementsMatch(t, want, describe(t, r.stdout))
				if len(want) == 0 {
					assert.Equal(t, exitOK, r.status)
				} else {
					assert.Equal(t, exitDifferent, r.status, r.stderr)
				}
			}
		})
	}
}

// A difference says what was expected and what is there.
func TestVerify_Line(t *testing.T) {
	t.Parallel()
	dir, _ := exportOf(t)
	server, client := newServer(t)
	mustRun(t, server.URL, "import", dir)
	_, err := client.User.Update(ctx, &zep.UpdateUserRequest{UserID: "joe", Email: "new@example.com"})
	require.NoError(t, err)
	r := zepdump(t, server.URL, "verify", dir)
	assert.Equal(t, `{"kind":"users","id":"joe","difference":"changed","fields":{"email":`+
		`{"export":"joe@example.com","server":"new@example.com"}}}`+"\n", r.stdout)
	assert.Contains(t, r.stderr, "differences: 1\n")
}

// The messages of a session that the export has without messages are extra ones.
func TestVerify_SessionWithoutMessages(t *testing.T) {
	t.Parallel()
	server, client := newServer(t)
	fill(t, server, client, load{users: 4, sessions: 9})
	dir := filepath.Join(t.TempDir(), "export")
	mustRun(t, server.URL, "export", "-o", dir)
	for _, n := range []int{0, 4, 8} {
		addMessages(t, client, "session-"+itoa(n), "00000000-0000-4000-8000-00000000000"+itoa(n))
	}
	r := zepdump(t, server.URL, "verify", dir)
	assert.ElementsMatch(t, []string{
		"messages 00000000-0000-4000-8000-000000000000 extra in session-0",
		"messages 00000000-0000-4000-8000-000000000004 extra in session-4",
		"messages 00000000-0000-4000-8000-000000000008 extra in session-8",
	}, describe(t, r.stdout))
}
