package zep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
)

// reconcileAdd reads the "already exists" that follows an attempt whose outcome is ambiguous: the
// record is this call's if it has the content of the body that was sent. That has the keys of a
// record, so it is compared as one.
func reconcileAdd[T any](
	failure *Error, body []byte, same func(sent, stored *T) bool, get func() (*T, error),
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
	if json.Unmarshal(body, sent) != nil || !same(sent, stored) {
		return nil, failure
	}
	return stored, nil
}

// getOrAdd returns the record that get finds, or else the one that add makes. Another may add the
// record after get, and delete it before the next one: so both are tried again, up to four times.
// taken tells get that the server has refused the id as taken. All requests share the timeout of
// the options.
func getOrAdd[T any](
	ctx context.Context, c *Client, add call[*T], opts []RequestOption,
	get func(ctx context.Context, taken bool) (*T, error),
) (*T, error) {
	options, err := c.newCallOptions(opts)
	if err == nil {
		_, _, err = add.request(c) // is invalid also if the record is there
	}
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, options.timeout)
	defer cancel()
	var result *T
	for round := range 4 {
		if result, err = get(ctx, round > 0); !errors.Is(err, ErrNotFound) {
			return result, err
		}
		if result, err = do(ctx, c, add, opts); !errors.Is(err, ErrAlreadyExists) {
			return result, err
		}
	}
	return nil, err
}

// reconcileDelete reads the "not found" that follows an attempt whose outcome is ambiguous: that
// attempt deleted the record.
func reconcileDelete(_ context.Context, _ []byte, failure *Error) (none, error) {
	if errors.Is(failure, ErrNotFound) {
		return none{}, nil
	}
	return none{}, failure
}

// sameMetadata compares two JSON objects as values. The server drops empty objects, so members that
// are empty objects are ignored.
func sameMetadata(a, b Metadata) bool {
	return reflect.DeepEqual(withoutEmpty(a), withoutEmpty(b))
}

func withoutEmpty(object map[string]any) map[string]any {
	kept := make(map[string]any, len(object))
	for key, value := range object {
		value = valueWithoutEmpty(value)
		if inner, ok := value.(map[string]any); ok && len(inner) == 0 {
			continue
		}
		kept[key] = value
	}
	return kept
}

func valueWithoutEmpty(value any) any {
	switch value := value.(type) {
	case map[string]any:
		return withoutEmpty(value)
	case []any:
		kept := make([]any, len(value))
		for i := range value {
			kept[i] = valueWithoutEmpty(value[i])
		}
		return kept
	}
	return value
}
