package zep

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNewClient_SendsNothing(t *testing.T) {
	t.Parallel()
	s := &script{t: t}
	_, err := NewClient(WithBaseURL(mockURL), WithAPIKey(secret),
		WithHTTPClient(&http.Client{Transport: s}))
	require.NoError(t, err)
	assert.Empty(t, s.requests())
}

func TestNewClient_SharedOptions(t *testing.T) {
	t.Parallel()
	opts := append(make([]Option, 0, 8),
		WithBaseURL(mockURL), WithAPIKey(secret), WithTimeout(time.Minute), WithUserAgent("shop"))
	var group sync.WaitGroup
	for range 4 {
		group.Add(1)
		go func() {
			defer group.Done()
			c, err := NewClient(opts...)
			assert.NoError(t, err)
			assert.Equal(t, []string{"Bearer " + secret}, c.authorization())
		}()
	}
	group.Wait()
	assert.Nil(t, opts[:5][4])
}

func TestClient_RequestOnTheWire(t *testing.T) {
	t.Parallel()
	type wire struct {
		line, body string
		header     http.Header
	}
	var got wire
	c, _ := clientWithServer(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = wire{r.Method + " " + r.RequestURI, string(body), r.Header.Clone()}
		switch r.Method {
		case http.MethodDelete:
			_, _ = io.WriteString(w, "OK")
		case http.MethodGet:
			_, _ = io.WriteString(w, `{"user_id":"a b"}`)
		default:
			_, _ = io.WriteString(w, janeJSON)
		}
	}, WithAPIKey(secret))
	ctx := context.Background()

	_, err := c.User.Get(ctx, "a b")
	require.NoError(t, err)
	assert.Equal(t, wire{"GET /zep/api/v1/user/a%20b", "", http.Header{
		"Accept-Encoding": {"gzip"},
		"Authorization":   {"Bearer " + secret},
		"User-Agent":      {"zep-go/devel"},
	}}, got)

	_, err = c.User.Add(ctx, &CreateUserRequest{UserID: "jane"})
	require.NoError(t, err)
	assert.Equal(t, wire{"POST /zep/api/v1/user", `{"user_id":"jane"}`, http.Header{
		"Accept-Encoding": {"gzip"},
		"Authorization":   {"Bearer " + secret},
		"User-Agent":      {"zep-go/devel"},
		"Content-Type":    {"application/json"},
		"Content-Length":  {"18"},
	}}, got)

	require.NoError(t, c.User.Delete(ctx, "jane"))
	assert.Equal(t, "DELETE /zep/api/v1/user/jane", got.line)
	assert.NotContains(t, got.header, "Content-Type", "a request without a body")

	_, err = c.Health(ctx)
	require.NoError(t, err)
	assert.Equal(t, "GET /zep/healthz", got.line)
}

func TestClient_WithoutAPIKey(t *testing.T) {
	t.Parallel()
	c, s, _ := scripted(t, []Option{WithUserAgent("shop/1.0")}, answers(200, janeJSON))
	_, err := c.User.Get(context.Background(), "jane")
	require.NoError(t, err)
	assert.Equal(t, http.Header{"User-Agent": {"shop/1.0"}}, s.requests()[0].header)
}

func TestListOptions_Query(t *testing.T) {
	t.Parallel()
	tests := map[string]*ListOptions{
		"":                   nil,
		"?limit=5":           {Limit: 5},
		"?cursor=7":          {Cursor: 7},
		"?cursor=7&limit=10": {Limit: 10, Cursor: 7},
	}
	for want, page := range tests {
		c, s, _ := scripted(t, nil, answers(200, "[]"))
		_, err := c.Session.List(context.Background(), page)
		require.NoError(t, err)
		assert.Equal(t, mockURL+"/api/v1/sessions"+want, s.requests()[0].url)
	}
	c, s, _ := scripted(t, nil, answers(200, "[]"))
	_, err := c.User.List(context.Background(), &ListOptions{})
	require.NoError(t, err)
	assert.Equal(t, mockURL+"/api/v1/user", s.requests()[0].url)
}

// TestRoute_IDInBraces checks that an id is never taken for a placeholder of the route.
func TestRoute_IDInBraces(t *testing.T) {
	t.Parallel()
	escaped := func(id string) string { return (&url.URL{Path: id}).EscapedPath() }
	for _, ids := range [][2]string{
		{"{messageId}", "b"},
		{"a{", "}b"},
		{"a}", "{b"},
		{"{sessionId}", "{messageId}"},
		{"{}", "{}"},
	} {
		c, s, _ := scripted(t, nil, answersRecord)
		_, err := c.Message.Get(context.Background(), ids[0], ids[1])
		require.NoError(t, err)
		want := mockURL + "/api/v1/sessions/" + escaped(ids[0]) + "/messages/" + escaped(ids[1])
		assert.Equal(t, want, s.requests()[0].url)
	}
}

func TestHealth_Version(t *testing.T) {
	t.Parallel()
	versions := []string{"0.27.2-abc1234 (2024-05-01T12:00:00Z)", "dev-n/a (n/a)", ""}
	for _, r := range recordings(t) {
		if r.Scenario == "health" {
			versions = append(versions, r.Response.Headers["X-Zep-Version"])
		}
	}
	require.Len(t, versions, 4)
	for _, version := range versions {
		c, _, _ := scripted(t, nil, answers(200, ".", "X-Zep-Version", version))
		health, err := c.Health(context.Background())
		require.NoError(t, err)
		assert.Equal(t, &Health{Version: version}, health)
	}
	c, _, _ := scripted(t, nil, answers(200, "."))
	health, err := c.Health(context.Background())
	require.NoError(t, err, "a server without a version is up")
	assert.Empty(t, health.Version)

	c, _, _ = scripted(t, nil, answers(404, "404 page not found"))
	_, err = c.Health(context.Background())
	require.ErrorIs(t, err, ErrEndpointNotFound)
}

func TestClient_ArgumentsNotModified(t *testing.T) {
	t.Parallel()
	transport := roundTripFunc(func(req *http.Request) (*http.Response, error) {
		req.Header.Set("X-Of-The-Transport", "1") // as some transports do
		return answers(200, `{"user_id":"jane","session_id":"s"}`)(req)
	})
	c, _ := clientWith(t, transport, WithAPIKey(secret))
	other, _ := clientWith(t, transport, WithAPIKey(secret))

	metadata := Metadata{"plan": "team", "deep": map[string]any{"n": 1, "empty": Metadata{}}}
	deep := maps.Clone(metadata)
	add := &CreateUserRequest{UserID: "jane", Metadata: metadata}
	update := &UpdateUserRequest{UserID: "jane", Metadata: metadata}
	session := &CreateSessionRequest{SessionID: "s", UserID: "jane", Metadata: metadata}
	page := &ListOptions{Limit: 2, Cursor: 3}
	opts := append(make([]RequestOption, 0, 8), // an append would write to the spare capacity
		RequestHeader("X-Trace", "t"), RequestTimeout(time.Minute))
	var group sync.WaitGroup
	for _, client := range []*Client{c, c, other} {
		group.Add(1)
		go func() {
			defer group.Done()
			for range 20 {
				_, err := client.User.Add(context.Background(), add, opts...)
				assert.NoError(t, err)
				_, err = client.User.Update(context.Background(), update, opts...)
				assert.NoError(t, err)
				_, err = client.Session.Add(context.Background(), session, opts...)
				assert.NoError(t, err)
				_, _ = client.User.List(context.Background(), page, opts...)
				_, err = client.User.Get(context.Background(), "jane", opts...)
				assert.NoError(t, err)
			}
		}()
	}
	group.Wait()
	assert.Equal(t, deep, metadata)
	assert.Equal(t, &CreateUserRequest{UserID: "jane", Metadata: deep}, add)
	assert.Equal(t, &ListOptions{Limit: 2, Cursor: 3}, page)
	assert.Len(t, opts, 2)
	for _, beyond := range opts[:8][2:] {
		assert.Nil(t, beyond)
	}
}

func TestRequestOption_AppliesToOneCall(t *testing.T) {
	t.Parallel()
	c, s, _ := scripted(t, nil, repeat(2, answers(200, janeJSON))...)
	_, err := c.User.Get(context.Background(), "jane",
		RequestHeader("X-Trace", "t"), RequestHeader("User-Agent", "once"))
	require.NoError(t, err)
	_, err = c.User.Get(context.Background(), "jane")
	require.NoError(t, err)
	assert.Equal(t, http.Header{"User-Agent": {"once"}, "X-Trace": {"t"}}, s.requests()[0].header)
	assert.Equal(t, http.Header{"User-Agent": {"zep-go/devel"}}, s.requests()[1].header)
}

func TestWithHTTPClient_TransportReplacedLater(t *testing.T) {
	t.Parallel()
	hc := &http.Client{}
	c, err := NewClient(WithBaseURL(mockURL), WithAPIKey(""), WithHTTPClient(hc))
	require.NoError(t, err)
	mock := httpmock.NewMockTransport()
	mock.RegisterResponder("GET", mockURL+"/api/v1/user/jane",
		httpmock.NewStringResponder(200, janeJSON))
	hc.Transport = mock
	user, err := c.User.Get(context.Background(), "jane")
	require.NoError(t, err)
	assert.Equal(t, "jane", user.UserID)
	assert.Equal(t, 1, mock.GetTotalCallCount())

	// The next call uses another transport.
	other := httpmock.NewMockTransport()
	other.RegisterResponder("GET", mockURL+"/api/v1/user/jane",
		httpmock.NewStringResponder(404, "not found\n"))
	hc.Transport = other
	_, err = c.User.Get(context.Background(), "jane")
	require.ErrorIs(t, err, ErrNotFound)
	assert.Equal(t, 1, mock.GetTotalCallCount())
	assert.Equal(t, 1, other.GetTotalCallCount())
}

// TestClient_HTTPMockActivate is not parallel because it replaces http.DefaultTransport.
func TestClient_HTTPMockActivate(t *testing.T) {
	c, err := NewClient(WithBaseURL(mockURL), WithAPIKey(""))
	require.NoError(t, err)
	stopClock(c)
	httpmock.Activate()
	t.Cleanup(httpmock.DeactivateAndReset)
	httpmock.RegisterResponder("GET", mockURL+"/api/v1/user/jane",
		httpmock.NewStringResponder(503, "").Then(httpmock.NewStringResponder(200, janeJSON)))
	user, err := c.User.Get(context.Background(), "jane")
	require.NoError(t, err)
	assert.Equal(t, "jane", user.UserID)
	assert.Equal(t, 2, httpmock.GetTotalCallCount())

	httpmock.Deactivate()
	assert.Same(t, c.transport, c.currentTransport(), "the client uses its own transport again")
}

func TestWithHTTPClient_NilTransport(t *testing.T) {
	c, err := NewClient(WithBaseURL(mockURL), WithAPIKey(""), WithHTTPClient(&http.Client{}))
	require.NoError(t, err)
	assert.Same(t, http.DefaultTransport, c.currentTransport())
	c, err = NewClient(WithBaseURL(mockURL), WithAPIKey(""))
	require.NoError(t, err)
	assert.Same(t, c.transport, c.currentTransport())
	assert.NotSame(t, http.DefaultTransport, c.currentTransport())
}

func TestWithHTTPClient_NotModified(t *testing.T) {
	t.Parallel()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	s := &script{t: t, steps: []step{
		answers(503, ""), answers(200, janeJSON),
		answers(302, "", "Location", "/x"), answers(404, "not found"),
	}}
	hc := &http.Client{
		Transport: s,
		Jar:       jar,
		Timeout:   time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			panic("a redirect is followed")
		},
	}
	before := *hc
	c, err := NewClient(WithBaseURL(mockURL), WithAPIKey(""), WithHTTPClient(hc))
	require.NoError(t, err)
	stopClock(c)
	for range 3 {
		_, _ = c.User.Get(context.Background(), "jane")
	}
	assert.Same(t, s, hc.Transport)
	assert.Same(t, jar, hc.Jar)
	assert.Equal(t, before.Timeout, hc.Timeout)
	assert.NotNil(t, hc.CheckRedirect)

	// The zero client is not given defaults either.
	zero := &http.Client{}
	_, err = NewClient(WithBaseURL(mockURL), WithAPIKey(""), WithHTTPClient(zero))
	require.NoError(t, err)
	assert.Equal(t, http.Client{}, *zero)
}

// TestWithHTTPClient_TimeoutStopsItsTimer checks that the response is closed, which stops the
// timer of http.Client.Timeout.
func TestWithHTTPClient_TimeoutStopsItsTimer(t *testing.T) {
	t.Parallel()
	var timers atomic.Int32
	for _, end := range []step{
		answers(200, janeJSON), answers(404, "not found"), answers(204, ""),
	} {
		var attempt context.Context
		transport := roundTripFunc(func(req *http.Request) (*http.Response, error) {
			attempt = req.Context()
			return end(req)
		})
		hc := &http.Client{Timeout: time.Hour, Transport: transport}
		c, err := NewClient(
			WithBaseURL(mockURL), WithAPIKey(""), WithHTTPClient(hc), WithTimeout(2*time.Hour))
		require.NoError(t, err)
		_, _ = c.User.Get(context.Background(), "jane", RequestMaxAttempts(1))
		select {
		case <-attempt.Done():
		case <-time.After(time.Second):
			timers.Add(1)
		}
	}
	assert.Zero(t, timers.Load(), "requests whose timers were not stopped")
}

// TestWithHTTPClient_TimeoutOfEachAttempt checks that http.Client.Timeout limits an attempt and
// not the call.
func TestWithHTTPClient_TimeoutOfEachAttempt(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	requests := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		mu.Lock()
		requests++
		first := requests == 1
		mu.Unlock()
		if first {
			<-r.Context().Done()
			return
		}
		_, _ = io.WriteString(w, `{"user_id":"jane"}`)
	}))
	t.Cleanup(server.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	c, err := NewClient(WithBaseURL(server.URL+"/zep"), WithAPIKey(""),
		WithHTTPClient(&http.Client{Transport: transport, Timeout: 2 * time.Second}))
	require.NoError(t, err)
	stopClock(c)
	user, err := c.User.Get(context.Background(), "jane")
	require.NoError(t, err)
	assert.Equal(t, "jane", user.UserID)
	mu.Lock()
	defer mu.Unlock()
	assert.Equal(t, 2, requests)
}

// TestWithHTTPClient_TimeoutOfWrite checks that a write which timed out may have been carried out.
func TestWithHTTPClient_TimeoutOfWrite(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	c, err := NewClient(WithBaseURL(server.URL+"/zep"), WithAPIKey(""),
		WithHTTPClient(&http.Client{Transport: transport, Timeout: 100 * time.Millisecond}))
	require.NoError(t, err)
	stopClock(c)
	err = writeNoRetry(context.Background(), c)
	assert.Equal(t, 1, requireError(t, err).Attempts)
	assert.ErrorContains(t, err, "may have been carried out")
}

// TestTransport_ResponseAndError checks that nothing is written to the default logger, as net/http
// does, for a Transport that gives both. It is not parallel: the default logger is everybody's.
func TestTransport_ResponseAndError(t *testing.T) {
	var logged bytes.Buffer
	log.SetOutput(&logged)
	defer log.SetOutput(os.Stderr)
	closed := false
	broken := errors.New("broken")
	c, _ := clientWith(t, roundTripFunc(func(req *http.Request) (*http.Response, error) {
		resp, _ := answers(200, janeJSON)(req)
		stop := func() bool { closed = true; return true }
		resp.Body = &closingBody{resp.Body, req.Context(), stop, func() {}}
		return resp, broken
	}), WithMaxAttempts(1))
	_, err := c.User.Get(context.Background(), "jane")
	require.ErrorIs(t, err, broken)
	assert.True(t, closed, "the body")
	assert.Empty(t, logged.String())
}
