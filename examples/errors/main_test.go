package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/zep-go/zep"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRun(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, run(context.Background(), &out))
	lessons := strings.Split(strings.TrimSuffix(out.String(), "\n\n"), "\n\n")
	want := []struct {
		title    string
		error    string // "" for none
		requests int
		advice   string
	}{
		{"a user who is not there", "404: not found", 1, "add it first"},
		{"a user who is there already", "already exists with user_id: jane", 1, "update it instead"},
		{"an id that no request can carry", `invalid id: userId "../jane"`, 0, "choose another id; nothing was sent"},
		{"no id", "is empty", 0, "choose another id; nothing was sent"},
		{"a session of a user who is not there", "user does not exist", 1, "mend the request"},
		{"the wrong API key", "401: token is unauthorized", 1, "set the API key"},
		{"the wrong base URL", "the server does not know this path", 1, "set the base URL"},
		{"a proxy that limits, four times", "429: slow down (4 attempts)", 4, "come back later, and more slowly"},
		{"a proxy that limits for longer than the call may take", "429: slow down: context deadline exceeded", 1, "come back later, and more slowly"},
		{"a server that hangs", "context deadline exceeded", 1, "allow more time, or do without an answer"},
		{"a call that is called off", "context canceled", 0, "nothing: somebody called it off"},
		{"a write that the server fails at", "500: failed to write: disk full", 1, "tell whoever runs the server"},
		{"a read that the server fails at, once", "", 2, "go on"},
		{"a write whose answer is lost", "", 3, "go on"},
	}
	require.Len(t, lessons, len(want))
	for i, want := range want {
		title, rest, _ := strings.Cut(lessons[i], "\n")
		assert.Equal(t, want.title, title)
		assert.Equal(t, want.error != "", strings.Contains(rest, "  error "), lessons[i])
		assert.Contains(t, rest, want.error)
		assert.Contains(t, rest+"\n", fmt.Sprintf("  requests  %d\n  advice    %s\n", want.requests, want.advice))
	}
	assert.Contains(t, out.String(), `details   status 429, "slow down", Retry-After "20"`)
}

func TestAdvice(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "send less at once", advice(fmt.Errorf("wrapped: %w", zep.ErrTooLarge)))
	assert.Equal(t, "look at the network", advice(zep.ErrCursorStuck))
}
