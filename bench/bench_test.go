package bench

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zep-go/zep"
)

// table is the number of users that are walked.
const table = 100_000

// The cost of a list and of each user in it, as measured on Zep 0.27.2 with 100,000 users.
const (
	perPage = 17 * time.Millisecond
	perUser = 12 * time.Microsecond
)

var only = flag.String("peers", "", "run only the peers that match this `regexp`")

// allPeers has the names of all peers, the floor first.
var allPeers = []string{"floor", "floor-tuned", "retryablehttp", "resty", "zep", "zep-logger"}

// choose returns the names that match -peers.
func choose(names ...string) []string {
	re := regexp.MustCompile(*only)
	return slices.DeleteFunc(names, func(name string) bool { return !re.MatchString(name) })
}

// peer returns a new peer by its name. A nil transport is its own.
func peer(tb testing.TB, name, url string, transport http.RoundTripper) Peer {
	var p Peer
	var opts []zep.Option
	if transport != nil {
		opts = append(opts, zep.WithHTTPClient(&http.Client{Transport: transport}))
	}
	switch name {
	case "floor":
		p = NetHTTP(name, url, cmp.Or[http.RoundTripper](transport, DefaultTransport()))
	case "floor-tuned":
		p = NetHTTP(name, url, cmp.Or[http.RoundTripper](transport, TunedTransport()))
	case "retryablehttp":
		p = RetryableHTTP(url, transport)
	case "resty":
		p = Resty(url, transport)
	case "zep":
		p = Zep(name, url, opts...)
	case "zep-logger":
		p = Zep(name, url, append(opts, zep.WithLogger(DisabledLogger()))...)
	default:
		tb.Fatalf("no peer %q", name)
	}
	tb.Cleanup(p.Close)
	return p
}

// work is one call that all peers can make.
type work struct {
	name    string
	perTurn int // the number of calls of a turn
	call    func(context.Context, Peer) (any, error)
}

// write is of the first user, with which the server responds to every add.
var write = &Write{
	UserID:    UserID(0),
	Email:     "jane.smith@example.com",
	FirstName: "Jane",
	LastName:  "Smith",
	Metadata: zep.Metadata{
		"plan": "pro", "visits": 17, "address": map[string]any{"city": "Zürich"},
	},
}

var userCalls = []work{
	{"Get", 500, func(ctx context.Context, p Peer) (any, error) { return p.Get(ctx, UserID(0)) }},
	{"Add", 500, func(ctx context.Context, p Peer) (any, error) { return p.Add(ctx, write) }},
	{"Update", 500, func(ctx context.Context, p Peer) (any, error) { return p.Update(ctx, write) }},
}

// The sizes of the responses to the calls that are not of users.
const (
	messages  = 50
	documents = 500
)

var calls = slices.Concat(userCalls, []work{
	{"Memory", 200, func(ctx context.Context, p Peer) (any, error) {
		return p.Memory(ctx, "jane-books", messages)
	}},
	{"Documents", 5, func(ctx context.Context, p Peer) (any, error) {
		return p.Documents(ctx, "library", documentUUIDs())
	}},
})

var documentUUIDs = sync.OnceValue(func() []string {
	uuids := make([]string, documents)
	for i := range uuids {
		uuids[i] = DocumentUUID(i)
	}
	return uuids
})

// records is what the server has for all calls.
var records = Config{Users: 100, Messages: messages, Documents: documents}

// BenchmarkCall makes one call after another over a kept connection.
func BenchmarkCall(b *testing.B) {
	for _, call := range calls {
		b.Run("work="+call.name, func(b *testing.B) {
			server := serve(b, records)
			for _, name := range choose(allPeers...) {
				b.Run("peer="+name, func(b *testing.B) {
					repeat(b, peer(b, name, server.URL(), nil), call)
				})
			}
		})
	}
}

// BenchmarkInMemory makes calls of users without network and server, to measure the client alone.
func BenchmarkInMemory(b *testing.B) {
	for _, call := range userCalls {
		b.Run("work="+call.name, func(b *testing.B) {
			for _, name := range choose("floor", "retryablehttp", "resty", "zep", "zep-logger") {
				b.Run("peer="+name, func(b *testing.B) {
					repeat(b, peer(b, name, "http://zep.test", newMemory()), call)
				})
			}
		})
	}
}

func repeat(b *testing.B, peer Peer, call work) {
	b.ReportAllocs()
	for b.Loop() {
		must(b, second(call.call(b.Context(), peer)))
	}
}

// memory is a transport that responds to every request with one user.
type memory string

func newMemory() memory {
	recorder := httptest.NewRecorder()
	newServer(Config{Users: 1}).one(recorder, http.StatusOK, 0)
	return memory(recorder.Body.String())
}

func (m memory) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		_, _ = io.Copy(io.Discard, req.Body)
		_ = req.Body.Close()
	}
	return &http.Response{
		StatusCode:    http.StatusOK,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Request:       req,
		Header:        http.Header{"Content-Type": {"text/plain; charset=utf-8"}},
		ContentLength: int64(len(m)),
		Body:          io.NopCloser(strings.NewReader(string(m))),
	}, nil
}

// BenchmarkSideBySideCall lets the peers take turns of up to a few hundred calls each, so that
// other load of the machine affects all of them alike. It reports the median turn, for ratios in
// which a few percent matter.
func BenchmarkSideBySideCall(b *testing.B) {
	for _, call := range calls {
		b.Run("work="+call.name, func(b *testing.B) {
			server := serve(b, records)
			var turns []turn
			for _, name := range choose("floor", "retryablehttp", "resty", "zep", "zep-logger") {
				peer := peer(b, name, server.URL(), nil)
				turns = append(turns, turn{name, call.perTurn, func() {
					for range call.perTurn {
						must(b, second(call.call(b.Context(), peer)))
					}
				}})
			}
			sideBySide(b, turns, 15)
		})
	}
}

// BenchmarkManyCalls calls from 64 goroutines at once.
func BenchmarkManyCalls(b *testing.B) {
	const goroutines, perTurn = 64, 6400
	var turns []turn
	servers := map[string]*Server{}
	for _, name := range choose("floor", "floor-tuned", "retryablehttp", "resty", "zep") {
		servers[name] = serve(b, Config{Users: 100})
		peer := peer(b, name, servers[name].URL(), nil)
		turns = append(turns, turn{name, perTurn, func() {
			var all sync.WaitGroup
			for g := range goroutines {
				all.Go(func() {
					for range perTurn / goroutines {
						must(b, second(peer.Get(b.Context(), UserID(g))))
					}
				})
			}
			all.Wait()
		}})
	}
	medians := sideBySide(b, turns, 8)
	for name, server := range servers {
		b.ReportMetric(float64(time.Second)/medians[name], name+"-calls/s")
		b.ReportMetric(float64(server.Connections()), name+"-connections")
	}
}

// BenchmarkWalk walks all users of a server without costs.
func BenchmarkWalk(b *testing.B) {
	server := serve(b, Config{Users: table})
	for _, name := range choose("floor", "retryablehttp", "resty", "zep") {
		b.Run("how=chunks-1000/peer="+name, func(b *testing.B) {
			peer := peer(b, name, server.URL(), nil)
			b.ReportAllocs()
			for b.Loop() {
				walkChunks(b, peer, 1000)
			}
		})
	}
	for _, name := range choose("zep") {
		b.Run("how=all/peer="+name, func(b *testing.B) {
			peer := peer(b, name, server.URL(), nil)
			b.ReportAllocs()
			for b.Loop() {
				walkAll(b, peer)
			}
		})
	}
}

// BenchmarkSideBySideWalk is BenchmarkWalk with peers that take turns.
func BenchmarkSideBySideWalk(b *testing.B) {
	server := serve(b, Config{Users: table})
	var turns []turn
	for _, name := range choose("floor", "retryablehttp", "resty", "zep") {
		peer := peer(b, name, server.URL(), nil)
		turns = append(turns, turn{name, 1, func() { walkChunks(b, peer, 1000) }})
		if name == "zep" {
			turns = append(turns, turn{"zep-all", 1, func() { walkAll(b, peer) }})
		}
	}
	sideBySide(b, turns, 7)
}

// BenchmarkRealServer walks all users of a server that takes as long as Zep for a list. first-ms
// is the time until the first user.
func BenchmarkRealServer(b *testing.B) {
	server := serve(b, Config{Users: table, PerPage: perPage, PerUser: perUser, Cores: 2})
	for _, way := range []struct {
		name  string
		peers []string
		walk  walk
	}{
		{"chunks-100", []string{"floor"}, inChunks(100)},
		{"chunks-1000", []string{"floor", "zep"}, inChunks(1000)},
		{"one-request", []string{"floor", "zep"}, inOneRequest},
		{"all", []string{"zep"}, oneByOne},
	} {
		for _, name := range choose(way.peers...) {
			b.Run("how="+way.name+"/peer="+name, func(b *testing.B) {
				peer := peer(b, name, server.URL(), nil)
				var firsts time.Duration
				for b.Loop() {
					start, n := time.Now(), 0
					must(b, way.walk(b.Context(), peer, func(users int) bool {
						if n == 0 {
							firsts += time.Since(start)
						}
						n += users
						return true
					}))
					same(b, n, table)
				}
				b.ReportMetric(ms(firsts)/float64(b.N), "first-ms")
			})
		}
	}
}

// walk walks all users of a peer. It yields the number of users that came together.
type walk func(ctx context.Context, p Peer, yield func(users int) bool) error

func inChunks(size int) walk {
	return func(ctx context.Context, p Peer, yield func(int) bool) error {
		return p.Chunks(ctx, size, yield)
	}
}

func inOneRequest(ctx context.Context, p Peer, yield func(int) bool) error {
	users, _, err := p.Page(ctx, 0, 0)
	yield(users)
	return err
}

func oneByOne(ctx context.Context, p Peer, yield func(int) bool) error {
	return p.All(ctx, func(any) bool { return yield(1) })
}

// BenchmarkGrowth compares policies for page sizes with the costs of the real server: with 100,000
// users in its table and, at page=170ms, as if these were the first of a million.
func BenchmarkGrowth(b *testing.B) {
	for _, cost := range []struct {
		page     time.Duration
		policies []Growth
	}{
		{perPage, grid([]int{100, 500}, []float64{2, 4}, []int{1000, 2500, 5000, 10000, 20000})},
		{10 * perPage, grid([]int{100}, []float64{2, 4}, []int{5000, 20000})},
	} {
		server := serve(b, Config{Users: table, PerPage: cost.page, PerUser: perUser, Cores: 2})
		client := NewClient(server.URL())
		for _, g := range cost.policies {
			name := fmt.Sprintf("page=%v/start=%d/factor=%g/cap=%d",
				cost.page, g.Start, g.Factor, g.Cap)
			b.Run(name, func(b *testing.B) {
				var firsts time.Duration
				heap := watchHeap()
				for b.Loop() {
					start, n := time.Now(), 0
					must(b, g.Walk(b.Context(), client, func(*zep.User) bool {
						if n == 0 {
							firsts += time.Since(start)
						}
						n++
						return true
					}))
					same(b, n, table)
				}
				live, _ := heap.stop()
				b.ReportMetric(ms(firsts)/float64(b.N), "first-ms")
				b.ReportMetric(live, "live-MiB")
			})
		}
	}
}

func grid(starts []int, factors []float64, caps []int) (all []Growth) {
	for _, start := range starts {
		for _, factor := range factors {
			for _, limit := range caps {
				all = append(all, Growth{start, factor, limit})
			}
		}
	}
	return all
}

// BenchmarkMemory walks a million users, which the server renders on demand. live-MiB is the
// maximum in use after a garbage collection, heap-MiB the maximum with garbage. Both are without
// what was in use before the walk.
func BenchmarkMemory(b *testing.B) {
	const million = 1_000_000
	server := serve(b, Config{Users: million, OnDemand: true})
	for _, name := range choose("floor", "zep") {
		for _, how := range []string{"chunks-1000", "all"} {
			if how == "all" && name != "zep" {
				continue
			}
			b.Run("how="+how+"/peer="+name, func(b *testing.B) {
				peer := peer(b, name, server.URL(), nil)
				heap := watchHeap()
				for b.Loop() {
					n := 0
					if how == "all" {
						must(b, peer.All(b.Context(), func(any) bool { n++; return true }))
					} else {
						must(b, peer.Chunks(b.Context(), 1000, func(users int) bool {
							n += users
							return true
						}))
					}
					same(b, n, million)
				}
				live, all := heap.stop()
				b.ReportMetric(live, "live-MiB")
				b.ReportMetric(all, "heap-MiB")
			})
		}
	}
}

// BenchmarkAllParallel compares a walk by several workers with All, in turns. factor is how many
// times as fast it is. With model=real the server takes as long as Zep does on two cores.
func BenchmarkAllParallel(b *testing.B) {
	const workers = 8
	for _, model := range []struct {
		name   string
		config Config
	}{
		{"latency=0ms", Config{}},
		{"latency=5ms", Config{Latency: 5 * time.Millisecond}},
		{"latency=20ms", Config{Latency: 20 * time.Millisecond}},
		{"model=real", Config{PerPage: perPage, PerUser: perUser, Cores: 2}},
	} {
		for _, gaps := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/gaps=%t", model.name, gaps), func(b *testing.B) {
				config := model.config
				config.Users, config.Gaps = table, gaps
				server := serve(b, config)
				client := NewClient(server.URL())
				means := sideBySide(b, []turn{
					{"all", 1, func() {
						n := 0
						for _, err := range client.User.All(b.Context()) {
							must(b, err)
							n++
						}
						same(b, n, table)
					}},
					{"parallel", 1, func() {
						n := 0
						for _, err := range client.User.AllParallel(b.Context(), workers) {
							must(b, err)
							n++
						}
						same(b, n, table)
					}},
				}, 3)
				b.ReportMetric(means["all"]/means["parallel"], "factor")
			})
		}
	}
}

func walkChunks(b *testing.B, peer Peer, size int) {
	n := 0
	must(b, peer.Chunks(b.Context(), size, func(users int) bool { n += users; return true }))
	same(b, n, table)
}

func walkAll(b *testing.B, peer Peer) {
	n := 0
	must(b, peer.All(b.Context(), func(any) bool { n++; return true }))
	same(b, n, table)
}

// turn is what one peer does before the next peer's turn.
type turn struct {
	name  string
	calls int
	do    func()
}

// sideBySide runs all turns in rounds, each round from another turn on. It reports the median time
// of a call for each, and the ratio to the first turn.
func sideBySide(b *testing.B, turns []turn, rounds int) map[string]float64 {
	took := make([][]time.Duration, len(turns))
	for _, t := range turns {
		t.do() // opens the connections
	}
	b.ResetTimer()
	for range b.N {
		for round := range rounds {
			for k := range turns {
				i := (k + round) % len(turns)
				if turns[i].calls == 1 {
					// A turn of one call should not pay for the garbage of the turn before it.
					runtime.GC()
				}
				start := time.Now()
				turns[i].do()
				took[i] = append(took[i], time.Since(start))
			}
		}
	}
	medians := map[string]float64{}
	for i, t := range turns {
		slices.Sort(took[i])
		n := len(took[i])
		median := float64(took[i][n/2]+took[i][(n-1)/2]) / 2 / float64(t.calls)
		medians[t.name] = median
		b.ReportMetric(median, t.name+"-ns")
		if i > 0 {
			b.ReportMetric(median/medians[turns[0].name], t.name+"/"+turns[0].name)
		}
	}
	return medians
}

// heapWatch samples the size of the heap.
type heapWatch struct {
	base      uint64
	live, all atomic.Uint64 // the maxima so far
	done      chan struct{}
	stopped   sync.WaitGroup
}

func watchHeap() *heapWatch {
	w := &heapWatch{done: make(chan struct{})}
	runtime.GC()
	runtime.GC() // empties the pools too
	_, w.base = readHeap()
	w.stopped.Go(func() {
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-w.done:
				return
			case <-ticker.C:
				live, all := readHeap()
				w.live.Store(max(w.live.Load(), live))
				w.all.Store(max(w.all.Load(), all))
			}
		}
	})
	return w
}

// stop returns the maximum in use, and the maximum with garbage, in MiB and without what was in
// use at the start.
func (w *heapWatch) stop() (live, all float64) {
	close(w.done)
	w.stopped.Wait()
	over := func(v uint64) float64 { return max(float64(v)-float64(w.base), 0) / (1 << 20) }
	return over(w.live.Load()), over(w.all.Load())
}

// readHeap returns the bytes that the last garbage collection found in use, and all allocated
// bytes.
func readHeap() (live, all uint64) {
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
	}
	metrics.Read(samples)
	return samples[0].Value.Uint64(), samples[1].Value.Uint64()
}

func serve(tb testing.TB, config Config) *Server {
	server := NewServer(config)
	tb.Cleanup(server.Close)
	return server
}

func second(_ any, err error) error { return err }

func must(tb testing.TB, err error) {
	if err != nil {
		tb.Helper()
		tb.Error(err)
		panic(err)
	}
}

func same(tb testing.TB, got, want int) {
	if got != want {
		tb.Helper()
		tb.Fatalf("got %d users, want %d", got, want)
	}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
