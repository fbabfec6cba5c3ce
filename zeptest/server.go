package zeptest

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"time"

	"github.com/zep-go/zep"
)

// maxBodyBytes is the largest request body that Zep takes unless configured otherwise.
const maxBodyBytes = 5 << 20

// Server is a Zep server in memory. Make one with [NewServer]. It is safe for concurrent use.
type Server struct {
	// URL is the server's address, such as http://127.0.0.1:41234, without a trailing slash.
	URL string

	apiKey  string
	version string
	webUI   bool
	racy    bool

	http   *httptest.Server
	routes []route

	store  store
	race   rendezvous
	faults faultQueue
	log    requestLog

	done      chan struct{} // closed by Close: ends every wait
	closeOnce sync.Once
}

// NewServer starts a server on a free loopback port. Close it when done. Like
// [net/http/httptest.NewServer], it panics if no port can be had.
func NewServer(opts ...Option) *Server {
	s := &Server{
		version: "0.27.2-abc1234 (2024-05-01T12:00:00Z)",
		webUI:   true,
		store:   newStore(),
		done:    make(chan struct{}),
	}
	for _, opt := range opts {
		opt(s)
	}
	s.routes = slices.Concat(s.userRoutes(), s.sessionRoutes(), s.memoryRoutes(), s.messageRoutes(),
		s.collectionRoutes(), s.documentRoutes())
	s.http = httptest.NewServer(s)
	s.URL = s.http.URL
	return s
}

// Client returns a client for this server, with the API key that the server requires, or none,
// whatever the environment says. The given options come after these, so they win.
func (s *Server) Client(opts ...zep.Option) (*zep.Client, error) {
	own := []zep.Option{zep.WithBaseURL(s.URL), zep.WithAPIKey(s.apiKey)}
	return zep.NewClient(slices.Concat(own, opts)...)
}

// Close stops the server. Requests that are still under way are cut off, delayed ones too, so it does
// not wait for them. A second call does nothing.
func (s *Server) Close() {
	s.closeOnce.Do(func() {
		close(s.done)
		// Without this, Close would wait for a client that has sent half a body.
		s.http.CloseClientConnections()
		s.http.Close()
	})
}

// ServeHTTP answers one request. It makes the server usable as a handler, behind a consumer's own
// server or proxy.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	routes := s.match(r)
	template := routes.template()
	s.log.add(r, template)

	r = r.WithContext(r.Context()) // a copy: the caller's request isn't ours to change
	r.Body = http.MaxBytesReader(w, r.Body, maxBodyBytes)
	handle := func(w http.ResponseWriter, r *http.Request) { s.route(w, r, routes) }
	if f, ok := s.faults.next(r.Method, template); ok {
		s.fail(w, r, f, handle)
		return
	}
	handle(w, r)
}

// wait waits for d, and says whether it passed: the client may give up, or the server be closed.
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
