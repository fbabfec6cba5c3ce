package main

import (
	"context"
	"iter"

	"golang.org/x/sync/errgroup"
)

// inParallel calls work with the chunks, by several workers. The first error ends it.
func inParallel[T any](
	ctx context.Context, workers int, chunks iter.Seq2[[]*T, error],
	work func(context.Context, []*T) error,
) error {
	return dispatch(ctx, workers, work, func(ctx context.Context, jobs chan<- []*T) error {
		for chunk, err := range chunks {
			if err != nil {
				return err
			}
			if !send(ctx, jobs, chunk) {
				return ctx.Err()
			}
		}
		return nil
	})
}

// dispatch calls work with the jobs that feed sends, by several workers. The first error ends it.
func dispatch[J any](
	ctx context.Context, workers int, work func(context.Context, J) error,
	feed func(context.Context, chan<- J) error,
) error {
	group, ctx := errgroup.WithContext(ctx)
	jobs := make(chan J)
	group.Go(func() error {
		defer close(jobs)
		return feed(ctx, jobs)
	})
	for range workers {
		group.Go(func() error {
			for job := range jobs {
				if err := work(ctx, job); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// send sends a value, unless the context ends first.
func send[T any](ctx context.Context, to chan<- T, value T) bool {
	select {
	case to <- value:
		return true
	case <-ctx.Done():
		return false
	}
}

// history is the exported messages of one session.
type history struct {
	sessionID string
	chunks    chan []*messageRecord // in their order, closed after the last
}

// messages ranges over the messages. It ends early with the context.
func (h *history) messages(ctx context.Context) iter.Seq2[*messageRecord, error] {
	return func(yield func(*messageRecord, error) bool) {
		for {
			select {
			case chunk, ok := <-h.chunks:
				if !ok {
					return
				}
				for _, message := range chunk {
					if !yield(message, nil) {
						return
					}
				}
			case <-ctx.Done():
				yield(nil, ctx.Err())
				return
			}
		}
	}
}

// eachHistory calls work with the messages of each session, several sessions at once. work has to
// take all messages, or return an error. With alsoEmpty it comes with each exported session, also
// one without messages.
func eachHistory(
	ctx context.Context, in *input, workers int, alsoEmpty bool,
	work func(context.Context, *history) error,
) error {
	return dispatch(ctx, workers, work, func(ctx context.Context, jobs chan<- *history) error {
		f := feeder{ctx: ctx, jobs: jobs}
		defer f.finish()
		if alsoEmpty {
			next, stop := iter.Pull2(sessionIDs(in))
			defer stop()
			f.sessions = next
		}
		sessionOf := func(m *messageRecord) string { return m.SessionID }
		for chunk, err := range chunks(in, messages, sessionOf) {
			if err != nil {
				return err
			}
			if id := chunk[0].SessionID; f.current == nil || f.current.sessionID != id {
				if err := f.begin(id); err != nil {
					return err
				}
			}
			if !send(ctx, f.current.chunks, chunk) {
				return ctx.Err()
			}
		}
		return f.skipTo("")
	})
}

// sessionIDs reads the ids of the exported sessions.
func sessionIDs(in *input) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if !in.has(sessions) {
			return
		}
		for session, err := range fileRecords[struct {
			SessionID string `json:"session_id"`
		}](in.dir, in.manifest.file(sessions)) {
			if err != nil {
				yield("", err)
				return
			}
			if !yield(session.SessionID, nil) {
				return
			}
		}
	}
}

// feeder sends the histories of sessions to workers.
type feeder struct {
	ctx      context.Context
	jobs     chan<- *history
	current  *history
	sessions func() (string, error, bool) // nil if sessions without messages do not matter
}

// begin ends the current history, and begins that of a session.
func (f *feeder) begin(sessionID string) error {
	if err := f.skipTo(sessionID); err != nil {
		return err
	}
	return f.send(sessionID)
}

func (f *feeder) send(sessionID string) error {
	f.finish()
	f.current = &history{sessionID: sessionID, chunks: make(chan []*messageRecord, 1)}
	if !send(f.ctx, f.jobs, f.current) {
		return f.ctx.Err()
	}
	return nil
}

func (f *feeder) finish() {
	if f.current != nil {
		close(f.current.chunks)
		f.current = nil
	}
}

// skipTo sends the sessions before this one, which have no messages. The messages are in the order
// of the sessions.
func (f *feeder) skipTo(sessionID string) error {
	for f.sessions != nil {
		id, err, ok := f.sessions()
		if err != nil || !ok || id == sessionID {
			return err
		}
		if err := f.send(id); err != nil {
			return err
		}
	}
	return nil
}
