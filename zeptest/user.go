package zeptest

import (
	"fmt"
	"net/http"
	"time"

	"github.com/zep-go/zep"
)

// SeedUsers adds n users without going through HTTP. It calls user with 0 to n-1 to get them. It
// stops at the first that the API would refuse, and returns why.
func (s *Server) SeedUsers(n int, user func(i int) zep.CreateUserRequest) error {
	for i := range n {
		if err := s.seedUser(user(i)); err != nil {
			return fmt.Errorf("zeptest: seeding user %d: %w", i, err)
		}
	}
	return nil
}

func (s *Server) seedUser(req zep.CreateUserRequest) error {
	metadata, err := seedMetadata(req.Metadata)
	if err != nil {
		return err
	}
	_, err = s.store.addUser(user{
		UserID:    req.UserID,
		Email:     req.Email,
		FirstName: req.FirstName,
		LastName:  req.LastName,
		Metadata:  metadata,
	})
	return err
}

func (s *Server) userRoutes() []route {
	return []route{
		{http.MethodGet, "/user", s.listUsers},
		{http.MethodPost, "/user", s.addUser},
		{http.MethodGet, "/user/{userId}", s.getUser},
		{http.MethodPatch, "/user/{userId}", s.updateUser},
		{http.MethodDelete, "/user/{userId}", s.deleteUser},
		{http.MethodGet, "/user/{userId}/sessions", s.listUserSessions},
	}
}

type user struct {
	UUID      string         `json:"uuid"`
	ID        int64          `json:"id"`
	CreatedAt time.Time      `json:"created_at"`
	UpdatedAt time.Time      `json:"updated_at"`
	DeletedAt *time.Time     `json:"deleted_at"`
	UserID    string         `json:"user_id"`
	Email     string         `json:"email,omitempty"`
	FirstName string         `json:"first_name,omitempty"`
	LastName  string         `json:"last_name,omitempty"`
	Metadata  map[string]any `json:"metadata,omitempty"`
}

func (s *Server) addUser(r *http.Request) (answer, error) {
	type CreateUserRequest struct {
		UserID    string         `json:"user_id"`
		Email     string         `json:"email"`
		FirstName string         `json:"first_name"`
		LastName  string         `json:"last_name"`
		Metadata  map[string]any `json:"metadata"`
	}
	var req CreateUserRequest
	if err := decodeJSON(r, &req); err != nil {
		return answer{}, err
	}
	added, err := s.store.addUser(user{
		UserID:    req.UserID,
		Email:     req.Email,
		FirstName: req.FirstName,
		LastName:  req.LastName,
		Metadata:  asStored(req.Metadata),
	})
	if err != nil {
		return answer{}, err
	}
	return rowAnswer(http.StatusCreated, added), nil
}

func (s *store) addUser(u user) (*row, error) {
	if u.UserID == "" {
		return nil, badRequest("UserID cannot be empty")
	}
	key := dropNUL(u.UserID)
	s.mu.Lock()
	defer s.mu.Unlock()
	u.ID = s.users.nextID()
	if _, exists := s.users.get(key); exists {
		return nil, badRequest("user already exists with user_id: " + u.UserID)
	}
	u.UUID = newUUID()
	u.CreatedAt = s.now()
	u.UpdatedAt = u.CreatedAt
	u.UserID = key
	u.Email, u.FirstName, u.LastName = dropNUL(u.Email), dropNUL(u.FirstName), dropNUL(u.LastName)
	added := newRow(u.ID, key, u)
	s.users.insert(added)
	return added, nil
}

func (s *Server) getUser(r *http.Request) (answer, error) {
	s.store.mu.RLock()
	defer s.store.mu.RUnlock()
	found, exists := s.store.users.get(r.PathValue("userId"))
	if !exists {
		return answer{}, errNotFound
	}
	return rowAnswer(http.StatusOK, found), nil
}

// updateUserRequest is an UpdateUserRequest of Zep. The user_id in it is ignored: that of the path
// counts.
type updateUserRequest struct {
	UUID      uuid           `json:"uuid"`
	UserID    string         `json:"user_id"`
	Email     string         `json:"email"`
	FirstName string         `json:"first_name"`
	LastName  string         `json:"last_name"`
	Metadata  map[string]any `json:"metadata"`
}

func (s *Server) updateUser(r *http.Request) (answer, error) {
	type UpdateUserRequest updateUserRequest
	var req UpdateUserRequest
	if err := decodeJSON(r, &req); err != nil {
		return answer{}, err
	}
	userID := r.PathValue("userId")
	release, err := s.lock(r, userLock, userID, req.Metadata)
	if err != nil {
		return answer{}, err
	}
	a, err := s.mergeUser(r, userID, updateUserRequest(req))
	a.release = release
	return a, err
}

func (s *Server) mergeUser(r *http.Request, userID string, req updateUserRequest) (answer, error) {
	if req.Metadata != nil && len(req.Metadata) == 0 {
		return answer{}, fmt.Errorf("failed to merge metadata: %w", errEmptyMetadata)
	}
	merge, err := s.merger(r.Context(), "user", s.store.users, userID, asStored(req.Metadata))
	if err != nil {
		return answer{}, err
	}

	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	old, exists := s.store.users.get(userID)
	if !exists {
		return answer{}, errNotFound
	}
	var u user
	old.decode(&u)
	// An empty field counts as one that was not sent: none can be cleared.
	for _, field := range []struct {
		kept *string
		sent string
	}{{&u.Email, req.Email}, {&u.FirstName, req.FirstName}, {&u.LastName, req.LastName}} {
		if field.sent != "" {
			*field.kept = dropNUL(field.sent)
		}
	}
	u.Metadata = merge(u.Metadata)
	u.UpdatedAt = s.store.now()
	updated := newRow(old.id, old.key, u)
	s.store.users.replace(updated)
	return rowAnswer(http.StatusOK, updated), nil
}

// deleteUser deletes the sessions of a user, each by itself, and then the user. It stops when the
// client leaves, or when one of the sessions is gone: the sessions that it has deleted by then
// stay deleted, softly. With the user, all sessions that the user ever had are removed for good.
func (s *Server) deleteUser(r *http.Request) (answer, error) {
	userID := r.PathValue("userId")
	steps := 1
	for _, sessionID := range s.store.liveSessionsOf(userID) {
		if err := step(r.Context(), steps); err != nil {
			return answer{}, err
		}
		s.store.mu.Lock()
		deleted := s.store.deleteSession(sessionID)
		s.store.mu.Unlock()
		if !deleted {
			return answer{}, errNotFound
		}
		steps++
	}
	if err := step(r.Context(), steps); err != nil {
		return answer{}, err
	}
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if !s.store.removeUser(userID) {
		return answer{}, errNotFound
	}
	return okAnswer, nil
}

// liveSessionsOf returns the ids of a user's sessions, deleted ones aside.
func (s *store) liveSessionsOf(userID string) []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var live []string
	for _, sessionID := range s.sessionsOf[userID] {
		if _, exists := s.sessions.get(sessionID); exists {
			live = append(live, sessionID)
		}
	}
	return live
}

// removeUser removes a user, with all sessions and what they have, and says whether there was one.
// The caller holds the lock.
func (s *store) removeUser(userID string) bool {
	found, exists := s.users.get(userID)
	if !exists {
		return false
	}
	for _, sessionID := range s.sessionsOf[userID] {
		s.removeSession(sessionID)
	}
	delete(s.sessionsOf, userID)
	s.users.remove(found)
	return true
}

func (s *Server) listUsers(r *http.Request) (answer, error) { return s.list(r, s.store.users) }

// list answers with a page of a table.
func (s *Server) list(r *http.Request, t *table) (answer, error) {
	limit, err := intQuery(r, "limit")
	if err != nil {
		return answer{}, err
	}
	cursor, err := intQuery(r, "cursor")
	if err != nil {
		return answer{}, err
	}
	s.store.mu.RLock()
	defer s.store.mu.RUnlock()
	return listAnswer(t.page(cursor, sqlLimit(limit))), nil
}

// listUserSessions lists a user's sessions. Zep leaves the id out of this query: it is always 0.
func (s *Server) listUserSessions(r *http.Request) (answer, error) {
	s.store.mu.RLock()
	defer s.store.mu.RUnlock()
	var rows []*row
	for _, sessionID := range s.store.sessionsOf[r.PathValue("userId")] {
		if found, exists := s.store.sessions.get(sessionID); exists {
			var listed session
			found.decode(&listed)
			listed.ID = 0
			rows = append(rows, newRow(0, sessionID, listed))
		}
	}
	return listAnswer(rows), nil
}
