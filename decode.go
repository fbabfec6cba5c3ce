package zep

import (
	"encoding/json"
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

// decodeUsers returns a decoder of at most limit users. 0 is no limit.
func decodeUsers(limit int) func(http.Header, []byte) ([]*User, error) {
	return func(_ http.Header, body []byte) ([]*User, error) {
		return decodeRecords(body, limit, scanUser)
	}
}

func decodeSession(_ http.Header, body []byte) (*Session, error) {
	return decodeRecord(body, scanSession)
}

// decodeSessions returns a decoder of at most limit sessions. 0 is no limit.
func decodeSessions(limit int) func(http.Header, []byte) ([]*Session, error) {
	return func(_ http.Header, body []byte) ([]*Session, error) {
		return decodeRecords(body, limit, scanSession)
	}
}

func decodeMessage(_ http.Header, body []byte) (*Message, error) {
	return decodeRecord(body, scanMessage)
}

// decodeMessageList returns a decoder of a page of at most limit messages. 0 is no limit.
func decodeMessageList(limit int) func(http.Header, []byte) (*MessageList, error) {
	return func(_ http.Header, body []byte) (*MessageList, error) {
		list, ok := jsonscan.Scan(body, func(s *jsonscan.Scanner) *MessageList {
			s.LimitRecords(limit)
			return scanMessageList(s)
		})
		if !ok {
			var err error
			if list, err = decodeLimitedMessages(body, limit); err != nil {
				return nil, err
			}
		}
		return completed(list, requireList(body, "messages", len(list.Messages)))
	}
}

// decodeLimitedMessages is decodeMessageList by encoding/json.
func decodeLimitedMessages(body []byte, limit int) (*MessageList, error) {
	var list struct{ Messages json.RawMessage }
	if limit > 0 && json.Unmarshal(body, &list) == nil {
		if err := checkRecords(list.Messages, limit); err != nil {
			return nil, err
		}
	}
	return decodeJSON[*MessageList](nil, body)
}

func decodeMemory(_ http.Header, body []byte) (*Memory, error) {
	memory, err := decodeRecord(body, scanMemory)
	if err == nil {
		err = requireList(body, "messages", len(memory.Messages))
	}
	return memory, err
}

func decodeSearchResults(_ http.Header, body []byte) ([]*MemorySearchResult, error) {
	return decodeRecords(body, 0, scanSearchResult)
}

func decodeDocument(_ http.Header, body []byte) (*Document, error) {
	return decodeRecord(body, scanDocument)
}

func decodeDocuments(_ http.Header, body []byte) ([]*Document, error) {
	return decodeRecords(body, 0, scanDocument)
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
	body []byte, limit int, scan func(*jsonscan.Scanner) *T,
) ([]*T, error) {
	if records, ok := jsonscan.ScanRecords(body, limit, scan); ok {
		return allCompleted[T, R](records, nil)
	}
	if err := checkRecords(body, limit); err != nil {
		return nil, err
	}
	return allCompleted[T, R](decodeList[T](nil, body))
}

// tooManyRecords is the error of a list with more records than the limit.
type tooManyRecords int

func (limit tooManyRecords) Error() string {
	return fmt.Sprintf("more than the %d records that were asked for", int(limit))
}

// checkRecords returns an error for an array of more records than the request asked for.
func checkRecords(array []byte, limit int) error {
	if limit > 0 && jsonscan.Elements(array, limit) > limit {
		return tooManyRecords(limit)
	}
	return nil
}

// maxDecoded bounds the memory that decoding one response takes, as far as it can be estimated.
const maxDecoded = 1 << 30

// checkDecodedSize returns ErrTooLarge for a body that takes more than max bytes of memory when it
// is decoded. Bodies that cannot are not looked at: those of up to 8 MiB, for maxDecoded.
func checkDecodedSize(body []byte, max int64) error {
	if int64(len(body)) <= max/jsonscan.MaxGrowth || jsonscan.DecodedSize(body, max) <= max {
		return nil
	}
	return fmt.Errorf("%w: the response of %d bytes takes over %d bytes when it is decoded",
		ErrTooLarge, len(body), max)
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
