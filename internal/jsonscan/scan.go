// Package jsonscan decodes JSON of a known shape without reflection.
//
// A [Scanner] has one method for each kind of value. The caller reads the members of an object in
// a loop, by their names, so it states the shape of its records in plain code:
//
//	var userFields = []string{"id", "name"}
//
//	func scanUser(s *jsonscan.Scanner) *User {
//		u, fields := new(User), jsonscan.NewFields(userFields)
//		for more := s.BeginObject(); more; more = s.NextField() {
//			switch s.Field(&fields) {
//			case "id":
//				u.ID = s.Int64()
//			case "name":
//				u.Name = s.Text()
//			}
//		}
//		s.EndRecord()
//		return u
//	}
//
// A scanner returns what [encoding/json] would store, or it fails. It fails for text that is not
// JSON, and also for valid JSON that is rare in the responses of a server: a name that the shape
// does not have, a name that occurs twice, a surrogate pair, a number out of range, text that is
// not UTF-8. After a failure the caller decodes the same text with encoding/json, which returns
// the value or the error.
package jsonscan

import (
	"bytes"
	"strings"
	"sync"
	"time"
)

const (
	// maxDepth is how deep the objects and arrays of a Map may be nested.
	maxDepth = 64

	// The short strings of a record are substrings of one string, its chunk: one allocation
	// instead of one a string. A string over maxShared bytes is allocated by itself, so that a
	// kept id does not keep the content of its record. maxChunk limits what is allocated for a
	// chunk before its strings are known.
	maxShared    = 128
	maxChunk     = 1024
	firstCapHint = 160

	// maxKeptBuffer limits the buffer that a scanner keeps for the next text.
	maxKeptBuffer = 64 << 10
)

// Scanner reads one JSON text from its beginning to its end. Its methods skip the space before
// what they read.
//
// A method that finds something else than what it reads makes the scanner fail: the scanner is at
// the end of the text then, so that the caller's loops end, and the values that it returned are
// to be discarded. [Scan] reports it.
//
// No value that a method returns refers to the text, or to memory of another record.
type Scanner struct {
	data      []byte
	pos       int
	failed    bool
	unescaped []byte          // the last string that had escapes, without them
	chunk     strings.Builder // the short strings of this record
	textLen   int             // their length so far, in all chunks
	capHint   int             // the capacity of the next chunk

	maxRecords int // of a list; 0 for any number
}

var scanners = sync.Pool{New: func() any { return new(Scanner) }}

// Scan reads data with the function scan. It reports whether data is one JSON value that scan has
// read whole; otherwise the value that it returns is incomplete. The scanner is not valid after
// scan has returned.
func Scan[T any](data []byte, scan func(*Scanner) T) (value T, ok bool) {
	s := acquire(data)
	value = scan(s)
	return value, s.release()
}

// ScanRecords reads data as an array of at most max records; 0 is no limit. It is Scan with
// [Records].
func ScanRecords[T any](data []byte, max int, record func(*Scanner) *T) (list []*T, ok bool) {
	s := acquire(data)
	s.LimitRecords(max)
	list = Records(s, record)
	return list, s.release()
}

func acquire(data []byte) *Scanner {
	s := scanners.Get().(*Scanner)
	s.reset(data)
	return s
}

// release ends a scan, and reports whether it read its data whole.
func (s *Scanner) release() bool {
	ok := s.done()
	s.reset(nil)
	scanners.Put(s)
	return ok
}

func (s *Scanner) reset(data []byte) {
	*s = Scanner{data: data, unescaped: s.unescaped[:0], capHint: firstCapHint}
	if cap(s.unescaped) > maxKeptBuffer {
		s.unescaped = nil
	}
}

// done reports whether nothing is left to read and nothing failed.
func (s *Scanner) done() bool { return s.peek() == 0 && s.pos == len(s.data) && !s.failed }

func (s *Scanner) fail() { s.pos, s.failed = len(s.data), true }

// BeginObject reads the beginning of an object, and reports whether the object has a member.
func (s *Scanner) BeginObject() bool { return s.begin('{', '}') }

// NextField goes to the next member of an object, and reports whether there is one.
func (s *Scanner) NextField() bool { return s.next('}') }

// BeginArray reads the beginning of an array, and reports whether the array has an element.
func (s *Scanner) BeginArray() bool { return s.begin('[', ']') }

// NextElement goes to the next element of an array, and reports whether there is one.
func (s *Scanner) NextElement() bool { return s.next(']') }

func (s *Scanner) begin(open, end byte) bool {
	if !s.token(open) {
		s.fail()
		return false
	}
	return !s.token(end)
}

func (s *Scanner) next(end byte) bool {
	if s.token(',') {
		return true
	}
	if !s.token(end) {
		s.fail()
	}
	return false
}

// Fields are the names of the members that an object may have, while the object is read.
type Fields struct {
	names []string
	next  int  // the index of the likely one
	seen  uint // a bit for each
}

// NewFields returns the fields of one object. The names are best in the order in which the server
// writes them, because each is compared with the next first. There may be 32 at most.
func NewFields(names []string) Fields { return Fields{names: names} }

// Field reads the name of a member, and returns it. If the value of the member is null, Field
// reads the value too and returns "", since null changes nothing in what encoding/json decodes
// into. The scanner fails if the name is none of the fields or occurred before.
func (s *Scanner) Field(f *Fields) string {
	key := s.key()
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
		if s.literal("null") {
			return ""
		}
		return f.names[i]
	}
	s.fail()
	return ""
}

// LimitRecords makes [Records] fail at a list of more than max records. 0 is no limit.
func (s *Scanner) LimitRecords(max int) { s.maxRecords = max }

// Records reads an array of records. Each record is allocated by itself, so that a kept one does
// not keep the others. The slice is never nil.
func Records[T any](s *Scanner, record func(*Scanner) *T) []*T {
	list := []*T{}
	for more := s.BeginArray(); more; more = s.NextElement() {
		if s.maxRecords > 0 && len(list) == s.maxRecords {
			s.fail()
			break
		}
		start := s.pos
		r := record(s)
		if cap(list) == 0 { // the others are probably as long as the first
			rest := len(s.data) - s.pos
			list = make([]*T, 0, 1+min(rest/(s.pos-start+1), rest/256))
		}
		list = append(list, r)
	}
	return list
}

// EndRecord ends a record: the strings that are read next do not share memory with those that
// were read before. The length of the text of the last records sets the capacity for the next; it
// decreases by an eighth a record, so that one long record does not set it for all.
func (s *Scanner) EndRecord() {
	s.chunk.Reset()
	s.capHint = max(s.capHint-s.capHint/8, min(s.textLen, maxChunk))
	s.textLen = 0
}

// Bool reads true or false.
func (s *Scanner) Bool() bool {
	if s.literal("true") {
		return true
	}
	if !s.literal("false") {
		s.fail()
	}
	return false
}

// Time reads a string that holds a time. It fails for a string with escapes: some versions of
// encoding/json decode them, others don't.
func (s *Scanner) Time() (t time.Time) {
	if text := s.chars(); len(s.unescaped) > 0 || t.UnmarshalText(text) != nil {
		s.fail()
	}
	return t
}

// Text reads a string.
func (s *Scanner) Text() string { return s.keep(s.chars()) }

// Map reads an object of any members. The map is never nil.
func (s *Scanner) Map() map[string]any { return s.object(0) }

func (s *Scanner) object(depth int) map[string]any {
	m := make(map[string]any)
	for more := s.BeginObject(); more; more = s.NextField() {
		size, key := len(m), s.keep(s.key())
		if m[key] = s.value(depth + 1); len(m) == size {
			s.fail()
		}
	}
	return m
}

func (s *Scanner) array(depth int) []any {
	list := []any{}
	for more := s.BeginArray(); more; more = s.NextElement() {
		list = append(list, s.value(depth+1))
	}
	return list
}

func (s *Scanner) value(depth int) any {
	switch c := s.peek(); {
	case depth == maxDepth:
		s.fail()
	case c == '{':
		return s.object(depth)
	case c == '[':
		return s.array(depth)
	case c == '"':
		return s.Text()
	case s.literal("true"):
		return true
	case s.literal("false"):
		return false
	case !s.literal("null"):
		return s.Float64()
	}
	return nil
}

// peek returns the first byte of the next token, or 0 at the end.
func (s *Scanner) peek() byte {
	for ; s.pos < len(s.data); s.pos++ {
		if c := s.data[s.pos]; c > ' ' || c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return c
		}
	}
	return 0
}

// token reads c, if it is next.
func (s *Scanner) token(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.pos++
	return true
}

// key returns bytes that are valid until the next string is read.
func (s *Scanner) key() []byte {
	key := s.chars()
	if !s.token(':') {
		s.fail()
	}
	return key
}

// literal reads null, true or false, if it is next.
func (s *Scanner) literal(word string) bool {
	if s.peek() != word[0] || !bytes.HasPrefix(s.data[s.pos:], []byte(word)) {
		return false
	}
	s.pos += len(word)
	return true
}
