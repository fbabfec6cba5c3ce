package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/metrics"
	"syscall"
	"time"
)

// heapEnv names the file for the largest live heap of a child, and makes its export one of the
// usual size of blocks.
const heapEnv = "ZEPDUMP_TEST_HEAP"

// runChild is main with shorter waits, and small blocks of an export.
func runChild() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	c := &command{
		stdout: os.Stdout,
		stderr: os.Stderr,
		tune:   small,
		client: quick(),
		pause:  time.Millisecond,
	}
	path := os.Getenv(heapEnv)
	if path == "" {
		os.Exit(c.run(ctx, os.Args[1:]))
	}
	c.tune = nil
	ended, most := make(chan struct{}), make(chan uint64)
	go func() { most <- liveHeap(ended) }()
	status := c.run(ctx, os.Args[1:])
	close(ended)
	if err := os.WriteFile(path, fmt.Append(nil, <-most), 0o600); err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = exitError
	}
	os.Exit(status)
}

// liveHeap returns the largest number of bytes that a garbage collection found in use until the
// channel is closed.
func liveHeap(ended <-chan struct{}) (most uint64) {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		metrics.Read(sample)
		most = max(most, sample[0].Value.Uint64())
		select {
		case <-ended:
			return most
		case <-tick.C:
		}
	}
}
