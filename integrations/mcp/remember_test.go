package zepmcp

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/internal/chaos"
	"github.com/zep-go/zep/zeptest"
)

// contents returns the contents of the messages of a session.
func contents(t *testing.T, client *zep.Client, sessionID string) []string {
	t.Helper()
	messages, err := zep.Collect(client.Message.All(context.Background(), sessionID))
	require.NoError(t, err)
	texts := []string{}
	for _, m := range messages {
		texts = append(texts, m.Content)
	}
	return texts
}

func TestRemember(t *testing.T) {
	t.Parallel()
	_, client := newZep(t)
	tools := newTools(t, client, nil)
	metadata := zep.Metadata{"n": 5.0, "deep": object{"x": []any{1.0}}}
	got := tools.ok("remember", object{"session_id": "s1", "messages": []object{
		{"role": "user", "content": "a <b> & c", "metadata": metadata},
		{"role": "assistant", "content": "日本 😀"},
	}})
	assert.Equal(t, "s1", got.object["session_id"])
	assert.Equal(t, 2.0, got.object["stored"])
	assert.Contains(t, tools.ok("recall", object{"session_id": "s1"}).text, `"a <b> & c"`,
		"HTML takes no more of an answer than it has")

	messages, err := zep.Collect(client.Message.All(context.Background(), "s1"))
	require.NoError(t, err)
	require.Len(t, messages, 2)
	assert.Equal(t, zep.RoleUser, messages[0].Role)
	assert.Equal(t, "a <b> & c", messages[0].Content)
	assert.Equal(t, metadata, messages[0].Metadata)
	assert.Equal(t, "日本 😀", messages[1].Content)
	assert.Equal(t, []any{messages[0].UUID, messages[1].UUID}, got.object["message_uuids"])

	session, err := client.Session.Get(context.Background(), "s1")
	require.NoError(t, err)
	assert.Empty(t, session.UserID)
}

func TestRemember_User(t *testing.T) {
	t.Parallel()
	_, client := newZep(t)
	ctx := context.Background()
	tools := newTools(t, client, nil)
	for range 2 { // the user and the session are new, and then they are not
		tools.ok("remember", object{"session_id": "s1", "user_id": "jane", "messages": say("hello")})
	}
	session, err := client.Session.Get(ctx, "s1")
	require.NoError(t, err)
	assert.Equal(t, "jane", session.UserID)
	assert.Len(t, contents(t, client, "s1"), 2)

	assert.Equal(t, `session_id "s1" is taken by a session of somebody else. `+
		`Choose another session_id.`, tools.fails("remember",
		object{"session_id": "s1", "user_id": "bob", "messages": say("no")}))
	tools.ok("remember", object{"session_id": "s1", "messages": say("of whoever it is")})
	assert.Len(t, contents(t, client, "s1"), 3)

	require.NoError(t, client.Session.Delete(ctx, "s1"))
	tools.ok("remember", object{"session_id": "s1", "user_id": "jane", "messages": say("back")})
	assert.Equal(t, []string{"back"}, contents(t, client, "s1"))
}

func TestRemember_RequestID(t *testing.T) {
	t.Parallel()
	_, client := newZep(t)
	tools := newTools(t, client, nil)
	arguments := object{"session_id": "s1", "messages": say("a", "b"), "request_id": "r1"}
	first := tools.ok("remember", arguments)
	assert.Equal(t, "r1", first.object["request_id"])
	assert.Equal(t, first.object, tools.ok("remember", arguments).object)
	assert.Equal(t, []string{"a", "b"}, contents(t, client, "s1"))

	arguments["messages"] = say("a", "b", "c") // the rest of a call that was stored in part
	tools.ok("remember", arguments)
	assert.Equal(t, []string{"a", "b", "c"}, contents(t, client, "s1"))

	arguments["messages"] = say("a", "x")
	assert.Equal(t,
		"request_id was used before for other messages. Choose another request_id, or leave it out.",
		tools.fails("remember", arguments))

	arguments["session_id"] = "s2" // another session has its own
	tools.ok("remember", arguments)
	assert.Equal(t, []string{"a", "x"}, contents(t, client, "s2"))

	require.NoError(t, client.Session.Delete(context.Background(), "s2"))
	assert.Contains(t, tools.fails("remember", arguments), "the messages of that call were deleted")

	tools.ok("remember", object{"session_id": "s1", "messages": say("a")}) // without: one more
	assert.Equal(t, []string{"a", "b", "c", "a"}, contents(t, client, "s1"))
}

func TestRemember_NotPublished(t *testing.T) {
	t.Parallel()
	server, client := newZep(t)
	server.Inject(zeptest.Fault{
		Method: http.MethodPost,
		Route:  "/sessions/{sessionId}/memory",
		Apply:  true,
		Status: 500,
		Body:   "failed to publish new messages: no\n",
	})
	got := newTools(t, client, nil).ok("remember", object{"session_id": "s1", "messages": say("a")})
	assert.Contains(t, got.object["note"], "Do not store them again.")
	assert.Equal(t, []string{"a"}, contents(t, client, "s1"))
}

// A server before v0.21 cannot tell what is stored, so the error of a repeated call says so.
func TestRemember_RequestID_OldServer(t *testing.T) {
	t.Parallel()
	_, client := newZep(t, zeptest.WithServerVersion("0.20.1"))
	tools := newTools(t, client, nil)
	arguments := object{"session_id": "s1", "messages": say("a"), "request_id": "r1"}
	tools.ok("remember", arguments)
	assert.Contains(t, tools.fails("remember", arguments), "too old for this")
	memory, err := client.Memory.Get(context.Background(), "s1", &zep.GetMemoryOptions{LastN: 10})
	require.NoError(t, err)
	assert.Len(t, memory.Messages, 1)
}

var requestID = regexp.MustCompile(`with request_id "([^"]+)"`)

// A model follows the error: the messages are stored once, whatever became of the first call.
func TestRemember_Ambiguous(t *testing.T) {
	t.Parallel()
	for name, apply := range map[string]bool{"stored": true, "not stored": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, client := newZep(t)
			tools := newTools(t, client, nil)
			server.Inject(zeptest.Fault{
				Method: http.MethodPost, Route: "/sessions/{sessionId}/memory",
				Apply: apply, Status: 500, Body: "out of memory\n",
			})
			arguments := object{"session_id": "s1", "messages": say("a", "b")}
			text := tools.fails("remember", arguments)
			assert.Contains(t, text, "Some of the messages may be stored.")
			assert.NotContains(t, text, sameAgain)
			id := requestID.FindStringSubmatch(text)
			require.NotNil(t, id, text)
			arguments["request_id"] = id[1]
			tools.ok("remember", arguments)
			assert.Equal(t, []string{"a", "b"}, contents(t, client, "s1"))
		})
	}
}

// Several models store messages over a connection of which a fifth of the exchanges fail. They
// follow the errors, and each message is stored once.
func TestRemember_Chaos(t *testing.T) {
	t.Parallel()
	const models, turns = 8, 25
	server, direct := newZep(t)
	proxy := chaos.New(server, 15, 0.2)
	t.Cleanup(proxy.Close)
	client, err := server.Client(
		zep.WithBaseURL(proxy.URL),
		zep.WithTimeout(20*time.Second), // so that a Retry-After of 30 s is not waited for
		zep.WithBackoff(time.Millisecond, 10*time.Millisecond),
		zep.WithMiddleware(labelRequests),
	)
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)
	tools := newTools(t, client, &Options{UserID: "jane"})
	var wg sync.WaitGroup
	for model := range models {
		wg.Go(func() {
			for turn := range turns {
				text := fmt.Sprintf("model %d turn %d", model, turn)
				arguments := object{
					"session_id": fmt.Sprintf("s%d", model%4), // two models share one
					"messages":   say(text+" a", text+" b"),
				}
				for {
					got := tools.call("remember", arguments)
					if !got.isError {
						break
					}
					if id := requestID.FindStringSubmatch(got.text); id != nil {
						arguments["request_id"] = id[1]
					}
				}
			}
		})
	}
	wg.Wait()

	for session := range 4 {
		stored := contents(t, direct, fmt.Sprintf("s%d", session))
		want := []string{}
		for _, model := range []int{session, session + 4} {
			var ofModel []string
			for turn := range turns {
				text := fmt.Sprintf("model %d turn %d", model, turn)
				ofModel = append(ofModel, text+" a", text+" b")
			}
			want = append(want, ofModel...)
			var in []string // the order of each model is kept
			for _, text := range stored {
				if regexp.MustCompile(fmt.Sprintf("^model %d ", model)).MatchString(text) {
					in = append(in, text)
				}
			}
			assert.Equal(t, ofModel, in)
		}
		assert.ElementsMatch(t, want, stored)
	}
	exchanges, faults := proxy.Counts()
	assert.Greater(t, exchanges, models*turns)
	assert.Greater(t, len(faults), 10)
	t.Logf("%d exchanges, %d kinds of faults", exchanges, len(faults))
}

// labelRequests makes the proxy draw the fault of each request anew.
func labelRequests(next http.RoundTripper) http.RoundTripper {
	var count atomic.Int64
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		r = r.Clone(r.Context())
		r.Header.Set(chaos.Header, fmt.Sprint(count.Add(1)))
		return next.RoundTrip(r)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestRemember_CanceledByClient(t *testing.T) {
	t.Parallel()
	server, client := newZep(t)
	server.Inject(zeptest.Fault{Method: http.MethodPost, Delay: time.Hour, Times: -1})
	tools := newTools(t, client, nil)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		_, err := tools.session.CallTool(ctx, &mcp.CallToolParams{
			Name:      "remember",
			Arguments: object{"session_id": "s", "messages": say("a")},
		})
		done <- err
	}()
	called := func() bool { return server.Requests() > 0 }
	require.Eventually(t, called, 30*time.Second, time.Millisecond)
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	// The cleanup waits for the end of the server's session, which waits for the call.
}
