package zep

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The three kinds of call that the table of retries knows.
var kinds = map[string]func(context.Context, *Client, ...RequestOption) error{
	"read": func(ctx context.Context, c *Client, opts ...RequestOption) error {
		_, err := c.User.Get(ctx, "jane", opts...)
		return err
	},
	"write that can be settled": func(ctx context.Context, c *Client, opts ...RequestOption) error {
		_, err := c.User.Add(ctx, &CreateUserRequest{UserID: "jane"}, opts...)
		return err
	},
	"write that cannot be settled": func(ctx context.Context, c *Client, opts ...RequestOption) error {
		_, err := do(ctx, c, unsettleable, opts)
		return err
	},
}

var unsettleable = call[*User]{method: http.MethodPost, route: "/once", body: struct{}{}, once: true}

// retryTable is the table of retry.go: what an attempt gets, and how often each kind of call is tried if every attempt gets the
// same.
var retryTable = []struct {
	row     string
	gets    string
	attempt step

	read, settled, once int
}{
	{"undone", "no connection: refused", neverDialled, 4, 4, 4},
	{"undone", "no connection: no such host", breaks(&net.DNSError{Err: "no such host", Name: "zep.test", IsNotFound: true}), 4, 4, 4},
	{"undone", "no connection: the proxy refuses", breaks(&net.OpError{Op: "proxyconnect", Net: "tcp", Err: io.EOF}), 4, 4, 4},
	{"undone", "a request cut before it was written", cutBeforeWritten, 4, 4, 4},
	{"undone", "429", answers(429, "slow down"), 4, 4, 4},
	{"undone", "503", answers(503, ""), 4, 4, 4},
	{"undone", "a lock that the server could not get", answers(500, "failed to acquire advisory lock: timeout\n"), 4, 4, 4},

	{"unknown", "502", answers(502, "<html>502 Bad Gateway</html>"), 4, 4, 1},
	{"unknown", "504", answers(504, ""), 4, 4, 1},
	{"unknown", "a connection that broke later", answerLost, 4, 4, 1},
	{"unknown", "a connection that broke, nobody knows when", breaks(io.ErrUnexpectedEOF), 4, 4, 1},
	{"unknown", "a server that closed the connection", breaks(io.EOF), 4, 4, 1},
	{"unknown", "an answer cut short", cutShort(200, `{"user_id":"ja`), 4, 4, 1},
	{"unknown", "half an answer, said to be whole", answers(200, `{"user_id":"ja`), 4, 4, 1},
	{"unknown", "an answer that is empty", answers(200, ""), 4, 4, 1},
	{"unknown", "an answer that is not Zep's: HTML", answers(200, "<html>welcome</html>"), 4, 4, 1},
	{"unknown", "an answer that is not Zep's: garbage", answers(200, "\x00\x01\x02"), 4, 4, 1},

	{"failed", "500", answers(500, ""), 4, 1, 1},
	{"failed", "500 that quotes a lock", answers(500, "no: failed to acquire advisory lock"), 4, 1, 1},
	{"failed", "506", answers(506, ""), 4, 1, 1},
	{"failed", "507", answers(507, ""), 4, 1, 1},
	{"failed", "599", answers(599, ""), 4, 1, 1},

	{"settled", "501", answers(501, ""), 1, 1, 1},
	{"settled", "505", answers(505, ""), 1, 1, 1},
	{"settled", "301", answers(301, "", "Location", "http://zep.test/elsewhere"), 1, 1, 1},
	{"settled", "307", answers(307, "", "Location", "http://zep.test/elsewhere"), 1, 1, 1},
	{"settled", "304", answers(304, ""), 1, 1, 1},
	{"settled", "400", answers(400, "bad request: UserID cannot be empty"), 1, 1, 1},
	{"settled", "401", answers(401, "no token found"), 1, 1, 1},
	{"settled", "403", answers(403, ""), 1, 1, 1},
	{"settled", "404", answers(404, "not found"), 1, 1, 1},
	{"settled", "405", answers(405, ""), 1, 1, 1},
	{"settled", "408", answers(408, ""), 1, 1, 1},
	{"settled", "409", answers(409, ""), 1, 1, 1},
	{"settled", "413", answers(413, ""), 1, 1, 1},
	{"settled", "400 that quotes a lock", answers(400, "failed to acquire advisory lock"), 1, 1, 1},
	{"settled", "a certificate nobody knows", breaks(&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}), 1, 1, 1},
	{"settled", "a certificate of another host", breaks(&tls.CertificateVerificationError{Err: x509.HostnameError{Certificate: &x509.Certificate{}, Host: "zep.test"}}), 1, 1, 1},
	{"settled", "no TLS", breaks(tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}), 1, 1, 1},
	{"settled", "HTTP in place of TLS", breaks(http.ErrSchemeMismatch), 1, 1, 1},
	{"settled", "a TLS alert of the server", breaks(&net.OpError{Op: "remote error", Err: tls.AlertError(70)}), 1, 1, 1},
	{"settled", "a TLS alert of this side", breaks(&net.OpError{Op: "local error", Err: tls.AlertError(70)}), 1, 1, 1},
	{"settled", "a TLS version that is not supported", breaks(errors.New("tls: server selected unsupported protocol version 301")), 1, 1, 1},
	{"settled", "a scheme that is not supported", breaks(errors.New(`unsupported protocol scheme "gopher"`)), 1, 1, 1},
	{"settled", "an answer over the limit", answers(200, `{"user_id":"`+strings.Repeat("j", 2000)+`"}`), 1, 1, 1},
	{"settled", "an answer of another shape", answers(200, `["jane"]`), 1, 1, 1},
	{"settled", "null for an answer", answers(200, "null"), 1, 1, 1},
	{"settled", "a success", answers(200, `{"user_id":"jane"}`), 1, 1, 1},
	{"settled", "a success without a record's status", answers(204, `{"user_id":"jane"}`), 1, 1, 1},
}

func TestRetryTable(t *testing.T) {
	t.Parallel()
	for _, row := range retryTable {
		for kind, want := range map[string]int{
			"read": row.read, "write that can be settled": row.settled, "write that cannot be settled": row.once,
		} {
			t.Run(row.row+"/"+row.gets+"/"+kind, func(t *testing.T) {
				t.Parallel()
				c, s, clock := scripted(t, nil, repeat(4, row.attempt)...)
				c.maxBody = 1000
				err := kinds[kind](context.Background(), c)
				assert.Len(t, s.requests(), want)
				assert.Len(t, clock.waited(), want-1)
				if strings.HasPrefix(row.gets, "a success") {
					require.NoError(t, err)
					return
				}
				e := requireError(t, err)
				assert.Equal(t, want, e.Attempts)
				assert.Equal(t, row.row == "unknown" && kind != "read", strings.Contains(e.Error(), "may have been carried out"), e)
				assert.NotErrorIs(t, err, context.DeadlineExceeded)
				assertOneLine(t, e.Error())
			})
		}
	}
}

// TestAWriteThatCannotBeSettledIsTriedUntilItMayHaveHappened: each attempt is judged by what it met itself, not by what the
// ones before it did.
func TestAWriteThatCannotBeSettledIsTriedUntilItMayHaveHappened(t *testing.T) {
	t.Parallel()
	busy := answers(503, "")
	tests := map[string]struct {
		steps    []step
		attempts int
		lost     bool // the error says that it may have been carried out
	}{
		"busy, then lost":                   {[]step{busy, answerLost}, 2, true},
		"busy, then 502":                    {[]step{busy, busy, answers(502, "")}, 3, true},
		"busy, then cut before written":     {[]step{busy, cutBeforeWritten, cutBeforeWritten, busy}, 4, false},
		"cut before written, then lost":     {[]step{cutBeforeWritten, answerLost}, 2, true},
		"no connection, then cut, then 400": {[]step{neverDialled, cutBeforeWritten, answers(400, "no")}, 3, false},
		"busy, then no connection":          {[]step{busy, neverDialled, neverDialled, neverDialled}, 4, false},
		"busy, then a bad certificate":      {[]step{busy, breaks(&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}})}, 2, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, s, _ := scripted(t, nil, test.steps...)
			_, err := do(context.Background(), c, unsettleable, nil)
			e := requireError(t, err)
			assert.Equal(t, test.attempts, e.Attempts)
			assert.Len(t, s.requests(), test.attempts)
			assert.Equal(t, test.lost, strings.Contains(e.Error(), "may have been carried out"), e)
		})
	}
}

// TestALateWriteErrorOfAnEarlierAttemptIsNotTakenForALaterOnes: http.Transport writes in a goroutine of its own, which may tell
// of its failure when the next attempt is already on its way.
func TestALateWriteErrorOfAnEarlierAttemptIsNotTakenForALaterOnes(t *testing.T) {
	t.Parallel()
	var late func()
	c, s, _ := scripted(t, nil,
		func(req *http.Request) (*http.Response, error) {
			late = func() { wrote(req, errors.New("write: broken pipe")) }
			return answers(503, "")(req)
		},
		func(req *http.Request) (*http.Response, error) {
			late()
			return answerLost(req)
		},
	)
	_, err := do(context.Background(), c, unsettleable, nil)
	assert.Equal(t, 2, requireError(t, err).Attempts)
	assert.Len(t, s.requests(), 2)
}

// TestARequestThatTheTransportSentAgainByItselfWasWritten: http.Transport repeats a request by itself if a kept connection turns
// out to be dead before a byte was written. That the first connection cut it says nothing of the second.
func TestARequestThatTheTransportSentAgainByItselfWasWritten(t *testing.T) {
	t.Parallel()
	c, s, _ := scripted(t, nil, func(req *http.Request) (*http.Response, error) {
		wrote(req, errors.New("write: broken pipe"))
		return answerLost(req)
	})
	_, err := do(context.Background(), c, unsettleable, nil)
	e := requireError(t, err)
	assert.Equal(t, 1, e.Attempts)
	assert.Len(t, s.requests(), 1)
	assert.ErrorContains(t, err, "may have been carried out")
}

// TestADeadKeptConnectionIsTakenForWhatItIs is the same on the wire.
func TestADeadKeptConnectionIsTakenForWhatItIs(t *testing.T) {
	t.Parallel()
	c := onRawWire(t, func(net.Conn) {}) // takes the request, and hangs up
	_, err := do(context.Background(), c, unsettleable, nil)
	e := requireError(t, err)
	assert.Equal(t, 1, e.Attempts)
	assert.ErrorContains(t, err, "may have been carried out")
}

// TestAConnectionThatBreaksInTheTLSHandshakeCarriedNothing: whatever is done about it, the request was not sent.
func TestAConnectionThatBreaksInTheTLSHandshakeCarriedNothing(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	serveConns(t, listener, func(conn net.Conn) {
		_, _ = bufio.NewReader(conn).ReadByte() // the beginning of the ClientHello
	})
	for kind, call := range kinds {
		c, err := NewClient(WithBaseURL("https://"+listener.Addr().String()), WithAPIKey(""))
		require.NoError(t, err)
		stopClock(c)
		err = call(context.Background(), c)
		assert.NotContains(t, requireError(t, err).Error(), "may have been carried out", kind)
	}
}

func TestARefusalThatACallKnowsToBeTransientIsTriedAgain(t *testing.T) {
	t.Parallel()
	c, _, clock := scripted(t, nil, answers(400, "bad request: session already exists with session_id: s"), answers(200, `{"user_id":"jane"}`))
	knows := unsettleable
	knows.transient = regexp.MustCompile(`^bad request: session already exists\b`)
	user, err := do(context.Background(), c, knows, nil)
	require.NoError(t, err)
	assert.Equal(t, "jane", user.UserID)
	assert.Len(t, clock.waited(), 1)
}

// TestASearchIsARead: a POST that changes nothing is tried again like a GET.
func TestASearchIsARead(t *testing.T) {
	t.Parallel()
	c, _, _ := scripted(t, nil, answers(500, ""), answers(502, ""), answerLost, answers(200, `{"user_id":"jane"}`))
	_, err := do(context.Background(), c, call[*User]{method: http.MethodPost, route: "/search", body: struct{}{}, read: true}, nil)
	require.NoError(t, err)
}

func TestEveryAttemptSendsTheSame(t *testing.T) {
	t.Parallel()
	c, s, _ := scripted(t, []Option{WithAPIKey(secret)}, answers(503, ""), neverDialled, answerLost, answers(201, `{"user_id":"jane"}`))
	_, err := c.User.Add(context.Background(), &CreateUserRequest{UserID: "jane", Metadata: Metadata{"a": 1}}, RequestHeader("X-Trace", "t"))
	require.NoError(t, err)
	requests := s.requests()
	require.Len(t, requests, 4)
	assert.JSONEq(t, `{"user_id":"jane","metadata":{"a":1}}`, requests[0].body)
	for _, request := range requests[1:] {
		assert.Equal(t, requests[0], request)
	}
}

func TestAttemptsAreBoundedByTheOptions(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		opts        []Option
		requestOpts []RequestOption
		want        int
	}{
		"by default":           {nil, nil, 4},
		"by the client":        {[]Option{WithMaxAttempts(2)}, nil, 2},
		"never again":          {[]Option{WithMaxAttempts(1)}, nil, 1},
		"by the call":          {nil, []RequestOption{RequestMaxAttempts(3)}, 3},
		"by the call, not all": {[]Option{WithMaxAttempts(9)}, []RequestOption{RequestMaxAttempts(1)}, 1},
		"by the call, more":    {[]Option{WithMaxAttempts(1)}, []RequestOption{RequestMaxAttempts(6)}, 6},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, s, _ := scripted(t, test.opts, repeat(10, answers(503, ""))...)
			err := kinds["read"](context.Background(), c, test.requestOpts...)
			assert.Equal(t, test.want, requireError(t, err).Attempts)
			assert.Len(t, s.requests(), test.want)
		})
	}
}

func TestWaitsDoubleUpToTheMaximum(t *testing.T) {
	t.Parallel()
	const s, ms = time.Second, time.Millisecond
	tests := map[string]struct {
		min, max time.Duration
		want     []time.Duration
	}{
		"default":                 {100 * ms, 5 * s, []time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 5 * s, 5 * s}},
		"three doublings":         {1 * s, 8 * s, []time.Duration{1 * s, 2 * s, 4 * s, 8 * s, 8 * s}},
		"max is no power of two":  {1 * s, 5 * s, []time.Duration{1 * s, 2 * s, 4 * s, 5 * s, 5 * s}},
		"max is less than twice":  {4 * s, 5 * s, []time.Duration{4 * s, 5 * s, 5 * s}},
		"always the same":         {2 * s, 2 * s, []time.Duration{2 * s, 2 * s, 2 * s}},
		"none":                    {0, 0, []time.Duration{0, 0, 0}},
		"none at first, and ever": {0, 5 * s, []time.Duration{0, 0, 0}},
		"the longest there is":    {math.MaxInt64 / 2, math.MaxInt64, []time.Duration{math.MaxInt64 / 2, math.MaxInt64 - 1, math.MaxInt64, math.MaxInt64}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _, clock := scripted(t, []Option{WithBackoff(test.min, test.max)})
			for i := range test.want {
				c.backoff(i + 1)
			}
			assert.Equal(t, test.want, clock.bounds)
			assert.NotPanics(t, func() { c.backoff(1000) })
		})
	}
	c, _, clock := scripted(t, []Option{WithMaxAttempts(9), WithTimeout(time.Hour)}, repeat(9, answers(503, ""))...)
	require.Error(t, kinds["read"](context.Background(), c))
	assert.Equal(t, tests["default"].want, clock.waited(), "what jitter leaves of it is waited")
}

func TestJitterIsFull(t *testing.T) {
	t.Parallel()
	const most = time.Second
	var low, high bool
	for range 1000 {
		wait := fullJitter(most)
		require.GreaterOrEqual(t, wait, time.Duration(0))
		require.Less(t, wait, most)
		low, high = low || wait < most/4, high || wait > most*3/4
	}
	assert.True(t, low && high, "the waits spread from nothing to the most")
	assert.Zero(t, fullJitter(0))
	assert.NotPanics(t, func() { assert.GreaterOrEqual(t, fullJitter(math.MaxInt64), time.Duration(0)) })
}

func TestRetryAfterIsHonouredUpTo30Seconds(t *testing.T) {
	t.Parallel()
	const backoff = 100 * time.Millisecond
	tests := map[string]struct {
		value func(now time.Time) string
		want  time.Duration
	}{
		"seconds":                  {fixed("7"), 7 * time.Second},
		"seconds with space":       {fixed(" 7 "), 7 * time.Second},
		"30":                       {fixed("30"), 30 * time.Second},
		"31":                       {fixed("31"), 30 * time.Second},
		"an hour":                  {fixed("3600"), 30 * time.Second},
		"more than a duration has": {fixed("9223372037"), 30 * time.Second},
		"more than an int64 has":   {fixed("9223372036854775808"), 30 * time.Second},
		"more than a uint64 has":   {fixed("99999999999999999999999"), 30 * time.Second},
		"0":                        {fixed("0"), backoff},
		"negative":                 {fixed("-5"), backoff},
		"very negative":            {fixed("-99999999999999999999999"), backoff},
		"a fraction":               {fixed("1.5"), backoff},
		"a word":                   {fixed("soon"), backoff},
		"empty":                    {fixed(""), backoff},
		"hex":                      {fixed("0x10"), backoff},
		"a date":                   {in(20*time.Second, http.TimeFormat), 20 * time.Second},
		"a date, RFC 850":          {in(20*time.Second, "Monday, 02-Jan-06 15:04:05 GMT"), 20 * time.Second},
		"a date, asctime":          {in(20*time.Second, time.ANSIC), 20 * time.Second},
		"a date in an hour":        {in(time.Hour, http.TimeFormat), 30 * time.Second},
		"a date past":              {in(-time.Hour, http.TimeFormat), backoff},
		"the last date":            {fixed("Fri, 31 Dec 9999 23:59:59 GMT"), 30 * time.Second},
		"no such date":             {fixed("Fri, 32 Dec 2026 23:59:59 GMT"), backoff},
	}
	for name, test := range tests {
		for _, status := range []int{429, 503} {
			t.Run(fmt.Sprintf("%s/%d", name, status), func(t *testing.T) {
				t.Parallel()
				c, _, clock := scripted(t, nil)
				value := test.value(clock.time)
				c.httpClient.Transport.(*script).steps = []step{answers(status, "", "Retry-After", value), answers(200, `{"user_id":"jane"}`)}
				require.NoError(t, kinds["write that cannot be settled"](context.Background(), c))
				assert.Equal(t, []time.Duration{test.want}, clock.waited(), value)
			})
		}
	}
}

func fixed(value string) func(time.Time) string { return func(time.Time) string { return value } }

func in(d time.Duration, layout string) func(time.Time) string {
	return func(now time.Time) string { return now.UTC().Add(d).Format(layout) }
}

func TestAWaitThatWouldPassTheDeadlineIsNotBegun(t *testing.T) {
	t.Parallel()
	busy := answers(503, "busy", "Retry-After", "20")
	soon := func(ctx context.Context) (context.Context, context.CancelFunc) {
		return context.WithTimeout(ctx, 10*time.Second)
	}
	none := func(ctx context.Context) (context.Context, context.CancelFunc) { return ctx, func() {} }
	tests := map[string]struct {
		steps    []step
		opts     []Option
		request  []RequestOption
		context  func(context.Context) (context.Context, context.CancelFunc)
		attempts int
		want     error
	}{
		"of the client":              {[]step{busy}, []Option{WithTimeout(10 * time.Second)}, nil, none, 1, ErrServer},
		"of the call":                {[]step{busy}, nil, []RequestOption{RequestTimeout(10 * time.Second)}, none, 1, ErrServer},
		"of the context":             {[]step{busy}, nil, nil, soon, 1, ErrServer},
		"the nearest of them":        {[]step{busy}, []Option{WithTimeout(time.Hour)}, []RequestOption{RequestTimeout(time.Hour)}, soon, 1, ErrServer},
		"by default, after 60 s":     {repeat(3, answers(503, "busy", "Retry-After", "25")), nil, nil, none, 3, ErrServer},
		"a backoff, too":             {repeat(3, answers(429, "")), []Option{WithBackoff(4*time.Second, time.Minute), WithTimeout(10 * time.Second)}, nil, none, 2, ErrRateLimited},
		"after an answer was lost":   {[]step{answerLost}, []Option{WithBackoff(time.Minute, time.Minute)}, []RequestOption{RequestTimeout(time.Second)}, none, 1, syscall.ECONNRESET},
		"after no connection at all": {[]step{neverDialled}, []Option{WithBackoff(time.Minute, time.Minute)}, []RequestOption{RequestTimeout(time.Second)}, none, 1, syscall.ECONNREFUSED},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, s, clock := scripted(t, test.opts, test.steps...)
			ctx, cancel := test.context(context.Background())
			defer cancel()
			err := kinds["read"](ctx, c, test.request...)
			e := requireError(t, err)
			assert.Equal(t, test.attempts, e.Attempts)
			assert.Len(t, s.requests(), test.attempts)
			assert.Len(t, clock.waited(), test.attempts-1)
			require.ErrorIs(t, err, test.want, "what the last attempt got")
			require.ErrorIs(t, err, context.DeadlineExceeded, "and why there was no other")
			assert.ErrorContains(t, err, "context deadline exceeded")
			assertOneLine(t, err.Error())
		})
	}
}

func TestEveryCallHasADeadline(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		opts    []Option
		request []RequestOption
		want    time.Duration
	}{
		"by default":    {nil, nil, 60 * time.Second},
		"of the client": {[]Option{WithTimeout(7 * time.Second)}, nil, 7 * time.Second},
		"of the call":   {[]Option{WithTimeout(7 * time.Second)}, []RequestOption{RequestTimeout(9 * time.Second)}, 9 * time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for kind, call := range kinds {
				var deadline time.Time
				before := time.Now()
				c, _, _ := scripted(t, test.opts, func(req *http.Request) (*http.Response, error) {
					deadline, _ = req.Context().Deadline()
					return answers(200, `{"user_id":"jane"}`)(req)
				})
				require.NoError(t, call(context.Background(), c, test.request...))
				assert.WithinRange(t, deadline, before.Add(test.want), time.Now().Add(test.want), kind)
			}
		})
	}
}

func TestAContextThatEndedBeforeSendsNothing(t *testing.T) {
	t.Parallel()
	why := errors.New("the shop closes")
	canceled, cancel := context.WithCancelCause(context.Background())
	cancel(why)
	late, cancelLate := context.WithDeadline(context.Background(), time.Now().Add(-time.Second))
	defer cancelLate()
	for kind, call := range kinds {
		c, s, _ := scripted(t, nil)
		err := call(canceled, c)
		require.ErrorIs(t, err, context.Canceled, kind)
		require.ErrorIs(t, err, why, kind)
		e := requireError(t, err)
		assert.Zero(t, e.Attempts)
		assert.Zero(t, e.StatusCode)
		assert.NotContains(t, e.Error(), "may have been carried out")

		err = call(late, c)
		require.ErrorIs(t, err, context.DeadlineExceeded, kind)
		assert.Zero(t, requireError(t, err).Attempts)
		assert.Empty(t, s.requests(), kind)
	}
}

func TestAContextThatEndsDuringAnAttemptEndsTheCall(t *testing.T) {
	t.Parallel()
	why := errors.New("the shop closes")
	for kind, call := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(context.Background())
			defer cancel(nil)
			c, s, clock := scripted(t, nil, func(req *http.Request) (*http.Response, error) {
				wrote(req, nil)
				cancel(why)
				<-req.Context().Done()
				return nil, req.Context().Err()
			})
			err := call(ctx, c)
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorIs(t, err, why)
			e := requireError(t, err)
			assert.Equal(t, 1, e.Attempts)
			assert.Len(t, s.requests(), 1)
			assert.Empty(t, clock.waited())
			assert.Equal(t, kind != "read", strings.Contains(e.Error(), "may have been carried out"), e)
		})
	}
}

func TestAContextThatEndsDuringTheWaitKeepsTheLastAnswer(t *testing.T) {
	t.Parallel()
	why := errors.New("the shop closes")
	for kind, call := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(context.Background())
			defer cancel(nil)
			c, s, clock := scripted(t, nil, repeat(2, answers(429, "slow down", "X-From", "the proxy"))...)
			clock.during = func() {
				if len(clock.waited()) == 2 {
					cancel(why)
				}
			}
			err := call(ctx, c)
			require.ErrorIs(t, err, ErrRateLimited)
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorIs(t, err, why)
			require.NotErrorIs(t, err, context.DeadlineExceeded)
			e := requireError(t, err)
			assert.Equal(t, 2, e.Attempts)
			assert.Equal(t, 429, e.StatusCode)
			assert.Equal(t, "slow down", e.Message)
			assert.Equal(t, "the proxy", e.Header.Get("X-From"))
			assert.ErrorContains(t, err, "429: slow down: context canceled (2 attempts)")
			assert.Len(t, s.requests(), 2)
		})
	}
}

func TestAContextThatEndsAfterASuccessChangesNothing(t *testing.T) {
	t.Parallel()
	for kind, call := range kinds {
		ctx, cancel := context.WithCancel(context.Background())
		c, _, _ := scripted(t, nil, func(req *http.Request) (*http.Response, error) {
			cancel()
			return answers(200, `{"user_id":"jane"}`)(req)
		})
		require.NoError(t, call(ctx, c), kind)
		cancel()
	}
}

// TestTheRealSleepEndsWithItsContext is the one wait in these tests that the clock is asked for.
func TestTheRealSleepEndsWithItsContext(t *testing.T) {
	t.Parallel()
	require.NoError(t, systemClock.sleep(context.Background(), time.Nanosecond))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- systemClock.sleep(ctx, time.Hour) }()
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	require.ErrorIs(t, systemClock.sleep(ctx, time.Hour), context.Canceled)
}

func TestTheAttemptsOfAnErrorAreThoseThatWereMade(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		steps []step
		want  int
	}{
		"one":               {[]step{answers(404, "not found")}, 1},
		"two":               {[]step{answers(503, ""), answers(404, "not found")}, 2},
		"the last is taken": {[]step{neverDialled, answers(500, ""), answers(429, ""), answers(400, "no")}, 4},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _, _ := scripted(t, nil, test.steps...)
			e := requireError(t, kinds["read"](context.Background(), c))
			assert.Equal(t, test.want, e.Attempts)
			assert.GreaterOrEqual(t, e.StatusCode, 400)
			assert.Equal(t, test.want > 1, strings.Contains(e.Error(), " attempts)"))
		})
	}
}

// TestACallersTimeoutBoundsEachAttempt: http.Client.Timeout is the caller's bound for one request, and no end of the call.
func TestACallersTimeoutBoundsEachAttempt(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	requests := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		mu.Lock()
		requests++
		first := requests == 1
		mu.Unlock()
		if first {
			<-r.Context().Done()
			return
		}
		_, _ = io.WriteString(w, `{"user_id":"jane"}`)
	}))
	t.Cleanup(server.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	c, err := NewClient(WithBaseURL(server.URL+"/zep"), WithAPIKey(""),
		WithHTTPClient(&http.Client{Transport: transport, Timeout: 200 * time.Millisecond}))
	require.NoError(t, err)
	stopClock(c)
	user, err := c.User.Get(context.Background(), "jane")
	require.NoError(t, err)
	assert.Equal(t, "jane", user.UserID)
	mu.Lock()
	defer mu.Unlock()
	assert.Equal(t, 2, requests)
}

// TestACallersTimeoutOfAWriteLeavesItsOutcomeOpen: the request may have been carried out.
func TestACallersTimeoutOfAWriteLeavesItsOutcomeOpen(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	c, err := NewClient(WithBaseURL(server.URL+"/zep"), WithAPIKey(""),
		WithHTTPClient(&http.Client{Transport: transport, Timeout: 100 * time.Millisecond}))
	require.NoError(t, err)
	stopClock(c)
	_, err = do(context.Background(), c, unsettleable, nil)
	assert.Equal(t, 1, requireError(t, err).Attempts)
	assert.ErrorContains(t, err, "may have been carried out")
}

// TestWhatTheNetworkSaysIsUnderstood has the real errors of dialling and writing, not made ones.
func TestWhatTheNetworkSaysIsUnderstood(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	c, err := NewClient(WithBaseURL("http://"+address), WithAPIKey(""))
	require.NoError(t, err)
	stopClock(c)
	err = kinds["write that cannot be settled"](context.Background(), c)
	e := requireError(t, err)
	assert.Equal(t, 4, e.Attempts, "nobody listens")
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	assert.ErrorContains(t, err, "check that Zep runs there, or set the base URL (WithBaseURL or ZEP_API_URL)")
	assert.NotContains(t, err.Error(), "may have been carried out")

	// The connection takes the head and half of the body, and then no more.
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			_, _ = io.CopyN(io.Discard, theirs, 1000)
			_ = theirs.Close()
		}()
		return ours, nil
	}}
	t.Cleanup(transport.CloseIdleConnections)
	c, err = NewClient(WithBaseURL(mockURL), WithAPIKey(""), WithHTTPClient(&http.Client{Transport: transport}))
	require.NoError(t, err)
	stopClock(c)
	large := unsettleable
	large.body = strings.Repeat("x", 1<<20)
	_, err = do(context.Background(), c, large, nil)
	e = requireError(t, err)
	assert.Equal(t, 4, e.Attempts, "the request was cut before it was written")
	assert.NotContains(t, err.Error(), "may have been carried out")
}

// TestTheTraceOfACallersContextGoesOn: a caller's own httptrace sees each attempt of reads and writes.
func TestTheTraceOfACallersContextGoesOn(t *testing.T) {
	t.Parallel()
	for kind, call := range kinds {
		told := 0
		ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
			WroteRequest: func(httptrace.WroteRequestInfo) { told++ },
		})
		c, _, _ := scripted(t, nil, answers(503, ""), answers(200, `{"user_id":"jane"}`))
		require.NoError(t, call(ctx, c), kind)
		assert.Equal(t, 2, told, kind)
	}
}

func TestOutcomesHaveNames(t *testing.T) {
	t.Parallel()
	names := []string{settled.String(), undone.String(), unknown.String(), failed.String()}
	assert.Equal(t, []string{"settled", "undone", "unknown", "failed"}, names)
	for _, row := range retryTable {
		assert.True(t, slices.Contains(names, row.row), row.row)
	}
}

// TestAWrittenRequestIsNotUndoneByALaterDial: a Transport may try more than once by itself.
func TestAWrittenRequestIsNotUndoneByALaterDial(t *testing.T) {
	t.Parallel()
	c, s, _ := scripted(t, nil, func(req *http.Request) (*http.Response, error) {
		wrote(req, nil)
		return neverDialled(req)
	})
	_, err := do(context.Background(), c, unsettleable, nil)
	assert.ErrorContains(t, err, "may have been carried out")
	assert.Len(t, s.requests(), 1)
}

// TestARefusalThatIsCutShortIsARefusal: its status proves that nothing was done, and what its words would have been is not guessed.
func TestARefusalThatIsCutShortIsARefusal(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, status := range []int{400, 401, 404, 429, 503} {
		c, s, _ := scripted(t, nil, cutShort(status, "b"), answers(200, `{"user_id":"jane"}`))
		_, err := do(ctx, c, unsettleable, nil)
		require.NoError(t, err, status)
		assert.Len(t, s.requests(), 2)
	}
	c, _, _ := scripted(t, nil, cutShort(404, "not found\n"), answers(404, "not found\n"))
	assert.Equal(t, []error{ErrNotFound}, matched(c.User.Delete(ctx, "jane")), "it was not this call that deleted it")

	c, _, _ = scripted(t, nil, cutShort(400, userTaken), answers(400, userTaken))
	_, err := c.User.Add(ctx, &CreateUserRequest{UserID: "jane"})
	assert.Equal(t, []error{ErrAlreadyExists}, matched(err), "it was not this call that added it")

	for status, want := range map[int][]error{404: nil, 400: nil, 401: {ErrUnauthorized}, 413: {ErrTooLarge}, 503: {ErrServer}} {
		c, _, _ := scripted(t, nil, repeat(4, cutShort(status, "not found"))...)
		_, err := c.User.Get(ctx, "jane")
		assert.Equal(t, want, matched(err), status)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	}
	c, _, _ = scripted(t, nil, cutShort(500, "failed"))
	_, err = do(ctx, c, unsettleable, nil)
	assert.ErrorContains(t, err, "may have been carried out", "a 500 proves nothing")
}

// resettingServer speaks as much of HTTP/2 as it takes to reset each stream after its whole request was sent.
func resettingServer(t *testing.T) (address string, requests *atomic.Int32) {
	t.Helper()
	certified := httptest.NewUnstartedServer(nil)
	certified.StartTLS()
	certificates := certified.TLS.Certificates
	certified.Close()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: certificates, NextProtos: []string{"h2"}})
	require.NoError(t, err)
	requests = new(atomic.Int32)
	serveConns(t, listener, func(conn net.Conn) {
		const preface, headers, settings, reset = 24, 1, 4, 3 // types of frames, but for the first
		_, _ = io.CopyN(io.Discard, conn, preface)
		_, _ = conn.Write([]byte{0, 0, 0, settings, 0, 0, 0, 0, 0})
		for {
			var head [9]byte
			if _, err := io.ReadFull(conn, head[:]); err != nil {
				return
			}
			_, _ = io.CopyN(io.Discard, conn, int64(head[0])<<16|int64(head[1])<<8|int64(head[2]))
			switch kind, flags := head[3], head[4]; {
			case kind == settings && flags == 0:
				_, _ = conn.Write([]byte{0, 0, 0, settings, 1, 0, 0, 0, 0})
			case kind <= headers && flags&1 != 0: // the end of a stream, with its data or its headers
				requests.Add(1)
				_, _ = conn.Write([]byte{0, 0, 4, reset, 0, head[5], head[6], head[7], head[8], 0, 0, 0, 1 /* PROTOCOL_ERROR */})
			}
		}
	})
	return "https://" + listener.Addr().String(), requests
}

// TestAWriteIsNotSentAgainByHTTP2: net/http repeats a request whose stream was reset, over and over, unseen by the client.
func TestAWriteIsNotSentAgainByHTTP2(t *testing.T) {
	t.Parallel()
	address, requests := resettingServer(t)
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	c, err := NewClient(WithBaseURL(address), WithAPIKey(""), WithHTTPClient(&http.Client{Transport: transport}))
	require.NoError(t, err)
	stopClock(c)
	_, err = do(context.Background(), c, unsettleable, nil)
	assert.Equal(t, 1, requireError(t, err).Attempts)
	assert.EqualValues(t, 1, requests.Load())
	assert.ErrorContains(t, err, "may have been carried out")

	_, err = c.User.Add(context.Background(), &CreateUserRequest{UserID: "jane"})
	assert.Equal(t, 4, requireError(t, err).Attempts)
	assert.EqualValues(t, 1+4, requests.Load())
	transport.CloseIdleConnections()
}

// TestARequestThatHTTP2SentTwiceMayBeItsOwnPredecessor: without a body there is no hold on net/http, but it tells what it did.
func TestARequestThatHTTP2SentTwiceMayBeItsOwnPredecessor(t *testing.T) {
	t.Parallel()
	address, _ := resettingServer(t)
	conn, err := tls.Dial("tcp", strings.TrimPrefix(address, "https://"), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	require.NoError(t, err)
	defer conn.Close()
	sent := func(times int) step {
		return func(req *http.Request) (*http.Response, error) {
			httptrace.ContextClientTrace(req.Context()).GotConn(httptrace.GotConnInfo{Conn: conn})
			for range times - 1 {
				wrote(req, nil)
			}
			return answers(404, "not found\n")(req)
		}
	}
	c, _, _ := scripted(t, nil, sent(1), sent(2))
	require.ErrorIs(t, c.User.Delete(context.Background(), "jane"), ErrNotFound)
	require.NoError(t, c.User.Delete(context.Background(), "jane"))
}

// TestAQueryThatPostgreSQLFindsFaultWithIsNotTriedAgain: not even of a read, as another 500 is.
func TestAQueryThatPostgreSQLFindsFaultWithIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	for state, attempts := range map[string]int{"22P02": 1, "23505": 1, "42883": 1, "40001": 4, "53300": 4, "57014": 4} {
		for kind, call := range kinds {
			want := attempts
			if kind != "read" {
				want = 1
			}
			c, s, _ := scripted(t, nil, repeat(4, answers(500, "failed to get: ERROR: no (SQLSTATE="+state+")\n"))...)
			e := requireError(t, call(context.Background(), c))
			assert.Equal(t, want, e.Attempts, "%s of a %s", state, kind)
			assert.Len(t, s.requests(), want)
			assert.ErrorIs(t, e, ErrServer)
		}
	}
}

// TestAWriteThatWasSentBeforeItsConnectionFailedForGoodMayHaveBeenDone: the next attempt would fail alike, so there is none; but the
// server may have carried out this one.
func TestAWriteThatWasSentBeforeItsConnectionFailedForGoodMayHaveBeenDone(t *testing.T) {
	t.Parallel()
	for kind, call := range kinds {
		c, s, _ := scripted(t, nil, func(req *http.Request) (*http.Response, error) {
			wrote(req, nil)
			return nil, &net.OpError{Op: "remote error", Err: tls.AlertError(20)}
		})
		err := call(context.Background(), c)
		assert.Len(t, s.requests(), 1, kind)
		assert.Equal(t, kind != "read", requireError(t, err).unsettled, kind)
		if kind != "read" {
			assert.ErrorContains(t, err, "may have been carried out", kind)
		}
	}
}

// TestWhatFailsForGoodIsKnownWithinAnError: a Transport of the caller's may put words of its own around it.
func TestWhatFailsForGoodIsKnownWithinAnError(t *testing.T) {
	t.Parallel()
	for _, inner := range []error{
		&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}},
		tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"},
		http.ErrSchemeMismatch,
		&net.OpError{Op: "remote error", Err: tls.AlertError(70)},
	} {
		c, s, _ := scripted(t, nil, breaks(fmt.Errorf("the tracing transport: %w", inner)))
		_, err := c.User.Get(context.Background(), "jane")
		require.ErrorIs(t, err, inner)
		assert.Len(t, s.requests(), 1, "%T", inner)
	}
}

// TestARefusedConnectionIsKnownWithoutADial: a Transport of the caller's may dial in its own way.
func TestARefusedConnectionIsKnownWithoutADial(t *testing.T) {
	t.Parallel()
	c, s, _ := scripted(t, nil, repeat(4, breaks(fmt.Errorf("the tunnel: %w", syscall.ECONNREFUSED)))...)
	_, err := do(context.Background(), c, unsettleable, nil)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	assert.Len(t, s.requests(), 4)
	assert.NotContains(t, err.Error(), "may have been carried out")
}

// TestAConnectionThatBreaksBeforeTheWritingIsToldProvesNothing: the server may have the request, or the most of it.
func TestAConnectionThatBreaksBeforeTheWritingIsToldProvesNothing(t *testing.T) {
	t.Parallel()
	c, s, _ := scripted(t, nil, func(req *http.Request) (*http.Response, error) {
		trace := httptrace.ContextClientTrace(req.Context())
		trace.GetConn("zep.test:80")
		trace.GotConn(httptrace.GotConnInfo{})
		return nil, io.ErrUnexpectedEOF
	})
	_, err := do(context.Background(), c, unsettleable, nil)
	assert.ErrorContains(t, err, "may have been carried out")
	assert.Len(t, s.requests(), 1)
}

// TestOnlyHTTP2SendsAWriteTwice: over HTTP/1 net/http does so only if nothing of the first came through, also over TLS. So the refusal
// is of the only one.
func TestOnlyHTTP2SendsAWriteTwice(t *testing.T) {
	t.Parallel()
	conn := tls.Client(&net.TCPConn{}, &tls.Config{ServerName: "zep.test"})
	c, s, _ := scripted(t, nil, func(req *http.Request) (*http.Response, error) {
		httptrace.ContextClientTrace(req.Context()).GotConn(httptrace.GotConnInfo{Conn: conn})
		wrote(req, nil)
		body, err := req.GetBody()
		require.NoError(t, err)
		data, err := io.ReadAll(body)
		require.NoError(t, err)
		assert.JSONEq(t, `{"user_id":"jane"}`, string(data))
		return answers(400, "user already exists with user_id: jane")(req)
	})
	_, err := c.User.Add(context.Background(), &CreateUserRequest{UserID: "jane"})
	require.ErrorIs(t, err, ErrAlreadyExists)
	assert.Len(t, s.requests(), 1, "and is not read back")
}

// TestAReadMayBeSentAgainByTheTransport: there is no harm in it, and nothing to note.
func TestAReadMayBeSentAgainByTheTransport(t *testing.T) {
	t.Parallel()
	const body = `{"text":"tea"}`
	c, _, _ := scripted(t, nil, func(req *http.Request) (*http.Response, error) {
		wrote(req, nil)
		again, err := req.GetBody()
		require.NoError(t, err)
		data, err := io.ReadAll(again)
		require.NoError(t, err)
		assert.JSONEq(t, body, string(data))
		return answers(200, "[]")(req)
	})
	_, err := c.Memory.Search(context.Background(), "s", &SearchMemoryRequest{Text: "tea"})
	require.NoError(t, err)
}

// TestAContextThatEndsAfterARefusalChangesNothing: the server's word is all there is to say.
func TestAContextThatEndsAfterARefusalChangesNothing(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c, _, _ := scripted(t, nil, func(req *http.Request) (*http.Response, error) {
		cancel()
		return answers(404, "not found")(req)
	})
	_, err := c.User.Get(ctx, "jane")
	require.ErrorIs(t, err, ErrNotFound)
	require.NotErrorIs(t, err, context.Canceled)
}

// TestARetryAfterThatIsShorterThanTheBackoffShortensNothing: a server that is busy for one caller is so for all.
func TestARetryAfterThatIsShorterThanTheBackoffShortensNothing(t *testing.T) {
	t.Parallel()
	c, _, clock := scripted(t, []Option{WithBackoff(4*time.Second, 4*time.Second)}, answers(503, "", "Retry-After", "1"), answers(200, janeJSON))
	_, err := c.User.Get(context.Background(), "jane")
	require.NoError(t, err)
	assert.Equal(t, []time.Duration{4 * time.Second}, clock.waited())
}
