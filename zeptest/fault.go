package zeptest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Fault makes requests fail as a broken server, network or proxy does. These happen in this order,
// and each may be left out:
//
//   - Apply: the request is handled, and its answer held back. What it did stays done.
//   - Delay: nothing happens for so long, or until the client leaves or the server is closed. With
//     [time.Hour] the server hangs.
//   - Cut: the connection is closed without an answer.
//   - Status, Header, Body: this answer is sent. Zep's own errors are text that ends in a newline.
//
// With neither Cut nor Status the client gets the server's own answer. A few examples:
//
//	zeptest.Fault{Status: 503, Header: http.Header{"Retry-After": {"1"}}, Times: 2} // busy twice
//	zeptest.Fault{Status: 502, Apply: true}                // done, but the proxy lost the answer
//	zeptest.Fault{Cut: true}                               // cut before it was handled
//	zeptest.Fault{Cut: true, Apply: true, Method: "POST"}  // cut after
//	zeptest.Fault{Delay: time.Hour, Method: "PATCH"}       // no answer to an update
//
// A user's delete that is cut off in the middle, after the first of the user's sessions:
//
//	zeptest.Fault{Method: "DELETE", Route: "/user/{userId}", Steps: 2, Cut: true}
//
// What a real server answers when memory is added from many sides at once:
//
//	// Two adds made the session. The messages of this one are not stored.
//	zeptest.Fault{Method: "POST", Route: "/sessions/{sessionId}/memory", Status: 400,
//		Body: "bad request: session already exists with session_id: s\n"}
//	// The same on a server up to 0.19.
//	zeptest.Fault{Method: "POST", Route: "/sessions/{sessionId}/memory", Status: 500,
//		Body: "storage error: failed to Create messages (original error: " +
//			"bad request: session already exists with session_id: s)\n"}
//	// The messages are stored, but could not be handed on.
//	zeptest.Fault{Method: "POST", Route: "/sessions/{sessionId}/memory",
//		Apply: true, Status: 500, Body: "failed to publish new messages: …\n"}
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

	// Steps, if not 0, puts the Delay into the middle of the delete of a user, which Zep does in
	// steps: it reads which sessions the user has, removes each of them, and then the user. The
	// Delay comes after so many steps. Then the delete goes on, unless the client has left or the
	// fault has Cut or Status: what was removed by then stays removed, and the rest stays. With
	// other requests it is Apply, without a Delay.
	Steps int
}

// Inject adds faults. Each request gets the first one that it matches and that is not used up, so
// faults with the same choice of requests happen in the order in which they were injected. It
// panics if a Status cannot be sent.
func (s *Server) Inject(faults ...Fault) {
	for _, f := range faults {
		if f.Status != 0 && (f.Status < 200 || f.Status > 999) {
			panic(fmt.Sprintf("zeptest: a fault cannot answer with status %d", f.Status))
		}
		if f.Times == 0 {
			f.Times = 1
		}
		f.Header = f.Header.Clone()
		s.faults.add(f)
	}
}

// faultQueue has the faults to come, in their order.
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
func (s *Server) fail(w http.ResponseWriter, r *http.Request, routes matched, f Fault) {
	// Go's server sees a client leave only when the request's body has been read.
	r.Body = readAhead(r.Body)
	if f.Steps > 0 {
		r = s.withPause(r, f)
		f.Apply, f.Delay = true, 0
	}
	var a *answer
	if f.Apply {
		applied := s.answer(r, routes)
		defer applied.end()
		a = &applied
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
		return
	case a == nil:
		unapplied := s.answer(r, routes)
		a = &unapplied
	}
	a.writeTo(w)
}

// pause is what happens in the middle of a delete, after so many steps of it.
type pause struct {
	steps int
	do    func() error
}

type pauseKey struct{}

// errStopped ends a handler whose answer is not sent.
var errStopped = errors.New("stopped")

// withPause makes a fault happen in the middle of the delete of a user.
func (s *Server) withPause(r *http.Request, f Fault) *http.Request {
	do := func() error {
		switch {
		case f.Delay > 0 && !s.wait(r, f.Delay):
			return errNoAnswer
		case f.Cut || f.Status != 0:
			return errStopped
		}
		return nil
	}
	return r.WithContext(context.WithValue(r.Context(), pauseKey{}, pause{f.Steps, do}))
}

// step is called by a handler after each of its steps. It returns an error if the handler is to
// stop.
func step(ctx context.Context, done int) error {
	if p, ok := ctx.Value(pauseKey{}).(pause); ok && p.steps == done {
		if err := p.do(); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return errNoAnswer
	}
	return nil
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
