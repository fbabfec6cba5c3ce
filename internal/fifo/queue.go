// Package fifo lets those who hold the same key pass one at a time, in the order in which they
// came.
package fifo

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"
)

// Queue has a line for every key. The zero Queue is ready to use.
type Queue[K comparable] struct {
	mu    sync.Mutex
	lines map[K]*list.List // of *Waiter[K]: the first of each holds the key
}

// Waiter stands in the lines of all its keys. It enters them at once, so that no two wait for each
// other.
type Waiter[K comparable] struct {
	keys      []K
	places    []*list.Element
	one       [1]*list.Element // the places of most
	blockedOn int              // the number of keys that another one has before it
	inFront   int
	ready     chan struct{} // closed when it is first for every key; nil if it was at once
}

// InFront returns the most that any of its lines had when the waiter came.
func (w *Waiter[K]) InFront() int { return w.inFront }

// Acquire waits until w is first for all keys, each of which is named once, until the context ends,
// or until the deadline. Release must follow if it returns no error.
func (q *Queue[K]) Acquire(
	ctx context.Context, deadline time.Time, w *Waiter[K], keys []K,
) error {
	q.enter(w, keys)
	if w.ready == nil {
		return nil
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
		q.Release(w)
		return errors.Join(ctx.Err(), context.Cause(ctx))
	}
}

// Release takes a waiter out of its lines, whether it was first or not.
func (q *Queue[K]) Release(w *Waiter[K]) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, key := range w.keys {
		line := q.lines[key]
		wasFirst := line.Front() == w.places[i]
		line.Remove(w.places[i])
		if line.Len() == 0 {
			delete(q.lines, key)
		} else if wasFirst {
			next := line.Front().Value.(*Waiter[K])
			if next.blockedOn--; next.blockedOn == 0 {
				close(next.ready)
			}
		}
	}
}

// Len returns how many stand in the line of a key, with the one that holds it.
func (q *Queue[K]) Len(key K) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if line := q.lines[key]; line != nil {
		return line.Len()
	}
	return 0
}

// Idle reports whether no key is held.
func (q *Queue[K]) Idle() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.lines) == 0
}

func (q *Queue[K]) enter(w *Waiter[K], keys []K) {
	if w.places = w.one[:]; len(keys) != len(w.one) {
		w.places = make([]*list.Element, len(keys))
	}
	w.keys = keys
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.lines == nil {
		q.lines = make(map[K]*list.List)
	}
	for i, key := range keys {
		line := q.lines[key]
		if line == nil {
			line = list.New()
			q.lines[key] = line
		} else {
			w.blockedOn++
			w.inFront = max(w.inFront, line.Len())
		}
		w.places[i] = line.PushBack(w)
	}
	if w.blockedOn > 0 {
		w.ready = make(chan struct{})
	}
}
