package zep

import (
	"context"
	"slices"
	"sync"
)

// A record is what updates are put in order by: a kind of resource, and its id.
type record struct{ kind, id string }

// order lets the updates of one record pass one at a time, in the order in which they came. Different records do not wait for one
// another, and nothing is kept of a record that none is waiting for.
type order struct {
	mu sync.Mutex
	// lines has a key for every record that is being updated: whose turn it is, and those behind, first come first.
	lines map[record][]*turn
}

// A turn is an update's place in the lines of all its records. It takes them at once, so that no two wait for each other.
type turn struct {
	records []record      // each once
	behind  int           // in how many of their lines somebody stands before it
	come    chan struct{} // closed once it is first in all of them; nil if it was from the beginning
}

// enter waits for the turn of an update, or gives up when the context ends.
func (o *order) enter(ctx context.Context, records []record) (*turn, error) {
	t := &turn{records: records}
	o.mu.Lock()
	if o.lines == nil {
		o.lines = make(map[record][]*turn)
	}
	for _, r := range records {
		if len(o.lines[r]) > 0 {
			t.behind++
		}
		o.lines[r] = append(o.lines[r], t)
	}
	if t.behind > 0 {
		t.come = make(chan struct{})
	}
	o.mu.Unlock()
	if t.come == nil {
		return t, nil
	}
	select {
	case <-t.come:
		return t, nil
	case <-ctx.Done():
		o.leave(t)
		return nil, ctx.Err()
	}
}

// leave takes an update out of its lines, be it through or not, and makes those first who were behind it.
func (o *order) leave(t *turn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range t.records {
		line := o.lines[r]
		at := slices.Index(line, t)
		line = slices.Delete(line, at, at+1)
		if len(line) == 0 {
			delete(o.lines, r)
			continue
		}
		o.lines[r] = line
		if next := line[0]; at == 0 {
			if next.behind--; next.behind == 0 {
				close(next.come)
			}
		}
	}
}
