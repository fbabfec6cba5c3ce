//go:build go1.24

package chaos

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"maps"
	"net"
	"net/http"
)

// ResetCode is the error code of an HTTP/2 RST_STREAM frame.
type ResetCode uint32

const (
	ResetInternal ResetCode = 0x2
	ResetRefused  ResetCode = 0x7 // claims that the request was not handled
	ResetCancel   ResetCode = 0x8
)

// NewH2C starts a proxy as New does, that speaks HTTP/2 without TLS. Where another proxy cuts a
// connection, this one resets the stream with the code, and leaves the connection to the other
// exchanges on it.
func NewH2C(server http.Handler, seed uint64, share float64, code ResetCode) *Proxy {
	p := unstarted(server, seed, share)
	p.http.Config.Protocols = new(http.Protocols)
	p.http.Config.Protocols.SetUnencryptedHTTP2(true)
	p.http.Listener = &resetListener{p.http.Listener, code}
	p.start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.ServeHTTP(&streamWriter{w}, r)
	}))
	return p
}

// H2CTransport returns a transport that speaks HTTP/2 without TLS.
func H2CTransport() *http.Transport {
	t := &http.Transport{Protocols: new(http.Protocols)}
	t.Protocols.SetUnencryptedHTTP2(true)
	return t
}

// streamWriter gives the faults that take over a connection a stream instead.
type streamWriter struct{ http.ResponseWriter }

func (w *streamWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *streamWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return &streamConn{w: w.ResponseWriter}, nil, nil
}

// streamConn takes what a fault writes to an HTTP/1.1 connection, and does the like on a stream.
type streamConn struct {
	net.Conn
	w       http.ResponseWriter
	written bytes.Buffer
}

func (c *streamConn) Write(b []byte) (int, error) { return c.written.Write(b) }

// Close sends the response, if all of it was written. Otherwise it sends the part that was
// written, and resets the stream.
func (c *streamConn) Close() error {
	response, err := http.ReadResponse(bufio.NewReader(&c.written), nil)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err == nil && response.ContentLength >= 0 && int64(len(body)) < response.ContentLength {
		err = io.ErrUnexpectedEOF
	}
	maps.Copy(c.w.Header(), response.Header)
	c.w.Header().Del("Connection")
	if err != nil {
		c.w.Header().Del("Content-Length")
	}
	c.w.WriteHeader(response.StatusCode)
	_, _ = c.w.Write(body)
	if err != nil {
		_ = http.NewResponseController(c.w).Flush()
		panic(http.ErrAbortHandler)
	}
	return nil
}

// resetListener replaces the code in the RST_STREAM frames that the server writes.
type resetListener struct {
	net.Listener
	code ResetCode
}

func (l *resetListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &resetConn{Conn: conn, code: l.code}, nil
}

// resetConn follows the frames that are written to it.
type resetConn struct {
	net.Conn
	code    ResetCode
	pending []byte // the beginning of a frame that is not yet complete
}

const (
	frameHeaderLen = 9
	frameReset     = 0x3
)

func (c *resetConn) Write(b []byte) (int, error) {
	c.pending = append(c.pending, b...)
	rest := c.pending
	for len(rest) >= frameHeaderLen {
		length := int(rest[0])<<16 | int(rest[1])<<8 | int(rest[2])
		if len(rest) < frameHeaderLen+length {
			break
		}
		if rest[3] == frameReset && length == 4 {
			payload := rest[frameHeaderLen:]
			if ResetCode(binary.BigEndian.Uint32(payload)) == ResetInternal {
				binary.BigEndian.PutUint32(payload, uint32(c.code))
			}
		}
		rest = rest[frameHeaderLen+length:]
	}
	complete := c.pending[:len(c.pending)-len(rest)]
	c.pending = bytes.Clone(rest)
	if _, err := c.Conn.Write(complete); err != nil {
		return 0, err
	}
	return len(b), nil
}
