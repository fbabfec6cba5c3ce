package main

import (
	"bytes"
	"context"
	"os"
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

// TestRun_Readme compares the output with README.md.
func TestRun_Readme(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, run(context.Background(), &out, 384))
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	text := strings.ReplaceAll(string(readme), "\r\n", "\n")
	assert.Contains(t, text, "```\n"+out.String()+"```\n")
}

func newServer(t *testing.T, options ...zeptest.Option) (*zeptest.Server, *zep.Client) {
	t.Helper()
	server := zeptest.NewServer(options...)
	t.Cleanup(server.Close)
	client, err := server.Client(zep.WithBackoff(0, 0))
	require.NoError(t, err)
	return server, client
}

// requireEmpty fails if the server has a user, a session or a collection.
func requireEmpty(t *testing.T, client *zep.Client) {
	t.Helper()
	ctx := context.Background()
	users, err := client.User.List(ctx, nil)
	require.NoError(t, err)
	require.Empty(t, users)
	sessions, err := client.Session.List(ctx, nil)
	require.NoError(t, err)
	require.Empty(t, sessions)
	collections, err := client.Collection.List(ctx)
	require.NoError(t, err)
	require.Empty(t, collections)
}

func TestTour_CleansUp(t *testing.T) {
	t.Parallel()
	_, client := newServer(t)
	for range 2 {
		require.NoError(t, tour(context.Background(), new(bytes.Buffer), client, 384))
		requireEmpty(t, client)
	}
}

// TestTour_Failures checks that the error names the call, and that nothing is left behind.
func TestTour_Failures(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ method, route string }{
		{"POST", "/user"},
		{"POST", "/sessions"},
		{"POST", "/sessions/{sessionId}/memory"},
		{"GET", "/sessions/{sessionId}/memory"},
		{"POST", "/collection/{collectionName}"},
		{"POST", "/collection/{collectionName}/document"},
		{"POST", "/collection/{collectionName}/search"},
	} {
		t.Run(test.method+test.route, func(t *testing.T) {
			t.Parallel()
			server, client := newServer(t)
			server.Inject(zeptest.Fault{
				Method: test.method,
				Route:  test.route,
				Status: 500,
				Body:   "disk full\n",
				Times:  4,
			})
			err := tour(context.Background(), new(bytes.Buffer), client, 384)
			require.ErrorIs(t, err, zep.ErrServer)
			assert.Equal(t, 1, strings.Count(err.Error(), "disk full"), err)
			requireEmpty(t, client)
		})
	}
}

// TestAwaitEmbeddings_Canceled waits for what never comes.
func TestAwaitEmbeddings_Canceled(t *testing.T) {
	t.Parallel()
	_, client := newServer(t, zeptest.WithDelayedEnrichment())
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	_, err := client.Collection.Add(ctx, &zep.CreateCollectionRequest{
		Name:                "library",
		EmbeddingDimensions: 384,
		IsAutoEmbedded:      true,
	})
	require.NoError(t, err)
	failed := make(chan error)
	go func() { failed <- awaitEmbeddings(ctx, client, "library", 1) }()
	cancel()
	require.ErrorIs(t, <-failed, context.Canceled)
}
