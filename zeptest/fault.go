package zeptest

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"time"
)

// A Fault makes requests fail, in the way of a broken server, network or proxy. These happen in this
// order, and each may be left out:
//
//   - Apply: the request is handled, and its answer held back. What it did, it did.
//   - Delay: nothing happens for so long, or until the client gives up or the server is closed. With
//     [time.Hour] the server hangs.
//   - Cut: the connection is closed without an answer.
//   - Status, Header, Body: this answer is sent. Zep's own errors are text that ends in a newline.
//
// With neither Cut nor Status the client gets the server's own answer. A few examples:
//
//	zeptest.Fault{Status: 503, Header: http.Header{"Retry-After": {"1"}}, Times: 2} // busy twice
//	zeptest.Fault{Status: 502, Apply: true}                 // done, but the proxy lost the answer
//	zeptest.Fault{Cut: true}                                // cut before it was handled
//	zeptest.Fault{Cut: true, Apply: true, Method: "POST"}   // cut after
//	zeptest.Fault{Delay: time.Hour, Route: "/user/{userId}"} // no answer about one user
//
// And what a real server answers when memory is added from many sides at once:
//
//	// Two adds made the session, and the messages of this one are not stored. Trying again stores them.
//	zeptest.Fault{Method: "POST", Route: "/sessions/{sessionId}/memory", Status: 400,
//		Body: "bad request: session already exists with session_id: s\n"}
//	// The messages are stored, but could not be handed on.
//	zeptest.Fault{Method: "POST", Route: "/sessions/{sessionId}/memory", Status: 500, Apply: true,
//		Body: "failed to publish new messages: …\n"}
//
// A client built on Go's [net/http.Transport] repeats a GET by itself, unseen by the caller, if a
// connection that was used before is cut.
type Fault struct {
	// Method and Route choose the requests: the route is a template without the base path, such as
	// "/user/{userId}" or "/healthz". Empty is any.
	Method string
	Route  string
	// Times is how many requests fail so: 0 is one, and a negative number is all that come.
	Times int

	Apply  bool
	Delay  time.Duration
	Cut    bool
	Status int
	Header http.Header
	Body   string
}

// Inject adds faults. Each request gets the first one that it matches and that is not used up, so
// faults with the same choice of requests happen in the order in which they were injected. It panics
// if a Status can't be sent.
func (s *Server) Inject(faults ...Fault) {
	for _, f := range faults {
		if f.Status != 0 && (f.Status < 200 || f.Status > 999) {
			panic(fmt.Sprintf("zeptest: a fault can't answer with status %d", f.Status))
		}
		if f.Times == 0 {
			f.Times = 1
		}
		f.Header = f.Header.Clone()
		s.faults.add(f)
	}
}

// faultQueue has the faults to come, in order.
type faultQueue struct {
	mu     sync.Mutex
	faults []Fault
}

func (q *faultQueue) add(f Fault) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.faults = append(q.faults, f)
}

// next takes the fault for a request, if there is one.
func (q *faultQueue) next(method, route string) (Fault, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.faults {
		f := &q.faults[i]
		if f.Method != "" && f.Method != method || f.Route != "" && f.Route != route {
			continue
		}
		taken := *f
		if f.Times > 0 {
			f.Times--
		}
		if f.Times == 0 {
			q.faults = slices.Delete(q.faults, i, i+1)
		}
		return taken, true
	}
	return Fault{}, false
}

// fail answers a request with a fault. A panic with [http.ErrAbortHandler] closes the connection.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, f Fault, handle http.HandlerFunc) {
	// Go's server sees a client leave only when the request's body has been read.
	r.Body = readAhead(r.Body)
	if f.Apply {
		recorder := httptest.NewRecorder()
		handle(recorder, r)
		handle = func(w http.ResponseWriter, _ *http.Request) { replay(w, recorder) }
	}
	if f.Delay > 0 && !s.wait(r, f.Delay) {
		panic(http.ErrAbortHandler)
	}
	switch {
	case f.Cut:
		panic(http.ErrAbortHandler)
	case f.Status != 0:
		maps.Copy(w.Header(), f.Header)
		w.WriteHeader(f.Status)
		_, _ = io.WriteString(w, f.Body)
	default:
		handle(w, r)
	}
}

// readAhead reads body, and returns another that gives the same and ends with the same error.
func readAhead(body io.Reader) io.ReadCloser {
	read, err := io.ReadAll(body)
	if err == nil {
		err = io.EOF
	}
	return io.NopCloser(io.MultiReader(bytes.NewReader(read), failingReader{err}))
}

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

func replay(w http.ResponseWriter, recorder *httptest.ResponseRecorder) {
	maps.Copy(w.Header(), recorder.Header())
	w.WriteHeader(recorder.Code)
	_, _ = recorder.Body.WriteTo(w)
}
