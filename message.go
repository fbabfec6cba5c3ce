package zep

import (
	"context"
	"fmt"
	"iter"
	"slices"
)

// MessageService reads the messages of sessions and changes their metadata: [Client.Message].
// [MemoryService.Add] adds them.
type MessageService struct{ client *Client }

// List returns one page of a session's messages, oldest first. Pages have numbers here, not cursors.
// nil options ask for all messages. Past the end, and of a session that does not exist, the list is
// empty and its TotalCount 0. A negative number is [ErrBadRequest].
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
		decode:   decodeMessageList,
	}, opts)
}

func (o *ListMessagesOptions) validate() error {
	switch {
	case o == nil:
		return nil
	case o.Limit < 0:
		return errNegative("ListMessagesOptions", "Limit", int64(o.Limit))
	case o.Page < 0:
		return errNegative("ListMessagesOptions", "Page", int64(o.Page))
	}
	return nil
}

// messagePage is the page of All. It cannot grow as a walk by cursor does, because a page's number counts in pages of its size.
const messagePage = 500

// All walks all messages of a session, oldest first, in pages of 500; the next is fetched while the loop works on this one, and
// a break cancels that. An error is yielded once, and ends the walk.
//
// GET /api/v1/sessions/{sessionId}/messages
func (s *MessageService) All(ctx context.Context, sessionID string, opts ...RequestOption) iter.Seq2[*Message, error] {
	opts = slices.Clone(opts)
	return func(yield func(*Message, error) bool) {
		before := "" // where the page before began: a server that does not turn the page would be asked forever
		pager[Message]{first: messagePage, most: messagePage, next: func(ctx context.Context, page ListOptions, opts []RequestOption) ([]*Message, int64, error) {
			number := max(page.Cursor, 1)
			list, err := s.List(ctx, sessionID, &ListMessagesOptions{Limit: page.Limit, Page: int(number)}, opts...)
			if err != nil || len(list.Messages) == 0 {
				return nil, number, err
			}
			begin := list.Messages[0].UUID
			if begin == before {
				return nil, number, fmt.Errorf("%w: page %d of the messages begins as the one before", ErrCursorStuck, number)
			}
			before = begin
			return list.Messages, number + 1, nil
		}}.all(ctx, opts)(yield)
	}
}

// Get returns a message. A UUID that is not one is [ErrBadRequest]. The server answers an unknown UUID
// with 500 and no text, so that is [ErrServer], after as many attempts as any 500 of a read:
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

// UpdateMetadata merges metadata into that of a message, as [UpdateUserRequest] says, and returns the
// message after that. The error is [ErrNotFound] if there is none. Empty metadata changes nothing:
// then UpdateMetadata is [MessageService.Get]. The server sets the message's TokenCount to 0.
//
// Updates of one message through one Client go one after the other: see [WithConcurrentUpdates].
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
