package zep

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep/internal/redact"
)

func TestCaptureResponse(t *testing.T) {
	t.Parallel()
	version := []string{"X-Zep-Version", "v"}
	tests := map[string]struct {
		steps  []step
		status int // 0: none
		body   string
	}{
		"a success": {[]step{answers(200, janeJSON, version...)}, 200, janeJSON},
		"an error":  {[]step{answers(404, "not found\n", version...)}, 404, "not found\n"},
		"after retries": {
			[]step{answers(503, "busy"), neverDialled, answers(200, janeJSON, version...)},
			200, janeJSON,
		},
		"the last of many errors": {
			[]step{
				answers(503, "1"), answers(500, "2"), answers(502, "3"),
				answers(503, "4", version...),
			},
			503, "4",
		},
		"no response at all": {repeat(4, neverDialled), 0, ""},
		"before failed attempts": {
			[]step{answers(503, "busy", version...), neverDialled, neverDialled, neverDialled},
			503, "busy",
		},
		"an unexpected response": {repeat(4, answers(200, "null", version...)), 200, "null"},
		"a redirect with its Location": {
			[]step{answers(302, "", append(version, "Location", "http://zep.test/x")...)}, 302, "",
		},
		"64 KiB of an error": {
			[]step{answers(400, strings.Repeat("x", 100<<10), version...)},
			400, strings.Repeat("x", 64<<10),
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _, _ := scripted(t, []Option{WithAPIKey(secret)}, test.steps...)
			response := &http.Response{StatusCode: 999} // of an earlier call
			_, err := c.User.Get(context.Background(), "jane", CaptureResponse(&response))
			if test.status == 0 {
				assert.Nil(t, response)
				return
			}
			require.NotNil(t, response)
			assert.Equal(t, test.status, response.StatusCode)
			assert.Equal(t, "v", response.Header.Get("X-Zep-Version"))
			body, readErr := io.ReadAll(response.Body)
			require.NoError(t, readErr)
			assert.Equal(t, test.body, string(body))
			require.NoError(t, response.Body.Close())
			require.NotNil(t, response.Request)
			assert.Equal(t, "/zep/api/v1/user/jane", response.Request.URL.Path)
			assert.NotContains(t, response.Request.Header, "Authorization")
			assert.NotContains(t, fmt.Sprintf("%+v %#v", *response, response.Request), secret)
			if test.status == 302 {
				assert.Equal(t, "http://zep.test/x", response.Header.Get("Location"))
			}
			if err != nil {
				requireError(t, err)
			}
		})
	}
}

// TestCaptureResponse_Context checks that the request of a captured response has the context that
// the caller gave, and not that of the call, which has a deadline and the key.
func TestCaptureResponse_Context(t *testing.T) {
	t.Parallel()
	type keyType struct{}
	ctx := context.WithValue(context.Background(), keyType{}, "the caller's")
	c, _, _ := scripted(t, []Option{WithAPIKey(secret)}, answers(200, janeJSON))
	var response *http.Response
	_, err := c.User.Get(ctx, "jane", CaptureResponse(&response))
	require.NoError(t, err)
	kept := response.Request.Context()
	assert.Equal(t, "the caller's", kept.Value(keyType{}))
	assert.NoError(t, kept.Err())
}

// TestCaptureResponse_BodyNotReused checks that the next response does not overwrite a captured
// body.
func TestCaptureResponse_BodyNotReused(t *testing.T) {
	for range 10 {
		c, _, _ := scripted(t, nil,
			answers(200, janeJSON), answers(200, strings.Repeat(" ", len(janeJSON))+janeJSON))
		var response *http.Response
		_, err := c.User.Get(context.Background(), "jane", CaptureResponse(&response))
		require.NoError(t, err)
		_, err = c.User.Get(context.Background(), "jane")
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		assert.Equal(t, janeJSON, string(body))
	}
}

// TestCaptureResponse_HeaderIsCopy checks that writing to the header of a captured response does
// not change the error.
func TestCaptureResponse_HeaderIsCopy(t *testing.T) {
	t.Parallel()
	c, _, _ := scripted(t, nil, answers(404, "not found", "X-Zep-Version", "v"))
	var response *http.Response
	_, err := c.User.Get(context.Background(), "jane", CaptureResponse(&response))
	response.Header.Set("X-Zep-Version", "mine")
	assert.Equal(t, "v", requireError(t, err).Header.Get("X-Zep-Version"))
}

// TestResponse_HeaderNotModified checks a header that the Transport may return again.
func TestResponse_HeaderNotModified(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 302} {
		header := http.Header{"X-Echo": {"Bearer " + secret}, "Location": {"http://zep.test/x"}}
		kept := header.Clone()
		c, _, _ := scripted(t, []Option{WithAPIKey(secret)},
			func(req *http.Request) (*http.Response, error) {
				resp, err := answers(status, "no")(req)
				resp.Header = header
				return resp, err
			})
		_, err := c.User.Get(context.Background(), "jane")
		assert.Equal(t, redact.Mark, requireError(t, err).Header.Get("X-Echo"))
		assert.Equal(t, kept, header)
	}
}

func TestResponse_Unexpected(t *testing.T) {
	t.Parallel()
	var zipped bytes.Buffer
	zipper := gzip.NewWriter(&zipped)
	_, _ = io.WriteString(zipper, `{"user_id":"jane","email":"`+strings.Repeat("jane", 1000)+`"}`)
	require.NoError(t, zipper.Close())
	get := func(c *Client) error { _, err := c.User.Get(context.Background(), "jane"); return err }
	list := func(c *Client) error { _, err := c.User.List(context.Background(), nil); return err }
	write := func(status int, header map[string]string, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for name, value := range header {
				w.Header().Set(name, value)
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	gzipped := map[string]string{"Content-Encoding": "gzip"}
	tests := map[string]struct {
		handler  http.HandlerFunc
		call     func(*Client) error
		attempts int // what the table of retries says of reads
	}{
		"null for a record":   {write(200, nil, "null\n"), get, 4},
		"null in a list":      {write(200, nil, "[{},null]"), list, 4},
		"a list for a record": {write(200, nil, "[]"), get, 4},
		"a record for a list": {write(200, nil, "{}"), list, 4},
		"another type":        {write(200, nil, `{"user_id":7}`), get, 4},
		"empty for a record":  {write(200, nil, ""), get, 4},
		"empty for a list":    {write(200, nil, ""), list, 4},
		"no content":          {write(204, nil, ""), get, 4},
		"text":                {write(200, nil, "OK"), get, 4},
		"HTML":                {write(200, nil, "<!DOCTYPE html><title>welcome</title>"), get, 4},
		"HTML for a list":     {write(200, nil, "<html></html>"), list, 4},
		"half a record":       {write(200, nil, `{"user_id":"ja`), get, 4},
		"shorter than Content-Length": {
			write(200, map[string]string{"Content-Length": "100"}, `{"user_id":"jane"}`), get, 4,
		},
		"two records":     {write(200, nil, `{"user_id":"jane"}{}`), get, 4},
		"gzip, truncated": {write(200, gzipped, zipped.String()[:zipped.Len()-10]), get, 4},
		"not gzip":        {write(200, gzipped, janeJSON), get, 4},
		"gzip of nothing": {write(200, gzipped, ""), get, 4},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int32
			c, _ := clientWithServer(t, func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				test.handler(w, r)
			})
			err := test.call(c)
			e := requireError(t, err)
			assert.Equal(t, test.attempts, e.Attempts)
			assert.EqualValues(t, test.attempts, requests.Load())
			assert.Empty(t, matched(err))
			assert.NotContains(t, strings.ToLower(err.Error()), "html>")
			assertOneLine(t, err.Error())
		})
	}
	for name, body := range map[string]string{
		"null for a list": "null\n",
		"an empty list":   "[]\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _ := clientWithServer(t, write(200, nil, body))
			users, err := c.User.List(context.Background(), nil)
			require.NoError(t, err)
			assert.Empty(t, users)
			assert.NotNil(t, users)
		})
	}
	t.Run("gzip, whole", func(t *testing.T) {
		t.Parallel()
		c, _ := clientWithServer(t, write(200, gzipped, zipped.String()))
		require.NoError(t, get(c))
	})
	t.Run("gzip, over the limit", func(t *testing.T) {
		t.Parallel()
		c, _ := clientWithServer(t, write(200, gzipped, zipped.String()))
		limitResponses(c, 1000)
		require.ErrorIs(t, get(c), ErrTooLarge)
	})
}

// TestResponse_UnexpectedOfDelete checks that a page which a proxy sent with status 200 is not a
// success, nor is an empty body.
func TestResponse_UnexpectedOfDelete(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		" <html>please log in</html>": "an HTML page: not a Zep response",
		"":                            `"": not a Zep response`,
		"upstream said nothing":       `"upstream said nothing": not a Zep response`,
		`{"status":"OK"}`:             "not a Zep response",
	} {
		c, _, _ := scripted(t, nil, repeat(4, answers(200, body))...)
		require.ErrorContains(t, c.User.Delete(context.Background(), "jane"), want)
		gone := answers(404, "not found\n")
		c, _, _ = scripted(t, nil, answers(200, body), gone, gone)
		require.NoError(t, c.User.Delete(context.Background(), "jane"))
	}
	c, _, _ := scripted(t, nil, repeat(4, answers(200, "<html>please log in</html>"))...)
	_, err := c.Health(context.Background())
	require.ErrorContains(t, err, "an HTML page")
	c, _, _ = scripted(t, nil, answers(200, "OK\n"))
	require.NoError(t, c.User.Delete(context.Background(), "jane"))
}

func TestResponse_DeeplyNestedJSON(t *testing.T) {
	t.Parallel()
	const deep = 100_000
	lists := strings.Repeat("[", deep) + strings.Repeat("]", deep)
	objects := strings.Repeat(`{"a":`, deep) + "1" + strings.Repeat("}", deep)
	bodies := map[string]string{
		"lists":           lists,
		"objects":         objects,
		"lists, unclosed": strings.Repeat("[", deep),
		"in the metadata": `{"user_id":"jane","metadata":` + objects + "}",
		"in a new field":  `{"user_id":"jane","new":` + lists + "}",
	}
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _, _ := scripted(t, nil, repeat(2, answers(200, body))...)
			_, err := c.User.Get(context.Background(), "jane", RequestMaxAttempts(1))
			requireError(t, err)
			_, err = c.User.List(context.Background(), nil, RequestMaxAttempts(1))
			requireError(t, err)
			assertOneLine(t, err.Error())
		})
	}
}

func TestResponse_ListOfAMillion(t *testing.T) {
	t.Parallel()
	const million = 1_000_000
	body := `[{"user_id":"j"}` + strings.Repeat(`,{"user_id":"j"}`, million-1) + "]"
	c, _, _ := scripted(t, nil, answers(200, body))
	users, err := c.User.List(context.Background(), nil)
	require.NoError(t, err)
	assert.Len(t, users, million)
}

func TestResponse_OverLimit(t *testing.T) {
	t.Parallel()
	const limit = 1000
	whole := `{"user_id":"` + strings.Repeat("j", limit-14) + `"}`
	require.Len(t, whole, limit)
	c, _, _ := scripted(t, nil, answers(200, whole), answers(200, whole+" "))
	limitResponses(c, limit)
	id := strings.Repeat("j", limit-14)
	_, err := c.User.Get(context.Background(), id)
	require.NoError(t, err, "at the limit")
	_, err = c.User.Get(context.Background(), id)
	assert.Equal(t, []error{ErrTooLarge}, matched(err))
	assert.ErrorContains(t, err, "the response is over 1000 bytes")
	assert.Equal(t, 1, requireError(t, err).Attempts)
}

// writeEndlessly writes until an error, and counts the bytes.
func writeEndlessly(w io.Writer, chunk string, written *atomic.Int64) {
	for {
		n, err := io.WriteString(w, chunk)
		written.Add(int64(n))
		if err != nil {
			return
		}
	}
}

// maxEndless is more than all limits of these tests and the buffers of sockets together.
const maxEndless = 64 << 20

func TestResponse_Endless(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 400, 404, 503} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			var written atomic.Int64
			c, server := clientWithServer(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(status)
				writeEndlessly(w, strings.Repeat("x", 8<<10), &written)
			})
			limitResponses(c, 1<<20)
			_, err := c.User.Get(context.Background(), "jane", RequestMaxAttempts(2))
			e := requireError(t, err)
			assert.Equal(t, status, e.StatusCode)
			assert.LessOrEqual(t, len(e.Message), 4<<10)
			if status == 200 {
				assert.Equal(t, []error{ErrTooLarge}, matched(err))
				assert.Equal(t, 1, e.Attempts)
			}
			server.Close() // waits for the handler, which ends with the connection
			assert.Less(t, written.Load(), int64(maxEndless))
		})
	}
}

// TestResponse_TruncatedRefusal checks that the status of a refusal proves that nothing was done,
// and that the missing part of its text is not guessed.
func TestResponse_TruncatedRefusal(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, status := range []int{400, 401, 404, 425, 429} {
		c, s, _ := scripted(t, nil, truncated(status, "b"), answers(200, `{"user_id":"jane"}`))
		err := writeNoRetry(ctx, c)
		require.NoError(t, err, status)
		assert.Len(t, s.requests(), 2)
	}
	for _, status := range []int{408, 500, 502, 503, 524} {
		c, s, _ := scripted(t, nil, truncated(status, "b"))
		require.ErrorIs(t, writeNoRetry(ctx, c), ErrAmbiguous, status)
		assert.Len(t, s.requests(), 1)
	}
	c, _, _ := scripted(t, nil, truncated(404, "not found\n"), answers(404, "not found\n"))
	assert.Equal(t, []error{ErrNotFound}, matched(c.User.Delete(ctx, "jane")),
		"it was not this call that deleted it")

	c, _, _ = scripted(t, nil, truncated(400, userTaken), answers(400, userTaken))
	_, err := c.User.Add(ctx, &CreateUserRequest{UserID: "jane"})
	assert.Equal(t, []error{ErrAlreadyExists}, matched(err), "it was not this call that added it")

	for status, want := range map[int][]error{
		404: nil,
		400: nil,
		401: {ErrUnauthorized},
		413: {ErrTooLarge},
		503: {ErrServer},
	} {
		c, _, _ := scripted(t, nil, repeat(4, truncated(status, "not found"))...)
		_, err := c.User.Get(ctx, "jane")
		assert.Equal(t, want, matched(err), status)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	}
	c, _, _ = scripted(t, nil, truncated(500, "failed"))
	err = writeNoRetry(ctx, c)
	assert.ErrorContains(t, err, "may have been carried out", "a 500 proves nothing")
}

// closeCountingBody counts the calls of Close.
type closeCountingBody struct {
	io.Reader
	closed atomic.Int32
}

func (c *closeCountingBody) Close() error {
	c.closed.Add(1)
	return nil
}

// TestResponse_BodyClosed checks that each body is closed, also one that is not read to its end.
func TestResponse_BodyClosed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		body   io.Reader
	}{
		"a success":      {200, strings.NewReader(janeJSON)},
		"over the limit": {200, strings.NewReader(strings.Repeat(" ", 10_000))},
		"cut short": {
			200, io.MultiReader(strings.NewReader("{"), failingReader{errors.New("cut")}),
		},
		"a refusal":           {400, strings.NewReader("no")},
		"an endless refusal":  {400, io.LimitReader(zeroReader{}, 10<<20)},
		"a refusal cut short": {400, failingReader{errors.New("cut")}},
		"a redirect":          {302, strings.NewReader("there")},
		"another protocol":    {101, strings.NewReader("")},
	} {
		body := &closeCountingBody{Reader: test.body}
		c, _ := clientWith(t, roundTripFunc(func(req *http.Request) (*http.Response, error) {
			resp, err := answers(test.status, "")(req)
			resp.Body = body
			return resp, err
		}))
		limitResponses(c, 1000)
		_, _ = c.User.Get(context.Background(), "jane", RequestMaxAttempts(1))
		assert.EqualValues(t, 1, body.closed.Load(), name)
	}
}

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) { return len(p), nil }

// TestResponse_LargeBufferNotPooled checks that the memory of a large response is not kept for the
// small ones that follow.
func TestResponse_LargeBufferNotPooled(t *testing.T) {
	bodies := map[string]struct {
		size, limit int
	}{
		"a large body":                   {2 * maxPooled, maxBody},
		"a large buffer, a smaller body": {maxPooled * 3 / 4, maxPooled},
	}
	for name, body := range bodies {
		for range 3 {
			c, _, _ := scripted(t, nil, answers(200, janeJSON+strings.Repeat(" ", body.size)))
			limitResponses(c, int64(body.limit))
			_, err := c.User.Get(context.Background(), "jane")
			require.NoError(t, err)
			buffer := buffers.Get().(*bytes.Buffer)
			assert.LessOrEqual(t, buffer.Cap(), maxPooled, name)
		}
	}
}

// TestResponse_InformationalBodyNotRead checks a response whose body is the connection, or is none:
// net/http returns only the 101, another http.RoundTripper may return any.
func TestResponse_InformationalBodyNotRead(t *testing.T) {
	t.Parallel()
	for _, status := range []int{100, 101, 102, 103, 199} {
		read := false
		body := readFunc(func([]byte) (int, error) { read = true; return 0, io.EOF })
		c, _, _ := scripted(t, nil, answersWithBody(status, body))
		_, err := c.User.Get(context.Background(), "jane", RequestMaxAttempts(1))
		assert.Equal(t, status, requireError(t, err).StatusCode)
		assert.False(t, read, status)
	}
}

// readFunc is a function as a reader.
type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// TestResponse_TricklingError checks that the text of an error is not waited for until the
// deadline.
func TestResponse_TricklingError(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 502} {
		c, _ := clientWithServer(t, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "not ")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		})
		c.maxErrorTime = 10 * time.Millisecond
		_, err := c.User.Add(context.Background(), &CreateUserRequest{UserID: "jane"},
			RequestMaxAttempts(1), RequestTimeout(10*time.Second))
		require.ErrorContains(t, err, "did not come to its end")
		require.NotErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, status, requireError(t, err).StatusCode)
		assert.Equal(t, status == 502, errors.Is(err, ErrAmbiguous))
	}
}

// slowToEncode takes its time to become JSON.
type slowToEncode struct{ took time.Duration }

func (s slowToEncode) MarshalJSON() ([]byte, error) {
	for began := time.Now(); time.Since(began) < s.took; {
	}
	return []byte("1"), nil
}

func TestTimeout_CountsEncoding(t *testing.T) {
	t.Parallel()
	c, s, _ := scripted(t, nil)
	metadata := Metadata{"slow": slowToEncode{20 * time.Millisecond}}
	_, err := c.User.Add(context.Background(), &CreateUserRequest{UserID: "jane", Metadata: metadata},
		RequestTimeout(10*time.Millisecond))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Empty(t, s.requests())
}
