package zep

import "testing"

// Recording is a recorded exchange, for the tests of package zep_test.
type Recording = recording

// String returns the name of the recorded step.
func (r recording) String() string { return r.Scenario + ": " + r.Step }

// Recordings returns every recorded exchange.
func Recordings(t testing.TB) []Recording {
	t.Helper()
	return recordings(t)
}
