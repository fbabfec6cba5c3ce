package zeptest

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/zep-go/zep"
)

// Server is a Zep server in memory. Make one with [NewServer]. It is safe for concurrent use.
type Server struct {
	// URL is the server's address, such as http://127.0.0.1:41234, without a trailing slash.
	URL string

	apiKey  string
	version serverVersion
	webUI   bool
	racy    bool
	sticky  bool

	http     *http.Server
	listener net.Listener
	served   chan struct{}  // closed when no connection is accepted any more
	conns    sync.WaitGroup // the accepted connections that are not closed
	routes   []route

	store  store
	locks  locks
	race   rendezvous
	faults faultQueue
	log    requestLog

	done      chan struct{} // closed by Close: ends every wait
	closeOnce sync.Once
}

// NewServer starts a server on a free loopback port. Close it when done. Like
// [net/http/httptest.NewServer], it panics if there is no free port.
func NewServer(opts ...Option) *Server {
	s := &Server{
		version: newestVersion,
		webUI:   true,
		served:  make(chan struct{}),
		store:   newStore(),
		locks:   newLocks(),
		done:    make(chan struct{}),
	}
	for _, opt := range opts {
		opt(s)
	}
	s.store.version = s.version
	s.routes = slices.Concat(s.userRoutes(), s.sessionRoutes(), s.memoryRoutes(),
		s.messageRoutes(),
		s.collectionRoutes(), s.documentRoutes())
	s.serve()
	return s
}

// Client returns a client for this server, with the API key that the server requires, or none,
// whatever the environment says. The given options come after these, so they win. For a
// [zep.WithTokenSource] and a server that requires a key, use [zep.NewClient] with the URL.
func (s *Server) Client(opts ...zep.Option) (*zep.Client, error) {
	own := []zep.Option{zep.WithBaseURL(s.URL), zep.WithAPIKey(s.apiKey)}
	return zep.NewClient(slices.Concat(own, opts)...)
}

// Close stops the server. It cuts off the requests that are under way, delayed ones too, and does
// not wait for any client. A second call does nothing.
func (s *Server) Close() {
	s.closeOnce.Do(func() {
		close(s.done)
		_ = s.listener.Close()
		<-s.served // now all accepted connections are known to the http.Server
		_ = s.http.Close()
		s.conns.Wait()
	})
}

// ServeHTTP answers one request. It makes the server usable as a handler, behind a consumer's own
// server or proxy.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	routes := s.match(r)
	template := routes.template()
	s.log.add(r, template)

	r = r.WithContext(r.Context()) // a copy: the caller's request is not changed
	r.Body = http.MaxBytesReader(w, r.Body, maxBodyBytes)
	if f, ok := s.faults.next(r.Method, template); ok {
		s.fail(w, r, routes, f)
		return
	}
	a := s.answer(r, routes)
	a.writeTo(w)
}

// maxBodyBytes is the largest request body that Zep takes unless configured otherwise.
const maxBodyBytes = 5 << 20

// serve listens on a free loopback port and answers what comes there.
func (s *Server) serve() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		if listener, err = net.Listen("tcp6", "[::1]:0"); err != nil {
			panic(fmt.Sprintf("zeptest: no free loopback port: %v", err))
		}
	}
	s.listener = listener
	s.URL = "http://" + listener.Addr().String()
	s.http = &http.Server{
		Handler:  s,
		ErrorLog: log.New(io.Discard, "", 0),
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				s.conns.Add(1)
			case http.StateClosed:
				s.conns.Done()
			}
		},
	}
	go func() {
		defer close(s.served)
		_ = s.http.Serve(listener)
	}()
}

// wait waits for d, and says whether it passed: the client may leave, or the server be closed.
func (s *Server) wait(r *http.Request, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	case <-s.done:
		return false
	}
}
