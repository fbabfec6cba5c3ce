package zeptest_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep/zeptest"
)

// TestClose has clients that never finish: Close must not wait for them.
func TestClose(t *testing.T) {
	t.Parallel()
	halfABody := func(t *testing.T, s *zeptest.Server) {
		conn := dial(t, s)
		_, err := io.WriteString(conn, "POST /api/v1/user HTTP/1.1\r\nHost: zep\r\n"+
			"Content-Length: 100\r\n\r\n{")
		require.NoError(t, err)
	}
	for name, test := range map[string]struct {
		opts   []zeptest.Option
		faults []zeptest.Fault
		begin  func(*testing.T, *zeptest.Server)
		count  int // of requests that have arrived when Close is called
	}{
		"half a body": {begin: halfABody, count: 1},
		"half a body, to a fault": {
			faults: []zeptest.Fault{{Delay: time.Hour, Apply: true}},
			begin:  halfABody,
			count:  1,
		},
		"half a head": {
			begin: func(t *testing.T, s *zeptest.Server) {
				_, err := io.WriteString(dial(t, s), "GET /healthz HTTP/1.1\r\nHo")
				require.NoError(t, err)
			},
		},
		"nothing": {begin: func(t *testing.T, s *zeptest.Server) { dial(t, s) }},
		"an answer that is not read": {
			begin: func(t *testing.T, s *zeptest.Server) {
				require.NoError(t, s.SeedUsers(20_000, manyUsers))
				_, err := io.WriteString(dial(t, s),
					"GET /api/v1/user HTTP/1.1\r\nHost: zep\r\n\r\n")
				require.NoError(t, err)
			},
			count: 1,
		},
		"a delayed request": {
			faults: []zeptest.Fault{{Delay: time.Hour}},
			begin: func(t *testing.T, s *zeptest.Server) {
				goTry(t, s, "GET", "/user/u", "")
			},
			count: 1,
		},
		"a delete in the middle": {
			faults: []zeptest.Fault{{Method: "DELETE", Steps: 1, Delay: time.Hour}},
			begin: func(t *testing.T, s *zeptest.Server) {
				goTry(t, s, "DELETE", "/user/u", "")
			},
			count: 1,
		},
		"updates that wait for locks": {
			opts: []zeptest.Option{zeptest.WithStickyLocks()},
			begin: func(t *testing.T, s *zeptest.Server) {
				leaveLocked(t, s, "/user/a", "/sessions/b", "/sessions/s/messages/"+uuid1)
				for _, path := range []string{"/user/a", "/sessions/b",
					"/sessions/s/messages/" + uuid1} {
					goTry(t, s, "PATCH", path, `{"metadata":{"a":1}}`)
				}
			},
			count: 6,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := zeptest.NewServer(test.opts...)
			s.Inject(test.faults...)
			test.begin(t, s)
			require.Eventually(t, func() bool { return s.Requests() == test.count },
				10*time.Second, time.Millisecond)
			closeInTime(t, s)
			s.Close() // does nothing
		})
	}
}

// TestClose_WhileClientsConnect closes servers to which clients keep connecting.
func TestClose_WhileClientsConnect(t *testing.T) {
	t.Parallel()
	for range 50 {
		s := zeptest.NewServer()
		address := strings.TrimPrefix(s.URL, "http://")
		var clients sync.WaitGroup
		var first sync.WaitGroup
		for range 8 {
			clients.Add(1)
			first.Add(1)
			go func() {
				defer clients.Done()
				connected := first.Done
				for {
					conn, err := net.Dial("tcp", address)
					connected()
					connected = func() {}
					if err != nil {
						return
					}
					_, _ = io.WriteString(conn, "POST /api/v1/user HTTP/1.1\r\nHost: zep\r\n"+
						"Content-Length: 100\r\n\r\n{")
					go func() {
						_, _ = io.Copy(io.Discard, conn) // until the server closes it
						_ = conn.Close()
					}()
				}
			}()
		}
		first.Wait()
		closeInTime(t, s)
		clients.Wait()
	}
}

// TestServer_WritesNothingToStderr runs itself in another process, with a header that net/http
// logs.
func TestServer_WritesNothingToStderr(t *testing.T) {
	t.Parallel()
	const again = "ZEPTEST_TEST_STDERR"
	if os.Getenv(again) == "" {
		test := exec.Command(os.Args[0], "-test.run=^TestServer_WritesNothingToStderr$")
		test.Env = append(os.Environ(), again+"=1")
		var stderr strings.Builder
		test.Stderr = &stderr
		require.NoError(t, test.Run())
		assert.Empty(t, stderr.String())
		return
	}
	s := newServer(t)
	s.Inject(zeptest.Fault{Status: 200, Header: http.Header{"Content-Length": {"many"}}})
	_, err := try(s, "GET", "/user", "")
	require.NoError(t, err)
}

func closeInTime(t *testing.T, s *zeptest.Server) {
	t.Helper()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		s.Close()
	}()
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		require.FailNow(t, "Close hangs")
	}
}

func dial(t *testing.T, s *zeptest.Server) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// goTry sends a request that Close cuts off.
func goTry(t *testing.T, s *zeptest.Server, method, path, body string) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err := tryContext(context.Background(), s, method, path, body)
		assert.Error(t, err)
	}()
	t.Cleanup(func() { <-done })
}
