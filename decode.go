package zep

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/zep-go/zep/internal/jsonscan"
)

// A response is decoded as encoding/json would decode it. Records that come in large numbers are
// decoded by functions that know their shape; if one of them fails, encoding/json decodes the
// body. Either way the record is completed: it has its id, and its metadata and its lists are never
// nil.

func decodeUser(_ http.Header, body []byte) (*User, error) {
	return decodeRecord(body, scanUser)
}

func decodeUsers(_ http.Header, body []byte) ([]*User, error) {
	return decodeRecords(body, scanUser)
}

func decodeSession(_ http.Header, body []byte) (*Session, error) {
	return decodeRecord(body, scanSession)
}

func decodeSessions(_ http.Header, body []byte) ([]*Session, error) {
	return decodeRecords(body, scanSession)
}

func decodeMessage(_ http.Header, body []byte) (*Message, error) {
	return decodeRecord(body, scanMessage)
}

func decodeMessageList(_ http.Header, body []byte) (*MessageList, error) {
	list, err := decodeRecord(body, scanMessageList)
	if err == nil {
		err = requireList(body, "messages", len(list.Messages))
	}
	return list, err
}

func decodeMemory(_ http.Header, body []byte) (*Memory, error) {
	memory, err := decodeRecord(body, scanMemory)
	if err == nil {
		err = requireList(body, "messages", len(memory.Messages))
	}
	return memory, err
}

func decodeSearchResults(_ http.Header, body []byte) ([]*MemorySearchResult, error) {
	return decodeRecords(body, scanSearchResult)
}

func decodeDocument(_ http.Header, body []byte) (*Document, error) {
	return decodeRecord(body, scanDocument)
}

func decodeDocuments(_ http.Header, body []byte) ([]*Document, error) {
	return decodeRecords(body, scanDocument)
}

func decodeDocumentSearch(_ http.Header, body []byte) (*DocumentSearchResults, error) {
	found, err := decodeRecord(body, scanDocumentSearch)
	if err == nil {
		err = requireList(body, "results", len(found.Results))
	}
	return found, err
}

// Collections are few, so encoding/json alone decodes them.

func decodeCollection(header http.Header, body []byte) (*Collection, error) {
	return completed(decodeJSON[*Collection](header, body))
}

func decodeCollections(header http.Header, body []byte) ([]*Collection, error) {
	return allCompleted(decodeList[Collection](header, body))
}

func decodeRecord[R completer](body []byte, scan func(*jsonscan.Scanner) R) (R, error) {
	if record, ok := jsonscan.Scan(body, scan); ok {
		return completed(record, nil)
	}
	return completed(decodeJSON[R](nil, body))
}

func decodeRecords[T any, R pointer[T]](
	body []byte, scan func(*jsonscan.Scanner) *T,
) ([]*T, error) {
	scanAll := func(s *jsonscan.Scanner) []*T { return jsonscan.Records(s, scan) }
	if records, ok := jsonscan.Scan(body, scanAll); ok {
		return allCompleted[T, R](records, nil)
	}
	return allCompleted[T, R](decodeList[T](nil, body))
}

// completer is a decoded record. Its method complete replaces nil metadata and nil lists with
// empty ones, and returns an error for a record that the server does not send.
type completer interface{ complete() error }

type pointer[T any] interface {
	*T
	completer
}

func completed[R completer](record R, err error) (R, error) {
	if err == nil {
		err = record.complete()
	}
	return record, err
}

func allCompleted[T any, R pointer[T]](records []*T, err error) ([]*T, error) {
	if err == nil {
		err = completeAll[T, R](records)
	}
	return records, err
}

func completeAll[T any, R pointer[T]](records []*T) error {
	for i, record := range records {
		if err := R(record).complete(); err != nil {
			return fmt.Errorf("record %d: %w", i, err)
		}
	}
	return nil
}

func (m *Metadata) makeNonNil() {
	if *m == nil {
		*m = Metadata{}
	}
}

func (u *User) complete() error {
	u.Metadata.makeNonNil()
	return u.identity().check()
}

func (s *Session) complete() error {
	s.Metadata.makeNonNil()
	return s.identity().check()
}

func (m *Message) complete() error {
	m.Metadata.makeNonNil()
	return m.identity().check()
}

func (l *MessageList) complete() error { return completeMessages(&l.Messages) }

func completeMessages(messages *[]*Message) (err error) {
	if *messages, err = withoutNull(*messages); err != nil {
		return err
	}
	return completeAll(*messages)
}

// complete removes the summary that stands for none.
func (m *Memory) complete() error {
	m.Metadata.makeNonNil()
	if m.Summary != nil {
		if m.Summary.UUID == zeroUUID {
			m.Summary = nil
		} else {
			m.Summary.Metadata.makeNonNil()
		}
	}
	return completeMessages(&m.Messages)
}

func (r *MemorySearchResult) complete() error {
	r.Metadata.makeNonNil()
	if r.Message == nil && r.Summary == nil {
		return fmt.Errorf("no message and no summary: %w", errNotZep)
	}
	if r.Summary != nil {
		if err := r.Summary.complete(); err != nil {
			return err
		}
	}
	if r.Message != nil {
		return r.Message.complete()
	}
	return nil
}

func (s *Summary) complete() error {
	s.Metadata.makeNonNil()
	return identity{"uuid", s.UUID}.check()
}

func (c *Collection) complete() error {
	c.Metadata.makeNonNil()
	return c.identity().check()
}

func (d *Document) complete() error {
	d.Metadata.makeNonNil()
	return d.identity().check()
}

func (r *DocumentSearchResults) complete() (err error) {
	if r.Results, err = withoutNull(r.Results); err != nil {
		return err
	}
	return completeAll(r.Results)
}

// The names of a record's fields, in the order in which the server sends them.
var (
	userFields = []string{
		"uuid", "id", "created_at", "updated_at", "deleted_at", "user_id", "email", "first_name",
		"last_name", "metadata",
	}
	sessionFields = []string{
		"uuid", "id", "created_at", "updated_at", "deleted_at", "session_id", "metadata", "user_id",
	}
	messageFields = []string{
		"uuid", "created_at", "updated_at", "role", "content", "metadata", "token_count",
	}
	messageListFields = []string{"messages", "total_count", "row_count"}
	summaryFields     = []string{
		"uuid", "created_at", "content", "recent_message_uuid", "metadata", "token_count",
	}
	memoryFields       = []string{"messages", "summary", "metadata"}
	searchResultFields = []string{"message", "summary", "metadata", "dist", "embedding"}
	documentFields     = []string{
		"uuid", "created_at", "updated_at", "document_id", "content", "metadata", "embedding",
		"is_embedded",
	}
	foundDocumentFields  = append(slices.Clip(documentFields), "score")
	documentSearchFields = []string{
		"results", "query_vector", "result_count", "total_pages", "current_page",
	}
)

func scanUser(s *jsonscan.Scanner) *User {
	u, fields := new(User), jsonscan.NewFields(userFields)
	for more := s.BeginObject(); more; more = s.NextField() {
		switch s.Field(&fields) {
		case "uuid":
			u.UUID = s.Text()
		case "id":
			u.ID = s.Int64()
		case "created_at":
			u.CreatedAt = s.Time()
		case "updated_at":
			u.UpdatedAt = s.Time()
		case "deleted_at":
			t := s.Time()
			u.DeletedAt = &t
		case "user_id":
			u.UserID = s.Text()
		case "email":
			u.Email = s.Text()
		case "first_name":
			u.FirstName = s.Text()
		case "last_name":
			u.LastName = s.Text()
		case "metadata":
			u.Metadata = s.Map()
		}
	}
	s.EndRecord()
	return u
}

func scanSession(s *jsonscan.Scanner) *Session {
	session, fields := new(Session), jsonscan.NewFields(sessionFields)
	for more := s.BeginObject(); more; more = s.NextField() {
		switch s.Field(&fields) {
		case "uuid":
			session.UUID = s.Text()
		case "id":
			session.ID = s.Int64()
		case "created_at":
			session.CreatedAt = s.Time()
		case "updated_at":
			session.UpdatedAt = s.Time()
		case "deleted_at":
			t := s.Time()
			session.DeletedAt = &t
		case "session_id":
			session.SessionID = s.Text()
		case "metadata":
			session.Metadata = s.Map()
		case "user_id":
			session.UserID = s.Text()
		}
	}
	s.EndRecord()
	return session
}

func scanMessage(s *jsonscan.Scanner) *Message {
	m, fields := new(Message), jsonscan.NewFields(messageFields)
	for more := s.BeginObject(); more; more = s.NextField() {
		switch s.Field(&fields) {
		case "uuid":
			m.UUID = s.Text()
		case "created_at":
			m.CreatedAt = s.Time()
		case "updated_at":
			m.UpdatedAt = s.Time()
		case "role":
			m.Role = Role(s.Text())
		case "content":
			m.Content = s.Text()
		case "metadata":
			m.Metadata = s.Map()
		case "token_count":
			m.TokenCount = s.Int()
		}
	}
	s.EndRecord()
	return m
}

func scanMessageList(s *jsonscan.Scanner) *MessageList {
	list, fields := new(MessageList), jsonscan.NewFields(messageListFields)
	for more := s.BeginObject(); more; more = s.NextField() {
		switch s.Field(&fields) {
		case "messages":
			list.Messages = jsonscan.Records(s, scanMessage)
		case "total_count":
			list.TotalCount = s.Int()
		case "row_count":
			list.RowCount = s.Int()
		}
	}
	return list
}

func scanSummary(s *jsonscan.Scanner) *Summary {
	summary, fields := new(Summary), jsonscan.NewFields(summaryFields)
	for more := s.BeginObject(); more; more = s.NextField() {
		switch s.Field(&fields) {
		case "uuid":
			summary.UUID = s.Text()
		case "created_at":
			summary.CreatedAt = s.Time()
		case "content":
			summary.Content = s.Text()
		case "recent_message_uuid":
			summary.RecentMessageUUID = s.Text()
		case "metadata":
			summary.Metadata = s.Map()
		case "token_count":
			summary.TokenCount = s.Int()
		}
	}
	s.EndRecord()
	return summary
}

func scanMemory(s *jsonscan.Scanner) *Memory {
	m, fields := new(Memory), jsonscan.NewFields(memoryFields)
	for more := s.BeginObject(); more; more = s.NextField() {
		switch s.Field(&fields) {
		case "messages":
			m.Messages = jsonscan.Records(s, scanMessage)
		case "summary":
			m.Summary = scanSummary(s)
		case "metadata":
			m.Metadata = s.Map()
		}
	}
	return m
}

func scanSearchResult(s *jsonscan.Scanner) *MemorySearchResult {
	r, fields := new(MemorySearchResult), jsonscan.NewFields(searchResultFields)
	for more := s.BeginObject(); more; more = s.NextField() {
		switch s.Field(&fields) {
		case "message":
			r.Message = scanMessage(s)
		case "summary":
			r.Summary = scanSummary(s)
		case "metadata":
			r.Metadata = s.Map()
		case "dist":
			r.Dist = s.Float64()
		case "embedding":
			r.Embedding = s.Float32s()
		}
	}
	s.EndRecord()
	return r
}

func scanDocument(s *jsonscan.Scanner) *Document {
	d, fields := new(Document), jsonscan.NewFields(documentFields)
	for more := s.BeginObject(); more; more = s.NextField() {
		scanDocumentField(s, d, s.Field(&fields))
	}
	s.EndRecord()
	return d
}

func scanFoundDocument(s *jsonscan.Scanner) *DocumentSearchResult {
	r, fields := new(DocumentSearchResult), jsonscan.NewFields(foundDocumentFields)
	for more := s.BeginObject(); more; more = s.NextField() {
		if name := s.Field(&fields); name == "score" {
			r.Score = s.Float64()
		} else {
			scanDocumentField(s, &r.Document, name)
		}
	}
	s.EndRecord()
	return r
}

func scanDocumentField(s *jsonscan.Scanner, d *Document, name string) {
	switch name {
	case "uuid":
		d.UUID = s.Text()
	case "created_at":
		d.CreatedAt = s.Time()
	case "updated_at":
		d.UpdatedAt = s.Time()
	case "document_id":
		d.DocumentID = s.Text()
	case "content":
		d.Content = s.Text()
	case "metadata":
		d.Metadata = s.Map()
	case "embedding":
		d.Embedding = s.Float32s()
	case "is_embedded":
		d.IsEmbedded = s.Bool()
	}
}

func scanDocumentSearch(s *jsonscan.Scanner) *DocumentSearchResults {
	r, fields := new(DocumentSearchResults), jsonscan.NewFields(documentSearchFields)
	for more := s.BeginObject(); more; more = s.NextField() {
		switch s.Field(&fields) {
		case "results":
			r.Results = jsonscan.Records(s, scanFoundDocument)
		case "query_vector":
			r.QueryVector = s.Float32s()
		case "result_count":
			r.ResultCount = s.Int()
		case "total_pages":
			r.TotalPages = s.Int()
		case "current_page":
			r.CurrentPage = s.Int()
		}
	}
	return r
}
