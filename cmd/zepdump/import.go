package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/zep-go/zep"
)

// importer puts an export into a server.
type importer struct {
	server    server
	in        *input
	options   options
	overwrite bool
	workers   int
	batch     int // messages in a request
	progress  *progress
	report    func(difference) error // a record that is not as in the export

	counts map[string]*count // by kind

	mu      sync.Mutex
	blocked map[string]bool // the sessions and collections that are not those of the export
	failed  atomic.Int64    // records that the server had an error for
}

// count is what became of the records of a kind.
type count struct{ added, there, overwritten, conflicts, unpublished atomic.Int64 }

// maxFailed is the number of records that the server may have an error for. More are a broken
// server.
const maxFailed = 20

// run imports the records in the order in which references need them. The messages come last: while
// the server embeds messages it lets the addition of a collection wait.
func (im *importer) run(ctx context.Context) error {
	im.counts, im.blocked = map[string]*count{}, map[string]bool{}
	for _, kind := range allKinds {
		im.counts[kind] = new(count)
	}
	steps := []struct {
		kind string
		run  func(context.Context) error
	}{
		{users, func(ctx context.Context) error {
			return importEach(ctx, im, users, func(u *zep.User) string { return u.UserID }, im.user)
		}},
		{sessions, func(ctx context.Context) error {
			id := func(s *zep.Session) string { return s.SessionID }
			return importEach(ctx, im, sessions, id, im.session)
		}},
		{collections, func(ctx context.Context) error {
			name := func(c *zep.Collection) string { return c.Name }
			return importEach(ctx, im, collections, name, im.collection)
		}},
		{documents, im.documents},
		{messages, func(ctx context.Context) error {
			return eachHistory(ctx, im.in, im.workers, false, im.history)
		}},
	}
	for _, step := range steps {
		if !im.in.has(step.kind) {
			continue
		}
		im.progress.begin(step.kind, im.in.count(step.kind), 0)
		err := step.run(ctx)
		im.progress.end()
		if err != nil {
			return err
		}
	}
	return nil
}

// importEach imports records one by one.
func importEach[T any](
	ctx context.Context, im *importer, kind string, id func(*T) string,
	add func(context.Context, *T) error,
) error {
	all := chunks(im.in, kind, func(*T) string { return "" })
	return inParallel(ctx, im.workers, all, func(ctx context.Context, chunk []*T) error {
		for _, record := range chunk {
			err := im.server.again(ctx, func() error { return add(ctx, record) })
			if err := im.refused(kind, "", id(record), err); err != nil {
				return err
			}
			im.progress.add(1, 1)
		}
		return nil
	})
}

// refused records a record that the server, or the client, does not take. Other errors are those
// of the whole import, and so is one record too many that the server fails at.
func (im *importer) refused(kind, in, id string, err error) error {
	var e *zep.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, zep.ErrUnauthorized), errors.Is(err, zep.ErrEndpointNotFound):
		return err
	case errors.Is(err, zep.ErrInvalidID), errors.Is(err, zep.ErrBadRequest),
		errors.Is(err, zep.ErrTooLarge), errors.Is(err, zep.ErrNotFound),
		errors.Is(err, zep.ErrAlreadyExists), errors.Is(err, zep.ErrLocked):
	case errors.As(err, &e) && e.StatusCode == http.StatusInternalServerError:
		if im.failed.Add(1) > maxFailed {
			return fmt.Errorf("the server had errors for more than %d records: %w", maxFailed, err)
		}
	default:
		return err
	}
	im.block(kind, id)
	return im.conflict(difference{
		Kind: kind, ID: id, In: in, Difference: isRefused, Reason: err.Error(),
	})
}

// conflict records a record that is not as in the export.
func (im *importer) conflict(d difference) error {
	im.counts[d.Kind].conflicts.Add(1)
	return im.report(d)
}

// block keeps what belongs to a session or a collection from being imported: what has its id on
// the server is another one.
func (im *importer) block(kind, id string) {
	im.mu.Lock()
	defer im.mu.Unlock()
	im.blocked[kind+" "+id] = true
}

func (im *importer) isBlocked(kind, id string) bool {
	im.mu.Lock()
	defer im.mu.Unlock()
	return im.blocked[kind+" "+id]
}

// existing is what an import does about a record whose id is taken.
type existing struct {
	kind, in, id string
	identity     []string // fields that make it another record, which the API cannot change

	compare func() (map[string]change, error) // with the record that is there
	// overwrite makes the record there like that of the export, as far as the API can.
	overwrite func() error
}

// settle compares a record that is there, and overwrites it if that was asked for.
func (im *importer) settle(x existing) error {
	changed, err := x.compare()
	if err != nil {
		return err
	}
	if len(changed) == 0 {
		im.counts[x.kind].there.Add(1)
		return nil
	}
	reason := "the server has another one: -overwrite would change it"
	if im.overwrite {
		if err := x.overwrite(); err != nil {
			return err
		}
		if changed, err = x.compare(); err != nil {
			return err
		}
		if len(changed) == 0 {
			im.counts[x.kind].overwritten.Add(1)
			return nil
		}
		reason = "the API cannot change these fields, clear them, or remove keys of metadata"
	}
	isOther := func(name string) bool { _, differs := changed[name]; return differs }
	if !im.overwrite || slices.ContainsFunc(x.identity, isOther) {
		im.block(x.kind, x.id)
	}
	return im.conflict(difference{
		Kind: x.kind, ID: x.id, In: x.in, Difference: isChanged, Fields: changed, Reason: reason,
	})
}

func (im *importer) user(ctx context.Context, u *zep.User) error {
	_, err := im.server.User.Add(ctx, &zep.CreateUserRequest{
		UserID:    u.UserID,
		Email:     u.Email,
		FirstName: u.FirstName,
		LastName:  u.LastName,
		Metadata:  u.Metadata,
	})
	if !errors.Is(err, zep.ErrAlreadyExists) {
		return im.added(users, err)
	}
	return im.settle(existing{
		kind: users,
		id:   u.UserID,
		compare: func() (map[string]change, error) {
			there, err := im.server.User.Get(ctx, u.UserID)
			if err != nil {
				return nil, err
			}
			return compareUsers(u, there), nil
		},
		overwrite: func() error {
			_, err := im.server.User.Update(ctx, &zep.UpdateUserRequest{
				UserID:    u.UserID,
				Email:     u.Email,
				FirstName: u.FirstName,
				LastName:  u.LastName,
				Metadata:  u.Metadata,
			})
			return err
		},
	})
}

// added counts a record that was added.
func (im *importer) added(kind string, err error) error {
	if err == nil {
		im.counts[kind].added.Add(1)
	}
	return err
}

func (im *importer) session(ctx context.Context, s *zep.Session) error {
	_, err := im.server.Session.Add(ctx, &zep.CreateSessionRequest{
		SessionID: s.SessionID,
		UserID:    s.UserID,
		Metadata:  s.Metadata,
	})
	if !errors.Is(err, zep.ErrAlreadyExists) {
		return im.added(sessions, err)
	}
	if _, err := im.server.Session.Get(ctx, s.SessionID); errors.Is(err, zep.ErrNotFound) {
		if !im.overwrite {
			im.block(sessions, s.SessionID)
			return im.conflict(difference{
				Kind:       sessions,
				ID:         s.SessionID,
				Difference: isMissing,
				Reason:     "a deleted session has the id: -overwrite would bring it back",
			})
		}
		if err := im.undelete(ctx, s.SessionID); err != nil {
			return err
		}
	}
	return im.settle(existing{
		kind:     sessions,
		id:       s.SessionID,
		identity: []string{"user_id"},
		compare: func() (map[string]change, error) {
			there, err := im.server.Session.Get(ctx, s.SessionID)
			if err != nil {
				return nil, err
			}
			return compareSessions(s, there), nil
		},
		overwrite: func() error {
			_, err := im.server.Session.Update(ctx, &zep.UpdateSessionRequest{
				SessionID: s.SessionID,
				Metadata:  s.Metadata,
			})
			return err
		},
	})
}

// undelete brings a deleted session back, as it was: to add no message does that.
func (im *importer) undelete(ctx context.Context, sessionID string) error {
	return im.server.Memory.Add(ctx, sessionID, &zep.AddMemoryRequest{})
}

func (im *importer) collection(ctx context.Context, c *zep.Collection) error {
	c = im.options.collection(c)
	_, err := im.server.Collection.Add(ctx, &zep.CreateCollectionRequest{
		Name:                c.Name,
		Description:         c.Description,
		Metadata:            c.Metadata,
		EmbeddingDimensions: c.EmbeddingDimensions,
		IsAutoEmbedded:      c.IsAutoEmbedded,
	})
	if !errors.Is(err, zep.ErrAlreadyExists) {
		return im.added(collections, err)
	}
	return im.settle(existing{
		kind:     collections,
		id:       c.Name,
		identity: []string{"embedding_dimensions", "is_auto_embedded"},
		compare: func() (map[string]change, error) {
			there, err := im.server.Collection.Get(ctx, c.Name)
			if err != nil {
				return nil, err
			}
			return compareCollections(c, there), nil
		},
		overwrite: func() error {
			if c.Description == "" && len(c.Metadata) == 0 { // the API cannot empty them
				return nil
			}
			_, err := im.server.Collection.Update(ctx, &zep.UpdateCollectionRequest{
				Name:        c.Name,
				Description: c.Description,
				Metadata:    c.Metadata,
			})
			return err
		},
	})
}
