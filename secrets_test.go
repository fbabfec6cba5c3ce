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
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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

// assertNoSecret fails if the text has the key, its hexadecimal form or a large part of it.
func assertNoSecret(t *testing.T, text string) {
	t.Helper()
	for _, form := range []string{
		secret, fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret), "the-secret-of",
	} {
		if i := strings.Index(text, form); i >= 0 {
			assert.Failf(t, "the text has the key", "%.300s", text[max(0, i-200):])
			return
		}
	}
}

func TestSecrets_FormattedClient(t *testing.T) {
	t.Parallel()
	opt := WithAPIKey(secret)
	requestOpt := RequestHeader("Authorization", "Bearer "+secret)
	c, s, _ := scripted(t, []Option{opt}, answers(200, janeJSON))
	own, err := NewClient(WithBaseURL(mockURL), opt)
	require.NoError(t, err)
	assertNoSecret(t, formatted(t, c, *c, own, *own, c.config, c.http, opt, requestOpt,
		[]Option{opt}, struct{ C *Client }{c}, map[string]any{"client": *c}))
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
		"in a header":                answers(400, "no", "X-Echo", "Bearer "+secret),
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

// TestSecrets_KeyWhereMessageIsCut checks that the key is removed before a message is shortened.
func TestSecrets_KeyWhereMessageIsCut(t *testing.T) {
	t.Parallel()
	for n := range 200 {
		c, _, _ := scripted(t, []Option{WithAPIKey(secret)},
			answers(200, strings.Repeat("x", n)+secret))
		err := c.User.Delete(context.Background(), "jane", RequestMaxAttempts(1))
		require.ErrorContains(t, err, redacted)
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
		want := "x; " + redacted
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
