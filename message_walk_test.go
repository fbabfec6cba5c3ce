package zep_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
)

// messagesAll is Message.All as a walk. Messages have no row numbers: their contents are numbers.
func messagesAll(
	ctx context.Context, c *zep.Client, opts ...zep.RequestOption,
) iter.Seq2[int64, error] {
	return rowByRow(c.Message.All(ctx, "s", opts...), func(m *zep.Message) int64 {
		n, _ := strconv.ParseInt(m.Content, 10, 64)
		return n
	})
}

// conversation is the transport to a server with the messages of one session, whose contents are
// their numbers from 0. Pages have numbers there.
type conversation struct {
	t        testing.TB
	messages int
	turn     func(page int) int // the page that is sent for one that is asked for; nil is that one

	most int // a cap of the server's own on the page, 0 for none

	// before, if set, sees the nth request first, from 1. It may fail it, and change messages.
	before func(n int, req *http.Request) error

	mu    sync.Mutex
	asked []string // the URIs of the requests
}

func (s *conversation) RoundTrip(req *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, req.URL.RequestURI())
	if s.before != nil {
		if err := s.before(len(s.asked), req); err != nil {
			return nil, err
		}
	}
	limit, number := pageOf(s.t, req.URL)
	if s.turn != nil {
		number = int64(s.turn(int(number)))
	}
	from := min((int(number)-1)*limit, s.messages)
	if s.most > 0 {
		limit = min(limit, s.most)
	}
	var messages []string
	for i := from; i < min(from+limit, s.messages); i++ {
		messages = append(messages,
			fmt.Sprintf(`{"uuid":"%036d","role":"human","content":"%d"}`, i, i))
	}
	body := fmt.Sprintf(`{"messages":[%s],"total_count":%d,"row_count":%d}`,
		strings.Join(messages, ","), s.messages, len(messages))
	return answered(req, http.StatusOK, body), nil
}

func (s *conversation) walk(t testing.TB) iter.Seq2[int64, error] {
	s.t = t
	return messagesAll(context.Background(), clientOf(t, s))
}

func TestMessageAll_PageNumbers(t *testing.T) {
	t.Parallel()
	const first, second = "cursor=1&limit=512", "cursor=2&limit=512"
	for messages, want := range map[int][]string{
		0:    {first},
		1:    {first, "cursor=2&limit=1"},
		300:  {first, "cursor=76&limit=4"},
		511:  {first, "cursor=512&limit=1"},
		512:  {first, second},
		513:  {first, second, "cursor=514&limit=1"},
		1024: {first, second, "cursor=2&limit=1024"},
		9000: {
			first, second, "cursor=2&limit=1024", "cursor=2&limit=2048", "cursor=2&limit=4096",
			"cursor=3&limit=4096", "cursor=1126&limit=8",
		},
	} {
		t.Run(fmt.Sprint(messages, " messages"), func(t *testing.T) {
			t.Parallel()
			s := &conversation{messages: messages}
			walk := s.walk(t)
			for range 2 { // ranged over again, it begins anew
				s.asked = nil
				got, err := collect(t, walk)
				require.NoError(t, err)
				require.True(t, slices.Equal(count(0, int64(messages)-1), got), "oldest first")
				require.Len(t, s.asked, len(want))
				for i, query := range want {
					assert.Equal(t, "/zep/api/v1/sessions/s/messages?"+query, s.asked[i])
				}
			}
		})
	}
}

func TestMessageAll_CursorStuck(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		messages       int
		turn           func(int) int
		want, requests int
	}{
		"always the first page":          {3000, func(int) int { return 1 }, 512, 2},
		"always the first, which is all": {300, func(int) int { return 1 }, 300, 2},
		"the last page past the end": {
			300, func(page int) int { return min(page, 75) }, 300, 2,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &conversation{messages: test.messages, turn: test.turn}
			got, err := collect(t, s.walk(t))
			require.ErrorIs(t, err, zep.ErrCursorStuck)
			assert.Len(t, got, test.want)
			assert.Len(t, s.asked, test.requests)
		})
	}
}

// TestMessageAll_MessagesAdded adds messages before each of the requests: the third of them gets a
// page that is not full, unless that is where they are added.
func TestMessageAll_MessagesAdded(t *testing.T) {
	t.Parallel()
	for nth := 1; nth <= 4; nth++ {
		s := &conversation{messages: 1200}
		s.before = func(n int, _ *http.Request) error {
			if n == nth {
				s.messages += 400
			}
			return nil
		}
		got, err := collect(t, s.walk(t))
		require.NoError(t, err)
		assert.True(t, slices.Equal(count(0, 1599), got), "request %d: %d messages", nth, len(got))
		assert.LessOrEqual(t, len(s.asked), 8, "the pages grow again")
	}
}

// TestMessageAll_NoHole adds messages at random moments, on servers with and without a cap.
func TestMessageAll_NoHole(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 1))
		s := &conversation{messages: random.IntN(3000)}
		if seed%3 > 0 {
			s.most = 1 + random.IntN(1500)
		}
		least, more := s.messages, 1+random.IntN(5)
		s.before = func(int, *http.Request) error {
			if more > 0 && random.IntN(3) == 0 {
				s.messages += random.IntN(1500)
				more--
			}
			return nil
		}
		got, err := collect(t, s.walk(t))
		require.NoError(t, err, "seed %d", seed)
		require.GreaterOrEqual(t, len(got), least, "seed %d", seed)
		require.True(t, slices.Equal(count(0, int64(len(got))-1), got), "seed %d: a hole", seed)
	}
}

func TestMessageAll_BreakCancels(t *testing.T) {
	t.Parallel()
	requested, cancelled := make(chan struct{}), make(chan struct{})
	s := &conversation{t: t, messages: 2000, before: func(n int, req *http.Request) error {
		if n == 1 {
			return nil
		}
		close(requested)
		<-req.Context().Done()
		close(cancelled)
		return req.Context().Err()
	}}
	for range clientOf(t, s).Message.All(context.Background(), "s") {
		receive(t, requested, "the second page")
		break
	}
	select {
	case <-cancelled: // before the loop is left
	default:
		assert.Fail(t, "the second page is still on its way")
	}
}

func TestMessageAll_Error(t *testing.T) {
	t.Parallel()
	s := &conversation{messages: 4000, before: func(n int, _ *http.Request) error {
		if n == 3 {
			return errors.New("the line is cut")
		}
		return nil
	}}
	got, err := collect(t, s.walk(t))
	require.ErrorContains(t, err, "the line is cut")
	assert.Equal(t, count(0, 1023), got, "everything before the error")
}
