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

// shareRuns returns a function that runs source once for all callers that ask at the same time. A
// caller leaves when its own context ends. The context of a run belongs to no caller: it has none
// of their values, since the token goes to all of them, and ends when the last of them has left, or
// after the limit. Nobody joins a run from then on: a run that hangs would otherwise keep all later
// callers waiting, as long as a new one comes before the last has left.
func shareRuns(
	source func(context.Context) (string, error), limit time.Duration,
) func(context.Context) (string, error) {
	var (
		mu      sync.Mutex
		current *tokenRun // nil if there is none to join
	)
	leave := func(run *tokenRun) { // with mu held
		if run.cancel(); current == run {
			current = nil
		}
	}
	join := func() *tokenRun {
		mu.Lock()
		defer mu.Unlock()
		run := current
		if run == nil || run.ctx.Err() != nil {
			ctx, cancel := context.WithTimeout(context.Background(), limit)
			run = &tokenRun{
				ctx:    ctx,
				cancel: cancel,
				done:   make(chan struct{}),
				err:    errSourceEnded,
			}
			current = run
			go func() {
				defer close(run.done)
				defer func() {
					run.panicked = recover()
					mu.Lock()
					defer mu.Unlock()
					leave(run)
				}()
				run.token, run.err = source(ctx)
			}()
		}
		run.waiting++
		return run
	}
	return func(ctx context.Context) (string, error) {
		run := join()
		select {
		case <-run.done:
		case <-ctx.Done():
			mu.Lock()
			defer mu.Unlock()
			if run.waiting--; run.waiting == 0 {
				leave(run)
			}
			return "", context.Cause(ctx)
		}
		if run.panicked != nil {
			panic(run.panicked)
		}
		return run.token, run.err
	}
}
