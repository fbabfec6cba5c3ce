package zep

import (
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// heavyServer is the transport to a server with records of any size, in one table of users,
// sessions and messages with the ids from 1. It makes its bodies while they are read.
type heavyServer struct {
	records int
	weight  func(id int) int // in bytes, without the rest of the record; nil is 0

	mu    sync.Mutex
	asked []int // the limits
	most  int64 // bytes that the client has read of one body, at most
}

func (s *heavyServer) RoundTrip(req *http.Request) (*http.Response, error) {
	query := req.URL.Query()
	limit, _ := strconv.Atoi(query.Get("limit"))
	after, _ := strconv.Atoi(query.Get("cursor"))
	messages := strings.HasSuffix(req.URL.Path, "/messages")
	field := "user_id"
	switch {
	case messages:
		field, after = "uuid", (max(after, 1)-1)*limit
	case strings.HasSuffix(req.URL.Path, "/sessions"):
		field = "session_id"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, limit)

	parts := []io.Reader{strings.NewReader("[")}
	if messages {
		parts[0] = strings.NewReader(`{"messages":[`)
	}
	for id := after + 1; id <= min(after+limit, s.records); id++ {
		head := fmt.Sprintf(`,{"id":%d,%q:"%d","metadata":{"k":"`, id, field, id)
		if id == after+1 {
			head = head[1:]
		}
		weight := 0
		if s.weight != nil {
			weight = s.weight(id)
		}
		parts = append(parts, strings.NewReader(head), &padding{weight}, strings.NewReader(`"}}`))
	}
	parts = append(parts, strings.NewReader("]"))
	if messages {
		parts = append(parts, strings.NewReader("}"))
	}
	return answersWithBody(200, &countingReader{server: s, Reader: io.MultiReader(parts...)})(req)
}

// padding is so many times the letter x.
type padding struct{ left int }

func (p *padding) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	b = b[:min(len(b), p.left)]
	for i := range b {
		b[i] = 'x'
	}
	p.left -= len(b)
	return len(b), nil
}

// countingReader tells its server how much was read of a body.
type countingReader struct {
	server *heavyServer
	io.Reader
	read int64
}

func (r *countingReader) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	r.read += int64(n)
	r.server.most = max(r.server.most, r.read)
	return n, err
}

// client returns a client of the server that reads bodies of up to maxBody bytes.
func (s *heavyServer) client(t testing.TB, maxBody int64) *Client {
	t.Helper()
	c, err := NewClient(
		WithBaseURL(mockURL), WithAPIKey(""), WithHTTPClient(&http.Client{Transport: s}),
	)
	require.NoError(t, err)
	c.maxBody = maxBody
	return c
}

// heavyWalks are all walks, each with what its records count from 1.
var heavyWalks = map[string]func(context.Context, *Client) iter.Seq2[int64, error]{
	"User.All": func(ctx context.Context, c *Client) iter.Seq2[int64, error] {
		return numbers(c.User.All(ctx), func(u *User) int64 { return u.ID })
	},
	"User.ListChunked": func(ctx context.Context, c *Client) iter.Seq2[int64, error] {
		return func(yield func(int64, error) bool) {
			for users, err := range c.User.ListChunked(ctx, 0) {
				if err != nil {
					yield(0, err)
					return
				}
				for _, u := range users {
					if !yield(u.ID, nil) {
						return
					}
				}
			}
		}
	},
	"Session.AllParallel": func(ctx context.Context, c *Client) iter.Seq2[int64, error] {
		return numbers(c.Session.AllParallel(ctx, 2), func(s *Session) int64 { return s.ID })
	},
	"Message.All": func(ctx context.Context, c *Client) iter.Seq2[int64, error] {
		return numbers(c.Message.All(ctx, "s"), func(m *Message) int64 {
			n, _ := strconv.ParseInt(m.UUID, 10, 64)
			return n
		})
	},
}

func numbers[T any](seq iter.Seq2[*T, error], number func(*T) int64) iter.Seq2[int64, error] {
	return func(yield func(int64, error) bool) {
		for record, err := range seq {
			n := int64(0)
			if err == nil {
				n = number(record)
			}
			if !yield(n, err) {
				return
			}
		}
	}
}

func TestWalks_BigRecords(t *testing.T) {
	t.Parallel()
	const limit = 1 << 20
	tables := map[string]*heavyServer{
		"2,000 of 3 kB":         {records: 2000, weight: func(int) int { return 3000 }},
		"200 of 60 kB":          {records: 200, weight: func(int) int { return 60_000 }},
		"9 of nearly the limit": {records: 9, weight: func(int) int { return limit - 100 }},
		"two among 3,000 of none": {records: 3000, weight: func(id int) int {
			return 600_000 * (id % 1499 / 1498)
		}},
		"heavier and heavier": {records: 350, weight: func(id int) int { return 200 * id }},
	}
	for name, table := range tables {
		for way, walk := range heavyWalks {
			t.Run(name+"/"+way, func(t *testing.T) {
				t.Parallel()
				s := &heavyServer{records: table.records, weight: table.weight}
				got := map[int64]bool{}
				for id, err := range walk(context.Background(), s.client(t, limit)) {
					require.NoError(t, err)
					require.False(t, got[id], "%d comes twice", id)
					got[id] = true
				}
				assert.Len(t, got, s.records)
				if way != "User.ListChunked" && name == "2,000 of 3 kB" {
					most := int64(overweight*limit/pageShare + 1)
					assert.LessOrEqual(t, s.most, most, "bytes of a page")
				}
			})
		}
	}
}

// TestWalks_RecordTooLarge ends each walk where no page can be made small enough.
func TestWalks_RecordTooLarge(t *testing.T) {
	t.Parallel()
	for way, walk := range heavyWalks {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			weight := func(id int) int { return id / 700 * 2_000_000 }
			s := &heavyServer{records: 1000, weight: weight}
			var got []int64
			var failure error
			for id, err := range walk(context.Background(), s.client(t, 1<<20)) {
				if err != nil {
					require.NoError(t, failure, "an error is the end")
					failure = err
					continue
				}
				got = append(got, id)
			}
			require.ErrorIs(t, failure, ErrTooLarge)
			require.ErrorContains(t, failure, "1048576 bytes")
			if way != "Session.AllParallel" {
				require.Len(t, got, 699, "all records before")
			}
			assert.Less(t, len(s.asked), 80)
		})
	}
}

// TestAll_PagesByWeight shows the sizes of the pages, where 32 KiB is the aim and 64 KiB the
// limit.
func TestAll_PagesByWeight(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		walk   string
		weight func(int) int
		want   []int
	}{
		// Records of about 1 KiB, so 32 of them.
		"users of 1 kB": {"User.All", func(int) int { return 977 }, []int{100, 50, 33, 33}},
		// 512 messages of about 220 bytes are over 64 KiB, 256 are not.
		"messages of 220 B": {
			"Message.All", func(int) int { return 180 }, []int{512, 256, 128, 128},
		},
		// The last 800 weigh next to nothing, so the pages double again.
		"light in the end": {
			"User.All", func(id int) int { return 977 * (1 - min(id/201, 1)) },
			[]int{100, 50, 33, 33, 33, 32, 32, 53, 106, 212, 424},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &heavyServer{records: 1000, weight: test.weight}
			for _, err := range heavyWalks[test.walk](context.Background(), s.client(t, 2<<20)) {
				require.NoError(t, err)
			}
			assert.Equal(t, test.want, s.asked[:len(test.want)], "%v", s.asked)
		})
	}
}

// TestMessageAll_HeavyInTheEnd asks for no page twice, though the second one is no larger than the
// first only because of its number.
func TestMessageAll_HeavyInTheEnd(t *testing.T) {
	t.Parallel()
	weight := func(id int) int { return 200_000 * min(id/513, 1) }
	s := &heavyServer{records: 515, weight: weight}
	walk := heavyWalks["Message.All"](context.Background(), s.client(t, 8<<20))
	for _, err := range walk {
		require.NoError(t, err)
	}
	assert.Equal(t, []int{512, 512, 256, 128, 64, 32, 16, 8, 4, 2, 1, 1, 1, 1}, s.asked)
}

// TestListChunked_Halves yields smaller chunks where the records are too large for the chunk size.
func TestListChunked_Halves(t *testing.T) {
	t.Parallel()
	weight := func(id int) int { return 3000 * (1 - min(id/501, 1)) }
	s := &heavyServer{records: 3000, weight: weight}
	var chunks []int
	for users, err := range s.client(t, 1<<20).User.ListChunked(context.Background(), 1000) {
		require.NoError(t, err)
		chunks = append(chunks, len(users))
	}
	assert.Equal(t, []int{250, 250, 250, 500, 1000, 750}, chunks)
}

// TestWalks_RequestTooLarge does not ask again for less where a proxy refuses the request.
func TestWalks_RequestTooLarge(t *testing.T) {
	t.Parallel()
	for way, walk := range heavyWalks {
		c, s, _ := scripted(t, nil, answers(413, "too large\n"))
		for _, err := range walk(context.Background(), c) {
			require.ErrorIs(t, err, ErrTooLarge, way)
		}
		assert.Len(t, s.requests(), 1, way)
	}
}

// BenchmarkWalks_LiveHeap walks over 12,000 users and sessions of 60 kB, and 600 messages of 600
// kB. It reports the largest live heap, in MiB.
func BenchmarkWalks_LiveHeap(b *testing.B) {
	for _, way := range slices.Sorted(maps.Keys(heavyWalks)) {
		b.Run(way, func(b *testing.B) {
			s := &heavyServer{records: 12_000, weight: func(int) int { return 60_000 }}
			if way == "Message.All" {
				s = &heavyServer{records: 600, weight: func(int) int { return 600_000 }}
			}
			c := s.client(b, maxBody)
			before, most := liveHeap(), uint64(0)
			for range b.N {
				walked := 0
				for _, err := range heavyWalks[way](context.Background(), c) {
					require.NoError(b, err)
					if walked++; walked%(s.records/200) == 0 {
						most = max(most, liveHeap())
					}
				}
				require.Equal(b, s.records, walked)
			}
			b.ReportMetric(float64(most-before)/(1<<20), "live-MiB")
			b.ReportMetric(float64(len(s.asked))/float64(b.N), "requests/op")
		})
	}
}

// liveHeap returns the bytes that a garbage collection leaves.
func liveHeap() uint64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
