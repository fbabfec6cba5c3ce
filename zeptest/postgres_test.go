//go:build unix

package zeptest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand"
	"net"
	"os"
	"os/exec"
	osuser "os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestJSONPath_AgainstPostgreSQL asks a real PostgreSQL what it makes of the paths of the other
// tests, and of random ones. It starts a server of its own on loopback, or uses the one that
// ZEP_TEST_POSTGRES names as psql takes it, such as "host=127.0.0.1 user=postgres".
func TestJSONPath_AgainstPostgreSQL(t *testing.T) {
	t.Parallel()
	db := newPostgres(t)

	t.Run("the cases of the other tests", func(t *testing.T) {
		t.Parallel()
		cases := jsonPathCases()
		for i, got := range db.exist(t, cases) {
			assert.Equal(t, strconv.FormatBool(cases[i].exists), got, cases[i])
		}
	})
	t.Run("paths that are refused", func(t *testing.T) {
		t.Parallel()
		const object = `{"a":"x","b":1}`
		unknown := asCases(unknownPaths(), object)
		for i, got := range db.exist(t, unknown) {
			assert.Contains(t, []string{"true", "false"}, got, unknown[i].path)
		}
		wrong := asCases(slices.Concat(wrongPaths(), endlessPaths()), object)
		for i, got := range db.exist(t, wrong) {
			assert.Len(t, got, len("42601"), wrong[i].path)
		}
	})
	t.Run("random paths", func(t *testing.T) {
		t.Parallel()
		db.compare(t, 4000, func(r *rand.Rand) jsonPathCase {
			return jsonPathCase{path: randomPath(r), object: randomObject(r, 3)}
		})
	})
	t.Run("random regular expressions", func(t *testing.T) {
		t.Parallel()
		db.compare(t, 4000, func(r *rand.Rand) jsonPathCase {
			flag := []string{"", ` flag "i"`}[r.Intn(2)]
			pattern, _ := json.Marshal(randomPattern(r, 2))
			text, _ := json.Marshal(randomText(r))
			return jsonPathCase{
				path:   fmt.Sprintf(`$ ? (@.a like_regex %s%s)`, pattern, flag),
				object: fmt.Sprintf(`{"a":%s}`, text),
			}
		})
	})
}

func asCases(paths []string, object string) []jsonPathCase {
	cases := make([]jsonPathCase, len(paths))
	for i, path := range paths {
		cases[i] = jsonPathCase{path: path, object: object}
	}
	return cases
}

// postgres is a running PostgreSQL.
type postgres struct{ psql, conninfo string }

// compare compares n random cases. Most of them must be evaluated.
func (db postgres) compare(t *testing.T, n int, random func(*rand.Rand) jsonPathCase) {
	r := rand.New(rand.NewSource(1))
	var cases []jsonPathCase
	for range n {
		test := random(r)
		path, err := parseJSONPath(test.path)
		if err != nil {
			continue
		}
		test.exists = path.exists(storedObject(t, test.object))
		cases = append(cases, test)
	}
	require.Greater(t, len(cases), n/2)
	found := 0
	for i, got := range db.exist(t, cases) {
		assert.Equal(t, strconv.FormatBool(cases[i].exists), got, cases[i])
		if cases[i].exists {
			found++
		}
	}
	t.Logf("%d of %d paths evaluated, %d of them found something", len(cases), n, found)
	assert.Greater(t, found, len(cases)/10)
	assert.Less(t, found, len(cases)*9/10)
}

// exist asks for each case whether the path finds anything: "true", "false", or the code of an
// error.
func (db postgres) exist(t *testing.T, cases []jsonPathCase) []string {
	t.Helper()
	var script bytes.Buffer
	script.WriteString(`
CREATE FUNCTION pg_temp.found(p text, o text) RETURNS text LANGUAGE plpgsql AS $fn$
BEGIN RETURN jsonb_path_exists(o::jsonb, p::jsonpath)::text;
EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE; END $fn$;
`)
	for _, test := range cases {
		fmt.Fprintf(&script, "SELECT pg_temp.found($q$%s$q$, $q$%s$q$);\n", test.path, test.object)
	}
	psql := exec.Command(db.psql, "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-d",
		db.conninfo)
	psql.Env = append(os.Environ(), "PGCLIENTENCODING=UTF8")
	psql.Stdin = &script
	output, err := psql.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		require.NoError(t, err, string(failed.Stderr))
	}
	require.NoError(t, err)
	results := strings.Split(strings.TrimSpace(string(output)), "\n")
	require.Len(t, results, len(cases))
	return results
}

func newPostgres(t *testing.T) postgres {
	t.Helper()
	db := postgres{psql: postgresProgram("psql"), conninfo: os.Getenv("ZEP_TEST_POSTGRES")}
	initdb, control := postgresProgram("initdb"), postgresProgram("pg_ctl")
	if db.psql == "" || db.conninfo == "" && (initdb == "" || control == "") {
		t.Skip("NOT COMPARED: there is no PostgreSQL here (psql, initdb and pg_ctl)")
	}
	if db.conninfo != "" {
		return db
	}
	owner := postgresOwner(t)
	dir, err := os.MkdirTemp("", "zeptest-postgres-")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(dir)) })
	if owner != nil {
		require.NoError(t, os.Chown(dir, int(owner.Uid), int(owner.Gid)))
	}
	run := func(name string, args ...string) error {
		command := exec.Command(name, args...)
		command.Dir = dir
		command.SysProcAttr = &syscall.SysProcAttr{Credential: owner}
		output, err := command.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s: %w: %s", command, err, output)
		}
		return nil
	}
	data, log := filepath.Join(dir, "data"), filepath.Join(dir, "log")
	port := strconv.Itoa(freePort(t))
	require.NoError(t, run(initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
		"--locale=C.UTF-8", "--no-sync"))
	require.NoError(t, run(control, "-D", data, "-l", log, "-w", "start", "-o",
		"-p "+port+" -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"))
	t.Cleanup(func() { assert.NoError(t, run(control, "-D", data, "-m", "immediate", "stop")) })
	db.conninfo = "host=127.0.0.1 user=postgres dbname=postgres port=" + port
	return db
}

// postgresProgram finds a program of PostgreSQL, or returns "".
func postgresProgram(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	installed, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(installed) == 0 {
		return ""
	}
	return installed[len(installed)-1]
}

// postgresOwner is who runs the server, if that is not this process: initdb refuses root.
func postgresOwner(t *testing.T) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	owner, err := osuser.Lookup("postgres")
	if err != nil {
		t.Skip("NOT COMPARED: PostgreSQL refuses root, and there is no user postgres")
	}
	uid, err := strconv.Atoi(owner.Uid)
	require.NoError(t, err)
	gid, err := strconv.Atoi(owner.Gid)
	require.NoError(t, err)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

func pick[T any](r *rand.Rand, choices ...T) T { return choices[r.Intn(len(choices))] }

// randomPath is a path with conditions over the keys a to c.
func randomPath(r *rand.Rand) string {
	path := "$" + randomSteps(r, 2)
	for range r.Intn(3) {
		path += " ? (" + randomCondition(r, 2) + ")" + randomSteps(r, 1)
	}
	if r.Intn(8) == 0 {
		return "$ ? (" + randomCondition(r, 1) + ")"
	}
	return path
}

func randomSteps(r *rand.Rand, most int) string {
	var steps string
	for range r.Intn(most + 1) {
		steps += pick(r, ".a", ".b", ".c", ".*", ".**", "[*]", "[0]", "[1]", "[last]", "[0, last]",
			"[1 to last]", "[0 to 1]", ".size()", ".type()")
	}
	return steps
}

func randomOperand(r *rand.Rand) string {
	switch r.Intn(3) {
	case 0:
		return pick(r, "1", "2", "-1.5", "0", `"x"`, `"xy"`, `""`, "null", "true", "false", "1e2",
			`"array"`, `"number"`)
	case 1:
		return "$" + randomSteps(r, 2)
	}
	return "@" + randomSteps(r, 2)
}

func randomCondition(r *rand.Rand, depth int) string {
	if depth > 0 && r.Intn(2) == 0 {
		left := "(" + randomCondition(r, depth-1) + ")"
		switch r.Intn(4) {
		case 0:
			return "!" + left
		case 1:
			return left + " is unknown"
		}
		return left + pick(r, " && ", " || ") + "(" + randomCondition(r, depth-1) + ")"
	}
	switch r.Intn(5) {
	case 0:
		return "exists(@" + randomSteps(r, 2) + ")"
	case 1:
		return randomOperand(r) + ` starts with "x"`
	case 2:
		return randomOperand(r) + ` like_regex "^x.?$"`
	}
	operator := pick(r, " == ", " != ", " <> ", " < ", " <= ", " > ", " >= ")
	return randomOperand(r) + operator + randomOperand(r)
}

func randomObject(r *rand.Rand, depth int) string {
	object := "{"
	for _, key := range []string{"a", "b", "c"} {
		if r.Intn(4) > 0 {
			object += fmt.Sprintf(`%q:%s,`, key, randomValue(r, depth-1))
		}
	}
	return strings.TrimSuffix(object, ",") + "}"
}

func randomValue(r *rand.Rand, depth int) string {
	switch kind := r.Intn(4); {
	case depth > 0 && kind == 0:
		var elements []string
		for range r.Intn(4) {
			elements = append(elements, randomValue(r, depth-1))
		}
		return "[" + strings.Join(elements, ",") + "]"
	case depth > 0 && kind == 1:
		return randomObject(r, depth)
	}
	return pick(r, "1", "2", "-1.5", "0", "100", `"x"`, `"xy"`, `""`, "null", "true", "false")
}

func randomPattern(r *rand.Rand, depth int) string {
	pattern := pick(r, "", "", "^")
	for range 1 + r.Intn(4) {
		atom := pick(r, "a", "B", "k", "S", "1", ".", `\.`, `\d`, "[a-k]", "[^ab]", "[A-Z0-9]",
			"[^0-9]",
			"[k_.-]", "é", "日", " ", "[a-]", `\\`, "[^k-s]", "[.]")
		if depth > 0 && r.Intn(4) == 0 {
			atom = "(" + strings.Trim(randomPattern(r, depth-1), "^$") + ")"
		}
		pattern += atom + pick(r, "", "", "", "*", "+", "?", "{2}", "{1,}", "{0,2}")
	}
	if r.Intn(5) == 0 {
		pattern += "|" + strings.Trim(randomPattern(r, 0), "^$")
	}
	return pattern + pick(r, "", "", "$")
}

func randomText(r *rand.Rand) string {
	var text string
	for range r.Intn(7) {
		text += pick(r, "a", "A", "b", "B", "k", "K", "s", "S", "1", "9", ".", "-", "_", " ", "\n",
			"é", "É",
			"日", "\u212a", "\u017f", "\u0663", `\`)
	}
	return text
}
