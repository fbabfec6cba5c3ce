package main

import (
	"bytes"
	"context"
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/zep-go/zep/zeptest"
)

func TestMain(m *testing.M) {
	os.Unsetenv("ZEP_API_URL") // the tests use servers of their own
	os.Unsetenv("ZEP_API_KEY")
	goleak.VerifyTestMain(m)
}

// masks replaces what differs between runs.
var masks = []struct {
	pattern *regexp.Regexp
	mask    string
}{
	{regexp.MustCompile(`\b\d+(\.\d+)?(ns|µs|ms|s)\b`), "DURATION"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "ADDRESS"},
}

func masked(text string) string {
	for _, m := range masks {
		text = m.pattern.ReplaceAllString(text, m.mask)
	}
	return text
}

// TestRun compares the output with the one in the README, but for durations and the port.
func TestRun(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	shown := regexp.MustCompile("(?ms)^```\n(Log:\n.*?)^```$").FindSubmatch(readme)
	require.NotNil(t, shown)
	var out bytes.Buffer
	require.NoError(t, run(context.Background(), &out))
	assert.Equal(t, masked(string(shown[1])), masked(out.String()))
	assertNoIDs(t, out.String())
}

// TestRun_OtherServer runs on the server in the environment, and checks that it leaves nothing
// behind.
func TestRun_OtherServer(t *testing.T) { // t.Setenv: not in parallel
	server := zeptest.NewServer(zeptest.WithAPIKey("secret"))
	defer server.Close()
	t.Setenv("ZEP_API_URL", server.URL)
	t.Setenv("ZEP_API_KEY", "secret")
	var out bytes.Buffer
	require.NoError(t, run(context.Background(), &out))
	assert.Contains(t, out.String(), "\ntalk (")
	assert.NotContains(t, out.String(), "429")
	assertNoIDs(t, out.String())
	assertEmpty(t, server)
}

// TestRun_Failure checks that a run that fails leaves nothing behind.
func TestRun_Failure(t *testing.T) { // t.Setenv: not in parallel
	server := zeptest.NewServer()
	defer server.Close()
	server.Inject(zeptest.Fault{Method: "POST", Route: "/sessions", Status: 500})
	t.Setenv("ZEP_API_URL", server.URL)
	require.ErrorContains(t, run(context.Background(), new(bytes.Buffer)), "500")
	assertEmpty(t, server)

	t.Setenv("ZEP_API_URL", "not a URL")
	require.ErrorContains(t, run(context.Background(), new(bytes.Buffer)), "ZEP_API_URL")
}

func assertNoIDs(t *testing.T, out string) {
	t.Helper()
	for _, id := range []string{"jane-", "books-", "stranger-"} {
		assert.NotContains(t, out, id)
	}
}

func assertEmpty(t *testing.T, server *zeptest.Server) {
	t.Helper()
	client, err := server.Client()
	require.NoError(t, err)
	defer client.CloseIdleConnections()
	users, err := client.User.List(context.Background(), nil)
	require.NoError(t, err)
	assert.Empty(t, users)
	sessions, err := client.Session.List(context.Background(), nil)
	require.NoError(t, err)
	assert.Empty(t, sessions)
}
