package zep

import (
	"context"
	"errors"
	"sync"
	"time"
)

// tokenRun is one run of the function of [WithTokenSource], for all calls that ask while it goes
// on.
type tokenRun struct {
	waiting int // how many calls wait for it
	ctx     context.Context
	cancel  context.CancelFunc

	done     chan struct{} // closed when the fields below are set
	token    string
	err      error
	panicked any
}

// errSourceEnded is the error of a function that ended its goroutine in place of returning.
var errSourceEnded = errors.New("the function did not return")

// sharedSource runs the function of [WithTokenSource] once for all callers that ask at the same
// time.
type sharedSource struct {
	source func(context.Context) (string, error)
	limit  time.Duration // of a run

	mu      sync.Mutex
	current *tokenRun // nil if there is none to join
}

// shareRuns returns a function that gives what source returns. A caller leaves when its own context
// ends. The context of a run belongs to no caller: it has none of their values, since the token
// goes to all of them, and ends when the last of them has left, or after the limit. Nobody joins a
// run from then on: a run that hangs would otherwise keep all later callers waiting, as long as a
// new one comes before the last has left.
func shareRuns(
	source func(context.Context) (string, error), limit time.Duration,
) func(context.Context) (string, error) {
	return (&sharedSource{source: source, limit: limit}).token // prints as a function: no token
}

func (s *sharedSource) token(ctx context.Context) (string, error) {
	run := s.join()
	select {
	case <-run.done:
	case <-ctx.Done():
		s.mu.Lock()
		defer s.mu.Unlock()
		if run.waiting--; run.waiting == 0 {
			s.end(run)
		}
		return "", context.Cause(ctx)
	}
	if run.panicked != nil {
		panic(run.panicked)
	}
	return run.token, run.err
}

// join returns the run under way, or begins one.
func (s *sharedSource) join() *tokenRun {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil || s.current.ctx.Err() != nil {
		ctx, cancel := context.WithTimeout(context.Background(), s.limit)
		s.current = &tokenRun{
			ctx:    ctx,
			cancel: cancel,
			done:   make(chan struct{}),
			err:    errSourceEnded,
		}
		go s.run(s.current)
	}
	s.current.waiting++
	return s.current
}

func (s *sharedSource) run(run *tokenRun) {
	defer close(run.done)
	defer func() {
		run.panicked = recover()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.end(run)
	}()
	run.token, run.err = s.source(run.ctx)
}

// end ends a run, with mu held.
func (s *sharedSource) end(run *tokenRun) {
	if run.cancel(); s.current == run {
		s.current = nil
	}
}
