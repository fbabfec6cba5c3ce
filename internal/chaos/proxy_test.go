package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const answer = `{"answer": "of the server, and long enough to be cut"}` + "\n"

// counter is a server that counts what it has handled.
type counter struct{ atomic.Int64 }

func (c *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	c.Add(1)
	w.Header().Set("X-Server", "yes")
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, answer)
}

// send makes a labelled request over a connection of its own, and reads the whole answer.
func send(ctx context.Context, p *Proxy, label string) (status int, header http.Header, body string, err error) {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.URL+"/path", strings.NewReader(strings.Repeat("body ", 2000)))
	if err != nil {
		return 0, nil, "", err
	}
	req.Header.Set(Header, label)
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, nil, "", err
	}
	defer resp.Body.Close()
	read, err := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, string(read), err
}

// TestFaults looks what a client gets of each fault.
func TestFaults(t *testing.T) {
	t.Parallel()
	server := &counter{}
	p := New(server, 1, 1)
	t.Cleanup(p.Close)
	left := map[*fault]int{} // how often each is still to be looked at
	for i := range faults {
		left[&faults[i]] = 3
	}
	for i := 0; len(left) > 0; i++ {
		ctx, cancel := context.WithCancel(context.Background())
		call := &Call{Label: fmt.Sprint(i), Cancel: cancel, Late: true, Patient: true}
		if drawn := p.draw(p.random(call.Label, 0), call); left[drawn] == 0 {
			cancel()
			continue
		} else if left[drawn]--; left[drawn] == 0 {
			delete(left, drawn)
		}
		unwatch := p.Watch(call)
		before := server.Load()
		status, header, body, err := send(ctx, p, call.Label)
		unwatch()
		exchanges := call.Exchanges()
		require.Len(t, exchanges, 1)
		x := exchanges[0]
		f := faults[slices.IndexFunc(faults, func(f fault) bool { return f.name == x.Fault })]

		assert.Equal(t, f.proof, x.Proof, f.name)
		assert.Equal(t, f.cancels, call.Cancelled(), f.name)
		if !f.late {
			assert.Equal(t, f.handle, server.Load() > before, f.name)
			assert.Equal(t, f.handle, x.Done(), f.name)
		} else {
			p.settle()
			assert.Equal(t, before+1, server.Load(), f.name)
		}
		assert.Equal(t, f.slow, !x.NotBefore.IsZero() && x.NotBefore.Before(x.Began.Add(time.Minute)), f.name)

		want := 0
		_, _ = fmt.Sscanf(f.name, "%3d", &want)
		switch {
		case f.cancels:
			assert.ErrorIs(t, err, context.Canceled, f.name)
		case want != 0:
			require.NoError(t, err, f.name)
			assert.Equal(t, want, status, f.name)
			assert.Equal(t, strings.Contains(f.name, "Retry-After"), header["Retry-After"] != nil, f.name)
		case strings.HasPrefix(f.name, "page"), strings.HasPrefix(f.name, "garbage"), f.name == "length too short":
			require.NoError(t, err, f.name)
			assert.Equal(t, 2, status/100, f.name)
			assert.NotEqual(t, answer, body, f.name)
		default:
			assert.Error(t, err, f.name)
			assert.NotEqual(t, answer, body, f.name)
		}
		cancel()
	}
}

// settle waits until no exchange is under way.
func (p *Proxy) settle() { p.active.Wait() }

func TestWithoutFaultsTheServerAnswers(t *testing.T) {
	t.Parallel()
	server := &counter{}
	p := New(server, 1, 0)
	t.Cleanup(p.Close)
	for i := range 50 {
		status, header, body, err := send(context.Background(), p, fmt.Sprint(i))
		require.NoError(t, err)
		assert.Equal(t, http.StatusCreated, status)
		assert.Equal(t, "yes", header.Get("X-Server"))
		assert.Equal(t, answer, body)
	}
	exchanges, counts := p.Counts()
	assert.Equal(t, 50, exchanges)
	assert.Empty(t, counts)
}

// TestASeedDecides: the order in which calls arrive does not matter.
func TestASeedDecides(t *testing.T) {
	t.Parallel()
	const calls = 60
	run := func(seed uint64, workers int) map[string][]string {
		p := New(&counter{}, seed, 0.5)
		defer p.Close()
		var mu sync.Mutex
		met := map[string][]string{}
		var done sync.WaitGroup
		for w := range workers {
			done.Add(1)
			go func() {
				defer done.Done()
				for i := w; i < calls; i += workers {
					call := &Call{Label: fmt.Sprint(i)}
					defer p.Watch(call)()
					for range 3 {
						_, _, _, _ = send(context.Background(), p, call.Label)
					}
					mu.Lock()
					for _, x := range call.Exchanges() {
						met[call.Label] = append(met[call.Label], x.Fault)
					}
					mu.Unlock()
				}
			}()
		}
		done.Wait()
		return met
	}
	first := run(7, 1)
	assert.Len(t, first, calls)
	assert.Equal(t, first, run(7, 8))
	assert.NotEqual(t, first, run(8, 1))
}

func TestShare(t *testing.T) {
	t.Parallel()
	p := &Proxy{share: 0.2}
	counts := map[*fault]int{}
	const exchanges = 10_000
	for i := range exchanges {
		counts[p.draw(p.random("call", i), &Call{})]++
	}
	assert.InDelta(t, 0.77, float64(counts[&noFault])/exchanges, 0.02)
	assert.InDelta(t, 0.02, float64(counts[&delay])/exchanges, 0.01)
	assert.InDelta(t, 0.01, float64(counts[&lastOfConnection])/exchanges, 0.005)
	for f := range counts {
		assert.False(t, f.cancels || f.late || f.slow, f.name)
	}
}

// TestCloseEndsEverything: a caller who never gives up does not keep the proxy from closing.
func TestCloseEndsEverything(t *testing.T) {
	t.Parallel()
	p := New(&counter{}, 1, 0)
	given := make(chan struct{})
	call := &Call{Label: "x", Cancel: func() { close(given) }}
	p.server = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusOK) })
	defer p.Watch(call)()
	p.http.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		(&exchange{proxy: p, call: call, w: w, r: r}).cancel()
	})
	failed := make(chan error, 1)
	go func() {
		_, _, _, err := send(context.Background(), p, "x")
		failed <- err
	}()
	<-given
	p.Close()
	p.Close()
	if err := <-failed; err != nil {
		assert.False(t, errors.Is(err, context.Canceled))
	}
}

func TestTwoCallsOfOneLabelAreAMistake(t *testing.T) {
	t.Parallel()
	p := New(&counter{}, 1, 0)
	t.Cleanup(p.Close)
	unwatch := p.Watch(&Call{Label: "x"})
	assert.Panics(t, func() { p.Watch(&Call{Label: "x"}) })
	unwatch()
	assert.NotPanics(t, func() { p.Watch(&Call{Label: "x"})() })
}

func TestAnExchangeInOneLine(t *testing.T) {
	t.Parallel()
	x := Exchange{Method: "GET", Path: "/user", Fault: "cut after", Proof: Unknown, Status: 200}
	assert.Equal(t, "GET /user (server: 200, unknown) cut after", x.String())
	x = Exchange{Method: "GET", Path: "/user", Fault: "503", Proof: Undone}
	assert.Equal(t, "GET /user (kept from the server, undone) 503", x.String())
}
