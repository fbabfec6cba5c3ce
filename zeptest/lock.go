package zeptest

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Locked returns what metadata updates have left locked, sorted: "message <uuid>", "session s1",
// "user jane". It is empty without [WithStickyLocks].
func (s *Server) Locked() []string {
	s.locks.mu.Lock()
	defer s.locks.mu.Unlock()
	locked := []string{}
	for id, l := range s.locks.byID {
		if l.stuck {
			locked = append(locked, l.kind+" "+id)
		}
	}
	slices.Sort(locked)
	return locked
}

// ReleaseLocks frees everything that is locked. The updates that wait go on, those of one record
// one after the other.
func (s *Server) ReleaseLocks() {
	s.locks.mu.Lock()
	defer s.locks.mu.Unlock()
	for id, l := range s.locks.byID {
		if l.stuck {
			s.locks.remove(id, l)
		}
	}
}

// The kinds of records whose metadata updates take locks.
const (
	userLock    = "user"
	sessionLock = "session"
	messageLock = "message"
)

// overlapWait is how long an update that holds a lock waits for another one to overlap with.
const overlapWait = time.Millisecond

// locks are PostgreSQL's advisory locks, as Zep takes them and fails to give them back.
type locks struct {
	wait time.Duration // how long a user's update tries to get a lock

	mu   sync.Mutex
	byID map[string]*lock
}

// lock is one lock, from the moment when an update has it until it is given back.
type lock struct {
	kind  string        // of the record whose update took it
	free  chan struct{} // closed when it is given back
	stuck bool          // its update is over, and did not give it back
	// waited says that its update had to wait for it: such an update overlaps with no other.
	waited bool
	// overlapped is closed when another update came while this one had the lock.
	overlapped chan struct{}
}

func newLocks() locks {
	return locks{wait: 22 * time.Second, byID: map[string]*lock{}}
}

// lock takes the lock of a record for an update, or fails as the real server does. Without sticky
// locks, or without metadata, there is none to take. The caller calls release when the update is
// over.
func (s *Server) lock(r *http.Request, kind, id string, metadata map[string]any) (
	release func(), err error,
) {
	if !s.sticky || metadata == nil {
		return nil, nil
	}
	// Go's server sees a client leave only when the request's body has been read.
	_, _ = io.Copy(io.Discard, r.Body)
	l, err := s.acquire(r, kind, id)
	if err != nil {
		return nil, err
	}
	if kind != messageLock && !l.waited {
		alone := time.NewTimer(overlapWait)
		defer alone.Stop()
		select {
		case <-alone.C:
		case <-l.overlapped:
		case <-r.Context().Done():
		case <-s.done:
		}
	}
	return func() { s.locks.release(id, l, r.Context().Err() != nil) }, nil
}

// acquire takes a lock, and waits for it if need be.
func (s *Server) acquire(r *http.Request, kind, id string) (*lock, error) {
	held, l := s.locks.tryAcquire(kind, id, false)
	if l != nil {
		return l, nil
	}
	var tooLong <-chan time.Time
	if kind == userLock && s.version.failsLockedUsers() {
		timer := time.NewTimer(s.locks.wait)
		defer timer.Stop()
		tooLong = timer.C
	}
	for {
		select {
		case <-held.free:
			if held, l = s.locks.tryAcquire(kind, id, true); l != nil {
				return l, nil
			}
		case <-tooLong:
			const failed = "failed to acquire advisory lock"
			return nil, errors.New(failed + ": retries exceeded. last result: 0, last error: " +
				failed + fmt.Sprintf(": %s for %s", failed, id))
		case <-r.Context().Done():
			return nil, errNoAnswer
		case <-s.done:
			return nil, errNoAnswer
		}
	}
}

// tryAcquire takes a lock if it is free. Otherwise it returns the lock that is held.
func (ls *locks) tryAcquire(kind, id string, waited bool) (held, taken *lock) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if held = ls.byID[id]; held != nil {
		if !waited {
			held.overlap(kind)
		}
		return held, nil
	}
	taken = &lock{
		kind:       kind,
		free:       make(chan struct{}),
		waited:     waited,
		overlapped: make(chan struct{}),
	}
	if !waited {
		for _, other := range ls.byID {
			if other.overlap(kind) {
				taken.overlap(other.kind)
			}
		}
	}
	ls.byID[id] = taken
	return nil, taken
}

// overlap notes that an update of the given kind came while the lock was held, and says whether
// that makes the two overlap.
func (l *lock) overlap(kind string) bool {
	if l.stuck || l.waited || l.kind == messageLock || kind == messageLock {
		return false
	}
	if !l.hasOverlapped() {
		close(l.overlapped)
	}
	return true
}

func (l *lock) hasOverlapped() bool {
	select {
	case <-l.overlapped:
		return true
	default:
		return false
	}
}

// release gives a lock back, or leaves it behind. cut says that the client has left.
func (ls *locks) release(id string, l *lock, cut bool) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if l.stuck = cut || l.hasOverlapped(); !l.stuck {
		ls.remove(id, l)
	}
}

// remove frees a lock. The caller holds mu.
func (ls *locks) remove(id string, l *lock) {
	delete(ls.byID, id)
	close(l.free)
}
