// Package chaos puts a failing network, and failing proxies, between a client and an HTTP server: on a loopback port it
// answers for the server, and spoils a share of the exchanges.
//
// # Seeds
//
// What happens to an exchange is drawn from the proxy's seed, the label of the call that it belongs to ([Header]) and how many
// exchanges of that call came before, and from nothing else. So with labels that do not depend on time, every call meets
// the same faults in every run of a seed, whatever the order in which goroutines and connections get their turn.
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

// Header carries the label of the call that a request belongs to. A request without it belongs to a call labelled with its
// method and path.
const Header = "X-Chaos-Call"

// A Proof is what an exchange tells the client that took part in it.
type Proof string

const (
	Answered Proof = "answered" // the server's own answer, whole
	Undone   Proof = "undone"   // the request was not carried out
	Unknown  Proof = "unknown"  // it may have been
	Failed   Proof = "failed"   // a 500: it may have been, and trying again may not help
)

// An Exchange is what the proxy did with one request.
type Exchange struct {
	Method, Path string

	Fault  string // its name; "" for none
	Proof  Proof
	Status int // of the server's answer, which may not be what the client got; 0 if the request was kept from the server

	// NotBefore is when a Retry-After in the answer ends, zero without one.
	NotBefore time.Time
	Began     time.Time
}

// Done says that the server carried the request out.
func (x Exchange) Done() bool { return x.Status/100 == 2 }

// String is one line for a failed test.
func (x Exchange) String() string {
	did := "kept from the server"
	if x.Status != 0 {
		did = fmt.Sprintf("server: %d", x.Status)
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s (%s, %s) %s", x.Method, x.Path, did, x.Proof, x.Fault))
}

// A Call is a client's call, with all its attempts, while [Proxy.Watch] is watching it.
type Call struct {
	Label string

	// Cancel makes faults possible in which the caller gives up in mid-exchange.
	Cancel func()

	// Late makes those possible as well in which the server gets the request after that.
	Late bool

	// Patient makes those possible after which the client has to wait for up to a second.
	Patient bool

	mu        sync.Mutex
	count     int
	exchanges []*Exchange
	cancelled bool
}

// Exchanges are those so far, in the order in which they began.
func (c *Call) Exchanges() []Exchange {
	c.mu.Lock()
	defer c.mu.Unlock()
	exchanges := make([]Exchange, len(c.exchanges))
	for i, x := range c.exchanges {
		exchanges[i] = *x
	}
	return exchanges
}

// Cancelled says that a fault has called Cancel.
func (c *Call) Cancelled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cancelled
}

// A Proxy stands before a server. Make one with [New], and close it.
type Proxy struct {
	URL string

	server http.Handler
	seed   uint64
	share  float64
	http   *httptest.Server
	done   chan struct{}
	active sync.WaitGroup // handlers; each is added while the HTTP server still counts its connection

	mu     sync.Mutex
	closed bool
	calls  map[string]*Call
	counts map[string]int
	total  int
}

// New starts a proxy for a server. The share, from 0 to 1, is how many of the exchanges are spoiled; a tenth as many are
// delayed, and a twentieth as many are the last of their connection, without a word about it.
func New(server http.Handler, seed uint64, share float64) *Proxy {
	p := &Proxy{
		server: server, seed: seed, share: share,
		done: make(chan struct{}), calls: map[string]*Call{}, counts: map[string]int{},
	}
	p.http = httptest.NewServer(p)
	p.URL = p.http.URL
	return p
}

// Close ends the proxy. When it returns, nothing reaches the server any more.
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

// Watch makes the proxy note the exchanges of a call until the returned function is called.
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

// Counts are how many exchanges there were, and how many met with each fault.
func (p *Proxy) Counts() (exchanges int, faults map[string]int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.total, maps.Clone(p.counts)
}

// ServeHTTP is one exchange.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.active.Add(1)
	defer p.active.Done()
	label := r.Header.Get(Header)
	if label == "" {
		label = r.Method + " " + r.URL.Path
	}
	p.mu.Lock()
	call := p.calls[label]
	if call == nil {
		call = &Call{Label: label}
	}
	p.mu.Unlock()

	call.mu.Lock()
	random := p.random(label, call.count)
	f := p.draw(random, call)
	noted := &Exchange{Method: r.Method, Path: r.URL.Path, Fault: f.name, Proof: f.proof, Began: time.Now()}
	call.count++
	call.exchanges = append(call.exchanges, noted)
	call.mu.Unlock()
	p.mu.Lock()
	p.total++
	if f.name != "" {
		p.counts[f.name]++
	}
	p.mu.Unlock()

	x := &exchange{proxy: p, call: call, noted: noted, random: random, w: w, r: r}
	if !f.unread {
		var err error
		if x.body, err = io.ReadAll(r.Body); err != nil {
			x.cut() // the client did not send all of it
			return
		}
	}
	if f.handle {
		x.handle()
	}
	f.do(x)
}

// draw decides on a fault. The same numbers lead to the same fault for a call with the same choices.
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
				if f := &faults[i]; (!f.cancels || call.Cancel != nil) && (!f.late || call.Late) && (!f.slow || call.Patient) {
					return f
				}
				break
			}
		}
	}
}

// random is where the decisions about the nth exchange of a call come from.
func (p *Proxy) random(label string, n int) *rand.Rand {
	h := fnv.New64a()
	_, _ = io.WriteString(h, label)
	_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(n)))
	return rand.New(rand.NewPCG(p.seed, h.Sum64()))
}

// An exchange is a request on its way through the proxy.
type exchange struct {
	proxy  *Proxy
	call   *Call
	noted  *Exchange
	random *rand.Rand
	w      http.ResponseWriter
	r      *http.Request
	body   []byte
	answer *httptest.ResponseRecorder // the server's
}

// handle lets the server have the request. It does so whole, even if the client is gone.
func (x *exchange) handle() {
	r := x.r.Clone(context.WithoutCancel(x.r.Context()))
	r.Body = io.NopCloser(strings.NewReader(string(x.body)))
	x.answer = httptest.NewRecorder()
	x.proxy.server.ServeHTTP(x.answer, r)
	x.note(func(noted *Exchange) { noted.Status = x.answer.Code })
}

// note must come before the answer is sent: the client may look as soon as it has it.
func (x *exchange) note(change func(*Exchange)) {
	x.call.mu.Lock()
	defer x.call.mu.Unlock()
	change(x.noted)
}

// cancel makes the caller give up, and waits until its connection tells.
func (x *exchange) cancel() {
	x.call.mu.Lock()
	x.call.cancelled = true
	x.call.mu.Unlock()
	x.call.Cancel()
	select {
	case <-x.r.Context().Done():
	case <-x.proxy.done:
	}
}

// wait lets a few milliseconds pass, or less if the client leaves.
func (x *exchange) wait() {
	timer := time.NewTimer(time.Duration(1+x.random.IntN(3)) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-x.r.Context().Done():
	case <-x.proxy.done:
	}
}

// forward sends the server's answer as it is.
func (x *exchange) forward() {
	header := x.w.Header()
	maps.Copy(header, x.answer.Header())
	x.w.WriteHeader(x.answer.Code)
	_, _ = x.w.Write(x.answer.Body.Bytes())
}
