package zep

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// MemoryService keeps what was said in sessions: [Client.Memory].
type MemoryService struct{ client *Client }

// Get returns the last messages of a session, oldest first, and the summary of those before, nil while there is none. nil
// options are the server's default: 12 messages, without those that are in the summary. A session that is not there has no
// messages: that is no error. A negative LastN is [ErrBadRequest].
//
// GET /api/v1/sessions/{sessionId}/memory
func (s *MemoryService) Get(ctx context.Context, sessionID string, options *GetMemoryOptions, opts ...RequestOption) (*Memory, error) {
	var refused error
	if options != nil && options.LastN < 0 {
		refused = errNegative("Memory.Get", "LastN", options.LastN)
	}
	return do(ctx, s.client, call[*Memory]{
		method: http.MethodGet, route: "/sessions/{sessionId}/memory", ids: []string{sessionID}, query: options, decode: decodeMemory,
		refused: refused,
	}, opts)
}

// noUUID stands for a summary that is not there.
const noUUID = "00000000-0000-0000-0000-000000000000"

// newMessage is a message as the server takes it: an empty UUID or time is an error to it.
type newMessage struct {
	UUID       string     `json:"uuid"`
	CreatedAt  *time.Time `json:"created_at,omitempty"`
	Role       Role       `json:"role"`
	Content    string     `json:"content"`
	Metadata   Metadata   `json:"metadata,omitempty"`
	TokenCount int        `json:"token_count,omitempty"`

	ours bool // the UUID is, and nobody else's
}

// sessionRace: two adds created the session at once, and this one's messages were not stored.
var sessionRace = regexp.MustCompile(`^(bad request: )?session already exists`)

// Add appends messages to a session, which it creates if there is none. They are embedded, and can be searched, some time after
// that.
//
// Each message without a UUID, or with the zero one, is sent with a random one (version 4), so that a repeated request stores nothing
// twice; the request and its messages are not written to. If the server stored the messages but could not hand them on, the error is
// [ErrNotPublished]: they are there. What is over the server's 5 MiB is [ErrTooLarge]. A UUID of the caller's that is taken is
// [ErrServer], with "message_pkey" in its text: then nothing of the request is stored. A nil message, and a UUID that comes
// twice, is [ErrBadRequest] before anything is sent.
//
// POST /api/v1/sessions/{sessionId}/memory
func (s *MemoryService) Add(ctx context.Context, sessionID string, req *AddMemoryRequest, opts ...RequestOption) error {
	if req == nil {
		_, err := do(ctx, s.client, call[none]{refused: errNilRequest("Memory.Add")}, opts)
		return err
	}
	messages, err := newMessages(req.Messages)
	_, err = do(ctx, s.client, call[none]{
		method: http.MethodPost, route: "/sessions/{sessionId}/memory", ids: []string{sessionID}, decode: decodeOK, refused: err,
		body: struct {
			Messages []newMessage `json:"messages"`
			Metadata Metadata     `json:"metadata,omitempty"`
		}{messages, req.Metadata},
		transient: sessionRace,
		settle: func(ctx context.Context, failure *Error) (none, error) {
			return none{}, s.settleAdd(ctx, sessionID, messages, failure, opts)
		},
	}, opts)
	return err
}

// newMessages are copies of a caller's messages, each with a UUID.
func newMessages(messages []*Message) ([]newMessage, error) {
	made := make([]newMessage, len(messages))
	chosen := make(map[string]bool)
	for i, m := range messages {
		if m == nil {
			return nil, fmt.Errorf("%w: Memory.Add: message %d is nil", ErrBadRequest, i)
		}
		made[i] = newMessage{UUID: m.UUID, Role: m.Role, Content: m.Content, Metadata: m.Metadata, TokenCount: m.TokenCount}
		switch key := uuidKey(m.UUID); {
		case m.UUID == "", key == uuidKey(noUUID): // for the zero UUID the server would take one of its own, another in each attempt
			made[i].UUID, made[i].ours = newUUID(), true
		case chosen[key]:
			return nil, fmt.Errorf("%w: Memory.Add: message %d has the UUID %s of an earlier one", ErrBadRequest, i, m.UUID)
		default:
			chosen[key] = true
		}
		if !m.CreatedAt.IsZero() {
			made[i].CreatedAt = &m.CreatedAt
		}
	}
	return made, nil
}

// settleAdd reads the "message_pkey" that follows an attempt whose answer was lost: that attempt stored the messages, all of
// them or none, unless one has a UUID that the caller chose and that was taken before. One with a UUID of ours proves it by being
// there. If the caller chose them all, every one has to be there with its content: then they are stored, whoever did it.
func (s *MemoryService) settleAdd(ctx context.Context, sessionID string, sent []newMessage, failure *Error, opts []RequestOption) error {
	theirs := func(m newMessage) bool { return !m.ours }
	if !failure.Is(errMessageStored) {
		return failure
	}
	if !slices.ContainsFunc(sent, theirs) {
		return nil
	}
	if i := slices.IndexFunc(sent, func(m newMessage) bool { return m.ours }); i >= 0 {
		sent = sent[i : i+1]
	}
	for _, m := range sent {
		there, err := s.client.Message.Get(ctx, sessionID, m.UUID, opts...)
		var missing *Error
		switch {
		case errors.As(err, &missing) && missing.StatusCode == http.StatusInternalServerError && missing.Message == "":
			return failure // Zep's way to say that this session has no such message
		case err != nil:
			return fmt.Errorf("zep: %s %s: a message's UUID is taken, and whether this call stored it cannot be told: %w", failure.Method, failure.Path, err)
		case theirs(m) && (string(there.Role) != asStored(string(m.Role)) || there.Content != asStored(m.Content)):
			return failure
		}
	}
	return nil
}

// uuidKey is one form for all those in which the server reads a UUID: in upper case, in braces, as a URN, without hyphens.
func uuidKey(uuid string) string {
	return uuidPunctuation.Replace(strings.TrimPrefix(strings.ToLower(uuid), "urn:uuid:"))
}

var uuidPunctuation = strings.NewReplacer("-", "", "{", "", "}", "")

// newUUID is a version 4 UUID of RFC 9562.
func newUUID() string {
	var u [16]byte
	if _, err := rand.Read(u[:]); err != nil {
		panic("zep: no randomness: " + err.Error()) // never, says crypto/rand from Go 1.24 on
	}
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// Delete removes a session and its messages. It is [SessionService.Delete]: the API has one endpoint for both.
//
// DELETE /api/v1/sessions/{sessionId}/memory
func (s *MemoryService) Delete(ctx context.Context, sessionID string, opts ...RequestOption) error {
	return s.client.Session.Delete(ctx, sessionID, opts...)
}

// searchQuery is what a search has in its URL.
type searchQuery struct {
	Limit int `url:"limit,omitempty"`
}

// Search finds messages, or summaries, of one session, by the likeness of their text, by their metadata, or both; best first.
// What was added a moment ago may be missing, from a search by metadata too: it is embedded after the add was answered. A session
// that is not there has no results.
//
// Neither Text nor Metadata, or a negative Limit, is [ErrBadRequest] before anything is sent; a JSON path that PostgreSQL cannot
// read is [ErrServer].
//
// POST /api/v1/sessions/{sessionId}/search
func (s *MemoryService) Search(ctx context.Context, sessionID string, req *SearchMemoryRequest, opts ...RequestOption) ([]*MemorySearchResult, error) {
	var refused error
	switch {
	case req == nil:
		return do(ctx, s.client, call[[]*MemorySearchResult]{refused: errNilRequest("Memory.Search")}, opts)
	case req.Text == "" && len(req.Metadata) == 0:
		refused = fmt.Errorf("%w: Memory.Search: neither Text nor Metadata to search for", ErrBadRequest)
	case req.Limit < 0:
		refused = errNegative("Memory.Search", "Limit", req.Limit)
	}
	return do(ctx, s.client, call[[]*MemorySearchResult]{
		method: http.MethodPost, route: "/sessions/{sessionId}/search", ids: []string{sessionID},
		query: searchQuery{req.Limit}, body: req, read: true, decode: decodeSearchResults, refused: refused,
	}, opts)
}
