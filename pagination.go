package zep

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
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
)

// A pager is how a list is walked: by pages that grow from first to most, if they may.
type pager[T any] struct {
	first, most int

	// next fetches the page after the cursor and gives the cursor after it.
	next func(context.Context, ListOptions, []RequestOption) (records []*T, cursor int64, err error)
}

// byID walks by row number: the next cursor is the last record's. Rows have gaps, so nothing can be counted.
func byID[T any](list func(context.Context, *ListOptions, ...RequestOption) ([]*T, error), id func(*T) int64) pager[T] {
	return pager[T]{first: defaultChunk, most: maxPage, next: func(ctx context.Context, page ListOptions, opts []RequestOption) ([]*T, int64, error) {
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
			<-page.ready
			if page.panicked != nil {
				panic(page.panicked)
			}
			page.capture()
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
