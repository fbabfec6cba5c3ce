package zep

import (
	"context"
	"io"
	"log/slog"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestNewClient_Defaults is not parallel because it sets the environment.
func TestNewClient_Defaults(t *testing.T) {
	t.Setenv(envBaseURL, "")
	t.Setenv(envAPIKey, "")
	c, err := NewClient()
	require.NoError(t, err)
	assert.Equal(t, "http://localhost:8000", c.baseURL.String())
	assert.Empty(t, c.authorization())
	assert.Equal(t, 60*time.Second, c.timeout)
	assert.Equal(t, 4, c.maxAttempts)
	assert.Equal(t, 100*time.Millisecond, c.minBackoff)
	assert.Equal(t, 5*time.Second, c.maxBackoff)
	assert.Equal(t, []string{"zep-go/devel"}, c.userAgent)
	assert.EqualValues(t, 256<<20, c.maxBody)
	assert.NotNil(t, c.updates, "updates are serialized")
	assert.Nil(t, c.logger, "nothing is logged")
	assert.NotNil(t, c.User)
	assert.NotNil(t, c.Session)
}

// TestNewClient_Environment is not parallel because it sets the environment.
func TestNewClient_Environment(t *testing.T) {
	tests := map[string]struct {
		url, key    string
		opts        []Option
		wantURL     string
		wantKey     []string
		wantError   string
		notInErrors string
	}{
		"url and key": {
			url:     "https://env.test/zep/",
			key:     "env-key",
			wantURL: "https://env.test/zep",
			wantKey: []string{"Bearer env-key"},
		},
		"options take precedence": {
			url: "https://env.test",
			key: "env-key",
			opts: []Option{
				WithBaseURL("https://option.test"), WithAPIKey("option-key"),
			},
			wantURL: "https://option.test",
			wantKey: []string{"Bearer option-key"},
		},
		"an option without a key": {
			url:     "https://env.test",
			key:     "env-key",
			opts:    []Option{WithAPIKey("")},
			wantURL: "https://env.test",
		},
		"an invalid variable that is not used": {
			url:     "no url",
			key:     "bad\nkey",
			opts:    []Option{WithBaseURL("https://option.test"), WithAPIKey("")},
			wantURL: "https://option.test",
		},
		"an invalid url": {
			url: "no url", wantError: `zep: NewClient: ZEP_API_URL: base URL "no url" ` +
				`has no http:// or https://: it must be like http://localhost:8000`,
		},
		"an invalid url with a password": {
			url:         "http://user:pass-word@env.test",
			wantError:   "ZEP_API_URL",
			notInErrors: "pass-word",
		},
		"an invalid key": {
			key: "bad\nbad-key", wantError: "ZEP_API_KEY", notInErrors: "bad-key",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv(envBaseURL, test.url)
			t.Setenv(envAPIKey, test.key)
			c, err := NewClient(test.opts...)
			if test.wantError != "" {
				require.ErrorContains(t, err, test.wantError)
				assertOneLine(t, err.Error())
				if test.notInErrors != "" {
					assert.NotContains(t, err.Error(), test.notInErrors)
				}
				assert.Nil(t, c)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, test.wantURL, c.baseURL.String())
			assert.Equal(t, test.wantKey, c.authorization())
		})
	}
}

func TestNewClient_ReportsEveryInvalidOption(t *testing.T) {
	t.Parallel()
	_, err := NewClient(WithBaseURL("nowhere"), nil, WithTimeout(0), WithAPIKey("a\nb"),
		WithMaxAttempts(0))
	require.Error(t, err)
	for _, part := range []string{
		"base URL", "option 2 is nil", "WithTimeout", "API key", "WithMaxAttempts",
	} {
		assert.ErrorContains(t, err, part)
	}
	assertOneLine(t, err.Error())
}

func TestNewClient_LastOptionWins(t *testing.T) {
	t.Parallel()
	c, err := NewClient(WithBaseURL("http://first.test"), WithAPIKey("first"),
		WithBaseURL("http://last.test"), WithAPIKey("last"))
	require.NoError(t, err)
	assert.Equal(t, "http://last.test", c.baseURL.String())
	assert.Equal(t, []string{"Bearer last"}, c.authorization())
}

func TestWithBaseURL_JoinedWithPath(t *testing.T) {
	t.Parallel()
	tests := map[string]string{ // base URL → URL without the path of the call
		"http://localhost:8000":              "http://localhost:8000",
		"http://localhost:8000/":             "http://localhost:8000",
		"https://zep.test/zep":               "https://zep.test/zep",
		"https://zep.test/zep/":              "https://zep.test/zep",
		"https://zep.test/zep//":             "https://zep.test/zep",
		"https://zep.test/a/b/c":             "https://zep.test/a/b/c",
		"https://zep.test/a%2Fb":             "https://zep.test/a%2Fb",
		"https://zep.test/a%2Fb/":            "https://zep.test/a%2Fb",
		"https://zep.test/a%2F":              "https://zep.test/a%2F",
		"https://zep.test/a%2F/":             "https://zep.test/a%2F",
		"https://zep.test/with%20space":      "https://zep.test/with%20space",
		"https://zep.test/日本":                "https://zep.test/%E6%97%A5%E6%9C%AC",
		"https://zep.test/a@b":               "https://zep.test/a@b",
		"HTTPS://ZEP.test":                   "https://ZEP.test",
		"http://[::1]":                       "http://[::1]",
		"http://[::1]:8000/zep":              "http://[::1]:8000/zep",
		"http://[fe80::1%25eth0]:8000":       "http://[fe80::1%25eth0]:8000",
		"http://127.0.0.1:1":                 "http://127.0.0.1:1",
		"http://zep.test:65535":              "http://zep.test:65535",
		"http://user-service.internal:08000": "http://user-service.internal:08000",
	}
	for base, want := range tests {
		t.Run(base, func(t *testing.T) {
			t.Parallel()
			c, err := NewClient(WithBaseURL(base), WithAPIKey(""))
			require.NoError(t, err)
			target, err := resolveURL(c, "/user/{userId}", "jane")
			require.NoError(t, err)
			assert.Equal(t, want+"/api/v1/user/jane", target.String())
			health, err := resolveURL(c, healthRoute)
			require.NoError(t, err)
			assert.Equal(t, want+"/healthz", health.String())
		})
	}
}

// TestWithBaseURL_Invalid checks that no error shows a password.
func TestWithBaseURL_Invalid(t *testing.T) {
	t.Parallel()
	const password = "p4ssw0rd"
	tests := map[string]string{ // base URL → a part of the error
		"":                                      "is empty",
		" ":                                     "has no http:// or https://",
		"localhost":                             "has no http:// or https://",
		"localhost:8000":                        "has no http:// or https://",
		"//zep.test":                            "has no http:// or https://",
		"/zep":                                  "has no http:// or https://",
		"ftp://zep.test":                        "has no http:// or https://",
		"file:///etc/passwd":                    "has no http:// or https://",
		"127.0.0.1:8000":                        "is not a URL",
		" http://zep.test":                      "is not a URL",
		"http://zep.test\n":                     "is not a URL",
		"http://zep.test:port":                  "is not a URL",
		"http://zep test":                       "is not a URL",
		"http://zep.test/%zz":                   "is not a URL",
		"http://[::1":                           "is not a URL",
		"http:":                                 "has no host",
		"http://":                               "has no host",
		"http:///zep":                           "has no host",
		"http://:8000":                          "has no host",
		"http:zep.test":                         "has no host",
		"https:zep.test/zep":                    "has no host",
		"http://zep.test:":                      "has no valid port",
		"http://zep.test:0":                     "has no valid port",
		"http://zep.test:65536":                 "has no valid port",
		"http://zep.test:99999999999999999999":  "has no valid port",
		"http://zep.test?":                      "has a query",
		"http://zep.test?key=x":                 "has a query",
		"http://zep.test/zep?":                  "has a query",
		"http://zep.test#":                      "has a fragment",
		"http://zep.test/zep#here":              "has a fragment",
		"http://user@zep.test":                  "has user info",
		"http://@zep.test":                      "has user info",
		"http://:@zep.test":                     "has user info",
		"http://user:" + password + "@zep.test": "has user info",
		"http://user:" + password + "@zep.test?x":       "has user info",
		"http://user:p%40" + password + "@zep.test":     "has user info",
		"http://user:a@b" + password + "@zep.test":      "",
		"http://user:p#" + password + "@zep.test":       "is not a URL",
		"http://user:p/" + password + "@zep.test":       "is not a URL",
		"http://user:p?" + password + "@zep.test":       "is not a URL",
		"http://user:p%zz" + password + "@zep.test":     "is not a URL",
		"http://user:" + password + "\n@zep.test":       "is not a URL",
		"http://user:" + password + "@zep.test:port":    "is not a URL",
		"ftp://user:" + password + "@zep.test":          "has user info",
		"user:" + password + "@zep.test":                "has no http:// or https://",
		"http:user:" + password + "@zep.test":           "has no host",
		"://user:" + password + "@zep.test":             "is not a URL",
		"http://user:" + password + "@":                 "has user info",
		"http://user:" + password + "@[::1":             "is not a URL",
		"http://user:[" + password + "]@zep.test":       "",
		"http://zep.test#user:" + password + "@zep":     "has a fragment",
		"http://zep.test?token=" + password + "@":       "has a query",
		"http://us er:" + password + "@zep.test/zep":    "",
		"https://user:" + password + "@zep.test\u2028x": "",
	}
	for base, want := range tests {
		t.Run(base, func(t *testing.T) {
			t.Parallel()
			c, err := NewClient(WithBaseURL(base), WithAPIKey(""))
			require.ErrorContains(t, err, want)
			require.ErrorContains(t, err, "http://localhost:8000", "the error has an example")
			assert.NotContains(t, err.Error(), password)
			assert.Nil(t, c)
			assertOneLine(t, err.Error())
		})
	}
}

func TestWithAPIKey_Trimmed(t *testing.T) {
	t.Parallel()
	const key = "eyJ.p4ss-w0rd_.c2ln+/~="
	for _, raw := range []string{
		key, " " + key, key + "\n", "\r\n\t" + key + " \u00a0\u0085", "Bearer " + key, "bearer " + key,
		"BEARER\t" + key, " \nbEaReR  \n" + key + "\n",
	} {
		c, s, _ := scripted(t, []Option{WithAPIKey(raw)}, answers(200, janeJSON))
		_, err := c.User.Get(context.Background(), "jane")
		require.NoError(t, err)
		assert.Equal(t, "Bearer "+key, s.requests()[0].header.Get("Authorization"), "%q", raw)
	}
	// The word is a part of these keys.
	for _, key := range []string{"Bearerp4ssw0rd", "Bear", "bearer.token"} {
		c, s, _ := scripted(t, []Option{WithAPIKey(key)}, answers(200, janeJSON))
		_, err := c.User.Get(context.Background(), "jane")
		require.NoError(t, err)
		assert.Equal(t, "Bearer "+key, s.requests()[0].header.Get("Authorization"))
	}
}

func TestWithAPIKey_Refused(t *testing.T) {
	t.Parallel()
	const empty = "the API key is empty but for white space or the word Bearer"
	tests := map[string]string{
		" ":                      empty,
		"\n":                     empty,
		"Bearer":                 empty,
		" bearer \n":             empty,
		"p4ss w0rd":              "has white space in it",
		"p4ss\nw0rd":             "has white space in it",
		"p4ss\tw0rd":             "has white space in it",
		"p4ss\u0085w0rd":         "has white space in it",
		"p4ss\u2028w0rd":         "has white space in it",
		"Bearer Bearer p4ssw0rd": "has white space in it",
		"Token p4ssw0rd":         "has white space in it",
		"p4ss\x00w0rd":           "has a control character in it",
		"\x1bp4ssw0rd":           "has a control character in it",
		"p4ssw0rd\x7f":           "has a control character in it",
		`"p4ssw0rd"`:             "has a quotation mark or a backslash in it",
		`Bearer "p4ssw0rd"`:      "has a quotation mark or a backslash in it",
		"'p4ssw0rd'":             "has a quotation mark or a backslash in it",
		"`p4ssw0rd`":             "has a quotation mark or a backslash in it",
		`p4ss\w0rd`:              "has a quotation mark or a backslash in it",
		"\u201cp4ssw0rd\u201d":   "has a character that is not ASCII in it",
		"\ufeffp4ssw0rd":         "has a character that is not ASCII in it",
		"p4ssw0rd\u200b":         "has a character that is not ASCII in it",
		"p4ssw0rd\xff":           "has a character that is not ASCII in it",
	}
	for key, want := range tests {
		c, err := NewClient(WithBaseURL(mockURL), WithAPIKey(key))
		require.ErrorContains(t, err, want, "%q", key)
		assert.NotContains(t, err.Error(), "w0rd")
		assert.NotContains(t, err.Error(), "p4ss")
		assertOneLine(t, err.Error())
		assert.Nil(t, c)
	}
}

func TestOption_Validation(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		opt  Option
		want string // "" for a valid option
	}{
		"nil":         {nil, "option 3 is nil"},
		"http client": {WithHTTPClient(&http.Client{}), ""},
		"http client nil": {
			WithHTTPClient(nil),
			"WithHTTPClient: the client is nil: leave the option out for the default",
		},
		"timeout":           {WithTimeout(time.Nanosecond), ""},
		"timeout longest":   {WithTimeout(math.MaxInt64), ""},
		"timeout 0":         {WithTimeout(0), "WithTimeout(0s): must be more than 0"},
		"timeout negative":  {WithTimeout(-time.Second), "WithTimeout(-1s): must be more than 0"},
		"attempts 1":        {WithMaxAttempts(1), ""},
		"attempts many":     {WithMaxAttempts(math.MaxInt), ""},
		"attempts 0":        {WithMaxAttempts(0), "WithMaxAttempts(0): must be at least 1"},
		"attempts negative": {WithMaxAttempts(-1), "WithMaxAttempts(-1): must be at least 1"},
		"request bytes":     {WithMaxRequestBytes(1), ""},
		"request bytes none": {
			WithMaxRequestBytes(0), "WithMaxRequestBytes(0): must be more than 0",
		},
		"request bytes negative": {
			WithMaxRequestBytes(-1), "WithMaxRequestBytes(-1): must be more than 0",
		},
		"backoff":          {WithBackoff(time.Second, time.Minute), ""},
		"backoff constant": {WithBackoff(time.Second, time.Second), ""},
		"backoff none":     {WithBackoff(0, 0), ""},
		"backoff negative": {
			WithBackoff(-1, 1), "WithBackoff(-1ns, 1ns): must be 0 <= min <= max",
		},
		"backoff reversed": {
			WithBackoff(2, 1), "WithBackoff(2ns, 1ns): must be 0 <= min <= max",
		},
		"user agent":       {WithUserAgent("shop/1.0 (+https://shop.test)"), ""},
		"user agent empty": {WithUserAgent(""), "WithUserAgent: the value is empty"},
		"user agent with a line break": {
			WithUserAgent("shop\nHost: evil"),
			"WithUserAgent: the value is empty or has a control character in it",
		},
		"logger":             {WithLogger(slog.New(slog.NewTextHandler(io.Discard, nil))), ""},
		"logger nil":         {WithLogger(nil), ""},
		"concurrent updates": {WithConcurrentUpdates(), ""},
		"api key":            {WithAPIKey(secret), ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := NewClient(WithBaseURL(mockURL), WithAPIKey(""), test.opt)
			if test.want == "" {
				require.NoError(t, err)
				assert.NotNil(t, c)
				return
			}
			require.ErrorContains(t, err, test.want)
			assert.True(t, strings.HasPrefix(err.Error(), "zep: NewClient: "), err)
			assertOneLine(t, err.Error())
			assert.Nil(t, c)
		})
	}
}

func TestRequestOption_Validation(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		opt  RequestOption
		want string
	}{
		"nil":              {nil, "request option 1 is nil"},
		"timeout 0":        {RequestTimeout(0), "RequestTimeout(0s): must be more than 0"},
		"timeout negative": {RequestTimeout(-1), "RequestTimeout(-1ns): must be more than 0"},
		"attempts 0":       {RequestMaxAttempts(0), "RequestMaxAttempts(0): must be at least 1"},
		"capture nil":      {CaptureResponse(nil), "CaptureResponse: the pointer is nil"},
		"header empty":     {RequestHeader("", "x"), `RequestHeader: "" is not a header name`},
	}
	for _, name := range []string{
		"a b", "a:b", "a\nb", "a\x00b", "ä", "a(b", "a\"b", "a{b", "a\x7fb", "a/b", "a@b", "a,b",
		"a\tb",
	} {
		tests["header name "+name] = struct {
			opt  RequestOption
			want string
		}{RequestHeader(name, "x"), "is not a header name"}
	}
	for _, value := range []string{"p4ss\nw0rd", "p4ss\r\nw0rd", "p4ss\x00w0rd", "p4ss\x7fw0rd"} {
		tests["header value "+value] = struct {
			opt  RequestOption
			want string
		}{
			RequestHeader("X-Token", value),
			"RequestHeader: the value of X-Token has a control character in it",
		}
	}
	for _, name := range []string{
		"Host", "host", "Connection", "CONTENT-LENGTH", "Transfer-Encoding", "Trailer",
		"accept-encoding", "Idempotency-Key", "X-Idempotency-Key",
	} {
		tests["header "+name] = struct {
			opt  RequestOption
			want string
		}{
			RequestHeader(name, "x"),
			"RequestHeader: " + http.CanonicalHeaderKey(name) + " is set by the transport",
		}
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, s, _ := scripted(t, nil)
			_, err := c.User.Get(context.Background(), "jane", test.opt)
			require.ErrorContains(t, err, test.want)
			assert.Equal(t, []error{ErrBadRequest}, matched(err))
			assert.NotContains(t, err.Error(), "w0rd")
			assertOneLine(t, err.Error())
			assert.Empty(t, s.requests())
		})
	}
}

func TestRequestHeader_Valid(t *testing.T) {
	t.Parallel()
	c, s, _ := scripted(t, []Option{WithAPIKey(secret)}, answers(200, "."))
	_, err := c.Health(context.Background(),
		RequestHeader("x-trace", "a b \"c\" ü"), RequestHeader("!#$%&'*+-.^_`|~09", ""),
		RequestHeader("authorization", "Basic abc"), RequestHeader("User-Agent", "mine"))
	require.NoError(t, err)
	assert.Equal(t, http.Header{
		"X-Trace":           {"a b \"c\" ü"},
		"!#$%&'*+-.^_`|~09": {""},
		"Authorization":     {"Basic abc"},
		"User-Agent":        {"mine"},
	}, s.requests()[0].header)
}
