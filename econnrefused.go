//go:build !plan9

package zep

import "syscall"

// errConnRefused is the operating system's error for a port that nobody listens on.
const errConnRefused = syscall.ECONNREFUSED
