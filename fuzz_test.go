package zep

import (
	"bufio"
	"context"
	"errors"
	"math"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// FuzzErrorClassification: whatever a server answers, the error is of one class, and its text one short line.
func FuzzErrorClassification(f *testing.F) {
	for _, r := range recordings(f) {
		if r.Response.Status >= 300 {
			f.Add(r.Response.Status, []byte(r.Response.Body), "")
		}
	}
	f.Add(302, []byte(""), "http://user:password@zep.test/?token")
	f.Add(307, []byte(""), "http://[::1")
	f.Add(404, []byte("not found: \xff\x00\x1b[31m\u2028 not found"), "%zz")
	f.Add(500, []byte("failed to acquire advisory lock: not found"), "")
	f.Add(500, []byte("a\n: documents not found"), "/")
	f.Add(999, []byte(strings.Repeat("x", 5000)), "")
	f.Fuzz(func(t *testing.T, status int, body []byte, location string) {
		if status >= 200 && status < 300 {
			status = 400
		}
		c, _, _ := scripted(t, nil, answers(status, string(body), "Location", location))
		_, err := c.User.Get(context.Background(), "jane", RequestMaxAttempts(1))
		e := requireError(t, err)
		require.Equal(t, status, e.StatusCode)
		require.LessOrEqual(t, len(e.Message), maxMessage)
		require.Less(t, len(e.Error()), maxMessage+1000)
		assertOneLine(t, e.Error())
		found := matched(err)
		if len(found) == 2 {
			require.Contains(t, found, ErrServer, "a 500 may say what happened")
		} else {
			require.LessOrEqual(t, len(found), 1)
		}
		require.Equal(t, status >= 400, len(found) > 0, "every refusal has a class")
		// An error made by hand of the same parts is of the same class.
		require.Equal(t, found, matched(&Error{StatusCode: e.StatusCode, Message: e.Message}))
	})
}

// refusedURL is all that may be said of a base URL that has an @, a query or a fragment in it, wherever that is.
var refusedURL = regexp.MustCompile(`^zep: NewClient: base URL \(not shown: it has '[@?#]'\) ` +
	`(is no URL|has user info \(set the API key with WithAPIKey\)|has no http:// or https://|has no host|has no valid port|has a query|has a fragment)` +
	`: it must be like http://localhost:8000$`)

// FuzzBaseURL: a base URL is refused without showing a password, or else every call goes to its host, below its path.
func FuzzBaseURL(f *testing.F) {
	for _, base := range []string{
		"http://localhost:8000", "https://zep.test/zep/", "http://zep.test/a%2Fb", "http://zep.test/a%2F", "http://zep.test/%2F/", "http://[::1]:8000/",
		"http://[fe80::1%25eth0]/x", "http://user:password@zep.test", "http://user:p#w@zep.test", "http://u:p/w@h", "http://@h", "//zep.test", "http:",
		"http:zep.test", "http://:80", "http://zep.test:", "http://zep.test:0", "http://zep.test:99999", "http://zep.test?", "http://zep.test#", "ftp://zep.test",
		"http://zep.test/%zz", "http://zep.test/日本", "http://zep.test/a b", "HTTP://ZEP.TEST", "http://zep.test/..", "http://zep.test/;@,", "http://a\u2028b", "",
		"http://zep.test//", "http://zep.test/a//b/", "http://zep.test/*", "http://zep%41.test", "http://\u00e9.test", "http://zep.test/\\", "http://zep.test/[a]",
	} {
		f.Add(base)
	}
	f.Fuzz(func(t *testing.T, base string) {
		c, err := NewClient(WithBaseURL(base), WithAPIKey(""))
		if err != nil {
			assertOneLine(t, err.Error())
			if strings.ContainsAny(base, "@?#") {
				require.Regexp(t, refusedURL, err.Error())
			}
			return
		}
		given, err := url.Parse(base)
		require.NoError(t, err)
		require.Contains(t, []string{"http", "https"}, given.Scheme)
		require.NotEmpty(t, given.Hostname())
		require.Nil(t, given.User)
		require.Empty(t, given.Opaque)
		require.False(t, given.ForceQuery || given.RawQuery != "" || given.Fragment != "")

		target, err := c.resolve("/user/{userId}", []string{"a b@c"}, nil)
		require.NoError(t, err)
		again, err := url.Parse(target.String())
		require.NoError(t, err)
		require.Equal(t, given.Scheme, again.Scheme)
		require.Equal(t, given.Host, again.Host)
		require.Nil(t, again.User)
		require.Empty(t, again.RawQuery+again.Fragment)
		require.Equal(t, strings.TrimRight(given.EscapedPath(), "/")+"/api/v1/user/a%20b@c", again.EscapedPath())
		require.Equal(t, target.EscapedPath(), again.EscapedPath())
	})
}

// FuzzRetryAfter: a server can't make a call wait for longer than it may, nor in the past.
func FuzzRetryAfter(f *testing.F) {
	now := time.Date(2026, 11, 24, 2, 21, 53, 0, time.UTC)
	for _, value := range []string{
		"", "0", "1", "30", "31", "120", " 5 ", "-1", "+5", "1.5", "1e9", "0x10", "007", "9223372036", "9223372037", "9223372036854775807", "18446744073709551615",
		"18446744073709551616", strings.Repeat("9", 100), "soon", "Tue, 24 Nov 2026 02:22:13 GMT", "Tuesday, 24-Nov-26 02:22:13 GMT", "Tue Nov 24 02:22:13 2026",
		"Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 GMT", "Mon, 01 Jan 0001 00:00:00 GMT", "١٢", "1 2", "5\x00",
	} {
		f.Add(value, int64(0))
	}
	f.Add("10", int64(math.MaxInt64))
	f.Add("Fri, 31 Dec 9999 23:59:59 GMT", int64(math.MinInt64))
	f.Fuzz(func(t *testing.T, value string, shift int64) {
		at := now.Add(time.Duration(shift))
		header := http.Header{"Retry-After": {value}}
		asked := retryAfter(header, at)
		require.GreaterOrEqual(t, asked, time.Duration(0))

		clean := strings.TrimSpace(value)
		if n, err := strconv.ParseUint(clean, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
			require.Equal(t, time.Duration(min(n, 30))*time.Second, asked)
		} else if date, err := http.ParseTime(clean); err == nil && date.After(at) {
			require.Equal(t, date.Sub(at), asked)
		} else {
			require.Zero(t, asked)
		}

		c, _, clock := scripted(t, []Option{WithTimeout(time.Hour), WithBackoff(0, 0)}, answers(503, "", "Retry-After", value), answers(200, janeJSON))
		require.NoError(t, kinds["read"](context.Background(), c))
		for _, wait := range clock.waited() {
			require.Greater(t, wait, time.Duration(0))
			require.LessOrEqual(t, wait, 30*time.Second)
		}
	})
}

// FuzzPathEscaping: an id is refused, or it arrives at a server of net/http as itself, escaped as Go escapes by default. The
// server looks up the text as it was escaped otherwise.
func FuzzPathEscaping(f *testing.F) {
	for c := rune(0); c < 0x80; c++ {
		f.Add("a" + string(c) + "b")
	}
	for _, id := range []string{
		"", ".", "..", "...", ".a", "a.", "%", "%2F", "%2e%2e", "%zz", "100%", "*", "/", "//", "a/../b", "日本", "é", "🙂", "\u2028", "\u00a0", "\ufeff", "\xff", "a\xc3", "\x00",
		"user@example.com", "a+b", "a:b", "a;b", "a,b", "a b", " ", "?", "#", "a&b=c", "a$b", "http://zep.test", "~", "'", `"`, "<>", "[]", "{userId}", "{", "}", `\`, "^`|",
		strings.Repeat("x", 900),
	} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		c, s, _ := scripted(t, nil)
		routes := map[string]string{"/user/{userId}": "", "/user/{userId}/sessions": "/sessions", "/sessions/{sessionId}/memory": "/memory"}
		for route, after := range routes {
			target, err := c.resolve(route, []string{id}, nil)
			if refused := checkID("id", id); refused != nil {
				require.ErrorIs(t, refused, ErrInvalidID)
				require.ErrorIs(t, err, ErrInvalidID)
				assertOneLine(t, err.Error())
				continue
			}
			require.NoError(t, err)
			line := "GET " + target.RequestURI() + " HTTP/1.1\r\nHost: zep.test\r\n\r\n"
			req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(line)))
			require.NoError(t, err)
			before := "/zep/api/v1" + route[:strings.Index(route, "{")]
			assert.Equal(t, before+id+after, req.URL.Path)
			assert.Empty(t, req.URL.RawPath, "the default escaping")
			assert.Empty(t, req.URL.RawQuery)
			assert.Equal(t, req.URL.Path, path.Clean(req.URL.Path), "a router that cleans paths leaves it alone")
			segments := strings.Split(req.URL.Path, "/")
			assert.Equal(t, id, segments[strings.Count(before, "/")])
			assert.Len(t, segments, strings.Count(before+after, "/")+1)
		}
		assert.Empty(t, s.requests())
	})
}
