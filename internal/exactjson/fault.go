package exactjson

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// encodeError says which value of a request cannot be sent, and why.
type encodeError struct {
	path []string // as in Go, the last segment first
	why  error
}

func noJSON(err error) *encodeError {
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
	return path + " " + e.why.Error()
}

func (e *encodeError) Unwrap() error { return e.why }

// findFault returns the error of the first part of a value that cannot be sent, nil if there is
// none. It looks at what encoding/json encodes, in the same order.
func findFault(v reflect.Value, depth int) *encodeError {
	if depth > maxDepth {
		return noJSON(errTooDeep)
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
		if err := CheckText(v.String()); err != nil {
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
	check := func(text []byte) error { return CheckText(string(text)) }
	switch m := pointerTo(v).Interface().(type) {
	case json.Marshaler:
		text, err = m.MarshalJSON()
		check = checkJSON
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
	if _, err := marshal(pointerTo(v).Interface()); err != nil {
		return noJSON(err)
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
			return noJSON(err)
		}
		entries = append(entries, entry{key, all.Value()})
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.key, b.key) })
	for _, e := range entries {
		segment := fmt.Sprintf("[%.100q]", e.key)
		if depth == 0 {
			segment = e.key // of a body that this package made
		}
		if err := CheckText(e.key); err != nil {
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

var (
	jsonMarshaler = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
)

// hasOwnJSON reports whether values of a type encode themselves.
func hasOwnJSON(t reflect.Type) bool {
	pointer := reflect.PointerTo(t)
	return pointer.Implements(jsonMarshaler) || pointer.Implements(textMarshaler)
}
