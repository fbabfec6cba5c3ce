package zeptest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

func (s *Server) messageRoutes() []route {
	return []route{
		{http.MethodGet, "/sessions/{sessionId}/messages", s.listMessages},
		{http.MethodGet, "/sessions/{sessionId}/messages/{messageId}", s.getMessage},
		{http.MethodPatch, "/sessions/{sessionId}/messages/{messageId}", s.updateMessage},
	}
}

type message struct {
	UUID       uuid           `json:"uuid"`
	CreatedAt  time.Time      `json:"created_at"`
	UpdatedAt  time.Time      `json:"updated_at"` // Zep leaves it out of every query: always zero
	Role       string         `json:"role"`
	Content    string         `json:"content"`
	Metadata   map[string]any `json:"metadata,omitempty"`
	TokenCount int            `json:"token_count"`
}

// addMessages adds messages to a session that is there, all or none. The caller holds the lock.
func (s *store) addMessages(sessionID string, messages []message) error {
	sent := map[uuid]bool{}
	for _, m := range messages {
		if m.UUID.isNil() {
			continue
		}
		// Of all sessions, deleted messages too.
		if _, exists := s.messages.byKey[string(m.UUID)]; exists || sent[m.UUID] {
			return errors.New("failed to put messages: failed to create messages ERROR: " +
				`duplicate key value violates unique constraint "message_pkey" (SQLSTATE=23505)`)
		}
		sent[m.UUID] = true
	}
	now := s.now()
	for _, m := range messages {
		if m.UUID.isNil() {
			m.UUID = uuid(newUUID())
		}
		m.CreatedAt = m.CreatedAt.UTC().Truncate(time.Microsecond)
		if m.CreatedAt.IsZero() {
			m.CreatedAt = now
		}
		m.UpdatedAt = time.Time{}
		m.Role, m.Content = dropNUL(m.Role), dropNUL(m.Content)
		m.Metadata = asStored(m.Metadata)
		added := newRow(s.messages.nextID(), string(m.UUID), m)
		added.parent = sessionID
		s.messages.insert(added)
		s.messagesOf[sessionID] = append(s.messagesOf[sessionID], added.key)
		if s.delayed {
			s.unembedded[added.key] = true
		}
	}
	return nil
}

// deleteMessages soft-deletes the messages of a session. The caller holds the lock.
func (s *store) deleteMessages(sessionID string) {
	for _, key := range s.messagesOf[sessionID] {
		deleted := *s.messages.byKey[key]
		deleted.deleted = true
		s.messages.replace(&deleted)
	}
	delete(s.messagesOf, sessionID)
}

// rawMessages are messages as they are sent. The caller holds the lock.
func (s *store) rawMessages(keys []string) []json.RawMessage {
	raw := make([]json.RawMessage, len(keys))
	for i, key := range keys {
		raw[i] = s.messages.byKey[key].json
	}
	return raw
}

// listMessages lists a page of a session's messages, by its number. What is no number is no error
// here: it stands for a limit of 100, or for the first page.
func (s *Server) listMessages(r *http.Request) (answer, error) {
	limit, err := intQuery(r, "limit")
	if err != nil {
		limit = 100
	}
	page, err := intQuery(r, "cursor")
	if err != nil {
		page = 1
	}

	s.store.mu.RLock()
	defer s.store.mu.RUnlock()
	all := s.store.messagesOf[r.PathValue("sessionId")]
	listed := all
	// In SQL, neither a limit nor an offset that isn't positive counts. Dividing keeps a large page
	// from overflowing.
	if length := int64(len(all)); limit > 0 && page > 1 && page-1 > length/limit {
		listed = nil
	} else {
		offset := min(max((page-1)*limit, 0), length)
		listed = listed[offset:]
	}
	if limit > 0 && limit < int64(len(listed)) {
		listed = listed[:limit]
	}

	list := struct {
		Messages   []json.RawMessage `json:"messages"`
		TotalCount int               `json:"total_count"`
		RowCount   int               `json:"row_count"`
	}{s.store.rawMessages(listed), len(all), len(listed)}
	if len(listed) == 0 {
		list.TotalCount = 0 // past the end Zep forgets the others
	}
	return jsonAnswer(list)
}

// inSession finds a message of the session on the path. The caller holds the lock.
func (s *Server) inSession(r *http.Request, key uuid) (*row, bool) {
	found, exists := s.store.messages.get(string(key))
	return found, exists && found.parent == r.PathValue("sessionId")
}

func (s *Server) getMessage(r *http.Request) (answer, error) {
	key, err := parseUUID(r.PathValue("messageId"))
	if err != nil {
		return answer{}, malformedUUID(err)
	}
	s.store.mu.RLock()
	defer s.store.mu.RUnlock()
	found, exists := s.inSession(r, key)
	if !exists {
		return answer{}, errPanic // Zep takes the first of no messages
	}
	return rowAnswer(http.StatusOK, found), nil
}

func malformedUUID(err error, more ...string) error {
	text := fmt.Sprintf("unable to parse document UUID: %v", err)
	for _, line := range more {
		text += "\n" + line
	}
	return &statusError{http.StatusBadRequest, text}
}

// updateMessage merges metadata, and sets the token count to what was sent: to 0 if it wasn't.
func (s *Server) updateMessage(r *http.Request) (answer, error) {
	key, err := parseUUID(r.PathValue("messageId"))
	if err != nil {
		return answer{}, malformedUUID(err, "message UUID cannot be nil")
	}
	type Message message
	var req Message
	if err := decodeJSON(r, &req); err != nil {
		return answer{}, err
	}
	if req.Metadata != nil && len(req.Metadata) == 0 {
		return answer{}, fmt.Errorf("failed to update message metadata: failed to merge message metadata: %w", errEmptyMetadata)
	}
	delete(req.Metadata, "system") // Zep keeps it to itself
	merge := s.merger(r.Context(), "message", s.store.messages, string(key), asStored(req.Metadata))

	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	old, exists := s.inSession(r, key)
	if !exists {
		// Only metadata is looked up first, and then in all sessions, deleted messages too.
		if _, elsewhere := s.store.messages.byKey[string(key)]; !elsewhere && req.Metadata != nil {
			return answer{}, errNotFound
		}
		return answer{}, errPanic
	}
	var m message
	old.decode(&m)
	m.Metadata = merge(m.Metadata)
	m.TokenCount = req.TokenCount
	updated := newRow(old.id, old.key, m)
	updated.parent = old.parent
	s.store.messages.replace(updated)
	return rowAnswer(http.StatusOK, updated), nil
}
