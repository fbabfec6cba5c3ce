package chaos

import (
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
)

// Late is a proxy that holds back first attempts of writes. The client sees a broken connection
// or a gateway's error. The server gets the held request only after the call is over, so after
// the attempts that followed were answered.
//
// The label of a call is the name of its caller, a dot, and the name of the call. The calls of a
// caller must not overlap.
type Late struct {
	*Proxy

	mu        sync.Mutex
	held      map[string][]*heldRequest // by caller, in the order in which they were sent
	delivered map[string][]Delivery     // by caller
}

// Delivery is a request that the server got late.
type Delivery struct {
	Label  string // of the call that sent it
	Method string
	Path   string
	Status int // of the server's response, which nobody got
}

type heldRequest struct {
	label   string
	calls   int // of the same caller until it is delivered
	request *http.Request
	body    string
}

// NewLate starts a proxy as New does, that also holds back a share of the first attempts of
// writes.
func NewLate(server http.Handler, seed uint64, share, lateShare float64) *Late {
	l := &Late{
		Proxy:     unstarted(server, seed, share),
		held:      map[string][]*heldRequest{},
		delivered: map[string][]Delivery{},
	}
	l.start(&mode{
		Proxy: l.Proxy,
		share: lateShare,
		faults: []fault{
			{name: "held back, cut", proof: Unknown, do: l.hold((*exchange).cut)},
			{name: "held back, reset", proof: Unknown, do: l.hold((*exchange).reset)},
			{
				name:  "held back, 502",
				proof: Unknown,
				do:    l.hold(respond(502, page("502 Bad Gateway"), nil)),
			},
			{
				name:  "held back, 504",
				proof: Unknown,
				do:    l.hold(respond(504, page("504 Gateway Time-out"), nil)),
			},
		},
		begin: func(r *http.Request, label string, n int) bool {
			if n > 0 {
				return false
			}
			l.deliverDue(label)
			return isWrite(r)
		},
	})
	return l
}

// Delivered returns the late requests of a caller that were delivered since the last time.
func (l *Late) Delivered(caller string) []Delivery {
	l.mu.Lock()
	defer l.mu.Unlock()
	delivered := l.delivered[caller]
	delete(l.delivered, caller)
	return delivered
}

// Deliveries returns the late requests of all callers that [Late.Delivered] has not returned.
func (l *Late) Deliveries() (all []Delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, caller := range slices.Sorted(maps.Keys(l.delivered)) {
		all = append(all, l.delivered[caller]...)
	}
	return all
}

// Close ends the proxy, and then delivers what is still held back.
func (l *Late) Close() {
	l.Proxy.Close()
	l.mu.Lock()
	callers := slices.Sorted(maps.Keys(l.held))
	l.mu.Unlock()
	for _, caller := range callers {
		for l.deliver(caller, func(*heldRequest) bool { return true }) {
		}
	}
}

// hold keeps the request, and answers the client with a fault.
func (l *Late) hold(fail func(*exchange)) func(*exchange) {
	return func(x *exchange) {
		h := &heldRequest{
			label:   x.call.Label,
			calls:   1 + x.random.IntN(4),
			request: x.r.Clone(context.WithoutCancel(x.r.Context())),
			body:    string(x.body),
		}
		caller := callerOf(h.label)
		l.mu.Lock()
		l.held[caller] = append(l.held[caller], h)
		l.mu.Unlock()
		fail(x)
	}
}

// deliverDue delivers what is due before a caller's next call.
func (l *Late) deliverDue(label string) {
	caller := callerOf(label)
	l.mu.Lock()
	for _, h := range l.held[caller] {
		h.calls--
	}
	l.mu.Unlock()
	for l.deliver(caller, func(h *heldRequest) bool { return h.calls <= 0 }) {
	}
}

// deliver gives the server the first held request of a caller that is due. It returns false if
// there is none.
func (l *Late) deliver(caller string, due func(*heldRequest) bool) bool {
	l.mu.Lock()
	i := slices.IndexFunc(l.held[caller], due)
	if i < 0 {
		l.mu.Unlock()
		return false
	}
	h := l.held[caller][i]
	l.held[caller] = slices.Delete(l.held[caller], i, i+1)
	l.mu.Unlock()

	h.request.Body = io.NopCloser(strings.NewReader(h.body))
	response := httptest.NewRecorder()
	l.server.ServeHTTP(response, h.request)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delivered[caller] = append(l.delivered[caller], Delivery{
		Label:  h.label,
		Method: h.request.Method,
		Path:   h.request.URL.Path,
		Status: response.Code,
	})
	return true
}

// callerOf returns the part of a label before the first dot.
func callerOf(label string) string {
	caller, _, _ := strings.Cut(label, ".")
	return caller
}
