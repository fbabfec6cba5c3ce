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
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/zeptest"
)

// TestConformance makes each documented call, and meets each surprise of the server, through the
// client. The server is one of package zeptest, in each version that it knows, or a running Zep if
// ZEP_TEST_URL (and ZEP_TEST_API_KEY, if it requires one) name it. A running Zep may have other
// users and other writers: the tests look at what they made themselves, and delete it.
//
//	ZEP_TEST_URL=http://localhost:8000 go test -count=1 -timeout 550s -run TestConformance .
func TestConformance(t *testing.T) {
	t.Parallel()
	if os.Getenv("ZEP_TEST_URL") != "" {
		server := liveServer(t)
		server.client(t).waitForTurn(t)
		testConformance(t, server)
		return
	}
	for _, version := range []string{
		"0.27.2", "0.26.0", "0.25.0", "0.23.0", "0.20.1", "0.19.0", "0.18.0", "0.16.0", "0.15.2",
	} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			server := newTestServer(t, zeptest.WithServerVersion(version))
			t.Cleanup(func() { assertEmpty(t, server) })
			testConformance(t, server)
		})
	}
}

// testConformance runs all tests. A running Zep gets one at a time: it leaves records locked whose
// metadata is updated at once, and creates no collection while it retries the messages of deleted
// sessions. So collections come first.
func testConformance(t *testing.T, server testServer) {
	parallel := (*testing.T).Parallel
	if server.isLive {
		parallel = func(*testing.T) {}
	}
	for _, area := range []struct {
		name  string
		tests []conformanceTest
	}{
		{"collections", collectionConformance},
		{"documents", documentConformance},
		{"search", searchConformance},
		{"health", healthConformance(server)},
		{"users", userConformance},
		{"user ids on the path", idConformance()},
		{"sessions", sessionConformance},
		{"get or add, and upsert", getOrAddConformance},
		{"walks", walkConformance},
		{"messages", messageConformance(server)},
		{"memory", memoryConformance},
		{"limits", limitConformance},
	} {
		t.Run(area.name, func(t *testing.T) {
			parallel(t)
			for _, test := range area.tests {
				t.Run(test.name, func(t *testing.T) {
					parallel(t)
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

// testServer is what the tests conform to.
type testServer struct {
	url, key string
	minor    int // of its version 0.N
	isLive   bool
}

// isUpTo says whether the server's version is 0.minor or older.
func (s testServer) isUpTo(minor int) bool { return s.minor <= minor }

// newTestServer returns a server of package zeptest that requires a key.
func newTestServer(t testing.TB, opts ...zeptest.Option) testServer {
	t.Helper()
	const key = "a-key-for-these-tests"
	server := zeptest.NewServer(append(opts, zeptest.WithAPIKey(key))...)
	t.Cleanup(server.Close)
	return testServer{server.URL, key, 0, false}.withVersion(t)
}

func liveServer(t testing.TB) testServer {
	t.Helper()
	return testServer{os.Getenv("ZEP_TEST_URL"), os.Getenv("ZEP_TEST_API_KEY"), 0, true}.withVersion(t)
}

// withVersion asks the server for its version. One that does not tell is taken for the newest.
func (s testServer) withVersion(t testing.TB) testServer {
	t.Helper()
	health, err := s.client(t).Health(context.Background())
	require.NoError(t, err)
	if n, err := fmt.Sscanf(health.Version, "0.%d.", &s.minor); n != 1 {
		t.Logf("version %q: %v", health.Version, err)
		s.minor = 27
	}
	return s
}

// waitForTurn waits until no other run of the tests uses the server, for at most five minutes. Of
// two runs side by side on v0.27.2, one left a user locked that it was still updating: any other
// request between the two halves of an update can do that. A user stands for the run under way.
func (c *testClient) waitForTurn(t *testing.T) {
	t.Helper()
	const id = "zep-go-conformance-run"
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); <-tick.C {
		_, err := c.User.Add(c.ctx, &zep.CreateUserRequest{UserID: id})
		if err == nil {
			c.cleanUp(t, "user "+id, func() error { return c.User.Delete(c.ctx, id) })
			return
		}
		require.ErrorIs(t, err, zep.ErrAlreadyExists)
		other, err := c.User.Get(c.ctx, id)
		if err == nil && time.Since(other.CreatedAt) > 15*time.Minute { // it was killed
			err = c.User.Delete(c.ctx, id)
		}
		if !errors.Is(err, zep.ErrNotFound) {
			require.NoError(t, err)
		}
	}
	require.Fail(t, "another run has not ended in five minutes; if there is none, delete user "+id)
}

// assertEmpty asserts that the tests deleted what they made.
func assertEmpty(t *testing.T, server testServer) {
	t.Helper()
	c := server.client(t)
	users, err := c.User.List(c.ctx, nil)
	require.NoError(t, err)
	assert.Empty(t, users)
	sessions, err := c.Session.List(c.ctx, nil)
	require.NoError(t, err)
	assert.Empty(t, sessions)
	collections, err := c.Collection.List(c.ctx)
	require.NoError(t, err)
	assert.Empty(t, collections)
}

// client returns a client for one test. opts come last, so they win.
func (s testServer) client(t testing.TB, opts ...zep.Option) *testClient {
	t.Helper()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(transport.CloseIdleConnections)
	c, err := zep.NewClient(slices.Concat([]zep.Option{
		zep.WithBaseURL(s.url),
		zep.WithAPIKey(s.key),
		zep.WithHTTPClient(&http.Client{Transport: transport}),
	}, opts)...)
	require.NoError(t, err)
	random := make([]byte, 6)
	_, _ = rand.Read(random)
	return &testClient{
		Client: c,
		server: s,
		ctx:    context.Background(),
		prefix: hex.EncodeToString(random),
	}
}

// testClient adds records with ids that no other test has, and deletes them when the test ends.
type testClient struct {
	*zep.Client
	server testServer
	ctx    context.Context
	prefix string
}

func (c *testClient) id(name string) string { return "zep-go-" + c.prefix + "-" + name }

// addUser adds a user whose id is made from the one in req.
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
	c.cleanUp(t, "session "+id, func() error {
		c.embedded(t, id)
		return c.Session.Delete(c.ctx, id)
	})
}

// embedded waits until the server has worked on the messages of the session with that id. Call it
// before the session is deleted. v0.27.2 works on one batch after another, and retries a batch
// whose messages are gone for 12 to 22 s. Until then it works on no other session's messages, and
// creates no collection: the index of a collection waits for the transaction of the batch.
func (c *testClient) embedded(t testing.TB, id string) {
	t.Helper()
	memory, err := c.Memory.Get(c.ctx, id, &zep.GetMemoryOptions{LastN: 1000})
	if c.server.isUpTo(19) && errors.Is(err, zep.ErrNotFound) {
		return
	}
	if !assert.NoError(t, err) || len(memory.Messages) == 0 {
		return
	}
	n := len(memory.Messages)
	soon(t, func() bool {
		results, err := c.Memory.Search(c.ctx, id, &zep.SearchMemoryRequest{Text: "x", Limit: n})
		return err == nil && len(results) == n
	}, fmt.Sprintf("the embeddings of the %d messages of session %s", n, id))
	if c.server.isLive && !holdsWithin(10*time.Second, func() bool {
		memory, err := c.Memory.Get(c.ctx, id, &zep.GetMemoryOptions{LastN: 1000})
		return err == nil && isEnriched(memory)
	}) {
		t.Logf("10 s went by without entities, intents or summary of session %s", id)
	}
}

// isEnriched says whether the server has added to a session's messages what it adds by default:
// entities and intents, and a summary of 12 and more.
func isEnriched(memory *zep.Memory) bool {
	for _, m := range memory.Messages {
		system, _ := m.Metadata["system"].(map[string]any)
		if _, ok := system["intent"]; !ok {
			return false
		}
		if _, ok := system["entities"]; !ok {
			return false
		}
	}
	if len(memory.Messages) < 12 {
		return true
	}
	return memory.Summary != nil && len(memory.Summary.Metadata) > 0
}

// cleanUp removes what the test made, unless the test has removed it itself.
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
	require.NoError(t, c.Memory.Add(c.ctx, c.id(session),
		&zep.AddMemoryRequest{Messages: messages}))
}

// messages returns all messages of the session of that name.
func (c *testClient) messages(t testing.TB, session string) []*zep.Message {
	t.Helper()
	if c.server.isUpTo(20) {
		memory, err := c.Memory.Get(c.ctx, c.id(session), &zep.GetMemoryOptions{LastN: 1000})
		if c.server.isUpTo(19) && errors.Is(err, zep.ErrNotFound) {
			return nil // it says so of a session without messages
		}
		require.NoError(t, err)
		return memory.Messages
	}
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

// collection returns a name for a collection: of letters and digits only.
func (c *testClient) collection(name string) string { return "zepgo" + c.prefix + name }

// addCollection adds a collection for documents that bring their own embeddings, of 8 dimensions,
// so that it does not matter which model the server has.
func (c *testClient) addCollection(t testing.TB, name string) *zep.Collection {
	t.Helper()
	return c.addCollectionAs(t, zep.CreateCollectionRequest{
		Name:                c.collection(name),
		EmbeddingDimensions: 8,
	})
}

func (c *testClient) addCollectionAs(
	t testing.TB, req zep.CreateCollectionRequest,
) *zep.Collection {
	t.Helper()
	collection, err := c.Collection.Add(c.ctx, &req)
	require.NoError(t, err)
	c.cleanUp(t, "collection "+req.Name, func() error {
		return c.Collection.Delete(c.ctx, req.Name)
	})
	return collection
}

// axis returns an embedding that is at a right angle to every other axis.
func axis(n int) []float32 {
	embedding := make([]float32, 8)
	embedding[n] = 1
	return embedding
}

// addDocuments adds documents with the embeddings axis(0), axis(1) and so on.
func (c *testClient) addDocuments(
	t testing.TB, collection string, documents ...*zep.CreateDocumentRequest,
) []string {
	t.Helper()
	for i, d := range documents {
		d.Embedding = axis(i)
	}
	uuids, err := c.Document.Add(c.ctx, collection, documents)
	require.NoError(t, err)
	require.Len(t, uuids, len(documents))
	return uuids
}

// unknownUUID is the UUID of no message and no document.
const unknownUUID = "00000000-0000-0000-0000-000000000001"

// soon waits, for at most a minute, until a condition holds that the server makes true some time
// after it has answered. v0.27.2 looks for work each half second. It spends up to 22 s on a batch
// that it cannot embed, which may be another client's.
func soon(t testing.TB, holds func() bool, what string) {
	t.Helper()
	if !holdsWithin(time.Minute, holds) {
		assert.Fail(t, "waited a minute in vain for "+what)
	}
}

func holdsWithin(limit time.Duration, holds func() bool) bool {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); <-tick.C {
		if holds() {
			return true
		}
	}
	return false
}

// own returns those of the records that this test made.
func own[T any](records []*T, c *testClient, id func(*T) string) (mine []*T) {
	for _, r := range records {
		if strings.HasPrefix(id(r), c.id("")) {
			mine = append(mine, r)
		}
	}
	return mine
}

// newUUID returns a random UUID.
func newUUID() string {
	u := make([]byte, 16)
	_, _ = rand.Read(u)
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
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
		{"a wrong path is not a record that is not there", func(t *testing.T, c *testClient) {
			nowhere := server.client(t, zep.WithBaseURL(server.url+"/nowhere"))
			_, err := nowhere.User.Get(c.ctx, "jane")
			require.ErrorIs(t, err, zep.ErrEndpointNotFound)
			require.NotErrorIs(t, err, zep.ErrNotFound)
			assert.NotContains(t, err.Error(), "<")
			assert.Contains(t, err.Error(), "base URL")
		}},
	}
	if server.key == "" {
		return tests // of a running server that requires none
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

var limitConformance = []conformanceTest{
	{"a body over 5 MiB", func(t *testing.T, c *testClient) {
		// A server may have another limit.
		c.cleanUp(t, "user big", func() error { return c.User.Delete(c.ctx, c.id("big")) })
		_, err := c.User.Add(c.ctx, &zep.CreateUserRequest{
			UserID:   c.id("big"),
			Metadata: zep.Metadata{"x": strings.Repeat("y", 6_000_000)},
		})
		require.ErrorIs(t, err, zep.ErrTooLarge)
		_, err = c.User.Get(c.ctx, c.id("big"))
		require.ErrorIs(t, err, zep.ErrNotFound)
	}},
}
