package zep

import (
	"encoding/json"
	"fmt"
	"time"
)

// Metadata is any JSON object. Numbers of an answer are float64, and so they are on the server: it rounds integers beyond
// 2^53.
type Metadata map[string]any

// Decode stores the metadata in the value that into points to, as [json.Unmarshal] would from its JSON.
func (m Metadata) Decode(into any) error {
	data, err := json.Marshal(m)
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		return fmt.Errorf("zep: Metadata.Decode: %w", err)
	}
	return nil
}

// A User has sessions.
type User struct {
	UUID      string     `json:"uuid"`
	ID        int64      `json:"id"` // the server's row number: the cursor of a list
	CreatedAt time.Time  `json:"created_at"`
	UpdatedAt time.Time  `json:"updated_at"`
	DeletedAt *time.Time `json:"deleted_at"`
	UserID    string     `json:"user_id"`
	Email     string     `json:"email,omitempty"`
	FirstName string     `json:"first_name,omitempty"`
	LastName  string     `json:"last_name,omitempty"`
	Metadata  Metadata   `json:"metadata,omitempty"`
}

// CreateUserRequest is a user to add. Only UserID is required: any string that is unique, such as a name, an email address
// or a UUID, but for those of [ErrInvalidID].
type CreateUserRequest struct {
	UserID    string   `json:"user_id"`
	Email     string   `json:"email,omitempty"`
	FirstName string   `json:"first_name,omitempty"`
	LastName  string   `json:"last_name,omitempty"`
	Metadata  Metadata `json:"metadata,omitempty"`
}

// UpdateUserRequest is what to change of the user with UserID. Empty fields stay as they are: the server cannot clear one.
// Metadata is merged into what is there, maps within it too; arrays and all other values replace what they meet, null is
// stored, and no key can be removed.
type UpdateUserRequest struct {
	UserID    string   `json:"user_id"`
	Email     string   `json:"email,omitempty"`
	FirstName string   `json:"first_name,omitempty"`
	LastName  string   `json:"last_name,omitempty"`
	Metadata  Metadata `json:"metadata,omitempty"`
}

// A Session is one conversation, of a user or of nobody.
type Session struct {
	UUID      string     `json:"uuid"`
	ID        int64      `json:"id"` // the server's row number: the cursor of a list; 0 from [UserService.GetSessions]
	CreatedAt time.Time  `json:"created_at"`
	UpdatedAt time.Time  `json:"updated_at"`
	DeletedAt *time.Time `json:"deleted_at"`
	SessionID string     `json:"session_id"`
	UserID    string     `json:"user_id"` // "" for nobody's, which the server calls null
	Metadata  Metadata   `json:"metadata"`
}

// CreateSessionRequest is a session to add. SessionID is required, and bound as a user's id is; UserID is that of a user who
// is there, or empty.
type CreateSessionRequest struct {
	SessionID string   `json:"session_id"`
	UserID    string   `json:"user_id,omitempty"`
	Metadata  Metadata `json:"metadata,omitempty"`
}

// UpdateSessionRequest is what to change of the session with SessionID. Metadata is merged as a user's is; the server drops
// the key "system" at its top without a word.
type UpdateSessionRequest struct {
	SessionID string   `json:"-"`
	Metadata  Metadata `json:"metadata,omitempty"`
}
