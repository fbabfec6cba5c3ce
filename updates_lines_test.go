package zep

import (
	"context"
	"math/rand"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// isReady reports whether a waiter has become the first for all its records.
func isReady(w *waiter) bool {
	select {
	case <-w.ready:
		return true
	default:
		return w.ready == nil
	}
}

// TestDocumentUpdateAll_BehindTwoLines checks that a batch that waits for updates of two of its
// documents is sent after both, whichever ends first.
func TestDocumentUpdateAll_BehindTwoLines(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a, b := record{"document", "a"}, record{"document", "b"}
	for name, order := range map[string][2]int{"in order": {0, 1}, "in reverse": {1, 0}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, g := turnstiled(t)
			update := func(uuids ...string) <-chan error {
				done := make(chan error, 1)
				var reqs []*UpdateDocumentRequest
				for _, uuid := range uuids {
					reqs = append(reqs, &UpdateDocumentRequest{UUID: uuid, DocumentID: "d"})
				}
				go func() { done <- c.Document.UpdateAll(ctx, "docs", reqs) }()
				return done
			}
			var held [2]arrival
			var done [2]<-chan error
			for i, uuid := range []string{"a", "b"} {
				done[i] = update(uuid)
				held[i] = g.next(t)
			}
			batch := update("a", "b")
			waitUntil(t, "the batch waits for both", func() bool {
				return waiting(c.updates, a) == 1 && waiting(c.updates, b) == 1
			})

			close(held[order[0]].pass)
			require.NoError(t, <-done[order[0]])
			free := []record{a, b}[order[0]]
			assert.Equal(t, 1, blockedOn(c.updates, free))
			assert.False(t, isReady(c.updates.lines[free].first.waiter), "the other is under way")

			close(held[order[1]].pass)
			require.NoError(t, <-done[order[1]])
			close(g.next(t).pass)
			require.NoError(t, <-batch)
			assert.True(t, idle(c.updates))
		})
	}
}

// TestUpdateQueue_ManyLines checks a waiter for any number of records, which become
// free in any order.
func TestUpdateQueue_ManyLines(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewSource(1))
	for n := 1; n <= 20; n++ {
		q := new(updateQueue)
		var records []record
		firsts := make([]waiter, n)
		for i := range firsts {
			records = append(records, record{"document", string(rune('a' + i))})
			q.enter(&firsts[i], records[i:])
			require.True(t, isReady(&firsts[i]))
		}
		var batch waiter
		q.enter(&batch, records)
		for left, i := range random.Perm(n) {
			require.False(t, isReady(&batch), "%d of %d", left, n)
			q.release(&firsts[i])
		}
		require.True(t, isReady(&batch))
		q.release(&batch)
		require.True(t, idle(q))
	}
}

// TestUpdates_CaseOfIDs checks that ids that differ only in case are different records.
func TestUpdates_CaseOfIDs(t *testing.T) {
	t.Parallel()
	locker := newMemoryLocker()
	c, g := gatedClient(t, WithLocker(locker))
	ids := []string{"jane", "Jane", "JANE"}
	done := make(chan error, len(ids))
	var arrivals []arrival
	for _, id := range ids {
		go func() {
			req := &UpdateUserRequest{UserID: id, Email: "e"}
			_, err := c.User.Update(context.Background(), req)
			done <- err
		}()
		arrivals = append(arrivals, g.next(t))
	}
	assert.Equal(t, []string{"lock user/jane", "lock user/Jane", "lock user/JANE"}, locker.logged())
	for _, a := range arrivals {
		close(a.pass)
		require.NoError(t, <-done)
	}
	assert.True(t, idle(c.updates))
}

// TestUpdateQueue_ManyGiveUp checks that waiters that give up at once, in any order, leave the line
// as it was, and that another line does not notice.
func TestUpdateQueue_ManyGiveUp(t *testing.T) {
	t.Parallel()
	const n = 100_000
	r, other := []record{{"user", "jane"}}, []record{{"user", "john"}}
	q := new(updateQueue)
	var first, last waiter
	q.enter(&first, r)
	waiters := make([]waiter, n)
	for i := range waiters {
		q.enter(&waiters[i], r)
		require.Equal(t, i+1, waiters[i].inFront)
	}
	q.enter(&last, r)
	for _, i := range rand.New(rand.NewSource(1)).Perm(n) {
		require.False(t, isReady(&waiters[i]))
		q.release(&waiters[i])
		var beside waiter
		q.enter(&beside, other)
		require.True(t, isReady(&beside))
		q.release(&beside)
	}
	assert.Equal(t, 1, waiting(q, r[0]))
	assert.False(t, isReady(&last))
	q.release(&first)
	assert.True(t, isReady(&last))
	q.release(&last)
	assert.True(t, idle(q))
}

// TestUpdateQueue_GivesUpInConstantTime checks that a waiter leaves a line through its neighbours:
// the line is torn apart further on, so that no walk along it from either end finds the waiter.
func TestUpdateQueue_GivesUpInConstantTime(t *testing.T) {
	t.Parallel()
	r := []record{{"user", "jane"}}
	q := new(updateQueue)
	waiters := make([]waiter, 7)
	for i := range waiters {
		q.enter(&waiters[i], r)
	}
	at := func(i int) *place { return &waiters[i].places[0] }
	for _, i := range []int{1, 5} {
		at(i).previous, at(i).next = nil, nil
	}
	q.release(&waiters[3])
	assert.Same(t, at(4), at(2).next)
	assert.Same(t, at(2), at(4).previous)
	assert.Equal(t, 6, q.lines[r[0]].length)
}
