package zepmcp

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/zep-go/zep"
)

type recallInput struct {
	SessionID     string `json:"session_id"`
	Limit         int    `json:"limit,omitempty"`
	Before        int    `json:"before,omitempty"`
	ContentOffset int    `json:"content_offset,omitempty"`
}

// storedMessage is a message of a session, as the tools return it.
type storedMessage struct {
	Number    int       `json:"number,omitempty" jsonschema:"position in the session: 1 is the first"`
	UUID      string    `json:"uuid"`
	Role      string    `json:"role"`
	CreatedAt time.Time `json:"created_at" jsonschema:"when it was stored"`
	text
}

type recalled struct {
	SessionID  string           `json:"session_id"`
	Total      int              `json:"total,omitempty" jsonschema:"number of messages of the session"`
	Summary    string           `json:"summary,omitempty" jsonschema:"summary of earlier messages"`
	SummaryCut bool             `json:"summary_cut,omitempty" jsonschema:"search_memory has all of it"`
	Messages   []*storedMessage `json:"messages" jsonschema:"oldest first"`
	More       *more            `json:"more,omitempty" jsonschema:"how to get earlier messages"`
}

const maxNumber = 1 << 31

func (s *server) addRecall() {
	addTool(s, definition{
		name:  "recall",
		title: "Recall a conversation",
		description: "Reads the latest messages of a session, and the summary of earlier ones. " +
			"With before it goes further back.",
		arguments: arguments{
			"session_id": {"the session to read", idText},
			"limit":      {"how many messages at most", between(1, 200, 20)},
			"before": {"read the messages before the one with this number; 0 reads the latest",
				between(0, maxNumber, 0)},
			"content_offset": {"characters to skip of the latest message of the answer, to go on " +
				"with one that was cut", between(0, maxNumber, 0)},
		},
	}, s.recall)
}

func (s *server) recall(ctx context.Context, in recallInput) (*recalled, error) {
	if err := s.checkOwner(ctx, in.SessionID); err != nil {
		return nil, err
	}
	out := &recalled{SessionID: in.SessionID, Messages: []*storedMessage{}}
	messages, total, err := s.window(ctx, in)
	if errors.Is(err, zep.ErrEndpointNotFound) && in.Before == 0 {
		messages, err = s.lastMessages(ctx, in)
	}
	if err != nil {
		return nil, err
	}
	if len(messages) == 0 && total == 0 {
		return out, s.checkExists(ctx, in.SessionID)
	}
	out.Total = total
	if in.Before == 0 {
		if err := s.addSummary(ctx, out); err != nil {
			return nil, err
		}
	}
	slices.Reverse(messages) // the latest have to fit
	if err := skipContent(messages, in.ContentOffset); err != nil {
		return nil, err
	}
	kept, f, err := fit(s, out, messages)
	if err != nil {
		return nil, err
	}
	out.More = f.earlier(s, in, messages)
	slices.Reverse(kept)
	out.Messages = kept
	return out, nil
}

// window returns messages by their numbers, oldest first, and how many the session has.
func (s *server) window(ctx context.Context, in recallInput) ([]*storedMessage, int, error) {
	page := func(n int) (*zep.MessageList, error) {
		return s.client.Message.List(ctx, in.SessionID,
			&zep.ListMessagesOptions{Limit: in.Limit, Page: n})
	}
	list, err := page(1)
	if err != nil || list.TotalCount == 0 {
		return nil, 0, err
	}
	total, end := list.TotalCount, list.TotalCount
	if in.Before > 0 {
		end = min(end, in.Before-1)
	}
	begin := max(0, end-in.Limit)
	var messages []*storedMessage
	for n := begin/in.Limit + 1; (n-1)*in.Limit < end; n++ {
		if n > 1 {
			if list, err = page(n); err != nil {
				return nil, 0, err
			}
		}
		for i, m := range list.Messages {
			if number := (n-1)*in.Limit + i + 1; number > begin && number <= end {
				messages = append(messages, messageOf(m, number))
			}
		}
	}
	return messages, total, nil
}

// lastMessages returns the last messages of a server that has no pages of them: Zep before v0.21.
func (s *server) lastMessages(ctx context.Context, in recallInput) ([]*storedMessage, error) {
	memory, err := s.client.Memory.Get(ctx, in.SessionID, &zep.GetMemoryOptions{LastN: in.Limit})
	if errors.Is(err, zep.ErrNotFound) {
		return nil, nil // of a session without messages
	}
	if err != nil {
		return nil, err
	}
	var messages []*storedMessage
	for _, m := range memory.Messages {
		messages = append(messages, messageOf(m, 0))
	}
	return messages, nil
}

// addSummary adds the summary of the session to an answer.
func (s *server) addSummary(ctx context.Context, out *recalled) error {
	memory, err := s.client.Memory.Get(ctx, out.SessionID, &zep.GetMemoryOptions{LastN: 1})
	if err != nil || memory.Summary == nil {
		return err
	}
	summary := &text{Content: memory.Summary.Content}
	if size, _ := sizeOf(summary); size <= s.maxBytes/4 {
		out.Summary = summary.Content
		return nil
	}
	if _, _, err := cut(summary, s.maxBytes/4); err != nil {
		return err
	}
	out.Summary, out.SummaryCut = summary.Content, summary.ContentCut
	return nil
}

// earlier says how to get what an answer of recall leaves out of the messages, which are latest
// first.
func (f fitted) earlier(s *server, in recallInput, messages []*storedMessage) *more {
	if len(messages) == 0 {
		return nil
	}
	if messages[0].Number == 0 { // of an old server
		if f.records == len(messages) && f.content == 0 {
			return nil
		}
		return &more{
			Note: fmt.Sprintf("An answer has at most %d bytes, so it lacks earlier messages, "+
				"or the end of a content. This Zep server has no means to read these.", s.maxBytes),
			Arguments: map[string]any{},
		}
	}
	before := messages[0].Number + 1 - f.next()
	if before <= 1 && f.leftOut == 0 {
		return nil
	}
	return &more{
		Note:      f.note(s, "recall", "earlier messages"),
		Arguments: f.arguments("before", before, in.ContentOffset),
	}
}

func messageOf(m *zep.Message, number int) *storedMessage {
	return &storedMessage{
		Number:    number,
		UUID:      m.UUID,
		Role:      string(m.Role),
		CreatedAt: m.CreatedAt,
		text:      textOf(m.Content, m.Metadata),
	}
}
