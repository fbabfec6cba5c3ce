//go:build !unix || aix

package zep

import "syscall"

// peekClosed returns nil: the system cannot tell whether the other side has closed a connection.
func peekClosed(syscall.RawConn) func() bool { return nil }

// isClosedByPeer returns false: what the other side sent before it closed a connection is lost.
func isClosedByPeer(error) bool { return false }
