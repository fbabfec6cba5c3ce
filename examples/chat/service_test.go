package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/zeptest"
)

// request makes a request of the service, and returns the status and the JSON of its answer.
func request(h http.Handler, method, path, body string) (int, string) {
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, httptest.NewRequest(method, path, strings.NewReader(body)))
	return answer.Code, strings.TrimSpace(answer.Body.String())
}

// say returns the body of a turn.
func say(user, text string) string {
	body, err := json.Marshal(turn{user, text})
	if err != nil {
		panic(err)
	}
	return string(body)
}

// newHandler returns the service on a Zep server.
func newHandler(t *testing.T) (*zeptest.Server, *zep.Client, http.Handler) {
	t.Helper()
	server, client := newServer(t)
	return server, client, newService(client, scripted).handler()
}

func TestService_Routes(t *testing.T) {
	t.Parallel()
	_, client, h := newHandler(t)
	for _, step := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/chat/s1", "", 404, `{"error":"there is no such session"}`},
		{
			"POST", "/chat/s1", say("jane", " I live in Oslo. "), 200,
			`{"answer":"I will remember that."}`,
		},
		{
			"POST", "/chat/s1", say("jane", "Where do I live?"), 200,
			`{"answer":"You told me: \"I live in Oslo.\"",` +
				`"facts":[{"text":"I live in Oslo.","score":SCORE}]}`,
		},
		{
			"GET", "/chat/s1?last=3", "", 200,
			`{"user":"jane","messages":[{"role":"assistant","text":"I will remember that."},` +
				`{"role":"user","text":"Where do I live?"},` +
				`{"role":"assistant","text":"You told me: \"I live in Oslo.\""}]}`,
		},
		{"DELETE", "/chat/s1", "", 200, `{}`},
		{"DELETE", "/chat/s1", "", 404, `{"error":"there is no such session"}`},
	} {
		status, body := request(h, step.method, step.path, step.body)
		assert.Equal(t, step.status, status, "%s %s: %s", step.method, step.path, body)
		before, after, hasScore := strings.Cut(step.want, "SCORE")
		if hasScore {
			assert.True(t, strings.HasPrefix(body, before) && strings.HasSuffix(body, after), body)
		} else {
			assert.Equal(t, step.want, body)
		}
	}
	user, err := client.User.Get(context.Background(), "jane")
	require.NoError(t, err)
	assert.Equal(t, "jane", user.UserID)
}

// TestService_DeletedSession checks that the next turn brings a deleted session back, if it is its
// user's.
func TestService_DeletedSession(t *testing.T) {
	t.Parallel()
	_, client, h := newHandler(t)
	status, _ := request(h, "POST", "/chat/s1", say("jane", "I live in Oslo."))
	require.Equal(t, 200, status)
	before, err := client.Session.Get(context.Background(), "s1")
	require.NoError(t, err)
	status, _ = request(h, "DELETE", "/chat/s1", "")
	require.Equal(t, 200, status)

	status, body := request(h, "POST", "/chat/s1", say("joe", "Hello!"))
	assert.Equal(t, 409, status)
	assert.Equal(t, `{"error":"the session belongs to another user"}`, body)
	status, _ = request(h, "GET", "/chat/s1", "")
	assert.Equal(t, 404, status, "it is deleted as before")

	status, body = request(h, "POST", "/chat/s1", say("jane", "Where do I live?"))
	assert.Equal(t, 200, status)
	assert.Equal(t, `{"answer":"You have not told me."}`, body)
	after, err := client.Session.Get(context.Background(), "s1")
	require.NoError(t, err)
	assert.Equal(t, before.UUID, after.UUID)
	_, body = request(h, "GET", "/chat/s1", "")
	assert.Equal(t, 2, strings.Count(body, `"role"`), "its messages are gone")
}

// TestService_AtOnce sends the first turns of a session to two services at the same time, also of
// a deleted one.
func TestService_AtOnce(t *testing.T) {
	t.Parallel()
	for _, deleted := range []bool{false, true} {
		t.Run(fmt.Sprint("deleted ", deleted), func(t *testing.T) {
			t.Parallel()
			server, client, h := newHandler(t)
			if deleted {
				request(h, "POST", "/chat/s1", say("jane", "Hello!"))
				status, _ := request(h, "DELETE", "/chat/s1", "")
				require.Equal(t, 200, status)
			}
			otherClient, err := server.Client()
			require.NoError(t, err)
			services := []http.Handler{h, newService(otherClient, scripted).handler()}
			const turns = 8
			var group sync.WaitGroup
			for i := range turns {
				group.Add(1)
				go func() {
					defer group.Done()
					body := say("jane", fmt.Sprintf("Fact %d.", i))
					status, body := request(services[i%2], "POST", "/chat/s1", body)
					assert.Equal(t, 200, status, body)
				}()
			}
			group.Wait()
			sessions, err := client.User.GetSessions(context.Background(), "jane")
			require.NoError(t, err)
			assert.Len(t, sessions, 1)
			var found history
			_, body := request(h, "GET", "/chat/s1", "")
			require.NoError(t, json.Unmarshal([]byte(body), &found))
			require.Len(t, found.Messages, 2*turns)
			said := map[string]bool{}
			for i := 0; i < len(found.Messages); i += 2 {
				assert.Equal(t, zep.RoleUser, found.Messages[i].Role)
				assert.Equal(t, message{zep.RoleAssistant, "I will remember that."},
					found.Messages[i+1], "the answer follows its turn")
				said[found.Messages[i].Text] = true
			}
			assert.Len(t, said, turns)
		})
	}
}

func TestService_Refused(t *testing.T) {
	t.Parallel()
	_, _, h := newHandler(t)
	status, _ := request(h, "POST", "/chat/taken", say("jane", "Hello!"))
	require.Equal(t, 200, status)
	for name, test := range map[string]struct {
		method, path, body string
		status             int
		want               string
	}{
		"no body":        {"POST", "/chat/s", "", 400, "invalid JSON: EOF"},
		"no JSON":        {"POST", "/chat/s", "hello", 400, "invalid JSON: "},
		"unknown field":  {"POST", "/chat/s", `{"user":"u","txt":"t"}`, 400, `unknown field \"txt\"`},
		"no user":        {"POST", "/chat/s", `{"text":"t"}`, 400, "user or text is missing"},
		"blank text":     {"POST", "/chat/s", say("u", " \n"), 400, "user or text is missing"},
		"slash":          {"POST", "/chat/a%2Fb", say("u", "t"), 400, "can have this id"},
		"slash, history": {"GET", "/chat/a%2Fb", "", 400, "can have this id"},
		"user's id":      {"POST", "/chat/s", say("a/b", "t"), 400, "can have this id"},
		"NUL":            {"POST", "/chat/s", `{"user":"u","text":"a\u0000b"}`, 400, "cannot be stored"},
		"too large":      {"POST", "/chat/s", say("u", strings.Repeat("t", maxBody)), 413, "too large"},
		"other user":     {"POST", "/chat/taken", say("joe", "t"), 409, "belongs to another user"},
		"no number":      {"GET", "/chat/taken?last=x", "", 400, "last must be 1 to 1000"},
		"zero":           {"GET", "/chat/taken?last=0", "", 400, "last must be 1 to 1000"},
		"too many":       {"GET", "/chat/taken?last=1001", "", 400, "last must be 1 to 1000"},
		"method":         {"PUT", "/chat/taken", "", 405, ""},
		"path":           {"GET", "/chat/", "", 404, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, body := request(h, test.method, test.path, test.body)
			assert.Equal(t, test.status, status, body)
			assert.Contains(t, body, test.want)
			assert.NotContains(t, body, "/api/v1", "where the Zep server is")
		})
	}
}

// TestService_Faults checks what becomes of the failures of the Zep server.
func TestService_Faults(t *testing.T) {
	t.Parallel()
	const memoryRoute = "/sessions/{sessionId}/memory"
	for name, test := range map[string]struct {
		fault  zeptest.Fault
		status int
		want   string
		stored int // messages
	}{
		"user fails": {
			fault:  zeptest.Fault{Method: "GET", Route: "/user/{userId}", Status: 500, Times: -1},
			status: 502, want: "the memory does not work",
		},
		"session fails": {
			fault:  zeptest.Fault{Method: "GET", Route: "/sessions/{sessionId}", Status: 503, Times: -1},
			status: 502, want: "the memory does not work",
		},
		"memory fails": {
			fault:  zeptest.Fault{Method: "GET", Route: memoryRoute, Status: 500, Times: -1},
			status: 502, want: "the memory does not work",
		},
		"search fails": {
			fault: zeptest.Fault{
				Method: "POST", Route: "/sessions/{sessionId}/search", Status: 500, Times: -1,
			},
			status: 502, want: "the memory does not work",
		},
		"service's key": {
			fault:  zeptest.Fault{Status: 401, Body: "token is expired\n", Times: -1},
			status: 502, want: "the memory does not work",
		},
		"rate limit": {
			fault:  zeptest.Fault{Status: 429, Times: -1},
			status: 503, want: "too many requests",
		},
		"hangs": {
			fault:  zeptest.Fault{Method: "GET", Route: memoryRoute, Delay: time.Hour, Times: -1},
			status: 504, want: "the memory does not work",
		},
		"lost responses to the turn": {
			fault: zeptest.Fault{
				Method: "POST", Route: memoryRoute, Cut: true, Apply: true, Times: 2,
			},
			status: 200, want: "You have not told me.", stored: 2,
		},
		"no response to the turn": {
			fault:  zeptest.Fault{Method: "POST", Route: memoryRoute, Cut: true, Times: -1},
			status: 502, want: "the turn may be stored",
		},
		"lost response to the new session": {
			fault:  zeptest.Fault{Method: "POST", Route: "/sessions", Status: 502, Apply: true},
			status: 200, want: "You have not told me.", stored: 2,
		},
		"lost response to the new user": {
			fault:  zeptest.Fault{Method: "POST", Route: "/user", Cut: true, Apply: true},
			status: 200, want: "You have not told me.", stored: 2,
		},
		"user deleted meanwhile": {
			fault: zeptest.Fault{
				Method: "POST", Route: "/sessions", Status: 400,
				Body: "bad request: user does not exist with user_id: jane\n",
			},
			status: 409, want: "the user has just been deleted",
		},
		"not published": {
			fault: zeptest.Fault{
				Method: "POST", Route: memoryRoute, Status: 500, Apply: true,
				Body: "failed to publish new messages: no connection\n",
			},
			status: 200, want: "You have not told me.", stored: 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, client := newServer(t)
			server.Inject(test.fault)
			var log bytes.Buffer
			service := newService(client, scripted)
			service.logger = slog.New(slog.NewTextHandler(&log, nil))
			if test.status == 504 {
				service.timeout = 100 * time.Millisecond
			}
			status, body := request(service.handler(), "POST", "/chat/s1", say("jane", "Who am I?"))
			assert.Equal(t, test.status, status, body)
			assert.Contains(t, body, test.want)
			assert.NotContains(t, body, "/api/v1", "where the Zep server is")
			if test.status < 500 {
				assert.Empty(t, log.String())
			} else {
				assert.Contains(t, log.String(), "/api/v1/", "the log has the call")
				assert.NotContains(t, log.String(), "Who am I?")
				assert.Equal(t, 1, strings.Count(log.String(), "\n"))
			}
			if test.stored > 0 {
				found, err := client.Memory.Get(context.Background(), "s1", nil)
				require.NoError(t, err)
				assert.Len(t, found.Messages, test.stored)
			}
		})
	}
}

// blocked is a service with a request under way that waits for goOn.
type blocked struct {
	url   string
	goOn  chan struct{}
	stop  func()
	ended chan error // has the result of serve

	answered chan error // has the result of the request
}

func newBlocked(t *testing.T, grace time.Duration) *blocked {
	t.Helper()
	b := &blocked{
		goOn:     make(chan struct{}),
		ended:    make(chan error, 1),
		answered: make(chan error, 1),
	}
	arrived := make(chan struct{})
	arrive := sync.OnceFunc(func() { close(arrived) })
	server := zeptest.NewServer()
	t.Cleanup(server.Close)
	client, err := server.Client(zep.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			arrive()
			select {
			case <-b.goOn:
				return next.RoundTrip(r)
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		})
	}))
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	b.url = "http://" + listener.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	b.stop = stop
	t.Cleanup(stop)
	service := newService(client, scripted)
	service.timeout, service.grace = time.Minute, grace
	go func() { b.ended <- service.serve(ctx, listener) }()
	go func() {
		v := newVisitor(io.Discard, b.url, scripted)
		defer v.http.CloseIdleConnections()
		b.answered <- v.call(context.Background(), http.MethodPost, "", turn{"jane", "Hello!"}, &reply{})
	}()
	<-arrived
	return b
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestServe_UnderWay ends the service while it works on a request.
func TestServe_UnderWay(t *testing.T) {
	t.Parallel()
	b := newBlocked(t, time.Minute)
	b.stop()
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", strings.TrimPrefix(b.url, "http://"))
		if err == nil {
			conn.Close()
		}
		return err != nil
	}, time.Minute, time.Millisecond, "it takes no more requests")
	close(b.goOn)
	require.NoError(t, <-b.answered)
	require.NoError(t, <-b.ended)
}

// TestServe_Stuck ends the service while a request takes longer than it may.
func TestServe_Stuck(t *testing.T) {
	t.Parallel()
	b := newBlocked(t, 10*time.Millisecond)
	b.stop()
	require.ErrorIs(t, <-b.ended, context.DeadlineExceeded)
	require.Error(t, <-b.answered)
}
