package otelzep_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/goleak"

	"github.com/zep-go/zep"
	otelzep "github.com/zep-go/zep/otel"
	"github.com/zep-go/zep/zeptest"
)

func TestMain(m *testing.M) {
	os.Unsetenv("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS")
	goleak.VerifyTestMain(m)
}

// telemetry is what a test observes: the spans that have ended, and the measurements.
type telemetry struct {
	t      *testing.T
	tracer *trace.TracerProvider
	spans  *tracetest.InMemoryExporter
	meter  *metric.MeterProvider
	reader *metric.ManualReader
}

func newTelemetry(t *testing.T) *telemetry {
	t.Helper()
	spans, reader := tracetest.NewInMemoryExporter(), metric.NewManualReader()
	o := &telemetry{
		t:      t,
		tracer: trace.NewTracerProvider(trace.WithSyncer(spans)),
		spans:  spans,
		meter:  metric.NewMeterProvider(metric.WithReader(reader)),
		reader: reader,
	}
	t.Cleanup(func() {
		require.NoError(t, o.tracer.Shutdown(context.Background()))
		require.NoError(t, o.meter.Shutdown(context.Background()))
	})
	return o
}

// middleware reports to the telemetry.
func (o *telemetry) middleware() func(http.RoundTripper) http.RoundTripper {
	return otelzep.Middleware(
		otelzep.WithTracerProvider(o.tracer),
		otelzep.WithMeterProvider(o.meter),
		otelzep.WithPropagators(propagation.TraceContext{}),
	)
}

// taken returns the spans that have ended since the last call, in the order in which they ended.
func (o *telemetry) taken() tracetest.SpanStubs {
	defer o.spans.Reset()
	return o.spans.GetSpans()
}

// one returns the only span that has ended since the last call.
func (o *telemetry) one() tracetest.SpanStub {
	o.t.Helper()
	spans := o.taken()
	require.Len(o.t, spans, 1)
	return spans[0]
}

// histogram returns the only metric there is.
func (o *telemetry) histogram() metricdata.Metrics {
	o.t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(o.t, o.reader.Collect(context.Background(), &all))
	require.Len(o.t, all.ScopeMetrics, 1)
	require.Len(o.t, all.ScopeMetrics[0].Metrics, 1)
	return all.ScopeMetrics[0].Metrics[0]
}

// points returns the durations that were measured, one for each set of attributes.
func (o *telemetry) points() []metricdata.HistogramDataPoint[float64] {
	o.t.Helper()
	data, ok := o.histogram().Data.(metricdata.Histogram[float64])
	require.True(o.t, ok)
	return data.DataPoints
}

// values returns the attributes as a map.
func values(attributes []attribute.KeyValue) map[string]any {
	found := map[string]any{}
	for _, a := range attributes {
		found[string(a.Key)] = a.Value.AsInterface()
	}
	return found
}

// names returns the names of the spans.
func names(spans tracetest.SpanStubs) (names []string) {
	for _, span := range spans {
		names = append(names, span.Name)
	}
	return names
}

// newClient returns a Client of a new server, which has the user jane.
func newClient(t *testing.T, o *telemetry, opts ...zep.Option) (*zep.Client, *zeptest.Server) {
	t.Helper()
	server := zeptest.NewServer()
	t.Cleanup(server.Close)
	require.NoError(t, server.SeedUsers(1, func(int) zep.CreateUserRequest {
		return zep.CreateUserRequest{UserID: "jane"}
	}))
	opts = append([]zep.Option{zep.WithMiddleware(o.middleware()), zep.WithBackoff(0, 0)}, opts...)
	client, err := server.Client(opts...)
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)
	return client, server
}

// newClientOf returns a Client of a server that answers with a handler.
func newClientOf(t *testing.T, o *telemetry, h http.HandlerFunc, opts ...zep.Option) *zep.Client {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return clientOf(t, o, server.URL, opts...)
}

func clientOf(t *testing.T, o *telemetry, url string, opts ...zep.Option) *zep.Client {
	t.Helper()
	opts = append([]zep.Option{
		zep.WithBaseURL(url),
		zep.WithAPIKey(""),
		zep.WithMiddleware(o.middleware()),
		zep.WithBackoff(0, 0),
	}, opts...)
	client, err := zep.NewClient(opts...)
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// roundTripFunc is an http.RoundTripper.
type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// within returns a context that ends after a time in which a test is long done.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}
