package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/zeptest"
)

// childEnv makes the test binary the program, so that a test can kill it.
const childEnv = "ZEPDUMP_TEST_CHILD"

func TestMain(m *testing.M) {
	os.Unsetenv("ZEP_API_URL")
	os.Unsetenv("ZEP_API_KEY")
	if os.Getenv(childEnv) != "" {
		runChild()
		return
	}
	goleak.VerifyTestMain(m)
}

// small makes the blocks of an export small, so that a small one has many, and can go on from each.
func small(o *output) { o.blockBytes, o.every = 2<<10, 0 }

// quick makes the client's waits short. It does not begin the longest ones, of 30 s, that a server
// can ask for.
func quick() []zep.Option {
	return []zep.Option{
		zep.WithBackoff(0, 20*time.Millisecond),
		zep.WithTimeout(25 * time.Second),
		zep.WithAttemptTimeout(24 * time.Second),
	}
}

// result is what a run of the program came to.
type result struct {
	status         int
	stdout, stderr string
}

// zepdump runs the program in this process.
func zepdump(t *testing.T, url string, args ...string) result {
	t.Helper()
	return zepdumpContext(t, context.Background(), url, args...)
}

func zepdumpContext(t *testing.T, ctx context.Context, url string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	c := &command{
		stdout: &stdout,
		stderr: &stderr,
		tune:   small,
		client: quick(),
		pause:  time.Millisecond,
	}
	args = append([]string{args[0], "-url", url}, args[1:]...)
	status := c.run(ctx, args)
	return result{status, stdout.String(), stderr.String()}
}

// mustRun runs the program, which has to end with success.
func mustRun(t *testing.T, url string, args ...string) result {
	t.Helper()
	r := zepdump(t, url, args...)
	require.Equal(t, exitOK, r.status, "%s%s", r.stdout, r.stderr)
	return r
}

// childCommand returns the program as a process of its own.
func childCommand(url string, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], append([]string{args[0], "-url", url}, args[1:]...)...)
	cmd.Env = append(os.Environ(), childEnv+"=1")
	return cmd
}

// newServer returns a server that is closed after the test, and a client of it.
func newServer(t testing.TB, opts ...zeptest.Option) (*zeptest.Server, *zep.Client) {
	t.Helper()
	server := zeptest.NewServer(opts...)
	client, err := server.Client()
	require.NoError(t, err)
	t.Cleanup(func() {
		client.CloseIdleConnections()
		server.Close()
	})
	return server, client
}

// load is how much a server has.
type load struct{ users, sessions, messages, documents int }

var smallLoad = load{users: 60, sessions: 40, messages: 200, documents: 60}

// fill fills a server: every third session belongs to nobody, some have no messages, one has half
// of them, and some documents have no document_id.
func fill(t testing.TB, server *zeptest.Server, client *zep.Client, l load) {
	t.Helper()
	require.NoError(t, server.SeedUsers(l.users, func(i int) zep.CreateUserRequest {
		u := zep.CreateUserRequest{UserID: fmt.Sprintf("user-%d@example.com", i)}
		if i%2 == 0 {
			u.Email, u.FirstName, u.LastName = u.UserID, "Jane", fmt.Sprintf("Doe the %dth <&>", i)
			u.Metadata = zep.Metadata{"plan": "pro", "n": i, "nested": map[string]any{"a": []any{1.5, nil}}}
		}
		return u
	}))
	require.NoError(t, server.SeedSessions(l.sessions, func(i int) zep.CreateSessionRequest {
		s := zep.CreateSessionRequest{SessionID: fmt.Sprintf("session-%d", i)}
		if i%3 > 0 && l.users > 0 {
			s.UserID = fmt.Sprintf("user-%d@example.com", i%l.users)
			s.Metadata = zep.Metadata{"topic": "books", "n": i}
		}
		return s
	}))
	fillMessages(t, server, client, l)
	fillDocuments(t, client, l)
}

func fillMessages(t testing.TB, server *zeptest.Server, client *zep.Client, l load) {
	t.Helper()
	for i, left := 0, l.messages; i < l.sessions && left > 0; i++ {
		n := min(left, l.messages/l.sessions)
		switch {
		case i == 1:
			n = left / 2
		case i%7 == 6:
			continue
		case i == l.sessions-1:
			n = left
		}
		left -= n
		var list []*zep.Message
		for m := range n {
			message := &zep.Message{
				Role:    zep.RoleUser,
				Content: fmt.Sprintf("Message %d of session %d: <b>read</b> Moby-Dick & tell 日本.", m, i),
			}
			if m%2 == 1 {
				message.Role = zep.RoleAssistant
				message.Metadata = zep.Metadata{"score": float64(m) / 4, "tags": []any{"a", "b"}}
			}
			list = append(list, message)
		}
		id := fmt.Sprintf("session-%d", i)
		add := &zep.AddMemoryRequest{Messages: list}
		require.NoError(t, client.Memory.Add(context.Background(), id, add))
		if i%5 == 0 {
			require.NoError(t, server.SetSummary(id, "They talked about "+id+"."))
		}
	}
}

func fillDocuments(t testing.TB, client *zep.Client, l load) {
	t.Helper()
	ctx := context.Background()
	names := []string{"library", "vectors", "empty"}
	for i, name := range names {
		dimensions := 384
		if name == "vectors" {
			dimensions = 8
		}
		_, err := client.Collection.Add(ctx, &zep.CreateCollectionRequest{
			Name:                name,
			Description:         strings.Repeat("d", i),
			Metadata:            zep.Metadata{"i": i},
			EmbeddingDimensions: dimensions,
			IsAutoEmbedded:      name != "vectors",
		})
		require.NoError(t, err)
	}
	lists := map[string][]*zep.CreateDocumentRequest{}
	for i := range l.documents {
		d := &zep.CreateDocumentRequest{Content: fmt.Sprintf("Text %d about whales.", i)}
		if i%4 > 0 {
			d.DocumentID, d.Metadata = fmt.Sprintf("doc-%d", i), zep.Metadata{"i": i}
		}
		name := names[i%2]
		if name == "vectors" {
			d.Embedding = []float32{1, 0.1, float32(i) / 3, 0, 0, 0, 0, -1e-7}
		}
		lists[name] = append(lists[name], d)
	}
	for name, list := range lists {
		_, err := client.Document.Add(ctx, name, list)
		require.NoError(t, err)
	}
}

// serve puts a handler in front of a server.
func serve(t testing.TB, handler http.HandlerFunc) string {
	t.Helper()
	front := httptest.NewServer(handler)
	t.Cleanup(front.Close)
	return front.URL
}

// files returns the files of an export but for its manifest.
func files(t testing.TB, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	all := map[string]string{}
	for _, entry := range entries {
		if entry.Name() != manifestName {
			all[entry.Name()] = readFile(t, filepath.Join(dir, entry.Name()))
		}
	}
	return all
}

// timeless returns a manifest without its times and its server's address.
func timeless(t testing.TB, dir string) manifest {
	t.Helper()
	m, err := readManifest(dir)
	require.NoError(t, err)
	m.Began, m.Ended, m.Server.URL = time.Time{}, nil, ""
	return *m
}

func readFile(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(data)
}

// differences parses JSON Lines.
func differences(t testing.TB, lines string) []difference {
	t.Helper()
	var all []difference
	for _, line := range splitLines(lines) {
		var d difference
		require.NoError(t, json.Unmarshal([]byte(line), &d), line)
		all = append(all, d)
	}
	return all
}

func splitLines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}
