package zeptest

import (
	"net/http"
	"path"
	"slices"
	"strings"
)

const (
	basePath   = "/api/v1"
	healthPath = "/healthz"
)

// A route is one method of one path. Its template is relative to the base path, with names in braces
// for the values that the handler reads with [http.Request.PathValue].
type route struct {
	method   string
	template string
	handle   func(*http.Request) (answer, error)
}

// matched is what the router makes of a request's path: the routes of that path, one a method. They
// share a template, since no path of Zep's matches two.
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

// match finds the routes of a request's path. Zep cleans the path first, and takes it as it was
// escaped if the client escaped it in another way than Go does by default: then the values are still
// escaped when they are looked up, and name nothing.
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

// isHealthCheck looks at the path as it is, not cleaned, and in any case: so does Zep.
func isHealthCheck(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && strings.EqualFold(r.URL.Path, healthPath)
}

// methods are those that Zep's router knows. Others get 405 wherever they go, before authentication.
var methods = []string{
	http.MethodConnect, http.MethodDelete, http.MethodGet, http.MethodHead, http.MethodOptions,
	http.MethodPatch, http.MethodPost, http.MethodPut, http.MethodTrace,
}

// route answers a request with the route of its method.
func (s *Server) route(w http.ResponseWriter, r *http.Request, m matched) {
	w.Header().Set("X-Zep-Version", s.version)
	switch {
	case m.template() == healthPath:
		w.Header().Set("Content-Type", "text/plain")
		_, _ = w.Write([]byte("."))
		return
	case !slices.Contains(methods, r.Method):
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	case m.inAPI && !s.authorized(w, r):
		return
	case len(m.routes) == 0:
		s.writeUnknownPath(w)
		return
	}

	i := slices.IndexFunc(m.routes, func(route route) bool { return route.method == r.Method })
	if i < 0 {
		for _, route := range m.routes {
			w.Header().Add("Allow", route.method)
		}
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	setPathValues(r, m)
	a, err := m.routes[i].handle(r)
	if err != nil {
		writeError(w, err)
		return
	}
	a.writeTo(w)
}

// setPathValues gives the handler the values of the path. PostgreSQL's text has no NUL byte, and
// Zep's database driver drops it without a word.
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

// authorized checks the bearer token, and answers the request itself if it isn't the right one.
func (s *Server) authorized(w http.ResponseWriter, r *http.Request) bool {
	if s.apiKey == "" {
		return true
	}
	const scheme = "Bearer "
	token := r.Header.Get("Authorization")
	switch {
	case len(token) <= len(scheme) || !strings.EqualFold(token[:len(scheme)], scheme):
		http.Error(w, "no token found", http.StatusUnauthorized)
	case token[len(scheme):] != s.apiKey:
		http.Error(w, "token is unauthorized", http.StatusUnauthorized)
	default:
		return true
	}
	return false
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

// writeUnknownPath answers a request for a path that the server doesn't have. Not to be confused with
// a resource that isn't there: that is a plain "not found".
func (s *Server) writeUnknownPath(w http.ResponseWriter) {
	if !s.webUI {
		http.Error(w, "404 page not found", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(http.StatusNotFound)
	_, _ = w.Write([]byte(notFoundPage))
}
