package zep

import (
	"context"
	"testing"
	"time"
)

// SetPatience shortens how long a metadata update keeps the turn of all, and how long it goes on
// after it was given up.
func SetPatience(c *Client, passOnAfter, finishWithin time.Duration) {
	c.passOnAfter, c.finishWithin = passOnAfter, finishWithin
}

// NewMemoryLocker returns a Locker in the process.
func NewMemoryLocker() Locker { return newMemoryLocker() }

// Recording is a recorded exchange, for the tests of package zep_test.
type Recording = recording

// String returns the name of the recorded step.
func (r recording) String() string { return r.Scenario + ": " + r.Step }

// Recordings returns every recorded exchange.
func Recordings(t testing.TB) []Recording {
	t.Helper()
	return recordings(t)
}

// ServiceCall is a call of the registry, for the tests of package zep_test.
type ServiceCall struct {
	Endpoint string // with the path below the base URL: "GET /api/v1/user/{userId}"
	Requests int
	Do       func(context.Context, *Client, ...RequestOption) error
}

// ServiceCalls returns the registry of calls. The names are those of the methods, "User.Get". Where
// there are several of one method, they go on after a space.
func ServiceCalls() map[string]ServiceCall {
	exported := map[string]ServiceCall{}
	for name, call := range serviceCalls() {
		exported[name] = ServiceCall{
			Endpoint: call.path(),
			Requests: len(call.answers),
			Do: func(ctx context.Context, c *Client, opts ...RequestOption) error {
				return invoke(ctx, c, name, call.args, opts...)
			},
		}
	}
	return exported
}
