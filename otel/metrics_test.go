package otelzep_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"

	"github.com/zep-go/zep"
	otelzep "github.com/zep-go/zep/otel"
	"github.com/zep-go/zep/zeptest"
)

func TestMiddleware_Duration(t *testing.T) {
	t.Parallel()
	o := newTelemetry(t)
	client, server := newClient(t, o)
	server.Inject(zeptest.Fault{Status: 503})
	for range 3 {
		_, err := client.User.Get(within(t), "jane")
		require.NoError(t, err)
	}
	require.NoError(t, client.Do(within(t), zep.RawCall{Method: "GET", Route: "/user"}, nil))

	metric := o.histogram()
	assert.Equal(t, "http.client.request.duration", metric.Name)
	assert.Equal(t, "s", metric.Unit)
	assert.Equal(t, "Duration of HTTP client requests.", metric.Description)
	port := values(o.taken()[0].Attributes)["server.port"]
	counts := map[string]uint64{}
	for _, point := range o.points() {
		assert.Equal(t, []float64{
			0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
		}, point.Bounds)
		found := values(point.Attributes.ToSlice())
		want := map[string]any{
			"http.request.method":       "GET",
			"http.response.status_code": int64(200),
			"network.protocol.version":  "1.1",
			"server.address":            "127.0.0.1",
			"server.port":               port,
			"url.template":              found["url.template"],
		}
		key, _ := found["url.template"].(string)
		if found["error.type"] != nil {
			key += " failed"
			want["http.response.status_code"], want["error.type"] = int64(503), "503"
		}
		assert.Equal(t, want, found)
		counts[key] = point.Count
	}
	assert.Equal(t, map[string]uint64{
		"/user/{userId}": 3, "/user/{userId} failed": 1, "/user": 1,
	}, counts)
}

// TestMiddleware_DurationOfSpan checks that both say the same, and that reading the body is in it.
func TestMiddleware_DurationOfSpan(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // its time passes at once
		o := newTelemetry(t)
		rt := o.middleware()(roundTripFunc(func(*http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("x"))}, nil
		}))
		resp, err := rt.RoundTrip(httptest.NewRequest("GET", "http://zep.test/", nil))
		require.NoError(t, err)
		time.Sleep(time.Second)
		_, err = io.ReadAll(resp.Body)
		require.NoError(t, err)
		time.Sleep(time.Second)
		require.NoError(t, resp.Body.Close())
		span := o.one()
		assert.Equal(t, 2*time.Second, span.EndTime.Sub(span.StartTime))
		assert.InDelta(t, 2, o.points()[0].Sum, 0)
	})
}

// childVariable is set in a process that TestMiddleware_Global starts.
const childVariable = "OTELZEP_TEST_CHILD"

// TestMiddleware_Global sets the global providers after the middleware was made. That works once
// in a process, so the test runs in one of its own.
func TestMiddleware_Global(t *testing.T) {
	t.Parallel()
	if os.Getenv(childVariable) == "" {
		child := exec.Command(os.Args[0], "-test.run=^TestMiddleware_Global$", "-test.v")
		child.Env = append(os.Environ(), childVariable+"=1")
		out, err := child.CombinedOutput()
		require.NoError(t, err, string(out))
		assert.Contains(t, string(out), "--- PASS: TestMiddleware_Global")
		return
	}
	o := newTelemetry(t)
	rt := otelzep.Middleware(
		otelzep.WithTracerProvider(nil),
		otelzep.WithMeterProvider(nil),
		otelzep.WithPropagators(nil),
	)(roundTripFunc(func(req *http.Request) (*http.Response, error) {
		assert.NotEmpty(t, req.Header.Get("Traceparent"))
		return &http.Response{StatusCode: 204}, nil
	}))
	otel.SetTracerProvider(o.tracer)
	otel.SetMeterProvider(o.meter)
	otel.SetTextMapPropagator(propagation.TraceContext{})
	_, err := rt.RoundTrip(httptest.NewRequest("GET", "http://zep.test/", nil))
	require.NoError(t, err)
	assert.Equal(t, "GET", o.one().Name)
	assert.Equal(t, uint64(1), o.points()[0].Count)
}

// TestMiddleware_Connections makes calls in 64 goroutines. The Client's transport carries them,
// which keeps the connections: net/http's own keeps two, and opens one for almost every call.
func TestMiddleware_Connections(t *testing.T) {
	t.Parallel()
	const goroutines, calls = 64, 30
	o := newTelemetry(t)
	zepServer := zeptest.NewServer()
	defer zepServer.Close()
	connections, all := 0, make(chan struct{})
	var mu sync.Mutex
	var first sync.WaitGroup
	first.Add(goroutines)
	go func() {
		first.Wait()
		close(all)
	}()
	server := httptest.NewUnstartedServer(http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/healthz" { // the first call of each goroutine
				first.Done()
				<-all
			}
			zepServer.ServeHTTP(w, r)
		}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			mu.Lock()
			defer mu.Unlock()
			connections++
		}
	}
	server.Start()
	defer server.Close()
	client := clientOf(t, o, server.URL)

	var group sync.WaitGroup
	for range goroutines {
		group.Go(func() {
			_, err := client.Health(within(t))
			assert.NoError(t, err)
			for range calls {
				_, err := client.User.List(context.Background(), nil)
				assert.NoError(t, err)
			}
		})
	}
	group.Wait()
	mu.Lock()
	defer mu.Unlock()
	t.Logf("%d connections", connections)
	assert.LessOrEqual(t, connections, 100)
	assert.GreaterOrEqual(t, connections, goroutines)

	spans := map[string]int{}
	for _, span := range o.taken() {
		spans[span.Name]++
		assert.Equal(t, int64(200), values(span.Attributes)["http.response.status_code"])
	}
	assert.Equal(t, map[string]int{
		"GET /healthz": goroutines,
		"GET /user":    goroutines * calls,
	}, spans)
	counts := map[any]uint64{}
	for _, point := range o.points() {
		counts[values(point.Attributes.ToSlice())["url.template"]] += point.Count
	}
	assert.Equal(t, map[any]uint64{"/healthz": goroutines, "/user": goroutines * calls}, counts)
}
