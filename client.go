package zep

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/google/go-querystring/query"
	"github.com/hashicorp/go-retryablehttp"
)

const (
	// healthRoute is the one that is not below apiPath.
	healthRoute = "/healthz"

	// apiPath stands between the base URL and every route but the health check.
	apiPath = "/api/v1"

	// maxBody bounds what is read of a successful answer.
	maxBody = 256 << 20

	// maxPooled bounds the buffers that are kept for the next answer; a page of 5,000 users takes about 1.8 MB.
	maxPooled = 4 << 20
)

// A Client talks to one Zep server. It is safe for concurrent use, and one is enough for a process: it keeps the connections,
// and the order of the updates, together.
type Client struct {
	User       *UserService
	Session    *SessionService
	Memory     *MemoryService
	Message    *MessageService
	Collection *CollectionService
	Document   *DocumentService

	config
	clock
	blank     *http.Request         // what all requests have alike
	transport http.RoundTripper     // used unless the caller gave an http.Client
	retry     *retryablehttp.Client // carries the attempts of every call
	updates   *order                // nil with WithConcurrentUpdates
	maxBody   int64
}

// NewClient makes a Client from the environment (ZEP_API_URL, ZEP_API_KEY) and options. It sends nothing: [Client.Health]
// tells whether the server is there. The error names every option that cannot be used, and what to change.
func NewClient(opts ...Option) (*Client, error) {
	cfg, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	c := &Client{config: cfg, clock: systemClock, transport: newTransport(), maxBody: maxBody}
	c.blank = &http.Request{Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	// go-retryablehttp carries the attempts. What comes after an attempt, and when, the exchange decides.
	if !cfg.concurrentUpdates {
		c.updates = &order{}
	}
	c.retry = &retryablehttp.Client{
		HTTPClient: &http.Client{
			Transport:     roundTripper{},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		RetryMax: math.MaxInt, // the policy counts
		CheckRetry: func(ctx context.Context, _ *http.Response, _ error) (bool, error) {
			return exchangeIn(ctx).again(), nil
		},
		Backoff:      func(_, _ time.Duration, _ int, _ *http.Response) time.Duration { return 0 },
		PrepareRetry: func(req *http.Request) error { return exchangeIn(req.Context()).prepare(req) },
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
	if cfg.httpClient != nil {
		c.retry.HTTPClient.Jar, c.retry.HTTPClient.Timeout = cfg.httpClient.Jar, cfg.httpClient.Timeout
	}
	c.User = &UserService{client: c}
	c.Session = &SessionService{client: c}
	c.Memory = &MemoryService{client: c}
	c.Message = &MessageService{client: c}
	c.Collection = &CollectionService{client: c}
	c.Document = &DocumentService{client: c}
	return c, nil
}

// Health is what a server says of itself.
type Health struct {
	// Version is the header X-Zep-Version as it is, e.g. "0.27.2-abc1234 (2024-05-01T12:00:00Z)", or "dev-n/a (n/a)" of a
	// server built by hand. It is no semantic version.
	Version string
}

// Health asks the server whether it is up, and for its version. Zep asks for no API key here, so this does not tell whether
// the one in use is right.
//
// GET /healthz
func (c *Client) Health(ctx context.Context, opts ...RequestOption) (*Health, error) {
	return do(ctx, c, call[*Health]{method: http.MethodGet, route: healthRoute, decode: decodeHealth}, opts)
}

func decodeHealth(header http.Header, body []byte) (*Health, error) {
	if isPage(body) {
		return nil, fmt.Errorf("an HTML page %w", errNotZep)
	}
	return &Health{Version: header.Get("X-Zep-Version")}, nil
}

// String names the server, and nothing that is secret.
func (c *Client) String() string { return "zep.Client(" + c.baseURL.String() + ")" }

// A call is what a service method says of its endpoint. All else is the same for every call, and is written once, in do.
type call[T any] struct {
	method string
	route  string   // "/user/{userId}": logs show it, ids fill it
	ids    []string // in the order of the route
	query  any      // for go-querystring; nil for none
	body   any      // for encoding/json; nil for none

	refused error // why it is not to be sent

	read      bool           // changes nothing, as GET: may be sent as often as one likes
	once      bool           // a write that cannot be settled: not again after an unknown outcome
	transient *regexp.Regexp // a refusal with this text says that nothing was done, and that the next attempt may succeed
	updates   []record       // what this is an update of, each once

	// decode reads a successful answer's body; nil reads JSON.
	decode func(http.Header, []byte) (T, error)

	// then reads back what a call answers with "OK" alone.
	then func(context.Context) (T, error)

	// settle has the last word if an attempt's outcome is unknown and a later one failed: it may know from the error, or find
	// out, that the call was carried out.
	settle func(context.Context, *Error) (T, error)
}

// none is the answer of a call that has none but "OK".
type none struct{}

// do is the one way of a call: build, wait for its turn, send until the outcome is known, decode or explain.
func do[T any](ctx context.Context, c *Client, call call[T], opts []RequestOption) (T, error) {
	var answer, nothing T
	options, err := c.begin(opts, call.refused)
	if err != nil {
		return nothing, err
	}
	target, err := c.resolve(call.route, call.ids, call.query)
	if err != nil {
		return nothing, err
	}
	var body []byte
	if call.body != nil {
		if body, err = json.Marshal(call.body); err != nil {
			return nothing, fmt.Errorf("%w: %s %s: the request cannot be sent as JSON: %w", ErrBadRequest, call.method, call.route, err)
		}
	}

	ctx, cancel := context.WithTimeout(ctx, options.timeout)
	defer cancel()
	x := &exchange{
		client: c, ctx: ctx, request: options,
		method: call.method, route: call.route, url: *target,
		read: call.read || call.method == http.MethodGet, once: call.once, transient: call.transient,
	}
	x.decode = func(header http.Header, body []byte) (err error) {
		switch {
		case call.then != nil:
			_, err = decodeOK(header, body)
		case call.decode != nil:
			answer, err = call.decode(header, body)
		default:
			answer, err = decodeJSON[T](header, body)
		}
		return err
	}
	if c.updates != nil && call.updates != nil {
		turn, err := c.updates.enter(ctx, call.updates)
		if err != nil {
			return nothing, x.fail(nil, "waiting for an earlier update of the same record", ended(ctx))
		}
		defer c.updates.leave(turn)
	}
	if failure := x.run(target, body); failure != nil {
		if failure.unsettled && call.settle != nil {
			return call.settle(ctx, failure)
		}
		return nothing, failure
	}
	if call.then != nil {
		if answer, err = call.then(ctx); err != nil {
			return nothing, fmt.Errorf("zep: %s %s: done, but reading it back failed: %w", x.method, x.url.EscapedPath(), err)
		}
	}
	return answer, nil
}

// begin looks at the options of a call, and at why it is not to be sent. From here on no captured response is that of an earlier one.
func (c *Client) begin(opts []RequestOption, refused ...error) (request, error) {
	options, err := c.newRequest(opts)
	if options.capture != nil {
		*options.capture = nil
	}
	return options, cmp.Or(err, cmp.Or(refused...))
}

// resolve gives the URL of a call: what [url.URL] makes of its path by default is the escaping that Zep's router undoes.
func (c *Client) resolve(route string, ids []string, options any) (*url.URL, error) {
	path, escaped := "", ""
	if route != healthRoute {
		path = apiPath
	}
	for _, id := range ids {
		before, rest, _ := strings.Cut(route, "{")
		name, after, _ := strings.Cut(rest, "}")
		if err := checkID(name, id); err != nil {
			return nil, err
		}
		path += before + id
		route = after
	}
	path += route
	if c.baseURL.RawPath != "" {
		escaped = c.baseURL.RawPath + (&url.URL{Path: path}).EscapedPath()
	}
	target := &url.URL{Scheme: c.baseURL.Scheme, Host: c.baseURL.Host, Path: c.baseURL.Path + path, RawPath: escaped}
	if options != nil {
		values, err := query.Values(options)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrBadRequest, route, err)
		}
		target.RawQuery = values.Encode()
	}
	return target, nil
}

// checkID refuses what the server would read as another path than the id's, or as another id.
func checkID(name, id string) error {
	why := ""
	switch {
	case id == "":
		why = "is empty"
	case id == "." || id == "..":
		why = "is a step in the path"
	case strings.Contains(id, "/"):
		why = `holds a "/", and the server finds no such id`
	default:
		return checkText(name, id)
	}
	return fmt.Errorf("%w: %s %.100q %s", ErrInvalidID, name, id, why)
}

// checkText refuses what the server would store as something else than it was given.
func checkText(name, id string) error {
	switch {
	case strings.Contains(id, "\x00"):
		return fmt.Errorf("%w: %s %.100q holds a NUL byte, which the server drops", ErrInvalidID, name, id)
	case !utf8.ValidString(id):
		return fmt.Errorf("%w: %s %.100q is not valid UTF-8", ErrInvalidID, name, id)
	}
	return nil
}

// An exchange is one call on the wire: its attempts, and what is known after the last of them.
type exchange struct {
	client *Client
	ctx    context.Context // of all attempts together
	request
	method, route string
	url           url.URL
	read, once    bool
	transient     *regexp.Regexp
	decode        func(http.Header, []byte) error

	attempts  int
	sending   *sending // of the last attempt; nil of a read
	status    int      // of the last attempt, 0 without an answer
	last      outcome
	err       *Error // of the last attempt, nil after a success
	unsettled bool   // an attempt was sent and its answer lost
	wait      time.Duration
}

// ended is why a context has ended, and nil if it has not.
func ended(ctx context.Context) error { return errors.Join(ctx.Err(), context.Cause(ctx)) }

type exchangeKey struct{}

func exchangeIn(ctx context.Context) *exchange { return ctx.Value(exchangeKey{}).(*exchange) }

// run sends the request until the policy is content, and returns what is left to report.
func (x *exchange) run(target *url.URL, body []byte) *Error {
	if err := ended(x.ctx); err != nil {
		return x.fail(nil, "not sent", err)
	}
	req := &retryablehttp.Request{Request: x.client.blank.WithContext(x.attemptContext())}
	req.Method, req.URL, req.Header = x.method, target, x.headers(body != nil)
	if body != nil {
		if err := req.SetBody(body); err != nil {
			return x.fail(nil, err.Error(), err)
		}
		if again := req.GetBody; !x.read {
			req.GetBody = func() (io.ReadCloser, error) {
				if x.sending.onHTTP2() {
					return nil, errNotAgain
				}
				return again()
			}
		}
	}
	resp, err := x.client.retry.Do(req)
	if resp != nil {
		_ = resp.Body.Close() // it is empty, but ends the timer of an http.Client with a Timeout
	}
	if err != nil && x.err == nil {
		x.fail(nil, err.Error(), err)
	}
	if why := ended(x.ctx); why != nil && x.err != nil && (x.status == 0 || x.last != settled) {
		x.err.cause = errors.Join(x.err.cause, why)
	}
	return x.err
}

// errNotAgain stops net/http from sending a write again by itself, as often as an HTTP/2 server resets its stream: whether there is
// another attempt is not for the transport to decide.
var errNotAgain = errors.New("the connection broke after the request was sent")

// attemptContext is the context of the next attempt. A write's is told how far its request comes.
func (x *exchange) attemptContext() context.Context {
	ctx := context.WithValue(x.ctx, exchangeKey{}, x)
	if x.read {
		return ctx
	}
	x.sending = new(sending)
	return x.sending.trace(ctx)
}

// prepare waits for the next attempt, and makes its request one of its own: the transport may still be at work on the last one's,
// and what a Transport or a Jar added to it would be added twice. It stands in for the wait of go-retryablehttp, which
// no test can shorten.
func (x *exchange) prepare(req *http.Request) error {
	err := x.ctx.Err()
	if x.wait > 0 {
		err = x.client.sleep(x.ctx, x.wait)
	}
	if err != nil {
		return err
	}
	target := x.url
	*req = *req.WithContext(x.attemptContext())
	req.URL, req.Header = &target, x.headers(req.Body != nil)
	return nil
}

// headers are a call's own, since a Transport of the caller's may write to them; their values are shared.
func (x *exchange) headers(body bool) http.Header {
	h := make(http.Header, 4)
	h["User-Agent"] = x.client.userAgent
	if authorization := x.client.authorization(); authorization != nil {
		h["Authorization"] = authorization
	}
	if body {
		h["Content-Type"] = contentType
	}
	maps.Copy(h, x.header)
	return h
}

var contentType = []string{"application/json"}

// roundTripper hands each attempt of go-retryablehttp's to its exchange. It has no CloseIdleConnections: to give up on a call
// must empty nobody's connection pool.
type roundTripper struct{}

func (roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	return exchangeIn(req.Context()).attempt(req)
}

// attempt sends the request once, reads the whole answer, and notes what that proves. It returns what the transport did: the
// policy goes by the note.
func (x *exchange) attempt(req *http.Request) (*http.Response, error) {
	start := x.client.now()
	x.attempts++
	x.err, x.last, x.status = nil, settled, 0
	resp, err := x.client.roundTripper().RoundTrip(req)
	if resp == nil && err == nil {
		err = errors.New("the http.RoundTripper gave neither a response nor an error")
	}
	if err != nil {
		x.broke(err)
	} else {
		x.status = resp.StatusCode
		x.receive(resp)
	}
	if !x.read && (x.last == unknown || x.sending.twice() || x.status == 0 && x.sending.wrote.Load() > 0) {
		x.unsettled = true
	}
	if x.err != nil {
		x.err.unsettled = x.unsettled
	}
	x.log(start)
	return resp, err
}

// receive reads an answer whole, which leaves the connection to the next call.
func (x *exchange) receive(resp *http.Response) {
	body := resp.Body
	if body == nil {
		body = http.NoBody
	}
	defer body.Close()
	resp.Body = http.NoBody
	if resp.StatusCode < 200 {
		body = http.NoBody // of a 101 it would be the connection, which no context ends
	}
	buffer := buffers.Get().(*bytes.Buffer)
	defer func() {
		if buffer.Cap() <= maxPooled {
			buffer.Reset()
			buffers.Put(buffer)
		}
	}()
	success := resp.StatusCode/100 == 2
	var err error
	if success {
		limit := x.page.maxBody(x.client.maxBody)
		_, err = buffer.ReadFrom(io.LimitReader(body, limit+1))
		if int64(buffer.Len()) > limit {
			err = fmt.Errorf("%w: the answer is over %d bytes", ErrTooLarge, limit)
		}
		x.page.setWeight(buffer.Len())
	} else if _, err = buffer.ReadFrom(io.LimitReader(body, maxErrorBody)); err == nil {
		_, _ = io.CopyN(io.Discard, body, maxErrorDrain)
	}
	if x.capture != nil {
		*x.capture = x.captured(resp, buffer.Bytes())
	}
	switch {
	case err != nil:
		x.cutShort(resp, err)
	case success:
		x.understand(resp, buffer.Bytes())
	default:
		x.refused(resp, buffer.Bytes())
	}
}

// broke: no answer came.
func (x *exchange) broke(err error) {
	x.last = outcomeOfBreak(err, x.sending)
	x.fail(nil, err.Error(), err)
}

// cutShort: an answer came, but not the whole of it.
func (x *exchange) cutShort(resp *http.Response, err error) {
	switch {
	case errors.Is(err, ErrTooLarge):
		x.last = settled
	case resp.StatusCode/100 == 4, resp.StatusCode == http.StatusServiceUnavailable:
		x.last = undone // the status proves it, and the next answer may have the words
	default:
		x.last = unknown
	}
	x.fail(resp, err.Error(), err)
	if resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusBadRequest {
		x.err.kinds = []error{} // what is missing or at fault is in the words
	}
}

// understand: a 2xx is a success once it can be read. A page or half an answer is a proxy's or a broken server's, and what became
// of the request is unknown; JSON of another shape will come again.
func (x *exchange) understand(resp *http.Response, body []byte) {
	err := x.decode(resp.Header, body)
	if err == nil {
		return
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) || errors.Is(err, errNotZep) {
		x.last = unknown
	}
	x.fail(resp, "the answer is not what Zep sends: "+err.Error(), err)
}

// refused: the server answered, and not with success.
func (x *exchange) refused(resp *http.Response, body []byte) {
	text := serverText(body)
	location := resp.Header.Get("Location")
	redirect := resp.StatusCode/100 == 3 && location != ""
	if redirect {
		text = "redirects to " + shownURL(location)
	}
	x.last = outcomeOf(resp.StatusCode, oneLine(text), x.transient)
	x.fail(resp, text, nil)
	if redirect {
		// http.Client fails on a Location that it cannot parse, and leaves a redirect without one alone.
		resp.Header = resp.Header.Clone()
		resp.Header.Del("Location")
	}
}

// fail notes what the attempt got, without the API key: a server or a proxy may echo it.
func (x *exchange) fail(resp *http.Response, text string, cause error) *Error {
	x.err = &Error{Method: x.method, Path: x.url.EscapedPath(), Attempts: x.attempts, cause: cause}
	if resp != nil {
		x.err.StatusCode, x.err.Header = resp.StatusCode, resp.Header
		x.err.kinds = classify(resp.StatusCode, oneLine(text))
	}
	for _, secret := range x.secrets() {
		text = withoutSecret(text, secret)
		x.err.redact(secret)
	}
	x.err.Message = oneLine(text)
	return x.err
}

// secrets are what was sent to prove who calls.
func (x *exchange) secrets() []string {
	secrets := slices.Concat(x.client.authorization(), x.header.Values("Authorization"))
	for i, value := range secrets {
		if _, token, found := strings.Cut(value, " "); found {
			secrets[i] = token
		}
	}
	return slices.DeleteFunc(secrets, func(secret string) bool { return secret == "" })
}

// log tells of an attempt: no id, no text of the server's, which quotes them.
func (x *exchange) log(start time.Time) {
	logger := x.client.logger
	if logger == nil || !logger.Enabled(x.ctx, slog.LevelDebug) {
		return
	}
	logger.LogAttrs(x.ctx, slog.LevelDebug, "zep: attempt", append(x.attrs(), slog.Duration("duration", x.client.now().Sub(start)))...)
}

// warn tells of the wait before a retry.
func (x *exchange) warn() {
	if logger := x.client.logger; logger != nil {
		logger.LogAttrs(x.ctx, slog.LevelWarn, "zep: trying again", append(x.attrs(), slog.Duration("wait", x.wait))...)
	}
}

func (x *exchange) attrs() []slog.Attr {
	attrs := []slog.Attr{slog.String("method", x.method), slog.String("route", x.route), slog.Int("attempt", x.attempts)}
	if x.status != 0 {
		attrs = append(attrs, slog.Int("status", x.status))
	}
	if x.err != nil {
		attrs = append(attrs, slog.String("outcome", x.last.String()))
	}
	return attrs
}

// buffers are what answers are read into. Decoding copies out of them.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// captured is a response as a caller may keep it: with its body to read again, and without the API key.
func (x *exchange) captured(resp *http.Response, body []byte) *http.Response {
	kept := *resp
	kept.Header = resp.Header.Clone()
	kept.Body = io.NopCloser(bytes.NewReader(bytes.Clone(body)))
	if resp.Request != nil {
		kept.Request = resp.Request.Clone(context.WithoutCancel(x.ctx)) // without the exchange, and what it knows
		kept.Request.Header.Del("Authorization")
	}
	return &kept
}

// shownURL is a server's Location without what may be secret in it.
func shownURL(location string) string {
	u, err := url.Parse(location)
	if err != nil {
		return "a place that is no URL"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}

// roundTripper is looked up for every attempt, so that what the caller puts into his client, or a mock into net/http, goes.
func (c *Client) roundTripper() http.RoundTripper {
	switch {
	case c.httpClient != nil && c.httpClient.Transport != nil:
		return c.httpClient.Transport
	case c.httpClient != nil, http.DefaultTransport != http.RoundTripper(standardTransport):
		return http.DefaultTransport
	}
	return c.transport
}

// errNotZep: what answered was not Zep.
var errNotZep = errors.New("in place of Zep's word")

// decodeJSON reads one record.
func decodeJSON[T any](_ http.Header, body []byte) (answer T, err error) {
	if bytes.Equal(bytes.TrimSpace(body), []byte("null")) {
		return answer, errors.New("null")
	}
	err = json.Unmarshal(body, &answer)
	return answer, err
}

// decodeList reads an array of records; null is none of them.
func decodeList[T any](_ http.Header, body []byte) ([]*T, error) {
	var answer []*T
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, err
	}
	return withoutNull(answer)
}

// withoutNull makes an empty list of null, and lets no null stand for a record.
func withoutNull[T any](list []*T) ([]*T, error) {
	if slices.Contains(list, nil) {
		return nil, errors.New("null in a list")
	}
	if list == nil {
		list = []*T{}
	}
	return list, nil
}

// decodeOK takes the text that stands for success, and no other: a proxy's page is no proof that anything was done.
func decodeOK(_ http.Header, body []byte) (none, error) {
	switch text := bytes.TrimSpace(body); {
	case string(text) == "OK":
		return none{}, nil
	case isPage(text):
		return none{}, fmt.Errorf("an HTML page %w", errNotZep)
	default:
		return none{}, fmt.Errorf("%q %w", text[:min(len(text), maxErrorBody)], errNotZep)
	}
}
