// Fleet updates one user from several processes, without a Locker and with one.
//
//	go run -C examples/fleet .
//	ZEP_LOCKER_DSN=postgres://user:password@host/database go run -C examples/fleet .
//
// It starts three processes that update one user at the same time, three times: first each
// process for itself, on a server that leaves records locked; then on one where
// docs/server-locks.sql prevents that; and then with locks that the processes share, on a server
// as the first. The servers are its own, and treat updates that overlap as a real one does.
//
// With ZEP_LOCKER_DSN the locks are those of the package locker/postgres. Without it they are
// those of a stand-in, a lock server in this process that the others reach over the loopback
// interface. It shows the same, and is not meant for anything else.
//
// The PostgreSQL locker needs a library that nothing else here needs. So this program is a Go
// module of its own.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// workerVariable holds the number of a process that updates the user. The first process has none.
const workerVariable = "ZEP_FLEET_WORKER"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, w io.Writer) error {
	if number := os.Getenv(workerVariable); number != "" {
		return work(ctx, w, number)
	}
	return lead(ctx, w)
}
