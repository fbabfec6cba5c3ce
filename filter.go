package zep

import (
	"encoding/json"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zep-go/zep/internal/exactjson"
)

// SearchFilter restricts a search by metadata and time. Its [SearchFilter.Metadata] goes into the
// Metadata of a [SearchMemoryRequest] or a [SearchDocumentsRequest].
type SearchFilter struct {
	Where Condition // of Equal, JSONPath, And, Or; nil for none

	// Start and End limit when a message was created. A zero time sets no limit. Searches of
	// documents ignore both.
	Start, End time.Time
}

// Metadata returns the filter in the form of the API.
func (f SearchFilter) Metadata() Metadata {
	m := Metadata{}
	if f.Where != nil {
		m["where"] = f.Where
	}
	if !f.Start.IsZero() {
		m["start_date"] = filterDate(f.Start)
	}
	if !f.End.IsZero() {
		m["end_date"] = filterDate(f.End)
	}
	return m
}

// Condition is a part of a [SearchFilter], made by [Equal], [JSONPath], [And] and [Or].
type Condition map[string]any

// Equal returns a condition that holds if the metadata has the key, at its top level, with the
// value. Keys and values may come from outside: Equal quotes both.
//
//	Equal("plan", "pro")
//	Equal("author", "O'Brien")
//
// The value may be anything that [json.Marshal] encodes as a string, a number, a boolean or null;
// nil stands for null. If the metadata has an array there, the condition holds if one of its
// elements is equal. A missing key is not equal to nil.
//
// Other values are invalid: maps, slices and structs; NaN and infinities; integers that a float64
// does not hold exactly, since the server rounds them; keys and strings that are not UTF-8 or
// contain a NUL character, which no metadata has. A search for one of them fails with
// [ErrBadRequest] before anything is sent.
func Equal(key string, value any) Condition {
	if err := exactjson.CheckText(key); err != nil {
		return invalidCondition(fmt.Errorf("Equal(%q): the key %w", key, err))
	}
	literal, err := pathLiteral(value)
	if err != nil {
		return invalidCondition(fmt.Errorf("Equal(%q): %w", key, err))
	}
	return JSONPath("$[*] ? (@." + Quote(key) + " == " + literal + ")")
}

// JSONPath returns a condition that holds if the SQL/JSON path, as PostgreSQL reads it, finds
// anything in the metadata. Use [Equal] to compare one key with a value, and [Quote] for every
// other string from outside:
//
//	Equal("tenant", tenant)
//	JSONPath(`$.address ? (@.city == ` + Quote(city) + `)`)
//	JSONPath(`$[*] ? (@.age >= 18)`)
//
// Do not quote a value in any other way. The server replaces each ' in a path by ", so a value
// that is correctly quoted as JSON can still end its string and change the condition.
//
// A path that PostgreSQL cannot parse is answered with a 500, [ErrServer]. A path that is not
// UTF-8 or contains a NUL character is [ErrBadRequest] before anything is sent.
func JSONPath(path string) Condition {
	if err := exactjson.CheckText(path); err != nil {
		return invalidCondition(fmt.Errorf("JSONPath: the path %w", err))
	}
	return Condition{"jsonpath": path}
}

// Quote returns the value as a string of an SQL/JSON path, with its quotation marks: for values
// and, after a ".", for keys. It escapes quotation marks, backslashes and control characters, and
// apostrophes too, which the server would replace by quotation marks:
//
//	JSONPath(`$.author ? (@.` + Quote(key) + ` == ` + Quote(name) + `)`)
//
// A value that is not UTF-8 or contains a NUL character cannot be in metadata. Quote keeps those
// bytes, and [JSONPath] then refuses the path. After like_regex the value is still a regular
// expression.
func Quote(value string) string {
	var b strings.Builder
	b.Grow(len(value) + len(`""`))
	b.WriteByte('"')
	for i := range len(value) {
		switch c := value[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == '\'' || c < ' ' && c != 0 || c == 0x7f:
			fmt.Fprintf(&b, `\u%04x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// And returns a condition that holds if all conditions hold.
func And(conditions ...Condition) Condition {
	return Condition{"and": slices.Clone(conditions)}
}

// Or returns a condition that holds if at least one condition holds. Pass at most one [And] or
// [Or], as the first: the server joins it to the conditions before it with AND.
func Or(conditions ...Condition) Condition {
	return Condition{"or": slices.Clone(conditions)}
}

// unencodable fails to encode as JSON, so that a request that contains it is not sent.
type unencodable struct{ err error }

func (u unencodable) MarshalJSON() ([]byte, error) { return nil, u.err }

func invalidCondition(err error) Condition { return Condition{"jsonpath": unencodable{err}} }

// pathLiteral returns a value as a literal of an SQL/JSON path, equal to what the server stores
// for it.
func pathLiteral(value any) (string, error) {
	v := reflect.ValueOf(value)
	for v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if v.Kind() == reflect.String { // json.Marshal would replace what is not UTF-8
		if err := exactjson.CheckText(v.String()); err != nil {
			return "", fmt.Errorf("the value %w", err)
		}
	}
	data, err := json.Marshal(value)
	if err != nil {
		return "", err
	}
	switch data[0] {
	case '{', '[':
		return "", fmt.Errorf("the value is a %T, must be a string, number, boolean or nil", value)
	case '"':
		var text string
		if err := json.Unmarshal(data, &text); err != nil {
			return "", err
		}
		if err := exactjson.CheckText(text); err != nil {
			return "", fmt.Errorf("the value %w", err)
		}
		return Quote(text), nil
	case 't', 'f', 'n':
		return string(data), nil
	default:
		return numberLiteral(string(data), v.CanInt() || v.CanUint())
	}
}

// numberLiteral returns a JSON number as the server writes it into the database, which compares
// numbers by all their digits. The server decodes it to a float64 and encodes that in its shortest
// form: 80351110224678912 is stored as 80351110224678910. So a number that is not of an integer
// type may have that form too.
func numberLiteral(number string, ofInteger bool) (string, error) {
	float, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return "", err
	}
	stored, err := json.Marshal(float)
	if err != nil {
		return "", err
	}
	integer, ok := new(big.Int).SetString(number, 10)
	if !ok || !ofInteger && string(stored) == number {
		return string(stored), nil
	}
	if _, accuracy := new(big.Float).SetInt(integer).Float64(); accuracy != big.Exact {
		return "", fmt.Errorf("%s is not exact as a float64: the server rounds it", number)
	}
	return string(stored), nil
}

// filterDate formats midnight in UTC as the date alone, as the API's own examples do.
func filterDate(t time.Time) string {
	t = t.UTC()
	if t.Equal(t.Truncate(24 * time.Hour)) {
		return t.Format(time.DateOnly)
	}
	return t.Format(time.RFC3339Nano)
}
