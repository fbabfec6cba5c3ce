package zep

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
)

// Option sets up a [Client]. Options are applied in their order by [NewClient], which returns
// the errors of all of them.
type Option func(*config) error

// WithBaseURL sets where the server is: scheme (http or https), host, and a path if a proxy
// serves Zep below one. The client adds /api/v1. Default: the environment variable ZEP_API_URL,
// or else http://localhost:8000.
//
// A URL with user info, a query or a fragment is refused.
func WithBaseURL(baseURL string) Option {
	return func(c *config) (err error) {
		c.baseURL, err = parseBaseURL(baseURL)
		return err
	}
}

// WithAPIKey sets the JWT that is sent as a bearer token with every request. Default: the
// environment variable ZEP_API_KEY. "" sends none, whatever the environment says: a Zep server
// asks for none unless it is configured to.
//
// White space around the key, such as the line break at the end of a file, is trimmed, and so is
// one "Bearer " before it, in any case. A key that has white space, a quotation mark, a backslash
// or anything else in it than printable ASCII is refused.
func WithAPIKey(key string) Option {
	return func(c *config) error {
		key, err := parseToken("the API key", key)
		if err != nil {
			return err
		}
		var header []string
		if key != "" {
			header = []string{"Bearer " + key}
		}
		c.authorization = func() []string { return header }
		return nil
	}
}

// WithTokenSource sets a function that returns the JWT, in place of a fixed key: for tokens that
// expire. The client asks it before every attempt, unless [RequestHeader] sets Authorization, and
// keeps no token: the function should. The same forms as of an API key are accepted and refused,
// "" sends none, and all tokens of a call are kept out of errors and logs as the key is.
//
// Calls that ask at the same time share one run of the function. Its context has none of their
// values, and ends when no call waits for it any more, or after 60 s: the function must return
// then. The next run may begin before it has. A call waits for at most its own timeout.
//
// An error of the function, and a token that is refused, ends the call: nothing more is sent. The
// error of the call has its text and wraps it, and matches [ErrAmbiguous] if an attempt before it
// may have been carried out.
//
// It excludes [WithAPIKey], except with "", and the environment variable ZEP_API_KEY is not read.
func WithTokenSource(source func(context.Context) (string, error)) Option {
	return func(c *config) error {
		if source == nil {
			return errors.New("WithTokenSource: the function is nil")
		}
		c.token = shareRuns(source, maxTokenTime)
		return nil
	}
}

// The environment variables that NewClient reads, its defaults, and what no option sets.
const (
	envBaseURL = "ZEP_API_URL"
	envAPIKey  = "ZEP_API_KEY"

	defaultBaseURL     = "http://localhost:8000"
	defaultTimeout     = 60 * time.Second
	defaultMaxAttempts = 4
	defaultMinBackoff  = 100 * time.Millisecond
	defaultMaxBackoff  = 5 * time.Second

	// maxTokenTime bounds a run of the function of WithTokenSource.
	maxTokenTime = 60 * time.Second
)

// config is what options set. What is secret is kept in functions, so that no way of printing a
// Client can show it.
type config struct {
	baseURL           *url.URL
	authorization     func() []string
	token             func(context.Context) (string, error) // nil without WithTokenSource
	httpClient        *http.Client
	timeout           time.Duration
	maxAttempts       int
	minBackoff        time.Duration
	maxBackoff        time.Duration
	userAgent         []string
	logger            *slog.Logger
	concurrentUpdates bool
	parallelUpdates   bool
	locker            Locker
	header            func() http.Header                          // of every request
	attemptTimeout    time.Duration                               // 0 is none
	middleware        []func(http.RoundTripper) http.RoundTripper // the first is the outermost
	maxRequestBytes   int64                                       // 0 is no limit
}

// newConfig applies options over the environment over the defaults.
func newConfig(opts []Option) (config, error) {
	header := http.Header{}
	cfg := config{
		header:      func() http.Header { return header },
		timeout:     defaultTimeout,
		maxAttempts: defaultMaxAttempts,
		minBackoff:  defaultMinBackoff,
		maxBackoff:  defaultMaxBackoff,
		userAgent:   []string{defaultUserAgent()},
	}
	var wrong []string
	for i, opt := range opts {
		if opt == nil {
			wrong = append(wrong, fmt.Sprintf("option %d is nil", i+1))
		} else if err := opt(&cfg); err != nil {
			wrong = append(wrong, err.Error())
		}
	}
	if cfg.locker != nil && cfg.concurrentUpdates {
		wrong = append(wrong, "WithLocker and WithConcurrentUpdates exclude each other")
	}
	if cfg.token != nil && cfg.authorization != nil && cfg.authorization() != nil {
		wrong = append(wrong, "WithAPIKey and WithTokenSource exclude each other: leave one of them out")
	}
	if wrong != nil {
		return cfg, errors.New("zep: NewClient: " + oneLine(strings.Join(wrong, "; ")))
	}
	if err := cfg.readEnvironment(); err != nil {
		return cfg, fmt.Errorf("zep: NewClient: %w", err)
	}
	return cfg, nil
}

// readEnvironment fills only what no option said, so that a variable that does not matter cannot
// fail.
func (c *config) readEnvironment() error {
	if c.baseURL == nil {
		from, raw := envBaseURL, os.Getenv(envBaseURL)
		if raw == "" {
			from, raw = "default", defaultBaseURL
		}
		if err := WithBaseURL(raw)(c); err != nil {
			return fmt.Errorf("%s: %w", from, err)
		}
	}
	if c.authorization == nil {
		key := ""
		if c.token == nil {
			key = os.Getenv(envAPIKey)
		}
		if err := WithAPIKey(key)(c); err != nil {
			return fmt.Errorf("%s: %w", envAPIKey, err)
		}
	}
	return nil
}

// defaultUserAgent names the version of this module in the program that it is built into.
var defaultUserAgent = sync.OnceValue(func() string {
	const product, path = "zep-go/", "github.com/zep-go/zep"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == path && module.Replace == nil {
				return product + module.Version
			}
		}
	}
	return product + "devel" // this module itself, or a replacement
})

func parseBaseURL(raw string) (*url.URL, error) {
	// What can't be shown without a risk of showing a password is not shown, and neither is the
	// parser's quote of it.
	shown := fmt.Sprintf("%.100q", raw)
	if i := strings.IndexAny(raw, "@?#"); i >= 0 {
		shown = fmt.Sprintf("(not shown: it has %q)", raw[i])
	}
	refuse := func(why string) (*url.URL, error) {
		return nil, fmt.Errorf("base URL %s %s: it must be like %s", shown, why, defaultBaseURL)
	}
	u, err := url.Parse(raw)
	switch {
	case raw == "":
		return refuse("is empty")
	case err != nil:
		return refuse("is not a URL")
	case u.User != nil:
		return refuse("has user info (set the API key with WithAPIKey)")
	case u.Scheme != "http" && u.Scheme != "https":
		return refuse("has no http:// or https://")
	case u.Opaque != "" || u.Hostname() == "":
		return refuse("has no host")
	case strings.Contains(raw, "?"):
		return refuse("has a query")
	case strings.Contains(raw, "#"):
		return refuse("has a fragment")
	}
	if port := u.Port(); port != "" || strings.HasSuffix(u.Host, ":") {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return refuse("has no valid port")
		}
	}
	// What is escaped is no slash of the path's.
	escaped := strings.TrimRight(u.EscapedPath(), "/")
	if u.Path, err = url.PathUnescape(escaped); err != nil {
		return refuse("is not a URL")
	}
	if u.RawPath = ""; u.EscapedPath() != escaped {
		u.RawPath = escaped
	}
	if _, err := url.Parse(u.String()); err != nil { // a zone of IPv6 may hold what no URL can
		return refuse("is not a URL")
	}
	return u, nil
}

// parseToken returns a token without what often is around it. The error calls it by the given name,
// and does not show it.
func parseToken(name, raw string) (string, error) {
	const scheme = "Bearer"
	key := strings.TrimSpace(raw)
	if len(key) >= len(scheme) && strings.EqualFold(key[:len(scheme)], scheme) {
		rest := key[len(scheme):]
		if trimmed := strings.TrimSpace(rest); trimmed == "" || trimmed != rest {
			key = trimmed
		}
	}
	has := ""
	switch {
	case raw == "":
		return "", nil
	case key == "":
		return "", errors.New(name + " is empty but for white space or the word Bearer")
	case strings.ContainsFunc(key, unicode.IsSpace):
		has = "white space"
	case strings.ContainsFunc(key, unicode.IsControl):
		has = "a control character"
	case strings.ContainsAny(key, "\"'`\\"):
		has = "a quotation mark or a backslash"
	case strings.ContainsFunc(key, func(r rune) bool { return r > unicode.MaxASCII }):
		has = "a character that is not ASCII"
	default:
		return key, nil
	}
	return "", fmt.Errorf("%s has %s in it: set the bare token (it is not shown here)", name, has)
}

// WithHTTPClient makes every request go through the given client, which cannot be nil: its
// Transport (looked up anew for every request; nil is [http.DefaultTransport]), and its Jar and
// Timeout, which bounds each attempt, as they are now. The client is never written to, and its
// CheckRedirect is not used: no redirect is followed.
//
// Default: a transport of the Client's own, made for many concurrent calls to one host, with
// proxies from the environment, HTTP/2 and at least TLS 1.2; or http.DefaultTransport, while it
// is not the one that net/http came with, as after httpmock.Activate.
func WithHTTPClient(client *http.Client) Option {
	return func(c *config) error {
		if client == nil {
			return errors.New("WithHTTPClient: the client is nil: leave the option out for the default")
		}
		c.httpClient = client
		return nil
	}
}

// WithTimeout sets how long a call may take, all its attempts and waits together. Default: 60 s.
// A nearer deadline of the call's context goes first; [RequestTimeout] sets it for one call. Of a
// walk it bounds each page, not the whole. An update may wait as long for its turn, and has the
// whole time again from there. It has to be more than 0.
func WithTimeout(timeout time.Duration) Option {
	return func(c *config) error {
		c.timeout = timeout
		return checkTimeout("WithTimeout", timeout)
	}
}

// WithMaxAttempts sets how often a call is tried at the most, the first time included: 1 is never
// again. Default: 4. [RequestMaxAttempts] sets it for one call. It has to be at least 1. What is
// tried again is told in the package documentation.
func WithMaxAttempts(attempts int) Option {
	return func(c *config) error {
		c.maxAttempts = attempts
		return checkMaxAttempts("WithMaxAttempts", attempts)
	}
}

// WithBackoff sets the waits between attempts: a random time (full jitter) of up to min before
// the second, and up to twice as much before each later one, never over max. With a min of 0
// nothing is waited. 0 <= min <= max. Default: 100 ms and 5 s. A longer Retry-After of the
// server's is honoured up to 30 s, whatever max is.
func WithBackoff(min, max time.Duration) Option {
	return func(c *config) error {
		if min < 0 || max < min {
			return fmt.Errorf("WithBackoff(%v, %v): must be 0 <= min <= max", min, max)
		}
		c.minBackoff, c.maxBackoff = min, max
		return nil
	}
}

// WithUserAgent sets the User-Agent header, a text without control characters. Default: zep-go/ and
// the version of this module, such as zep-go/v1.2.3.
func WithUserAgent(userAgent string) Option {
	return func(c *config) error {
		if userAgent == "" || !validHeaderValue(userAgent) {
			return errors.New("WithUserAgent: the value is empty or has a control character in it")
		}
		c.userAgent = []string{userAgent}
		return nil
	}
}

// WithLogger makes the client tell what it does: one debug record an attempt (verb, route,
// status, duration, attempt), and a warning before each retry. Ids, bodies, headers and the API
// key are never logged. Default, and with nil: silence.
func WithLogger(logger *slog.Logger) Option {
	return func(c *config) error {
		c.logger = logger
		return nil
	}
}

// WithAttemptTimeout bounds each attempt of a call: one over a connection that a load balancer
// dropped silently takes the whole timeout of the call otherwise. An attempt that ran out of time
// is ambiguous, as one whose response was lost; that of a metadata update is allowed to finish, and
// is not repeated. It must be more than 0. Default: no bound but that of the call, [WithTimeout].
func WithAttemptTimeout(timeout time.Duration) Option {
	return func(c *config) error {
		c.attemptTimeout = timeout
		return checkTimeout("WithAttemptTimeout", timeout)
	}
}

// WithHeader adds a header to every request, such as the credentials that a proxy asks for. It can
// be given several times. A value of 8 characters or more is kept out of errors and captured
// responses as the API key is; a shorter one is in many texts. The names that [RequestHeader]
// refuses are refused, and Authorization, which [WithAPIKey] sets. An everyday value makes errors
// harder to read: they show "[redacted]" in its place.
func WithHeader(key, value string) Option {
	return func(c *config) error {
		name, err := checkHeader("WithHeader", key, value)
		switch {
		case err != nil:
			return err
		case name == "Authorization":
			return errors.New("WithHeader: Authorization is set by WithAPIKey or WithTokenSource")
		}
		c.header().Set(name, value)
		return nil
	}
}

// WithMiddleware wraps the transport that carries the requests: the Client's own, tuned one, or
// that of the http.Client of [WithHTTPClient]. It is called once, by NewClient. Of several, the
// first is the outermost. [CallFromContext] tells a middleware which call a request belongs to. A
// middleware sees every attempt.
func WithMiddleware(middleware func(http.RoundTripper) http.RoundTripper) Option {
	return func(c *config) error {
		if middleware == nil {
			return errors.New("WithMiddleware: the function is nil")
		}
		c.middleware = append(c.middleware, middleware)
		return nil
	}
}

// NewTransport returns a new transport like the one that a Client has by default, to change and to
// hand to [WithHTTPClient]: with client certificates, for example. It is made for many concurrent
// calls to one host, with proxies from the environment, HTTP/2 and TLS 1.2 or later. The
// connections of its DialContext tell the Client what of an HTTP/1 request was sent, so that fewer
// writes are [ErrAmbiguous], and a response is read that comes before the end of its request.
// Another DialContext, or another transport, does not: see docs/guarantees.md.
func NewTransport() *http.Transport { return newTransport() }

// WithConcurrentUpdates lets updates of one record go out side by side. By default a Client sends
// them one after the other, because the server loses updates otherwise: of 320 concurrent
// metadata updates of one user, each answered with 200, Zep 0.27.2 kept 94. The request of an
// update that is given up is cut then, and can leave its record locked. Use it only where each
// record has one writer anyway.
func WithConcurrentUpdates() Option {
	return func(c *config) error {
		c.concurrentUpdates = true
		return nil
	}
}

// WithParallelUpdates keeps only the order of the updates of each record: updates of different
// records do not wait for one another. By default updates that carry metadata of users and
// sessions go one at a time, whichever records they are of, because those that overlap leave
// their records locked on the server: 254 of 300 updates by 16 workers did on Zep 0.27.2. Use it
// for servers whose locks are mended: docs/server-locks.md says how.
func WithParallelUpdates() Option {
	return func(c *config) error {
		c.parallelUpdates = true
		return nil
	}
}

// WithLocker makes the order of updates hold over all processes whose Clients share the Locker,
// which cannot be nil. An update locks its record, or its collection for documents, and one that
// carries metadata of a user or a session a key for all of these, in this order. If Lock fails,
// nothing is sent. If a lock is lost, no further attempt is sent, and the error matches
// [ErrAmbiguous] unless the server refused the update. It excludes [WithConcurrentUpdates]. The
// module locker/postgres has a Locker over PostgreSQL.
func WithLocker(locker Locker) Option {
	return func(c *config) error {
		if locker == nil {
			return errors.New("WithLocker: the Locker is nil")
		}
		c.locker = locker
		return nil
	}
}

// WithMaxRequestBytes sets the size of the largest request body that is sent. It must be more
// than 0. Documents and messages that take more go in several requests; any other larger request,
// and a single larger document or message, is [ErrTooLarge], before anything is sent.
//
// By default there is no limit: the server takes 5 MiB unless it is configured otherwise, and
// what it refuses is split then. Use it for a limit that is known, which saves the refused
// requests, and for a proxy that closes the connection in place of answering 413.
func WithMaxRequestBytes(max int64) Option {
	return func(c *config) error {
		if max <= 0 {
			return fmt.Errorf("WithMaxRequestBytes(%d): must be more than 0", max)
		}
		c.maxRequestBytes = max
		return nil
	}
}

// RequestOption changes one call. Given to a walk (ListChunked, All, AllParallel), it goes for each
// of its pages; [After] is for the walk. One that cannot be used is [ErrBadRequest], before
// anything is sent.
type RequestOption func(*callOptions) error

// callOptions are what request options set.
type callOptions struct {
	timeout     time.Duration
	maxAttempts int
	header      http.Header
	capture     **http.Response
	after       *int64    // where a walk begins
	page        *walkPage // the page of a walk that the call fetches
}

// newCallOptions applies the options of a call. It clears a response to capture, so that no earlier
// call's is taken for this one's.
func (c *config) newCallOptions(opts []RequestOption) (callOptions, error) {
	o := callOptions{timeout: c.timeout, maxAttempts: c.maxAttempts}
	err := o.apply(opts)
	if o.capture != nil {
		*o.capture = nil
	}
	return o, err
}

func (o *callOptions) apply(opts []RequestOption) error {
	for i, opt := range opts {
		if opt == nil {
			return fmt.Errorf("%w: request option %d is nil", ErrBadRequest, i+1)
		}
		if err := opt(o); err != nil {
			return fmt.Errorf("%w: %w", ErrBadRequest, err)
		}
	}
	if o.after != nil && o.page == nil {
		return errAfter
	}
	return nil
}

// RequestTimeout is [WithTimeout] for one call.
func RequestTimeout(timeout time.Duration) RequestOption {
	return func(o *callOptions) error {
		o.timeout = timeout
		return checkTimeout("RequestTimeout", timeout)
	}
}

// RequestMaxAttempts is [WithMaxAttempts] for one call.
func RequestMaxAttempts(attempts int) RequestOption {
	return func(o *callOptions) error {
		o.maxAttempts = attempts
		return checkMaxAttempts("RequestMaxAttempts", attempts)
	}
}

// RequestHeader sets a header of one call, in place of the client's own of that name. The value
// of Authorization is kept out of errors and logs as the API key is. Refused are names that HTTP
// does not allow, values with a control character, and the headers that would change how the
// request is sent or repeated behind the client's back: Host, Connection, Content-Length,
// Transfer-Encoding, Trailer, Accept-Encoding, Idempotency-Key, X-Idempotency-Key.
func RequestHeader(key, value string) RequestOption {
	return func(o *callOptions) error {
		name, err := checkHeader("RequestHeader", key, value)
		if err != nil {
			return err
		}
		if o.header == nil {
			o.header = http.Header{}
		}
		o.header.Set(name, value)
		return nil
	}
}

// checkHeader returns the canonical name of a header that a caller may set.
func checkHeader(option, key, value string) (string, error) {
	if !validHeaderName(key) {
		return "", fmt.Errorf("%s: %.100q is not a header name", option, key)
	}
	name := http.CanonicalHeaderKey(key)
	if slices.Contains(reservedHeaders, name) {
		return "", fmt.Errorf("%s: %s is set by the transport", option, name)
	}
	if !validHeaderValue(value) {
		return "", fmt.Errorf("%s: the value of %.100s has a control character in it", option, name)
	}
	return name, nil
}

// reservedHeaders would be ignored by net/http, switch off its decompression, or, an idempotency
// key, make it send a write twice without this client's knowledge.
var reservedHeaders = []string{
	"Host", "Connection", "Content-Length", "Transfer-Encoding", "Trailer", "Accept-Encoding",
	"Idempotency-Key", "X-Idempotency-Key",
}

// CaptureResponse stores the last response of the call in *response, also when the call fails,
// and nil if there was none. In the loop over a walk, *response is that of the page which the loop
// is at. Its body has been read, and can be read once more from Body: whole
// of a success, the first 64 KiB of an error. Its Request is without the Authorization header,
// and "[redacted]" stands wherever the response has the API key or a part of it. Calls that run
// at the same time need a pointer each.
func CaptureResponse(response **http.Response) RequestOption {
	return func(o *callOptions) error {
		if response == nil {
			return errors.New("CaptureResponse: the pointer is nil")
		}
		o.capture = response
		return nil
	}
}

func checkTimeout(name string, timeout time.Duration) error {
	if timeout <= 0 {
		return fmt.Errorf("%s(%v): must be more than 0", name, timeout)
	}
	return nil
}

func checkMaxAttempts(name string, attempts int) error {
	if attempts < 1 {
		return fmt.Errorf("%s(%d): must be at least 1", name, attempts)
	}
	return nil
}

func validHeaderValue(value string) bool {
	return !strings.ContainsFunc(value, unicode.IsControl)
}

// validHeaderName reports whether the name is a token of RFC 9110.
func validHeaderName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

// standardTransport is http.DefaultTransport as net/http made it, so that a replaced one can be
// told.
var standardTransport, _ = http.DefaultTransport.(*http.Transport)

// newTransport is the transport for a Client whose caller gave none.
func newTransport() *http.Transport {
	t := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}
	if standardTransport != nil {
		t = standardTransport.Clone()
	}
	if t.TLSClientConfig == nil {
		t.TLSClientConfig = &tls.Config{}
	}
	t.TLSClientConfig.MinVersion = max(t.TLSClientConfig.MinVersion, tls.VersionTLS12)
	// One host is all there is to talk to, and hundreds of goroutines may do so at once. A
	// connection that is closed because it is the third idle one costs the next call a handshake.
	t.MaxIdleConns = 0
	t.MaxIdleConnsPerHost = 256
	t.MaxResponseHeaderBytes = 1 << 20
	if t.DialContext != nil { // js/wasm has no dialer
		t.DialContext = counted(t.DialContext)
	}
	checkHTTP2(t)
	return t
}
