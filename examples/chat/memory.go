package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/zep-go/zep"
)

// A memory is what Zep keeps of a conversation. It is all that this program knows of earlier runs.
type memory struct {
	client  *zep.Client
	session string
	last    int // how many messages recall returns
	run     int // the number of this run
}

// open finds the user and the session as earlier runs left them, or adds them, and counts this run in the session's metadata.
func open(ctx context.Context, client *zep.Client, s settings) (*memory, error) {
	_, err := client.User.Add(ctx, &zep.CreateUserRequest{UserID: s.user})
	if err != nil && !errors.Is(err, zep.ErrAlreadyExists) {
		return nil, err
	}
	session, err := client.Session.Add(ctx, &zep.CreateSessionRequest{SessionID: s.session, UserID: s.user})
	if errors.Is(err, zep.ErrAlreadyExists) {
		session, err = client.Session.Get(ctx, s.session)
	}
	var kept struct{ Runs int }
	switch {
	case errors.Is(err, zep.ErrNotFound):
		// It exists, and is not there: it was deleted. The update below brings it back, without its messages.
	case err != nil:
		return nil, err
	case session.UserID != s.user:
		return nil, fmt.Errorf("the session %s is of the user %q, not of %q: choose another -session", s.session, session.UserID, s.user)
	default:
		if err := session.Metadata.Decode(&kept); err != nil {
			return nil, err
		}
	}
	m := &memory{client: client, session: s.session, last: s.last, run: kept.Runs + 1}
	_, err = client.Session.Update(ctx, &zep.UpdateSessionRequest{SessionID: s.session, Metadata: zep.Metadata{"runs": m.run}})
	return m, err
}

// recalled is how much was said, and what was said last.
type recalled struct {
	total   int
	last    []*zep.Message // oldest first
	summary string         // of what was before, if the server makes summaries
}

// recall is what a run begins with.
func (m *memory) recall(ctx context.Context) (*recalled, error) {
	found, err := m.client.Memory.Get(ctx, m.session, &zep.GetMemoryOptions{LastN: m.last})
	if err != nil {
		return nil, err
	}
	// A page tells how many messages there are in all.
	page, err := m.client.Message.List(ctx, m.session, &zep.ListMessagesOptions{Limit: 1})
	if err != nil {
		return nil, err
	}
	said := &recalled{total: page.TotalCount, last: found.Messages}
	if found.Summary != nil {
		said.summary = found.Summary.Content
	}
	return said, nil
}

// A fact is something that the user said and did not ask, and when.
type fact struct {
	uuid, text string
	run        int
	dist       float64 // how alike it is to what was searched for; 0 if it was not found by a search
}

// kindFact marks the messages that are facts, in their metadata. Searches go by it.
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

// search finds facts by their likeness to a text, best first.
func (m *memory) search(ctx context.Context, text string) ([]fact, error) {
	filter := zep.SearchFilter{Where: zep.JSONPath(fmt.Sprintf(`$[*] ? (@.kind == "%s")`, kindFact))}
	results, err := m.client.Memory.Search(ctx, m.session, &zep.SearchMemoryRequest{Text: text, Metadata: filter.Metadata(), Limit: 2})
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

// window is how many messages recent looks through: more than are said while a server embeds one.
const window = 24

// recent are the facts among the last messages, the latest first. A server embeds a message some time after it has taken it, and a
// search does not find it before that: these are the ones that a search may have missed.
func (m *memory) recent(ctx context.Context) ([]fact, error) {
	said, err := m.client.Memory.Get(ctx, m.session, &zep.GetMemoryOptions{LastN: window})
	if err != nil {
		return nil, err
	}
	var found []fact
	for i := len(said.Messages) - 1; i >= 0; i-- {
		f, ok, err := factOf(said.Messages[i], 0)
		if err != nil {
			return nil, err
		}
		if ok {
			found = append(found, f)
		}
	}
	return found, nil
}

// keep adds what was said to the memory: both sides in one request, so that no question stays without its answer.
func (m *memory) keep(ctx context.Context, said string, isFact bool, answer string) error {
	metadata := zep.Metadata{"run": m.run}
	if isFact {
		metadata["kind"] = kindFact
	}
	err := m.client.Memory.Add(ctx, m.session, &zep.AddMemoryRequest{Messages: []*zep.Message{
		{Role: zep.RoleUser, Content: said, Metadata: metadata},
		{Role: zep.RoleAssistant, Content: answer, Metadata: zep.Metadata{"run": m.run}},
	}})
	if errors.Is(err, zep.ErrNotPublished) {
		return nil // they are kept, only searches will miss them
	}
	return err
}
