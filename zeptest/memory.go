package zeptest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

func (s *Server) memoryRoutes() []route {
	return []route{
		{http.MethodGet, "/sessions/{sessionId}/memory", s.getMemory},
		{http.MethodPost, "/sessions/{sessionId}/memory", s.addMemory},
		{http.MethodPost, "/sessions/{sessionId}/search", s.searchMemory},
	}
}

// memoryWindow is how many messages a memory has at the most if nobody asks for another number.
const memoryWindow = 12

type summary struct {
	UUID              uuid           `json:"uuid"`
	CreatedAt         time.Time      `json:"created_at"`
	Content           string         `json:"content"`
	RecentMessageUUID uuid           `json:"recent_message_uuid"` // the last message in it
	Metadata          map[string]any `json:"metadata,omitempty"`
	TokenCount        int            `json:"token_count"`
}

// latestSummary is a session's summary, or what Zep sends for none. The caller holds the lock.
func (s *store) latestSummary(sessionID string) summary {
	if summaries := s.summariesOf[sessionID]; len(summaries) > 0 {
		return summaries[len(summaries)-1]
	}
	return summary{UUID: nilUUID, RecentMessageUUID: nilUUID}
}

// getMemory answers with the last messages: so many as were asked for, or else those that are not in
// the summary, as far as the window goes. A session that isn't there has none.
func (s *Server) getMemory(r *http.Request) (answer, error) {
	lastN, err := intQuery(r, "lastn")
	if err != nil {
		return answer{}, err
	}
	if lastN < 0 {
		return answer{}, errors.New("cannot specify negative lastNMessages")
	}
	sessionID := r.PathValue("sessionId")

	s.store.mu.RLock()
	defer s.store.mu.RUnlock()
	messages, summarized := s.store.messagesOf[sessionID], s.store.latestSummary(sessionID)
	if lastN == 0 {
		lastN = memoryWindow
		messages = messages[1+slices.Index(messages, string(summarized.RecentMessageUUID)):]
	}
	if lastN < int64(len(messages)) {
		messages = messages[int64(len(messages))-lastN:]
	}
	return jsonAnswer(struct {
		Messages []json.RawMessage `json:"messages"`
		Summary  summary           `json:"summary"`
	}{s.store.rawMessages(messages), summarized})
}

// addMemory adds messages to a session, which it makes if there is none, and undeletes if it was
// deleted. That stays so if the messages are refused.
func (s *Server) addMemory(r *http.Request) (answer, error) {
	type Message message
	type Memory struct {
		Messages []Message      `json:"messages"`
		Summary  *summary       `json:"summary"`  // of no effect
		Metadata map[string]any `json:"metadata"` // of no effect
	}
	var req Memory
	if err := decodeJSON(r, &req); err != nil {
		return answer{}, err
	}
	messages := make([]message, len(req.Messages))
	for i, m := range req.Messages {
		messages[i] = message(m)
	}
	sessionID := r.PathValue("sessionId")

	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if err := s.store.touchSession(sessionID); err != nil {
		return answer{}, err
	}
	if err := s.store.addMessages(sessionID, messages); err != nil {
		return answer{}, err
	}
	return okAnswer, nil
}

// touchSession updates a session without changing it, or adds it. The caller holds the lock.
func (s *store) touchSession(sessionID string) error {
	old, exists := s.sessions.byKey[sessionID]
	if !exists {
		_, err := s.addSession(session{SessionID: sessionID})
		return err
	}
	var v session
	old.decode(&v)
	v.UpdatedAt = s.now()
	s.sessions.replace(newRow(old.id, old.key, v))
	return nil
}

// SetSummary gives a session a summary, as a real server does some time after messages have come. A
// memory then has it, and a search in the summaries finds it.
//
// It is of all messages but the last 6, half of the window. As with a real server, those in a summary
// are left out of a memory that is asked for without a number of messages. The error is that there is
// no such session.
func (s *Server) SetSummary(sessionID, content string) error {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if _, exists := s.store.sessions.get(sessionID); !exists {
		return fmt.Errorf("zeptest: no session with session_id: %s", sessionID)
	}
	recent := nilUUID
	if messages := s.store.messagesOf[sessionID]; len(messages) > memoryWindow/2 {
		recent = uuid(messages[len(messages)-memoryWindow/2-1])
	}
	s.store.summariesOf[sessionID] = append(s.store.summariesOf[sessionID], summary{
		UUID:              uuid(newUUID()),
		CreatedAt:         s.store.now(),
		Content:           content,
		RecentMessageUUID: recent,
	})
	return nil
}
