package zep

import (
	"context"
	"sync"
)

// A record is what updates are put in order by: a kind of resource, and its id.
type record struct{ kind, id string }

// order lets the updates of one record pass one at a time, in the order in which they came. Different records do not wait
// for one another, and nothing is kept of a record that none is waiting for.
type order struct {
	mu sync.Mutex
	// queues has a key for every record that is being updated: those who wait, first come first.
	queues map[record][]chan struct{}
}

// enter waits for its turn, or gives up when the context ends.
func (o *order) enter(ctx context.Context, r record) error {
	o.mu.Lock()
	queue, busy := o.queues[r]
	if !busy {
		if o.queues == nil {
			o.queues = make(map[record][]chan struct{})
		}
		o.queues[r] = nil
		o.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	o.queues[r] = append(queue, turn)
	o.mu.Unlock()

	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	o.mu.Lock()
	for i, waiting := range o.queues[r] {
		if waiting == turn {
			o.queues[r] = append(o.queues[r][:i:i], o.queues[r][i+1:]...)
			o.mu.Unlock()
			return ctx.Err()
		}
	}
	o.mu.Unlock()
	// The turn came at the same moment; it goes on to the next.
	o.leave(r)
	return ctx.Err()
}

// leave gives the turn to the next who waits.
func (o *order) leave(r record) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if queue := o.queues[r]; len(queue) > 0 {
		close(queue[0])
		o.queues[r] = queue[1:]
		return
	}
	delete(o.queues, r)
}
