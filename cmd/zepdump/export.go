package main

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"math"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/zep-go/zep"
)

// exporter writes what a server has into an output.
type exporter struct {
	server   server
	out      *output
	workers  int
	progress *progress
}

// run does the steps of an export that are not done yet. The sessions come before the users, so
// that the user of an exported session is exported too, though both are added meanwhile; messages
// and documents are those of the sessions and collections that were exported.
func (e *exporter) run(ctx context.Context) error {
	steps := []exportStep{
		{sessions, []string{sessions}, e.sessions},
		{users, []string{users}, e.users},
		{messages, []string{messages, summaries}, e.conversations},
		{collections, []string{collections}, e.collections},
		{documents, []string{documents}, e.documents},
	}
	for _, step := range steps {
		if err := e.step(ctx, step); err != nil {
			return err
		}
	}
	return e.out.complete()
}

// exportStep is a part of an export that writes some files.
type exportStep struct {
	name  string
	kinds []string
	run   func(ctx context.Context, after string) error
}

// step does a step. After an error that may pass it goes on where the last block ended.
func (e *exporter) step(ctx context.Context, step exportStep) error {
	last := ""
	for tries := 1; ; tries++ {
		after, ok, err := e.out.begin(step.name, step.kinds)
		if err == nil && !ok {
			return nil
		}
		if after != last {
			last, tries = after, 1
		}
		if err == nil {
			err = step.run(ctx, after)
			e.progress.end()
		}
		if err == nil {
			err = e.out.end()
		}
		if err == nil {
			return nil
		}
		_ = e.out.stop() // what it can save; the first error says why
		if !e.server.wait(ctx, tries, err) {
			return err
		}
	}
}

// write writes one record.
func (e *exporter) write(kind string, record any) error {
	var line bytes.Buffer
	if err := appendLine(&line, record); err != nil {
		return err
	}
	return e.out.write(kind, line.Bytes(), 1)
}

func (e *exporter) users(ctx context.Context, after string) error {
	page := func(ctx context.Context, after int64) (int, error) {
		list, err := e.server.User.List(ctx, &zep.ListOptions{Limit: 1, Cursor: after})
		return len(list), err
	}
	id := func(u *zep.User) int64 { return u.ID }
	return exportByID(ctx, e, users, after, page, e.server.users, id)
}

func (e *exporter) sessions(ctx context.Context, after string) error {
	page := func(ctx context.Context, after int64) (int, error) {
		list, err := e.server.Session.List(ctx, &zep.ListOptions{Limit: 1, Cursor: after})
		return len(list), err
	}
	id := func(s *zep.Session) int64 { return s.ID }
	return exportByID(ctx, e, sessions, after, page, e.server.sessions, id)
}

// exportByID exports the records of a walk by cursor, but for most that were added since it began:
// the walk would have no end on a server that adds them faster than it gives pages.
func exportByID[T any](
	ctx context.Context, e *exporter, kind, after string,
	page func(context.Context, int64) (int, error),
	all func(context.Context, int64) iter.Seq2[*T, error], id func(*T) int64,
) error {
	cursor := parseCursor(after)
	last, err := lastID(ctx, cursor, page)
	if err != nil {
		return err
	}
	e.progress.begin(kind, last-cursor, e.out.file(kind).records)
	for record, err := range all(ctx, cursor) {
		if err != nil {
			return err
		}
		if id(record) > last {
			break
		}
		if err := e.write(kind, record); err != nil {
			return err
		}
		if err := e.out.mark(strconv.FormatInt(id(record), 10)); err != nil {
			return err
		}
		e.progress.at(id(record)-cursor, 1)
	}
	return nil
}

// parseCursor parses the row number that an export goes on after.
func parseCursor(after string) int64 {
	id, _ := strconv.ParseInt(after, 10, 64) // "" is the beginning
	return id
}

// lastID returns a row number that all records but new ones are at or before. It finds it in some
// dozens of requests of one record, as the API does not tell it, or the number of records.
func lastID(
	ctx context.Context, after int64, page func(context.Context, int64) (int, error),
) (int64, error) {
	low, high := after, after // there is a record after low, or low is the beginning
	for step := int64(1 << 12); ; step *= 4 {
		high = low + min(step, math.MaxInt64-low)
		n, err := page(ctx, high)
		if err != nil {
			return 0, err
		}
		if n == 0 {
			break
		}
		low = high
	}
	for high-low > max(1, (high-after)/100) { // one percent is exact enough
		middle := low + (high-low)/2
		n, err := page(ctx, middle)
		if err != nil {
			return 0, err
		}
		if n == 0 {
			high = middle
		} else {
			low = middle
		}
	}
	return high, nil
}

// exported returns the records that an earlier step wrote, if it was asked for.
func exported[T any](
	e *exporter, kind string,
) (records iter.Seq2[*T, error], count int64, ok bool) {
	if info := e.out.manifest.file(kind); info != nil {
		return fileRecords[T](e.out.dir, info), info.Records, true
	}
	return nil, 0, false
}

// conversation is the messages and the summary of one session.
type conversation struct {
	session *zep.Session
	lines   chan chunk // closed when the rest is set
	summary *zep.Summary

	unaddressable bool
}

// chunk is some lines of a file.
type chunk struct {
	lines   []byte
	records int
}

const (
	chunkBytes = 64 << 10
	// What is fetched before its turn comes: so many sessions a worker, and so many chunks of each.
	aheadSessions = 4
	aheadChunks   = 1
)

// conversations exports the messages and summaries of sessions. Workers fetch several sessions at
// once, and the sessions are written in their order: a worker that is ahead waits when its session
// has some chunks that are not written.
func (e *exporter) conversations(ctx context.Context, after string) error {
	cursor := parseCursor(after)
	all, count, ok := exported[zep.Session](e, sessions)
	if !ok {
		all = e.server.sessions(ctx, cursor)
	}
	done := int64(0)
	if f := e.out.file(messages); f != nil {
		done = f.records
	}
	e.progress.begin(messages, count, done) // it counts sessions, and shows messages

	group, ctx := errgroup.WithContext(ctx)
	queue := make(chan *conversation, aheadSessions*e.workers)
	feed := func(ctx context.Context, work chan<- *conversation) error {
		for session, err := range all {
			if err != nil {
				return err
			}
			if session.ID <= cursor {
				e.progress.add(1, 0)
				continue
			}
			c := &conversation{session: session, lines: make(chan chunk, aheadChunks)}
			if !send(ctx, queue, c) || !send(ctx, work, c) {
				return ctx.Err()
			}
		}
		return nil
	}
	group.Go(func() error {
		defer close(queue)
		return dispatch(ctx, e.workers, e.fetch, feed)
	})
	group.Go(func() error { return e.writeConversations(ctx, queue) })
	return group.Wait()
}

// fetch fetches a conversation and sends its lines. No request can ask for some of the ids that a
// session can have, such as "a/b".
func (e *exporter) fetch(ctx context.Context, c *conversation) error {
	err := e.fetchMessages(ctx, c)
	if err == nil && e.out.has(summaries) {
		var memory *zep.Memory
		memory, err = e.server.lastMessages(ctx, c.session.SessionID, 1)
		c.summary = memory.Summary
	}
	if errors.Is(err, zep.ErrInvalidID) {
		c.unaddressable, err = true, nil
	}
	if err == nil {
		close(c.lines)
	}
	return err
}

func (e *exporter) fetchMessages(ctx context.Context, c *conversation) error {
	if !e.out.has(messages) {
		return nil
	}
	lines, n := new(bytes.Buffer), 0
	flush := func() error {
		if n > 0 && !send(ctx, c.lines, chunk{lines.Bytes(), n}) {
			return ctx.Err()
		}
		lines, n = new(bytes.Buffer), 0
		return nil
	}
	for message, err := range e.server.messages(ctx, c.session.SessionID) {
		if err != nil {
			return err
		}
		if err := appendLine(lines, messageRecord{c.session.SessionID, *message}); err != nil {
			return err
		}
		if n++; lines.Len() >= chunkBytes {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// writeConversations writes the conversations in their order.
func (e *exporter) writeConversations(ctx context.Context, queue <-chan *conversation) error {
	for c := range queue {
		for whole := false; !whole; {
			select {
			case lines, ok := <-c.lines:
				if whole = !ok; whole {
					break
				}
				if err := e.out.write(messages, lines.lines, lines.records); err != nil {
					return err
				}
				e.progress.add(0, int64(lines.records))
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if c.unaddressable {
			e.out.unaddressable++
			e.progress.warn("the messages of the session %q are left out: no request can carry its id",
				c.session.SessionID)
		}
		if c.summary != nil {
			if err := e.write(summaries, summaryRecord{c.session.SessionID, *c.summary}); err != nil {
				return err
			}
		}
		if err := e.out.mark(strconv.FormatInt(c.session.ID, 10)); err != nil {
			return err
		}
		e.progress.add(1, 0)
	}
	return ctx.Err()
}

func (e *exporter) collections(ctx context.Context, _ string) error {
	list, err := e.server.collections(ctx)
	if err != nil {
		return err
	}
	e.progress.begin(collections, int64(len(list)), 0)
	for _, collection := range list {
		if err := e.write(collections, collection); err != nil {
			return err
		}
		e.progress.add(1, 1)
	}
	return nil
}

// documents exports the documents collection by collection. The server has no pages here, so a
// collection that was not finished is begun again.
func (e *exporter) documents(ctx context.Context, after string) error {
	list, err := e.exportedCollections(ctx)
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(c *zep.Collection) bool { return c.Name <= after })
	total := int64(0)
	for _, collection := range list {
		total += int64(collection.DocumentCount)
	}
	e.progress.begin(documents, total, e.out.file(documents).records)
	for _, collection := range list {
		if err := e.documentsOf(ctx, collection.Name); err != nil {
			return err
		}
		if err := e.out.mark(collection.Name); err != nil {
			return err
		}
	}
	return nil
}

// documentsOf exports the documents of a collection. One that was deleted has none.
func (e *exporter) documentsOf(ctx context.Context, collection string) (err error) {
	sorted, err := newSpool(filepath.Join(e.out.dir, "documents.unsorted"+partialSuffix))
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := sorted.close(); err == nil {
			err = closeErr
		}
	}()
	for document, err := range e.server.documents(ctx, collection) {
		if err != nil {
			return err
		}
		if err := sorted.add(collection, document); err != nil {
			return err
		}
		e.progress.add(1, 1)
	}
	return sorted.each(func(line []byte) error { return e.out.write(documents, line, 1) })
}

// exportedCollections returns the collections whose documents are exported.
func (e *exporter) exportedCollections(ctx context.Context) ([]*zep.Collection, error) {
	if file, _, ok := exported[zep.Collection](e, collections); ok {
		return zep.Collect(file)
	}
	return e.server.collections(ctx)
}
