package zeptest

import (
	"errors"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
)

const (
	basePath   = "/api/v1"
	healthPath = "/healthz"
)

// route is one method of one path. Its template is relative to the base path, with names in braces
// for the values that the handler reads with [http.Request.PathValue].
type route struct {
	method   string
	template string
	handle   func(*http.Request) (answer, error)
}

// matched is what the router finds for a request's path: the routes of that path, one a method.
// They share a template, since no path of Zep matches two.
type matched struct {
	inAPI  bool // below the base path, where authentication comes before everything else
	routes []route
	values []string // of the template's names, in order
}

// template is the path's template, "/healthz", or empty for a path that no route has.
func (m matched) template() string {
	if len(m.routes) == 0 {
		return ""
	}
	return m.routes[0].template
}

// match finds the routes of a request's path. Zep cleans the path first. If the client escaped it
// in another way than Go does by default, Zep takes it as it was escaped: the values are then
// looked up in their escaped form, and not found.
func (s *Server) match(r *http.Request) matched {
	if isHealthCheck(r) {
		return matched{routes: []route{{template: healthPath}}}
	}
	p := r.URL.RawPath
	if p == "" {
		p = r.URL.Path
	}
	p = path.Clean(p)
	rest, ok := strings.CutPrefix(p, basePath)
	if !ok || rest != "" && rest[0] != '/' {
		return matched{}
	}

	m := matched{inAPI: true}
	segments := strings.Split(rest, "/")
	for _, route := range s.routes {
		if values, ok := matchTemplate(route.template, segments); ok {
			m.routes = append(m.routes, route)
			m.values = values
		}
	}
	return m
}

// matchTemplate matches a path's segments with a template's, and returns the values of its names.
func matchTemplate(template string, segments []string) (values []string, ok bool) {
	names := strings.Split(template, "/")
	if len(names) != len(segments) {
		return nil, false
	}
	for i, name := range names {
		switch {
		case isName(name):
			values = append(values, segments[i])
		case name != segments[i]:
			return nil, false
		}
	}
	return values, true
}

func isName(segment string) bool { return strings.HasPrefix(segment, "{") }

// isHealthCheck looks at the path as it is, not cleaned, in upper or lower case, as Zep does.
func isHealthCheck(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) &&
		strings.EqualFold(r.URL.Path, healthPath)
}

// methods are those that Zep's router knows. Any other gets 405 on every path, before
// authentication.
var methods = []string{
	http.MethodConnect, http.MethodDelete, http.MethodGet, http.MethodHead, http.MethodOptions,
	http.MethodPatch, http.MethodPost, http.MethodPut, http.MethodTrace,
}

// answer handles a request with the route of its method.
func (s *Server) answer(r *http.Request, m matched) answer {
	a := s.handle(r, m)
	header := http.Header{"X-Zep-Version": {s.version.header}}
	maps.Copy(header, a.header)
	a.header = header
	return a
}

func (s *Server) handle(r *http.Request, m matched) answer {
	switch {
	case m.template() == healthPath:
		return answer{
			status: http.StatusOK,
			header: http.Header{"Content-Type": {"text/plain"}},
			body:   [][]byte{[]byte(".")},
		}
	case !slices.Contains(methods, r.Method):
		return answer{status: http.StatusMethodNotAllowed}
	case m.inAPI && s.apiKey != "":
		if err := s.authorize(r); err != nil {
			return errorAnswer(err)
		}
	}
	if len(m.routes) == 0 {
		return s.unknownPath()
	}

	i := slices.IndexFunc(m.routes, func(route route) bool { return route.method == r.Method })
	if i < 0 {
		var allow []string
		for _, route := range m.routes {
			allow = append(allow, route.method)
		}
		return answer{status: http.StatusMethodNotAllowed, header: http.Header{"Allow": allow}}
	}
	setPathValues(r, m)
	a, err := m.routes[i].handle(r)
	switch {
	case errors.Is(err, errNoAnswer):
		panic(http.ErrAbortHandler)
	case err != nil:
		failed := errorAnswer(err)
		failed.release = a.release
		return failed
	}
	return a
}

// setPathValues gives the handler the values of the path. A text in PostgreSQL cannot have a NUL
// byte, and Zep's database driver drops it silently.
func setPathValues(r *http.Request, m matched) {
	values := m.values
	for _, segment := range strings.Split(m.template(), "/") {
		if isName(segment) {
			r.SetPathValue(strings.Trim(segment, "{}"), dropNUL(values[0]))
			values = values[1:]
		}
	}
}

func dropNUL(s string) string { return strings.ReplaceAll(s, "\x00", "") }

// authorize checks the bearer token.
func (s *Server) authorize(r *http.Request) error {
	const scheme = "Bearer "
	token := r.Header.Get("Authorization")
	switch {
	case len(token) <= len(scheme) || !strings.EqualFold(token[:len(scheme)], scheme):
		return &statusError{http.StatusUnauthorized, "no token found"}
	case token[len(scheme):] != s.apiKey:
		return &statusError{http.StatusUnauthorized, "token is unauthorized"}
	}
	return nil
}

// notFoundPage begins as the page of Zep's web interface does.
const notFoundPage = `<html class="h-full">

<head>
  <meta charset="UTF-8" />
  <meta name="viewport" content="width=device-width, initial-scale=1.0" />
  <meta http-equiv="Content-Type" content="text/html; charset=utf-8" />
  <title>404</title>
</head>

<body>
  <h1>Page not found</h1>
</body>

</html>
`

// unknownPath is the answer for a path that the server does not have. A record that is not there
// has another: a plain "not found".
func (s *Server) unknownPath() answer {
	if !s.webUI {
		return textAnswer(http.StatusNotFound, "404 page not found")
	}
	return answer{
		status: http.StatusNotFound,
		header: http.Header{"Content-Type": {"text/html; charset=utf-8"}},
		body:   [][]byte{[]byte(notFoundPage)},
	}
}
