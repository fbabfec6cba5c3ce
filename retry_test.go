package zep

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The errors and responses of retryTable.
var (
	noSuchHost       = &net.DNSError{Err: "no such host", Name: "zep.test", IsNotFound: true}
	proxyRefuses     = &net.OpError{Op: "proxyconnect", Net: "tcp", Err: io.EOF}
	unknownAuthority = &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}
	otherHost        = &tls.CertificateVerificationError{
		Err: x509.HostnameError{Certificate: &x509.Certificate{}, Host: "zep.test"},
	}
	notTLS = tls.RecordHeaderError{
		Msg: "first record does not look like a TLS handshake",
	}
	errTLSVersion = errors.New("tls: server selected unsupported protocol version 301")
	errScheme     = errors.New(`unsupported protocol scheme "gopher"`)

	lockFailure   = "failed to acquire advisory lock"
	lockTimeout   = answers(500, lockFailure+": timeout\n")
	overLimitJSON = `{"user_id":"` + strings.Repeat("j", 2000) + `"}`
)

// tlsAlert returns an alert as crypto/tls does. The operation says which side sent it.
func tlsAlert(op string) error { return &net.OpError{Op: op, Err: tls.AlertError(70)} }

// retryTable is the table of retry.go: what an attempt meets, and how many attempts each kind of
// call makes if all of them meet the same.
var retryTable = []struct {
	outcome string
	name    string
	attempt step

	read, reconciled, noRetry int // the numbers of attempts
}{
	{"not executed", "no connection: refused", neverDialled, 4, 4, 4},
	{"not executed", "no connection: no such host", failsWith(noSuchHost), 4, 4, 4},
	{"not executed", "no connection: the proxy refuses", failsWith(proxyRefuses), 4, 4, 4},
	{"not executed", "a request cut before it was written", cutBeforeWritten, 4, 4, 4},
	{"not executed", "429", answers(429, "slow down"), 4, 4, 4},
	{"not executed", "425", answers(425, ""), 4, 4, 4},
	{"not executed", "521", answers(521, ""), 4, 4, 4},
	{"not executed", "523", answers(523, ""), 4, 4, 4},
	{"not executed", "525", answers(525, ""), 4, 4, 4},
	{"not executed", "526", answers(526, ""), 4, 4, 4},
	{"not executed", "530", answers(530, ""), 4, 4, 4},

	{"ambiguous", "502", answers(502, "<html>502 Bad Gateway</html>"), 4, 4, 1},
	{"ambiguous", "408", answers(408, ""), 4, 4, 1},
	{"ambiguous", "503", answers(503, ""), 4, 4, 1},
	{"ambiguous", "504", answers(504, ""), 4, 4, 1},
	{"ambiguous", "520", answers(520, ""), 4, 4, 1},
	{"ambiguous", "522", answers(522, ""), 4, 4, 1},
	{"ambiguous", "524", answers(524, ""), 4, 4, 1},
	{"ambiguous", "a connection that broke after the write", answerLost, 4, 4, 1},
	{"ambiguous", "a connection that broke, no trace", failsWith(io.ErrUnexpectedEOF), 4, 4, 1},
	{"ambiguous", "a server that closed the connection", failsWith(io.EOF), 4, 4, 1},
	{"ambiguous", "a truncated response", truncated(200, `{"user_id":"ja`), 4, 4, 1},
	{"ambiguous", "half a response, without an error", answers(200, `{"user_id":"ja`), 4, 4, 1},
	{"ambiguous", "an empty response", answers(200, ""), 4, 4, 1},
	{"ambiguous", "an unexpected response: HTML", answers(200, "<html>welcome</html>"), 4, 4, 1},
	{"ambiguous", "an unexpected response: garbage", answers(200, "\x00\x01\x02"), 4, 4, 1},
	{"ambiguous", "an unexpected response: another type", answers(200, `["jane"]`), 4, 4, 1},
	{"ambiguous", "an unexpected response: null", answers(200, "null"), 4, 4, 1},
	{"ambiguous", "an unexpected response: no id", answers(200, `{"error":"x"}`), 4, 4, 1},

	{"server error", "500", answers(500, ""), 4, 1, 1},
	{"server error", "500 that quotes a lock", answers(500, "no: "+lockFailure), 4, 1, 1},
	{"server error", "506", answers(506, ""), 4, 1, 1},
	{"server error", "507", answers(507, ""), 4, 1, 1},
	{"server error", "599", answers(599, ""), 4, 1, 1},

	{"final", "501", answers(501, ""), 1, 1, 1},
	{"final", "505", answers(505, ""), 1, 1, 1},
	{"final", "301", answers(301, "", "Location", "http://zep.test/elsewhere"), 1, 1, 1},
	{"final", "307", answers(307, "", "Location", "http://zep.test/elsewhere"), 1, 1, 1},
	{"final", "304", answers(304, ""), 1, 1, 1},
	{"final", "400", answers(400, "bad request: UserID cannot be empty"), 1, 1, 1},
	{"final", "401", answers(401, "no token found"), 1, 1, 1},
	{"final", "403", answers(403, ""), 1, 1, 1},
	{"final", "404", answers(404, "not found"), 1, 1, 1},
	{"final", "405", answers(405, ""), 1, 1, 1},
	{"final", "409", answers(409, ""), 1, 1, 1},
	{"final", "413", answers(413, ""), 1, 1, 1},
	{"final", "a lock that the server could not acquire", lockTimeout, 1, 1, 1},
	{"final", "400 that quotes a lock", answers(400, lockFailure), 1, 1, 1},
	{"final", "an unknown certificate authority", failsWith(unknownAuthority), 1, 1, 1},
	{"final", "a certificate of another host", failsWith(otherHost), 1, 1, 1},
	{"final", "not TLS", failsWith(notTLS), 1, 1, 1},
	{"final", "HTTP in place of TLS", failsWith(http.ErrSchemeMismatch), 1, 1, 1},
	{"final", "a TLS alert of the server", failsWith(tlsAlert("remote error")), 1, 1, 1},
	{"final", "a TLS alert of the client", failsWith(tlsAlert("local error")), 1, 1, 1},
	{"final", "an unsupported TLS version", failsWith(errTLSVersion), 1, 1, 1},
	{"final", "an unsupported scheme", failsWith(errScheme), 1, 1, 1},
	{"final", "a response over the limit", answers(200, overLimitJSON), 1, 1, 1},
	{"final", "a success", answers(200, `{"user_id":"jane"}`), 1, 1, 1},
	{"final", "a success with status 204", answers(204, `{"user_id":"jane"}`), 1, 1, 1},
}

func TestRetryTable(t *testing.T) {
	t.Parallel()
	for _, row := range retryTable {
		for kind, want := range map[string]int{
			"read":             row.read,
			"reconciled write": row.reconciled,
			"noRetry write":    row.noRetry,
		} {
			t.Run(row.outcome+"/"+row.name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				c, s, clock := scripted(t, nil, repeat(4, row.attempt)...)
				limitResponses(c, 1000)
				err := callKinds[kind](context.Background(), c)
				assert.Len(t, s.requests(), want)
				assert.Len(t, clock.waited(), want-1)
				if strings.HasPrefix(row.name, "a success") {
					require.NoError(t, err)
					return
				}
				e := requireError(t, err)
				assert.Equal(t, want, e.Attempts)
				ambiguous := row.outcome == "ambiguous" && kind != "read"
				assert.Equal(t, ambiguous,
					strings.Contains(e.Error(), "may have been carried out"), e)
				assert.NotErrorIs(t, err, context.DeadlineExceeded)
				assertOneLine(t, e.Error())
			})
		}
	}
}

func TestOutcome_String(t *testing.T) {
	t.Parallel()
	names := []string{
		final.String(), notExecuted.String(), ambiguous.String(), serverError.String(),
	}
	assert.Equal(t, []string{"final", "not executed", "ambiguous", "server error"}, names)
	for _, row := range retryTable {
		assert.True(t, slices.Contains(names, row.outcome), row.outcome)
	}
}

// TestRetry_NoRetryWrite checks that each attempt is judged by its own result and not by that of
// earlier ones.
func TestRetry_NoRetryWrite(t *testing.T) {
	t.Parallel()
	busy := answers(429, "")
	tests := map[string]struct {
		steps     []step
		attempts  int
		ambiguous bool // the error says that it may have been carried out
	}{
		"busy, then lost": {[]step{busy, answerLost}, 2, true},
		"busy, then 502":  {[]step{busy, busy, answers(502, "")}, 3, true},
		"busy, then cut before written": {
			[]step{busy, cutBeforeWritten, cutBeforeWritten, busy}, 4, false,
		},
		"cut before written, then lost": {[]step{cutBeforeWritten, answerLost}, 2, true},
		"no connection, then cut, then 400": {
			[]step{neverDialled, cutBeforeWritten, answers(400, "no")}, 3, false,
		},
		"busy, then no connection": {
			[]step{busy, neverDialled, neverDialled, neverDialled}, 4, false,
		},
		"busy, then a bad certificate": {[]step{busy, failsWith(unknownAuthority)}, 2, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, s, _ := scripted(t, nil, test.steps...)
			err := writeNoRetry(context.Background(), c)
			e := requireError(t, err)
			assert.Equal(t, test.attempts, e.Attempts)
			assert.Len(t, s.requests(), test.attempts)
			assert.Equal(t, test.ambiguous,
				strings.Contains(e.Error(), "may have been carried out"), e)
		})
	}
}

func TestRetry_TransientRefusal(t *testing.T) {
	t.Parallel()
	c, _, clock := scripted(t, nil,
		answers(400, "bad request: session already exists with session_id: s"),
		answers(200, `{"user_id":"jane"}`))
	transient := noRetryCall
	transient.transient = regexp.MustCompile(`^bad request: session already exists\b`)
	user, err := do(context.Background(), c, transient, nil)
	require.NoError(t, err)
	assert.Equal(t, "jane", user.UserID)
	assert.Len(t, clock.waited(), 1)
}

// TestRetry_SearchIsRead checks that a POST which changes nothing is retried like a GET.
func TestRetry_SearchIsRead(t *testing.T) {
	t.Parallel()
	c, _, _ := scripted(t, nil, answers(500, ""), answers(502, ""), answerLost,
		answers(200, `{"user_id":"jane"}`))
	_, err := do(context.Background(), c, searchCall, nil)
	require.NoError(t, err)
}

func TestRetry_MaxAttempts(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		opts        []Option
		requestOpts []RequestOption
		want        int
	}{
		"by default":    {nil, nil, 4},
		"by the client": {[]Option{WithMaxAttempts(2)}, nil, 2},
		"one attempt":   {[]Option{WithMaxAttempts(1)}, nil, 1},
		"by the call":   {nil, []RequestOption{RequestMaxAttempts(3)}, 3},
		"by the call, one": {
			[]Option{WithMaxAttempts(9)}, []RequestOption{RequestMaxAttempts(1)}, 1,
		},
		"by the call, more": {
			[]Option{WithMaxAttempts(1)}, []RequestOption{RequestMaxAttempts(6)}, 6,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, s, _ := scripted(t, test.opts, repeat(10, answers(429, ""))...)
			err := callKinds["read"](context.Background(), c, test.requestOpts...)
			assert.Equal(t, test.want, requireError(t, err).Attempts)
			assert.Len(t, s.requests(), test.want)
		})
	}
}

func TestRetry_AttemptsOfError(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		steps []step
		want  int
	}{
		"one": {[]step{answers(404, "not found")}, 1},
		"two": {[]step{answers(429, ""), answers(404, "not found")}, 2},
		"the last is taken": {
			[]step{neverDialled, answers(500, ""), answers(429, ""), answers(400, "no")}, 4,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _, _ := scripted(t, nil, test.steps...)
			e := requireError(t, callKinds["read"](context.Background(), c))
			assert.Equal(t, test.want, e.Attempts)
			assert.GreaterOrEqual(t, e.StatusCode, 400)
			assert.Equal(t, test.want > 1, strings.Contains(e.Error(), " attempts)"))
		})
	}
}

// TestRetry_PostgreSQLError checks that an error which PostgreSQL would repeat is not retried, not
// even for a read.
func TestRetry_PostgreSQLError(t *testing.T) {
	t.Parallel()
	for state, attempts := range map[string]int{
		"22P02": 1,
		"23505": 1,
		"42883": 1,
		"40001": 4,
		"53300": 4,
		"57014": 4,
	} {
		for kind, call := range callKinds {
			want := attempts
			if kind != "read" {
				want = 1
			}
			failure := answers(500, "failed to get: ERROR: no (SQLSTATE="+state+")\n")
			c, s, _ := scripted(t, nil, repeat(4, failure)...)
			e := requireError(t, call(context.Background(), c))
			assert.Equal(t, want, e.Attempts, "%s of a %s", state, kind)
			assert.Len(t, s.requests(), want)
			assert.ErrorIs(t, e, ErrServer)
		}
	}
}

// TestRetry_WrappedPermanentError checks a Transport that wraps its errors.
func TestRetry_WrappedPermanentError(t *testing.T) {
	t.Parallel()
	for _, inner := range []error{
		unknownAuthority,
		notTLS,
		http.ErrSchemeMismatch,
		tlsAlert("remote error"),
	} {
		c, s, _ := scripted(t, nil, failsWith(fmt.Errorf("the tracing transport: %w", inner)))
		_, err := c.User.Get(context.Background(), "jane")
		require.ErrorIs(t, err, inner)
		assert.Len(t, s.requests(), 1, "%T", inner)
	}
}

// TestRetry_WrappedConnectionRefused checks a Transport that dials in its own way.
func TestRetry_WrappedConnectionRefused(t *testing.T) {
	t.Parallel()
	attempt := failsWith(fmt.Errorf("the tunnel: %w", syscall.ECONNREFUSED))
	c, s, _ := scripted(t, nil, repeat(4, attempt)...)
	err := writeNoRetry(context.Background(), c)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	assert.Len(t, s.requests(), 4)
	assert.NotContains(t, err.Error(), "may have been carried out")
}

func TestBackoff_DoublesUpToMax(t *testing.T) {
	t.Parallel()
	const s, ms = time.Second, time.Millisecond
	const longest = math.MaxInt64
	tests := map[string]struct {
		min, max time.Duration
		want     []time.Duration
	}{
		"default": {100 * ms, 5 * s, []time.Duration{
			100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 5 * s, 5 * s,
		}},
		"three doublings": {1 * s, 8 * s, []time.Duration{1 * s, 2 * s, 4 * s, 8 * s, 8 * s}},
		"max is not a power of two": {
			1 * s, 5 * s, []time.Duration{1 * s, 2 * s, 4 * s, 5 * s, 5 * s},
		},
		"max is less than twice min": {4 * s, 5 * s, []time.Duration{4 * s, 5 * s, 5 * s}},
		"always the same":            {2 * s, 2 * s, []time.Duration{2 * s, 2 * s, 2 * s}},
		"none":                       {0, 0, []time.Duration{0, 0, 0}},
		"min is 0":                   {0, 5 * s, []time.Duration{0, 0, 0}},
		"the longest": {longest / 2, longest, []time.Duration{
			longest / 2, longest - 1, longest, longest,
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _, clock := scripted(t, []Option{WithBackoff(test.min, test.max)})
			for i := range test.want {
				c.backoff(i + 1)
			}
			assert.Equal(t, test.want, clock.maxWaits)
			assert.NotPanics(t, func() { c.backoff(1000) })
		})
	}
	c, _, clock := scripted(t, []Option{WithMaxAttempts(9), WithTimeout(time.Hour)},
		repeat(9, answers(503, ""))...)
	require.Error(t, callKinds["read"](context.Background(), c))
	assert.Equal(t, tests["default"].want, clock.waited(),
		"the client waits for what jitter returns")
}

func TestFullJitter(t *testing.T) {
	t.Parallel()
	const maxWait = time.Second
	var low, high bool
	for range 1000 {
		wait := fullJitter(maxWait)
		require.GreaterOrEqual(t, wait, time.Duration(0))
		require.Less(t, wait, maxWait)
		low, high = low || wait < maxWait/4, high || wait > maxWait*3/4
	}
	assert.True(t, low && high, "the waits are spread over the whole range")
	assert.Zero(t, fullJitter(0))
	assert.NotPanics(t, func() {
		assert.GreaterOrEqual(t, fullJitter(math.MaxInt64), time.Duration(0))
	})
}

func TestRetryAfter_UpTo30Seconds(t *testing.T) {
	t.Parallel()
	const backoff = 100 * time.Millisecond
	tests := map[string]struct {
		value func(now time.Time) string
		want  time.Duration
	}{
		"seconds":              {fixedValue("7"), 7 * time.Second},
		"seconds with space":   {fixedValue(" 7 "), 7 * time.Second},
		"30":                   {fixedValue("30"), 30 * time.Second},
		"31":                   {fixedValue("31"), 30 * time.Second},
		"an hour":              {fixedValue("3600"), 30 * time.Second},
		"more than a Duration": {fixedValue("9223372037"), 30 * time.Second},
		"more than an int64":   {fixedValue("9223372036854775808"), 30 * time.Second},
		"more than a uint64":   {fixedValue("99999999999999999999999"), 30 * time.Second},
		"0":                    {fixedValue("0"), backoff},
		"negative":             {fixedValue("-5"), backoff},
		"very negative":        {fixedValue("-99999999999999999999999"), backoff},
		"a fraction":           {fixedValue("1.5"), backoff},
		"a word":               {fixedValue("soon"), backoff},
		"empty":                {fixedValue(""), backoff},
		"hex":                  {fixedValue("0x10"), backoff},
		"a date":               {dateIn(20*time.Second, http.TimeFormat), 20 * time.Second},
		"a date, RFC 850": {
			dateIn(20*time.Second, "Monday, 02-Jan-06 15:04:05 GMT"), 20 * time.Second,
		},
		"a date, asctime":   {dateIn(20*time.Second, time.ANSIC), 20 * time.Second},
		"a date in an hour": {dateIn(time.Hour, http.TimeFormat), 30 * time.Second},
		"a date past":       {dateIn(-time.Hour, http.TimeFormat), backoff},
		"the last date":     {fixedValue("Fri, 31 Dec 9999 23:59:59 GMT"), 30 * time.Second},
		"no such date":      {fixedValue("Fri, 32 Dec 2026 23:59:59 GMT"), backoff},
	}
	for name, test := range tests {
		for _, status := range []int{429, 425} {
			t.Run(fmt.Sprintf("%s/%d", name, status), func(t *testing.T) {
				t.Parallel()
				c, s, clock := scripted(t, nil)
				value := test.value(clock.time)
				s.steps = []step{answers(status, "", "Retry-After", value), answers(200, janeJSON)}
				require.NoError(t, writeNoRetry(context.Background(), c))
				assert.Equal(t, []time.Duration{test.want}, clock.waited(), value)
			})
		}
	}
}

// fixedValue and dateIn return values of Retry-After.
func fixedValue(value string) func(time.Time) string {
	return func(time.Time) string { return value }
}

func dateIn(d time.Duration, layout string) func(time.Time) string {
	return func(now time.Time) string { return now.UTC().Add(d).Format(layout) }
}

func TestRetryAfter_ShorterThanBackoff(t *testing.T) {
	t.Parallel()
	c, _, clock := scripted(t, []Option{WithBackoff(4*time.Second, 4*time.Second)},
		answers(503, "", "Retry-After", "1"), answers(200, janeJSON))
	_, err := c.User.Get(context.Background(), "jane")
	require.NoError(t, err)
	assert.Equal(t, []time.Duration{4 * time.Second}, clock.waited())
}
