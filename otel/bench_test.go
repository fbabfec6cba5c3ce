package otelzep_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/trace"
	nooptrace "go.opentelemetry.io/otel/trace/noop"

	"github.com/zep-go/zep"
	otelzep "github.com/zep-go/zep/otel"
	"github.com/zep-go/zep/zeptest"
)

// discard is a trace.SpanProcessor that does nothing.
type discard struct{}

func (discard) OnStart(context.Context, trace.ReadWriteSpan) {}
func (discard) OnEnd(trace.ReadOnlySpan)                     {}
func (discard) Shutdown(context.Context) error               { return nil }
func (discard) ForceFlush(context.Context) error             { return nil }

// middlewares are what the benchmarks compare.
var middlewares = []struct {
	name       string
	middleware func(http.RoundTripper) http.RoundTripper
}{
	{"none", nil},
	{"empty", func(next http.RoundTripper) http.RoundTripper {
		return roundTripFunc(func(req *http.Request) (*http.Response, error) {
			return next.RoundTrip(req)
		})
	}},
	{"noop", otelzep.Middleware( // no SDK is set up
		otelzep.WithTracerProvider(nooptrace.NewTracerProvider()),
		otelzep.WithMeterProvider(noop.NewMeterProvider()),
	)},
	{"unsampled", observed(trace.NeverSample())},
	{"sampled", observed(trace.AlwaysSample())},
}

// observed returns a middleware with the SDK, which exports nothing.
func observed(sampler trace.Sampler) func(http.RoundTripper) http.RoundTripper {
	return otelzep.Middleware(
		otelzep.WithTracerProvider(trace.NewTracerProvider(
			trace.WithSampler(sampler), trace.WithSpanProcessor(discard{}))),
		otelzep.WithMeterProvider(metric.NewMeterProvider(
			metric.WithReader(metric.NewManualReader()))),
		otelzep.WithPropagators(propagation.TraceContext{}),
	)
}

func options(middleware func(http.RoundTripper) http.RoundTripper) []zep.Option {
	if middleware == nil {
		return nil
	}
	return []zep.Option{zep.WithMiddleware(middleware)}
}

// BenchmarkGet gets a user from a transport that answers at once.
func BenchmarkGet(b *testing.B) {
	const user = `{"uuid":"6e6e6e6e-1111-4222-8333-944444444444","id":1,"user_id":"jane"}`
	answer := roundTripFunc(func(req *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: 200,
			Proto:      "HTTP/1.1",
			Header:     http.Header{},
			Body:       io.NopCloser(strings.NewReader(user)),
			Request:    req,
		}, nil
	})
	for _, m := range middlewares {
		b.Run(m.name, func(b *testing.B) {
			client, err := zep.NewClient(append(options(m.middleware),
				zep.WithBaseURL("http://zep.test:8000"),
				zep.WithAPIKey(""),
				zep.WithHTTPClient(&http.Client{Transport: answer}),
			)...)
			require.NoError(b, err)
			benchmarkGet(b, client)
		})
	}
}

// BenchmarkGet_Server gets a user from a server in the process, over the loopback interface.
func BenchmarkGet_Server(b *testing.B) {
	server := zeptest.NewServer()
	defer server.Close()
	require.NoError(b, server.SeedUsers(1, func(int) zep.CreateUserRequest {
		return zep.CreateUserRequest{UserID: "jane"}
	}))
	for _, m := range middlewares {
		b.Run(m.name, func(b *testing.B) {
			client, err := server.Client(options(m.middleware)...)
			require.NoError(b, err)
			defer client.CloseIdleConnections()
			benchmarkGet(b, client)
		})
	}
}

func benchmarkGet(b *testing.B, client *zep.Client) {
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.User.Get(ctx, "jane"); err != nil {
			b.Fatal(err)
		}
	}
}
