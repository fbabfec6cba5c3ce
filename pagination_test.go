package zep_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
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

// A walk is what users and sessions have alike: a list that is walked by row number. Rows stand for the records here.
type walk struct {
	resource string
	path     string // of the list
	list     func(context.Context, *zep.Client, *zep.ListOptions, ...zep.RequestOption) ([]int64, error)
	chunks   func(context.Context, *zep.Client, int, ...zep.RequestOption) iter.Seq2[[]int64, error]
	all      func(context.Context, *zep.Client, ...zep.RequestOption) iter.Seq2[int64, error]
	parallel func(context.Context, *zep.Client, int, ...zep.RequestOption) iter.Seq2[int64, error]
}

var walks = []walk{
	{
		resource: "users", path: "/zep/api/v1/user",
		list: func(ctx context.Context, c *zep.Client, page *zep.ListOptions, opts ...zep.RequestOption) ([]int64, error) {
			users, err := c.User.List(ctx, page, opts...)
			return rows(users, userRow), err
		},
		chunks: func(ctx context.Context, c *zep.Client, size int, opts ...zep.RequestOption) iter.Seq2[[]int64, error] {
			return rowChunks(c.User.ListChunked(ctx, size, opts...), userRow)
		},
		all: func(ctx context.Context, c *zep.Client, opts ...zep.RequestOption) iter.Seq2[int64, error] {
			return rowByRow(c.User.All(ctx, opts...), userRow)
		},
		parallel: func(ctx context.Context, c *zep.Client, workers int, opts ...zep.RequestOption) iter.Seq2[int64, error] {
			return rowByRow(c.User.AllParallel(ctx, workers, opts...), userRow)
		},
	},
	{
		resource: "sessions", path: "/zep/api/v1/sessions",
		list: func(ctx context.Context, c *zep.Client, page *zep.ListOptions, opts ...zep.RequestOption) ([]int64, error) {
			sessions, err := c.Session.List(ctx, page, opts...)
			return rows(sessions, sessionRow), err
		},
		chunks: func(ctx context.Context, c *zep.Client, size int, opts ...zep.RequestOption) iter.Seq2[[]int64, error] {
			return rowChunks(c.Session.ListChunked(ctx, size, opts...), sessionRow)
		},
		all: func(ctx context.Context, c *zep.Client, opts ...zep.RequestOption) iter.Seq2[int64, error] {
			return rowByRow(c.Session.All(ctx, opts...), sessionRow)
		},
		parallel: func(ctx context.Context, c *zep.Client, workers int, opts ...zep.RequestOption) iter.Seq2[int64, error] {
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
func (w walk) chunkByChunk(size int) func(context.Context, *zep.Client, ...zep.RequestOption) iter.Seq2[int64, error] {
	return func(ctx context.Context, c *zep.Client, opts ...zep.RequestOption) iter.Seq2[int64, error] {
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

// eachWay runs a test for each way of walking users and sessions: in chunks of 100, and one by one.
func eachWay(t *testing.T, test func(t *testing.T, w walk, walk func(context.Context, *zep.Client, ...zep.RequestOption) iter.Seq2[int64, error])) {
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

// A table is the transport to a server that has nothing but rows: it answers with the rows after the cursor, by ascending
// id, as Zep does, and notes what it was asked for.
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
	if to > from {
		s.mu.Lock()
		s.full++
		s.mu.Unlock()
	}
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
		StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, ContentLength: -1, Request: req,
		Header: http.Header{"Content-Type": {"text/plain; charset=utf-8"}}, Body: io.NopCloser(strings.NewReader(body)),
	}
}

// queries is what the table was asked for, in the order of the requests.
func (s *table) queries() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// assertIdle: nothing is under way any more.
func (s *table) assertIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	assert.Zero(s.t, s.running, "requests under way after the walk")
}

// client is a client of the table's.
func (s *table) client(t testing.TB) *zep.Client {
	t.Helper()
	s.t = t
	return clientOf(t, s)
}

// clientOf is a client before a transport, with one attempt a call, an end to every wait, and a base URL that has a path.
func clientOf(t testing.TB, transport http.RoundTripper) *zep.Client {
	t.Helper()
	c, err := zep.NewClient(zep.WithBaseURL("http://zep.test/zep"), zep.WithAPIKey(""), zep.WithMaxAttempts(1), zep.WithTimeout(20*time.Second),
		zep.WithHTTPClient(&http.Client{Transport: transport}))
	require.NoError(t, err)
	return c
}

// count is the numbers from first to last.
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
		assert.Fail(t, "waited in vain: "+what)
	}
	return got
}

func TestListChunkedSendsOneRequestAChunkEachFromTheLastID(t *testing.T) {
	eachWalk(t, func(t *testing.T, w walk) {
		s := &table{path: w.path, rows: []int64{2, 3, 7, 20, 21}}
		var chunks [][]int64
		for ids, err := range w.chunks(context.Background(), s.client(t), 2) {
			require.NoError(t, err)
			chunks = append(chunks, ids)
			assert.Len(t, s.queries(), len(chunks), "requests after so many chunks")
		}
		assert.Equal(t, [][]int64{{2, 3}, {7, 20}, {21}}, chunks)
		assert.Equal(t, []string{"limit=2", "cursor=3&limit=2", "cursor=20&limit=2", "cursor=21&limit=2"}, s.queries())
	})
}

func TestListChunkedFetchesNothingThatWasNotAskedFor(t *testing.T) {
	eachWalk(t, func(t *testing.T, w walk) {
		s := &table{path: w.path, rows: count(1, 10)}
		seq := w.chunks(context.Background(), s.client(t), 3)
		assert.Empty(t, s.queries(), "before the loop")
		for range seq {
			assert.Len(t, s.queries(), 1, "in the first round")
			break
		}
		assert.Len(t, s.queries(), 1, "after a break")
		s.assertIdle()

		next, stop := iter.Pull2(seq)
		defer stop()
		assert.Len(t, s.queries(), 1, "before the first chunk is pulled")
		next()
		next()
		assert.Equal(t, []string{"limit=3", "limit=3", "cursor=3&limit=3"}, s.queries(), "after two chunks were")
		stop()
		assert.Len(t, s.queries(), 3)
		s.assertIdle()
	})
}

func TestListChunkedEndsOnlyWithAnEmptyPage(t *testing.T) {
	tests := map[string]struct {
		rows []int64
		most int
		want []string
	}{
		"a short page is no end": {count(1, 5), 0, []string{"limit=4", "cursor=4&limit=4", "cursor=5&limit=4"}},
		"a server that caps its pages at 2 is asked for 4 all the same": {
			count(1, 5), 2, []string{"limit=4", "cursor=2&limit=4", "cursor=4&limit=4", "cursor=5&limit=4"},
		},
		"a last page that is full": {count(1, 4), 0, []string{"limit=4", "cursor=4&limit=4"}},
		"no rows at all":           {nil, 0, []string{"limit=4"}},
	}
	eachWalk(t, func(t *testing.T, w walk) {
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := &table{path: w.path, rows: test.rows, most: test.most}
				var got []int64
				for ids, err := range w.chunks(context.Background(), s.client(t), 4) {
					require.NoError(t, err)
					assert.NotEmpty(t, ids, "an empty chunk is not yielded")
					got = append(got, ids...)
				}
				assert.Equal(t, test.rows, got)
				assert.Equal(t, test.want, s.queries())
			})
		}
	})
}

func TestListChunkedTakesZeroForAHundredAndRefusesLess(t *testing.T) {
	eachWalk(t, func(t *testing.T, w walk) {
		s := &table{path: w.path, rows: count(1, 150)}
		c := s.client(t)
		_, err := collect(t, w.chunkByChunk(0)(context.Background(), c))
		require.NoError(t, err)
		assert.Equal(t, []string{"limit=100", "cursor=100&limit=100", "cursor=150&limit=100"}, s.queries())

		for _, size := range []int{-1, -100} {
			rounds := 0
			for ids, err := range w.chunks(context.Background(), c, size) {
				rounds++
				assert.Nil(t, ids)
				require.ErrorIs(t, err, zep.ErrBadRequest)
				assert.Contains(t, err.Error(), strconv.Itoa(size))
			}
			assert.Equal(t, 1, rounds)
		}
		assert.Len(t, s.queries(), 3, "nothing sent for a negative size")
	})
}

func TestWalksYieldOneErrorAfterAllThatCameBeforeIt(t *testing.T) {
	eachWay(t, func(t *testing.T, w walk, walk func(context.Context, *zep.Client, ...zep.RequestOption) iter.Seq2[int64, error]) {
		for nth := 1; nth <= 3; nth++ {
			s := &table{path: w.path, rows: count(1, 1000), before: func(n int, req *http.Request) (*http.Response, error) {
				if n != nth {
					return nil, nil
				}
				return answered(req, http.StatusInternalServerError, "out of order\n"), nil
			}}
			ids, err := collect(t, walk(context.Background(), s.client(t)))
			require.ErrorIs(t, err, zep.ErrServer)
			assert.Contains(t, err.Error(), "out of order")
			assert.Equal(t, int(s.lastCursor()), len(ids), "rows before the failing page")
			assert.True(t, slices.IsSorted(ids))
			assert.Len(t, s.queries(), nth, "nothing is asked after an error")
			s.assertIdle()
		}
	})
}

// lastCursor is that of the last request.
func (s *table) lastCursor() int64 {
	queries := s.queries()
	_, cursor := pageOf(s.t, &url.URL{RawQuery: queries[len(queries)-1]})
	return cursor
}

func TestWalksEndWithErrCursorStuckAtAPageThatLeadsNowhere(t *testing.T) {
	tests := map[string]struct {
		first, second []int64
		want          int
	}{
		"the server ignores the cursor":         {[]int64{1, 2, 3}, []int64{1, 2, 3}, 3},
		"a page that ends at the cursor":        {[]int64{1, 2, 3}, []int64{2, 3}, 3},
		"a page that ends before the cursor":    {[]int64{5, 6}, []int64{1, 2, 3}, 2},
		"a page that begins after, ends before": {[]int64{5, 6}, []int64{7, 4}, 2},
		"a first page without ids":              {[]int64{0, 0}, nil, 0},
		"a first page of negative ids":          {[]int64{-3, -2}, nil, 0},
	}
	eachWay(t, func(t *testing.T, w walk, walk func(context.Context, *zep.Client, ...zep.RequestOption) iter.Seq2[int64, error]) {
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := &table{path: w.path, before: func(n int, req *http.Request) (*http.Response, error) {
					if n == 1 {
						return page(req, test.first...), nil
					}
					return page(req, test.second...), nil
				}}
				ids, err := collect(t, walk(context.Background(), s.client(t)))
				require.ErrorIs(t, err, zep.ErrCursorStuck)
				assert.Len(t, ids, test.want)
				wantRequests := 2
				if test.second == nil {
					wantRequests = 1
				}
				assert.Len(t, s.queries(), wantRequests)
				s.assertIdle()
			})
		}
	})
}

func TestWalksCanBeRangedOverAgain(t *testing.T) {
	eachWay(t, func(t *testing.T, w walk, walk func(context.Context, *zep.Client, ...zep.RequestOption) iter.Seq2[int64, error]) {
		s := &table{path: w.path, rows: count(1, 250)}
		seq := walk(context.Background(), s.client(t))
		for range seq {
			break
		}
		for range 2 {
			ids, err := collect(t, seq)
			require.NoError(t, err)
			assert.Equal(t, count(1, 250), ids)
		}
	})
}

// messagesAll is Message.All as a walk: its records have no row numbers, so their contents are numbers.
func messagesAll(ctx context.Context, c *zep.Client, opts ...zep.RequestOption) iter.Seq2[int64, error] {
	return rowByRow(c.Message.All(ctx, "s", opts...), func(m *zep.Message) int64 {
		n, _ := strconv.ParseInt(m.Content, 10, 64)
		return n
	})
}

func TestWalksCopyTheirOptions(t *testing.T) {
	t.Parallel()
	ways := map[string]func(context.Context, *zep.Client, ...zep.RequestOption) iter.Seq2[int64, error]{
		"User.ListChunked": walks[0].chunkByChunk(0), "User.All": walks[0].all,
		"Session.ListChunked": walks[1].chunkByChunk(0), "Session.All": walks[1].all,
		"Message.All": messagesAll,
	}
	for name, walk := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Room behind the options is what an append would write to.
			opts := append(make([]zep.RequestOption, 0, 8), zep.RequestHeader("X-Walk", "as given"))
			var headers []string
			c := clientOf(t, roundTripper(func(req *http.Request) (*http.Response, error) {
				headers = append(headers, req.Header.Get("X-Walk"))
				if name == "Message.All" {
					return answered(req, http.StatusOK, `{"messages":[]}`), nil
				}
				return page(req), nil
			}))
			// The wrappers of this test forward the slice as it is, so what is copied is copied by the package.
			seq := walk(context.Background(), c, opts...)
			opts[0] = zep.RequestHeader("X-Walk", "changed meanwhile")
			for range seq {
			}
			assert.Equal(t, []string{"as given"}, headers)
			assert.Nil(t, opts[:2][1], "written to the room behind the options")
		})
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// TestWalksShareOptions lets two walks at once have the same slice of options, with room behind it: the race detector tells
// if one writes there.
func TestWalksShareOptions(t *testing.T) {
	eachWay(t, func(t *testing.T, w walk, walk func(context.Context, *zep.Client, ...zep.RequestOption) iter.Seq2[int64, error]) {
		s := &table{path: w.path, rows: count(1, 1000)}
		c := s.client(t)
		opts := append(make([]zep.RequestOption, 0, 8), zep.RequestTimeout(time.Minute))
		var walking sync.WaitGroup
		for range 4 {
			walking.Add(1)
			go func() {
				defer walking.Done()
				var response *http.Response
				ids, err := collect(t, walk(context.Background(), c, append(opts[:1:1], zep.CaptureResponse(&response))...))
				assert.NoError(t, err)
				assert.Len(t, ids, 1000)
				ids, err = collect(t, walk(context.Background(), c, opts...))
				assert.NoError(t, err)
				assert.Len(t, ids, 1000)
			}()
		}
		walking.Wait()
	})
}

// TestWalksOver20000IDsOfWhichFewAreLeft counts the requests: at most one more than there are pages with rows.
func TestWalksOver20000IDsOfWhichFewAreLeft(t *testing.T) {
	var every997th []int64
	for id := int64(997); id <= 20_000; id += 997 {
		every997th = append(every997th, id)
	}
	tests := map[string][]int64{
		"every 997th": every997th, "the last 100": count(19_901, 20_000), "none": nil, "all": count(1, 20_000),
	}
	eachWalk(t, func(t *testing.T, w walk) {
		ways := map[string]func(context.Context, *zep.Client, ...zep.RequestOption) iter.Seq2[int64, error]{
			"in chunks of 1": w.chunkByChunk(1), "in chunks of 7": w.chunkByChunk(7), "in chunks of 100": w.chunkByChunk(100),
			"in chunks of 50,000": w.chunkByChunk(50_000), "one by one": w.all,
		}
		for name, left := range tests {
			for way, walk := range ways {
				if len(left) == 20_000 && way != "in chunks of 100" && way != "one by one" {
					continue // they tell nothing that these do not, and take long
				}
				t.Run(name+" "+way, func(t *testing.T) {
					t.Parallel()
					s := &table{path: w.path, rows: left}
					ids, err := collect(t, walk(context.Background(), s.client(t)))
					require.NoError(t, err)
					assert.Equal(t, left, ids)
					assert.LessOrEqual(t, len(s.queries()), s.full+1)
				})
			}
		}
	})
}

// TestWalksOverTheGapsThatFailedAddsLeave is the same with the sequence of the server's own.
func TestWalksOverTheGapsThatFailedAddsLeave(t *testing.T) {
	eachWay(t, func(t *testing.T, w walk, walk func(context.Context, *zep.Client, ...zep.RequestOption) iter.Seq2[int64, error]) {
		server, c := startServer(t)
		seed := func(id string) error {
			if w.resource == "users" {
				return server.SeedUsers(1, func(int) zep.CreateUserRequest { return zep.CreateUserRequest{UserID: id} })
			}
			return server.SeedSessions(1, func(int) zep.CreateSessionRequest { return zep.CreateSessionRequest{SessionID: id} })
		}
		want := []int64{1}
		for id := int64(1); id <= 20_000; id++ {
			switch {
			case id == 1:
				require.NoError(t, seed("taken"))
			case id%997 == 0:
				require.NoError(t, seed(fmt.Sprint("left", id)))
				want = append(want, id)
			default:
				require.Error(t, seed("taken"))
			}
		}
		ids, err := collect(t, walk(context.Background(), c))
		require.NoError(t, err)
		assert.Equal(t, want, ids)
		assert.Equal(t, 2, server.Requests())
	})
}

// startServer starts a Zep server and gives a client for it.
func startServer(t testing.TB, opts ...zeptest.Option) (*zeptest.Server, *zep.Client) {
	t.Helper()
	server := zeptest.NewServer(opts...)
	t.Cleanup(server.Close)
	c, err := server.Client()
	require.NoError(t, err)
	return server, c
}

func TestWalksYieldOnceWhoStandsThroughoutWhileOthersComeAndGo(t *testing.T) {
	for _, way := range []string{"ListChunked", "All"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			server, c := startServer(t)
			ctx := context.Background()
			const n = 1000
			require.NoError(t, server.SeedUsers(n, func(i int) zep.CreateUserRequest {
				return zep.CreateUserRequest{UserID: fmt.Sprint("old", i)}
			}))
			walk := c.User.All(ctx)
			if way == "ListChunked" {
				walk = func(yield func(*zep.User, error) bool) {
					for users, err := range c.User.ListChunked(ctx, 30) {
						require.NoError(t, err)
						for _, u := range users {
							if !yield(u, nil) {
								return
							}
						}
					}
				}
			}

			seen := map[string]int{}
			deleted := map[string]bool{}
			last := ""
			for u, err := range walk {
				require.NoError(t, err)
				seen[u.UserID]++
				last = u.UserID
				if seen["old0"] == 1 && len(seen)%20 == 0 && len(seen) < n {
					// One whom the walk has passed, one before it, and a new one.
					for _, id := range []string{fmt.Sprint("old", len(seen)-3), fmt.Sprint("old", n-len(seen)+7)} {
						if !deleted[id] {
							require.NoError(t, c.User.Delete(ctx, id))
							deleted[id] = true
						}
					}
					_, err := c.User.Add(ctx, &zep.CreateUserRequest{UserID: fmt.Sprint("new", len(seen))})
					require.NoError(t, err)
				}
			}
			require.NotEmpty(t, deleted)
			for i := range n {
				if id := fmt.Sprint("old", i); !deleted[id] {
					assert.Equal(t, 1, seen[id], id)
				}
			}
			for id, times := range seen {
				assert.Equal(t, 1, times, id)
			}
			if way == "ListChunked" {
				assert.Contains(t, last, "new", "who was added meanwhile comes last")
			}
		})
	}
}

func TestAllAsksForPagesThatDoubleFrom100To5000(t *testing.T) {
	eachWalk(t, func(t *testing.T, w walk) {
		s := &table{path: w.path, rows: count(1, 6300+5000+5000+1)}
		ids, err := collect(t, w.all(context.Background(), s.client(t)))
		require.NoError(t, err)
		assert.Equal(t, s.rows, ids)
		assert.Equal(t, []string{
			"limit=100", "cursor=100&limit=200", "cursor=300&limit=400", "cursor=700&limit=800", "cursor=1500&limit=1600",
			"cursor=3100&limit=3200", "cursor=6300&limit=5000", "cursor=11300&limit=5000", "cursor=16300&limit=5000",
			"cursor=16301&limit=5000",
		}, s.queries())
	})
}

func TestAllEndsOnlyWithAnEmptyPage(t *testing.T) {
	eachWalk(t, func(t *testing.T, w walk) {
		s := &table{path: w.path, rows: count(1, 1000), most: 300}
		ids, err := collect(t, w.all(context.Background(), s.client(t)))
		require.NoError(t, err)
		assert.Equal(t, s.rows, ids)
		assert.Equal(t, []string{
			"limit=100", "cursor=100&limit=200", "cursor=300&limit=400", "cursor=600&limit=800", "cursor=900&limit=1600",
			"cursor=1000&limit=3200",
		}, s.queries())
	})
}

func TestAllFetchesNothingBeforeTheLoop(t *testing.T) {
	eachWalk(t, func(t *testing.T, w walk) {
		s := &table{path: w.path, rows: count(1, 10)}
		seq := w.all(context.Background(), s.client(t))
		assert.Empty(t, s.queries())
		for range seq {
			break
		}
		assert.Equal(t, "limit=100", s.queries()[0])
	})
}

func TestAllFetchesOnePageAheadWhileTheLoopWorks(t *testing.T) {
	eachWalk(t, func(t *testing.T, w walk) {
		requested := make(chan int, 100)
		s := &table{path: w.path, rows: count(1, 1000), before: func(n int, _ *http.Request) (*http.Response, error) {
			requested <- n
			return nil, nil
		}}
		first := map[int64]int{1: 1, 101: 2, 301: 3, 701: 4} // the row that a page begins with
		for id, err := range w.all(context.Background(), s.client(t)) {
			require.NoError(t, err)
			if n := first[id]; n > 0 {
				if n == 1 {
					assert.Equal(t, 1, receive(t, requested, "page 1"))
				}
				assert.Equal(t, n+1, receive(t, requested, "the next page, while the loop is at this one"))
			}
			assert.Empty(t, requested, "one page ahead, and no more")
		}
	})
}

func TestABreakCancelsThePageOnItsWay(t *testing.T) {
	eachWalk(t, func(t *testing.T, w walk) {
		requested, cancelled := make(chan struct{}), make(chan struct{})
		s := &table{path: w.path, rows: count(1, 1000), before: func(n int, req *http.Request) (*http.Response, error) {
			if n == 1 {
				return nil, nil
			}
			close(requested)
			<-req.Context().Done()
			close(cancelled)
			return nil, req.Context().Err()
		}}
		for id, err := range w.all(context.Background(), s.client(t)) {
			require.NoError(t, err)
			if id == 50 {
				receive(t, requested, "the second page")
				break
			}
		}
		receive(t, cancelled, "the end of the second page")
		s.assertIdle()
		assert.Len(t, s.queries(), 2)
	})
}

// TestABreakEndsTheRequestAtTheServer is the same on the wire.
func TestABreakEndsTheRequestAtTheServer(t *testing.T) {
	eachWalk(t, func(t *testing.T, w walk) {
		requested, gone := make(chan struct{}), make(chan struct{})
		server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
			if !req.URL.Query().Has("cursor") {
				_, _ = io.Copy(rw, page(req, 1, 2, 3).Body)
				return
			}
			close(requested)
			<-req.Context().Done()
			close(gone)
		}))
		defer server.Close()
		c, err := zep.NewClient(zep.WithBaseURL(server.URL), zep.WithAPIKey(""))
		require.NoError(t, err)
		for _, err := range w.all(context.Background(), c) {
			require.NoError(t, err)
			receive(t, requested, "the second page")
			break
		}
		receive(t, gone, "that the client has hung up")
	})
}

func TestAPanicInTheLoopLeavesNothingRunning(t *testing.T) {
	eachWalk(t, func(t *testing.T, w walk) {
		requested := make(chan struct{})
		s := &table{path: w.path, rows: count(1, 1000), before: func(n int, req *http.Request) (*http.Response, error) {
			if n == 1 {
				return nil, nil
			}
			close(requested)
			<-req.Context().Done()
			return nil, req.Context().Err()
		}}
		c := s.client(t)
		assert.PanicsWithValue(t, "in the loop", func() {
			for range w.all(context.Background(), c) {
				receive(t, requested, "the second page")
				panic("in the loop")
			}
		})
		s.assertIdle()
	})
}

func TestAllGoesOnToTheEndOfItsPageWhenTheContextIsCancelled(t *testing.T) {
	eachWalk(t, func(t *testing.T, w walk) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		s := &table{path: w.path, rows: count(1, 1000), before: func(n int, req *http.Request) (*http.Response, error) {
			if n < 3 {
				return nil, nil
			}
			<-req.Context().Done()
			return nil, req.Context().Err()
		}}
		var ids []int64
		var failure error
		for id, err := range w.all(ctx, s.client(t)) {
			if err != nil {
				require.NoError(t, failure, "an error is the end")
				failure = err
				continue
			}
			ids = append(ids, id)
			if id == 150 {
				cancel()
			}
		}
		require.ErrorIs(t, failure, context.Canceled)
		assert.Equal(t, count(1, 300), ids)
		s.assertIdle()
	})
}

func TestListChunkedSendsNothingAfterTheContextIsCancelled(t *testing.T) {
	eachWalk(t, func(t *testing.T, w walk) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		s := &table{path: w.path, rows: count(1, 1000)}
		chunks, failures := 0, 0
		for ids, err := range w.chunks(ctx, s.client(t), 10) {
			if err != nil {
				assert.Nil(t, ids)
				require.ErrorIs(t, err, context.Canceled)
				failures++
				continue
			}
			if chunks++; chunks == 2 {
				cancel()
			}
		}
		assert.Equal(t, 2, chunks)
		assert.Equal(t, 1, failures)
		assert.Len(t, s.queries(), 2)
	})
}

func TestWalksWithAnEndedContextSendNothing(t *testing.T) {
	eachWay(t, func(t *testing.T, w walk, walk func(context.Context, *zep.Client, ...zep.RequestOption) iter.Seq2[int64, error]) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		s := &table{path: w.path, rows: count(1, 10)}
		ids, err := collect(t, walk(ctx, s.client(t)))
		require.ErrorIs(t, err, context.Canceled)
		assert.Empty(t, ids)
		assert.Empty(t, s.queries())
	})
}

func TestWalksWithAnOptionThatIsNoneSendNothing(t *testing.T) {
	eachWay(t, func(t *testing.T, w walk, walk func(context.Context, *zep.Client, ...zep.RequestOption) iter.Seq2[int64, error]) {
		for _, opt := range []zep.RequestOption{nil, zep.RequestMaxAttempts(0), zep.CaptureResponse(nil)} {
			s := &table{path: w.path, rows: count(1, 10)}
			ids, err := collect(t, walk(context.Background(), s.client(t), opt))
			require.ErrorIs(t, err, zep.ErrBadRequest)
			assert.Empty(t, ids)
			assert.Empty(t, s.queries())
		}
	})
}

// TestACapturedResponseBelongsToThePageInHand has the race detector as its second half: the next page arrives while the loop
// reads the response of this one.
func TestACapturedResponseBelongsToThePageInHand(t *testing.T) {
	eachWay(t, func(t *testing.T, w walk, walk func(context.Context, *zep.Client, ...zep.RequestOption) iter.Seq2[int64, error]) {
		var s *table
		s = &table{rows: count(1, 1500), before: func(n int, req *http.Request) (*http.Response, error) {
			limit, cursor := pageOf(s.t, req.URL)
			if cursor >= 1500 {
				return answered(req, http.StatusInternalServerError, "the end is an error here\n"), nil
			}
			resp := page(req, count(cursor+1, min(cursor+int64(limit), 1500))...)
			resp.Header.Set("X-After", strconv.FormatInt(cursor, 10))
			return resp, nil
		}}
		s.path = w.path
		var response *http.Response
		last, failures := "", 0
		for id, err := range walk(context.Background(), s.client(t), zep.CaptureResponse(&response)) {
			if !assert.NotNil(t, response) {
				return
			}
			if err != nil {
				assert.Equal(t, http.StatusInternalServerError, response.StatusCode)
				body, err := io.ReadAll(response.Body)
				assert.NoError(t, err)
				assert.Equal(t, "the end is an error here\n", string(body))
				failures++
				require.Equal(t, 1, failures, "an error is the end")
				continue
			}
			after := response.Header.Get("X-After")
			assert.Equal(t, http.StatusOK, response.StatusCode)
			if after != last || id == 1 {
				begin, err := strconv.ParseInt(after, 10, 64)
				assert.NoError(t, err)
				assert.Equal(t, begin+1, id, "the first row of the captured page")
				body, err := io.ReadAll(response.Body)
				assert.NoError(t, err)
				assert.Contains(t, string(body), fmt.Sprintf(`[{"id":%d,`, id))
				last = after
			}
		}
		assert.Equal(t, http.StatusInternalServerError, response.StatusCode, "the last page's")
	})
}

// TestAWalkOver200000UsersKeepsPagesNotTheTable is not parallel: it measures the heap.
func TestAWalkOver200000UsersKeepsPagesNotTheTable(t *testing.T) {
	const n, most = 200_000, 16 << 20 // the whole of them would be over 40 MB
	c := clientOf(t, roundTripper(func(req *http.Request) (*http.Response, error) {
		limit, cursor := pageOf(t, req.URL)
		var b []byte
		for id := cursor + 1; id <= min(cursor+int64(limit), n); id++ {
			b = append(strconv.AppendInt(append(b, `,{"id":`...), id, 10), `,"user_id":"u"}`...)
		}
		return answered(req, http.StatusOK, "["+strings.TrimPrefix(string(b), ",")+"]"), nil
	}))
	live := func() uint64 {
		var stats runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	before, walked := live(), 0
	for user, err := range c.User.All(context.Background()) {
		require.NoError(t, err)
		if walked++; walked%50_000 == 0 {
			now := live()
			assert.Less(t, now, before+most, "live heap after %d users", walked)
		}
		require.LessOrEqual(t, walked, n, "a walk without an end")
		runtime.KeepAlive(user)
	}
	assert.Equal(t, n, walked)
}

// A conversation is a transport to a server with the messages of one session: pages have numbers there.
func conversation(t testing.TB, n int, asked *[]string, turn func(page int) int) roundTripper {
	var mu sync.Mutex
	return func(req *http.Request) (*http.Response, error) {
		mu.Lock()
		*asked = append(*asked, req.URL.RequestURI())
		mu.Unlock()
		limit, number := pageOf(t, req.URL)
		from := min((turn(int(number))-1)*limit, n)
		messages := []string{}
		for i := from; i < min(from+limit, n); i++ {
			messages = append(messages, fmt.Sprintf(`{"uuid":"%036d","role":"human","content":"%d"}`, i, i))
		}
		return answered(req, http.StatusOK, fmt.Sprintf(`{"messages":[%s],"total_count":%d,"row_count":%d}`,
			strings.Join(messages, ","), n, len(messages))), nil
	}
}

func asAsked(page int) int { return page }

func TestMessageAllWalksByPageNumberOldestFirst(t *testing.T) {
	t.Parallel()
	for n, pages := range map[int]int{0: 1, 1: 2, 499: 2, 500: 2, 501: 3, 1234: 4} {
		t.Run(fmt.Sprint(n, " messages"), func(t *testing.T) {
			t.Parallel()
			var asked []string
			seq := messagesAll(context.Background(), clientOf(t, conversation(t, n, &asked, asAsked)))
			for range 2 { // ranged over again, it begins anew
				asked = nil
				ids, err := collect(t, seq)
				require.NoError(t, err)
				assert.Equal(t, count(0, int64(n)-1), append([]int64{}, ids...))
				require.Len(t, asked, pages)
				for i, uri := range asked {
					assert.Equal(t, fmt.Sprintf("/zep/api/v1/sessions/s/messages?cursor=%d&limit=500", i+1), uri)
				}
			}
		})
	}
}

func TestMessageAllEndsWithErrCursorStuckWhenTheServerDoesNotTurnThePage(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		turn           func(int) int
		want, requests int
	}{
		"from the first page on":  {func(int) int { return 1 }, 500, 2},
		"from the second page on": {func(page int) int { return min(page, 2) }, 1000, 3},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked []string
			ids, err := collect(t, messagesAll(context.Background(), clientOf(t, conversation(t, 2000, &asked, test.turn))))
			require.ErrorIs(t, err, zep.ErrCursorStuck)
			assert.Equal(t, count(0, int64(test.want)-1), ids)
			assert.Len(t, asked, test.requests)
		})
	}
}

func TestMessageAllFetchesAheadAndABreakCancels(t *testing.T) {
	t.Parallel()
	var asked []string
	requested, cancelled := make(chan struct{}), make(chan struct{})
	server := conversation(t, 2000, &asked, asAsked)
	c := clientOf(t, roundTripper(func(req *http.Request) (*http.Response, error) {
		if _, number := pageOf(t, req.URL); number == 1 {
			return server(req)
		}
		close(requested)
		<-req.Context().Done()
		close(cancelled)
		return nil, req.Context().Err()
	}))
	for range c.Message.All(context.Background(), "s") {
		receive(t, requested, "the second page")
		break
	}
	select {
	case <-cancelled: // before the loop is left
	default:
		assert.Fail(t, "the second page is still on its way")
	}
}

func TestMessageAllYieldsEverythingBeforeAnError(t *testing.T) {
	t.Parallel()
	var asked []string
	server := conversation(t, 2000, &asked, asAsked)
	c := clientOf(t, roundTripper(func(req *http.Request) (*http.Response, error) {
		if _, number := pageOf(t, req.URL); number == 3 {
			return nil, errors.New("the line is cut")
		}
		return server(req)
	}))
	ids, err := collect(t, messagesAll(context.Background(), c))
	require.ErrorContains(t, err, "the line is cut")
	assert.Equal(t, count(0, 999), ids)
}

func TestListSendsItsOptionsAndRefusesNegativeOnes(t *testing.T) {
	queries := map[string]*zep.ListOptions{
		"":                                       nil,
		"cursor=0&limit=0 are not sent":          {},
		"limit=5":                                {Limit: 5},
		"cursor=7":                               {Cursor: 7},
		"cursor=9223372036854775807&limit=10000": {Limit: 10_000, Cursor: 9223372036854775807},
	}
	eachWalk(t, func(t *testing.T, w walk) {
		for _, query := range slices.Sorted(maps.Keys(queries)) {
			var asked *url.URL
			c := clientOf(t, roundTripper(func(req *http.Request) (*http.Response, error) {
				asked = req.URL
				return page(req, 8, 9), nil
			}))
			ids, err := w.list(context.Background(), c, queries[query])
			require.NoError(t, err)
			assert.Equal(t, []int64{8, 9}, ids)
			if strings.HasSuffix(query, "not sent") {
				query = ""
			}
			want := w.path
			if query != "" {
				want += "?" + query
			}
			assert.Equal(t, want, asked.RequestURI())
		}
		c := clientOf(t, noTransport(t))
		for _, page := range []*zep.ListOptions{{Limit: -1}, {Cursor: -1}} {
			_, err := w.list(context.Background(), c, page)
			require.ErrorIs(t, err, zep.ErrBadRequest)
		}
	})
}

// noTransport fails the test with the first request.
func noTransport(t testing.TB) roundTripper {
	return func(req *http.Request) (*http.Response, error) {
		t.Errorf("sent %s %s", req.Method, req.URL)
		return nil, errors.New("nothing was to be sent")
	}
}

// TestATransportThatPanicsUnderAllDoesSoInTheLoop: the page ahead is fetched by another goroutine, where nobody could recover.
func TestATransportThatPanicsUnderAllDoesSoInTheLoop(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(){"panic": func() { panic("no") }, "runtime.Goexit": runtime.Goexit} {
		pages := 0
		transport := roundTripper(func(*http.Request) (*http.Response, error) {
			if pages++; pages == 2 {
				end()
			}
			return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(`[{"id":1,"user_id":"jane"}]`))}, nil
		})
		c, err := zep.NewClient(zep.WithBaseURL("http://zep.test"), zep.WithAPIKey(""), zep.WithHTTPClient(&http.Client{Transport: transport}))
		require.NoError(t, err)
		var last error
		recovered := func() (value any) {
			defer func() { value = recover() }()
			for _, err := range c.User.All(context.Background()) {
				last = err
			}
			return nil
		}()
		if name == "panic" {
			assert.Equal(t, "no", recovered)
		} else {
			assert.ErrorContains(t, last, "ended in the middle", "the walk is not taken for whole")
		}
	}
}

// every is every nth id of a range.
func every(n, first, last int64) (ids []int64) {
	for id := first; id <= last; id += n {
		ids = append(ids, id)
	}
	return ids
}

func TestAllParallelYieldsEveryRecordOnce(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var scattered []int64
	for id := int64(0); len(scattered) < 5500; {
		id += 1 + random.Int64N(1+random.Int64N(2000))
		scattered = append(scattered, id)
	}
	tables := map[string][]int64{
		"none": nil, "one": {7}, "99": count(1, 99), "100": count(1, 100), "101": count(1, 101), "one page and one": count(1, 5001),
		"dense": count(1, 12_345), "every 997th": every(997, 997, 6000*997), "the last 100": count(19_901, 20_000),
		"a gap": slices.Concat(count(1, 300), count(1_000_000_000, 1_000_006_000)), "gaps": slices.Concat(count(1, 150), count(9_000, 18_000), count(40_000, 40_001), count(90_000, 91_000)),
		"scattered": scattered, "up to the last id there is": {1, 2, math.MaxInt64 - 1, math.MaxInt64}, "the last id alone": {math.MaxInt64},
	}
	t.Parallel()
	users := walks[0]
	for name, rows := range tables {
		for _, test := range []struct{ workers, most int }{{0, 0}, {1, 777}, {20, 0}} {
			t.Run(fmt.Sprint(name, "/", test.workers, " workers"), func(t *testing.T) {
				t.Parallel()
				s := &table{path: users.path, rows: rows, most: test.most}
				ids, err := collect(t, users.parallel(context.Background(), s.client(t), test.workers))
				require.NoError(t, err)
				slices.Sort(ids)
				require.Equal(t, len(rows), len(ids))
				require.True(t, slices.Equal(rows, ids), "each once")
				s.assertIdle()
				if len(rows) < 100 {
					assert.LessOrEqual(t, len(s.queries()), 2, "a small table is no work for many")
				}
			})
		}
	}
}

// TestAllParallelYieldsOnceWhoStandsThroughoutWhileOthersComeAndGo: on a server that others write to.
func TestAllParallelYieldsOnceWhoStandsThroughoutWhileOthersComeAndGo(t *testing.T) {
	t.Parallel()
	server, c := startServer(t)
	const standing = 6000
	id := func(i int) string { return fmt.Sprint("standing-", i) }
	require.NoError(t, server.SeedUsers(standing, func(i int) zep.CreateUserRequest { return zep.CreateUserRequest{UserID: id(i)} }))
	ctx := context.Background()
	stop, stopped := make(chan struct{}), make(chan error)
	go func() {
		for i := 0; ; i++ {
			name := fmt.Sprint("passing-", i)
			if _, err := c.User.Add(ctx, &zep.CreateUserRequest{UserID: name}); err != nil {
				stopped <- err
				return
			}
			if i%2 == 0 {
				if err := c.User.Delete(ctx, name); err != nil {
					stopped <- err
					return
				}
			}
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
		}
	}()
	seen := map[string]int{}
	for user, err := range c.User.AllParallel(ctx, 4) {
		require.NoError(t, err)
		seen[user.UserID]++
	}
	close(stop)
	require.NoError(t, <-stopped)
	for name, times := range seen {
		require.Equal(t, 1, times, name)
	}
	for i := range standing {
		require.Equal(t, 1, seen[id(i)], id(i))
	}
}

func TestAllParallelEndsWithOneError(t *testing.T) {
	eachWalk(t, func(t *testing.T, w walk) {
		for failing := 1; failing <= 6; failing++ {
			s := &table{path: w.path, rows: count(1, 20_000), before: func(n int, req *http.Request) (*http.Response, error) {
				if n == failing {
					return answered(req, http.StatusUnauthorized, "token is expired\n"), nil
				}
				return nil, nil
			}}
			_, err := collect(t, w.parallel(context.Background(), s.client(t), 4))
			require.ErrorIs(t, err, zep.ErrUnauthorized, failing)
			s.assertIdle()
		}
	})
}

func TestAllParallelEndsWithItsContextAndWithABreak(t *testing.T) {
	eachWalk(t, func(t *testing.T, w walk) {
		s := &table{path: w.path, rows: count(1, 50_000)}
		c := s.client(t)
		for at := range 3 {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			n := 0
			var failure error
			for _, err := range w.parallel(ctx, c, 4) {
				if err != nil {
					failure = err
				}
				if n++; n == at*2500+1 {
					cancel()
				}
			}
			require.ErrorIs(t, failure, context.Canceled, "a walk that was cut off is not taken for whole")
			s.assertIdle()

			n = 0
			for range w.parallel(context.Background(), c, 4) {
				if n++; n == at*2500+1 {
					break
				}
			}
			s.assertIdle()
		}
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		before := len(s.queries())
		_, err := collect(t, w.parallel(ended, c, 4))
		require.ErrorIs(t, err, context.Canceled)
		for _, opts := range [][]zep.RequestOption{{nil}, {zep.RequestTimeout(-1)}} {
			_, err := collect(t, w.parallel(context.Background(), c, 4, opts...))
			require.ErrorIs(t, err, zep.ErrBadRequest)
		}
		_, err = collect(t, w.parallel(context.Background(), c, -1))
		require.ErrorIs(t, err, zep.ErrBadRequest)
		assert.Len(t, s.queries(), before, "nothing is sent")
	})
}

// TestAllParallelIsLazyAndCanBeRangedOverAgain also by two at once, each with a captured response for the page in hand.
func TestAllParallelIsLazyAndCanBeRangedOverAgain(t *testing.T) {
	eachWalk(t, func(t *testing.T, w walk) {
		s := &table{path: w.path, rows: count(1, 12_000)}
		c := s.client(t)
		opts := []zep.RequestOption{zep.RequestTimeout(time.Minute)}
		seq := w.parallel(context.Background(), c, 3, opts...)
		opts[0] = nil // the walk has its own
		assert.Empty(t, s.queries())
		var both sync.WaitGroup
		for range 2 {
			both.Add(1)
			go func() {
				defer both.Done()
				n := 0
				for _, err := range seq {
					assert.NoError(t, err)
					n++
				}
				assert.Equal(t, 12_000, n)
			}()
		}
		both.Wait()
		var response *http.Response
		for id, err := range w.parallel(context.Background(), c, 3, zep.CaptureResponse(&response)) {
			require.NoError(t, err)
			if id%1000 == 0 {
				body, err := io.ReadAll(response.Body)
				require.NoError(t, err)
				require.Contains(t, string(body), fmt.Sprintf(`"id":%d,`, id))
				response.Body = io.NopCloser(bytes.NewReader(body))
			}
		}
	})
}

func TestATransportThatPanicsUnderAllParallelDoesSoInTheLoop(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(){"panic": func() { panic("no") }, "runtime.Goexit": runtime.Goexit} {
		s := &table{path: walks[0].path, rows: count(1, 30_000), before: func(n int, _ *http.Request) (*http.Response, error) {
			if n == 3 {
				end()
			}
			return nil, nil
		}}
		var last error
		recovered := func() (value any) {
			defer func() { value = recover() }()
			for _, err := range walks[0].parallel(context.Background(), s.client(t), 4) {
				last = err
			}
			return nil
		}()
		if name == "panic" {
			assert.Equal(t, "no", recovered)
		} else {
			assert.ErrorContains(t, last, "ended in the middle", "the walk is not taken for whole")
		}
	}
}
