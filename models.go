package zep

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Metadata is any JSON object. In a response its numbers are of type float64, as they are on the
// server, which rounds integers beyond 2^53. The metadata of a response is never nil.
type Metadata map[string]any

// Decode stores the metadata in the value that into points to, as [json.Unmarshal] would from its
// JSON. An integer that a float64 of the metadata holds is decoded exactly, into any type: the
// float64 80351110224678912 as the int64 80351110224678912.
//
// NaN, an infinity and what has no JSON are errors that name the key.
func (m Metadata) Decode(into any) error {
	data, err := appendExact(nil, reflect.ValueOf(m), 0)
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		return fmt.Errorf("zep: Metadata.Decode: %w", err)
	}
	return nil
}

// maxDecodeDepth is how deep a value may be nested: as deep as encoding/json decodes.
const maxDecodeDepth = 10_000

var errTooDeep = errors.New("nested too deep, or within itself")

// appendExact appends the JSON of a value. It differs from [json.Marshal] in floats that are
// integers: json.Marshal writes the shortest digits that stand for the float, as in
// 80351110224678910, and a decoder for integers takes those for the number. appendExact writes all
// digits. It does not look into structs.
func appendExact(data []byte, v reflect.Value, depth int) ([]byte, error) {
	if depth > maxDecodeDepth {
		return nil, errTooDeep
	}
	if !v.IsValid() || hasOwnJSON(v.Type()) {
		return appendJSON(data, v)
	}
	switch v.Kind() {
	case reflect.Float32, reflect.Float64:
		switch f := v.Float(); {
		case math.IsNaN(f) || math.IsInf(f, 0):
			return nil, fmt.Errorf("%v has no JSON", f)
		case f == math.Trunc(f):
			return strconv.AppendFloat(data, f, 'f', 0, 64), nil
		}
	case reflect.Interface, reflect.Pointer:
		if !v.IsNil() {
			return appendExact(data, v.Elem(), depth+1)
		}
	case reflect.Map:
		if !v.IsNil() && v.Type().Key().Kind() == reflect.String {
			return appendObject(data, v, depth)
		}
	case reflect.Slice, reflect.Array:
		isNil := v.Kind() == reflect.Slice && v.IsNil()
		if !isNil && v.Type().Elem().Kind() != reflect.Uint8 {
			return appendArray(data, v, depth)
		}
	}
	return appendJSON(data, v)
}

func appendObject(data []byte, v reflect.Value, depth int) ([]byte, error) {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int {
		return strings.Compare(a.String(), b.String())
	})
	data = append(data, '{')
	for i, key := range keys {
		if i > 0 {
			data = append(data, ',')
		}
		name, err := json.Marshal(key.String())
		if err == nil {
			data = append(append(data, name...), ':')
			data, err = appendExact(data, v.MapIndex(key), depth+1)
		}
		if err != nil {
			return nil, locate(err, strconv.Quote(key.String()), depth)
		}
	}
	return append(data, '}'), nil
}

func appendArray(data []byte, v reflect.Value, depth int) (_ []byte, err error) {
	data = append(data, '[')
	for i := range v.Len() {
		if i > 0 {
			data = append(data, ',')
		}
		if data, err = appendExact(data, v.Index(i), depth+1); err != nil {
			return nil, locate(err, fmt.Sprintf("[%d]", i), depth)
		}
	}
	return append(data, ']'), nil
}

// locate adds to an error where it happened. Of what is nested too deep, only the first key is
// of use.
func locate(err error, where string, depth int) error {
	if depth > 0 && errors.Is(err, errTooDeep) {
		return err
	}
	return fmt.Errorf("%s: %w", where, err)
}

func appendJSON(data []byte, v reflect.Value) ([]byte, error) {
	if !v.IsValid() {
		return append(data, "null"...), nil
	}
	if v.CanAddr() {
		v = v.Addr() // encoding/json looks for methods of the pointer too
	}
	encoded, err := json.Marshal(v.Interface())
	return append(data, encoded...), err
}

var (
	jsonMarshaler = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
)

// hasOwnJSON reports whether values of a type encode themselves.
func hasOwnJSON(t reflect.Type) bool {
	pointer := reflect.PointerTo(t)
	return pointer.Implements(jsonMarshaler) || pointer.Implements(textMarshaler)
}

// A User is somebody who talks, as the server keeps them. A user has any number of sessions.
type User struct {
	UUID      string     `json:"uuid"`
	ID        int64      `json:"id"` // the server's row number: the cursor of a list
	CreatedAt time.Time  `json:"created_at"`
	UpdatedAt time.Time  `json:"updated_at"`
	DeletedAt *time.Time `json:"deleted_at"` // nil: Zep removes a user's row at once
	UserID    string     `json:"user_id"`    // the caller's own
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
	DeletedAt *time.Time `json:"deleted_at"` // nil: Zep does not give out deleted ones
	SessionID string     `json:"session_id"` // the caller's own
	UserID    string     `json:"user_id"`    // "" for nobody's, which the server calls null
	Metadata  Metadata   `json:"metadata"`
}

// CreateSessionRequest is a session to add. SessionID is required: any string that is unique, but for those of [ErrInvalidID].
// UserID is that of a user who is there, or empty.
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

// A Role says who speaks in a [Message]. The server takes any text; these are what the field uses.
type Role string

const (
	RoleHuman     Role = "human"     // a person, as LangChain and Zep's own examples have it
	RoleAI        Role = "ai"        // the model, likewise
	RoleUser      Role = "user"      // a person, as OpenAI has it
	RoleAssistant Role = "assistant" // the model, likewise
	RoleSystem    Role = "system"    // instructions to the model
	RoleFunction  Role = "function"  // what a function returned
	RoleTool      Role = "tool"      // what a tool returned
)

// A Message is one turn of a session.
//
// To add one ([MemoryService.Add]), Role and Content are enough. UUID and CreatedAt are kept if they are set; UpdatedAt is the
// server's alone. TokenCount is counted by the server after it has answered, so it is 0 in a message just added.
type Message struct {
	UUID       string    `json:"uuid"`
	CreatedAt  time.Time `json:"created_at"`
	UpdatedAt  time.Time `json:"updated_at"` // the zero time in lists
	Role       Role      `json:"role"`
	Content    string    `json:"content"`
	Metadata   Metadata  `json:"metadata,omitempty"`
	TokenCount int       `json:"token_count"`
}

// A Summary is what the server makes of a session's older messages.
type Summary struct {
	UUID              string    `json:"uuid"`
	CreatedAt         time.Time `json:"created_at"`
	Content           string    `json:"content"`
	RecentMessageUUID string    `json:"recent_message_uuid"` // the last message in it
	Metadata          Metadata  `json:"metadata,omitempty"`
	TokenCount        int       `json:"token_count"`
}

// Memory is what a session remembers: its last messages, oldest first, and the summary of those before.
type Memory struct {
	Messages []*Message `json:"messages"`
	Summary  *Summary   `json:"summary"` // nil while there is none
	Metadata Metadata   `json:"metadata,omitempty"`
}

// GetMemoryOptions choose the window of [MemoryService.Get].
type GetMemoryOptions struct {
	// LastN is how many messages to return at the most; 0 is the server's default, 12.
	LastN int `url:"lastn,omitempty"`
}

// AddMemoryRequest is what to add to a session's memory.
type AddMemoryRequest struct {
	Messages []*Message // in the order in which they were said
	Metadata Metadata   // the API takes it; Zep 0.27 was not seen to do anything with it
}

// A SearchScope says what a memory is searched for.
type SearchScope string

const (
	SearchScopeMessages SearchScope = "messages" // the messages themselves: the server's default
	SearchScopeSummary  SearchScope = "summary"  // the summaries of older ones
)

// A SearchType says how results are ranked.
type SearchType string

const (
	// SearchTypeSimilarity ranks by likeness to the query alone. It is the server's default.
	SearchTypeSimilarity SearchType = "similarity"

	// SearchTypeMMR (maximal marginal relevance) ranks down what repeats a better result; MMRLambda weighs likeness to the
	// query (1) against unlikeness to the other results (0).
	SearchTypeMMR SearchType = "mmr"
)

// SearchMemoryRequest is a search in one session. Text, Metadata or both are needed; other zero fields are the server's defaults.
type SearchMemoryRequest struct {
	Text      string      `json:"text,omitempty"`
	Metadata  Metadata    `json:"metadata,omitempty"` // a filter: see SearchFilter
	Scope     SearchScope `json:"search_scope,omitempty"`
	Type      SearchType  `json:"search_type,omitempty"`
	MMRLambda float32     `json:"mmr_lambda,omitempty"`
	Limit     int         `json:"-"` // how many results at the most
}

// A MemorySearchResult is a message or, in [SearchScopeSummary], a summary that was found.
type MemorySearchResult struct {
	Message   *Message  `json:"message"`
	Summary   *Summary  `json:"summary"`
	Metadata  Metadata  `json:"metadata,omitempty"`
	Dist      float64   `json:"dist"`      // likeness to the text: 1 is the same; 0 too if no text was searched for
	Embedding []float32 `json:"embedding"` // of SearchTypeMMR only
}

// ListMessagesOptions choose a page of a session's messages.
type ListMessagesOptions struct {
	// Limit is how many messages a page has at the most. 0 is no limit: all of them.
	Limit int `url:"limit,omitempty"`

	// Page is the number of the page, from 1; 0 is the first too. (The API calls it cursor. It is none.)
	Page int `url:"cursor,omitempty"`
}

// A MessageList is one page of a session's messages, oldest first.
type MessageList struct {
	Messages   []*Message `json:"messages"`
	TotalCount int        `json:"total_count"` // of the session; 0 in a page past the end
	RowCount   int        `json:"row_count"`   // of this page
}

// A Collection holds documents with embeddings of one length.
type Collection struct {
	UUID                  string    `json:"uuid"`
	CreatedAt             time.Time `json:"created_at"`
	UpdatedAt             time.Time `json:"updated_at"`
	Name                  string    `json:"name"` // in lower case
	Description           string    `json:"description"`
	Metadata              Metadata  `json:"metadata,omitempty"`
	EmbeddingModelName    string    `json:"embedding_model_name,omitempty"`
	EmbeddingDimensions   int       `json:"embedding_dimensions"`
	IsAutoEmbedded        bool      `json:"is_auto_embedded"` // the server embeds the documents' content
	IsNormalized          bool      `json:"is_normalized"`    // the embeddings are of length 1
	IsIndexed             bool      `json:"is_indexed"`       // searches have an index: see CreateIndex
	DocumentCount         int       `json:"document_count"`
	DocumentEmbeddedCount int       `json:"document_embedded_count"` // those that a search can find
}

// CreateCollectionRequest is a collection to add.
type CreateCollectionRequest struct {
	// Name has 3 to 40 letters and digits of ASCII. The server takes upper case for lower.
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Metadata    Metadata `json:"metadata,omitempty"`

	// EmbeddingDimensions is the length of every embedding, 8 to 2000; with IsAutoEmbedded that of the server's model.
	EmbeddingDimensions int `json:"embedding_dimensions"`

	// IsAutoEmbedded makes the server embed the documents' content. Without it, every document brings its own embedding.
	IsAutoEmbedded bool `json:"is_auto_embedded"`
}

// UpdateCollectionRequest is what to change of the collection with this Name. Metadata replaces what is there.
type UpdateCollectionRequest struct {
	Name        string   `json:"-"`
	Description string   `json:"description,omitempty"`
	Metadata    Metadata `json:"metadata,omitempty"`
}

// A Document is a piece of text in a collection.
type Document struct {
	UUID       string    `json:"uuid"`
	CreatedAt  time.Time `json:"created_at"`
	UpdatedAt  time.Time `json:"updated_at"`
	DocumentID string    `json:"document_id"` // the caller's own, or ""
	Content    string    `json:"content"`
	Metadata   Metadata  `json:"metadata,omitempty"`
	Embedding  []float32 `json:"embedding"`   // nil until there is one
	IsEmbedded bool      `json:"is_embedded"` // a search can find it
}

// CreateDocumentRequest is a document to add. Content or Embedding is needed.
type CreateDocumentRequest struct {
	// DocumentID is the caller's own id, unique in the collection: at most 100 characters of printable ASCII. With one, an
	// upload whose answer was lost can be tried again.
	DocumentID string    `json:"document_id,omitempty"`
	Content    string    `json:"content,omitempty"`
	Metadata   Metadata  `json:"metadata,omitempty"`
	Embedding  []float32 `json:"embedding,omitempty"`
}

// UpdateDocumentRequest is what to change of the document with this UUID. Metadata replaces what is there.
type UpdateDocumentRequest struct {
	UUID       string   `json:"uuid,omitempty"`
	DocumentID string   `json:"document_id,omitempty"` // at most 40 characters of printable ASCII here
	Metadata   Metadata `json:"metadata,omitempty"`
}

// SearchDocumentsRequest is a search in one collection. Text, Embedding or Metadata is needed; other zero fields are the server's
// defaults.
type SearchDocumentsRequest struct {
	Text      string     `json:"text,omitempty"`
	Embedding []float32  `json:"embedding,omitempty"`
	Metadata  Metadata   `json:"metadata,omitempty"` // a filter: see SearchFilter
	Type      SearchType `json:"search_type,omitempty"`
	MMRLambda float32    `json:"mmr_lambda,omitempty"`
	Limit     int        `json:"-"` // how many results at the most
}

// DocumentSearchResults are the documents that were found, best first.
type DocumentSearchResults struct {
	Results     []*DocumentSearchResult `json:"results"`
	QueryVector []float32               `json:"query_vector"` // the embedding that was searched for
	ResultCount int                     `json:"result_count"` // of these Results
	TotalPages  int                     `json:"total_pages"`  // 0: Zep 0.27 has no pages here
	CurrentPage int                     `json:"current_page"` // 0
}

// A DocumentSearchResult is a document, and its likeness to what was searched for: 1 is the same.
type DocumentSearchResult struct {
	Document
	Score float64 `json:"score"`
}
