package otelzep_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/zeptest"
)

func TestMiddleware_Span(t *testing.T) {
	t.Parallel()
	o := newTelemetry(t)
	client, server := newClient(t, o)
	ctx, parent := o.tracer.Tracer("test").Start(within(t), "parent")
	_, err := client.User.Update(ctx, &zep.UpdateUserRequest{UserID: "jane", FirstName: "Jane"})
	require.NoError(t, err)

	span := o.one()
	assert.Equal(t, "PATCH /user/{userId}", span.Name)
	assert.Equal(t, trace.SpanKindClient, span.SpanKind)
	assert.Equal(t, parent.SpanContext().SpanID(), span.Parent.SpanID())
	assert.Equal(t, codes.Unset, span.Status.Code)
	assert.Equal(t, "github.com/zep-go/zep/otel", span.InstrumentationScope.Name)
	assert.Equal(t, "https://opentelemetry.io/schemas/1.43.0", span.InstrumentationScope.SchemaURL)
	assert.Equal(t, "devel", span.InstrumentationScope.Version)
	port, err := strconv.Atoi(server.URL[strings.LastIndex(server.URL, ":")+1:])
	require.NoError(t, err)
	assert.Equal(t, map[string]any{
		"http.request.method":       "PATCH",
		"http.response.status_code": int64(200),
		"network.protocol.version":  "1.1",
		"server.address":            "127.0.0.1",
		"server.port":               int64(port),
		"url.full":                  server.URL + "/api/v1/user/REDACTED",
		"url.template":              "/user/{userId}",
	}, values(span.Attributes))
	assert.Empty(t, span.Events)
}

func TestMiddleware_Retries(t *testing.T) {
	t.Parallel()
	o := newTelemetry(t)
	client, server := newClient(t, o)
	server.Inject(
		zeptest.Fault{Status: 503},
		zeptest.Fault{Status: 429},
	)
	ctx, parent := o.tracer.Tracer("test").Start(within(t), "parent")
	_, err := client.User.Get(ctx, "jane")
	require.NoError(t, err)

	spans := o.taken()
	require.Equal(t, []string{
		"GET /user/{userId}", "GET /user/{userId}", "GET /user/{userId}",
	}, names(spans))
	for i, want := range []map[string]any{
		{"status": int64(503), "resend": nil, "error": "503", "code": codes.Error},
		{"status": int64(429), "resend": int64(1), "error": "429", "code": codes.Error},
		{"status": int64(200), "resend": int64(2), "error": nil, "code": codes.Unset},
	} {
		found := values(spans[i].Attributes)
		assert.Equal(t, want, map[string]any{
			"status": found["http.response.status_code"],
			"resend": found["http.request.resend_count"],
			"error":  found["error.type"],
			"code":   spans[i].Status.Code,
		})
		assert.Empty(t, spans[i].Status.Description)
		assert.Equal(t, parent.SpanContext().SpanID(), spans[i].Parent.SpanID(), "side by side")
	}
}

// TestMiddleware_Reconcile checks that one sees what the Client does after a lost response.
func TestMiddleware_Reconcile(t *testing.T) {
	t.Parallel()
	o := newTelemetry(t)
	client, server := newClient(t, o)
	server.Inject(zeptest.Fault{Method: "POST", Status: 502, Apply: true})
	_, err := client.User.Add(within(t), &zep.CreateUserRequest{UserID: "joe"})
	require.NoError(t, err)
	spans := o.taken()
	require.Equal(t, []string{"POST /user", "POST /user", "GET /user/{userId}"}, names(spans))
	assert.Equal(t, int64(1), values(spans[1].Attributes)["http.request.resend_count"])
	assert.Equal(t, "400", values(spans[1].Attributes)["error.type"])
	assert.NotContains(t, values(spans[2].Attributes), "http.request.resend_count", "another call")
}

func TestMiddleware_Propagation(t *testing.T) {
	t.Parallel()
	o := newTelemetry(t)
	parents := make(chan string, 1)
	client := newClientOf(t, o, func(w http.ResponseWriter, r *http.Request) {
		parents <- r.Header.Get("Traceparent")
		_, _ = w.Write([]byte(`{"user_id":"jane"}`))
	})
	_, err := client.User.Get(within(t), "jane")
	require.NoError(t, err)
	span := o.one().SpanContext
	assert.Equal(t, "00-"+span.TraceID().String()+"-"+span.SpanID().String()+"-01", <-parents)
}

// TestMiddleware_RequestNotModified checks that a request is not written to, and that what the
// transport gets has everything of it.
func TestMiddleware_RequestNotModified(t *testing.T) {
	t.Parallel()
	o := newTelemetry(t)
	for _, header := range []http.Header{nil, {"A": {"b"}}} {
		var got *http.Request
		rt := o.middleware()(roundTripFunc(func(req *http.Request) (*http.Response, error) {
			got = req
			req.Header.Set("A", "another")
			return &http.Response{StatusCode: 204}, nil
		}))
		req := httptest.NewRequest("POST", "http://zep.test/", strings.NewReader("body"))
		req.Header = header
		before := *req
		resp, err := rt.RoundTrip(req)
		require.NoError(t, err)
		assert.Nil(t, resp.Body, "as the transport gave it")
		assert.Equal(t, before, *req)
		if header != nil {
			assert.Equal(t, http.Header{"A": {"b"}}, header)
		}
		assert.NotEmpty(t, got.Header.Get("Traceparent"))
		assert.Equal(t, before.Body, got.Body)
		assert.True(t, trace.SpanContextFromContext(got.Context()).IsValid())
	}
}

// TestMiddleware_NoCall checks requests that belong to no call of a Client.
func TestMiddleware_NoCall(t *testing.T) {
	t.Parallel()
	o := newTelemetry(t)
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	client := &http.Client{Transport: o.middleware()(http.DefaultTransport)}
	defer client.CloseIdleConnections()
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	target := strings.Replace(server.URL, "//", "//name:secret@", 1) + "/users/jane?a=jane&b&c=%20"
	req, err := http.NewRequestWithContext(within(t), "", target, nil)
	require.NoError(t, err)
	req.Host = "zep.example.com"
	resp, err := client.Do(req)
	require.NoError(t, err)
	assert.Empty(t, o.taken(), "not before the body is closed")
	require.NoError(t, resp.Body.Close())

	span := o.one()
	assert.Equal(t, "GET", span.Name)
	assert.Equal(t, map[string]any{
		"error.type":                "404",
		"http.request.method":       "GET",
		"http.response.status_code": int64(404),
		"network.protocol.version":  "1.1",
		"server.address":            "zep.example.com",
		"server.port":               int64(80),
		"url.full": strings.Replace(server.URL, "//", "//REDACTED:REDACTED@", 1) +
			"/REDACTED?a=REDACTED&REDACTED&c=REDACTED",
	}, values(span.Attributes))
}

func TestMiddleware_HTTP2(t *testing.T) {
	t.Parallel()
	o := newTelemetry(t)
	server := httptest.NewUnstartedServer(http.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"user_id":"jane"}`))
		}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	transport := zep.NewTransport()
	transport.TLSClientConfig.RootCAs = server.Client().Transport.(*http.Transport).
		TLSClientConfig.RootCAs
	defer transport.CloseIdleConnections()
	client := clientOf(t, o, server.URL+"/base/",
		zep.WithHTTPClient(&http.Client{Transport: transport}))
	_, err := client.User.Get(within(t), "jane")
	require.NoError(t, err)
	found := values(o.one().Attributes)
	assert.Equal(t, "2", found["network.protocol.version"])
	assert.Equal(t, "/user/{userId}", found["url.template"], "wherever the server is")
	assert.Equal(t, server.URL+"/base/api/v1/user/REDACTED", found["url.full"])
}

func TestMiddleware_Do(t *testing.T) {
	t.Parallel()
	o := newTelemetry(t)
	client := newClientOf(t, o, func(http.ResponseWriter, *http.Request) {})
	for _, test := range []struct {
		method, name, reported string
		original               any
	}{
		{"PUT", "PUT /things/{id}/parts", "PUT", nil},
		{"QUERY", "QUERY /things/{id}/parts", "QUERY", nil},
		{"PURGE", "HTTP /things/{id}/parts", "_OTHER", "PURGE"},
		{"patch", "HTTP /things/{id}/parts", "_OTHER", "patch"},
	} {
		require.NoError(t, client.Do(within(t), zep.RawCall{
			Method: test.method,
			Route:  "/things/{id}/parts",
			IDs:    []string{"a thing"},
			Query:  url.Values{"of": {"jane"}, "limit": {"3"}},
		}, nil))
		span := o.one()
		found := values(span.Attributes)
		assert.Equal(t, test.name, span.Name)
		assert.Equal(t, test.reported, found["http.request.method"])
		assert.Equal(t, test.original, found["http.request.method_original"])
		assert.Equal(t, "/things/{id}/parts", found["url.template"])
		full, _ := found["url.full"].(string)
		assert.Contains(t, full, "/api/v1/things/REDACTED/parts?limit=REDACTED&of=REDACTED")
	}
}

// TestMiddleware_KnownMethods does not run in parallel: it sets the environment.
func TestMiddleware_KnownMethods(t *testing.T) {
	t.Setenv("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "GET, PURGE")
	o := newTelemetry(t)
	rt := o.middleware()(roundTripFunc(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200}, nil
	}))
	for method, name := range map[string]string{"GET": "GET", "PURGE": "PURGE", "POST": "HTTP"} {
		_, err := rt.RoundTrip(httptest.NewRequest(method, "http://zep.test/", nil))
		require.NoError(t, err)
		assert.Equal(t, name, o.one().Name)
	}
}

// TestMiddleware_NoIDs makes calls with an id in every place that takes one, and searches all that
// is reported for it. The server quotes ids in its errors.
func TestMiddleware_NoIDs(t *testing.T) {
	t.Parallel()
	const id = "6e6e6e6e-1111-4222-8333-944444444444" // is a UUID, too
	const name = "e6e6e6e6e6"
	o := newTelemetry(t)
	client, server := newClient(t, o)
	ctx := within(t)
	for _, call := range []func() error{
		func() error { _, err := client.User.Get(ctx, id); return err },
		func() error { _, err := client.User.GetSessions(ctx, id); return err },
		func() error { return client.User.Delete(ctx, id) },
		func() error { _, err := client.Session.Get(ctx, id); return err },
		func() error {
			_, err := client.Memory.Get(ctx, id, &zep.GetMemoryOptions{LastN: 3})
			return err
		},
		func() error { _, err := client.Message.Get(ctx, id, id); return err },
		func() error { _, err := client.Collection.Get(ctx, name); return err },
		func() error { _, err := client.Document.Get(ctx, name, id); return err },
		func() error {
			_, err := client.User.List(ctx, &zep.ListOptions{Limit: 10, Cursor: 6666666666})
			return err
		},
		func() error {
			return client.Do(ctx, zep.RawCall{
				Method: "GET",
				Route:  "/{a}/x/{b}",
				IDs:    []string{id, name},
				Query:  url.Values{"of": {id}},
			}, nil)
		},
		func() error {
			server.Inject(zeptest.Fault{
				Status: 500,
				Header: http.Header{"X-Echo": {id}},
				Body:   id,
				Times:  4,
			})
			_, err := client.User.Get(ctx, id)
			return err
		},
	} {
		_ = call() // most of these fail
	}
	// An error of the transport that quotes what a server sent.
	garbage := clientOf(t, o, "http://zep.test", zep.WithHTTPClient(&http.Client{
		Transport: roundTripFunc(func(req *http.Request) (*http.Response, error) {
			return nil, &url.Error{Op: "Get", URL: req.URL.String(), Err: context.DeadlineExceeded}
		}),
	}))
	_, err := garbage.User.Get(ctx, id)
	require.ErrorContains(t, err, id)

	spans := o.taken()
	require.GreaterOrEqual(t, len(spans), 15)
	for i := range spans {
		spans[i].Resource, spans[i].InstrumentationScope.Attributes = nil, attribute.Set{}
	}
	reported, err := json.Marshal([]any{spans, o.histogram()})
	require.NoError(t, err)
	require.Contains(t, string(reported), "/user/{userId}/sessions")
	require.Contains(t, string(reported), "*url.Error")
	for _, secret := range []string{id, name, "6666666666"} {
		assert.NotContains(t, string(reported), secret)
	}
}
