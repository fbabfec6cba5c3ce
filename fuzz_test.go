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

// FuzzErrorClassification checks that the error of any response has one class at most, and that
// its text is one short line.
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
	f.Add(102, []byte("0"), "0")
	f.Add(504, []byte(" "), "0")
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
		if len(found) == 2 && found[0] == ErrUserNotFound {
			require.Equal(t, ErrBadRequest, found[1])
		} else if len(found) == 2 {
			require.Contains(t, found, ErrServer, "no other 4xx has two classes")
		} else {
			require.LessOrEqual(t, len(found), 1)
		}
		require.Equal(t, status >= 400, len(found) > 0, "every refusal has a class")
		// An Error made of the same parts has the same class.
		require.Equal(t, found, matched(&Error{StatusCode: e.StatusCode, Message: e.Message}))
	})
}

// hiddenURLError matches the error for a base URL with an @, a query or a fragment.
var hiddenURLError = regexp.MustCompile(`^zep: NewClient: base URL ` +
	`\(not shown: it has '[@?#]'\) ` +
	`(is not a URL|has user info \(set the API key with WithAPIKey\)|has no http:// or https://|` +
	`has no host|has no valid port|has a query|has a fragment)` +
	`: it must be like http://localhost:8000$`)

// FuzzBaseURL checks that a base URL is refused without showing a password, or that each call goes
// to its host and below its path.
func FuzzBaseURL(f *testing.F) {
	for _, base := range []string{
		"http://localhost:8000", "https://zep.test/zep/", "http://zep.test/a%2Fb",
		"http://zep.test/a%2F", "http://zep.test/%2F/", "http://[::1]:8000/",
		"http://[fe80::1%25eth0]/x", "http://user:password@zep.test", "http://user:p#w@zep.test",
		"http://u:p/w@h", "http://@h", "//zep.test", "http:", "http:zep.test", "http://:80",
		"http://zep.test:", "http://zep.test:0", "http://zep.test:99999", "http://zep.test?",
		"http://zep.test#", "ftp://zep.test", "http://zep.test/%zz", "http://zep.test/日本",
		"http://zep.test/a b", "HTTP://ZEP.TEST", "http://zep.test/..", "http://zep.test/;@,",
		"http://a\u2028b", "", "http://zep.test//", "http://zep.test/a//b/", "http://zep.test/*",
		"http://zep%41.test", "http://\u00e9.test", "http://zep.test/\\", "http://zep.test/[a]",
		"http://[::%25\x80]", // a zone that a URL cannot hold, which was accepted once
	} {
		f.Add(base)
	}
	f.Fuzz(func(t *testing.T, base string) {
		c, err := NewClient(WithBaseURL(base), WithAPIKey(""))
		if err != nil {
			assertOneLine(t, err.Error())
			if strings.ContainsAny(base, "@?#") {
				require.Regexp(t, hiddenURLError, err.Error())
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

		target, err := resolveURL(c, "/user/{userId}", "a b@c")
		require.NoError(t, err)
		parsed, err := url.Parse(target.String())
		require.NoError(t, err)
		require.Equal(t, given.Scheme, parsed.Scheme)
		require.Equal(t, given.Host, parsed.Host)
		require.Nil(t, parsed.User)
		require.Empty(t, parsed.RawQuery+parsed.Fragment)
		require.Equal(t, strings.TrimRight(given.EscapedPath(), "/")+"/api/v1/user/a%20b@c",
			parsed.EscapedPath())
		require.Equal(t, target.EscapedPath(), parsed.EscapedPath())
	})
}

// FuzzRetryAfter checks that no value of the header makes a call wait longer than 30 seconds, or
// for a negative time.
func FuzzRetryAfter(f *testing.F) {
	now := time.Date(2026, 11, 24, 2, 21, 53, 0, time.UTC)
	for _, value := range []string{
		"", "0", "1", "30", "31", "120", " 5 ", "-1", "+5", "1.5", "1e9", "0x10", "007",
		"9223372036", "9223372037", "9223372036854775807", "18446744073709551615",
		"18446744073709551616", strings.Repeat("9", 100), "soon", "Tue, 24 Nov 2026 02:22:13 GMT",
		"Tuesday, 24-Nov-26 02:22:13 GMT", "Tue Nov 24 02:22:13 2026",
		"Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 GMT",
		"Mon, 01 Jan 0001 00:00:00 GMT", "١٢", "1 2", "5\x00",
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
		n, err := strconv.ParseUint(clean, 10, 64)
		if err == nil || errors.Is(err, strconv.ErrRange) {
			require.Equal(t, time.Duration(min(n, 30))*time.Second, asked)
		} else if date, err := http.ParseTime(clean); err == nil && date.After(at) {
			require.Equal(t, date.Sub(at), asked)
		} else {
			require.Zero(t, asked)
		}

		c, _, clock := scripted(t, []Option{WithTimeout(time.Hour), WithBackoff(0, 0)},
			answers(503, "", "Retry-After", value), answers(200, janeJSON))
		require.NoError(t, callKinds["read"](context.Background(), c))
		for _, wait := range clock.waited() {
			require.Greater(t, wait, time.Duration(0))
			require.LessOrEqual(t, wait, 30*time.Second)
		}
	})
}

// FuzzPathEscaping checks that an id is refused, or that it reaches a server of net/http unchanged
// and with the default escaping. The server does not decode an id that is escaped otherwise.
func FuzzPathEscaping(f *testing.F) {
	for c := rune(0); c < 0x80; c++ {
		f.Add("a" + string(c) + "b")
	}
	for _, id := range []string{
		"", ".", "..", "...", ".a", "a.", "%", "%2F", "%2e%2e", "%zz", "100%", "*", "/", "//",
		"a/../b", "日本", "é", "🙂", "\u2028", "\u00a0", "\ufeff", "\xff", "a\xc3", "\x00",
		"user@example.com", "a+b", "a:b", "a;b", "a,b", "a b", " ", "?", "#", "a&b=c", "a$b",
		"http://zep.test", "~", "'", `"`, "<>", "[]", "{userId}", "{", "}", `\`, "^`|",
		strings.Repeat("x", 900),
	} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		c, s, _ := scripted(t, nil)
		routes := map[string]string{
			"/user/{userId}":               "",
			"/user/{userId}/sessions":      "/sessions",
			"/sessions/{sessionId}/memory": "/memory",
		}
		for route, after := range routes {
			target, err := resolveURL(c, route, id)
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
			assert.Equal(t, req.URL.Path, path.Clean(req.URL.Path),
				"a router that cleans paths does not change it")
			segments := strings.Split(req.URL.Path, "/")
			assert.Equal(t, id, segments[strings.Count(before, "/")])
			assert.Len(t, segments, strings.Count(before+after, "/")+1)
		}
		assert.Empty(t, s.requests())
	})
}
