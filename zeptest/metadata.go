package zeptest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"
)

// systemKey is the key at the top of metadata that Zep drops from updates of sessions and
// messages.
const systemKey = "system"

var errEmptyMetadata = errors.New("metadata cannot be empty")

// asStored returns decoded metadata as it comes back from the database: numbers went through a
// float64 and are written without an exponent, as PostgreSQL writes a numeric, and a NUL, which
// PostgreSQL cannot store, became the six characters \u0000.
func asStored(metadata map[string]any) map[string]any {
	if metadata == nil {
		return nil
	}
	stored := make(map[string]any, len(metadata))
	for k, v := range metadata {
		stored[escapeNUL(k)] = storedValue(v)
	}
	return stored
}

func storedValue(value any) any {
	switch value := value.(type) {
	case string:
		return escapeNUL(value)
	case float64:
		if value == 0 {
			return json.Number("0") // -0 too
		}
		return json.Number(strconv.FormatFloat(value, 'f', -1, 64))
	case []any:
		for i := range value {
			value[i] = storedValue(value[i])
		}
	case map[string]any:
		return asStored(value)
	}
	return value
}

func escapeNUL(s string) string { return strings.ReplaceAll(s, "\x00", `\u0000`) }

// decodeNumbers is [json.Unmarshal], but leaves numbers as they are written.
func decodeNumbers(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return d.Decode(v)
}

// merge merges patch into metadata, which may be nil, and returns it. An object is merged deep
// into an object. Everything else replaces what is there, null included.
func merge(metadata, patch map[string]any) map[string]any {
	if metadata == nil {
		metadata = map[string]any{}
	}
	for k, v := range patch {
		object, isObject := v.(map[string]any)
		old, wasObject := metadata[k].(map[string]any)
		if isObject && wasObject {
			merge(old, object)
		} else {
			metadata[k] = v
		}
	}
	return metadata
}

// merger returns what turns a record's metadata into the updated one, to be called under the lock
// with which the record is written. With racy updates the metadata was read and merged before, and
// what it is when the record is written does not matter. A record that is not there when its
// metadata is read is not found, also if it is added meanwhile.
func (s *Server) merger(
	ctx context.Context, kind string, t *table, key string, patch map[string]any,
) (func(map[string]any) map[string]any, error) {
	if patch == nil {
		return func(metadata map[string]any) map[string]any { return metadata }, nil
	}
	if !s.racy {
		return func(metadata map[string]any) map[string]any { return merge(metadata, patch) }, nil
	}

	s.store.mu.RLock()
	r, found := t.byKey[key]
	s.store.mu.RUnlock()
	if !found {
		return nil, errNotFound
	}
	var read struct{ Metadata map[string]any }
	r.decode(&read)
	merged := merge(read.Metadata, patch)
	s.race.meet(ctx, s.done, kind+" "+key)
	return func(map[string]any) map[string]any { return merged }, nil
}

// rendezvous lets two racy updates of one record meet between reading and writing: each has read
// before either writes, so one is lost.
type rendezvous struct {
	mu      sync.Mutex
	waiting map[string]chan struct{}
}

// meet returns when another call with the same record has come, or after a millisecond.
func (v *rendezvous) meet(ctx context.Context, done <-chan struct{}, record string) {
	v.mu.Lock()
	if other, ok := v.waiting[record]; ok {
		delete(v.waiting, record)
		close(other)
		v.mu.Unlock()
		return
	}
	if v.waiting == nil {
		v.waiting = map[string]chan struct{}{}
	}
	met := make(chan struct{})
	v.waiting[record] = met
	v.mu.Unlock()

	alone := time.NewTimer(time.Millisecond)
	defer alone.Stop()
	select {
	case <-met:
		return
	case <-alone.C:
	case <-ctx.Done():
	case <-done:
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.waiting[record] == met {
		delete(v.waiting, record)
	}
}

// seedMetadata returns a caller's metadata as the server has it after it came as JSON.
func seedMetadata[M ~map[string]any](metadata M) (map[string]any, error) {
	if metadata == nil {
		return nil, nil
	}
	text, err := json.Marshal(metadata)
	if err != nil {
		return nil, err
	}
	var decoded map[string]any
	if err := json.Unmarshal(text, &decoded); err != nil {
		return nil, err
	}
	return asStored(decoded), nil
}
