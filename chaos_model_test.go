package zep_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/zep-go/zep"
)

// chaosView is a user, a session or a message, as the model sees it.
type chaosView struct {
	id, uuid string
	row      int64
	values   map[string]string
}

// chaosContent is the content that a write sends.
type chaosContent struct {
	name, owner string // of users, and of sessions
	metadata    zep.Metadata
}

// values returns the content as a flat map.
func (c chaosContent) values() map[string]string {
	values := map[string]string{}
	chaosFlatten(values, "", c.metadata)
	if c.name != "" {
		values["first_name"] = c.name
	}
	if c.owner != "" {
		values["user_id"] = c.owner
	}
	return values
}

func chaosFlatten(into map[string]string, prefix string, object map[string]any) {
	for key, value := range object {
		switch value := value.(type) {
		case map[string]any:
			chaosFlatten(into, prefix+key+".", value)
		default:
			into[prefix+key] = fmt.Sprint(value)
		}
	}
}

func chaosViewOfUser(u *zep.User) *chaosView {
	if u == nil {
		return nil
	}
	return &chaosView{
		u.UserID,
		u.UUID,
		u.ID,
		chaosContent{name: u.FirstName, metadata: u.Metadata}.values(),
	}
}

func chaosViewOfSession(s *zep.Session) *chaosView {
	if s == nil {
		return nil
	}
	return &chaosView{
		s.SessionID,
		s.UUID,
		s.ID,
		chaosContent{owner: s.UserID, metadata: s.Metadata}.values(),
	}
}

// chaosResource calls one service for the model.
type chaosResource struct {
	name string
	add  func(ctx context.Context, c *zep.Client, id string, content chaosContent,
		opts ...zep.RequestOption) (*chaosView, error)
	update func(ctx context.Context, c *zep.Client, id string, content chaosContent,
		opts ...zep.RequestOption) (*chaosView, error)
	getOrAdd func(ctx context.Context, c *zep.Client, id string, content chaosContent,
		opts ...zep.RequestOption) (*chaosView, error)
	upsert func(ctx context.Context, c *zep.Client, id string, content chaosContent,
		opts ...zep.RequestOption) (*chaosView, error) // of users
	get func(ctx context.Context, c *zep.Client, id string,
		opts ...zep.RequestOption) (*chaosView, error)
	delete func(ctx context.Context, c *zep.Client, id string, opts ...zep.RequestOption) error
	// walk uses ListChunked with the size, or All if the size is 0.
	walk func(ctx context.Context, c *zep.Client, size int, visit func(*chaosView) bool,
		opts ...zep.RequestOption) error
}

var chaosUsers = &chaosResource{
	name: "user",
	add: func(ctx context.Context, c *zep.Client, id string, content chaosContent,
		opts ...zep.RequestOption) (*chaosView, error) {
		u, err := c.User.Add(ctx,
			&zep.CreateUserRequest{
				UserID:    id,
				FirstName: content.name,
				Metadata:  content.metadata,
			}, opts...)
		return chaosViewOfUser(u), err
	},
	update: func(ctx context.Context, c *zep.Client, id string, content chaosContent,
		opts ...zep.RequestOption) (*chaosView, error) {
		u, err := c.User.Update(ctx,
			&zep.UpdateUserRequest{
				UserID:    id,
				FirstName: content.name,
				Metadata:  content.metadata,
			}, opts...)
		return chaosViewOfUser(u), err
	},
	getOrAdd: func(ctx context.Context, c *zep.Client, id string, content chaosContent,
		opts ...zep.RequestOption) (*chaosView, error) {
		u, err := c.User.GetOrAdd(ctx,
			&zep.CreateUserRequest{
				UserID:    id,
				FirstName: content.name,
				Metadata:  content.metadata,
			}, opts...)
		return chaosViewOfUser(u), err
	},
	upsert: func(ctx context.Context, c *zep.Client, id string, content chaosContent,
		opts ...zep.RequestOption) (*chaosView, error) {
		u, err := c.User.Upsert(ctx,
			&zep.CreateUserRequest{
				UserID:    id,
				FirstName: content.name,
				Metadata:  content.metadata,
			}, opts...)
		return chaosViewOfUser(u), err
	},
	get: func(ctx context.Context, c *zep.Client, id string,
		opts ...zep.RequestOption) (*chaosView, error) {
		u, err := c.User.Get(ctx, id, opts...)
		return chaosViewOfUser(u), err
	},
	delete: func(ctx context.Context, c *zep.Client, id string, opts ...zep.RequestOption) error {
		return c.User.Delete(ctx, id, opts...)
	},
	walk: func(ctx context.Context, c *zep.Client, size int, visit func(*chaosView) bool,
		opts ...zep.RequestOption) error {
		return chaosWalk(c.User.All(ctx, opts...), c.User.ListChunked(ctx, size, opts...), size,
			chaosViewOfUser, visit)
	},
}

var chaosSessions = &chaosResource{
	name: "session",
	add: func(ctx context.Context, c *zep.Client, id string, content chaosContent,
		opts ...zep.RequestOption) (*chaosView, error) {
		s, err := c.Session.Add(ctx,
			&zep.CreateSessionRequest{
				SessionID: id,
				UserID:    content.owner,
				Metadata:  content.metadata,
			}, opts...)
		return chaosViewOfSession(s), err
	},
	update: func(ctx context.Context, c *zep.Client, id string, content chaosContent,
		opts ...zep.RequestOption) (*chaosView, error) {
		s, err := c.Session.Update(ctx,
			&zep.UpdateSessionRequest{SessionID: id, Metadata: content.metadata}, opts...)
		return chaosViewOfSession(s), err
	},
	getOrAdd: func(ctx context.Context, c *zep.Client, id string, content chaosContent,
		opts ...zep.RequestOption) (*chaosView, error) {
		s, err := c.Session.GetOrAdd(ctx,
			&zep.CreateSessionRequest{
				SessionID: id,
				UserID:    content.owner,
				Metadata:  content.metadata,
			}, opts...)
		return chaosViewOfSession(s), err
	},
	get: func(ctx context.Context, c *zep.Client, id string,
		opts ...zep.RequestOption) (*chaosView, error) {
		s, err := c.Session.Get(ctx, id, opts...)
		return chaosViewOfSession(s), err
	},
	delete: func(ctx context.Context, c *zep.Client, id string, opts ...zep.RequestOption) error {
		return c.Session.Delete(ctx, id, opts...)
	},
	walk: func(ctx context.Context, c *zep.Client, size int, visit func(*chaosView) bool,
		opts ...zep.RequestOption) error {
		return chaosWalk(c.Session.All(ctx, opts...), c.Session.ListChunked(ctx, size, opts...),
			size, chaosViewOfSession, visit)
	},
}

func chaosWalk[T any](all func(func(*T, error) bool), chunks func(func([]*T, error) bool),
	size int, view func(*T) *chaosView, visit func(*chaosView) bool) error {
	if size == 0 {
		for record, err := range all {
			if err != nil {
				return err
			}
			if !visit(view(record)) {
				return nil
			}
		}
		return nil
	}
	for chunk, err := range chunks {
		if err != nil {
			return err
		}
		for _, record := range chunk {
			if !visit(view(record)) {
				return nil
			}
		}
	}
	return nil
}

// chaosRecord is what the model knows of a record that only one goroutine writes.
type chaosRecord struct {
	*chaosResource
	id string

	// states are the states that the record may be in.
	states chaosState

	// values are the possible values of each key, "" for none. A key that is missing has none.
	values map[string][]string

	uuid string // "" if unknown

	// untracked is set when a write may still be on its way.
	untracked bool
}

type chaosState uint8

const (
	absent  chaosState = 1 << iota
	live               // exists
	deleted            // a session that is deleted and keeps its id
)

// stateAfterDelete returns the state that a delete leads to.
func (r *chaosRecord) stateAfterDelete() chaosState {
	if r.chaosResource == chaosSessions {
		return deleted
	}
	return absent
}

// set makes the values certain, in addition to the ones that are known.
func (r *chaosRecord) set(values map[string]string) {
	for key, value := range values {
		r.values[key] = []string{value}
	}
}

// mayHave makes the values possible.
func (r *chaosRecord) mayHave(values map[string]string) {
	for key, value := range values {
		if r.values[key] == nil {
			r.values[key] = []string{""}
		}
		r.values[key] = append(r.values[key], value)
	}
}

// wrongValues describes what in a view the model excludes, or returns "".
func (r *chaosRecord) wrongValues(seen *chaosView) string {
	keys := maps.Clone(seen.values)
	for key := range r.values {
		keys[key] = ""
	}
	for key := range keys {
		value, may := seen.values[key], r.values[key]
		if may == nil {
			may = []string{""}
		}
		if !slices.Contains(may, value) {
			return fmt.Sprintf("%s is %q, but must be one of %q", key, value, may)
		}
	}
	if r.uuid != "" && seen.uuid != r.uuid {
		return fmt.Sprintf("it has the UUID %s, but was made with %s", seen.uuid, r.uuid)
	}
	return ""
}

// observe checks a view against the model, and takes its values for certain.
func (r *chaosRecord) observe(call *chaosCall, seen *chaosView) {
	if seen == nil || seen.id != r.id {
		call.violation(chaosWrong, "the response is another record: %+v", seen)
		return
	}
	if r.untracked {
		return
	}
	if wrong := r.wrongValues(seen); wrong != "" {
		call.violation(chaosLost, "%s", wrong)
	}
	r.states, r.uuid, r.values = live, seen.uuid, map[string][]string{}
	r.set(seen.values)
}

// requireState records a violation if the record can be in none of the states.
func (r *chaosRecord) requireState(call *chaosCall, states chaosState) {
	if r.states&states == 0 && !r.untracked {
		call.violation(chaosWrong, "the response means state %03b, but the record is in %03b", states, r.states)
	}
}

// checkAcknowledged checks that an acknowledged write was carried out.
func (r *chaosRecord) checkAcknowledged(call *chaosCall, v chaosVerdict) {
	switch v {
	case acknowledged:
		if call.write && call.done() == 0 && !r.untracked {
			call.violation(chaosLost, "acknowledged, but not carried out")
		}
	case possiblyLater:
		r.untracked = true
	}
}

func (r *chaosRecord) added(call *chaosCall, v chaosVerdict, content map[string]string,
	answer *chaosView) {
	r.checkAcknowledged(call, v)
	switch v {
	case acknowledged:
		r.requireState(call, absent)
		r.uuid, r.values = "", map[string][]string{}
		r.set(content)
		r.observe(call, answer)
	case exists:
		r.requireState(call, live|deleted)
		r.states &^= absent
	case possiblyDone:
		r.mayBeAdded(content)
	case missing:
		call.violation(chaosWrong, "an add reported that the record does not exist")
	}
}

// mayBeAdded makes it possible that the record was added, if it can have been absent.
func (r *chaosRecord) mayBeAdded(content map[string]string) {
	if r.states&absent == 0 {
		return
	}
	if r.states == absent {
		r.values = map[string][]string{}
		r.set(content)
	} else {
		for key := range r.values {
			if _, there := content[key]; !there {
				r.values[key] = append(r.values[key], "")
			}
		}
		r.mayHave(content)
	}
	r.states |= live
	r.uuid = ""
}

// gotOrAdded follows a GetOrAdd: method is that of the response that it captured.
func (r *chaosRecord) gotOrAdded(call *chaosCall, v chaosVerdict, content map[string]string,
	answer *chaosView, method string) {
	switch v {
	case acknowledged:
		says := map[chaosState]string{absent: "POST GET", live: "GET", deleted: "PATCH"}[r.states]
		if !strings.Contains(says, method) && says != "" && !r.untracked {
			call.violation(chaosWrong, "in state %03b, it says %s", r.states, method)
		}
		r.mayBeAdded(content)
		r.observe(call, answer)
	case possiblyDone:
		r.mayBeAdded(content)
		if r.states&deleted != 0 {
			r.states |= live
		}
	case possiblyLater:
		r.untracked = true
	case exists, missing:
		call.violation(chaosWrong, "refused by the server")
	}
}

func (r *chaosRecord) upserted(call *chaosCall, v chaosVerdict, content map[string]string,
	answer *chaosView) {
	r.checkAcknowledged(call, v)
	switch v {
	case acknowledged:
		r.mayBeAdded(content)
		r.set(content)
		r.observe(call, answer)
	case possiblyDone:
		if r.states&live != 0 {
			r.mayHave(content)
		}
		r.mayBeAdded(content)
	case exists, missing:
		call.violation(chaosWrong, "refused by the server")
	}
}

func (r *chaosRecord) updated(call *chaosCall, v chaosVerdict, content map[string]string,
	answer *chaosView) {
	r.checkAcknowledged(call, v)
	switch v {
	case acknowledged:
		r.requireState(call, live|deleted)
		r.set(content)
		r.observe(call, answer)
	case missing:
		r.requireState(call, absent)
		r.states &= absent
	case possiblyDone:
		if r.states&(live|deleted) != 0 {
			r.mayHave(content)
		}
		if r.states&deleted != 0 {
			r.states |= live
		}
	case exists:
		call.violation(chaosWrong, "an update reported that the record exists")
	}
}

func (r *chaosRecord) deletedBy(call *chaosCall, v chaosVerdict) {
	switch v {
	case acknowledged:
		// "Not found" after an ambiguous attempt counts as done, also if there was nothing
		// to delete.
		if call.done() == 0 && !call.ambiguous() {
			call.violation(chaosLost, "acknowledged, but not carried out")
		}
		if call.done() == 0 && r.states&(absent|deleted) == 0 && !r.untracked {
			call.violation(chaosLost, "acknowledged, but not carried out on a record that existed")
			r.untracked = true
		}
		if r.states&live != 0 {
			r.states = r.states&^live | r.stateAfterDelete()
		}
		if call.done() > 0 {
			r.requireState(call, r.stateAfterDelete())
			r.states = r.stateAfterDelete()
		}
	case missing:
		r.requireState(call, absent|deleted)
		r.states &^= live
	case possiblyDone:
		if r.states&live != 0 {
			r.states |= r.stateAfterDelete()
		}
	case exists:
		call.violation(chaosWrong, "a delete reported that the record exists")
	case possiblyLater:
		r.untracked = true
	}
}

func (r *chaosRecord) got(call *chaosCall, v chaosVerdict, answer *chaosView) {
	switch v {
	case acknowledged:
		r.requireState(call, live)
		r.observe(call, answer)
	case missing:
		r.requireState(call, absent|deleted)
		r.states &^= live
	case exists:
		call.violation(chaosWrong, "a read reported that the record exists")
	}
}

// chaosSharedRecord is a record that all goroutines update, each with its own keys.
type chaosSharedRecord struct {
	*chaosResource
	id string

	mu             sync.Mutex
	kept, possible map[string]string
}

// chaosContest is a record that all goroutines add, each with its own content, or delete.
type chaosContest struct {
	mu         sync.Mutex
	contenders []chaosContender
}

type chaosContender struct {
	call         *chaosCall
	chaosVerdict chaosVerdict
	content      map[string]string
}

func (c *chaosContest) enter(call *chaosCall, v chaosVerdict, content map[string]string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.contenders = append(c.contenders, chaosContender{call, v, content})
}
