//go:build unix

package postgres_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep/locker/postgres"
)

// The interface of package zep.
var _ interface {
	Lock(ctx context.Context, key string) (held context.Context, unlock func(), err error)
} = (*postgres.Locker)(nil)

func TestNew_Invalid(t *testing.T) {
	t.Parallel()
	const hint = " (percent-encode special characters of the password)"
	for _, test := range []struct{ name, dsn, want string }{
		{"URL", "postgres://zep:secret%zz@localhost/db", "failed to parse as URL" + hint},
		{"port", "postgres://zep:1234567/secret@localhost/db", "invalid port" + hint},
		{
			"keyword", "password=secret db",
			"failed to parse as keyword/value (invalid keyword/value)",
		},
		{
			"sslmode", "host=localhost password=secret sslmode=maybe",
			"failed to configure TLS (sslmode is invalid)",
		},
		{
			"session attributes", "password=secret target_session_attrs=best",
			"unknown target_session_attrs value: best",
		},
		{"pool", "password=secret pool_max_conns=0", "pool_max_conns too small"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := postgres.New(test.dsn)
			require.EqualError(t, err, "postgres: invalid connection string: "+test.want)
		})
	}
}

func TestNewWithConfig_Invalid(t *testing.T) {
	t.Parallel()
	config, err := pgxpool.ParseConfig("host=localhost")
	require.NoError(t, err)
	config.MaxConns = 0
	_, err = postgres.NewWithConfig(config)
	require.EqualError(t, err, "postgres: MaxConns is 0, must be at least 1")
	_, err = postgres.NewWithConfig(nil)
	require.EqualError(t, err, "postgres: config must be a result of pgxpool.ParseConfig")
}

// A Locker that is made and closed has made no connection, even if the configuration asks for
// some.
func TestNew_NoConnection(t *testing.T) {
	t.Parallel()
	locker := newLocker(t, "pool_min_conns=2", "pool_min_idle_conns=2")
	_, unlock := lock(t, locker, t.Name())
	assert.Equal(t, 1, locker.Conns())
	unlock()
}

func TestNewWithConfig(t *testing.T) {
	t.Parallel()
	config, err := pgxpool.ParseConfig(testDSN(t))
	require.NoError(t, err)
	config.ConnConfig.RuntimeParams["application_name"] = ""
	config.MinConns = 3
	locker, err := postgres.NewWithConfig(config)
	require.NoError(t, err)
	t.Cleanup(locker.Close)
	lock(t, locker, t.Name())
	assert.Equal(t, int32(3), config.MinConns)
	assert.Zero(t, config.ConnConfig.ConnectTimeout)
	assert.Empty(t, config.ConnConfig.RuntimeParams["application_name"])
	assert.Nil(t, config.AfterConnect)
	class, id := postgres.AdvisoryKey(t.Name())
	assert.Equal(t, 1, query(t, superuser(t), `SELECT count(*)
		FROM pg_locks JOIN pg_stat_activity USING (pid)
		WHERE classid = $1 AND objid = $2 AND application_name = 'zep-locker'`,
		uint32(class), uint32(id)))
}

// Nothing that is printed of a Locker has the password.
func TestLocker_Printed(t *testing.T) {
	t.Parallel()
	locker := open(t, "postgres://zep:secret@localhost/db")
	for _, format := range []string{"%v", "%+v", "%#v"} {
		assert.NotContains(t, fmt.Sprintf(format, locker), "secret")
	}
}

// The lock of a key is documented, so that other programs can take it.
func TestLock_AdvisoryKey(t *testing.T) {
	t.Parallel()
	locker := newLocker(t)
	lock(t, locker, "user/jane")
	assert.Equal(t, 1, query(t, superuser(t), `
		WITH hash AS (SELECT encode(
			sha256('github.com/zep-go/zep/locker/postgres:user/jane'), 'hex') AS hex)
		SELECT count(*) FROM pg_locks, hash
			WHERE locktype = 'advisory' AND granted AND objsubid = 2
			AND lpad(to_hex(classid::bigint), 8, '0') = substr(hex, 1, 8)
			AND lpad(to_hex(objid::bigint), 8, '0') = substr(hex, 9, 8)`))
}

// A lock with one bigint argument, as Zep takes them, is another one, even if its 64 bits are the
// same.
func TestLock_NotOfOtherKeySpace(t *testing.T) {
	t.Parallel()
	class, id := postgres.AdvisoryKey(t.Name())
	conn := superuser(t)
	key := int64(class)<<32 | int64(uint32(id))
	execSQL(t, conn, fmt.Sprintf("SELECT pg_advisory_lock(%d)", key))
	lock(t, newLocker(t), t.Name())
}

// A session has the settings that the documentation names, whatever the connection string says.
func TestLock_Settings(t *testing.T) {
	t.Parallel()
	config, err := pgxpool.ParseConfig(testDSN(t, "statement_timeout=50", "lock_timeout=50"))
	require.NoError(t, err)
	connected := make(chan bool, 1)
	config.AfterConnect = func(context.Context, *pgx.Conn) error {
		connected <- true
		return nil
	}
	found := make(chan map[string]string, 1)
	config.AfterRelease = func(conn *pgx.Conn) bool {
		rows, _ := conn.Query(context.Background(), "SELECT name, setting FROM pg_settings")
		settings, name, setting := map[string]string{}, "", ""
		_, err := pgx.ForEachRow(rows, []any{&name, &setting}, func() error {
			settings[name] = setting
			return nil
		})
		assert.NoError(t, err)
		found <- settings
		return true
	}
	locker, err := postgres.NewWithConfig(config)
	require.NoError(t, err)
	t.Cleanup(locker.Close)
	_, unlock := lock(t, locker, t.Name())
	assert.True(t, <-connected, "the caller's own AfterConnect runs")
	unlock()
	settings := <-found
	assert.Equal(t, "20000", settings["tcp_user_timeout"])
	for name, want := range map[string]string{
		"statement_timeout":                "0",
		"lock_timeout":                     "0",
		"transaction_timeout":              "0",
		"idle_session_timeout":             "0",
		"tcp_keepalives_idle":              "5",
		"tcp_keepalives_interval":          "5",
		"tcp_keepalives_count":             "3",
		"client_connection_check_interval": "5000",
	} {
		if setting, ok := settings[name]; ok { // or this PostgreSQL does not have it
			assert.Equal(t, want, setting, name)
		}
	}
}

func TestLock_Excludes_Goroutines(t *testing.T) {
	t.Parallel()
	// Two Lockers, as two processes have: what excludes is the database, not the queue of one
	// Locker.
	lockers := []*postgres.Locker{newLocker(t), newLocker(t)}
	path := newCounter(t)
	failed := make(chan error, len(lockers))
	for _, locker := range lockers {
		go func() { failed <- count(locker, t.Name(), path, 8, 20) }()
	}
	for range lockers {
		require.NoError(t, <-failed)
	}
	assert.Equal(t, "320", counter(t, path))
	for _, locker := range lockers {
		assert.Zero(t, locker.Keys())
		assert.LessOrEqual(t, locker.Conns(), 1, "goroutines that wait for a key need no more")
	}
}

func TestLock_Excludes_Processes(t *testing.T) {
	t.Parallel()
	dsn, path := testDSN(t), newCounter(t)
	var children []*child
	for range 3 {
		children = append(children, startChild(t, "count", dsn, t.Name(), path, "8", "10"))
	}
	for _, c := range children {
		require.NoError(t, c.Wait(), c.errors)
	}
	assert.Equal(t, "240", counter(t, path))
}

func newCounter(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "count")
	require.NoError(t, os.WriteFile(path, []byte("0"), 0o600))
	return path
}

func counter(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

func TestLock_OtherKeysDoNotWait(t *testing.T) {
	t.Parallel()
	locker := newLocker(t)
	for i := range 8 {
		lock(t, locker, t.Name()+strconv.Itoa(i))
	}
	assert.Equal(t, 8, locker.Keys())
}

func TestLock_BoundedConnections(t *testing.T) {
	t.Parallel()
	locker, conn := newLocker(t, "pool_max_conns=2"), superuser(t)
	_, unlock := lock(t, locker, t.Name()+"/1")
	lock(t, locker, t.Name()+"/2")

	_, _, err := locker.Lock(within(t, 50*time.Millisecond), t.Name()+"/3")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.EqualError(t, err, `postgres: lock of "TestLock_BoundedConnections/3": `+
		`no connection: context deadline exceeded`)

	waiting := lockInBackground(within(t, 20*time.Second), locker, t.Name()+"/3")
	assert.Equal(t, 2, query(t, conn, sessionsOf, t.Name()))
	unlock()
	third := <-waiting
	require.NoError(t, third.err)
	third.unlock()
	assert.Equal(t, 2, query(t, conn, sessionsOf, t.Name()))
}

// Goroutines that have all connections can each take a second lock.
func TestLock_Nested(t *testing.T) {
	t.Parallel()
	const goroutines = 8
	locker, conn := newLocker(t, "pool_max_conns=2"), superuser(t)
	failed := make(chan error, goroutines)
	for i := range goroutines {
		go func() {
			failed <- func() error {
				ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
				defer cancel()
				for range 10 {
					held, unlock, err := locker.Lock(ctx, t.Name()+strconv.Itoa(i))
					if err != nil {
						return err
					}
					// What package zep passes: the values of held, ended by another context.
					nested, stop := context.WithCancel(context.WithoutCancel(held))
					_, unlockAll, err := locker.Lock(nested, t.Name()+"/all")
					if err == nil {
						unlockAll()
					}
					stop()
					unlock()
					if err != nil {
						return err
					}
				}
				return nil
			}()
		}()
	}
	for range goroutines {
		require.NoError(t, <-failed)
	}
	assert.LessOrEqual(t, query(t, conn, sessionsOf, t.Name()), 3)

	// The held context of another Locker is none of this one.
	held, _ := lock(t, newOther(t), t.Name())
	for i := range 2 {
		lock(t, locker, t.Name()+strconv.Itoa(i))
	}
	ctx, cancel := context.WithTimeout(held, 50*time.Millisecond)
	defer cancel()
	_, _, err := locker.Lock(ctx, t.Name()+"/all")
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestNew_DefaultConnections(t *testing.T) {
	t.Parallel()
	locker := newLocker(t)
	for i := range 8 {
		lock(t, locker, t.Name()+strconv.Itoa(i))
	}
	_, _, err := locker.Lock(within(t, 50*time.Millisecond), t.Name())
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.ErrorContains(t, err, "no connection")
}

// Goroutines that wait for one key do not use up the connections of the others.
func TestLock_WaitersInProcessNeedNoConnection(t *testing.T) {
	t.Parallel()
	locker := newLocker(t, "pool_max_conns=2")
	_, unlock := lock(t, locker, t.Name())
	var waiting []<-chan outcome
	for range 16 {
		waiting = append(waiting, lockInBackground(within(t, 20*time.Second), locker, t.Name()))
	}
	_, unlockOther := lock(t, locker, t.Name()+"/other")
	unlockOther()
	unlock()
	var all sync.WaitGroup
	for _, outcomes := range waiting {
		all.Add(1)
		go func() {
			defer all.Done()
			if o := <-outcomes; assert.NoError(t, o.err) {
				o.unlock()
			}
		}()
	}
	all.Wait()
	assert.Zero(t, locker.Keys())
}

func TestLock_ContextEnds(t *testing.T) {
	t.Parallel()
	holder, locker, conn := newLocker(t), newLocker(t), superuser(t)

	t.Run("before", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, _, err := locker.Lock(ctx, "before")
		require.ErrorIs(t, err, context.Canceled)
		assert.Zero(t, locker.Conns())
	})
	t.Run("held elsewhere", func(t *testing.T) {
		name := t.Name()[:strings.Index(t.Name(), "/")]
		lock(t, holder, name)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		waiting := lockInBackground(ctx, locker, name)
		requireEventually(t, 1, conn, waitersOf, name)
		cancel()
		require.EqualError(t, (<-waiting).err,
			`postgres: lock of "TestLock_ContextEnds": held elsewhere: context canceled`)
		requireEventually(t, 0, conn, waitersOf, name) // no session goes on waiting
	})
	t.Run("held in this process", func(t *testing.T) {
		lock(t, locker, t.Name())
		_, _, err := locker.Lock(within(t, 50*time.Millisecond), t.Name())
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorContains(t, err, ": held in this process: ")
	})
	t.Run("with a cause", func(t *testing.T) {
		lock(t, locker, t.Name())
		ctx, cancel := context.WithTimeoutCause(context.Background(), 0, assert.AnError)
		defer cancel()
		_, _, err := locker.Lock(ctx, t.Name())
		require.ErrorIs(t, err, assert.AnError)
	})
	assert.Zero(t, locker.Keys())
}

// The lock outlives the context that it was taken with, and unlock works after that context's end.
func TestLock_HeldAfterContextEnds(t *testing.T) {
	t.Parallel()
	type contextKey struct{}
	locker, other := newLocker(t), newLocker(t)
	ctx := context.WithValue(context.Background(), contextKey{}, "value")
	ctx, cancel := context.WithCancel(ctx)
	held, unlock, err := locker.Lock(ctx, t.Name())
	require.NoError(t, err)
	cancel()
	assert.Equal(t, "value", held.Value(contextKey{}))
	_, _, err = other.Lock(within(t, 50*time.Millisecond), t.Name())
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, held.Err())

	for range 2 { // unlock is idempotent
		unlock()
		require.ErrorIs(t, held.Err(), context.Canceled)
		require.ErrorIs(t, context.Cause(held), context.Canceled)
	}
	_, unlock = lock(t, other, t.Name())
	unlock()
}

// A second call of unlock does not release the lock of whoever has it then.
func TestUnlock_Twice(t *testing.T) {
	t.Parallel()
	locker, other := newLocker(t), newLocker(t)
	_, first := lock(t, locker, t.Name())
	first()
	held, second := lock(t, locker, t.Name())
	first()
	_, _, err := other.Lock(within(t, 50*time.Millisecond), t.Name())
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, held.Err())

	var all sync.WaitGroup
	for range 8 {
		all.Add(1)
		go func() {
			defer all.Done()
			second()
		}()
	}
	all.Wait()
	lock(t, other, t.Name())
}

// Connections are used again.
func TestUnlock_KeepsConnection(t *testing.T) {
	t.Parallel()
	locker, conn := newLocker(t), superuser(t)
	pid := func() int {
		class, id := postgres.AdvisoryKey(t.Name())
		return query(t, conn, `SELECT pid FROM pg_locks WHERE classid = $1 AND objid = $2`,
			uint32(class), uint32(id))
	}
	_, unlock := lock(t, locker, t.Name())
	first := pid()
	unlock()
	_, unlock = lock(t, locker, t.Name())
	assert.Equal(t, first, pid())
	unlock()
}
