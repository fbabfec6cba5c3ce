package mocking_test

import (
	"context"
	"errors"
	"maps"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/examples/mocking"
)

// The SDK's service implements the interface too.
var _ mocking.Users = (*zep.UserService)(nil)

// fakeUsers is a fake written by hand: a map, and an error to return.
type fakeUsers struct {
	users map[string]*zep.User
	err   error
}

func (f fakeUsers) Get(
	_ context.Context, userID string, _ ...zep.RequestOption,
) (*zep.User, error) {
	if f.err != nil {
		return nil, f.err
	}
	user, ok := f.users[userID]
	if !ok {
		return nil, zep.ErrNotFound // errors.Is matches it like a *zep.Error
	}
	return user, nil
}

func (f fakeUsers) Update(
	ctx context.Context, req *zep.UpdateUserRequest, _ ...zep.RequestOption,
) (*zep.User, error) {
	user, err := f.Get(ctx, req.UserID)
	if err != nil {
		return nil, err
	}
	if user.Metadata == nil {
		user.Metadata = zep.Metadata{}
	}
	maps.Copy(user.Metadata, req.Metadata)
	return user, nil
}

func TestGreet_Fake(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	jane := &zep.User{UserID: "jane", FirstName: "Jane"}
	greeter := mocking.Greeter{Users: fakeUsers{users: map[string]*zep.User{"jane": jane}}}
	for _, want := range []string{"Welcome, Jane.", "Welcome back, Jane."} {
		greeting, err := greeter.Greet(ctx, "jane")
		require.NoError(t, err)
		assert.Equal(t, want, greeting)
	}
	greeting, err := greeter.Greet(ctx, "joe")
	require.NoError(t, err)
	assert.Equal(t, "Hello, stranger.", greeting)

	broken := errors.New("broken")
	_, err = mocking.Greeter{Users: fakeUsers{err: broken}}.Greet(ctx, "jane")
	assert.ErrorIs(t, err, broken)
}
