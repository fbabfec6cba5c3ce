package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/zeptest"
)

const (
	processes  = 3
	goroutines = 4  // of each process
	updates    = 10 // of each goroutine
	all        = processes * goroutines * updates

	userID = "jane"
)

// The servers lose updates of one record that overlap. One that leaves locks behind does so,
// too, and fails the next update of the record: after 100 ms, a real one after 22 seconds.
var (
	mended = []zeptest.Option{zeptest.WithRacyUpdates()}
	sticky = append(mended, zeptest.WithStickyLocks(), zeptest.WithLockWait(100*time.Millisecond))
)

// lead starts the fleet three times, and prints what became of its updates.
func lead(ctx context.Context, w io.Writer) error {
	fmt.Fprintf(w, "%d processes, %d goroutines in each, %d updates of one user by each.\n",
		processes, goroutines, updates)
	fmt.Fprintf(w, "\nWithout a Locker:\n")
	if err := runFleet(ctx, w, sticky, ""); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nWithout a Locker, on a server where docs/server-locks.sql is applied:\n")
	if err := runFleet(ctx, w, mended, ""); err != nil {
		return err
	}
	if os.Getenv(dsnVariable) != "" {
		fmt.Fprintf(w, "\nWith the PostgreSQL locker (%s is set):\n", dsnVariable)
		return runFleet(ctx, w, sticky, lockerPostgres)
	}
	locks, err := newLockServer()
	if err != nil {
		return err
	}
	defer locks.Close()
	fmt.Fprintf(w, "\nWith a stand-in for a Locker, in this process (%s is not set):\n",
		dsnVariable)
	return runFleet(ctx, w, sticky, locks.Addr().String())
}

// runFleet starts a Zep server and the processes of the fleet, and prints what the server has in
// the end. locker is the value of lockerVariable.
func runFleet(ctx context.Context, w io.Writer, options []zeptest.Option, locker string) error {
	server := zeptest.NewServer(options...)
	defer server.Close()
	client, err := server.Client()
	if err != nil {
		return err
	}
	if _, err := client.User.Add(ctx, &zep.CreateUserRequest{UserID: userID}); err != nil {
		return err
	}
	answered, failures, err := runProcesses(ctx, server.URL, locker)
	if err != nil {
		return err
	}

	user, err := client.User.Get(ctx, userID)
	if err != nil {
		return err
	}
	kept := 0
	for _, key := range answered {
		if _, ok := user.Metadata[key]; ok {
			kept++
		}
	}
	fmt.Fprintf(w, "  answered  %d of %d updates\n", len(answered), all)
	fmt.Fprintf(w, "  kept      %d of those\n", kept)
	locked := "nothing"
	if len(server.Locked()) > 0 {
		locked = strings.Join(server.Locked(), ", ")
	}
	fmt.Fprintf(w, "  locked    %s\n", locked)
	if len(failures) > 0 {
		fmt.Fprintf(w, "  failed    %s\n", failures[0])
	}
	return nil
}

// runProcesses starts the processes and waits for their ends. It returns the keys of the updates
// that were answered, and what the updates that were not failed with.
func runProcesses(ctx context.Context, baseURL, locker string) (
	answered, failures []string, err error,
) {
	program, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	parent := ctx
	ctx, cancel := context.WithCancel(ctx) // one that fails ends the others
	defer cancel()
	var commands []*exec.Cmd
	outputs := make([]bytes.Buffer, processes)
	for i := range processes {
		cmd := exec.CommandContext(ctx, program)
		cmd.Env = append(os.Environ(), "ZEP_API_URL="+baseURL, "ZEP_API_KEY=",
			workerVariable+"="+strconv.Itoa(i+1), lockerVariable+"="+locker)
		cmd.Stdout, cmd.Stderr = &outputs[i], &outputs[i]
		if err = cmd.Start(); err != nil {
			cancel()
			break
		}
		commands = append(commands, cmd)
	}
	for i, cmd := range commands {
		if failed := cmd.Wait(); failed != nil && err == nil {
			said := strings.TrimSpace(outputs[i].String())
			err = fmt.Errorf("process %d: %w: %s", i+1, failed, said)
			cancel()
		}
	}
	if parent.Err() != nil {
		return nil, nil, parent.Err()
	}
	if err != nil {
		return nil, nil, err
	}
	for i := range outputs {
		for scanner := bufio.NewScanner(&outputs[i]); scanner.Scan(); {
			switch kind, text, _ := strings.Cut(scanner.Text(), " "); kind {
			case "answered":
				answered = append(answered, text)
			case "failed":
				failures = append(failures, text)
			}
		}
	}
	return answered, failures, nil
}
