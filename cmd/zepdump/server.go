package main

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/zep-go/zep"
)

// server is the server of a command. What it reads it reads again if that failed for a passing
// reason, beyond the attempts of the client: the command may take hours.
type server struct {
	*zep.Client
	pause time.Duration // before something is tried a second time; then twice as much

	warn func(format string, args ...any) // tells what is tried again
}

// maxTries is how often something is tried that fails for a passing reason.
const maxTries = 5

// again repeats what failed for a passing reason. It is safe for reads, and for writes that look
// first, or find what an earlier try did.
func (s server) again(ctx context.Context, try func() error) error {
	for n := 1; ; n++ {
		err := try()
		if err == nil || !s.wait(ctx, n, err) {
			return err
		}
	}
}

// wait waits before the next try. It returns false if there is none.
func (s server) wait(ctx context.Context, tries int, err error) bool {
	if tries >= maxTries || !mayPass(err) {
		return false
	}
	s.warn("try %d of %d failed: %s", tries, maxTries, oneLine(err))
	select {
	case <-time.After(s.pause << (tries - 1)):
		return true
	case <-ctx.Done():
		return false
	}
}

// mayPass reports whether a repetition can succeed after an error. The update of a record that is
// locked on the server makes things worse.
func mayPass(err error) bool {
	var e *zep.Error
	switch {
	case !errors.As(err, &e), errors.Is(err, context.Canceled), errors.Is(err, zep.ErrAlreadyExists):
		return false
	case errors.Is(err, zep.ErrLocked):
		return e.Method != http.MethodPatch
	}
	return errors.Is(err, zep.ErrServer) || errors.Is(err, zep.ErrAmbiguous) ||
		errors.Is(err, zep.ErrRateLimited) || e.StatusCode/100 == 2 || e.StatusCode == 0
}

func (s server) users(ctx context.Context, after int64) iter.Seq2[*zep.User, error] {
	return walk(ctx, s, s.User.All, after, func(u *zep.User) int64 { return u.ID })
}

func (s server) sessions(ctx context.Context, after int64) iter.Seq2[*zep.Session, error] {
	return walk(ctx, s, s.Session.All, after, func(s *zep.Session) int64 { return s.ID })
}

// walk walks by cursor. After an error that may pass it goes on behind the last record.
func walk[T any](
	ctx context.Context, s server,
	all func(context.Context, ...zep.RequestOption) iter.Seq2[*T, error],
	after int64, id func(*T) int64,
) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		for tries := 1; ; tries++ {
			var failed error
			for record, err := range all(ctx, zep.After(after)) {
				if failed = err; err != nil {
					break
				}
				if !yield(record, nil) {
					return
				}
				after, tries = id(record), 0
			}
			if failed == nil {
				return
			}
			if !s.wait(ctx, max(tries, 1), failed) {
				yield(nil, failed)
				return
			}
		}
	}
}

// messages walks the messages of a session. After an error that may pass it goes on behind the
// last one: no message of a session goes away alone.
func (s server) messages(ctx context.Context, sessionID string) iter.Seq2[*zep.Message, error] {
	return func(yield func(*zep.Message, error) bool) {
		done := 0
		for tries := 1; ; tries++ {
			var failed error
			skip := done
			for message, err := range s.messagesOnce(ctx, sessionID) {
				if failed = err; err != nil {
					break
				}
				if skip > 0 {
					skip--
					continue
				}
				if !yield(message, nil) {
					return
				}
				done, tries = done+1, 0
			}
			if failed == nil {
				return
			}
			if !s.wait(ctx, max(tries, 1), failed) {
				yield(nil, failed)
				return
			}
		}
	}
}

// messagesOnce walks the messages of a session. Servers before v0.21 have no pages of them: there
// the messages come in one response.
func (s server) messagesOnce(ctx context.Context, sessionID string) iter.Seq2[*zep.Message, error] {
	return func(yield func(*zep.Message, error) bool) {
		for message, err := range s.Message.All(ctx, sessionID) {
			if errors.Is(err, zep.ErrEndpointNotFound) {
				memory, err := s.lastMessages(ctx, sessionID, math.MaxInt32)
				for _, message := range memory.Messages {
					if !yield(message, nil) {
						return
					}
				}
				if err != nil {
					yield(nil, err)
				}
				return
			}
			if !yield(message, err) {
				return
			}
		}
	}
}

// lastMessages returns the last messages of a session, and its summary if it has one.
func (s server) lastMessages(ctx context.Context, sessionID string, n int) (*zep.Memory, error) {
	memory := new(zep.Memory)
	err := s.again(ctx, func() error {
		found, err := s.Memory.Get(ctx, sessionID, &zep.GetMemoryOptions{LastN: n})
		if errors.Is(err, zep.ErrNotFound) { // before v0.20, a session without messages
			return nil
		}
		if err == nil {
			memory = found
		}
		return err
	})
	return memory, err
}

// collections returns the collections by name: the server promises no order.
func (s server) collections(ctx context.Context) (list []*zep.Collection, err error) {
	err = s.again(ctx, func() (err error) {
		list, err = s.Collection.List(ctx)
		return err
	})
	slices.SortFunc(list, func(a, b *zep.Collection) int { return cmp.Compare(a.Name, b.Name) })
	return list, err
}

// collectionsByName returns the collections.
func (s server) collectionsByName(ctx context.Context) (map[string]*zep.Collection, error) {
	list, err := s.collections(ctx)
	byName := make(map[string]*zep.Collection, len(list))
	for _, collection := range list {
		byName[collection.Name] = collection
	}
	return byName, err
}

// documents walks the documents of a collection. One that was deleted has none.
func (s server) documents(ctx context.Context, collection string) iter.Seq2[*zep.Document, error] {
	return func(yield func(*zep.Document, error) bool) {
		for document, err := range s.Document.All(ctx, collection) {
			if errors.Is(err, zep.ErrNotFound) || !yield(document, err) {
				return
			}
		}
	}
}

// findDocuments returns the documents that a collection has of the export, by their UUIDs in the
// export. A document without a document_id has its UUID, if it is still on its own server, or was
// imported with that as its document_id.
func (s server) findDocuments(
	ctx context.Context, collection string, chunk []*documentRecord,
) (found map[string]*zep.Document, err error) {
	var ids, uuids []string
	for _, d := range chunk {
		ids = append(ids, documentID(&d.Document))
		if d.DocumentID == "" {
			uuids = append(uuids, d.UUID)
		}
	}
	found = map[string]*zep.Document{}
	byID := map[string]*zep.Document{}
	err = s.again(ctx, func() error {
		list, err := s.Document.GetByUUIDs(ctx, collection, uuids)
		if err != nil {
			return err
		}
		for _, d := range list {
			found[d.UUID] = d
		}
		list, err = s.Document.GetByIDs(ctx, collection, ids)
		for _, d := range list {
			byID[d.DocumentID] = d
		}
		return err
	})
	for _, d := range chunk {
		if same := byID[documentID(&d.Document)]; same != nil {
			found[d.UUID] = same
		}
	}
	return found, err
}
