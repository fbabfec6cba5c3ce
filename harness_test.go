package zep

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"os"
	"path"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/zep-go/zep/internal/fifo"
)

func TestMain(m *testing.M) {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) {
		chosen = chosen || f.Name == "test.parallel" || f.Name == "test.fuzz"
	})
	if !chosen { // many tests wait for most of their time
		_ = flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0)))
	}
	goleak.VerifyTestMain(m)
}

const (
	// mockURL has a path, so that a request without the base URL's path reaches nothing.
	mockURL = "http://zep.test/zep"

	// secret is the API key of the tests that look for it where it must not appear.
	secret = "eyJhbGciOiJIUzI1NiJ9.the-secret-of-this-test.c2ln"

	// janeJSON is a response that is a user.
	janeJSON = `{"uuid":"u","id":1,"user_id":"jane"}`
)

// step is what happens to one attempt.
type step func(*http.Request) (*http.Response, error)

// script is a transport that runs one step for each attempt and records the requests. An attempt
// without a step fails the test.
type script struct {
	t     testing.TB
	mu    sync.Mutex
	steps []step
	sent  []sentRequest
}

type sentRequest struct {
	method, url string
	header      http.Header
	body        string
}

func (s *script) RoundTrip(req *http.Request) (*http.Response, error) {
	got := sentRequest{method: req.Method, url: req.URL.String(), header: req.Header.Clone()}
	if req.Body != nil {
		body, err := io.ReadAll(req.Body)
		_ = req.Body.Close()
		if err != nil {
			return nil, err
		}
		got.body = string(body)
	}
	s.mu.Lock()
	s.sent = append(s.sent, got)
	var next step
	if len(s.steps) > 0 {
		next, s.steps = s.steps[0], s.steps[1:]
	}
	s.mu.Unlock()
	if next == nil {
		s.t.Errorf("the script has no step for %s %s", got.method, got.url)
		return nil, fmt.Errorf("%w: the script has ended", ErrTooLarge) // is not retried
	}
	return next(req)
}

func (s *script) requests() []sentRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]sentRequest(nil), s.sent...)
}

// scripted returns a client whose attempts run the given steps, the transport that runs them, and
// the client's clock, which no test waits for.
func scripted(t testing.TB, opts []Option, steps ...step) (*Client, *script, *fakeClock) {
	t.Helper()
	s := &script{t: t, steps: steps}
	c, clock := clientWith(t, s, opts...)
	return c, s, clock
}

// clientWith returns a client of mockURL with the transport and a stopped clock.
func clientWith(t testing.TB, rt http.RoundTripper, opts ...Option) (*Client, *fakeClock) {
	t.Helper()
	opts = append([]Option{
		WithBaseURL(mockURL), WithAPIKey(""), WithHTTPClient(&http.Client{Transport: rt}),
	}, opts...)
	c, err := NewClient(opts...)
	require.NoError(t, err)
	return c, stopClock(c)
}

// roundTripFunc is a function as a transport.
type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// repeat returns n times the same step.
func repeat(n int, s step) []step {
	steps := make([]step, n)
	for i := range steps {
		steps[i] = s
	}
	return steps
}

// reportWritten tells the request's trace, as http.Transport does, that the request was written or
// why it was not.
func reportWritten(req *http.Request, err error) {
	trace := httptrace.ContextClientTrace(req.Context())
	if trace != nil && trace.WroteRequest != nil {
		trace.WroteRequest(httptrace.WroteRequestInfo{Err: err})
	}
}

// answers responds with a complete body. The header alternates names and values.
func answers(status int, body string, header ...string) step {
	return func(req *http.Request) (*http.Response, error) {
		return answersWithBody(status, strings.NewReader(body), header...)(req)
	}
}

// answersWithBody is answers for a reader, which makes it good for one attempt.
func answersWithBody(status int, body io.Reader, header ...string) step {
	return func(req *http.Request) (*http.Response, error) {
		reportWritten(req, nil)
		h := http.Header{}
		for i := 0; i < len(header); i += 2 {
			h.Set(header[i], header[i+1])
		}
		return &http.Response{
			StatusCode:    status,
			Status:        http.StatusText(status),
			Proto:         "HTTP/1.1",
			ProtoMajor:    1,
			ProtoMinor:    1,
			Header:        h,
			Body:          io.NopCloser(body),
			ContentLength: -1,
			Request:       req,
		}, nil
	}
}

// answersRecord responds with a record of any kind, which has the id at the end of the path.
func answersRecord(req *http.Request) (*http.Response, error) {
	id := path.Base(req.URL.Path)
	body := fmt.Sprintf(`{"uuid":%q,"user_id":%[1]q,"session_id":%[1]q,"name":%[1]q}`, id)
	return answers(200, body)(req)
}

// truncated responds with a body that breaks off.
func truncated(status int, body string) step {
	return func(req *http.Request) (*http.Response, error) {
		broken := io.MultiReader(strings.NewReader(body), failingReader{io.ErrUnexpectedEOF})
		return answersWithBody(status, broken)(req)
	}
}

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

// answerLost writes the request and breaks the connection before a response.
func answerLost(req *http.Request) (*http.Response, error) {
	reportWritten(req, nil)
	err := os.NewSyscallError("read", syscall.ECONNRESET)
	return nil, &net.OpError{Op: "read", Net: "tcp", Err: err}
}

// neverDialled fails to connect.
func neverDialled(*http.Request) (*http.Response, error) {
	err := os.NewSyscallError("connect", syscall.ECONNREFUSED)
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
}

// cutBeforeWritten breaks the connection before the request is written.
func cutBeforeWritten(req *http.Request) (*http.Response, error) {
	err := &net.OpError{Op: "write", Net: "tcp", Err: os.NewSyscallError("write", syscall.EPIPE)}
	reportWritten(req, err)
	return nil, err
}

// failsWith returns the error and does not report whether the request was written.
func failsWith(err error) step {
	return func(*http.Request) (*http.Response, error) { return nil, err }
}

// fakeClock advances only by the waits, which it records.
type fakeClock struct {
	mu       sync.Mutex
	time     time.Time
	waits    []time.Duration
	maxWaits []time.Duration // the arguments of jitter
	onWait   func()          // runs in every wait
}

// stopClock replaces the client's clock with a fakeClock, whose jitter is the whole wait.
func stopClock(c *Client) *fakeClock {
	f := &fakeClock{time: time.Now().Truncate(time.Second)}
	c.clock = clock{
		now: func() time.Time {
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.time
		},
		wait: func(d time.Duration) time.Duration {
			if d == 0 {
				return 0
			}
			f.mu.Lock()
			f.waits = append(f.waits, d)
			f.time = f.time.Add(d)
			onWait := f.onWait
			f.mu.Unlock()
			if onWait != nil {
				onWait()
			}
			return 0
		},
		jitter: func(maxWait time.Duration) time.Duration {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.maxWaits = append(f.maxWaits, maxWait)
			return maxWait
		},
	}
	return f
}

func (f *fakeClock) waited() []time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]time.Duration(nil), f.waits...)
}

// The declarations from here to writeNoRetry use internals of the client.

// limitResponses sets the largest response that the client reads.
func limitResponses(c *Client, bytes int64) { c.maxBody = bytes }

// ownTransport returns the transport of a client that was given none.
func ownTransport(c *Client) *http.Transport { return c.transport.(*http.Transport) }

// resolveURL returns the URL of a call without a query.
func resolveURL(c *Client, route string, ids ...string) (*url.URL, error) {
	return c.resolve(route, ids, nil)
}

// waiting returns how many updates of the record wait, or -1 if none is under way.
func waiting(q *fifo.Queue[record], r record) int { return q.Len(r) - 1 }

// idle reports whether no update is under way and nothing is kept of an earlier one.
func idle(q *fifo.Queue[record]) bool { return q.Idle() }

var (
	// noRetryCall is a write that is not sent again after an ambiguous outcome.
	noRetryCall = call[*User]{
		endpoint: "POST /once",
		body:     struct{}{},
		resend:   noRetry,
		decode:   decodeUser,
	}

	// searchCall is a POST that changes nothing.
	searchCall = call[*User]{
		endpoint: "POST /search",
		body:     struct{}{},
		resend:   readOnly,
	}
)

// writeNoRetry makes noRetryCall.
func writeNoRetry(ctx context.Context, c *Client, opts ...RequestOption) error {
	_, err := do(ctx, c, noRetryCall, opts)
	return err
}

// callKinds has a call of each kind that the rules of retries distinguish.
var callKinds = map[string]func(context.Context, *Client, ...RequestOption) error{
	"read": func(ctx context.Context, c *Client, opts ...RequestOption) error {
		_, err := c.User.Get(ctx, "jane", opts...)
		return err
	},
	"reconciled write": func(ctx context.Context, c *Client, opts ...RequestOption) error {
		_, err := c.User.Add(ctx, &CreateUserRequest{UserID: "jane"}, opts...)
		return err
	},
	"noRetry write": writeNoRetry,
}

// clientWithServer starts a server that has Zep below a path, and returns a client of it that uses
// its own transport.
func clientWithServer(
	t testing.TB, handler http.HandlerFunc, opts ...Option,
) (*Client, *httptest.Server) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	t.Cleanup(server.Close)
	return clientOf(t, server.URL, opts...), server
}

// clientWithRawServer returns a client of a server that does not speak HTTP. The server reads the
// header of a request, and then calls serve with the connection.
func clientWithRawServer(t testing.TB, serve func(net.Conn), opts ...Option) *Client {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	serveConns(t, listener, func(conn net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			serve(conn)
		}
	})
	return clientOf(t, "http://"+listener.Addr().String(), opts...)
}

// clientOf returns a client of the server, with a stopped clock.
func clientOf(t testing.TB, serverURL string, opts ...Option) *Client {
	t.Helper()
	opts = append([]Option{WithBaseURL(serverURL + "/zep"), WithAPIKey("")}, opts...)
	c, err := NewClient(opts...)
	require.NoError(t, err)
	stopClock(c)
	return c
}

// serveConns calls serve with each connection that the listener accepts, until the test ends.
func serveConns(t testing.TB, listener net.Listener, serve func(net.Conn)) {
	var (
		serving sync.WaitGroup
		mu      sync.Mutex
		conns   []net.Conn
	)
	serving.Add(1)
	go func() {
		defer serving.Done()
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			serving.Add(1)
			go func() {
				defer serving.Done()
				defer conn.Close()
				serve(conn)
			}()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		mu.Lock()
		for _, conn := range conns {
			_ = conn.Close()
		}
		mu.Unlock()
		serving.Wait()
	})
}

// waitUntil yields to other goroutines until the condition holds.
func waitUntil(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !condition(); runtime.Gosched() {
		if time.Now().After(deadline) {
			require.FailNow(t, "the condition did not become true: "+what)
		}
	}
}

// recording is one recorded exchange with a real server.
type recording struct {
	Scenario, Step string
	Request        struct{ Method, Path, Body string }
	Response       struct {
		Status  int
		Headers map[string]string
		Body    string
	}
}

// recordings returns all of testdata.
func recordings(t testing.TB) []recording {
	t.Helper()
	data, err := os.ReadFile("testdata/zep-v0.27.2.jsonl")
	require.NoError(t, err)
	var all []recording
	for decoder := json.NewDecoder(bytes.NewReader(data)); decoder.More(); {
		var r recording
		require.NoError(t, decoder.Decode(&r))
		all = append(all, r)
	}
	require.NotEmpty(t, all)
	return all
}

// sentinels are all values that errors.Is finds in this package's errors.
var sentinels = []error{
	ErrNotFound,
	ErrUserNotFound,
	ErrEndpointNotFound,
	ErrAlreadyExists,
	ErrBadRequest,
	ErrUnauthorized,
	ErrTooLarge,
	ErrRateLimited,
	ErrServer,
	ErrInvalidID,
	ErrCursorStuck,
	ErrNotPublished,
}

// matched returns the sentinels that the error matches.
func matched(err error) []error {
	var found []error
	for _, sentinel := range sentinels {
		if errors.Is(err, sentinel) {
			found = append(found, sentinel)
		}
	}
	return found
}

// requireError returns the *Error in the error's chain, and fails the test if there is none.
func requireError(t testing.TB, err error) *Error {
	t.Helper()
	var e *Error
	require.ErrorAs(t, err, &e)
	return e
}

// assertOneLine fails for a text that does not fit on one line of a log, or that has characters
// which control a terminal, turn the direction of the text or have no width.
func assertOneLine(t testing.TB, text string) {
	t.Helper()
	for _, r := range text {
		if r < ' ' || r >= 0x7f && r < 0xa0 || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) {
			assert.Failf(t, "the text is not one line", "it contains %U: %.300q", r, text)
			return
		}
	}
}
