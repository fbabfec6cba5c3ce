package zeptest

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/zep-go/zep"
)

// SeedSessions adds n sessions without going through HTTP. It calls session with 0 to n-1 to get
// them. It stops at the first that the API would refuse, and returns why.
func (s *Server) SeedSessions(n int, session func(i int) zep.CreateSessionRequest) error {
	for i := range n {
		if err := s.seedSession(session(i)); err != nil {
			return fmt.Errorf("zeptest: seeding session %d: %w", i, err)
		}
	}
	return nil
}

func (s *Server) seedSession(req zep.CreateSessionRequest) error {
	metadata, err := seedMetadata(req.Metadata)
	if err != nil {
		return err
	}
	v := session{SessionID: req.SessionID, Metadata: metadata}
	if req.UserID != "" {
		v.UserID = &req.UserID
	}
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	_, err = s.store.addSession(v)
	return err
}

func (s *Server) sessionRoutes() []route {
	return []route{
		{http.MethodGet, "/sessions", s.listSessions},
		{http.MethodPost, "/sessions", s.addSession},
		{http.MethodGet, "/sessions/{sessionId}", s.getSession},
		{http.MethodPatch, "/sessions/{sessionId}", s.updateSession},
		{http.MethodDelete, "/sessions/{sessionId}/memory", s.deleteSession},
	}
}

type session struct {
	UUID      string         `json:"uuid"`
	ID        int64          `json:"id"`
	CreatedAt time.Time      `json:"created_at"`
	UpdatedAt time.Time      `json:"updated_at"`
	DeletedAt *time.Time     `json:"deleted_at"` // null: deleted sessions are never sent
	SessionID string         `json:"session_id"`
	Metadata  map[string]any `json:"metadata"`
	UserID    *string        `json:"user_id"`
}

func (s *Server) addSession(r *http.Request) (answer, error) {
	type CreateSessionRequest struct {
		SessionID string         `json:"session_id"`
		UserID    *string        `json:"user_id"`
		Metadata  map[string]any `json:"metadata"`
	}
	var req CreateSessionRequest
	if err := decodeJSON(r, &req); err != nil {
		return answer{}, err
	}
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	added, err := s.store.addSession(session{
		SessionID: req.SessionID,
		UserID:    req.UserID,
		Metadata:  asStored(req.Metadata),
	})
	if err != nil {
		return answer{}, err
	}
	return rowAnswer(http.StatusCreated, added), nil
}

// addSession adds a session. The caller holds the lock.
func (s *store) addSession(v session) (*row, error) {
	if v.SessionID == "" {
		return nil, errors.New("sessionID cannot be empty")
	}
	v.ID = s.sessions.nextID()
	key := dropNUL(v.SessionID)
	// A deleted session keeps its id.
	if _, exists := s.sessions.byKey[key]; exists {
		return nil, badRequest("session already exists with session_id: " + v.SessionID)
	}
	if v.UserID != nil {
		userID := dropNUL(*v.UserID)
		if _, exists := s.users.get(userID); !exists {
			return nil, badRequest("user does not exist with user_id: " + *v.UserID)
		}
		v.UserID = &userID
		s.sessionsOf[userID] = append(s.sessionsOf[userID], key)
	}
	v.UUID = newUUID()
	v.CreatedAt = s.now()
	v.UpdatedAt = v.CreatedAt
	v.SessionID = key
	added := newRow(v.ID, key, v)
	s.sessions.insert(added)
	return added, nil
}

func (s *Server) getSession(r *http.Request) (answer, error) {
	s.store.mu.RLock()
	defer s.store.mu.RUnlock()
	found, exists := s.store.sessions.get(r.PathValue("sessionId"))
	if !exists {
		return answer{}, errNotFound
	}
	return rowAnswer(http.StatusOK, found), nil
}

// updateSession merges metadata. It finds deleted sessions too, and undeletes them, but not their
// messages.
func (s *Server) updateSession(r *http.Request) (answer, error) {
	type UpdateSessionRequest struct {
		SessionID string         `json:"session_id"` // ignored: that of the path counts
		Metadata  map[string]any `json:"metadata"`
	}
	var req UpdateSessionRequest
	if err := decodeJSON(r, &req); err != nil {
		return answer{}, err
	}
	sessionID := r.PathValue("sessionId")
	release, err := s.lock(r, sessionLock, sessionID, req.Metadata)
	if err != nil {
		return answer{}, err
	}
	a, err := s.mergeSession(r, sessionID, req.Metadata)
	a.release = release
	return a, err
}

func (s *Server) mergeSession(
	r *http.Request, sessionID string, metadata map[string]any,
) (answer, error) {
	if metadata != nil && len(metadata) == 0 {
		return answer{}, fmt.Errorf("failed to merge session metadata: %w", errEmptyMetadata)
	}
	delete(metadata, systemKey)
	merge, err := s.merger(r.Context(), "session", s.store.sessions, sessionID, asStored(metadata))
	if err != nil {
		return answer{}, err
	}

	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	old, exists := s.store.sessions.byKey[sessionID]
	if !exists {
		return answer{}, errNotFound
	}
	var v session
	old.decode(&v)
	v.Metadata = merge(v.Metadata)
	v.UpdatedAt = s.store.now()
	updated := newRow(old.id, old.key, v)
	s.store.sessions.replace(updated)
	return rowAnswer(http.StatusOK, updated), nil
}

func (s *Server) deleteSession(r *http.Request) (answer, error) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if !s.store.deleteSession(r.PathValue("sessionId")) {
		return answer{}, errNotFound
	}
	return okAnswer, nil
}

// deleteSession soft-deletes a session with what it has, and says whether there was one. The
// caller holds the lock.
func (s *store) deleteSession(sessionID string) bool {
	found, exists := s.sessions.get(sessionID)
	if !exists {
		return false
	}
	deleted := *found
	deleted.deleted = true
	s.sessions.replace(&deleted)
	s.deleteMessages(sessionID)
	delete(s.summariesOf, sessionID)
	return true
}

// removeSession removes a session for good, with what it has and had. The caller holds the lock.
func (s *store) removeSession(sessionID string) {
	for _, keys := range [][]string{s.messagesOf[sessionID], s.deletedMessagesOf[sessionID]} {
		for _, key := range keys {
			s.messages.remove(s.messages.byKey[key])
			delete(s.unembedded, key)
		}
	}
	delete(s.messagesOf, sessionID)
	delete(s.deletedMessagesOf, sessionID)
	delete(s.summariesOf, sessionID)
	s.sessions.remove(s.sessions.byKey[sessionID])
}

func (s *Server) listSessions(r *http.Request) (answer,
	error) {
	return s.list(r, s.store.sessions)
}
