package zep

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/zep-go/zep/internal/jsonscan"
)

// stream is what an exchange has more if its response is decoded record by record, while it comes.
// Then the time of the call is that without data, and not that of the caller in between.
type stream struct {
	// each takes a record. It reports whether the record is new, and whether more are wanted.
	each func(record []byte) (isNew, more bool, err error)

	since int             // the attempts before the last one that brought a new record
	ctx   context.Context // of the attempt
	idle  *time.Timer     // ends it
}

// start returns the context of an attempt, which ends at the deadline unless data comes before.
func (s *stream) start(
	ctx context.Context, deadline time.Time,
) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	idle := time.AfterFunc(time.Until(deadline), func() { cancel(context.DeadlineExceeded) })
	s.ctx, s.idle = ctx, idle
	return ctx, func() {
		idle.Stop()
		cancel(nil)
	}
}

// failure returns the error of an attempt whose time may have run out. The transport knows only
// that it was cancelled then.
func (s *stream) failure(err error) error {
	if s != nil && context.Cause(s.ctx) == context.DeadlineExceeded {
		return context.DeadlineExceeded
	}
	return err
}

// streamBody is the body of a response whose records are decoded while it comes.
type streamBody struct {
	*exchange
	body io.Reader
}

func (b streamBody) Read(p []byte) (int, error) {
	b.stream.idle.Reset(time.Until(b.attemptDeadline()))
	n, err := b.body.Read(p)
	if inTime := b.stream.idle.Stop(); inTime && n > 0 {
		b.deadline = time.Now().Add(b.timeout)
	}
	if err != nil && err != io.EOF {
		err = b.stream.failure(err)
	}
	return n, err
}

// judgeStream hands on the records of a success while they come, and says what it proves.
func (x *exchange) judgeStream(resp *http.Response) (outcome, *Error) {
	body := resp.Body
	resp.Body = http.NoBody
	defer body.Close()
	defer x.attempt.cancel() // also if the caller's loop panics
	if x.capture != nil {
		*x.capture = x.captured(resp, nil)
	}
	records := jsonscan.NewArrayReader(streamBody{x, body}, x.client.maxBody)
	for n := 1; ; n++ {
		record, err := records.Next()
		if err == io.EOF {
			return final, nil
		}
		if err != nil {
			return x.judgeCut(resp, x.streamError(err, n, records))
		}
		began := time.Now()
		isNew, more, err := x.stream.each(record)
		x.deadline = x.deadline.Add(time.Since(began))
		if isNew {
			x.stream.since = x.attempt.number - 1
		}
		if err != nil {
			return x.judgeCut(resp, fmt.Errorf("unexpected response: record %d: %w", n, err))
		}
		if !more {
			return final, nil
		}
	}
}

// streamError returns the error for the nth record, which could not be read.
func (x *exchange) streamError(err error, n int, records *jsonscan.ArrayReader) error {
	switch {
	case errors.Is(err, jsonscan.ErrTooLong):
		return fmt.Errorf("%w: record %d of the response is over %d bytes",
			ErrTooLarge, n, x.client.maxBody)
	case n == 1 && errors.Is(err, jsonscan.ErrNotArray) && isPage(records.Buffered()):
		return fmt.Errorf("unexpected response: an HTML page: %w", errNotZep)
	case errors.Is(err, jsonscan.ErrNotArray):
		return fmt.Errorf("unexpected response: %w", err)
	}
	return err
}
