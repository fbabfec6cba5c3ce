package zep_test

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/zeptest"
)

// lockingServer returns a server whose metadata updates lock as the real one's do, with the given
// number of users, each with a session of the same id.
func lockingServer(t *testing.T, records int, opts ...zep.Option) (*zeptest.Server, *zep.Client) {
	t.Helper()
	server := zeptest.NewServer(zeptest.WithStickyLocks(), zeptest.WithLockWait(10*time.Millisecond))
	t.Cleanup(server.Close)
	c, err := server.Client(opts...)
	require.NoError(t, err)
	ctx := context.Background()
	for i := range records {
		id := fmt.Sprint(i)
		_, err := c.User.Add(ctx, &zep.CreateUserRequest{UserID: "u" + id})
		require.NoError(t, err)
		_, err = c.Session.Add(ctx, &zep.CreateSessionRequest{SessionID: "s" + id, UserID: "u" + id})
		require.NoError(t, err)
	}
	return server, c
}

// updateAll updates the metadata of all records by 64 goroutines, and returns the errors. It ends
// with the first of them, or after three minutes: an update of a locked record can hang.
func updateAll(c *zep.Client, records int) (failed []error) {
	var (
		mu      sync.Mutex
		group   sync.WaitGroup
		workers = 64
	)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	for worker := range workers {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := worker; i < 2*records && ctx.Err() == nil; i += workers {
				id, metadata := fmt.Sprint(i/2), zep.Metadata{"n": i}
				var err error
				if i%2 == 0 {
					_, err = c.User.Update(ctx, &zep.UpdateUserRequest{UserID: "u" + id, Metadata: metadata})
				} else {
					req := &zep.UpdateSessionRequest{SessionID: "s" + id, Metadata: metadata}
					_, err = c.Session.Update(ctx, req, zep.RequestTimeout(time.Minute))
				}
				if err != nil {
					mu.Lock()
					failed = append(failed, err)
					mu.Unlock()
					cancel()
				}
			}
		}()
	}
	group.Wait()
	if err := ctx.Err(); err != nil && failed == nil {
		return []error{err}
	}
	return failed
}

func TestServerLocks_Default(t *testing.T) {
	t.Parallel()
	server, c := lockingServer(t, 500)
	for range 2 {
		require.Empty(t, updateAll(c, 500))
		require.Empty(t, server.Locked())
	}
}

// TestServerLocks_Parallel checks that the locks of the test before do appear, and what the next
// update of a locked record gets.
func TestServerLocks_Parallel(t *testing.T) {
	t.Parallel()
	const records = 50
	server, c := lockingServer(t, records, zep.WithParallelUpdates())
	assert.Empty(t, updateAll(c, records))
	locked := server.Locked()
	require.NotEmpty(t, locked)
	before := server.Requests()

	var user string
	_, err := fmt.Sscanf(locked[len(locked)-1], "user %s", &user)
	require.NoError(t, err, locked)
	_, err = c.User.Update(context.Background(),
		&zep.UpdateUserRequest{UserID: user, Metadata: zep.Metadata{"a": 1}})
	require.ErrorIs(t, err, zep.ErrLocked)
	require.ErrorIs(t, err, zep.ErrServer)
	require.NotErrorIs(t, err, zep.ErrAmbiguous)
	assert.ErrorContains(t, err, "docs/server-locks.md")
	assert.Equal(t, 1, server.Requests()-before, "another attempt would not help")

	server.ReleaseLocks()
	_, err = c.User.Update(context.Background(),
		&zep.UpdateUserRequest{UserID: user, Metadata: zep.Metadata{"a": 1}})
	require.NoError(t, err)
}

// TestServerLocks_SessionHangs checks the hint of an update that runs out of time, and that no
// attempt follows it.
func TestServerLocks_SessionHangs(t *testing.T) {
	t.Parallel()
	server, c := lockingServer(t, 1)
	cutUpdate(t, server, "s0")
	require.Equal(t, []string{"session s0"}, server.Locked())
	before := server.Requests()
	_, err := c.Session.Update(context.Background(),
		&zep.UpdateSessionRequest{SessionID: "s0", Metadata: zep.Metadata{"a": 1}},
		zep.RequestTimeout(500*time.Millisecond))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorIs(t, err, zep.ErrAmbiguous)
	assert.ErrorContains(t, err, "the record may be locked on the server: see ")
	assert.Equal(t, 1, server.Requests()-before)
	server.ReleaseLocks()
	require.NoError(t, c.Wait(context.Background()))
}

// TestServerLocks_GivenUp checks that an update that its caller gives up leaves no lock, and that
// one that is cut does.
func TestServerLocks_GivenUp(t *testing.T) {
	t.Parallel()
	server, c := lockingServer(t, 1)
	server.Inject(zeptest.Fault{Method: http.MethodPatch, Apply: true, Delay: 2 * time.Second})
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, err := c.Session.Update(ctx,
		&zep.UpdateSessionRequest{SessionID: "s0", Metadata: zep.Metadata{"a": 1}})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, c.Wait(context.Background()))
	assert.Empty(t, server.Locked())
	session, err := c.Session.Get(context.Background(), "s0")
	require.NoError(t, err)
	assert.Equal(t, zep.Metadata{"a": 1.0}, session.Metadata, "it was allowed to finish")

	cutUpdate(t, server, "s0")
	assert.Equal(t, []string{"session s0"}, server.Locked())
}

// cutUpdate cuts an update of a session's metadata, as a client does that lets nothing finish.
func cutUpdate(t *testing.T, server *zeptest.Server, session string) {
	t.Helper()
	c, err := server.Client(zep.WithConcurrentUpdates(), zep.WithMaxAttempts(1))
	require.NoError(t, err)
	server.Inject(zeptest.Fault{Method: http.MethodPatch, Apply: true, Delay: time.Hour})
	_, err = c.Session.Update(context.Background(),
		&zep.UpdateSessionRequest{SessionID: session, Metadata: zep.Metadata{"cut": true}},
		zep.RequestTimeout(500*time.Millisecond))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	for deadline := time.Now().Add(10 * time.Second); len(server.Locked()) == 0; runtime.Gosched() {
		if time.Now().After(deadline) {
			require.FailNow(t, "the server did not notice")
		}
	}
}
