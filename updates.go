package zep

import (
	"context"
	"slices"
	"sync"
)

// record is what updates are ordered by: a kind of resource, and its id.
type record struct{ kind, id string }

// updateQueue lets the updates of one record pass one at a time, in the order of their calls.
// Updates of different records do not wait for one another.
type updateQueue struct {
	mu sync.Mutex
	// waiters has a key for every record that is being updated. The first waiter of each is the
	// update under way, the others follow in the order of their calls.
	waiters map[record][]*waiter
}

// waiter is an update in the queues of all its records. It enters them at once, so that no two
// updates wait for each other.
type waiter struct {
	records   []record      // each once
	blockedOn int           // the number of records that another update has before it
	ready     chan struct{} // closed when it is first for every record; nil if it was at once
}

// acquire waits until an update may be sent, or until the context ends. release must follow.
func (q *updateQueue) acquire(ctx context.Context, records []record) (*waiter, error) {
	w := q.enter(records)
	if w.ready == nil {
		return w, nil
	}
	select {
	case <-w.ready:
		return w, nil
	case <-ctx.Done():
		q.release(w)
		return nil, ctx.Err()
	}
}

// enter puts an update at the end of the queues of its records.
func (q *updateQueue) enter(records []record) *waiter {
	w := &waiter{records: records}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiters == nil {
		q.waiters = make(map[record][]*waiter)
	}
	for _, r := range records {
		if len(q.waiters[r]) > 0 {
			w.blockedOn++
		}
		q.waiters[r] = append(q.waiters[r], w)
	}
	if w.blockedOn > 0 {
		w.ready = make(chan struct{})
	}
	return w
}

// release takes an update out of its queues, whether it was ready or not.
func (q *updateQueue) release(w *waiter) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, r := range w.records {
		queue := q.waiters[r]
		i := slices.Index(queue, w)
		queue = slices.Delete(queue, i, i+1)
		if len(queue) == 0 {
			delete(q.waiters, r)
			continue
		}
		q.waiters[r] = queue
		if next := queue[0]; i == 0 {
			if next.blockedOn--; next.blockedOn == 0 {
				close(next.ready)
			}
		}
	}
}
