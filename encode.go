package zep

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf16"
	"unicode/utf8"
)

// encode returns the JSON of a request's body, nil for none. It refuses text that the server would
// store as another text, and it does not escape <, > and &. Its error names the field.
func encode(body any) ([]byte, error) {
	switch body := body.(type) {
	case nil:
		return nil, nil
	case []json.RawMessage: // a batch: encode made its items
		return joinArray(body), nil
	}
	data, err := encodeJSON(body)
	if err == nil && !maybeChanged(data) {
		return data, nil
	}
	if fault := findFault(reflect.ValueOf(body), 0); fault != nil {
		return nil, fault
	}
	if err != nil {
		return nil, jsonError(err)
	}
	if err := checkJSONText(data); err != nil {
		return nil, &encodeError{why: err}
	}
	return data, nil
}

// joinArray returns the JSON array of values that are JSON.
func joinArray(items []json.RawMessage) []byte {
	size := len("[]") + len(items)
	for _, item := range items {
		size += len(item)
	}
	data := append(make([]byte, 0, size), '[')
	for i, item := range items {
		if i > 0 {
			data = append(data, ',')
		}
		data = append(data, item...)
	}
	return append(data, ']')
}

// jsonEncoder is a json.Encoder that writes into data. Its own allocation is saved by a pool.
type jsonEncoder struct {
	json *json.Encoder
	data []byte
}

func (e *jsonEncoder) Write(p []byte) (int, error) {
	e.data = append(e.data, p...)
	return len(p), nil
}

var jsonEncoders = sync.Pool{New: func() any {
	e := new(jsonEncoder)
	e.json = json.NewEncoder(e)
	e.json.SetEscapeHTML(false)
	return e
}}

// encodeJSON is json.Marshal without the escaping for HTML.
func encodeJSON(v any) ([]byte, error) {
	e := jsonEncoders.Get().(*jsonEncoder)
	err := e.json.Encode(v)
	data := e.data
	e.data = nil
	jsonEncoders.Put(e)
	if err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(data, []byte("\n")), nil
}

// maybeChanged reports whether JSON may stand for text that the server would change. encoding/json
// writes U+FFFD for a byte that is not UTF-8, as \ufffd or, with GOEXPERIMENT=jsonv2, as it is; and
// \u0000 for NUL. A json.Marshaler may write those, half a surrogate pair, or bytes that are not
// UTF-8. Some JSON that is fine is reported too.
func maybeChanged(data []byte) bool {
	if !utf8.Valid(data) || bytes.Contains(data, []byte("\ufffd")) {
		return true
	}
	for {
		i := bytes.IndexByte(data, '\\')
		if i < 0 {
			return false
		}
		data = data[i+1:]
		if r, ok := unicodeEscape(data); ok &&
			(r == 0 || r == utf8.RuneError || utf16.IsSurrogate(r)) {
			return true
		}
	}
}

// unicodeEscape reads the rest of a \u escape, after the backslash.
func unicodeEscape(data []byte) (rune, bool) {
	if len(data) < len("u0000") || data[0] != 'u' {
		return 0, false
	}
	r, err := strconv.ParseUint(string(data[1:5]), 16, 16)
	return rune(r), err == nil
}

var (
	errNotUTF8 = errors.New("is not UTF-8: replace the invalid bytes, as strings.ToValidUTF8 does")
	errNUL     = errors.New("contains a NUL character, which the server does not store: remove it")

	errHalfPair = errors.New(`contains half of a surrogate pair, such as \ud800, ` +
		`which is not UTF-8: replace it, as strings.ToValidUTF8 replaces invalid bytes`)
)

// checkText returns why the server would not store the text as it is, or nil.
func checkText(text string) error {
	switch {
	case !utf8.ValidString(text):
		return errNotUTF8
	case strings.Contains(text, "\x00"):
		return errNUL
	}
	return nil
}

// checkJSONText returns why the server would not store a text of valid JSON as it is, or nil.
func checkJSONText(data []byte) error {
	if !utf8.Valid(data) {
		return errNotUTF8
	}
	for {
		i := bytes.IndexByte(data, '\\')
		if i < 0 {
			return nil
		}
		data = data[i+1:]
		r, ok := unicodeEscape(data)
		if !ok {
			data = data[1:] // it may be a backslash
			continue
		}
		data = data[len("u0000"):]
		if r == 0 {
			return errNUL
		}
		if utf16.IsSurrogate(r) {
			rest, _ := bytes.CutPrefix(data, []byte(`\`))
			low, ok := unicodeEscape(rest)
			if !ok || len(rest) == len(data) || utf16.DecodeRune(r, low) == utf8.RuneError {
				return errHalfPair
			}
			data = rest[len("u0000"):]
		}
	}
}

// encodeError says which value of a request cannot be sent, and why.
type encodeError struct {
	path []string // as in Go, the last segment first
	why  error
}

func jsonError(err error) *encodeError {
	return &encodeError{why: fmt.Errorf("cannot be sent as JSON: %w", err)}
}

// in adds what contains the value.
func (e *encodeError) in(segment string) *encodeError {
	e.path = append(e.path, segment)
	if n := len(e.path); n > 4 && errors.Is(e.why, errTooDeep) {
		e.path = e.path[n-4:] // the others repeat these
	}
	return e
}

// maxPath is how many bytes an error shows of each end of a long path.
const maxPath = 300

func (e *encodeError) Error() string {
	var b strings.Builder
	for _, segment := range slices.Backward(e.path) {
		b.WriteString(segment)
	}
	path := strings.TrimPrefix(b.String(), ".")
	switch {
	case path == "":
		path = "the request"
	case len(path) > 2*maxPath:
		path = strings.ToValidUTF8(path[:maxPath]+"…"+path[len(path)-maxPath:], "")
	}
	return oneLine(path + " " + e.why.Error())
}

func (e *encodeError) Unwrap() error { return e.why }

// findFault returns the error of the first part of a value that cannot be sent, nil if there is
// none. It looks at what encoding/json encodes, in the same order.
func findFault(v reflect.Value, depth int) *encodeError {
	if depth > maxDecodeDepth {
		return jsonError(errTooDeep)
	}
	switch v.Kind() {
	case reflect.Invalid:
		return nil
	case reflect.Interface:
		return findFault(v.Elem(), depth)
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
	}
	if own, fault := ownFault(v); own {
		return fault
	}
	switch v.Kind() {
	case reflect.Pointer:
		return findFault(v.Elem(), depth+1)
	case reflect.Struct:
		return structFault(v, depth)
	case reflect.Map:
		return mapFault(v, depth)
	case reflect.Slice, reflect.Array:
		return listFault(v, depth)
	case reflect.String:
		if err := checkText(v.String()); err != nil {
			return &encodeError{why: err}
		}
		if v.Type() != jsonNumber {
			return nil
		}
	}
	return jsonFault(v)
}

var jsonNumber = reflect.TypeFor[json.Number]()

// ownFault returns the error of a value that encodes itself, and reports whether it does.
func ownFault(v reflect.Value) (own bool, fault *encodeError) {
	if !v.CanInterface() {
		return false, nil
	}
	var text []byte
	var err error
	check := func(text []byte) error { return checkText(string(text)) }
	switch m := pointerTo(v).Interface().(type) {
	case json.Marshaler:
		text, err = m.MarshalJSON()
		check = checkJSONText
		if err == nil && !json.Valid(text) {
			return true, jsonFault(v)
		}
	case encoding.TextMarshaler:
		text, err = m.MarshalText()
	default:
		return false, nil
	}
	if err != nil {
		return true, jsonFault(v)
	}
	if err := check(text); err != nil {
		return true, &encodeError{why: err}
	}
	return true, nil
}

// pointerTo returns a pointer to a value where encoding/json would use the methods of that.
func pointerTo(v reflect.Value) reflect.Value {
	if v.CanAddr() && v.Kind() != reflect.Pointer {
		return v.Addr()
	}
	return v
}

// jsonFault returns the error that encoding/json has for a value.
func jsonFault(v reflect.Value) *encodeError {
	if !v.CanInterface() {
		return nil
	}
	if _, err := encodeJSON(pointerTo(v).Interface()); err != nil {
		return jsonError(err)
	}
	return nil
}

func structFault(v reflect.Value, depth int) *encodeError {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if !isEncoded(field, v.Field(i)) {
			continue
		}
		if fault := findFault(v.Field(i), depth+1); fault != nil {
			return fault.in("." + field.Name)
		}
	}
	return nil
}

// isEncoded reports whether encoding/json encodes a field with this value.
func isEncoded(field reflect.StructField, v reflect.Value) bool {
	tag := field.Tag.Get("json")
	if tag == "-" {
		return false
	}
	if !field.IsExported() {
		t := field.Type
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		return field.Anonymous && t.Kind() == reflect.Struct
	}
	options := strings.Split(tag, ",")[1:]
	if slices.Contains(options, "omitzero") && v.IsZero() {
		return false
	}
	if !slices.Contains(options, "omitempty") {
		return true
	}
	switch v.Kind() {
	case reflect.Map, reflect.Slice, reflect.Array:
		return v.Len() > 0
	case reflect.Struct, reflect.Chan, reflect.Func, reflect.Complex64, reflect.Complex128:
		return true
	}
	return !v.IsZero()
}

func mapFault(v reflect.Value, depth int) *encodeError {
	if !canBeKey(v.Type().Key()) {
		return jsonFault(v)
	}
	type entry struct {
		key   string
		value reflect.Value
	}
	var entries []entry
	for all := v.MapRange(); all.Next(); {
		key, err := keyText(all.Key())
		if err != nil {
			return jsonError(err)
		}
		entries = append(entries, entry{key, all.Value()})
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.key, b.key) })
	for _, e := range entries {
		segment := fmt.Sprintf("[%.100q]", e.key)
		if depth == 0 {
			segment = e.key // of a body that this package made
		}
		if err := checkText(e.key); err != nil {
			fault := &encodeError{why: fmt.Errorf("(the key) %w", err)}
			return fault.in(segment)
		}
		if fault := findFault(e.value, depth+1); fault != nil {
			return fault.in(segment)
		}
	}
	return nil
}

// canBeKey reports whether encoding/json takes keys of a type.
func canBeKey(t reflect.Type) bool {
	isInteger := t.Kind() >= reflect.Int && t.Kind() <= reflect.Uintptr
	return t.Kind() == reflect.String || isInteger || t.Implements(textMarshaler)
}

// keyText returns the text that a key of a map has in JSON.
func keyText(key reflect.Value) (string, error) {
	if key.Kind() == reflect.String {
		return key.String(), nil
	}
	if m, ok := key.Interface().(encoding.TextMarshaler); ok {
		if key.Kind() == reflect.Pointer && key.IsNil() {
			return "", nil
		}
		text, err := m.MarshalText()
		return string(text), err
	}
	return fmt.Sprint(key), nil
}

func listFault(v reflect.Value, depth int) *encodeError {
	if kind := v.Type().Elem().Kind(); kind == reflect.Uint8 && !hasOwnJSON(v.Type().Elem()) {
		return nil // bytes
	}
	for i := range v.Len() {
		if fault := findFault(v.Index(i), depth+1); fault != nil {
			return fault.in(fmt.Sprintf("[%d]", i))
		}
	}
	return nil
}
