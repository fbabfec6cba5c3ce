package zep_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/internal/chaos"
	"github.com/zep-go/zep/zeptest"
)

// chaosWorld is a run with all of its records and writers.
type chaosWorld struct {
	*chaosRun
	shared   []*chaosSharedRecord
	contests map[string]*chaosContest // by resource and id
	doomed   map[string]*chaosContest
	writers  []*chaosWriter
}

const (
	chaosPermanent = 200 // users and sessions that nobody writes
	chaosRound     = 40  // writes of a goroutine between two contests
	chaosShared    = 3   // users and sessions that all goroutines update in a round
)

// TestChaos checks adds, updates, deletes and reads of users and sessions. The server is racy: it
// loses updates that are not kept apart.
func TestChaos(t *testing.T) {
	chaosEachSeed(t,
		chaosRecords(chaosHTTP1, 2_000, zeptest.WithRacyUpdates()))
}

// chaosRecords returns TestChaos in a network, with its usual number of writes.
func chaosRecords(network chaosNetwork, usual int,
	opts ...zeptest.Option) func(*testing.T, uint64) {
	return func(t *testing.T, seed uint64) {
		w := &chaosWorld{
			chaosRun: newChaosRun(t, seed, network, chaosUnwrapped, opts...),
			contests: map[string]*chaosContest{}, doomed: map[string]*chaosContest{},
		}
		each := (chaosWrites(usual) + chaosWriters - 1) / chaosWriters
		w.populate(each)
		w.each(func(g int) {
			writer := w.writers[g]
			for i := range each {
				writer.step(i)
			}
		})
		w.compare()
		w.report()
	}
}

// populate creates the records that exist from the beginning.
func (w *chaosWorld) populate(each int) {
	t := w.t
	metadata := func(i int) zep.Metadata { return zep.Metadata{"seeded": i} }
	seed := func(n int, id string) {
		require.NoError(t, w.server.SeedUsers(n, func(i int) zep.CreateUserRequest {
			return zep.CreateUserRequest{UserID: fmt.Sprintf(id, i), Metadata: metadata(i)}
		}))
		require.NoError(t, w.server.SeedSessions(n, func(i int) zep.CreateSessionRequest {
			return zep.CreateSessionRequest{SessionID: fmt.Sprintf(id, i), Metadata: metadata(i)}
		}))
	}
	seed(chaosPermanent, "permanent-%d")
	rounds := each/chaosRound + 1
	seed(rounds*chaosShared, "shared-%d")
	for i := range rounds * chaosShared {
		for _, kind := range []*chaosResource{chaosUsers, chaosSessions} {
			w.shared = append(w.shared, &chaosSharedRecord{
				chaosResource: kind,
				id:            fmt.Sprintf("shared-%d", i),
				kept:          map[string]string{"seeded": fmt.Sprint(i)},
				possible:      map[string]string{},
			})
		}
	}
	seed(rounds, "doomed-%d")
	for i := range rounds {
		for _, kind := range []*chaosResource{chaosUsers, chaosSessions} {
			w.doomed[fmt.Sprintf("%s doomed-%d", kind.name, i)] = &chaosContest{}
			w.contests[fmt.Sprintf("%s contested-%d", kind.name, i)] = &chaosContest{}
		}
	}
	for g := range chaosWriters {
		owner := fmt.Sprintf("owner-%d", g)
		require.NoError(t,
			w.server.SeedUsers(1,
				func(int) zep.CreateUserRequest { return zep.CreateUserRequest{UserID: owner} }))
		w.writers = append(w.writers, &chaosWriter{
			chaosWorld: w,
			g:          g,
			owner:      owner,
			Rand:       w.random(g),
		})
	}
}

// chaosWriter is one goroutine, with the records that only it writes.
type chaosWriter struct {
	*chaosWorld
	*rand.Rand
	g, calls int
	owner    string
	records  []*chaosRecord
}

func (w *chaosWriter) newCall(write bool, format string, args ...any) *chaosCall {
	w.calls++
	return &chaosCall{
		Call: chaos.Call{Label: fmt.Sprintf("%d.%d", w.g, w.calls)},
		what: fmt.Sprintf(format, args...), write: write,
	}
}

// private prepares a call for a record that no other goroutine waits for: its caller may give up
// at any time.
func (w *chaosWriter) private(call *chaosCall) *chaosCall {
	call.Late, call.Patient = true, true
	if w.IntN(100) == 0 {
		call.timeout = time.Duration(1+w.IntN(3000)) * time.Microsecond
	}
	return call
}

// step makes one write, and sometimes a read.
func (w *chaosWriter) step(i int) {
	round := i / chaosRound
	kind := []*chaosResource{chaosUsers, chaosSessions}[round%2]
	switch i % chaosRound {
	case chaosRound / 2:
		w.addContested(kind, round)
		return
	case chaosRound - 1:
		w.deleteDoomed(kind, round)
		return
	}
	switch roll := w.IntN(100); {
	case roll < 30:
		w.updateShared(round)
	case roll < 60:
		w.add()
	case roll < 88:
		w.update()
	default:
		w.delete()
	}
	switch roll := w.IntN(400); {
	case roll < 80:
		w.get()
	case roll < 82:
		w.walk()
	case roll < 84:
		w.sessionsOfOwner()
	}
}

func (w *chaosWriter) updateShared(round int) {
	w.updateOne(w.shared[2*chaosShared*round+w.IntN(2*chaosShared)])
}

// updateOne updates a record with a key that nobody else writes. Its caller gives up only after
// the server has finished: an update that the server is still handling could collide with the
// next one, which no client can prevent.
func (w *chaosWriter) updateOne(r *chaosSharedRecord) {
	call := w.newCall(true, "update shared %s %s", r.name, r.id)
	key, value := "k"+call.Label, fmt.Sprint(w.IntN(1000))
	content := chaosContent{metadata: zep.Metadata{key: value}}
	if w.IntN(3) == 0 {
		content.metadata = zep.Metadata{"deep": map[string]any{key: value}}
	}
	var answer *chaosView
	v := call.do(w.chaosRun, func(ctx context.Context, opts ...zep.RequestOption) (err error) {
		answer, err = r.update(ctx, w.client, r.id, content, opts...)
		return err
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	switch v {
	case acknowledged:
		maps.Copy(r.kept, content.values())
		for key, value := range content.values() {
			if answer == nil || answer.id != r.id || answer.values[key] != value {
				call.violation(chaosLost, "the response was %+v", answer)
			}
		}
		if call.done() == 0 {
			call.violation(chaosLost, "acknowledged, but not carried out")
		}
	case possiblyDone, possiblyLater:
		maps.Copy(r.possible, content.values())
	case exists, missing:
		call.violation(chaosWrong, "refused by the server")
	}
}

// own returns one of the goroutine's records, in any state.
func (w *chaosWriter) own() *chaosRecord {
	if len(w.records) == 0 || w.IntN(4) > 0 && w.records[len(w.records)-1].untracked {
		return w.newRecord()
	}
	// Prefer a recent record: a deleted session shows little more.
	i := max(w.IntN(len(w.records)), w.IntN(len(w.records)))
	return w.records[i]
}

func (w *chaosWriter) newRecord() *chaosRecord {
	r := &chaosRecord{chaosResource: chaosUsers, states: absent, values: map[string][]string{}}
	if w.IntN(3) == 0 {
		r.chaosResource = chaosSessions
	}
	ids := []string{"%s-%d-%d", "%s+%d@example.com:%d", "%s %d ? # %% %d", "日本-%s-%d-%d"}
	r.id = fmt.Sprintf(ids[w.IntN(len(ids))], r.name, w.g, len(w.records))
	w.records = append(w.records, r)
	return r
}

func (w *chaosWriter) add() {
	r := w.newRecordOrOwn()
	call := w.private(w.newCall(true, "add %s %q", r.name, r.id))
	call.nonIdempotent = true
	content := chaosContent{
		metadata: zep.Metadata{
			"by":   call.Label,
			"n":    w.IntN(1000),
			"deep": map[string]any{"by": call.Label},
		},
	}
	if r.chaosResource == chaosUsers {
		content.name = "added by " + call.Label
	} else {
		content.owner = w.owner
	}
	var answer *chaosView
	v := call.do(w.chaosRun, func(ctx context.Context, opts ...zep.RequestOption) (err error) {
		answer, err = r.add(ctx, w.client, r.id, content, opts...)
		return err
	})
	r.added(call, v, content.values(), answer)
}

func (w *chaosWriter) newRecordOrOwn() *chaosRecord {
	if w.IntN(4) == 0 {
		return w.own()
	}
	return w.newRecord()
}

func (w *chaosWriter) update() {
	r := w.own()
	call := w.private(w.newCall(true, "update %s %q", r.name, r.id))
	var content chaosContent
	key := fmt.Sprintf("k%d", w.IntN(5))
	switch w.IntN(3) {
	case 0:
		content.metadata = zep.Metadata{key: call.Label}
	case 1:
		content.metadata = zep.Metadata{"deep": map[string]any{key: call.Label}}
	case 2:
		content.metadata = zep.Metadata{
			key:    call.Label,
			"n":    w.IntN(1000),
			"deep": map[string]any{"by": call.Label},
		}
	}
	if r.chaosResource == chaosUsers && w.IntN(3) == 0 {
		content.name = "updated by " + call.Label
		if w.IntN(2) == 0 {
			content.metadata = nil
		}
	}
	var answer *chaosView
	v := call.do(w.chaosRun, func(ctx context.Context, opts ...zep.RequestOption) (err error) {
		answer, err = r.update(ctx, w.client, r.id, content, opts...)
		return err
	})
	r.updated(call, v, content.values(), answer)
}

func (w *chaosWriter) delete() {
	r := w.own()
	call := w.private(w.newCall(true, "delete %s %q", r.name, r.id))
	call.nonIdempotent = true
	v := call.do(w.chaosRun, func(ctx context.Context, opts ...zep.RequestOption) error {
		return r.chaosResource.delete(ctx, w.client, r.id, opts...)
	})
	r.deletedBy(call, v)
}

func (w *chaosWriter) get() {
	r := w.own()
	call := w.private(w.newCall(false, "get %s %q", r.name, r.id))
	var answer *chaosView
	v := call.do(w.chaosRun, func(ctx context.Context, opts ...zep.RequestOption) (err error) {
		answer, err = r.get(ctx, w.client, r.id, opts...)
		return err
	})
	r.got(call, v, answer)
}

// walk checks that every record that exists throughout is found once, and that no record is
// found that does not exist throughout.
func (w *chaosWriter) walk() {
	kind := []*chaosResource{chaosUsers, chaosSessions}[w.IntN(2)]
	size := []int{0, 0, 500, 1000}[w.IntN(4)]
	limit := -1
	if w.IntN(4) == 0 {
		limit = w.IntN(1000)
	}
	call := w.newCall(false, "walk over %ss in chunks of %d, up to %d", kind.name, size, limit)
	found := map[string]int{}
	var last int64
	v := call.do(w.chaosRun, func(ctx context.Context, opts ...zep.RequestOption) error {
		return kind.walk(ctx, w.client, size, func(seen *chaosView) bool {
			if seen.row <= last {
				call.violation(chaosDuplicated, "row %d after row %d", seen.row, last)
			}
			last = seen.row
			found[seen.id]++
			limit--
			return limit != 0
		}, opts...)
	})
	if v != acknowledged || limit == 0 {
		return
	}
	for i := range chaosPermanent {
		if id := fmt.Sprintf("permanent-%d", i); found[id] != 1 {
			call.violation(chaosWrong, "%s was found %d times", id, found[id])
		}
	}
	for _, r := range w.records {
		if r.chaosResource != kind || r.untracked {
			continue
		}
		if n := found[r.id]; n > 1 || n == 0 && r.states == live || n > 0 && r.states&live == 0 {
			call.violation(chaosWrong, "%q was found %d times, in state %03b", r.id, n, r.states)
		}
	}
}

func (w *chaosWriter) sessionsOfOwner() {
	call := w.newCall(false, "get sessions of %s", w.owner)
	found := map[string]int{}
	v := call.do(w.chaosRun, func(ctx context.Context, opts ...zep.RequestOption) error {
		answer, err := w.client.User.GetSessions(ctx, w.owner, opts...)
		for _, s := range answer {
			found[s.SessionID]++
		}
		return err
	})
	if v != acknowledged {
		return
	}
	for _, r := range w.records {
		if r.chaosResource != chaosSessions || r.untracked {
			continue
		}
		if n := found[r.id]; n > 1 || n == 0 && r.states == live || n > 0 && r.states&live == 0 {
			call.violation(chaosWrong, "%q was found %d times, in state %03b", r.id, n, r.states)
		}
	}
}

func (w *chaosWriter) addContested(kind *chaosResource, round int) {
	id := fmt.Sprintf("contested-%d", round)
	call := w.newCall(true, "add contested %s %s", kind.name, id)
	call.nonIdempotent = true
	content := chaosContent{metadata: zep.Metadata{"by": call.Label}}
	v := call.do(w.chaosRun, func(ctx context.Context, opts ...zep.RequestOption) error {
		_, err := kind.add(ctx, w.client, id, content, opts...)
		return err
	})
	w.contests[kind.name+" "+id].enter(call, v, content.values())
}

func (w *chaosWriter) deleteDoomed(kind *chaosResource, round int) {
	id := fmt.Sprintf("doomed-%d", round)
	call := w.newCall(true, "delete doomed %s %s", kind.name, id)
	call.nonIdempotent = true
	v := call.do(w.chaosRun, func(ctx context.Context, opts ...zep.RequestOption) error {
		return kind.delete(ctx, w.client, id, opts...)
	})
	w.doomed[kind.name+" "+id].enter(call, v, nil)
}

// compare compares the final state of the server with the model.
func (w *chaosWorld) compare() {
	for _, kind := range []*chaosResource{chaosUsers, chaosSessions} {
		left := map[string]*chaosView{}
		require.NoError(w.t,
			kind.walk(context.Background(), w.direct, 5000, func(seen *chaosView) bool {
				if left[seen.id] != nil {
					w.violation(chaosDuplicated, "\t%s %q is stored twice", kind.name, seen.id)
				}
				left[seen.id] = seen
				return true
			}))
		take := func(id string) *chaosView {
			seen := left[id]
			delete(left, id)
			return seen
		}
		for i := range chaosPermanent {
			if id := fmt.Sprintf("permanent-%d", i); take(id) == nil {
				w.violation(chaosLost, "\t%s %s is gone", kind.name, id)
			}
		}
		for _, writer := range w.writers {
			take(writer.owner)
			for _, r := range writer.records {
				if r.chaosResource == kind {
					w.compareOwn(r, take(r.id))
				}
			}
		}
		for _, r := range w.shared {
			if r.chaosResource == kind {
				w.compareShared(r, take(r.id))
			}
		}
		for i := 0; w.contests[fmt.Sprintf("%s contested-%d", kind.name, i)] != nil; i++ {
			contested, doomed := fmt.Sprintf("contested-%d", i), fmt.Sprintf("doomed-%d", i)
			w.compareContested(kind.name+" "+contested, take(contested))
			w.compareDoomed(kind.name+" "+doomed, take(doomed))
		}
		for id := range left {
			w.violation(chaosDuplicated, "\t%s %q was never added", kind.name, id)
		}
	}
}

func (w *chaosWorld) compareOwn(r *chaosRecord, seen *chaosView) {
	switch {
	case r.untracked:
	case seen == nil && r.states == live:
		w.violation(chaosLost, "\t%s %q is gone", r.name, r.id)
	case seen != nil && r.states&live == 0:
		w.violation(chaosWrong, "\t%s %q exists, but must be in state %03b", r.name, r.id,
			r.states)
	case seen != nil:
		if wrong := r.wrongValues(seen); wrong != "" {
			w.violation(chaosLost, "\t%s %q: %s", r.name, r.id, wrong)
		}
	}
}

func (w *chaosWorld) compareShared(r *chaosSharedRecord, seen *chaosView) {
	if seen == nil {
		w.violation(chaosLost, "\tshared %s %q is gone", r.name, r.id)
		return
	}
	for key, value := range r.kept {
		if seen.values[key] != value {
			w.violation(chaosLost, "\tshared %s %q: %s is %q, and %q was acknowledged", r.name,
				r.id, key, seen.values[key], value)
		}
	}
	for key, value := range seen.values {
		if r.kept[key] != value && r.possible[key] != value {
			w.violation(chaosWrong, "\tshared %s %q: nobody wrote %s: %q", r.name, r.id,
				key, value)
		}
	}
}

// compareContested checks that one add created the record, and that every other add was refused.
func (w *chaosWorld) compareContested(name string, seen *chaosView) {
	var makers []*chaosCall
	for _, contender := range w.contests[name].contenders {
		mine := seen != nil && maps.Equal(seen.values, contender.content)
		switch contender.chaosVerdict {
		case acknowledged:
			makers = append(makers, contender.call)
			if !mine {
				contender.call.violation(chaosLost, "acknowledged, but there is %+v", seen)
			}
		case exists:
			if seen == nil || mine {
				contender.call.violation(chaosWrong, "refused, but there is %+v", seen)
			}
		case notDone, missing:
			if mine {
				contender.call.violation(chaosWrong, "stored, but must not be")
			}
		case possiblyDone, possiblyLater:
			if mine {
				makers = append(makers, contender.call)
			}
		}
	}
	if len(makers) > 1 {
		makers[1].violation(chaosDuplicated, "also created by %v", makers[0])
	}
	if seen != nil && len(makers) == 0 {
		w.violation(chaosWrong, "\t%s exists, but was added by nobody: %+v", name, seen)
	}
}

// compareDoomed checks that the record is gone if a call reported that, and exists if no call
// can have deleted it.
func (w *chaosWorld) compareDoomed(name string, seen *chaosView) {
	contenders := w.doomed[name].contenders
	possible, done := false, 0
	for _, contender := range contenders {
		done += contender.call.done()
		switch contender.chaosVerdict {
		case acknowledged, missing:
			possible = true
			if seen != nil {
				contender.call.violation(chaosLost, "it still exists")
			}
			if contender.chaosVerdict == acknowledged && contender.call.done() == 0 &&
				!contender.call.ambiguous() {
				contender.call.violation(chaosWrong, "acknowledged, but not carried out")
			}
		case possiblyDone, possiblyLater:
			possible = true
		case exists:
			contender.call.violation(chaosWrong, "a delete reported that the record exists")
		}
	}
	if done > 1 {
		w.violation(chaosDuplicated, "\t%s was deleted %d times", name, done)
	}
	if seen == nil && !possible {
		w.violation(chaosWrong, "\t%s is gone, but was deleted by nobody", name)
	}
}
