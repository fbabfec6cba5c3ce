package zep_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
)

func TestAll_PagesDouble(t *testing.T) {
	eachWalk(t, func(t *testing.T, w walk) {
		s := &table{path: w.path, rows: count(1, 6300+5000+5000+1)}
		ids, err := collect(t, w.all(context.Background(), s.client(t)))
		require.NoError(t, err)
		assert.Equal(t, s.rows, ids)
		assert.Equal(t, []string{
			"limit=100", "cursor=100&limit=200", "cursor=300&limit=400", "cursor=700&limit=800",
			"cursor=1500&limit=1600", "cursor=3100&limit=3200", "cursor=6300&limit=5000",
			"cursor=11300&limit=5000", "cursor=16300&limit=5000", "cursor=16301&limit=5000",
		}, s.queries())
	})
}

func TestAll_EndsWithEmptyPage(t *testing.T) {
	eachWalk(t, func(t *testing.T, w walk) {
		s := &table{path: w.path, rows: count(1, 1000), most: 300}
		ids, err := collect(t, w.all(context.Background(), s.client(t)))
		require.NoError(t, err)
		assert.Equal(t, s.rows, ids)
		assert.Equal(t, []string{
			"limit=100", "cursor=100&limit=200", "cursor=300&limit=400", "cursor=600&limit=800",
			"cursor=900&limit=1600", "cursor=1000&limit=3200",
		}, s.queries())
	})
}

func TestAll_Lazy(t *testing.T) {
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

func TestAll_OnePageAhead(t *testing.T) {
	eachWalk(t, func(t *testing.T, w walk) {
		requested := make(chan int, 100)
		s := &table{path: w.path, rows: count(1, 1000)}
		s.before = func(n int, _ *http.Request) (*http.Response, error) {
			requested <- n
			return nil, nil
		}
		first := map[int64]int{1: 1, 101: 2, 301: 3, 701: 4} // the row that a page begins with
		for id, err := range w.all(context.Background(), s.client(t)) {
			require.NoError(t, err)
			if n := first[id]; n > 0 {
				if n == 1 {
					assert.Equal(t, 1, receive(t, requested, "page 1"))
				}
				assert.Equal(t, n+1, receive(t, requested, "the next page"))
			}
			assert.Empty(t, requested, "one page ahead, and no more")
		}
	})
}

func TestAll_BreakCancels(t *testing.T) {
	eachWalk(t, func(t *testing.T, w walk) {
		requested, cancelled := make(chan struct{}), make(chan struct{})
		s := &table{path: w.path, rows: count(1, 1000)}
		s.before = func(n int, req *http.Request) (*http.Response, error) {
			if n == 1 {
				return nil, nil
			}
			close(requested)
			<-req.Context().Done()
			close(cancelled)
			return nil, req.Context().Err()
		}
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

// TestAll_BreakEndsRequestAtServer is TestAll_BreakCancels with a real connection.
func TestAll_BreakEndsRequestAtServer(t *testing.T) {
	eachWalk(t, func(t *testing.T, w walk) {
		requested, gone := make(chan struct{}), make(chan struct{})
		handler := http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
			if !req.URL.Query().Has("cursor") {
				_, _ = io.Copy(rw, page(req, 1, 2, 3).Body)
				return
			}
			close(requested)
			<-req.Context().Done()
			close(gone)
		})
		server := httptest.NewServer(handler)
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

func TestAll_PanicInLoop(t *testing.T) {
	eachWalk(t, func(t *testing.T, w walk) {
		requested := make(chan struct{})
		s := &table{path: w.path, rows: count(1, 1000)}
		s.before = func(n int, req *http.Request) (*http.Response, error) {
			if n == 1 {
				return nil, nil
			}
			close(requested)
			<-req.Context().Done()
			return nil, req.Context().Err()
		}
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

func TestAll_ContextCancelled(t *testing.T) {
	eachWalk(t, func(t *testing.T, w walk) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		s := &table{path: w.path, rows: count(1, 1000)}
		s.before = func(n int, req *http.Request) (*http.Response, error) {
			if n < 3 {
				return nil, nil
			}
			<-req.Context().Done()
			return nil, req.Context().Err()
		}
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

// TestWalks_CapturedResponse reads the captured response of a page while the next page arrives.
// The race detector fails it if both write to the same variable.
func TestWalks_CapturedResponse(t *testing.T) {
	eachWay(t, func(t *testing.T, w walk, walk walkFunc) {
		s := &table{rows: count(1, 1500)}
		s.before = func(n int, req *http.Request) (*http.Response, error) {
			limit, cursor := pageOf(s.t, req.URL)
			if cursor >= 1500 {
				return answered(req, http.StatusInternalServerError, "the end is an error\n"), nil
			}
			resp := page(req, count(cursor+1, min(cursor+int64(limit), 1500))...)
			resp.Header.Set("X-After", strconv.FormatInt(cursor, 10))
			return resp, nil
		}
		s.path = w.path
		var response *http.Response
		last, failures := "", 0
		seq := walk(context.Background(), s.client(t), zep.CaptureResponse(&response))
		for id, err := range seq {
			if !assert.NotNil(t, response) {
				return
			}
			if err != nil {
				assert.Equal(t, http.StatusInternalServerError, response.StatusCode)
				body, err := io.ReadAll(response.Body)
				assert.NoError(t, err)
				assert.Equal(t, "the end is an error\n", string(body))
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

// TestAll_LiveHeap is not parallel: it measures the heap.
func TestAll_LiveHeap(t *testing.T) {
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

// transportEnds are ways for a transport to end the goroutine that it is called by.
var transportEnds = map[string]func(){
	"panic":          func() { panic("no") },
	"runtime.Goexit": runtime.Goexit,
}

// TestAll_TransportPanics expects the panic in the goroutine of the loop, where it can be
// recovered, and not in that which fetches the page.
func TestAll_TransportPanics(t *testing.T) {
	t.Parallel()
	for name, end := range transportEnds {
		pages := 0
		transport := roundTripper(func(*http.Request) (*http.Response, error) {
			if pages++; pages == 2 {
				end()
			}
			body := strings.NewReader(`[{"id":1,"user_id":"jane"}]`)
			return &http.Response{StatusCode: 200, Body: io.NopCloser(body)}, nil
		})
		c := clientOf(t, transport)
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
