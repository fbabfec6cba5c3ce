package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/zeptest"
)

func TestMain(m *testing.M) {
	os.Unsetenv("ZEP_API_URL") // the tests use the server in this process
	goleak.VerifyTestMain(m)
}

// cells returns the shipped rows as encoding/csv reads them, without the header.
func cells(t *testing.T) [][]string {
	t.Helper()
	rows, err := csv.NewReader(bytes.NewReader(shipped)).ReadAll()
	require.NoError(t, err)
	return rows[1:]
}

// firstUsers returns a file of the first 200 shipped users.
func firstUsers(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "few.csv")
	lines := bytes.SplitAfterN(shipped, []byte("\n"), 202)
	require.NoError(t, os.WriteFile(file, bytes.Join(lines[:201], nil), 0o600))
	return file
}

func newClient(t *testing.T) (*zep.Client, *zeptest.Server) {
	t.Helper()
	server := zeptest.NewServer()
	t.Cleanup(server.Close)
	client, err := server.Client(zep.WithBackoff(0, 0))
	require.NoError(t, err)
	return client, server
}

func TestRun(t *testing.T) {
	t.Parallel()
	rows := cells(t)
	require.GreaterOrEqual(t, len(rows), 1000)
	var out bytes.Buffer
	require.NoError(t, run(context.Background(), &out, settings{chunk: 100}))
	got := out.String()
	assert.Contains(t, got,
		fmt.Sprintf("Imported %d rows: %[1]d users added, 0 updated, 0 refused.\n", len(rows)))
	assert.Contains(t, got,
		fmt.Sprintf("Walked %d users in %d chunks of at most 100: %[1]d of the file.\n",
			len(rows), (len(rows)+99)/100))

	// Count the table from the file.
	count := map[string]int{}
	for _, row := range rows {
		plan, country := row[4], row[5]
		for _, key := range []string{country + plan, country, plan, ""} {
			count[key]++
		}
	}
	countries := strings.Fields("BR DE EG FR GB GR IN JP KR NO PL TR US VN")
	for _, country := range append(countries, "") {
		assert.Regexp(t, fmt.Sprintf(`(?m)^ *%s +%d +%d +%d +%d$`,
			cmp.Or(country, "all"), count[country+"free"], count[country+"pro"],
			count[country+"team"], count[country]), got)
	}
}

// TestImport_EveryCell compares the users on the server with the file, in all its alphabets.
func TestImport_EveryCell(t *testing.T) {
	t.Parallel()
	client, _ := newClient(t)
	require.NoError(t, job(context.Background(), io.Discard, client, settings{chunk: 500}))
	users := map[string]*zep.User{}
	for user, err := range client.User.All(context.Background()) {
		require.NoError(t, err)
		users[user.UserID] = user
	}
	rows := cells(t)
	require.Len(t, users, len(rows))
	for _, row := range rows {
		user := users[row[0]]
		require.NotNil(t, user, row[0])
		metadata := zep.Metadata{"plan": row[4], "country": row[5], "signed_up": row[6]}
		if row[7] != "" {
			metadata["company"] = row[7]
		}
		assert.Equal(t, row[1:4], []string{user.Email, user.FirstName, user.LastName})
		assert.Equal(t, metadata, user.Metadata)
	}
}

// TestJob_OtherUsers imports three times into a server with other users, some of them deleted.
func TestJob_OtherUsers(t *testing.T) {
	t.Parallel()
	client, server := newClient(t)
	const rows = 200
	file := firstUsers(t)
	require.NoError(t, server.SeedUsers(300, func(i int) zep.CreateUserRequest {
		return zep.CreateUserRequest{UserID: fmt.Sprint("stranger ", i)}
	}))
	for i := range 250 {
		require.NoError(t, client.User.Delete(context.Background(), fmt.Sprint("stranger ", i)))
	}
	for _, test := range []struct {
		delete         bool
		added, updated int
	}{
		{added: rows},
		{updated: rows},
		{updated: rows, delete: true}, // this run added no user
	} {
		var out bytes.Buffer
		s := settings{file: file, chunk: 64, delete: test.delete}
		require.NoError(t, job(context.Background(), &out, client, s))
		assert.Contains(t, out.String(),
			fmt.Sprintf("%d users added, %d updated, 0 refused.", test.added, test.updated))
		assert.Contains(t, out.String(), fmt.Sprintf("Walked %d users in", rows+50))
		assert.Len(t, list(t, client), rows+50)
	}
}

func TestJob_Delete(t *testing.T) {
	t.Parallel()
	client, _ := newClient(t)
	_, err := client.User.Add(context.Background(), &zep.CreateUserRequest{UserID: cells(t)[0][0]})
	require.NoError(t, err)
	var out bytes.Buffer
	s := settings{file: firstUsers(t), chunk: 1000, delete: true}
	require.NoError(t, job(context.Background(), &out, client, s))
	assert.Contains(t, out.String(), "1 updated")
	assert.Len(t, list(t, client), 1)
}

func TestJob_Files(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, file, want string }{
		{
			"refused row", "user_id,plan\na/b,free\njane,pro\n",
			"1 users added, 0 updated, 1 refused.\n  line 2: zep: invalid id",
		},
		{"no other column", "user_id\njane\n", "1 users added"},
		{"quoted cells", "user_id,note\n\"a, b\",\"x\ny\"\n", "1 users added"},
		{"no users", "user_id\n", "Imported 0 rows"},
		{"empty", "", "the header line"},
		{"no user_id", "name\njane\n", `has no user_id`},
		{"repeated id", "user_id\njane\njoe\njane\n", `line 4: user_id "jane" is in line 2 too`},
		{"short row", "user_id,plan\njane\n", "wrong number of fields"},
		{"byte order mark", "\ufeffuser_id,plan\njane,pro\n", "1 users added"},
		{"byte order mark, quoted", "\ufeff\"user_id\",plan\njane,pro\n", "1 users added"},
		{"Latin-1 name", "user_id,name\njoe,x\njane,Zo\xeb\n", "line 3: not UTF-8"},
		{"Latin-1 header", "user_id,pr\xe9nom\n", "line 1: not UTF-8"},
		{"Latin-1 in a long cell", "user_id,note\njane,\"one\ntwo\n\xeb\"\n", "line 4: not UTF-8"},
		{"UTF-16", "\xff\xfeu\x00s\x00e\x00r\x00", "line 1: not UTF-8"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			client, _ := newClient(t)
			file := filepath.Join(t.TempDir(), "users.csv")
			require.NoError(t, os.WriteFile(file, []byte(test.file), 0o600))
			var out bytes.Buffer
			err := job(context.Background(), &out, client, settings{file: file, chunk: 10})
			if err != nil {
				fmt.Fprint(&out, err)
			}
			assert.Contains(t, out.String(), test.want)
		})
	}
	client, _ := newClient(t)
	err := job(context.Background(), io.Discard, client, settings{file: "nowhere.csv", chunk: 10})
	assert.ErrorIs(t, err, os.ErrNotExist)
	err = job(context.Background(), io.Discard, client, settings{})
	assert.ErrorContains(t, err, "-chunk is 0, must be at least 1")
}

// TestImport_ServerDown checks that the import does not try every row on a server that fails.
func TestImport_ServerDown(t *testing.T) {
	t.Parallel()
	client, server := newClient(t)
	server.Inject(zeptest.Fault{Method: "POST", Status: 500, Times: -1})
	var out bytes.Buffer
	err := job(context.Background(), &out, client, settings{chunk: 100})
	require.ErrorIs(t, err, zep.ErrServer)
	assert.True(t, strings.HasPrefix(err.Error(), "line "), err)
	assert.Contains(t, out.String(), "0 users added")
	assert.Less(t, server.Requests(), 10*importers)
}

func list(t *testing.T, client *zep.Client) []*zep.User {
	t.Helper()
	users, err := client.User.List(context.Background(), nil)
	require.NoError(t, err)
	return users
}
