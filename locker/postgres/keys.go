package postgres

import (
	"context"
	"sync"
)

// keyQueue lets one goroutine of this process at a time ask the database for a key, so that those
// behind it need no connection. Its zero value is ready to use.
type keyQueue struct {
	mu   sync.Mutex
	keys map[string]*keyEntry
}

type keyEntry struct {
	taken chan struct{} // holds a value while a goroutine has the key
	users int           // goroutines that have the key or wait for it
}

// acquire waits until the key is free in this process, or ctx ends.
func (q *keyQueue) acquire(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	q.mu.Lock()
	entry := q.keys[key]
	if entry == nil {
		if q.keys == nil {
			q.keys = make(map[string]*keyEntry)
		}
		entry = &keyEntry{taken: make(chan struct{}, 1)}
		q.keys[key] = entry
	}
	entry.users++
	q.mu.Unlock()
	select {
	case entry.taken <- struct{}{}:
		return nil
	case <-ctx.Done():
		q.leave(key, entry)
		return ctx.Err()
	}
}

// release lets the next goroutine have the key.
func (q *keyQueue) release(key string) {
	q.mu.Lock()
	entry := q.keys[key]
	q.mu.Unlock()
	<-entry.taken
	q.leave(key, entry)
}

// leave forgets a key that nobody has or waits for.
func (q *keyQueue) leave(key string, entry *keyEntry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if entry.users--; entry.users == 0 {
		delete(q.keys, key)
	}
}
