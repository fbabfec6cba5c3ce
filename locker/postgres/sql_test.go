//go:build unix

package postgres_test

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	sqlFile  = "../../docs/server-locks.sql"
	sqlGuide = "../../docs/server-locks.md"
)

// sqlPart returns the commands of a comment of the file, which begins with title.
func sqlPart(t *testing.T, title string) string {
	t.Helper()
	file, err := os.ReadFile(sqlFile)
	require.NoError(t, err)
	_, part, found := strings.Cut(string(file), "-- "+title)
	require.True(t, found, title)
	_, part, _ = strings.Cut(part, "\n--\n")
	part, _, _ = strings.Cut(part, "\n\n")
	return regexp.MustCompile(`(?m)^-- ?`).ReplaceAllString(part, "")
}

// guideParts returns the SQL of the guide.
func guideParts(t *testing.T) (parts []string) {
	t.Helper()
	guide, err := os.ReadFile(sqlGuide)
	require.NoError(t, err)
	sql := regexp.MustCompile("(?s)```sql\n(.*?)\n?```")
	for _, match := range sql.FindAllSubmatch(guide, -1) {
		parts = append(parts, string(match[1]))
	}
	return parts
}

// newDatabase makes a database, and the role that owns it. It returns a connection string of the
// role and one of the superuser.
func newDatabase(t *testing.T, name string) (owner, super string) {
	t.Helper()
	conn := superuser(t)
	execSQL(t, conn, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD 'secret'", name))
	execSQL(t, conn, fmt.Sprintf("CREATE DATABASE %s OWNER %s", name, name))
	return server.dsn(name, "secret", name), server.dsn("postgres", superuserPassword, name)
}

// held counts the advisory locks of a session.
func held(t *testing.T, conn *pgx.Conn) int {
	t.Helper()
	return query(t, conn, `SELECT count(*) FROM pg_locks
		WHERE locktype = 'advisory' AND pid = pg_backend_pid()`)
}

// callAsZep calls the functions as Zep does, and returns how many locks were held meanwhile.
func callAsZep(t *testing.T, conn *pgx.Conn) (locks int) {
	t.Helper()
	ctx := context.Background()
	_, err := conn.Exec(ctx, "SELECT pg_advisory_lock(9001)")
	require.NoError(t, err)
	var ok bool
	require.NoError(t, conn.QueryRow(ctx, "SELECT pg_try_advisory_lock(9002)").Scan(&ok))
	assert.True(t, ok)
	locks = held(t, conn)
	for _, key := range []int{9001, 9002} {
		unlock := fmt.Sprintf("SELECT pg_advisory_unlock(%d)", key)
		require.NoError(t, conn.QueryRow(ctx, unlock).Scan(&ok))
		assert.True(t, ok)
	}
	return locks
}

func TestServerLocksSQL(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		super bool
	}{
		{"zep_owner", false},
		{"zep_superuser", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dsn, super := newDatabase(t, test.name)
			if test.super {
				execSQL(t, superuser(t), "ALTER ROLE zep_superuser SUPERUSER")
			}
			script, err := os.ReadFile(sqlFile)
			require.NoError(t, err)

			before := connect(t, dsn)
			assert.Equal(t, 2, callAsZep(t, before))
			for range 2 { // it may be run again
				execSQL(t, connect(t, dsn), string(script))
			}
			assert.Equal(t, 2, callAsZep(t, before), "a session from before still takes locks")

			zep := connect(t, dsn)
			assert.Zero(t, callAsZep(t, zep))
			execSQL(t, zep, "CREATE TABLE made_later (id int)")
			assert.Equal(t, 1, query(t, zep, `SELECT count(*) FROM pg_tables
				WHERE schemaname = 'public' AND tablename = 'made_later'`))
			assert.Equal(t, 2, callAsZep(t, connect(t, super)), "another role")
			elsewhere := connect(t, strings.Replace(dsn, "/"+test.name+"?", "/postgres?", 1))
			assert.Equal(t, 2, callAsZep(t, elsewhere), "the role in another database")

			execSQL(t, connect(t, dsn), sqlPart(t, "Undo"))
			after := connect(t, dsn)
			assert.Equal(t, 2, callAsZep(t, after))
			assert.Zero(t, query(t, after, `SELECT count(*) FROM pg_proc p
				JOIN pg_namespace n ON n.oid = p.pronamespace
				WHERE n.nspname = 'public' AND p.proname LIKE '%advisory%'`))
			assert.Zero(t, query(t, after, `SELECT count(*) FROM pg_db_role_setting s
				JOIN pg_database d ON d.oid = s.setdatabase WHERE d.datname = current_database()`))
		})
	}
}

// The Locker takes real locks in a database and with a role that the SQL was applied to.
func TestLock_ServerLocksSQLApplied(t *testing.T) {
	t.Parallel()
	dsn, _ := newDatabase(t, "zep_locker")
	script, err := os.ReadFile(sqlFile)
	require.NoError(t, err)
	execSQL(t, connect(t, dsn), string(script))

	zep := connect(t, dsn)
	assert.Zero(t, callAsZep(t, zep))
	path, failed := newCounter(t), make(chan error, 2)
	for range 2 {
		locker := open(t, dsn)
		go func() { failed <- count(locker, t.Name(), path, 4, 20) }()
	}
	for range 2 {
		require.NoError(t, <-failed)
	}
	assert.Equal(t, "160", counter(t, path))
	lock(t, open(t, dsn), t.Name())
	assert.Equal(t, 1, query(t, zep, `SELECT count(*) FROM pg_locks
		WHERE locktype = 'advisory' AND granted AND objsubid = 2
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`))
}

// The query of the guide finds locks of Zep's kind that stay behind, and none of the Locker's.
// Ending the sessions frees them.
func TestServerLocksGuide_See(t *testing.T) {
	t.Parallel()
	dsn, _ := newDatabase(t, "zep_see")
	see := strings.TrimSuffix(guideParts(t)[0], ";")
	zep, watcher := connect(t, dsn), connect(t, dsn)
	lock(t, open(t, dsn), t.Name())
	keys := func() (keys []int64) {
		rows, _ := watcher.Query(context.Background(), "SELECT key FROM ("+see+") AS locks")
		keys, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		require.NoError(t, err)
		return keys
	}
	assert.Empty(t, keys())
	execSQL(t, zep, "SELECT pg_advisory_lock(-1234567890123456789), pg_advisory_lock(42)")
	assert.ElementsMatch(t, []int64{-1234567890123456789, 42}, keys())

	execSQL(t, watcher, "SELECT pg_terminate_backend(pid) FROM ("+see+") AS locks")
	requireEventually(t, 0, watcher, "SELECT count(*) FROM ("+see+") AS locks")
}

// In databases of PostgreSQL 14 and older everybody may create functions in public. The lines for
// them take that right from all but Zep's role.
func TestServerLocksSQL_Revoke(t *testing.T) {
	t.Parallel()
	dsn, super := newDatabase(t, "zep_old")
	execSQL(t, connect(t, super), `ALTER SCHEMA public OWNER TO postgres;
		GRANT CREATE ON SCHEMA public TO PUBLIC; CREATE ROLE zep_intruder LOGIN PASSWORD 'secret'`)
	script, err := os.ReadFile(sqlFile)
	require.NoError(t, err)
	execSQL(t, connect(t, dsn), string(script))
	intruder := connect(t, server.dsn("zep_intruder", "secret", "zep_old"))
	const create = "CREATE FUNCTION public.lower(text) RETURNS text LANGUAGE sql AS 'SELECT $1'"
	execSQL(t, intruder, create+"; DROP FUNCTION public.lower(text)")

	revoke := sqlPart(t, "PostgreSQL 14")
	require.Contains(t, revoke, "TO zep;")
	execSQL(t, connect(t, super), strings.Replace(revoke, "TO zep;", "TO zep_old;", 1))
	_, err = intruder.Exec(context.Background(), create)
	assert.ErrorContains(t, err, "permission denied for schema public")
	zep := connect(t, dsn)
	execSQL(t, zep, "CREATE TABLE made_later (id int)")
	assert.Zero(t, callAsZep(t, zep))
}

// The guide shows what the file has.
func TestServerLocksGuide_SameSQL(t *testing.T) {
	t.Parallel()
	parts := guideParts(t)
	require.Len(t, parts, 3)
	assert.Equal(t, sqlPart(t, "PostgreSQL 14"), parts[1]+"\n")
	assert.Equal(t, sqlPart(t, "Undo"), parts[2])
}
