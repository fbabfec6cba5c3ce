//go:build unix

package postgres_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/locker/postgres"
	"github.com/zep-go/zep/zeptest"
)

var _ zep.Locker = (*postgres.Locker)(nil)

const (
	fleetProcesses  = 3
	fleetGoroutines = 16 // of each process
	fleetUpdates    = 20 // of each goroutine
)

func init() { childModes["update"] = updateInChild }

// updateInChild updates users from several goroutines, each of which has one user. Each update
// adds a key of its own to the metadata, and prints it when the server has answered.
func updateInChild(args []string) error {
	dsn, baseURL, process := args[0], args[1], args[2]
	users, _ := strconv.Atoi(args[3])
	locker, err := postgres.New(dsn)
	if err != nil {
		return err
	}
	defer locker.Close()
	client, err := zep.NewClient(zep.WithBaseURL(baseURL), zep.WithLocker(locker))
	if err != nil {
		return err
	}
	failed := make(chan error, fleetGoroutines)
	for goroutine := range fleetGoroutines {
		go func() {
			name := fmt.Sprint(process, "-", goroutine)
			failed <- updateAll(client, fleetUser(goroutine%users), name)
		}()
	}
	for range fleetGoroutines {
		if err := <-failed; err != nil {
			return err
		}
	}
	return nil
}

func fleetUser(i int) string { return "user" + strconv.Itoa(i) }

func updateAll(client *zep.Client, user, name string) error {
	for update := range fleetUpdates {
		key := fmt.Sprintf("%s-%d", name, update)
		_, err := client.User.Update(context.Background(), &zep.UpdateUserRequest{
			UserID:   user,
			Metadata: zep.Metadata{key: true},
		})
		if err != nil {
			return err
		}
		fmt.Println(key)
	}
	return nil
}

// newFleet starts a Zep server that loses updates of one user that overlap, and leaves their locks
// behind; and the processes that update so many users.
func newFleet(t *testing.T, users int) (server *zeptest.Server, fleet []*child) {
	t.Helper()
	dsn := testDSN(t)
	server = zeptest.NewServer(zeptest.WithRacyUpdates(), zeptest.WithStickyLocks(),
		zeptest.WithLockWait(time.Second))
	t.Cleanup(server.Close)
	client, err := server.Client()
	require.NoError(t, err)
	for i := range users {
		user := zep.CreateUserRequest{UserID: fleetUser(i)}
		_, err = client.User.Add(context.Background(), &user)
		require.NoError(t, err)
	}
	for process := range fleetProcesses {
		fleet = append(fleet, startChild(t, "update",
			dsn, server.URL, strconv.Itoa(process), strconv.Itoa(users)))
	}
	return server, fleet
}

// assertKept fails the test unless the users have all these keys, and returns how many they have.
func assertKept(t *testing.T, server *zeptest.Server, answered []string) (kept int) {
	t.Helper()
	client, err := server.Client()
	require.NoError(t, err)
	all := map[string]bool{}
	for user, err := range client.User.All(context.Background()) {
		require.NoError(t, err)
		for key := range user.Metadata {
			all[key] = true
		}
	}
	lost := 0
	for _, key := range answered {
		if !all[key] {
			lost++
		}
	}
	assert.Zero(t, lost, "updates that were answered and lost, of %d", len(answered))
	return len(all)
}

// answers reads what a child prints until its end.
func (c *child) answers() (keys []string) {
	for c.output.Scan() {
		keys = append(keys, c.output.Text())
	}
	return keys
}

func TestFleet(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		users int
	}{
		{"one user", 1},
		{"more users than connections", fleetGoroutines},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			testFleet(t, test.users)
		})
	}
}

func testFleet(t *testing.T, users int) {
	server, fleet := newFleet(t, users)
	start := time.Now()
	var answered []string
	for _, process := range fleet {
		answered = append(answered, process.answers()...)
		require.NoError(t, process.Wait(), process.errors)
	}
	const all = fleetProcesses * fleetGoroutines * fleetUpdates
	assert.Len(t, answered, all)
	kept := assertKept(t, server, answered)
	assert.Equal(t, all, kept)
	assert.Empty(t, server.Locked())
	t.Logf("%d of %d updates kept, in %v", kept, all, time.Since(start).Round(time.Millisecond))
}

func TestFleet_ProcessKilled(t *testing.T) {
	t.Parallel()
	server, fleet := newFleet(t, 1)
	var answered []string
	for range 40 {
		answered = append(answered, fleet[0].line(t))
	}
	start := time.Now()
	require.NoError(t, fleet[0].Process.Kill())
	answered = append(answered, fleet[0].answers()...) // what it had printed
	require.Error(t, fleet[0].Wait())
	require.Less(t, len(answered), fleetGoroutines*fleetUpdates, "it was killed in the middle")

	// The server leaves a lock behind for a request that was cut off. Somebody frees it.
	ctx, stop := context.WithCancel(context.Background())
	var operator sync.WaitGroup
	operator.Add(1)
	go func() {
		defer operator.Done()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				server.ReleaseLocks()
			case <-ctx.Done():
				return
			}
		}
	}()
	for _, process := range fleet[1:] {
		keys := process.answers()
		assert.Len(t, keys, fleetGoroutines*fleetUpdates)
		answered = append(answered, keys...)
		require.NoError(t, process.Wait(), process.errors)
	}
	stop()
	operator.Wait()
	kept := assertKept(t, server, answered)
	t.Logf("%d updates answered, %d kept; the others finished %v after the kill",
		len(answered), kept, time.Since(start).Round(time.Millisecond))
}

// The example shows the same in one command.
func TestFleetExample(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("go", "run", "-C", "../../examples/fleet", ".")
	cmd.Env = append(os.Environ(), "ZEP_LOCKER_DSN="+testDSN(t))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	_, last, _ := strings.Cut(string(out), "With the PostgreSQL locker")
	assert.Equal(t, ` (ZEP_LOCKER_DSN is set):
  answered  120 of 120 updates
  kept      120 of those
  locked    nothing
`, last, string(out))
}
