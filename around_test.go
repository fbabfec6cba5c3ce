package zep

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// recorder returns a middleware that appends its name and what it knows of the call to a log.
func recorder(name string, log *[]string) func(http.RoundTripper) http.RoundTripper {
	return func(next http.RoundTripper) http.RoundTripper {
		return roundTripFunc(func(req *http.Request) (*http.Response, error) {
			info, ok := CallFromContext(req.Context())
			if !ok {
				info.Route = "no call"
			}
			*log = append(*log, name+" "+info.Method+" "+info.Route+" "+string(rune('0'+info.Attempt)))
			return next.RoundTrip(req)
		})
	}
}

func TestWithMiddleware(t *testing.T) {
	t.Parallel()
	var log []string
	c, s, _ := scripted(t, []Option{
		WithMiddleware(recorder("outer", &log)), WithMiddleware(recorder("inner", &log)),
	}, answers(429, ""), answers(200, janeJSON))
	_, err := c.User.Get(context.Background(), "jane")
	require.NoError(t, err)
	assert.Equal(t, []string{
		"outer GET /user/{userId} 1", "inner GET /user/{userId} 1",
		"outer GET /user/{userId} 2", "inner GET /user/{userId} 2",
	}, log)
	assert.Len(t, s.requests(), 2)
	_, ok := CallFromContext(context.Background())
	assert.False(t, ok)

	_, err = NewClient(WithMiddleware(nil))
	require.ErrorContains(t, err, "WithMiddleware: the function is nil")
	_, err = NewClient(WithMiddleware(func(http.RoundTripper) http.RoundTripper { return nil }))
	require.ErrorContains(t, err, "WithMiddleware: the function returned nil")
}

// TestWithMiddleware_Connections checks that the tuned transport carries the requests of a Client with
// middleware.
func TestWithMiddleware_Connections(t *testing.T) {
	t.Parallel()
	var connections atomic.Int32
	_, server := clientWithServer(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(janeJSON))
	})
	pass := func(next http.RoundTripper) http.RoundTripper {
		return roundTripFunc(func(req *http.Request) (*http.Response, error) {
			return next.RoundTrip(req)
		})
	}
	c, err := NewClient(WithBaseURL(server.URL), WithAPIKey(""), WithMiddleware(pass))
	require.NoError(t, err)
	defer c.CloseIdleConnections()
	dial := ownTransport(c).DialContext
	ownTransport(c).DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		connections.Add(1)
		return dial(ctx, network, address)
	}
	var group sync.WaitGroup
	for range 64 {
		group.Add(1)
		go func() {
			defer group.Done()
			for range 30 {
				_, err := c.User.Get(context.Background(), "jane")
				assert.NoError(t, err)
			}
		}()
	}
	group.Wait()
	// net/http dials a few more than there are goroutines, if they are quick. Its own default keeps two
	// idle connections, and opens one for almost every call.
	assert.Less(t, connections.Load(), int32(4*64))
}

func TestWithHeader(t *testing.T) {
	t.Parallel()
	const value = "the-secret-of-a-proxy"
	c, s, _ := scripted(t, []Option{WithHeader("cf-access-client-secret", value), WithHeader("X-A", "a")},
		answers(200, janeJSON), answers(400, "no: "+value, "X-Echo", value))
	_, err := c.User.Get(context.Background(), "jane")
	require.NoError(t, err)
	assert.Equal(t, []string{value}, s.requests()[0].header["Cf-Access-Client-Secret"])
	_, err = c.User.Get(context.Background(), "jane", RequestHeader("X-A", "b"))
	assert.NotContains(t, err.Error(), value)
	assert.NotContains(t, requireError(t, err).Header.Get("X-Echo"), value)
	assert.Equal(t, []string{"b"}, s.requests()[1].header["X-A"], "the call's own goes first")
	for key, value := range map[string]string{
		"Host": "a", "authorization": "a", "a b": "c", "X-B": "a\nb", "Idempotency-Key": "k",
	} {
		_, err := NewClient(WithHeader(key, value))
		require.ErrorContains(t, err, "WithHeader", key)
	}
}

func TestWithAttemptTimeout(t *testing.T) {
	t.Parallel()
	hangs := func(req *http.Request) (*http.Response, error) {
		reportWritten(req, nil)
		<-req.Context().Done()
		return nil, req.Context().Err()
	}
	opts := []Option{WithAttemptTimeout(100 * time.Millisecond)}
	c, s, _ := scripted(t, opts, hangs, answers(200, janeJSON))
	_, err := c.User.Get(context.Background(), "jane")
	require.NoError(t, err)
	assert.Len(t, s.requests(), 2)

	c, s, _ = scripted(t, opts, hangs)
	err = writeNoRetry(context.Background(), c)
	require.ErrorIs(t, err, ErrAmbiguous)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Len(t, s.requests(), 1)

	// The request of a metadata update is allowed to finish, and not repeated.
	g := &gate{arrived: make(chan arrival)}
	c, _ = clientWith(t, g, opts...)
	done := startUpdate(context.Background(), c, "user", "jane", 0)
	arrived := g.next(t)
	require.ErrorIs(t, <-done, ErrAmbiguous)
	require.NoError(t, arrived.ctx.Err())
	close(arrived.pass)
	require.NoError(t, c.Wait(context.Background()))

	_, err = NewClient(WithAttemptTimeout(0))
	require.ErrorContains(t, err, "WithAttemptTimeout(0s): must be more than 0")
}

func TestClient_WaitReady(t *testing.T) {
	t.Parallel()
	c, s, clock := scripted(t, nil, neverDialled, answers(502, ""), answers(200, "."))
	_, err := c.WaitReady(context.Background())
	require.NoError(t, err)
	assert.Len(t, s.requests(), 3)
	assert.Len(t, clock.waited(), 2)

	ctx, cancel := context.WithCancel(context.Background())
	c, _, clock = scripted(t, nil, answers(503, "starting"))
	clock.onWait = cancel
	c.clock.wait = func(time.Duration) time.Duration { cancel(); return time.Hour }
	_, err = c.WaitReady(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "starting")
	_, err = c.WaitReady(context.Background(), nil)
	require.ErrorIs(t, err, ErrBadRequest)
}

func TestNewTransport(t *testing.T) {
	t.Parallel()
	transport := NewTransport()
	assert.Equal(t, 256, transport.MaxIdleConnsPerHost)
	assert.NotSame(t, NewTransport(), transport)
	assert.NotSame(t, http.DefaultTransport, transport)
}

func TestClient_Do(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	c, s, _ := scripted(t, nil, answers(500, ""), answers(200, `{"a":1}`), answers(200, "OK"), answerLost,
		answerLost, answers(200, `{"a":2}`), answers(404, "not found"))
	var into struct{ A int }
	raw := RawCall{Method: "GET", Route: "/x/{id}/y", IDs: []string{"a b"}, Query: url.Values{"q": {"1&2"}}}
	require.NoError(t, c.Do(ctx, raw, &into))
	assert.Equal(t, 1, into.A)
	assert.Equal(t, mockURL+"/api/v1/x/a%20b/y?q=1%262", s.requests()[1].url)

	write := RawCall{Method: "POST", Route: "/x", Body: map[string]string{"text": "<a>"}}
	require.NoError(t, c.Do(ctx, write, nil))
	assert.Equal(t, `{"text":"<a>"}`, s.requests()[2].body)
	require.ErrorIs(t, c.Do(ctx, write, nil), ErrAmbiguous, "sent once")
	assert.Len(t, s.requests(), 4)
	require.NoError(t, c.Do(ctx, write, &into, RequestMaxAttempts(2)), "the caller says that it is safe")
	assert.Equal(t, 2, into.A)
	require.ErrorIs(t, c.Do(ctx, RawCall{Method: "GET", Route: "/x"}, &into), ErrNotFound)

	sent := len(s.requests())
	for _, raw := range []RawCall{
		{}, {Method: "G T", Route: "/x"}, {Method: "GET", Route: "x"}, {Method: "GET", Route: "/x?y"},
		{Method: "GET", Route: "/x/{id}"}, {Method: "GET", Route: "/x", IDs: []string{"a"}},
		{Method: "POST", Route: "/x", Body: "\xff"},
	} {
		require.ErrorIs(t, c.Do(ctx, raw, nil), ErrBadRequest, raw)
	}
	err := c.Do(ctx, RawCall{Method: "GET", Route: "/x/{id}", IDs: []string{".."}}, nil)
	require.ErrorIs(t, err, ErrInvalidID)
	assert.Len(t, s.requests(), sent)
	assert.False(t, slices.Contains(matched(err), ErrBadRequest))
}
