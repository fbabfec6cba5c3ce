package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
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

const (
	found = `3 users have the tenant "acme" in their metadata.
  ann      2 sessions, 4 messages
  carol    1 sessions, 2 messages
  dave     0 sessions, 0 messages
`
	erased = found + `Deleted 3 users.
Verified: 3 users, 3 sessions and 6 messages are gone.
`
)

var (
	ctx  = context.Background()
	acme = settings{key: "tenant", value: "acme", yes: true}
)

func newServer(t *testing.T) (*zeptest.Server, *zep.Client) {
	t.Helper()
	server := zeptest.NewServer()
	t.Cleanup(server.Close)
	client, err := server.Client(zep.WithBackoff(0, 0))
	require.NoError(t, err)
	require.NoError(t, seed(ctx, client))
	return server, client
}

// state returns the ids of all users and of all sessions.
func state(t *testing.T, client *zep.Client) (users, sessions []string) {
	t.Helper()
	for user, err := range client.User.All(ctx) {
		require.NoError(t, err)
		users = append(users, user.UserID)
	}
	for session, err := range client.Session.All(ctx) {
		require.NoError(t, err)
		sessions = append(sessions, session.SessionID)
	}
	return users, sessions
}

func TestRun(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, run(ctx, &out, settings{key: "tenant", value: "acme"}))
	assert.Equal(t, erased, out.String())
}

func TestRun_ServerInEnvironment(t *testing.T) { // t.Setenv excludes t.Parallel
	server, client := newServer(t)
	t.Setenv("ZEP_API_URL", server.URL)
	t.Setenv("ZEP_API_KEY", "")
	users, sessions := state(t, client)

	s := acme
	s.yes = false
	s.record = filepath.Join(t.TempDir(), "acme.json")
	var out bytes.Buffer
	require.NoError(t, run(ctx, &out, s))
	const hint = "Nothing is deleted. Run the program with -yes to delete them.\n"
	assert.Equal(t, found+hint, out.String())
	usersNow, sessionsNow := state(t, client)
	assert.Equal(t, users, usersNow)
	assert.Equal(t, sessions, sessionsNow)
	assert.NoFileExists(t, s.record)

	out.Reset()
	s.yes = true
	require.NoError(t, run(ctx, &out, s))
	assert.Equal(t, erased, out.String())

	out.Reset()
	require.NoError(t, run(ctx, &out, settings{verify: s.record}))
	assert.Equal(t, "Verified: 3 users, 3 sessions and 6 messages are gone.\n", out.String())

	require.ErrorIs(t, run(ctx, io.Discard, settings{verify: s.record + "x"}), os.ErrNotExist)
}

func TestJob_KeepsOthers(t *testing.T) {
	t.Parallel()
	_, client := newServer(t)
	require.NoError(t, job(ctx, io.Discard, client, acme))
	users, sessions := state(t, client)
	assert.Equal(t, []string{"bob", "eve"}, users)
	assert.Equal(t, []string{"bob-1", "eve-1", "eve-2"}, sessions)

	var out bytes.Buffer
	require.NoError(t, job(ctx, &out, client, acme))
	assert.Equal(t, "0 users have the tenant \"acme\" in their metadata.\n", out.String())
}

// TestJob_LostResponse deletes over a network that loses a response.
func TestJob_LostResponse(t *testing.T) {
	t.Parallel()
	server, client := newServer(t)
	server.Inject(zeptest.Fault{Method: "DELETE", Cut: true, Apply: true})
	var out bytes.Buffer
	require.NoError(t, job(ctx, &out, client, acme))
	assert.Equal(t, erased, out.String())
}

// TestJob_FailedDelete checks that the others are deleted if one delete fails.
func TestJob_FailedDelete(t *testing.T) {
	t.Parallel()
	server, client := newServer(t)
	server.Inject(zeptest.Fault{Method: "DELETE", Status: 500, Body: "disk full\n"})
	var out bytes.Buffer
	err := job(ctx, &out, client, acme)
	require.ErrorIs(t, err, zep.ErrServer)
	for _, want := range []string{
		"disk full", `user "ann" is still there`, `session "ann-1" of user "ann" is still there`,
	} {
		assert.ErrorContains(t, err, want)
	}
	assert.Equal(t, found, out.String())
	users, _ := state(t, client)
	assert.Equal(t, []string{"ann", "bob", "eve"}, users)
}

// TestJob_LyingServer checks that a delete that the server only confirms is found out, although
// the user's list of sessions is empty.
func TestJob_LyingServer(t *testing.T) {
	t.Parallel()
	server, client := newServer(t)
	notFound := func(route string, n int) zeptest.Fault {
		return zeptest.Fault{
			Method: "GET", Route: route, Status: 404, Body: "not found\n", Times: n,
		}
	}
	server.Inject(
		zeptest.Fault{Method: "DELETE", Status: 200, Body: "OK", Times: 3},
		notFound("/user/{userId}", 3),
		notFound("/sessions/{sessionId}", 1),
	)
	err := job(ctx, io.Discard, client, acme)
	require.ErrorContains(t, err, `session "ann-1" of user "ann" still has 2 messages`)
	require.ErrorContains(t, err, `session "ann-2" of user "ann" is still there`)
}

func TestJob_AddedMeanwhile(t *testing.T) {
	t.Parallel()
	_, client := newServer(t)
	// add adds ann, who was deleted, before the verification.
	add := func(metadata zep.Metadata) writerFunc {
		return func(p []byte) (int, error) {
			if bytes.HasPrefix(p, []byte("Deleted")) {
				ann := zep.CreateUserRequest{UserID: "ann", Metadata: metadata}
				_, err := client.User.Add(ctx, &ann)
				return len(p), err
			}
			return len(p), nil
		}
	}
	err := job(ctx, add(zep.Metadata{"tenant": "acme"}), client, acme)
	require.ErrorContains(t, err, `1 users with the tenant "acme" were added meanwhile`)
	require.NoError(t, job(ctx, add(zep.Metadata{"tenant": "globex"}), client, acme))
}

func TestVerify_SummaryLeft(t *testing.T) {
	t.Parallel()
	server, client := newServer(t)
	_, err := client.Session.Add(ctx, &zep.CreateSessionRequest{SessionID: "dave-1"})
	require.NoError(t, err)
	require.NoError(t, server.SetSummary("dave-1", "Dave says nothing."))
	server.Inject(zeptest.Fault{Method: "GET", Status: 404, Body: "not found\n", Times: 2})
	err = verify(ctx, io.Discard, client, []record{
		{UserID: "dave", Sessions: []sessionRecord{{SessionID: "dave-1"}}},
	})
	require.EqualError(t, err, `session "dave-1" of user "dave" still has a summary`)
}

func TestDeleteUsers_DeletedMeanwhile(t *testing.T) {
	t.Parallel()
	_, client := newServer(t)
	records, err := find(ctx, client, "tenant", "acme")
	require.NoError(t, err)
	require.NoError(t, client.User.Delete(ctx, "carol"))
	require.NoError(t, deleteUsers(ctx, client, records))
	require.NoError(t, verify(ctx, io.Discard, client, records))
}

// TestVerify_OtherSession checks that a session that only has the id of a recorded one is no
// failure.
func TestVerify_OtherSession(t *testing.T) {
	t.Parallel()
	_, client := newServer(t)
	const otherUUID = "4c2e7a52-0000-4000-8000-000000000000"
	require.NoError(t, verify(ctx, io.Discard, client, []record{{
		UserID:   "bob",
		UUID:     otherUUID,
		Sessions: []sessionRecord{{SessionID: "bob-1", UUID: otherUUID}},
	}}))
}

func TestJob_RecordExists(t *testing.T) {
	t.Parallel()
	_, client := newServer(t)
	s := acme
	s.record = filepath.Join(t.TempDir(), "acme.json")
	require.NoError(t, os.WriteFile(s.record, []byte("[{]"), 0o600))
	require.ErrorIs(t, job(ctx, io.Discard, client, s), os.ErrExist)
	users, _ := state(t, client)
	assert.Len(t, users, 5, "deleted without a record")
	_, err := readRecords(s.record)
	require.ErrorContains(t, err, "acme.json: invalid character")
}

func TestJob_Failures(t *testing.T) {
	t.Parallel()
	for _, route := range []string{
		"/user", "/user/{userId}/sessions", "/sessions/{sessionId}/messages",
		"/user/{userId}", "/sessions/{sessionId}", "/sessions/{sessionId}/memory",
	} {
		t.Run(route, func(t *testing.T) {
			t.Parallel()
			server, client := newServer(t)
			server.Inject(zeptest.Fault{Method: "GET", Route: route, Status: 500, Times: -1})
			var out bytes.Buffer
			require.ErrorIs(t, job(ctx, &out, client, acme), zep.ErrServer)
			assert.NotContains(t, out.String(), "Verified")
		})
	}
}

func TestJob_Canceled(t *testing.T) {
	t.Parallel()
	_, client := newServer(t)
	records, err := find(ctx, client, "tenant", "acme")
	require.NoError(t, err)
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	err = deleteUsers(canceled, client, records)
	require.ErrorIs(t, err, context.Canceled)
	users, _ := state(t, client)
	assert.Len(t, users, 5)
}

func TestMatches(t *testing.T) {
	t.Parallel()
	metadata := zep.Metadata{
		"s": "a", "n": 7.0, "big": 1e21, "b": true, "null": nil, "list": []any{"a"},
	}
	for _, test := range []struct {
		key, value string
		want       bool
	}{
		{"s", "a", true},
		{"s", "A", false},
		{"s", "", false},
		{"n", "7", true},
		{"n", "7.0", false},
		{"big", "1e+21", true},
		{"b", "true", true},
		{"b", "false", false},
		{"null", "null", false},
		{"null", "", false},
		{"list", "a", false},
		{"missing", "", false},
	} {
		assert.Equal(t, test.want, matches(metadata, test.key, test.value), test)
	}
	assert.False(t, matches(nil, "s", ""))
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
