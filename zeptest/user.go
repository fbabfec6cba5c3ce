package zeptest

import (
	"fmt"
	"net/http"
	"time"

	"github.com/zep-go/zep"
)

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

func (s *Server) updateUser(r *http.Request) (answer, error) {
	type UpdateUserRequest struct {
		UUID      string         `json:"uuid"`
		UserID    string         `json:"user_id"` // the path's is taken
		Email     string         `json:"email"`
		FirstName string         `json:"first_name"`
		LastName  string         `json:"last_name"`
		Metadata  map[string]any `json:"metadata"`
	}
	var req UpdateUserRequest
	if err := decodeJSON(r, &req); err != nil {
		return answer{}, err
	}
	if req.Metadata != nil && len(req.Metadata) == 0 {
		return answer{}, fmt.Errorf("failed to merge metadata: %w", errEmptyMetadata)
	}
	userID := r.PathValue("userId")
	merge := s.merger(r.Context(), "user", s.store.users, userID, asStored(req.Metadata))

	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	old, exists := s.store.users.get(userID)
	if !exists {
		return answer{}, errNotFound
	}
	var u user
	old.decode(&u)
	// Empty fields are taken for fields that weren't sent: none can be cleared.
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

// deleteUser removes the user's row, and soft-deletes its sessions.
func (s *Server) deleteUser(r *http.Request) (answer, error) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	found, exists := s.store.users.get(r.PathValue("userId"))
	if !exists {
		return answer{}, errNotFound
	}
	for _, sessionID := range s.store.sessionsOf[found.key] {
		s.store.deleteSession(sessionID)
	}
	s.store.users.remove(found)
	return okAnswer, nil
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
	return listAnswer(t.page(cursor, limit)), nil
}

// listUserSessions lists a user's sessions. Zep leaves their id out of this query: it is always 0.
func (s *Server) listUserSessions(r *http.Request) (answer, error) {
	userID := r.PathValue("userId")
	s.store.mu.RLock()
	defer s.store.mu.RUnlock()
	var rows []*row
	if _, exists := s.store.users.get(userID); exists {
		for _, sessionID := range s.store.sessionsOf[userID] {
			if found, exists := s.store.sessions.get(sessionID); exists {
				var listed session
				found.decode(&listed)
				listed.ID = 0
				rows = append(rows, newRow(0, sessionID, listed))
			}
		}
	}
	return listAnswer(rows), nil
}

// SeedUsers adds n users, made by calling user with 0 to n-1, without going through HTTP. It stops
// at the first that the API would refuse, and returns why.
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
