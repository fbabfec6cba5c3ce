package zep

import (
	"context"
	"iter"
	"math"
	"slices"
	"sync"
)

const (
	// defaultWorkers is the number of workers of AllParallel by default.
	defaultWorkers = 8

	// parallelGrowth is the factor by which the pages of AllParallel grow at most. Its ranges
	// are not split before the pages are large, so they grow faster than those of All.
	parallelGrowth = 8

	// maxWaste is the part of the useful records that may be sent for nothing: those after the
	// end of the range that a page was asked for, which another worker gets too.
	maxWaste = 0.5

	// overfetch and slack make a page that is to complete a range larger than the number of
	// records that is expected there, so that the range seldom takes a second page for its last
	// few.
	overfetch = 1.02
	slack     = 16

	// worthwhile is the part of a full page for which a request is worth its price.
	worthwhile = 0.5
)

// parallel walks record by record, in no order, with several workers.
func (p pager[T]) parallel(
	ctx context.Context, workers int, opts []RequestOption,
) iter.Seq2[*T, error] {
	opts = slices.Clone(opts)
	if workers == 0 {
		workers = defaultWorkers
	}
	return func(yield func(*T, error) bool) {
		err := checkCount("AllParallel", "workers", int64(workers), math.MaxInt64)
		if err := precheckWalk(opts, err); err != nil {
			yield(nil, err)
			return
		}
		ctx, cancel := context.WithCancel(ctx)
		s := newScan(p, workers, opts)
		go s.run(ctx, workers)
		defer func() {
			cancel()
			close(s.stopped)
			for range s.pages { // no goroutine outlives the walk
			}
		}()
		for page := range s.pages {
			page.wait()
			if page.err != nil {
				yield(nil, page.err)
				return
			}
			for _, record := range page.records {
				if !yield(record, nil) {
					return
				}
			}
		}
	}
}

// scan is a walk by several workers.
//
// The ids that are not yet walked are kept as ranges. A worker takes a range that nobody works
// on and fetches the page at its beginning. If there is none, it splits one: the ids behind the
// page that another worker is fetching become a range of their own. Where that page ends can
// only be guessed, from the density of the ids before it. The guess decides how much work is
// done twice, never which records are yielded: a page yields the records of its range, and what
// it has beyond belongs to another.
//
// Ids can have gaps of any size, and a guess can be wrong by as much. So a range is only split
// while the records that would be sent for nothing if every guess was wrong are within maxWaste of
// those that the walk has found until then. That bounds the requests as well, since every page
// is worthwhile or wastes as much. On a table where all guesses are wrong one worker does the
// work of All.
type scan[T any] struct {
	pager   pager[T]
	opts    []RequestOption
	workers int
	pages   chan *prefetch[T]
	stopped chan struct{} // closed when nobody receives pages any more

	mu      sync.Mutex
	changed *sync.Cond // a range may have become free, or the scan done
	done    bool       // there is an error, or nothing is left
	ranges  []*idRange // ascending
	limit   int        // of a full page
	useful  int64      // records that were yielded
	wasted  int64      // records beyond the range that they were fetched for
}

// idRange is a range of ids that are not yet walked: those greater than after, up to last.
type idRange struct {
	after, last int64
	density     float64 // of records per id, from the page before; 0 before any page
	busy        bool    // a worker fetches the first page
	limit       int     // of that page
	reserved    int     // records that the page which completes the range may waste
}

// bounded reports whether another range follows, or did: what a page has beyond is wasted.
func (r *idRange) bounded() bool { return r.last < math.MaxInt64 }

// expected returns how many records are expected after the id.
func (r *idRange) expected(after int64) float64 { return r.density * float64(r.last-after) }

func newScan[T any](p pager[T], workers int, opts []RequestOption) *scan[T] {
	s := &scan[T]{
		pager:   p,
		opts:    opts,
		workers: workers,
		pages:   make(chan *prefetch[T]),
		stopped: make(chan struct{}),
		ranges:  []*idRange{{after: walkOptions(opts).start(), last: math.MaxInt64}},
		limit:   p.first,
	}
	s.changed = sync.NewCond(&s.mu)
	return s
}

// run runs the workers, and closes the channel of pages when all of them have ended.
func (s *scan[T]) run(ctx context.Context, workers int) {
	defer close(s.pages)
	var working sync.WaitGroup
	for range workers {
		working.Add(1)
		go func() {
			defer working.Done()
			s.work(ctx)
		}()
	}
	working.Wait()
}

// work fetches pages until nothing is left, a page fails, or nobody receives pages any more.
func (s *scan[T]) work(ctx context.Context) {
	for r := s.nextRange(); r != nil; r = s.nextRange() {
		page := s.pager.startPrefetch(ctx, ListOptions{Limit: r.limit, Cursor: r.after}, s.opts)
		<-page.ready
		s.observe(r, page)
		if page.err == nil && len(page.records) == 0 {
			continue
		}
		select {
		case s.pages <- page:
		case <-s.stopped:
			return
		}
	}
}

// nextRange returns a range whose next page is to be fetched, and nil if nothing is left to do. It
// waits while all ranges are busy and none may be split.
func (s *scan[T]) nextRange() *idRange {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.done && len(s.ranges) > 0 {
		if r := s.pick(); r != nil {
			return r
		}
		s.changed.Wait()
	}
	return nil
}

// pick returns the first range that is not busy, or one that is split off another.
func (s *scan[T]) pick() *idRange {
	i := slices.IndexFunc(s.ranges, func(r *idRange) bool { return !r.busy })
	if i < 0 {
		i = s.split()
	}
	if i < 0 {
		return nil
	}
	r := s.ranges[i]
	r.busy, r.limit = true, s.nextLimit(r)
	return r
}

// spare returns how many more records may be put at risk.
func (s *scan[T]) spare() int {
	spare := int(maxWaste*float64(s.useful)) - int(s.wasted)
	for _, r := range s.ranges {
		spare -= r.reserved
	}
	return spare
}

// nextLimit returns the size of a range's next page.
func (s *scan[T]) nextLimit(r *idRange) int {
	spare := s.spare()
	if !r.bounded() {
		if s.workers > 1 && float64(spare) >= worthwhile*float64(s.limit) {
			return min(spare, s.limit) // so that the range can be split behind this page
		}
		return s.limit
	}
	limit := min(
		max(overfetch*r.expected(r.after)+slack, 1),
		float64(s.limit),
		float64(r.last-r.after),
		float64(max(r.reserved+spare, 1)),
	)
	r.reserved = max(r.reserved, int(limit))
	return int(limit)
}

// split makes a range of the ids behind the page that another worker is fetching, and returns
// its index. It chooses the range with the most records behind, and returns -1 if there is none
// that may be split.
func (s *scan[T]) split() int {
	spare, most, found, at := s.spare(), worthwhile*float64(s.limit), -1, int64(0)
	for i, r := range s.ranges {
		end, ok := r.pageEnd()
		if expected := r.expected(end); ok && r.limit <= spare && expected >= most {
			most, found, at = expected, i, end
		}
	}
	if found < 0 {
		return -1
	}
	r := s.ranges[found]
	behind := &idRange{after: at, last: r.last, density: r.density}
	r.last, r.reserved = at, r.limit
	s.ranges = slices.Insert(s.ranges, found+1, behind)
	return found + 1
}

// pageEnd returns the id up to which the page under way is expected to reach, a little before the
// last of its records. It is not ok if that cannot be told, or is not before the end of the range.
func (r *idRange) pageEnd() (end int64, ok bool) {
	if r.density == 0 {
		return 0, false
	}
	// A page of n records reaches over n ids at least.
	ids := max(float64(r.limit), float64(r.limit-slack)/(overfetch*r.density))
	if ids >= float64(r.last-r.after) {
		return 0, false
	}
	return r.after + int64(ids), true
}

// observe takes the records of other ranges from a page, and keeps what the page shows: how far
// its range is walked, and how dense the ids are there.
func (s *scan[T]) observe(r *idRange, page *prefetch[T]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.changed.Broadcast()
	r.busy = false
	if page.err != nil {
		s.done = true
		return
	}
	sent := len(page.records)
	within := sent
	for within > 0 && s.pager.id(page.records[within-1]) > r.last {
		within--
	}
	page.records = page.records[:within:within]
	s.useful += int64(within)
	s.wasted += int64(sent - within)

	full := s.limit
	if sent > 0 {
		grown := max(full, parallelGrowth*page.page.Limit)
		s.limit = page.page.limitByWeight(sent, min(grown, s.pager.max))
	}
	if within > 0 {
		r.density = densityAtEnd(page.records, r.after, s.pager.id)
		r.after = s.pager.id(page.records[within-1])
	}
	complete := sent == 0 || within < sent || r.after == r.last
	if complete {
		s.ranges = slices.DeleteFunc(s.ranges, func(other *idRange) bool { return other == r })
	}
	if sent == 0 {
		for _, other := range s.ranges {
			if other.after > r.after {
				other.density = 0 // there is nothing to expect behind an empty page
			}
		}
	}
}

// densityAtEnd returns the density of the second half of the records that follow an id. A gap
// before it does not count, since the ids behind the page are likely to be as those at its end.
func densityAtEnd[T any](records []*T, after int64, id func(*T) int64) float64 {
	half := len(records) / 2
	if half > 0 {
		after = id(records[half-1])
	}
	return float64(len(records)-half) / float64(id(records[len(records)-1])-after)
}
