package chaos

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// fault is one way in which an exchange fails.
type fault struct {
	name   string
	weight int // relative to the other faults
	proof  Proof

	unread  bool // the request's body is not read
	handle  bool // the server handles the request before do
	cancels bool // the caller cancels
	late    bool // the server handles the request after the caller canceled
	slow    bool // the client has to wait

	do func(*exchange)
}

var (
	noFault          = fault{proof: Answered, handle: true, do: (*exchange).forward}
	delay            = fault{name: "delay", proof: Answered, do: (*exchange).delayed}
	lastOfConnection = fault{name: "last of its connection", proof: Answered, handle: true,
		do: (*exchange).hangUp}
)

// faults has what the proxy chooses from, by weight, for the share of New. The slow ones are rare.
var faults = []fault{
	{name: "cut before", weight: 80, proof: Unknown, do: (*exchange).cut},
	{name: "cut before, unread", weight: 30, proof: Unknown, unread: true, do: (*exchange).cut},
	{name: "reset before", weight: 40, proof: Unknown, do: (*exchange).reset},
	{name: "cut after", weight: 80, proof: Unknown, handle: true, do: (*exchange).cut},
	{name: "reset after", weight: 40, proof: Unknown, handle: true, do: (*exchange).reset},
	{name: "cut in the header", weight: 30, proof: Unknown, handle: true,
		do: (*exchange).cutHeader},
	{name: "cut in the body", weight: 60, proof: Unknown, handle: true, do: (*exchange).cutBody},
	{name: "cut in a chunk", weight: 40, proof: Unknown, handle: true, do: (*exchange).cutChunk},
	{name: "length too short", weight: 30, proof: Unknown, handle: true,
		do: (*exchange).shortLength},
	{name: "gzip cut short", weight: 40, proof: Unknown, handle: true, do: (*exchange).halfGzip},

	{name: "429", weight: 40, proof: Undone, do: respond(429, "too many requests\n", nil)},
	{name: "429, Retry-After: 0", weight: 30, proof: Undone,
		do: respond(429, "too many requests\n", value("0"))},
	{name: "429, Retry-After: 1", weight: 2, proof: Undone, slow: true,
		do: respond(429, "too many requests\n", inOneSecond)},
	{name: "429, Retry-After: a date", weight: 2, proof: Undone, slow: true,
		do: respond(429, "too many requests\n", atNextSecond)},
	{name: "429, Retry-After: a past date", weight: 20, proof: Undone,
		do: respond(429, "too many requests\n", pastDate)},
	{name: "429, Retry-After: huge", weight: 8, proof: Undone,
		do: respond(429, "too many requests\n", hugeValue)},
	{name: "429, Retry-After: malformed", weight: 30, proof: Undone,
		do: respond(429, "too many requests\n", malformedValue)},

	{name: "503", weight: 50, proof: Unknown,
		do: respond(503, page("503 Service Unavailable"), nil)},
	{name: "503, Retry-After: 0", weight: 20, proof: Unknown,
		do: respond(503, "busy\n", value("0"))},
	{name: "503, Retry-After: 1", weight: 2, proof: Unknown, slow: true,
		do: respond(503, "busy\n", inOneSecond)},
	{name: "503, Retry-After: huge", weight: 8, proof: Unknown,
		do: respond(503, "busy\n", hugeValue)},
	{name: "503, Retry-After: malformed", weight: 20, proof: Unknown,
		do: respond(503, "busy\n", malformedValue)},

	{name: "500, locked", weight: 30, proof: Undone,
		do: respond(500, "failed to acquire advisory lock: timeout\n", nil)},
	{name: "500 before", weight: 10, proof: Failed, do: respond(500, "out of memory\n", nil)},
	{name: "500 after", weight: 10, proof: Failed, handle: true, do: respond(500, "", nil)},
	{name: "502 before", weight: 40, proof: Unknown,
		do: respond(502, page("502 Bad Gateway"), nil)},
	{name: "502 after", weight: 40, proof: Unknown, handle: true,
		do: respond(502, page("502 Bad Gateway"), nil)},
	{name: "504 before", weight: 40, proof: Unknown,
		do: respond(504, page("504 Gateway Time-out"), nil)},
	{name: "504 after", weight: 40, proof: Unknown, handle: true,
		do: respond(504, "upstream request timeout", nil)},

	{name: "page before", weight: 20, proof: Unknown,
		do: respond(200, page("Please log in"), nil)},
	{name: "page after", weight: 20, proof: Unknown, handle: true,
		do: respond(200, page("Please log in"), nil)},
	{name: "garbage before", weight: 20, proof: Unknown, do: (*exchange).garbage},
	{name: "garbage after", weight: 20, proof: Unknown, handle: true, do: (*exchange).garbage},
	{name: "no HTTP before", weight: 20, proof: Unknown, do: (*exchange).noHTTP},
	{name: "no HTTP after", weight: 20, proof: Unknown, handle: true, do: (*exchange).noHTTP},

	{name: "caller gives up before", weight: 10, proof: Unknown, cancels: true,
		do: (*exchange).cancel},
	{name: "caller gives up after", weight: 10, proof: Unknown, cancels: true, handle: true,
		do: (*exchange).cancel},
	{name: "caller gives up, handled late", weight: 10, proof: Unknown, cancels: true, late: true,
		do: (*exchange).cancelLate},
}

// weights is the sum of the weights of all faults.
var weights = func() (sum int) {
	for _, f := range faults {
		sum += f.weight
	}
	return sum
}()

// delayed delays the request or the response.
func (x *exchange) delayed() {
	before := x.random.IntN(2) == 0
	if before {
		x.wait()
	}
	x.handle()
	if !before {
		x.wait()
	}
	x.forward()
}

func (x *exchange) cancelLate() {
	x.cancel()
	x.handle()
}

// hijack takes the connection over from the HTTP server.
func (x *exchange) hijack() net.Conn {
	conn, _, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // the connection is closed
	}
	return conn
}

func (x *exchange) cut() { _ = x.hijack().Close() }

// reset closes the connection with a TCP reset, as a crashed host does.
func (x *exchange) reset() {
	conn := x.hijack()
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// raw sends bytes and closes the connection.
func (x *exchange) raw(parts ...[]byte) {
	conn := x.hijack()
	buffers := net.Buffers(parts)
	_, _ = buffers.WriteTo(conn)
	_ = conn.Close()
}

// head returns the status line and header of the server's response, with one more line.
func (x *exchange) head(line string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", x.response.Code, http.StatusText(x.response.Code))
	_ = x.response.Header().Write(&b)
	fmt.Fprintf(&b, "%s\r\n\r\n", line)
	return b.Bytes()
}

// part returns the first half of the response's body, or nothing.
func (x *exchange) part() []byte {
	body := x.response.Body.Bytes()
	if x.random.IntN(4) == 0 {
		return nil
	}
	return body[:len(body)/2]
}

func (x *exchange) length(n int) string { return fmt.Sprintf("Content-Length: %d", n) }

func (x *exchange) hangUp() {
	body := x.response.Body.Bytes()
	x.raw(x.head(x.length(len(body))), body)
}

func (x *exchange) cutHeader() {
	head := x.head(x.length(x.response.Body.Len()))
	x.raw(head[:1+x.random.IntN(len(head)-2)])
}

func (x *exchange) cutBody() {
	// The length is one too many, so that a response without a body is incomplete too.
	x.raw(x.head(x.length(x.response.Body.Len()+1)), x.part())
}

func (x *exchange) cutChunk() {
	body := x.response.Body.Bytes()
	x.raw(x.head("Transfer-Encoding: chunked"), fmt.Appendf(nil, "%x\r\n", len(body)+1), x.part())
}

// shortLength announces half of the body that it sends. For a success only: half of a JSON text is
// invalid, but half of an error's text is a text that a client cannot tell from a whole one.
func (x *exchange) shortLength() {
	body := x.response.Body.Bytes()
	if x.response.Code/100 != 2 {
		x.cutBody()
		return
	}
	// On a connection that is kept, the client's transport would log the rest of the body.
	x.raw(x.head("Connection: close\r\n"+x.length(len(body)/2)), body)
}

func (x *exchange) halfGzip() {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(x.response.Body.Bytes())
	_ = z.Close()
	x.w.Header().Set("Content-Encoding", "gzip")
	x.w.WriteHeader(x.response.Code)
	_, _ = x.w.Write(b.Bytes()[:b.Len()/2])
}

// garbage sends a success with a body that no server of the API sends.
func (x *exchange) garbage() {
	bodies := []string{
		"", "\x00\x01\x02\xff\xfe", "{\"uuid\": \"4c2", "upstream said nothing", "[{]}",
	}
	x.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(x.w, bodies[x.random.IntN(len(bodies))])
}

func (x *exchange) noHTTP() { x.raw([]byte("SSH-2.0-OpenSSH_9.6\r\n")) }

// retryAfter returns a value of that header and the time when the wait ends, or the zero time if
// it asks for none.
type retryAfter func(*exchange) (value string, notBefore time.Time)

func respond(code int, body string, after retryAfter) func(*exchange) {
	return func(x *exchange) {
		if after != nil {
			value, notBefore := after(x)
			x.record(func(r *Exchange) { r.NotBefore = notBefore })
			x.w.Header().Set("Retry-After", value)
		}
		x.w.WriteHeader(code)
		_, _ = io.WriteString(x.w, body)
	}
}

func value(header string) retryAfter {
	return func(*exchange) (string, time.Time) { return header, time.Time{} }
}

func inOneSecond(*exchange) (string, time.Time) { return "1", time.Now().Add(time.Second) }

// atNextSecond returns a date at most one second from now. A date has no fractions of a second.
func atNextSecond(*exchange) (string, time.Time) {
	date := time.Now().Truncate(time.Second).Add(time.Second)
	return date.UTC().Format(http.TimeFormat), date
}

func pastDate(*exchange) (string, time.Time) {
	return time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat), time.Time{}
}

// hugeValue returns a longer wait than any call has time for.
func hugeValue(x *exchange) (string, time.Time) {
	values := []string{"3600", "18446744073709551616", "Fri, 31 Dec 9999 23:59:59 GMT"}
	return values[x.random.IntN(len(values))], time.Now().Add(time.Hour)
}

func malformedValue(x *exchange) (string, time.Time) {
	values := []string{"soon", "-1", "1.5", "", "1e9", "Fri, 99 Foo 2024 00:00:00 GMT", "+7"}
	return values[x.random.IntN(len(values))], time.Time{}
}

func page(title string) string {
	return "<!DOCTYPE html>\n<html><head><title>" + title + "</title></head>" +
		"<body><h1>" + title + "</h1></body></html>\n"
}
