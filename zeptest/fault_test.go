package zeptest_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep/zeptest"
)

// TestFaults injects a fault, adds a user, and compares what the client got with what the server
// has.
func TestFaults(t *testing.T) {
	t.Parallel()
	busy := http.Header{"Retry-After": {"7"}}
	for _, test := range []struct {
		name   string
		fault  zeptest.Fault
		status int // 0: no answer
		body   string
		added  bool
	}{
		{"status", zeptest.Fault{Status: 503, Body: "busy\n", Header: busy}, 503, "busy\n", false},
		{"status, handled", zeptest.Fault{Status: 502, Apply: true}, 502, "", true},
		{"cut", zeptest.Fault{Cut: true}, 0, "", false},
		{"cut, handled", zeptest.Fault{Cut: true, Apply: true}, 0, "", true},
		{"cut after a delay", zeptest.Fault{Cut: true, Delay: time.Millisecond}, 0, "", false},
		{"delay", zeptest.Fault{Delay: time.Millisecond}, 201, "", true},
		{"delay, handled", zeptest.Fault{Delay: time.Millisecond, Apply: true}, 201, "", true},
		{"matching", zeptest.Fault{Status: 500, Method: "POST", Route: "/user"}, 500, "", false},
		{"another method", zeptest.Fault{Status: 500, Method: "PATCH"}, 201, "", true},
		{"another route", zeptest.Fault{Status: 500, Route: "/user/{userId}"}, 201, "", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			s.Inject(test.fault)
			resp, err := try(s, "POST", "/user", `{"user_id":"u"}`)
			assert.Equal(t, 1, s.Requests())
			if test.status == 0 {
				assert.Error(t, err)
			} else {
				require.NoError(t, err)
				assert.Equal(t, test.status, resp.StatusCode)
				assert.Equal(t, test.fault.Header.Get("Retry-After"),
					resp.Header.Get("Retry-After"))
				if test.status == http.StatusCreated {
					assert.Equal(t, "u", *decode[record](t, resp.body).UserID)
				} else {
					assert.Equal(t, test.body, resp.body)
				}
			}
			_, answer := send(t, s, "GET", "/user?limit=1", "")
			assert.Equal(t, test.added, len(decode[[]record](t, answer)) == 1)
		})
	}
}

func TestFaults_Order(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.Inject(
		zeptest.Fault{Status: 503, Times: 2},
		zeptest.Fault{Status: 418, Route: "/sessions"},
		zeptest.Fault{Status: 502},
		zeptest.Fault{Status: 500, Times: -1, Route: "/healthz"},
	)
	var got []int
	for _, path := range []string{"/user", "/sessions", "/user", "/user", "/sessions"} {
		status, _ := send(t, s, "GET", path, "")
		got = append(got, status)
	}
	for range 3 {
		resp, err := http.Get(s.URL + "/healthz")
		require.NoError(t, err)
		resp.Body.Close()
		got = append(got, resp.StatusCode)
	}
	assert.Equal(t, []int{503, 503, 502, 200, 418, 500, 500, 500}, got)
}

// TestFaults_ClientLeaves has a client that leaves. Its write is done only with Apply.
func TestFaults_ClientLeaves(t *testing.T) {
	t.Parallel()
	for _, apply := range []bool{false, true} {
		s := newServer(t)
		s.Inject(zeptest.Fault{Delay: time.Hour, Apply: apply})
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		_, err := tryContext(ctx, s, "POST", "/user", `{"user_id":"u"}`)
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		s.Inject(zeptest.Fault{Apply: true}) // changes nothing
		status, _ := send(t, s, "GET", "/user/u", "")
		assert.Equal(t, apply, status == 200)
	}
}

func TestFaults_BodyTooLarge(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.Inject(zeptest.Fault{Apply: true})
	status, _ := send(t, s, "POST", "/user", strings.Repeat(" ", 6<<20))
	assert.Equal(t, 413, status)
}

func TestInject_InvalidStatus(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	assert.Panics(t, func() { s.Inject(zeptest.Fault{Status: 42}) })
}
