package zep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/zep-go/zep/internal/fifo"
)

// Client talks to one Zep server. It is safe for concurrent use. One Client is enough for a
// process: it holds the connections and the order of the updates.
type Client struct {
	User       *UserService
	Session    *SessionService
	Memory     *MemoryService
	Message    *MessageService
	Collection *CollectionService
	Document   *DocumentService

	config
	clock
	http      *http.Client        // sends the attempts of every call
	carrier   http.RoundTripper   // the middleware over the transport in use
	transport http.RoundTripper   // used unless the caller gave an http.Client
	updates   *fifo.Queue[record] // nil with WithConcurrentUpdates
	maxBody   int64

	background   *background   // requests of updates that were given up
	passOnAfter  time.Duration // see the constants of these names
	maxErrorTime time.Duration
	finishWithin time.Duration
}

// NewClient returns a Client that is set up by the environment (ZEP_API_URL, ZEP_API_KEY) and by
// options. It sends nothing: [Client.Health] tells whether the server is there. The error names
// every option that cannot be used, and what to change.
func NewClient(opts ...Option) (*Client, error) {
	cfg, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	c := &Client{
		config:       cfg,
		clock:        systemClock,
		transport:    newTransport(),
		maxBody:      maxBody,
		passOnAfter:  passOnAfter,
		maxErrorTime: maxErrorTime,
		background:   new(background),
		finishWithin: finishWithin,
	}
	if !cfg.concurrentUpdates {
		c.updates = new(fifo.Queue[record])
	}
	c.http = &http.Client{Transport: roundTripper{c}}
	c.carrier = transportInUse{c}
	for _, middleware := range slices.Backward(cfg.middleware) {
		if c.carrier = middleware(c.carrier); c.carrier == nil {
			return nil, errors.New("zep: NewClient: WithMiddleware: the function returned nil")
		}
	}
	if cfg.httpClient != nil {
		c.http.Jar, c.http.Timeout = cfg.httpClient.Jar, cfg.httpClient.Timeout
	}
	c.User = &UserService{client: c}
	c.Session = &SessionService{client: c}
	c.Memory = &MemoryService{client: c}
	c.Message = &MessageService{client: c}
	c.Collection = &CollectionService{client: c}
	c.Document = &DocumentService{client: c}
	return c, nil
}

// Health is the state of a server.
type Health struct {
	// Version is the header X-Zep-Version as the server sends it: "0.27.2-abc1234
	// (2024-05-01T12:00:00Z)" of a release, "dev-n/a (n/a)" of a server built by hand. It is not a
	// semantic version.
	Version string
}

// Health reports whether the server is up, and its version. Zep asks for no API key here, so Health
// does not tell whether the key is right.
//
// GET /healthz
func (c *Client) Health(ctx context.Context, opts ...RequestOption) (*Health, error) {
	return do(ctx, c, call[*Health]{endpoint: "GET " + healthRoute, decode: decodeHealth}, opts)
}

// String names the server. It shows nothing secret.
func (c *Client) String() string { return "zep.Client(" + c.baseURL.String() + ")" }

func decodeHealth(header http.Header, _ []byte) (*Health, error) {
	return &Health{Version: header.Get("X-Zep-Version")}, nil
}

// WaitReady asks for the health of the server until it answers with success, and returns that;
// between two requests it waits as between two attempts of a call. If the context ends first, the
// error has the last request's, and matches that of the context. A context without an end can make
// it wait forever.
//
// GET /healthz
func (c *Client) WaitReady(ctx context.Context, opts ...RequestOption) (*Health, error) {
	if err := c.precheck(opts, nil); err != nil {
		return nil, err
	}
	opts = slices.Concat(opts, []RequestOption{RequestMaxAttempts(1)})
	for n := 1; ; n++ {
		health, err := c.Health(ctx, opts...)
		if err == nil {
			return health, nil
		}
		if ended := c.sleep(ctx, c.backoff(n)); ended != nil {
			return nil, fmt.Errorf("zep: WaitReady: %w: %w", ended, err)
		}
	}
}

// CloseIdleConnections closes the connections that no call uses, of the transport that the Client
// uses.
func (c *Client) CloseIdleConnections() {
	(&http.Client{Transport: c.currentTransport()}).CloseIdleConnections()
}

// RawCall is a call of [Client.Do].
type RawCall struct {
	Method string     // GET, POST, PATCH, DELETE, …
	Route  string     // "/user/{userId}", below /api/v1, with a parameter for each id
	IDs    []string   // the parameters of the route, in their order
	Query  url.Values // nil if there is none
	Body   any        // for encoding/json; nil if there is none
}

// Do makes a call of any route that the other methods do not cover, with the escaping, the limits
// and the errors of all calls. It stores the JSON of the answer in the value that into points to;
// if that is nil, any success will do.
//
// A GET is tried as any call that reads. Any other call is sent once, unless [RequestMaxAttempts]
// says more: then it is also repeated after an attempt whose outcome is unknown, which has to be
// safe. An update is not queued. The error is [ErrBadRequest], before anything is sent, if the
// method or the route is not one, or if the number of ids is not that of the route, and
// [ErrInvalidID] as everywhere.
func (c *Client) Do(ctx context.Context, raw RawCall, into any, opts ...RequestOption) error {
	err := raw.validate()
	if err := c.precheck(opts, err); err != nil {
		return err
	}
	if raw.Method != http.MethodGet {
		opts = slices.Concat([]RequestOption{RequestMaxAttempts(1)}, opts)
	}
	_, err = do(ctx, c, call[none]{
		endpoint: raw.Method + " " + raw.Route,
		ids:      raw.IDs,
		query:    raw.Query,
		body:     raw.Body,
		decode: func(_ http.Header, body []byte) (none, error) {
			if into == nil {
				return none{}, nil
			}
			return none{}, json.Unmarshal(body, into)
		},
	}, opts)
	return err
}

func (r *RawCall) validate() error {
	switch {
	case !validHeaderName(r.Method):
		return fmt.Errorf("%w: Do: Method %.100q is not an HTTP method", ErrBadRequest, r.Method)
	case !strings.HasPrefix(r.Route, "/"), strings.ContainsAny(r.Route, "?#\x00"):
		return fmt.Errorf("%w: Do: Route %.100q must be a path, like /user/{userId}",
			ErrBadRequest, r.Route)
	}
	return nil
}

// roundTripper is the Transport of the Client's http.Client. It has no CloseIdleConnections: when
// go-retryablehttp gives up a call, no connection pool is emptied.
type roundTripper struct{ client *Client }

func (t roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.client.carrier.RoundTrip(req)
	switch {
	case err != nil:
		if resp != nil && resp.Body != nil { // http.Client would write to the default logger
			_ = resp.Body.Close()
		}
		return nil, err
	case resp == nil:
		return nil, errors.New("the http.RoundTripper gave neither a response nor an error")
	}
	if resp.Body == nil {
		resp.Body = http.NoBody
	}
	hideLocation(resp)
	return resp, nil
}

// transportInUse looks up the transport for each attempt, so that a Transport that is set later, or
// a mock in net/http, is used.
type transportInUse struct{ client *Client }

func (t transportInUse) RoundTrip(req *http.Request) (*http.Response, error) {
	return t.client.currentTransport().RoundTrip(req)
}

// currentTransport returns the transport that an attempt goes through.
func (c *Client) currentTransport() http.RoundTripper {
	switch {
	case c.httpClient != nil && c.httpClient.Transport != nil:
		return c.httpClient.Transport
	case c.httpClient != nil, http.DefaultTransport != http.RoundTripper(standardTransport):
		return http.DefaultTransport
	}
	return c.transport
}

// onlyHTTP1 reports whether an attempt can go over HTTP/1 only: net/http does not repeat a write of
// which something was sent, and traces are needed less.
func (c *Client) onlyHTTP1() bool {
	own, ok := c.currentTransport().(*http.Transport)
	return ok && own == c.transport && !speaksH2C(own) &&
		c.baseURL.Scheme == "http" && c.middleware == nil
}

// hiddenLocation is where the Location of a redirect is kept from http.Client, which would follow
// it, or fail if it cannot parse it. No server can send a header of this name.
const hiddenLocation = "\x00Location"

func hideLocation(resp *http.Response) {
	if resp.StatusCode/100 == 3 {
		moveHeader(resp, "Location", hiddenLocation)
	}
}

func showLocation(resp *http.Response) { moveHeader(resp, hiddenLocation, "Location") }

// moveHeader renames a header in a copy: the one that it was given may belong to a Transport.
func moveHeader(resp *http.Response, from, to string) {
	values, ok := resp.Header[from]
	if !ok {
		return
	}
	resp.Header = resp.Header.Clone()
	delete(resp.Header, from)
	resp.Header[to] = values
}
