package zep

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// memoryLocker is a Locker in the process. It records what it is asked for.
type memoryLocker struct {
	mu    sync.Mutex
	log   []string
	lose  map[string]context.CancelCauseFunc // ends what is held of a key
	err   error
	holds map[string]chan struct{}
}

func newMemoryLocker() *memoryLocker {
	return &memoryLocker{
		lose:  make(map[string]context.CancelCauseFunc),
		holds: make(map[string]chan struct{}),
	}
}

func (l *memoryLocker) Lock(ctx context.Context, key string) (context.Context, func(), error) {
	l.mu.Lock()
	if l.err != nil {
		defer l.mu.Unlock()
		return nil, nil, l.err
	}
	if l.holds[key] == nil {
		l.holds[key] = make(chan struct{}, 1)
	}
	hold := l.holds[key]
	l.mu.Unlock()
	select {
	case hold <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	held, lose := context.WithCancelCause(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.log = append(l.log, "lock "+key)
	l.lose[key] = lose
	return held, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.log = append(l.log, "unlock "+key)
		<-hold
	}, nil
}

func (l *memoryLocker) logged() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.log)
}

func TestLocker_Keys(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	metadata := Metadata{"a": 1}
	tests := map[string]struct {
		call func(c *Client) error
		want []string
		opts []Option
	}{
		"user": {
			call: func(c *Client) error { return <-startUpdate(ctx, c, "user", "jane", 0) },
			want: []string{"user/jane", "zep-metadata"},
		},
		"session": {
			call: func(c *Client) error { return <-startUpdate(ctx, c, "session", "s", 0) },
			want: []string{"session/s", "zep-metadata"},
		},
		"WithParallelUpdates": {
			call: func(c *Client) error { return <-startUpdate(ctx, c, "user", "jane", 0) },
			want: []string{"user/jane"},
			opts: []Option{WithParallelUpdates()},
		},
		"without metadata": {
			call: func(c *Client) error {
				_, err := c.User.Update(ctx, &UpdateUserRequest{UserID: "jane", Email: "e"})
				return err
			},
			want: []string{"user/jane"},
		},
		"message": {
			call: func(c *Client) error {
				_, err := c.Message.UpdateMetadata(ctx, "s", "{U-1}", metadata)
				return err
			},
			want: []string{"message/u1"},
		},
		"documents": {
			call: func(c *Client) error {
				return c.Document.UpdateAll(ctx, "Docs", []*UpdateDocumentRequest{
					{UUID: "b", Metadata: metadata}, {UUID: "a", Metadata: metadata},
				})
			},
			want: []string{"collection/docs"},
		},
		"document": {
			call: func(c *Client) error {
				return c.Document.Update(ctx, "Docs", &UpdateDocumentRequest{UUID: "b", Metadata: metadata})
			},
			want: []string{"collection/docs"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			locker := newMemoryLocker()
			transport := roundTripFunc(func(req *http.Request) (*http.Response, error) {
				if name == "document" || name == "documents" {
					return answers(200, "OK")(req)
				}
				return answersRecord(req)
			})
			c, _ := clientWith(t, transport, append(test.opts, WithLocker(locker))...)
			require.NoError(t, test.call(c))
			var want []string
			for _, key := range test.want {
				want = append(want, "lock "+key)
			}
			assert.True(t, slices.IsSorted(test.want))
			for _, key := range slices.Backward(test.want) {
				want = append(want, "unlock "+key)
			}
			assert.Equal(t, want, locker.logged())
			assert.True(t, idle(c.updates))
		})
	}
}

func TestLocker_NotHad(t *testing.T) {
	t.Parallel()
	locker := newMemoryLocker()
	locker.err = errors.New("the engine is down")
	c, s, _ := scripted(t, []Option{WithLocker(locker)})
	err := <-startUpdate(context.Background(), c, "user", "jane", 0)
	require.ErrorIs(t, err, locker.err)
	require.EqualError(t, err,
		`zep: PATCH /zep/api/v1/user/jane: the lock of "user/jane": the engine is down`)
	require.NotErrorIs(t, err, ErrAmbiguous)
	assert.Empty(t, s.requests())
	assert.True(t, idle(c.updates))
	_, err = c.User.Get(context.Background(), "")
	require.ErrorIs(t, err, ErrInvalidID, "only updates take locks")
}

func TestLocker_WaitEnds(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"user/jane", "zep-metadata"} {
		locker := newMemoryLocker()
		_, unlock, err := locker.Lock(context.Background(), key)
		require.NoError(t, err)
		c, s, _ := scripted(t, []Option{WithLocker(locker)})
		_, err = c.User.Update(context.Background(),
			&UpdateUserRequest{UserID: "jane", Metadata: Metadata{"a": 1}},
			RequestTimeout(10*time.Millisecond))
		require.ErrorIs(t, err, context.DeadlineExceeded, key)
		assertOneLine(t, err.Error())
		assert.Empty(t, s.requests())
		assert.True(t, idle(c.updates))
		unlock()
	}
}

// TestLocker_Lost checks an update whose lock is lost: no attempt follows, and success proves nothing,
// since the server keeps one of two updates that overlap.
func TestLocker_Lost(t *testing.T) {
	t.Parallel()
	lost := errors.New("the connection to the engine broke")
	for _, key := range []string{"user/jane", "zep-metadata"} {
		for name, test := range map[string]struct {
			attempt   step
			ambiguous bool
		}{
			"a success":           {answers(200, janeJSON), true},
			"a lost response":     {answerLost, true},
			"a refusal":           {answers(404, "not found\n"), false},
			"nothing was sent":    {neverDialled, false},
			"an ambiguous answer": {answers(502, ""), true},
		} {
			locker := newMemoryLocker()
			c, s, _ := scripted(t, []Option{WithLocker(locker)}, func(req *http.Request) (*http.Response, error) {
				locker.lose[key](lost)
				assert.NoError(t, req.Context().Err(), "the request is allowed to finish")
				return test.attempt(req)
			})
			err := <-startUpdate(context.Background(), c, "user", "jane", 0)
			require.Error(t, err, name)
			assert.Len(t, s.requests(), 1, name)
			assert.Equal(t, test.ambiguous, errors.Is(err, ErrAmbiguous), name)
			if test.ambiguous {
				require.ErrorIs(t, err, lost, name)
			}
			assertOneLine(t, err.Error())
			assert.True(t, idle(c.updates))
		}
	}
}

// TestLocker_StuckRecord checks that the key of all metadata updates is given back while an update of
// a stuck record goes on.
func TestLocker_StuckRecord(t *testing.T) {
	t.Parallel()
	locker := newMemoryLocker()
	g := &gate{arrived: make(chan arrival)}
	stuck, _ := clientWith(t, g, WithLocker(locker))
	stuck.passOnAfter = 10 * time.Millisecond
	first := startUpdate(context.Background(), stuck, "user", "jane", 0)
	held := g.next(t)
	other, _, _ := scripted(t, []Option{WithLocker(locker)}, answers(200, `{"user_id":"joe"}`))
	require.NoError(t, <-startUpdate(context.Background(), other, "user", "joe", 0))
	assert.NotContains(t, locker.logged(), "unlock user/jane")
	close(held.pass)
	require.NoError(t, <-first)
}

func TestLocker_Options(t *testing.T) {
	t.Parallel()
	_, err := NewClient(WithLocker(nil))
	require.ErrorContains(t, err, "the Locker is nil")
	_, err = NewClient(WithLocker(newMemoryLocker()), WithConcurrentUpdates())
	require.ErrorContains(t, err, "WithLocker and WithConcurrentUpdates exclude each other")
}
