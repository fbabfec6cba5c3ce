package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep/zeptest"
)

// fullLoad is what the issue of a real migration looks like.
var fullLoad = load{users: 100_000, sessions: 20_000, messages: 400_000, documents: 20_000}

// BenchmarkRoundTrip exports a full server, imports the export into a fresh one, and verifies it.
// Each command is a process of its own. It reports how long each took, and its largest live heap:
// what a garbage collection found in use.
//
//	go test -run '^$' -bench RoundTrip -benchtime 1x -timeout 30m .
func BenchmarkRoundTrip(b *testing.B) {
	for _, flag := range []string{"-gzip=false", "-gzip=true"} {
		b.Run(flag, func(b *testing.B) {
			for range b.N {
				benchmarkRoundTrip(b, flag)
			}
		})
	}
}

func benchmarkRoundTrip(b *testing.B, flag string) {
	b.StopTimer()
	server, client := newServer(b)
	fill(b, server, client, fullLoad)
	fresh := zeptest.NewServer()
	defer fresh.Close()
	dir := filepath.Join(b.TempDir(), "export")
	b.StartTimer()
	measure(b, server.URL, "export", "-o", dir, flag)
	measure(b, fresh.URL, "import", dir)
	measure(b, fresh.URL, "verify", "-extra", dir)
	b.StopTimer()
	for name, content := range files(b, dir) {
		b.Logf("%-22s %12d bytes", name, len(content))
	}
}

// measure runs the program as a process, and reports its time and its live heap.
func measure(b *testing.B, url string, args ...string) {
	b.Helper()
	heap := filepath.Join(b.TempDir(), "heap")
	cmd := childCommand(url, args...)
	cmd.Env = append(cmd.Env, heapEnv+"="+heap)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	began := time.Now()
	require.NoError(b, cmd.Run(), stderr.String())
	b.ReportMetric(time.Since(began).Seconds(), args[0]+"-s")
	if args[0] == "verify" {
		require.Empty(b, stdout.String())
	}
	data, err := os.ReadFile(heap)
	require.NoError(b, err)
	live, err := strconv.ParseInt(string(data), 10, 64)
	require.NoError(b, err)
	b.ReportMetric(float64(live)/(1<<20), args[0]+"-live-MiB")
	b.Logf("%s\n%s%s", args[0], stdout.String(), stderr.String())
	require.Less(b, live, int64(128<<20), "the live heap of "+args[0])
}
