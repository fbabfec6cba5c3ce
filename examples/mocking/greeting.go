// Package mocking is a small service that uses the SDK, and shows three ways to test one without a
// Zep server:
//
//   - a fake written by hand, for the logic of the service: fake_test.go
//   - httpmock on the http.Client, for exact requests and responses: httpmock_test.go
//   - zeptest, for the service together with Zep, and for failures: zeptest_test.go
package mocking

import (
	"context"
	"errors"
	"fmt"

	"github.com/zep-go/zep"
)

// Users has the methods that a Greeter needs, and no more: a small interface is easy to fake.
// *zep.UserService implements it.
type Users interface {
	Get(context.Context, string, ...zep.RequestOption) (*zep.User, error)
	Update(context.Context, *zep.UpdateUserRequest, ...zep.RequestOption) (*zep.User, error)
}

// Greeter greets users, and stores in their metadata that it did.
type Greeter struct{ Users Users }

// Greet returns a greeting for a user, or for a stranger if there is no such user.
func (g Greeter) Greet(ctx context.Context, userID string) (string, error) {
	user, err := g.Users.Get(ctx, userID)
	switch {
	case errors.Is(err, zep.ErrNotFound):
		return "Hello, stranger.", nil
	case err != nil:
		return "", fmt.Errorf("greet: %w", err)
	}
	if user.Metadata["greeted"] == true {
		return fmt.Sprintf("Welcome back, %s.", user.FirstName), nil
	}
	_, err = g.Users.Update(ctx, &zep.UpdateUserRequest{
		UserID:   userID,
		Metadata: zep.Metadata{"greeted": true},
	})
	if err != nil {
		return "", fmt.Errorf("greet: %w", err)
	}
	return fmt.Sprintf("Welcome, %s.", user.FirstName), nil
}
