package zep

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// encoding/json says how an answer is read. Users, sessions and messages come by the thousand, so they are given first to a
// parser that knows their shape. It finds what encoding/json would, or gives up, and then encoding/json has the body.

func decodeUser(header http.Header, body []byte) (*User, error) {
	return decodeFast(header, body, (*parser).user, decodeJSON[*User])
}

func decodeUsers(header http.Header, body []byte) ([]*User, error) {
	return decodeFast(header, body, (*parser).users, decodeList[User])
}

func decodeSession(header http.Header, body []byte) (*Session, error) {
	return decodeFast(header, body, (*parser).session, decodeJSON[*Session])
}

func decodeSessions(header http.Header, body []byte) ([]*Session, error) {
	return decodeFast(header, body, (*parser).sessions, decodeList[Session])
}

func decodeMessage(header http.Header, body []byte) (*Message, error) {
	return decodeFast(header, body, (*parser).message, decodeJSON[*Message])
}

func decodeMessageList(header http.Header, body []byte) (*MessageList, error) {
	return decodeFast(header, body, (*parser).messageList, func(header http.Header, body []byte) (*MessageList, error) {
		list, err := decodeJSON[*MessageList](header, body)
		if err == nil {
			list.Messages, err = withoutNull(list.Messages)
		}
		return list, err
	})
}

func decodeFast[T any](header http.Header, body []byte, parse func(*parser) T, otherwise func(http.Header, []byte) (T, error)) (T, error) {
	p := &parser{data: body, room: firstRoom}
	if answer := parse(p); p.done() {
		return answer, nil
	}
	return otherwise(header, body)
}

const (
	// maxDepth bounds how deep metadata may be nested.
	maxDepth = 64

	// A record's short strings are parts of one, which saves most of the allocations. maxShared bounds them, so that an id that
	// is kept does not keep a message's whole content, and maxChunk what is allocated before it is known to be needed.
	maxShared = 128
	maxChunk  = 1024
	firstRoom = 160
)

// A parser reads JSON of the kind that Zep writes. Whatever else it meets, broken or only unusual (a key that it does not know,
// or twice; a surrogate pair; a number out of range; text that is not UTF-8), it gives up: it is at the end of its data then, and
// what its methods return is worth nothing, as done says.
//
// Nothing that it returns is part of data, or of another record.
type parser struct {
	data   []byte
	pos    int
	gaveUp bool
	plain  []byte          // the last string that had escapes, without them
	text   strings.Builder // this record's short strings
	length int             // of all of them
	room   int             // for them, from what earlier records needed
}

func (p *parser) giveUp() { p.pos, p.gaveUp = len(p.data), true }

// done: the data was one value, and was understood.
func (p *parser) done() bool { return p.peek() == 0 && p.pos == len(p.data) && !p.gaveUp }

var (
	userFields = []string{"uuid", "id", "created_at", "updated_at", "deleted_at", "user_id", "email", "first_name", "last_name",
		"metadata"}
	sessionFields     = []string{"uuid", "id", "created_at", "updated_at", "deleted_at", "session_id", "metadata", "user_id"}
	messageFields     = []string{"uuid", "created_at", "updated_at", "role", "content", "metadata", "token_count"}
	messageListFields = []string{"messages", "total_count", "row_count"}
)

func (p *parser) user() *User {
	u, known := new(User), fields{names: userFields}
	for more := p.open('{', '}'); more; more = p.next('}') {
		switch p.field(&known) {
		case "uuid":
			u.UUID = p.string()
		case "id":
			u.ID = p.integer(64)
		case "created_at":
			u.CreatedAt = p.time()
		case "updated_at":
			u.UpdatedAt = p.time()
		case "deleted_at":
			t := p.time()
			u.DeletedAt = &t
		case "user_id":
			u.UserID = p.string()
		case "email":
			u.Email = p.string()
		case "first_name":
			u.FirstName = p.string()
		case "last_name":
			u.LastName = p.string()
		case "metadata":
			u.Metadata = p.object(0)
		}
	}
	p.end()
	return u
}

func (p *parser) session() *Session {
	s, known := new(Session), fields{names: sessionFields}
	for more := p.open('{', '}'); more; more = p.next('}') {
		switch p.field(&known) {
		case "uuid":
			s.UUID = p.string()
		case "id":
			s.ID = p.integer(64)
		case "created_at":
			s.CreatedAt = p.time()
		case "updated_at":
			s.UpdatedAt = p.time()
		case "deleted_at":
			t := p.time()
			s.DeletedAt = &t
		case "session_id":
			s.SessionID = p.string()
		case "metadata":
			s.Metadata = p.object(0)
		case "user_id":
			s.UserID = p.string()
		}
	}
	p.end()
	return s
}

func (p *parser) message() *Message {
	m, known := new(Message), fields{names: messageFields}
	for more := p.open('{', '}'); more; more = p.next('}') {
		switch p.field(&known) {
		case "uuid":
			m.UUID = p.string()
		case "created_at":
			m.CreatedAt = p.time()
		case "updated_at":
			m.UpdatedAt = p.time()
		case "role":
			m.Role = Role(p.string())
		case "content":
			m.Content = p.string()
		case "metadata":
			m.Metadata = p.object(0)
		case "token_count":
			m.TokenCount = int(p.integer(strconv.IntSize))
		}
	}
	p.end()
	return m
}

func (p *parser) messageList() *MessageList {
	list, known := &MessageList{Messages: []*Message{}}, fields{names: messageListFields}
	for more := p.open('{', '}'); more; more = p.next('}') {
		switch p.field(&known) {
		case "messages":
			list.Messages = records(p, (*parser).message)
		case "total_count":
			list.TotalCount = int(p.integer(strconv.IntSize))
		case "row_count":
			list.RowCount = int(p.integer(strconv.IntSize))
		}
	}
	return list
}

func (p *parser) users() []*User       { return records(p, (*parser).user) }
func (p *parser) sessions() []*Session { return records(p, (*parser).session) }

// records reads an array. Each record is allocated by itself: to keep one is not to keep its page.
func records[T any](p *parser, record func(*parser) *T) []*T {
	list := make([]*T, 0, len(p.data)/256)
	for more := p.open('[', ']'); more; more = p.next(']') {
		list = append(list, record(p))
	}
	return list
}

// fields are those of one record, while it is read.
type fields struct {
	names []string // in the server's order
	next  int      // the likely one: with the server's order, each key is found at once
	seen  uint     // a bit for each
}

// field reads a key, and gives its name. With null for a value there is nothing to set: then the name is "".
func (p *parser) field(f *fields) string {
	key := p.key()
	for range f.names {
		i := f.next
		if f.next++; f.next == len(f.names) {
			f.next = 0
		}
		if string(key) != f.names[i] {
			continue
		}
		if f.seen&(1<<i) != 0 {
			break
		}
		f.seen |= 1 << i
		if p.literal("null") {
			return ""
		}
		return f.names[i]
	}
	p.giveUp()
	return ""
}

// object reads an object of any kind, into a map that is never nil.
func (p *parser) object(depth int) map[string]any {
	m := make(map[string]any)
	for more := p.open('{', '}'); more; more = p.next('}') {
		size, key := len(m), p.keep(p.key())
		if m[key] = p.value(depth + 1); len(m) == size {
			p.giveUp()
		}
	}
	return m
}

func (p *parser) array(depth int) []any {
	list := []any{}
	for more := p.open('[', ']'); more; more = p.next(']') {
		list = append(list, p.value(depth+1))
	}
	return list
}

func (p *parser) value(depth int) any {
	switch c := p.peek(); {
	case depth == maxDepth:
		p.giveUp()
	case c == '{':
		return p.object(depth)
	case c == '[':
		return p.array(depth)
	case c == '"':
		return p.string()
	case p.literal("true"):
		return true
	case p.literal("false"):
		return false
	case !p.literal("null"):
		f, err := strconv.ParseFloat(string(p.number()), 64)
		if err != nil {
			p.giveUp()
		}
		return f
	}
	return nil
}

// peek gives the first byte of the next token, 0 at the end.
func (p *parser) peek() byte {
	for ; p.pos < len(p.data); p.pos++ {
		if c := p.data[p.pos]; c > ' ' || c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return c
		}
	}
	return 0
}

// token reads c, if it is next.
func (p *parser) token(c byte) bool {
	if p.peek() != c {
		return false
	}
	p.pos++
	return true
}

// open begins an object or array, and says whether there is anything in it.
func (p *parser) open(begin, end byte) bool {
	if !p.token(begin) {
		p.giveUp()
		return false
	}
	return !p.token(end)
}

// next goes on in an object or array, and says whether there is more in it.
func (p *parser) next(end byte) bool {
	if p.token(',') {
		return true
	}
	if !p.token(end) {
		p.giveUp()
	}
	return false
}

// key is good until the next string is read.
func (p *parser) key() []byte {
	key := p.chars()
	if !p.token(':') {
		p.giveUp()
	}
	return key
}

// literal reads null, true or false, if that is next.
func (p *parser) literal(word string) bool {
	if p.peek() != word[0] || !bytes.HasPrefix(p.data[p.pos:], []byte(word)) {
		return false
	}
	p.pos += len(word)
	return true
}

func (p *parser) integer(bits int) int64 {
	n, err := strconv.ParseInt(string(p.number()), 10, bits)
	if err != nil {
		p.giveUp()
	}
	return n
}

// number checks the grammar, which is stricter than that of strconv.
func (p *parser) number() []byte {
	p.peek()
	start := p.pos
	p.char('-')
	if !p.char('0') {
		p.digits()
	}
	if p.char('.') {
		p.digits()
	}
	if p.char('e') || p.char('E') {
		_ = p.char('+') || p.char('-')
		p.digits()
	}
	return p.data[start:p.pos]
}

// char reads c, if it is the very next byte.
func (p *parser) char(c byte) bool {
	if p.pos == len(p.data) || p.data[p.pos] != c {
		return false
	}
	p.pos++
	return true
}

func (p *parser) digits() {
	start := p.pos
	for p.pos < len(p.data) && '0' <= p.data[p.pos] && p.data[p.pos] <= '9' {
		p.pos++
	}
	if p.pos == start {
		p.giveUp()
	}
}

// time gives up on escapes: one version of encoding/json reads them in a time, another does not.
func (p *parser) time() (t time.Time) {
	if s := p.chars(); len(p.plain) > 0 || t.UnmarshalText(s) != nil {
		p.giveUp()
	}
	return t
}

func (p *parser) string() string { return p.keep(p.chars()) }

// keep makes a string that lives as long as its record.
func (p *parser) keep(s []byte) string {
	if len(s) > maxShared {
		return string(s)
	}
	if p.text.Cap()-p.text.Len() < len(s) {
		p.text.Reset()
		p.text.Grow(max(p.room, len(s)))
	}
	p.length += len(s)
	p.text.Write(s)
	return p.text.String()[p.text.Len()-len(s):]
}

// end makes ready for the text of the next record. What the longest took is made room for, and forgotten by and by.
func (p *parser) end() {
	p.text.Reset()
	p.room = max(p.room-p.room/8, min(p.length, maxChunk))
	p.length = 0
}

// chars reads a string. The bytes are good until the next is read.
func (p *parser) chars() []byte {
	if !p.token('"') {
		p.giveUp()
		return nil
	}
	p.plain = p.plain[:0]
	start, ascii := p.pos, true
	for i := start; i < len(p.data); {
		if ascii && len(p.data)-i >= 8 {
			n := plainASCII(binary.LittleEndian.Uint64(p.data[i:]))
			if i += n; n == 8 {
				continue
			}
		}
		switch c := p.data[i]; {
		case c == '"':
			s := p.data[start:i]
			if p.pos = i + 1; len(p.plain) > 0 {
				p.plain = append(p.plain, s...)
				s = p.plain
			}
			if !ascii && !utf8.Valid(s) {
				p.giveUp()
			}
			return s
		case c == '\\':
			p.plain = append(p.plain, p.data[start:i]...)
			p.pos = i + 1
			p.plain = utf8.AppendRune(p.plain, p.escape())
			i, start = p.pos, p.pos
		case c < ' ':
			i = len(p.data)
		default:
			ascii = ascii && c < utf8.RuneSelf
			i++
		}
	}
	p.giveUp()
	return nil
}

// plainASCII says how many of 8 bytes, from the lowest, come before the first that a string does not have as it is: a control
// character, a quote, a backslash, or a part of a character beyond ASCII. One of the subtractions at least leaves such a byte with
// its highest bit set, and none leaves another so, but for bytes above it that a borrow reaches.
func plainASCII(w uint64) int {
	const each = 0x0101010101010101
	other := (w - each*' ') | (w ^ each*'"' - each) | (w ^ each*'\\' - each)
	return bits.TrailingZeros64(other&(each*0x80)) / 8
}

// escape reads what is after a backslash.
func (p *parser) escape() rune {
	if p.pos == len(p.data) {
		return 0
	}
	c := p.data[p.pos]
	p.pos++
	if i := strings.IndexByte(`"\/bfnrt`, c); i >= 0 {
		return rune("\"\\/\b\f\n\r\t"[i])
	}
	if end := p.pos + 4; c == 'u' && end <= len(p.data) {
		r, err := strconv.ParseUint(string(p.data[p.pos:end]), 16, 16)
		if err == nil && !utf16.IsSurrogate(rune(r)) {
			p.pos = end
			return rune(r)
		}
	}
	p.giveUp()
	return 0
}
