package zep

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestDocumentUpdateAll_BehindTwoLines checks that a batch that waits for updates of two of its
// documents is sent after both, whichever ends first.
func TestDocumentUpdateAll_BehindTwoLines(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a, b := record{"document", "a"}, record{"document", "b"}
	for name, order := range map[string][2]int{"in order": {0, 1}, "in reverse": {1, 0}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, g := turnstiled(t)
			update := func(uuids ...string) <-chan error {
				done := make(chan error, 1)
				var reqs []*UpdateDocumentRequest
				for _, uuid := range uuids {
					reqs = append(reqs, &UpdateDocumentRequest{UUID: uuid, DocumentID: "d"})
				}
				go func() { done <- c.Document.UpdateAll(ctx, "docs", reqs) }()
				return done
			}
			var held [2]arrival
			var done [2]<-chan error
			for i, uuid := range []string{"a", "b"} {
				done[i] = update(uuid)
				held[i] = g.next(t)
			}
			batch := update("a", "b")
			waitUntil(t, "the batch waits for both", func() bool {
				return waiting(c.updates, a) == 1 && waiting(c.updates, b) == 1
			})

			close(held[order[0]].pass)
			require.NoError(t, <-done[order[0]])
			free, other := []record{a, b}[order[0]], []record{a, b}[order[1]]
			assert.Equal(t, 0, waiting(c.updates, free), "the batch is first there")
			assert.Equal(t, 1, waiting(c.updates, other), "the other is under way")

			close(held[order[1]].pass)
			require.NoError(t, <-done[order[1]])
			close(g.next(t).pass)
			require.NoError(t, <-batch)
			assert.True(t, idle(c.updates))
		})
	}
}

// TestUpdates_CaseOfIDs checks that ids that differ only in case are different records.
func TestUpdates_CaseOfIDs(t *testing.T) {
	t.Parallel()
	locker := newMemoryLocker()
	c, g := gatedClient(t, WithLocker(locker))
	ids := []string{"jane", "Jane", "JANE"}
	done := make(chan error, len(ids))
	var arrivals []arrival
	for _, id := range ids {
		go func() {
			req := &UpdateUserRequest{UserID: id, Email: "e"}
			_, err := c.User.Update(context.Background(), req)
			done <- err
		}()
		arrivals = append(arrivals, g.next(t))
	}
	assert.Equal(t, []string{"lock user/jane", "lock user/Jane", "lock user/JANE"}, locker.logged())
	for _, a := range arrivals {
		close(a.pass)
		require.NoError(t, <-done)
	}
	assert.True(t, idle(c.updates))
}
