package exactjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// maxDepth is how deep a value may be nested: as deep as encoding/json decodes.
const maxDepth = 10_000

var errTooDeep = errors.New("nested too deep, or within itself")

// EncodeNumbers returns the JSON of a value. It differs from [json.Marshal] in floats that are
// integers: json.Marshal writes the shortest digits that stand for the float, as in
// 80351110224678910, and a decoder for integers takes those for the number. EncodeNumbers writes
// all digits. It does not look into structs.
func EncodeNumbers(value any) ([]byte, error) {
	return appendExact(nil, reflect.ValueOf(value), 0)
}

func appendExact(data []byte, v reflect.Value, depth int) ([]byte, error) {
	if depth > maxDepth {
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
