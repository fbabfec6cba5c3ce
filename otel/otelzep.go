// Package otelzep observes a [zep.Client] with OpenTelemetry: a span and a measurement for each
// attempt of a call.
//
//	client, err := zep.NewClient(zep.WithMiddleware(otelzep.Middleware()))
//
// It follows the semantic conventions for HTTP clients, version 1.43.0. A span is of the kind
// client, has the name of the call, such as "PATCH /user/{userId}", and these attributes:
//
//	http.request.method          the method, or _OTHER for one that is not known
//	http.request.method_original the method, if it is not known
//	http.request.resend_count    the number of attempts before this one, if there were any
//	http.response.status_code    the status, if there was a response
//	network.protocol.version     the version of HTTP, if there was a response
//	server.address               the host of the server
//	server.port                  its port, also if it is that of the scheme
//	url.full                     the URL, without ids
//	url.template                 the route of the call, such as /user/{userId}
//	error.type                   what went wrong, if anything did
//
// The histogram http.client.request.duration has the durations of the spans in seconds, and all of
// these attributes but url.full, http.request.method_original and http.request.resend_count.
//
// # Routes and ids
//
// The route is that of [zep.CallFromContext]. It is the same wherever a server stands: neither the
// path of the base URL nor /api/v1 is in it. By the convention the name of a span is its method
// and its url.template, so the template has none of them either. url.full has the whole path.
//
// Names, attributes and statuses contain no id: in url.full, "REDACTED" stands for each id and for
// each value in the query. Texts of errors are left out, because a server may quote ids in them. A
// route of [zep.Client.Do] is taken as it is, so put ids into the IDs of the call.
//
// A request that does not belong to a call of a Client has the method as its name, no
// url.template, and "REDACTED" for its whole path.
//
// # Errors
//
// The status of a span is Error, and error.type is set, in these cases:
//
//	status 400 and up, or under 100       the status, such as "404"
//	io.EOF, io.ErrUnexpectedEOF           these names: the connection was closed
//	any other error of the transport      its Go type, such as "*net.OpError", or
//	                                      "context.deadlineExceededError" if the time ran out
//
// A canceled request is no error: the convention leaves the status unset and sets no error.type.
// The same goes for a request whose HTTP/2 stream the server refused, because the Client cancels
// it before net/http sends it again by itself. A span knows HTTP only: a 200 that the Client
// refuses, because it is not the record that was asked for, is no error of the span.
//
// # The end of a span
//
// A span ends when the body of the response was read to its end, when reading it failed, or when
// it was closed, whichever is first. So its duration contains the transfer of the body. Without a
// response or a body it ends when the transport returns. An update that was given up and goes on
// in the background ends its span when it is answered.
package otelzep

import (
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"sync"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/httpconv"
	"go.opentelemetry.io/otel/trace"
)

// scope is the name under which spans and measurements are reported.
const scope = "github.com/zep-go/zep/otel"

// Option changes what a Middleware uses.
type Option func(*config)

type config struct {
	tracers     trace.TracerProvider
	meters      metric.MeterProvider
	propagators propagation.TextMapPropagator
}

// WithTracerProvider sets what makes the spans. Default, and with nil: the global one, also if
// that is set later.
func WithTracerProvider(provider trace.TracerProvider) Option {
	return func(c *config) {
		if provider != nil {
			c.tracers = provider
		}
	}
}

// WithMeterProvider sets what takes the measurements. Default, and with nil: the global one, also
// if that is set later.
func WithMeterProvider(provider metric.MeterProvider) Option {
	return func(c *config) {
		if provider != nil {
			c.meters = provider
		}
	}
}

// WithPropagators sets what writes the context of a span into the header of its request. Default,
// and with nil: the global one, also if that is set later. Without any, nothing is written.
func WithPropagators(propagators propagation.TextMapPropagator) Option {
	return func(c *config) {
		if propagators != nil {
			c.propagators = propagators
		}
	}
}

// Middleware returns the argument of [zep.WithMiddleware]. Each attempt gets a span, which is a
// child of the span in the context of the call, and its duration is measured. With several
// middlewares, give this one last to observe what goes over the network, and first to observe the
// others, too.
//
// The environment variable OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS replaces the list of known
// methods, which are separated by commas. Middleware reads it.
func Middleware(opts ...Option) func(http.RoundTripper) http.RoundTripper {
	c := config{
		tracers:     otel.GetTracerProvider(),
		meters:      otel.GetMeterProvider(),
		propagators: otel.GetTextMapPropagator(),
	}
	for _, opt := range opts {
		opt(&c)
	}
	duration, err := httpconv.NewClientRequestDuration(c.meters.Meter(scope,
		metric.WithInstrumentationVersion(version()), metric.WithSchemaURL(semconv.SchemaURL)))
	if err != nil {
		otel.Handle(err) // duration measures nothing
	}
	o := observer{
		tracer: c.tracers.Tracer(scope,
			trace.WithInstrumentationVersion(version()), trace.WithSchemaURL(semconv.SchemaURL)),
		duration:    duration,
		propagators: c.propagators,
		methods:     knownMethods(os.Getenv("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS")),
	}
	return func(next http.RoundTripper) http.RoundTripper { return &transport{o, next} }
}

// knownMethods returns the set of the methods that are reported as they are.
func knownMethods(list string) map[string]bool {
	if list == "" {
		list = "CONNECT,DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT,QUERY,TRACE"
	}
	known := map[string]bool{}
	for _, method := range strings.Split(list, ",") {
		known[strings.TrimSpace(method)] = true
	}
	return known
}

// version returns the version of this module in the program that it is built into.
var version = sync.OnceValue(func() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == scope && module.Replace == nil {
				return module.Version
			}
		}
	}
	return "devel" // this module itself, or a replacement
})
