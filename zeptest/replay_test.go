package zeptest_test

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep/internal/recording"
	"github.com/zep-go/zep/zeptest"
)

// TestReplay sends every recorded request, in the order of the recording, and wants the recorded
// answer: the same status, headers and body, byte by byte, search results and embeddings included.
// These are the exceptions:
//
//   - UUIDs and times differ in every run. Each recorded one stands for one replayed, wherever it
//     comes, except the zero UUID and the zero time.
//   - Bodies that were cut in the recording are compared up to there.
//   - The recording has one Allow header where the server sends one a method, in any order.
//   - The server of the scenario "auth" requires a key; all others were recorded with one open
//     server.
func TestReplay(t *testing.T) {
	t.Parallel()
	open := newReplay(t)
	locked := newReplay(t, zeptest.WithAPIKey("key"))
	replayed := map[string]int{}
	exchanges, err := recording.Read("../testdata/zep-v0.27.2.jsonl")
	require.NoError(t, err)
	for _, x := range exchanges {
		replayed[x.Scenario]++
		server := open
		if x.Scenario == "auth" {
			server = locked
		}
		t.Run(x.Scenario+": "+x.Step, func(t *testing.T) { server.exchange(t, x) })
	}
	assert.Equal(t, map[string]int{
		"health":               1,
		"users":                47,
		"user ids on the path": 27,
		"sessions":             16,
		"limits":               1,
		"auth":                 3,
		"memory":               17,
		"messages":             11,
		"search":               11,
		"collections":          16,
		"documents":            28,
	}, replayed)
}

// replay remembers which UUID and time of its server stands for which recorded one.
type replay struct {
	url       *url.URL
	transport *http.Transport
	replayed  map[string]string // by recorded value
	recorded  map[string]string // by replayed value
}

func newReplay(t *testing.T, opts ...zeptest.Option) *replay {
	s := newServer(t, append(opts, zeptest.WithServerVersion("dev-n/a (n/a)"))...)
	u, err := url.Parse(s.URL)
	require.NoError(t, err)
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &replay{u, transport, map[string]string{}, map[string]string{}}
}

func (p *replay) exchange(t *testing.T, x recording.Exchange) {
	req := &http.Request{
		Method: x.Request.Method,
		// An opaque URL is sent as it is, however it is escaped.
		URL:    &url.URL{Scheme: "http", Host: p.url.Host, Opaque: p.translate(x.Request.Path)},
		Header: http.Header{},
	}
	if x.Request.Body != "" {
		body := restored(p.translate(x.Request.Body))
		req.Body = io.NopCloser(strings.NewReader(body))
		req.ContentLength = int64(len(body))
	}
	for name, value := range x.Request.Headers {
		req.Header.Set(name, value)
	}
	resp, err := p.transport.RoundTrip(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)

	assert.Equal(t, x.Response.Status, resp.StatusCode)
	for name, want := range x.Response.Headers {
		if name == "Connection" { // Go's client keeps this header to itself
			assert.Equal(t, want == "close", resp.Close, name)
			continue
		}
		// The recording has one Allow header, and the server sends one a method, in any order.
		assert.Contains(t, resp.Header.Values(name), want, name)
	}
	p.compareBody(t, x.Response.Body, string(body))
}

// volatile matches what differs in every run: UUIDs, and times to the microsecond, except the zero
// UUID and the zero time.
var volatile = regexp.MustCompile(
	`[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}` +
		`|20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z`)

// compareBody compares byte by byte, except that each recorded UUID and time must be the same
// replayed one wherever it comes, and the other way round.
func (p *replay) compareBody(t *testing.T, recorded, replayed string) {
	if prefix, cut := strings.CutSuffix(recorded, "…"); cut {
		require.GreaterOrEqual(t, len(replayed), len(prefix))
		recorded, replayed = prefix, replayed[:len(prefix)]
	}
	want, got := volatile.FindAllString(recorded, -1), volatile.FindAllString(replayed, -1)
	require.Equal(t, volatile.ReplaceAllString(recorded, "*"),
		volatile.ReplaceAllString(replayed, "*"))
	for i := range want {
		if _, ok := p.replayed[want[i]]; !ok {
			assert.NotContains(t, p.recorded, got[i], "stands for two recorded values")
			p.replayed[want[i]], p.recorded[got[i]] = got[i], want[i]
		}
		assert.Equal(t, p.replayed[want[i]], got[i], "recorded as %s", want[i])
	}
}

// translate puts the replayed UUIDs into a recorded request.
func (p *replay) translate(request string) string {
	return volatile.ReplaceAllStringFunc(request, func(recorded string) string {
		if replayed, ok := p.replayed[recorded]; ok {
			return replayed
		}
		return recorded
	})
}

var shortened = regexp.MustCompile(`^(.*)…\((\d+) bytes\)$`)

// restored returns a request's body at the length that it had before it was shortened for the
// recording. What was shortened is a string of one letter, at the end of a nested object.
func restored(body string) string {
	m := shortened.FindStringSubmatch(body)
	if m == nil {
		return body
	}
	const end = `"}}`
	length, _ := strconv.Atoi(m[2])
	return m[1] + strings.Repeat(m[1][len(m[1])-1:], length-len(m[1])-len(end)) + end
}
