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
	"syscall"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// An outcome is what an attempt proves about the server, and so whether another may follow it:
//
//	outcome   what the attempt got                                                tried again
//	settled   an answer that can be read, or a refusal: 3xx, 4xx but 429, 501,    no
//	          505, a 500 in which PostgreSQL finds fault with the request
//	          a failed TLS handshake, a bad certificate, an unsupported scheme,
//	          an answer over the limit, the end of the call's context
//	undone    no connection, a request cut before it was written, 429, 503,       every call
//	          and what the server is known to get over: a lock that it could
//	          not get, a session that two memory adds created at once
//	unknown   502, 504, a connection that broke later, an answer cut short        reads, and writes that the server's next
//	          or that is not Zep's                                                answer settles
//	failed    500 and other 5xx but 501, 505: often the caller's mistake, and     reads
//	          no proof that nothing was written
type outcome int

const (
	settled outcome = iota
	undone
	unknown
	failed
)

// String is what the logs call it.
func (o outcome) String() string {
	return [...]string{"settled", "undone", "unknown", "failed"}[o]
}

// maxRetryAfter bounds how long a server can make a call wait.
const maxRetryAfter = 30 * time.Second

// lockText is what Zep says when it could not get the lock of a record that is being written. Nothing was done.
const lockText = "failed to acquire advisory lock"

// faultyQuery is PostgreSQL's word that the request is at fault, which Zep passes on as a 500: the classes "data exception",
// "integrity constraint violation" and "syntax error". It will say so again.
var faultyQuery = regexp.MustCompile(`\(SQLSTATE=(22|23|42)`)

// outcomeOf reads a refusal.
func outcomeOf(status int, text string, transient *regexp.Regexp) outcome {
	switch {
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable,
		status >= 500 && strings.HasPrefix(text, lockText),
		transient != nil && transient.MatchString(text):
		return undone
	case status >= 500 && faultyQuery.MatchString(text):
		return settled
	case status == http.StatusBadGateway, status == http.StatusGatewayTimeout:
		return unknown
	case status >= 500 && status != http.StatusNotImplemented && status != http.StatusHTTPVersionNotSupported:
		return failed
	}
	return settled
}

// sending is what httptrace tells of how far one attempt's request came. It tells it from the connection's own goroutines, which may
// go on after the attempt.
type sending struct {
	asked, connected, http2, cut atomic.Bool
	wrote                        atomic.Int32 // how often: a transport may send a request again by itself
}

func (s *sending) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { s.asked.Store(true) },
		GotConn: func(info httptrace.GotConnInfo) {
			s.connected.Store(true)
			conn, ok := info.Conn.(*tls.Conn)
			s.http2.Store(ok && conn.ConnectionState().NegotiatedProtocol == "h2")
		},
		WroteRequest: func(info httptrace.WroteRequestInfo) {
			if info.Err == nil {
				s.wrote.Add(1)
			} else {
				s.cut.Store(true)
			}
		},
	})
}

// onHTTP2: the request was written to a stream of HTTP/2, whose reset makes net/http send it again, carried out or not. Over HTTP/1
// net/http sends a write again only if nothing of it reached the server.
func (s *sending) onHTTP2() bool { return s.http2.Load() && s.wrote.Load() > 0 }

// twice: net/http did so.
func (s *sending) twice() bool { return s.http2.Load() && s.wrote.Load() > 1 }

// outcomeOfBreak reads the error of an attempt that got no answer, and how far its request came. A transport may have tried more than
// once by itself, so that one connection broke under the request says nothing if another took it; and one that tells nothing of what
// it does proves nothing by that. sending is nil for a read.
func outcomeOfBreak(err error, s *sending) outcome {
	switch {
	case isPermanent(err):
		return settled
	case s != nil && s.wrote.Load() > 0:
		return unknown
	case neverConnected(err), s != nil && (s.cut.Load() || s.asked.Load() && !s.connected.Load()):
		return undone
	}
	return unknown
}

// neverConnected: the network's own error says that there was no connection to send anything over.
func neverConnected(err error) bool {
	var op *net.OpError
	if errors.As(err, &op) && (op.Op == "dial" || op.Op == "proxyconnect") {
		return true
	}
	var dns *net.DNSError
	return errors.As(err, &dns) || errors.Is(err, syscall.ECONNREFUSED)
}

// isPermanent: the next attempt would fail alike.
func isPermanent(err error) bool {
	var (
		record      tls.RecordHeaderError
		certificate *tls.CertificateVerificationError
		op          *net.OpError
	)
	if errors.Is(err, ErrTooLarge) || errors.Is(err, http.ErrSchemeMismatch) ||
		errors.As(err, &record) || errors.As(err, &certificate) || strings.HasPrefix(err.Error(), "tls: ") {
		return true
	}
	// The alerts of TLS have no exported type: crypto/tls gives them in a net.OpError of these names.
	if errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error") {
		return true
	}
	// go-retryablehttp knows the schemes and headers that net/http refuses to send, by their texts, in the form in which
	// http.Client gives them.
	again, _ := retryablehttp.DefaultRetryPolicy(context.Background(), nil, &url.Error{Err: err})
	return !again
}

// again decides after an attempt whether there is to be another, and how long to wait before it.
func (x *exchange) again() bool {
	if x.err == nil || x.attempts >= x.maxAttempts || x.ctx.Err() != nil {
		return false
	}
	switch x.last {
	case settled:
		return false
	case unknown:
		if !x.read && x.once {
			return false
		}
	case failed:
		if !x.read {
			return false
		}
	}
	x.wait = max(x.client.backoff(x.attempts), min(retryAfter(x.err.Header, x.client.now()), maxRetryAfter))
	if deadline, ok := x.ctx.Deadline(); ok && x.client.now().Add(x.wait).After(deadline) {
		x.err.cause = errors.Join(x.err.cause, context.DeadlineExceeded)
		return false
	}
	x.warn()
	return true
}

// backoff is the wait after the given number of attempts: exponential, with full jitter.
func (c *Client) backoff(attempts int) time.Duration {
	most := c.minBackoff
	for range attempts - 1 {
		if most > c.maxBackoff/2 {
			most = c.maxBackoff
			break
		}
		most *= 2
	}
	return c.jitter(most)
}

// retryAfter is the wait that a response asks for: seconds or a date, 0 if it asks for none that can be understood.
func retryAfter(header http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(header.Get("Retry-After"))
	seconds, err := strconv.ParseUint(value, 10, 64)
	switch {
	case err == nil, errors.Is(err, strconv.ErrRange):
		return time.Duration(min(seconds, uint64(maxRetryAfter/time.Second))) * time.Second
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return max(date.Sub(now), 0)
}

// clock is time as the retries see it; tests put their own in its place.
type clock struct {
	now    func() time.Time
	sleep  func(context.Context, time.Duration) error
	jitter func(most time.Duration) time.Duration
}

var systemClock = clock{now: time.Now, sleep: sleep, jitter: fullJitter}

// fullJitter spreads the retries of many callers over the whole wait.
func fullJitter(most time.Duration) time.Duration {
	return time.Duration(rand.Float64() * float64(most))
}

// sleep waits, or gives up when the context ends.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return ctx.Err()
}
