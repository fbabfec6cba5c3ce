package zep_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/zeptest"
)

// These are the methods of a list that is walked by row number. Rows stand for the records.
type (
	listFunc = func(
		context.Context, *zep.Client, *zep.ListOptions, ...zep.RequestOption,
	) ([]int64, error)

	chunkFunc = func(
		context.Context, *zep.Client, int, ...zep.RequestOption,
	) iter.Seq2[[]int64, error]

	walkFunc = func(context.Context, *zep.Client, ...zep.RequestOption) iter.Seq2[int64, error]

	parallelFunc = func(
		context.Context, *zep.Client, int, ...zep.RequestOption,
	) iter.Seq2[int64, error]
)

// walk is what users and sessions have alike.
type walk struct {
	resource string
	path     string // of the list
	list     listFunc
	chunks   chunkFunc
	all      walkFunc
	parallel parallelFunc
}

var walks = []walk{
	{
		resource: "users", path: "/zep/api/v1/user",
		list: func(
			ctx context.Context, c *zep.Client, page *zep.ListOptions, opts ...zep.RequestOption,
		) ([]int64, error) {
			users, err := c.User.List(ctx, page, opts...)
			return rows(users, userRow), err
		},
		chunks: func(
			ctx context.Context, c *zep.Client, size int, opts ...zep.RequestOption,
		) iter.Seq2[[]int64, error] {
			return rowChunks(c.User.ListChunked(ctx, size, opts...), userRow)
		},
		all: func(
			ctx context.Context, c *zep.Client, opts ...zep.RequestOption,
		) iter.Seq2[int64, error] {
			return rowByRow(c.User.All(ctx, opts...), userRow)
		},
		parallel: func(
			ctx context.Context, c *zep.Client, workers int, opts ...zep.RequestOption,
		) iter.Seq2[int64, error] {
			return rowByRow(c.User.AllParallel(ctx, workers, opts...), userRow)
		},
	},
	{
		resource: "sessions", path: "/zep/api/v1/sessions",
		list: func(
			ctx context.Context, c *zep.Client, page *zep.ListOptions, opts ...zep.RequestOption,
		) ([]int64, error) {
			sessions, err := c.Session.List(ctx, page, opts...)
			return rows(sessions, sessionRow), err
		},
		chunks: func(
			ctx context.Context, c *zep.Client, size int, opts ...zep.RequestOption,
		) iter.Seq2[[]int64, error] {
			return rowChunks(c.Session.ListChunked(ctx, size, opts...), sessionRow)
		},
		all: func(
			ctx context.Context, c *zep.Client, opts ...zep.RequestOption,
		) iter.Seq2[int64, error] {
			return rowByRow(c.Session.All(ctx, opts...), sessionRow)
		},
		parallel: func(
			ctx context.Context, c *zep.Client, workers int, opts ...zep.RequestOption,
		) iter.Seq2[int64, error] {
			return rowByRow(c.Session.AllParallel(ctx, workers, opts...), sessionRow)
		},
	},
}

func userRow(u *zep.User) int64       { return u.ID }
func sessionRow(s *zep.Session) int64 { return s.ID }

func rows[T any](records []*T, row func(*T) int64) []int64 {
	var ids []int64
	for _, r := range records {
		ids = append(ids, row(r))
	}
	return ids
}

func rowChunks[T any](seq iter.Seq2[[]*T, error], row func(*T) int64) iter.Seq2[[]int64, error] {
	return func(yield func([]int64, error) bool) {
		for records, err := range seq {
			if !yield(rows(records, row), err) {
				return
			}
		}
	}
}

func rowByRow[T any](seq iter.Seq2[*T, error], row func(*T) int64) iter.Seq2[int64, error] {
	return func(yield func(int64, error) bool) {
		for record, err := range seq {
			id := int64(0)
			if record != nil {
				id = row(record)
			}
			if !yield(id, err) {
				return
			}
		}
	}
}

// chunkByChunk is ListChunked in the form of All, for what both promise.
func (w walk) chunkByChunk(size int) walkFunc {
	return func(
		ctx context.Context, c *zep.Client, opts ...zep.RequestOption,
	) iter.Seq2[int64, error] {
		chunks := w.chunks(ctx, c, size, opts...)
		return func(yield func(int64, error) bool) {
			for ids, err := range chunks {
				if err != nil && !yield(0, err) {
					return
				}
				for _, id := range ids {
					if !yield(id, nil) {
						return
					}
				}
			}
		}
	}
}

// eachWalk runs a test for users and for sessions.
func eachWalk(t *testing.T, test func(t *testing.T, w walk)) {
	t.Parallel()
	for _, w := range walks {
		t.Run(w.resource, func(t *testing.T) {
			t.Parallel()
			test(t, w)
		})
	}
}

// eachWay runs a test for each way of walking users and sessions: in chunks of 100, and one by
// one.
func eachWay(t *testing.T, test func(t *testing.T, w walk, walk walkFunc)) {
	eachWalk(t, func(t *testing.T, w walk) {
		t.Run("ListChunked", func(t *testing.T) {
			t.Parallel()
			test(t, w, w.chunkByChunk(100))
		})
		t.Run("All", func(t *testing.T) {
			t.Parallel()
			test(t, w, w.all)
		})
	})
}

// table is the transport to a server with one table of rows. It answers with the rows after the
// cursor, by ascending id, as Zep does, and records the requests.
type table struct {
	t    testing.TB
	path string
	rows []int64
	most int // a cap of the server's own on the page, 0 for none

	// before, if set, sees the nth request first, from 1, and may answer it.
	before func(n int, req *http.Request) (*http.Response, error)

	mu      sync.Mutex
	asked   []string // the queries
	full    int      // pages with rows in them
	sent    int      // rows in all pages
	running int      // requests under way
}

func (s *table) RoundTrip(req *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.asked = append(s.asked, req.URL.RawQuery)
	s.running++
	n := len(s.asked)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.running--
		s.mu.Unlock()
	}()

	if req.Method != http.MethodGet || req.URL.EscapedPath() != s.path {
		s.t.Errorf("%s %s: want GET %s", req.Method, req.URL.EscapedPath(), s.path)
	}
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	if s.before != nil {
		if resp, err := s.before(n, req); resp != nil || err != nil {
			return resp, err
		}
	}
	limit, cursor := pageOf(s.t, req.URL)
	if s.most > 0 {
		limit = min(limit, s.most)
	}
	from, _ := slices.BinarySearch(s.rows, cursor+1)
	to := min(from+limit, len(s.rows))
	s.mu.Lock()
	s.sent += to - from
	if to > from {
		s.full++
	}
	s.mu.Unlock()
	return page(req, s.rows[from:to]...), nil
}

func pageOf(t testing.TB, u *url.URL) (limit int, cursor int64) {
	query := u.Query()
	limit, err := strconv.Atoi(query.Get("limit"))
	assert.NoError(t, err, "the limit in %s", u)
	if query.Has("cursor") {
		cursor, err = strconv.ParseInt(query.Get("cursor"), 10, 64)
		assert.NoError(t, err, "the cursor in %s", u)
	}
	return limit, cursor
}

// page is an answer with these rows, whichever resource they are of.
func page(req *http.Request, ids ...int64) *http.Response {
	var b strings.Builder
	b.WriteByte('[')
	for i, id := range ids {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":%d,"user_id":"u%d","session_id":"s%d"}`, id, id, id)
	}
	b.WriteString("]\n")
	return answered(req, http.StatusOK, b.String())
}

func answered(req *http.Request, status int, body string) *http.Response {
	return &http.Response{
		StatusCode:    status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		ContentLength: -1,
		Request:       req,
		Header:        http.Header{"Content-Type": {"text/plain; charset=utf-8"}},
		Body:          io.NopCloser(strings.NewReader(body)),
	}
}

// queries returns the queries of all requests, in their order.
func (s *table) queries() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// assertIdle checks that no request is under way.
func (s *table) assertIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	assert.Zero(s.t, s.running, "requests under way after the walk")
}

// client returns a client of the table.
func (s *table) client(t testing.TB) *zep.Client {
	t.Helper()
	s.t = t
	return clientOf(t, s)
}

// clientOf is a client before a transport, with one attempt a call, an end to every wait, and a
// base URL that has a path.
func clientOf(t testing.TB, transport http.RoundTripper) *zep.Client {
	t.Helper()
	c, err := zep.NewClient(
		zep.WithBaseURL("http://zep.test/zep"),
		zep.WithAPIKey(""),
		zep.WithMaxAttempts(1),
		zep.WithTimeout(20*time.Second),
		zep.WithHTTPClient(&http.Client{Transport: transport}),
	)
	require.NoError(t, err)
	return c
}

// count returns the numbers from first to last.
func count(first, last int64) []int64 {
	ids := make([]int64, 0, last-first+1)
	for id := first; id <= last; id++ {
		ids = append(ids, id)
	}
	return ids
}

// collect ranges to the end and returns what came, and the error if one did.
func collect(t testing.TB, seq iter.Seq2[int64, error]) (ids []int64, failure error) {
	t.Helper()
	for id, err := range seq {
		require.NoError(t, failure, "an error is the end")
		if err != nil {
			assert.Zero(t, id, "no record comes with an error")
			failure = err
			continue // the walk has to end by itself
		}
		ids = append(ids, id)
		require.LessOrEqual(t, len(ids), 100_000, "a walk without an end")
	}
	return ids, failure
}

// receive waits for a goroutine that has something to tell, and fails a test that would hang.
func receive[T any](t testing.TB, from <-chan T, what string) (got T) {
	t.Helper()
	timeout := time.NewTimer(10 * time.Second)
	defer timeout.Stop()
	select {
	case got = <-from:
	case <-timeout.C:
		assert.Fail(t, "timed out waiting for "+what)
	}
	return got
}

// lastCursor returns the cursor of the last request.
func (s *table) lastCursor() int64 {
	queries := s.queries()
	_, cursor := pageOf(s.t, &url.URL{RawQuery: queries[len(queries)-1]})
	return cursor
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// startServer starts a Zep server and gives a client for it.
func startServer(t testing.TB, opts ...zeptest.Option) (*zeptest.Server, *zep.Client) {
	t.Helper()
	server := zeptest.NewServer(opts...)
	t.Cleanup(server.Close)
	c, err := server.Client()
	require.NoError(t, err)
	return server, c
}

// noTransport fails the test with the first request.
func noTransport(t testing.TB) roundTripper {
	return func(req *http.Request) (*http.Response, error) {
		t.Errorf("sent %s %s", req.Method, req.URL)
		return nil, errors.New("nothing was to be sent")
	}
}
