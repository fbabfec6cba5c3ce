package zep

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptrace"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAttempt_SameRequest(t *testing.T) {
	t.Parallel()
	c, s, _ := scripted(t, []Option{WithAPIKey(secret)},
		answers(503, ""), neverDialled, answerLost, answers(201, `{"user_id":"jane"}`))
	req := &CreateUserRequest{UserID: "jane", Metadata: Metadata{"a": 1}}
	_, err := c.User.Add(context.Background(), req, RequestHeader("X-Trace", "t"))
	require.NoError(t, err)
	requests := s.requests()
	require.Len(t, requests, 4)
	assert.JSONEq(t, `{"user_id":"jane","metadata":{"a":1}}`, requests[0].body)
	for _, request := range requests[1:] {
		assert.Equal(t, requests[0], request)
	}
}

// TestAttempt_OwnHeader checks that what a Jar or a Transport adds to the header is not there
// twice.
func TestAttempt_OwnHeader(t *testing.T) {
	t.Parallel()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	base, err := url.Parse(mockURL)
	require.NoError(t, err)
	jar.SetCookies(base, []*http.Cookie{{Name: "sid", Value: "1", Path: "/"}})
	s := &script{t: t, steps: []step{
		answers(503, ""), answers(503, "", "Set-Cookie", "sid=2; Path=/"), answers(200, janeJSON),
	}}
	signing := roundTripFunc(func(req *http.Request) (*http.Response, error) {
		req.Header.Add("X-Signature", "one")
		req.Header.Add("User-Agent", "via-proxy")
		return s.RoundTrip(req)
	})
	c, _ := clientWith(t, nil, WithHTTPClient(&http.Client{Transport: signing, Jar: jar}))
	_, err = c.User.Get(context.Background(), "jane")
	require.NoError(t, err)
	for i, cookie := range []string{"sid=1", "sid=1", "sid=2"} {
		header := s.requests()[i].header
		assert.Equal(t, []string{"one"}, header["X-Signature"], i)
		assert.Equal(t, []string{"zep-go/devel", "via-proxy"}, header["User-Agent"], i)
		assert.Equal(t, []string{cookie}, header["Cookie"], i)
	}
	assert.Equal(t, []string{"zep-go/devel"}, c.userAgent)
}

// TestAttempt_OwnURL checks that a prefix which a Transport adds to the path is not there twice.
func TestAttempt_OwnURL(t *testing.T) {
	t.Parallel()
	s := &script{t: t, steps: append(repeat(2, answers(503, "")), answers(404, "not found"))}
	gateway := roundTripFunc(func(req *http.Request) (*http.Response, error) {
		req.URL.Path = "/gateway" + req.URL.Path
		return s.RoundTrip(req)
	})
	c, _ := clientWith(t, gateway)
	_, err := c.User.Get(context.Background(), "jane")
	assert.Equal(t, "/zep/api/v1/user/jane", requireError(t, err).Path)
	for _, request := range s.requests() {
		assert.Equal(t, "http://zep.test/gateway/zep/api/v1/user/jane", request.url)
	}
}

// TestAttempt_TraceOfCaller checks that the httptrace in the context of a call sees each attempt.
func TestAttempt_TraceOfCaller(t *testing.T) {
	t.Parallel()
	for kind, call := range callKinds {
		writes := 0
		ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
			WroteRequest: func(httptrace.WroteRequestInfo) { writes++ },
		})
		c, _, _ := scripted(t, nil, answers(429, ""), answers(200, `{"user_id":"jane"}`))
		require.NoError(t, call(ctx, c), kind)
		assert.Equal(t, 2, writes, kind)
	}
}

// TestAttempt_NetworkErrors checks the errors of real connections.
func TestAttempt_NetworkErrors(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	c, err := NewClient(WithBaseURL("http://"+address), WithAPIKey(""))
	require.NoError(t, err)
	stopClock(c)
	err = writeNoRetry(context.Background(), c)
	e := requireError(t, err)
	assert.Equal(t, 4, e.Attempts, "no server listens")
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	assert.ErrorContains(t, err,
		"check that Zep runs there, or set the base URL (WithBaseURL or ZEP_API_URL)")
	assert.NotContains(t, err.Error(), "may have been carried out")

	// The connection accepts the header and a part of the body.
	dial := func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			_, _ = io.CopyN(io.Discard, server, 1000)
			_ = server.Close()
		}()
		return client, nil
	}
	transport := &http.Transport{DialContext: dial}
	t.Cleanup(transport.CloseIdleConnections)
	c, _ = clientWith(t, transport)
	largeCall := noRetryCall
	largeCall.body = strings.Repeat("x", 1<<20)
	_, err = do(context.Background(), c, largeCall, nil)
	e = requireError(t, err)
	assert.Equal(t, 4, e.Attempts, "the request was cut before it was written")
	assert.NotContains(t, err.Error(), "may have been carried out")
}

// TestWriteTrace_LateErrorOfEarlierAttempt checks an error that http.Transport, which writes in
// its own goroutine, reports when the next attempt has begun.
func TestWriteTrace_LateErrorOfEarlierAttempt(t *testing.T) {
	t.Parallel()
	var late func()
	c, s, _ := scripted(t, nil,
		func(req *http.Request) (*http.Response, error) {
			late = func() { reportWritten(req, errors.New("write: broken pipe")) }
			return answers(429, "")(req)
		},
		func(req *http.Request) (*http.Response, error) {
			late()
			return answerLost(req)
		},
	)
	err := writeNoRetry(context.Background(), c)
	assert.Equal(t, 2, requireError(t, err).Attempts)
	assert.Len(t, s.requests(), 2)
}

// TestWriteTrace_ResentByTransport checks a request that http.Transport sent again because a kept
// connection was closed. The error of the first connection proves nothing about the second.
func TestWriteTrace_ResentByTransport(t *testing.T) {
	t.Parallel()
	c, s, _ := scripted(t, nil, func(req *http.Request) (*http.Response, error) {
		reportWritten(req, errors.New("write: broken pipe"))
		return answerLost(req)
	})
	err := writeNoRetry(context.Background(), c)
	e := requireError(t, err)
	assert.Equal(t, 1, e.Attempts)
	assert.Len(t, s.requests(), 1)
	assert.ErrorContains(t, err, "may have been carried out")
}

// TestWriteTrace_ClosedByServer checks a server that reads the request and closes the connection.
func TestWriteTrace_ClosedByServer(t *testing.T) {
	t.Parallel()
	c := clientWithRawServer(t, func(net.Conn) {})
	err := writeNoRetry(context.Background(), c)
	e := requireError(t, err)
	assert.Equal(t, 1, e.Attempts)
	assert.ErrorContains(t, err, "may have been carried out")
}

// TestWriteTrace_DialAfterWrite checks a transport that sends more than once by itself.
func TestWriteTrace_DialAfterWrite(t *testing.T) {
	t.Parallel()
	c, s, _ := scripted(t, nil, func(req *http.Request) (*http.Response, error) {
		reportWritten(req, nil)
		return neverDialled(req)
	})
	err := writeNoRetry(context.Background(), c)
	assert.ErrorContains(t, err, "may have been carried out")
	assert.Len(t, s.requests(), 1)
}

// TestWriteTrace_BrokenBeforeReport checks a connection that breaks before the transport reports
// the write. The server may have the request.
func TestWriteTrace_BrokenBeforeReport(t *testing.T) {
	t.Parallel()
	c, s, _ := scripted(t, nil, func(req *http.Request) (*http.Response, error) {
		trace := httptrace.ContextClientTrace(req.Context())
		trace.GetConn("zep.test:80")
		trace.GotConn(httptrace.GotConnInfo{})
		return nil, io.ErrUnexpectedEOF
	})
	err := writeNoRetry(context.Background(), c)
	assert.ErrorContains(t, err, "may have been carried out")
	assert.Len(t, s.requests(), 1)
}

// TestWriteTrace_PermanentErrorAfterWrite checks that there is no other attempt, and that the
// first one may have been carried out.
func TestWriteTrace_PermanentErrorAfterWrite(t *testing.T) {
	t.Parallel()
	for kind, call := range callKinds {
		c, s, _ := scripted(t, nil, func(req *http.Request) (*http.Response, error) {
			reportWritten(req, nil)
			return nil, &net.OpError{Op: "remote error", Err: tls.AlertError(20)}
		})
		err := call(context.Background(), c)
		assert.Len(t, s.requests(), 1, kind)
		assert.Equal(t, kind != "read", requireError(t, err).maybeExecuted, kind)
		if kind != "read" {
			assert.ErrorContains(t, err, "may have been carried out", kind)
		}
	}
}

func TestTimeout_EveryCall(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		opts    []Option
		request []RequestOption
		want    time.Duration
	}{
		"by default":    {nil, nil, 60 * time.Second},
		"of the client": {[]Option{WithTimeout(7 * time.Second)}, nil, 7 * time.Second},
		"of the call": {
			[]Option{WithTimeout(7 * time.Second)},
			[]RequestOption{RequestTimeout(9 * time.Second)},
			9 * time.Second,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for kind, call := range callKinds {
				var deadline time.Time
				before := time.Now()
				c, _, _ := scripted(t, test.opts, func(req *http.Request) (*http.Response, error) {
					deadline, _ = req.Context().Deadline()
					return answers(200, `{"user_id":"jane"}`)(req)
				})
				require.NoError(t, call(context.Background(), c, test.request...))
				assert.WithinRange(t, deadline,
					before.Add(test.want), time.Now().Add(test.want), kind)
			}
		})
	}
}

func TestTimeout_WaitWouldPassDeadline(t *testing.T) {
	t.Parallel()
	busy := answers(503, "busy", "Retry-After", "20")
	soon := func(ctx context.Context) (context.Context, context.CancelFunc) {
		return context.WithTimeout(ctx, 10*time.Second)
	}
	none := func(ctx context.Context) (context.Context, context.CancelFunc) {
		return ctx, func() {}
	}
	tests := map[string]struct {
		steps    []step
		opts     []Option
		request  []RequestOption
		context  func(context.Context) (context.Context, context.CancelFunc)
		attempts int
		want     error
	}{
		"of the client": {
			steps:    []step{busy},
			opts:     []Option{WithTimeout(10 * time.Second)},
			context:  none,
			attempts: 1,
			want:     ErrServer,
		},
		"of the call": {
			steps:    []step{busy},
			request:  []RequestOption{RequestTimeout(10 * time.Second)},
			context:  none,
			attempts: 1,
			want:     ErrServer,
		},
		"of the context": {
			steps:    []step{busy},
			context:  soon,
			attempts: 1,
			want:     ErrServer,
		},
		"the nearest of them": {
			steps:    []step{busy},
			opts:     []Option{WithTimeout(time.Hour)},
			request:  []RequestOption{RequestTimeout(time.Hour)},
			context:  soon,
			attempts: 1,
			want:     ErrServer,
		},
		"by default, after 60 s": {
			steps:    repeat(3, answers(503, "busy", "Retry-After", "25")),
			context:  none,
			attempts: 3,
			want:     ErrServer,
		},
		"a backoff": {
			steps: repeat(3, answers(429, "")),
			opts: []Option{
				WithBackoff(4*time.Second, time.Minute), WithTimeout(10 * time.Second),
			},
			context:  none,
			attempts: 2,
			want:     ErrRateLimited,
		},
		"after a lost response": {
			steps:    []step{answerLost},
			opts:     []Option{WithBackoff(time.Minute, time.Minute)},
			request:  []RequestOption{RequestTimeout(time.Second)},
			context:  none,
			attempts: 1,
			want:     syscall.ECONNRESET,
		},
		"after no connection": {
			steps:    []step{neverDialled},
			opts:     []Option{WithBackoff(time.Minute, time.Minute)},
			request:  []RequestOption{RequestTimeout(time.Second)},
			context:  none,
			attempts: 1,
			want:     syscall.ECONNREFUSED,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, s, clock := scripted(t, test.opts, test.steps...)
			ctx, cancel := test.context(context.Background())
			defer cancel()
			err := callKinds["read"](ctx, c, test.request...)
			e := requireError(t, err)
			assert.Equal(t, test.attempts, e.Attempts)
			assert.Len(t, s.requests(), test.attempts)
			assert.Len(t, clock.waited(), test.attempts-1)
			require.ErrorIs(t, err, test.want, "the result of the last attempt")
			require.ErrorIs(t, err, context.DeadlineExceeded, "the reason for no other attempt")
			assert.ErrorContains(t, err, "context deadline exceeded")
			assertOneLine(t, err.Error())
		})
	}
}

func TestContext_EndedBeforeCall(t *testing.T) {
	t.Parallel()
	why := errors.New("shutting down")
	canceled, cancel := context.WithCancelCause(context.Background())
	cancel(why)
	late, cancelLate := context.WithDeadline(context.Background(), time.Now().Add(-time.Second))
	defer cancelLate()
	for kind, call := range callKinds {
		c, s, _ := scripted(t, nil)
		err := call(canceled, c)
		require.ErrorIs(t, err, context.Canceled, kind)
		require.ErrorIs(t, err, why, kind)
		e := requireError(t, err)
		assert.Zero(t, e.Attempts)
		assert.Zero(t, e.StatusCode)
		assert.NotContains(t, e.Error(), "may have been carried out")

		err = call(late, c)
		require.ErrorIs(t, err, context.DeadlineExceeded, kind)
		assert.Zero(t, requireError(t, err).Attempts)
		assert.Empty(t, s.requests(), kind)
	}
}

func TestContext_EndsDuringAttempt(t *testing.T) {
	t.Parallel()
	why := errors.New("shutting down")
	for kind, call := range callKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(context.Background())
			defer cancel(nil)
			c, s, clock := scripted(t, nil, func(req *http.Request) (*http.Response, error) {
				reportWritten(req, nil)
				cancel(why)
				<-req.Context().Done()
				return nil, req.Context().Err()
			})
			err := call(ctx, c)
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorIs(t, err, why)
			e := requireError(t, err)
			assert.Equal(t, 1, e.Attempts)
			assert.Len(t, s.requests(), 1)
			assert.Empty(t, clock.waited())
			assert.Equal(t, kind != "read",
				strings.Contains(e.Error(), "may have been carried out"), e)
		})
	}
}

func TestContext_EndsDuringWait(t *testing.T) {
	t.Parallel()
	why := errors.New("shutting down")
	for kind, call := range callKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(context.Background())
			defer cancel(nil)
			c, s, clock := scripted(t, nil,
				repeat(2, answers(429, "slow down", "X-From", "the proxy"))...)
			clock.onWait = func() {
				if len(clock.waited()) == 2 {
					cancel(why)
				}
			}
			err := call(ctx, c)
			require.ErrorIs(t, err, ErrRateLimited)
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorIs(t, err, why)
			require.NotErrorIs(t, err, context.DeadlineExceeded)
			e := requireError(t, err)
			assert.Equal(t, 2, e.Attempts)
			assert.Equal(t, 429, e.StatusCode)
			assert.Equal(t, "slow down", e.Message)
			assert.Equal(t, "the proxy", e.Header.Get("X-From"))
			assert.ErrorContains(t, err, "429: slow down: context canceled (2 attempts)")
			assert.Len(t, s.requests(), 2)
		})
	}
}

func TestContext_EndsAfterSuccess(t *testing.T) {
	t.Parallel()
	for kind, call := range callKinds {
		ctx, cancel := context.WithCancel(context.Background())
		c, _, _ := scripted(t, nil, func(req *http.Request) (*http.Response, error) {
			cancel()
			return answers(200, `{"user_id":"jane"}`)(req)
		})
		require.NoError(t, call(ctx, c), kind)
		cancel()
	}
}

func TestContext_EndsAfterRefusal(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c, _, _ := scripted(t, nil, func(req *http.Request) (*http.Response, error) {
		cancel()
		return answers(404, "not found")(req)
	})
	_, err := c.User.Get(ctx, "jane")
	require.ErrorIs(t, err, ErrNotFound)
	require.NotErrorIs(t, err, context.Canceled)
}

// TestWait_EndsWithContext checks that a wait of the system clock's is left when the context ends.
func TestWait_EndsWithContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	c, s, _ := scripted(t, nil, answers(503, "busy"))
	c.clock.wait = func(time.Duration) time.Duration {
		cancel()
		return systemClock.wait(time.Hour)
	}
	_, err := c.User.Get(ctx, "jane")
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, 503, requireError(t, err).StatusCode)
	assert.Len(t, s.requests(), 1)
}
