package main

import (
	"context"
	"errors"

	"github.com/zep-go/zep"
)

// memory is a session as Zep stores it. The program keeps nothing else between turns.
type memory struct {
	client  *zep.Client
	session string
}

// open gets the user and the session, or adds them. It brings a deleted session back. A session of
// another user is zep.ErrAlreadyExists.
func open(ctx context.Context, client *zep.Client, session, user string) (*memory, error) {
	_, err := client.User.GetOrAdd(ctx, &zep.CreateUserRequest{UserID: user})
	if err != nil {
		return nil, err
	}
	_, err = client.Session.GetOrAdd(ctx, &zep.CreateSessionRequest{
		SessionID: session,
		UserID:    user,
	})
	return &memory{client, session}, err
}

// recall reads the last messages of a session. A session that does not exist is zep.ErrNotFound:
// its memory would be empty.
func recall(ctx context.Context, client *zep.Client, session string, last int) (*history, error) {
	stored, err := client.Session.Get(ctx, session)
	if err != nil {
		return nil, err
	}
	found, err := client.Memory.Get(ctx, session, &zep.GetMemoryOptions{LastN: last})
	if err != nil {
		return nil, err
	}
	h := &history{User: stored.UserID, Messages: []message{}}
	if found.Summary != nil {
		h.Summary = found.Summary.Content
	}
	for _, m := range found.Messages {
		h.Messages = append(h.Messages, message{m.Role, m.Content})
	}
	return h, nil
}

// fact is a statement of the user.
type fact struct {
	Text  string  `json:"text"`
	Score float64 `json:"score"` // of the search; 0 if no search found it
}

// kindFact marks messages that are facts in their metadata, for searches.
const kindFact = "fact"

// search finds the facts that are most similar to a text, best first.
func (m *memory) search(ctx context.Context, text string) ([]fact, error) {
	filter := zep.SearchFilter{Where: zep.Equal("kind", kindFact)}
	results, err := m.client.Memory.Search(ctx, m.session, &zep.SearchMemoryRequest{
		Text:     text,
		Metadata: filter.Metadata(),
		Limit:    2,
	})
	if err != nil {
		return nil, err
	}
	var found []fact
	for _, result := range results {
		found = append(found, fact{result.Message.Content, result.Dist})
	}
	return found, nil
}

// window is the number of messages that recent reads: more than are added while a server embeds
// one.
const window = 24

// recent returns the facts among the last messages, the latest first, and whether there are any
// messages. A server embeds a message some time after the add, and a search does not find it
// before: these are the facts that a search may miss.
func (m *memory) recent(ctx context.Context) (facts []fact, isNew bool, err error) {
	memory, err := m.client.Memory.Get(ctx, m.session, &zep.GetMemoryOptions{LastN: window})
	if err != nil {
		return nil, false, err
	}
	for i := len(memory.Messages) - 1; i >= 0; i-- {
		if message := memory.Messages[i]; message.Metadata["kind"] == kindFact {
			facts = append(facts, fact{Text: message.Content})
		}
	}
	return facts, len(memory.Messages) == 0, nil
}

// add stores a line and its answer: in one request, so that the server has both or neither, and
// no other turn between them.
func (m *memory) add(ctx context.Context, line, answer string) error {
	metadata := zep.Metadata{}
	if intentOf(line) == statement {
		metadata["kind"] = kindFact
	}
	err := m.client.Memory.Add(ctx, m.session, &zep.AddMemoryRequest{Messages: []*zep.Message{
		{Role: zep.RoleUser, Content: line, Metadata: metadata},
		{Role: zep.RoleAssistant, Content: answer},
	}})
	if errors.Is(err, zep.ErrNotPublished) {
		return nil // they are stored, only searches miss them
	}
	return err
}
