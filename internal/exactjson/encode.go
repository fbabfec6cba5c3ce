// Package exactjson encodes values as JSON from which a server stores what was given: text that
// it would change is an error, and an integer in a float has all its digits.
package exactjson

import (
	"bytes"
	"encoding/json"
	"reflect"
	"sync"
)

// Encode returns the JSON of a request's body, nil for none. It refuses text that the server would
// store as another text, and it does not escape <, > and &. Its error names the field. A list of
// json.RawMessage is the array of what Encode returned for its items.
func Encode(body any) ([]byte, error) {
	switch body := body.(type) {
	case nil:
		return nil, nil
	case []json.RawMessage:
		return joinArray(body), nil
	}
	data, err := marshal(body)
	if err == nil && !maybeChanged(data) {
		return data, nil
	}
	if fault := findFault(reflect.ValueOf(body), 0); fault != nil {
		return nil, fault
	}
	if err != nil {
		return nil, noJSON(err)
	}
	if err := checkJSON(data); err != nil {
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

// encoder is a json.Encoder that writes into data. Its own allocation is saved by a pool.
type encoder struct {
	json *json.Encoder
	data []byte
}

func (e *encoder) Write(p []byte) (int, error) {
	e.data = append(e.data, p...)
	return len(p), nil
}

var encoders = sync.Pool{New: func() any {
	e := new(encoder)
	e.json = json.NewEncoder(e)
	e.json.SetEscapeHTML(false)
	return e
}}

// marshal is json.Marshal without the escaping for HTML.
func marshal(v any) ([]byte, error) {
	e := encoders.Get().(*encoder)
	err := e.json.Encode(v)
	data := e.data
	e.data = nil
	encoders.Put(e)
	if err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(data, []byte("\n")), nil
}
