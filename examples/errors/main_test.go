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
	scenarios := strings.Split(strings.TrimSuffix(out.String(), "\n\n"), "\n\n")
	want := []struct {
		title    string
		error    string // "" for none
		requests int
		advice   string
	}{
		{"a user that does not exist", "404: not found", 1, "add it first"},
		{"a user that exists already", "user already exists", 1, "update it instead"},
		{"an id that a URL cannot contain", `"../jane"`, 0, "use another id; nothing was sent"},
		{"an empty id", "is empty", 0, "use another id; nothing was sent"},
		{
			"a session for a user that does not exist",
			"user does not exist", 1, "add the user first",
		},
		{"the wrong API key", "401: token is unauthorized", 1, "set the API key"},
		{"the wrong base URL", "the server does not know this path", 1, "set the base URL"},
		{
			"a rate limit, in every attempt",
			"429: slow down (4 attempts)", 4, "retry later, at a lower rate",
		},
		{
			"a rate limit that lasts longer than the timeout",
			"429: slow down: context deadline exceeded", 1, "retry later, at a lower rate",
		},
		{
			"a server that hangs",
			"context deadline exceeded", 1, "allow more time, or do without a response",
		},
		{"a canceled call", "context canceled", 0, "do nothing: the caller canceled"},
		{
			"a write that fails on the server",
			"500: failed to write: disk full", 1, "check the log of the server",
		},
		{"a read that fails on the server once", "", 2, "continue"},
		{"a write whose response is lost", "", 3, "continue"},
	}
	require.Len(t, scenarios, len(want))
	for i, want := range want {
		title, rest, _ := strings.Cut(scenarios[i], "\n")
		assert.Equal(t, want.title, title)
		assert.Equal(t, want.error != "", strings.Contains(rest, "  error "), scenarios[i])
		assert.Contains(t, rest, want.error)
		assert.Contains(t, rest+"\n",
			fmt.Sprintf("  requests  %d\n  advice    %s\n", want.requests, want.advice))
	}
	assert.Contains(t, out.String(), `details   status 429, "slow down", Retry-After "20"`)
}

func TestAdvice(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "send less at once", advice(fmt.Errorf("wrapped: %w", zep.ErrTooLarge)))
	assert.Equal(t, "check the network", advice(zep.ErrCursorStuck))
}
