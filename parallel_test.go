package zep_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
)

// every returns every nth id of a range.
func every(n, first, last int64) (ids []int64) {
	for id := first; id <= last; id += n {
		ids = append(ids, id)
	}
	return ids
}

func TestAllParallel_EveryRecordOnce(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var scattered []int64
	for id := int64(0); len(scattered) < 5500; {
		id += 1 + random.Int64N(1+random.Int64N(2000))
		scattered = append(scattered, id)
	}
	tables := map[string][]int64{
		"none":             nil,
		"one":              {7},
		"99":               count(1, 99),
		"100":              count(1, 100),
		"101":              count(1, 101),
		"one page and one": count(1, 5001),
		"dense":            count(1, 12_345),
		"every 997th":      every(997, 997, 6000*997),
		"the last 100":     count(19_901, 20_000),
		"a gap":            slices.Concat(count(1, 300), count(1_000_000_000, 1_000_006_000)),
		"gaps": slices.Concat(
			count(1, 150), count(9_000, 18_000), count(40_000, 40_001), count(90_000, 91_000),
		),
		"scattered":                  scattered,
		"up to the last id there is": {1, 2, math.MaxInt64 - 1, math.MaxInt64},
		"the last id alone":          {math.MaxInt64},
	}
	t.Parallel()
	users := walks[0]
	for name, rows := range tables {
		for _, test := range []struct{ workers, most int }{{0, 0}, {1, 777}, {20, 0}} {
			t.Run(fmt.Sprint(name, "/", test.workers, " workers"), func(t *testing.T) {
				t.Parallel()
				s := &table{path: users.path, rows: rows, most: test.most}
				walk := users.parallel(context.Background(), s.client(t), test.workers)
				ids, err := collect(t, walk)
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

// TestAllParallel_ConcurrentChanges walks while users are added and deleted.
func TestAllParallel_ConcurrentChanges(t *testing.T) {
	t.Parallel()
	server, c := startServer(t)
	const standing = 6000
	id := func(i int) string { return fmt.Sprint("standing-", i) }
	require.NoError(t, server.SeedUsers(standing, func(i int) zep.CreateUserRequest {
		return zep.CreateUserRequest{UserID: id(i)}
	}))
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

func TestAllParallel_Error(t *testing.T) {
	eachWalk(t, func(t *testing.T, w walk) {
		for failing := 1; failing <= 6; failing++ {
			s := &table{path: w.path, rows: count(1, 20_000)}
			s.before = func(n int, req *http.Request) (*http.Response, error) {
				if n == failing {
					return answered(req, http.StatusUnauthorized, "token is expired\n"), nil
				}
				return nil, nil
			}
			_, err := collect(t, w.parallel(context.Background(), s.client(t), 4))
			require.ErrorIs(t, err, zep.ErrUnauthorized, failing)
			s.assertIdle()
		}
	})
}

func TestAllParallel_ContextAndBreak(t *testing.T) {
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
			require.ErrorIs(t, failure, context.Canceled, "not taken for the whole")
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

// TestAllParallel_RangeAgain ranges over one walk twice at the same time.
func TestAllParallel_RangeAgain(t *testing.T) {
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
		capture := zep.CaptureResponse(&response)
		for id, err := range w.parallel(context.Background(), c, 3, capture) {
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

func TestAllParallel_TransportPanics(t *testing.T) {
	t.Parallel()
	for name, end := range transportEnds {
		s := &table{path: walks[0].path, rows: count(1, 30_000)}
		s.before = func(n int, _ *http.Request) (*http.Response, error) {
			if n == 3 {
				end()
			}
			return nil, nil
		}
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
