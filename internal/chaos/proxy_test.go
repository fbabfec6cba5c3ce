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

const body = `{"text": "a response that is long enough to be cut"}` + "\n"

// counter is a server that counts the requests that it handled.
type counter struct{ atomic.Int64 }

func (c *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	c.Add(1)
	w.Header().Set("X-Server", "yes")
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, body)
}

// response is what a client got.
type response struct {
	status int
	header http.Header
	body   string
}

// send sends a labelled request over a connection of its own, and reads the whole response.
func send(ctx context.Context, p *Proxy, label string) (response, error) {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	large := strings.NewReader(strings.Repeat("body ", 2000))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.URL+"/path", large)
	if err != nil {
		return response{}, err
	}
	req.Header.Set(Header, label)
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return response{}, err
	}
	defer resp.Body.Close()
	read, err := io.ReadAll(resp.Body)
	return response{resp.StatusCode, resp.Header, string(read)}, err
}

// TestProxy_Faults checks what the client gets for each fault.
func TestProxy_Faults(t *testing.T) {
	t.Parallel()
	server := &counter{}
	p := New(server, 1, 1)
	t.Cleanup(p.Close)
	left := map[*fault]int{} // how often each is still to be tested
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
		got, err := send(ctx, p, call.Label)
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
			p.active.Wait()
			assert.Equal(t, before+1, server.Load(), f.name)
		}
		slow := !x.NotBefore.IsZero() && x.NotBefore.Before(x.Began.Add(time.Minute))
		assert.Equal(t, f.slow, slow, f.name)

		want := 0
		_, _ = fmt.Sscanf(f.name, "%3d", &want)
		switch {
		case f.cancels:
			assert.ErrorIs(t, err, context.Canceled, f.name)
		case want != 0:
			require.NoError(t, err, f.name)
			assert.Equal(t, want, got.status, f.name)
			retryAfter := strings.Contains(f.name, "Retry-After")
			assert.Equal(t, retryAfter, got.header["Retry-After"] != nil, f.name)
		case strings.HasPrefix(f.name, "page"),
			strings.HasPrefix(f.name, "garbage"),
			f.name == "length too short":
			require.NoError(t, err, f.name)
			assert.Equal(t, 2, got.status/100, f.name)
			assert.NotEqual(t, body, got.body, f.name)
		default:
			assert.Error(t, err, f.name)
			assert.NotEqual(t, body, got.body, f.name)
		}
		cancel()
	}
}

func TestProxy_WithoutFaults(t *testing.T) {
	t.Parallel()
	server := &counter{}
	p := New(server, 1, 0)
	t.Cleanup(p.Close)
	for i := range 50 {
		got, err := send(context.Background(), p, fmt.Sprint(i))
		require.NoError(t, err)
		assert.Equal(t, http.StatusCreated, got.status)
		assert.Equal(t, "yes", got.header.Get("X-Server"))
		assert.Equal(t, body, got.body)
	}
	exchanges, counts := p.Counts()
	assert.Equal(t, 50, exchanges)
	assert.Empty(t, counts)
}

// TestNew_Seed checks that the seed determines the faults, and the order of the calls does not.
func TestNew_Seed(t *testing.T) {
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
						_, _ = send(context.Background(), p, call.Label)
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

func TestNew_Share(t *testing.T) {
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

// TestProxy_Close closes while a fault waits for a caller that never cancels.
func TestProxy_Close(t *testing.T) {
	t.Parallel()
	p := New(&counter{}, 1, 0)
	canceling := make(chan struct{})
	call := &Call{Label: "x", Cancel: func() { close(canceling) }}
	defer p.Watch(call)()
	p.http.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		(&exchange{proxy: p, call: call, w: w, r: r}).cancel()
	})
	failed := make(chan error, 1)
	go func() {
		_, err := send(context.Background(), p, "x")
		failed <- err
	}()
	<-canceling
	p.Close()
	p.Close()
	if err := <-failed; err != nil {
		assert.False(t, errors.Is(err, context.Canceled))
	}
}

func TestProxy_WatchSameLabel(t *testing.T) {
	t.Parallel()
	p := New(&counter{}, 1, 0)
	t.Cleanup(p.Close)
	unwatch := p.Watch(&Call{Label: "x"})
	assert.Panics(t, func() { p.Watch(&Call{Label: "x"}) })
	unwatch()
	assert.NotPanics(t, func() { p.Watch(&Call{Label: "x"})() })
}

func TestExchange_String(t *testing.T) {
	t.Parallel()
	x := Exchange{Method: "GET", Path: "/user", Fault: "cut after", Proof: Unknown, Status: 200}
	assert.Equal(t, "GET /user (server: 200, unknown) cut after", x.String())
	x = Exchange{Method: "GET", Path: "/user", Fault: "503", Proof: Undone}
	assert.Equal(t, "GET /user (not forwarded, undone) 503", x.String())
}
