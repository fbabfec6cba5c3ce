package mocking_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/examples/mocking"
	"github.com/zep-go/zep/zeptest"
)

// newGreeter returns a greeter with a Zep server of its own, on which the user jane exists.
func newGreeter(t *testing.T) (mocking.Greeter, *zep.Client, *zeptest.Server) {
	t.Helper()
	server := zeptest.NewServer()
	t.Cleanup(server.Close)
	client, err := server.Client(zep.WithBackoff(0, 0))
	require.NoError(t, err)
	_, err = client.User.Add(context.Background(), &zep.CreateUserRequest{
		UserID: "jane", FirstName: "Jane", Metadata: zep.Metadata{"plan": "pro"},
	})
	require.NoError(t, err)
	return mocking.Greeter{Users: client.User}, client, server
}

func TestGreet_Server(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	greeter, client, _ := newGreeter(t)
	for _, want := range []string{"Welcome, Jane.", "Welcome back, Jane."} {
		greeting, err := greeter.Greet(ctx, "jane")
		require.NoError(t, err)
		assert.Equal(t, want, greeting)
	}
	user, err := client.User.Get(ctx, "jane")
	require.NoError(t, err)
	assert.Equal(t, zep.Metadata{"plan": "pro", "greeted": true}, user.Metadata)

	greeting, err := greeter.Greet(ctx, "joe")
	require.NoError(t, err)
	assert.Equal(t, "Hello, stranger.", greeting)
}

func TestGreet_BadNetwork(t *testing.T) {
	t.Parallel()
	greeter, client, server := newGreeter(t)
	server.Inject(
		zeptest.Fault{Method: "GET", Status: 503},              // overloaded
		zeptest.Fault{Method: "PATCH", Cut: true, Apply: true}, // executed, no response
	)
	greeting, err := greeter.Greet(context.Background(), "jane")
	require.NoError(t, err)
	assert.Equal(t, "Welcome, Jane.", greeting)
	user, err := client.User.Get(context.Background(), "jane")
	require.NoError(t, err)
	assert.Equal(t, true, user.Metadata["greeted"])
}

func TestGreet_ServerDown(t *testing.T) {
	t.Parallel()
	greeter, _, server := newGreeter(t)
	server.Inject(zeptest.Fault{Status: 503, Times: -1})
	_, err := greeter.Greet(context.Background(), "jane")
	assert.ErrorIs(t, err, zep.ErrServer)
}
