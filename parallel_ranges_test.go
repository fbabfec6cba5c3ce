package zep

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// rowServer answers pages of a table of ids, and counts what it sends.
type rowServer struct {
	ids []int64
	cap int // of the server on a page, 0 for none

	mu             sync.Mutex
	requests, sent int
}

func (s *rowServer) page(limit int, cursor int64) []*User {
	if s.cap > 0 {
		limit = min(limit, s.cap)
	}
	from, found := slices.BinarySearch(s.ids, cursor)
	if found {
		from++
	}
	to := min(from+limit, len(s.ids))
	users := make([]*User, 0, to-from)
	for _, id := range s.ids[from:to] {
		users = append(users, &User{ID: id})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	s.sent += len(users)
	return users
}

func (s *rowServer) pager() pager[User] {
	list := func(ctx context.Context, o *ListOptions, _ ...RequestOption) ([]*User, error) {
		return s.page(o.Limit, o.Cursor), ctx.Err()
	}
	return byID(list, func(u *User) int64 { return u.ID })
}

// simulation runs the workers of a scan one after the other: which of their pages arrives next is
// chosen, and no goroutine decides anything.
type simulation struct {
	server  rowServer
	workers int
	random  *rand.Rand // nil: all pages take equally long

	got    []int64
	rounds int // how long the walk takes, in pages; only without random
}

func (s *simulation) run(t testing.TB) {
	t.Helper()
	scan := newScan(s.server.pager(), s.workers, nil)
	type flight struct {
		r      *idRange
		page   *prefetch[User]
		landed int
	}
	var flights []flight
	for {
		for len(flights) < s.workers {
			r := scan.pick()
			if r == nil {
				break
			}
			options := ListOptions{Limit: r.limit, Cursor: r.after}
			page := &prefetch[User]{
				page:    &walkPage{ListOptions: options},
				records: s.server.page(options.Limit, options.Cursor),
			}
			flights = append(flights, flight{r, page, s.rounds + 1})
		}
		if len(flights) == 0 {
			require.Empty(t, scan.ranges, "nobody works on what is left")
			return
		}
		next := 0
		if s.random != nil {
			next = s.random.IntN(len(flights))
		}
		f := flights[next]
		flights = slices.Delete(flights, next, next+1)
		s.rounds = f.landed
		scan.observe(f.r, f.page)
		for _, u := range f.page.records {
			s.got = append(s.got, u.ID)
		}
		require.LessOrEqual(t, s.server.requests, 100_000, "a walk without an end")
	}
}

// requestsOfAll counts what All asks for on the same table.
func (s *simulation) requestsOfAll(t testing.TB) int {
	t.Helper()
	server := &rowServer{ids: s.server.ids, cap: s.server.cap}
	for _, err := range server.pager().all(context.Background(), nil) {
		require.NoError(t, err)
	}
	return server.requests
}

// check holds the walk against what AllParallel promises on any table.
func (s *simulation) check(t testing.TB, name string) {
	t.Helper()
	slices.Sort(s.got)
	require.True(t, slices.Equal(s.server.ids, s.got), "%s: every record once", name)
	most := 3*s.requestsOfAll(t) + 2*s.workers
	require.LessOrEqual(t, s.server.requests, most, "%s: requests", name)
	require.LessOrEqual(t, 2*s.server.sent, 3*len(s.got), "%s: records sent", name)
}

// ascending returns so many ids with random distances of 1 to most.
func ascending(random *rand.Rand, n int, after, most int64) []int64 {
	ids := make([]int64, n)
	for i := range ids {
		after += 1 + random.Int64N(most)
		ids[i] = after
	}
	return ids
}

// randomIDs returns a table of stretches with gaps between them, which may be large or small, many
// or few.
func randomIDs(random *rand.Rand) []int64 {
	stretches := 1 + random.IntN(1<<random.IntN(10))
	largestGap := math.Pow(10, 15*random.Float64())
	largestStretch := 1 + int(60_000/float64(stretches)*random.Float64())
	farthest := 1 + random.IntN(30)
	var ids []int64
	last := int64(0)
	for range stretches {
		last += int64(math.Pow(largestGap, random.Float64()))
		distance := int64(1) << random.IntN(farthest)
		ids = append(ids, ascending(random, 1+random.IntN(largestStretch), last, distance)...)
		last = ids[len(ids)-1]
	}
	return ids
}

func TestAllParallel_RandomGaps(t *testing.T) {
	t.Parallel()
	for seed := range uint64(120) {
		random := rand.New(rand.NewPCG(seed, 1))
		s := &simulation{
			server:  rowServer{ids: randomIDs(random)},
			workers: 1 + random.IntN(16),
			random:  random,
		}
		if random.IntN(4) == 0 {
			s.server.cap = 300 + random.IntN(3000)
		}
		s.run(t)
		s.check(t, fmt.Sprint("seed ", seed))
	}
}

// TestAllParallel_TwoGaps walks with goroutines what once took 197 requests and 32 times the
// records, or had no end.
func TestAllParallel_TwoGaps(t *testing.T) {
	t.Parallel()
	for name, gaps := range map[string][2]int64{
		"1e6 and 0.9e6": {1_000_000, 900_000},
		"1e12 and 1e9":  {1e12, 1e9},
		"1e9 and 1e12":  {1e9, 1e12},
		"1e15 and 1e15": {1e15, 1e15},
		"5000 and 5000": {5000, 5000},
		"4e18 and 5e18": {4e18, 5e18},
	} {
		for _, workers := range []int{1, 2, 8, 20} {
			t.Run(fmt.Sprint(name, "/", workers, " workers"), func(t *testing.T) {
				t.Parallel()
				s := &simulation{workers: workers}
				last := int64(0)
				for _, gap := range []int64{0, gaps[0], gaps[1]} {
					for range 10_000 {
						last++
						s.server.ids = append(s.server.ids, last+gap)
					}
					last += gap
				}
				walk := s.server.pager().parallel(context.Background(), workers, nil)
				for user, err := range walk {
					require.NoError(t, err)
					s.got = append(s.got, user.ID)
				}
				s.check(t, name)
			})
		}
	}
}

// stretches returns a table of stretches of rows, each with a gap of up to gap before it and
// distances between the rows of up to one of most, in turn.
func stretches(random *rand.Rand, n, rows int, gap int64, most ...int64) []int64 {
	var ids []int64
	last := int64(0)
	for i := range n {
		last += random.Int64N(gap)
		ids = append(ids, ascending(random, rows, last, most[i%len(most)])...)
		last = ids[len(ids)-1]
	}
	return ids
}

// TestAllParallel_Speed counts in pages how long 8 workers take. All takes 206 for a million
// rows, 66 for 300,000 and 26 for 100,000.
func TestAllParallel_Speed(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 1))
	tests := map[string]struct {
		ids              []int64
		rounds, requests int
		sent             float64
	}{
		"1,000,000 dense":  {ascending(random, 1_000_000, 0, 1), 33, 214, 1},
		"1,000,000 apart":  {ascending(random, 1_000_000, 0, 3), 34, 220, 1.03},
		"100,000 dense":    {ascending(random, 100_000, 0, 1), 10, 34, 1},
		"100,000 apart":    {ascending(random, 100_000, 0, 99), 11, 34, 1.03},
		"100,000 far away": {ascending(random, 100_000, 1e12, 3), 11, 34, 1.03},
		"gaps":             {stretches(random, 30, 10_000, 1_000_000, 1), 46, 104, 1.5},
		"changing":         {stretches(random, 15, 20_000, 1, 20, 2, 5), 18, 88, 1.25},
	}
	for name, test := range tests {
		s := &simulation{server: rowServer{ids: test.ids}, workers: 8}
		s.run(t)
		s.check(t, name)
		sent := float64(s.server.sent) / float64(len(s.got))
		assert.LessOrEqual(t, s.rounds, test.rounds, "%s: rounds", name)
		assert.LessOrEqual(t, s.server.requests, test.requests, "%s: requests", name)
		assert.LessOrEqual(t, sent, test.sent, "%s: sent", name)
	}
}
