package zep

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"net/http"
	"slices"
	"sync"
)

// ListOptions choose a page of users or sessions.
type ListOptions struct {
	// Limit is how many there are in the page at the most. 0 is no limit: the server answers with all of them.
	Limit int `url:"limit,omitempty"`

	// Cursor is the ID (the number, not the user's or session's own id) of the last record of the page before: the page
	// has the records after it. 0 is the first page.
	Cursor int64 `url:"cursor,omitempty"`
}

// check refuses what the server would answer with the whole table.
func (o *ListOptions) check() error {
	if o != nil && (o.Limit < 0 || o.Cursor < 0) {
		return fmt.Errorf("%w: ListOptions%+v: want no negative number", ErrBadRequest, *o)
	}
	return nil
}

const (
	// defaultChunk is the page of ListChunked, and the first of All.
	defaultChunk = 100

	// maxPage is the largest of All: the server sorts its whole table for every page, so few large ones are fast, and at
	// 5,000 the pages themselves are what takes the time.
	maxPage = 5000

	// defaultWorkers are those of AllParallel.
	defaultWorkers = 8
)

const (
	// pageShare is the part of the largest response that a page of All aims at: 8 MiB of 256 MiB.
	// A walk holds two pages and the bytes of one.
	pageShare = 32

	// overweight is how many times the aim a page of All may weigh. One that weighs more is given
	// up and asked for again in halves.
	overweight = 2
)

// walkPage is a page of a walk: what is asked for, and what the response weighed.
type walkPage struct {
	ListOptions

	anyWeight bool  // bounded by the client's limit alone
	target    int64 // the weight to aim at, in bytes
	weight    int64 // of the response's body, in bytes
}

// option makes a call report to the page: see [walkPage.maxBody].
func (p *walkPage) option(r *request) error {
	r.page = p
	return nil
}

// maxBody returns how many bytes of the response may be read, of those that the client allows: all of
// them where p is nil, as in a call that is not part of a walk. A single record may be as large as any
// response.
func (p *walkPage) maxBody(allowed int64) int64 {
	switch {
	case p == nil:
		return allowed
	case p.anyWeight:
		p.target = allowed / 2
		return allowed
	}
	p.target = max(allowed/pageShare, 1)
	if p.Limit == 1 {
		return allowed
	}
	return min(allowed, overweight*p.target)
}

// setWeight stores the size of the response's body.
func (p *walkPage) setWeight(bytes int) {
	if p != nil {
		p.weight = int64(bytes)
	}
}

// errAfter is the error of a call that [After] has no meaning for.
var errAfter = fmt.Errorf("%w: After is for All, AllParallel and ListChunked of users and sessions",
	ErrBadRequest)

// A pager is how a list is walked: by pages that grow from first to most, if they may.
type pager[T any] struct {
	first, most int

	// next fetches the page after the cursor and gives the cursor after it.
	next func(context.Context, ListOptions, []RequestOption) (records []*T, cursor int64, err error)

	id func(*T) int64 // the row number; nil where pages have numbers
}

// byID walks by row number: the next cursor is the last record's. Rows have gaps, so nothing can be counted.
func byID[T any](list func(context.Context, *ListOptions, ...RequestOption) ([]*T, error), id func(*T) int64) pager[T] {
	return pager[T]{first: defaultChunk, most: maxPage, id: id, next: func(ctx context.Context, page ListOptions, opts []RequestOption) ([]*T, int64, error) {
		records, err := list(ctx, &page, opts...)
		if err != nil || len(records) == 0 {
			return nil, page.Cursor, err
		}
		last := id(records[len(records)-1])
		if last <= page.Cursor {
			return nil, page.Cursor, fmt.Errorf("%w: the page after id %d ends with id %d", ErrCursorStuck, page.Cursor, last)
		}
		return records, last, nil
	}}
}

// chunks walks page by page, and asks for nothing before it is wanted.
func (p pager[T]) chunks(ctx context.Context, size int, opts []RequestOption) iter.Seq2[[]*T, error] {
	opts = slices.Clone(opts)
	if size == 0 {
		size = p.first
	}
	return func(yield func([]*T, error) bool) {
		page := ListOptions{Limit: size}
		for {
			records, cursor, err := p.next(ctx, page, opts)
			if err != nil {
				yield(nil, err)
				return
			}
			// A short page is no end: a server may have a cap of its own.
			if len(records) == 0 || !yield(records, nil) {
				return
			}
			page.Cursor = cursor
		}
	}
}

// all walks record by record, with growing pages, and fetches one ahead.
func (p pager[T]) all(ctx context.Context, opts []RequestOption) iter.Seq2[*T, error] {
	opts = slices.Clone(opts)
	return func(yield func(*T, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		page := p.ahead(ctx, ListOptions{Limit: p.first}, opts)
		defer func() {
			cancel()
			<-page.ready // nothing of the walk runs on after it
		}()
		for {
			page.take()
			if page.err != nil {
				yield(nil, page.err)
				return
			}
			if len(page.records) == 0 {
				return
			}
			this := page
			page = p.ahead(ctx, ListOptions{Limit: min(2*this.limit, p.most), Cursor: this.cursor}, opts)
			for _, record := range this.records {
				if !yield(record, nil) {
					return
				}
			}
		}
	}
}

// A fetched page, once it is ready.
type fetched[T any] struct {
	ready   chan struct{}
	limit   int
	records []*T
	cursor  int64
	err     error
	capture func()

	panicked any // what a Transport of the caller's panicked with: it belongs into the caller's goroutine
}

// take waits for the page, and makes it the one in hand.
func (f *fetched[T]) take() {
	<-f.ready
	if f.panicked != nil {
		panic(f.panicked)
	}
	f.capture()
}

// ahead begins to fetch a page. A response that the caller wants to capture is kept back until the walk has come to its
// page: he may be reading the one before while this one arrives.
func (p pager[T]) ahead(ctx context.Context, page ListOptions, opts []RequestOption) *fetched[T] {
	f := &fetched[T]{ready: make(chan struct{}), limit: page.Limit, capture: func() {}}
	if r, _ := new(config).newRequest(opts); r.capture != nil {
		var response *http.Response
		opts = slices.Concat(opts, []RequestOption{CaptureResponse(&response)})
		f.capture = func() { *r.capture = response }
	}
	go func() {
		defer close(f.ready)
		defer func() { f.panicked = recover() }()
		f.err = errors.New("zep: the goroutine of a page ended in the middle") // and no end of the walk, if a Transport does that
		f.records, f.cursor, f.err = p.next(ctx, page, opts)
	}()
	return f
}

// parallel walks record by record, in no order, with several workers.
func (p pager[T]) parallel(ctx context.Context, workers int, opts []RequestOption) iter.Seq2[*T, error] {
	opts = slices.Clone(opts)
	if workers == 0 {
		workers = defaultWorkers
	}
	return func(yield func(*T, error) bool) {
		if workers < 0 {
			yield(nil, errNegative("AllParallel", "workers", workers))
			return
		}
		ctx, cancel := context.WithCancel(ctx)
		s := &scan[T]{pager: p, opts: opts, pages: make(chan *fetched[T]), left: make(chan struct{}), end: math.MaxInt64}
		go s.run(ctx, workers)
		defer func() {
			cancel()
			close(s.left)
			for range s.pages { // nothing of the scan runs on after it
			}
		}()
		for page := range s.pages {
			page.take()
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

// A scan is a walk by several workers. The ids are cut into ranges, by ascending id, and each worker takes the next; what a page has
// beyond the end of its range is another's, so that no record comes twice. The highest id need not be known: an empty page tells
// where the end is, and costs each of the other workers one empty page at the most.
type scan[T any] struct {
	pager pager[T]
	opts  []RequestOption
	pages chan *fetched[T]
	left  chan struct{} // closed when nobody takes pages any more

	mu            sync.Mutex
	next          int64 // the ids up to this have been given to workers
	end           int64 // there is nobody after this
	gap           idRange
	records, span int64 // seen so far, and the ids that they are spread over
}

// An idRange is the ids after after, up to last.
type idRange struct{ after, last int64 }

func (s *scan[T]) run(ctx context.Context, workers int) {
	defer close(s.pages)
	// The first page shows how dense the ids are. If it is not full, the second is likely to be the end.
	first, ok := s.fetch(ctx, idRange{0, math.MaxInt64}, s.pager.first)
	if ok && s.records < int64(s.pager.first) && first < s.end {
		first, ok = s.fetch(ctx, idRange{first, math.MaxInt64}, s.pager.first)
	}
	if !ok {
		return
	}
	s.next = first
	var all sync.WaitGroup
	for range workers {
		all.Add(1)
		go func() {
			defer all.Done()
			for {
				r, more := s.take()
				if !more || !s.work(ctx, r) {
					return
				}
			}
		}()
	}
	all.Wait()
}

// take gives a worker the next range.
func (s *scan[T]) take() (idRange, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gap.after <= s.next && s.next < s.gap.last {
		s.next = s.gap.last
	}
	if s.next >= s.end {
		return idRange{}, false
	}
	r := idRange{after: s.next, last: math.MaxInt64}
	if step := float64(s.pager.most) / s.density(); step < float64(math.MaxInt64-s.next)/2 {
		r.last = s.next + int64(step)
	}
	s.next = r.last
	return r, true
}

// work fetches all records of a range, and says whether there is to be another.
func (s *scan[T]) work(ctx context.Context, r idRange) (ok bool) {
	for ok = true; ok && r.after < r.last; {
		s.mu.Lock()
		expected := float64(r.last-r.after) * s.density()
		s.mu.Unlock()
		r.after, ok = s.fetch(ctx, r, int(min(1.02*expected+16, float64(r.last-r.after), float64(2*s.pager.most))))
	}
	return ok
}

// fetch fetches the next records of a range, and returns the id up to which that is done. It is not ok if it failed, or if nobody
// takes the page.
func (s *scan[T]) fetch(ctx context.Context, r idRange, limit int) (done int64, ok bool) {
	page := s.pager.ahead(ctx, ListOptions{Limit: limit, Cursor: r.after}, s.opts)
	<-page.ready
	ok = page.err == nil
	if all := page.records; ok {
		within := len(all)
		for within > 0 && s.pager.id(all[within-1]) > r.last {
			within--
		}
		page.records = all[:within:within]
		done = s.note(r, page.records, all[within:])
	}
	if len(page.records) == 0 && ok {
		return done, ok
	}
	select {
	case s.pages <- page:
		return done, ok
	case <-s.left:
		return done, false
	}
}

// note keeps what a page tells of the ids: how dense they are, and where there are none. It returns the id up to which the range is
// done.
func (s *scan[T]) note(r idRange, within, beyond []*T) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := r.after
	if len(within) > 0 {
		last = s.pager.id(within[len(within)-1])
	}
	s.records += int64(len(within))
	s.span += last - r.after
	switch {
	case len(beyond) > 0:
		if first := s.pager.id(beyond[0]); first-last > s.gap.last-s.gap.after {
			s.gap = idRange{last, first - 1}
		}
	case len(within) == 0:
		s.end = min(s.end, r.after)
	default:
		return last // the page was full, or the server has a cap: there may be more in the range
	}
	return r.last
}

// density is how many records there are to an id.
func (s *scan[T]) density() float64 { return float64(max(s.records, 1)) / float64(max(s.span, 1)) }
