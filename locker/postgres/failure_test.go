//go:build unix

package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep/locker/postgres"
)

// terminate ends the sessions of a test, as a restart of the server does.
const terminate = `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
	WHERE application_name = $1`

func TestLock_ConnectionLost(t *testing.T) {
	t.Parallel()
	locker, elsewhere, conn := newLocker(t), newOther(t), superuser(t)
	held, unlock := lock(t, locker, t.Name())
	start := time.Now()
	require.Equal(t, 1, query(t, conn, terminate, t.Name()))
	assertEnds(t, held)
	t.Logf("noticed after %v", time.Since(start))
	assert.Less(t, time.Since(start), time.Second, "it is read from the connection, not asked")
	cause := context.Cause(held)
	assert.EqualError(t, cause, `postgres: lost the lock of "TestLock_ConnectionLost": `+
		`FATAL: terminating connection due to administrator command (SQLSTATE 57P01)`)
	var refusal *pgconn.PgError
	assert.ErrorAs(t, cause, &refusal)
	lock(t, elsewhere, t.Name()) // it is free for the others

	_, _, err := locker.Lock(within(t, 50*time.Millisecond), t.Name())
	require.ErrorIs(t, err, context.DeadlineExceeded, "in this process it is not, until unlock")
	unlock()
	unlock()
	_, unlock = lock(t, locker, t.Name()+"/again")
	unlock()
	assert.Zero(t, locker.Keys())
}

// Connections that broke while they were idle are replaced, and so are those that break while they
// wait.
func TestLock_OtherConnections(t *testing.T) {
	t.Parallel()
	locker, holder, conn := newLocker(t), newOther(t), superuser(t)
	var unlocks []func()
	for i := range 8 {
		_, unlock := lock(t, locker, fmt.Sprint(t.Name(), i))
		unlocks = append(unlocks, unlock)
	}
	for _, unlock := range unlocks {
		unlock()
	}
	require.Equal(t, 8, query(t, conn, terminate, t.Name()))
	_, unlock := lock(t, locker, t.Name())
	unlock()

	_, unlock = lock(t, holder, t.Name())
	waiting := lockInBackground(within(t, 20*time.Second), locker, t.Name())
	for range 3 {
		requireEventually(t, 1, conn, waitersOf, t.Name())
		requireEventually(t, 1, conn, terminate, t.Name()) // the one before may not be gone yet
	}
	unlock()
	o := <-waiting
	require.NoError(t, o.err)
	o.unlock()
}

// An error of the server that leaves the connection as it is ends the call.
func TestLock_QueryCanceled(t *testing.T) {
	t.Parallel()
	locker, holder, conn := newLocker(t), newOther(t), superuser(t)
	lock(t, holder, t.Name())
	waiting := lockInBackground(within(t, 20*time.Second), locker, t.Name())
	requireEventually(t, 1, conn, waitersOf, t.Name())
	query(t, conn, strings.Replace(terminate, "terminate", "cancel", 1), t.Name())
	require.EqualError(t, (<-waiting).err, `postgres: lock of "TestLock_QueryCanceled": `+
		`held elsewhere: ERROR: canceling statement due to user request (SQLSTATE 57014)`)
	assert.Equal(t, 1, locker.Conns())
	assert.Zero(t, locker.Keys())
}

// A connection that is lost without a sign is found out by asking.
func TestLock_NetworkLost(t *testing.T) {
	t.Parallel()
	proxy := newProxy(t)
	locker := proxy.open(t)
	held, unlock := lock(t, locker, t.Name())
	start := time.Now()
	proxy.frozen.Store(true)
	assertEnds(t, held)
	t.Logf("noticed after %v", time.Since(start))
	assert.Less(t, time.Since(start), 6*time.Second)
	assert.ErrorContains(t, context.Cause(held), `lost the lock of "TestLock_NetworkLost": `)
	unlock()
	assert.Zero(t, locker.Keys())
}

// A held lock whose server answers is not lost, however often it is asked.
func TestLock_Checked(t *testing.T) {
	t.Parallel()
	proxy := newProxy(t)
	locker := proxy.open(t)
	locker.SetCheck(time.Millisecond, 10*time.Second)
	held, unlock := lock(t, locker, t.Name())
	before := proxy.chunks.Load()
	require.Eventually(t, func() bool { return proxy.chunks.Load() > before+20 },
		10*time.Second, time.Millisecond)
	require.NoError(t, held.Err())
	unlock()
	_, unlock = lock(t, newLocker(t), t.Name())
	unlock()
	assert.Equal(t, 1, locker.Conns(), "the connection is good for another lock")
}

// unlock gives up on a server that does not answer, and the next one waits for no more than that.
func TestUnlock_NetworkLost(t *testing.T) {
	t.Parallel()
	proxy := newProxy(t)
	locker := proxy.open(t)
	locker.SetCheck(time.Hour, 100*time.Millisecond)
	_, unlock := lock(t, locker, t.Name())
	proxy.frozen.Store(true)
	start := time.Now()
	unlock()
	assert.Less(t, time.Since(start), 5*time.Second)
	assert.Zero(t, locker.Keys())
	proxy.Close() // the server sees the end of the connection
	lock(t, newLocker(t), t.Name())
}

// If the server says that the session does not have the lock, the connection is closed, and with
// it goes whatever lock the session has.
func TestUnlock_NotHeld(t *testing.T) {
	t.Parallel()
	proxy := newProxy(t)
	const (
		unlockCall = "SELECT pg_catalog.pg_advisory_unlock("
		nothing    = "SELECT false -- instead of unlocking("
	)
	require.Len(t, nothing, len(unlockCall))
	proxy.change = func(chunk []byte) []byte {
		return bytes.ReplaceAll(chunk, []byte(unlockCall), []byte(nothing))
	}
	locker := proxy.open(t)
	_, unlock := lock(t, locker, t.Name())
	unlock()
	lock(t, newOther(t), t.Name())
	requireEventually(t, 0, superuser(t), sessionsOf, t.Name())
}

func TestLock_Unreachable(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := closed.Addr().String()
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	require.NoError(t, err)
	t.Cleanup(func() { silent.Close() })

	const prefix, suffix = "postgres://zep:secret@", "/db?connect_timeout=1"
	hosts := "host=127.0.0.1,localhost user=zep password=secret port=" + port
	for _, test := range []struct{ name, dsn, want string }{
		{"refused", prefix + address + "/db", address + " (127.0.0.1): dial error: "},
		{"two hosts", hosts, "refused"},
		{"no answer", prefix + silent.Addr().String() + suffix, "timeout"},
		{"unknown host", prefix + "zep.invalid" + suffix, "zep.invalid"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			assertCannotConnect(t, test.dsn, test.want)
		})
	}
	t.Run("password", func(t *testing.T) {
		t.Parallel()
		needServer(t)
		assertCannotConnect(t, server.dsn("postgres", "secret", "postgres"),
			`password authentication failed for user "postgres"`)
	})
	t.Run("database", func(t *testing.T) {
		t.Parallel()
		needServer(t)
		assertCannotConnect(t, server.dsn("postgres", superuserPassword, "db"), "does not exist")
	})
}

func assertCannotConnect(t *testing.T, dsn, want string) {
	t.Helper()
	locker := open(t, dsn)
	start := time.Now()
	_, _, err := locker.Lock(within(t, 20*time.Second), "key")
	require.Error(t, err)
	assert.Less(t, time.Since(start), 6*time.Second)
	assert.True(t, strings.HasPrefix(err.Error(), `postgres: lock of "key": no connection: `), err)
	assert.Contains(t, err.Error(), want)
	assert.NotContains(t, err.Error(), "\n")
	password, _ := dsnPassword(dsn)
	assert.NotContains(t, err.Error(), password)
	assert.Zero(t, locker.Keys())
}

func dsnPassword(dsn string) (string, bool) {
	if u, err := url.Parse(dsn); err == nil && u.User != nil {
		return u.User.Password()
	}
	return "secret", true
}

// A standby has locks of its own.
func TestLock_Standby(t *testing.T) {
	t.Parallel()
	needServer(t)
	standby, err := newCluster()
	require.NoError(t, err)
	t.Cleanup(standby.stop)
	require.NoError(t, os.WriteFile(filepath.Join(standby.data(), "standby.signal"), nil, 0o644))
	require.NoError(t, standby.start())
	locker := open(t, standby.dsn("postgres", superuserPassword, "postgres"))
	_, _, err = locker.Lock(within(t, 20*time.Second), t.Name())
	require.Error(t, err)
	assert.ErrorContains(t, err, "server is in standby mode")
}

func TestLock_HolderKilled(t *testing.T) {
	t.Parallel()
	locker, conn := newOther(t), superuser(t)
	holder := startChild(t, "hold", testDSN(t), t.Name())
	require.Equal(t, "locking", holder.line(t))
	require.Equal(t, "held", holder.line(t))
	waiting := lockInBackground(within(t, 20*time.Second), locker, t.Name())
	requireEventually(t, 1, conn, waitersOf, other(t))
	start := time.Now()
	holder.kill()
	o := <-waiting
	require.NoError(t, o.err)
	t.Logf("locked after %v", time.Since(start))
	o.unlock()
	assert.Less(t, time.Since(start), 5*time.Second)
}

// The session of a process that was killed while it waited does not go on waiting.
func TestLock_WaiterKilled(t *testing.T) {
	t.Parallel()
	locker, conn := newOther(t), superuser(t)
	if query(t, conn, `SELECT count(*) FROM pg_settings
		WHERE name = 'client_connection_check_interval'`) == 0 {
		t.Skip("PostgreSQL 13 and older do not notice")
	}
	lock(t, locker, t.Name())
	waiter := startChild(t, "hold", testDSN(t), t.Name())
	require.Equal(t, "locking", waiter.line(t))
	requireEventually(t, 1, conn, waitersOf, t.Name())
	start := time.Now()
	waiter.kill()
	requireEventually(t, 0, conn, sessionsOf, t.Name())
	t.Logf("gone after %v", time.Since(start))
}

func TestClose(t *testing.T) {
	t.Parallel()
	holder, conn := newOther(t), superuser(t)
	locker := newLocker(t, "pool_max_conns=3")
	lock(t, holder, t.Name()+"/elsewhere")
	held, unlock := lock(t, locker, t.Name()+"/1")
	_, unlock2 := lock(t, locker, t.Name()+"/2")
	waiting := []<-chan outcome{
		lockInBackground(context.Background(), locker, t.Name()+"/elsewhere"),
		lockInBackground(context.Background(), locker, t.Name()+"/1"),
	}
	requireEventually(t, 1, conn, waitersOf, t.Name())
	waiting = append(waiting, lockInBackground(context.Background(), locker, t.Name()+"/third"))

	var all sync.WaitGroup
	for range 2 { // Close may be called more than once, at the same time
		all.Add(1)
		go func() {
			defer all.Done()
			locker.Close()
		}()
	}
	for _, outcomes := range waiting {
		assert.Equal(t, postgres.ErrClosed, (<-outcomes).err)
	}
	assertEnds(t, held)
	assert.Equal(t, postgres.ErrClosed, context.Cause(held))
	all.Wait()
	requireEventually(t, 0, conn, sessionsOf, t.Name())
	lock(t, holder, t.Name()+"/1")
	unlock()
	unlock2()
	assert.Zero(t, locker.Keys())
	_, _, err := locker.Lock(context.Background(), t.Name())
	assert.Equal(t, postgres.ErrClosed, err)
	locker.Close()
}

// A proxy between a Locker and the server can lose what it carries without a sign.
type proxy struct {
	net.Listener
	change func([]byte) []byte // what goes to the server; nil for nothing
	frozen atomic.Bool
	chunks atomic.Int64 // from the server

	mu    sync.Mutex
	conns []net.Conn
	done  bool
	all   sync.WaitGroup
}

func newProxy(t *testing.T) *proxy {
	t.Helper()
	needServer(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{Listener: listener}
	p.all.Add(1)
	go p.serve()
	t.Cleanup(p.Close)
	return p
}

// open returns a Locker that connects through the proxy. It is closed after the proxy, whose end
// ends what the Locker waits for.
func (p *proxy) open(t *testing.T) *postgres.Locker {
	t.Helper()
	u, err := url.Parse(testDSN(t))
	require.NoError(t, err)
	u.Host = p.Addr().String()
	locker, err := postgres.New(u.String())
	require.NoError(t, err)
	t.Cleanup(func() {
		p.Close()
		locker.Close()
	})
	return locker
}

func (p *proxy) serve() {
	defer p.all.Done()
	for {
		client, err := p.Accept()
		if err != nil {
			return
		}
		upstream, err := net.Dial("tcp", serverAddress())
		if err != nil {
			client.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, client, upstream)
		if p.done {
			client.Close()
			upstream.Close()
		}
		p.mu.Unlock()
		p.all.Add(2)
		go p.copy(upstream, client, func(chunk []byte) []byte {
			if p.change != nil {
				return p.change(chunk)
			}
			return chunk
		})
		go p.copy(client, upstream, func(chunk []byte) []byte {
			p.chunks.Add(1)
			return chunk
		})
	}
}

func (p *proxy) copy(to, from net.Conn, change func([]byte) []byte) {
	defer p.all.Done()
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if n > 0 && !p.frozen.Load() {
			if _, err := to.Write(change(buf[:n])); err != nil {
				return
			}
		}
		if err != nil {
			if errors.Is(err, io.EOF) && !p.frozen.Load() {
				to.Close()
			}
			return
		}
	}
}

// Close ends the proxy and its connections.
func (p *proxy) Close() {
	p.Listener.Close()
	p.mu.Lock()
	p.done = true
	for _, conn := range p.conns {
		conn.Close()
	}
	p.mu.Unlock()
	p.all.Wait()
}

func serverAddress() string { return fmt.Sprintf("127.0.0.1:%d", server.port) }
