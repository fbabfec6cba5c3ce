package zep

import (
	"testing"
	"time"
)

// SetPatience shortens how long a metadata update keeps the turn of all, and how long it goes on after
// it was given up.
func (c *Client) SetPatience(passOnAfter, finishWithin time.Duration) {
	c.passOnAfter, c.finishWithin = passOnAfter, finishWithin
}

// Recording is a recorded exchange, for the tests of package zep_test.
type Recording = recording

// String returns the name of the recorded step.
func (r recording) String() string { return r.Scenario + ": " + r.Step }

// Recordings returns every recorded exchange.
func Recordings(t testing.TB) []Recording {
	t.Helper()
	return recordings(t)
}
