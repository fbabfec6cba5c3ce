package zep_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/zeptest"
)

// TestRacyUpdates checks that one client keeps its updates of a record apart: the server loses
// some of concurrent ones.
func TestRacyUpdates(t *testing.T) {
	t.Parallel()
	const writers, each = 16, 20
	for _, kind := range []*chaosResource{chaosUsers, chaosSessions, chaosMessages} {
		for _, concurrent := range []bool{false, true} {
			name, opts := kind.name+" in order", []zep.Option(nil)
			if concurrent {
				name = kind.name + " with concurrent updates"
				opts = []zep.Option{zep.WithConcurrentUpdates()}
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				server := zeptest.NewServer(zeptest.WithRacyUpdates())
				t.Cleanup(server.Close)
				client, err := server.Client(opts...)
				require.NoError(t, err)
				ctx := context.Background()
				// A UUID is valid as an id of any kind.
				_, err = kind.add(ctx, client, chaosMessage(0), chaosContent{})
				require.NoError(t, err)

				var acknowledged atomic.Int64
				var done sync.WaitGroup
				start := make(chan struct{})
				for w := range writers {
					done.Add(1)
					go func() {
						defer done.Done()
						<-start
						for i := range each {
							key := fmt.Sprintf("writer %d, update %d", w, i)
							answer, err := kind.update(ctx, client, chaosMessage(0),
								chaosContent{metadata: zep.Metadata{key: "kept"}})
							if assert.NoError(t, err) &&
								assert.Equal(t, "kept", answer.values[key]) {
								acknowledged.Add(1)
							}
						}
					}()
				}
				close(start)
				done.Wait()

				record, err := kind.get(ctx, client, chaosMessage(0))
				require.NoError(t, err)
				kept := 0
				for key, value := range record.values {
					assert.Regexp(t, `^writer \d+, update \d+$`, key)
					assert.Equal(t, "kept", value)
					kept++
				}
				t.Logf("%d updates, %d acknowledged, %d kept", writers*each, acknowledged.Load(),
					kept)
				assert.EqualValues(t, writers*each, acknowledged.Load())
				if concurrent {
					// Some of 16 writers that begin at once collide, and the server loses an
					// update of those.
					assert.Less(t, kept, writers*each)
					assert.Positive(t, kept)
				} else {
					assert.Equal(t, writers*each, kept)
				}
			})
		}
	}
}

// TestRacyUpdates_Absent updates users while they are added. An update that comes too early finds
// nobody: it does not take the place of what is added meanwhile.
func TestRacyUpdates_Absent(t *testing.T) {
	t.Parallel()
	server := zeptest.NewServer(zeptest.WithRacyUpdates())
	t.Cleanup(server.Close)
	client, err := server.Client()
	require.NoError(t, err)
	ctx := context.Background()
	for i := range 100 {
		id := fmt.Sprint("user-", i)
		updated := make(chan error)
		go func() {
			_, err := client.User.Update(ctx,
				&zep.UpdateUserRequest{UserID: id, Metadata: zep.Metadata{"updated": true}})
			updated <- err
		}()
		_, err := client.User.Add(ctx,
			&zep.CreateUserRequest{UserID: id, Metadata: zep.Metadata{"added": true}})
		require.NoError(t, err)
		updateErr := <-updated
		if updateErr != nil {
			require.ErrorIs(t, updateErr, zep.ErrNotFound)
		}
		user, err := client.User.Get(ctx, id)
		require.NoError(t, err)
		assert.Equal(t, true, user.Metadata["added"], "after an update that ended with %v", updateErr)
	}
}
