package zep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// settleAdd reads the "already exists" that follows an attempt whose answer was lost: what is there now is this call's if it
// has the content that was sent. The request is taken as a record through its JSON, which has a record's keys.
func settleAdd[T any](failure *Error, req any, same func(sent, there *T) bool, get func() (*T, error)) (*T, error) {
	if !errors.Is(failure, ErrAlreadyExists) {
		return nil, failure
	}
	there, err := get()
	switch {
	case errors.Is(err, ErrNotFound): // deleted: a session keeps its id
		return nil, failure
	case err != nil:
		return nil, fmt.Errorf("zep: %s %s: it exists, and whether this call made it cannot be told: %w", failure.Method, failure.Path, err)
	}
	sent := new(T)
	if data, err := json.Marshal(req); err != nil || json.Unmarshal(data, sent) != nil || !same(sent, there) {
		return nil, failure
	}
	return there, nil
}

// settleDelete reads the "not found" that follows an attempt whose answer was lost: that attempt did it.
func settleDelete(_ context.Context, failure *Error) (none, error) {
	if errors.Is(failure, ErrNotFound) {
		return none{}, nil
	}
	return none{}, failure
}

// sameMetadata compares two JSON objects as values. The server drops empty objects, so they count as not there.
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

// asStored is a text as the server gives it back: it gets it as JSON, which has no invalid UTF-8, and drops NUL bytes.
func asStored(text string) string {
	return strings.ReplaceAll(string([]rune(text)), "\x00", "")
}
