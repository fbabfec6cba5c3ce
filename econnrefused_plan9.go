package zep

import "errors"

// errConnRefused matches nothing: Plan 9 reports a refused connection as a failed dial.
var errConnRefused = errors.New("connection refused")
