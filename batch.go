package zep

import (
	"encoding/json"
	"fmt"
)

// The limits of one request.
const (
	maxBatch      = 500
	maxBatchBytes = 5 << 20
)

// batches returns the bodies of requests that the server takes, for any number of items in their
// order. mustSplit reports that an item cannot be in one request with those since first; nil lets all
// be together.
func batches[T any](
	method string, items []T, mustSplit func(first, item int) bool,
) ([][]json.RawMessage, error) {
	var (
		result [][]json.RawMessage
		first  int // the first item of the last batch
		size   int // of the last batch: its brackets, its items and the commas after them
	)
	for i, item := range items {
		raw, err := encode(item)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: item %d: %w", ErrBadRequest, method, i, lineError{err})
		}
		if alone := len(raw) + len("[]"); alone > maxBatchBytes {
			return nil, fmt.Errorf("%w: %s: item %d takes %d bytes as JSON, and the server takes %d",
				ErrTooLarge, method, i, alone, maxBatchBytes)
		}
		full := i-first == maxBatch || size+len(raw) > maxBatchBytes
		if i == 0 || full || mustSplit != nil && mustSplit(first, i) {
			result = append(result, nil)
			first, size = i, len("[]")
		}
		last := len(result) - 1
		result[last] = append(result[last], raw)
		size += len(raw) + len(",")
	}
	return result, nil
}

// afterBatches adds to an error what was done before it.
func afterBatches(method, done string, n, of int, err error) error {
	if n == 0 {
		return err
	}
	return fmt.Errorf("zep: %s: the first %d of %d are %s: %w", method, n, of, done, err)
}
