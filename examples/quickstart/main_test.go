package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"regexp"
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

// transcript is the output, with MARK for what differs between runs.
const transcript = `
Jane signs up.
  added    Jane Doe as jane-MARK@example.com, row ROW
  got      Jane Doe of Oslo, NO, on the free plan
  updated  Jane Roe of Bergen, NO, on the pro plan
  refused  a second user with that id (zep.ErrAlreadyExists)

She begins two conversations.
  added    session books-MARK
  added    session travel-MARK
  updated  session books-MARK: topic books, closed true
  got      session travel-MARK of jane-MARK@example.com
  listed   2 sessions of Jane
  deleted  session books-MARK: 1 left

250 readers sign up.
  listed   reader 1 of MARK
  listed   reader 2 of MARK
  listed   reader 3 of MARK
CHUNKS  found    251 users, with Jane
  first    jane-MARK@example.com

Jane signs off.
  deleted  jane-MARK@example.com
  gone     (zep.ErrNotFound) zep: GET /api/v1/user/jane-MARK@example.com: 404: not found
  listed   0 sessions of Jane
`

func TestRun(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, run(context.Background(), &out))
	const greeting = `^Connected to Zep 0\.\d+\.\d+\S* .*\.\n`
	assert.Regexp(t, greeting+pattern(1, 100, 100, 51)+`$`, out.String())
}

// TestTour_OtherUsers runs on a server with other users, and checks that they stay as they were.
func TestTour_OtherUsers(t *testing.T) {
	t.Parallel()
	server := zeptest.NewServer()
	defer server.Close()
	require.NoError(t, server.SeedUsers(50, func(i int) zep.CreateUserRequest {
		return zep.CreateUserRequest{UserID: fmt.Sprint(i)}
	}))
	client, err := server.Client()
	require.NoError(t, err)
	before := state(t, client)
	var out bytes.Buffer
	require.NoError(t, tour(context.Background(), &out, client))
	assert.Regexp(t, `^`+pattern(51, 50, 100, 100, 1)+`$`, out.String())
	assert.Equal(t, before, state(t, client))
}

// TestTour_Failure checks that a run that fails leaves nothing behind.
func TestTour_Failure(t *testing.T) {
	t.Parallel()
	server := zeptest.NewServer()
	defer server.Close()
	client, err := server.Client()
	require.NoError(t, err)
	server.Inject(zeptest.Fault{Method: "PATCH", Route: "/sessions/{sessionId}", Status: 500})
	require.ErrorIs(t, tour(context.Background(), new(bytes.Buffer), client), zep.ErrServer)
	assert.Empty(t, state(t, client))
	sessions, err := client.Session.List(context.Background(), nil)
	require.NoError(t, err)
	assert.Empty(t, sessions)
}

// pattern returns the transcript as a regular expression, with Jane's row and the number of users
// of the run in each chunk.
func pattern(row int, chunks ...int) string {
	walked := ""
	for _, users := range chunks {
		walked += fmt.Sprintf("  walked   a chunk with %d of them\n", users)
	}
	return strings.NewReplacer(
		"MARK", `[0-9a-f]{8}`, "ROW", fmt.Sprint(row), "CHUNKS", walked,
	).Replace(regexp.QuoteMeta(transcript))
}

func state(t *testing.T, client *zep.Client) []*zep.User {
	t.Helper()
	users, err := client.User.List(context.Background(), nil)
	require.NoError(t, err)
	return users
}
