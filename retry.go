package zep

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// outcome is what an attempt proves about the server, and so whether another may follow:
//
//	outcome       what the attempt got                              tried again
//	not executed  no connection; a request cut before it was        every call
//	              written; 429; 503; a session that two memory
//	              adds created at once
//	ambiguous     502; 504; a connection that broke later; a        reads, and writes that can
//	              response that was cut short; a response that is   be reconciled
//	              not Zep's, or that is of another record
//	server error  500; other 5xx                                    reads
//	final         a readable response; 3xx; other 4xx; 501; 505; a  no call
//	              500 in which the database rejects the request,
//	              or for a lock; a failed TLS handshake; an
//	              invalid certificate; an unsupported scheme; a
//	              response over the limit; the end of the context
type outcome int

const (
	final outcome = iota
	notExecuted
	ambiguous
	serverError
)

// String returns the name of the outcome in the logs.
func (o outcome) String() string {
	return [...]string{"final", "not executed", "ambiguous", "server error"}[o]
}

// maxRetryAfter bounds the wait that a server can ask for.
const maxRetryAfter = 30 * time.Second

// rejectedText is in a 500 in which PostgreSQL rejects the request, with one of the SQLSTATE classes
// "data exception", "integrity constraint violation" and "syntax error". It would do so again.
var rejectedText = regexp.MustCompile(`\(SQLSTATE=(22|23|42)`)

// refusalOutcome says what a response proves that is not a 2xx.
func refusalOutcome(status int, text string, transient *regexp.Regexp) outcome {
	switch {
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable,
		transient != nil && transient.MatchString(text):
		return notExecuted
	case status >= 500 && (rejectedText.MatchString(text) || strings.HasPrefix(text, lockText)):
		return final
	case status == http.StatusBadGateway, status == http.StatusGatewayTimeout:
		return ambiguous
	case status == http.StatusNotImplemented, status == http.StatusHTTPVersionNotSupported:
		return final
	case status >= 500:
		return serverError
	}
	return final
}

// writeTrace records how far the request of one attempt came. The connection's goroutines write to
// it, and may do so after the attempt.
type writeTrace struct {
	asked, connected, http2, cut, givenUp atomic.Bool
	writes                                atomic.Int32 // a transport may send a request again by itself
}

// with returns a context in which net/http reports to the trace.
func (t *writeTrace) with(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { t.asked.Store(true) },
		GotConn: func(info httptrace.GotConnInfo) {
			t.connected.Store(true)
			conn, ok := info.Conn.(*tls.Conn)
			t.http2.Store(ok && conn.ConnectionState().NegotiatedProtocol == "h2")
			if t.givenUp.Load() && !t.http2.Load() { // HTTP/2 writes nothing once the context has ended
				_ = info.Conn.Close()
			}
		},
		WroteRequest: func(info httptrace.WroteRequestInfo) {
			if info.Err == nil {
				t.writes.Add(1)
			} else {
				t.cut.Store(true)
			}
		},
	})
}

// sent reports whether the request was written whole.
func (t *writeTrace) sent() bool { return t.writes.Load() > 0 }

// sentOnHTTP2 reports whether the request was written to an HTTP/2 stream. When that is reset,
// net/http sends the request again, executed or not; over HTTP/1 it sends a write again only if
// nothing of it reached the server.
func (t *writeTrace) sentOnHTTP2() bool { return t.http2.Load() && t.sent() }

// resent reports whether net/http did so.
func (t *writeTrace) resent() bool { return t.http2.Load() && t.writes.Load() > 1 }

// giveUp keeps a request from being written that has no connection yet, and reports whether it may
// have one.
func (t *writeTrace) giveUp() bool {
	t.givenUp.Store(true)
	return t.connected.Load() || !t.asked.Load()
}

// unsent reports whether the trace proves that the request never was on a connection whole. A
// transport that reports nothing proves nothing.
func (t *writeTrace) unsent() bool {
	return t.cut.Load() || t.asked.Load() && !t.connected.Load()
}

// failureOutcome says what an attempt without a response proves, by its error and its trace, which
// is nil of a read. A transport may have tried more than once by itself: a connection that broke
// under the request proves nothing if another took it.
func failureOutcome(err error, trace *writeTrace) outcome {
	switch {
	case isPermanent(err):
		return final
	case trace != nil && trace.sent():
		return ambiguous
	case neverConnected(err), trace != nil && trace.unsent():
		return notExecuted
	}
	return ambiguous
}

// neverConnected reports whether the error says that there was no connection.
func neverConnected(err error) bool {
	var op *net.OpError
	if errors.As(err, &op) && (op.Op == "dial" || op.Op == "proxyconnect") {
		return true
	}
	var dns *net.DNSError
	return errors.As(err, &dns) || errors.Is(err, errConnRefused)
}

// isPermanent reports whether the next attempt would fail alike.
func isPermanent(err error) bool {
	var (
		record      tls.RecordHeaderError
		certificate *tls.CertificateVerificationError
		op          *net.OpError
	)
	if errors.Is(err, ErrTooLarge) || errors.Is(err, http.ErrSchemeMismatch) ||
		errors.As(err, &record) || errors.As(err, &certificate) {
		return true
	}
	// crypto/tls has no exported type for its alerts: it wraps them in a net.OpError of these names.
	if errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error") {
		return true
	}
	wrapped, ok := err.(*url.Error)
	if !ok {
		wrapped = &url.Error{Err: err}
	}
	if strings.HasPrefix(wrapped.Err.Error(), "tls: ") {
		return true
	}
	// go-retryablehttp knows the texts for schemes and headers that net/http refuses to send.
	again, _ := retryablehttp.DefaultRetryPolicy(context.Background(), nil, wrapped)
	return !again
}

// mayRepeat reports whether the outcome of the attempt allows another.
func (x *exchange) mayRepeat() bool {
	switch x.attempt.outcome {
	case notExecuted:
		return true
	case ambiguous:
		return x.resend != noRetry && !x.mayBeLocked()
	case serverError:
		return x.resend == readOnly
	}
	return false
}

// mayBeLocked reports whether the attempt was a metadata update that may be waiting for a lock on the
// server. Another attempt would wait too, and each one costs the server a database connection.
func (x *exchange) mayBeLocked() bool {
	switch {
	case x.attempt.status == http.StatusGatewayTimeout:
		return x.update.metadata
	case x.attempt.status == 0 && x.attempt.err != nil:
		return x.update.finish && x.attempt.trace.sent() && x.attempt.err.Timeout()
	}
	return false
}

// shouldRetry decides after a failed attempt whether there is another, and sets the wait before it.
func (x *exchange) shouldRetry() bool {
	switch {
	case x.attempt.number >= x.maxAttempts, x.ctx.Err() != nil, x.turn.lost() != nil, !x.mayRepeat():
		return false
	}
	now := x.client.now()
	asked := min(retryAfter(x.attempt.err.Header, now), maxRetryAfter)
	x.wait = max(x.client.backoff(x.attempt.number), asked)
	if deadline, ok := x.ctx.Deadline(); ok && now.Add(x.wait).After(deadline) {
		x.attempt.err.cause = errors.Join(x.attempt.err.cause, context.DeadlineExceeded)
		return false
	}
	return true
}

// backoff returns the wait after the given number of attempts: exponential, with full jitter.
func (c *Client) backoff(attempts int) time.Duration {
	bound := c.minBackoff
	for range attempts - 1 {
		if bound > c.maxBackoff/2 {
			bound = c.maxBackoff
			break
		}
		bound *= 2
	}
	return c.jitter(bound)
}

// retryAfter returns the wait that a response asks for, in seconds or with a date; 0 if it asks for
// none, or for one that cannot be read.
func retryAfter(header http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(header.Get("Retry-After"))
	seconds, err := strconv.ParseUint(value, 10, 64)
	if err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(seconds, uint64(maxRetryAfter/time.Second))) * time.Second
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return max(date.Sub(now), 0)
}

// clock is time as the retries see it. Tests replace it.
type clock struct {
	now    func() time.Time
	wait   func(time.Duration) time.Duration // gives go-retryablehttp the wait to sleep
	jitter func(max time.Duration) time.Duration
}

var systemClock = clock{
	now:    time.Now,
	wait:   func(d time.Duration) time.Duration { return d },
	jitter: fullJitter,
}

// fullJitter spreads the retries of many callers over the whole wait.
func fullJitter(max time.Duration) time.Duration {
	return time.Duration(rand.Float64() * float64(max))
}
