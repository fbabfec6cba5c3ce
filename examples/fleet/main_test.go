package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/zep-go/zep"
)

var _ zep.Locker = standIn{}

func TestMain(m *testing.M) {
	if os.Getenv(workerVariable) != "" { // a process that the tests started
		main()
		return
	}
	os.Unsetenv(dsnVariable) // the tests stay in this machine
	goleak.VerifyTestMain(m)
}

func TestRun(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, run(context.Background(), &out))
	parts := strings.SplitAfter(out.String(), "\n\n")
	require.Len(t, parts, 4, out.String())
	assert.Equal(t,
		"3 processes, 4 goroutines in each, 10 updates of one user by each.\n\n", parts[0])
	assert.Regexp(t, `^Without a Locker:
  answered  \d+ of 120 updates
  kept      \d+ of those
  locked    user jane
  failed    .* failed to acquire advisory lock: .*

$`, parts[1])
	assert.NotContains(t, parts[1], "120 of 120")
	assert.Regexp(t, `^Without a Locker, on a server where docs/server-locks.sql is applied:
  answered  120 of 120 updates
  kept      \d+ of those
  locked    nothing

$`, parts[2])
	assert.NotContains(t, parts[2], "kept      120")
	assert.Equal(t, `With a stand-in for a Locker, in this process (ZEP_LOCKER_DSN is not set):
  answered  120 of 120 updates
  kept      120 of those
  locked    nothing
`, parts[3])
}

// A process that cannot do its work ends the program.
func TestRun_NoPostgres(t *testing.T) { // t.Setenv: not in parallel
	t.Setenv(dsnVariable, "postgres://zep:secret%zz@localhost/db")
	var out bytes.Buffer
	err := run(context.Background(), &out)
	require.ErrorContains(t, err, "process 1: exit status 1: postgres: invalid connection string")
	assert.NotContains(t, err.Error(), "secret")
	assert.Contains(t, out.String(), "With the PostgreSQL locker (ZEP_LOCKER_DSN is set):\n")
}

func TestRun_Interrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, run(ctx, new(bytes.Buffer)), context.Canceled)
}

func newStandIn(t *testing.T) (*lockServer, standIn) {
	t.Helper()
	server, err := newLockServer()
	require.NoError(t, err)
	return server, standIn{server.Addr().String()}
}

func TestStandIn(t *testing.T) {
	t.Parallel()
	server, locker := newStandIn(t)
	defer server.Close()
	ctx := context.Background()
	_, unlock, err := locker.Lock(ctx, "a")
	require.NoError(t, err)
	_, unlockOther, err := locker.Lock(ctx, "b")
	require.NoError(t, err, "another key is free")
	unlockOther()

	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	_, _, err = locker.Lock(short, "a")
	require.ErrorIs(t, err, context.DeadlineExceeded)

	unlock()
	unlock()
	short, cancel = context.WithCancel(ctx)
	held, unlock, err := locker.Lock(short, "a")
	require.NoError(t, err)
	cancel()
	require.NoError(t, held.Err(), "the lock outlives the call's context")
	unlock()
	require.Error(t, held.Err())
}

func TestStandIn_Lost(t *testing.T) {
	t.Parallel()
	server, locker := newStandIn(t)
	held, unlock, err := locker.Lock(context.Background(), "a")
	require.NoError(t, err)
	server.Close()
	select {
	case <-held.Done():
	case <-time.After(10 * time.Second):
		assert.Fail(t, "the context did not end")
	}
	unlock()
	_, _, err = locker.Lock(context.Background(), "a")
	require.Error(t, err, fmt.Sprint(locker))
}
