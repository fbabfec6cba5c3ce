package zep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep/internal/redact"
)

// formatted returns all that formatting, logging and testing print of the values.
func formatted(t *testing.T, values ...any) string {
	t.Helper()
	var b strings.Builder
	text := slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug}))
	asJSON := slog.New(slog.NewJSONHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug}))
	for _, value := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			fmt.Fprintf(&b, verb+"\n", value)
		}
		if data, err := json.Marshal(value); err == nil {
			b.Write(data)
		}
		text.Info("value", "value", value, "list", []any{value})
		asJSON.Info("value", "value", value, "list", []any{value})
		// The failure message of testify has all that reflection reaches.
		var failure failureText
		assert.Equal(&failure, value, 1)
		assert.Equal(&failure, []any{value}, 1)
		b.WriteString(failure.String())
	}
	return b.String()
}

// failureText is a TestingT that collects the failure messages.
type failureText struct{ strings.Builder }

func (d *failureText) Errorf(format string, args ...any) { fmt.Fprintf(d, format, args...) }

// assertNoSecret fails if the text has the key, its hexadecimal form or eight characters of it, in
// any case and escaped or not.
func assertNoSecret(t testing.TB, text string) {
	t.Helper()
	lower := strings.ToLower(text)
	for _, part := range secretParts() {
		if i := strings.Index(lower, part); i >= 0 {
			assert.Failf(t, "the text has a part of the key", "%s: %.300s",
				part, lower[max(0, i-200):])
			return
		}
	}
}

// secretParts are the texts that assertNoSecret looks for, in lower case.
var secretParts = sync.OnceValue(func() []string {
	key := strings.ToLower(secret)
	parts := []string{fmt.Sprintf("%x", secret)}
	for i := range len(key) - 7 {
		for _, escape := range escapes {
			parts = append(parts, strings.ToLower(escape(key[i:i+8])))
		}
	}
	return parts
})

// escapes are ways to write a text, with every character escaped.
var escapes = map[string]func(string) string{
	"as it is": func(text string) string { return text },
	"URL":      escapeEach("%%%02X"),
	"JSON":     escapeEach(`\u%04x`),
	"%q":       escapeEach(`\x%02x`),
}

func escapeEach(format string) func(string) string {
	return func(text string) string {
		var b strings.Builder
		for i := range len(text) {
			fmt.Fprintf(&b, format, text[i])
		}
		return b.String()
	}
}

func TestSecrets_FormattedClient(t *testing.T) {
	t.Parallel()
	opt, headerOpt := WithAPIKey(secret), WithHeader("X-Proxy-Token", secret)
	requestOpt := RequestHeader("Authorization", "Bearer "+secret)
	c, s, _ := scripted(t, []Option{opt, headerOpt}, answers(200, janeJSON))
	own, err := NewClient(WithBaseURL(mockURL), opt, headerOpt)
	require.NoError(t, err)
	assertNoSecret(t, formatted(t, c, *c, own, *own, c.config, c.http, opt, headerOpt, requestOpt,
		[]Option{opt, headerOpt}, struct{ C *Client }{c}, map[string]any{"client": *c}))
	for _, service := range services(c) {
		assertNoSecret(t, formatted(t, service.Interface(), service.Elem().Interface()))
	}
	assert.Equal(t, "zep.Client(http://zep.test/zep)", fmt.Sprint(c))

	_, err = c.User.Get(context.Background(), "jane")
	require.NoError(t, err)
	assert.Equal(t, "Bearer "+secret, s.requests()[0].header.Get("Authorization"),
		"the key is sent")
	var b strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		fmt.Fprintf(&b, verb+verb, c, *c)
	}
	assertNoSecret(t, b.String())
}

// TestSecrets_Error checks servers and proxies that send back what they were sent.
func TestSecrets_Error(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 4<<10)
	tests := map[string]step{
		"in the text": answers(400, "bad token: "+secret),
		"cut by the limit of the body": answers(400,
			strings.Repeat(" ", maxErrorBody-len(secret)+1)+secret),
		"often in the text":          answers(401, secret+secret+" Bearer "+secret),
		"cut at the end of the text": answers(400, long[:4093-40]+secret+long),
		"in control characters":      answers(400, "a\x00"+secret+"\x1b\n"+secret+"\n"),
		"cut in the text":            answers(400, "bad token "+secret[:8]+"..., "+secret[9:19]),
		"the end of it":              answers(400, "bad token ..."+secret[20:]),
		"in JSON":                    answers(400, `{"auth":"Bearer \u0065yJhbGci`+secret[8:]+`"}`),
		"in JSON, every character":   answers(400, `{"auth":"`+escapes["JSON"](secret)+`"}`),
		"in a query":                 answers(400, "/login?token="+escapes["URL"](secret)),
		"in a query, some of it":     answers(400, strings.ReplaceAll(secret, "-", "%2d")),
		"quoted":                     answers(400, fmt.Sprintf("%q", "\xff"+secret+"\n")),
		"quoted, every character":    answers(400, escapes["%q"](secret)),
		"JSON in a query":            answers(400, escapes["URL"](escapes["JSON"](secret))),
		"JSON in JSON": answers(400,
			strings.ReplaceAll(escapes["JSON"](secret), `\`, `\\`)),
		"escaped twice in an unexpected response": answers(200, escapes["JSON"](secret)),
		"in capitals":         answers(400, strings.ToUpper(secret)),
		"in a header's name":  answers(400, "no", "X-"+strings.ReplaceAll(secret, ".", "-"), "x"),
		"escaped in a header": answers(400, "no", "Set-Cookie", escapes["URL"](secret)),
		"escaped in the Location": answers(302, "",
			"Location", "http://zep.test/"+escapes["URL"](secret[3:20])+"?x"),
		"in a host":   answers(302, "", "Location", "http://"+secret+".test/"),
		"in a header": answers(400, "no", "X-Echo", "Bearer "+secret),
		"in headers": answers(400, "no", "X-Echo", secret,
			"Www-Authenticate", `Bearer error="`+secret+`"`, "X-Fine", "fine"),
		"in a header spelled another way": withHeader(answers(400, "no"), "x-echo", secret),
		"in a header's second value":      withHeader(answers(400, "no"), "X-Echo", "a", secret),
		"in the Location": answers(302, "",
			"Location", "http://zep.test/"+secret+"?"+secret),
		"in an unexpected response": answers(200,
			`{"created_at":"`+secret+`"}`, "X-Echo", secret),
		"in an error of the transport": failsWith(
			errors.New("malformed HTTP response: " + secret)),
		"in a wrapped error": failsWith(
			fmt.Errorf("broken: %w", textError("malformed MIME header line: "+secret))),
		"in an error of the network": failsWith(&net.OpError{Op: "read", Err: textError(secret)}),
	}
	for name, attempt := range tests {
		for how, opts := range map[string]struct {
			client  []Option
			request []RequestOption
		}{
			"key of the client": {[]Option{WithAPIKey(secret)}, nil},
			"header of the call": {
				nil, []RequestOption{RequestHeader("Authorization", "Bearer "+secret)},
			},
		} {
			t.Run(name+"/"+how, func(t *testing.T) {
				t.Parallel()
				c, _, _ := scripted(t, opts.client, repeat(4, attempt)...)
				_, err := c.User.Get(context.Background(), "jane", opts.request...)
				e := requireError(t, err)
				assertNoSecret(t, formatted(t, e, *e, fmt.Errorf("wrapped: %w", err)))
				for _, cause := range errorTree(err) {
					assertNoSecret(t, cause.Error())
				}
				assertOneLine(t, err.Error())
			})
		}
	}
}

// TestSecrets_ShortestPart checks that eight characters of a key are taken out, and that seven,
// which other words may have too, are not.
func TestSecrets_ShortestPart(t *testing.T) {
	t.Parallel()
	for from := range len(secret) - 8 {
		c, _, _ := scripted(t, []Option{WithAPIKey(secret)},
			answers(400, "a "+secret[from:from+8]+" b"),
			answers(400, "a "+secret[from:from+7]+" b"))
		_, err := c.User.Get(context.Background(), "jane")
		require.Equal(t, "a "+redact.Mark+" b", requireError(t, err).Message)
		_, err = c.User.Get(context.Background(), "jane")
		require.Equal(t, "a "+secret[from:from+7]+" b", requireError(t, err).Message)
	}
	c, _, _ := scripted(t, []Option{WithAPIKey("s3cret")},
		answers(400, "s3cre s3cret S3CRETs3cret t"))
	_, err := c.User.Get(context.Background(), "jane")
	require.Equal(t, "s3cre "+redact.Mark+" "+redact.Mark+" t", requireError(t, err).Message,
		"a short key is looked for whole")
}

// TestSecrets_EscapedTwice checks all pairs of escapes.
func TestSecrets_EscapedTwice(t *testing.T) {
	t.Parallel()
	for how, inner := range escapes {
		for then, outer := range escapes {
			c, _, _ := scripted(t, []Option{WithAPIKey(secret)},
				answers(400, "a "+outer(inner(secret))+" b"))
			_, err := c.User.Get(context.Background(), "jane")
			assert.Equal(t, "a "+redact.Mark+" b", requireError(t, err).Message,
				"%s, then %s", how, then)
		}
	}
}

// shown returns all that a caller sees of a captured response.
func shown(t testing.TB, resp *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return fmt.Sprint(resp.Status, resp.Header, resp.Trailer, resp.Request.Header, string(body))
}

func TestSecrets_CapturedResponse(t *testing.T) {
	t.Parallel()
	for how, escape := range escapes {
		for _, status := range []int{200, 400} {
			echo := escape(secret)
			inJSON := strings.ReplaceAll(echo, `\x`, `\u00`)
			jane := `{"user_id":"jane","metadata":{"echo":"` + inJSON + `"}}`
			attempt := withHeader(answers(status, jane, "X-Echo", echo, "X-Fine", "fine"),
				"Www-Authenticate", "a", "Bearer "+echo)
			c, _, _ := scripted(t, []Option{WithAPIKey("Bearer " + secret)},
				func(req *http.Request) (*http.Response, error) {
					resp, err := attempt(req)
					resp.Status = "400 " + echo
					resp.Trailer = http.Header{"X-Trailer": {echo}}
					return resp, err
				})
			var resp *http.Response
			_, err := c.User.Get(context.Background(), "jane", CaptureResponse(&resp),
				RequestHeader("X-Token", secret), RequestHeader("X-Trace", "t"))
			assert.Equal(t, status == 400, err != nil)
			assert.Equal(t, "fine", resp.Header.Get("X-Fine"))
			assert.Equal(t, "t", resp.Request.Header.Get("X-Trace"))
			text := shown(t, resp)
			assertNoSecret(t, text)
			assert.Contains(t, text, `{"user_id":"jane","metadata":{"echo":"`+redact.Mark+`"}}`, how)
		}
	}
}

// FuzzSecrets checks that no part of the key that a server sends back comes through, wherever it is
// and however it is written.
func FuzzSecrets(f *testing.F) {
	f.Add("bad token: ", "", 0, 52, 0, 0, 400)
	f.Add("Bearer ", `"}`, 0, 8, 1, 2, 200)
	f.Add("%", "%", 3, 20, 3, 0, 302)
	f.Add(`\`, `\`, 3, 20, 2, 1, 500)
	f.Add(`\u00`, "", 0, 52, 2, 2, 401)
	f.Add("%25", "41", 10, 30, 1, 1, 404)
	f.Add("\xe2\x80", "\u202e", 10, 30, 0, 0, 200)
	f.Add("\xab", "0", -242, 52, 92, 0, 353)
	ways := []func(string) string{
		escapes["as it is"], escapes["URL"], escapes["JSON"], escapes["%q"],
	}
	f.Fuzz(func(t *testing.T, before, after string, from, length, inner, outer, status int) {
		from = int(uint(from) % uint(len(secret)))
		length = int(uint(length) % uint(len(secret)-from+1))
		echo := ways[uint(inner)%4](secret[from : from+length])
		if outer = int(uint(outer) % 4); outer != 0 && len(echo) > 0 {
			echo = ways[outer](echo)
		}
		text := before + echo + after
		status = 200 + int(uint(status)%400)
		attempt := answers(status, text, "Location", "http://zep.test/"+text, "X-Echo", text)
		c, _, _ := scripted(t, []Option{WithAPIKey(secret)}, attempt)
		var resp *http.Response
		err := c.User.Delete(context.Background(), "jane",
			RequestMaxAttempts(1), CaptureResponse(&resp))
		if before+after == "OK" && length == 0 && status < 300 {
			require.NoError(t, err)
			return
		}
		e := requireError(t, err)
		assertOneLine(t, err.Error())
		// What the fuzzer itself puts there may look like a part of the key.
		if containsPart(before) || containsPart(after) || containsPart(before+after) {
			return
		}
		assertNoSecret(t, fmt.Sprintf("%v %+v %v", e, *e, e.Header))
		assertNoSecret(t, shown(t, resp))
		// An escape that formatting makes may end with a character of the key: \xab.
		if quoted := strconv.Quote(before + after); quoted == `"`+before+after+`"` {
			assertNoSecret(t, fmt.Sprintf("%#v", e))
		}
	})
}

// containsPart reports whether a text has something of which eight characters of the key may be
// made.
func containsPart(text string) bool {
	for i := range len(secret) - 1 {
		if strings.Contains(strings.ToLower(text), strings.ToLower(secret[i:i+2])) {
			return true
		}
	}
	return false
}

// TestSecrets_KeyWhereMessageIsCut checks that the key is removed before a message is shortened.
func TestSecrets_KeyWhereMessageIsCut(t *testing.T) {
	t.Parallel()
	for n := range 200 {
		c, _, _ := scripted(t, []Option{WithAPIKey(secret)},
			answers(200, strings.Repeat("x", n)+secret))
		err := c.User.Delete(context.Background(), "jane", RequestMaxAttempts(1))
		require.ErrorContains(t, err, redact.Mark)
		assertNoSecret(t, formatted(t, err))
	}
}

// TestSecrets_KeyWhereBodyIsCut checks the beginning of a key at the end of what is read of an
// error: 8 characters of it are secret.
func TestSecrets_KeyWhereBodyIsCut(t *testing.T) {
	t.Parallel()
	for n := 1; n <= len(secret); n++ {
		lines := strings.Repeat("\n", maxErrorBody-1-n) // one separator in the message
		c, _, _ := scripted(t, []Option{WithAPIKey(secret)}, answers(400, "x"+lines+secret))
		_, err := c.User.Get(context.Background(), "jane")
		want := "x; " + redact.Mark
		if n < 8 {
			want = "x; " + secret[:n]
		}
		assert.Equal(t, want, requireError(t, err).Message, "%d characters", n)
	}
}

// opaqueError has no text of the error that it wraps.
type opaqueError struct{ inner error }

func (opaqueError) Error() string { return "broken" }

func (e opaqueError) Unwrap() error { return e.inner }

// TestSecrets_WrappedCause checks that no error in the chain has the key, also when the text of
// the outer error does not. Errors that callers match are kept.
func TestSecrets_WrappedCause(t *testing.T) {
	t.Parallel()
	leak := textError("malformed MIME header line: " + secret)
	for name, cause := range map[string]error{
		"wrapped":       opaqueError{leak},
		"wrapped twice": opaqueError{opaqueError{leak}},
		"joined":        opaqueError{errors.Join(errors.New("fine"), leak)},
		"joined and wrapped": opaqueError{
			fmt.Errorf("%w and %w", errors.New("fine"), opaqueError{leak}),
		},
	} {
		c, _, _ := scripted(t, []Option{WithAPIKey(secret)}, repeat(4, failsWith(cause))...)
		_, err := c.User.Get(context.Background(), "jane")
		require.Error(t, err)
		for _, cause := range errorTree(err) {
			assertNoSecret(t, cause.Error())
		}
		assert.NotErrorIs(t, err, leak, name)
	}
	for _, known := range []error{context.DeadlineExceeded, context.Canceled, ErrTooLarge} {
		attempt := failsWith(fmt.Errorf("%s: %w", secret, known))
		c, _, _ := scripted(t, []Option{WithAPIKey(secret)}, repeat(4, attempt)...)
		_, err := c.User.Get(context.Background(), "jane")
		require.ErrorIs(t, err, known)
		assertNoSecret(t, formatted(t, err))
	}
}

// textError is an error that reflection prints, as it does textproto.ProtocolError.
type textError string

func (e textError) Error() string { return string(e) }

// withHeader adds a header to the response of a step.
func withHeader(s step, name string, values ...string) step {
	return func(req *http.Request) (*http.Response, error) {
		resp, err := s(req)
		resp.Header[name] = values
		return resp, err
	}
}

// errorTree returns all errors that errors.As would look at.
func errorTree(err error) []error {
	if err == nil {
		return nil
	}
	found := []error{err}
	switch wrapper := err.(type) {
	case interface{ Unwrap() error }:
		found = append(found, errorTree(wrapper.Unwrap())...)
	case interface{ Unwrap() []error }:
		for _, inner := range wrapper.Unwrap() {
			found = append(found, errorTree(inner)...)
		}
	}
	return found
}

// TestSecrets_EchoedRequest checks the errors of net/http, which quote the response.
func TestSecrets_EchoedRequest(t *testing.T) {
	t.Parallel()
	for _, head := range []string{
		"Authorization: Bearer " + secret + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\nBearer " + secret + "\r\n\r\n",
		"HTTP/1.1 Bearer" + secret + " OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: " + secret + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: " + secret + "\r\n\r\n",
	} {
		c := clientWithRawServer(t, func(conn net.Conn) { _, _ = io.WriteString(conn, head) },
			WithAPIKey(secret))
		_, err := c.User.Get(context.Background(), "jane")
		e := requireError(t, err)
		assertNoSecret(t, formatted(t, e, *e))
		for _, cause := range errorTree(err) {
			assertNoSecret(t, cause.Error())
		}
		assertOneLine(t, err.Error())
	}
}
