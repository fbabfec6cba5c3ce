package zep

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestClientTimeout_IsDeadlineExceeded checks how the Timeout of the caller's http.Client ends a
// call, wherever it strikes: net/http has more than one error for it.
func TestClientTimeout_IsDeadlineExceeded(t *testing.T) {
	t.Parallel()
	hang := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then the server sees that the client leaves
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
	handlers := map[string]http.HandlerFunc{
		"before the response": func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		},
		"in the body": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, `{"user_id":`)
			hang(w, r)
		},
		"in the body of a refusal": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, `disk`)
			hang(w, r)
		},
	}
	calls := map[string]func(context.Context, *Client, ...RequestOption) error{
		"read": callKinds["read"],
		"add":  callKinds["reconciled write"],
		"metadata update": func(ctx context.Context, c *Client, opts ...RequestOption) error {
			_, err := c.User.Update(ctx,
				&UpdateUserRequest{UserID: "jane", Metadata: Metadata{"a": 1}}, opts...)
			return err
		},
	}
	for where, handler := range handlers {
		for what, call := range calls {
			t.Run(what+"/"+where, func(t *testing.T) {
				t.Parallel()
				transport := &http.Transport{}
				t.Cleanup(transport.CloseIdleConnections)
				c, _ := clientWithServer(t, handler,
					WithHTTPClient(&http.Client{
						Timeout:   2 * time.Millisecond,
						Transport: transport,
					}))
				for range 100 {
					err := call(context.Background(), c, RequestMaxAttempts(1))
					e := requireError(t, err)
					require.ErrorIs(t, err, context.DeadlineExceeded)
					require.NotErrorIs(t, err, context.Canceled)
					require.True(t, e.Timeout())
					require.ErrorContains(t, err, context.DeadlineExceeded.Error())
				}
				require.NoError(t, c.Wait(context.Background()))
			})
		}
	}
}

// TestError_LastAnswerKept checks that an error keeps the last answer when time runs out, or the
// context ends, in a later attempt.
func TestError_LastAnswerKept(t *testing.T) {
	t.Parallel()
	hang := func(req *http.Request) (*http.Response, error) {
		reportWritten(req, nil)
		<-req.Context().Done()
		return nil, req.Context().Err()
	}
	cutBody := func(req *http.Request) (*http.Response, error) {
		return answersWithBody(200, failingReader{context.DeadlineExceeded})(req)
	}
	clientTimeout := failsWith(fmt.Errorf(
		"net/http: %w (Client.Timeout exceeded while awaiting headers)", context.DeadlineExceeded))
	first := answers(500, "disk full: first", "X-N", "1")
	second := answers(500, "disk full: second", "X-N", "2")
	const inTime = ": context deadline exceeded"
	tests := map[string]struct {
		call    string
		cancel  bool // in the last step
		steps   []step
		want    string // after the path
		header  string
		matches []error
	}{
		"time runs out in an attempt": {
			"read", false, []step{first, second, hang},
			"500: disk full: second" + inTime + " (3 attempts)", "2", []error{ErrServer},
		},
		"time runs out in a body": {
			"read", false, []step{first, second, cutBody, cutBody},
			"500: disk full: second" + inTime + " (4 attempts)", "2", []error{ErrServer},
		},
		"the client's timeout": {
			"read", false, []step{first, clientTimeout, clientTimeout, clientTimeout},
			"500: disk full: first" + inTime + " (4 attempts)", "1", []error{ErrServer},
		},
		"the context ends in an attempt": {
			"read", true, []step{first, hang},
			"500: disk full: first: context canceled (2 attempts)", "1", []error{ErrServer},
		},
		"the network fails before that": {
			"read", false, []step{first, answerLost, hang},
			"500: disk full: first" + inTime + " (3 attempts)", "1", []error{ErrServer},
		},
		"an answer without a word": {
			"read", false, []step{answers(429, "", "X-N", "1"), hang},
			"429 Too Many Requests" + inTime + " (2 attempts)", "1", []error{ErrRateLimited},
		},
		"an answer that is not Zep's": {
			"read", false, []step{answers(200, "<html>", "X-N", "1"), hang},
			"200: unexpected response: an HTML page: not a Zep response" + inTime +
				" (2 attempts)", "1", nil,
		},
		"of a write": {
			"reconciled write", false, []step{answers(429, "slow down", "X-N", "1"), hang},
			"429: slow down" + inTime + " (2 attempts); the outcome of an attempt is unknown: " +
				"it may have been carried out", "1", []error{ErrRateLimited},
		},
		"no answer": {
			"read", false, []step{answerLost, hang},
			"context deadline exceeded (2 attempts)", "", nil,
		},
		"time does not run out": {
			"read", false, append([]step{first}, repeat(3, answerLost)...),
			"read tcp: read: connection reset by peer (4 attempts)", "", nil,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			steps := slices.Clone(test.steps)
			last := steps[len(steps)-1]
			steps[len(steps)-1] = func(req *http.Request) (*http.Response, error) {
				if test.cancel {
					cancel()
				}
				return last(req)
			}
			c, _, _ := scripted(t, []Option{WithBackoff(0, 0)}, steps...)
			err := callKinds[test.call](ctx, c, RequestTimeout(200*time.Millisecond))
			e := requireError(t, err)
			_, text, _ := strings.Cut(err.Error(), "/zep/api/v1/user: ")
			if test.call == "read" {
				_, text, _ = strings.Cut(err.Error(), "/zep/api/v1/user/jane: ")
			}
			assert.Equal(t, test.want, text)
			assert.Equal(t, test.header, e.Header.Get("X-N"))
			assert.Equal(t, test.header != "", e.StatusCode != 0)
			assert.Equal(t, test.matches, matched(err))
			assert.Equal(t, len(test.steps), e.Attempts)
			inTime := strings.Contains(test.want, "deadline")
			assert.Equal(t, inTime, errors.Is(err, context.DeadlineExceeded))
			assert.Equal(t, inTime, e.Timeout())
			assert.Equal(t, test.cancel, errors.Is(err, context.Canceled))
			assert.Equal(t, test.call != "read", errors.Is(err, ErrAmbiguous))
			assertOneLine(t, err.Error())
		})
	}
}

// TestMemoryAdd_TimeRunsOutInReadBack checks that a 500 without a word, which says that a message
// is in no session, does not say so if time runs out after it.
func TestMemoryAdd_TimeRunsOutInReadBack(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	c, _, _ := scripted(t, nil, answerLost, answers(500, messageTaken), answers(500, ""),
		func(*http.Request) (*http.Response, error) {
			cancel()
			return nil, context.Canceled
		})
	err := c.Memory.Add(ctx, "s", &AddMemoryRequest{Messages: []*Message{{UUID: uuid1}}})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "could not verify")
}
