package zepmcp

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/zep-go/zep"
)

type rememberInput struct {
	SessionID string       `json:"session_id"`
	UserID    string       `json:"user_id,omitempty"`
	Messages  []newMessage `json:"messages"`
	RequestID string       `json:"request_id,omitempty"`
}

type newMessage struct {
	Role     string       `json:"role"`
	Content  string       `json:"content"`
	Metadata zep.Metadata `json:"metadata,omitempty"`
}

type remembered struct {
	SessionID    string   `json:"session_id"`
	Stored       int      `json:"stored" jsonschema:"number of messages that are stored"`
	MessageUUIDs []string `json:"message_uuids"`
	RequestID    string   `json:"request_id" jsonschema:"names this call"`
	Note         string   `json:"note"`
}

// The limits of remember.
const (
	maxMessages = 50
	maxContent  = 50_000
)

func (s *server) addRemember() {
	d := definition{
		name:  "remember",
		title: "Remember messages",
		description: "Stores messages in the memory of a session, after those that are there. " +
			"A session that does not exist is made.",
		writes: true,
		arguments: arguments{
			"session_id": {"the session to add to", idText},
			"user_id": {"the user of a session that is made; a user who does not exist is added",
				idText},
			"messages": {"the messages to store, in the order of the conversation", messageList},
			"request_id": {"any text that names this call: a call that is repeated with the same " +
				"request_id and messages stores them once", length(1, maxID)},
		},
	}
	if s.userID != "" {
		delete(d.arguments, "user_id")
	}
	addTool(s, d, s.remember)
}

// messageList limits the messages to store.
func messageList(s *jsonschema.Schema) {
	least, most := 1, maxMessages
	s.Type, s.Types = "array", nil
	s.MinItems, s.MaxItems = &least, &most
	role, content := s.Items.Properties["role"], s.Items.Properties["content"]
	role.Description = "who says it: user or assistant, or human or ai where the session has those"
	oneOf("user", "assistant", "system", "tool", "function", "human", "ai")(role)
	content.Description = "the text"
	length(1, maxContent)(content)
	s.Items.Properties["metadata"].Description =
		"any JSON object; searches can filter by its top-level keys"
}

func (s *server) remember(ctx context.Context, in rememberInput) (*remembered, error) {
	if err := s.makeSession(ctx, in.SessionID, cmp.Or(s.userID, in.UserID)); err != nil {
		return nil, err
	}
	out := &remembered{
		SessionID: in.SessionID,
		Stored:    len(in.Messages),
		RequestID: cmp.Or(in.RequestID, rand.Text()),
		Note:      "Searches find the messages as soon as the server has embedded them.",
	}
	var messages []*zep.Message
	for i, m := range in.Messages {
		uuid := messageUUID(in.SessionID, out.RequestID, i)
		out.MessageUUIDs = append(out.MessageUUIDs, uuid)
		messages = append(messages, &zep.Message{
			UUID:     uuid,
			Role:     zep.Role(m.Role),
			Content:  m.Content,
			Metadata: m.Metadata,
		})
	}
	err := s.addMessages(ctx, in.SessionID, messages)
	switch {
	case errors.Is(err, zep.ErrNotPublished):
		out.Note = "The messages are stored, but the server may never embed them for searches. " +
			"Do not store them again."
	case maybeStored(err):
		return nil, failed{err, "Some of the messages may be stored. To store those that are not, " +
			"call remember again with the same messages and with request_id " +
			strconv.Quote(out.RequestID) + ": none is stored twice."}
	case err != nil:
		return nil, err
	}
	return out, nil
}

// maybeStored reports whether a failed add may have stored messages: it was not refused whole.
func maybeStored(err error) bool {
	var answer *zep.Error
	if !errors.As(err, &answer) {
		return false
	}
	refused := errors.Is(err, zep.ErrBadRequest) || errors.Is(err, zep.ErrUnauthorized) ||
		errors.Is(err, zep.ErrEndpointNotFound) || errors.Is(err, zep.ErrTooLarge)
	return errors.Is(err, zep.ErrAmbiguous) || !refused
}

// makeSession makes a session of the user and, if need be, the user. Without a user there is
// nothing to make: Zep makes the session with its first message.
func (s *server) makeSession(ctx context.Context, sessionID, userID string) error {
	if userID == "" {
		return nil
	}
	req := &zep.CreateSessionRequest{SessionID: sessionID, UserID: userID}
	_, err := s.client.Session.GetOrAdd(ctx, req)
	if errors.Is(err, zep.ErrUserNotFound) {
		if _, err = s.client.User.GetOrAdd(ctx, &zep.CreateUserRequest{UserID: userID}); err == nil {
			_, err = s.client.Session.GetOrAdd(ctx, req)
		}
	}
	if errors.Is(err, zep.ErrAlreadyExists) {
		return modelError(fmt.Sprintf("session_id %q is taken by a session of somebody else. "+
			"Choose another session_id.", shorten(sessionID)))
	}
	return err
}

// addMessages adds those of the messages that are not stored. All of them have UUIDs.
func (s *server) addMessages(
	ctx context.Context, sessionID string, messages []*zep.Message,
) error {
	err := s.client.Memory.Add(ctx, sessionID, &zep.AddMemoryRequest{Messages: messages})
	for range 3 { // a call with the same request_id may be under way
		if !errors.Is(err, zep.ErrAlreadyExists) {
			return err
		}
		var missing []*zep.Message
		if missing, err = s.missing(ctx, sessionID, messages); err != nil || len(missing) == 0 {
			return err
		}
		err = s.client.Memory.Add(ctx, sessionID, &zep.AddMemoryRequest{Messages: missing})
	}
	if errors.Is(err, zep.ErrAlreadyExists) {
		return modelError("request_id was used before, and the messages of that call were deleted " +
			"since. Choose another request_id, or leave it out.")
	}
	return err
}

// missing returns those of the messages that the session does not have.
func (s *server) missing(
	ctx context.Context, sessionID string, messages []*zep.Message,
) ([]*zep.Message, error) {
	stored := make(map[string]*zep.Message, len(messages))
	for _, m := range messages {
		stored[m.UUID] = nil
	}
	for m, err := range s.client.Message.All(ctx, sessionID) {
		if err != nil {
			return nil, err
		}
		if _, ours := stored[m.UUID]; ours {
			stored[m.UUID] = m
		}
	}
	var missing []*zep.Message
	for _, m := range messages {
		switch found := stored[m.UUID]; {
		case found == nil:
			missing = append(missing, m)
		case found.Role != m.Role || found.Content != m.Content:
			return nil, modelError("request_id was used before for other messages. " +
				"Choose another request_id, or leave it out.")
		}
	}
	return missing, nil
}

// messageUUID returns the UUID of a message of a call, which is the same when the call is
// repeated.
func messageUUID(sessionID, requestID string, i int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%d", sessionID, requestID, i))
	sum[6] = sum[6]&0x0f | 0x80 // version 8: made by a rule of one's own
	sum[8] = sum[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}
