package main

import (
	"context"
	"errors"
	"hash/maphash"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/zep-go/zep"
)

// verifier compares a server with an export.
type verifier struct {
	server   server
	in       *input
	options  options
	extra    bool // also look for users, sessions, collections and documents that are not exported
	workers  int
	progress *progress
	report   func(difference) error
}

// run compares all records.
func (v *verifier) run(ctx context.Context) error {
	steps := []struct {
		kind string
		run  func(context.Context) error
	}{
		{users, v.users},
		{sessions, v.sessions},
		{messages, func(ctx context.Context) error {
			return eachHistory(ctx, v.in, v.workers, true, v.history)
		}},
		{collections, v.collections},
		{documents, v.documents},
	}
	for _, step := range steps {
		if !v.in.has(step.kind) {
			continue
		}
		v.progress.begin(step.kind, v.in.count(step.kind), 0)
		err := step.run(ctx)
		v.progress.end()
		if err != nil {
			return err
		}
	}
	return nil
}

// unreadable reports a record that the server does not have, or that no request can ask for. Other
// errors end the verification.
func (v *verifier) unreadable(kind, in, id string, err error) error {
	switch {
	case errors.Is(err, zep.ErrNotFound):
		return v.report(difference{Kind: kind, ID: id, In: in, Difference: isMissing})
	case errors.Is(err, zep.ErrInvalidID):
		return v.report(difference{
			Kind: kind, ID: id, In: in, Difference: isRefused, Reason: err.Error(),
		})
	}
	return err
}

// changed reports a record if fields of it differ.
func (v *verifier) changed(kind, in, id string, fields map[string]change) error {
	if len(fields) == 0 {
		return nil
	}
	return v.report(difference{Kind: kind, ID: id, In: in, Difference: isChanged, Fields: fields})
}

func (v *verifier) users(ctx context.Context) error {
	id := func(u *zep.User) string { return u.UserID }
	get := func(ctx context.Context, id string) (*zep.User, error) {
		return v.server.User.Get(ctx, id)
	}
	return verifyEach(ctx, v, users, id, get, compareUsers, v.server.users(ctx, 0))
}

func (v *verifier) sessions(ctx context.Context) error {
	id := func(s *zep.Session) string { return s.SessionID }
	get := func(ctx context.Context, id string) (*zep.Session, error) {
		return v.server.Session.Get(ctx, id)
	}
	return verifyEach(ctx, v, sessions, id, get, compareSessions, v.server.sessions(ctx, 0))
}

// verifyEach compares the records of a kind one by one.
func verifyEach[T any](
	ctx context.Context, v *verifier, kind string, id func(*T) string,
	get func(context.Context, string) (*T, error), compare func(export, server *T) map[string]change,
	all iter.Seq2[*T, error],
) error {
	known := newIDSet(v.extra)
	exported := chunks(v.in, kind, func(*T) string { return "" })
	err := inParallel(ctx, v.workers, exported, func(ctx context.Context, chunk []*T) error {
		for _, record := range chunk {
			key := id(record)
			known.add(key)
			var server *T
			err := v.server.again(ctx, func() (err error) {
				server, err = get(ctx, key)
				return err
			})
			if err == nil {
				err = v.changed(kind, "", key, compare(record, server))
			} else {
				err = v.unreadable(kind, "", key, err)
			}
			if err != nil {
				return err
			}
			v.progress.add(1, 1)
		}
		return nil
	})
	if err != nil || !v.extra {
		return err
	}
	for record, err := range all {
		if err != nil {
			return err
		}
		if err := v.unlessKnown(known, kind, "", id(record)); err != nil {
			return err
		}
	}
	return nil
}

// unlessKnown reports a record that is not in the export.
func (v *verifier) unlessKnown(known *idSet, kind, in, id string) error {
	if known.has(id) {
		return nil
	}
	return v.report(difference{Kind: kind, ID: id, In: in, Difference: isExtra})
}

func (v *verifier) collections(ctx context.Context) error {
	there, err := v.server.collectionsByName(ctx)
	if err != nil {
		return err
	}
	for c, err := range fileRecords[zep.Collection](v.in.dir, v.in.manifest.file(collections)) {
		if err != nil {
			return err
		}
		want := v.options.collection(c)
		server := there[want.Name]
		delete(there, want.Name)
		if server == nil {
			err = v.report(difference{Kind: collections, ID: want.Name, Difference: isMissing})
		} else {
			err = v.changed(collections, "", want.Name, compareCollections(want, server))
		}
		if err != nil {
			return err
		}
		v.progress.add(1, 1)
	}
	for name := range there {
		if !v.extra {
			break
		}
		if err := v.report(difference{Kind: collections, ID: name, Difference: isExtra}); err != nil {
			return err
		}
	}
	return nil
}

// documents compares the documents, in batches of one collection.
func (v *verifier) documents(ctx context.Context) error {
	there, err := v.server.collectionsByName(ctx)
	if err != nil {
		return err
	}
	known := newIDSet(v.extra)
	all := chunks(v.in, documents, func(d *documentRecord) string { return d.Collection })
	err = inParallel(ctx, v.workers, all, func(ctx context.Context, chunk []*documentRecord) error {
		name := strings.ToLower(chunk[0].Collection)
		found := map[string]*zep.Document{}
		if there[name] != nil {
			var err error
			found, err = v.server.findDocuments(ctx, name, chunk)
			if err != nil && !errors.Is(err, zep.ErrNotFound) {
				return err
			}
		}
		for _, d := range chunk {
			if err := v.document(there[name], d, found[d.UUID], known); err != nil {
				return err
			}
		}
		v.progress.add(int64(len(chunk)), int64(len(chunk)))
		return nil
	})
	if err != nil || !v.extra {
		return err
	}
	return v.extraDocuments(ctx, there, known)
}

func (v *verifier) document(
	collection *zep.Collection, export *documentRecord, server *zep.Document, known *idSet,
) error {
	id, in := documentID(&export.Document), strings.ToLower(export.Collection)
	if server == nil {
		return v.report(difference{Kind: documents, ID: id, In: in, Difference: isMissing})
	}
	known.add(in + " " + server.UUID)
	embeddings := !collection.IsAutoEmbedded
	return v.changed(documents, in, id, compareDocuments(&export.Document, server, embeddings))
}

// extraDocuments reports the documents that are not in the export.
func (v *verifier) extraDocuments(
	ctx context.Context, there map[string]*zep.Collection, known *idSet,
) error {
	for name := range there {
		var extra []string
		err := v.server.again(ctx, func() error {
			extra = nil
			for d, err := range v.server.documents(ctx, name) {
				if err != nil {
					return err
				}
				if !known.has(name + " " + d.UUID) {
					extra = append(extra, documentID(d))
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, id := range extra {
			err := v.report(difference{Kind: documents, ID: id, In: name, Difference: isExtra})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// history compares the messages of a session, in their order. Only what follows the first
// difference is held in memory.
func (v *verifier) history(ctx context.Context, h *history) error {
	next, stop := iter.Pull2(v.server.messages(ctx, h.sessionID))
	defer stop()
	var left comparison
	for record, err := range h.messages(ctx) {
		if err != nil {
			return err
		}
		v.progress.add(1, 1)
		export := v.options.message(&record.Message)
		if len(left.export) == 0 {
			server, err, ok := next()
			if err != nil && !errors.Is(err, zep.ErrInvalidID) {
				return err
			}
			if ok && err == nil {
				if sameUUID(export, server) {
					err := v.changed(messages, h.sessionID, export.UUID, compareMessages(export, server))
					if err != nil {
						return err
					}
					continue
				}
				left.server = append(left.server, server)
			}
		}
		left.export = append(left.export, export)
	}
	for {
		server, err, ok := next()
		if !ok || errors.Is(err, zep.ErrInvalidID) {
			return v.unordered(h.sessionID, left)
		}
		if err != nil {
			return err
		}
		left.server = append(left.server, server)
	}
}

// comparison is the messages of a session from the first difference on.
type comparison struct{ export, server []*zep.Message }

func sameUUID(a, b *zep.Message) bool { return strings.EqualFold(a.UUID, b.UUID) }

// unordered compares messages that are not the same, one by one.
func (v *verifier) unordered(sessionID string, left comparison) error {
	server, place := map[string]*zep.Message{}, map[string]int{}
	for i, m := range left.server {
		server[strings.ToLower(m.UUID)], place[strings.ToLower(m.UUID)] = m, i
	}
	last := -1
	for _, m := range left.export {
		key := strings.ToLower(m.UUID)
		there := server[key]
		if there == nil {
			err := v.report(difference{
				Kind: messages, ID: m.UUID, In: sessionID, Difference: isMissing,
			})
			if err != nil {
				return err
			}
			continue
		}
		delete(server, key)
		if err := v.changed(messages, sessionID, m.UUID, compareMessages(m, there)); err != nil {
			return err
		}
		if place[key] < last {
			err := v.report(difference{Kind: messages, ID: m.UUID, In: sessionID, Difference: isMoved})
			if err != nil {
				return err
			}
		}
		last = max(last, place[key])
	}
	return v.extraMessages(sessionID, left.server, server)
}

// extraMessages reports the messages that are only on the server, in their order.
func (v *verifier) extraMessages(
	sessionID string, ordered []*zep.Message, extra map[string]*zep.Message,
) error {
	for _, m := range ordered {
		if extra[strings.ToLower(m.UUID)] == nil {
			continue
		}
		err := v.report(difference{Kind: messages, ID: m.UUID, In: sessionID, Difference: isExtra})
		if err != nil {
			return err
		}
	}
	return nil
}

// idSet is a set of ids in eight bytes each. Two ids that are different are the same in it with a
// probability of one in 2^64. It is safe for concurrent use; a nil one is empty and stays so.
type idSet struct {
	seed   maphash.Seed
	mu     sync.Mutex
	hashes []uint64
	sorted bool
}

func newIDSet(wanted bool) *idSet {
	if !wanted {
		return nil
	}
	return &idSet{seed: maphash.MakeSeed()}
}

func (s *idSet) add(id string) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hashes, s.sorted = append(s.hashes, maphash.String(s.seed, id)), false
}

func (s *idSet) has(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.sorted {
		slices.Sort(s.hashes)
		s.sorted = true
	}
	_, found := slices.BinarySearch(s.hashes, maphash.String(s.seed, id))
	return found
}
