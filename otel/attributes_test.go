package otelzep

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestRedactedPath(t *testing.T) {
	t.Parallel()
	const all = "/REDACTED"
	for _, test := range []struct{ path, route, want string }{
		{"/api/v1/user/jane", "/user/{userId}", "/api/v1/user/REDACTED"},
		{"/api/v1/user/user", "/user/{userId}", "/api/v1/user/REDACTED"},
		{"/user/jane/api/v1/user/jane", "/user/{userId}", "/user/jane/api/v1/user/REDACTED"},
		{"/api/v1/user", "/user", "/api/v1/user"},
		{"/healthz", "/healthz", "/healthz"},
		{"/a/b/healthz", "/healthz", "/a/b/healthz"},
		{"/api/v1/a/jane/b/jim", "/a/{x}/b/{y}", "/api/v1/a/REDACTED/b/REDACTED"},
		{"/api/v1/jane.json", "/{id}.json", "/api/v1/REDACTED"},
		{"/api/v1/a/", "/a/", "/api/v1/a/"},
		{"/api/v1/", "/", "/api/v1/"},
		{"/api/v1//a//jane", "//a//{x}", "/api/v1//a//REDACTED"},

		{"/api/v1/user/jane", "", all},
		{"", "", all},
		{"/user/jane", "/sessions/{sessionId}", all},
		{"/jane", "/user/{userId}", all},
		{"/jane/user", "/user/{userId}", all},
		{"jane", "/{a}/{b}/{c}", all},
		{"/user/jane/more", "/user/{userId}", all},
	} {
		assert.Equal(t, test.want, redactedPath(test.path, test.route), test)
	}
}

func TestProtocolVersion(t *testing.T) {
	t.Parallel()
	for proto, want := range map[string]string{
		"HTTP/1.0": "1.0", "HTTP/1.1": "1.1", "HTTP/2.0": "2", "HTTP/3.0": "3", "": "",
	} {
		assert.Equal(t, want, protocolVersion(proto))
	}
}

// FuzzRedactedURL fills a route with an id that is in no other part of the URL, and searches the
// redacted URL for it.
func FuzzRedactedURL(f *testing.F) {
	f.Add("http://zep.test:8000/base", "/user/{userId}", "q=1")
	f.Add("https://[::1]/a%2Fb/%7B", "/{a}/x/{b}", "a&b=;&%zz=1")
	f.Add("", "{}", "")
	f.Fuzz(func(t *testing.T, base, route, query string) {
		const id = "6e6e6e6e-1111-4222-8333-944444444444"
		path, rest := "", route
		for {
			before, after, found := strings.Cut(rest, "{")
			if path += before; !found {
				break
			}
			_, rest, _ = strings.Cut(after, "}")
			path += id
		}
		u, err := url.Parse(base)
		if err != nil || strings.Contains(base+route, id) {
			t.Skip()
		}
		u.Path += "/api/v1" + path
		u.RawPath = ""
		u.RawQuery = query + "&q=" + id + "&" + id
		assert.NotContains(t, redactedURL(u, route), id)
	})
}
