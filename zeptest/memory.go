package zeptest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// SetSummary gives a session a summary, as a real server does some time after messages have come.
// The session's memory then has it, and a search in the summaries finds it.
//
// The summary is of all messages but the last 6, half of the window. As on a real server, a memory
// that is asked for without a number of messages leaves out those in the summary. SetSummary fails
// if there is no such session.
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

func (s *Server) memoryRoutes() []route {
	return []route{
		{http.MethodGet, "/sessions/{sessionId}/memory", s.getMemory},
		{http.MethodPost, "/sessions/{sessionId}/memory", s.addMemory},
		{http.MethodPost, "/sessions/{sessionId}/search", s.searchMemory},
	}
}

// memoryWindow is how many messages a memory has at most if none are asked for by number.
const memoryWindow = 12

type summary struct {
	UUID              uuid           `json:"uuid"`
	CreatedAt         time.Time      `json:"created_at"`
	Content           string         `json:"content"`
	RecentMessageUUID uuid           `json:"recent_message_uuid"` // the last message in it
	Metadata          map[string]any `json:"metadata,omitempty"`
	TokenCount        int            `json:"token_count"`
}

// latestSummary returns a session's summary, or what Zep sends for none. The caller holds the
// lock.
func (s *store) latestSummary(sessionID string) summary {
	if summaries := s.summariesOf[sessionID]; len(summaries) > 0 {
		return summaries[len(summaries)-1]
	}
	return summary{UUID: nilUUID, RecentMessageUUID: nilUUID}
}

// getMemory answers with the last messages: as many as were asked for, or else the window of those
// that are not in the summary.
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
	if lastN > 0 {
		messages = lastOf(messages, sqlLimit(lastN))
	} else {
		recent := slices.Index(messages, string(summarized.RecentMessageUUID))
		messages = s.version.window(messages[1+recent:])
	}
	if len(messages) == 0 && s.version.hasOldMemory() {
		return answer{}, errNotFound
	}
	return jsonAnswer(struct {
		Messages []json.RawMessage `json:"messages"`
		Summary  summary           `json:"summary"`
	}{s.store.rawMessages(messages), summarized})
}

// lastOf returns the last n, or all if n is not positive.
func lastOf(keys []string, n int64) []string {
	if n <= 0 {
		return keys
	}
	return keys[max(0, int64(len(keys))-n):]
}

// addMemory adds messages to a session. It makes the session if there is none, and undeletes it if
// it was deleted, even if the messages are refused then.
func (s *Server) addMemory(r *http.Request) (answer, error) {
	type Message message
	type Summary summary
	type Memory struct {
		Messages []Message      `json:"messages"`
		Summary  *Summary       `json:"summary"`  // of no effect
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

// touchSession updates a session without changing it, and undeletes it, or adds it. The caller
// holds the lock.
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
