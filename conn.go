package zep

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

// conn is a connection of the tuned transport. It counts the bytes that are written, to know
// whether anything of an HTTP/1 request was sent, and whether another request follows it on the
// connection. net/http sends a request over another connection if this one takes no byte of it.
type conn struct {
	net.Conn
	peerClosed func() bool // nil if the system cannot tell
	closing    sync.Once
	closed     chan struct{}

	mu       sync.Mutex
	written  int64 // bytes
	start    int64 // of written, before the last request that began
	sent     int64 // of written, when the first byte of its response came; start before that
	answered bool  // the first byte of its response came
	http1    bool  // a request began
	http2    bool  // HTTP/2 without TLS
	ask      bool  // peerClosed, before the next byte
	refuses  bool  // takes no byte any more
}

// maxReadWait bounds how long a failed write waits for the response to be read.
const maxReadWait = time.Second

var errRefused = errors.New("the connection is closed, and took nothing of the request")

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// counted makes the connections of a dialer count.
func counted(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		dialed, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		c := &conn{Conn: dialed, closed: make(chan struct{})}
		if socket, ok := dialed.(syscall.Conn); ok {
			if raw, err := socket.SyscallConn(); err == nil {
				c.peerClosed = peekClosed(raw)
			}
		}
		return c, nil
	}
}

// countedBelow returns the conn below TLS, or nil if the connection does not count.
func countedBelow(c net.Conn) *conn {
	for {
		switch below := c.(type) {
		case *conn:
			return below
		case *tls.Conn:
			c = below.NetConn()
		default:
			return nil
		}
	}
}

// begin says that a request follows, and whether to ask before its first byte if the other side
// has closed the connection. It returns the number of bytes before the request, and false over
// HTTP/2.
func (c *conn) begin(ask bool) (start int64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.http2 {
		return 0, false
	}
	c.http1, c.answered = true, false
	c.start, c.sent = c.written, c.written
	c.ask = ask && c.peerClosed != nil
	return c.start, true
}

// took reports whether the connection took a byte since start, when a request began.
func (c *conn) took(start int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.start != start || c.written != start
}

// end closes the connection after the request that began at start, unless another follows, and
// reports whether nothing of the request was sent. Then nothing will be.
func (c *conn) end(start int64) (unsent bool) {
	c.mu.Lock()
	last := c.start == start && c.written == c.sent
	c.refuses = c.refuses || last
	unsent = last && c.written == start
	c.mu.Unlock()
	if last {
		_ = c.Close()
	}
	return unsent
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.mu.Lock()
		if !c.answered && c.written > c.start {
			c.answered, c.sent = true, c.written
		}
		c.mu.Unlock()
	}
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	http1, err := c.count(p)
	if err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(p)
	if err == nil {
		return n, nil
	}
	c.mu.Lock()
	c.written -= int64(len(p) - n)
	c.mu.Unlock()
	if http1 && isClosedByPeer(err) {
		// A server that closes early may have responded before. net/http drops that response when
		// it learns the error. Until then it reads, to the end, and then closes the connection.
		select {
		case <-c.closed:
		case <-time.After(maxReadWait):
		}
	}
	return n, err
}

// count counts bytes that are to be written, or returns an error if none may be.
func (c *conn) count(p []byte) (http1 bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ask {
		c.ask, c.refuses = false, c.refuses || c.peerClosed()
	}
	if c.refuses {
		return false, errRefused
	}
	if c.written == 0 {
		c.http2 = bytes.HasPrefix(p, []byte("PRI * HTTP/2.0"))
	}
	c.written += int64(len(p))
	return c.http1, nil
}

func (c *conn) Close() error {
	c.closing.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
