package chaos

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
)

// BothSides is a proxy that also cuts connections on both sides: the client loses its response,
// and the server loses the connection on which it has, or is still getting, the request. Such an
// exchange ends only after the server has finished with it, so it is never carried out late.
type BothSides struct {
	*Proxy
	upstream *httptest.Server

	mu      sync.Mutex
	next    int
	tracked map[string]*trackedRequest
}

// trackedHeader carries the number of a request to the server. The server's own handler does not
// see it.
const trackedHeader = "X-Chaos-Tracked"

// trackedRequest is a request that the server loses the connection of.
type trackedRequest struct {
	id     string
	skip   bool          // the server notices in time, and does nothing
	cut    bool          // the connection is cut before the server's handler runs
	began  chan struct{} // closed when the server has the request's header
	ended  chan struct{} // closed when the server has finished
	status int
}

// NewBothSides starts a proxy as New does, that also cuts a share of the exchanges on both sides.
func NewBothSides(server http.Handler, seed uint64, share, cutShare float64) *BothSides {
	b := &BothSides{Proxy: unstarted(server, seed, share), tracked: map[string]*trackedRequest{}}
	b.upstream = httptest.NewServer(http.HandlerFunc(b.serveUpstream))
	b.start(&mode{
		Proxy: b.Proxy,
		share: cutShare,
		faults: []fault{
			{name: "both sides cut in the request", proof: Unknown, do: b.cutRequest},
			{name: "both sides cut before the server began", proof: Unknown, do: b.cutSkipped},
			{name: "both sides cut while the server worked", proof: Unknown, do: b.cutWorking},
			{name: "both sides cut after the server worked", proof: Unknown, do: b.cutResponse},
		},
		begin: func(*http.Request, string, int) bool { return true },
	})
	return b
}

// Close ends the proxy, and its connections to the server.
func (b *BothSides) Close() {
	b.Proxy.Close()
	b.upstream.Close()
}

// serveUpstream is the server at the other end of the connection.
func (b *BothSides) serveUpstream(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	t := b.tracked[r.Header.Get(trackedHeader)]
	b.mu.Unlock()
	r.Header.Del(trackedHeader)
	defer close(t.ended)
	close(t.began)
	if t.cut {
		// net/http watches the connection only after the body was read.
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		<-r.Context().Done()
		if t.skip {
			return
		}
	}
	recorded := httptest.NewRecorder()
	b.server.ServeHTTP(recorded, r)
	t.status = recorded.Code
	w.WriteHeader(recorded.Code)
	_, _ = w.Write(recorded.Body.Bytes())
}

// send opens a connection to the server and writes the first bytes of the request.
func (b *BothSides) send(x *exchange, t *trackedRequest, length int) net.Conn {
	t.began, t.ended = make(chan struct{}), make(chan struct{})
	b.mu.Lock()
	b.next++
	t.id = strconv.Itoa(b.next)
	b.tracked[t.id] = t
	b.mu.Unlock()
	conn, err := net.Dial("tcp", b.upstream.Listener.Addr().String())
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	var request bytes.Buffer
	fmt.Fprintf(&request, "%s %s HTTP/1.1\r\nHost: upstream\r\n", x.r.Method, x.r.URL.RequestURI())
	header := x.r.Header.Clone()
	header.Set(trackedHeader, t.id)
	header.Set("Content-Length", strconv.Itoa(len(x.body)))
	_ = header.Write(&request)
	request.WriteString("\r\n")
	request.Write(x.body[:length])
	_, _ = conn.Write(request.Bytes())
	return conn
}

// end waits for the server, records what it did, and cuts the client's connection.
func (b *BothSides) end(x *exchange, t *trackedRequest) {
	<-t.ended
	b.mu.Lock()
	delete(b.tracked, t.id)
	b.mu.Unlock()
	x.record(func(recorded *Exchange) { recorded.Status = t.status })
	x.cut()
}

// cutRequest sends half of the body. Without a body it cuts before the server begins.
func (b *BothSides) cutRequest(x *exchange) {
	if len(x.body) == 0 {
		b.cutSkipped(x)
		return
	}
	t := &trackedRequest{}
	conn := b.send(x, t, len(x.body)/2)
	<-t.began
	_ = conn.Close()
	b.end(x, t)
}

// cutSkipped cuts before the server begins, which notices and does nothing.
func (b *BothSides) cutSkipped(x *exchange) { b.cutFirst(x, &trackedRequest{cut: true, skip: true}) }

// cutWorking cuts before the server begins, which works on without a client.
func (b *BothSides) cutWorking(x *exchange) { b.cutFirst(x, &trackedRequest{cut: true}) }

func (b *BothSides) cutFirst(x *exchange, t *trackedRequest) {
	conn := b.send(x, t, len(x.body))
	<-t.began
	_ = conn.Close()
	b.end(x, t)
}

// cutResponse cuts when the response has begun.
func (b *BothSides) cutResponse(x *exchange) {
	t := &trackedRequest{}
	conn := b.send(x, t, len(x.body))
	var first [1]byte
	_, _ = conn.Read(first[:])
	_ = conn.Close()
	b.end(x, t)
}
