package zep_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/internal/chaos"
	"github.com/zep-go/zep/zeptest"
)

// chaosModeShare is the share of the exchanges that meet a fault of a mode, beside the usual ones.
const chaosModeShare = 0.1

// chaosBothSides is a network that also cuts the server's connections.
func chaosBothSides(server http.Handler, seed uint64) (*chaos.Proxy, func(), []zep.Option) {
	proxy := chaos.NewBothSides(server, seed, chaosShare, chaosModeShare)
	return proxy.Proxy, proxy.Close, nil
}

// TestChaosBothSides runs the chaos tests in a network that also cuts the connections of the
// server, while it gets, handles or answers a request.
func TestChaosBothSides(t *testing.T) {
	t.Parallel()
	t.Run("records", func(t *testing.T) {
		chaosEachSeed(t, chaosRecords(chaosBothSides, 300, zeptest.WithRacyUpdates()))
	})
	t.Run("get or add", func(t *testing.T) {
		chaosEachSeed(t, chaosGetOrAdd(chaosBothSides, 350))
	})
	t.Run("memory", func(t *testing.T) {
		chaosEachSeed(t, chaosMemory(chaosBothSides, 500, zeptest.WithRacyUpdates()))
	})
	t.Run("documents", func(t *testing.T) {
		chaosEachSeed(t, chaosDocuments(chaosBothSides, 200))
	})
	t.Run("all documents", func(t *testing.T) {
		chaosEachSeed(t, chaosDocumentAll(chaosBothSides, 48))
	})
}

// TestChaosLate checks what late deliveries can do to users and sessions: each write is carried
// out once, and a second time only by its late delivery.
func TestChaosLate(t *testing.T) {
	chaosEachSeed(t, func(t *testing.T, seed uint64) {
		var late *chaos.Late
		c := newChaosRun(t, seed, chaosLate(&late), chaosUnwrapped)
		writers := make([]*lateWriter, chaosWriters)
		each := (chaosWrites(1_500) + chaosWriters - 1) / chaosWriters
		c.each(func(g int) {
			w := newLateWriter(c, late, g)
			writers[g] = w
			for range each {
				w.step()
			}
		})
		outcomes := map[string]int{}
		var records []*lateRecord
		for _, w := range writers {
			w.replayDeliveries()
			records = append(records, w.records...)
			for outcome, n := range w.outcomes {
				outcomes[outcome] += n
			}
		}
		compareLate(c, records)
		c.report()
		t.Logf("seed %d: late deliveries: %v", seed, outcomes)
		assert.NotEmpty(t, outcomes)
	})
}

// chaosLate is a network that delivers some first attempts late.
func chaosLate(late **chaos.Late) chaosNetwork {
	return func(server http.Handler, seed uint64) (*chaos.Proxy, func(), []zep.Option) {
		*late = chaos.NewLate(server, seed, chaosShare, chaosModeShare)
		return (*late).Proxy, (*late).Close, nil
	}
}

// TestChaosLate_Memory checks that messages are stored once also if an add is delivered late: the
// UUIDs that the client gives them are taken.
func TestChaosLate_Memory(t *testing.T) {
	chaosEachSeed(t, func(t *testing.T, seed uint64) {
		var late *chaos.Late
		chaosMemory(chaosLate(&late), 1_000)(t, seed)
		logDeliveries(t, seed, late)
	})
}

// TestChaosLate_Documents checks that documents are stored once also if an add is delivered late:
// with a DocumentID the late one is refused, and without one it is the only attempt.
func TestChaosLate_Documents(t *testing.T) {
	chaosEachSeed(t, func(t *testing.T, seed uint64) {
		var late *chaos.Late
		chaosDocuments(chaosLate(&late), 300)(t, seed)
		logDeliveries(t, seed, late)
	})
}

// logDeliveries logs how the server answered the late requests.
func logDeliveries(t *testing.T, seed uint64, late *chaos.Late) {
	t.Helper()
	statuses := map[int]int{}
	for _, d := range late.Deliveries() {
		statuses[d.Status]++
	}
	t.Logf("seed %d: late deliveries by status: %v", seed, statuses)
	assert.NotEmpty(t, statuses)
}
