// Package chaos provides a reverse proxy that simulates a failing network and failing proxies: it
// listens on a loopback port in front of an HTTP server, and injects faults into a share of the
// exchanges.
//
// # Seeds
//
// The fault of an exchange depends only on the proxy's seed, on the label of the call that it
// belongs to ([Header]), and on the number of earlier exchanges of that call. So with labels that
// do not depend on time, every call has the same faults in every run with a seed, however
// goroutines and connections are scheduled.
package chaos

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"
)

// Header carries the label of the call that a request belongs to. Without it the label is the
// method and the path.
const Header = "X-Chaos-Call"

// Proof is what the client can conclude from an exchange.
type Proof string

const (
	Answered Proof = "answered" // the client has the server's whole response
	Undone   Proof = "undone"   // the request was not executed
	Unknown  Proof = "unknown"  // the request may have been executed
	Failed   Proof = "failed"   // a 500: it may have been executed, and a retry may not help
)

// Exchange is what the proxy did with one request.
type Exchange struct {
	Method, Path string

	Fault  string // the fault's name; "" for none
	Proof  Proof
	Status int // of the server's response, not of the client's; 0 if the server got no request

	// NotBefore is when the response's Retry-After ends; the zero time without one.
	NotBefore time.Time
	Began     time.Time
}

// Done reports whether the server executed the request.
func (x Exchange) Done() bool { return x.Status/100 == 2 }

// String returns one line, for failed tests.
func (x Exchange) String() string {
	server := "not forwarded"
	if x.Status != 0 {
		server = fmt.Sprintf("server: %d", x.Status)
	}
	return strings.TrimSpace(
		fmt.Sprintf("%s %s (%s, %s) %s", x.Method, x.Path, server, x.Proof, x.Fault))
}

// Call is a client's call, with the exchanges of all its attempts: see [Proxy.Watch].
type Call struct {
	Label string

	// Cancel cancels the call. Without it there are no faults in which the caller cancels during
	// an exchange.
	Cancel func()

	// Late allows faults in which the server handles the request after the caller canceled.
	Late bool

	// Patient allows faults after which the client has to wait for up to a second.
	Patient bool

	mu        sync.Mutex
	count     int
	exchanges []*Exchange
	canceled  bool
}

// Exchanges returns the exchanges so far, in the order in which they began.
func (c *Call) Exchanges() []Exchange {
	c.mu.Lock()
	defer c.mu.Unlock()
	exchanges := make([]Exchange, len(c.exchanges))
	for i, x := range c.exchanges {
		exchanges[i] = *x
	}
	return exchanges
}

// Cancelled reports whether a fault called Cancel.
func (c *Call) Cancelled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.canceled
}

// Proxy is a reverse proxy that injects faults. [New] starts one; close it after use.
type Proxy struct {
	URL string

	server http.Handler
	seed   uint64
	share  float64
	http   *httptest.Server
	done   chan struct{}
	active sync.WaitGroup // handlers, each added while the HTTP server still counts its connection

	mu     sync.Mutex
	closed bool
	calls  map[string]*Call
	counts map[string]int
	total  int
}

// New starts a proxy in front of a server. The share, from 0 to 1, of the exchanges gets a fault.
// A tenth as many are delayed. After a twentieth as many the proxy closes the connection, without
// having announced it.
func New(server http.Handler, seed uint64, share float64) *Proxy {
	p := &Proxy{
		server: server,
		seed:   seed,
		share:  share,
		done:   make(chan struct{}),
		calls:  map[string]*Call{},
		counts: map[string]int{},
	}
	p.http = httptest.NewServer(p)
	p.URL = p.http.URL
	return p
}

// Close stops the proxy. After it returned, no request reaches the server.
func (p *Proxy) Close() {
	p.mu.Lock()
	closed := p.closed
	p.closed = true
	p.mu.Unlock()
	if closed {
		return
	}
	close(p.done)
	p.http.Close()
	p.active.Wait()
}

// Watch makes the proxy record the exchanges of a call, until unwatch is called.
func (p *Proxy) Watch(call *Call) (unwatch func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.calls[call.Label] != nil {
		panic("chaos: two calls are labelled " + call.Label)
	}
	p.calls[call.Label] = call
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.calls, call.Label)
	}
}

// Counts returns the number of exchanges, and of those with each fault.
func (p *Proxy) Counts() (exchanges int, faults map[string]int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.total, maps.Clone(p.counts)
}

// ServeHTTP handles one exchange.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.active.Add(1)
	defer p.active.Done()
	call := p.callOf(r)

	call.mu.Lock()
	random := p.random(call.Label, call.count)
	f := p.draw(random, call)
	recorded := &Exchange{
		Method: r.Method,
		Path:   r.URL.Path,
		Fault:  f.name,
		Proof:  f.proof,
		Began:  time.Now(),
	}
	call.count++
	call.exchanges = append(call.exchanges, recorded)
	call.mu.Unlock()
	p.mu.Lock()
	p.total++
	if f.name != "" {
		p.counts[f.name]++
	}
	p.mu.Unlock()

	x := &exchange{
		proxy:    p,
		call:     call,
		recorded: recorded,
		random:   random,
		w:        w,
		r:        r,
	}
	if !f.unread {
		var err error
		if x.body, err = io.ReadAll(r.Body); err != nil {
			x.cut() // the client did not send the whole body
			return
		}
	}
	if f.handle {
		x.handle()
	}
	f.do(x)
}

// callOf returns the call that a request belongs to: a new one, if it is not watched.
func (p *Proxy) callOf(r *http.Request) *Call {
	label := r.Header.Get(Header)
	if label == "" {
		label = r.Method + " " + r.URL.Path
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if call := p.calls[label]; call != nil {
		return call
	}
	return &Call{Label: label}
}

// draw chooses a fault among those that the call allows.
func (p *Proxy) draw(random *rand.Rand, call *Call) *fault {
	switch roll := random.Float64(); {
	case roll < p.share:
	case roll < p.share*1.1:
		return &delay
	case roll < p.share*1.15:
		return &lastOfConnection
	default:
		return &noFault
	}
	for {
		n := random.IntN(weights)
		for i := range faults {
			if n -= faults[i].weight; n < 0 {
				if f := &faults[i]; call.allows(f) {
					return f
				}
				break
			}
		}
	}
}

func (c *Call) allows(f *fault) bool {
	return (!f.cancels || c.Cancel != nil) && (!f.late || c.Late) && (!f.slow || c.Patient)
}

// random returns the source of the decisions about the nth exchange of a call.
func (p *Proxy) random(label string, n int) *rand.Rand {
	h := fnv.New64a()
	_, _ = io.WriteString(h, label)
	_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(n)))
	return rand.New(rand.NewPCG(p.seed, h.Sum64()))
}

// exchange is a request that the proxy is handling.
type exchange struct {
	proxy    *Proxy
	call     *Call
	recorded *Exchange
	random   *rand.Rand
	w        http.ResponseWriter
	r        *http.Request
	body     []byte
	response *httptest.ResponseRecorder // the server's
}

// handle passes the request to the server, which handles all of it even if the client is gone.
func (x *exchange) handle() {
	r := x.r.Clone(context.WithoutCancel(x.r.Context()))
	r.Body = io.NopCloser(strings.NewReader(string(x.body)))
	x.response = httptest.NewRecorder()
	x.proxy.server.ServeHTTP(x.response, r)
	x.record(func(r *Exchange) { r.Status = x.response.Code })
}

// record changes the recorded exchange. Call it before the response is sent: then the caller may
// read the exchange.
func (x *exchange) record(change func(*Exchange)) {
	x.call.mu.Lock()
	defer x.call.mu.Unlock()
	change(x.recorded)
}

// cancel makes the caller cancel, and waits until the connection is closed.
func (x *exchange) cancel() {
	x.call.mu.Lock()
	x.call.canceled = true
	x.call.mu.Unlock()
	x.call.Cancel()
	select {
	case <-x.r.Context().Done():
	case <-x.proxy.done:
	}
}

// wait waits a few milliseconds, or until the client is gone.
func (x *exchange) wait() {
	timer := time.NewTimer(time.Duration(1+x.random.IntN(3)) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-x.r.Context().Done():
	case <-x.proxy.done:
	}
}

// forward sends the server's response unchanged.
func (x *exchange) forward() {
	header := x.w.Header()
	maps.Copy(header, x.response.Header())
	x.w.WriteHeader(x.response.Code)
	_, _ = x.w.Write(x.response.Body.Bytes())
}
