package zep

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const janeJSON = `{"uuid":"u","id":1,"user_id":"jane"}`

// On the wire.

func TestARequestOnTheWire(t *testing.T) {
	t.Parallel()
	type wire struct {
		line, body string
		header     http.Header
	}
	var got wire
	c, _ := onWire(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = wire{r.Method + " " + r.RequestURI, string(body), r.Header.Clone()}
		if r.Method == http.MethodDelete {
			_, _ = io.WriteString(w, "OK")
			return
		}
		_, _ = io.WriteString(w, janeJSON)
	}, WithAPIKey(secret))
	ctx := context.Background()

	_, err := c.User.Get(ctx, "a b")
	require.NoError(t, err)
	assert.Equal(t, wire{"GET /zep/api/v1/user/a%20b", "", http.Header{
		"Accept-Encoding": {"gzip"}, "Authorization": {"Bearer " + secret}, "User-Agent": {"zep-go"},
	}}, got)

	_, err = c.User.Add(ctx, &CreateUserRequest{UserID: "jane"})
	require.NoError(t, err)
	assert.Equal(t, wire{"POST /zep/api/v1/user", `{"user_id":"jane"}`, http.Header{
		"Accept-Encoding": {"gzip"}, "Authorization": {"Bearer " + secret}, "User-Agent": {"zep-go"},
		"Content-Type": {"application/json"}, "Content-Length": {"18"},
	}}, got)

	require.NoError(t, c.User.Delete(ctx, "jane"))
	assert.Equal(t, "DELETE /zep/api/v1/user/jane", got.line)
	assert.NotContains(t, got.header, "Content-Type", "there is no content")

	_, err = c.Health(ctx)
	require.NoError(t, err)
	assert.Equal(t, "GET /zep/healthz", got.line)
}

func TestWithoutAKeyNoneIsSent(t *testing.T) {
	t.Parallel()
	c, s, _ := scripted(t, []Option{WithUserAgent("shop/1.0")}, answers(200, janeJSON))
	_, err := c.User.Get(context.Background(), "jane")
	require.NoError(t, err)
	assert.Equal(t, http.Header{"User-Agent": {"shop/1.0"}}, s.requests()[0].header)
}

func TestTheQueryOfAList(t *testing.T) {
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

func TestHealthGivesTheVersionAsItIs(t *testing.T) {
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
	require.NoError(t, err, "a server that names no version is up, too")
	assert.Empty(t, health.Version)

	c, _, _ = scripted(t, nil, answers(404, "404 page not found"))
	_, err = c.Health(context.Background())
	require.ErrorIs(t, err, ErrEndpointNotFound)
}

// The caller's own http.Client.

func TestNoRedirectIsFollowedWhicheverClientIsUsed(t *testing.T) {
	t.Parallel()
	var hits atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	t.Cleanup(elsewhere.Close)
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	clients := map[string][]Option{
		"its own":                   nil,
		"a caller's":                {WithHTTPClient(&http.Client{Transport: transport})},
		"a caller's that follows":   {WithHTTPClient(&http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return nil }})},
		"a caller's with a jar":     {WithHTTPClient(&http.Client{Transport: transport, Jar: jar})},
		"a caller's with a timeout": {WithHTTPClient(&http.Client{Transport: transport, Timeout: time.Minute})},
	}
	target := elsewhere.Listener.Addr().String()
	locations := map[string]string{ // Location → what the error says of it
		"http://" + target + "/login":                                       "redirects to http://" + target + "/login",
		"http://user:p4ssw0rd@" + target + "/a%2Fb?token=p4ssw0rd#p4ssw0rd": "redirects to http://" + target + "/a%2Fb",
		"//" + target + "/x":                                                "redirects to //" + target + "/x",
		"/zep/api/v1/elsewhere?p4ssw0rd":                                    "redirects to /zep/api/v1/elsewhere",
		"http://[::1":                                                       "redirects to a place that is no URL",
		"http://user:p4ssw0rd@host:port/":                                   "redirects to a place that is no URL",
		"%zz":                                                               "redirects to a place that is no URL",
	}
	for name, opts := range clients {
		for _, status := range []int{301, 302, 303, 307, 308} {
			t.Run(fmt.Sprintf("%s/%d", name, status), func(t *testing.T) {
				t.Parallel()
				var location atomic.Value
				var requests atomic.Int32
				c, _ := onWire(t, func(w http.ResponseWriter, _ *http.Request) {
					requests.Add(1)
					w.Header()["Location"] = []string{location.Load().(string)}
					w.WriteHeader(status)
				}, append(opts, WithAPIKey(secret))...)
				for to, want := range locations {
					location.Store(to)
					_, get := c.User.Get(context.Background(), "jane")
					_, add := c.User.Add(context.Background(), &CreateUserRequest{UserID: "jane"})
					for _, err := range []error{get, add, c.User.Delete(context.Background(), "jane")} {
						e := requireError(t, err)
						assert.Equal(t, status, e.StatusCode)
						assert.Equal(t, 1, e.Attempts)
						assert.Equal(t, want, e.Message)
						assert.ErrorContains(t, err, "redirects are not followed")
						assert.NotContains(t, err.Error(), "p4ssw0rd")
						assert.Empty(t, matched(err))
					}
				}
				assert.EqualValues(t, 3*len(locations), requests.Load())
			})
		}
	}
	t.Cleanup(func() { assert.Zero(t, hits.Load(), "nothing, and no key, goes where the server points") })
}

func TestHTTPMockWorksOnACallersClientAfterNewClient(t *testing.T) {
	t.Parallel()
	hc := &http.Client{}
	c, err := NewClient(WithBaseURL(mockURL), WithAPIKey(""), WithHTTPClient(hc))
	require.NoError(t, err)
	mock := httpmock.NewMockTransport()
	mock.RegisterResponder("GET", mockURL+"/api/v1/user/jane", httpmock.NewStringResponder(200, janeJSON))
	hc.Transport = mock
	user, err := c.User.Get(context.Background(), "jane")
	require.NoError(t, err)
	assert.Equal(t, "jane", user.UserID)
	assert.Equal(t, 1, mock.GetTotalCallCount())

	// Another transport goes for the next call.
	other := httpmock.NewMockTransport()
	other.RegisterResponder("GET", mockURL+"/api/v1/user/jane", httpmock.NewStringResponder(404, "not found\n"))
	hc.Transport = other
	_, err = c.User.Get(context.Background(), "jane")
	require.ErrorIs(t, err, ErrNotFound)
	assert.Equal(t, 1, mock.GetTotalCallCount())
	assert.Equal(t, 1, other.GetTotalCallCount())
}

// TestHTTPMockActivateWorksWithNoClientGiven can't be parallel: it replaces http.DefaultTransport.
func TestHTTPMockActivateWorksWithNoClientGiven(t *testing.T) {
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
	assert.Same(t, c.transport, c.roundTripper(), "and its own transport again after it")
}

// closeCounter counts who empties its pool.
type closeCounter struct {
	http.RoundTripper
	closed atomic.Int32
}

func (c *closeCounter) CloseIdleConnections() { c.closed.Add(1) }

// TestGivingUpEmptiesNobodysConnectionPool can't be parallel: it replaces http.DefaultTransport.
func TestGivingUpEmptiesNobodysConnectionPool(t *testing.T) {
	global := http.DefaultTransport
	t.Cleanup(func() { http.DefaultTransport = global })
	giveUp := []step{neverDialled, cutBeforeWritten, answerLost, answers(503, ""), answers(404, "not found"), answers(200, "<html>")}
	for _, end := range giveUp {
		pool := &closeCounter{RoundTripper: roundTripFunc(end)}
		ctx, cancel := context.WithCancel(context.Background())
		for name, opts := range map[string][]Option{
			"a caller's transport":           {WithHTTPClient(&http.Client{Transport: pool})},
			"http.DefaultTransport":          {WithHTTPClient(&http.Client{})},
			"http.DefaultTransport replaced": nil,
			"its own":                        nil,
		} {
			c, err := NewClient(append([]Option{WithBaseURL(mockURL), WithAPIKey("")}, opts...)...)
			require.NoError(t, err)
			clock := stopClock(c)
			http.DefaultTransport = pool
			if name == "its own" {
				http.DefaultTransport, c.transport = global, pool
			}
			for _, call := range kinds {
				require.Error(t, call(context.Background(), c), name)
			}
			clock.during = cancel
			require.Error(t, kinds["read"](ctx, c))
			assert.Zero(t, pool.closed.Load(), name)
		}
		cancel()
	}
}

func TestACallersHTTPClientIsNotWrittenTo(t *testing.T) {
	t.Parallel()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	s := &script{t: t, steps: []step{answers(503, ""), answers(200, janeJSON), answers(302, "", "Location", "/x"), answers(404, "not found")}}
	hc := &http.Client{Transport: s, Jar: jar, Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error {
		panic("no redirect is followed")
	}}
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

	// Not even the zero one, which is where defaults might be put.
	zero := &http.Client{}
	_, err = NewClient(WithBaseURL(mockURL), WithAPIKey(""), WithHTTPClient(zero))
	require.NoError(t, err)
	assert.Equal(t, http.Client{}, *zero)
}

// TestACallersTimeoutLeavesNothingRunning: http.Client ends the timer of its Timeout when the answer is read and closed.
func TestACallersTimeoutLeavesNothingRunning(t *testing.T) {
	t.Parallel()
	var timers atomic.Int32
	for _, end := range []step{answers(200, janeJSON), answers(404, "not found"), answers(204, "")} {
		var canceled context.Context
		hc := &http.Client{Timeout: time.Hour, Transport: roundTripFunc(func(req *http.Request) (*http.Response, error) {
			canceled = req.Context()
			return end(req)
		})}
		c, err := NewClient(WithBaseURL(mockURL), WithAPIKey(""), WithHTTPClient(hc), WithTimeout(2*time.Hour))
		require.NoError(t, err)
		_, _ = c.User.Get(context.Background(), "jane", RequestMaxAttempts(1))
		select {
		case <-canceled.Done():
		case <-time.After(time.Second):
			timers.Add(1)
		}
	}
	assert.Zero(t, timers.Load(), "requests whose timers run on")
}

// TestEachAttemptHasHeadersOfItsOwn: a Jar or a Transport that adds to them must not add twice.
func TestEachAttemptHasHeadersOfItsOwn(t *testing.T) {
	t.Parallel()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	base, err := url.Parse(mockURL)
	require.NoError(t, err)
	jar.SetCookies(base, []*http.Cookie{{Name: "sid", Value: "1", Path: "/"}})
	s := &script{t: t, steps: []step{answers(503, ""), answers(503, "", "Set-Cookie", "sid=2; Path=/"), answers(200, janeJSON)}}
	signing := roundTripFunc(func(req *http.Request) (*http.Response, error) {
		req.Header.Add("X-Signature", "one")
		req.Header.Add("User-Agent", "via-proxy")
		return s.RoundTrip(req)
	})
	c, err := NewClient(WithBaseURL(mockURL), WithAPIKey(""), WithHTTPClient(&http.Client{Transport: signing, Jar: jar}))
	require.NoError(t, err)
	stopClock(c)
	_, err = c.User.Get(context.Background(), "jane")
	require.NoError(t, err)
	for i, cookie := range []string{"sid=1", "sid=1", "sid=2"} {
		header := s.requests()[i].header
		assert.Equal(t, []string{"one"}, header["X-Signature"], i)
		assert.Equal(t, []string{"zep-go", "via-proxy"}, header["User-Agent"], i)
		assert.Equal(t, []string{cookie}, header["Cookie"], i)
	}
	assert.Equal(t, []string{"zep-go"}, c.userAgent)
}

// TestEachAttemptHasAURLOfItsOwn: a Transport that puts a path before it must not do so twice.
func TestEachAttemptHasAURLOfItsOwn(t *testing.T) {
	t.Parallel()
	s := &script{t: t, steps: []step{answers(503, ""), answers(503, ""), answers(404, "not found")}}
	gateway := roundTripFunc(func(req *http.Request) (*http.Response, error) {
		req.URL.Path = "/gateway" + req.URL.Path
		return s.RoundTrip(req)
	})
	c, err := NewClient(WithBaseURL(mockURL), WithAPIKey(""), WithHTTPClient(&http.Client{Transport: gateway}))
	require.NoError(t, err)
	stopClock(c)
	_, err = c.User.Get(context.Background(), "jane")
	assert.Equal(t, "/zep/api/v1/user/jane", requireError(t, err).Path)
	for _, request := range s.requests() {
		assert.Equal(t, "http://zep.test/gateway/zep/api/v1/user/jane", request.url)
	}
}

// TestATransportThatGivesNothingIsAnError: http.Client takes a response without a body for an empty one.
func TestATransportThatGivesNothingIsAnError(t *testing.T) {
	t.Parallel()
	c, _, _ := scripted(t, nil, func(*http.Request) (*http.Response, error) { return nil, nil },
		func(*http.Request) (*http.Response, error) { return &http.Response{StatusCode: 404}, nil })
	_, err := c.User.Get(context.Background(), "jane", RequestMaxAttempts(1))
	require.ErrorContains(t, err, "neither a response nor an error")
	_, err = c.User.Get(context.Background(), "jane")
	assert.Equal(t, 404, requireError(t, err).StatusCode)
}

// What a caller hands over is a caller's.

func TestWhatACallerHandsOverMayBeSharedAndIsNotWrittenTo(t *testing.T) {
	t.Parallel()
	transport := roundTripFunc(func(req *http.Request) (*http.Response, error) {
		req.Header.Set("X-Of-The-Transport", "1") // it may
		return answers(200, janeJSON)(req)
	})
	c, err := NewClient(WithBaseURL(mockURL), WithAPIKey(secret), WithHTTPClient(&http.Client{Transport: transport}))
	require.NoError(t, err)
	other, err := NewClient(WithBaseURL(mockURL), WithAPIKey(secret), WithHTTPClient(&http.Client{Transport: transport}))
	require.NoError(t, err)

	metadata := Metadata{"plan": "team", "deep": map[string]any{"n": 1, "empty": Metadata{}}}
	deep := maps.Clone(metadata)
	add := &CreateUserRequest{UserID: "jane", Metadata: metadata}
	update := &UpdateUserRequest{UserID: "jane", Metadata: metadata}
	session := &CreateSessionRequest{SessionID: "s", UserID: "jane", Metadata: metadata}
	page := &ListOptions{Limit: 2, Cursor: 3}
	opts := append(make([]RequestOption, 0, 8), RequestHeader("X-Trace", "t"), RequestTimeout(time.Minute)) // with room, for an append to show
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

func TestClientOptionsMayBeShared(t *testing.T) {
	t.Parallel()
	opts := append(make([]Option, 0, 8), WithBaseURL(mockURL), WithAPIKey(secret), WithTimeout(time.Minute), WithUserAgent("shop"))
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

func TestOptionsOfOneCallDoNotGoForTheNext(t *testing.T) {
	t.Parallel()
	c, s, _ := scripted(t, nil, repeat(2, answers(200, janeJSON))...)
	_, err := c.User.Get(context.Background(), "jane", RequestHeader("X-Trace", "t"), RequestHeader("User-Agent", "once"))
	require.NoError(t, err)
	_, err = c.User.Get(context.Background(), "jane")
	require.NoError(t, err)
	assert.Equal(t, http.Header{"User-Agent": {"once"}, "X-Trace": {"t"}}, s.requests()[0].header)
	assert.Equal(t, http.Header{"User-Agent": {"zep-go"}}, s.requests()[1].header)
}

// CaptureResponse.

func TestCaptureResponseKeepsTheLastResponse(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		steps  []step
		status int // 0: none
		body   string
	}{
		"a success":                       {[]step{answers(200, janeJSON, "X-Zep-Version", "v")}, 200, janeJSON},
		"an error":                        {[]step{answers(404, "not found\n", "X-Zep-Version", "v")}, 404, "not found\n"},
		"after retries":                   {[]step{answers(503, "busy"), neverDialled, answers(200, janeJSON, "X-Zep-Version", "v")}, 200, janeJSON},
		"the last of many errors":         {[]step{answers(503, "1"), answers(500, "2"), answers(502, "3"), answers(503, "4", "X-Zep-Version", "v")}, 503, "4"},
		"no response at all":              {repeat(4, neverDialled), 0, ""},
		"the last there was":              {[]step{answers(503, "busy", "X-Zep-Version", "v"), neverDialled, neverDialled, neverDialled}, 503, "busy"},
		"what is no answer of Zep's":      {[]step{answers(200, "null", "X-Zep-Version", "v")}, 200, "null"},
		"a redirect, with where it leads": {[]step{answers(302, "", "Location", "http://zep.test/x", "X-Zep-Version", "v")}, 302, ""},
		"64 KiB of an error":              {[]step{answers(400, strings.Repeat("x", 100<<10), "X-Zep-Version", "v")}, 400, strings.Repeat("x", 64<<10)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _, _ := scripted(t, []Option{WithAPIKey(secret)}, test.steps...)
			response := &http.Response{StatusCode: 999} // of an earlier call
			_, err := c.User.Get(context.Background(), "jane", CaptureResponse(&response))
			if test.status == 0 {
				assert.Nil(t, response)
				return
			}
			require.NotNil(t, response)
			assert.Equal(t, test.status, response.StatusCode)
			assert.Equal(t, "v", response.Header.Get("X-Zep-Version"))
			body, readErr := io.ReadAll(response.Body)
			require.NoError(t, readErr)
			assert.Equal(t, test.body, string(body))
			require.NoError(t, response.Body.Close())
			require.NotNil(t, response.Request)
			assert.Equal(t, "/zep/api/v1/user/jane", response.Request.URL.Path)
			assert.NotContains(t, response.Request.Header, "Authorization")
			assert.NotContains(t, fmt.Sprintf("%+v %#v", *response, response.Request), secret)
			if test.status == 302 {
				assert.Equal(t, "http://zep.test/x", response.Header.Get("Location"))
			}
			if err != nil {
				requireError(t, err)
			}
		})
	}
}

// TestCaptureResponseIsNilIfNothingWasSent: the response of an earlier call must not be taken for this one's.
func TestCaptureResponseIsNilIfNothingWasSent(t *testing.T) {
	t.Parallel()
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	ctx := context.Background()
	c, _, _ := scripted(t, nil)
	for name, call := range map[string]func(RequestOption) error{
		"an id that is refused":    func(o RequestOption) error { _, err := c.User.Get(ctx, "", o); return err },
		"a record that is refused": func(o RequestOption) error { _, err := c.User.Add(ctx, &CreateUserRequest{}, o); return err },
		"a page that is refused":   func(o RequestOption) error { _, err := c.User.List(ctx, &ListOptions{Limit: -1}, o); return err },
		"no JSON": func(o RequestOption) error {
			_, err := c.User.Update(ctx, &UpdateUserRequest{UserID: "j", Metadata: Metadata{"f": func() {}}}, o)
			return err
		},
		"a context that has ended": func(o RequestOption) error { _, err := c.User.Get(ended, "jane", o); return err },
	} {
		response := &http.Response{StatusCode: 999}
		require.Error(t, call(CaptureResponse(&response)), name)
		assert.Nil(t, response, name)
	}
}

// Secrets.

// shown is everything that formatting makes of a value.
func shown(t *testing.T, values ...any) string {
	t.Helper()
	var b strings.Builder
	text := slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug}))
	asJSON := slog.New(slog.NewJSONHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug}))
	for _, value := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			fmt.Fprintf(&b, verb+"\n", value)
		}
		if data, err := json.Marshal(value); err == nil {
			b.Write(data)
		}
		text.Info("value", "value", value, "list", []any{value})
		asJSON.Info("value", "value", value, "list", []any{value})
		// What testify prints of two values that differ goes as deep as reflection does.
		var dump dumper
		assert.Equal(&dump, value, 1)
		assert.Equal(&dump, []any{value}, 1)
		b.WriteString(dump.String())
	}
	return b.String()
}

// dumper is a test that only notes what it is told.
type dumper struct{ strings.Builder }

func (d *dumper) Errorf(format string, args ...any) { fmt.Fprintf(d, format, args...) }

// assertNotShown: neither as it is, nor in hex, nor a part of it that would do.
func assertNotShown(t *testing.T, text string) {
	t.Helper()
	for _, form := range []string{secret, fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret), "the-secret-of"} {
		if i := strings.Index(text, form); i >= 0 {
			assert.Failf(t, "the key is shown", "%.300s", text[max(0, i-200):])
			return
		}
	}
}

func TestNoFormOfPrintingAClientShowsTheKey(t *testing.T) {
	t.Parallel()
	opt := WithAPIKey(secret)
	requestOpt := RequestHeader("Authorization", "Bearer "+secret)
	c, s, _ := scripted(t, []Option{opt}, answers(200, janeJSON))
	own, err := NewClient(WithBaseURL(mockURL), opt)
	require.NoError(t, err)
	assertNotShown(t, shown(t, c, *c, own, *own, c.User, *c.User, c.Session, *c.Session, c.config, c.retry, opt, requestOpt,
		[]Option{opt}, struct{ C *Client }{c}, map[string]any{"client": *c}))
	assert.Equal(t, "zep.Client(http://zep.test/zep)", fmt.Sprint(c))

	_, err = c.User.Get(context.Background(), "jane")
	require.NoError(t, err)
	assert.Equal(t, "Bearer "+secret, s.requests()[0].header.Get("Authorization"), "it is there, though")
	var b strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		fmt.Fprintf(&b, verb+verb, c, *c)
	}
	assertNotShown(t, b.String())
}

// TestNoErrorShowsTheKey: a server, or a proxy that is confused, may send back what it was sent.
func TestNoErrorShowsTheKey(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 4<<10)
	tests := map[string]step{
		"in the text":                     answers(400, "bad token: "+secret),
		"cut by the limit of the body":    answers(400, strings.Repeat(" ", maxErrorBody-len(secret)+1)+secret),
		"often in the text":               answers(401, secret+secret+" Bearer "+secret),
		"cut at the end of the text":      answers(400, long[:4093-40]+secret+long),
		"in control characters":           answers(400, "a\x00"+secret+"\x1b\n"+secret+"\n"),
		"in a header":                     answers(400, "no", "X-Echo", "Bearer "+secret),
		"in headers":                      answers(400, "no", "X-Echo", secret, "Www-Authenticate", `Bearer error="`+secret+`"`, "X-Fine", "fine"),
		"in a header spelled another way": withHeader(answers(400, "no"), "x-echo", secret),
		"in a header's second value":      withHeader(answers(400, "no"), "X-Echo", "a", secret),
		"in the place it redirects to":    answers(302, "", "Location", "http://zep.test/"+secret+"?"+secret),
		"in an answer that is not Zep's":  answers(200, `{"created_at":"`+secret+`"}`, "X-Echo", secret),
		"in an error of the transport's":  breaks(errors.New("malformed HTTP response: " + secret)),
		"in an error within another":      breaks(fmt.Errorf("broken: %w", textError("malformed MIME header line: "+secret))),
		"in an error of the network's":    breaks(&net.OpError{Op: "read", Err: textError(secret)}),
	}
	for name, attempt := range tests {
		for how, opts := range map[string]struct {
			client  []Option
			request []RequestOption
		}{
			"the client's": {[]Option{WithAPIKey(secret)}, nil},
			"the call's":   {nil, []RequestOption{RequestHeader("Authorization", "Bearer "+secret)}},
		} {
			t.Run(name+"/"+how, func(t *testing.T) {
				t.Parallel()
				c, _, _ := scripted(t, opts.client, repeat(4, attempt)...)
				_, err := c.User.Get(context.Background(), "jane", opts.request...)
				e := requireError(t, err)
				assertNotShown(t, shown(t, e, *e, fmt.Errorf("wrapped: %w", err)))
				for _, cause := range causes(err) {
					assertNotShown(t, cause.Error())
				}
				assertOneLine(t, err.Error())
			})
		}
	}
}

// TestTheKeyIsNotCutBeforeItIsTakenOut: what is cut is not found.
func TestTheKeyIsNotCutBeforeItIsTakenOut(t *testing.T) {
	t.Parallel()
	for n := range 200 {
		c, _, _ := scripted(t, []Option{WithAPIKey(secret)}, answers(200, strings.Repeat("x", n)+secret))
		err := c.User.Delete(context.Background(), "jane", RequestMaxAttempts(1))
		require.ErrorContains(t, err, redacted)
		assertNotShown(t, shown(t, err))
	}
}

// textError is an error that reflection prints, as textproto.ProtocolError is.
type textError string

func (e textError) Error() string { return string(e) }

func withHeader(s step, name string, values ...string) step {
	return func(req *http.Request) (*http.Response, error) {
		resp, err := s(req)
		resp.Header[name] = values
		return resp, err
	}
}

// causes are all errors that errors.As would look at.
func causes(err error) []error {
	if err == nil {
		return nil
	}
	found := []error{err}
	switch wrapper := err.(type) {
	case interface{ Unwrap() error }:
		found = append(found, causes(wrapper.Unwrap())...)
	case interface{ Unwrap() []error }:
		for _, inner := range wrapper.Unwrap() {
			found = append(found, causes(inner)...)
		}
	}
	return found
}

// TestAServerThatEchoesTheRequestInPlaceOfAnAnswer is the same on the wire, with net/http's own errors.
func TestAServerThatEchoesTheRequestInPlaceOfAnAnswer(t *testing.T) {
	t.Parallel()
	for _, head := range []string{
		"Authorization: Bearer " + secret + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\nBearer " + secret + "\r\n\r\n",
		"HTTP/1.1 Bearer" + secret + " OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: " + secret + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: " + secret + "\r\n\r\n",
	} {
		c := onRawWire(t, func(conn net.Conn) { _, _ = io.WriteString(conn, head) }, WithAPIKey(secret))
		_, err := c.User.Get(context.Background(), "jane")
		e := requireError(t, err)
		assertNotShown(t, shown(t, e, *e))
		for _, cause := range causes(err) {
			assertNotShown(t, cause.Error())
		}
		assertOneLine(t, err.Error())
	}
}

// Logging.

func logged(t *testing.T, buffer *bytes.Buffer) []map[string]any {
	t.Helper()
	var records []map[string]any
	for decoder := json.NewDecoder(buffer); decoder.More(); {
		var record map[string]any
		require.NoError(t, decoder.Decode(&record))
		delete(record, "time")
		records = append(records, record)
	}
	return records
}

func TestTheLogHasARecordForEachAttemptAndAWarningBeforeEachRetry(t *testing.T) {
	t.Parallel()
	var buffer bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&buffer, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c, _, _ := scripted(t, []Option{WithLogger(logger), WithAPIKey(secret)},
		answers(503, "busy with jane's-id"), neverDialled, answers(200, `{"user_id":"jane's-id"}`), answers(404, "not found: jane's-id"))
	ctx := context.Background()
	_, err := c.User.Update(ctx, &UpdateUserRequest{UserID: "jane's-id", Email: "jane's-email", Metadata: Metadata{"jane's-key": "jane's-value"}})
	require.NoError(t, err)
	require.Error(t, c.Session.Delete(ctx, "jane's-session", RequestHeader("X-Trace", "jane's-trace")))
	assert.NotContains(t, buffer.String(), "jane", "neither ids nor bodies nor headers")
	assertNotShown(t, buffer.String())
	const route = "/user/{userId}"
	assert.Equal(t, []map[string]any{
		{"level": "DEBUG", "msg": "zep: attempt", "method": "PATCH", "route": route, "attempt": 1.0, "status": 503.0, "outcome": "undone", "duration": 0.0},
		{"level": "WARN", "msg": "zep: trying again", "method": "PATCH", "route": route, "attempt": 1.0, "status": 503.0, "outcome": "undone", "wait": 100e6},
		{"level": "DEBUG", "msg": "zep: attempt", "method": "PATCH", "route": route, "attempt": 2.0, "outcome": "undone", "duration": 0.0},
		{"level": "WARN", "msg": "zep: trying again", "method": "PATCH", "route": route, "attempt": 2.0, "outcome": "undone", "wait": 200e6},
		{"level": "DEBUG", "msg": "zep: attempt", "method": "PATCH", "route": route, "attempt": 3.0, "status": 200.0, "duration": 0.0},
		{"level": "DEBUG", "msg": "zep: attempt", "method": "DELETE", "route": "/sessions/{sessionId}/memory", "attempt": 1.0, "status": 404.0, "outcome": "settled", "duration": 0.0},
	}, logged(t, &buffer))
}

func TestALoggerOfWarningsGetsOnlyThose(t *testing.T) {
	t.Parallel()
	var buffer bytes.Buffer
	c, _, _ := scripted(t, []Option{WithLogger(slog.New(slog.NewJSONHandler(&buffer, nil)))}, answers(503, ""), answers(200, janeJSON))
	_, err := c.User.Get(context.Background(), "jane")
	require.NoError(t, err)
	records := logged(t, &buffer)
	require.Len(t, records, 1)
	assert.Equal(t, "WARN", records[0]["level"])
}

// TestWithoutALoggerNothingIsWritten can't be parallel: it takes the process's own outputs.
func TestWithoutALoggerNothingIsWritten(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/output")
	require.NoError(t, err)
	stdout, stderr, std, flags := os.Stdout, os.Stderr, slog.Default(), log.Flags()
	writer := log.Writer()
	os.Stdout, os.Stderr = file, file
	log.SetOutput(file)
	slog.SetDefault(slog.New(slog.NewTextHandler(file, &slog.HandlerOptions{Level: slog.LevelDebug})))
	restore := sync.OnceFunc(func() {
		os.Stdout, os.Stderr = stdout, stderr
		slog.SetDefault(std)
		log.SetOutput(writer)
		log.SetFlags(flags)
		_ = file.Close()
	})
	t.Cleanup(restore)
	for _, opts := range [][]Option{nil, {WithLogger(nil)}} {
		for _, end := range []step{answers(200, janeJSON), answers(404, ""), answers(503, ""), answerLost, neverDialled, answers(200, "<html>")} {
			c, _, _ := scripted(t, opts, repeat(4, end)...)
			_, _ = c.User.Get(context.Background(), "jane")
			_, _ = c.User.Get(context.Background(), "")
		}
	}
	restore()
	written, err := os.ReadFile(file.Name())
	require.NoError(t, err)
	assert.Empty(t, string(written))
}

// TLS.

// overTLS is a server with a certificate, and a client of its own transport that knows the certificate.
func overTLS(t *testing.T, configure func(*httptest.Server), base string) (*Client, *atomic.Int32) {
	t.Helper()
	var requests atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		w.Header().Set("X-Zep-Version", r.Proto)
		_, _ = io.WriteString(w, janeJSON)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	configure(server)
	server.StartTLS()
	t.Cleanup(server.Close)
	c, err := NewClient(WithBaseURL(strings.Replace(base, "host", server.Listener.Addr().String(), 1)), WithAPIKey(secret))
	require.NoError(t, err)
	stopClock(c)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	c.transport.(*http.Transport).TLSClientConfig.RootCAs = roots
	return c, &requests
}

func TestTLS(t *testing.T) {
	t.Parallel()
	plain := func(*httptest.Server) {}
	t.Run("1.2 at least", func(t *testing.T) {
		t.Parallel()
		assert.GreaterOrEqual(t, newTransport().TLSClientConfig.MinVersion, uint16(tls.VersionTLS12))
		c, requests := overTLS(t, func(s *httptest.Server) {
			s.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
		}, "https://host/zep")
		for kind, call := range kinds {
			err := call(context.Background(), c)
			require.ErrorContains(t, err, "tls: ", kind)
			assert.Equal(t, 1, requireError(t, err).Attempts, kind)
			assert.NotContains(t, err.Error(), "may have been carried out")
		}
		assert.Zero(t, requests.Load())

		c, _ = overTLS(t, func(s *httptest.Server) { s.TLS = &tls.Config{MaxVersion: tls.VersionTLS12} }, "https://host/zep")
		_, err := c.User.Get(context.Background(), "jane")
		require.NoError(t, err)
	})
	t.Run("HTTP/2", func(t *testing.T) {
		t.Parallel()
		c, _ := overTLS(t, func(s *httptest.Server) { s.EnableHTTP2 = true }, "https://host/zep")
		health, err := c.Health(context.Background())
		require.NoError(t, err)
		assert.Equal(t, "HTTP/2.0", health.Version)
		for kind, call := range kinds {
			require.NoError(t, call(context.Background(), c), kind)
		}
	})
	t.Run("a certificate of nobody's fails once", func(t *testing.T) {
		t.Parallel()
		for kind, call := range kinds {
			c, requests := overTLS(t, plain, "https://host/zep")
			c.transport.(*http.Transport).TLSClientConfig.RootCAs = x509.NewCertPool()
			err := call(context.Background(), c)
			assert.Equal(t, 1, requireError(t, err).Attempts, kind)
			var unknown x509.UnknownAuthorityError
			require.ErrorAs(t, err, &unknown)
			assert.NotContains(t, err.Error(), "may have been carried out")
			assert.Zero(t, requests.Load())
		}
	})
	t.Run("http to a server of https fails once", func(t *testing.T) {
		t.Parallel()
		for kind, call := range kinds {
			c, requests := overTLS(t, plain, "http://host/zep")
			err := call(context.Background(), c)
			e := requireError(t, err)
			assert.Equal(t, 1, e.Attempts, kind)
			assert.ErrorContains(t, err, "HTTPS", kind)
			assert.Zero(t, requests.Load())
		}
	})
	t.Run("https to a server of http fails once", func(t *testing.T) {
		t.Parallel()
		for kind, call := range kinds {
			_, server := onWire(t, func(http.ResponseWriter, *http.Request) { t.Error("a request came") })
			c, err := NewClient(WithBaseURL(strings.Replace(server.URL, "http:", "https:", 1)), WithAPIKey(secret))
			require.NoError(t, err)
			stopClock(c)
			err = call(context.Background(), c)
			assert.Equal(t, 1, requireError(t, err).Attempts, kind)
			assert.ErrorContains(t, err, "TLS")
			assert.NotContains(t, err.Error(), "may have been carried out")
		}
	})
}

// TestAProxyOfTheEnvironmentIsUsed runs itself once more: net/http reads the environment once in a process.
func TestAProxyOfTheEnvironmentIsUsed(t *testing.T) {
	t.Parallel()
	const base = "http://zep.test/zep" // where nobody is
	if os.Getenv("HTTP_PROXY") != "" && os.Getenv("ZEP_API_URL") == base {
		c, err := NewClient()
		require.NoError(t, err)
		health, err := c.Health(context.Background(), RequestMaxAttempts(1))
		require.NoError(t, err)
		require.Equal(t, "seen by the proxy", health.Version)
		c.transport.(*http.Transport).CloseIdleConnections()
		return
	}
	var asked atomic.Value
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r.RequestURI)
		w.Header().Set("X-Zep-Version", "seen by the proxy")
	}))
	t.Cleanup(proxy.Close)
	again := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	again.Env = append(os.Environ(), "HTTP_PROXY="+proxy.URL, "NO_PROXY=", "REQUEST_METHOD=", "ZEP_API_URL="+base)
	out, err := again.CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Equal(t, base+"/healthz", asked.Load())
}

// Bounds.

func TestAnAnswerOverTheLimitIsAnErrorAndNotAskedForAgain(t *testing.T) {
	t.Parallel()
	const limit = 1000
	whole := `{"user_id":"` + strings.Repeat("j", limit-14) + `"}`
	require.Len(t, whole, limit)
	c, _, _ := scripted(t, nil, answers(200, whole), answers(200, whole+" "))
	c.maxBody = limit
	_, err := c.User.Get(context.Background(), "jane")
	require.NoError(t, err, "just at the limit")
	_, err = c.User.Get(context.Background(), "jane")
	assert.Equal(t, []error{ErrTooLarge}, matched(err))
	assert.ErrorContains(t, err, "the answer is over 1000 bytes")
	assert.Equal(t, 1, requireError(t, err).Attempts)
}

// endless writes for as long as somebody reads, and notes how much that was.
func endless(w io.Writer, chunk string, written *atomic.Int64) {
	for {
		n, err := io.WriteString(w, chunk)
		written.Add(int64(n))
		if err != nil {
			return
		}
	}
}

// mostEndless is over all limits of these tests and over what sockets hold, and far under what would run away.
const mostEndless = 64 << 20

func TestAnEndlessAnswerEnds(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 400, 404, 503} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			var written atomic.Int64
			c, server := onWire(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(status)
				endless(w, strings.Repeat("x", 8<<10), &written)
			})
			c.maxBody = 1 << 20
			_, err := c.User.Get(context.Background(), "jane", RequestMaxAttempts(2))
			e := requireError(t, err)
			assert.Equal(t, status, e.StatusCode)
			assert.LessOrEqual(t, len(e.Message), 4<<10)
			if status == 200 {
				assert.Equal(t, []error{ErrTooLarge}, matched(err))
				assert.Equal(t, 1, e.Attempts)
			}
			server.Close() // waits for the handler, which ends because nobody reads
			assert.Less(t, written.Load(), int64(mostEndless))
		})
	}
}

func TestAnEndlessHeaderEnds(t *testing.T) {
	t.Parallel()
	for name, chunk := range map[string]string{
		"many lines": "X-More: " + strings.Repeat("x", 1000) + "\r\n",
		"one line":   strings.Repeat("x", 1000),
		"no colon":   strings.Repeat("x", 1000) + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var written atomic.Int64
			c := onRawWire(t, func(conn net.Conn) {
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nX-Zep: ")
				endless(conn, chunk, &written)
			})
			_, err := c.User.Get(context.Background(), "jane", RequestMaxAttempts(2))
			e := requireError(t, err)
			assert.Zero(t, e.StatusCode)
			assert.LessOrEqual(t, len(e.Message), 4<<10)
			assertOneLine(t, err.Error())
			assert.Less(t, written.Load(), int64(mostEndless))
		})
	}
}

// TestASwitchOfProtocolsEnds: its body would be the connection, for as long as the server likes.
func TestASwitchOfProtocolsEnds(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	c := onRawWire(t, func(conn net.Conn) {
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
		<-release
	})
	_, err := c.User.Update(context.Background(), &UpdateUserRequest{UserID: "jane"})
	assert.Equal(t, 101, requireError(t, err).StatusCode)
	assert.True(t, idle(c.updates), "the next update has its turn")
	close(release)
}

func TestJSONNestedDeepIsAnErrorAndNoCrash(t *testing.T) {
	t.Parallel()
	const deep = 100_000
	bodies := map[string]string{
		"lists":           strings.Repeat("[", deep) + strings.Repeat("]", deep),
		"objects":         strings.Repeat(`{"a":`, deep) + "1" + strings.Repeat("}", deep),
		"lists, unclosed": strings.Repeat("[", deep),
		"in the metadata": `{"user_id":"jane","metadata":` + strings.Repeat(`{"a":`, deep) + "1" + strings.Repeat("}", deep) + "}",
		"in what is new":  `{"user_id":"jane","new":` + strings.Repeat("[", deep) + strings.Repeat("]", deep) + "}",
	}
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _, _ := scripted(t, nil, repeat(2, answers(200, body))...)
			_, err := c.User.Get(context.Background(), "jane", RequestMaxAttempts(1))
			requireError(t, err)
			_, err = c.User.List(context.Background(), nil, RequestMaxAttempts(1))
			requireError(t, err)
			assertOneLine(t, err.Error())
		})
	}
}

func TestAListOfAMillionIsAnAnswer(t *testing.T) {
	t.Parallel()
	const million = 1_000_000
	body := "[{}" + strings.Repeat(",{}", million-1) + "]"
	c, _, _ := scripted(t, nil, answers(200, body))
	users, err := c.User.List(context.Background(), nil)
	require.NoError(t, err)
	assert.Len(t, users, million)
}

func TestAnswersThatAreNotZepsAreErrors(t *testing.T) {
	t.Parallel()
	var zipped bytes.Buffer
	zipper := gzip.NewWriter(&zipped)
	_, _ = io.WriteString(zipper, `{"user_id":"`+strings.Repeat("jane", 1000)+`"}`)
	require.NoError(t, zipper.Close())
	get := func(c *Client) error { _, err := c.User.Get(context.Background(), "jane"); return err }
	list := func(c *Client) error { _, err := c.User.List(context.Background(), nil); return err }
	write := func(status int, header map[string]string, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for name, value := range header {
				w.Header().Set(name, value)
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	gzipped := map[string]string{"Content-Encoding": "gzip"}
	tests := map[string]struct {
		handler  http.HandlerFunc
		call     func(*Client) error
		attempts int // as the table of retries has it for reads
	}{
		"null for a record":        {write(200, nil, "null\n"), get, 1},
		"null in a list":           {write(200, nil, "[{},null]"), list, 1},
		"a list for a record":      {write(200, nil, "[]"), get, 1},
		"a record for a list":      {write(200, nil, "{}"), list, 1},
		"a record of another type": {write(200, nil, `{"user_id":7}`), get, 1},
		"nothing for a record":     {write(200, nil, ""), get, 4},
		"nothing for a list":       {write(200, nil, ""), list, 4},
		"no content":               {write(204, nil, ""), get, 4},
		"text":                     {write(200, nil, "OK"), get, 4},
		"HTML":                     {write(200, nil, "<!DOCTYPE html><title>welcome</title>"), get, 4},
		"HTML for a list":          {write(200, nil, "<html></html>"), list, 4},
		"half of it":               {write(200, nil, `{"user_id":"ja`), get, 4},
		"a shorter body than said": {write(200, map[string]string{"Content-Length": "100"}, `{"user_id":"jane"}`), get, 4},
		"two records":              {write(200, nil, `{"user_id":"jane"}{}`), get, 4},
		"gzip, truncated":          {write(200, gzipped, zipped.String()[:zipped.Len()-10]), get, 4},
		"gzip that is none":        {write(200, gzipped, janeJSON), get, 4},
		"gzip of nothing":          {write(200, gzipped, ""), get, 4},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int32
			c, _ := onWire(t, func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				test.handler(w, r)
			})
			err := test.call(c)
			e := requireError(t, err)
			assert.Equal(t, test.attempts, e.Attempts)
			assert.EqualValues(t, test.attempts, requests.Load())
			assert.Empty(t, matched(err))
			assert.NotContains(t, strings.ToLower(err.Error()), "html>")
			assertOneLine(t, err.Error())
		})
	}
	for name, body := range map[string]string{"null for a list": "null\n", "an empty list": "[]\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _ := onWire(t, write(200, nil, body))
			users, err := c.User.List(context.Background(), nil)
			require.NoError(t, err)
			assert.Empty(t, users)
			assert.NotNil(t, users)
		})
	}
	t.Run("gzip, whole", func(t *testing.T) {
		t.Parallel()
		c, _ := onWire(t, write(200, gzipped, zipped.String()))
		require.NoError(t, get(c))
	})
	t.Run("a small answer that grows over the limit", func(t *testing.T) {
		t.Parallel()
		c, _ := onWire(t, write(200, gzipped, zipped.String()))
		c.maxBody = 1000
		require.ErrorIs(t, get(c), ErrTooLarge)
	})
}

// TestADeleteIsDoneWhenZepSaysSo: a page that a proxy sent with 200 is no answer of Zep's, nor is nothing at all.
func TestADeleteIsDoneWhenZepSaysSo(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		" <html>please log in</html>": "an HTML page in place of Zep's word",
		"":                            `"" in place of Zep's word`,
		"upstream said nothing":       `"upstream said nothing" in place of Zep's word`,
		`{"status":"OK"}`:             "in place of Zep's word",
	} {
		c, _, _ := scripted(t, nil, repeat(4, answers(200, body))...)
		require.ErrorContains(t, c.User.Delete(context.Background(), "jane"), want)
		c, _, _ = scripted(t, nil, answers(200, body), answers(404, "not found\n"))
		require.NoError(t, c.User.Delete(context.Background(), "jane"))
	}
	c, _, _ := scripted(t, nil, repeat(4, answers(200, "<html>please log in</html>"))...)
	_, err := c.Health(context.Background())
	require.ErrorContains(t, err, "an HTML page")
	c, _, _ = scripted(t, nil, answers(200, "OK\n"))
	require.NoError(t, c.User.Delete(context.Background(), "jane"))
}

// TestAConnectionIsUsedAgain: also after answers that are errors, and with bodies that nobody looks at.
func TestAConnectionIsUsedAgain(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	connections := map[string]int{}
	c, _ := onWire(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		connections[r.RemoteAddr]++
		mu.Unlock()
		if strings.HasSuffix(r.URL.Path, "missing") {
			w.WriteHeader(404)
			_, _ = io.WriteString(w, strings.Repeat("x", 200<<10))
			return
		}
		_, _ = io.WriteString(w, janeJSON)
	})
	for range 5 {
		_, err := c.User.Get(context.Background(), "jane")
		require.NoError(t, err)
		_, err = c.User.Get(context.Background(), "missing")
		require.Error(t, err)
		_, err = c.Health(context.Background())
		require.NoError(t, err)
	}
	mu.Lock()
	defer mu.Unlock()
	assert.Equal(t, []int{15}, slices.Collect(maps.Values(connections)))
}

// TestManyGoroutinesShareAsManyConnections: the transport keeps those that are idle, where net/http's default would close them. The
// first requests are held back until all have come: from then on there is an idle connection for each.
func TestManyGoroutinesShareAsManyConnections(t *testing.T) {
	t.Parallel()
	const goroutines = 64
	var mu sync.Mutex
	connections := map[string]bool{}
	var come sync.WaitGroup
	come.Add(goroutines)
	c, _ := onWire(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		connections[r.RemoteAddr] = true
		mu.Unlock()
		if strings.HasSuffix(r.URL.Path, "first") {
			come.Done()
			come.Wait()
		}
		_, _ = io.WriteString(w, janeJSON)
	})
	var all sync.WaitGroup
	for range goroutines {
		all.Add(1)
		go func() {
			defer all.Done()
			_, err := c.User.Get(context.Background(), "first")
			assert.NoError(t, err)
			for range 20 {
				_, err := c.User.Get(context.Background(), "jane")
				assert.NoError(t, err)
			}
		}()
	}
	all.Wait()
	assert.Len(t, connections, goroutines)
}

func TestNewClientSendsNothing(t *testing.T) {
	t.Parallel()
	s := &script{t: t}
	_, err := NewClient(WithBaseURL(mockURL), WithAPIKey(secret), WithHTTPClient(&http.Client{Transport: s}))
	require.NoError(t, err)
	assert.Empty(t, s.requests())
}

// quietError says nothing of what it wraps, which errors.As finds nevertheless.
type quietError struct{ inner error }

func (quietError) Error() string   { return "broken" }
func (e quietError) Unwrap() error { return e.inner }

// TestNoCauseShowsTheKey: not within an error, either, whose own text has nothing of it. What callers match stays.
func TestNoCauseShowsTheKey(t *testing.T) {
	t.Parallel()
	teller := textError("malformed MIME header line: " + secret)
	for name, cause := range map[string]error{
		"wrapped":            quietError{teller},
		"wrapped twice":      quietError{quietError{teller}},
		"joined":             quietError{errors.Join(errors.New("fine"), teller)},
		"joined and wrapped": quietError{fmt.Errorf("%w and %w", errors.New("fine"), quietError{teller})},
	} {
		c, _, _ := scripted(t, []Option{WithAPIKey(secret)}, repeat(4, breaks(cause))...)
		_, err := c.User.Get(context.Background(), "jane")
		require.Error(t, err)
		for _, cause := range causes(err) {
			assertNotShown(t, cause.Error())
		}
		assert.NotErrorIs(t, err, teller, name)
	}
	for _, known := range []error{context.DeadlineExceeded, context.Canceled, ErrTooLarge} {
		c, _, _ := scripted(t, []Option{WithAPIKey(secret)}, repeat(4, breaks(fmt.Errorf("%s: %w", secret, known)))...)
		_, err := c.User.Get(context.Background(), "jane")
		require.ErrorIs(t, err, known)
		assertNotShown(t, shown(t, err))
	}
}

// TestTheHeaderOfAnAnswerIsNotWrittenTo: a Transport of the caller's may keep it, and give it again.
func TestTheHeaderOfAnAnswerIsNotWrittenTo(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 302} {
		header := http.Header{"X-Echo": {"Bearer " + secret}, "Location": {"http://zep.test/x"}}
		kept := header.Clone()
		c, _, _ := scripted(t, []Option{WithAPIKey(secret)}, func(req *http.Request) (*http.Response, error) {
			resp, err := answers(status, "no")(req)
			resp.Header = header
			return resp, err
		})
		_, err := c.User.Get(context.Background(), "jane")
		assert.Equal(t, redacted, requireError(t, err).Header.Get("X-Echo"))
		assert.Equal(t, kept, header)
	}
}

// TestACallersClientWithoutATransportHasNetHTTPs, and a Client of its own its own.
func TestACallersClientWithoutATransportHasNetHTTPs(t *testing.T) {
	c, err := NewClient(WithBaseURL(mockURL), WithAPIKey(""), WithHTTPClient(&http.Client{}))
	require.NoError(t, err)
	assert.Same(t, http.DefaultTransport, c.roundTripper())
	c, err = NewClient(WithBaseURL(mockURL), WithAPIKey(""))
	require.NoError(t, err)
	assert.Same(t, c.transport, c.roundTripper())
	assert.NotSame(t, http.DefaultTransport, c.roundTripper())
}

// TestACapturedResponseHasNothingOfTheCall: neither its end, nor what it knows, the key among it.
func TestACapturedResponseHasNothingOfTheCall(t *testing.T) {
	t.Parallel()
	type keyType struct{}
	ctx := context.WithValue(context.Background(), keyType{}, "the caller's")
	c, _, _ := scripted(t, []Option{WithAPIKey(secret)}, answers(200, janeJSON))
	var response *http.Response
	_, err := c.User.Get(ctx, "jane", CaptureResponse(&response))
	require.NoError(t, err)
	kept := response.Request.Context()
	assert.Equal(t, "the caller's", kept.Value(keyType{}))
	assert.Nil(t, kept.Value(exchangeKey{}))
	assert.NoError(t, kept.Err())
}

// TestACapturedBodyIsNotTheNextAnswers: the buffer that it came in is used again.
func TestACapturedBodyIsNotTheNextAnswers(t *testing.T) {
	for range 10 {
		c, _, _ := scripted(t, nil, answers(200, janeJSON), answers(200, strings.Repeat(" ", len(janeJSON))+janeJSON))
		var response *http.Response
		_, err := c.User.Get(context.Background(), "jane", CaptureResponse(&response))
		require.NoError(t, err)
		_, err = c.User.Get(context.Background(), "jane")
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		assert.Equal(t, janeJSON, string(body))
	}
}

// closing notes that it was closed.
type closing struct {
	io.Reader
	closed atomic.Int32
}

func (c *closing) Close() error {
	c.closed.Add(1)
	return nil
}

// TestEveryBodyIsClosed: one that is not read to its end would keep its connection.
func TestEveryBodyIsClosed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		body   io.Reader
	}{
		"a success":           {200, strings.NewReader(janeJSON)},
		"over the limit":      {200, strings.NewReader(strings.Repeat(" ", 10_000))},
		"cut short":           {200, io.MultiReader(strings.NewReader("{"), failingReader{errors.New("cut")})},
		"a refusal":           {400, strings.NewReader("no")},
		"an endless refusal":  {400, io.LimitReader(zeros{}, 10<<20)},
		"a refusal cut short": {400, failingReader{errors.New("cut")}},
		"a redirect":          {302, strings.NewReader("there")},
		"another protocol":    {101, strings.NewReader("")},
	} {
		c, _, _ := scripted(t, nil)
		c.maxBody = 1000
		body := &closing{Reader: test.body}
		c.httpClient.Transport = roundTripFunc(func(req *http.Request) (*http.Response, error) {
			resp, err := answers(test.status, "")(req)
			resp.Body = body
			return resp, err
		})
		_, _ = c.User.Get(context.Background(), "jane", RequestMaxAttempts(1))
		assert.EqualValues(t, 1, body.closed.Load(), name)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// TestABufferThatGrewLargeIsNotKept: one large answer must not be held for as long as there are small ones.
func TestABufferThatGrewLargeIsNotKept(t *testing.T) {
	for range 10 {
		c, _, _ := scripted(t, nil, answers(200, janeJSON+strings.Repeat(" ", 2*maxPooled)))
		_, err := c.User.Get(context.Background(), "jane")
		require.NoError(t, err)
		buffer := buffers.Get().(*bytes.Buffer)
		assert.LessOrEqual(t, buffer.Cap(), maxPooled)
	}
}

// TestACapturedHeaderIsTheCallersOwn: what is done to it is not done to the error.
func TestACapturedHeaderIsTheCallersOwn(t *testing.T) {
	t.Parallel()
	c, _, _ := scripted(t, nil, answers(404, "not found", "X-Zep-Version", "v"))
	var response *http.Response
	_, err := c.User.Get(context.Background(), "jane", CaptureResponse(&response))
	response.Header.Set("X-Zep-Version", "mine")
	assert.Equal(t, "v", requireError(t, err).Header.Get("X-Zep-Version"))
}

// TestAnIDInBracesIsNoPlaceInTheRoute: the ids of a call fill the places of its route, and nothing of one another.
func TestAnIDInBracesIsNoPlaceInTheRoute(t *testing.T) {
	t.Parallel()
	for _, ids := range [][2]string{{"{messageId}", "b"}, {"a{", "}b"}, {"a}", "{b"}, {"{sessionId}", "{messageId}"}, {"{}", "{}"}} {
		c, s, _ := scripted(t, nil, answers(200, "{}"))
		_, err := c.Message.Get(context.Background(), ids[0], ids[1])
		require.NoError(t, err)
		escaped := func(id string) string { return (&url.URL{Path: id}).EscapedPath() }
		assert.Equal(t, mockURL+"/api/v1/sessions/"+escaped(ids[0])+"/messages/"+escaped(ids[1]), s.requests()[0].url)
	}
}
