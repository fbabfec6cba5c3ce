package zep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"slices"
	"time"

	"github.com/zep-go/zep/internal/exactjson"
)

// MemoryService keeps the messages of sessions: [Client.Memory].
type MemoryService struct{ client *Client }

// Get returns the last messages of a session, oldest first, and the summary of the earlier ones,
// nil if there is none yet. nil options are the server's default: 12 messages, without those in
// the summary. A session that does not exist has no messages: that is no error. A LastN that is
// negative or over 2^31-1 is [ErrBadRequest].
//
// GET /api/v1/sessions/{sessionId}/memory
func (s *MemoryService) Get(
	ctx context.Context, sessionID string, options *GetMemoryOptions, opts ...RequestOption,
) (*Memory, error) {
	if err := options.validate(); err != nil {
		return nil, s.client.precheck(opts, err)
	}
	return do(ctx, s.client, call[*Memory]{
		endpoint: "GET /sessions/{sessionId}/memory",
		ids:      []string{sessionID},
		query:    options,
		decode:   decodeMemory,
	}, opts)
}

// Add appends messages to a session. If there is none, it creates one without a user, which can
// never be given one; a deleted session comes back with its user and its metadata. The server
// embeds the messages some time after it has answered, and only then a search finds them. It
// ignores their CreatedAt and stores its own time: a time of yours belongs into Metadata.
//
// Many messages in one request can block the server while it looks for intents: add a long history
// in parts of 4 to 8, as docs/server-surprises.md explains.
//
// A message without a UUID, or with the zero one, is sent with a random one (version 4), so that a
// repeated request stores nothing twice. An attempt that the network delivers after its successor
// was answered stores nothing either, unless the user was deleted in between. The request and its
// messages are not written to.
//
// All messages go in one request, which is stored whole or not at all. Only if the server refuses
// it as too large (413), or if it is over [WithMaxRequestBytes], the messages go in several
// requests, in their order and with Metadata in the first; messages that others add meanwhile may
// come between. If one of these fails, the error tells how many messages are stored by those
// before it: only the others are to be added again. A message that is too large alone is
// [ErrTooLarge]. [WithTimeout] bounds each request.
//
// The error is [ErrNotPublished] if the server stored all messages but could not hand some of them
// on. It is [ErrBadRequest], before anything is sent, if a message is nil or a UUID comes twice. A
// UUID that is taken is [ErrAlreadyExists] and [ErrServer]: then nothing of that request is stored.
//
// POST /api/v1/sessions/{sessionId}/memory
func (s *MemoryService) Add(
	ctx context.Context, sessionID string, req *AddMemoryRequest, opts ...RequestOption,
) error {
	messages, err := req.newMessages()
	if err != nil {
		return s.client.precheck(opts, err)
	}
	b, err := s.messageBatches(messages, req.Metadata)
	if err != nil {
		return s.client.precheck(opts, err)
	}
	if len(messages) == 0 {
		return s.addBatch(ctx, sessionID, nil, newMemory{b.items, req.Metadata}, opts)
	}
	var notPublished error
	done, err := b.send(func(first, end int) error {
		body := newMemory{Messages: b.items[first:end]}
		if first == 0 {
			body.Metadata = req.Metadata
		}
		err := s.addBatch(ctx, sessionID, messages[first:end], body, opts)
		if errors.Is(err, ErrNotPublished) { // stored, and the next ones follow
			notPublished = err
			return nil
		}
		return err
	})
	switch {
	case err == nil:
		return notPublished
	case notPublished != nil:
		return afterBatches("Memory.Add", "stored, but not all published", done, len(messages), err)
	}
	return afterBatches("Memory.Add", "stored", done, len(messages), err)
}

// Delete removes a session and its messages. It is [SessionService.Delete], with the same
// promises: the API has one endpoint for both.
//
// DELETE /api/v1/sessions/{sessionId}/memory
func (s *MemoryService) Delete(
	ctx context.Context, sessionID string, opts ...RequestOption,
) error {
	return s.client.Session.Delete(ctx, sessionID, opts...)
}

// Search finds messages or summaries of one session by the similarity of their text, by their
// metadata, or by both, best first. Messages that were just added may be missing, also from a
// search by metadata: the server embeds them after it has answered. Dates are those at which the
// server stored the messages. A session that does not exist has no results.
//
// The error is [ErrBadRequest], before anything is sent, if there is neither Text nor Metadata,
// or if Limit is negative or over 2^31-1. A JSON path that PostgreSQL cannot read is [ErrServer].
//
// POST /api/v1/sessions/{sessionId}/search
func (s *MemoryService) Search(
	ctx context.Context, sessionID string, req *SearchMemoryRequest, opts ...RequestOption,
) ([]*MemorySearchResult, error) {
	if err := req.validate(); err != nil {
		return nil, s.client.precheck(opts, err)
	}
	return do(ctx, s.client, call[[]*MemorySearchResult]{
		endpoint: "POST /sessions/{sessionId}/search",
		ids:      []string{sessionID},
		query:    searchQuery{req.Limit},
		body:     req,
		resend:   readOnly,
		decode:   decodeSearchResults,
	}, opts)
}

func (o *GetMemoryOptions) validate() error {
	if o == nil {
		return nil
	}
	return checkCount("Memory.Get", "LastN", int64(o.LastN), math.MaxInt32)
}

// newMessage is a message as the server takes it: an empty UUID or time is an error to it.
type newMessage struct {
	UUID       string     `json:"uuid"`
	CreatedAt  *time.Time `json:"created_at,omitempty"`
	Role       Role       `json:"role"`
	Content    string     `json:"content"`
	Metadata   Metadata   `json:"metadata,omitempty"`
	TokenCount int        `json:"token_count,omitempty"`

	generatedUUID bool // no other message has it
}

// newMemory is the body of an add.
type newMemory struct {
	Messages []json.RawMessage `json:"messages"`
	Metadata Metadata          `json:"metadata,omitempty"`
}

// sessionRaceText says that two adds created the session at once. This one's messages were not
// stored.
var sessionRaceText = regexp.MustCompile(
	`^(storage error: failed to [Cc]reate messages \(original error: )?` + // up to Zep 0.18
		`(bad request: )?session already exists` +
		// up to Zep 0.11
		`|^[^"]*duplicate key value violates unique constraint "session_session_id_key"`)

func (s *MemoryService) messageBatches(
	messages []newMessage, metadata Metadata,
) (*batches, error) {
	items, err := encodeItems("Memory.Add", "Messages[%d].", messages)
	if err != nil {
		return nil, err
	}
	rest := newMemory{[]json.RawMessage{}, metadata} // of the first request, without its messages
	envelope, err := exactjson.Encode(rest)
	if err != nil {
		return nil, fmt.Errorf("%w: Memory.Add: %w", ErrBadRequest, lineError{err})
	}
	b := &batches{
		items: items,
		around: func(first int) int {
			if first == 0 {
				return len(envelope)
			}
			return len(`{"messages":[]}`)
		},
		tooLarge: isRefusedAsTooLarge,
		maxBytes: s.client.maxRequestBytes,
	}
	return b, b.check("Memory.Add")
}

// addBatch adds the messages of one request.
func (s *MemoryService) addBatch(
	ctx context.Context, sessionID string, messages []newMessage, body newMemory,
	opts []RequestOption,
) error {
	_, err := do(ctx, s.client, call[none]{
		endpoint:  "POST /sessions/{sessionId}/memory",
		ids:       []string{sessionID},
		body:      body,
		transient: sessionRaceText,
		decode:    decodeOK,
		reconcile: func(ctx context.Context, _ []byte, failure *Error) (none, error) {
			return none{}, s.reconcileAdd(ctx, sessionID, messages, failure, opts)
		},
	}, opts)
	return err
}

// newMessages returns copies of the messages, each with a UUID.
func (r *AddMemoryRequest) newMessages() ([]newMessage, error) {
	if r == nil {
		return nil, errNilRequest("Memory.Add")
	}
	messages := make([]newMessage, len(r.Messages))
	taken := make(map[string]bool)
	for i, m := range r.Messages {
		if m == nil {
			return nil, fmt.Errorf("%w: Memory.Add: message %d is nil", ErrBadRequest, i)
		}
		messages[i] = newMessage{
			UUID:       m.UUID,
			Role:       m.Role,
			Content:    m.Content,
			Metadata:   m.Metadata,
			TokenCount: m.TokenCount,
		}
		if !m.CreatedAt.IsZero() {
			messages[i].CreatedAt = &m.CreatedAt
		}
		key := uuidKey(m.UUID)
		switch {
		case m.UUID == "", key == uuidKey(zeroUUID): // the server replaces it in each attempt
			messages[i].UUID, messages[i].generatedUUID = newUUID(), true
		case taken[key]:
			return nil, fmt.Errorf(
				"%w: Memory.Add: message %d has the UUID %.100q of an earlier one", ErrBadRequest, i, m.UUID)
		}
		taken[key] = true
	}
	return messages, nil
}

// reconcileAdd reads the "message_pkey" that follows an attempt whose outcome is ambiguous. That
// attempt stored all messages or none. It stored none if a UUID was taken that the caller chose. So
// one message with a generated UUID proves by its existence that all are stored; without one, every
// message has to exist with its content.
func (s *MemoryService) reconcileAdd(
	ctx context.Context, sessionID string, sent []newMessage, failure *Error, opts []RequestOption,
) error {
	if !failure.Is(errMessageStored) {
		return failure
	}
	generated := func(m newMessage) bool { return m.generatedUUID }
	if i := slices.IndexFunc(sent, generated); i >= 0 {
		if !slices.ContainsFunc(sent, func(m newMessage) bool { return !m.generatedUUID }) {
			return nil
		}
		sent = sent[i : i+1]
	}
	for _, m := range sent {
		stored, err := s.client.Message.Get(ctx, sessionID, m.UUID, opts...)
		switch {
		case isUnknownMessage(err):
			return failure
		case err != nil:
			return fmt.Errorf("zep: %s: a message's UUID is taken, "+
				"but could not verify whether this call stored it: %w", failure.call(), err)
		case !m.generatedUUID && !sameMessage(m, stored):
			return failure
		}
	}
	return nil
}

// isUnknownMessage reports whether the session has no such message: a 500 without a word.
func isUnknownMessage(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.StatusCode == http.StatusInternalServerError &&
		e.Message == "" && !e.timedOut()
}

// sameMessage reports whether a stored message has the content that was sent.
func sameMessage(sent newMessage, stored *Message) bool {
	return stored.Role == sent.Role && stored.Content == sent.Content
}

// searchQuery is the query string of a search.
type searchQuery struct {
	Limit int `url:"limit,omitempty"`
}
