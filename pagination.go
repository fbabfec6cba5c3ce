package zep

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"net/http"
	"slices"
)

// ListOptions choose a page of users or sessions.
type ListOptions struct {
	// Limit is the largest number of records in the page, at most 2^31-1. 0 is no limit: the
	// server returns all of them.
	Limit int `url:"limit,omitempty"`

	// Cursor is the ID (the number, not the UserID or SessionID) of the last record of the page
	// before: the page has the records after it. 0 is the first page.
	Cursor int64 `url:"cursor,omitempty"`
}

// After makes a walk begin after the record with this ID: the number in [User].ID or
// [Session].ID, whether or not that record still exists. A job that was stopped continues with
// the ID of the last record that it finished.
//
// After is for the walks by cursor: All, AllParallel and ListChunked of users and sessions. For
// any other call, and with a negative id, it is [ErrBadRequest]. AllParallel yields in no order,
// so the ID of its last record does not tell which records are left.
func After(id int64) RequestOption {
	return func(o *callOptions) error {
		if id < 0 {
			return fmt.Errorf("After(%d): must not be negative", id)
		}
		o.after = &id
		return nil
	}
}

// Collect ranges over seq and returns all its values. With an error it also returns the values
// that came before the error. A walk may be longer than memory has room for: Collect is for
// those that are known to be short.
func Collect[T any](seq iter.Seq2[T, error]) ([]T, error) {
	values := []T{}
	for value, err := range seq {
		if err != nil {
			return values, err
		}
		values = append(values, value)
	}
	return values, nil
}

const (
	// firstPage is the page size of ListChunked by default, and of the first page of All.
	firstPage = 100

	// maxPage is the largest page size of All. The server sorts its whole table for every page, so
	// few large pages are fast; from 5,000 on, the time goes into the records themselves.
	maxPage = 5000

	// pageShare is the part of the largest response that a page of All aims at: 4 MiB of 256 MiB.
	pageShare = 64

	// overweight is how many times the aim a page of All may weigh: 8 MiB. One that weighs more is
	// given up and asked for again in halves. A walk holds two pages and the body of one.
	overweight = 2
)

// validate refuses what the server would misread: a negative limit is the whole table, and the
// server keeps limits in 32 bits.
func (o *ListOptions) validate() error {
	if o == nil {
		return nil
	}
	return cmp.Or(
		checkCount("ListOptions", "Limit", int64(o.Limit), math.MaxInt32),
		checkCount("ListOptions", "Cursor", o.Cursor, math.MaxInt64),
	)
}

// limit returns the Limit of the options, which may be nil.
func (o *ListOptions) limit() int {
	if o == nil {
		return 0
	}
	return o.Limit
}

// checkCount refuses a number that is negative or over max. The server reads limits as 32 bits: a
// higher one selects other records.
func checkCount(of, field string, value, max int64) error {
	switch {
	case value < 0:
		return fmt.Errorf("%w: %s: %s is %d, must not be negative",
			ErrBadRequest, of, field, value)
	case value > max:
		return fmt.Errorf("%w: %s: %s is %d, must be at most %d",
			ErrBadRequest, of, field, value, max)
	}
	return nil
}

// walkPage is a page of a walk: what is asked for, and what the response weighed.
type walkPage struct {
	ListOptions

	anyWeight bool  // bounded by the client's limit alone
	target    int64 // the weight to aim at, in bytes
	weight    int64 // of the response's body, in bytes
}

// option makes a call report to the page: see [walkPage.maxBody].
func (p *walkPage) option(o *callOptions) error {
	o.page = p
	return nil
}

// maxBody returns how many bytes of the response may be read, of those that the client allows:
// all of them where p is nil, as in a call that is not part of a walk. A single record may be as
// large as any response.
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

// nextLimit returns the size of the page after this one: at most twice its size, and at most max.
// The page had so many records.
func (p *walkPage) nextLimit(records, max int) int {
	return p.limitByWeight(records, min(2*p.Limit, max))
}

// limitByWeight returns how many records are expected to weigh the target, at most max. The page
// had so many records.
func (p *walkPage) limitByWeight(records, max int) int {
	if p.weight == 0 {
		return max
	}
	return int(min(int64(max), p.target*int64(records)/p.weight+1))
}

// pager walks a list in pages that grow from first to max.
type pager[T any] struct {
	first, max int

	// next fetches a page and returns its records, and the cursor of the page after it. It may
	// lower the page's Limit.
	next func(context.Context, *walkPage, []RequestOption) (records []*T, cursor int64, err error)

	id func(*T) int64 // the cursor after a record; nil where the pages have numbers
}

// byID returns a pager by row number: the next cursor is the last record's. Rows have gaps, so
// nothing can be counted.
func byID[T any](
	list func(context.Context, *ListOptions, ...RequestOption) ([]*T, error),
	id func(*T) int64,
) pager[T] {
	next := func(ctx context.Context, p *walkPage, opts []RequestOption) ([]*T, int64, error) {
		records, err := list(ctx, &p.ListOptions, opts...)
		if err != nil || len(records) == 0 {
			return nil, p.Cursor, err
		}
		last := id(records[len(records)-1])
		if last <= p.Cursor {
			return nil, p.Cursor, fmt.Errorf("%w: the page after id %d ends with id %d",
				ErrCursorStuck, p.Cursor, last)
		}
		return records, last, nil
	}
	return pager[T]{first: firstPage, max: maxPage, next: next, id: id}
}

// fetch fetches a page. One that is too large is asked for again in halves, down to one record.
func (p pager[T]) fetch(
	ctx context.Context, page *walkPage, opts []RequestOption,
) (records []*T, cursor int64, err error) {
	opts = slices.Concat(opts, []RequestOption{page.option})
	for {
		records, cursor, err = p.next(ctx, page, opts)
		if page.Limit <= 1 || !responseTooLarge(err) {
			return records, cursor, err
		}
		page.Limit /= 2
	}
}

// responseTooLarge reports whether a call failed because its response was too large to read. A 413
// is ErrTooLarge too, but of the request.
func responseTooLarge(err error) bool {
	var e *Error
	return errors.Is(err, ErrTooLarge) && errors.As(err, &e) && e.StatusCode/100 == 2
}

// chunks walks page by page, and asks for each only when it is wanted.
func (p pager[T]) chunks(
	ctx context.Context, size int, opts []RequestOption,
) iter.Seq2[[]*T, error] {
	opts = slices.Clone(opts)
	if size == 0 {
		size = p.first
	}
	return func(yield func([]*T, error) bool) {
		limit, cursor := size, walkOptions(opts).start()
		for {
			options := ListOptions{Limit: limit, Cursor: cursor}
			page := &walkPage{ListOptions: options, anyWeight: true}
			records, next, err := p.fetch(ctx, page, opts)
			if err != nil {
				yield(nil, err)
				return
			}
			// A short page is not the end: a server may have a cap of its own.
			if len(records) == 0 || !yield(records, nil) {
				return
			}
			cursor = next
			if limit = page.Limit; limit < size { // it was too large
				limit = max(limit, page.nextLimit(len(records), size))
			}
		}
	}
}

// all walks record by record with growing pages, and fetches the next page ahead.
func (p pager[T]) all(ctx context.Context, opts []RequestOption) iter.Seq2[*T, error] {
	opts = slices.Clone(opts)
	return func(yield func(*T, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		begin := ListOptions{Limit: p.first, Cursor: walkOptions(opts).start()}
		ahead := p.startPrefetch(ctx, begin, opts)
		defer func() {
			cancel()
			<-ahead.ready // no goroutine outlives the walk
		}()
		for {
			this := ahead
			this.wait()
			if this.err != nil {
				yield(nil, this.err)
				return
			}
			if len(this.records) == 0 {
				return
			}
			next := ListOptions{
				Limit:  this.page.nextLimit(len(this.records), p.max),
				Cursor: this.cursor,
			}
			ahead = p.startPrefetch(ctx, next, opts)
			for _, record := range this.records {
				if !yield(record, nil) {
					return
				}
			}
		}
	}
}

// prefetch is a page that is fetched by another goroutine.
type prefetch[T any] struct {
	ready   chan struct{} // closed when the fields below are set
	page    *walkPage
	records []*T
	cursor  int64
	err     error
	capture func()

	panicked any // what the transport panicked with, for the goroutine of the caller
}

// errPrefetchEnded is the error of a page whose goroutine was ended by its transport: the walk is
// not complete.
var errPrefetchEnded = errors.New("zep: the goroutine of a page ended in the middle")

// startPrefetch begins to fetch a page. A captured response is kept back until wait: the caller
// may be reading that of the page before.
func (p pager[T]) startPrefetch(
	ctx context.Context, options ListOptions, opts []RequestOption,
) *prefetch[T] {
	f := &prefetch[T]{
		ready:   make(chan struct{}),
		page:    &walkPage{ListOptions: options},
		err:     errPrefetchEnded,
		capture: func() {},
	}
	if captured := walkOptions(opts).capture; captured != nil {
		var response *http.Response
		opts = slices.Concat(opts, []RequestOption{CaptureResponse(&response)})
		f.capture = func() { *captured = response }
	}
	go func() {
		defer close(f.ready)
		defer func() { f.panicked = recover() }()
		f.records, f.cursor, f.err = p.fetch(ctx, f.page, opts)
	}()
	return f
}

// wait waits for the page, and stores its captured response.
func (f *prefetch[T]) wait() {
	<-f.ready
	if f.panicked != nil {
		panic(f.panicked)
	}
	f.capture()
}

// errAfter is the error of a call that [After] has no meaning for.
var errAfter = fmt.Errorf("%w: After: only for All, AllParallel and ListChunked "+
	"of users and sessions", ErrBadRequest)

// walkOptions returns what the options of a walk set. Their errors are those of its first call.
func walkOptions(opts []RequestOption) callOptions {
	o := callOptions{page: new(walkPage)}
	_ = o.apply(opts)
	return o
}

// precheckWalk is [Client.precheck] for a walk.
func precheckWalk(opts []RequestOption, err error) error {
	o := callOptions{page: new(walkPage)}
	optionErr := o.apply(opts)
	if o.capture != nil {
		*o.capture = nil
	}
	return cmp.Or(optionErr, err)
}

// start returns the cursor that a walk begins with.
func (o callOptions) start() int64 {
	if o.after == nil {
		return 0
	}
	return *o.after
}
