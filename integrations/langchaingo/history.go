package zeplangchain

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"sync"

	"github.com/google/uuid"
	"github.com/tmc/langchaingo/llms"
	"github.com/tmc/langchaingo/schema"

	"github.com/zep-go/zep"
)

// ChatMessageHistory is a conversation in a Zep session. It is safe for concurrent use.
//
// All message types of LangChainGo come back as they were added. Human, AI and system messages
// have the role "human", "ai" or "system" on the server; those of functions and tools have
// "function" and "tool", and a generic message has its own role. What a message has besides its
// content (the calls of tools, the id of the call that a result is for, a name) is in its
// metadata, under [MetadataKey]. Messages that other programs added are read by their role:
// "user" is human too, "assistant" is AI, and any other role makes a generic message.
//
// Text that is not UTF-8 or contains a NUL character is [zep.ErrBadRequest], before anything is
// sent: the server would store another text. A type of message that is not one of LangChainGo's
// own is llms.ErrUnexpectedChatMessageType.
type ChatMessageHistory struct {
	client    *zep.Client
	sessionID string
	lastN     int

	mu     sync.Mutex
	failed *zep.Message // the last message, if its add failed
}

var _ schema.ChatMessageHistory = (*ChatMessageHistory)(nil)

// HistoryOption changes a [ChatMessageHistory].
type HistoryOption func(*ChatMessageHistory)

// WithLastN makes [ChatMessageHistory.Messages] return at most the last n messages. The others
// stay on the server, where searches find them. By default, and with 0, it returns all messages.
func WithLastN(n int) HistoryOption {
	return func(h *ChatMessageHistory) { h.lastN = n }
}

// NewChatMessageHistory returns the history of a session. It sends nothing. The first message
// creates the session if there is none, and then it belongs to nobody for good: use
// [zep.SessionService.Add] before, for the session of a user.
func NewChatMessageHistory(
	client *zep.Client, sessionID string, options ...HistoryOption,
) *ChatMessageHistory {
	h := &ChatMessageHistory{client: client, sessionID: sessionID}
	for _, option := range options {
		option(h)
	}
	return h
}

// AddUserMessage adds a human message, as [ChatMessageHistory.AddMessage] does.
func (h *ChatMessageHistory) AddUserMessage(ctx context.Context, text string) error {
	return h.AddMessage(ctx, llms.HumanChatMessage{Content: text})
}

// AddAIMessage adds an AI message, as [ChatMessageHistory.AddMessage] does.
func (h *ChatMessageHistory) AddAIMessage(ctx context.Context, text string) error {
	return h.AddMessage(ctx, llms.AIChatMessage{Content: text})
}

// AddMessage adds a message to the end of the history. It is stored once, as
// [zep.MemoryService.Add] promises. After an error it may be stored or not, as [zep.ErrAmbiguous]
// says. To be sure, add it again: if the message after a failed one is equal to it, the two have
// one UUID, and the server stores it once. Only the same ChatMessageHistory knows that UUID.
//
// A message that is stored, but that the server could not queue for embedding
// ([zep.ErrNotPublished]), is no error: it is in the history, and only searches do not find it.
//
// POST /api/v1/sessions/{sessionId}/memory
func (h *ChatMessageHistory) AddMessage(ctx context.Context, message llms.ChatMessage) error {
	m, err := newZepMessage(message)
	if err != nil {
		return fmt.Errorf("zeplangchain: AddMessage: %w", err)
	}
	again := h.identify(m)
	err = h.add(ctx, []*zep.Message{m})
	if again && errors.Is(err, zep.ErrAlreadyExists) { // nobody else has its UUID
		err = nil
	}
	if err != nil {
		h.setFailed(m)
	}
	return err
}

// Messages returns the messages, oldest first: all of them, or those of [WithLastN]. They come in
// one response, whatever window the server is configured for, and without the server's summary. A
// session that does not exist has none. The response must be under 256 MiB ([zep.ErrTooLarge]).
//
// The error names a message whose metadata under [MetadataKey] is not of this package.
//
// GET /api/v1/sessions/{sessionId}/memory
func (h *ChatMessageHistory) Messages(ctx context.Context) ([]llms.ChatMessage, error) {
	options := &zep.GetMemoryOptions{LastN: h.lastN}
	if h.lastN == 0 {
		options.LastN = math.MaxInt32
	}
	memory, err := h.client.Memory.Get(ctx, h.sessionID, options)
	if errors.Is(err, zep.ErrNotFound) { // a server before v0.20, for a session without messages
		return []llms.ChatMessage{}, nil
	}
	if err != nil {
		return nil, err
	}
	messages := make([]llms.ChatMessage, len(memory.Messages))
	for i, m := range memory.Messages {
		if messages[i], err = newChatMessage(m); err != nil {
			return nil, fmt.Errorf("zeplangchain: Messages: message %.50q of session %.100q: %w",
				m.UUID, h.sessionID, err)
		}
	}
	return messages, nil
}

// Clear removes all messages, with their summaries, by deleting the session. A session that does
// not exist is no error. The next message brings the session back, with the metadata and the user
// that it had; until then it is not in lists. The server only marks what it deletes: the id of
// the session and the UUIDs of the messages stay taken.
//
// If the messages are not embedded yet, the server's queue is held up for about 12 s a message.
//
// DELETE /api/v1/sessions/{sessionId}/memory
func (h *ChatMessageHistory) Clear(ctx context.Context) error {
	h.setFailed(nil)
	err := h.client.Memory.Delete(ctx, h.sessionID)
	if errors.Is(err, zep.ErrNotFound) {
		return nil
	}
	return err
}

// SetMessages replaces the history by other messages: it is [ChatMessageHistory.Clear], and then
// one add of all messages. All that is said of Clear goes for it. The API cannot remove single
// messages, so those that stay are stored anew: with new UUIDs and the time of now, and the
// server embeds them again. Without messages it is Clear.
//
// The two steps are not one: others may see the history empty in between, and what they add then
// comes before the messages. If the add fails, the history is empty, or has the first messages if
// they took several requests. After an error, call SetMessages again. Messages that this package
// refuses are refused before anything is removed.
//
// LangChainGo's ConversationWindowBuffer and ConversationTokenBuffer call SetMessages in every
// turn that is over their limit. Use a ConversationBuffer with [WithLastN] instead, which keeps
// the whole conversation on the server.
func (h *ChatMessageHistory) SetMessages(
	ctx context.Context, messages []llms.ChatMessage,
) error {
	stored := make([]*zep.Message, len(messages))
	for i, message := range messages {
		m, err := newZepMessage(message)
		if err != nil {
			return fmt.Errorf("zeplangchain: SetMessages: message %d: %w", i, err)
		}
		stored[i] = m
	}
	if err := h.Clear(ctx); err != nil || len(stored) == 0 {
		return err
	}
	return h.add(ctx, stored)
}

// add adds messages to the session.
func (h *ChatMessageHistory) add(ctx context.Context, messages []*zep.Message) error {
	err := h.client.Memory.Add(ctx, h.sessionID, &zep.AddMemoryRequest{Messages: messages})
	if errors.Is(err, zep.ErrNotPublished) { // stored: after an error they would be added twice
		return nil
	}
	return err
}

// identify gives the message a UUID: that of the last one if the add of that failed and the two
// are equal. Then it returns true.
func (h *ChatMessageHistory) identify(m *zep.Message) (again bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	failed := h.failed
	h.failed = nil
	if failed != nil {
		m.UUID = failed.UUID
		if reflect.DeepEqual(m, failed) {
			return true
		}
	}
	m.UUID = uuid.NewString()
	return false
}

func (h *ChatMessageHistory) setFailed(m *zep.Message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failed = m
}
