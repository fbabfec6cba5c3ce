package bench

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zep-go/zep"
)

// asJSON makes users of different types comparable.
func asJSON(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	must(t, err)
	return string(data)
}

// TestPeers_Equal checks that all peers send the same requests and return the same records.
func TestPeers_Equal(t *testing.T) {
	t.Parallel()
	const users = 250
	table := newServer(Config{Users: users, Gaps: true, Messages: messages, Documents: documents})
	var mu sync.Mutex
	var requests []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		requests = append(requests, strings.Join([]string{
			r.Method, r.URL.Path, r.URL.Query().Encode(), r.Header.Get("Content-Type"),
			strings.TrimSpace(string(body)),
		}, " "))
		mu.Unlock()
		table.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)

	var want []string
	for _, name := range allPeers {
		requests = nil
		peer := peer(t, name, server.URL, nil)
		var got []string
		for _, call := range calls {
			record, err := call.call(t.Context(), peer)
			must(t, err)
			got = append(got, asJSON(t, record))
		}
		n := 0
		must(t, peer.Chunks(t.Context(), 100, func(users int) bool { n += users; return true }))
		same(t, n, users)
		some, cursor, err := peer.Page(t.Context(), 30, 2)
		must(t, err)
		same(t, some, 30)
		same(t, int(cursor), int(table.id(31)))
		some, _, err = peer.Page(t.Context(), 0, 0)
		must(t, err)
		same(t, some, users)
		// zep omits a cursor of 0, which means the same.
		for _, request := range requests {
			got = append(got, strings.Replace(request, "cursor=0&", "", 1))
		}
		if want == nil {
			want = got
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s:\ngot  %s\nwant %s", name,
				strings.Join(got, "\n     "), strings.Join(want, "\n     "))
		}
		var all []string
		must(t, peer.All(t.Context(), func(user any) bool {
			all = append(all, asJSON(t, user))
			return true
		}))
		last := strings.TrimSpace(string(table.render(nil, users-1)))
		if len(all) != users || all[users-1] != last {
			t.Errorf("%s: All yielded %d users, the last is %s", name, len(all), all[len(all)-1])
		}
		_, err = peer.Get(t.Context(), "nobody")
		if err == nil || !strings.Contains(err.Error(), "not found") {
			t.Errorf("%s: nobody: got %v", name, err)
		}
	}
}

// TestPeers_Break checks that a walk ends when yield returns false.
func TestPeers_Break(t *testing.T) {
	t.Parallel()
	server := serve(t, Config{Users: 1000})
	for _, name := range allPeers {
		peer := peer(t, name, server.URL(), nil)
		n := 0
		must(t, peer.All(t.Context(), func(any) bool { n++; return n < 150 }))
		same(t, n, 150)
		n = 0
		must(t, peer.Chunks(t.Context(), 100, func(users int) bool { n += users; return n < 200 }))
		same(t, n, 200)
	}
}

// TestModels_Fields checks that no peer decodes fewer fields than zep.
func TestModels_Fields(t *testing.T) {
	t.Parallel()
	for bench, sdk := range map[reflect.Type]reflect.Type{
		reflect.TypeFor[User]():     reflect.TypeFor[zep.User](),
		reflect.TypeFor[Memory]():   reflect.TypeFor[zep.Memory](),
		reflect.TypeFor[Message]():  reflect.TypeFor[zep.Message](),
		reflect.TypeFor[Summary]():  reflect.TypeFor[zep.Summary](),
		reflect.TypeFor[Document](): reflect.TypeFor[zep.Document](),
	} {
		for i := range sdk.NumField() {
			field := sdk.Field(i)
			f, found := bench.FieldByName(field.Name)
			if !found || f.Tag != field.Tag || f.Type.Kind() != field.Type.Kind() {
				t.Errorf("%v.%s: %v has %+v", sdk, field.Name, bench, f)
			}
		}
		same(t, bench.NumField(), sdk.NumField())
	}
}

// TestWalks_Gaps checks that each user comes once, with gaps in the ids and without.
func TestWalks_Gaps(t *testing.T) {
	t.Parallel()
	for _, users := range []int{0, 1, 100, 101, 6001} {
		for _, gaps := range []bool{false, true} {
			server := serve(t, Config{Users: users, Gaps: gaps})
			client := NewClient(server.URL())
			check := func(how string, ids []int64) {
				slices.Sort(ids)
				if len(ids) != users {
					t.Errorf("%s: %d users, gaps %t: got %d", how, users, gaps, len(ids))
					return
				}
				for i, id := range ids {
					if id != server.id(i) {
						t.Errorf("%s: %d users, gaps %t: user %d is %d, want %d",
							how, users, gaps, i, id, server.id(i))
						return
					}
				}
			}
			for _, workers := range []int{1, 8} {
				var ids []int64
				for user, err := range client.User.AllParallel(t.Context(), workers) {
					must(t, err)
					ids = append(ids, user.ID)
				}
				check("AllParallel", ids)
			}
			for _, growth := range []Growth{{100, 2, 5000}, {1000, 1, 1000}} {
				var ids []int64
				must(t, growth.Walk(t.Context(), client, func(user *zep.User) bool {
					ids = append(ids, user.ID)
					return true
				}))
				check("Growth", ids)
			}
		}
	}
}

// TestWalks_End checks walks that end with an error or a break.
func TestWalks_End(t *testing.T) {
	t.Parallel()
	server := serve(t, Config{Users: 10_000})
	client := NewClient(server.URL())
	growth := Growth{100, 2, 5000}
	n := 0
	for _, err := range client.User.AllParallel(t.Context(), 4) {
		must(t, err)
		if n++; n == 3000 {
			break
		}
	}
	same(t, n, 3000)
	n = 0
	must(t, growth.Walk(t.Context(), client, func(*zep.User) bool { n++; return n < 3000 }))
	same(t, n, 3000)

	nowhere := NewClient(server.URL() + "/nowhere")
	var failures []error
	for _, err := range nowhere.User.AllParallel(t.Context(), 4) {
		failures = append(failures, err)
	}
	err := growth.Walk(t.Context(), nowhere, func(*zep.User) bool { return true })
	failures = append(failures, err)
	for _, err := range failures {
		if err == nil {
			t.Error("a walk over a wrong path ended without an error")
		}
	}
	same(t, len(failures), 2)
}

// TestPeers_Connections checks that 64 goroutines reuse their connections.
func TestPeers_Connections(t *testing.T) {
	t.Parallel()
	server := serve(t, Config{Users: 100, Latency: time.Millisecond})
	peer := peer(t, "zep", server.URL(), nil)
	var all sync.WaitGroup
	for g := range 64 {
		all.Go(func() {
			for range 20 {
				must(t, second(peer.Get(t.Context(), UserID(g))))
			}
		})
	}
	all.Wait()
	if n := server.Connections(); n > 130 {
		t.Errorf("64 goroutines opened %d connections", n)
	}
}

// TestAll_KeptUsers checks that a user that is kept does not keep its page in memory. It measures
// the heap of the process, and so is not parallel.
func TestAll_KeptUsers(t *testing.T) {
	const users, every = 20_000, 500
	server := serve(t, Config{Users: users, OnDemand: true})
	client := NewClient(server.URL())
	for range client.User.All(t.Context()) { // fills the pools and caches
	}
	base := liveHeap()
	var kept []*zep.User
	var keptIDs, keptCities []string
	n := 0
	for user, err := range client.User.All(t.Context()) {
		must(t, err)
		switch n++; n % every {
		case 0:
			kept = append(kept, user)
		case 1:
			keptIDs = append(keptIDs, user.UserID)
		case 2:
			address := user.Metadata["address"].(map[string]any)
			keptCities = append(keptCities, address["city"].(string))
		}
	}
	got := int64(liveHeap()) - int64(base)
	// The text of all pages is 7 MB, and their users are 20 MB.
	if limit := int64(1 << 20); got > limit {
		t.Errorf("%d kept users, and strings of twice as many, keep %d bytes", len(kept), got)
	}
	same(t, len(kept)+len(keptIDs)+len(keptCities), 3*users/every)
	runtime.KeepAlive(kept)
	runtime.KeepAlive(keptIDs)
	runtime.KeepAlive(keptCities)
}

// liveHeap returns the heap in use without the pools, which are empty after two collections.
func liveHeap() uint64 {
	for range 3 {
		runtime.GC()
	}
	live, _ := readHeap()
	return live
}

// TestAll_Memory measures the heap of the process, and so is not parallel.
func TestAll_Memory(t *testing.T) {
	server := serve(t, Config{Users: 40_000, OnDemand: true})
	client := NewClient(server.URL())
	heap := watchHeap()
	n := 0
	for _, err := range client.User.All(t.Context()) {
		must(t, err)
		n++
	}
	same(t, n, 40_000)
	if live, _ := heap.stop(); live > 32 {
		t.Errorf("a walk held %.1f MiB", live)
	}
}
