package zep

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep/internal/jsonscan"
)

// listOf returns an array of about size bytes with copies of an element.
func listOf(size int, element string) []byte {
	n := max(size/(len(element)+1), 1)
	return []byte("[" + strings.Repeat(element+",", n-1) + element + "]")
}

// decodedSizes are responses by what takes the memory when they are decoded.
func decodedSizes(size int) []sizedResponse {
	const stamps = `"uuid":"8f9ba0e4-1f9e-4b9b-8f0b-2f6d4e9c7a10",` +
		`"created_at":"2024-05-01T12:00:00Z","updated_at":"2024-05-01T12:00:00Z",`
	vector := `[` + strings.Repeat("-0.012345678,", 1535) + `0.1]`
	metadata := func(value string) []byte {
		return []byte(`{"user_id":"jane","metadata":{"a":` + value + `}}`)
	}
	var names strings.Builder
	for i := 0; names.Len() < size; i++ {
		fmt.Fprintf(&names, `"%d":0,`, i)
	}
	of := func(name string, decode func([]byte) (any, error), body []byte) sizedResponse {
		return sizedResponse{name, decode, body}
	}
	return []sizedResponse{
		of("users", decodesAs(decodeUsers(0)), listOf(size, `{`+stamps+
			`"id":123456,"deleted_at":null,"user_id":"user-123456","email":"jane@example.com",`+
			`"first_name":"Jane","last_name":"Smith","metadata":{"plan":"free","visits":17}}`)),
		of("sessions", decodesAs(decodeSessions(0)), listOf(size, `{`+stamps+
			`"id":123456,"deleted_at":null,"session_id":"session-123456","user_id":"jane",`+
			`"metadata":{"topic":"travel"}}`)),
		of("messages", decodesAs(decodeMessageList(0)), []byte(`{"messages":`+string(listOf(size,
			`{`+stamps+`"role":"human","content":"What is the capital of France?",`+
				`"metadata":{"system":{"intent":"question"}},"token_count":8}`))+`}`)),
		of("documents", decodesAs(decodeDocuments), listOf(size, `{`+stamps+
			`"document_id":"d","content":"c","metadata":{"a":1},"embedding":`+vector+`}`)),
		of("empty users", decodesAs(decodeUsers(0)), listOf(size, `{}`)),
		of("empty sessions", decodesAs(decodeSessions(0)), listOf(size, `{}`)),
		of("empty messages", decodesAs(decodeMessageList(0)),
			[]byte(`{"messages":`+string(listOf(size, `{}`))+`}`)),
		of("empty documents", decodesAs(decodeDocuments), listOf(size, `{}`)),
		of("empty users, unknown field", decodesAs(decodeUsers(0)), listOf(size, `{"x":1}`)),
		of("metadata of objects", decodesAs(decodeUser), metadata(string(listOf(size, `{}`)))),
		of("metadata of maps", decodesAs(decodeUser), metadata(string(listOf(size, `{"":0}`)))),
		of("metadata of arrays", decodesAs(decodeUser), metadata(string(listOf(size, `[]`)))),
		of("metadata of numbers", decodesAs(decodeUser), metadata(string(listOf(size, `1`)))),
		of("metadata of strings", decodesAs(decodeUser), metadata(string(listOf(size, `"a"`)))),
		of("metadata of names", decodesAs(decodeUser),
			metadata(`{`+strings.TrimSuffix(names.String(), ",")+`}`)),
		of("one string", decodesAs(decodeUser), metadata(`"`+strings.Repeat("a", size)+`"`)),
		of("uuids", decodesAs(decodeJSON[[]string]), listOf(size, `""`)),
	}
}

type sizedResponse struct {
	name   string
	decode func([]byte) (any, error)
	body   []byte
}

func decodesAs[T any](decode func(http.Header, []byte) (T, error)) func([]byte) (any, error) {
	return func(body []byte) (any, error) { return decode(nil, body) }
}

// TestResponse_DecodedSize checks that a response is refused before it is decoded if that takes
// over 1 GiB, and that the limits are those of the decompressed body.
func TestResponse_DecodedSize(t *testing.T) {
	t.Parallel()
	list := func(c *Client) error { _, err := c.User.List(context.Background(), nil); return err }
	get := func(c *Client) error { _, err := c.User.Get(context.Background(), "jane"); return err }
	messages := func(c *Client) error {
		_, err := c.Message.List(context.Background(), "s", nil)
		return err
	}
	hostile := listOf(13<<20, "{}")
	within := func(before, after string) []byte {
		return slices.Concat([]byte(before), hostile, []byte(after))
	}
	tests := map[string]struct {
		body []byte
		call func(*Client) error
	}{
		"users":                      {hostile, list},
		"messages":                   {within(`{"messages":`, "}"), messages},
		"metadata":                   {within(`{"metadata":{"a":`, "}}"), get},
		"a field that no record has": {within(`{"new":`, "}"), get},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var zipped bytes.Buffer
			zipper := gzip.NewWriter(&zipped)
			_, _ = zipper.Write(test.body)
			require.NoError(t, zipper.Close())
			assert.Less(t, zipped.Len(), 64<<10, "on the wire")
			c, _ := clientWithServer(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Encoding", "gzip")
				_, _ = w.Write(zipped.Bytes())
			})
			err := test.call(c)
			assert.Equal(t, []error{ErrTooLarge}, matched(err))
			assert.ErrorContains(t, err, "takes over 1073741824 bytes when it is decoded")
			assert.Equal(t, 1, requireError(t, err).Attempts)

			limitResponses(c, int64(len(test.body))-1)
			assert.ErrorContains(t, test.call(c),
				fmt.Sprintf("the response is over %d bytes", len(test.body)-1))
		})
	}
}

// TestCheckDecodedSize_UsualResponses checks that no usual response of the largest size is refused,
// in a hundredth of the size.
func TestCheckDecodedSize_UsualResponses(t *testing.T) {
	t.Parallel()
	for _, r := range decodedSizes(maxBody / 100)[:4] {
		size := jsonscan.DecodedSize(r.body, math.MaxInt64)
		if r.name == "messages" {
			size = size * 3 / 4 // short ones: three quarters of the largest size
		}
		assert.LessOrEqual(t, size, int64(maxDecoded/100), r.name)
	}
	const limit = 1000 * jsonscan.MaxGrowth
	require.NoError(t, checkDecodedSize(listOf(1000, `{}`), limit))
	require.ErrorIs(t, checkDecodedSize(listOf(2000, `{}`), limit), ErrTooLarge)
	require.NoError(t, checkDecodedSize(listOf(2000, `{"a":"and a long text"}`), limit))
}

// TestResponse_MoreThanLimit checks that a list with more records than were asked for is an error
// at the first of these, so that what follows does not matter.
func TestResponse_MoreThanLimit(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	const n = 3
	first := func(seq iter.Seq2[*User, error]) error {
		_, err := Collect(seq)
		return err
	}
	calls := map[string]func(*Client) error{
		"User.List": func(c *Client) error {
			_, err := c.User.List(ctx, &ListOptions{Limit: n})
			return err
		},
		"Session.List": func(c *Client) error {
			_, err := c.Session.List(ctx, &ListOptions{Limit: n})
			return err
		},
		"Message.List": func(c *Client) error {
			_, err := c.Message.List(ctx, "s", &ListMessagesOptions{Limit: n})
			return err
		},
		"User.ListChunked": func(c *Client) error {
			_, err := Collect(c.User.ListChunked(ctx, n))
			return err
		},
		"User.All":         func(c *Client) error { return first(c.User.All(ctx)) },
		"User.AllParallel": func(c *Client) error { return first(c.User.AllParallel(ctx, 1)) },
		"Message.All": func(c *Client) error {
			_, err := Collect(c.Message.All(ctx, "s"))
			return err
		},
	}
	elements := map[string]string{
		"scanned":             `{"uuid":"u"}`,
		"with an unknown one": `{"uuid":"u","new":[1,"2,3"]}`,
	}
	for name, call := range calls {
		limit := n
		switch name {
		case "User.All", "User.AllParallel":
			limit = firstPage
		case "Message.All":
			limit = firstMessagePage
		}
		body := func(records int, element, last string) string {
			text := "[" + strings.Repeat(element+",", records) + last + "]"
			if strings.HasPrefix(name, "Message.") {
				return `{"messages":` + text + `}`
			}
			return text
		}
		for kind, element := range elements {
			t.Run(name+", "+kind, func(t *testing.T) {
				t.Parallel()
				for _, last := range []string{element, `{"uuid":7}`} {
					c, _, _ := scripted(t, nil, answers(200, body(limit, element, last)))
					err := call(c)
					e := requireError(t, err)
					assert.Equal(t, fmt.Sprintf(
						"unexpected response: more than the %d records that were asked for", limit),
						e.Message)
					assert.Equal(t, 1, e.Attempts)
				}
				c, _, _ := scripted(t, nil,
					answers(200, body(limit-1, element, element)), answers(200, body(0, "", "")),
					answers(200, body(0, "", "")))
				if err := call(c); !errors.Is(err, ErrCursorStuck) { // the records have no IDs
					require.NoError(t, err)
				}
			})
		}
	}
}

func TestReadUpTo(t *testing.T) {
	t.Parallel()
	const limit = 10_000
	sizes := []int{0, 1, 511, 512, 513, 5119, 5121, limit - 1, limit, limit + 1, 3 * limit}
	cut := errors.New("cut")
	readers := map[string]func(io.Reader) io.Reader{
		"whole":         func(r io.Reader) io.Reader { return r },
		"byte by byte":  iotest.OneByteReader,
		"EOF with data": iotest.DataErrReader,
		"cut at the end": func(r io.Reader) io.Reader {
			return io.MultiReader(r, iotest.ErrReader(cut))
		},
		"half of a read":  iotest.HalfReader,
		"empty reads too": func(r io.Reader) io.Reader { return &stutteringReader{r: r} },
	}
	for name, reader := range readers {
		for _, size := range sizes {
			for _, capacity := range []int{0, 1000, 20_000} {
				text := strings.Repeat("zep ", size/4+1)[:size]
				buffer := bytes.NewBuffer(make([]byte, 0, capacity))
				err := readUpTo(buffer, reader(strings.NewReader(text)), limit)
				most := max(limit+bytes.MinRead, capacity)
				assert.LessOrEqual(t, buffer.Cap(), most, "%s %d", name, size)
				assert.Equal(t, text[:min(size, limit+1)], buffer.String(), "%s %d", name, size)
				switch {
				case size > limit:
					require.ErrorIs(t, err, ErrTooLarge)
				case name == "cut at the end":
					require.ErrorIs(t, err, cut)
				default:
					require.NoError(t, err)
				}
			}
		}
	}
}

// stutteringReader returns nothing at every second read.
type stutteringReader struct {
	r     io.Reader
	empty bool
}

func (s *stutteringReader) Read(p []byte) (int, error) {
	if s.empty = !s.empty; s.empty {
		return 0, nil
	}
	return s.r.Read(p)
}

// BenchmarkDecode_Memory compares the memory that is live after a response of 1 MiB was decoded,
// and all that decoding allocated, with the estimate, each for one byte of the body.
func BenchmarkDecode_Memory(b *testing.B) {
	live := func() float64 {
		runtime.GC()
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return float64(stats.HeapAlloc)
	}
	allocated := func() float64 {
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return float64(stats.TotalAlloc)
	}
	for _, r := range decodedSizes(1 << 20) {
		b.Run(r.name, func(b *testing.B) {
			size := float64(len(r.body))
			var keeps, allocates float64
			for range b.N {
				liveBefore := live()
				before := allocated()
				value, err := r.decode(r.body)
				allocates += allocated() - before
				if !errors.Is(err, errNotZep) { // refused after it was decoded: a record without an id
					require.NoError(b, err)
				}
				keeps += live() - liveBefore
				runtime.KeepAlive(value)
			}
			estimate := jsonscan.DecodedSize(r.body, math.MaxInt64)
			b.ReportMetric(keeps/float64(b.N)/size, "live-B/B")
			b.ReportMetric(allocates/float64(b.N)/size, "allocated-B/B")
			b.ReportMetric(float64(estimate)/size, "estimated-B/B")
		})
	}
}

// BenchmarkDecodedSize shows what the estimate costs beside decoding.
func BenchmarkDecodedSize(b *testing.B) {
	for _, r := range decodedSizes(9 << 20) {
		b.Run(r.name, func(b *testing.B) {
			b.SetBytes(int64(len(r.body)))
			for range b.N {
				_ = jsonscan.DecodedSize(r.body, math.MaxInt64)
			}
		})
	}
}

// TestReadUpTo_LargeBody checks all that is allocated for a body of the largest size, in a tenth of
// it. Capacities are counted, not bytes that other tests may allocate.
func TestReadUpTo_LargeBody(t *testing.T) {
	t.Parallel()
	const limit = 25 << 20
	buffer := new(bytes.Buffer)
	counter := &capacityCounter{
		Reader: io.LimitReader(zeroReader{}, limit),
		buffer: buffer,
	}
	require.NoError(t, readUpTo(buffer, counter, limit))
	assert.Less(t, counter.total, 3*limit/2)
	assert.Equal(t, limit, buffer.Len())
}

// capacityCounter adds up the capacities that a buffer has while it is read into.
type capacityCounter struct {
	io.Reader
	buffer      *bytes.Buffer
	last, total int
}

func (c *capacityCounter) Read(p []byte) (int, error) {
	if capacity := c.buffer.Cap(); capacity != c.last {
		c.last = capacity
		c.total += capacity
	}
	return c.Reader.Read(p)
}
