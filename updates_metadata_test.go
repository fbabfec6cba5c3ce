package zep

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// mostAtOnce makes 16 calls at the same time through a transport, and returns how many were in it
// at once.
func mostAtOnce(t *testing.T, call func(c *Client, i int) error, opts ...Option) int32 {
	t.Helper()
	var running, most atomic.Int32
	all := make(chan struct{})
	transport := roundTripFunc(func(req *http.Request) (*http.Response, error) {
		if most.Store(max(most.Load(), running.Add(1))); running.Load() == 16 {
			close(all)
		}
		defer running.Add(-1)
		for range 100 { // the others come if nothing holds them back
			runtime.Gosched()
		}
		select {
		case <-all:
		case <-time.After(20 * time.Millisecond):
		}
		return answersRecord(req)
	})
	c, _ := clientWith(t, transport, opts...)
	c.passOnAfter = time.Hour
	var group sync.WaitGroup
	for i := range 16 {
		group.Add(1)
		go func() {
			defer group.Done()
			assert.NoError(t, call(c, i))
		}()
	}
	group.Wait()
	return most.Load()
}

func TestUpdates_MetadataOneAtATime(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	both := func(c *Client, i int) error {
		if i%2 == 0 {
			return <-startUpdate(ctx, c, "session", fmt.Sprint(i), i)
		}
		return <-startUpdate(ctx, c, "user", fmt.Sprint(i), i)
	}
	assert.EqualValues(t, 1, mostAtOnce(t, both), "users and sessions share the turn")
	assert.Greater(t, mostAtOnce(t, both, WithParallelUpdates()), int32(1))
	assert.Greater(t, mostAtOnce(t, both, WithConcurrentUpdates()), int32(1))
	for name, call := range map[string]func(c *Client, i int) error{
		"user without metadata": func(c *Client, i int) error {
			_, err := c.User.Update(ctx, &UpdateUserRequest{UserID: fmt.Sprint(i), Email: "e"})
			return err
		},
		"message": func(c *Client, i int) error {
			_, err := c.Message.UpdateMetadata(ctx, "s", fmt.Sprint(i), Metadata{"a": 1})
			return err
		},
	} {
		assert.Greater(t, mostAtOnce(t, call), int32(1), name)
	}
}

// TestUpdates_StuckRecord checks that one session that never answers does not hold up the updates
// of other records.
func TestUpdates_StuckRecord(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var running, overlaps atomic.Int32
	transport := roundTripFunc(func(req *http.Request) (*http.Response, error) {
		if strings.HasSuffix(req.URL.Path, "/stuck") {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		if running.Add(1) > 1 {
			overlaps.Add(1)
		}
		defer running.Add(-1)
		return answersRecord(req)
	})
	c, _ := clientWith(t, transport)
	c.passOnAfter = time.Second // far more than an update takes here
	stuck := startUpdate(ctx, c, "session", "stuck", 0)
	waitUntil(t, "the first is under way", func() bool { return waiting(c.updates, allMetadata[0]) == 0 })
	second := startUpdate(ctx, c, "session", "stuck", 1)
	var group sync.WaitGroup
	for worker := range 64 {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := worker; i < 1000; i += 64 {
				assert.NoError(t, <-startUpdate(context.Background(), c, "user", fmt.Sprint(i), i))
			}
		}()
	}
	group.Wait()
	assert.Zero(t, overlaps.Load(), "the others go one at a time")
	assert.Empty(t, second, "the record's own turn is not passed on")
	cancel()
	require.Error(t, <-stuck)
	require.Error(t, <-second)
	require.NoError(t, c.Wait(context.Background()))
	assert.True(t, idle(c.updates))
}

// TestUpdates_WaitHasItsOwnTimeout checks that the wait for the turn is bounded by the timeout, and
// that the timeout of the call begins after it.
func TestUpdates_WaitHasItsOwnTimeout(t *testing.T) {
	t.Parallel()
	c, g := gatedClient(t)
	first := startUpdate(context.Background(), c, "user", "jane", 0)
	held := g.next(t)
	for _, id := range []string{"jane", "joe"} {
		_, err := c.User.Update(context.Background(),
			&UpdateUserRequest{UserID: id, Metadata: Metadata{"a": 1}},
			RequestTimeout(20*time.Millisecond))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, ErrAmbiguous)
		assert.Zero(t, requireError(t, err).Attempts)
		assert.ErrorContains(t, err, "(1 in front)")
		assertOneLine(t, err.Error())
	}
	second := make(chan error, 1)
	go func() { // without metadata: nothing but the order of the record
		_, err := c.User.Update(context.Background(),
			&UpdateUserRequest{UserID: "jane", Email: "e"}, RequestTimeout(10*time.Second))
		second <- err
	}()
	waitUntil(t, "it waits", func() bool { return waiting(c.updates, record{"user", "jane"}) == 1 })
	released := time.Now()
	close(held.pass)
	require.NoError(t, <-first)
	arrived := g.next(t)
	assert.WithinRange(t, arrived.deadline, released.Add(10*time.Second), time.Now().Add(10*time.Second))
	close(arrived.pass)
	require.NoError(t, <-second)
}

// TestUpdates_GivenUpFinishes checks that a metadata update that is given up is not cut, and that
// it keeps its turn.
func TestUpdates_GivenUpFinishes(t *testing.T) {
	t.Parallel()
	type keyType struct{}
	for name, call := range map[string]func(ctx context.Context, c *Client) error{
		"user":    func(ctx context.Context, c *Client) error { return <-startUpdate(ctx, c, "user", "jane", 0) },
		"session": func(ctx context.Context, c *Client) error { return <-startUpdate(ctx, c, "session", "jane", 0) },
		"message": func(ctx context.Context, c *Client) error {
			_, err := c.Message.UpdateMetadata(ctx, "s", "jane", Metadata{"a": 1})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, g := gatedClient(t)
			ctx, cancel := context.WithCancel(context.WithValue(context.Background(), keyType{}, "kept"))
			done := make(chan error, 1)
			go func() { done <- call(ctx, c) }()
			arrived := g.next(t)
			cancel()
			err := <-done
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorIs(t, err, ErrAmbiguous)
			assert.Equal(t, "kept", arrived.ctx.Value(keyType{}))
			require.NoError(t, arrived.ctx.Err(), "the request is not cut")
			assert.Equal(t, 0, waiting(c.updates, record{name, "jane"}), "the turn is kept")
			ended, end := context.WithCancel(context.Background())
			end()
			require.ErrorIs(t, c.Wait(ended), context.Canceled)
			close(arrived.pass)
			require.NoError(t, c.Wait(context.Background()))
			assert.True(t, idle(c.updates))
			require.Error(t, arrived.ctx.Err(), "nothing is kept")
		})
	}
}

// TestUpdates_GivenUpFinishesWithin checks the limit on what goes on after the call.
func TestUpdates_GivenUpFinishesWithin(t *testing.T) {
	t.Parallel()
	c, g := gatedClient(t)
	c.finishWithin = 10 * time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	done := startUpdate(ctx, c, "user", "jane", 0)
	arrived := g.next(t)
	cancel()
	require.Error(t, <-done)
	require.NoError(t, c.Wait(context.Background()))
	require.Error(t, arrived.ctx.Err())
	assert.True(t, idle(c.updates))
}

// TestUpdates_CutAllTheSame checks the requests that end with their call, or earlier.
func TestUpdates_CutAllTheSame(t *testing.T) {
	t.Parallel()
	hangs := func(canceled chan<- error) roundTripFunc {
		return func(req *http.Request) (*http.Response, error) {
			reportWritten(req, nil)
			<-req.Context().Done()
			canceled <- req.Context().Err()
			return nil, req.Context().Err()
		}
	}
	t.Run("WithConcurrentUpdates", func(t *testing.T) {
		t.Parallel()
		canceled := make(chan error, 1)
		c, _ := clientWith(t, hangs(canceled), WithConcurrentUpdates())
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, <-startUpdate(ctx, c, "user", "jane", 0), context.DeadlineExceeded)
		require.Len(t, canceled, 1, "nothing outlives the call")
	})
	t.Run("Timeout of the http.Client", func(t *testing.T) {
		t.Parallel()
		canceled := make(chan error, 1)
		hc := &http.Client{Transport: hangs(canceled), Timeout: 10 * time.Millisecond}
		c, err := NewClient(WithBaseURL(mockURL), WithAPIKey(""), WithHTTPClient(hc))
		require.NoError(t, err)
		stopClock(c)
		err = <-startUpdate(context.Background(), c, "user", "jane", 0)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Error(t, <-canceled)
		require.NoError(t, c.Wait(context.Background()))
	})
	t.Run("not sent yet", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(context.Background())
		canceled := make(chan error, 1)
		c, _ := clientWith(t, roundTripFunc(func(req *http.Request) (*http.Response, error) {
			httptrace.ContextClientTrace(req.Context()).GetConn("zep.test:80")
			cancel() // while it waits for a connection
			<-req.Context().Done()
			canceled <- req.Context().Err()
			return nil, req.Context().Err()
		}))
		err := <-startUpdate(ctx, c, "user", "jane", 0)
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorIs(t, err, ErrAmbiguous)
		require.Error(t, <-canceled)
		require.NoError(t, c.Wait(context.Background()))
	})
}

// TestUpdates_TransportPanics checks that a panic of a Transport reaches the goroutine of the
// call, and that one which ends its goroutine is an error.
func TestUpdates_TransportPanics(t *testing.T) {
	t.Parallel()
	c, _ := clientWith(t, roundTripFunc(func(*http.Request) (*http.Response, error) { panic("no") }))
	req := &UpdateUserRequest{UserID: "jane", Metadata: Metadata{"a": 1}}
	assert.PanicsWithValue(t, "no", func() { _, _ = c.User.Update(context.Background(), req) })
	assert.True(t, idle(c.updates))

	c, _ = clientWith(t, roundTripFunc(func(*http.Request) (*http.Response, error) {
		runtime.Goexit()
		return nil, nil
	}), WithMaxAttempts(1))
	_, err := c.User.Update(context.Background(), req)
	require.ErrorContains(t, err, "ended its goroutine")
	assert.True(t, idle(c.updates))
}

// timeoutError is how net/http reports a timeout of the Transport's own.
type timeoutError struct{}

func (timeoutError) Error() string { return "net/http: timeout awaiting response headers" }
func (timeoutError) Timeout() bool { return true }

// TestUpdates_LockedRecord checks that no attempt follows one that may be waiting for a lock, and
// that the error says so.
func TestUpdates_LockedRecord(t *testing.T) {
	t.Parallel()
	timesOut := func(req *http.Request) (*http.Response, error) {
		reportWritten(req, nil)
		return nil, timeoutError{}
	}
	const guide = "the record may be locked on the server: " +
		"see https://github.com/zep-go/zep/blob/main/docs/server-locks.md"
	for name, test := range map[string]struct {
		attempt step
		kinds   []error
	}{
		"lock not acquired":       {lockTimeout, []error{ErrServer, ErrLocked}},
		"504":                     {answers(504, ""), []error{ErrServer, ErrAmbiguous}},
		"an attempt without time": {timesOut, []error{ErrAmbiguous}},
	} {
		for _, kind := range []string{"user", "session"} {
			c, s, _ := scripted(t, nil, test.attempt)
			err := <-startUpdate(context.Background(), c, kind, "jane", 0)
			assert.ErrorContains(t, err, guide, name)
			assert.Len(t, s.requests(), 1, name)
			for _, sentinel := range []error{ErrServer, ErrLocked, ErrAmbiguous} {
				assert.Equal(t, slices.Contains(test.kinds, sentinel), errors.Is(err, sentinel),
					"%s: %v", name, sentinel)
			}
		}
		if name == "lock not acquired" {
			continue
		}
		// An update without metadata takes no lock.
		c, s, _ := scripted(t, nil, test.attempt, answers(200, janeJSON))
		_, err := c.User.Update(context.Background(), &UpdateUserRequest{UserID: "jane", Email: "e"})
		require.NoError(t, err, name)
		assert.Len(t, s.requests(), 2, name)
	}
	// A message's lock does not stay, so that only its time-out, which is allowed to finish, is
	// not repeated.
	c, s, _ := scripted(t, nil, answers(504, ""), answers(200, `{"uuid":"u"}`))
	_, err := c.Message.UpdateMetadata(context.Background(), "s", "u", Metadata{"a": 1})
	require.NoError(t, err)
	assert.Len(t, s.requests(), 2)
	c, _, _ = scripted(t, nil, timesOut)
	_, err = c.Message.UpdateMetadata(context.Background(), "s", "u", Metadata{"a": 1})
	require.ErrorIs(t, err, ErrAmbiguous)
	assert.NotContains(t, err.Error(), "locked")
}
