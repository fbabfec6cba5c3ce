package zep_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/zeptest"
)

// TestChaosGetOrAdd checks GetOrAdd of users and of sessions, and Upsert. Two clients with a common
// Locker ask for the same records at once, and for records of their own one after the other. The
// server loses updates that are not kept apart.
func TestChaosGetOrAdd(t *testing.T) {
	chaosEachSeed(t, chaosGetOrAdd(chaosHTTP1, 1_000))
}

func chaosGetOrAdd(network chaosNetwork, usual int) func(*testing.T, uint64) {
	return func(t *testing.T, seed uint64) {
		run := newChaosRun(t, seed, network, chaosUnwrapped, zeptest.WithRacyUpdates())
		rounds := (chaosWrites(usual) + chaosWriters*meetingWrites - 1) / (chaosWriters * meetingWrites)
		locker := zep.NewMemoryLocker()
		clients := []*zep.Client{
			run.newClient(zep.WithLocker(locker)), run.newClient(zep.WithLocker(locker)),
		}
		meetings := newChaosMeetings(run, rounds)
		writers := make([]*meetingWriter, chaosWriters)
		run.each(func(g int) {
			w := newMeetingWriter(run, g, clients[g%2])
			writers[g] = w
			for round := range rounds {
				w.meet(meetings[round])
			}
		})
		for _, meeting := range slices.Concat(meetings...) {
			meeting.compare()
		}
		for _, w := range writers {
			for _, r := range w.records {
				w.compareOwn(r, chaosStored(run, r.chaosResource, r.id))
			}
		}
		run.report()
	}
}

// meetingWrites is the number of writes of a goroutine in a round: one for each record that all
// meet at, and five of its own.
const meetingWrites = 11

// chaosMeeting is a record that all goroutines ask for.
type chaosMeeting struct {
	*chaosRun
	*chaosResource
	id    string
	owner string

	// before is what stands when they come, nil if nothing does.
	before  *chaosView
	deleted bool // it is deleted then
	upserts bool

	mu      sync.Mutex
	callers []chaosCaller
}

type chaosCaller struct {
	*chaosCall
	verdict chaosVerdict
	content map[string]string
	answer  *chaosView
	method  string // of the last request
}

// newChaosMeetings seeds what the goroutines meet at in each round.
func newChaosMeetings(c *chaosRun, rounds int) [][]*chaosMeeting {
	ctx := context.Background()
	for _, id := range []string{"owner", "stranger"} {
		_, err := c.direct.User.Add(ctx, &zep.CreateUserRequest{UserID: id})
		require.NoError(c.t, err)
	}
	seeded := func(round int, kind, owner string, isDeleted bool) *chaosMeeting {
		m := &chaosMeeting{
			chaosRun:      c,
			chaosResource: chaosSessions,
			id:            fmt.Sprintf("%s-%d", kind, round),
			owner:         "owner",
			deleted:       isDeleted,
		}
		var err error
		m.before, err = m.add(ctx, c.direct, m.id, chaosContent{
			owner:    owner,
			metadata: zep.Metadata{"old": round},
		})
		require.NoError(c.t, err)
		if isDeleted {
			require.NoError(c.t, m.delete(ctx, c.direct, m.id))
		}
		return m
	}
	meetings := make([][]*chaosMeeting, rounds)
	for round := range meetings {
		id := fmt.Sprintf("new-%d", round)
		meetings[round] = []*chaosMeeting{
			{chaosRun: c, chaosResource: chaosUsers, id: id},
			{chaosRun: c, chaosResource: chaosUsers, id: "upsert-" + id, upserts: true},
			{chaosRun: c, chaosResource: chaosSessions, id: id, owner: "owner"},
			seeded(round, "deleted", "owner", true),
			seeded(round, "stranger's", "stranger", false),
			seeded(round, "stranger's deleted", "stranger", true),
		}
	}
	return meetings
}

// meetingWriter is one goroutine, with the records that only it writes.
type meetingWriter struct {
	*chaosWriter
	client *zep.Client
}

func newMeetingWriter(c *chaosRun, g int, client *zep.Client) *meetingWriter {
	world := &chaosWorld{chaosRun: c}
	return &meetingWriter{
		&chaosWriter{chaosWorld: world, Rand: c.random(g), g: g, owner: "owner"}, client,
	}
}

// meet asks for the records of a round, in any order, and in between for its own.
func (w *meetingWriter) meet(meetings []*chaosMeeting) {
	for _, i := range w.Perm(len(meetings)) {
		w.ask(meetings[i])
	}
	for range 5 {
		w.own()
	}
}

func (w *meetingWriter) newCall(format string, args ...any) *chaosCall {
	call := w.chaosWriter.newCall(true, format, args...)
	call.batched, call.getOrAdd = true, true
	return call
}

func (w *meetingWriter) ask(m *chaosMeeting) {
	what, do := "get or add", m.getOrAdd
	if m.upserts {
		what, do = "upsert", m.upsert
	}
	call := w.newCall("%s %s %q", what, m.name, m.id)
	content := chaosContent{owner: m.owner, metadata: zep.Metadata{"by" + call.Label: call.Label}}
	answer, method, v := w.do(call, do, m.id, content)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.callers = append(m.callers, chaosCaller{call, v, content.values(), answer, method})
}

// do makes a call, and returns the method of the last request too.
func (w *meetingWriter) do(call *chaosCall, do func(context.Context, *zep.Client, string,
	chaosContent, ...zep.RequestOption) (*chaosView, error), id string, content chaosContent,
) (answer *chaosView, method string, v chaosVerdict) {
	var response *http.Response
	v = call.do(w.chaosRun, func(ctx context.Context, opts ...zep.RequestOption) (err error) {
		answer, err = do(ctx, w.client, id, content, append(opts, zep.CaptureResponse(&response))...)
		return err
	})
	if response != nil {
		method = response.Request.Method
	}
	return answer, method, v
}

// own writes a record that only this goroutine writes.
func (w *meetingWriter) own() {
	r := w.newRecordOrOwn()
	if w.IntN(3) > 0 && len(w.records) > 1 {
		r = w.records[max(0, len(w.records)-1-w.IntN(3))]
	}
	switch roll := w.IntN(10); {
	case roll < 3:
		call := w.private(w.chaosWriter.newCall(true, "delete %s %q", r.name, r.id))
		call.nonIdempotent = true
		v := call.do(w.chaosRun, func(ctx context.Context, opts ...zep.RequestOption) error {
			return r.delete(ctx, w.client, r.id, opts...)
		})
		r.deletedBy(call, v)
	case roll < 6 && r.chaosResource == chaosUsers:
		call := w.private(w.newCall("upsert user %q", r.id))
		content := chaosContent{metadata: zep.Metadata{
			"n": call.Label, fmt.Sprintf("k%d", w.IntN(3)): call.Label,
		}}
		answer, _, v := w.do(call, r.upsert, r.id, content)
		r.upserted(call, v, content.values(), answer)
	default:
		call := w.private(w.newCall("get or add %s %q", r.name, r.id))
		content := chaosContent{metadata: zep.Metadata{"by": call.Label}}
		if r.chaosResource == chaosSessions {
			content.owner = w.owner
		} else {
			content.name = "added by " + call.Label
		}
		answer, method, v := w.do(call, r.getOrAdd, r.id, content)
		r.gotOrAdded(call, v, content.values(), answer, method)
	}
}

// chaosStored returns what the server has, nil if there is none.
func chaosStored(c *chaosRun, kind *chaosResource, id string) *chaosView {
	seen, err := kind.get(context.Background(), c.direct, id)
	if err != nil {
		require.ErrorIs(c.t, err, zep.ErrNotFound)
	}
	return seen
}

// compare compares what the callers got with the model, and with what stands in the end.
func (m *chaosMeeting) compare() {
	seen := chaosStored(m.chaosRun, m.chaosResource, m.id)
	isStrangers := m.before != nil && m.before.values["user_id"] != m.owner
	added, failed := 0, false
	for _, caller := range m.callers {
		for _, x := range caller.all {
			if x.Method == http.MethodPost && x.Done() {
				added++
			}
		}
		switch caller.verdict {
		case possiblyDone, possiblyLater, notDone:
			failed = true
		case exists:
			if !isStrangers {
				caller.violation(chaosWrong, "refused by the server")
			}
		case missing:
			caller.violation(chaosWrong, "refused by the server")
		case acknowledged:
			if isStrangers {
				caller.violation(chaosWrong, "it is another user's: %+v", caller.answer)
			} else {
				m.compareAnswer(caller, seen)
			}
		}
	}
	switch {
	case m.before != nil && added > 0, added > 1:
		m.violation(chaosDuplicated, "\t%s %q was added %d times", m.name, m.id, added)
	case m.before == nil && seen != nil && added == 0:
		m.violation(chaosWrong, "\t%s %q exists, but was added by nobody", m.name, m.id)
	case seen == nil && (!m.deleted || !isStrangers) && !failed:
		m.violation(chaosLost, "\t%s %q is gone", m.name, m.id)
	case seen != nil && m.deleted && isStrangers && !failed:
		m.violation(chaosWrong, "\t%s %q is back", m.name, m.id)
	case seen != nil && m.before != nil:
		if seen.uuid != m.before.uuid || !maps.Equal(seen.values, m.before.values) {
			m.violation(chaosLost, "\t%s %q is %+v, and was %+v", m.name, m.id, seen, m.before)
		}
	case seen != nil:
		m.compareContent(seen)
	}
}

// compareAnswer checks what a caller got, and that it says how.
func (m *chaosMeeting) compareAnswer(caller chaosCaller, seen *chaosView) {
	answer := caller.answer
	if seen == nil || answer == nil || answer.id != m.id || answer.uuid != seen.uuid {
		caller.violation(chaosLost, "it got %+v, but there is %+v", answer, seen)
		return
	}
	if m.upserts {
		for key, value := range caller.content {
			if answer.values[key] != value || seen.values[key] != value {
				caller.violation(chaosLost, "it got %+v, and there is %+v", answer, seen)
			}
		}
		return
	}
	if !maps.Equal(answer.values, seen.values) {
		caller.violation(chaosLost, "it got %+v, but there is %+v", answer, seen)
	}
	last := caller.all[len(caller.all)-1]
	says := map[string]string{"GET": "there", "POST": "added", "PATCH": "brought back"}[caller.method]
	if last.Method != caller.method || says == "added" && !maps.Equal(caller.content, seen.values) ||
		says == "brought back" && !m.deleted {
		caller.violation(chaosWrong, "it says: %q, but there is %+v", says, seen)
	}
}

// compareContent checks that what stands was written by a caller, or of an Upsert by all.
func (m *chaosMeeting) compareContent(seen *chaosView) {
	for _, caller := range m.callers {
		if !m.upserts && maps.Equal(caller.content, seen.values) {
			return
		}
	}
	for key := range seen.values {
		if !m.upserts || !strings.HasPrefix(key, "by") {
			m.violation(chaosWrong, "\t%s %q is nobody's: %+v", m.name, m.id, seen)
			return
		}
	}
}
