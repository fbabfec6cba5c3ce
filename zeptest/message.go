package zeptest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

func (s *Server) messageRoutes() []route {
	if !s.version.hasMessageRoutes() {
		return nil
	}
	return []route{
		{http.MethodGet, "/sessions/{sessionId}/messages", s.listMessages},
		{http.MethodGet, "/sessions/{sessionId}/messages/{messageId}", s.getMessage},
		{http.MethodPatch, "/sessions/{sessionId}/messages/{messageId}", s.updateMessage},
	}
}

// message is a message as it is sent. Its UpdatedAt is always zero: Zep leaves it out of every
// query.
type message struct {
	UUID       uuid           `json:"uuid"`
	CreatedAt  time.Time      `json:"created_at"`
	UpdatedAt  time.Time      `json:"updated_at"`
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
		// In whatever session, deleted messages too.
		_, exists := s.messages.byKey[string(m.UUID)]
		switch {
		case s.version.hasOldMemory() && sent[m.UUID]:
			const failed = "failed to Create messages"
			return storageError(failed, storageError(failed, errors.New(
				"ERROR: ON CONFLICT DO UPDATE command cannot affect row a second time "+
					"(SQLSTATE=21000)")))
		case !s.version.hasOldMemory() && (exists || sent[m.UUID]):
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
		if m.CreatedAt.IsZero() || !s.version.keepsMessageTimes() {
			m.CreatedAt = now
		}
		m.UpdatedAt = time.Time{}
		m.Role, m.Content = dropNUL(m.Role), dropNUL(m.Content)
		m.Metadata = asStored(m.Metadata)
		if old, exists := s.messages.byKey[string(m.UUID)]; exists {
			s.removeMessage(old)
		}
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

// removeMessage removes a message for good. The caller holds the lock.
func (s *store) removeMessage(r *row) {
	isIt := func(key string) bool { return key == r.key }
	for _, keys := range []map[string][]string{s.messagesOf, s.deletedMessagesOf} {
		keys[r.parent] = slices.DeleteFunc(keys[r.parent], isIt)
	}
	s.messages.remove(r)
}

// deleteMessages soft-deletes the messages of a session. The caller holds the lock.
func (s *store) deleteMessages(sessionID string) {
	keys := s.messagesOf[sessionID]
	for _, key := range keys {
		deleted := *s.messages.byKey[key]
		deleted.deleted = true
		s.messages.replace(&deleted)
	}
	s.deletedMessagesOf[sessionID] = append(s.deletedMessagesOf[sessionID], keys...)
	delete(s.messagesOf, sessionID)
}

// rawMessages returns messages as they are sent. The caller holds the lock.
func (s *store) rawMessages(keys []string) []json.RawMessage {
	raw := make([]json.RawMessage, len(keys))
	for i, key := range keys {
		raw[i] = s.messages.byKey[key].json
	}
	return raw
}

// listMessages lists a page of a session's messages, by its number. A limit that is not a number
// counts as 100, and such a page as the first.
func (s *Server) listMessages(r *http.Request) (answer, error) {
	limit, err := intQuery(r, "limit")
	if err != nil {
		limit = 100
	}
	page, err := intQuery(r, "cursor")
	if err != nil {
		page = 1
	}
	offset := sqlLimit((page - 1) * limit)
	limit = sqlLimit(limit)

	s.store.mu.RLock()
	defer s.store.mu.RUnlock()
	all := s.store.messagesOf[r.PathValue("sessionId")]
	listed := firstOf(all[min(max(offset, 0), int64(len(all))):], limit)
	list := struct {
		Messages   []json.RawMessage `json:"messages"`
		TotalCount int               `json:"total_count"`
		RowCount   int               `json:"row_count"`
	}{s.store.rawMessages(listed), len(all), len(listed)}
	if len(listed) == 0 {
		list.TotalCount = 0 // so it is past the end
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

// updateMessage merges metadata, and sets the token count to what was sent: to 0 if it was not. If
// the body has a UUID, Zep updates that message, and answers with the one of the path.
func (s *Server) updateMessage(r *http.Request) (answer, error) {
	key, malformed := parseUUID(r.PathValue("messageId"))
	type Message message
	req := Message{UUID: key}
	if err := decodeJSON(r, &req); err != nil {
		if malformed != nil {
			err = malformedUUID(malformed, err.Error())
		}
		return answer{}, err
	}
	const noUUID = "message UUID cannot be nil"
	switch {
	case req.UUID.isNil() && malformed != nil:
		return answer{}, malformedUUID(malformed, noUUID)
	case req.UUID.isNil():
		return answer{}, errors.New(noUUID)
	}
	release, err := s.lock(r, messageLock, string(req.UUID), req.Metadata)
	if err != nil {
		return answer{}, err
	}
	a, err := s.mergeMessage(r, key, message(req))
	a.release = release
	return a, err
}

func (s *Server) mergeMessage(r *http.Request, shown uuid, req message) (answer, error) {
	if req.Metadata != nil && len(req.Metadata) == 0 {
		return answer{}, fmt.Errorf("failed to update message metadata: "+
			"failed to merge message metadata: %w", errEmptyMetadata)
	}
	delete(req.Metadata, systemKey)
	merge, err := s.merger(r.Context(), "message", s.store.messages, string(req.UUID),
		asStored(req.Metadata))
	if err != nil {
		return answer{}, err
	}

	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	// Only metadata is looked up first, and then in all sessions, deleted messages too.
	if _, exists := s.store.messages.byKey[string(req.UUID)]; !exists && req.Metadata != nil {
		return answer{}, errNotFound
	}
	if old, exists := s.inSession(r, req.UUID); exists {
		var m message
		old.decode(&m)
		m.Metadata = merge(m.Metadata)
		m.TokenCount = req.TokenCount
		updated := newRow(old.id, old.key, m)
		updated.parent = old.parent
		s.store.messages.replace(updated)
	}
	found, exists := s.inSession(r, shown)
	if !exists {
		return answer{}, errPanic // Zep takes the first of no messages
	}
	return rowAnswer(http.StatusOK, found), nil
}
