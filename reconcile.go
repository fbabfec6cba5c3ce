package zep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// reconcileAdd reads the "already exists" that follows an attempt whose outcome is ambiguous: the
// record is this call's if it has the content that was sent. The JSON of the request has a record's
// keys, so it is compared as a record.
func reconcileAdd[T any](
	failure *Error, req any, same func(sent, stored *T) bool, get func() (*T, error),
) (*T, error) {
	if !errors.Is(failure, ErrAlreadyExists) {
		return nil, failure
	}
	stored, err := get()
	switch {
	case errors.Is(err, ErrNotFound): // a deleted session keeps its id
		return nil, failure
	case err != nil:
		return nil, fmt.Errorf(
			"zep: %s: it exists, but could not verify whether this call created it: %w",
			failure.call(), err)
	}
	sent := new(T)
	data, err := json.Marshal(req)
	if err != nil || json.Unmarshal(data, sent) != nil || !same(sent, stored) {
		return nil, failure
	}
	return stored, nil
}

// reconcileDelete reads the "not found" that follows an attempt whose outcome is ambiguous: that
// attempt deleted the record.
func reconcileDelete(_ context.Context, failure *Error) (none, error) {
	if errors.Is(failure, ErrNotFound) {
		return none{}, nil
	}
	return none{}, failure
}

// sameMetadata compares two JSON objects as values. The server drops empty objects, so they are
// ignored.
func sameMetadata(a, b Metadata) bool {
	return reflect.DeepEqual(withoutEmpty(a), withoutEmpty(b))
}

func withoutEmpty(object map[string]any) map[string]any {
	kept := make(map[string]any, len(object))
	for key, value := range object {
		if inner, ok := value.(map[string]any); ok {
			if inner = withoutEmpty(inner); len(inner) == 0 {
				continue
			}
			value = inner
		}
		kept[key] = value
	}
	return kept
}

// asStored returns a text as the server stores it: JSON has no invalid UTF-8, and NUL bytes are
// dropped.
func asStored(text string) string {
	return strings.ReplaceAll(string([]rune(text)), "\x00", "")
}
