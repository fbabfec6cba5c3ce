package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/zep-go/zep"
)

// programVariable makes the test binary the program.
const programVariable = "ZEPTEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(programVariable) != "" {
		main()
	}
	goleak.VerifyTestMain(m)
}

// process is the program, as a process of its own.
type process struct {
	*exec.Cmd

	url    string        // what it says on the standard output
	rest   *bufio.Reader // of the standard output
	stderr bytes.Buffer  // complete when the process has ended
}

func start(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(os.Args[0], args...)}
	p.Env = append(os.Environ(), programVariable+"=1", "ZEP_API_KEY=")
	p.Env = append(p.Env, env...)
	p.Stderr = &p.stderr
	stdout, err := p.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.Start())
	t.Cleanup(func() {
		_ = p.Process.Kill()
		_ = p.Wait()
	})
	p.rest = bufio.NewReader(stdout)
	line, err := p.rest.ReadString('\n')
	require.NoError(t, err)
	url, found := strings.CutPrefix(line, "export ZEP_API_URL=")
	require.True(t, found, line)
	p.url = strings.TrimSuffix(url, "\n")
	return p
}

func (p *process) client(t *testing.T, key string) *zep.Client {
	t.Helper()
	client, err := zep.NewClient(zep.WithBaseURL(p.url), zep.WithAPIKey(key))
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// waitClosed waits until the process accepts no connection.
func (p *process) waitClosed(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
		if err == nil {
			conn.Close()
		}
		return err != nil
	}, time.Minute, 10*time.Millisecond)
}

// halfARequest sends the head of a request that adds a user, and returns when the server waits for
// its body.
func halfARequest(t *testing.T, url string) (conn net.Conn, body string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	body = `{"user_id": "jane"}`
	_, err = fmt.Fprintf(conn, "POST /api/v1/user HTTP/1.1\r\nHost: zep\r\nExpect: 100-continue\r\n"+
		"Content-Length: %d\r\n\r\n", len(body))
	require.NoError(t, err)
	const goOn = "HTTP/1.1 100 Continue\r\n\r\n"
	reply := make([]byte, len(goOn))
	_, err = io.ReadFull(conn, reply)
	require.NoError(t, err)
	require.Equal(t, goOn, string(reply))
	return conn, body
}

func TestProgram_Signals(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("no signal can be sent to a process")
	}
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			p := start(t, nil, "-addr", "127.0.0.1:0")
			client := p.client(t, "")
			ctx := context.Background()
			user, err := client.User.Add(ctx, &zep.CreateUserRequest{UserID: "joe"})
			require.NoError(t, err)
			assert.Equal(t, "joe", user.UserID)
			health, err := client.Health(ctx)
			require.NoError(t, err)
			assert.True(t, strings.HasPrefix(health.Version, "0.27.2"), health.Version)

			conn, body := halfARequest(t, p.url)
			require.NoError(t, p.Process.Signal(signal))
			p.waitClosed(t)
			_, err = io.WriteString(conn, body)
			require.NoError(t, err)
			answer, err := io.ReadAll(conn)
			require.NoError(t, err)
			assert.Contains(t, string(answer), "HTTP/1.1 201 Created")

			left, err := io.ReadAll(p.rest)
			require.NoError(t, err)
			assert.Empty(t, left, "one line on the standard output")
			require.NoError(t, p.Wait())
			assert.Empty(t, p.stderr.String())
		})
	}
}

// TestProgram_SecondSignal has a client that never ends its request: the second signal does not
// wait for it.
func TestProgram_SecondSignal(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("no signal can be sent to a process")
	}
	p := start(t, nil, "-addr", "127.0.0.1:0")
	halfARequest(t, p.url)
	require.NoError(t, p.Process.Signal(os.Interrupt))
	p.waitClosed(t)
	ended := make(chan error, 1)
	go func() { ended <- p.Wait() }()
	for {
		_ = p.Process.Signal(os.Interrupt)
		select {
		case err := <-ended:
			require.ErrorContains(t, err, "signal: interrupt")
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestProgram_APIKey(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, test := range map[string]struct {
		env  []string
		args []string
		key  string
	}{
		"flag":                 {args: []string{"-api-key", "k3y"}, key: "k3y"},
		"environment":          {env: []string{"ZEP_API_KEY=k3y"}, key: "k3y"},
		"both":                 {[]string{"ZEP_API_KEY=other"}, []string{"-api-key=k3y"}, "k3y"},
		"environment, no flag": {[]string{"ZEP_API_KEY=other"}, []string{"-api-key="}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, test.env, append(test.args, "-addr", "127.0.0.1:0")...)
			_, err := p.client(t, test.key).User.List(ctx, nil)
			require.NoError(t, err)
			_, err = p.client(t, "").User.List(ctx, nil)
			if test.key == "" {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, zep.ErrUnauthorized)
			}
		})
	}
}

func TestProgram_Options(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	p := start(t, nil, "-addr=127.0.0.1:0", "-server-version=0.18.0", "-dimensions=16", "-log")
	client := p.client(t, "")
	health, err := client.Health(ctx)
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(health.Version, "0.18.0"), health.Version)
	_, err = client.Collection.Add(ctx, &zep.CreateCollectionRequest{
		Name:                "library",
		EmbeddingDimensions: 16,
		IsAutoEmbedded:      true,
	})
	require.NoError(t, err)
	_, err = client.Document.Add(ctx, "library", []*zep.CreateDocumentRequest{{Content: "Ishmael"}})
	require.NoError(t, err)
	collection, err := client.Collection.Get(ctx, "library")
	require.NoError(t, err)
	assert.Equal(t, 1, collection.DocumentEmbeddedCount)
	_, err = client.User.Get(ctx, "no body")
	require.ErrorIs(t, err, zep.ErrNotFound)

	require.NoError(t, p.Process.Kill())
	_ = p.Wait()
	assert.Regexp(t, `(?m)^[0-9:.]+ GET /healthz 200 \S+
[0-9:.]+ POST /api/v1/collection/library 200 \S+
`, p.stderr.String())
	assert.Regexp(t, `(?m)^[0-9:.]+ GET /api/v1/user/no%20body 404 \S+$`, p.stderr.String())
}

func TestRun_Refused(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { taken.Close() })
	for name, test := range map[string]struct {
		args   []string
		status int
		want   string
	}{
		"taken port":   {[]string{"-addr", taken.Addr().String()}, 1, "in use|permi"},
		"no port":      {[]string{"-addr", "localhost"}, 1, "missing port in address"},
		"unknown flag": {[]string{"-x"}, 2, "flag provided but not defined: -x"},
		"argument":     {[]string{"127.0.0.1:8000"}, 2, `unexpected argument "127.0.0.1:8000"`},
		"new version":  {[]string{"-server-version", "1.0.2"}, 2, `server version "1.0.2": must be 0.15`},
		"old version":  {[]string{"-server-version", "0.14"}, 2, "must be 0.15"},
		"dimensions":   {[]string{"-dimensions", "0"}, 2, "must be 1 or more"},
		"no number":    {[]string{"-dimensions", "many"}, 2, `invalid value "many" for flag -dimensions`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			assert.Equal(t, test.status,
				run(context.Background(), test.args, "", &stdout, &stderr))
			assert.Empty(t, stdout.String())
			assert.Regexp(t, `^zeptest: .*(`+test.want+`).*\n$`, stderr.String())
			assert.Equal(t, 1, strings.Count(stderr.String(), "\n"), "one line")
		})
	}
}

func TestRun_Help(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	assert.Zero(t, run(context.Background(), []string{"-h"}, "", &stdout, &stderr))
	assert.Empty(t, stderr.String())
	var shown []string
	flags := regexp.MustCompile(`(?m)^  -(\S+)`)
	for _, match := range flags.FindAllStringSubmatch(stdout.String(), -1) {
		shown = append(shown, match[1])
	}
	assert.ElementsMatch(t, []string{"addr", "api-key", "dimensions", "server-version", "log"}, shown)
	for file, format := range map[string]string{
		"main.go":                  "\n//	-%s",
		"../../../docs/testing.md": "\n| `-%s` | ",
	} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, flag := range shown {
			assert.Contains(t, string(text), fmt.Sprintf(format, flag), file)
		}
	}
}

// TestServe_StuckClient has a client that never ends its request: the server ends all the same.
func TestServe_StuckClient(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	stdout, said := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		s := settings{addr: "127.0.0.1:0", grace: 10 * time.Millisecond}
		ended <- serve(ctx, s, said, io.Discard)
	}()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	conn, _ := halfARequest(t, strings.TrimSpace(strings.TrimPrefix(line, "export ZEP_API_URL=")))
	stop()
	require.NoError(t, <-ended)
	_, err = conn.Read(make([]byte, 1))
	require.Error(t, err)
}

func TestBaseURL(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		"127.0.0.1:8000": "http://127.0.0.1:8000",
		"0.0.0.0:8000":   "http://localhost:8000",
		"[::]:8000":      "http://localhost:8000",
		"[::1]:8000":     "http://[::1]:8000",
	} {
		tcp, err := net.ResolveTCPAddr("tcp", addr)
		require.NoError(t, err)
		assert.Equal(t, want, baseURL(tcp))
	}
}
