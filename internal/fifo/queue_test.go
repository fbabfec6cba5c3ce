package fifo

import (
	"context"
	"math/rand"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// farAway is a deadline that no test reaches.
var farAway = time.Now().Add(time.Hour)

// waitFor yields to other goroutines until n stand in the line of a key.
func waitFor(t *testing.T, q *Queue[string], key string, n int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); q.Len(key) != n; runtime.Gosched() {
		require.True(t, time.Now().Before(deadline), "%s has %d, not %d", key, q.Len(key), n)
	}
}

// isReady reports whether a waiter has become the first for all its keys.
func isReady(w *Waiter[string]) bool {
	select {
	case <-w.ready:
		return true
	default:
		return w.ready == nil
	}
}

// TestQueue_ManyLines checks a waiter for any number of keys, which become
// free in any order.
func TestQueue_ManyLines(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewSource(1))
	for n := 1; n <= 20; n++ {
		q := new(Queue[string])
		var keys []string
		firsts := make([]Waiter[string], n)
		for i := range firsts {
			keys = append(keys, string(rune('a'+i)))
			q.enter(&firsts[i], keys[i:])
			require.True(t, isReady(&firsts[i]))
		}
		var batch Waiter[string]
		q.enter(&batch, keys)
		for left, i := range random.Perm(n) {
			require.False(t, isReady(&batch), "%d of %d", left, n)
			q.Release(&firsts[i])
		}
		require.True(t, isReady(&batch))
		q.Release(&batch)
		require.True(t, q.Idle())
	}
}

// TestQueue_ManyGiveUp checks that waiters that give up at once, in any order, leave the line
// as it was, and that another line does not notice.
func TestQueue_ManyGiveUp(t *testing.T) {
	t.Parallel()
	const n = 100_000
	r, other := []string{"jane"}, []string{"john"}
	q := new(Queue[string])
	var first, last Waiter[string]
	q.enter(&first, r)
	waiters := make([]Waiter[string], n)
	for i := range waiters {
		q.enter(&waiters[i], r)
		require.Equal(t, i+1, waiters[i].inFront)
	}
	q.enter(&last, r)
	for _, i := range rand.New(rand.NewSource(1)).Perm(n) {
		require.False(t, isReady(&waiters[i]))
		q.Release(&waiters[i])
		var beside Waiter[string]
		q.enter(&beside, other)
		require.True(t, isReady(&beside))
		q.Release(&beside)
	}
	assert.Equal(t, 2, q.Len(r[0]))
	assert.False(t, isReady(&last))
	q.Release(&first)
	assert.True(t, isReady(&last))
	q.Release(&last)
	assert.True(t, q.Idle())
}

// TestQueue_CanceledWhenAcquired cancels a waiter at the time at which it becomes the
// first. If the queue lost it, the next waiter would wait forever.
func TestQueue_CanceledWhenAcquired(t *testing.T) {
	t.Parallel()
	r := "jane"
	rs := []string{r}
	type result struct {
		waiter *Waiter[string]
		err    error
	}
	var canceled, acquired int
	for i := range 2000 {
		q := new(Queue[string])
		first := new(Waiter[string])
		require.NoError(t, q.Acquire(context.Background(), farAway, first, rs))
		ctx, cancel := context.WithCancel(context.Background())
		second, third := make(chan result, 1), make(chan result, 1)
		enter := func(ctx context.Context, to chan<- result) {
			w := new(Waiter[string])
			err := q.Acquire(ctx, farAway, w, rs)
			to <- result{w, err}
		}
		go enter(ctx, second)
		waitFor(t, q, r, 2)
		go enter(context.Background(), third)
		waitFor(t, q, r, 3)
		if i%2 == 0 {
			cancel()
			q.Release(first)
		} else {
			q.Release(first)
			cancel()
		}
		if got := <-second; got.err != nil {
			canceled++
			require.ErrorIs(t, got.err, context.Canceled)
		} else {
			acquired++
			q.Release(got.waiter)
		}
		var last result
		select {
		case last = <-third:
			require.NoError(t, last.err)
		case <-time.After(10 * time.Second):
			require.FailNow(t, "the queue lost the waiter")
		}
		q.Release(last.waiter)
		require.True(t, q.Idle())
		cancel()
	}
	t.Logf("%d were canceled, %d acquired the record", canceled, acquired)
}

// TestQueue_CanceledInTheMiddle cancels a waiter behind one that still waits for another
// record.
func TestQueue_CanceledInTheMiddle(t *testing.T) {
	t.Parallel()
	a, b := "a", "b"
	q := new(Queue[string])
	first := new(Waiter[string])
	require.NoError(t, q.Acquire(context.Background(), farAway, first, []string{a}))
	second := make(chan *Waiter[string], 1)
	go func() {
		w := new(Waiter[string])
		assert.NoError(t, q.Acquire(context.Background(), farAway, w, []string{a, b}))
		second <- w
	}()
	waitFor(t, q, a, 2)
	ctx, cancel := context.WithCancel(context.Background())
	third := make(chan error, 1)
	go func() {
		third <- q.Acquire(ctx, farAway, new(Waiter[string]), []string{b})
	}()
	waitFor(t, q, b, 2)
	cancel()
	require.ErrorIs(t, <-third, context.Canceled)
	assert.Equal(t, 1, q.lines[b].Front().Value.(*Waiter[string]).blockedOn, "a is not free")
	assert.Empty(t, second)
	q.Release(first)
	q.Release(<-second)
	assert.True(t, q.Idle())
}
