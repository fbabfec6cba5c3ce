package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/zeptest"
)

// traffic changes a server while it is exported: before each request of the export something is
// added, something is deleted, and something that stays is updated.
type traffic struct {
	t      *testing.T
	server *zeptest.Server
	client *zep.Client

	mu      sync.Mutex
	n       int
	version map[string]int // of the records that stay, by id: the last one
}

func (x *traffic) handle(w http.ResponseWriter, r *http.Request) {
	x.mu.Lock()
	x.change(x.n)
	x.n++
	x.mu.Unlock()
	x.server.ServeHTTP(w, r)
}

// change makes the nth change.
func (x *traffic) change(n int) {
	t, client := x.t, x.client
	user, session := fmt.Sprintf("new-user-%d", n), fmt.Sprintf("new-session-%d", n)
	_, err := client.User.Add(ctx, &zep.CreateUserRequest{UserID: user})
	assert.NoError(t, err)
	_, err = client.Session.Add(ctx, &zep.CreateSessionRequest{SessionID: session, UserID: user})
	assert.NoError(t, err)
	stays := n % smallLoad.users
	id := fmt.Sprintf("user-%d@example.com", stays)
	x.version[id] = n
	_, err = client.User.Update(ctx, &zep.UpdateUserRequest{
		UserID: id, Metadata: zep.Metadata{"version": n},
	})
	assert.NoError(t, err)
	for _, id := range []string{session, fmt.Sprintf("session-%d", n%smallLoad.sessions)} {
		assert.NoError(t, client.Memory.Add(ctx, id, &zep.AddMemoryRequest{
			Messages: []*zep.Message{{Role: "user", Content: "new"}},
		}))
	}
	_, err = client.Document.Add(ctx, "library", []*zep.CreateDocumentRequest{{
		DocumentID: fmt.Sprintf("new-doc-%d", n), Content: "new",
	}})
	assert.NoError(t, err)
	if n < 20 {
		assert.NoError(t, client.User.Delete(ctx, fmt.Sprintf("gone-user-%d", n)))
	}
}

// What stood throughout is in the export once, with a content that it had, while the server goes
// on. What is in the export can be imported: no session is without its user.
func TestExport_ServerGoesOn(t *testing.T) {
	t.Parallel()
	server, client := newServer(t)
	fill(t, server, client, smallLoad)
	x := &traffic{t: t, server: server, client: client, version: map[string]int{}}
	for n := range 20 {
		_, err := client.User.Add(ctx, &zep.CreateUserRequest{UserID: fmt.Sprintf("gone-user-%d", n)})
		require.NoError(t, err)
	}
	before := filepath.Join(t.TempDir(), "before")
	mustRun(t, server.URL, "export", "-o", before)

	dir := filepath.Join(t.TempDir(), "export")
	mustRun(t, serve(t, x.handle), "export", "-o", dir, "-workers", "3")
	require.Greater(t, x.n, smallLoad.users, "each user was updated")

	stood := func(kind string) []string {
		return readIDs(t, before, kind, func(id string) bool { return !strings.HasPrefix(id, "gone-") })
	}
	for _, kind := range []string{users, sessions, messages, collections, documents} {
		is := map[string]bool{}
		want := stood(kind)
		for _, id := range want {
			is[id] = true
		}
		got := readIDs(t, dir, kind, func(id string) bool { return is[id] })
		if kind == users || kind == sessions || kind == messages {
			assert.Equal(t, want, got, kind)
		} else {
			assert.ElementsMatch(t, want, got, kind)
		}
	}
	for u, err := range fileRecords[zep.User](dir, timelessFile(t, dir, users)) {
		require.NoError(t, err)
		if version, ok := u.Metadata["version"]; ok {
			assert.LessOrEqual(t, version, float64(x.version[u.UserID]))
		}
	}

	fresh, _ := newServer(t)
	mustRun(t, fresh.URL, "import", dir)
	assert.Empty(t, mustRun(t, fresh.URL, "verify", "-extra", dir).stdout)
}

// readIDs returns the ids of records that are chosen.
func readIDs(t *testing.T, dir, kind string, choose func(id string) bool) (ids []string) {
	t.Helper()
	type record struct {
		UserID     *string `json:"user_id"`
		SessionID  string  `json:"session_id"`
		Name, UUID string
	}
	for r, err := range fileRecords[record](dir, timelessFile(t, dir, kind)) {
		require.NoError(t, err)
		id := map[string]string{
			sessions: r.SessionID, messages: r.UUID, collections: r.Name, documents: r.UUID,
		}[kind]
		if kind == users {
			id = *r.UserID
		}
		if choose(id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// A session that is deleted before its messages were read, and a user, are no error.
func TestExport_SessionGoesAway(t *testing.T) {
	t.Parallel()
	server, client := newServer(t)
	fill(t, server, client, smallLoad)
	var once sync.Once
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/session-0/messages") {
			once.Do(func() {
				assert.NoError(t, client.User.Delete(ctx, "user-1@example.com")) // of session 1
				assert.NoError(t, client.Session.Delete(ctx, "session-12"))
				assert.NoError(t, client.Collection.Delete(ctx, "vectors"))
			})
		}
		server.ServeHTTP(w, r)
	})
	dir := filepath.Join(t.TempDir(), "export")
	mustRun(t, url, "export", "-o", dir, "-workers", "1")
	m := timeless(t, dir)
	assert.Equal(t, int64(smallLoad.sessions), m.file(sessions).Records)
	for message, err := range fileRecords[messageRecord](dir, m.file(messages)) {
		require.NoError(t, err)
		assert.NotContains(t, []string{"session-1", "session-12"}, message.SessionID)
	}
	for document, err := range fileRecords[documentRecord](dir, m.file(documents)) {
		require.NoError(t, err)
		assert.NotEqual(t, "vectors", document.Collection)
	}
	fresh, _ := newServer(t)
	mustRun(t, fresh.URL, "import", dir)
}

// Workers that are ahead of a slow session wait, so that memory is bounded.
func TestExport_WorkersWait(t *testing.T) {
	t.Parallel()
	const workers = 2
	server, client := newServer(t)
	fill(t, server, client, load{sessions: 300, messages: 600})
	var mu sync.Mutex
	asked, before := map[string]bool{}, 0
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/messages") {
			mu.Lock()
			asked[r.URL.Path] = true
			mu.Unlock()
		}
		if strings.HasSuffix(r.URL.Path, "/session-0/memory") {
			// Workers that do not wait ask for all sessions in this time.
			<-time.After(time.Second)
			mu.Lock()
			before = len(asked)
			mu.Unlock()
		}
		server.ServeHTTP(w, r)
	})
	mustRun(t, url, "export", "-o", filepath.Join(t.TempDir(), "export"), "-workers", itoa(workers))
	assert.Len(t, asked, 300)
	assert.Greater(t, before, 1, "the others go on")
	assert.LessOrEqual(t, before, (aheadSessions+1)*workers+1)
}
