//go:build unix

package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// executioner is a server that sends a signal to the program at one of its requests.
type executioner struct {
	server http.Handler
	url    string

	mu       sync.Mutex
	requests int
	at       int    // the request at which the signal is sent; 0 is none
	path     string // or the end of its path
	process  *os.Process
	signal   os.Signal
}

func newExecutioner(t *testing.T, server http.Handler) *executioner {
	x := &executioner{server: server, signal: os.Kill}
	x.url = serve(t, x.handle)
	return x
}

func (x *executioner) handle(w http.ResponseWriter, r *http.Request) {
	x.mu.Lock()
	x.requests++
	now := x.requests == x.at || x.path != "" && strings.HasSuffix(r.URL.Path, x.path)
	before := now && x.requests%2 == 0
	if before {
		_ = x.process.Signal(x.signal)
	}
	x.mu.Unlock()
	x.server.ServeHTTP(w, r)
	if now && !before {
		x.mu.Lock()
		defer x.mu.Unlock()
		_ = x.process.Signal(x.signal)
	}
}

// run runs the program in a process, which gets the signal at a request. It returns the number of
// requests, and how the process ended.
func (x *executioner) run(
	t *testing.T, at int, args ...string,
) (requests int, state *os.ProcessState) {
	t.Helper()
	cmd := childCommand(x.url, args...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	x.mu.Lock()
	require.NoError(t, cmd.Start())
	x.requests, x.at, x.process = 0, at, cmd.Process
	x.mu.Unlock()
	_ = cmd.Wait()
	if at == 0 {
		require.Zero(t, cmd.ProcessState.ExitCode(), output.String())
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.requests, cmd.ProcessState
}

// kill kills the program five times, at random moments of what it has left to do, and then lets it
// finish. total is how many requests it makes if it is not killed.
func (x *executioner) kill(t *testing.T, random *rand.Rand, total int, args ...string) {
	t.Helper()
	for range 5 {
		at := 1 + random.IntN(total)
		_, state := x.run(t, at, args...)
		if state.Exited() { // it had fewer requests left
			require.Zero(t, state.ExitCode())
			return
		}
		require.Equal(t, "signal: killed", state.String())
	}
	x.run(t, 0, args...)
}

// Five kills in each command, at random moments, change nothing in the end. With an odd seed a
// fifth of the requests fails, too.
func TestKill_EachPhase(t *testing.T) {
	t.Parallel()
	for seed := range *seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			testKill(t, seed)
		})
	}
}

func testKill(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 0))
	gzip := fmt.Sprintf("-gzip=%t", seed%4 < 2)
	before := func(server http.Handler) *executioner {
		if seed%2 == 1 {
			server, _ = chaosHandler(t, server, seed)
		}
		return newExecutioner(t, server)
	}
	server, client := newServer(t)
	fill(t, server, client, smallLoad)
	source := before(server)
	whole, dir := filepath.Join(t.TempDir(), "whole"), filepath.Join(t.TempDir(), "killed")
	mustRun(t, server.URL, "export", "-o", whole, gzip)
	killExports(t, source, random, dir, gzip)
	assert.Equal(t, files(t, whole), files(t, dir))
	assert.Equal(t, timeless(t, whole), timeless(t, dir))

	fresh, freshClient := newServer(t)
	target := before(fresh)
	other, _ := newServer(t)
	total, _ := newExecutioner(t, other).run(t, 0, "import", dir)
	target.kill(t, random, total, "import", dir)
	assert.Equal(t, counts(t, client), counts(t, freshClient))
	total, _ = target.run(t, 0, "verify", "-extra", dir)
	target.kill(t, random, total, "verify", "-extra", dir)
	assert.Empty(t, mustRun(t, fresh.URL, "verify", "-extra", dir).stdout)
}

// killExports kills an export five times, each time before it has done more than a sixth of the
// whole, and then twice in its last steps.
func killExports(t *testing.T, x *executioner, random *rand.Rand, dir, gzip string) {
	t.Helper()
	total, _ := x.run(t, 0, "export", "-o", filepath.Join(t.TempDir(), "other"), gzip)
	killed := func(at int, path string) {
		t.Helper()
		x.path = path
		_, state := x.run(t, at, "export", "-o", dir, gzip)
		x.path = ""
		require.Equal(t, "signal: killed", state.String())
		if m, err := readManifest(dir); err == nil { // it may not have begun
			assert.Equal(t, statusPartial, m.Status)
		}
	}
	for range 5 {
		killed(1+random.IntN(total/6), "")
	}
	killed(-1, "/collection")
	killed(-1, "/vectors/document/list/get")
	after, _ := x.run(t, 0, "export", "-o", dir, gzip)
	assert.Less(t, after, total/2, "it went on where it was")
}

// ^C, and the signal of a service manager, leave a manifest that says "partial".
func TestExport_Interrupted(t *testing.T) {
	t.Parallel()
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			server, client := newServer(t)
			fill(t, server, client, smallLoad)
			x := newExecutioner(t, server)
			x.signal = signal
			whole, dir := filepath.Join(t.TempDir(), "whole"), filepath.Join(t.TempDir(), "broken")
			total, _ := x.run(t, 0, "export", "-o", whole)
			_, state := x.run(t, total/2, "export", "-o", dir)
			assert.Equal(t, exitInterrupted, state.ExitCode())

			m := timeless(t, dir)
			assert.Equal(t, statusPartial, m.Status)
			require.NotNil(t, m.Resume)
			assert.Equal(t, messages, m.Resume.Step)
			assert.NotEmpty(t, m.Resume.After)
			for name, content := range files(t, dir) {
				if !strings.HasSuffix(name, partialSuffix) {
					assert.Equal(t, readFile(t, filepath.Join(whole, name)), content)
				}
			}
			for _, command := range []string{"import", "verify"} {
				r := zepdump(t, server.URL, command, dir)
				assert.Equal(t, result{exitError, "", "zepdump: " + dir +
					" is a partial export: run the export again to complete it\n"}, r)
			}

			// What follows the last block is of no value.
			partial := filepath.Join(dir, "messages.jsonl"+partialSuffix)
			junk := readFile(t, partial) + strings.Repeat("x", 1<<20)
			require.NoError(t, os.WriteFile(partial, []byte(junk), 0o600))
			// Killed between the new name of a file and the manifest that says so.
			require.NoError(t, os.Rename(partial, filepath.Join(dir, "messages.jsonl")))
			x.run(t, 0, "export", "-o", dir)
			assert.Equal(t, files(t, whole), files(t, dir))
			assert.Equal(t, timeless(t, whole), timeless(t, dir))
		})
	}
}
