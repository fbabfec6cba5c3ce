package zep

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRedirect_NotFollowed(t *testing.T) {
	t.Parallel()
	var hits atomic.Int32
	count := func(http.ResponseWriter, *http.Request) { hits.Add(1) }
	elsewhere := httptest.NewServer(http.HandlerFunc(count))
	t.Cleanup(elsewhere.Close)
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	follow := func(*http.Request, []*http.Request) error { return nil }
	clients := map[string][]Option{
		"own client":           nil,
		"client of the caller": {WithHTTPClient(&http.Client{Transport: transport})},
		"client that follows": {
			WithHTTPClient(&http.Client{Transport: transport, CheckRedirect: follow}),
		},
		"client with a jar": {WithHTTPClient(&http.Client{Transport: transport, Jar: jar})},
		"client with a timeout": {
			WithHTTPClient(&http.Client{Transport: transport, Timeout: time.Minute}),
		},
	}
	target := elsewhere.Listener.Addr().String()
	const withPassword = "http://user:p4ssw0rd"
	const notURL = "redirects to a Location that is not a URL"
	locations := map[string]string{ // Location → message
		"http://" + target + "/login": "redirects to http://" + target + "/login",
		withPassword + "@" + target + "/a%2Fb?token=p4ssw0rd#p4ssw0rd": "redirects to http://" +
			target + "/a%2Fb",
		"//" + target + "/x":             "redirects to //" + target + "/x",
		"/zep/api/v1/elsewhere?p4ssw0rd": "redirects to /zep/api/v1/elsewhere",
		"http://[::1":                    notURL,
		withPassword + "@host:port/":     notURL,
		"%zz":                            notURL,
	}
	for name, opts := range clients {
		for _, status := range []int{301, 302, 303, 307, 308} {
			t.Run(fmt.Sprintf("%s/%d", name, status), func(t *testing.T) {
				t.Parallel()
				var location atomic.Value
				var requests atomic.Int32
				c, _ := clientWithServer(t, func(w http.ResponseWriter, _ *http.Request) {
					requests.Add(1)
					w.Header()["Location"] = []string{location.Load().(string)}
					w.WriteHeader(status)
				}, append(opts, WithAPIKey(secret))...)
				for to, want := range locations {
					location.Store(to)
					_, get := c.User.Get(context.Background(), "jane")
					_, add := c.User.Add(context.Background(), &CreateUserRequest{UserID: "jane"})
					for _, err := range []error{
						get, add, c.User.Delete(context.Background(), "jane"),
					} {
						e := requireError(t, err)
						assert.Equal(t, status, e.StatusCode)
						assert.Equal(t, 1, e.Attempts)
						assert.Equal(t, want, e.Message)
						assert.ErrorContains(t, err, "redirects are not followed")
						assert.NotContains(t, err.Error(), "p4ssw0rd")
						assert.Empty(t, matched(err))
					}
				}
				assert.EqualValues(t, 3*len(locations), requests.Load())
			})
		}
	}
	t.Cleanup(func() { assert.Zero(t, hits.Load(), "no request goes to the Location") })
}

// clientWithTLSServer starts a server with a certificate, and returns a client of it that uses its
// own transport and trusts the certificate. In base, "host" stands for the address of the server.
func clientWithTLSServer(
	t *testing.T, configure func(*httptest.Server), base string,
) (*Client, *atomic.Int32) {
	t.Helper()
	var requests atomic.Int32
	handler := func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		w.Header().Set("X-Zep-Version", r.Proto)
		_, _ = io.WriteString(w, janeJSON)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(handler))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	configure(server)
	server.StartTLS()
	t.Cleanup(server.Close)
	base = strings.Replace(base, "host", server.Listener.Addr().String(), 1)
	c, err := NewClient(WithBaseURL(base), WithAPIKey(secret))
	require.NoError(t, err)
	stopClock(c)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	ownTransport(c).TLSClientConfig.RootCAs = roots
	return c, &requests
}

func TestTLS(t *testing.T) {
	t.Parallel()
	plain := func(*httptest.Server) {}
	t.Run("minimum version", func(t *testing.T) {
		t.Parallel()
		minVersion := newTransport().TLSClientConfig.MinVersion
		assert.GreaterOrEqual(t, minVersion, uint16(tls.VersionTLS12))
		c, requests := clientWithTLSServer(t, func(s *httptest.Server) {
			s.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
		}, "https://host/zep")
		for kind, call := range callKinds {
			err := call(context.Background(), c)
			require.ErrorContains(t, err, "tls: ", kind)
			assert.Equal(t, 1, requireError(t, err).Attempts, kind)
			assert.NotContains(t, err.Error(), "may have been carried out")
		}
		assert.Zero(t, requests.Load())

		c, _ = clientWithTLSServer(t, func(s *httptest.Server) {
			s.TLS = &tls.Config{MaxVersion: tls.VersionTLS12}
		}, "https://host/zep")
		_, err := c.User.Get(context.Background(), "jane")
		require.NoError(t, err)
	})
	t.Run("HTTP/2", func(t *testing.T) {
		t.Parallel()
		c, _ := clientWithTLSServer(t, func(s *httptest.Server) { s.EnableHTTP2 = true },
			"https://host/zep")
		health, err := c.Health(context.Background())
		require.NoError(t, err)
		assert.Equal(t, "HTTP/2.0", health.Version)
		for kind, call := range callKinds {
			require.NoError(t, call(context.Background(), c), kind)
		}
	})
	t.Run("unknown certificate authority", func(t *testing.T) {
		t.Parallel()
		for kind, call := range callKinds {
			c, requests := clientWithTLSServer(t, plain, "https://host/zep")
			ownTransport(c).TLSClientConfig.RootCAs = x509.NewCertPool()
			err := call(context.Background(), c)
			assert.Equal(t, 1, requireError(t, err).Attempts, kind)
			var unknown x509.UnknownAuthorityError
			require.ErrorAs(t, err, &unknown)
			assert.NotContains(t, err.Error(), "may have been carried out")
			assert.Zero(t, requests.Load())
		}
	})
	t.Run("http to an https server", func(t *testing.T) {
		t.Parallel()
		for kind, call := range callKinds {
			c, requests := clientWithTLSServer(t, plain, "http://host/zep")
			err := call(context.Background(), c)
			e := requireError(t, err)
			assert.Equal(t, 1, e.Attempts, kind)
			assert.ErrorContains(t, err, "HTTPS", kind)
			assert.Zero(t, requests.Load())
		}
	})
	t.Run("https to an http server", func(t *testing.T) {
		t.Parallel()
		for kind, call := range callKinds {
			_, server := clientWithServer(t, func(http.ResponseWriter, *http.Request) {
				t.Error("the server got a request")
			})
			base := strings.Replace(server.URL, "http:", "https:", 1)
			c, err := NewClient(WithBaseURL(base), WithAPIKey(secret))
			require.NoError(t, err)
			stopClock(c)
			err = call(context.Background(), c)
			assert.Equal(t, 1, requireError(t, err).Attempts, kind)
			assert.ErrorContains(t, err, "HTTPS client")
			assert.NotContains(t, err.Error(), "may have been carried out")
		}
	})
}

// TestTLS_ConnectionBreaksInHandshake checks that the request counts as not sent.
func TestTLS_ConnectionBreaksInHandshake(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	serveConns(t, listener, func(conn net.Conn) {
		_, _ = bufio.NewReader(conn).ReadByte() // the beginning of the ClientHello
	})
	for kind, call := range callKinds {
		c, err := NewClient(WithBaseURL("https://"+listener.Addr().String()), WithAPIKey(""))
		require.NoError(t, err)
		stopClock(c)
		err = call(context.Background(), c)
		assert.NotContains(t, requireError(t, err).Error(), "may have been carried out", kind)
	}
}

// TestTransport_ProxyFromEnvironment runs the test binary again, because net/http reads the
// environment once in a process.
func TestTransport_ProxyFromEnvironment(t *testing.T) {
	t.Parallel()
	const base = "http://zep.test/zep" // no such server
	if os.Getenv("HTTP_PROXY") != "" && os.Getenv("ZEP_API_URL") == base {
		c, err := NewClient()
		require.NoError(t, err)
		health, err := c.Health(context.Background(), RequestMaxAttempts(1))
		require.NoError(t, err)
		require.Equal(t, "seen by the proxy", health.Version)
		ownTransport(c).CloseIdleConnections()
		return
	}
	var asked atomic.Value
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r.RequestURI)
		w.Header().Set("X-Zep-Version", "seen by the proxy")
	}))
	t.Cleanup(proxy.Close)
	child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	child.Env = append(os.Environ(),
		"HTTP_PROXY="+proxy.URL, "NO_PROXY=", "REQUEST_METHOD=", "ZEP_API_URL="+base)
	out, err := child.CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Equal(t, base+"/healthz", asked.Load())
}

// TestTransport_MaxResponseHeaderBytes checks a limit that is a tenth of the default of net/http.
func TestTransport_MaxResponseHeaderBytes(t *testing.T) {
	t.Parallel()
	assert.EqualValues(t, 1<<20, newTransport().MaxResponseHeaderBytes)
}

func TestTransport_EndlessHeader(t *testing.T) {
	t.Parallel()
	for name, chunk := range map[string]string{
		"many lines": "X-More: " + strings.Repeat("x", 1000) + "\r\n",
		"one line":   strings.Repeat("x", 1000),
		"no colon":   strings.Repeat("x", 1000) + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var written atomic.Int64
			c := clientWithRawServer(t, func(conn net.Conn) {
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nX-Zep: ")
				writeEndlessly(conn, chunk, &written)
			})
			_, err := c.User.Get(context.Background(), "jane", RequestMaxAttempts(2))
			e := requireError(t, err)
			assert.Zero(t, e.StatusCode)
			assert.LessOrEqual(t, len(e.Message), 4<<10)
			assertOneLine(t, err.Error())
			assert.Less(t, written.Load(), int64(maxEndless))
		})
	}
}

// TestTransport_SwitchingProtocols checks that the call does not wait for the body, which would be
// the connection.
func TestTransport_SwitchingProtocols(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	c := clientWithRawServer(t, func(conn net.Conn) {
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\n"+
			"Upgrade: x\r\nConnection: Upgrade\r\n\r\n")
		<-release
	})
	_, err := c.User.Update(context.Background(), &UpdateUserRequest{UserID: "jane"})
	assert.Equal(t, 101, requireError(t, err).StatusCode)
	assert.True(t, idle(c.updates), "the update is over")
	close(release)
}

// TestTransport_NoResponse checks a response without a body too, which http.Client takes for an
// empty one.
func TestTransport_NoResponse(t *testing.T) {
	t.Parallel()
	c, _, _ := scripted(t, nil,
		func(*http.Request) (*http.Response, error) { return nil, nil },
		func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 404}, nil
		},
	)
	_, err := c.User.Get(context.Background(), "jane", RequestMaxAttempts(1))
	require.ErrorContains(t, err, "neither a response nor an error")
	_, err = c.User.Get(context.Background(), "jane")
	assert.Equal(t, 404, requireError(t, err).StatusCode)
}

// TestTransport_ConnectionReused checks that a connection is reused after errors and after bodies
// that are not decoded.
func TestTransport_ConnectionReused(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	connections := map[string]int{}
	c, _ := clientWithServer(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		connections[r.RemoteAddr]++
		mu.Unlock()
		if strings.HasSuffix(r.URL.Path, "missing") {
			w.WriteHeader(404)
			_, _ = io.WriteString(w, strings.Repeat("x", 200<<10))
			return
		}
		_, _ = io.WriteString(w, janeJSON)
	})
	for range 5 {
		_, err := c.User.Get(context.Background(), "jane")
		require.NoError(t, err)
		_, err = c.User.Get(context.Background(), "missing")
		require.Error(t, err)
		_, err = c.Health(context.Background())
		require.NoError(t, err)
	}
	mu.Lock()
	defer mu.Unlock()
	assert.Equal(t, []int{15}, slices.Collect(maps.Values(connections)))
}

// TestTransport_ConnectionForEachGoroutine checks that the transport keeps idle connections, where
// the default of net/http would close them. The server holds the first requests back until all
// have arrived, so that there is an idle connection for each goroutine.
func TestTransport_ConnectionForEachGoroutine(t *testing.T) {
	t.Parallel()
	const goroutines = 256 // as many as are kept
	var mu sync.Mutex
	connections := map[string]bool{}
	var arrived sync.WaitGroup
	arrived.Add(goroutines)
	c, _ := clientWithServer(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		connections[r.RemoteAddr] = true
		mu.Unlock()
		if strings.HasSuffix(r.URL.Path, "first") {
			arrived.Done()
			arrived.Wait()
		}
		_, _ = fmt.Fprintf(w, `{"user_id":%q}`, path.Base(r.URL.Path))
	})
	var group sync.WaitGroup
	for range goroutines {
		group.Add(1)
		go func() {
			defer group.Done()
			_, err := c.User.Get(context.Background(), "first")
			assert.NoError(t, err)
			for range 20 {
				_, err := c.User.Get(context.Background(), "jane")
				assert.NoError(t, err)
			}
		}()
	}
	group.Wait()
	assert.Len(t, connections, goroutines)
}

// idlePool is a transport that counts the calls of CloseIdleConnections.
type idlePool struct {
	http.RoundTripper
	closed atomic.Int32
}

func (c *idlePool) CloseIdleConnections() { c.closed.Add(1) }

// TestTransport_IdleConnectionsKept checks that a failed call closes no idle connections. It is
// not parallel because it replaces http.DefaultTransport.
func TestTransport_IdleConnectionsKept(t *testing.T) {
	global := http.DefaultTransport
	t.Cleanup(func() { http.DefaultTransport = global })
	failures := []step{
		neverDialled, cutBeforeWritten, answerLost,
		answers(503, ""), answers(404, "not found"), answers(200, "<html>"),
	}
	for _, failure := range failures {
		pool := &idlePool{RoundTripper: roundTripFunc(failure)}
		ctx, cancel := context.WithCancel(context.Background())
		for name, opts := range map[string][]Option{
			"transport of the caller":        {WithHTTPClient(&http.Client{Transport: pool})},
			"http.DefaultTransport":          {WithHTTPClient(&http.Client{})},
			"http.DefaultTransport replaced": nil,
			"own transport":                  nil,
		} {
			c, err := NewClient(append([]Option{WithBaseURL(mockURL), WithAPIKey("")}, opts...)...)
			require.NoError(t, err)
			clock := stopClock(c)
			http.DefaultTransport = pool
			if name == "own transport" {
				http.DefaultTransport, c.transport = global, pool
			}
			for _, call := range callKinds {
				require.Error(t, call(context.Background(), c), name)
			}
			clock.onWait = cancel
			require.Error(t, callKinds["read"](ctx, c))
			assert.Zero(t, pool.closed.Load(), name)
		}
		cancel()
	}
}

// resettingServer implements as much of HTTP/2 as it needs to reset each stream after the whole
// request was sent.
func resettingServer(t *testing.T, code byte) (address string, requests *atomic.Int32) {
	t.Helper()
	certified := httptest.NewUnstartedServer(nil)
	certified.StartTLS()
	certificates := certified.TLS.Certificates
	certified.Close()
	config := &tls.Config{Certificates: certificates, NextProtos: []string{"h2"}}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	require.NoError(t, err)
	requests = new(atomic.Int32)
	serveConns(t, listener, func(conn net.Conn) {
		const preface = 24                       // bytes
		const headers, settings, reset = 1, 4, 3 // types of frames
		_, _ = io.CopyN(io.Discard, conn, preface)
		_, _ = conn.Write([]byte{0, 0, 0, settings, 0, 0, 0, 0, 0})
		for {
			var head [9]byte
			if _, err := io.ReadFull(conn, head[:]); err != nil {
				return
			}
			length := int64(head[0])<<16 | int64(head[1])<<8 | int64(head[2])
			_, _ = io.CopyN(io.Discard, conn, length)
			switch kind, flags := head[3], head[4]; {
			case kind == settings && flags == 0:
				_, _ = conn.Write([]byte{0, 0, 0, settings, 1, 0, 0, 0, 0})
			case kind <= headers && flags&1 != 0: // DATA or HEADERS with END_STREAM
				requests.Add(1)
				_, _ = conn.Write([]byte{
					0, 0, 4, reset, 0, head[5], head[6], head[7], head[8],
					0, 0, 0, code,
				})
			}
		}
	})
	return "https://" + listener.Addr().String(), requests
}

// TestHTTP2_OneRequestAnAttempt checks that net/http does not send a request again by itself
// after its stream was reset: it would do so without the client knowing, and as often as the
// server resets it.
func TestHTTP2_OneRequestAnAttempt(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, test := range map[string]struct {
		call     func(c *Client) error
		attempts int
	}{
		"read": {func(c *Client) error { return callKinds["read"](ctx, c) }, 4},
		"add": {func(c *Client) error {
			_, err := c.User.Add(ctx, &CreateUserRequest{UserID: "jane"})
			return err
		}, 4},
		"not repeated": {func(c *Client) error { return writeNoRetry(ctx, c) }, 1},
		"delete":       {func(c *Client) error { return c.User.Delete(ctx, "jane") }, 4},
		"index":        {func(c *Client) error { return c.Collection.CreateIndex(ctx, "docs", true) }, 1},
	} {
		for code, what := range map[byte]string{1: "PROTOCOL_ERROR", 2: "INTERNAL_ERROR", 7: "REFUSED_STREAM"} {
			t.Run(name+" "+what, func(t *testing.T) {
				t.Parallel()
				address, requests := resettingServer(t, code)
				transport := &http.Transport{
					ForceAttemptHTTP2: true,
					TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
				}
				defer transport.CloseIdleConnections()
				c, _ := clientWith(t, transport, WithBaseURL(address))
				err := test.call(c)
				assert.Equal(t, test.attempts, requireError(t, err).Attempts, err)
				assert.EqualValues(t, test.attempts, requests.Load())
				assert.Equal(t, name != "read", errors.Is(err, ErrAmbiguous), err)
			})
		}
	}
}

// TestHTTP1_WriteResent checks that a refusal is certain: over HTTP/1, also with TLS, net/http
// sends a write again only if nothing of the first request reached the server.
func TestHTTP1_WriteResent(t *testing.T) {
	t.Parallel()
	conn := tls.Client(&net.TCPConn{}, &tls.Config{ServerName: "zep.test"})
	c, s, _ := scripted(t, nil, func(req *http.Request) (*http.Response, error) {
		httptrace.ContextClientTrace(req.Context()).GotConn(httptrace.GotConnInfo{Conn: conn})
		reportWritten(req, nil)
		body, err := req.GetBody()
		require.NoError(t, err)
		data, err := io.ReadAll(body)
		require.NoError(t, err)
		assert.JSONEq(t, `{"user_id":"jane"}`, string(data))
		return answers(400, "user already exists with user_id: jane")(req)
	})
	_, err := c.User.Add(context.Background(), &CreateUserRequest{UserID: "jane"})
	require.ErrorIs(t, err, ErrAlreadyExists)
	assert.Len(t, s.requests(), 1, "the user is not read back")
}

// TestTransport_ReadResent checks that the transport may send a read again.
func TestTransport_ReadResent(t *testing.T) {
	t.Parallel()
	const body = `{"text":"tea"}`
	c, _, _ := scripted(t, nil, func(req *http.Request) (*http.Response, error) {
		reportWritten(req, nil)
		again, err := req.GetBody()
		require.NoError(t, err)
		data, err := io.ReadAll(again)
		require.NoError(t, err)
		assert.JSONEq(t, body, string(data))
		return answers(200, "[]")(req)
	})
	_, err := c.Memory.Search(context.Background(), "s", &SearchMemoryRequest{Text: "tea"})
	require.NoError(t, err)
}
