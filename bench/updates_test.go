package bench

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/zeptest"
)

// BenchmarkMetadataUpdates updates the metadata of 1,000 users 10,000 times through one Client, by
// 64 goroutines: with how=default one at a time, with how=parallel only those of one user.
func BenchmarkMetadataUpdates(b *testing.B) {
	const updates, users, goroutines = 10_000, 1_000, 64
	for _, latency := range []time.Duration{0, 5 * time.Millisecond} {
		for _, how := range []struct {
			name string
			opts []zep.Option
		}{
			{"default", nil},
			{"parallel", []zep.Option{zep.WithParallelUpdates()}},
		} {
			name := fmt.Sprintf("latency=%dms/how=%s/peer=zep", latency.Milliseconds(), how.name)
			b.Run(name, func(b *testing.B) {
				client := NewClient(serveZeptest(b, latency), how.opts...)
				for i := range users {
					req := &zep.CreateUserRequest{UserID: UserID(i)}
					must(b, second(client.User.Add(b.Context(), req)))
				}
				for b.Loop() {
					updateAll(b, client, updates, users, goroutines)
				}
			})
		}
	}
}

// updateAll updates the users in turn. Each update of a user sets another key.
func updateAll(tb testing.TB, client *zep.Client, updates, users, goroutines int) {
	var all sync.WaitGroup
	var next atomic.Int64
	for range goroutines {
		all.Go(func() {
			for {
				n := int(next.Add(1)) - 1
				if n >= updates {
					return
				}
				must(tb, second(client.User.Update(tb.Context(), &zep.UpdateUserRequest{
					UserID:   UserID(n % users),
					Metadata: zep.Metadata{fmt.Sprintf("visit%d", n/users): n},
				})))
			}
		})
	}
	all.Wait()
}

// serveZeptest starts a server of package zeptest behind a network that adds the latency to every
// request, and returns its URL.
func serveZeptest(tb testing.TB, latency time.Duration) string {
	server := zeptest.NewServer()
	tb.Cleanup(server.Close)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if wait(r.Context(), latency) {
			server.ServeHTTP(w, r)
		}
	}))
	tb.Cleanup(front.Close)
	return front.URL
}

// TestUpdateAll checks that every update is kept.
func TestUpdateAll(t *testing.T) {
	t.Parallel()
	client := NewClient(serveZeptest(t, 0))
	const users = 10
	for i := range users {
		req := &zep.CreateUserRequest{UserID: UserID(i)}
		must(t, second(client.User.Add(t.Context(), req)))
	}
	updateAll(t, client, 10*users, users, 8)
	for user, err := range client.User.All(context.Background()) {
		must(t, err)
		if len(user.Metadata) != 10 {
			t.Errorf("user %s has %v", user.UserID, user.Metadata)
		}
	}
}
