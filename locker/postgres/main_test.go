//go:build unix

package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/zep-go/zep/locker/postgres"
)

// server is the PostgreSQL that the tests share. It is nil if there is none.
var server *cluster

func TestMain(m *testing.M) {
	if mode := os.Getenv(childMode); mode != "" {
		runChild(mode)
		return
	}
	for _, variable := range os.Environ() { // the tests say themselves where to connect
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "PG") {
			os.Unsetenv(name)
		}
	}
	var err error
	if server, err = newCluster(); err == nil {
		err = server.start()
	}
	switch {
	case errors.Is(err, errNoPostgres):
		fmt.Fprintf(os.Stderr, "\n!!! SKIPPED, the locker is NOT TESTED: %v\n\n", err)
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent(), goleak.Cleanup(func(code int) {
		if server != nil {
			server.stop()
		}
		os.Exit(code)
	}))
}

// needServer skips the test if there is no PostgreSQL.
func needServer(t *testing.T) {
	t.Helper()
	if server == nil {
		t.Skip(errNoPostgres)
	}
}

// testDSN returns a connection string whose sessions carry the test's name.
func testDSN(t *testing.T, params ...string) string {
	t.Helper()
	needServer(t)
	return withParams(server.dsn("postgres", superuserPassword, "postgres"),
		append(params, "application_name="+url.QueryEscape(t.Name()))...)
}

func withParams(dsn string, params ...string) string {
	return dsn + "&" + strings.Join(params, "&")
}

func newLocker(t *testing.T, params ...string) *postgres.Locker {
	t.Helper()
	return open(t, testDSN(t, params...))
}

// newOther returns a Locker whose sessions are told apart from those of newLocker.
func newOther(t *testing.T) *postgres.Locker {
	t.Helper()
	return newLocker(t, "application_name="+url.QueryEscape(other(t)))
}

func other(t *testing.T) string { return t.Name() + "/other" }

func open(t *testing.T, dsn string) *postgres.Locker {
	t.Helper()
	locker, err := postgres.New(dsn)
	require.NoError(t, err)
	t.Cleanup(locker.Close)
	return locker
}

// connect returns a connection of the test's own.
func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), dsn)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// superuser returns a connection as the superuser.
func superuser(t *testing.T) *pgx.Conn {
	t.Helper()
	needServer(t)
	return connect(t, server.dsn("postgres", superuserPassword, "postgres"))
}

// query returns the one number that a query returns.
func query(t *testing.T, conn *pgx.Conn, sql string, args ...any) (n int) {
	t.Helper()
	require.NoError(t, conn.QueryRow(context.Background(), sql, args...).Scan(&n))
	return n
}

func execSQL(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	_, err := conn.Exec(context.Background(), sql, pgx.QueryExecModeSimpleProtocol)
	require.NoError(t, err)
}

// The sessions of a test, and those of them that wait for an advisory lock.
const (
	sessionsOf = `SELECT count(*) FROM pg_stat_activity WHERE application_name = $1`
	waitersOf  = sessionsOf + ` AND wait_event_type = 'Lock' AND wait_event = 'advisory'`
)

// requireEventually waits until a count is n.
func requireEventually(t *testing.T, n int, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		got := query(t, conn, sql, args...)
		if got == n {
			return
		}
		require.True(t, time.Now().Before(deadline), "%s: %d, want %d", sql, got, n)
		execSQL(t, conn, "SELECT pg_sleep(0.01)")
	}
}

// lock takes a lock that is given back at the end of the test.
func lock(t *testing.T, locker *postgres.Locker, key string) (
	held context.Context, unlock func(),
) {
	t.Helper()
	held, unlock, err := locker.Lock(within(t, 20*time.Second), key)
	require.NoError(t, err)
	t.Cleanup(unlock)
	return held, unlock
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// assertEnds fails the test unless ctx ends within ten seconds.
func assertEnds(t *testing.T, ctx context.Context) {
	t.Helper()
	select {
	case <-ctx.Done():
	case <-time.After(10 * time.Second):
		assert.Fail(t, "the context did not end")
	}
}

// outcome is what a Lock in a goroutine returned.
type outcome struct {
	held   context.Context
	unlock func()
	err    error
}

func lockInBackground(ctx context.Context, locker *postgres.Locker, key string) <-chan outcome {
	done := make(chan outcome, 1)
	go func() {
		held, unlock, err := locker.Lock(ctx, key)
		done <- outcome{held, unlock, err}
	}()
	return done
}
