//go:build go1.24

package chaos

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// resetsStream reports whether a fault leaves a response without its end.
func resetsStream(name string) bool {
	for _, prefix := range []string{"cut", "reset", "no HTTP"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// TestH2C_Faults checks what a client gets of each fault. net/http repeats a request whose stream
// was refused, so that code is tested on responses that have begun.
func TestH2C_Faults(t *testing.T) {
	t.Parallel()
	for code, text := range map[ResetCode]string{
		ResetInternal: "INTERNAL_ERROR",
		ResetCancel:   "CANCEL",
		ResetRefused:  "REFUSED_STREAM",
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			server := &counter{}
			p := NewH2C(server, 1, 1, code)
			t.Cleanup(p.Close)
			transport := H2CTransport()
			t.Cleanup(transport.CloseIdleConnections)
			connections := 0
			left := map[string]int{} // how many times each fault is still to be checked
			for _, f := range faults {
				if !f.cancels && !f.slow {
					left[f.name] = 3
				}
			}
			for i := 0; len(left) > 0; i++ {
				call := &Call{Label: fmt.Sprint(i)}
				drawn := p.draw(p.random(call.Label, 0), call)
				resets := resetsStream(drawn.name)
				begun := drawn.name == "cut in the body" || drawn.name == "cut in a chunk"
				if left[drawn.name] == 0 || code == ResetRefused && resets && !begun {
					delete(left, drawn.name)
					continue
				}
				if left[drawn.name]--; left[drawn.name] == 0 {
					delete(left, drawn.name)
				}
				before := server.Load()
				ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
					GotConn: func(info httptrace.GotConnInfo) {
						if !info.Reused {
							connections++
						}
					},
				})
				unwatch := p.Watch(call)
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.URL+"/path",
					strings.NewReader(strings.Repeat("body ", 2000)))
				require.NoError(t, err)
				req.Header.Set(Header, call.Label)
				response, err := transport.RoundTrip(req)
				if err == nil {
					assert.Equal(t, 2, response.ProtoMajor)
					var body []byte
					body, err = io.ReadAll(response.Body)
					_ = response.Body.Close()
					assert.NotEqual(t, wholeBody, string(body), drawn.name)
				}
				unwatch()
				assert.Len(t, call.Exchanges(), 1, drawn.name)
				assert.Equal(t, drawn.handle, server.Load() > before, drawn.name)
				if resets {
					require.ErrorContains(t, err, text, drawn.name)
				}
			}
			assert.Equal(t, 1, connections, "the other streams keep their connection")
		})
	}
}

// TestH2C_WholeResponses checks that responses are complete, also those after which the proxy
// closes an HTTP/1.1 connection.
func TestH2C_WholeResponses(t *testing.T) {
	t.Parallel()
	p := NewH2C(&counter{}, 1, 0.5, ResetInternal)
	t.Cleanup(p.Close)
	transport := H2CTransport()
	t.Cleanup(transport.CloseIdleConnections)
	seen := map[string]int{}
	for i := 0; seen[lastOfConnection.name] < 3 || seen[noFault.name] < 3; i++ {
		call := &Call{Label: fmt.Sprint(i)}
		drawn := p.draw(p.random(call.Label, 0), call)
		if drawn != &lastOfConnection && drawn != &noFault {
			continue
		}
		seen[drawn.name]++
		req, err := http.NewRequest(http.MethodPost, p.URL+"/path", strings.NewReader("body"))
		require.NoError(t, err)
		req.Header.Set(Header, call.Label)
		response, err := transport.RoundTrip(req)
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		_ = response.Body.Close()
		assert.Equal(t, http.StatusCreated, response.StatusCode)
		assert.Equal(t, wholeBody, string(body))
		assert.Equal(t, "yes", response.Header.Get("X-Server"))
	}
}
