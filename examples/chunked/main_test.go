package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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

// chunksOf returns the settings of most tests.
func chunksOf(users int) settings {
	return settings{chunk: users, workers: 16, progress: io.Discard}
}

// try runs the job, and returns its output and progress.
func try(t *testing.T, client *zep.Client, s settings) (out, progress string, err error) {
	t.Helper()
	var w, p bytes.Buffer
	s.progress = &p
	err = job(context.Background(), &w, client, s)
	return w.String(), p.String(), err
}

func TestRun(t *testing.T) {
	t.Parallel()
	rows := cells(t)
	require.GreaterOrEqual(t, len(rows), 1000)
	var out bytes.Buffer
	require.NoError(t, run(context.Background(), &out, chunksOf(100)))
	got := out.String()
	assert.Contains(t, got, fmt.Sprintf(
		"Imported %d rows: %[1]d users added, 0 updated, 0 unchanged, 0 refused.\n", len(rows)))
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
	require.NoError(t, job(context.Background(), io.Discard, client, chunksOf(500)))
	requireEveryCell(t, client)
}

func requireEveryCell(t *testing.T, client *zep.Client) {
	t.Helper()
	users := map[string]*zep.User{}
	for user, err := range client.User.All(context.Background()) {
		require.NoError(t, err)
		require.Nil(t, users[user.UserID], "twice: %s", user.UserID)
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

// TestJob_OtherUsers imports into a server with other users, some of them deleted.
func TestJob_OtherUsers(t *testing.T) {
	t.Parallel()
	client, server := newClient(t)
	const rows = 200
	require.NoError(t, server.SeedUsers(300, func(i int) zep.CreateUserRequest {
		return zep.CreateUserRequest{UserID: fmt.Sprint("stranger ", i)}
	}))
	for i := range 250 {
		require.NoError(t, client.User.Delete(context.Background(), fmt.Sprint("stranger ", i)))
	}
	s := chunksOf(64)
	s.file = firstUsers(t)
	changed := s
	changed.file = filepath.Join(t.TempDir(), "changed.csv")
	text, err := os.ReadFile(s.file)
	require.NoError(t, err)
	text = bytes.ReplaceAll(text, []byte(",free,"), []byte(",trial,"))
	free := bytes.Count(text, []byte(",trial,"))
	require.NoError(t, os.WriteFile(changed.file, text, 0o600))
	noneAdded := s
	noneAdded.delete = true
	for _, test := range []struct {
		settings
		found, added, updated int
	}{
		{settings: s, added: rows},
		{settings: s, found: rows},
		{settings: changed, found: rows - free, updated: free},
		{settings: changed, found: rows},
		{settings: noneAdded, found: rows - free, updated: free},
	} {
		out, _, err := try(t, client, test.settings)
		require.NoError(t, err)
		assert.Contains(t, out, fmt.Sprintf("server: %d of 200 rows need no import.", test.found))
		assert.Contains(t, out, fmt.Sprintf("%d users added, %d updated, %d unchanged, 0 refused.",
			test.added, test.updated, test.found))
		assert.Contains(t, out, fmt.Sprintf("Walked %d users in", rows+50))
		assert.Len(t, list(t, client), rows+50)
	}
}

// TestJob_Unchanged looks at what counts as a row that the server has.
func TestJob_Unchanged(t *testing.T) {
	t.Parallel()
	row := "jane,jane@example.com,Jane,,pro,2\n"
	same := zep.CreateUserRequest{
		UserID:    "jane",
		Email:     "jane@example.com",
		FirstName: "Jane",
		LastName:  "Doe", // which the row does not have
		Metadata:  zep.Metadata{"plan": "pro", "cats": "2", "dogs": "1"},
	}
	for name, test := range map[string]struct {
		change func(*zep.CreateUserRequest)
		found  int
	}{
		"same":          {func(*zep.CreateUserRequest) {}, 1},
		"email":         {func(user *zep.CreateUserRequest) { user.Email = "other" }, 0},
		"first name":    {func(user *zep.CreateUserRequest) { user.FirstName = "" }, 0},
		"no metadata":   {func(user *zep.CreateUserRequest) { user.Metadata = nil }, 0},
		"plan":          {func(user *zep.CreateUserRequest) { user.Metadata["plan"] = "free" }, 0},
		"another type":  {func(user *zep.CreateUserRequest) { user.Metadata["cats"] = 2 }, 0},
		"missing":       {func(user *zep.CreateUserRequest) { delete(user.Metadata, "plan") }, 0},
		"another user":  {func(user *zep.CreateUserRequest) { user.UserID = "joe" }, 0},
		"more metadata": {func(user *zep.CreateUserRequest) { user.Metadata["fish"] = "3" }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, _ := newClient(t)
			user := same
			user.Metadata = maps.Clone(same.Metadata)
			test.change(&user)
			_, err := client.User.Add(context.Background(), &user)
			require.NoError(t, err)
			s := chunksOf(10)
			s.file = filepath.Join(t.TempDir(), "users.csv")
			text := "user_id,email,first_name,last_name,plan,cats\n" + row
			require.NoError(t, os.WriteFile(s.file, []byte(text), 0o600))
			out, _, err := try(t, client, s)
			require.NoError(t, err)
			assert.Contains(t, out, fmt.Sprintf("server: %d of 1 rows need no import.", test.found))
			out, _, err = try(t, client, s)
			require.NoError(t, err)
			assert.Contains(t, out, "1 of 1 rows need no import.", "after the import")
		})
	}
}

// TestJob_After checks that walks begin after the ID, and that updated users before it are not
// missed.
func TestJob_After(t *testing.T) {
	t.Parallel()
	client, server := newClient(t)
	require.NoError(t, server.SeedUsers(300, func(i int) zep.CreateUserRequest {
		return zep.CreateUserRequest{UserID: fmt.Sprint("stranger ", i)}
	}))
	_, err := client.User.Add(context.Background(), &zep.CreateUserRequest{UserID: cells(t)[7][0]})
	require.NoError(t, err)
	s := chunksOf(100)
	s.file, s.after = firstUsers(t), 301
	for _, want := range []string{
		"Found 0 users on the server: 0 of 200 rows need no import.\n" +
			"If this run is killed, -after 301 continues it.\n" +
			"Imported 200 rows: 199 users added, 1 updated, 0 unchanged, 0 refused.\n",
		"Found 199 users on the server: 199 of 200 rows need no import.\n" +
			"If this run is killed, -after 301 continues it.\n" +
			"Imported 200 rows: 0 users added, 1 updated, 199 unchanged, 0 refused.\n",
	} {
		out, _, err := try(t, client, s)
		require.NoError(t, err)
		assert.True(t, strings.HasPrefix(out, want), out)
		assert.Contains(t, out, "Walked 199 users in 2 chunks of at most 100: 199 of the file.\n")
	}

	s.after = 0
	out, _, err := try(t, client, s)
	require.NoError(t, err)
	assert.Contains(t, out, "500 users on the server: 200 of 200 rows need no import.\n"+
		"If this run is killed, -after 300 continues it.\n", "the updated user comes after 300")

	s.after = -1
	_, _, err = try(t, client, s)
	require.ErrorIs(t, err, zep.ErrBadRequest)
}

// TestJob_Walk walks in two parts: the second begins where the progress of the first ends.
func TestJob_Walk(t *testing.T) {
	t.Parallel()
	client, server := newClient(t)
	require.NoError(t, job(context.Background(), io.Discard, client, chunksOf(100)))
	s := chunksOf(100)
	s.walk = true
	requests := server.Requests()
	out, progress, err := try(t, client, s)
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(out, "Walked 1235 users in 13 chunks"), out)
	assert.Equal(t, "walking: 500 users, up to id 500\nwalking: 1000 users, up to id 1000\n",
		progress)
	assert.Equal(t, 14, server.Requests()-requests, "13 chunks and an empty one")
	s.after = 1000
	out, _, err = try(t, client, s)
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(out, "Walked 235 users in 3 chunks"), out)
}

func TestJob_Delete(t *testing.T) {
	t.Parallel()
	client, _ := newClient(t)
	_, err := client.User.Add(context.Background(), &zep.CreateUserRequest{UserID: cells(t)[0][0]})
	require.NoError(t, err)
	s := chunksOf(1000)
	s.file, s.delete = firstUsers(t), true
	out, _, err := try(t, client, s)
	require.NoError(t, err)
	assert.Contains(t, out, "1 updated")
	assert.Len(t, list(t, client), 1)
}

func TestJob_Files(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, file, want string }{
		{
			"refused row", "user_id,plan\na/b,free\njane,pro\n",
			"1 users added, 0 updated, 0 unchanged, 1 refused.\n  line 2: zep: invalid id",
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
			s := chunksOf(10)
			s.file = filepath.Join(t.TempDir(), "users.csv")
			require.NoError(t, os.WriteFile(s.file, []byte(test.file), 0o600))
			out, _, err := try(t, client, s)
			if err != nil {
				out += err.Error()
			}
			assert.Contains(t, out, test.want)
		})
	}
	client, _ := newClient(t)
	s := chunksOf(10)
	s.file = "nowhere.csv"
	_, _, err := try(t, client, s)
	assert.ErrorIs(t, err, os.ErrNotExist)
	_, _, err = try(t, client, chunksOf(0))
	assert.ErrorContains(t, err, "-chunk is 0, must be at least 1")
	s.workers = 0
	_, _, err = try(t, client, s)
	assert.ErrorContains(t, err, "-workers is 0, must be at least 1")
}

// TestImport_ServerDown checks that the import does not try every row on a server that fails.
func TestImport_ServerDown(t *testing.T) {
	t.Parallel()
	client, server := newClient(t)
	server.Inject(zeptest.Fault{Method: "POST", Status: 500, Times: -1})
	s := chunksOf(100)
	out, _, err := try(t, client, s)
	require.ErrorIs(t, err, zep.ErrServer)
	assert.True(t, strings.HasPrefix(err.Error(), "line "), err)
	assert.Contains(t, out, "0 users added")
	assert.Less(t, server.Requests(), 10*s.workers)
}

// TestImport_LostResponses checks that a user whose add was not answered is added once.
func TestImport_LostResponses(t *testing.T) {
	t.Parallel()
	_, server := newClient(t)
	client, err := server.Client(zep.WithBackoff(0, 0), zep.WithMaxAttempts(101))
	require.NoError(t, err)
	server.Inject(
		zeptest.Fault{Method: "POST", Cut: true, Apply: true, Times: 50},
		zeptest.Fault{Method: "POST", Cut: true, Times: 50},
	)
	s := chunksOf(100)
	s.file = firstUsers(t)
	out, _, err := try(t, client, s)
	require.NoError(t, err)
	assert.Contains(t, out, "200 users added, 0 updated, 0 unchanged, 0 refused.")
	assert.Len(t, list(t, client), 200)
}

func list(t *testing.T, client *zep.Client) []*zep.User {
	t.Helper()
	users, err := client.User.List(context.Background(), nil)
	require.NoError(t, err)
	return users
}

// TestREADME runs what the README shows.
func TestREADME(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, shown, found := strings.Cut(string(text), "with the program -->\n```\n$ chunked\n")
	require.True(t, found)
	shown, _, _ = strings.Cut(shown, "```")
	first, second, found := strings.Cut(shown, "Killed\n$ chunked -after 1000\n")
	require.True(t, found)

	client, server := newClient(t)
	require.NoError(t, server.SeedUsers(1000, func(i int) zep.CreateUserRequest {
		return zep.CreateUserRequest{UserID: fmt.Sprint("stranger ", i)}
	}))
	server.Inject(
		zeptest.Fault{Method: "POST", Times: 400, Delay: time.Nanosecond},
		zeptest.Fault{Method: "POST", Times: 16, Delay: time.Hour},
	)
	var out bytes.Buffer
	s := chunksOf(100)
	s.progress = &out
	ctx, kill := context.WithCancel(context.Background())
	defer kill()
	ended := make(chan error, 1)
	go func() { ended <- job(ctx, &out, client, s) }()
	const walk = 1000/100 + 1
	require.Eventually(t, func() bool { return server.Requests() == walk+400+16 },
		time.Minute, time.Millisecond)
	kill()
	require.ErrorIs(t, <-ended, context.Canceled)
	assert.True(t, strings.HasPrefix(out.String(), first), out.String())

	out.Reset()
	s.after = 1000
	require.NoError(t, job(context.Background(), &out, client, s))
	assert.Equal(t, second, out.String())
}
