package chaos

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// recorder is a server that records the label of each request whose body is complete.
type recorder struct {
	mu     sync.Mutex
	labels []string
}

func (s *recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if body, err := io.ReadAll(r.Body); err != nil || len(body) != len("body ")*2000 {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.labels = append(s.labels, r.Header.Get(Header))
	s.mu.Unlock()
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, wholeBody)
}

func (s *recorder) got() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.labels...)
}

func TestLate_DeliversAfterTheCall(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for seed := range uint64(20) {
		server := &recorder{}
		p := NewLate(server, seed, 0, 1)
		t.Cleanup(p.Close)
		var want []string // in the order of the calls, without late deliveries
		for i := range 6 {
			call := &Call{Label: fmt.Sprintf("a.%d", i)}
			unwatch := p.Watch(call)
			before := len(server.got())
			got, err := send(ctx, p.Proxy, call.Label)
			delivered := p.Delivered("a")
			assert.Len(t, server.got(), before+len(delivered), "the first attempt is held back")
			for _, d := range delivered {
				assert.NotEqual(t, call.Label, d.Label)
				assert.Equal(t, http.StatusCreated, d.Status)
				assert.Equal(t, "POST /path", d.Method+" "+d.Path)
				want = append(want, d.Label)
			}
			assert.True(t, err != nil || got.status >= 500, "%d %s", got.status, got.body)
			for range 2 { // only the first attempt is held back
				got, err = send(ctx, p.Proxy, call.Label)
				require.NoError(t, err)
				assert.Equal(t, http.StatusCreated, got.status)
				assert.Equal(t, wholeBody, got.body)
				want = append(want, call.Label)
			}
			unwatch()
			exchanges := call.Exchanges()
			require.Len(t, exchanges, 3)
			assert.True(t, strings.HasPrefix(exchanges[0].Fault, "held back"), exchanges[0])
			assert.Equal(t, Unknown, exchanges[0].Proof)
			assert.False(t, exchanges[0].Done())
			assert.Equal(t, want, server.got())
		}
		p.Close()
		rest := p.Deliveries()
		assert.NotEmpty(t, rest, "the last one is delivered at the end")
		assert.Len(t, server.got(), 18, "every attempt is delivered once")
	}
}

func TestLate_HoldsBackWritesOnly(t *testing.T) {
	t.Parallel()
	for target, write := range map[string]bool{
		"GET /user":                                  false,
		"POST /user":                                 true,
		"PATCH /user/u":                              true,
		"DELETE /user/u":                             true,
		"POST /sessions/s/search":                    false,
		"POST /collection/c/document/list/get":       false,
		"POST /collection/c/document/list/delete":    true,
		"PATCH /collection/c/document/list/update":   true,
		"GET /collection/c/document/uuid/some-uuid1": false,
	} {
		method, path, _ := strings.Cut(target, " ")
		r, err := http.NewRequest(method, "http://chaos.test"+path, nil)
		require.NoError(t, err)
		assert.Equal(t, write, isWrite(r), target)
	}
}

func TestBothSides_Faults(t *testing.T) {
	t.Parallel()
	server := &recorder{}
	p := NewBothSides(server, 1, 0, 1)
	t.Cleanup(p.Close)
	done := map[string]bool{
		"both sides cut in the request":          false,
		"both sides cut before the server began": false,
		"both sides cut while the server worked": true,
		"both sides cut after the server worked": true,
	}
	for i := range 40 {
		call := &Call{Label: fmt.Sprint(i)}
		unwatch := p.Watch(call)
		before := len(server.got())
		_, err := send(context.Background(), p.Proxy, call.Label)
		unwatch()
		require.Error(t, err)
		exchanges := call.Exchanges()
		require.Len(t, exchanges, 1)
		x := exchanges[0]
		want, known := done[x.Fault]
		require.True(t, known, x.Fault)
		assert.Equal(t, Unknown, x.Proof)
		assert.Equal(t, want, x.Done(), x)
		assert.Equal(t, want, len(server.got()) > before, x)
	}
	_, counts := p.Counts()
	assert.Len(t, counts, len(done), "each fault came")
}

// TestModes_Seed checks that the choice of a mode depends on the label only.
func TestModes_Seed(t *testing.T) {
	t.Parallel()
	run := func(seed uint64) (met []string) {
		p := NewLate(&recorder{}, seed, 0.3, 0.3)
		defer p.Close()
		for i := range 40 {
			call := &Call{Label: fmt.Sprintf("%d.1", i)}
			unwatch := p.Watch(call)
			for range 2 {
				_, _ = send(context.Background(), p.Proxy, call.Label)
			}
			unwatch()
			for _, x := range call.Exchanges() {
				met = append(met, x.Fault)
			}
		}
		return met
	}
	first := run(7)
	assert.Equal(t, first, run(7))
	assert.NotEqual(t, first, run(8))
}
