//go:build unix

package postgres_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep/locker/postgres"
)

// The tests start processes of their own: this program again, with the mode in the environment,
// and what the mode needs in the arguments.
const childMode = "ZEP_LOCKER_TEST_CHILD"

var childModes = map[string]func(args []string) error{
	"hold":  holdInChild,
	"count": countInChild,
}

func runChild(mode string) {
	if err := childModes[mode](os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// A child is a process that a test started.
type child struct {
	*exec.Cmd
	input  io.Closer // most modes end when it is closed
	output *bufio.Scanner
	errors *strings.Builder
}

// startChild starts this program in a mode. It is killed at the end of the test at the latest.
func startChild(t *testing.T, mode string, args ...string) *child {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	c := &child{Cmd: exec.Command(program, args...), errors: new(strings.Builder)}
	c.Env = append(os.Environ(), childMode+"="+mode)
	c.Stderr = c.errors
	input, err := c.StdinPipe()
	require.NoError(t, err)
	output, err := c.StdoutPipe()
	require.NoError(t, err)
	c.input, c.output = input, bufio.NewScanner(output)
	require.NoError(t, c.Start())
	t.Cleanup(func() {
		if c.ProcessState == nil {
			c.kill()
		}
	})
	return c
}

// line returns the next line that the child prints.
func (c *child) line(t *testing.T) string {
	t.Helper()
	require.True(t, c.output.Scan(), "no line: %v", c.output.Err())
	return c.output.Text()
}

// kill ends the child as kill -9 does.
func (c *child) kill() {
	_ = c.Process.Kill()
	_ = c.Wait()
}

// holdInChild takes a lock and keeps it until its input ends. It prints a line before and after.
func holdInChild(args []string) error {
	dsn, key := args[0], args[1]
	locker, err := postgres.New(dsn)
	if err != nil {
		return err
	}
	defer locker.Close()
	fmt.Println("locking")
	_, unlock, err := locker.Lock(context.Background(), key)
	if err != nil {
		return err
	}
	defer unlock()
	fmt.Println("held")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// countInChild adds to the number in a file, from several goroutines under a lock.
func countInChild(args []string) error {
	dsn, key, path := args[0], args[1], args[2]
	goroutines, _ := strconv.Atoi(args[3])
	times, _ := strconv.Atoi(args[4])
	locker, err := postgres.New(dsn)
	if err != nil {
		return err
	}
	defer locker.Close()
	return count(locker, key, path, goroutines, times)
}

// count adds one to the number in a file, so many times from each goroutine.
func count(locker *postgres.Locker, key, path string, goroutines, times int) error {
	failed := make(chan error, goroutines)
	var all sync.WaitGroup
	for range goroutines {
		all.Add(1)
		go func() {
			defer all.Done()
			for range times {
				if err := addOne(locker, key, path); err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	all.Wait()
	close(failed)
	return <-failed
}

func addOne(locker *postgres.Locker, key, path string) error {
	_, unlock, err := locker.Lock(context.Background(), key)
	if err != nil {
		return err
	}
	defer unlock()
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(string(text))
	if err != nil {
		return fmt.Errorf("another process was writing: %w", err)
	}
	return os.WriteFile(path, []byte(strconv.Itoa(n+1)), 0o600)
}
