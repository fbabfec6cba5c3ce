package zep_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/zeptest"
)

// TestConformance makes each documented operation, and meets each surprise of the server's, through the client: of package
// zeptest, or of a running Zep if ZEP_TEST_URL (and ZEP_TEST_API_KEY, if it asks for one) say where it is. That server may have
// other users and other writers: the tests look at what they made themselves, and delete it.
//
//	ZEP_TEST_URL=http://localhost:8000 go test -count=1 -parallel 1 -run TestConformance .
func TestConformance(t *testing.T) {
	t.Parallel()
	server := theServer(t)
	if os.Getenv("ZEP_TEST_URL") == "" {
		t.Cleanup(func() { nothingIsLeftOn(t, server) }) // a live one may have others' records
	}
	for _, area := range []struct {
		name  string
		tests []conformanceTest
	}{
		{"health", healthConformance(server)},
		{"users", userConformance},
		{"user ids on the path", idConformance()},
		{"sessions", sessionConformance},
		{"walks", walkConformance},
		{"memory", memoryConformance},
		{"messages", messageConformance},
		{"search", searchConformance},
		{"collections", collectionConformance},
		{"documents", documentConformance},
		{"limits", limitConformance},
	} {
		t.Run(area.name, func(t *testing.T) {
			t.Parallel()
			for _, test := range area.tests {
				t.Run(test.name, func(t *testing.T) {
					t.Parallel()
					test.run(t, server.client(t))
				})
			}
		})
	}
}

type conformanceTest struct {
	name string
	run  func(*testing.T, *testClient)
}

// A testServer is what the tests conform to: a live one, or one of package zeptest.
type testServer struct{ url, key string }

func theServer(t testing.TB) testServer {
	t.Helper()
	live := testServer{url: os.Getenv("ZEP_TEST_URL"), key: os.Getenv("ZEP_TEST_API_KEY")}
	if live.url != "" {
		return live
	}
	const key = "a-key-for-these-tests"
	server := zeptest.NewServer(zeptest.WithAPIKey(key))
	t.Cleanup(server.Close)
	return testServer{server.URL, key}
}

// nothingIsLeftOn says whether the tests deleted what they made.
func nothingIsLeftOn(t *testing.T, server testServer) {
	t.Helper()
	c, err := zep.NewClient(zep.WithBaseURL(server.url), zep.WithAPIKey(server.key))
	require.NoError(t, err)
	users, err := c.User.List(context.Background(), nil)
	require.NoError(t, err)
	assert.Empty(t, users)
	sessions, err := c.Session.List(context.Background(), nil)
	require.NoError(t, err)
	assert.Empty(t, sessions)
	collections, err := c.Collection.List(context.Background())
	require.NoError(t, err)
	assert.Empty(t, collections)
}

// client is a client of one test's own. opts win.
func (s testServer) client(t testing.TB, opts ...zep.Option) *testClient {
	t.Helper()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(transport.CloseIdleConnections)
	c, err := zep.NewClient(slices.Concat([]zep.Option{
		zep.WithBaseURL(s.url), zep.WithAPIKey(s.key), zep.WithHTTPClient(&http.Client{Transport: transport}),
	}, opts)...)
	require.NoError(t, err)
	random := make([]byte, 6)
	_, _ = rand.Read(random)
	return &testClient{Client: c, ctx: context.Background(), prefix: hex.EncodeToString(random)}
}

// A testClient makes records with ids that nobody else has, and deletes them when the test ends.
type testClient struct {
	*zep.Client
	ctx    context.Context
	prefix string
}

func (c *testClient) id(name string) string { return "zep-go-" + c.prefix + "-" + name }

// addUser adds a user of that name, whose id the test then has.
func (c *testClient) addUser(t testing.TB, req zep.CreateUserRequest) *zep.User {
	t.Helper()
	req.UserID = c.id(req.UserID)
	return c.addUserAs(t, req)
}

func (c *testClient) addUserAs(t testing.TB, req zep.CreateUserRequest) *zep.User {
	t.Helper()
	user, err := c.User.Add(c.ctx, &req)
	require.NoError(t, err)
	c.cleanUp(t, "user "+req.UserID, func() error { return c.User.Delete(c.ctx, req.UserID) })
	return user
}

func (c *testClient) addSession(t testing.TB, req zep.CreateSessionRequest) *zep.Session {
	t.Helper()
	req.SessionID = c.id(req.SessionID)
	session, err := c.Session.Add(c.ctx, &req)
	require.NoError(t, err)
	c.cleanUpSession(t, req.SessionID)
	return session
}

func (c *testClient) cleanUpSession(t testing.TB, id string) {
	c.cleanUp(t, "session "+id, func() error { return c.Session.Delete(c.ctx, id) })
}

// cleanUp leaves nothing behind; the test may have deleted it itself.
func (c *testClient) cleanUp(t testing.TB, what string, remove func() error) {
	t.Helper()
	t.Cleanup(func() {
		if err := remove(); !errors.Is(err, zep.ErrNotFound) {
			assert.NoError(t, err, "leaving %s behind", what)
		}
	})
}

// addMemory adds messages to the session of that name.
func (c *testClient) addMemory(t testing.TB, session string, messages ...*zep.Message) {
	t.Helper()
	c.cleanUpSession(t, c.id(session))
	require.NoError(t, c.Memory.Add(c.ctx, c.id(session), &zep.AddMemoryRequest{Messages: messages}))
}

// messages returns those of the session of that name.
func (c *testClient) messages(t testing.TB, session string) []*zep.Message {
	t.Helper()
	list, err := c.Message.List(c.ctx, c.id(session), nil)
	require.NoError(t, err)
	return list.Messages
}

// say makes messages of texts.
func say(texts ...string) (messages []*zep.Message) {
	for _, text := range texts {
		messages = append(messages, &zep.Message{Role: zep.RoleHuman, Content: text})
	}
	return messages
}

func contents(messages []*zep.Message) (texts []string) {
	for _, m := range messages {
		texts = append(texts, m.Content)
	}
	return texts
}

// collection is a name for a collection: they are of letters and digits.
func (c *testClient) collection(name string) string { return "zepgo" + c.prefix + name }

// addCollection adds a collection for documents that bring their own embeddings, of 8 dimensions, so that it does not matter
// which model the server has.
func (c *testClient) addCollection(t testing.TB, name string) *zep.Collection {
	t.Helper()
	return c.addCollectionAs(t, zep.CreateCollectionRequest{Name: c.collection(name), EmbeddingDimensions: 8})
}

func (c *testClient) addCollectionAs(t testing.TB, req zep.CreateCollectionRequest) *zep.Collection {
	t.Helper()
	collection, err := c.Collection.Add(c.ctx, &req)
	require.NoError(t, err)
	c.cleanUp(t, "collection "+req.Name, func() error { return c.Collection.Delete(c.ctx, req.Name) })
	return collection
}

// axis is an embedding that is like no other axis.
func axis(n int) []float32 {
	embedding := make([]float32, 8)
	embedding[n] = 1
	return embedding
}

// addDocuments adds documents with the embeddings axis(0), axis(1) and so on.
func (c *testClient) addDocuments(t testing.TB, collection string, documents ...*zep.CreateDocumentRequest) []string {
	t.Helper()
	for i, d := range documents {
		d.Embedding = axis(i)
	}
	uuids, err := c.Document.Add(c.ctx, collection, documents)
	require.NoError(t, err)
	require.Len(t, uuids, len(documents))
	return uuids
}

// unknownUUID is of no message and no document.
const unknownUUID = "00000000-0000-0000-0000-000000000001"

// soon tries again what the server makes true some time after it has answered: embeddings, say.
func soon(t testing.TB, holds func() bool, what string) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range 400 {
		if holds() {
			return
		}
		<-tick.C
	}
	assert.Fail(t, "waited in vain: "+what)
}

func healthConformance(server testServer) []conformanceTest {
	tests := []conformanceTest{
		{"the version is whatever the server says", func(t *testing.T, c *testClient) {
			health, err := c.Health(c.ctx)
			require.NoError(t, err)
			assert.NotEmpty(t, health.Version)
		}},
		{"needs no key", func(t *testing.T, _ *testClient) {
			_, err := server.client(t, zep.WithAPIKey("")).Health(context.Background())
			require.NoError(t, err)
		}},
		{"a path that the server does not know is told apart from a record that is not there", func(t *testing.T, c *testClient) {
			_, err := server.client(t, zep.WithBaseURL(server.url+"/nowhere")).User.Get(c.ctx, "jane")
			require.ErrorIs(t, err, zep.ErrEndpointNotFound)
			require.NotErrorIs(t, err, zep.ErrNotFound)
			assert.NotContains(t, err.Error(), "<")
			assert.Contains(t, err.Error(), "base URL")
		}},
	}
	if server.key == "" {
		return tests // a live server that asks for none
	}
	return append(tests,
		conformanceTest{"no key where one is needed", func(t *testing.T, c *testClient) {
			_, err := server.client(t, zep.WithAPIKey("")).User.Get(c.ctx, "jane")
			require.ErrorIs(t, err, zep.ErrUnauthorized)
			assert.ErrorContains(t, err, "no token found")
		}},
		conformanceTest{"a wrong key", func(t *testing.T, c *testClient) {
			_, err := server.client(t, zep.WithAPIKey("wrong")).User.Get(c.ctx, "jane")
			require.ErrorIs(t, err, zep.ErrUnauthorized)
			assert.ErrorContains(t, err, "token is unauthorized")
		}},
	)
}

var userConformance = []conformanceTest{
	{"add with all fields, and get", func(t *testing.T, c *testClient) {
		before := time.Now().Add(-time.Hour) // clocks differ
		user := c.addUser(t, zep.CreateUserRequest{
			UserID: "jane", Email: "jane@example.com", FirstName: "Jane", LastName: "Smith", Metadata: zep.Metadata{"foo": "bar"},
		})
		assert.NotEmpty(t, user.UUID)
		assert.Positive(t, user.ID)
		assert.True(t, user.CreatedAt.After(before))
		assert.True(t, user.UpdatedAt.Equal(user.CreatedAt))
		assert.Equal(t, &zep.User{
			UUID: user.UUID, ID: user.ID, CreatedAt: user.CreatedAt, UpdatedAt: user.UpdatedAt,
			UserID: c.id("jane"), Email: "jane@example.com", FirstName: "Jane", LastName: "Smith", Metadata: zep.Metadata{"foo": "bar"},
		}, user)
		got, err := c.User.Get(c.ctx, user.UserID)
		require.NoError(t, err)
		assert.Equal(t, user, got)
	}},
	{"add with an id alone", func(t *testing.T, c *testClient) {
		user := c.addUser(t, zep.CreateUserRequest{UserID: "min"})
		assert.Empty(t, user.Email+user.FirstName+user.LastName)
		assert.Empty(t, user.Metadata)
		assert.Nil(t, user.DeletedAt)
	}},
	{"add one whose id is taken", func(t *testing.T, c *testClient) {
		c.addUser(t, zep.CreateUserRequest{UserID: "twice", Email: "first@example.com"})
		_, err := c.User.Add(c.ctx, &zep.CreateUserRequest{UserID: c.id("twice"), Email: "second@example.com"})
		require.ErrorIs(t, err, zep.ErrAlreadyExists)
		assert.ErrorContains(t, err, "user already exists with user_id: "+c.id("twice"))
		user, err := c.User.Get(c.ctx, c.id("twice"))
		require.NoError(t, err)
		assert.Equal(t, "first@example.com", user.Email)
	}},
	{"a failed add leaves a gap in the ids", func(t *testing.T, c *testClient) {
		first := c.addUser(t, zep.CreateUserRequest{UserID: "a"})
		_, err := c.User.Add(c.ctx, &zep.CreateUserRequest{UserID: c.id("a")})
		require.ErrorIs(t, err, zep.ErrAlreadyExists)
		second := c.addUser(t, zep.CreateUserRequest{UserID: "b"})
		assert.Greater(t, second.ID, first.ID+1)
	}},
	{"metadata that is empty is not stored", func(t *testing.T, c *testClient) {
		user := c.addUser(t, zep.CreateUserRequest{UserID: "empty", Metadata: zep.Metadata{}})
		assert.Equal(t, zep.Metadata{}, user.Metadata)
	}},
	{"metadata of any kind, its integers beyond 2^53 rounded", func(t *testing.T, c *testClient) {
		user := c.addUser(t, zep.CreateUserRequest{UserID: "nested", Metadata: zep.Metadata{
			"a": map[string]any{"b": []any{1, 2.5, "x", nil, true}}, "i53": int64(9007199254740993), "uni": "日本 😀 \u2028 <&>",
		}})
		want := zep.Metadata{
			"a": map[string]any{"b": []any{1.0, 2.5, "x", nil, true}}, "i53": 9007199254740992.0, "uni": "日本 😀 \u2028 <&>",
		}
		assert.Equal(t, want, user.Metadata)
		got, err := c.User.Get(c.ctx, user.UserID)
		require.NoError(t, err)
		assert.Equal(t, want, got.Metadata)
	}},
	{"get one who is not there", func(t *testing.T, c *testClient) {
		_, err := c.User.Get(c.ctx, c.id("nobody"))
		require.ErrorIs(t, err, zep.ErrNotFound)
		var refused *zep.Error
		require.ErrorAs(t, err, &refused)
		assert.Equal(t, 404, refused.StatusCode)
		assert.Equal(t, "not found", refused.Message)
	}},
	{"update merges metadata deep", func(t *testing.T, c *testClient) {
		user := c.addUser(t, zep.CreateUserRequest{UserID: "merge", Metadata: zep.Metadata{
			"kept": 1, "map": map[string]any{"kept": true, "changed": 1}, "list": []any{1, 2}, "yes": true, "n": 7, "text": "x", "nulled": 1,
		}})
		for _, patch := range []zep.Metadata{
			{"map": map[string]any{"changed": 2, "new": 3}}, {"list": []any{3}}, {"yes": false}, {"n": 0}, {"text": ""}, {"nulled": nil},
			{"added": "new"}, {"map": map[string]any{}},
		} {
			updated, err := c.User.Update(c.ctx, &zep.UpdateUserRequest{UserID: user.UserID, Metadata: patch})
			require.NoError(t, err)
			assert.True(t, updated.UpdatedAt.After(user.UpdatedAt))
			assert.Equal(t, user.UUID, updated.UUID)
		}
		got, err := c.User.Get(c.ctx, user.UserID)
		require.NoError(t, err)
		assert.Equal(t, zep.Metadata{
			"kept": 1.0, "map": map[string]any{"kept": true, "changed": 2.0, "new": 3.0}, "list": []any{3.0}, "yes": false, "n": 0.0,
			"text": "", "nulled": nil, "added": "new",
		}, got.Metadata)
	}},
	{"update of one field leaves the others, and an empty one clears nothing", func(t *testing.T, c *testClient) {
		user := c.addUser(t, zep.CreateUserRequest{
			UserID: "fields", Email: "a@example.com", FirstName: "A", LastName: "B", Metadata: zep.Metadata{"k": 1},
		})
		updated, err := c.User.Update(c.ctx, &zep.UpdateUserRequest{UserID: user.UserID, Email: "b@example.com", FirstName: ""})
		require.NoError(t, err)
		assert.Equal(t, "b@example.com A B", updated.Email+" "+updated.FirstName+" "+updated.LastName)
		assert.Equal(t, zep.Metadata{"k": 1.0}, updated.Metadata)
	}},
	{"update of nothing, or with empty metadata, is no error", func(t *testing.T, c *testClient) {
		user := c.addUser(t, zep.CreateUserRequest{UserID: "same", Metadata: zep.Metadata{"k": 1}})
		for _, metadata := range []zep.Metadata{nil, {}} {
			updated, err := c.User.Update(c.ctx, &zep.UpdateUserRequest{UserID: user.UserID, Metadata: metadata})
			require.NoError(t, err)
			assert.Equal(t, zep.Metadata{"k": 1.0}, updated.Metadata)
		}
	}},
	{"update one who is not there", func(t *testing.T, c *testClient) {
		for _, metadata := range []zep.Metadata{nil, {"k": 1}} {
			_, err := c.User.Update(c.ctx, &zep.UpdateUserRequest{UserID: c.id("nobody"), Email: "x@example.com", Metadata: metadata})
			require.ErrorIs(t, err, zep.ErrNotFound)
		}
	}},
	{"of concurrent updates through one client all are kept", func(t *testing.T, c *testClient) {
		user := c.addUser(t, zep.CreateUserRequest{UserID: "busy"})
		var writers sync.WaitGroup
		for writer := range 8 {
			writers.Add(1)
			go func() {
				defer writers.Done()
				for i := range 5 {
					_, err := c.User.Update(c.ctx, &zep.UpdateUserRequest{
						UserID: user.UserID, Metadata: zep.Metadata{fmt.Sprint(writer, "-", i): true},
					})
					assert.NoError(t, err)
				}
			}()
		}
		writers.Wait()
		got, err := c.User.Get(c.ctx, user.UserID)
		require.NoError(t, err)
		assert.Len(t, got.Metadata, 40)
	}},
	{"delete, and what is left", func(t *testing.T, c *testClient) {
		user := c.addUser(t, zep.CreateUserRequest{UserID: "gone", Email: "old@example.com"})
		require.NoError(t, c.User.Delete(c.ctx, user.UserID))
		require.ErrorIs(t, c.User.Delete(c.ctx, user.UserID), zep.ErrNotFound)
		_, err := c.User.Get(c.ctx, user.UserID)
		require.ErrorIs(t, err, zep.ErrNotFound)
	}},
	{"add again after a delete: a new record", func(t *testing.T, c *testClient) {
		first := c.addUser(t, zep.CreateUserRequest{UserID: "again", Email: "old@example.com"})
		require.NoError(t, c.User.Delete(c.ctx, first.UserID))
		second := c.addUser(t, zep.CreateUserRequest{UserID: "again"})
		assert.Greater(t, second.ID, first.ID)
		assert.NotEqual(t, first.UUID, second.UUID)
		assert.Empty(t, second.Email)
	}},
	{"delete takes the sessions too", func(t *testing.T, c *testClient) {
		user := c.addUser(t, zep.CreateUserRequest{UserID: "leaving"})
		session := c.addSession(t, zep.CreateSessionRequest{SessionID: "theirs", UserID: user.UserID})
		require.NoError(t, c.User.Delete(c.ctx, user.UserID))
		_, err := c.Session.Get(c.ctx, session.SessionID)
		require.ErrorIs(t, err, zep.ErrNotFound)
		sessions, err := c.User.GetSessions(c.ctx, user.UserID)
		require.NoError(t, err)
		assert.Empty(t, sessions)
	}},
	{"sessions of a user, with the id 0", func(t *testing.T, c *testClient) {
		user := c.addUser(t, zep.CreateUserRequest{UserID: "talker"})
		a := c.addSession(t, zep.CreateSessionRequest{SessionID: "a", UserID: user.UserID, Metadata: zep.Metadata{"k": 1}})
		b := c.addSession(t, zep.CreateSessionRequest{SessionID: "b", UserID: user.UserID})
		c.addSession(t, zep.CreateSessionRequest{SessionID: "c"})
		sessions, err := c.User.GetSessions(c.ctx, user.UserID)
		require.NoError(t, err)
		a.ID, b.ID = 0, 0
		assert.ElementsMatch(t, []*zep.Session{a, b}, sessions)
	}},
	{"sessions of one who is not there: none, and no error", func(t *testing.T, c *testClient) {
		sessions, err := c.User.GetSessions(c.ctx, c.id("nobody"))
		require.NoError(t, err)
		assert.Equal(t, []*zep.Session{}, sessions)
	}},
	{"list: those after the cursor, at most as many as the limit", func(t *testing.T, c *testClient) {
		a, b := c.addUser(t, zep.CreateUserRequest{UserID: "a"}), c.addUser(t, zep.CreateUserRequest{UserID: "b"})
		users, err := c.User.List(c.ctx, &zep.ListOptions{Cursor: a.ID - 1, Limit: 1})
		require.NoError(t, err)
		assert.Equal(t, []*zep.User{a}, users)
		users, err = c.User.List(c.ctx, &zep.ListOptions{Cursor: a.ID})
		require.NoError(t, err)
		assert.NotContains(t, users, a)
		assert.Contains(t, users, b)
		assert.True(t, slices.IsSortedFunc(users, func(x, y *zep.User) int { return int(x.ID - y.ID) }))
	}},
	{"list without a limit: everyone", func(t *testing.T, c *testClient) {
		var mine []*zep.User
		for i := range 30 {
			mine = append(mine, c.addUser(t, zep.CreateUserRequest{UserID: fmt.Sprint(i)}))
		}
		for _, page := range []*zep.ListOptions{nil, {}, {Cursor: mine[0].ID - 1}} {
			users, err := c.User.List(c.ctx, page)
			require.NoError(t, err)
			assert.Equal(t, mine, own(users, c, func(u *zep.User) string { return u.UserID }))
		}
	}},
	{"list past the end", func(t *testing.T, c *testClient) {
		users, err := c.User.List(c.ctx, &zep.ListOptions{Cursor: 1 << 62, Limit: 2})
		require.NoError(t, err)
		assert.Equal(t, []*zep.User{}, users)
	}},
}

// own are the records that this test made, of all that the server has.
func own[T any](records []*T, c *testClient, id func(*T) string) (mine []*T) {
	for _, r := range records {
		if strings.HasPrefix(id(r), c.id("")) {
			mine = append(mine, r)
		}
	}
	return mine
}

// idConformance has a test for each of the ids that the server is particular about.
func idConformance() []conformanceTest {
	var tests []conformanceTest
	for _, id := range []string{
		"user@example.com", "a+b", "a:b", "a$b", "a&b=c", "a;b", "a,b", "a b", "a?b", "a#b", "100%", "日本", "a%2Fb", "user%40example.com",
		"...", "~", "a'b(c)!*", `\`, `"`, "[x]", "<>", "^`{|}", "😀", "tab\there",
	} {
		tests = append(tests, conformanceTest{id, func(t *testing.T, c *testClient) {
			user := c.addUser(t, zep.CreateUserRequest{UserID: id, Email: "mine@example.com"})
			got, err := c.User.Get(c.ctx, user.UserID)
			require.NoError(t, err)
			assert.Equal(t, user, got)
			_, err = c.User.Update(c.ctx, &zep.UpdateUserRequest{UserID: user.UserID, FirstName: "Jane"})
			require.NoError(t, err)
			session := c.addSession(t, zep.CreateSessionRequest{SessionID: id, UserID: user.UserID})
			gotSession, err := c.Session.Get(c.ctx, session.SessionID)
			require.NoError(t, err)
			assert.Equal(t, session, gotSession)
			sessions, err := c.User.GetSessions(c.ctx, user.UserID)
			require.NoError(t, err)
			assert.Len(t, sessions, 1)
			require.NoError(t, c.Session.Delete(c.ctx, session.SessionID))
			require.NoError(t, c.User.Delete(c.ctx, user.UserID))
		}})
	}
	return append(tests,
		conformanceTest{"900 characters", func(t *testing.T, c *testClient) {
			user := c.addUser(t, zep.CreateUserRequest{UserID: strings.Repeat("x", 900-len(c.id("")))})
			require.Len(t, user.UserID, 900)
			got, err := c.User.Get(c.ctx, user.UserID)
			require.NoError(t, err)
			assert.Equal(t, user, got)
		}},
		conformanceTest{"those that lead elsewhere are refused", func(t *testing.T, c *testClient) {
			c.addUser(t, zep.CreateUserRequest{UserID: "nul"})
			for _, id := range []string{"", ".", "..", "../user/" + c.id("nul"), c.id("a/b"), c.id("nu\x00l")} {
				_, err := c.User.Get(c.ctx, id)
				require.ErrorIs(t, err, zep.ErrInvalidID, "%q", id)
				require.ErrorIs(t, c.User.Delete(c.ctx, id), zep.ErrInvalidID, "%q", id)
			}
			_, err := c.User.Get(c.ctx, c.id("nul"))
			require.NoError(t, err)
		}},
	)
}

var sessionConformance = []conformanceTest{
	{"add with user and metadata, and get", func(t *testing.T, c *testClient) {
		user := c.addUser(t, zep.CreateUserRequest{UserID: "jane"})
		session := c.addSession(t, zep.CreateSessionRequest{SessionID: "s1", UserID: user.UserID, Metadata: zep.Metadata{"foo": "bar"}})
		assert.Equal(t, &zep.Session{
			UUID: session.UUID, ID: session.ID, CreatedAt: session.CreatedAt, UpdatedAt: session.UpdatedAt,
			SessionID: c.id("s1"), UserID: user.UserID, Metadata: zep.Metadata{"foo": "bar"},
		}, session)
		assert.NotEmpty(t, session.UUID)
		assert.Positive(t, session.ID)
		got, err := c.Session.Get(c.ctx, session.SessionID)
		require.NoError(t, err)
		assert.Equal(t, session, got)
	}},
	{"add without a user", func(t *testing.T, c *testClient) {
		session := c.addSession(t, zep.CreateSessionRequest{SessionID: "nobodys"})
		assert.Empty(t, session.UserID)
		assert.Equal(t, zep.Metadata{}, session.Metadata)
	}},
	{"add one whose id is taken", func(t *testing.T, c *testClient) {
		session := c.addSession(t, zep.CreateSessionRequest{SessionID: "twice"})
		_, err := c.Session.Add(c.ctx, &zep.CreateSessionRequest{SessionID: session.SessionID})
		require.ErrorIs(t, err, zep.ErrAlreadyExists)
		assert.ErrorContains(t, err, "session already exists with session_id: "+session.SessionID)
	}},
	{"a failed add leaves a gap in the ids", func(t *testing.T, c *testClient) {
		first := c.addSession(t, zep.CreateSessionRequest{SessionID: "a"})
		_, err := c.Session.Add(c.ctx, &zep.CreateSessionRequest{SessionID: first.SessionID})
		require.ErrorIs(t, err, zep.ErrAlreadyExists)
		second := c.addSession(t, zep.CreateSessionRequest{SessionID: "b"})
		assert.Greater(t, second.ID, first.ID+1)
	}},
	{"a deleted user's sessions are gone, and their ids stay taken", func(t *testing.T, c *testClient) {
		user := c.addUser(t, zep.CreateUserRequest{UserID: "leaver"})
		session := c.addSession(t, zep.CreateSessionRequest{SessionID: "left", UserID: user.UserID})
		require.NoError(t, c.User.Delete(c.ctx, user.UserID))
		_, err := c.Session.Get(c.ctx, session.SessionID)
		require.ErrorIs(t, err, zep.ErrNotFound)
		_, err = c.Session.Add(c.ctx, &zep.CreateSessionRequest{SessionID: session.SessionID})
		require.ErrorIs(t, err, zep.ErrAlreadyExists)
	}},
	{"add for a user who is not there", func(t *testing.T, c *testClient) {
		_, err := c.Session.Add(c.ctx, &zep.CreateSessionRequest{SessionID: c.id("s"), UserID: c.id("nobody")})
		require.ErrorIs(t, err, zep.ErrBadRequest)
		assert.ErrorContains(t, err, "user does not exist with user_id: "+c.id("nobody"))
		_, err = c.Session.Get(c.ctx, c.id("s"))
		require.ErrorIs(t, err, zep.ErrNotFound)
	}},
	{"get one that is not there", func(t *testing.T, c *testClient) {
		_, err := c.Session.Get(c.ctx, c.id("none"))
		require.ErrorIs(t, err, zep.ErrNotFound)
	}},
	{"update merges metadata deep", func(t *testing.T, c *testClient) {
		session := c.addSession(t, zep.CreateSessionRequest{
			SessionID: "merge", Metadata: zep.Metadata{"kept": 1, "map": map[string]any{"a": 1}, "list": []any{1, 2}},
		})
		for _, patch := range []zep.Metadata{{"map": map[string]any{"b": 2}}, {"list": []any{}}, {"nulled": nil}, {"map": map[string]any{}}} {
			_, err := c.Session.Update(c.ctx, &zep.UpdateSessionRequest{SessionID: session.SessionID, Metadata: patch})
			require.NoError(t, err)
		}
		got, err := c.Session.Get(c.ctx, session.SessionID)
		require.NoError(t, err)
		assert.Equal(t, zep.Metadata{"kept": 1.0, "map": map[string]any{"a": 1.0, "b": 2.0}, "list": []any{}, "nulled": nil}, got.Metadata)
		assert.True(t, got.UpdatedAt.After(session.UpdatedAt))
	}},
	{"update of nothing, or with empty metadata, is no error", func(t *testing.T, c *testClient) {
		session := c.addSession(t, zep.CreateSessionRequest{SessionID: "same", Metadata: zep.Metadata{"k": 1}})
		for _, metadata := range []zep.Metadata{nil, {}} {
			updated, err := c.Session.Update(c.ctx, &zep.UpdateSessionRequest{SessionID: session.SessionID, Metadata: metadata})
			require.NoError(t, err)
			assert.Equal(t, zep.Metadata{"k": 1.0}, updated.Metadata)
		}
	}},
	{"update drops the key system", func(t *testing.T, c *testClient) {
		session := c.addSession(t, zep.CreateSessionRequest{SessionID: "system"})
		updated, err := c.Session.Update(c.ctx, &zep.UpdateSessionRequest{
			SessionID: session.SessionID, Metadata: zep.Metadata{"system": map[string]any{"x": 1}, "k": 1},
		})
		require.NoError(t, err)
		assert.Equal(t, zep.Metadata{"k": 1.0}, updated.Metadata)
	}},
	{"update one that is not there", func(t *testing.T, c *testClient) {
		_, err := c.Session.Update(c.ctx, &zep.UpdateSessionRequest{SessionID: c.id("none"), Metadata: zep.Metadata{"k": 1}})
		require.ErrorIs(t, err, zep.ErrNotFound)
	}},
	{"of concurrent updates through one client all are kept", func(t *testing.T, c *testClient) {
		session := c.addSession(t, zep.CreateSessionRequest{SessionID: "busy"})
		var writers sync.WaitGroup
		for writer := range 4 {
			writers.Add(1)
			go func() {
				defer writers.Done()
				for i := range 5 {
					_, err := c.Session.Update(c.ctx, &zep.UpdateSessionRequest{
						SessionID: session.SessionID, Metadata: zep.Metadata{fmt.Sprint(writer, "-", i): true},
					})
					assert.NoError(t, err)
				}
			}()
		}
		writers.Wait()
		got, err := c.Session.Get(c.ctx, session.SessionID)
		require.NoError(t, err)
		assert.Len(t, got.Metadata, 20)
	}},
	{"delete, and what is left", func(t *testing.T, c *testClient) {
		session := c.addSession(t, zep.CreateSessionRequest{SessionID: "gone"})
		require.NoError(t, c.Session.Delete(c.ctx, session.SessionID))
		require.ErrorIs(t, c.Session.Delete(c.ctx, session.SessionID), zep.ErrNotFound)
		_, err := c.Session.Get(c.ctx, session.SessionID)
		require.ErrorIs(t, err, zep.ErrNotFound)
	}},
	{"a deleted one keeps its id", func(t *testing.T, c *testClient) {
		session := c.addSession(t, zep.CreateSessionRequest{SessionID: "kept"})
		require.NoError(t, c.Session.Delete(c.ctx, session.SessionID))
		_, err := c.Session.Add(c.ctx, &zep.CreateSessionRequest{SessionID: session.SessionID})
		require.ErrorIs(t, err, zep.ErrAlreadyExists)
	}},
	{"an update brings a deleted one back", func(t *testing.T, c *testClient) {
		session := c.addSession(t, zep.CreateSessionRequest{SessionID: "back", Metadata: zep.Metadata{"old": true}})
		require.NoError(t, c.Session.Delete(c.ctx, session.SessionID))
		_, err := c.Session.Update(c.ctx, &zep.UpdateSessionRequest{SessionID: session.SessionID, Metadata: zep.Metadata{"u": 1}})
		require.NoError(t, err)
		got, err := c.Session.Get(c.ctx, session.SessionID)
		require.NoError(t, err)
		assert.Equal(t, session.UUID, got.UUID)
		assert.Equal(t, session.ID, got.ID)
		assert.Equal(t, zep.Metadata{"old": true, "u": 1.0}, got.Metadata)
	}},
	{"list: those after the cursor, at most as many as the limit", func(t *testing.T, c *testClient) {
		a, b := c.addSession(t, zep.CreateSessionRequest{SessionID: "a"}), c.addSession(t, zep.CreateSessionRequest{SessionID: "b"})
		sessions, err := c.Session.List(c.ctx, &zep.ListOptions{Cursor: a.ID - 1, Limit: 1})
		require.NoError(t, err)
		assert.Equal(t, []*zep.Session{a}, sessions)
		sessions, err = c.Session.List(c.ctx, &zep.ListOptions{Cursor: a.ID})
		require.NoError(t, err)
		assert.NotContains(t, sessions, a)
		assert.Contains(t, sessions, b)
	}},
	{"list without a limit: every one but the deleted", func(t *testing.T, c *testClient) {
		a, b := c.addSession(t, zep.CreateSessionRequest{SessionID: "a"}), c.addSession(t, zep.CreateSessionRequest{SessionID: "b"})
		require.NoError(t, c.Session.Delete(c.ctx, a.SessionID))
		sessions, err := c.Session.List(c.ctx, nil)
		require.NoError(t, err)
		assert.Equal(t, []*zep.Session{b}, own(sessions, c, func(s *zep.Session) string { return s.SessionID }))
	}},
	{"list past the end", func(t *testing.T, c *testClient) {
		sessions, err := c.Session.List(c.ctx, &zep.ListOptions{Cursor: 1 << 62, Limit: 2})
		require.NoError(t, err)
		assert.Equal(t, []*zep.Session{}, sessions)
	}},
}

var walkConformance = []conformanceTest{
	{"users, with gaps between their ids, come once each", func(t *testing.T, c *testClient) {
		var want []*zep.User
		for i := range 60 {
			user := c.addUser(t, zep.CreateUserRequest{UserID: fmt.Sprint(i)})
			if i%3 == 0 {
				want = append(want, user)
			} else {
				require.NoError(t, c.User.Delete(c.ctx, user.UserID))
			}
		}
		userID := func(u *zep.User) string { return u.UserID }
		for _, size := range []int{1, 7, 100} {
			if size == 1 && len(os.Getenv("ZEP_TEST_URL")) > 0 {
				continue // one request a user, of a server that may have many
			}
			var chunked []*zep.User
			for users, err := range c.User.ListChunked(c.ctx, size) {
				require.NoError(t, err)
				assert.LessOrEqual(t, len(users), size)
				chunked = append(chunked, users...)
			}
			assert.Equal(t, want, own(chunked, c, userID))
		}
		var all []*zep.User
		for user, err := range c.User.All(c.ctx) {
			require.NoError(t, err)
			all = append(all, user)
		}
		assert.Equal(t, want, own(all, c, userID))
	}},
	{"sessions, with gaps between their ids, come once each", func(t *testing.T, c *testClient) {
		var want []*zep.Session
		for i := range 30 {
			session := c.addSession(t, zep.CreateSessionRequest{SessionID: fmt.Sprint(i)})
			if i%3 == 0 {
				want = append(want, session)
			} else {
				require.NoError(t, c.Session.Delete(c.ctx, session.SessionID))
			}
		}
		sessionID := func(s *zep.Session) string { return s.SessionID }
		var chunked, all []*zep.Session
		for sessions, err := range c.Session.ListChunked(c.ctx, 7) {
			require.NoError(t, err)
			chunked = append(chunked, sessions...)
		}
		assert.Equal(t, want, own(chunked, c, sessionID))
		for session, err := range c.Session.All(c.ctx) {
			require.NoError(t, err)
			all = append(all, session)
		}
		assert.Equal(t, want, own(all, c, sessionID))
	}},
}

var limitConformance = []conformanceTest{
	{"a body over 5 MiB", func(t *testing.T, c *testClient) {
		c.cleanUp(t, "user big", func() error { return c.User.Delete(c.ctx, c.id("big")) }) // of a server with another limit
		_, err := c.User.Add(c.ctx, &zep.CreateUserRequest{
			UserID: c.id("big"), Metadata: zep.Metadata{"x": strings.Repeat("y", 6_000_000)},
		})
		require.ErrorIs(t, err, zep.ErrTooLarge)
		_, err = c.User.Get(c.ctx, c.id("big"))
		require.ErrorIs(t, err, zep.ErrNotFound)
	}},
}

var memoryConformance = []conformanceTest{
	{"get: nothing yet", func(t *testing.T, c *testClient) {
		session := c.addSession(t, zep.CreateSessionRequest{SessionID: "new"})
		memory, err := c.Memory.Get(c.ctx, session.SessionID, nil)
		require.NoError(t, err)
		assert.Equal(t, &zep.Memory{Messages: []*zep.Message{}, Metadata: zep.Metadata{}}, memory)
	}},
	{"get of a session that is not there: no messages, and no error", func(t *testing.T, c *testClient) {
		memory, err := c.Memory.Get(c.ctx, c.id("none"), nil)
		require.NoError(t, err)
		assert.Equal(t, &zep.Memory{Messages: []*zep.Message{}, Metadata: zep.Metadata{}}, memory)
		_, err = c.Session.Get(c.ctx, c.id("none"))
		require.ErrorIs(t, err, zep.ErrNotFound, "not made by asking")
	}},
	{"add, and get", func(t *testing.T, c *testClient) {
		c.addSession(t, zep.CreateSessionRequest{SessionID: "s"})
		require.NoError(t, c.Memory.Add(c.ctx, c.id("s"), &zep.AddMemoryRequest{Messages: []*zep.Message{
			{Role: zep.RoleHuman, Content: "hello world"}, {Role: zep.RoleAI, Content: "hi there", Metadata: zep.Metadata{"k": 1}},
		}}))
		memory, err := c.Memory.Get(c.ctx, c.id("s"), nil)
		require.NoError(t, err)
		require.Len(t, memory.Messages, 2)
		for _, m := range memory.Messages {
			assert.Len(t, m.UUID, 36)
			assert.False(t, m.CreatedAt.IsZero())
		}
		assert.Equal(t, zep.RoleHuman, memory.Messages[0].Role)
		assert.Equal(t, "hello world", memory.Messages[0].Content)
		assert.Equal(t, "hi there", memory.Messages[1].Content)
		assert.Equal(t, 1.0, memory.Messages[1].Metadata["k"])
		assert.Nil(t, memory.Summary, "none yet")
	}},
	{"add makes the session", func(t *testing.T, c *testClient) {
		c.addMemory(t, "made", say("hello")...)
		session, err := c.Session.Get(c.ctx, c.id("made"))
		require.NoError(t, err)
		assert.Empty(t, session.UserID)
	}},
	{"add of no messages", func(t *testing.T, c *testClient) {
		c.addMemory(t, "empty")
		assert.Empty(t, c.messages(t, "empty"))
	}},
	{"the last N, 12 by default, oldest first", func(t *testing.T, c *testClient) {
		var texts []string
		for i := range 15 {
			texts = append(texts, fmt.Sprint("message ", i))
			c.addMemory(t, "window", say(texts[i])...)
		}
		for n, want := range map[int][]string{0: texts[3:], 1: texts[14:], 5: texts[10:], 15: texts, 100: texts} {
			memory, err := c.Memory.Get(c.ctx, c.id("window"), &zep.GetMemoryOptions{LastN: n})
			require.NoError(t, err)
			assert.Equal(t, want, contents(memory.Messages), "LastN %d", n)
		}
	}},
	{"a UUID and a time of the caller's own are kept", func(t *testing.T, c *testClient) {
		uuid := newUUID()
		created := time.Date(2023, 7, 1, 12, 0, 0, 0, time.UTC)
		c.addMemory(t, "own", &zep.Message{UUID: uuid, CreatedAt: created, Role: zep.RoleUser, Content: "hello"})
		m, err := c.Message.Get(c.ctx, c.id("own"), uuid)
		require.NoError(t, err)
		assert.True(t, created.Equal(m.CreatedAt))
		assert.Equal(t, zep.RoleUser, m.Role)
	}},
	{"a UUID that is taken is refused, with all that was sent beside it", func(t *testing.T, c *testClient) {
		uuid := newUUID()
		c.addMemory(t, "twice", &zep.Message{UUID: uuid, Role: zep.RoleHuman, Content: "first"})
		err := c.Memory.Add(c.ctx, c.id("twice"), &zep.AddMemoryRequest{Messages: []*zep.Message{
			{Role: zep.RoleHuman, Content: "beside it"}, {UUID: uuid, Role: zep.RoleHuman, Content: "second"},
		}})
		require.ErrorIs(t, err, zep.ErrServer)
		assert.ErrorContains(t, err, "message_pkey")
		assert.Equal(t, []string{"first"}, contents(c.messages(t, "twice")))
	}},
	{"delete takes the session too", func(t *testing.T, c *testClient) {
		c.addMemory(t, "gone", say("hello")...)
		require.NoError(t, c.Memory.Delete(c.ctx, c.id("gone")))
		require.ErrorIs(t, c.Memory.Delete(c.ctx, c.id("gone")), zep.ErrNotFound)
		_, err := c.Session.Get(c.ctx, c.id("gone"))
		require.ErrorIs(t, err, zep.ErrNotFound)
		assert.Empty(t, c.messages(t, "gone"))
		_, err = c.Session.Add(c.ctx, &zep.CreateSessionRequest{SessionID: c.id("gone")})
		require.ErrorIs(t, err, zep.ErrAlreadyExists)
	}},
	{"a session that is brought back has lost its messages", func(t *testing.T, c *testClient) {
		c.addMemory(t, "back", say("hello")...)
		require.NoError(t, c.Memory.Delete(c.ctx, c.id("back")))
		_, err := c.Session.Update(c.ctx, &zep.UpdateSessionRequest{SessionID: c.id("back"), Metadata: zep.Metadata{"u": 1}})
		require.NoError(t, err)
		assert.Empty(t, c.messages(t, "back"))
		c.addMemory(t, "back", say("anew")...)
		assert.Equal(t, []string{"anew"}, contents(c.messages(t, "back")))
	}},
	{"of concurrent adds to a session that is not there yet all are stored, once", func(t *testing.T, c *testClient) {
		c.cleanUpSession(t, c.id("crowd"))
		var writers sync.WaitGroup
		for writer := range 8 {
			writers.Add(1)
			go func() {
				defer writers.Done()
				err := c.Memory.Add(c.ctx, c.id("crowd"), &zep.AddMemoryRequest{Messages: say(fmt.Sprint(writer))})
				if !errors.Is(err, zep.ErrNotPublished) { // stored all the same
					assert.NoError(t, err)
				}
			}()
		}
		writers.Wait()
		assert.ElementsMatch(t, []string{"0", "1", "2", "3", "4", "5", "6", "7"}, contents(c.messages(t, "crowd")))
	}},
}

// newUUID is a random one.
func newUUID() string {
	u := make([]byte, 16)
	_, _ = rand.Read(u)
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

var messageConformance = []conformanceTest{
	{"list without options: all, oldest first", func(t *testing.T, c *testClient) {
		c.addMemory(t, "s", say("a", "b")...)
		c.addMemory(t, "s", say("c")...)
		list, err := c.Message.List(c.ctx, c.id("s"), nil)
		require.NoError(t, err)
		assert.Equal(t, 3, list.TotalCount)
		assert.Equal(t, 3, list.RowCount)
		assert.Equal(t, "c", list.Messages[2].Content)
		assert.ElementsMatch(t, []string{"a", "b"}, contents(list.Messages[:2]))
		for _, message := range list.Messages {
			assert.True(t, message.UpdatedAt.IsZero(), "lists leave it out")
		}
	}},
	{"pages have numbers, and 0 and 1 are the first", func(t *testing.T, c *testClient) {
		for _, text := range []string{"a", "b", "c", "d", "e"} {
			c.addMemory(t, "pages", say(text)...)
		}
		for page, want := range map[int][]string{0: {"a", "b"}, 1: {"a", "b"}, 2: {"c", "d"}, 3: {"e"}} {
			list, err := c.Message.List(c.ctx, c.id("pages"), &zep.ListMessagesOptions{Limit: 2, Page: page})
			require.NoError(t, err)
			assert.Equal(t, want, contents(list.Messages), "page %d", page)
			assert.Equal(t, 5, list.TotalCount)
			assert.Equal(t, len(want), list.RowCount)
		}
	}},
	{"past the end the total is forgotten", func(t *testing.T, c *testClient) {
		c.addMemory(t, "s", say("a")...)
		list, err := c.Message.List(c.ctx, c.id("s"), &zep.ListMessagesOptions{Limit: 1, Page: 2})
		require.NoError(t, err)
		assert.Equal(t, &zep.MessageList{Messages: []*zep.Message{}}, list)
	}},
	{"list of a session that is not there: empty, and no error", func(t *testing.T, c *testClient) {
		list, err := c.Message.List(c.ctx, c.id("none"), nil)
		require.NoError(t, err)
		assert.Equal(t, &zep.MessageList{Messages: []*zep.Message{}}, list)
	}},
	{"all of more than a page, in order", func(t *testing.T, c *testClient) {
		var want []string
		begin := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
		for batch := range 3 {
			var messages []*zep.Message
			for i := range 200 {
				want = append(want, fmt.Sprint(batch, " ", i))
				messages = append(messages, &zep.Message{
					Role: zep.RoleHuman, Content: want[len(want)-1], CreatedAt: begin.Add(time.Duration(len(want)) * time.Second),
				})
			}
			c.addMemory(t, "long", messages...)
		}
		var got []string
		for m, err := range c.Message.All(c.ctx, c.id("long")) {
			require.NoError(t, err)
			got = append(got, m.Content)
		}
		assert.Equal(t, want, got)
	}},
	{"get", func(t *testing.T, c *testClient) {
		c.addMemory(t, "s", &zep.Message{Role: zep.RoleAI, Content: "hello", Metadata: zep.Metadata{"k": 1}})
		listed := c.messages(t, "s")[0]
		m, err := c.Message.Get(c.ctx, c.id("s"), listed.UUID)
		require.NoError(t, err)
		assert.Equal(t, "hello", m.Content)
		assert.Equal(t, zep.RoleAI, m.Role)
		assert.Equal(t, listed.UUID, m.UUID)
		assert.Equal(t, 1.0, m.Metadata["k"])
	}},
	{"get with a UUID that is none", func(t *testing.T, c *testClient) {
		c.addMemory(t, "s", say("a")...)
		_, err := c.Message.Get(c.ctx, c.id("s"), "xyz")
		require.ErrorIs(t, err, zep.ErrBadRequest)
	}},
	{"get one that is not there: 500, without a word", func(t *testing.T, c *testClient) {
		c.addMemory(t, "s", say("a")...)
		_, err := c.Message.Get(c.ctx, c.id("s"), unknownUUID, zep.RequestMaxAttempts(1))
		require.ErrorIs(t, err, zep.ErrServer)
		var refused *zep.Error
		require.ErrorAs(t, err, &refused)
		assert.Empty(t, refused.Message)
	}},
	{"update merges metadata deep", func(t *testing.T, c *testClient) {
		c.addMemory(t, "s", &zep.Message{Role: zep.RoleHuman, Content: "hello", Metadata: zep.Metadata{"y": map[string]any{"p": 1}}})
		uuid := c.messages(t, "s")[0].UUID
		for _, patch := range []zep.Metadata{{"z": 1}, {"y": map[string]any{"q": 2}}, nil, {}} {
			_, err := c.Message.UpdateMetadata(c.ctx, c.id("s"), uuid, patch)
			require.NoError(t, err)
		}
		m, err := c.Message.Get(c.ctx, c.id("s"), uuid)
		require.NoError(t, err)
		assert.Equal(t, "hello", m.Content)
		assert.Equal(t, 1.0, m.Metadata["z"])
		assert.Equal(t, map[string]any{"p": 1.0, "q": 2.0}, m.Metadata["y"])
	}},
	{"update one that is not there", func(t *testing.T, c *testClient) {
		c.addMemory(t, "s", say("a")...)
		_, err := c.Message.UpdateMetadata(c.ctx, c.id("s"), unknownUUID, zep.Metadata{"z": 1})
		require.ErrorIs(t, err, zep.ErrNotFound)
	}},
	{"of concurrent updates through one client all are kept", func(t *testing.T, c *testClient) {
		c.addMemory(t, "s", say("a")...)
		uuid := c.messages(t, "s")[0].UUID
		var writers sync.WaitGroup
		for writer := range 8 {
			writers.Add(1)
			go func() {
				defer writers.Done()
				for i := range 3 {
					_, err := c.Message.UpdateMetadata(c.ctx, c.id("s"), uuid, zep.Metadata{fmt.Sprint("k", writer, "-", i): true})
					assert.NoError(t, err)
				}
			}()
		}
		writers.Wait()
		m, err := c.Message.Get(c.ctx, c.id("s"), uuid)
		require.NoError(t, err)
		kept := 0
		for key := range m.Metadata { // a live server adds to it
			if strings.HasPrefix(key, "k") {
				kept++
			}
		}
		assert.Equal(t, 24, kept)
	}},
}

// greetings are what the searches find.
func greetings() []*zep.Message {
	return []*zep.Message{
		{Role: zep.RoleHuman, Content: "hello world", Metadata: zep.Metadata{"z": 1}},
		{Role: zep.RoleAI, Content: "hi there", Metadata: zep.Metadata{"k": 1}},
	}
}

// searchable waits until n messages of the session can be found: a search, by metadata too, finds only those with an embedding.
func (c *testClient) searchable(t testing.TB, session string, n int) {
	t.Helper()
	soon(t, func() bool {
		results, err := c.Memory.Search(c.ctx, c.id(session), &zep.SearchMemoryRequest{Text: "hello", Limit: n})
		return err == nil && len(results) == n
	}, "all messages found")
}

func found(results []*zep.MemorySearchResult) (texts []string) {
	for _, r := range results {
		texts = append(texts, r.Message.Content)
	}
	return texts
}

var searchConformance = []conformanceTest{
	{"by text, best first", func(t *testing.T, c *testClient) {
		c.addMemory(t, "s", greetings()...)
		soon(t, func() bool {
			results, err := c.Memory.Search(c.ctx, c.id("s"), &zep.SearchMemoryRequest{Text: "hello", Limit: 2})
			return err == nil && slices.Equal(found(results), []string{"hello world", "hi there"}) && results[0].Dist >= results[1].Dist
		}, "messages found by their text")
		results, err := c.Memory.Search(c.ctx, c.id("s"), &zep.SearchMemoryRequest{Text: "hello", Limit: 1})
		require.NoError(t, err)
		require.Len(t, results, 1)
		assert.Nil(t, results[0].Summary)
		assert.Empty(t, results[0].Embedding)
	}},
	{"MMR gives the embeddings", func(t *testing.T, c *testClient) {
		c.addMemory(t, "s", greetings()...)
		soon(t, func() bool {
			results, err := c.Memory.Search(c.ctx, c.id("s"), &zep.SearchMemoryRequest{
				Text: "hello", Type: zep.SearchTypeMMR, MMRLambda: 0.5, Limit: 2,
			})
			return err == nil && len(results) == 2 && len(results[0].Embedding) > 0
		}, "messages found by MMR")
	}},
	{"in summaries, of which there are none", func(t *testing.T, c *testClient) {
		c.addMemory(t, "s", greetings()...)
		results, err := c.Memory.Search(c.ctx, c.id("s"), &zep.SearchMemoryRequest{Text: "hello", Scope: zep.SearchScopeSummary})
		require.NoError(t, err)
		assert.Equal(t, []*zep.MemorySearchResult{}, results)
	}},
	{"by metadata alone", func(t *testing.T, c *testClient) {
		c.addMemory(t, "s", greetings()...)
		c.searchable(t, "s", 2)
		for path, want := range map[string][]string{
			`$[*] ? (@.k == 1)`: {"hi there"}, `$[*] ? (@.z == 1)`: {"hello world"}, `$[*] ? (@.z == 2)`: nil,
		} {
			results, err := c.Memory.Search(c.ctx, c.id("s"), &zep.SearchMemoryRequest{
				Metadata: zep.SearchFilter{Where: zep.JSONPath(path)}.Metadata(), Limit: 2,
			})
			require.NoError(t, err)
			assert.Equal(t, want, found(results), path)
		}
	}},
	{"by metadata with and, or", func(t *testing.T, c *testClient) {
		c.addMemory(t, "s", greetings()...)
		c.searchable(t, "s", 2)
		k, z := zep.JSONPath(`$[*] ? (@.k == 1)`), zep.JSONPath(`$[*] ? (@.z == 1)`)
		for name, test := range map[string]struct {
			where zep.Condition
			want  []string
		}{
			"and": {zep.And(z, k), nil}, "or": {zep.Or(z, k), []string{"hello world", "hi there"}},
			"and or": {zep.And(z, zep.Or(k, z)), []string{"hello world"}},
		} {
			results, err := c.Memory.Search(c.ctx, c.id("s"), &zep.SearchMemoryRequest{Metadata: zep.SearchFilter{Where: test.where}.Metadata()})
			require.NoError(t, err)
			assert.ElementsMatch(t, test.want, found(results), name)
		}
	}},
	{"by dates", func(t *testing.T, c *testClient) {
		for i, text := range []string{"old", "new"} {
			c.addMemory(t, "s", &zep.Message{
				Role: zep.RoleHuman, Content: text, CreatedAt: time.Date(2020+i, 6, 1, 0, 0, 0, 0, time.UTC), Metadata: zep.Metadata{"d": 1},
			})
		}
		c.searchable(t, "s", 2)
		year := func(y int) time.Time { return time.Date(y, 1, 1, 0, 0, 0, 0, time.UTC) }
		for name, test := range map[string]struct {
			filter zep.SearchFilter
			want   []string
		}{
			"start": {zep.SearchFilter{Start: year(2021)}, []string{"new"}}, "end": {zep.SearchFilter{End: year(2021)}, []string{"old"}},
			"both":    {zep.SearchFilter{Start: year(2020), End: year(2022)}, []string{"old", "new"}},
			"neither": {zep.SearchFilter{Start: year(2022), End: year(2023)}, nil},
		} {
			test.filter.Where = zep.JSONPath(`$[*] ? (@.d == 1)`)
			results, err := c.Memory.Search(c.ctx, c.id("s"), &zep.SearchMemoryRequest{Metadata: test.filter.Metadata()})
			require.NoError(t, err)
			assert.ElementsMatch(t, test.want, found(results), name)
		}
	}},
	{"with a path that PostgreSQL cannot read", func(t *testing.T, c *testClient) {
		c.addMemory(t, "s", greetings()...)
		_, err := c.Memory.Search(c.ctx, c.id("s"), &zep.SearchMemoryRequest{
			Metadata: zep.SearchFilter{Where: zep.JSONPath(`$[*] ? (`)}.Metadata(),
		})
		require.ErrorIs(t, err, zep.ErrServer)
		assert.ErrorContains(t, err, "jsonpath")
	}},
	{"in a session that is not there", func(t *testing.T, c *testClient) {
		results, err := c.Memory.Search(c.ctx, c.id("none"), &zep.SearchMemoryRequest{Text: "hello"})
		require.NoError(t, err)
		assert.Equal(t, []*zep.MemorySearchResult{}, results)
	}},
}

var collectionConformance = []conformanceTest{
	{"add reads back what is there, its name in lower case", func(t *testing.T, c *testClient) {
		collection := c.addCollectionAs(t, zep.CreateCollectionRequest{
			Name: c.collection("DOCS"), Description: "d", Metadata: zep.Metadata{"a": 1}, EmbeddingDimensions: 8,
		})
		assert.NotEmpty(t, collection.UUID)
		assert.Equal(t, c.collection("docs"), collection.Name)
		assert.Equal(t, "d", collection.Description)
		assert.Equal(t, zep.Metadata{"a": 1.0}, collection.Metadata)
		assert.Equal(t, 8, collection.EmbeddingDimensions)
		assert.False(t, collection.IsAutoEmbedded)
		assert.Zero(t, collection.DocumentCount)
		for _, name := range []string{"docs", "DOCS", "Docs"} {
			got, err := c.Collection.Get(c.ctx, c.collection(name))
			require.NoError(t, err)
			assert.Equal(t, collection, got)
		}
	}},
	{"add one whose name is taken", func(t *testing.T, c *testClient) {
		c.addCollection(t, "twice")
		_, err := c.Collection.Add(c.ctx, &zep.CreateCollectionRequest{Name: c.collection("TWICE"), EmbeddingDimensions: 8})
		require.ErrorIs(t, err, zep.ErrAlreadyExists)
	}},
	{"add what the server would not take", func(t *testing.T, c *testClient) {
		for _, req := range []zep.CreateCollectionRequest{
			{Name: "ab", EmbeddingDimensions: 8}, {Name: "a-b", EmbeddingDimensions: 8}, {Name: c.collection("x"), EmbeddingDimensions: 7},
			{Name: c.collection("x"), EmbeddingDimensions: 2001}, {Name: strings.Repeat("x", 41), EmbeddingDimensions: 8},
		} {
			_, err := c.Collection.Add(c.ctx, &req)
			require.ErrorIs(t, err, zep.ErrBadRequest, "%+v", req)
		}
	}},
	{"get one that is not there", func(t *testing.T, c *testClient) {
		_, err := c.Collection.Get(c.ctx, c.collection("none"))
		require.ErrorIs(t, err, zep.ErrNotFound)
	}},
	{"list", func(t *testing.T, c *testClient) {
		a, b := c.addCollection(t, "a"), c.addCollection(t, "b")
		collections, err := c.Collection.List(c.ctx)
		require.NoError(t, err)
		var mine []*zep.Collection
		for _, collection := range collections {
			if strings.HasPrefix(collection.Name, c.collection("")) {
				mine = append(mine, collection)
			}
		}
		assert.ElementsMatch(t, []*zep.Collection{a, b}, mine)
	}},
	{"update replaces the metadata", func(t *testing.T, c *testClient) {
		c.addCollectionAs(t, zep.CreateCollectionRequest{
			Name: c.collection("upd"), Description: "d", Metadata: zep.Metadata{"a": 1}, EmbeddingDimensions: 8,
		})
		updated, err := c.Collection.Update(c.ctx, &zep.UpdateCollectionRequest{
			Name: c.collection("upd"), Description: "d2", Metadata: zep.Metadata{"b": 2},
		})
		require.NoError(t, err)
		assert.Equal(t, "d2", updated.Description)
		assert.Equal(t, zep.Metadata{"b": 2.0}, updated.Metadata)
	}},
	{"update one that is not there", func(t *testing.T, c *testClient) {
		_, err := c.Collection.Update(c.ctx, &zep.UpdateCollectionRequest{Name: c.collection("none"), Description: "d2"})
		require.ErrorIs(t, err, zep.ErrNotFound)
	}},
	{"delete, and what is left", func(t *testing.T, c *testClient) {
		collection := c.addCollection(t, "gone")
		c.addDocuments(t, collection.Name, &zep.CreateDocumentRequest{Content: "v"})
		require.NoError(t, c.Collection.Delete(c.ctx, collection.Name))
		require.ErrorIs(t, c.Collection.Delete(c.ctx, collection.Name), zep.ErrNotFound)
		again := c.addCollection(t, "gone")
		assert.NotEqual(t, collection.UUID, again.UUID)
		assert.Zero(t, again.DocumentCount)
	}},
	{"index", func(t *testing.T, c *testClient) {
		collection := c.addCollection(t, "index")
		c.addDocuments(t, collection.Name, &zep.CreateDocumentRequest{Content: "v"}, &zep.CreateDocumentRequest{Content: "w"})
		for _, force := range []bool{false, true} {
			require.NoError(t, c.Collection.CreateIndex(c.ctx, collection.Name, force))
		}
	}},
	{"search by embedding, best first", func(t *testing.T, c *testClient) {
		collection := c.addCollection(t, "vec")
		c.addDocuments(t, collection.Name, &zep.CreateDocumentRequest{Content: "v"}, &zep.CreateDocumentRequest{Content: "w"})
		results, err := c.Collection.Search(c.ctx, collection.Name, &zep.SearchDocumentsRequest{Embedding: axis(1), Limit: 1})
		require.NoError(t, err)
		assert.Equal(t, axis(1), results.QueryVector)
		assert.Equal(t, 1, results.ResultCount)
		require.Len(t, results.Results, 1)
		assert.Equal(t, "w", results.Results[0].Content)
		assert.InDelta(t, 1, results.Results[0].Score, 1e-6)
	}},
	{"search by metadata", func(t *testing.T, c *testClient) {
		collection := c.addCollection(t, "meta")
		c.addDocuments(t, collection.Name,
			&zep.CreateDocumentRequest{Content: "v", Metadata: zep.Metadata{"z": 8}},
			&zep.CreateDocumentRequest{Content: "w", Metadata: zep.Metadata{"z": 9}})
		results, err := c.Collection.Search(c.ctx, collection.Name, &zep.SearchDocumentsRequest{
			Embedding: axis(0), Metadata: zep.SearchFilter{Where: zep.JSONPath(`$[*] ? (@.z == 9)`)}.Metadata(),
		})
		require.NoError(t, err)
		require.Len(t, results.Results, 1)
		assert.Equal(t, "w", results.Results[0].Content)
	}},
	{"search by MMR", func(t *testing.T, c *testClient) {
		collection := c.addCollection(t, "mmr")
		c.addDocuments(t, collection.Name, &zep.CreateDocumentRequest{Content: "v"}, &zep.CreateDocumentRequest{Content: "w"})
		results, err := c.Collection.Search(c.ctx, collection.Name, &zep.SearchDocumentsRequest{
			Embedding: []float32{3, 4, 0, 0, 0, 0, 0, 0}, Type: zep.SearchTypeMMR, MMRLambda: 0.4, Limit: 2,
		})
		require.NoError(t, err)
		require.Len(t, results.Results, 2)
		assert.Equal(t, "w", results.Results[0].Content)
	}},
	// The server embeds these itself, with the 384 dimensions of the model that Zep comes with.
	{"search by text", func(t *testing.T, c *testClient) {
		collection := c.addCollectionAs(t, zep.CreateCollectionRequest{
			Name: c.collection("text"), EmbeddingDimensions: 384, IsAutoEmbedded: true,
		})
		_, err := c.Document.Add(c.ctx, collection.Name, []*zep.CreateDocumentRequest{
			{Content: "the quick brown fox"}, {Content: "lazy dogs sleep"},
		})
		require.NoError(t, err)
		soon(t, func() bool {
			results, err := c.Collection.Search(c.ctx, collection.Name, &zep.SearchDocumentsRequest{Text: "quick fox", Limit: 1})
			return err == nil && len(results.Results) == 1 && results.Results[0].Content == "the quick brown fox"
		}, "a document found by its text")
	}},
	{"search one that is not there", func(t *testing.T, c *testClient) {
		_, err := c.Collection.Search(c.ctx, c.collection("none"), &zep.SearchDocumentsRequest{Text: "x"})
		require.ErrorIs(t, err, zep.ErrNotFound)
	}},
}

var documentConformance = []conformanceTest{
	{"add returns the UUIDs in order", func(t *testing.T, c *testClient) {
		collection := c.addCollection(t, "docs")
		uuids := c.addDocuments(t, collection.Name,
			&zep.CreateDocumentRequest{Content: "a", DocumentID: "d1", Metadata: zep.Metadata{"k": 1}},
			&zep.CreateDocumentRequest{Content: "b", DocumentID: "d2"}, &zep.CreateDocumentRequest{Content: "c"})
		for i, want := range []string{"a", "b", "c"} {
			document, err := c.Document.Get(c.ctx, collection.Name, uuids[i])
			require.NoError(t, err)
			assert.Equal(t, uuids[i], document.UUID)
			assert.Equal(t, want, document.Content)
			assert.Equal(t, axis(i), document.Embedding)
			assert.True(t, document.IsEmbedded)
		}
		counted, err := c.Collection.Get(c.ctx, collection.Name)
		require.NoError(t, err)
		assert.Equal(t, 3, counted.DocumentCount)
	}},
	{"add of none", func(t *testing.T, c *testClient) {
		uuids, err := c.Document.Add(c.ctx, c.addCollection(t, "docs").Name, nil)
		require.NoError(t, err)
		assert.Empty(t, uuids)
	}},
	{"add with a document_id that is taken, with all that was sent beside it", func(t *testing.T, c *testClient) {
		collection := c.addCollection(t, "docs")
		c.addDocuments(t, collection.Name, &zep.CreateDocumentRequest{Content: "a", DocumentID: "d1"})
		_, err := c.Document.Add(c.ctx, collection.Name, []*zep.CreateDocumentRequest{
			{Content: "b", Embedding: axis(0)}, {Content: "again", DocumentID: "d1", Embedding: axis(1)},
		})
		require.ErrorIs(t, err, zep.ErrAlreadyExists)
		counted, err := c.Collection.Get(c.ctx, collection.Name)
		require.NoError(t, err)
		assert.Equal(t, 1, counted.DocumentCount)
	}},
	{"add with other dimensions than the collection's", func(t *testing.T, c *testClient) {
		_, err := c.Document.Add(c.ctx, c.addCollection(t, "docs").Name, []*zep.CreateDocumentRequest{{Content: "v", Embedding: []float32{1, 0}}})
		require.ErrorIs(t, err, zep.ErrServer)
		assert.ErrorContains(t, err, "expected 8 dimensions, not 2")
	}},
	{"add to a collection that is not there", func(t *testing.T, c *testClient) {
		_, err := c.Document.Add(c.ctx, c.collection("none"), []*zep.CreateDocumentRequest{{Content: "x"}})
		require.ErrorIs(t, err, zep.ErrNotFound)
	}},
	{"get one that is not there, or with a UUID that is none", func(t *testing.T, c *testClient) {
		collection := c.addCollection(t, "docs")
		_, err := c.Document.Get(c.ctx, collection.Name, unknownUUID)
		require.ErrorIs(t, err, zep.ErrNotFound)
		_, err = c.Document.Get(c.ctx, collection.Name, "xyz")
		require.ErrorIs(t, err, zep.ErrBadRequest)
	}},
	{"get many, by UUID and by id; none of none", func(t *testing.T, c *testClient) {
		collection := c.addCollection(t, "docs")
		uuids := c.addDocuments(t, collection.Name,
			&zep.CreateDocumentRequest{Content: "a", DocumentID: "d1"}, &zep.CreateDocumentRequest{Content: "b", DocumentID: "d2"},
			&zep.CreateDocumentRequest{Content: "c", DocumentID: "d3"})
		for name, get := range map[string]func() ([]*zep.Document, error){
			"UUIDs": func() ([]*zep.Document, error) { return c.Document.GetByUUIDs(c.ctx, collection.Name, uuids[:2]) },
			"ids": func() ([]*zep.Document, error) {
				return c.Document.GetByIDs(c.ctx, collection.Name, []string{"d1", "d2", "d9"})
			},
		} {
			documents, err := get()
			require.NoError(t, err, name)
			var texts []string
			for _, d := range documents {
				texts = append(texts, d.Content)
			}
			assert.ElementsMatch(t, []string{"a", "b"}, texts, name)
		}
		documents, err := c.Document.GetByUUIDs(c.ctx, collection.Name, nil)
		require.NoError(t, err)
		assert.Empty(t, documents)
		documents, err = c.Document.GetByIDs(c.ctx, collection.Name, nil)
		require.NoError(t, err)
		assert.Empty(t, documents)
	}},
	{"update replaces the metadata", func(t *testing.T, c *testClient) {
		collection := c.addCollection(t, "docs")
		uuids := c.addDocuments(t, collection.Name, &zep.CreateDocumentRequest{Content: "a", DocumentID: "d1", Metadata: zep.Metadata{"k": 1}})
		require.NoError(t, c.Document.Update(c.ctx, collection.Name, &zep.UpdateDocumentRequest{
			UUID: uuids[0], DocumentID: "d1b", Metadata: zep.Metadata{"z": 9},
		}))
		document, err := c.Document.Get(c.ctx, collection.Name, uuids[0])
		require.NoError(t, err)
		assert.Equal(t, "d1b", document.DocumentID)
		assert.Equal(t, zep.Metadata{"z": 9.0}, document.Metadata)
		assert.Equal(t, "a", document.Content)
	}},
	{"update many", func(t *testing.T, c *testClient) {
		collection := c.addCollection(t, "docs")
		uuids := c.addDocuments(t, collection.Name, &zep.CreateDocumentRequest{Content: "a"}, &zep.CreateDocumentRequest{Content: "b"})
		require.NoError(t, c.Document.UpdateAll(c.ctx, collection.Name, []*zep.UpdateDocumentRequest{
			{UUID: uuids[1], DocumentID: "d2", Metadata: zep.Metadata{"y": 1}}, {UUID: uuids[0], DocumentID: "d1", Metadata: zep.Metadata{"y": 0}},
		}))
		for i, uuid := range uuids {
			document, err := c.Document.Get(c.ctx, collection.Name, uuid)
			require.NoError(t, err)
			assert.Equal(t, fmt.Sprint("d", i+1), document.DocumentID)
			assert.Equal(t, zep.Metadata{"y": float64(i)}, document.Metadata)
		}
	}},
	{"update one that is not there", func(t *testing.T, c *testClient) {
		err := c.Document.Update(c.ctx, c.addCollection(t, "docs").Name, &zep.UpdateDocumentRequest{
			UUID: unknownUUID, Metadata: zep.Metadata{"z": 9},
		})
		require.ErrorIs(t, err, zep.ErrNotFound)
	}},
	{"delete, again, and many", func(t *testing.T, c *testClient) {
		collection := c.addCollection(t, "docs")
		uuids := c.addDocuments(t, collection.Name,
			&zep.CreateDocumentRequest{Content: "a"}, &zep.CreateDocumentRequest{Content: "b"}, &zep.CreateDocumentRequest{Content: "c"})
		for range 2 {
			require.NoError(t, c.Document.Delete(c.ctx, collection.Name, uuids[0]))
		}
		_, err := c.Document.Get(c.ctx, collection.Name, uuids[0])
		require.ErrorIs(t, err, zep.ErrNotFound)
		require.NoError(t, c.Document.DeleteAll(c.ctx, collection.Name, uuids[:2]))
		require.NoError(t, c.Document.DeleteAll(c.ctx, collection.Name, nil))
		left, err := c.Document.GetByUUIDs(c.ctx, collection.Name, uuids)
		require.NoError(t, err)
		require.Len(t, left, 1)
		assert.Equal(t, "c", left[0].Content)
	}},
}
