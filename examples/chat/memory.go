package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/zep-go/zep"
)

// memory is the conversation as Zep stores it. The program keeps nothing else between runs.
type memory struct {
	client  *zep.Client
	session string
	last    int // the number of messages that recall returns
	run     int // this run, counted from 1
}

// open gets the user and the session of earlier runs, or adds them, and counts this run in the
// session's metadata.
func open(ctx context.Context, client *zep.Client, s settings) (*memory, error) {
	_, err := client.User.Add(ctx, &zep.CreateUserRequest{UserID: s.user})
	if err != nil && !errors.Is(err, zep.ErrAlreadyExists) {
		return nil, err
	}
	session, err := client.Session.Add(ctx, &zep.CreateSessionRequest{
		SessionID: s.session,
		UserID:    s.user,
	})
	if errors.Is(err, zep.ErrAlreadyExists) {
		session, err = client.Session.Get(ctx, s.session)
	}
	var stored struct{ Runs int }
	switch {
	case errors.Is(err, zep.ErrNotFound):
		// The session was deleted, which keeps its id. The update below restores it, without its
		// messages.
	case err != nil:
		return nil, err
	case session.UserID != s.user:
		return nil, fmt.Errorf("session %s belongs to user %q, not to %q: choose another -session",
			s.session, session.UserID, s.user)
	default:
		if err := session.Metadata.Decode(&stored); err != nil {
			return nil, err
		}
	}
	m := &memory{client: client, session: s.session, last: s.last, run: stored.Runs + 1}
	_, err = client.Session.Update(ctx, &zep.UpdateSessionRequest{
		SessionID: s.session,
		Metadata:  zep.Metadata{"runs": m.run},
	})
	return m, err
}

// recalled is what a run starts with.
type recalled struct {
	total   int            // all messages of the session
	last    []*zep.Message // oldest first
	summary string         // of the messages before them, if the server makes summaries
}

// recall reads the last messages, and counts all of them.
func (m *memory) recall(ctx context.Context) (*recalled, error) {
	found, err := m.client.Memory.Get(ctx, m.session, &zep.GetMemoryOptions{LastN: m.last})
	if err != nil {
		return nil, err
	}
	// A page of messages has the total count.
	page, err := m.client.Message.List(ctx, m.session, &zep.ListMessagesOptions{Limit: 1})
	if err != nil {
		return nil, err
	}
	r := &recalled{total: page.TotalCount, last: found.Messages}
	if found.Summary != nil {
		r.summary = found.Summary.Content
	}
	return r, nil
}

// fact is a statement of the user.
type fact struct {
	uuid, text string
	run        int
	dist       float64 // the score of the search; 0 if no search found it
}

// kindFact marks messages that are facts in their metadata, for searches.
const kindFact = "fact"

func factOf(message *zep.Message, dist float64) (fact, bool, error) {
	var metadata struct {
		Kind string
		Run  int
	}
	if err := message.Metadata.Decode(&metadata); err != nil {
		return fact{}, false, err
	}
	return fact{message.UUID, message.Content, metadata.Run, dist}, metadata.Kind == kindFact, nil
}

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
		f, _, err := factOf(result.Message, result.Dist)
		if err != nil {
			return nil, err
		}
		found = append(found, f)
	}
	return found, nil
}

// window is the number of messages that recent reads: more than are added while a server embeds
// one.
const window = 24

// recent returns the facts among the last messages, the latest first. A server embeds a message
// some time after the add, and a search does not find it before: these are the facts that a search
// may miss.
func (m *memory) recent(ctx context.Context) ([]fact, error) {
	memory, err := m.client.Memory.Get(ctx, m.session, &zep.GetMemoryOptions{LastN: window})
	if err != nil {
		return nil, err
	}
	var found []fact
	for i := len(memory.Messages) - 1; i >= 0; i-- {
		f, ok, err := factOf(memory.Messages[i], 0)
		if err != nil {
			return nil, err
		}
		if ok {
			found = append(found, f)
		}
	}
	return found, nil
}

// add stores a line and its answer: in one request, so that the server has both or neither.
func (m *memory) add(ctx context.Context, line string, isFact bool, answer string) error {
	metadata := zep.Metadata{"run": m.run}
	if isFact {
		metadata["kind"] = kindFact
	}
	err := m.client.Memory.Add(ctx, m.session, &zep.AddMemoryRequest{Messages: []*zep.Message{
		{Role: zep.RoleUser, Content: line, Metadata: metadata},
		{Role: zep.RoleAssistant, Content: answer, Metadata: zep.Metadata{"run": m.run}},
	}})
	if errors.Is(err, zep.ErrNotPublished) {
		return nil // they are stored, only searches miss them
	}
	return err
}
