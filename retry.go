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
//	              written; 425; 429; 521; 523; 525; 526; 530; a
//	              session that two memory adds created at once
//	ambiguous     408; 502; 503; 504; 520; 522; 524; a connection   reads, and writes that can
//	              that broke later; a response that was cut short;  be reconciled
//	              a response that is not Zep's, or that is of
//	              another record
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

// rejectedText is in a 500 in which PostgreSQL rejects the request, with one of the SQLSTATE
// classes "data exception", "integrity constraint violation" and "syntax error". It would do so
// again.
var rejectedText = regexp.MustCompile(`\(SQLSTATE=(0A|22|23|42)`)

// refusalOutcome says what a response proves that is not a 2xx.
func refusalOutcome(status int, text string, transient *regexp.Regexp) outcome {
	switch {
	case transient != nil && transient.MatchString(text):
		return notExecuted
	case status >= 500 && (rejectedText.MatchString(text) || strings.HasPrefix(text, lockText)):
		return final
	}
	return statusOutcome(status)
}

// statusOutcome says what a status proves that is not a 2xx. Those from 520 on are Cloudflare's.
func statusOutcome(status int) outcome {
	switch status {
	case http.StatusTooManyRequests, http.StatusTooEarly, 521, 523, 525, 526, 530:
		return notExecuted // the server refused to begin, or was not reached
	case http.StatusRequestTimeout, http.StatusBadGateway, http.StatusServiceUnavailable,
		http.StatusGatewayTimeout, 520, 522, 524:
		return ambiguous // proxies send these also after the server got the request
	case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported:
		return final
	}
	if status >= 500 {
		return serverError
	}
	return final
}

// sendTrace records how far the request of one attempt came. The connection's goroutines write to
// it, and may do so after the attempt.
type sendTrace struct {
	asked, connected, http2, began, cut, written, givenUp atomic.Bool

	// refused says that no connection took anything of the request. written can be true then: the
	// request was written to a buffer of net/http's.
	refused atomic.Bool

	// resent says that net/http was about to send the request again by itself. It does so
	// whenever an HTTP/2 server resets the stream, executed or not, and as often as it does. An
	// attempt is one request: cancel keeps it from that. Over HTTP/1, net/http sends a write
	// again only if nothing of it reached the server.
	resent atomic.Bool
	cancel context.CancelFunc
	hooks  httptrace.ClientTrace

	isLast bool                 // no other attempt of the write follows, if this one is ambiguous
	conn   atomic.Pointer[conn] // over HTTP/1, with the tuned transport
	start  atomic.Int64         // bytes on it before the request
}

var errReset = errors.New("the server reset the HTTP/2 stream of the request")

// with returns a context in which net/http reports to the trace. It tells HTTP/2 by the header
// fields, whose report costs an allocation each.
func (t *sendTrace) with(ctx context.Context, fields bool) context.Context {
	t.hooks = httptrace.ClientTrace{
		GetConn:      func(string) { t.asked.Store(true) },
		GotConn:      t.gotConn,
		WroteRequest: t.wroteRequest,
	}
	if fields {
		t.hooks.WroteHeaderField = t.wroteHeaderField
	}
	return httptrace.WithClientTrace(ctx, &t.hooks)
}

func (t *sendTrace) gotConn(info httptrace.GotConnInfo) {
	again := t.connected.Swap(true)
	if t.http2.Load() && t.began.Load() {
		t.resent.Store(true)
		t.cancel() // HTTP/2 writes nothing once the context has ended
		return
	}
	if conn, ok := info.Conn.(*tls.Conn); ok && conn.ConnectionState().NegotiatedProtocol == "h2" {
		t.http2.Store(true)
		return
	}
	if t.givenUp.Load() {
		_ = info.Conn.Close()
		return
	}
	last := t.conn.Load()
	sentBefore := again && (last == nil || last.took(t.start.Load())) // a middleware repeats it
	if c := countedBelow(info.Conn); c != nil {
		start, ok := c.begin(t.isLast && info.Reused)
		if ok && !sentBefore {
			t.start.Store(start)
			t.conn.Store(c)
		}
	}
}

// wroteHeaderField tells HTTP/2 by its pseudo headers, also without TLS.
func (t *sendTrace) wroteHeaderField(key string, _ []string) {
	t.began.Store(true)
	if strings.HasPrefix(key, ":") {
		t.http2.Store(true)
	}
}

func (t *sendTrace) wroteRequest(info httptrace.WroteRequestInfo) {
	if info.Err == nil {
		t.written.Store(true)
	} else {
		t.cut.Store(true)
	}
}

// sent reports whether the request was written whole.
func (t *sendTrace) sent() bool { return t.written.Load() && !t.refused.Load() }

// closeConn closes the connection of the request, unless another request follows on it.
func (t *sendTrace) closeConn() {
	if c := t.conn.Load(); c != nil && c.end(t.start.Load()) {
		t.givenUp.Store(true) // no other connection takes it either
		t.refused.Store(true)
	}
}

// giveUp keeps a request from being written that has no connection yet, and reports whether it may
// have one.
func (t *sendTrace) giveUp() bool {
	t.givenUp.Store(true)
	return t.connected.Load() || !t.asked.Load()
}

// unsent reports whether the trace proves that the request never was on a connection whole. A
// transport that reports nothing proves nothing.
func (t *sendTrace) unsent() bool {
	return t.refused.Load() || t.cut.Load() || t.asked.Load() && !t.connected.Load()
}

// failureOutcome says what an attempt without a response proves, by its error and its trace. A
// transport may have tried more than once by itself: a connection that broke under the request
// proves nothing if another took it.
func failureOutcome(err error, trace *sendTrace) outcome {
	switch {
	case isPermanent(err):
		return final
	case trace.sent():
		return ambiguous
	case neverConnected(err), trace.unsent():
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
	// crypto/tls has no exported type for its alerts: it wraps them in a net.OpError of these
	// names.
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

// mayBeLocked reports whether the attempt was a metadata update that may be waiting for a lock on
// the server. Another attempt would wait too, and each one costs the server a database
// connection.
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
	attempts := x.attempt.number
	if x.stream != nil {
		attempts -= x.stream.since
	}
	switch {
	case attempts >= x.maxAttempts, x.ended() != nil, x.turn.lost() != nil, !x.mayRepeat():
		return false
	}
	now := x.client.now()
	asked := min(retryAfter(x.attempt.err.Header, now), maxRetryAfter)
	x.wait = max(x.client.backoff(attempts), asked)
	deadline := x.deadline
	if callers, ok := x.ctx.Deadline(); ok && callers.Before(deadline) {
		deadline = callers
	}
	if now.Add(x.wait).After(deadline) {
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

// sleep waits between requests that are not attempts of one call, or until the context ends.
func (c *Client) sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(c.clock.wait(d))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return ctx.Err()
}

// fullJitter spreads the retries of many callers over the whole wait.
func fullJitter(max time.Duration) time.Duration {
	return time.Duration(rand.Float64() * float64(max))
}
