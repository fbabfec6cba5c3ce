package zep

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/go-querystring/query"

	"github.com/zep-go/zep/internal/exactjson"
)

const (
	// healthRoute is the only route outside apiPath.
	healthRoute = "/healthz"

	// apiPath stands between the base URL and every other route.
	apiPath = "/api/v1"
)

// call is what a service method says of its endpoint. Everything else is the same for all calls,
// and is written once, in do.
type call[T any] struct {
	endpoint string   // "GET /user/{userId}": the verb, and the route that ids fill
	ids      []string // the parameters of the route, in their order
	query    any      // for go-querystring; nil if there is none
	body     any      // for encoding/json; nil if there is none
	record   string   // the id of the record that is asked for; "" for the last of ids

	resend    resendPolicy   // when it may be sent again
	transient *regexp.Regexp // a refusal with this text did nothing, and may not come again
	update    update         // what it updates, and so which updates it waits for

	// decode reads the body of a success. nil reads JSON.
	decode func(http.Header, []byte) (T, error)

	// each takes the records of a list while they come: see stream. It takes the place of decode.
	each func(record []byte) (isNew, more bool, err error)

	// readBack reads the record after a success that says no more than "OK".
	readBack func(context.Context) (T, error)

	// reconcile reads the error of a write after an attempt whose outcome is ambiguous: the error
	// itself or a look at the record may show that the write was done. body is what was sent.
	reconcile func(ctx context.Context, body []byte, failure *Error) (T, error)
}

// resendPolicy says when a call may be sent again after an attempt whose outcome is ambiguous.
type resendPolicy int

const (
	reconcilable resendPolicy = iota // a write: the next answer tells what became of it
	readOnly                         // changes nothing: always
	noRetry                          // a write that nothing can tell about: never
)

// none is the result of a call that has none but success.
type none struct{}

// do makes a call: it validates, queues, sends until the outcome is known, and decodes.
func do[T any](ctx context.Context, c *Client, call call[T], opts []RequestOption) (T, error) {
	var result, zero T
	began := time.Now()
	options, err := c.newCallOptions(opts)
	if err != nil {
		return zero, err
	}
	target, body, err := call.request(c)
	if err != nil {
		return zero, err
	}
	x := &exchange{
		client:      c,
		callOptions: options,
		url:         *target,
		resend:      call.resend,
		transient:   call.transient,
		update:      call.update,
		decode: func(header http.Header, body []byte) (err error) {
			result, err = call.decodeSuccess(header, body)
			return err
		},
	}
	if call.each != nil {
		x.stream = &stream{each: call.each}
	}
	x.method, x.route, _ = strings.Cut(call.endpoint, " ")
	if x.method == http.MethodGet {
		x.resend = readOnly
	}
	if c.updates != nil && call.update.records != nil {
		turn, waited, err := c.takeTurn(ctx, call.update, options.timeout)
		if err != nil {
			return zero, x.newError(nil, waited, err)
		}
		defer turn.release()
		x.turn, began = turn, time.Now()
	}
	failure := x.run(ctx, began.Add(options.timeout), body)
	if failure == nil && call.readBack == nil {
		return result, nil
	}
	return call.follow(ctx, x, body, failure)
}

// request returns the URL and the body of a call.
func (c *call[T]) request(client *Client) (*url.URL, []byte, error) {
	_, route, _ := strings.Cut(c.endpoint, " ")
	target, err := client.resolve(route, c.ids, c.query)
	if err != nil {
		return nil, nil, err
	}
	body, err := exactjson.Encode(c.body)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %s: %w", ErrBadRequest, c.endpoint, lineError{err})
	}
	if max := client.maxRequestBytes; max > 0 && int64(len(body)) > max {
		return nil, nil, fmt.Errorf("%w: %s: the request takes %d bytes, over the %d of "+
			"WithMaxRequestBytes", ErrTooLarge, c.endpoint, len(body), max)
	}
	return target, body, nil
}

// follow makes the calls that a call needs after it: to read back what it did, or to find out
// whether it was done. They share its deadline.
func (c *call[T]) follow(
	ctx context.Context, x *exchange, body []byte, failure *Error,
) (T, error) {
	var zero T
	ctx, cancel := context.WithDeadline(ctx, x.deadline)
	defer cancel()
	if failure != nil {
		if failure.maybeExecuted && c.reconcile != nil {
			return c.reconcile(ctx, body, failure)
		}
		return zero, failure
	}
	result, err := c.readBack(ctx)
	if err != nil {
		return zero, fmt.Errorf("zep: %s %.1000s: done, but reading it back failed: %w",
			x.method, x.url.EscapedPath(), err)
	}
	return result, nil
}

// decodeSuccess reads the body of a success.
func (c *call[T]) decodeSuccess(header http.Header, body []byte) (result T, err error) {
	switch {
	case c.readBack != nil:
		_, err = decodeOK(header, body)
	case c.decode != nil:
		result, err = c.decode(header, body)
	default:
		result, err = decodeJSON[T](header, body)
	}
	if asked := c.asked(); err == nil && asked != "" && c.readBack == nil {
		err = checkAsked(result, asked)
	}
	return result, err
}

// asked returns the id of the record that is asked for, "" if there is none.
func (c *call[T]) asked() string {
	if c.record == "" && len(c.ids) > 0 {
		return c.ids[len(c.ids)-1]
	}
	return c.record
}

// precheck returns the error of the options of a call, or else err. Methods call it where they
// return before do: options are checked first, and a captured response is cleared, for all alike.
func (c *Client) precheck(opts []RequestOption, err error) error {
	if _, optionErr := c.newCallOptions(opts); optionErr != nil {
		return optionErr
	}
	return err
}

// resolve returns the URL of a call. [url.URL] escapes a path by default just as Zep's router
// expects: the router looks up any other escaping literally.
func (c *Client) resolve(route string, ids []string, options any) (*url.URL, error) {
	path, err := fillRoute(route, ids)
	if err != nil {
		return nil, err
	}
	if route != healthRoute {
		path = apiPath + path
	}
	escaped := ""
	if c.baseURL.RawPath != "" {
		escaped = c.baseURL.RawPath + (&url.URL{Path: path}).EscapedPath()
	}
	target := &url.URL{
		Scheme:  c.baseURL.Scheme,
		Host:    c.baseURL.Host,
		Path:    c.baseURL.Path + path,
		RawPath: escaped,
	}
	if values, ok := options.(url.Values); ok {
		target.RawQuery = values.Encode()
	} else if options != nil {
		values, err := query.Values(options)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrBadRequest, route, lineError{err})
		}
		target.RawQuery = values.Encode()
	}
	return target, nil
}

// fillRoute puts ids in the place of a route's parameters.
func fillRoute(route string, ids []string) (string, error) {
	if n := strings.Count(route, "{"); n != len(ids) {
		return "", fmt.Errorf("%w: the route %s takes %d ids, not %d",
			ErrBadRequest, route, n, len(ids))
	}
	path, rest := "", route
	for _, id := range ids {
		before, after, _ := strings.Cut(rest, "{")
		parameter, after, _ := strings.Cut(after, "}")
		if err := checkID(parameterName(parameter), id); err != nil {
			return "", err
		}
		path += before + id
		rest = after
	}
	return path + rest, nil
}

// parameterName returns the name that a route's parameter has in Go.
func parameterName(parameter string) string {
	switch parameter {
	case "userId":
		return "userID"
	case "sessionId":
		return "sessionID"
	case "messageId":
		return "messageUUID"
	case "collectionName":
		return "collection"
	}
	return parameter
}

// checkID refuses an id that the server would read as another path or as another id.
func checkID(name, id string) error {
	why := ""
	switch {
	case id == "":
		why = "is empty"
	case id == "." || id == "..":
		why = "is a relative path segment"
	case strings.Contains(id, "/"):
		why = `contains a "/", which the server cannot look up`
	default:
		return checkIDText(name, id)
	}
	return fmt.Errorf("%w: %s %.100q %s", ErrInvalidID, name, id, why)
}

// checkIDText refuses an id that the server would store as another one.
func checkIDText(name, id string) error {
	switch {
	case strings.Contains(id, "\x00"):
		return fmt.Errorf("%w: %s %.100q contains a NUL byte, which the server drops",
			ErrInvalidID, name, id)
	case !utf8.ValidString(id):
		return fmt.Errorf("%w: %s %.100q is not valid UTF-8", ErrInvalidID, name, id)
	}
	return nil
}

// errNotZep marks a success that did not come from Zep.
var errNotZep = errors.New("not a Zep response")

// decodeJSON reads one record.
func decodeJSON[T any](_ http.Header, body []byte) (result T, err error) {
	if bytes.Equal(bytes.TrimSpace(body), []byte("null")) {
		return result, errors.New("null")
	}
	err = json.Unmarshal(body, &result)
	return result, err
}

// decodeList reads an array of records. null is an empty one.
func decodeList[T any](_ http.Header, body []byte) ([]*T, error) {
	var result []*T
	if err := json.Unmarshal(body, &result); err != nil {
		return nil, err
	}
	return withoutNull(result)
}

// withoutNull returns an empty list for null, and an error if null stands for a record.
func withoutNull[T any](list []*T) ([]*T, error) {
	if slices.Contains(list, nil) {
		return nil, errors.New("null in a list")
	}
	if list == nil {
		list = []*T{}
	}
	return list, nil
}

// decodeOK accepts the text "OK" and nothing else: another text, such as a proxy's, does not prove
// that anything was done.
func decodeOK(_ http.Header, body []byte) (none, error) {
	text := bytes.TrimSpace(body)
	if string(text) != "OK" {
		return none{}, fmt.Errorf("%q: %w", text[:min(len(text), maxErrorBody)], errNotZep)
	}
	return none{}, nil
}

// contextErr returns why a context has ended, nil if it has not.
func contextErr(ctx context.Context) error {
	return errors.Join(ctx.Err(), context.Cause(ctx))
}
