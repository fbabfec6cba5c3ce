package zep_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"

	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/internal/chaos"
)

// lateRecord is a user or session that one goroutine writes. The goroutine knows every request
// that the server got for it, and in which order. So the record is always in one state, and a
// write that is lost without a late delivery is found at once.
type lateRecord struct {
	*chaosResource
	id     string
	state  chaosState
	values map[string]string
	uuid   string // "" if unknown
}

// lateWrite is a write of a record.
type lateWrite struct {
	record       *lateRecord
	kind         string // add, update or delete
	content      map[string]string
	acknowledged bool
}

// apply carries the write out, as the server does. It reports whether the server accepts it.
func (w *lateWrite) apply() bool {
	r := w.record
	switch {
	case w.kind == "add" && r.state == absent:
		r.state, r.values, r.uuid = live, maps.Clone(w.content), ""
		return true
	case w.kind == "update" && r.state != absent:
		// An update restores a deleted session.
		r.state = live
		maps.Copy(r.values, w.content)
		return true
	case w.kind == "delete" && r.state == live:
		r.state = absent
		if r.chaosResource == chaosSessions {
			r.state = deleted
		}
		return true
	}
	return false
}

// The outcomes of late deliveries.
const (
	lateRefused  = "refused"
	lateRepeated = "repeated without effect"
	lateFailed   = "carried out after the call had failed"
	lateReverted = "reverted a later update"
	lateRestored = "restored what was deleted"
	lateDeleted  = "deleted what was added again"
)

// outcome carries a late delivery out, and classifies what it did to the writes that followed.
func (w *lateWrite) outcome() (outcome string, accepted bool) {
	state, values := w.record.state, maps.Clone(w.record.values)
	switch accepted = w.apply(); {
	case !accepted:
		return lateRefused, false
	case !w.acknowledged:
		return lateFailed, true
	case w.record.state == state && maps.Equal(w.record.values, values):
		return lateRepeated, true
	case w.kind == "delete":
		return lateDeleted, true
	case state != live:
		return lateRestored, true
	default:
		return lateReverted, true
	}
}

// lateWriter is one goroutine, with the records that only it writes.
type lateWriter struct {
	*chaosRun
	*rand.Rand
	late     *chaos.Late
	g, calls int
	records  []*lateRecord
	writes   map[string]*lateWrite // by the label of the call
	outcomes map[string]int
}

func newLateWriter(c *chaosRun, late *chaos.Late, g int) *lateWriter {
	return &lateWriter{
		chaosRun: c,
		Rand:     c.random(g),
		late:     late,
		g:        g,
		writes:   map[string]*lateWrite{},
		outcomes: map[string]int{},
	}
}

// step makes one write, and sometimes a read.
func (w *lateWriter) step() {
	r := w.choose()
	kinds := []string{"add", "update", "update", "delete"}
	if r.state == absent {
		kinds = []string{"add", "add", "add", "update", "delete"}
	}
	w.write(r, kinds[w.IntN(len(kinds))])
	if w.IntN(4) == 0 {
		w.read(r)
	}
}

// choose returns a recent record, or a new one.
func (w *lateWriter) choose() *lateRecord {
	if len(w.records) > 0 && w.IntN(5) > 0 {
		return w.records[max(0, len(w.records)-1-w.IntN(3))]
	}
	r := &lateRecord{chaosResource: chaosUsers, state: absent, values: map[string]string{}}
	if w.IntN(3) == 0 {
		r.chaosResource = chaosSessions
	}
	r.id = fmt.Sprintf("%s-%d-%d", r.name, w.g, len(w.records))
	w.records = append(w.records, r)
	return r
}

func (w *lateWriter) newCall(kind string, r *lateRecord) *chaosCall {
	w.calls++
	return &chaosCall{
		Call:    chaos.Call{Label: fmt.Sprintf("%d.%d", w.g, w.calls)},
		what:    fmt.Sprintf("%s %s %s", kind, r.name, r.id),
		write:   kind != "get",
		patient: true,
	}
}

// write makes a call, and carries out in the model what the server did.
func (w *lateWriter) write(r *lateRecord, kind string) {
	call := w.newCall(kind, r)
	call.nonIdempotent = kind != "update"
	content := chaosContent{metadata: zep.Metadata{fmt.Sprintf("k%d", w.IntN(3)): call.Label}}
	if r.chaosResource == chaosUsers && w.IntN(3) == 0 {
		content.name = "named by " + call.Label
	}
	write := &lateWrite{record: r, kind: kind, content: content.values()}
	w.writes[call.Label] = write
	var answer *chaosView
	v := call.do(w.chaosRun, func(ctx context.Context, opts ...zep.RequestOption) (err error) {
		switch kind {
		case "add":
			answer, err = r.add(ctx, w.client, r.id, content, opts...)
		case "update":
			answer, err = r.update(ctx, w.client, r.id, content, opts...)
		default:
			err = r.delete(ctx, w.client, r.id, opts...)
		}
		return err
	})
	write.acknowledged = v == acknowledged
	w.replayDeliveries()
	for _, x := range call.seen {
		if x.Status != 0 && write.apply() != x.Done() {
			call.violation(chaosWrong, "in state %03b the server answered %d", r.state, x.Status)
		}
	}
	w.check(call, v, write, answer)
}

// check compares the result of a write with the model.
func (w *lateWriter) check(call *chaosCall, v chaosVerdict, write *lateWrite, answer *chaosView) {
	r := write.record
	switch {
	case v == acknowledged && write.kind == "delete":
		if r.state == live {
			call.violation(chaosLost, "acknowledged, but it still exists")
		}
		if call.done() == 0 && !call.ambiguous() {
			call.violation(chaosLost, "acknowledged, but not carried out")
		}
	case v == acknowledged && call.done() == 0:
		call.violation(chaosLost, "acknowledged, but not carried out")
	case v == acknowledged:
		w.observe(call, r, answer)
	case v == exists && (write.kind != "add" || r.state == absent),
		v == missing && (write.kind == "add" || r.state == live),
		v == missing && write.kind == "update" && r.state != absent:
		call.violation(chaosWrong, "refused in state %03b", r.state)
	}
}

func (w *lateWriter) read(r *lateRecord) {
	call := w.newCall("get", r)
	var answer *chaosView
	v := call.do(w.chaosRun, func(ctx context.Context, opts ...zep.RequestOption) (err error) {
		answer, err = r.get(ctx, w.client, r.id, opts...)
		return err
	})
	w.replayDeliveries()
	switch {
	case v == acknowledged:
		w.observe(call, r, answer)
	case v == missing && r.state == live, v == exists:
		call.violation(chaosWrong, "refused in state %03b", r.state)
	}
}

// observe compares a response with the model.
func (w *lateWriter) observe(call *chaosCall, r *lateRecord, answer *chaosView) {
	if answer == nil || answer.id != r.id {
		call.violation(chaosWrong, "the response is another record: %+v", answer)
		return
	}
	if r.state != live || !maps.Equal(answer.values, r.values) {
		call.violation(chaosLost, "the response has %v, but the record is in state %03b with %v",
			answer.values, r.state, r.values)
	}
	if r.uuid != "" && r.uuid != answer.uuid {
		call.violation(chaosWrong, "the response has the UUID %s, not %s", answer.uuid, r.uuid)
	}
	r.uuid = answer.uuid
}

// replayDeliveries carries out in the model what the server got late. That happens only before
// the first exchange of a call, and after the last call.
func (w *lateWriter) replayDeliveries() {
	for _, d := range w.late.Delivered(fmt.Sprint(w.g)) {
		write := w.writes[d.Label]
		outcome, accepted := write.outcome()
		w.outcomes[outcome]++
		if accepted != (d.Status/100 == 2) {
			w.violation(chaosWrong, "\tthe late %s %s of call %s got %d in state %03b",
				d.Method, d.Path, d.Label, d.Status, write.record.state)
		}
	}
}

// compareLate compares the final state of the server with the model.
func compareLate(c *chaosRun, records []*lateRecord) {
	for _, kind := range []*chaosResource{chaosUsers, chaosSessions} {
		stored := map[string]*chaosView{}
		require.NoError(c.t, kind.walk(context.Background(), c.direct, 1000,
			func(seen *chaosView) bool {
				if stored[seen.id] != nil {
					c.violation(chaosDuplicated, "\t%s %s is stored twice", kind.name, seen.id)
				}
				stored[seen.id] = seen
				return true
			}))
		for _, r := range records {
			if r.chaosResource != kind {
				continue
			}
			seen := stored[r.id]
			delete(stored, r.id)
			switch {
			case (seen != nil) != (r.state == live):
				c.violation(chaosLost, "\t%s is %+v, but must be in state %03b", r.id, seen, r.state)
			case seen != nil && !maps.Equal(seen.values, r.values):
				c.violation(chaosLost, "\t%s has %v, but must have %v", r.id, seen.values, r.values)
			}
		}
		for id := range stored {
			c.violation(chaosDuplicated, "\t%s %s was never added", kind.name, id)
		}
	}
}
