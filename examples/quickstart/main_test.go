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
	os.Unsetenv("ZEP_API_URL") // the tests stay in this process
	goleak.VerifyTestMain(m)
}

// story is what the program prints, with MARK for what is new in each run.
const story = `
Jane signs up.
  added    Jane Doe as jane-MARK@example.com, row ROW
  got      Jane Doe of Oslo, NO, on the free plan
  updated  Jane Roe of Bergen, NO, on the pro plan
  again?   no: her id is taken (zep.ErrAlreadyExists)

She begins two conversations.
  added    session books-MARK
  added    session travel-MARK
  updated  session books-MARK: topic books, closed true
  got      session travel-MARK of jane-MARK@example.com
  Jane has 2 sessions
  deleted  session books-MARK: she has 1 left

250 readers follow.
  listed   reader 1 of MARK
  listed   reader 2 of MARK
  listed   reader 3 of MARK
CHUNKS  We are 251.
  The first of us is jane-MARK@example.com.

Jane leaves.
  deleted  jane-MARK@example.com
  gone     (zep.ErrNotFound) zep: GET /api/v1/user/jane-MARK@example.com: 404: not found
  She has 0 sessions left. The readers leave too.
`

func TestRun(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, run(context.Background(), &out))
	assert.Regexp(t, `^Zep 0\.\d+\.\d+\S* .*is there\.\n`+pattern(1, 100, 100, 51)+`$`, out.String())
}

// TestTellAmongOthers: the story is the same on a server with users of its own, and leaves it as it was.
func TestTellAmongOthers(t *testing.T) {
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
	require.NoError(t, tell(context.Background(), &out, client))
	assert.Regexp(t, `^`+pattern(51, 50, 100, 100, 1)+`$`, out.String())
	assert.Equal(t, before, state(t, client))
}

// TestTellCleansUpAfterAFailure: a story that ends in the middle leaves nothing behind either.
func TestTellCleansUpAfterAFailure(t *testing.T) {
	t.Parallel()
	server := zeptest.NewServer()
	defer server.Close()
	client, err := server.Client()
	require.NoError(t, err)
	server.Inject(zeptest.Fault{Method: "PATCH", Route: "/sessions/{sessionId}", Status: 500})
	require.ErrorIs(t, tell(context.Background(), new(bytes.Buffer), client), zep.ErrServer)
	assert.Empty(t, state(t, client))
	sessions, err := client.Session.List(context.Background(), nil)
	require.NoError(t, err)
	assert.Empty(t, sessions)
}

// pattern is the story as a regular expression: Jane's row, and how many of the users in each chunk are the story's.
func pattern(row int, chunks ...int) string {
	walked := ""
	for _, users := range chunks {
		walked += fmt.Sprintf("  walked   a chunk with %d of us\n", users)
	}
	return strings.NewReplacer("MARK", `[0-9a-f]{8}`, "ROW", fmt.Sprint(row), "CHUNKS", walked).Replace(regexp.QuoteMeta(story))
}

func state(t *testing.T, client *zep.Client) []*zep.User {
	t.Helper()
	users, err := client.User.List(context.Background(), nil)
	require.NoError(t, err)
	return users
}
