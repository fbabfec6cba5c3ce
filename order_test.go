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

// A gate is a transport whose requests wait until they are let through, one by one.
type gate struct {
	arrived chan arrival
}

type arrival struct {
	path, body string
	pass       chan struct{}
}

func (g *gate) RoundTrip(req *http.Request) (*http.Response, error) {
	body := make([]byte, max(req.ContentLength, 0))
	if req.Body != nil {
		_, _ = req.Body.Read(body)
		_ = req.Body.Close()
	}
	a := arrival{path: req.URL.Path, body: string(body), pass: make(chan struct{})}
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
	return answers(200, `{"user_id":"jane"}`)(req)
}

func gated(t *testing.T, opts ...Option) (*Client, *gate) {
	t.Helper()
	g := &gate{arrived: make(chan arrival)}
	opts = append([]Option{WithBaseURL(mockURL), WithAPIKey(""), WithHTTPClient(&http.Client{Transport: g})}, opts...)
	c, err := NewClient(opts...)
	require.NoError(t, err)
	stopClock(c)
	return c, g
}

func (g *gate) next(t *testing.T) arrival {
	t.Helper()
	select {
	case a := <-g.arrived:
		return a
	case <-time.After(10 * time.Second):
		require.FailNow(t, "no request came")
		return arrival{}
	}
}

// update begins an update of the record's metadata in the background.
func update(ctx context.Context, c *Client, kind, id string, n int) <-chan error {
	done := make(chan error, 1)
	go func() {
		var err error
		if kind == "user" {
			_, err = c.User.Update(ctx, &UpdateUserRequest{UserID: id, Metadata: Metadata{"n": n}})
		} else {
			_, err = c.Session.Update(ctx, &UpdateSessionRequest{SessionID: id, Metadata: Metadata{"n": n}})
		}
		done <- err
	}()
	return done
}

// waiting is how many updates wait for their turn, -1 if none is under way.
func waiting(o *order, r record) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.lines[r]) - 1
}

func idle(o *order) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.lines) == 0
}

func TestUpdatesOfOneRecordGoOneAtATimeInTheOrderOfTheCalls(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"user", "session"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			const n = 20
			c, g := gated(t)
			r := record{kind, "jane"}
			var done []<-chan error
			for i := range n {
				done = append(done, update(context.Background(), c, kind, "jane", i))
				if i == 0 {
					waitUntil(t, "the first is under way", func() bool { return waiting(c.updates, r) == 0 })
				}
				waitUntil(t, "the next stands in line", func() bool { return waiting(c.updates, r) == i })
			}
			for i := range n {
				a := g.next(t)
				assert.Contains(t, a.body, fmt.Sprintf(`"n":%d}`, i))
				select {
				case other := <-g.arrived:
					require.FailNow(t, "two at a time", other.body)
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

// TestOneUpdateAtATimeUnderLoad counts who is inside.
func TestOneUpdateAtATimeUnderLoad(t *testing.T) {
	t.Parallel()
	var inside, most, all atomic.Int32
	transport := roundTripFunc(func(req *http.Request) (*http.Response, error) {
		most.Store(max(most.Load(), inside.Add(1)))
		defer inside.Add(-1)
		all.Add(1)
		return answers(200, `{"user_id":"jane"}`)(req)
	})
	c, err := NewClient(WithBaseURL(mockURL), WithAPIKey(""), WithHTTPClient(&http.Client{Transport: transport}))
	require.NoError(t, err)
	var group sync.WaitGroup
	for range 16 {
		group.Add(1)
		go func() {
			defer group.Done()
			for n := range 20 {
				_, err := c.User.Update(context.Background(), &UpdateUserRequest{UserID: "jane", Metadata: Metadata{"n": n}})
				assert.NoError(t, err)
			}
		}()
	}
	group.Wait()
	assert.EqualValues(t, 1, most.Load())
	assert.EqualValues(t, 320, all.Load())
	assert.True(t, idle(c.updates))
}

type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func TestUpdatesOfDifferentRecordsDoNotWaitForOneAnother(t *testing.T) {
	t.Parallel()
	c, g := gated(t)
	done := []<-chan error{
		update(context.Background(), c, "user", "jane", 0),
		update(context.Background(), c, "user", "john", 0),
		update(context.Background(), c, "session", "jane", 0), // the same id, and another record
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

// TestOtherCallsDoNotWaitForAnUpdate: only updates are put in order.
func TestOtherCallsDoNotWaitForAnUpdate(t *testing.T) {
	t.Parallel()
	c, g := gated(t)
	done := update(context.Background(), c, "user", "jane", 0)
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

func TestAWaitingUpdateGivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	why := errors.New("the shop closes")
	c, g := gated(t)
	r := record{"user", "jane"}
	first := update(context.Background(), c, "user", "jane", 0)
	held := g.next(t)
	ctx, cancel := context.WithCancelCause(context.Background())
	second := update(ctx, c, "user", "jane", 1)
	waitUntil(t, "the second stands in line", func() bool { return waiting(c.updates, r) == 1 })
	third := update(context.Background(), c, "user", "jane", 2)
	waitUntil(t, "the third stands in line", func() bool { return waiting(c.updates, r) == 2 })

	cancel(why)
	err := <-second
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, why)
	e := requireError(t, err)
	assert.Zero(t, e.Attempts)
	assert.Zero(t, e.StatusCode)
	assert.Equal(t, "zep: PATCH /zep/api/v1/user/jane: waiting for an earlier update of the same record: context canceled", e.Error())
	assert.Equal(t, 1, waiting(c.updates, r))

	close(held.pass)
	require.NoError(t, <-first)
	next := g.next(t)
	assert.Contains(t, next.body, `"n":2`, "the one that gave up sent nothing")
	close(next.pass)
	require.NoError(t, <-third)
	assert.True(t, idle(c.updates))
}

// TestWaitingForATurnCountsInTheDeadline: the time of a call runs from its beginning.
func TestWaitingForATurnCountsInTheDeadline(t *testing.T) {
	t.Parallel()
	c, g := gated(t)
	first := update(context.Background(), c, "session", "s", 0)
	held := g.next(t)
	_, err := c.Session.Update(context.Background(), &UpdateSessionRequest{SessionID: "s"}, RequestTimeout(20*time.Millisecond))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	e := requireError(t, err)
	assert.Zero(t, e.Attempts)
	assert.True(t, strings.HasPrefix(e.Message, "waiting for an earlier update"), e)
	close(held.pass)
	require.NoError(t, <-first)
	assert.True(t, idle(c.updates))
}

// TestAFailedUpdatePassesTheTurnOn: also one that failed, and one that was cancelled while it was under way.
func TestAFailedUpdatePassesTheTurnOn(t *testing.T) {
	t.Parallel()
	c, g := gated(t)
	ctx, cancel := context.WithCancel(context.Background())
	first := update(ctx, c, "user", "jane", 0)
	g.next(t)
	second := update(context.Background(), c, "user", "jane", 1)
	waitUntil(t, "the second stands in line", func() bool { return waiting(c.updates, record{"user", "jane"}) == 1 })
	cancel()
	require.ErrorIs(t, <-first, context.Canceled)
	close(g.next(t).pass)
	require.NoError(t, <-second)
	assert.True(t, idle(c.updates))

	c, _, _ = scripted(t, nil, answers(400, "no"), answers(200, `{"user_id":"jane"}`))
	require.Error(t, <-update(context.Background(), c, "user", "jane", 0))
	require.NoError(t, <-update(context.Background(), c, "user", "jane", 1))
}

// TestATurnThatComesWhenItsWaiterLeavesIsPassedOn lets the two happen at once, over and over; with the turn lost, the one behind
// would wait for ever.
func TestATurnThatComesWhenItsWaiterLeavesIsPassedOn(t *testing.T) {
	t.Parallel()
	r := record{"user", "jane"}
	rs := []record{r}
	type entered struct {
		turn *turn
		err  error
	}
	var left, took int
	for i := range 2000 {
		o := &order{}
		first, err := o.enter(context.Background(), rs)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		leaving, behind := make(chan entered, 1), make(chan entered, 1)
		enter := func(ctx context.Context, to chan<- entered) {
			turn, err := o.enter(ctx, rs)
			to <- entered{turn, err}
		}
		go enter(ctx, leaving)
		waitUntil(t, "the one who leaves stands in line", func() bool { return waiting(o, r) == 1 })
		go enter(context.Background(), behind)
		waitUntil(t, "the one behind stands in line", func() bool { return waiting(o, r) == 2 })
		if i%2 == 0 {
			cancel()
			o.leave(first)
		} else {
			o.leave(first)
			cancel()
		}
		if second := <-leaving; second.err != nil {
			left++
			require.ErrorIs(t, second.err, context.Canceled)
		} else {
			took++
			o.leave(second.turn)
		}
		var last entered
		select {
		case last = <-behind:
			require.NoError(t, last.err)
		case <-time.After(10 * time.Second):
			require.FailNow(t, "the turn was lost")
		}
		o.leave(last.turn)
		require.True(t, idle(o))
		cancel()
	}
	t.Logf("%d left, %d took their turn", left, took)
}

func TestConcurrentUpdatesDoNotWait(t *testing.T) {
	t.Parallel()
	c, g := gated(t, WithConcurrentUpdates())
	assert.Nil(t, c.updates)
	var done []<-chan error
	for i := range 4 {
		done = append(done, update(context.Background(), c, "user", "jane", i))
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

// TestARefusedUpdateTakesNoTurn: an id that is refused, or a request that cannot be sent, leaves the line alone.
func TestARefusedUpdateTakesNoTurn(t *testing.T) {
	t.Parallel()
	c, s, _ := scripted(t, nil)
	_, err := c.User.Update(context.Background(), &UpdateUserRequest{UserID: ".."})
	require.ErrorIs(t, err, ErrInvalidID)
	_, err = c.User.Update(context.Background(), &UpdateUserRequest{UserID: "jane", Metadata: Metadata{"f": func() {}}})
	require.ErrorIs(t, err, ErrBadRequest)
	assert.True(t, idle(c.updates))
	assert.Empty(t, s.requests())
}

// TestOneWhoLeavesFromTheMiddleMakesNobodyFirst: who stands before it may still wait in another line.
func TestOneWhoLeavesFromTheMiddleMakesNobodyFirst(t *testing.T) {
	t.Parallel()
	a, b := record{"document", "a"}, record{"document", "b"}
	o := &order{}
	first, err := o.enter(context.Background(), []record{a})
	require.NoError(t, err)
	both := make(chan *turn, 1)
	go func() {
		turn, err := o.enter(context.Background(), []record{a, b})
		assert.NoError(t, err)
		both <- turn
	}()
	waitUntil(t, "the one of both waits for a", func() bool { return waiting(o, a) == 1 })
	ctx, cancel := context.WithCancel(context.Background())
	left := make(chan error, 1)
	go func() {
		_, err := o.enter(ctx, []record{b})
		left <- err
	}()
	waitUntil(t, "the last waits for b", func() bool { return waiting(o, b) == 1 })
	cancel()
	require.ErrorIs(t, <-left, context.Canceled)
	o.mu.Lock()
	behind := o.lines[b][0].behind
	o.mu.Unlock()
	assert.Equal(t, 1, behind, "a is not free")
	assert.Empty(t, both)
	o.leave(first)
	o.leave(<-both)
	assert.True(t, idle(o))
}
