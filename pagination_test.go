package zep_test

import (
	"context"
	"fmt"
	"iter"
	"maps"
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
)

func TestListChunked_OneRequestAChunk(t *testing.T) {
	eachWalk(t, func(t *testing.T, w walk) {
		s := &table{path: w.path, rows: []int64{2, 3, 7, 20, 21}}
		var chunks [][]int64
		for ids, err := range w.chunks(context.Background(), s.client(t), 2) {
			require.NoError(t, err)
			chunks = append(chunks, ids)
			assert.Len(t, s.queries(), len(chunks), "requests after so many chunks")
		}
		assert.Equal(t, [][]int64{{2, 3}, {7, 20}, {21}}, chunks)
		assert.Equal(t, []string{
			"limit=2", "cursor=3&limit=2", "cursor=20&limit=2", "cursor=21&limit=2",
		}, s.queries())
	})
}

func TestListChunked_Lazy(t *testing.T) {
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
		want := []string{"limit=3", "limit=3", "cursor=3&limit=3"}
		assert.Equal(t, want, s.queries(), "after two chunks")
		stop()
		assert.Len(t, s.queries(), 3)
		s.assertIdle()
	})
}

func TestListChunked_EndsWithEmptyPage(t *testing.T) {
	tests := map[string]struct {
		rows []int64
		most int
		want []string
	}{
		"a short page is not the end": {
			count(1, 5), 0, []string{"limit=4", "cursor=4&limit=4", "cursor=5&limit=4"},
		},
		"a server that caps its pages at 2 is asked for 4 all the same": {
			count(1, 5), 2,
			[]string{"limit=4", "cursor=2&limit=4", "cursor=4&limit=4", "cursor=5&limit=4"},
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

func TestListChunked_ChunkSize(t *testing.T) {
	eachWalk(t, func(t *testing.T, w walk) {
		s := &table{path: w.path, rows: count(1, 150)}
		c := s.client(t)
		_, err := collect(t, w.chunkByChunk(0)(context.Background(), c))
		require.NoError(t, err)
		want := []string{"limit=100", "cursor=100&limit=100", "cursor=150&limit=100"}
		assert.Equal(t, want, s.queries())

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

func TestWalks_Error(t *testing.T) {
	eachWay(t, func(t *testing.T, w walk, walk walkFunc) {
		for nth := 1; nth <= 3; nth++ {
			s := &table{path: w.path, rows: count(1, 1000)}
			s.before = func(n int, req *http.Request) (*http.Response, error) {
				if n != nth {
					return nil, nil
				}
				return answered(req, http.StatusInternalServerError, "out of order\n"), nil
			}
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

func TestWalks_CursorStuck(t *testing.T) {
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
	eachWay(t, func(t *testing.T, w walk, walk walkFunc) {
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := &table{path: w.path}
				s.before = func(n int, req *http.Request) (*http.Response, error) {
					if n == 1 {
						return page(req, test.first...), nil
					}
					return page(req, test.second...), nil
				}
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

func TestWalks_RangeAgain(t *testing.T) {
	eachWay(t, func(t *testing.T, w walk, walk walkFunc) {
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

func TestWalks_OptionsCopied(t *testing.T) {
	t.Parallel()
	ways := map[string]walkFunc{
		"User.ListChunked": walks[0].chunkByChunk(0), "User.All": walks[0].all,
		"Session.ListChunked": walks[1].chunkByChunk(0), "Session.All": walks[1].all,
		"Message.All": messagesAll,
	}
	for name, walk := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Room behind the options is what an append would write to.
			opts := make([]zep.RequestOption, 0, 8)
			opts = append(opts, zep.RequestHeader("X-Walk", "as given"))
			var headers []string
			c := clientOf(t, roundTripper(func(req *http.Request) (*http.Response, error) {
				headers = append(headers, req.Header.Get("X-Walk"))
				if name == "Message.All" {
					return answered(req, http.StatusOK, `{"messages":[]}`), nil
				}
				return page(req), nil
			}))
			// The wrappers of this test forward the slice as it is, so what is copied is copied
			// by the package.
			seq := walk(context.Background(), c, opts...)
			opts[0] = zep.RequestHeader("X-Walk", "changed meanwhile")
			for range seq {
			}
			assert.Equal(t, []string{"as given"}, headers)
			assert.Nil(t, opts[:2][1], "written to the room behind the options")
		})
	}
}

// TestWalks_OptionsShared lets two walks at once have the same slice of options, with room
// behind it: the race detector tells if one writes there.
func TestWalks_OptionsShared(t *testing.T) {
	eachWay(t, func(t *testing.T, w walk, walk walkFunc) {
		s := &table{path: w.path, rows: count(1, 1000)}
		c := s.client(t)
		opts := append(make([]zep.RequestOption, 0, 8), zep.RequestTimeout(time.Minute))
		var walking sync.WaitGroup
		for range 4 {
			walking.Add(1)
			go func() {
				defer walking.Done()
				var response *http.Response
				capture := zep.CaptureResponse(&response)
				both := append(opts[:1:1], capture)
				ids, err := collect(t, walk(context.Background(), c, both...))
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

// TestWalks_FewIDsLeft counts the requests: at most one more than there are pages with rows.
func TestWalks_FewIDsLeft(t *testing.T) {
	var every997th []int64
	for id := int64(997); id <= 20_000; id += 997 {
		every997th = append(every997th, id)
	}
	tests := map[string][]int64{
		"every 997th":  every997th,
		"the last 100": count(19_901, 20_000),
		"none":         nil,
		"all":          count(1, 20_000),
	}
	eachWalk(t, func(t *testing.T, w walk) {
		ways := map[string]walkFunc{
			"in chunks of 1":      w.chunkByChunk(1),
			"in chunks of 7":      w.chunkByChunk(7),
			"in chunks of 100":    w.chunkByChunk(100),
			"in chunks of 50,000": w.chunkByChunk(50_000),
			"one by one":          w.all,
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

// TestWalks_GapsOfFailedAdds walks over the gaps that failed adds leave in the ids of the server.
func TestWalks_GapsOfFailedAdds(t *testing.T) {
	eachWay(t, func(t *testing.T, w walk, walk walkFunc) {
		server, c := startServer(t)
		seed := func(id string) error {
			if w.resource == "users" {
				return server.SeedUsers(1, func(int) zep.CreateUserRequest {
					return zep.CreateUserRequest{UserID: id}
				})
			}
			return server.SeedSessions(1, func(int) zep.CreateSessionRequest {
				return zep.CreateSessionRequest{SessionID: id}
			})
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

func TestWalks_ConcurrentChanges(t *testing.T) {
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
					// One that the walk has passed, one before it, and a new one.
					passed := fmt.Sprint("old", len(seen)-3)
					ahead := fmt.Sprint("old", n-len(seen)+7)
					for _, id := range []string{passed, ahead} {
						if !deleted[id] {
							require.NoError(t, c.User.Delete(ctx, id))
							deleted[id] = true
						}
					}
					added := zep.CreateUserRequest{UserID: fmt.Sprint("new", len(seen))}
					_, err := c.User.Add(ctx, &added)
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
				assert.Contains(t, last, "new", "a user that was added meanwhile comes last")
			}
		})
	}
}

func TestListChunked_ContextCancelled(t *testing.T) {
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

func TestWalks_ContextEnded(t *testing.T) {
	eachWay(t, func(t *testing.T, w walk, walk walkFunc) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		s := &table{path: w.path, rows: count(1, 10)}
		ids, err := collect(t, walk(ctx, s.client(t)))
		require.ErrorIs(t, err, context.Canceled)
		assert.Empty(t, ids)
		assert.Empty(t, s.queries())
	})
}

func TestWalks_InvalidOption(t *testing.T) {
	eachWay(t, func(t *testing.T, w walk, walk walkFunc) {
		for _, opt := range []zep.RequestOption{
			nil, zep.RequestMaxAttempts(0), zep.CaptureResponse(nil), zep.After(-1),
		} {
			s := &table{path: w.path, rows: count(1, 10)}
			ids, err := collect(t, walk(context.Background(), s.client(t), opt))
			require.ErrorIs(t, err, zep.ErrBadRequest)
			assert.Empty(t, ids)
			assert.Empty(t, s.queries())
		}
	})
}

func TestList_Options(t *testing.T) {
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

const (
	negative = "must not be negative"
	large    = "must be at most 2147483647"
)

func TestListOptions_Invalid(t *testing.T) {
	tests := map[string]struct {
		page zep.ListOptions
		want string
	}{
		"limit":        {zep.ListOptions{Limit: -1}, "Limit is -1, " + negative},
		"cursor":       {zep.ListOptions{Limit: 3, Cursor: -7}, "Cursor is -7, " + negative},
		"both":         {zep.ListOptions{Limit: -1, Cursor: -7}, "Limit is -1, " + negative},
		"large limit":  {zep.ListOptions{Limit: 1 << 31}, "Limit is 2147483648, " + large},
		"larger limit": {zep.ListOptions{Limit: 1<<32 + 1}, "Limit is 4294967297, " + large},
	}
	eachWalk(t, func(t *testing.T, w walk) {
		c := clientOf(t, noTransport(t))
		for name, test := range tests {
			_, err := w.list(context.Background(), c, &test.page)
			require.ErrorIs(t, err, zep.ErrBadRequest, name)
			require.EqualError(t, err, "zep: bad request: ListOptions: "+test.want, name)
		}
		for _, err := range w.chunks(context.Background(), c, 1<<31) {
			require.ErrorIs(t, err, zep.ErrBadRequest)
		}
	})
}

func TestListMessagesOptions_Invalid(t *testing.T) {
	t.Parallel()
	tests := map[string]zep.ListMessagesOptions{
		"Limit is -1, " + negative:      {Limit: -1, Page: -2},
		"Page is -2, " + negative:       {Limit: 3, Page: -2},
		"Limit is 2147483648, " + large: {Limit: 1 << 31},
		"Page is 4294967297, " + large:  {Page: 1<<32 + 1},
	}
	c := clientOf(t, noTransport(t))
	for want, page := range tests {
		_, err := c.Message.List(context.Background(), "s", &page)
		require.ErrorIs(t, err, zep.ErrBadRequest)
		require.EqualError(t, err, "zep: bad request: ListMessagesOptions: "+want)
	}
}

// TestAfter_Walks begins every walk by cursor after an id that is there, and after one that is
// not.
func TestAfter_Walks(t *testing.T) {
	eachWalk(t, func(t *testing.T, w walk) {
		ways := map[string]walkFunc{
			"ListChunked": w.chunkByChunk(70),
			"All":         w.all,
			"AllParallel": func(
				ctx context.Context, c *zep.Client, opts ...zep.RequestOption,
			) iter.Seq2[int64, error] {
				return w.parallel(ctx, c, 3, opts...)
			},
		}
		for name, walk := range ways {
			for _, after := range []int64{0, 1, 400, 401, 998, 999, 5000} {
				s := &table{path: w.path, rows: every(2, 2, 1000)}
				seq := walk(context.Background(), s.client(t), zep.After(after))
				for range 2 { // ranged over again, it begins there again
					ids, err := collect(t, seq)
					require.NoError(t, err)
					slices.Sort(ids)
					begin, _ := slices.BinarySearch(s.rows, after+1)
					require.True(t, slices.Equal(s.rows[begin:], ids), "%s after %d", name, after)
				}
			}
			c := clientOf(t, noTransport(t))
			ids, err := collect(t, walk(context.Background(), c, zep.After(-1)))
			require.ErrorIs(t, err, zep.ErrBadRequest, name)
			require.ErrorContains(t, err, "After(-1)", name)
			assert.Empty(t, ids)
		}
	})
}

// TestAfter_Stopped stops a walk again and again, and continues after the last record.
func TestAfter_Stopped(t *testing.T) {
	eachWay(t, func(t *testing.T, w walk, walk walkFunc) {
		s := &table{path: w.path, rows: every(3, 3, 3000)}
		c := s.client(t)
		var got []int64
		for stopped := true; stopped; {
			stopped = false
			last := int64(0)
			if len(got) > 0 {
				last = got[len(got)-1]
			}
			n := 0
			for id, err := range walk(context.Background(), c, zep.After(last)) {
				require.NoError(t, err)
				got = append(got, id)
				if n++; n == 137 {
					stopped = true
					break
				}
			}
		}
		assert.Equal(t, s.rows, got)
	})
}

func TestAfter_OtherCalls(t *testing.T) {
	t.Parallel()
	c := clientOf(t, noTransport(t))
	ctx, after := context.Background(), zep.After(7)
	calls := map[string]func() error{
		"Health":       func() error { _, err := c.Health(ctx, after); return err },
		"User.Get":     func() error { _, err := c.User.Get(ctx, "jane", after); return err },
		"User.List":    func() error { _, err := c.User.List(ctx, nil, after); return err },
		"Session.List": func() error { _, err := c.Session.List(ctx, nil, after); return err },
		"Message.List": func() error {
			_, err := c.Message.List(ctx, "s", nil, after)
			return err
		},
		"Message.All": func() error {
			_, err := collect(t, messagesAll(ctx, c, after))
			return err
		},
		"User.Delete": func() error { return c.User.Delete(ctx, "jane", after) },
		"Memory.Add": func() error {
			messages := []*zep.Message{{Role: "human", Content: "hi"}}
			return c.Memory.Add(ctx, "s", &zep.AddMemoryRequest{Messages: messages}, after)
		},
	}
	for name, call := range calls {
		err := call()
		require.ErrorIs(t, err, zep.ErrBadRequest, name)
		require.ErrorContains(t, err, "After", name)
	}
}

func TestCollect(t *testing.T) {
	t.Parallel()
	s := &table{path: walks[0].path, rows: count(1, 250)}
	users, err := zep.Collect(s.client(t).User.All(context.Background()))
	require.NoError(t, err)
	assert.Equal(t, s.rows, rows(users, userRow))

	s = &table{path: walks[0].path, rows: count(1, 250)}
	s.before = func(n int, req *http.Request) (*http.Response, error) {
		if n == 1 {
			return nil, nil
		}
		return answered(req, http.StatusInternalServerError, "out of order\n"), nil
	}
	users, err = zep.Collect(s.client(t).User.All(context.Background()))
	require.ErrorIs(t, err, zep.ErrServer)
	assert.Equal(t, count(1, 100), rows(users, userRow), "what came before the error")

	s = &table{path: walks[0].path}
	none, err := zep.Collect(s.client(t).User.All(context.Background()))
	require.NoError(t, err)
	assert.NotNil(t, none, "JSON of it is a list")
	assert.Empty(t, none)
}
