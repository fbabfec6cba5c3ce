package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/zep-go/zep"
)

// The largest request of messages that an import sends. -batch sets the number.
const (
	batchMessages = 200
	batchBytes    = 2 << 20 // of their contents
)

// transcript is the import of the messages of one session.
type transcript struct {
	im        *importer
	sessionID string
	refusal   string // why no message can be imported, "" if they can

	there   map[string]*zep.Message // by UUID, those that the server has and the export not yet had
	pending []*zep.Message          // those that are to be added
	bytes   int
	late    bool // the server has a message of the export that comes after a pending one
}

// history imports the messages of a session, those that the server does not have. The ones there
// are usually the first ones, of an earlier import.
func (im *importer) history(ctx context.Context, h *history) error {
	t := &transcript{im: im, sessionID: h.sessionID}
	if err := t.prepare(ctx); err != nil {
		return err
	}
	for record, err := range h.messages(ctx) {
		if err != nil {
			return err
		}
		if err := t.message(ctx, im.options.message(&record.Message)); err != nil {
			return err
		}
		im.progress.add(1, 1)
	}
	return t.finish(ctx)
}

// prepare reads what the session has, and finds out whether messages can be imported.
func (t *transcript) prepare(ctx context.Context) error {
	im := t.im
	err := im.server.again(ctx, func() error {
		// A message would make the session, without its user.
		if !im.in.has(sessions) {
			if _, err := im.server.Session.Get(ctx, t.sessionID); err != nil {
				return err
			}
		}
		t.there = map[string]*zep.Message{}
		for message, err := range im.server.messages(ctx, t.sessionID) {
			if err != nil {
				return err
			}
			t.there[strings.ToLower(message.UUID)] = message
		}
		return nil
	})
	switch {
	case errors.Is(err, zep.ErrInvalidID), errors.Is(err, zep.ErrNotFound):
		t.refusal = err.Error()
	case err != nil:
		return err
	}
	if im.isBlocked(sessions, t.sessionID) {
		t.refusal = "the session is not that of the export"
	}
	return nil
}

// message imports a message, or keeps it until it is known that none of those that follow is there:
// messages can only be added at the end.
func (t *transcript) message(ctx context.Context, m *zep.Message) error {
	key := strings.ToLower(m.UUID)
	there := t.there[key]
	if t.refusal != "" && (there == nil || len(compareMessages(m, there)) > 0) {
		return t.im.conflict(difference{
			Kind: messages, ID: m.UUID, In: t.sessionID, Difference: isRefused, Reason: t.refusal,
		})
	}
	if there != nil {
		delete(t.there, key)
		t.late = t.late || len(t.pending) > 0
		return t.compare(ctx, m, there)
	}
	t.pending = append(t.pending, m)
	t.bytes += len(m.Content)
	full := len(t.pending) >= t.im.batch || t.bytes >= batchBytes
	if full && len(t.there) == 0 && !t.late {
		return t.flush(ctx)
	}
	return nil
}

// compare settles a message that is there. Only its metadata can be changed.
func (t *transcript) compare(ctx context.Context, m, there *zep.Message) error {
	im := t.im
	changed := compareMessages(m, there)
	if len(changed) == 0 {
		im.counts[messages].there.Add(1)
		return nil
	}
	reason := "the server has another one: -overwrite would change its metadata"
	if im.overwrite {
		reason = "the API can only change metadata, and cannot remove its keys"
		err := im.server.again(ctx, func() error {
			updated, err := im.server.Message.UpdateMetadata(ctx, t.sessionID, m.UUID, m.Metadata)
			if err == nil {
				changed = compareMessages(m, updated)
			}
			return err
		})
		if err != nil {
			return im.refused(messages, t.sessionID, m.UUID, err)
		}
		if len(changed) == 0 {
			im.counts[messages].overwritten.Add(1)
			return nil
		}
	}
	return im.conflict(difference{
		Kind: messages, ID: m.UUID, In: t.sessionID,
		Difference: isChanged, Fields: changed, Reason: reason,
	})
}

// finish adds what is pending after the last message, unless the order would be lost.
func (t *transcript) finish(ctx context.Context) error {
	if !t.late || t.im.overwrite {
		return t.flush(ctx)
	}
	for _, m := range t.pending {
		err := t.im.conflict(difference{
			Kind:       messages,
			ID:         m.UUID,
			In:         t.sessionID,
			Difference: isMoved,
			Reason:     "the server has later messages: -overwrite would add this one behind them",
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// flush adds what is pending.
func (t *transcript) flush(ctx context.Context) error {
	pending := t.pending
	t.pending, t.bytes = nil, 0
	for len(pending) > 0 {
		n, size := 0, 0
		for n < len(pending) && n < t.im.batch && (n == 0 || size < batchBytes) {
			size += len(pending[n].Content)
			n++
		}
		if err := t.add(ctx, pending[:n]); err != nil {
			return err
		}
		pending = pending[n:]
	}
	return nil
}

// add adds messages. If one of them is taken, none was added: those that the session has are from
// an earlier try, and what is left is added one by one, to find those that cannot be.
func (t *transcript) add(ctx context.Context, batch []*zep.Message) error {
	im := t.im
	err := t.send(ctx, batch)
	if err == nil {
		im.counts[messages].added.Add(int64(len(batch)))
		return nil
	}
	if errors.Is(err, zep.ErrAlreadyExists) {
		left, err := t.withoutThose(ctx, batch)
		if err != nil || len(left) == 0 {
			return err
		}
		if len(left) < len(batch) {
			return t.add(ctx, left)
		}
		if len(batch) == 1 {
			return im.conflict(difference{
				Kind:       messages,
				ID:         batch[0].UUID,
				In:         t.sessionID,
				Difference: isRefused,
				Reason:     "another session has a message with this UUID, or a deleted one",
			})
		}
	}
	if len(batch) == 1 || !isRefusal(err) {
		return im.refused(messages, t.sessionID, batch[0].UUID, err)
	}
	for i := range batch {
		if err := t.add(ctx, batch[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

// withoutThose settles the messages of a batch that the session has, and returns the others.
func (t *transcript) withoutThose(
	ctx context.Context, batch []*zep.Message,
) (left []*zep.Message, err error) {
	there := map[string]*zep.Message{}
	for m, err := range t.im.server.messages(ctx, t.sessionID) {
		if err != nil {
			return nil, err
		}
		isIt := func(b *zep.Message) bool { return sameUUID(b, m) }
		if slices.ContainsFunc(batch, isIt) {
			there[strings.ToLower(m.UUID)] = m
		}
	}
	for _, m := range batch {
		found := there[strings.ToLower(m.UUID)]
		if found == nil {
			left = append(left, m)
		} else if err := t.compare(ctx, m, found); err != nil {
			return nil, err
		}
	}
	return left, nil
}

// send sends messages in one call, again if it failed for a passing reason.
func (t *transcript) send(ctx context.Context, batch []*zep.Message) error {
	return t.im.server.again(ctx, func() error {
		err := t.im.server.Memory.Add(ctx, t.sessionID, &zep.AddMemoryRequest{Messages: batch})
		if errors.Is(err, zep.ErrNotPublished) { // stored
			t.im.counts[messages].unpublished.Add(int64(len(batch)))
			return nil
		}
		return err
	})
}

// isRefusal reports whether the server, or the client, refused a request because of its records.
func isRefusal(err error) bool {
	return errors.Is(err, zep.ErrAlreadyExists) || errors.Is(err, zep.ErrTooLarge) ||
		errors.Is(err, zep.ErrBadRequest)
}
