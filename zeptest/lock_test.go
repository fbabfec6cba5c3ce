package zeptest_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/zeptest"
)

const someMetadata = `{"metadata":{"a":1}}`

// newStickyServer has the users a to d, the sessions s to v, and a message of the session s.
func newStickyServer(t *testing.T, opts ...zeptest.Option) *zeptest.Server {
	t.Helper()
	s := newServer(t, append(opts, zeptest.WithStickyLocks())...)
	addUsers(t, s, "a", "b", "c", "d")
	for _, sessionID := range []string{"s", "t", "u", "v"} {
		send(t, s, "POST", "/sessions", `{"session_id":"`+sessionID+`"}`)
	}
	send(t, s, "POST", "/sessions/s/memory", `{"messages":[{"uuid":"`+uuid1+`"}]}`)
	return s
}

// leaveLocked locks records: it updates each of them, and leaves before the answer.
func leaveLocked(t *testing.T, s *zeptest.Server, paths ...string) {
	t.Helper()
	for _, path := range paths {
		before := s.Requests()
		s.Inject(zeptest.Fault{Method: "PATCH", Apply: true, Delay: time.Hour})
		ctx, leave := context.WithCancel(context.Background())
		left := make(chan error)
		go func() {
			_, err := tryContext(ctx, s, "PATCH", path, someMetadata)
			left <- err
		}()
		require.Eventually(t, func() bool { return s.Requests() > before },
			10*time.Second, time.Millisecond)
		leave()
		require.ErrorIs(t, <-left, context.Canceled)
		id := path[strings.LastIndex(path, "/")+1:]
		require.Eventually(t, func() bool {
			return slices.ContainsFunc(s.Locked(), func(record string) bool {
				return strings.HasSuffix(record, " "+id)
			})
		}, 10*time.Second, time.Millisecond)
	}
}

// overlap updates records of a new server concurrently. Each update is held back for a while, so
// that it overlaps with the others. If fewer records than wanted are locked then, the updates may
// not have overlapped, and overlap tries again, with longer ones.
func overlap(
	t *testing.T, wantLocked int, body string, paths []string, opts ...zeptest.Option,
) *zeptest.Server {
	t.Helper()
	for delay := 100 * time.Millisecond; ; delay *= 5 {
		s := newStickyServer(t, opts...)
		s.Inject(zeptest.Fault{Method: "PATCH", Apply: true, Delay: delay, Times: len(paths)})
		var wg sync.WaitGroup
		for _, path := range paths {
			wg.Add(1)
			go func() {
				defer wg.Done()
				_, err := try(s, "PATCH", path, body)
				assert.NoError(t, err)
			}()
		}
		wg.Wait()
		if len(s.Locked()) >= wantLocked || delay > 10*time.Second {
			return s
		}
	}
}

func TestStickyLocks_Overlap(t *testing.T) {
	t.Parallel()
	const message = "/sessions/s/messages/" + uuid1
	for name, test := range map[string]struct {
		body   string
		paths  []string
		locked []string
	}{
		"users": {someMetadata, []string{"/user/a", "/user/b"},
			[]string{"user a", "user b"}},
		"empty metadata": {`{"metadata":{}}`, []string{"/user/a", "/user/b"},
			[]string{"user a", "user b"}},
		"nobody": {someMetadata, []string{"/user/x", "/user/y"},
			[]string{"user x", "user y"}},
		"without metadata": {`{"email":"x"}`, []string{"/user/a", "/user/b"}, []string{}},
		"sessions": {
			someMetadata,
			[]string{"/sessions/s", "/sessions/t"},
			[]string{"session s", "session t"},
		},
		"a user and two sessions": {
			someMetadata,
			[]string{"/user/a", "/sessions/t", "/sessions/u"},
			[]string{"session t", "session u", "user a"},
		},
		"a user and a message": {someMetadata, []string{"/user/a", message}, []string{}},
		"alone":                {someMetadata, []string{"/user/a"}, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := overlap(t, len(test.locked), test.body, test.paths)
			assert.Equal(t, test.locked, s.Locked())
			s.ReleaseLocks()
			assert.Empty(t, s.Locked())
			for _, path := range test.paths {
				send(t, s, "PATCH", path, someMetadata)
			}
			assert.Empty(t, s.Locked(), "one after the other")
		})
	}
}

// TestStickyLocks_SameRecord has two updates of one record: the first leaves its lock, and the
// second waits for it.
func TestStickyLocks_SameRecord(t *testing.T) {
	t.Parallel()
	s := overlap(t, 1, someMetadata, []string{"/user/a", "/user/a"},
		zeptest.WithLockWait(time.Millisecond))
	assert.Equal(t, []string{"user a"}, s.Locked())
	status, _ := send(t, s, "PATCH", "/user/a", someMetadata)
	assert.Equal(t, 500, status)
}

func TestStickyLocks_OffByDefault(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	addUsers(t, s, "a")
	s.Inject(zeptest.Fault{Apply: true, Delay: time.Hour})
	ctx, leave := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer leave()
	_, err := tryContext(ctx, s, "PATCH", "/user/a", someMetadata)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Empty(t, s.Locked())
	status, _ := send(t, s, "PATCH", "/user/a", someMetadata)
	assert.Equal(t, 200, status)
}

func TestStickyLocks_UpdateOfLockedUser(t *testing.T) {
	t.Parallel()
	s := newStickyServer(t, zeptest.WithLockWait(20*time.Millisecond))
	leaveLocked(t, s, "/user/a")
	before := time.Now()
	status, answer := send(t, s, "PATCH", "/user/a", someMetadata)
	assert.GreaterOrEqual(t, time.Since(before), 20*time.Millisecond)
	assert.Equal(t, 500, status)
	assert.Equal(t,
		"failed to acquire advisory lock: retries exceeded. last result: 0, last error: "+
			"failed to acquire advisory lock: failed to acquire advisory lock for a\n", answer)

	status, _ = send(t, s, "PATCH", "/user/a", `{"email":"x"}`)
	assert.Equal(t, 200, status, "without metadata")
	status, _ = send(t, s, "GET", "/user/a", "")
	assert.Equal(t, 200, status)
	status, _ = send(t, s, "PATCH", "/user/b", someMetadata)
	assert.Equal(t, 200, status, "another user")
	assert.Equal(t, []string{"user a"}, s.Locked(), "an update that waits does not overlap")
}

// TestStickyLocks_NoAnswer has updates that are not answered until their client leaves, or the
// locks are released.
func TestStickyLocks_NoAnswer(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		path, locked string
		opts         []zeptest.Option
	}{
		"session": {path: "/sessions/s", locked: "session s"},
		"message": {path: "/sessions/s/messages/" + uuid1, locked: "message " + uuid1},
		"user of an older server": {"/user/a", "user a", []zeptest.Option{
			zeptest.WithServerVersion("0.26.0"), zeptest.WithLockWait(time.Millisecond),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStickyServer(t, test.opts...)
			leaveLocked(t, s, test.path)
			ctx, leave := context.WithTimeout(context.Background(), 50*time.Millisecond)
			defer leave()
			_, err := tryContext(ctx, s, "PATCH", test.path, someMetadata)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			assert.Equal(t, []string{test.locked}, s.Locked())

			answers := make(chan response)
			before := s.Requests()
			for range 2 {
				go func() {
					answer, err := try(s, "PATCH", test.path, someMetadata)
					assert.NoError(t, err)
					answers <- answer
				}()
			}
			require.Eventually(t, func() bool { return s.Requests() == before+2 },
				10*time.Second, time.Millisecond)
			s.ReleaseLocks()
			assert.Equal(t, 200, (<-answers).StatusCode)
			// The second may have come when the first was under way.
			s.ReleaseLocks()
			assert.Equal(t, 200, (<-answers).StatusCode)
		})
	}
}

// TestStickyLocks_Waited has an update that gets its lock when the locks are released, while
// another one comes.
func TestStickyLocks_Waited(t *testing.T) {
	t.Parallel()
	s := newStickyServer(t)
	leaveLocked(t, s, "/sessions/s")
	s.Inject(zeptest.Fault{Method: "PATCH", Apply: true, Delay: 300 * time.Millisecond})
	answered := make(chan int)
	before := s.Requests()
	go func() {
		answer, err := try(s, "PATCH", "/sessions/s", `{"metadata":{"waited":true}}`)
		assert.NoError(t, err)
		answered <- answer.StatusCode
	}()
	require.Eventually(t, func() bool { return s.Requests() > before },
		10*time.Second, time.Millisecond)
	s.ReleaseLocks()
	require.Eventually(t, func() bool {
		_, answer := send(t, s, "GET", "/sessions/s", "")
		return decode[record](t, answer).Metadata["waited"] == true
	}, 10*time.Second, time.Millisecond)
	status, _ := send(t, s, "PATCH", "/user/a", someMetadata)
	assert.Equal(t, 200, status)
	assert.Equal(t, 200, <-answered)
	assert.Empty(t, s.Locked())
}

// TestStickyLocks_Cut has updates whose client leaves before the answer. They are done.
func TestStickyLocks_Cut(t *testing.T) {
	t.Parallel()
	s := newStickyServer(t)
	leaveLocked(t, s, "/user/a", "/sessions/s", "/sessions/s/messages/"+uuid1)
	assert.Equal(t, []string{"message " + uuid1, "session s", "user a"}, s.Locked())
	for _, path := range []string{"/user/a", "/sessions/s", "/sessions/s/messages/" + uuid1} {
		_, answer := send(t, s, "GET", path, "")
		assert.Equal(t, map[string]any{"a": 1.0}, decode[record](t, answer).Metadata)
	}
	s.ReleaseLocks()
	assert.Empty(t, s.Locked())
}

// TestStickyLocks_AnswerLost has updates that are over when their answer is lost. No lock stays.
func TestStickyLocks_AnswerLost(t *testing.T) {
	t.Parallel()
	s := newStickyServer(t)
	s.Inject(zeptest.Fault{Apply: true, Cut: true}, zeptest.Fault{Apply: true, Status: 502})
	_, err := try(s, "PATCH", "/user/a", someMetadata)
	require.Error(t, err)
	status, _ := send(t, s, "PATCH", "/user/a", someMetadata)
	assert.Equal(t, 502, status)
	assert.Empty(t, s.Locked())
	status, _ = send(t, s, "PATCH", "/user/a", someMetadata)
	assert.Equal(t, 200, status)
}

// TestStickyLocks_SameID has a session and a user with the same id, which share a lock.
func TestStickyLocks_SameID(t *testing.T) {
	t.Parallel()
	s := newStickyServer(t, zeptest.WithLockWait(time.Millisecond))
	addUsers(t, s, "s")
	leaveLocked(t, s, "/sessions/s")
	status, _ := send(t, s, "PATCH", "/user/s", someMetadata)
	assert.Equal(t, 500, status)
}

// TestStickyLocks_ThroughClient updates users concurrently, and then again one by one.
func TestStickyLocks_ThroughClient(t *testing.T) {
	t.Parallel()
	const users, workers = 60, 16
	s := newServer(t, zeptest.WithStickyLocks(), zeptest.WithLockWait(time.Millisecond))
	require.NoError(t, s.SeedUsers(users, manyUsers))
	client, err := s.Client(zep.WithConcurrentUpdates(), zep.WithMaxAttempts(1))
	require.NoError(t, err)
	update := func(i int) error {
		_, err := client.User.Update(context.Background(), &zep.UpdateUserRequest{
			UserID:   manyUsers(i).UserID,
			Metadata: zep.Metadata{"k": 1},
		})
		return err
	}
	var wg sync.WaitGroup
	next := make(chan int)
	for range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range next {
				assert.NoError(t, update(i))
			}
		}()
	}
	for i := range users {
		next <- i
	}
	close(next)
	wg.Wait()
	locked := s.Locked()
	t.Logf("%d of %d users are locked", len(locked), users)
	require.NotEmpty(t, locked)
	for i := range users {
		err := update(i)
		if slices.Contains(locked, "user "+manyUsers(i).UserID) {
			require.ErrorIs(t, err, zep.ErrServer)
			assert.ErrorContains(t, err, "failed to acquire advisory lock")
		} else {
			require.NoError(t, err)
		}
	}
	assert.Equal(t, locked, s.Locked(), "one after the other")
}

func manyUsers(i int) zep.CreateUserRequest {
	return zep.CreateUserRequest{UserID: fmt.Sprint("user-", i)}
}
