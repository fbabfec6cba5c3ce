package main

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/zeptest"
)

// build builds the program.
func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "chunked")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return program
}

// moment is when the program is killed: with the nth request of a method. That request is carried
// out or not, and not answered.
type moment struct {
	method     string
	n          int
	carriedOut bool
}

// process is a run of the program. It is also the server of that run, which kills it.
type process struct {
	zep   *zeptest.Server
	proxy *httptest.Server
	cmd   *exec.Cmd

	mu    sync.Mutex
	at    moment         // n is the number of requests that are left
	sent  map[string]int // adds and updates, by method and user id
	added []string       // the users that the server has added
	walks []string       // the queries of the walks
	ended chan error     // has a value when the process has ended
}

// start runs the program until it ends or, if at has a method, is killed.
func start(
	t *testing.T, server *zeptest.Server, program string, at moment, args ...string,
) (p *process, stdout string) {
	t.Helper()
	p = &process{
		zep:   server,
		cmd:   exec.Command(program, args...),
		at:    at,
		sent:  map[string]int{},
		ended: make(chan error, 1),
	}
	// A proxy of its own, so that requests which an earlier run has left are not counted here.
	p.proxy = httptest.NewServer(p)
	t.Cleanup(p.proxy.Close)
	p.cmd.Env = append(os.Environ(), "ZEP_API_URL="+p.proxy.URL, "ZEP_API_KEY=")
	var out, progress bytes.Buffer
	p.cmd.Stdout, p.cmd.Stderr = &out, &progress
	p.mu.Lock()
	err := p.cmd.Start()
	p.mu.Unlock()
	require.NoError(t, err)
	if at.method == "" {
		require.NoError(t, p.cmd.Wait(), "%s%s", &out, &progress)
		return p, out.String()
	}
	require.ErrorContains(t, <-p.ended, killed, "%s%s", &out, &progress)
	return p, out.String()
}

// killed is the error of a process that was killed, and did not end by itself.
var killed = map[bool]string{
	false: "signal: killed",
	true:  "exit status 1",
}[runtime.GOOS == "windows"]

// ServeHTTP handles a request of the program, and kills it at its moment.
func (p *process) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // the program is dead
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	userID, now := p.count(r, body)
	if now && !p.at.carriedOut {
		p.kill()
	}
	answer := httptest.NewRecorder()
	p.zep.ServeHTTP(answer, r)
	if answer.Code == http.StatusCreated {
		p.mu.Lock()
		p.added = append(p.added, userID)
		p.mu.Unlock()
	}
	if now {
		p.kill()
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

// count counts a request, and reports whether it is the one at which the program is killed.
func (p *process) count(r *http.Request, body []byte) (userID string, now bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch r.Method {
	case http.MethodGet:
		p.walks = append(p.walks, r.URL.RawQuery)
	case http.MethodPost:
		var user zep.User
		_ = json.Unmarshal(body, &user)
		userID = user.UserID
		p.sent["POST "+userID]++
	case http.MethodPatch:
		p.sent["PATCH "+path.Base(r.URL.Path)]++
	}
	if r.Method == p.at.method {
		p.at.n--
		now = p.at.n == 0
	}
	return userID, now
}

// kill ends the program as kill -9 does, and its request without an answer.
func (p *process) kill() {
	p.mu.Lock() // the process has been started
	defer p.mu.Unlock()
	_ = p.cmd.Process.Kill()
	p.ended <- p.cmd.Wait()
	panic(http.ErrAbortHandler)
}

var moments = []moment{
	{method: "GET", n: 1},
	{method: "GET", n: 2, carriedOut: true},
	{method: "POST", n: 1},
	{method: "POST", n: 1, carriedOut: true},
	{method: "POST", n: 20},
	{method: "PATCH", n: 1},
	{method: "PATCH", n: 1, carriedOut: true},
	{method: "POST", n: 300, carriedOut: true},
	{method: "POST", n: 500},
	{method: "PATCH", n: 3},
	{method: "POST", n: 30},
	{method: "GET", n: 18}, // in the walk at the end
	{method: "GET", n: 18, carriedOut: true},
}

// old is the number of users of the file that the server has before the import, with other
// metadata.
const old = 100

func newServerWithOldUsers(t *testing.T) *zeptest.Server {
	t.Helper()
	_, server := newClient(t)
	rows := cells(t)
	require.NoError(t, server.SeedUsers(old, func(i int) zep.CreateUserRequest {
		return zep.CreateUserRequest{UserID: rows[10*i][0], Metadata: zep.Metadata{"plan": "old"}}
	}))
	return server
}

// TestProgram_Killed kills the program again and again, and starts it again each time, in the same
// way.
func TestProgram_Killed(t *testing.T) {
	t.Parallel()
	server, program := newServerWithOldUsers(t), build(t)
	sent := map[string]int{}
	var processes []*process
	for _, at := range append(moments, moment{}) {
		p, stdout := start(t, server, program, at)
		processes = append(processes, p)
		p.mu.Lock()
		adds, updates := repeated(sent, p.sent, "POST"), repeated(sent, p.sent, "PATCH")
		assert.LessOrEqual(t, adds, 16, "rows that were sent before, until %+v", at)
		assert.LessOrEqual(t, updates, 16, "rows that were sent before, until %+v", at)
		maps.Copy(sent, p.sent)
		p.mu.Unlock()
		if at.method == "" {
			assert.Contains(t, stdout, "1235 of 1235 rows need no import.")
			assert.Empty(t, p.sent)
			assert.Contains(t, stdout, "Walked 1235 users in 13 chunks of at most 100: 1235 of the")
		}
	}
	added := map[string]int{}
	for _, p := range processes {
		p.proxy.Close() // waits for its requests
		for _, userID := range p.added {
			added[userID]++
			assert.Equal(t, 1, added[userID], "additions of %s", userID)
		}
	}
	assert.Equal(t, len(cells(t))-old, len(added), "users added")
	client, err := server.Client()
	require.NoError(t, err)
	requireEveryCell(t, client)
}

// TestProgram_KilledAfter starts the program again with the flag that it shows: it does not walk
// the users again that were there before.
func TestProgram_KilledAfter(t *testing.T) {
	t.Parallel()
	server, program := newServerWithOldUsers(t), build(t)
	var args []string
	sent := map[string]int{}
	for _, at := range []moment{
		{method: "GET", n: 1},
		{method: "POST", n: 200, carriedOut: true},
		{method: "POST", n: 700},
		{method: "GET", n: 18, carriedOut: true},
		{}, // not killed
	} {
		p, stdout := start(t, server, program, at, args...)
		p.mu.Lock()
		assert.LessOrEqual(t, repeated(sent, p.sent, "POST"), 16+old)
		assert.LessOrEqual(t, repeated(sent, p.sent, "PATCH"), 16+old)
		maps.Copy(sent, p.sent)
		if len(args) > 0 {
			assert.Equal(t, "cursor="+strconv.Itoa(old)+"&limit=100", p.walks[0])
		}
		p.mu.Unlock()
		if shown := hint.FindStringSubmatch(stdout); shown != nil {
			assert.Equal(t, strconv.Itoa(old), shown[1])
			args = []string{"-after", shown[1]}
		}
	}
	client, err := server.Client()
	require.NoError(t, err)
	requireEveryCell(t, client)
}

var hint = regexp.MustCompile(`-after (\d+) continues it`)

// repeated counts the requests of a method for users for whom there was one before.
func repeated(before, now map[string]int, method string) int {
	n := 0
	for request := range now {
		if before[request] > 0 && request[:len(method)] == method {
			n++
		}
	}
	return n
}
