// Package postgres implements the Locker of package zep on PostgreSQL: the processes of a fleet
// that share a database update each record one at a time.
//
//	locker, err := postgres.New(os.Getenv("ZEP_LOCKER_DSN"))
//	if err != nil {
//		return err
//	}
//	defer locker.Close()
//	client, err := zep.NewClient(zep.WithLocker(locker))
//
// # Locks
//
// A lock is a session-level advisory lock. Each lock is taken, watched and released on a
// connection of its own, so that it ends with that connection at the latest.
//
// The functions are called by their full names (pg_catalog.pg_advisory_lock), so that the locker
// also works in Zep's own database after docs/server-locks.sql has replaced the short ones there.
// A key becomes the two int4 arguments of the function: the first eight bytes of the SHA-256 of
// "github.com/zep-go/zep/locker/postgres:" and the key, as two big-endian numbers. PostgreSQL
// keeps these apart from locks with one bigint argument, which are those that Zep takes.
//
// Advisory locks belong to one database of one server: all processes of a fleet must connect to
// the same database. They belong to a session, too: a proxy that pools transactions (PgBouncer
// with pool_mode = transaction) breaks them; one that pools sessions does not. A standby is
// refused, because its locks are not those of the primary.
//
// # Failures
//
// If no connection can be made, Lock returns an error of one line which names the server, not the
// password. A connect is given up after connect_timeout, 5 seconds if the connection string sets
// none.
//
// If a process that holds a lock is killed, its system closes the connection, and PostgreSQL
// passes the lock on at once. If its machine or its network is lost, PostgreSQL passes the lock
// on after 20 seconds: each session sets tcp_keepalives_idle and _interval to 5 seconds,
// tcp_keepalives_count to 3 and tcp_user_timeout to 20 seconds. It also sets
// client_connection_check_interval to 5 seconds, so that sessions of lost processes do not keep
// waiting for locks (PostgreSQL 14 and later).
//
// If the connection of a held lock ends, the context that Lock returned ends with it. An end that
// the server or the system announces (a restart, pg_terminate_backend, a reset connection) is
// noticed when it arrives, because the connection is read from all the time. A connection that is
// silently lost is noticed within 5 seconds: the server is asked every 2 seconds, and has 3
// seconds to answer. That is before PostgreSQL passes the lock on. Nothing stops a request that
// is under way at that time, and PostgreSQL does not know of it: a lock that is lost no longer
// protects it.
//
// The session also sets statement_timeout, lock_timeout, transaction_timeout and
// idle_session_timeout to 0: Lock waits as long as its context allows.
package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	defaultMaxConns       = 8
	defaultConnectTimeout = 5 * time.Second
	applicationName       = "zep-locker"
	keyPrefix             = "github.com/zep-go/zep/locker/postgres:"
)

// ErrClosed is the error of Lock after Close, and the cause of the end of locks that Close ended.
var ErrClosed = errors.New("postgres: the locker is closed")

// Locker takes locks that exclude each other in all processes that use the same database.
// It is safe for concurrent use. Its zero value is not usable; see New.
type Locker struct {
	pool *pgxpool.Pool
	keys keyQueue
	// slots bounds the connections of locks that are not nested. The pool has one more.
	slots chan struct{}

	checkInterval time.Duration // between two questions to the server while a lock is held
	checkTimeout  time.Duration // of an answer, and of giving a lock back

	closed context.Context // ends with Close
	close  context.CancelFunc

	mu      sync.Mutex     // orders running.Add before Close waits
	running sync.WaitGroup // Lock calls and held locks
}

// New returns a Locker that connects with connString, which has either form that libpq takes:
// "postgres://user:password@host/database" or "host=… dbname=…". What it leaves out is taken
// from the PG environment variables and the password file.
//
// The Locker makes 8 connections at most, or pool_max_conns of the connection string
// ("?pool_max_conns=16"), and one more for nested locks (see Lock). It needs one for each key
// that a goroutine holds or waits for; a second goroutine that waits for the same key in this
// process needs none. Lock waits for a free one.
//
// New checks connString and makes no connection.
func New(connString string) (*Locker, error) {
	config, err := pgxpool.ParseConfig(connString)
	if err != nil {
		return nil, errors.New("postgres: invalid connection string: " + parseReason(err))
	}
	if limited, err := limitsConns(connString); err == nil && !limited {
		config.MaxConns = defaultMaxConns
	}
	return NewWithConfig(config)
}

// NewWithConfig returns a Locker that connects as config says. It must be a result of
// pgxpool.ParseConfig, and is not changed. MinConns and MinIdleConns are ignored, for NewWithConfig
// makes no connection. One connection more than MaxConns is made for nested locks (see Lock).
func NewWithConfig(config *pgxpool.Config) (*Locker, error) {
	if config == nil || config.ConnConfig == nil {
		return nil, errors.New("postgres: config must be a result of pgxpool.ParseConfig")
	}
	if config.MaxConns < 1 {
		return nil, fmt.Errorf("postgres: MaxConns is %d, must be at least 1", config.MaxConns)
	}
	slots := make(chan struct{}, config.MaxConns)
	config = config.Copy()
	config.MaxConns++
	config.MinConns, config.MinIdleConns = 0, 0
	if config.ConnConfig.ConnectTimeout <= 0 {
		config.ConnConfig.ConnectTimeout = defaultConnectTimeout
	}
	if config.ConnConfig.RuntimeParams["application_name"] == "" {
		config.ConnConfig.RuntimeParams["application_name"] = applicationName
	}
	if config.ConnConfig.ValidateConnect == nil {
		config.ConnConfig.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsPrimary
	}
	afterConnect := config.AfterConnect
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		if afterConnect != nil {
			if err := afterConnect(ctx, conn); err != nil {
				return err
			}
		}
		return prepareSession(ctx, conn.PgConn())
	}
	// The context is that of connections made in advance, of which there are none.
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	l := &Locker{
		pool:          pool,
		slots:         slots,
		checkInterval: 2 * time.Second,
		checkTimeout:  3 * time.Second,
	}
	l.closed, l.close = context.WithCancel(context.Background())
	return l, nil
}

// Lock waits until no process holds the lock of key, and takes it. It returns an error if ctx
// ends before that, if the Locker is closed, or if the database cannot be reached.
//
// The context held has the values of ctx, but does not end with it. It ends when the lock is
// lost ([context.Cause] tells why), when the Locker is closed, or when unlock is called.
//
// A goroutine that takes a second lock while it holds one should pass the context held, or one
// with its values. Such a nested lock has a connection that the others do not use. So goroutines
// that have all of these do not wait for each other's. Nested locks of different keys wait for
// that connection.
//
// unlock gives the lock back; when it returns, another process can have the lock. It may be
// called more than once, and at any time: after ctx has ended, after the lock was lost, after
// Close. It returns within 3 seconds even if the server does not answer; the connection is
// closed then.
func (l *Locker) Lock(ctx context.Context, key string) (
	held context.Context, unlock func(), err error,
) {
	if !l.start() {
		return nil, nil, ErrClosed
	}
	nested := ctx.Value(lockerKey{}) == l
	conn, err := l.lock(ctx, key, nested)
	if err != nil {
		l.running.Done()
		return nil, nil, err
	}
	held, end := context.WithCancelCause(
		context.WithValue(context.WithoutCancel(ctx), lockerKey{}, l))
	stopping, stop := context.WithCancel(l.closed)
	released := make(chan struct{})
	go func() {
		defer l.running.Done()
		defer close(released)
		l.hold(stopping, end, conn, key, nested)
	}()
	var once sync.Once
	return held, func() {
		once.Do(func() {
			stop()
			<-released
			l.keys.release(key)
		})
	}, nil
}

// Close ends all locks and closes all connections. Calls of Lock that wait return ErrClosed, and
// the contexts of held locks end. Close waits until the connections are closed.
func (l *Locker) Close() {
	l.mu.Lock()
	l.close()
	l.mu.Unlock()
	l.running.Wait()
	l.pool.Close()
}

// lockerKey is the key of a held context's value: the Locker.
type lockerKey struct{}

// start counts a call of Lock that Close has to wait for. It returns false after Close.
func (l *Locker) start() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed.Err() != nil {
		return false
	}
	l.running.Add(1)
	return true
}

// lock returns a connection whose session holds the lock of key.
func (l *Locker) lock(ctx context.Context, key string, nested bool) (*pgxpool.Conn, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(l.closed, func() { cancel(ErrClosed) })()

	if err := l.keys.acquire(ctx, key); err != nil {
		return nil, lockError(ctx, key, "held in this process", err)
	}
	// A connection that broke while it was idle is found out here, and so is a server that ends
	// its sessions. Nothing was locked, so another connection is tried.
	for retries := cap(l.slots); ; retries-- {
		conn, err := l.acquire(ctx, nested)
		if err != nil {
			l.keys.release(key)
			return nil, lockError(ctx, key, "no connection", err)
		}
		// If ctx ends, the connection is closed and the server is told to end the query.
		class, id := advisoryKey(key)
		pg := conn.Conn().PgConn()
		_, err = exec(ctx, pg, "SELECT pg_catalog.pg_advisory_lock(%d, %d)", class, id)
		if err == nil {
			return conn, nil
		}
		broken := pg.IsClosed()
		l.release(conn, nested)
		if !broken || ctx.Err() != nil || retries == 0 {
			l.keys.release(key)
			return nil, lockError(ctx, key, "held elsewhere", err)
		}
	}
}

// hold keeps the lock of key until stopping ends or conn breaks. It calls end before it gives the
// lock and the connection back.
func (l *Locker) hold(
	stopping context.Context, end context.CancelCauseFunc,
	conn *pgxpool.Conn, key string, nested bool,
) {
	defer l.release(conn, nested)
	pg := conn.Conn().PgConn()
	if err := l.watch(stopping, pg); err != nil {
		end(oneLine(fmt.Sprintf("postgres: lost the lock of %q", key), err))
		return
	}
	if l.closed.Err() != nil {
		end(ErrClosed)
	}
	end(nil)
	ctx, cancel := context.WithTimeout(context.Background(), l.checkTimeout)
	defer cancel()
	class, id := advisoryKey(key)
	value, err := exec(ctx, pg, "SELECT pg_catalog.pg_advisory_unlock(%d, %d)", class, id)
	if err != nil || value != "t" {
		_ = pg.Close(ctx) // the lock goes with the session
	}
}

// acquire waits for a connection.
func (l *Locker) acquire(ctx context.Context, nested bool) (*pgxpool.Conn, error) {
	if !nested {
		select {
		case l.slots <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	conn, err := l.pool.Acquire(ctx)
	if err != nil {
		l.leaveSlot(nested)
	}
	return conn, err
}

func (l *Locker) leaveSlot(nested bool) {
	if !nested {
		<-l.slots
	}
}

// release gives a connection back to the pool, which forgets it if it is closed.
func (l *Locker) release(conn *pgxpool.Conn, nested bool) {
	pg := conn.Conn().PgConn()
	if !pg.IsClosed() {
		conn.Release()
		l.leaveSlot(nested)
		return
	}
	// The pool would start a goroutine that outlives Close. The connection is in use until the
	// server has been told to end its query.
	l.running.Add(1)
	go func() {
		defer l.running.Done()
		<-pg.CleanupDone()
		conn.Hijack()
		l.leaveSlot(nested)
	}()
}

// watch returns nil when stopping ends, and an error when the connection is lost.
func (l *Locker) watch(stopping context.Context, pg *pgconn.PgConn) error {
	for {
		if err := l.read(stopping, pg); err != nil {
			return err
		}
		if stopping.Err() != nil {
			return nil
		}
		ctx, cancel := context.WithTimeout(context.Background(), l.checkTimeout)
		err := pg.Ping(ctx)
		cancel()
		if err != nil {
			return err
		}
	}
}

// read reads from the connection until stopping ends or checkInterval is over. The server sends
// nothing unless it ends the session.
func (l *Locker) read(stopping context.Context, pg *pgconn.PgConn) error {
	ctx, cancel := context.WithTimeout(stopping, l.checkInterval)
	defer cancel()
	for {
		err := pg.WaitForNotification(ctx)
		if ctx.Err() != nil {
			return nil // a broken connection fails the next query, too
		}
		if err != nil {
			return err
		}
	}
}

// prepareSession makes the server notice within 20 seconds that this side is lost, and keeps it
// from ending a session that waits.
func prepareSession(ctx context.Context, pg *pgconn.PgConn) error {
	// Settings that this version of PostgreSQL does not have are left out.
	const set = `SELECT pg_catalog.set_config(s.name, s.value, false)
		FROM (VALUES %s) AS s(name, value)
		WHERE EXISTS (SELECT FROM pg_catalog.pg_settings AS p WHERE p.name = s.name)`
	_, err := exec(ctx, pg, set, `('statement_timeout', '0'), ('lock_timeout', '0'),
		('transaction_timeout', '0'), ('idle_session_timeout', '0'),
		('tcp_keepalives_idle', '5'), ('tcp_keepalives_interval', '5'),
		('tcp_keepalives_count', '3'), ('tcp_user_timeout', '20000')`)
	if err != nil {
		return err
	}
	// A server on a system without support for this one refuses it.
	_, err = exec(ctx, pg, set, `('client_connection_check_interval', '5000')`)
	if refusal := new(pgconn.PgError); errors.As(err, &refusal) {
		return nil
	}
	return err
}

// exec runs a query and returns the first value of its first row, as text.
func exec(ctx context.Context, pg *pgconn.PgConn, query string, args ...any) (string, error) {
	results, err := pg.Exec(ctx, fmt.Sprintf(query, args...)).ReadAll()
	if err != nil {
		return "", err
	}
	if len(results) == 0 || len(results[0].Rows) == 0 {
		return "", nil
	}
	return string(results[0].Rows[0][0]), nil
}

// advisoryKey returns the two arguments of the lock functions for key.
func advisoryKey(key string) (class, id int32) {
	sum := sha256.Sum256([]byte(keyPrefix + key))
	return int32(binary.BigEndian.Uint32(sum[:4])), int32(binary.BigEndian.Uint32(sum[4:8]))
}

// limitsConns reports whether connString sets pool_max_conns.
func limitsConns(connString string) (bool, error) {
	config, err := pgconn.ParseConfig(connString)
	if err != nil {
		return false, err
	}
	_, ok := config.RuntimeParams["pool_max_conns"]
	return ok, nil
}

// parseReason returns why pgx could not parse a connection string, without what could be a part of
// the password: pgx quotes the string, and what it takes for the port.
func parseReason(err error) string {
	text := err.Error()
	at := strings.LastIndex(text, "`: ")
	if at < 0 {
		return "cannot be parsed"
	}
	reason := text[at+len("`: "):]
	switch kind, _, _ := strings.Cut(reason, " ("); kind {
	case "failed to parse as URL", "invalid port":
		return kind + " (percent-encode special characters of the password)"
	}
	return reason
}

// lockError returns the error of a lock that was not taken. doing says what Lock was waiting for.
func lockError(ctx context.Context, key, doing string, err error) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if errors.Is(err, ErrClosed) {
		return ErrClosed
	}
	return oneLine(fmt.Sprintf("postgres: lock of %q: %s", key, doing), err)
}

// wrappedError is an error whose text has no line break.
type wrappedError struct {
	text string
	err  error
}

func (e *wrappedError) Error() string { return e.text }
func (e *wrappedError) Unwrap() error { return e.err }

// oneLine wraps err, whose text can have several lines: one for each address that was tried.
func oneLine(prefix string, err error) error {
	return &wrappedError{prefix + ": " + strings.Join(strings.Fields(err.Error()), " "), err}
}
