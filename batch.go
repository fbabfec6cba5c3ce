package zep

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/zep-go/zep/internal/exactjson"
)

// maxBatch is the number of documents that go in one request.
const maxBatch = 500

// batches are the items of a call that may take several requests, and the bounds of one request.
type batches struct {
	items     []json.RawMessage
	around    func(first int) int        // the bytes of the body that are not of items
	mustSplit func(first, item int) bool // whether two items exclude each other; nil if none do
	tooLarge  func(error) bool           // whether fewer items may be taken after this error
	maxItems  int                        // 0 is no bound
	maxBytes  int64                      // 0 is no bound
}

// encodeItems returns the JSON of each item. An error names the item by the format.
func encodeItems[T any](method, format string, items []T) ([]json.RawMessage, error) {
	encoded := make([]json.RawMessage, len(items))
	for i, item := range items {
		raw, err := exactjson.Encode(item)
		if err != nil {
			item := fmt.Sprintf(format, i)
			return nil, fmt.Errorf("%w: %s: %s%w", ErrBadRequest, method, item, lineError{err})
		}
		encoded[i] = raw
	}
	return encoded, nil
}

// check returns an error for an item that is over maxBytes alone.
func (b *batches) check(method string) error {
	for i, item := range b.items {
		size := int64(b.around(i) + len(item))
		if b.maxBytes > 0 && size > b.maxBytes {
			return fmt.Errorf("%w: %s: item %d takes %d bytes as JSON, over the %d of "+
				"WithMaxRequestBytes", ErrTooLarge, method, i, size, b.maxBytes)
		}
	}
	return nil
}

// send calls request with the items from first to end for each request, in their order, and returns
// the number of items that were done. A request that is too large is repeated with half of its
// items by their bytes, and none after it is larger than that, if it has more than one item.
func (b *batches) send(request func(first, end int) error) (done int, err error) {
	maxBytes := b.maxBytes
	for done < len(b.items) {
		end, size := b.next(done, maxBytes)
		err := request(done, end)
		switch {
		case err == nil:
			done = end
		case end-done > 1 && b.tooLarge(err):
			around := int64(b.around(done))
			maxBytes = around + (size-around+1)/2
		default:
			return done, err
		}
	}
	return done, nil
}

// next returns the end of the request that begins with the item first, and its size. It has one
// item at least, whatever the size of that.
func (b *batches) next(first int, maxBytes int64) (end int, size int64) {
	end, size = first+1, int64(b.around(first)+len(b.items[first]))
	for ; end < len(b.items); end++ {
		larger := size + int64(len(",")+len(b.items[end]))
		if b.maxItems > 0 && end-first == b.maxItems || maxBytes > 0 && larger > maxBytes ||
			b.mustSplit != nil && b.mustSplit(first, end) {
			break
		}
		size = larger
	}
	return end, size
}

// bytesAround returns a function that always returns the number of bytes of an envelope.
func bytesAround(envelope string) func(int) int {
	return func(int) int { return len(envelope) }
}

// isRefusedAsTooLarge reports whether the server refused each attempt, the last one with 413. Any
// other error of this kind, as of a response, does not say that fewer items would be taken.
func isRefusedAsTooLarge(err error) bool {
	failure, ok := err.(*Error)
	return ok && failure.StatusCode == http.StatusRequestEntityTooLarge && !failure.maybeExecuted
}

// afterBatches adds to an error what was done before it.
func afterBatches(method, done string, n, of int, err error) error {
	if n == 0 {
		return err
	}
	return fmt.Errorf("zep: %s: the first %d of %d are %s: %w", method, n, of, done, err)
}
