package zep

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// deafConn can be made deaf: then it hears nothing of the server until the next byte is written,
// as if that happened at the same time.
type deafConn struct {
	*net.TCPConn
	deaf  atomic.Bool
	once  sync.Once
	hears chan struct{}
}

func (c *deafConn) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	if c.deaf.Load() {
		<-c.hears
	}
	return n, err
}

func (c *deafConn) Write(p []byte) (int, error) {
	n, err := c.TCPConn.Write(p)
	if c.deaf.Load() {
		c.hear()
	}
	return n, err
}

func (c *deafConn) Close() error {
	c.hear()
	return c.TCPConn.Close()
}

func (c *deafConn) hear() { c.once.Do(func() { close(c.hears) }) }

// TestConn_ClosedByServer closes an idle connection in the moment in which a request is written.
// The request goes over another connection, and if there is none, it is known not to be sent.
func TestConn_ClosedByServer(t *testing.T) {
	t.Parallel()
	if peekClosed(nil) == nil {
		t.Skip("the system cannot tell")
	}
	start := map[string]func(*httptest.Server){
		"http":  (*httptest.Server).Start,
		"https": (*httptest.Server).StartTLS,
	}
	for name, start := range start {
		for _, restarted := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/restarted %v", name, restarted), func(t *testing.T) {
				t.Parallel()
				testClosedByServer(t, start, restarted)
			})
		}
	}
}

func testClosedByServer(t *testing.T, start func(*httptest.Server), restarted bool) {
	var requests atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request) {
			requests.Add(1)
			_, _ = io.WriteString(w, janeJSON)
		}))
	start(server)
	t.Cleanup(server.Close)
	c := clientOf(t, server.URL)
	transport := ownTransport(c)
	transport.TLSClientConfig.InsecureSkipVerify = true
	t.Cleanup(transport.CloseIdleConnections)
	var first *deafConn
	transport.DialContext = counted(func(ctx context.Context, network, address string) (
		net.Conn, error,
	) {
		dialed, err := new(net.Dialer).DialContext(ctx, network, address)
		if err == nil && first == nil {
			first = &deafConn{TCPConn: dialed.(*net.TCPConn), hears: make(chan struct{})}
			dialed = first
		}
		return dialed, err
	})
	require.NoError(t, writeNoRetry(context.Background(), c))

	first.deaf.Store(true)
	if restarted {
		server.CloseClientConnections()
	} else {
		server.Close()
	}
	raw, err := first.SyscallConn()
	require.NoError(t, err)
	waitUntil(t, "the connection is closed by the server", peekClosed(raw))
	err = writeNoRetry(context.Background(), c)
	if restarted {
		require.NoError(t, err)
		assert.EqualValues(t, 2, requests.Load())
		return
	}
	require.ErrorContains(t, err, "refused")
	require.NotErrorIs(t, err, ErrAmbiguous)
	assert.EqualValues(t, 1, requests.Load())
}

// earlyServer returns a client of a server that responds before it has read a request, and then
// closes the connection, or aborts it.
func earlyServer(t *testing.T, response string, abort bool) *Client {
	return clientWithRawServer(t, func(conn net.Conn) {
		_, _ = io.WriteString(conn, response)
		if abort {
			_ = conn.(*net.TCPConn).SetLinger(0)
		}
		_ = conn.Close()
	})
}

// TestConn_EarlyResponse checks that a response is read that was sent before the server closed the
// connection, though the request could not be written.
func TestConn_EarlyResponse(t *testing.T) {
	t.Parallel()
	if !isClosedByPeer(syscall.EPIPE) {
		t.Skip("the system drops the response")
	}
	large := &CreateUserRequest{UserID: "jane", FirstName: strings.Repeat("x", 8<<20)}
	for name, header := range map[string]string{
		"close":      "Connection: close\r\nContent-Length: 9\r\n",
		"keep alive": "Content-Length: 9\r\n",
		"no length":  "",
	} {
		for _, abort := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/abort %v", name, abort), func(t *testing.T) {
				t.Parallel()
				c := earlyServer(t, "HTTP/1.1 413 Too Large\r\n"+header+"\r\ntoo large", abort)
				for range 2 {
					_, err := c.User.Add(context.Background(), large)
					require.ErrorIs(t, err, ErrTooLarge)
					require.NotErrorIs(t, err, ErrAmbiguous)
				}
			})
		}
	}
}

// TestConn_NoEarlyResponse checks that nothing waits for a response that does not come, and that a
// request counts as not sent that was not written whole.
func TestConn_NoEarlyResponse(t *testing.T) {
	t.Parallel()
	large := noRetryCall
	large.body = strings.Repeat("x", 8<<20)
	for _, response := range []string{"", "HTTP/1.1 413 Too", "HTTP/1.1 413 Too Large\r\n\r\n"} {
		c := earlyServer(t, response, true)
		began := time.Now()
		for range 5 {
			_, err := do(context.Background(), c, large, nil)
			require.Error(t, err)
			require.NotErrorIs(t, err, ErrAmbiguous)
		}
		assert.Less(t, time.Since(began), 30*time.Second)
	}
}

// TestConn_ClosedAfterAmbiguous checks that the connection of an ambiguous attempt of a write is
// closed before the next attempt, but for a metadata update, which is let to finish.
func TestConn_ClosedAfterAmbiguous(t *testing.T) {
	t.Parallel()
	metadata := func(ctx context.Context, c *Client, opts ...RequestOption) error {
		req := &UpdateUserRequest{UserID: "jane", Metadata: Metadata{"a": 1}}
		_, err := c.User.Update(ctx, req, opts...)
		return err
	}
	const (
		badGateway = "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nbad"
		noBody     = "HTTP/1.1 504 Late\r\nContent-Length: 0\r\n\r\n"
		page       = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>"
	)
	for name, test := range map[string]struct {
		answer string
		call   func(context.Context, *Client, ...RequestOption) error
		kept   bool
	}{
		"proxy":           {badGateway, callKinds["reconciled write"], false},
		"proxy, no body":  {noBody, callKinds["reconciled write"], false},
		"page":            {page, callKinds["reconciled write"], false},
		"timeout":         {"", callKinds["reconciled write"], false},
		"last attempt":    {badGateway, writeNoRetry, false},
		"metadata update": {badGateway, metadata, true},
		"read":            {badGateway, callKinds["read"], true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			var requests, conns atomic.Int32
			ended := make(chan struct{})
			serveConns(t, listener, func(conn net.Conn) {
				if conns.Add(1) == 1 {
					defer close(ended)
				}
				for r := bufio.NewReader(conn); ; {
					req, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, req.Body)
					if requests.Add(1) == 1 {
						_, _ = io.WriteString(conn, test.answer)
						continue
					}
					if !test.kept {
						awaitEnd(t, ended)
					}
					_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s",
						len(janeJSON), janeJSON)
				}
			})
			opts := []Option{}
			if test.answer == "" {
				opts = append(opts, WithAttemptTimeout(time.Second))
			}
			c := clientOf(t, "http://"+listener.Addr().String(), opts...)
			t.Cleanup(ownTransport(c).CloseIdleConnections)
			err = test.call(context.Background(), c)
			if name == "last attempt" {
				require.ErrorIs(t, err, ErrAmbiguous)
				awaitEnd(t, ended)
				return
			}
			require.NoError(t, err)
			assert.EqualValues(t, 2, requests.Load())
			if test.kept {
				assert.EqualValues(t, 1, conns.Load())
			}
		})
	}
}

func awaitEnd(t *testing.T, ended chan struct{}) {
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the connection is not closed")
	}
}

// TestConn_OthersNotCut makes calls of several kinds over few connections, of which every third
// write is answered by a proxy. Its connection may be in the hands of another call by then, of
// this client or of another that shares the transport: none of them fails.
func TestConn_OthersNotCut(t *testing.T) {
	t.Parallel()
	const workers, rounds = 16, 40
	var mu sync.Mutex
	conns := map[string]bool{}
	c, server := clientWithServer(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		conns[r.RemoteAddr] = true
		mu.Unlock()
		_, _ = io.Copy(io.Discard, r.Body)
		if r.Header.Get("X-Answer") != "" {
			w.WriteHeader(502)
		}
		_, _ = io.WriteString(w, janeJSON)
	})
	transport := ownTransport(c)
	transport.MaxConnsPerHost = workers / 2
	foreign := &http.Client{Transport: transport}
	var group sync.WaitGroup
	for range workers {
		group.Add(1)
		go func() {
			defer group.Done()
			ctx := context.Background()
			for range rounds {
				err := writeNoRetry(ctx, c, RequestHeader("X-Answer", "502"))
				assert.Equal(t, 502, requireError(t, err).StatusCode)
				assert.NoError(t, writeNoRetry(ctx, c))
				assert.NoError(t, callKinds["read"](ctx, c, RequestMaxAttempts(1)))
				resp, err := foreign.Post(server.URL, "text/plain", strings.NewReader("x"))
				if assert.NoError(t, err) {
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
				}
			}
		}()
	}
	group.Wait()
	assert.Greater(t, len(conns), workers, "connections are closed")
	t.Logf("%d connections", len(conns))
}

// traced returns a step that gets connections of the tuned transport, and writes texts to them. An
// empty text is refused. Then the attempt fails without a response.
func traced(t *testing.T, texts ...string) step {
	return func(req *http.Request) (*http.Response, error) {
		trace := httptrace.ContextClientTrace(req.Context())
		trace.GetConn("")
		for _, text := range texts {
			c, server := pipe(t)
			go func() { _, _ = io.Copy(io.Discard, server) }()
			trace.GotConn(httptrace.GotConnInfo{Conn: c, Reused: true})
			if text != "" {
				_, err := io.WriteString(c, text)
				require.NoError(t, err)
			}
		}
		reportWritten(req, nil)
		return nil, errors.New("http: server closed idle connection")
	}
}

// TestConn_NothingSent checks what an attempt proves if the connections took nothing of it,
// whatever net/http reports. A middleware may have sent the request before.
func TestConn_NothingSent(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		texts []string
		sent  bool
	}{
		"nothing":            {[]string{""}, false},
		"nothing, twice":     {[]string{"", ""}, false},
		"a byte":             {[]string{"P"}, true},
		"nothing and a byte": {[]string{"", "P"}, true},
		"a byte and nothing": {[]string{"P", ""}, true},
	} {
		c, s, _ := scripted(t, nil, traced(t, test.texts...), answers(200, janeJSON))
		err := writeNoRetry(context.Background(), c)
		if test.sent {
			require.ErrorIs(t, err, ErrAmbiguous, name)
			assert.Len(t, s.requests(), 1, name)
		} else {
			require.NoError(t, err, name)
			assert.Len(t, s.requests(), 2, name)
		}
	}
}

// pipe returns a connection that counts, and the other side of it.
func pipe(t *testing.T) (*conn, net.Conn) {
	client, server := net.Pipe()
	t.Cleanup(func() { _ = server.Close() })
	counting, err := counted(func(context.Context, string, string) (net.Conn, error) {
		return client, nil
	})(context.Background(), "", "")
	require.NoError(t, err)
	t.Cleanup(func() { _ = counting.Close() })
	return countedBelow(counting), server
}

// TestConn_RefusesAfterEnd checks that nothing is written late of a request that was not sent.
func TestConn_RefusesAfterEnd(t *testing.T) {
	t.Parallel()
	c, _ := pipe(t)
	start, ok := c.begin(true)
	require.True(t, ok)
	assert.True(t, c.end(start))
	n, err := c.Write([]byte("POST"))
	require.ErrorIs(t, err, errRefused)
	assert.Zero(t, n)
}

// TestConn_EndsItsOwnRequest checks that the end of a request leaves the connection alone while
// the response of a later one is read.
func TestConn_EndsItsOwnRequest(t *testing.T) {
	t.Parallel()
	for name, traced := range map[string]bool{"traced": true, "not traced": false} {
		c, server := pipe(t)
		exchange := func(response string) {
			go func() {
				_, _ = io.ReadFull(server, make([]byte, 4))
				_, _ = io.WriteString(server, response)
			}()
			_, err := c.Write([]byte("POST"))
			require.NoError(t, err, name)
			_, err = io.ReadFull(c, make([]byte, len(response)))
			require.NoError(t, err, name)
		}
		first, _ := c.begin(false)
		exchange("502")
		if traced {
			c.begin(true)
		}
		exchange("200")
		assert.False(t, c.end(first), name)
		exchange("200")
	}
}

// TestConn_BytesBeforeRequest checks that bytes which come before a request, such as the session
// tickets of TLS, are not taken for its response: its connection is still closed at its end.
func TestConn_BytesBeforeRequest(t *testing.T) {
	t.Parallel()
	c, server := pipe(t)
	start, _ := c.begin(false)
	go func() {
		_, _ = io.WriteString(server, "ticket")
		_, _ = io.ReadFull(server, make([]byte, 4))
		_, _ = io.WriteString(server, "502")
		_, _ = io.Copy(io.Discard, server)
	}()
	_, err := io.ReadFull(c, make([]byte, 6))
	require.NoError(t, err)
	_, err = c.Write([]byte("POST"))
	require.NoError(t, err)
	_, err = io.ReadFull(c, make([]byte, 3))
	require.NoError(t, err)
	assert.False(t, c.end(start), "it was sent")
	_, err = c.Write([]byte("POST"))
	require.ErrorIs(t, err, errRefused)
}

// TestConn_FailedWrite checks that a write that failed counts with the bytes that it took.
func TestConn_FailedWrite(t *testing.T) {
	t.Parallel()
	for taken, unsent := range map[int]bool{0: true, 1: false} {
		c, server := pipe(t)
		start, _ := c.begin(false)
		go func() {
			_, _ = io.ReadFull(server, make([]byte, taken))
			_ = server.Close()
		}()
		n, err := c.Write([]byte("POST"))
		require.ErrorIs(t, err, io.ErrClosedPipe)
		assert.Equal(t, taken, n)
		assert.Equal(t, !unsent, c.took(start), "%d bytes", taken)
		assert.Equal(t, unsent, c.end(start), "%d bytes", taken)
	}
}

// TestSendTrace_NewConnection checks that only a connection that was idle is asked whether the
// server has closed it: net/http sends a request over another one only if the first was not new.
func TestSendTrace_NewConnection(t *testing.T) {
	t.Parallel()
	for _, reused := range []bool{true, false} {
		c, server := pipe(t)
		c.peerClosed = func() bool { return true }
		go func() { _, _ = io.Copy(io.Discard, server) }()
		trace := &sendTrace{isLast: true}
		trace.gotConn(httptrace.GotConnInfo{Conn: c, Reused: reused})
		_, err := c.Write([]byte("POST"))
		assert.Equal(t, reused, errors.Is(err, errRefused), "reused: %t", reused)
	}
}

// TestSendTrace_GivenUp checks that a request that was given up before anything of it was sent is
// not sent over a connection that net/http gets for it afterwards.
func TestSendTrace_GivenUp(t *testing.T) {
	t.Parallel()
	for name, giveUp := range map[string]func(*sendTrace){
		"no connection": func(trace *sendTrace) { trace.giveUp() },
		"nothing written": func(trace *sendTrace) {
			c, _ := pipe(t)
			trace.gotConn(httptrace.GotConnInfo{Conn: c})
			trace.closeConn()
		},
	} {
		trace := &sendTrace{isLast: true}
		giveUp(trace)
		c, server := pipe(t)
		go func() { _, _ = io.Copy(io.Discard, server) }()
		trace.gotConn(httptrace.GotConnInfo{Conn: c})
		_, err := c.Write([]byte("POST"))
		require.ErrorIs(t, err, io.ErrClosedPipe, name)
	}
}
