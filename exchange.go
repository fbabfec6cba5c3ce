package zep

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/zep-go/zep/internal/redact"
)

// CallInfo says which call a request belongs to.
type CallInfo struct {
	Method  string
	Route   string // "/user/{userId}": without ids, below /api/v1
	Attempt int    // 1 is the first
}

// CallFromContext returns the call that a request belongs to, by the context of the request that a
// middleware gets: see [WithMiddleware]. Without a middleware no request has it: the Transport of
// [WithHTTPClient] finds nothing then.
func CallFromContext(ctx context.Context) (CallInfo, bool) {
	info, ok := ctx.Value(callInfoKey{}).(CallInfo)
	return info, ok
}

type callInfoKey struct{}

// exchange is one call on the wire: its attempts, and what they proved. Its methods are the hooks
// of go-retryablehttp, which sends the attempts and waits between them.
type exchange struct {
	client   *Client
	ctx      context.Context // the caller's
	deadline time.Time       // of all attempts together
	callOptions
	method, route string
	url           url.URL
	resend        resendPolicy
	transient     *regexp.Regexp
	update        update
	turn          *turn // nil of a call that waits for none
	decode        func(http.Header, []byte) error
	stream        *stream // of a response that is decoded while it comes, in the place of decode

	retry         retryablehttp.Client
	request       retryablehttp.Request
	tokens        []string // what WithTokenSource made of Authorization, the last one at the end
	attempt       attempt  // the last one
	answer        *Error   // the last one that came whole and was no success
	wait          time.Duration
	maybeExecuted bool // an attempt was sent and its outcome is ambiguous
}

// attempt is one request of an exchange, and what came of it.
type attempt struct {
	number  int // 1 is the first, 0 is none
	start   time.Time
	cancel  context.CancelFunc
	trace   *sendTrace
	status  int // 0 without a response
	outcome outcome
	err     *Error // nil after a success
}

// run sends the request, again where that is safe, and returns the error of the last attempt.
func (x *exchange) run(ctx context.Context, deadline time.Time, body []byte) *Error {
	x.ctx, x.deadline = ctx, deadline
	if err := errors.Join(x.ended(), x.turn.lost()); err != nil {
		return x.newError(nil, "not sent", err)
	}
	failure := x.send(body)
	if lost := x.turn.lost(); lost != nil && (failure == nil || x.maybeExecuted) {
		// Another process may have updated the record meanwhile, and the server keeps one of both.
		failure = x.newError(nil, "the lock of the update was lost: "+lost.Error(), lost)
		failure.maybeExecuted = true
	}
	return failure
}

func (x *exchange) send(body []byte) *Error {
	if err := x.prepare(body); err != nil {
		return x.newError(nil, err.Error(), errors.Join(err, x.ended()))
	}
	_, err := x.retry.Do(&x.request)
	failure := x.attempt.err
	if failure == nil {
		if err == nil {
			return nil
		}
		failure = x.newError(nil, err.Error(), err) // go-retryablehttp's own
	}
	// The context may have ended in a wait, or without a word in the transport's error.
	if ended := x.ended(); ended != nil && (x.attempt.status == 0 || x.attempt.outcome != final) {
		failure.cause = errors.Join(failure.cause, ended)
	}
	return failure.afterAnswer(x.answer)
}

// ended returns why there cannot be another attempt: the context or the time of the call has ended.
func (x *exchange) ended() error {
	if err := contextErr(x.ctx); err != nil {
		return err
	}
	if time.Now().Before(x.deadline) {
		return nil
	}
	return context.DeadlineExceeded
}

// prepare makes the request, and the client that carries it.
func (x *exchange) prepare(body []byte) error {
	x.retry = retryablehttp.Client{
		RetryMax:     x.maxAttempts - 1,
		CheckRetry:   x.checkRetry,
		Backoff:      x.backoff,
		PrepareRetry: x.prepareRetry,
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
	if x.stream != nil {
		x.retry.RetryMax = math.MaxInt // shouldRetry counts
	}
	x.request.Request = &http.Request{
		Method:     x.method,
		Proto:      "HTTP/1.1",
		ProtoMajor: 1,
		ProtoMinor: 1,
	}
	x.request.SetResponseHandler(x.handleResponse)
	if body != nil {
		if err := x.request.SetBody(body); err != nil {
			return err
		}
	}
	if err := x.nextToken(); err != nil {
		return err
	}
	x.request.Request = x.startAttempt(x.request.Request)
	return nil
}

// nextToken asks for the token of the next attempt, if there is a function to ask.
func (x *exchange) nextToken() error {
	if x.client.token == nil || x.header["Authorization"] != nil {
		return nil
	}
	ctx, cancel := context.WithDeadline(x.ctx, x.deadline)
	defer cancel()
	token, err := x.client.token(ctx)
	if parsed, invalid := parseToken("the token", token); err == nil {
		token, err = parsed, invalid
	}
	value := ""
	if token != "" {
		value = "Bearer " + token
	}
	if last := len(x.tokens) - 1; last < 0 || x.tokens[last] != value {
		x.tokens = append(x.tokens, value)
	}
	if err != nil {
		return fmt.Errorf("WithTokenSource: %w", err)
	}
	return nil
}

// startAttempt begins the next attempt and returns its request. Its URL, header and trace are its
// own: the transport may still be at work on the last attempt's.
func (x *exchange) startAttempt(req *http.Request) *http.Request {
	start := context.WithDeadline
	if x.stream != nil {
		start = x.stream.start
	}
	ctx, cancel := start(x.ctx, x.attemptDeadline())
	number := x.attempt.number + 1
	isLast := x.resend == noRetry || x.resend == reconcilable && number >= x.maxAttempts
	x.attempt = attempt{
		number: number,
		start:  x.client.now(),
		cancel: cancel,
		trace:  &sendTrace{cancel: cancel, isLast: isLast},
	}
	if http1 := x.client.onlyHTTP1(); !http1 || x.resend != readOnly {
		ctx = x.attempt.trace.with(ctx, !http1)
	}
	if x.client.middleware != nil {
		ctx = context.WithValue(ctx, callInfoKey{}, CallInfo{x.method, x.route, x.attempt.number})
	}
	x.retry.HTTPClient = x.httpClient()
	target := x.url
	req = req.WithContext(ctx)
	req.URL, req.Header = &target, x.headers(req.GetBody != nil)
	return req
}

// attemptDeadline returns the deadline of an attempt that begins now.
func (x *exchange) attemptDeadline() time.Time {
	if bound := x.client.attemptTimeout; bound > 0 && time.Now().Add(bound).Before(x.deadline) {
		return time.Now().Add(bound)
	}
	return x.deadline
}

// httpClient returns what carries the attempt.
func (x *exchange) httpClient() *http.Client {
	hc := x.client.http
	if x.turn == nil || !x.update.finish {
		return hc
	}
	finishing := *hc
	finishing.Transport = letFinish{
		next:  hc.Transport,
		turn:  x.turn,
		trace: x.attempt.trace,
		cut:   hc.Timeout,
	}
	return &finishing
}

// prepareRetry begins another attempt after a wait.
func (x *exchange) prepareRetry(req *http.Request) error {
	if err := errors.Join(x.ended(), x.turn.lost()); err != nil {
		return err
	}
	if err := x.nextToken(); err != nil {
		if x.ended() == nil { // the error is that of the function, not that of the last attempt
			x.answer, x.attempt.err = nil, x.newError(nil, err.Error(), err)
			x.attempt.err.maybeExecuted = x.maybeExecuted
		}
		return err
	}
	*req = *x.startAttempt(req)
	return nil
}

// handleResponse reads a response, as a part of the attempt.
func (x *exchange) handleResponse(resp *http.Response) error {
	showLocation(resp)
	x.attempt.status = resp.StatusCode
	x.finishAttempt(x.judgeResponse(resp))
	if x.attempt.err != nil {
		return x.attempt.err
	}
	return nil
}

// checkRetry decides whether there is another attempt. go-retryablehttp calls it with what
// http.Client returned, and after a response was read with the error of that.
func (x *exchange) checkRetry(_ context.Context, resp *http.Response, err error) (bool, error) {
	if err == nil { // a response that is not read yet, or a success
		return false, nil
	}
	if resp == nil {
		x.finishAttempt(x.judgeFailure(err))
	}
	if !x.shouldRetry() {
		return false, nil
	}
	// The wait ends with the context of the call: that of the attempt has ended.
	x.request.Request = x.request.Request.WithContext(x.ctx)
	return true, nil
}

// backoff returns the wait before the next attempt.
func (x *exchange) backoff(_, _ time.Duration, _ int, _ *http.Response) time.Duration {
	x.logRetry()
	return x.client.clock.wait(x.wait)
}

// finishAttempt records what came of the attempt.
func (x *exchange) finishAttempt(o outcome, err *Error) {
	x.attempt.cancel()
	x.attempt.outcome, x.attempt.err = o, err
	trace := x.attempt.trace
	if x.resend != readOnly && err != nil {
		x.maybeExecuted = x.maybeExecuted || o == ambiguous || x.attempt.status == 0 && trace.sent()
		err.maybeExecuted = x.maybeExecuted
		err.maybeLocked = x.update.metadata && x.mayBeLocked()
		if o == ambiguous && !x.update.finish {
			trace.closeConn() // so that a server that notices stops
		}
	}
	x.logAttempt()
}

// headers returns a map of the call's own, since a Transport may write to it. The values are
// shared.
func (x *exchange) headers(body bool) http.Header {
	h := make(http.Header, 4)
	h["User-Agent"] = x.client.userAgent
	if authorization := x.client.authorization(); authorization != nil {
		h["Authorization"] = authorization
	} else if last := len(x.tokens) - 1; last >= 0 && x.tokens[last] != "" {
		h["Authorization"] = x.tokens[last : last+1 : last+1]
	}
	if body {
		h["Content-Type"] = contentType
	}
	maps.Copy(h, x.client.config.header())
	maps.Copy(h, x.header)
	return h
}

var contentType = []string{"application/json"}

// newError returns the error of the last attempt, or of a call that was not sent, without
// secrets: a server or a proxy may echo them.
func (x *exchange) newError(resp *http.Response, text string, cause error) *Error {
	err := &Error{
		Method:   x.method,
		Path:     x.url.EscapedPath(),
		Attempts: x.attempt.number,
		cause:    cause,
	}
	if resp != nil {
		err.StatusCode, err.Header = resp.StatusCode, resp.Header
		err.kinds = classify(resp.StatusCode, oneLine(text))
	}
	r := x.redactor()
	err.Message, err.Header = oneLine(r.Text(text)), r.Header(err.Header)
	err.cause = redactCause(r, cause)
	if resp != nil && !err.timedOut() {
		x.answer = err
	}
	return err
}

// minSecret is the shortest value of WithHeader that is a secret: a shorter one is in many texts.
const minSecret = 8

// redactor returns what takes the tokens of the call out of texts.
func (x *exchange) redactor() redact.Secrets {
	found := secrets(slices.Concat(x.client.authorization(), x.tokens, x.header["Authorization"]))
	for _, values := range x.client.config.header() {
		for _, value := range values {
			if len(value) >= minSecret {
				found = append(found, redact.New(value))
			}
		}
	}
	return found
}

// logAttempt logs what came of an attempt. It logs no id, and no text of the server's, which may
// quote one.
func (x *exchange) logAttempt() {
	logger := x.client.logger
	if logger == nil || !logger.Enabled(x.ctx, slog.LevelDebug) {
		return
	}
	duration := slog.Duration("duration", x.client.now().Sub(x.attempt.start))
	logger.LogAttrs(x.ctx, slog.LevelDebug, "zep: attempt", append(x.logAttrs(), duration)...)
}

// logRetry logs the wait before another attempt.
func (x *exchange) logRetry() {
	if logger := x.client.logger; logger != nil {
		wait := slog.Duration("wait", x.wait)
		logger.LogAttrs(x.ctx, slog.LevelWarn, "zep: trying again", append(x.logAttrs(), wait)...)
	}
}

func (x *exchange) logAttrs() []slog.Attr {
	attrs := []slog.Attr{
		slog.String("method", x.method),
		slog.String("route", x.route),
		slog.Int("attempt", x.attempt.number),
	}
	if x.attempt.status != 0 {
		attrs = append(attrs, slog.Int("status", x.attempt.status))
	}
	if x.attempt.err != nil {
		attrs = append(attrs, slog.String("outcome", x.attempt.outcome.String()))
	}
	return attrs
}
