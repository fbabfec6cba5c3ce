package bench

import (
	"context"
	"iter"
	"math"
	"sync"

	"github.com/zep-go/zep"
)

// The pages of a scan.
const (
	scanFirst = 100  // shows how dense the ids are
	scanPage  = 5000 // is what a range is meant to hold
)

// AllParallel is a prototype of a walk by several workers. It yields, in no order, each user once who was there throughout.
//
// The ids are cut into ranges, by ascending id, and each worker takes the next. A range's users are asked for by limit and cursor;
// those beyond its end are another's. It has no need to look for the highest id first: an empty page tells where the end is, and
// costs each of the other workers one empty page at the most.
func AllParallel(ctx context.Context, client *zep.Client, workers int) iter.Seq2[*zep.User, error] {
	return func(yield func(*zep.User, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		s := &scan{client: client, pages: make(chan []*zep.User, workers), end: math.MaxInt64}
		var failure error
		go func() {
			defer close(s.pages)
			failure = s.run(ctx, workers)
		}()
		defer func() {
			cancel()
			for range s.pages { // nothing of the scan runs on after it
			}
		}()
		for page := range s.pages {
			for _, user := range page {
				if !yield(user, nil) {
					return
				}
			}
		}
		if failure != nil {
			yield(nil, failure)
		}
	}
}

// A scan is AllParallel at work.
type scan struct {
	client *zep.Client
	pages  chan []*zep.User

	mu          sync.Mutex
	next        int64 // the ids up to this have been given to workers
	end         int64 // there is nobody after this
	gap         idRange
	users, span int64 // seen so far, and the ids that they are spread over
}

// An idRange is the ids after after, up to last.
type idRange struct{ after, last int64 }

func (s *scan) run(ctx context.Context, workers int) error {
	first, err := s.fetch(ctx, idRange{0, math.MaxInt64}, scanFirst)
	if err != nil {
		return err
	}
	s.next = first
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for r, more := s.take(); more; r, more = s.take() {
				if err := s.work(ctx, r); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

// take gives a worker the next range.
func (s *scan) take() (idRange, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gap.after <= s.next && s.next < s.gap.last {
		s.next = s.gap.last
	}
	if s.next >= s.end {
		return idRange{}, false
	}
	r := idRange{after: s.next, last: math.MaxInt64}
	if step := int64(scanPage / s.density()); s.next < math.MaxInt64-step {
		r.last = s.next + step
	}
	s.next = r.last
	return r, true
}

// work fetches all users of a range.
func (s *scan) work(ctx context.Context, r idRange) (err error) {
	for err == nil && r.after < r.last {
		s.mu.Lock()
		expected := float64(r.last-r.after) * s.density()
		s.mu.Unlock()
		r.after, err = s.fetch(ctx, r, int(min(1.02*expected+16, float64(r.last-r.after), 2*scanPage)))
	}
	return err
}

// fetch fetches the next users of a range, and returns the id up to which that is done.
func (s *scan) fetch(ctx context.Context, r idRange, limit int) (done int64, err error) {
	users, err := s.client.User.List(ctx, &zep.ListOptions{Limit: limit, Cursor: r.after})
	if err != nil {
		return 0, err
	}
	within := len(users)
	for within > 0 && users[within-1].ID > r.last {
		within--
	}
	last := r.after
	if within > 0 {
		last = users[within-1].ID
	}
	s.note(within, r.after, last, users[within:])
	if within > 0 {
		select {
		case s.pages <- users[:within:within]:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	if within == len(users) && within > 0 {
		return last, nil
	}
	return r.last, nil
}

// note keeps what a page tells of the ids: how dense they are, and where there are none.
func (s *scan) note(within int, after, last int64, beyond []*zep.User) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users += int64(within)
	s.span += last - after
	switch {
	case len(beyond) > 0 && beyond[0].ID-last > s.gap.last-s.gap.after:
		s.gap = idRange{last, beyond[0].ID - 1}
	case within == 0 && len(beyond) == 0:
		s.end = min(s.end, after)
	}
}

// density is how many users there are to an id.
func (s *scan) density() float64 { return float64(max(s.users, 1)) / float64(max(s.span, 1)) }
