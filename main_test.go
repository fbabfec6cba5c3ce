package zep

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	// mockURL has a path, so that a request that forgets the base URL's path goes to where nothing is.
	mockURL = "http://zep.test/zep"

	// secret is the API key of every test that looks for it where it must not be.
	secret = "eyJhbGciOiJIUzI1NiJ9.the-secret-of-this-test.c2ln"
)

// A step is what one attempt meets on its way.
type step func(*http.Request) (*http.Response, error)

// A script is a transport that plays its steps, one an attempt, and keeps what it was sent. An attempt too many fails the
// test.
type script struct {
	t     testing.TB
	mu    sync.Mutex
	steps []step
	seen  []seen
}

type seen struct {
	method, url string
	header      http.Header
	body        string
}

func (s *script) RoundTrip(req *http.Request) (*http.Response, error) {
	got := seen{method: req.Method, url: req.URL.String(), header: req.Header.Clone()}
	if req.Body != nil {
		body, err := io.ReadAll(req.Body)
		_ = req.Body.Close()
		if err != nil {
			return nil, err
		}
		got.body = string(body)
	}
	s.mu.Lock()
	s.seen = append(s.seen, got)
	var next step
	if len(s.steps) > 0 {
		next, s.steps = s.steps[0], s.steps[1:]
	}
	s.mu.Unlock()
	if next == nil {
		s.t.Errorf("one attempt too many: %s %s", got.method, got.url)
		return nil, fmt.Errorf("%w: the script is over", ErrTooLarge) // for good: not tried again
	}
	return next(req)
}

func (s *script) requests() []seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]seen(nil), s.seen...)
}

// scripted is a client whose attempts meet the given steps, on a clock that no test waits for.
func scripted(t testing.TB, opts []Option, steps ...step) (*Client, *script, *fakeClock) {
	t.Helper()
	s := &script{t: t, steps: steps}
	opts = append([]Option{WithBaseURL(mockURL), WithAPIKey(""), WithHTTPClient(&http.Client{Transport: s})}, opts...)
	c, err := NewClient(opts...)
	require.NoError(t, err)
	return c, s, stopClock(c)
}

// repeat is the same for n attempts.
func repeat(n int, s step) []step {
	steps := make([]step, n)
	for i := range steps {
		steps[i] = s
	}
	return steps
}

// wrote tells the request's trace that it was written, or why it was not, as http.Transport does.
func wrote(req *http.Request, err error) {
	if trace := httptrace.ContextClientTrace(req.Context()); trace != nil && trace.WroteRequest != nil {
		trace.WroteRequest(httptrace.WroteRequestInfo{Err: err})
	}
}

// answers is a whole answer; header has names and values in turn.
func answers(status int, body string, header ...string) step {
	return func(req *http.Request) (*http.Response, error) {
		return answersWith(status, strings.NewReader(body), header...)(req)
	}
}

// answersWith is answers, once, for a body that is more than text.
func answersWith(status int, body io.Reader, header ...string) step {
	return func(req *http.Request) (*http.Response, error) {
		wrote(req, nil)
		h := http.Header{}
		for i := 0; i < len(header); i += 2 {
			h.Set(header[i], header[i+1])
		}
		return &http.Response{
			StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header: h, Body: io.NopCloser(body), ContentLength: -1, Request: req,
		}, nil
	}
}

// cutShort is the beginning of an answer.
func cutShort(status int, body string) step {
	return func(req *http.Request) (*http.Response, error) {
		return answersWith(status, io.MultiReader(strings.NewReader(body), failingReader{io.ErrUnexpectedEOF}))(req)
	}
}

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

// answerLost is a request that was written, and a connection that broke before its answer.
func answerLost(req *http.Request) (*http.Response, error) {
	wrote(req, nil)
	return nil, &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
}

// neverDialled is a server that is not there.
func neverDialled(*http.Request) (*http.Response, error) {
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
}

// cutBeforeWritten is a connection that broke under the request.
func cutBeforeWritten(req *http.Request) (*http.Response, error) {
	err := &net.OpError{Op: "write", Net: "tcp", Err: os.NewSyscallError("write", syscall.EPIPE)}
	wrote(req, err)
	return nil, err
}

// breaks is an attempt that ends in an error, with nothing known of its writing.
func breaks(err error) step {
	return func(*http.Request) (*http.Response, error) { return nil, err }
}

// A fakeClock stands still but for the waits, which it notes.
type fakeClock struct {
	mu     sync.Mutex
	time   time.Time
	waits  []time.Duration
	bounds []time.Duration // what jitter was asked for
	during func()          // runs in every wait
}

// stopClock gives the client a clock that stands still, whose jitter is the whole wait.
func stopClock(c *Client) *fakeClock {
	f := &fakeClock{time: time.Now().Truncate(time.Second)}
	c.clock = clock{
		now: func() time.Time {
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.time
		},
		sleep: func(ctx context.Context, d time.Duration) error {
			f.mu.Lock()
			f.waits = append(f.waits, d)
			f.time = f.time.Add(d)
			during := f.during
			f.mu.Unlock()
			if during != nil {
				during()
			}
			return ctx.Err()
		},
		jitter: func(most time.Duration) time.Duration {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.bounds = append(f.bounds, most)
			return most
		},
	}
	return f
}

func (f *fakeClock) waited() []time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]time.Duration(nil), f.waits...)
}

// onWire is a client of its own transport before a server that has Zep below a path.
func onWire(t testing.TB, handler http.HandlerFunc, opts ...Option) (*Client, *httptest.Server) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	t.Cleanup(server.Close)
	c, err := NewClient(append([]Option{WithBaseURL(server.URL + "/zep"), WithAPIKey("")}, opts...)...)
	require.NoError(t, err)
	stopClock(c)
	return c, server
}

// serveConns gives each connection that a listener accepts to serve, and ends with the test.
func serveConns(t testing.TB, listener net.Listener, serve func(net.Conn)) {
	var serving sync.WaitGroup
	serving.Add(1)
	go func() {
		defer serving.Done()
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
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
		serving.Wait()
	})
}

// onRawWire is a client before a server that knows no HTTP: serve is given each connection once a request's head was read.
func onRawWire(t testing.TB, serve func(net.Conn), opts ...Option) *Client {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	serveConns(t, listener, func(conn net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			serve(conn)
		}
	})
	c, err := NewClient(append([]Option{WithBaseURL("http://" + listener.Addr().String() + "/zep"), WithAPIKey("")}, opts...)...)
	require.NoError(t, err)
	stopClock(c)
	return c
}

// waitUntil gives way to the other goroutines until the condition holds.
func waitUntil(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !condition(); runtime.Gosched() {
		if time.Now().After(deadline) {
			require.FailNow(t, "waited for in vain: "+what)
		}
	}
}

// A recording is one exchange with a real server.
type recording struct {
	Scenario, Step string
	Request        struct{ Method, Path, Body string }
	Response       struct {
		Status  int
		Headers map[string]string
		Body    string
	}
}

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

// sentinels are all that errors.Is finds in this package's errors.
var sentinels = []error{
	ErrNotFound, ErrEndpointNotFound, ErrAlreadyExists, ErrBadRequest, ErrUnauthorized, ErrTooLarge, ErrRateLimited, ErrServer,
	ErrInvalidID, ErrCursorStuck, ErrNotPublished,
}

// matched are the sentinels that the error matches.
func matched(err error) []error {
	var found []error
	for _, sentinel := range sentinels {
		if errors.Is(err, sentinel) {
			found = append(found, sentinel)
		}
	}
	return found
}

// requireError is the error as an *Error.
func requireError(t testing.TB, err error) *Error {
	t.Helper()
	var e *Error
	require.ErrorAs(t, err, &e)
	return e
}

// assertOneLine: a text that can stand in a log line, and that can't drive the terminal that shows it.
func assertOneLine(t testing.TB, text string) {
	t.Helper()
	for _, r := range text {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' {
			assert.Failf(t, "no clean line", "it has %U: %.300q", r, text)
			return
		}
	}
}
