//go:build unix && !aix

package zep

import (
	"errors"
	"syscall"
)

// peekClosed returns a function that reports whether the other side has closed a connection. It
// takes anything to read for that: no response is due.
func peekClosed(raw syscall.RawConn) func() bool {
	var err error
	peek := func(fd uintptr) {
		var p [1]byte
		_, _, err = syscall.Recvfrom(int(fd), p[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	}
	return func() bool {
		return raw.Control(peek) != nil || err != syscall.EAGAIN && err != syscall.EINTR
	}
}

// isClosedByPeer reports whether a write failed because the other side had closed the connection.
// What it sent before can still be read.
func isClosedByPeer(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
