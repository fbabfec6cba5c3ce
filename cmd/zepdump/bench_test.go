package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/zeptest"
)

// fullLoad is what a server of some years has.
var fullLoad = load{users: 100_000, sessions: 20_000, messages: 400_000, documents: 20_000}

// BenchmarkRoundTrip exports a full server, imports the export into a fresh one, and verifies it.
// Each command is a process of its own. It reports how long each took, and its largest live heap:
// what a garbage collection found in use.
//
//	go test -run '^$' -bench . -benchtime 1x -timeout 30m .
func BenchmarkRoundTrip(b *testing.B) {
	for _, flag := range []string{"-gzip=false", "-gzip=true"} {
		b.Run(flag, func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				server, client := newServer(b)
				fill(b, server, client, fullLoad)
				benchmarkRoundTrip(b, server, flag)
			}
		})
	}
}

// BenchmarkHeavyRecords does the same with fewer records that are as large as the server takes.
func BenchmarkHeavyRecords(b *testing.B) {
	for range b.N {
		b.StopTimer()
		server, client := newServer(b)
		text := strings.Repeat("A line of a very long message.\n", 4<<20/31)
		for i := range 16 {
			id := "session-" + itoa(i)
			for range 8 {
				require.NoError(b, client.Memory.Add(ctx, id, &zep.AddMemoryRequest{
					Messages: []*zep.Message{{Role: zep.RoleUser, Content: text}},
				}))
			}
		}
		_, err := client.Collection.Add(ctx, &zep.CreateCollectionRequest{
			Name: "heavy", EmbeddingDimensions: 2000,
		})
		require.NoError(b, err)
		for i := range 64 {
			_, err = client.Document.Add(ctx, "heavy", []*zep.CreateDocumentRequest{{
				DocumentID: itoa(i), Content: text, Embedding: make([]float32, 2000),
			}})
			require.NoError(b, err)
		}
		benchmarkRoundTrip(b, server, "-gzip=false")
	}
}

func benchmarkRoundTrip(b *testing.B, server *zeptest.Server, flag string) {
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
