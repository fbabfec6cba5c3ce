package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	zepmcp "github.com/zep-go/zep/integrations/mcp"
	"github.com/zep-go/zep/zeptest"
)

// binary is the built command.
var binary string

func TestMain(m *testing.M) {
	os.Unsetenv("ZEP_API_URL")
	os.Unsetenv("ZEP_API_KEY")
	dir, err := os.MkdirTemp("", "zep-mcp")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "zep-mcp")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		panic(fmt.Sprintf("%v\n%s", err, out))
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

type object = map[string]any

// buffer collects the standard error output of a command.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// command returns the command with a Zep server.
func command(url string, args ...string) (*exec.Cmd, *buffer) {
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), "ZEP_API_URL="+url)
	stderr := new(buffer)
	cmd.Stderr = stderr
	return cmd, stderr
}

// connect starts the command as an MCP client does.
func connect(t *testing.T, url string, args ...string) (*mcp.ClientSession, *exec.Cmd, *buffer) {
	t.Helper()
	cmd, stderr := command(url, args...)
	client := mcp.NewClient(&mcp.Implementation{Name: "test"}, nil)
	session, err := client.Connect(context.Background(),
		&mcp.CommandTransport{Command: cmd, TerminateDuration: time.Minute}, nil)
	require.NoError(t, err)
	return session, cmd, stderr
}

func newZep(t *testing.T, options ...zeptest.Option) *zeptest.Server {
	t.Helper()
	server := zeptest.NewServer(options...)
	t.Cleanup(server.Close)
	return server
}

func call(session *mcp.ClientSession, tool string, arguments object) (*mcp.CallToolResult, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return session.CallTool(ctx, &mcp.CallToolParams{Name: tool, Arguments: arguments})
}

var hello = object{"session_id": "s1", "messages": []object{{"role": "user", "content": "hello"}}}

// rememberHelloBy returns the error of a call, or of its tool.
func rememberHelloBy(session *mcp.ClientSession) error {
	result, err := call(session, "remember", hello)
	if err == nil && result.IsError {
		err = errors.New(result.Content[0].(*mcp.TextContent).Text)
	}
	return err
}

func TestBinary_Tools(t *testing.T) {
	t.Parallel()
	zepServer := newZep(t)
	session, cmd, stderr := connect(t, zepServer.URL, "-user", "jane")
	assert.Equal(t, "zep-mcp", session.InitializeResult().ServerInfo.Name)
	assert.Equal(t, zepmcp.Version(), session.InitializeResult().ServerInfo.Version)
	result, err := call(session, "remember", hello)
	require.NoError(t, err)
	require.False(t, result.IsError)
	result, err = call(session, "recall", object{"session_id": "s1"})
	require.NoError(t, err)
	messages := result.StructuredContent.(object)["messages"].([]any)
	assert.Equal(t, "hello", messages[0].(object)["content"])
	result, err = call(session, "list_sessions", nil)
	require.NoError(t, err)
	sessions := result.StructuredContent.(object)["sessions"].([]any)
	assert.Equal(t, "jane", sessions[0].(object)["user_id"])

	require.NoError(t, session.Close())
	assert.True(t, cmd.ProcessState.Success())
	assert.Empty(t, stderr.String())
}

func TestBinary_Flags(t *testing.T) {
	t.Parallel()
	zepServer := newZep(t, zeptest.WithAPIKey("the-secret-key"))
	session, _, stderr := connect(t, zepServer.URL, "-read-only", "-max-bytes", "5000", "-v")
	var names []string
	for tool, err := range session.Tools(context.Background(), nil) {
		require.NoError(t, err)
		names = append(names, tool.Name)
	}
	assert.Len(t, names, 5)
	assert.NotContains(t, names, "remember")
	result, err := call(session, "recall", object{"session_id": "s1"})
	require.NoError(t, err)
	assert.True(t, result.IsError)
	assert.Contains(t, result.Content[0].(*mcp.TextContent).Text, "set another in ZEP_API_KEY")
	require.NoError(t, session.Close())
	assert.Contains(t, stderr.String(), "level=WARN msg=\"tool failed\" tool=recall")
	assert.Contains(t, stderr.String(), "level=INFO", "-v logs more")
}

func TestBinary_Key(t *testing.T) {
	t.Parallel()
	zepServer := newZep(t, zeptest.WithAPIKey("the-secret-key"))
	cmd, stderr := command(zepServer.URL)
	cmd.Env = append(cmd.Env, "ZEP_API_KEY=the-secret-key")
	client := mcp.NewClient(&mcp.Implementation{Name: "test"}, nil)
	session, err := client.Connect(context.Background(), &mcp.CommandTransport{Command: cmd}, nil)
	require.NoError(t, err)
	result, err := call(session, "remember", hello)
	require.NoError(t, err)
	assert.False(t, result.IsError)
	require.NoError(t, session.Close())
	assert.Empty(t, stderr.String())
}

func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, time.Minute, time.Millisecond)
}

// hanging starts the command, and a call that gets no answer from Zep.
func hanging(t *testing.T) (*mcp.ClientSession, *exec.Cmd, *buffer, chan error) {
	t.Helper()
	zepServer := newZep(t)
	zepServer.Inject(zeptest.Fault{Method: http.MethodPost, Delay: time.Hour, Times: -1})
	session, cmd, stderr := connect(t, zepServer.URL)
	ended := make(chan error, 1)
	go func() {
		ended <- rememberHelloBy(session)
	}()
	waitFor(t, func() bool { return zepServer.Requests() > 0 })
	return session, cmd, stderr, ended
}

const (
	initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":` +
		`"2025-06-18","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}` + "\n" +
		`{"jsonrpc":"2.0","method":"notifications/initialized"}` + "\n"
	rememberHello = `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"remember",` +
		`"arguments":{"session_id":"s1","messages":[{"role":"user","content":"hello"}]}}}` + "\n"
	listTools = `{"jsonrpc":"2.0","id":%d,"method":"tools/list"}` + "\n"
)

// start starts the command with the text as the beginning of its input.
func start(t *testing.T, cmd *exec.Cmd, input string) io.WriteCloser {
	t.Helper()
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	_, err = io.WriteString(stdin, input)
	require.NoError(t, err)
	return stdin
}

// The end of the input ends the command and the calls under way.
func TestBinary_EndOfInput(t *testing.T) {
	t.Parallel()
	zepServer := newZep(t)
	zepServer.Inject(zeptest.Fault{Method: http.MethodPost, Delay: time.Hour, Times: -1})
	cmd, stderr := command(zepServer.URL)
	stdout := new(buffer)
	cmd.Stdout = stdout
	stdin := start(t, cmd, initialize+rememberHello)
	waitFor(t, func() bool { return zepServer.Requests() > 0 })
	began := time.Now()
	require.NoError(t, stdin.Close())
	require.NoError(t, cmd.Wait(), "%s", stderr)
	assert.Less(t, time.Since(began), 20*time.Second, "the call has 30 s")
	assert.Equal(t, 1, strings.Count(stdout.String(), "\n"), stdout)
	for _, line := range strings.Split(strings.TrimSpace(stdout.String()), "\n") {
		assert.True(t, strings.HasPrefix(line, `{"jsonrpc":"2.0"`), line)
	}
}

func TestBinary_Garbage(t *testing.T) {
	t.Parallel()
	cmd, stderr := command("http://localhost:1")
	stdin := start(t, cmd, "GET / HTTP/1.1\n")
	defer stdin.Close()
	require.EqualError(t, cmd.Wait(), "exit status 1")
	assert.Regexp(t, `^zep-mcp: .*invalid character 'G'.*\n$`, stderr.String())
}

// A client that does not read its answers cannot keep the command from ending.
func TestBinary_BlockedOutput(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such signals")
	}
	zepServer := newZep(t)
	cmd, stderr := command(zepServer.URL)
	_, err := cmd.StdoutPipe() // nobody reads it
	require.NoError(t, err)
	var input strings.Builder
	for i := range 50 { // far more than a pipe holds
		fmt.Fprintf(&input, listTools, i+2)
	}
	stdin := start(t, cmd, initialize+input.String()+rememberHello)
	defer stdin.Close()
	waitFor(t, func() bool { return zepServer.Requests() > 0 })
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.EqualError(t, cmd.Wait(), "exit status 1")
	assert.Contains(t, stderr.String(), "the client does not read their answers")
}

func TestBinary_Signals(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such signals")
	}
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			session, cmd, stderr, ended := hanging(t)
			began := time.Now()
			require.NoError(t, cmd.Process.Signal(signal))
			require.Error(t, <-ended)
			require.NoError(t, session.Close(), "the exit status is 0")
			assert.Less(t, time.Since(began), 20*time.Second, "the call has 30 s")
			assert.NotContains(t, stderr.String(), "level=ERROR")
		})
	}
}

// runCommand returns what a command prints that does not serve.
func runCommand(args ...string) (stdout, stderr string, err error) {
	cmd, errs := command("http://localhost:1", args...)
	out, err := cmd.Output()
	return string(out), errs.String(), err
}

func TestBinary_Version(t *testing.T) {
	t.Parallel()
	stdout, stderr, err := runCommand("-version")
	require.NoError(t, err)
	assert.Equal(t, "zep-mcp "+zepmcp.Version()+" "+runtime.Version()+"\n", stdout)
	assert.Empty(t, stderr)
}

// Nothing but the protocol is on the standard output.
func TestBinary_Usage(t *testing.T) {
	t.Parallel()
	stdout, stderr, err := runCommand("-help")
	require.NoError(t, err)
	assert.Empty(t, stdout)
	assert.Contains(t, stderr, "ZEP_API_URL and ZEP_API_KEY name the Zep server and its key.")

	for want, args := range map[string][]string{
		"exit status 2: flag provided but not defined: -nope":                    {"-nope"},
		`exit status 2: zep-mcp: unexpected argument "x": there are only flags`:  {"x"},
		"exit status 1: zep-mcp: zepmcp: MaxBytes is 1, must be 4096 to 1048576": {"-max-bytes", "1"},
		`exit status 1: zep-mcp: zepmcp: UserID must not be "." or ".."`:         {"-user", ".."},
		"exit status 1: zep-mcp: zep: NewClient: WithTimeout":                    {"-timeout", "-1s"},
	} {
		stdout, stderr, err := runCommand(args...)
		require.Error(t, err)
		assert.Contains(t, err.Error()+": "+stderr, want)
		assert.Empty(t, stdout)
	}
}

func TestBinary_BadEnvironment(t *testing.T) {
	t.Parallel()
	cmd, stderr := command("http://jane:hush@localhost:1")
	require.EqualError(t, cmd.Run(), "exit status 1")
	assert.Equal(t, 1, strings.Count(stderr.String(), "\n"), stderr)
	assert.NotContains(t, stderr.String(), "hush")
}

// What the command does in this process leaves no goroutine behind, however it ends.
func TestRun(t *testing.T) {
	zepServer := newZep(t)
	t.Setenv("ZEP_API_URL", zepServer.URL) // not in parallel
	for name, end := range map[string]func(context.CancelFunc, io.Closer){
		"end of input":   func(_ context.CancelFunc, input io.Closer) { _ = input.Close() },
		"end of context": func(cancel context.CancelFunc, _ io.Closer) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			fromClient, toServer := io.Pipe()
			fromServer, toClient := io.Pipe()
			status := make(chan int, 1)
			stderr := new(buffer)
			go func() {
				status <- run(ctx, nil, streams{fromClient, toClient, stderr})
				_ = toClient.Close()
			}()
			client := mcp.NewClient(&mcp.Implementation{Name: "test"}, nil)
			session, err := client.Connect(context.Background(),
				&mcp.IOTransport{Reader: fromServer, Writer: toServer}, nil)
			require.NoError(t, err)
			zepServer.Inject(zeptest.Fault{Method: http.MethodPost, Delay: time.Hour})
			before := zepServer.Requests()
			ended := make(chan error, 1)
			go func() {
				ended <- rememberHelloBy(session)
			}()
			waitFor(t, func() bool { return zepServer.Requests() > before })
			end(cancel, toServer)
			assert.Equal(t, 0, <-status, stderr)
			_ = toServer.Close()
			require.Error(t, <-ended)
			_ = session.Close()
		})
	}
}

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}

// TestReadme_Flags compares the table of flags with the command's.
func TestReadme_Flags(t *testing.T) {
	t.Parallel()
	names := func(pattern, text string) (names []string) {
		for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
			names = append(names, match[1])
		}
		return names
	}
	_, usage, err := runCommand("-help")
	require.NoError(t, err)
	flags := names(`(?m)^  -([\w-]+)`, usage)
	assert.NotEmpty(t, flags)
	assert.ElementsMatch(t, flags, names("(?m)^\\| `-([\\w-]+)( \\w+)?` \\|", readme(t)))
}

// TestReadme_Configuration starts the command as the README configures an MCP client.
func TestReadme_Configuration(t *testing.T) {
	t.Parallel()
	_, text, _ := strings.Cut(readme(t), "```json\n")
	text, _, _ = strings.Cut(text, "```")
	var config struct {
		Servers map[string]struct {
			Command string
			Args    []string
			Env     map[string]string
		} `json:"mcpServers"`
	}
	require.NoError(t, json.Unmarshal([]byte(text), &config))
	require.Len(t, config.Servers, 1)
	entry := config.Servers["zep"]
	assert.Equal(t, "zep-mcp", entry.Command)
	assert.Equal(t, "http://localhost:8000", entry.Env["ZEP_API_URL"])

	zepServer := newZep(t)
	entry.Env["ZEP_API_URL"] = zepServer.URL
	cmd, stderr := command("", entry.Args...)
	for name, value := range entry.Env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "test"}, nil)
	session, err := client.Connect(context.Background(), &mcp.CommandTransport{Command: cmd}, nil)
	require.NoError(t, err)
	require.NoError(t, rememberHelloBy(session))
	require.NoError(t, session.Close())
	assert.Empty(t, stderr.String())
}
