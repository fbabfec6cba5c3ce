package bench

import (
	"time"

	"github.com/zep-go/zep"
)

// User is what all peers but zep decode a user into. The other types are the same for other
// responses.
type User struct {
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

// Memory is the memory of a session.
type Memory struct {
	Messages []*Message     `json:"messages"`
	Summary  *Summary       `json:"summary"`
	Metadata map[string]any `json:"metadata,omitempty"`
}

// Message is a message of a session.
type Message struct {
	UUID       string         `json:"uuid"`
	CreatedAt  time.Time      `json:"created_at"`
	UpdatedAt  time.Time      `json:"updated_at"`
	Role       string         `json:"role"`
	Content    string         `json:"content"`
	Metadata   map[string]any `json:"metadata,omitempty"`
	TokenCount int            `json:"token_count"`
}

// Summary is a summary of messages.
type Summary struct {
	UUID              string         `json:"uuid"`
	CreatedAt         time.Time      `json:"created_at"`
	Content           string         `json:"content"`
	RecentMessageUUID string         `json:"recent_message_uuid"`
	Metadata          map[string]any `json:"metadata,omitempty"`
	TokenCount        int            `json:"token_count"`
}

// Document is a document of a collection.
type Document struct {
	UUID       string         `json:"uuid"`
	CreatedAt  time.Time      `json:"created_at"`
	UpdatedAt  time.Time      `json:"updated_at"`
	DocumentID string         `json:"document_id"`
	Content    string         `json:"content"`
	Metadata   map[string]any `json:"metadata,omitempty"`
	Embedding  []float32      `json:"embedding"`
	IsEmbedded bool           `json:"is_embedded"`
}

// Write is what all peers send to add or to update a user.
type Write struct {
	UserID    string       `json:"user_id"`
	Email     string       `json:"email,omitempty"`
	FirstName string       `json:"first_name,omitempty"`
	LastName  string       `json:"last_name,omitempty"`
	Metadata  zep.Metadata `json:"metadata,omitempty"`
}
