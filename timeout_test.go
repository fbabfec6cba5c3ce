package zep

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

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
					WithHTTPClient(&http.Client{Timeout: 2 * time.Millisecond, Transport: transport}))
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
