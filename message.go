package zep

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"math"
	"math/bits"
	"slices"
)

// MessageService reads the messages of sessions and changes their metadata: [Client.Message].
// [MemoryService.Add] adds them.
type MessageService struct{ client *Client }

// List returns one page of a session's messages, oldest first. Pages have numbers here, not
// cursors. nil options ask for all messages. Past the end, and of a session that does not exist,
// the list is empty and its TotalCount 0. A number that is negative or over 2^31-1 is
// [ErrBadRequest].
//
// GET /api/v1/sessions/{sessionId}/messages
func (s *MessageService) List(
	ctx context.Context, sessionID string, page *ListMessagesOptions, opts ...RequestOption,
) (*MessageList, error) {
	if err := page.validate(); err != nil {
		return nil, s.client.precheck(opts, err)
	}
	return do(ctx, s.client, call[*MessageList]{
		endpoint: "GET /sessions/{sessionId}/messages",
		ids:      []string{sessionID},
		query:    page,
		decode:   decodeMessageList(page.limit()),
	}, opts)
}

// All walks all messages of a session, oldest first. Its pages grow with the number of messages,
// from 512 to 4,096, and shrink with their size; the next page is fetched while the loop works on
// this one, and a break cancels that. An error is yielded once, and ends the walk.
//
// No message is left out before one that is yielded. One that is added during the walk is yielded
// too if the walk has not come to its end.
//
// GET /api/v1/sessions/{sessionId}/messages
func (s *MessageService) All(
	ctx context.Context, sessionID string, opts ...RequestOption,
) iter.Seq2[*Message, error] {
	opts = slices.Clone(opts)
	return func(yield func(*Message, error) bool) {
		if walkOptions(opts).after != nil {
			yield(nil, errAfter)
			return
		}
		walk := messageWalk{service: s, sessionID: sessionID, begins: map[string]bool{}}
		p := pager[Message]{first: firstMessagePage, max: maxMessagePage, next: walk.next}
		p.all(ctx, opts)(yield)
	}
}

// Get returns a message. A UUID that is not one is [ErrBadRequest]. The server answers an unknown
// UUID with 500 and no text, so that is [ErrServer], after as many attempts as any 500 of a read:
// [RequestMaxAttempts] of 1 asks once.
//
// GET /api/v1/sessions/{sessionId}/messages/{messageId}
func (s *MessageService) Get(
	ctx context.Context, sessionID, messageUUID string, opts ...RequestOption,
) (*Message, error) {
	return do(ctx, s.client, call[*Message]{
		endpoint: "GET /sessions/{sessionId}/messages/{messageId}",
		ids:      []string{sessionID, messageUUID},
		decode:   decodeMessage,
	}, opts)
}

// UpdateMetadata merges metadata into that of a message, as [UpdateUserRequest] says, and returns
// the message after that. The error is [ErrNotFound] if there is none. Empty metadata changes
// nothing: then UpdateMetadata is [MessageService.Get]. The server sets the message's TokenCount
// to 0.
//
// The server can undo an update that comes within about half a second after the add of the
// message.
//
// Updates of one message through one Client go one at a time, in the order of the calls: see
// [WithConcurrentUpdates]. One that is given up fails at once, but its request is allowed to
// finish: see [Client.Wait]. UpdateMetadata is done once, unless the network delivers an attempt
// after its successor was answered: that reverts a later update.
//
// PATCH /api/v1/sessions/{sessionId}/messages/{messageId}
func (s *MessageService) UpdateMetadata(
	ctx context.Context, sessionID, messageUUID string, metadata Metadata, opts ...RequestOption,
) (*Message, error) {
	if len(metadata) == 0 {
		return s.Get(ctx, sessionID, messageUUID, opts...)
	}
	update := updateOf("message", uuidKey(messageUUID))
	update.finish = true
	return do(ctx, s.client, call[*Message]{
		endpoint: "PATCH /sessions/{sessionId}/messages/{messageId}",
		ids:      []string{sessionID, messageUUID},
		body:     map[string]Metadata{"metadata": metadata},
		decode:   decodeMessage,
		update:   update,
	}, opts)
}

// limit returns the Limit of the options, which may be nil.
func (o *ListMessagesOptions) limit() int {
	if o == nil {
		return 0
	}
	return o.Limit
}

// validate refuses what the server would misread: it keeps both numbers in 32 bits.
func (o *ListMessagesOptions) validate() error {
	if o == nil {
		return nil
	}
	return cmp.Or(
		checkCount("ListMessagesOptions", "Limit", int64(o.Limit), math.MaxInt32),
		checkCount("ListMessagesOptions", "Page", int64(o.Page), math.MaxInt32),
	)
}

// The page sizes of All. The number of a page counts in pages of its size, so the first and all
// that follow are powers of two.
const (
	firstMessagePage = 512
	maxMessagePage   = 4096
)

// messageWalk is a walk by page numbers. The cursor of its pages is the number of messages before.
type messageWalk struct {
	service   *MessageService
	sessionID string
	begins    map[string]bool // the UUIDs that the pages until now began with
	last      string          // the UUID of the last message
}

// next fetches the page that begins just at the cursor, also after a page that was not full:
// messages that were added since then are not skipped.
func (w *messageWalk) next(
	ctx context.Context, p *walkPage, opts []RequestOption,
) ([]*Message, int64, error) {
	limit, size := p.Limit, messagePageSize(p.Limit, p.Cursor)
	p.Limit = size
	page := ListMessagesOptions{Limit: size, Page: int(p.Cursor/int64(size)) + 1}
	list, err := w.service.List(ctx, w.sessionID, &page, opts...)
	if err != nil || len(list.Messages) == 0 {
		return nil, p.Cursor, err
	}
	begin := list.Messages[0].UUID
	isLast := func(m *Message) bool { return m.UUID == w.last }
	if w.begins[begin] || slices.ContainsFunc(list.Messages, isLast) {
		return nil, p.Cursor, fmt.Errorf("%w: page %d, of %d messages, has messages of a page before",
			ErrCursorStuck, page.Page, page.Limit)
	}
	w.begins[begin], w.last = true, list.Messages[len(list.Messages)-1].UUID
	p.Limit = limit // from which the next page grows
	return list.Messages, p.Cursor + int64(len(list.Messages)), nil
}

// messagePageSize returns the largest power of two that is at most limit, and that the offset is a
// multiple of.
func messagePageSize(limit int, offset int64) int {
	size := 1 << (bits.Len(uint(limit)) - 1)
	for offset%int64(size) != 0 {
		size /= 2
	}
	return size
}
