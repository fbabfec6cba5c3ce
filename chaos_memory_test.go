package zep_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/zeptest"
)

// chaosMemoryCall is one add of messages, with its result.
type chaosMemoryCall struct {
	*chaosCall
	chaosVerdict chaosVerdict
	session      string
	sent         []*zep.Message
}

// TestChaosMemory checks that messages are stored once, also in sessions that do not exist yet.
func TestChaosMemory(t *testing.T) {
	chaosEachSeed(t,
		chaosMemory(chaosHTTP1, 1_000, zeptest.WithRacyUpdates()))
}

// chaosMemory returns TestChaosMemory in a network, with its usual number of writes.
func chaosMemory(network chaosNetwork, usual int,
	opts ...zeptest.Option) func(*testing.T, uint64) {
	return func(t *testing.T, seed uint64) {
		const inAll, seeded, shared = 50, 25, 8
		c := newChaosRun(t, seed, network, chaosRaceToCreate, opts...)
		ctx := context.Background()
		require.NoError(t, c.server.SeedSessions(seeded, func(i int) zep.CreateSessionRequest {
			return zep.CreateSessionRequest{SessionID: fmt.Sprintf("session-%d", i)}
		}))
		updated := make([]*chaosSharedRecord, shared)
		for i := range updated {
			updated[i] = &chaosSharedRecord{
				chaosResource: chaosMessages,
				id:            chaosMessage(i),
				kept:          map[string]string{},
				possible:      map[string]string{},
			}
			_, err := chaosMessages.add(ctx, c.direct, chaosMessage(i), chaosContent{})
			require.NoError(t, err)
		}
		adds := make([][]chaosMemoryCall, chaosWriters)
		each := (chaosWrites(usual) + chaosWriters - 1) / chaosWriters
		c.each(func(g int) {
			w := &chaosWriter{
				chaosWorld: &chaosWorld{chaosRun: c, shared: updated},
				Rand:       c.random(g),
				g:          g,
			}
			for sent := 0; sent < each; {
				add := w.addMessages(fmt.Sprintf("session-%d", w.IntN(inAll)),
					min(1+w.IntN(5), each-sent))
				adds[g] = append(adds[g], add)
				sent += len(add.sent)
				switch w.IntN(8) {
				case 0:
					w.updateOne(updated[w.IntN(shared)])
				case 1:
					w.readMessages(adds[g], add.session)
				}
			}
		})

		stored := map[string]*zep.Message{} // by content
		order := map[string]int{}
		total := 0
		for i := range inAll {
			session := fmt.Sprintf("session-%d", i)
			for m, err := range c.direct.Message.All(ctx, session) {
				require.NoError(t, err)
				if stored[m.Content] != nil {
					c.violation(chaosDuplicated, "\t%q is stored twice", m.Content)
				}
				stored[m.Content] = m
				order[m.Content] = total
				total++
			}
		}
		for _, add := range slices.Concat(adds...) {
			add.compare(stored, order)
		}
		for content := range stored {
			c.violation(chaosWrong, "\twas never sent: %q", content)
		}
		for _, r := range updated {
			seen, err := chaosMessages.get(ctx, c.direct, r.id)
			require.NoError(t, err)
			(&chaosWorld{chaosRun: c}).compareShared(r, seen)
		}
		t.Logf("seed %d: %d messages", seed, total)
		c.report()
	}
}

// addMessages adds n messages to a session. One in ten has a UUID chosen by the caller.
func (w *chaosWriter) addMessages(session string, n int) chaosMemoryCall {
	add := chaosMemoryCall{
		chaosCall: w.private(w.newCall(true, "add %d messages to %s", n, session)),
		session:   session,
	}
	add.nonIdempotent = true
	for i := range n {
		m := &zep.Message{
			Role:     zep.RoleHuman,
			Content:  fmt.Sprintf("%s, message %d to %s", add.Label, i, session),
			Metadata: zep.Metadata{"i": i},
		}
		if w.IntN(10) == 0 {
			m.UUID = fmt.Sprintf("11111111-%04d-4%03d-8000-%012d", w.g, i, w.calls)
		}
		add.sent = append(add.sent, m)
	}
	add.chaosVerdict = add.do(w.chaosRun,
		func(ctx context.Context, opts ...zep.RequestOption) error {
			return w.client.Memory.Add(ctx, session, &zep.AddMemoryRequest{Messages: add.sent},
				opts...)
		})
	switch {
	case add.chaosVerdict == exists, add.chaosVerdict == missing:
		add.violation(chaosWrong, "refused by the server")
	case add.chaosVerdict == acknowledged && add.done() == 0 && !add.heldBack():
		add.violation(chaosLost, "acknowledged, and not done")
	}
	return add
}

// readMessages looks for the messages that the goroutine has added to a session.
func (w *chaosWriter) readMessages(adds []chaosMemoryCall, session string) {
	call := w.newCall(false, "read all messages of %s", session)
	found := map[string]int{}
	v := call.do(w.chaosRun, func(ctx context.Context, opts ...zep.RequestOption) error {
		for m, err := range w.client.Message.All(ctx, session, opts...) {
			if err != nil {
				return err
			}
			found[m.Content]++
		}
		return nil
	})
	for _, add := range adds {
		if v != acknowledged || add.session != session || add.chaosVerdict == possiblyLater {
			continue
		}
		for _, m := range add.sent {
			if n := found[m.Content]; n > 1 || n == 0 && add.chaosVerdict == acknowledged ||
				n > 0 && add.chaosVerdict == notDone {
				call.violation(chaosWrong, "%q was found %d times", m.Content, n)
			}
		}
	}
}

// compare checks the stored messages of the add, and removes them from stored.
func (add chaosMemoryCall) compare(stored map[string]*zep.Message, order map[string]int) {
	there, before := 0, -1
	for _, m := range add.sent {
		got := stored[m.Content]
		if got == nil {
			continue
		}
		delete(stored, m.Content)
		there++
		if m.UUID != "" && m.UUID != got.UUID {
			add.violation(chaosWrong, "%q was sent with UUID %s, and is stored with %s", m.Content,
				m.UUID, got.UUID)
		}
		if order[m.Content] < before {
			add.violation(chaosWrong, "%q is stored before its predecessor", m.Content)
		}
		before = order[m.Content]
	}
	switch {
	case add.chaosVerdict == acknowledged && there < len(add.sent):
		add.violation(chaosLost, "%d of %d messages are stored", there, len(add.sent))
	case add.chaosVerdict == notDone && there > 0:
		add.violation(chaosWrong, "%d messages are stored, but none must be", there)
	case there != 0 && there != len(add.sent):
		add.violation(chaosWrong, "%d of %d messages are stored", there, len(add.sent))
	}
}

// chaosRaceToCreate makes the server refuse an add to a session that another add is creating, as
// a real server does: of the first two adds within a few milliseconds, one is refused.
func chaosRaceToCreate(server http.Handler) http.Handler {
	var mu sync.Mutex
	// first has a channel for each path, which is closed when the second add comes. It is nil
	// after the race.
	first := map[string]chan struct{}{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/memory") {
			server.ServeHTTP(w, r)
			return
		}
		mu.Lock()
		second, known := first[r.URL.Path]
		if known && second != nil {
			first[r.URL.Path] = nil
			mu.Unlock()
			close(second)
			http.Error(w, "bad request: session already exists with session_id: "+r.URL.Path,
				http.StatusBadRequest)
			return
		}
		if !known {
			second = make(chan struct{})
			first[r.URL.Path] = second
		}
		mu.Unlock()
		if !known {
			alone := time.NewTimer(5 * time.Millisecond)
			select {
			case <-second:
			case <-alone.C:
			}
			alone.Stop()
			mu.Lock()
			first[r.URL.Path] = nil
			mu.Unlock()
		}
		server.ServeHTTP(w, r)
	})
}

// chaosMessages are the messages of one session. An update changes the metadata only.
var chaosMessages = &chaosResource{
	name: "message",
	add: func(ctx context.Context, c *zep.Client, id string, content chaosContent,
		opts ...zep.RequestOption) (*chaosView, error) {
		m := &zep.Message{
			UUID:     id,
			Role:     zep.RoleHuman,
			Content:  "shared",
			Metadata: content.metadata,
		}
		return nil, c.Memory.Add(ctx, "messages",
			&zep.AddMemoryRequest{Messages: []*zep.Message{m}}, opts...)
	},
	update: func(ctx context.Context, c *zep.Client, id string, content chaosContent,
		opts ...zep.RequestOption) (*chaosView, error) {
		m, err := c.Message.UpdateMetadata(ctx, "messages", id, content.metadata, opts...)
		return chaosViewOfMessage(m), err
	},
	get: func(ctx context.Context, c *zep.Client, id string,
		opts ...zep.RequestOption) (*chaosView, error) {
		m, err := c.Message.Get(ctx, "messages", id, opts...)
		return chaosViewOfMessage(m), err
	},
}

func chaosViewOfMessage(m *zep.Message) *chaosView {
	if m == nil {
		return nil
	}
	return &chaosView{
		id:     m.UUID,
		uuid:   m.UUID,
		values: chaosContent{metadata: m.Metadata}.values(),
	}
}

// chaosMessage returns the UUID of the ith shared message.
func chaosMessage(i int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", i) }
