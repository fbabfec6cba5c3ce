// Package bench compares github.com/zep-go/zep with its alternatives: see README.md.
package bench

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Config has the records of a Server, and what its requests cost. The zero Config is an empty
// table without costs.
type Config struct {
	Users int  // the number of users
	Gaps  bool // every third id is missing, and in the middle Users ids in a row

	Messages  int // the number of messages of every session
	Documents int // the number of documents of every collection

	// OnDemand renders records when they are requested, and keeps none: for tables that are larger
	// than the memory that is measured.
	OnDemand bool

	// Latency is the time that the network adds to every request.
	Latency time.Duration

	// PerPage and PerUser are the time of the database, for each list and for each user in it. The
	// server sleeps for it, and leaves the cores of this machine to the client, as a server on
	// another machine does.
	PerPage, PerUser time.Duration

	// Cores is the number of lists that the database processes at once; 0 is no limit.
	Cores int
}

// Server responds as Zep v0.x does, from bytes that it rendered before: users by id, and in lists
// by limit and cursor; all messages of a session, and all documents of a collection. It changes
// nothing: the response to an add is its first user, and that to an update the unchanged user.
//
// As from Zep, and from any net/http server, bodies over 2 KB are chunked, and shorter ones have a
// Content-Length.
type Server struct {
	config  Config
	records []byte // all users, a comma after each
	starts  []int  // the offset of each user in records, and the end of the last one
	cores   chan struct{}
	scratch sync.Pool

	memory, documents func() []byte // the responses

	http        *httptest.Server
	connections atomic.Int64
}

// NewServer starts a Server. Close stops it.
func NewServer(config Config) *Server {
	s := newServer(config)
	s.http = httptest.NewUnstartedServer(s)
	s.http.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.connections.Add(1)
		}
	}
	s.http.Start()
	return s
}

// URL returns the base URL of the Server.
func (s *Server) URL() string { return s.http.URL }

// Connections returns the number of connections that were opened so far.
func (s *Server) Connections() int { return int(s.connections.Load()) }

// Close stops the Server after the requests in progress.
func (s *Server) Close() { s.http.Close() }

// ServeHTTP handles one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
	}
	if !wait(r.Context(), s.config.Latency) {
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Zep-Version", "0.27.2-bench (n/a)")
	rest, found := strings.CutPrefix(r.URL.Path, "/api/v1/user")
	userID, one := strings.CutPrefix(rest, "/")
	isMemory, _ := path.Match("/api/v1/sessions/*/memory", r.URL.Path)
	isDocuments, _ := path.Match("/api/v1/collection/*/document/list/get", r.URL.Path)
	switch {
	case isMemory && r.Method == http.MethodGet:
		_, _ = w.Write(s.memory())
	case isDocuments && r.Method == http.MethodPost:
		_, _ = w.Write(s.documents())
	case found && r.Method == http.MethodGet && (rest == "" || rest == "/"):
		s.list(w, r)
	case found && r.Method == http.MethodPost && rest == "":
		s.one(w, http.StatusCreated, 0)
	case one && (r.Method == http.MethodGet || r.Method == http.MethodPatch):
		if i, found := s.indexOf(userID); found {
			s.one(w, http.StatusOK, i)
			return
		}
		fallthrough
	default:
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "not found\n")
	}
}

// UserID returns the user_id of the i-th user, from 0.
func UserID(i int) string { return string(appendUserID(nil, i)) }

func newServer(config Config) *Server {
	s := &Server{
		config:    config,
		scratch:   sync.Pool{New: func() any { return new([]byte) }},
		memory:    sync.OnceValue(func() []byte { return renderMemory(config.Messages) }),
		documents: sync.OnceValue(func() []byte { return renderDocuments(config.Documents) }),
	}
	if config.Cores > 0 {
		s.cores = make(chan struct{}, config.Cores)
	}
	if !config.OnDemand {
		s.starts = make([]int, 1, config.Users+1)
		s.records = make([]byte, 0, config.Users*380)
		for i := range config.Users {
			s.records = append(s.render(s.records, i), ',')
			s.starts = append(s.starts, len(s.records))
		}
	}
	return s
}

// id returns the row id of the i-th user, from 0.
func (s *Server) id(i int) int64 {
	if !s.config.Gaps {
		return int64(i) + 1
	}
	id := int64(i/2*3 + i%2 + 1)
	if i >= s.config.Users/2 {
		id += int64(s.config.Users)
	}
	return id
}

func appendUserID(b []byte, i int) []byte { return appendPadded(append(b, "user-"...), i) }

// indexOf is the inverse of UserID.
func (s *Server) indexOf(userID string) (i int, found bool) {
	digits, found := strings.CutPrefix(userID, "user-")
	i, err := strconv.Atoi(digits)
	return i, found && err == nil && len(digits) == 8 && i >= 0 && i < s.config.Users
}

// render appends the i-th user, about 350 bytes in the form of Zep.
func (s *Server) render(b []byte, i int) []byte {
	b = append(b, `{"uuid":"`...)
	b = appendPadded(b, i)
	b = append(b, `-7eb4-426a-bf8c-53785cf98837","id":`...)
	b = strconv.AppendInt(b, s.id(i), 10)
	b = append(b, `,"created_at":"2024-05-01T12:34:56.243943Z"`...)
	b = append(b, `,"updated_at":"2024-05-02T01:02:03.4567Z","deleted_at":null,"user_id":"`...)
	b = appendUserID(b, i)
	b = append(b, `","email":"jane.smith.`...)
	b = appendPadded(b, i)
	b = append(b, `@example.com","first_name":"Jane","last_name":"Smith","metadata":`...)
	b = append(b, `{"active":true,"address":{"city":"Zürich","zip":"8001"},"plan":"pro",`...)
	b = append(b, `"tags":["beta","eu-west"],"visits":`...)
	b = strconv.AppendInt(b, int64(i%1000), 10)
	return append(b, `}}`...)
}

func appendPadded(b []byte, i int) []byte {
	digits := strconv.Itoa(i)
	return append(append(b, "00000000"[min(len(digits), 8):]...), digits...)
}

func (s *Server) one(w http.ResponseWriter, status, i int) {
	buffer := s.buffer()
	defer s.scratch.Put(buffer)
	if s.config.OnDemand {
		*buffer = s.render(*buffer, i)
	} else {
		*buffer = append(*buffer, s.records[s.starts[i]:s.starts[i+1]-1]...)
	}
	*buffer = append(*buffer, '\n')
	w.WriteHeader(status)
	_, _ = w.Write(*buffer)
}

func (s *Server) list(w http.ResponseWriter, r *http.Request) {
	values := r.URL.Query()
	limit, err := number(values.Get("limit"))
	cursor, err2 := number(values.Get("cursor"))
	if err != nil || err2 != nil {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, "bad request: not a number\n")
		return
	}
	from := sort.Search(s.config.Users, func(i int) bool { return s.id(i) > cursor })
	to := s.config.Users
	if limit > 0 {
		to = from + int(min(limit, int64(to-from)))
	}
	if !s.query(r.Context(), to-from) {
		return
	}
	if !s.config.OnDemand {
		_, _ = w.Write([]byte("["))
		if from < to {
			_, _ = w.Write(s.records[s.starts[from] : s.starts[to]-1])
		}
		_, _ = w.Write([]byte("]\n"))
		return
	}
	buffer := s.buffer()
	defer s.scratch.Put(buffer)
	*buffer = append(*buffer, '[')
	for i := from; i < to; i++ {
		if *buffer = append(s.render(*buffer, i), ','); len(*buffer) >= 64<<10 && i+1 < to {
			_, _ = w.Write(*buffer)
			*buffer = (*buffer)[:0]
		}
	}
	*buffer = append(bytes.TrimSuffix(*buffer, []byte(",")), "]\n"...)
	_, _ = w.Write(*buffer)
}

// number parses a query parameter; an empty one is 0.
func number(value string) (int64, error) {
	if value == "" {
		return 0, nil
	}
	return strconv.ParseInt(value, 10, 64)
}

// query waits as long as the database takes for a list, and reports whether the client still
// waits.
func (s *Server) query(ctx context.Context, users int) bool {
	cost := s.config.PerPage + time.Duration(users)*s.config.PerUser
	if cost > 0 && s.cores != nil {
		select {
		case s.cores <- struct{}{}:
			defer func() { <-s.cores }()
		case <-ctx.Done():
			return false
		}
	}
	return wait(ctx, cost)
}

func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *Server) buffer() *[]byte {
	buffer := s.scratch.Get().(*[]byte)
	*buffer = (*buffer)[:0]
	return buffer
}
