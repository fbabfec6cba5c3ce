package zep

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// gate is a transport whose requests wait until the test lets each of them pass.
type gate struct {
	arrived chan arrival
}

type arrival struct {
	path, body string
	ctx        context.Context
	deadline   time.Time
	pass       chan struct{}
}

func (g *gate) RoundTrip(req *http.Request) (*http.Response, error) {
	body := make([]byte, max(req.ContentLength, 0))
	if req.Body != nil {
		_, _ = req.Body.Read(body)
		_ = req.Body.Close()
	}
	reportWritten(req, nil)
	a := arrival{
		path: req.URL.Path,
		body: string(body),
		ctx:  req.Context(),
		pass: make(chan struct{}),
	}
	a.deadline, _ = a.ctx.Deadline()
	select {
	case g.arrived <- a:
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
	select {
	case <-a.pass:
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
	return answersRecord(req)
}

// next returns the next request.
func (g *gate) next(t *testing.T) arrival {
	t.Helper()
	select {
	case a := <-g.arrived:
		return a
	case <-time.After(10 * time.Second):
		require.FailNow(t, "no request arrived")
		return arrival{}
	}
}

// gatedClient returns a client whose transport is a gate.
func gatedClient(t *testing.T, opts ...Option) (*Client, *gate) {
	t.Helper()
	g := &gate{arrived: make(chan arrival)}
	c, _ := clientWith(t, g, opts...)
	return c, g
}

// startUpdate begins an update of the metadata of a record.
func startUpdate(ctx context.Context, c *Client, kind, id string, n int) <-chan error {
	done := make(chan error, 1)
	go func() {
		var err error
		if kind == "user" {
			req := &UpdateUserRequest{UserID: id, Metadata: Metadata{"n": n}}
			_, err = c.User.Update(ctx, req)
		} else {
			req := &UpdateSessionRequest{SessionID: id, Metadata: Metadata{"n": n}}
			_, err = c.Session.Update(ctx, req)
		}
		done <- err
	}()
	return done
}

func TestUpdates_OneRecordInOrder(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"user", "session"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			const n = 20
			c, g := gatedClient(t)
			r := record{kind, "jane"}
			var done []<-chan error
			for i := range n {
				done = append(done, startUpdate(context.Background(), c, kind, "jane", i))
				if i == 0 {
					waitUntil(t, "the first is under way", func() bool {
						return waiting(c.updates, r) == 0
					})
				}
				waitUntil(t, "the next waits", func() bool { return waiting(c.updates, r) == i })
			}
			for i := range n {
				a := g.next(t)
				assert.Contains(t, a.body, fmt.Sprintf(`"n":%d}`, i))
				select {
				case other := <-g.arrived:
					require.FailNow(t, "two updates at the same time", other.body)
				default:
				}
				assert.Equal(t, n-1-i, waiting(c.updates, r))
				close(a.pass)
				require.NoError(t, <-done[i])
			}
			assert.True(t, idle(c.updates), "nothing is kept")
		})
	}
}

func TestUpdates_OneAtATimeUnderLoad(t *testing.T) {
	t.Parallel()
	var running, maxRunning, total atomic.Int32
	transport := roundTripFunc(func(req *http.Request) (*http.Response, error) {
		maxRunning.Store(max(maxRunning.Load(), running.Add(1)))
		defer running.Add(-1)
		total.Add(1)
		return answersRecord(req)
	})
	c, _ := clientWith(t, transport)
	var group sync.WaitGroup
	for range 16 {
		group.Add(1)
		go func() {
			defer group.Done()
			for n := range 20 {
				req := &UpdateUserRequest{UserID: "jane", Metadata: Metadata{"n": n}}
				_, err := c.User.Update(context.Background(), req)
				assert.NoError(t, err)
			}
		}()
	}
	group.Wait()
	assert.EqualValues(t, 1, maxRunning.Load())
	assert.EqualValues(t, 320, total.Load())
	assert.True(t, idle(c.updates))
}

func TestUpdates_DifferentRecords(t *testing.T) {
	t.Parallel()
	c, g := gatedClient(t, WithParallelUpdates())
	done := []<-chan error{
		startUpdate(context.Background(), c, "user", "jane", 0),
		startUpdate(context.Background(), c, "user", "john", 0),
		startUpdate(context.Background(), c, "session", "jane", 0), // the same id of another kind
	}
	var arrivals []arrival
	paths := map[string]bool{}
	for range done {
		a := g.next(t)
		arrivals = append(arrivals, a)
		paths[a.path] = true
	}
	assert.Len(t, paths, 3, "all are under way at once")
	for i := range done {
		close(arrivals[i].pass)
	}
	for i := range done {
		require.NoError(t, <-done[i])
	}
	assert.True(t, idle(c.updates))
}

func TestUpdates_OtherCallsDoNotWait(t *testing.T) {
	t.Parallel()
	c, g := gatedClient(t)
	done := startUpdate(context.Background(), c, "user", "jane", 0)
	held := g.next(t)
	got := make(chan error, 1)
	go func() {
		_, err := c.User.Get(context.Background(), "jane")
		got <- err
	}()
	close(g.next(t).pass)
	require.NoError(t, <-got)
	close(held.pass)
	require.NoError(t, <-done)
}

func TestUpdates_ContextEndsWhileWaiting(t *testing.T) {
	t.Parallel()
	why := errors.New("shutting down")
	c, g := gatedClient(t)
	r := record{"user", "jane"}
	first := startUpdate(context.Background(), c, "user", "jane", 0)
	held := g.next(t)
	ctx, cancel := context.WithCancelCause(context.Background())
	second := startUpdate(ctx, c, "user", "jane", 1)
	waitUntil(t, "the second waits", func() bool { return waiting(c.updates, r) == 1 })
	third := startUpdate(context.Background(), c, "user", "jane", 2)
	waitUntil(t, "the third waits", func() bool { return waiting(c.updates, r) == 2 })

	cancel(why)
	err := <-second
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, why)
	e := requireError(t, err)
	assert.Zero(t, e.Attempts)
	assert.Zero(t, e.StatusCode)
	assert.Equal(t, "zep: PATCH /zep/api/v1/user/jane: "+
		"waiting for earlier updates of the same record (1 in front): context canceled", e.Error())
	assert.Equal(t, 1, waiting(c.updates, r))

	close(held.pass)
	require.NoError(t, <-first)
	next := g.next(t)
	assert.Contains(t, next.body, `"n":2`, "the canceled update sent nothing")
	close(next.pass)
	require.NoError(t, <-third)
	assert.True(t, idle(c.updates))
}

func TestUpdates_WaitCountsTowardsDeadline(t *testing.T) {
	t.Parallel()
	c, g := gatedClient(t)
	first := startUpdate(context.Background(), c, "session", "s", 0)
	held := g.next(t)
	_, err := c.Session.Update(context.Background(), &UpdateSessionRequest{SessionID: "s"},
		RequestTimeout(20*time.Millisecond))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	e := requireError(t, err)
	assert.Zero(t, e.Attempts)
	assert.True(t, strings.HasPrefix(e.Message, "waiting for earlier updates"), e)
	close(held.pass)
	require.NoError(t, <-first)
	assert.True(t, idle(c.updates))
}

// TestUpdates_FailedUpdateReleases checks an update that is canceled, and one that the server
// refuses.
func TestUpdates_FailedUpdateReleases(t *testing.T) {
	t.Parallel()
	c, g := gatedClient(t)
	ctx, cancel := context.WithCancel(context.Background())
	first := startUpdate(ctx, c, "user", "jane", 0)
	arrived := g.next(t)
	second := startUpdate(context.Background(), c, "user", "jane", 1)
	waitUntil(t, "the second waits", func() bool {
		return waiting(c.updates, record{"user", "jane"}) == 1
	})
	cancel()
	require.ErrorIs(t, <-first, context.Canceled)
	close(arrived.pass)
	close(g.next(t).pass)
	require.NoError(t, <-second)
	assert.True(t, idle(c.updates))

	c, _, _ = scripted(t, nil, answers(400, "no"), answers(200, `{"user_id":"jane"}`))
	require.Error(t, <-startUpdate(context.Background(), c, "user", "jane", 0))
	require.NoError(t, <-startUpdate(context.Background(), c, "user", "jane", 1))
}

func TestUpdates_InvalidUpdateNotQueued(t *testing.T) {
	t.Parallel()
	c, s, _ := scripted(t, nil)
	_, err := c.User.Update(context.Background(), &UpdateUserRequest{UserID: ".."})
	require.ErrorIs(t, err, ErrInvalidID)
	notJSON := Metadata{"f": func() {}}
	_, err = c.User.Update(context.Background(),
		&UpdateUserRequest{UserID: "jane", Metadata: notJSON})
	require.ErrorIs(t, err, ErrBadRequest)
	assert.True(t, idle(c.updates))
	assert.Empty(t, s.requests())
}

func TestWithConcurrentUpdates(t *testing.T) {
	t.Parallel()
	c, g := gatedClient(t, WithConcurrentUpdates())
	assert.Nil(t, c.updates)
	var done []<-chan error
	for i := range 4 {
		done = append(done, startUpdate(context.Background(), c, "user", "jane", i))
	}
	var arrivals []arrival
	for range done {
		arrivals = append(arrivals, g.next(t))
	}
	for i := range done {
		close(arrivals[i].pass)
	}
	for i := range done {
		require.NoError(t, <-done[i])
	}
}
