package zep

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/zep-go/zep/internal/exactjson"
)

// Metadata is any JSON object. In a response its numbers are of type float64, as they are on the
// server, which rounds integers beyond 2^53. The metadata of a response is never nil.
//
// A request is [ErrBadRequest] before anything is sent if a key, a value or another text of it is
// not UTF-8 or contains a NUL character, because the server would store another text. The error
// names the field, as in Messages[2].Metadata["author"]. [strings.ToValidUTF8] replaces what is not
// UTF-8.
type Metadata map[string]any

// Decode stores the metadata in the value that into points to, as [json.Unmarshal] would from its
// JSON. An integer that a float64 of the metadata holds is decoded exactly, into any type: the
// float64 80351110224678912 as the int64 80351110224678912.
//
// NaN, an infinity and what has no JSON are errors that name the key.
func (m Metadata) Decode(into any) error {
	data, err := exactjson.EncodeNumbers(m)
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		return fmt.Errorf("zep: Metadata.Decode: %w", lineError{err})
	}
	return nil
}

// User is a Zep user. A user has any number of sessions.
type User struct {
	UUID      string     `json:"uuid"`
	ID        int64      `json:"id"` // the server's row number, which is the cursor of lists
	CreatedAt time.Time  `json:"created_at"`
	UpdatedAt time.Time  `json:"updated_at"`
	DeletedAt *time.Time `json:"deleted_at"` // nil: the server removes the row of a deleted user
	UserID    string     `json:"user_id"`    // chosen by the caller
	Email     string     `json:"email,omitempty"`
	FirstName string     `json:"first_name,omitempty"`
	LastName  string     `json:"last_name,omitempty"`
	Metadata  Metadata   `json:"metadata,omitempty"`
}

// CreateUserRequest is a user to add. Only UserID is required. It is any unique string, such as a
// name, an email address or a UUID, except for those of [ErrInvalidID].
type CreateUserRequest struct {
	UserID    string   `json:"user_id"`
	Email     string   `json:"email,omitempty"`
	FirstName string   `json:"first_name,omitempty"`
	LastName  string   `json:"last_name,omitempty"`
	Metadata  Metadata `json:"metadata,omitempty"`
}

func (r *CreateUserRequest) validate(method string) error {
	if r == nil {
		return errNilRequest(method)
	}
	return checkID("userID", r.UserID)
}

// UpdateUserRequest holds the changes of the user with UserID. Empty fields are not changed: the
// server cannot clear a field.
//
// Metadata is merged with the stored metadata, and so are maps within it. Arrays and all other
// values replace the stored ones, and a map replaces a scalar or an array. null is stored as a
// value. A key cannot be removed.
type UpdateUserRequest struct {
	UserID    string   `json:"user_id"`
	Email     string   `json:"email,omitempty"`
	FirstName string   `json:"first_name,omitempty"`
	LastName  string   `json:"last_name,omitempty"`
	Metadata  Metadata `json:"metadata,omitempty"`
}

func (r *UpdateUserRequest) validate() error {
	if r == nil {
		return errNilRequest("User.Update")
	}
	return nil
}

// Session is one conversation. It belongs to a user, or to nobody.
type Session struct {
	UUID      string     `json:"uuid"`
	ID        int64      `json:"id"` // the cursor of lists; 0 from [UserService.GetSessions]
	CreatedAt time.Time  `json:"created_at"`
	UpdatedAt time.Time  `json:"updated_at"`
	DeletedAt *time.Time `json:"deleted_at"` // nil: the server does not return deleted sessions
	SessionID string     `json:"session_id"` // chosen by the caller
	UserID    string     `json:"user_id"`    // "" if it belongs to nobody: null on the server
	Metadata  Metadata   `json:"metadata"`
}

// CreateSessionRequest is a session to add. SessionID is required. It is any unique string, except
// for those of [ErrInvalidID]. UserID is the id of an existing user, or empty.
type CreateSessionRequest struct {
	SessionID string   `json:"session_id"`
	UserID    string   `json:"user_id,omitempty"`
	Metadata  Metadata `json:"metadata,omitempty"`
}

func (r *CreateSessionRequest) validate(method string) error {
	if r == nil {
		return errNilRequest(method)
	}
	return cmp.Or(checkID("sessionID", r.SessionID), checkIDText("userID", r.UserID))
}

// UpdateSessionRequest holds the changes of the session with SessionID. Metadata is merged as in
// [UpdateUserRequest]. The server ignores the key "system" at its top level.
type UpdateSessionRequest struct {
	SessionID string   `json:"-"`
	Metadata  Metadata `json:"metadata,omitempty"`
}

func (r *UpdateSessionRequest) validate() error {
	if r == nil {
		return errNilRequest("Session.Update")
	}
	return nil
}

// Role is the speaker of a [Message]. The server accepts any text. The constants are those in
// common use.
type Role string

const (
	RoleHuman     Role = "human"     // a person, in LangChain and in Zep's own examples
	RoleAI        Role = "ai"        // the model, in LangChain and in Zep's own examples
	RoleUser      Role = "user"      // a person, in OpenAI's API
	RoleAssistant Role = "assistant" // the model, in OpenAI's API
	RoleSystem    Role = "system"    // instructions to the model
	RoleFunction  Role = "function"  // the result of a function
	RoleTool      Role = "tool"      // the result of a tool
)

// Message is one message of a session.
//
// [MemoryService.Add] needs Role and Content, and keeps a UUID that is set. The server ignores the
// CreatedAt and UpdatedAt of a message that is added: a time of the caller's own belongs into
// Metadata. The server counts the tokens after it has answered, so TokenCount is 0 in a message
// that was just added.
type Message struct {
	UUID       string    `json:"uuid"`
	CreatedAt  time.Time `json:"created_at"` // when the server stored it
	UpdatedAt  time.Time `json:"updated_at"` // the zero time
	Role       Role      `json:"role"`
	Content    string    `json:"content"`
	Metadata   Metadata  `json:"metadata,omitempty"`
	TokenCount int       `json:"token_count"`
}

// Summary is the server's summary of the older messages of a session.
type Summary struct {
	UUID              string    `json:"uuid"`
	CreatedAt         time.Time `json:"created_at"`
	Content           string    `json:"content"`
	RecentMessageUUID string    `json:"recent_message_uuid"` // the last message that it covers
	Metadata          Metadata  `json:"metadata,omitempty"`
	TokenCount        int       `json:"token_count"`
}

// Memory is the memory of a session: its last messages, oldest first, and the summary of the
// messages before them.
type Memory struct {
	Messages []*Message `json:"messages"`
	Summary  *Summary   `json:"summary"` // nil if there is none
	Metadata Metadata   `json:"metadata,omitempty"`
}

// GetMemoryOptions are the options of [MemoryService.Get].
type GetMemoryOptions struct {
	// LastN is the maximum number of messages. 0 selects the server's default, 12.
	LastN int `url:"lastn,omitempty"`
}

// AddMemoryRequest holds the messages to add to a session.
type AddMemoryRequest struct {
	Messages []*Message // in the order of the conversation
	Metadata Metadata   // accepted by the API; Zep 0.27 shows no effect of it
}

// SearchScope selects what a search in memory covers.
type SearchScope string

const (
	SearchScopeMessages SearchScope = "messages" // the messages; the server's default
	SearchScopeSummary  SearchScope = "summary"  // the summaries
)

// SearchType selects how the results of a search are ranked.
type SearchType string

const (
	// SearchTypeSimilarity ranks by similarity to the query. It is the server's default.
	SearchTypeSimilarity SearchType = "similarity"

	// SearchTypeMMR ranks by maximal marginal relevance: a result that repeats a better one ranks
	// lower. MMRLambda is the weight of the similarity to the query, from 1 for that alone to 0
	// for the difference from the other results alone.
	SearchTypeMMR SearchType = "mmr"
)

// SearchMemoryRequest is a search in one session. Text, Metadata or both are required. Other zero
// fields select the server's defaults.
type SearchMemoryRequest struct {
	Text      string      `json:"text,omitempty"`
	Metadata  Metadata    `json:"metadata,omitempty"` // a filter: see SearchFilter
	Scope     SearchScope `json:"search_scope,omitempty"`
	Type      SearchType  `json:"search_type,omitempty"`
	MMRLambda float32     `json:"mmr_lambda,omitempty"`
	Limit     int         `json:"-"` // the maximum number of results
}

func (r *SearchMemoryRequest) validate() error {
	switch {
	case r == nil:
		return errNilRequest("Memory.Search")
	case r.Text == "" && len(r.Metadata) == 0:
		return fmt.Errorf("%w: Memory.Search: neither Text nor Metadata to search for", ErrBadRequest)
	}
	return checkCount("Memory.Search", "Limit", int64(r.Limit), math.MaxInt32)
}

// MemorySearchResult is a message that was found or, in [SearchScopeSummary], a summary.
type MemorySearchResult struct {
	Message   *Message  `json:"message"`
	Summary   *Summary  `json:"summary"`
	Metadata  Metadata  `json:"metadata,omitempty"`
	Dist      float64   `json:"dist"`      // similarity: 1 is the same; 0 without a text
	Embedding []float32 `json:"embedding"` // only of SearchTypeMMR
}

// ListMessagesOptions select a page of the messages of a session.
type ListMessagesOptions struct {
	// Limit is the maximum number of messages of a page, at most 2^31-1. 0 selects all messages.
	Limit int `url:"limit,omitempty"`

	// Page is the number of the page, at most 2^31-1. The first page is 1, and 0 selects it too.
	// The API calls this parameter cursor, but it is a number of a page.
	Page int `url:"cursor,omitempty"`
}

// MessageList is one page of the messages of a session, oldest first.
type MessageList struct {
	Messages   []*Message `json:"messages"`
	TotalCount int        `json:"total_count"` // of the session; 0 in a page after the last
	RowCount   int        `json:"row_count"`   // of this page
}

// Collection is a collection of documents with embeddings of one length.
type Collection struct {
	UUID                  string    `json:"uuid"`
	CreatedAt             time.Time `json:"created_at"`
	UpdatedAt             time.Time `json:"updated_at"`
	Name                  string    `json:"name"` // in lower case
	Description           string    `json:"description"`
	Metadata              Metadata  `json:"metadata,omitempty"`
	EmbeddingModelName    string    `json:"embedding_model_name,omitempty"`
	EmbeddingDimensions   int       `json:"embedding_dimensions"`
	IsAutoEmbedded        bool      `json:"is_auto_embedded"` // the server embeds the contents
	IsNormalized          bool      `json:"is_normalized"`    // the embeddings are of length 1
	IsIndexed             bool      `json:"is_indexed"`       // has an index: see CreateIndex
	DocumentCount         int       `json:"document_count"`   // includes deleted documents
	DocumentEmbeddedCount int       `json:"document_embedded_count"`
}

// CreateCollectionRequest is a collection to add.
type CreateCollectionRequest struct {
	// Name has 3 to 40 ASCII letters and digits. The server converts it to lower case.
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Metadata    Metadata `json:"metadata,omitempty"`

	// EmbeddingDimensions is the length of every embedding, 8 to 2000. With IsAutoEmbedded it is
	// the length that the server's model returns.
	EmbeddingDimensions int `json:"embedding_dimensions"`

	// IsAutoEmbedded makes the server embed the content of the documents. Without it every
	// document is added with its embedding.
	IsAutoEmbedded bool `json:"is_auto_embedded"`
}

func (r *CreateCollectionRequest) validate() error {
	if r == nil {
		return errNilRequest("Collection.Add")
	}
	if err := checkID("collection", r.Name); err != nil {
		return err
	}
	d := r.EmbeddingDimensions
	switch {
	case !collectionName.MatchString(r.Name):
		return fmt.Errorf("%w: Collection.Add: Name %.100q must be 3 to 40 letters and digits",
			ErrBadRequest, r.Name)
	case d < minDimensions || d > maxDimensions:
		return fmt.Errorf("%w: Collection.Add: EmbeddingDimensions is %d, must be %d to %d",
			ErrBadRequest, d, minDimensions, maxDimensions)
	}
	return nil
}

// UpdateCollectionRequest holds the changes of the collection with this Name. Metadata replaces
// the stored metadata.
type UpdateCollectionRequest struct {
	Name        string   `json:"-"`
	Description string   `json:"description,omitempty"`
	Metadata    Metadata `json:"metadata,omitempty"`
}

func (r *UpdateCollectionRequest) validate() error {
	if r == nil {
		return errNilRequest("Collection.Update")
	}
	return nil
}

// Document is a piece of text in a collection.
type Document struct {
	UUID       string    `json:"uuid"`
	CreatedAt  time.Time `json:"created_at"`
	UpdatedAt  time.Time `json:"updated_at"`  // the zero time, except in a search
	DocumentID string    `json:"document_id"` // chosen by the caller, or ""
	Content    string    `json:"content"`
	Metadata   Metadata  `json:"metadata,omitempty"`
	Embedding  []float32 `json:"embedding"`   // nil before the document is embedded
	IsEmbedded bool      `json:"is_embedded"` // the document has its embedding
}

// CreateDocumentRequest is a document to add. Content or Embedding is required.
type CreateDocumentRequest struct {
	// DocumentID is an id that the caller chooses, unique in the collection: at most 100
	// characters of printable ASCII. An upload whose response was lost can be retried only if
	// each of its documents has one.
	DocumentID string    `json:"document_id,omitempty"`
	Content    string    `json:"content,omitempty"`
	Metadata   Metadata  `json:"metadata,omitempty"`
	Embedding  []float32 `json:"embedding,omitempty"`
}

// UpdateDocumentRequest holds the changes of the document with this UUID. Metadata replaces the
// stored metadata.
type UpdateDocumentRequest struct {
	UUID       string   `json:"uuid,omitempty"`
	DocumentID string   `json:"document_id,omitempty"` // at most 40 characters of printable ASCII
	Metadata   Metadata `json:"metadata,omitempty"`
}

// SearchDocumentsRequest is a search in one collection. Text, Embedding or Metadata is required.
// Other zero fields select the server's defaults.
type SearchDocumentsRequest struct {
	Text      string     `json:"text,omitempty"`
	Embedding []float32  `json:"embedding,omitempty"`
	Metadata  Metadata   `json:"metadata,omitempty"` // a filter: see SearchFilter
	Type      SearchType `json:"search_type,omitempty"`
	MMRLambda float32    `json:"mmr_lambda,omitempty"`
	Limit     int        `json:"-"` // the maximum number of results
}

func (r *SearchDocumentsRequest) validate() error {
	switch {
	case r == nil:
		return errNilRequest("Collection.Search")
	case r.Text == "" && len(r.Embedding) == 0 && len(r.Metadata) == 0:
		return fmt.Errorf("%w: Collection.Search: no Text, Embedding or Metadata to search for",
			ErrBadRequest)
	}
	return checkCount("Collection.Search", "Limit", int64(r.Limit), math.MaxInt32)
}

// DocumentSearchResults are the documents that were found, best first.
type DocumentSearchResults struct {
	Results     []*DocumentSearchResult `json:"results"`
	QueryVector []float32               `json:"query_vector"` // the embedding of the query
	ResultCount int                     `json:"result_count"` // the number of Results
	TotalPages  int                     `json:"total_pages"`  // 0: Zep 0.27 has no pages here
	CurrentPage int                     `json:"current_page"` // 0
}

// DocumentSearchResult is a document that was found, and its similarity to the query: 1 is the
// same.
type DocumentSearchResult struct {
	Document
	Score float64 `json:"score"`
}
