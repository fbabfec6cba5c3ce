package main

import (
	"flag"
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep/internal/chaos"
)

// seeds makes the tests with random faults and kills longer.
var seeds = flag.Uint64("seeds", 2, "number of seeds of the tests with random faults and kills")

// chaosBefore puts a proxy in front of a server that makes a fifth of the requests fail.
func chaosBefore(t testing.TB, server http.Handler, seed uint64) (url string, proxy *chaos.Proxy) {
	handler, proxy := chaosHandler(t, server, seed)
	return serve(t, handler.ServeHTTP), proxy
}

func chaosHandler(
	t testing.TB, server http.Handler, seed uint64,
) (http.Handler, *chaos.Proxy) {
	proxy := chaos.New(server, seed, 0.2)
	t.Cleanup(proxy.Close)
	var requests atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set(chaos.Header, fmt.Sprint(requests.Add(1))) // each has a fault of its own
		proxy.ServeHTTP(w, r)
	}), proxy
}

// A fifth of the requests fails.
func TestChaos_RoundTrip(t *testing.T) {
	t.Parallel()
	for seed := range *seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			server, client := newServer(t)
			fill(t, server, client, smallLoad)
			source, _ := chaosBefore(t, server, seed)
			clean, dir := filepath.Join(t.TempDir(), "clean"), filepath.Join(t.TempDir(), "chaos")
			mustRun(t, server.URL, "export", "-o", clean)
			mustRun(t, source, "export", "-o", dir)
			assert.Equal(t, files(t, clean), files(t, dir))

			fresh, freshClient := newServer(t)
			target, proxy := chaosBefore(t, fresh, seed)
			r := mustRun(t, target, "import", dir)
			n := regexp.MustCompile(`messages +(\d+) added, (\d+) were there`).FindStringSubmatch(r.stdout)
			require.NotNil(t, n, r.stdout)
			assert.Equal(t, smallLoad.messages, atoi(n[1])+atoi(n[2]), "each is counted once")
			assert.Empty(t, mustRun(t, target, "verify", "-extra", dir).stdout)
			assert.Empty(t, mustRun(t, fresh.URL, "verify", "-extra", dir).stdout)
			assert.Equal(t, counts(t, client), counts(t, freshClient))
			exchanges, faults := proxy.Counts()
			failed := 0
			for _, n := range faults {
				failed += n
			}
			assert.Greater(t, failed, exchanges/10, faults)
		})
	}
}

func atoi(text string) int {
	n, _ := strconv.Atoi(text)
	return n
}
