package otelzep

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/zep-go/zep"
)

// redacted is the word of the convention for what is left out of a URL.
const redacted = "REDACTED"

// describe returns the name of the span of a request, the attributes that its measurement has,
// too, and those that only the span has.
func (o *observer) describe(req *http.Request) (name string, common, rest []attribute.KeyValue) {
	call, _ := zep.CallFromContext(req.Context())
	common = make([]attribute.KeyValue, 0, 7) // end adds three
	rest = make([]attribute.KeyValue, 0, 3)

	switch method := req.Method; {
	case method == "": // means GET, by net/http
		name = http.MethodGet
		common = append(common, semconv.HTTPRequestMethodGet)
	case o.methods[method]:
		name = method
		common = append(common, semconv.HTTPRequestMethodKey.String(method))
	default:
		name = "HTTP"
		common = append(common, semconv.HTTPRequestMethodOther)
		rest = append(rest, semconv.HTTPRequestMethodOriginal(method))
	}
	if call.Route != "" {
		name += " " + call.Route
		common = append(common, semconv.URLTemplate(call.Route))
	}
	address, port := server(req)
	common = append(common, semconv.ServerAddress(address))
	if port > 0 {
		common = append(common, semconv.ServerPort(port))
	}
	rest = append(rest, semconv.URLFull(redactedURL(req.URL, call.Route)))
	if call.Attempt > 1 {
		rest = append(rest, semconv.HTTPRequestResendCount(call.Attempt-1))
	}
	return name, common, rest
}

// server returns the host and the port that a request is for. The port is 0 if it is not known.
func server(req *http.Request) (address string, port int) {
	host := url.URL{Host: req.URL.Host}
	if req.Host != "" {
		host.Host = req.Host
	}
	port, err := strconv.Atoi(host.Port())
	switch {
	case err == nil:
	case req.URL.Scheme == "http":
		port = 80
	case req.URL.Scheme == "https":
		port = 443
	}
	return host.Hostname(), port
}

// redactedURL returns a URL without ids: without the parameters of the route and the values of the
// query. Without a route, it is without the path.
func redactedURL(u *url.URL, route string) string {
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: redactedPath(u.Path, route)}
	if u.User != nil {
		shown.User = url.UserPassword(redacted, redacted)
	}
	if u.RawQuery != "" {
		pairs := strings.Split(u.RawQuery, "&")
		for i, pair := range pairs {
			pairs[i] = redacted
			if key, _, ok := strings.Cut(pair, "="); ok {
				pairs[i] = key + "=" + redacted
			}
		}
		shown.RawQuery = strings.Join(pairs, "&")
	}
	return shown.String()
}

// redactedPath returns a path without the parameters of the route that it ends with. No id
// contains a slash. If the path does not end with the route, because another middleware changed
// it, nothing of it is known to be no id.
func redactedPath(path, route string) string {
	const all = "/" + redacted
	if !strings.HasPrefix(route, "/") {
		return all
	}
	begin := len(path)
	for range strings.Count(route, "/") {
		if begin = strings.LastIndexByte(path[:begin], '/'); begin < 0 {
			return all
		}
	}
	shown, rest := path[:begin], path[begin+1:]
	for want := range strings.SplitSeq(route[1:], "/") {
		segment, after, _ := strings.Cut(rest, "/")
		switch {
		case strings.Contains(want, "{"):
			segment = redacted
		case segment != want:
			return all
		}
		shown, rest = shown+"/"+segment, after
	}
	return shown
}

// protocolVersion returns "1.1" for "HTTP/1.1", and "2" for "HTTP/2.0".
func protocolVersion(proto string) string {
	version := strings.TrimPrefix(proto, "HTTP/")
	if major, ok := strings.CutSuffix(version, ".0"); ok && major != "1" {
		return major
	}
	return version
}

// errorType names the type of an error. Of a connection that was closed, the type says nothing.
func errorType(err error) attribute.KeyValue {
	switch {
	case err == errNoResponse:
		return semconv.ErrorTypeOther
	case errors.Is(err, io.ErrUnexpectedEOF):
		return semconv.ErrorTypeKey.String("io.ErrUnexpectedEOF")
	case errors.Is(err, io.EOF):
		return semconv.ErrorTypeKey.String("io.EOF")
	}
	return semconv.ErrorType(err)
}
