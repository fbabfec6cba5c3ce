package otelzep_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/zeptest"
)

// cutBody is a success whose body ends early.
var cutBody = zeptest.Fault{
	Status: 200,
	Header: http.Header{"Content-Length": {"1000"}},
	Body:   `{"user_id":`,
}

func TestMiddleware_CutBody(t *testing.T) {
	t.Parallel()
	o := newTelemetry(t)
	client, server := newClient(t, o)
	server.Inject(cutBody)
	_, err := client.User.Get(within(t), "jane")
	require.NoError(t, err)
	spans := o.taken()
	require.Len(t, spans, 2)
	found := values(spans[0].Attributes)
	assert.Equal(t, int64(200), found["http.response.status_code"])
	assert.Equal(t, "io.ErrUnexpectedEOF", found["error.type"])
	assert.Equal(t, codes.Error, spans[0].Status.Code)
	assert.Equal(t, int64(1), values(spans[1].Attributes)["http.request.resend_count"])
	assert.NotContains(t, values(spans[1].Attributes), "error.type")
}

// TestMiddleware_Errors gives the error.type of what a transport returns, and of a body that
// cannot be read.
func TestMiddleware_Errors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err  error
		want string
	}{
		{io.EOF, "io.EOF"},
		{fmt.Errorf("read: %w", io.ErrUnexpectedEOF), "io.ErrUnexpectedEOF"},
		{&net.OpError{Op: "dial", Err: errors.New("refused")}, "*net.OpError"},
		{fmt.Errorf("proxy: %w", &net.DNSError{}), "*net.DNSError"},
		{context.DeadlineExceeded, "context.deadlineExceededError"},
		{errors.New("user jane"), "*errors.errorString"},
		{context.Canceled, "*errors.errorString"}, // not by the context of the request
	} {
		for _, inBody := range []bool{false, true} {
			if inBody && test.err == io.EOF {
				continue // is no error of a body
			}
			o := newTelemetry(t)
			rt := o.middleware()(roundTripFunc(func(*http.Request) (*http.Response, error) {
				if !inBody {
					return nil, test.err
				}
				return &http.Response{
					StatusCode: 200,
					Body:       io.NopCloser(iotest.ErrReader(test.err)),
				}, nil
			}))
			resp, err := rt.RoundTrip(httptest.NewRequest("GET", "http://zep.test/", nil))
			if inBody {
				_, err = io.ReadAll(resp.Body)
				require.NoError(t, resp.Body.Close(), "after the end")
			}
			require.Equal(t, test.err, err)
			span := o.one()
			assert.Equal(t, codes.Error, span.Status.Code)
			assert.Empty(t, span.Status.Description)
			assert.Equal(t, test.want, values(span.Attributes)["error.type"])
			points := o.points()
			require.Len(t, points, 1)
			assert.Equal(t, test.want, values(points[0].Attributes.ToSlice())["error.type"])
		}
	}
}

func TestMiddleware_NoResponse(t *testing.T) {
	t.Parallel()
	o := newTelemetry(t)
	rt := o.middleware()(roundTripFunc(func(*http.Request) (*http.Response, error) {
		return nil, nil
	}))
	resp, err := rt.RoundTrip(httptest.NewRequest("GET", "http://zep.test/", nil))
	require.NoError(t, err)
	require.Nil(t, resp)
	assert.Equal(t, "_OTHER", values(o.one().Attributes)["error.type"])
}

// TestMiddleware_Status gives the status of the span for that of the response. An error in the
// body of an error changes nothing.
func TestMiddleware_Status(t *testing.T) {
	t.Parallel()
	for status, failed := range map[int]bool{
		99: true, 101: false, 200: false, 204: false, 302: false, 399: false, 400: true, 404: true,
		429: true, 500: true, 599: true, 600: true,
	} {
		o := newTelemetry(t)
		conn := struct{ io.ReadWriteCloser }{}
		rt := o.middleware()(roundTripFunc(func(*http.Request) (*http.Response, error) {
			resp := &http.Response{StatusCode: status, Proto: "HTTP/1.0", Body: http.NoBody}
			switch {
			case status == http.StatusSwitchingProtocols:
				resp.Body = conn
			case failed:
				resp.Body = io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF))
			}
			return resp, nil
		}))
		resp, err := rt.RoundTrip(httptest.NewRequest("GET", "https://zep.test/", nil))
		require.NoError(t, err)
		if status == http.StatusSwitchingProtocols {
			assert.Equal(t, conn, resp.Body, "is also written to")
		}
		if failed {
			_, err := io.ReadAll(resp.Body)
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		}
		span := o.one()
		found := values(span.Attributes)
		assert.Equal(t, int64(status), found["http.response.status_code"])
		assert.Equal(t, "1.0", found["network.protocol.version"])
		assert.Equal(t, int64(443), found["server.port"])
		if failed {
			assert.Equal(t, codes.Error, span.Status.Code, status)
			assert.Equal(t, fmt.Sprint(status), found["error.type"])
		} else {
			assert.Equal(t, codes.Unset, span.Status.Code, status)
			assert.NotContains(t, found, "error.type", status)
		}
	}
}

// hang answers a request with the first bytes of a body, or not at all, and calls arrived. The
// request ends when the client leaves.
func hang(answer bool, arrived func()) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if answer {
			_, _ = w.Write([]byte(`{"user_id":`))
			w.(http.Flusher).Flush()
		}
		arrived()
		<-r.Context().Done()
	}
}

// TestMiddleware_Canceled checks that a call that its caller gave up is no error.
func TestMiddleware_Canceled(t *testing.T) {
	t.Parallel()
	for _, answer := range []bool{false, true} {
		o := newTelemetry(t)
		ctx, cancel := context.WithCancelCause(within(t))
		giveUp := func() { cancel(errors.New("no longer needed")) }
		onArrival, onFirstBytes := giveUp, func() {}
		if answer {
			onArrival, onFirstBytes = onFirstBytes, onArrival
		}
		client := newClientOf(t, o, hang(answer, onArrival),
			zep.WithMiddleware(onBody(onFirstBytes)))
		_, err := client.User.Get(ctx, "jane")
		require.ErrorIs(t, err, context.Canceled)
		span := o.one()
		assert.Equal(t, codes.Unset, span.Status.Code)
		assert.NotContains(t, values(span.Attributes), "error.type")
		assert.Equal(t, answer, values(span.Attributes)["http.response.status_code"] != nil)
		points := o.points()
		require.Len(t, points, 1)
		assert.NotContains(t, values(points[0].Attributes.ToSlice()), "error.type")
	}
}

// onBody is a middleware that calls a function after the first bytes of a body were read.
func onBody(f func()) func(http.RoundTripper) http.RoundTripper {
	return func(next http.RoundTripper) http.RoundTripper {
		return roundTripFunc(func(req *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(req)
			if err == nil {
				resp.Body = &watchedBody{resp.Body, f}
			}
			return resp, err
		})
	}
}

type watchedBody struct {
	io.ReadCloser
	f func()
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.f()
	}
	return n, err
}

func TestMiddleware_Deadline(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]bool{"no response": false, "half a body": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newTelemetry(t)
			client := newClientOf(t, o, hang(answer, func() {}))
			_, err := client.User.Get(within(t), "jane", zep.RequestTimeout(time.Second))
			require.ErrorIs(t, err, context.DeadlineExceeded)
			span := o.one()
			assert.Equal(t, codes.Error, span.Status.Code)
			assert.Equal(t, "context.deadlineExceededError", values(span.Attributes)["error.type"])
		})
	}
}

// TestMiddleware_DeadlineOfTransport checks that a transport's own error does not hide that the time
// ran out.
func TestMiddleware_DeadlineOfTransport(t *testing.T) {
	t.Parallel()
	o := newTelemetry(t)
	rt := o.middleware()(roundTripFunc(func(req *http.Request) (*http.Response, error) {
		return nil, &net.OpError{Op: "dial", Err: req.Context().Err()}
	}))
	ctx, cancel := context.WithDeadline(context.Background(), time.Now().Add(-time.Second))
	defer cancel()
	_, err := rt.RoundTrip(httptest.NewRequestWithContext(ctx, "GET", "http://zep.test/", nil))
	require.Error(t, err)
	assert.Equal(t, "context.deadlineExceededError", values(o.one().Attributes)["error.type"])
}

// TestMiddleware_GivenUpUpdate checks that the span of an update that goes on in the background
// ends with its response.
func TestMiddleware_GivenUpUpdate(t *testing.T) {
	t.Parallel()
	o := newTelemetry(t)
	ctx, cancel := context.WithCancel(within(t))
	answer := make(chan struct{})
	client := newClientOf(t, o, func(w http.ResponseWriter, r *http.Request) {
		cancel()
		<-answer
		_, _ = w.Write([]byte(`{"user_id":"jane"}`))
	})
	_, err := client.User.Update(ctx, &zep.UpdateUserRequest{
		UserID:   "jane",
		Metadata: zep.Metadata{"a": 1},
	})
	require.ErrorIs(t, err, zep.ErrAmbiguous)
	assert.Empty(t, o.taken())
	close(answer)
	require.NoError(t, client.Wait(within(t)))
	span := o.one()
	assert.Equal(t, codes.Unset, span.Status.Code)
	assert.Equal(t, int64(200), values(span.Attributes)["http.response.status_code"])
}

// TestMiddleware_EndsOnce closes a body that is being read, and one that was read.
func TestMiddleware_EndsOnce(t *testing.T) {
	t.Parallel()
	o := newTelemetry(t)
	rt := o.middleware()(roundTripFunc(func(*http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: 200,
			Body:       io.NopCloser(strings.NewReader(strings.Repeat("x", 1<<16))),
		}, nil
	}))
	resp, err := rt.RoundTrip(httptest.NewRequest("GET", "http://zep.test/", nil))
	require.NoError(t, err)
	read := make(chan error)
	go func() {
		_, err := io.Copy(io.Discard, resp.Body)
		read <- err
	}()
	require.NoError(t, resp.Body.Close())
	require.NoError(t, <-read)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, codes.Unset, o.one().Status.Code)
	assert.Equal(t, uint64(1), o.points()[0].Count)
}
