package otelzep

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/httpconv"
	"go.opentelemetry.io/otel/trace"
)

// observer is what all attempts of a Client share.
type observer struct {
	tracer      trace.Tracer
	duration    httpconv.ClientRequestDuration
	propagators propagation.TextMapPropagator
	methods     map[string]bool
}

// transport is an http.RoundTripper that observes each request.
type transport struct {
	observer
	next http.RoundTripper
}

func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	a := t.start(req)
	// A RoundTripper must not write to its request.
	observed := req.WithContext(a.ctx)
	if observed.Header = req.Header.Clone(); observed.Header == nil {
		observed.Header = http.Header{}
	}
	t.propagators.Inject(a.ctx, propagation.HeaderCarrier(observed.Header))

	resp, err := t.next.RoundTrip(observed)
	switch {
	case err != nil:
		a.end(err)
	case resp == nil:
		a.end(errNoResponse)
	default:
		a.status, a.proto = resp.StatusCode, resp.Proto
		// The body of a 101 is the connection, which is also written to.
		if resp.Body == nil || resp.Body == http.NoBody ||
			resp.StatusCode == http.StatusSwitchingProtocols {
			a.end(nil)
			break
		}
		resp.Body = &body{resp.Body, a}
	}
	return resp, err
}

// errNoResponse is for a RoundTripper that returns neither a response nor an error.
var errNoResponse = errors.New("no response")

// attempt is one request. It ends once.
type attempt struct {
	*observer
	ctx    context.Context // has the span
	span   trace.Span
	began  time.Time
	common []attribute.KeyValue // of the span and of the measurement
	once   sync.Once

	status int    // 0 without a response
	proto  string // "HTTP/1.1"
}

// start begins an attempt. Samplers see the attributes that a span begins with.
func (o *observer) start(req *http.Request) *attempt {
	a := &attempt{observer: o, began: time.Now()}
	name, common, rest := o.describe(req)
	a.common = common
	a.ctx, a.span = o.tracer.Start(req.Context(), name,
		trace.WithSpanKind(trace.SpanKindClient),
		trace.WithTimestamp(a.began),
		trace.WithAttributes(common...),
		trace.WithAttributes(rest...),
	)
	return a
}

// end ends the span, and takes the measurement. err is what the transport returned, or what
// reading the body did.
func (a *attempt) end(err error) {
	a.once.Do(func() {
		var found []attribute.KeyValue
		if a.status != 0 {
			found = append(found, semconv.HTTPResponseStatusCode(a.status))
			if version := protocolVersion(a.proto); version != "" {
				found = append(found, semconv.NetworkProtocolVersion(version))
			}
		}
		if failure, failed := a.failure(err); failed {
			found = append(found, failure)
			a.span.SetStatus(codes.Error, "")
		}
		a.span.SetAttributes(found...)
		ended := time.Now()
		a.span.End(trace.WithTimestamp(ended))
		if a.duration.Enabled(a.ctx) {
			a.duration.RecordSet(a.ctx, ended.Sub(a.began).Seconds(),
				attribute.NewSet(append(a.common, found...)...))
		}
	})
}

// failure returns the error.type of an attempt, if it failed.
func (a *attempt) failure(err error) (attribute.KeyValue, bool) {
	ended := a.ctx.Err()
	switch {
	case a.status != 0 && (a.status < 100 || a.status >= 400):
		return semconv.ErrorTypeKey.String(strconv.Itoa(a.status)), true
	case err == nil, ended == context.Canceled:
		return attribute.KeyValue{}, false
	case ended != nil:
		err = ended // a transport may say it in its own way
	}
	return errorType(err), true
}

// body is the body of a response. Its end is that of the attempt.
type body struct {
	io.ReadCloser
	attempt *attempt
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	switch err {
	case nil:
	case io.EOF:
		b.attempt.end(nil)
	default:
		b.attempt.end(err)
	}
	return n, err
}

func (b *body) Close() error {
	b.attempt.end(nil) // first, because closing may take its time
	return b.ReadCloser.Close()
}
