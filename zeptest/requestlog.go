package zeptest

import (
	"net/http"
	"slices"
	"sync"
)

// Request is what the server noted of a request.
type Request struct {
	Method string // as it was sent: "GET"
	// URI is the path and query as they were sent, still escaped.
	URI string
	// Route is the template of the path without the base path, such as "/user/{userId}", or empty
	// if the server does not have it.
	Route string
}

// Requests returns the number of requests that the server has seen, failed ones too.
func (s *Server) Requests() int {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	return s.log.count
}

// RequestLog returns what the server noted of the last 1,000 requests, in the order of their
// arrival.
func (s *Server) RequestLog() []Request {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	return slices.Clone(s.log.last())
}

// requestsKept is how many requests the log keeps: enough for a test to look at, and nothing
// beside the million that another may send.
const requestsKept = 1000

type requestLog struct {
	mu       sync.Mutex
	count    int
	requests []Request // the last ones, and up to as many older ones
}

func (l *requestLog) last() []Request {
	return l.requests[max(0, len(l.requests)-requestsKept):]
}

func (l *requestLog) add(r *http.Request, route string) {
	uri := r.RequestURI
	if uri == "" { // not from a server
		uri = r.URL.RequestURI()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	if len(l.requests) == 2*requestsKept {
		l.requests = slices.Clone(l.last())
	}
	l.requests = append(l.requests, Request{r.Method, uri, route})
}
