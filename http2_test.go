//go:build go1.24

package zep

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestHTTP2_SilentConnection checks that a connection on which nothing comes any more is
// replaced: at most the calls that are under way notice.
func TestHTTP2_SilentConnection(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			assert.Equal(t, 2, r.ProtoMajor)
			_, _ = io.WriteString(w, janeJSON)
		}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)

	// A network that drops what the first connection carries, from then on.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var silent atomic.Bool
	var connections atomic.Int32
	serveConns(t, listener, func(client net.Conn) {
		first := connections.Add(1) == 1
		upstream, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			return
		}
		defer upstream.Close()
		forward := func(to, from net.Conn) {
			buffer := make([]byte, 4096)
			for {
				n, err := from.Read(buffer)
				if err != nil {
					_ = to.Close()
					return
				}
				if !first || !silent.Load() {
					_, _ = to.Write(buffer[:n])
				}
			}
		}
		var group sync.WaitGroup
		group.Add(1)
		go func() {
			defer group.Done()
			forward(client, upstream)
		}()
		forward(upstream, client)
		group.Wait()
	})

	c, err := NewClient(WithBaseURL("https://"+listener.Addr().String()), WithAPIKey(""))
	require.NoError(t, err)
	stopClock(c)
	transport := ownTransport(c)
	require.NotZero(t, transport.HTTP2.SendPingTimeout)
	transport.TLSClientConfig.InsecureSkipVerify = true
	transport.HTTP2.SendPingTimeout = 200 * time.Millisecond
	transport.HTTP2.PingTimeout = 200 * time.Millisecond
	t.Cleanup(transport.CloseIdleConnections)

	_, err = c.User.Get(context.Background(), "jane")
	require.NoError(t, err)
	silent.Store(true)
	for range 40 {
		_, err = c.User.Get(context.Background(), "jane", RequestTimeout(20*time.Second))
		require.NoError(t, err)
	}
	// A slow machine may take a live connection for a silent one, now and then.
	assert.GreaterOrEqual(t, connections.Load(), int32(2))
	assert.Less(t, connections.Load(), int32(10))
}
