package zeptest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"sync"
	"time"
)

var errEmptyMetadata = errors.New("metadata cannot be empty")

// asStored is decoded metadata as it comes back from the database: numbers went through a float64, and
// are written without an exponent, as PostgreSQL's numeric is. It changes what it is given.
func asStored(metadata map[string]any) map[string]any {
	for k, v := range metadata {
		metadata[k] = storedValue(v)
	}
	return metadata
}

func storedValue(value any) any {
	switch value := value.(type) {
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

// decodeNumbers is [json.Unmarshal] that keeps numbers as they are written.
func decodeNumbers(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return d.Decode(v)
}

// merge merges patch into metadata, which may be nil, and returns it. Objects are merged deep, and
// everything else replaces what was there, null included. What nobody expects: an object doesn't
// replace a scalar or an array, unless that is empty.
func merge(metadata, patch map[string]any) map[string]any {
	if metadata == nil {
		metadata = map[string]any{}
	}
	for k, v := range patch {
		old := metadata[k]
		if object, ok := v.(map[string]any); ok && !isEmpty(old) {
			if old, ok := old.(map[string]any); ok {
				merge(old, object)
			}
			continue
		}
		metadata[k] = v
	}
	return metadata
}

func isEmpty(value any) bool {
	switch value := value.(type) {
	case nil:
		return true
	case bool:
		return !value
	case string:
		return value == ""
	case json.Number:
		return value == "0"
	case []any:
		return len(value) == 0
	case map[string]any:
		return len(value) == 0
	}
	return false
}

// merger returns what turns a record's metadata into the updated one, to be called under the lock with
// which the record is written. With racy updates that is not so: then the metadata was read and merged
// before, and what it is now doesn't matter.
func (s *Server) merger(ctx context.Context, kind string, t *table, key string, patch map[string]any) func(map[string]any) map[string]any {
	if patch == nil {
		return func(metadata map[string]any) map[string]any { return metadata }
	}
	if !s.racy {
		return func(metadata map[string]any) map[string]any { return merge(metadata, patch) }
	}

	s.store.mu.RLock()
	r, found := t.byKey[key]
	s.store.mu.RUnlock()
	var read struct{ Metadata map[string]any }
	if found {
		r.decode(&read)
	}
	merged := merge(read.Metadata, patch)
	s.race.meet(ctx, s.done, kind+" "+key)
	return func(map[string]any) map[string]any { return merged }
}

// A rendezvous lets two racy updates of one record meet between reading and writing: each has read
// before either writes, so one is lost.
type rendezvous struct {
	mu      sync.Mutex
	waiting map[string]chan struct{}
}

// meet returns when another call with the same record is there too, or soon.
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

// seedMetadata is a caller's metadata as the server has it after it came as JSON.
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
