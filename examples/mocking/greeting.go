// Package mocking is a small service of a consumer's, and three ways to test such a service without a Zep server:
//
//   - a fake written by hand, for the service's own logic: fake_test.go
//   - httpmock on the http.Client, for answers that are known to the letter: httpmock_test.go
//   - zeptest, for the service and Zep together, with failures on demand: zeptest_test.go
package mocking

import (
	"context"
	"errors"
	"fmt"

	"github.com/zep-go/zep"
)

// Users is what a Greeter needs of Zep, and no more: few methods are quickly faked. *zep.UserService has them.
type Users interface {
	Get(ctx context.Context, userID string, opts ...zep.RequestOption) (*zep.User, error)
	Update(ctx context.Context, req *zep.UpdateUserRequest, opts ...zep.RequestOption) (*zep.User, error)
}

// A Greeter greets users, and remembers whom it greeted.
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
	_, err = g.Users.Update(ctx, &zep.UpdateUserRequest{UserID: userID, Metadata: zep.Metadata{"greeted": true}})
	if err != nil {
		return "", fmt.Errorf("greet: %w", err)
	}
	return fmt.Sprintf("Welcome, %s.", user.FirstName), nil
}
