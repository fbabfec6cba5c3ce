package chaos

import (
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"
)

// unstarted returns a proxy whose HTTP server is still to be started.
func unstarted(server http.Handler, seed uint64, share float64) *Proxy {
	p := &Proxy{
		server: server,
		seed:   seed,
		share:  share,
		done:   make(chan struct{}),
		calls:  map[string]*Call{},
		counts: map[string]int{},
	}
	p.http = httptest.NewUnstartedServer(p)
	return p
}

// start starts the HTTP server with a handler that stands before the proxy.
func (p *Proxy) start(handler http.Handler) {
	p.http.Config.Handler = handler
	p.http.Start()
	p.URL = p.http.URL
}

// mode adds faults to those of a proxy. The proxy handles every exchange that the mode does not
// choose.
type mode struct {
	*Proxy
	share  float64
	faults []fault

	// begin is called first for each exchange. It reports whether the mode may choose the
	// exchange, which is the nth of its call.
	begin func(r *http.Request, label string, n int) bool
}

// ServeHTTP handles one exchange.
func (m *mode) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.active.Add(1)
	defer m.active.Done()
	call := m.callOf(r)

	call.mu.Lock()
	n := call.count
	call.mu.Unlock()
	random := m.random("mode "+call.Label, n)
	if !m.begin(r, call.Label, n) || random.Float64() >= m.share {
		m.Proxy.ServeHTTP(w, r)
		return
	}
	x, f := m.choose(w, r, call, random)
	var err error
	if x.body, err = io.ReadAll(r.Body); err != nil {
		x.cut() // the client did not send all of it
		return
	}
	f.do(x)
}

// choose draws a fault of the mode, and records the exchange.
func (m *mode) choose(
	w http.ResponseWriter, r *http.Request, call *Call, random *rand.Rand,
) (*exchange, *fault) {
	f := &m.faults[random.IntN(len(m.faults))]
	recorded := &Exchange{
		Method: r.Method,
		Path:   r.URL.Path,
		Fault:  f.name,
		Proof:  f.proof,
		Began:  time.Now(),
	}
	call.mu.Lock()
	call.count++
	call.exchanges = append(call.exchanges, recorded)
	call.mu.Unlock()
	m.mu.Lock()
	m.total++
	m.counts[f.name]++
	m.mu.Unlock()
	return &exchange{proxy: m.Proxy, call: call, recorded: recorded, random: random, w: w, r: r}, f
}

// isWrite reports whether a request changes something on the server.
func isWrite(r *http.Request) bool {
	return r.Method != http.MethodGet && !strings.HasSuffix(r.URL.Path, "/list/get") &&
		!strings.HasSuffix(r.URL.Path, "/search")
}
