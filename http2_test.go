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

// TestHTTP2_ConnectionNotClosed checks that the connection of an ambiguous attempt is kept over
// HTTP/2: other calls share it.
func TestHTTP2_ConnectionNotClosed(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*httptest.Server, *http.Transport){
		"TLS": func(server *httptest.Server, _ *http.Transport) {
			server.EnableHTTP2 = true
			server.StartTLS()
		},
		"no TLS": func(server *httptest.Server, transport *http.Transport) {
			for _, p := range []**http.Protocols{&server.Config.Protocols, &transport.Protocols} {
				*p = new(http.Protocols)
				(*p).SetUnencryptedHTTP2(true)
			}
			server.Start()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var conns sync.Map
			server := httptest.NewUnstartedServer(http.HandlerFunc(
				func(w http.ResponseWriter, r *http.Request) {
					assert.Equal(t, 2, r.ProtoMajor)
					conns.Store(r.RemoteAddr, true)
					if r.Header.Get("X-Answer") != "" {
						w.WriteHeader(http.StatusBadGateway)
					}
					_, _ = io.WriteString(w, janeJSON)
				}))
			transport := NewTransport()
			transport.TLSClientConfig.InsecureSkipVerify = true
			start(server, transport)
			t.Cleanup(server.Close)
			t.Cleanup(transport.CloseIdleConnections)
			c := clientOf(t, server.URL, WithHTTPClient(&http.Client{Transport: transport}))
			require.NoError(t, writeNoRetry(context.Background(), c))
			var group sync.WaitGroup
			for range 8 {
				group.Add(1)
				go func() {
					defer group.Done()
					for range 20 {
						err := writeNoRetry(context.Background(), c, RequestHeader("X-Answer", "502"))
						assert.ErrorIs(t, err, ErrAmbiguous)
						assert.NoError(t, writeNoRetry(context.Background(), c))
					}
				}()
			}
			group.Wait()
			count := 0
			conns.Range(func(any, any) bool { count++; return true })
			assert.Equal(t, 1, count)
		})
	}
}

// TestHTTP2_WithoutTLS checks that reads are traced too if the program lets net/http send HTTP/2
// without TLS: it would repeat them by itself when the server resets the stream.
func TestHTTP2_WithoutTLS(t *testing.T) {
	t.Parallel()
	c, err := NewClient(WithBaseURL(mockURL), WithAPIKey(""))
	require.NoError(t, err)
	assert.True(t, c.onlyHTTP1())
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	ownTransport(c).Protocols = protocols
	assert.False(t, c.onlyHTTP1())
}
