package zep_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/zep-go/zep"
)

// chaosView is a user or a session, as the model sees it.
type chaosView struct {
	id, uuid string
	row      int64
	values   map[string]string
}

// chaosContent is what a write says of a record.
type chaosContent struct {
	name, owner string // of users and of sessions
	metadata    zep.Metadata
}

// values are the content, flat.
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

// A chaosResource is a service, as the model calls it.
type chaosResource struct {
	name string
	add  func(ctx context.Context, c *zep.Client, id string, content chaosContent,
		opts ...zep.RequestOption) (*chaosView, error)
	update func(ctx context.Context, c *zep.Client, id string, content chaosContent,
		opts ...zep.RequestOption) (*chaosView, error)
	get func(ctx context.Context, c *zep.Client, id string,
		opts ...zep.RequestOption) (*chaosView, error)
	delete func(ctx context.Context, c *zep.Client, id string, opts ...zep.RequestOption) error
	// walk takes chunks of a size, or goes as fast as it can with 0.
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

// chaosRecord is what the model knows of a record that one goroutine has to itself.
type chaosRecord struct {
	*chaosResource
	id string

	// states are those that it may be in.
	states chaosState

	// values are what each of its values may be, "" standing for none. What is not in it is none.
	values map[string][]string

	uuid string // "" if it is not known

	// lost track: a write of it may be on its way still.
	lostTrack bool
}

type chaosState uint8

const (
	absent  chaosState = 1 << iota
	live               // there
	deleted            // a session that is not there and keeps its id
)

// gone is the state after a delete.
func (r *chaosRecord) gone() chaosState {
	if r.chaosResource == chaosSessions {
		return deleted
	}
	return absent
}

// set makes it certain that it has these values, beside its others.
func (r *chaosRecord) set(values map[string]string) {
	for key, value := range values {
		r.values[key] = []string{value}
	}
}

// mayHave makes it possible.
func (r *chaosRecord) mayHave(values map[string]string) {
	for key, value := range values {
		if r.values[key] == nil {
			r.values[key] = []string{""}
		}
		r.values[key] = append(r.values[key], value)
	}
}

// wrongValues says what in a view the model excludes.
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

// saw takes a view for the truth, once it is not excluded.
func (r *chaosRecord) saw(call *chaosCall, seen *chaosView) {
	if seen == nil || seen.id != r.id {
		call.complain(chaosWrong, "answered with another record: %+v", seen)
		return
	}
	if r.lostTrack {
		return
	}
	if wrong := r.wrongValues(seen); wrong != "" {
		call.complain(chaosLost, "%s", wrong)
	}
	r.states, r.uuid, r.values = live, seen.uuid, map[string][]string{}
	r.set(seen.values)
}

// must complains if the record can be in none of the states.
func (r *chaosRecord) must(call *chaosCall, states chaosState) {
	if r.states&states == 0 && !r.lostTrack {
		call.complain(chaosWrong, "an answer for state %03b, but it is in %03b", states, r.states)
	}
}

// follow takes in what became of a call.
func (r *chaosRecord) follow(call *chaosCall, v chaosVerdict) {
	switch v {
	case acknowledged:
		if call.write && call.done() == 0 && !r.lostTrack {
			call.complain(chaosLost, "acknowledged, and not done")
		}
	case later:
		r.lostTrack = true
	}
}

func (r *chaosRecord) added(call *chaosCall, v chaosVerdict, content map[string]string,
	answer *chaosView) {
	r.follow(call, v)
	switch v {
	case acknowledged:
		r.must(call, absent)
		r.uuid, r.values = "", map[string][]string{}
		r.set(content)
		r.saw(call, answer)
	case exists:
		r.must(call, live|deleted)
		r.states &^= absent
	case maybe:
		if r.states&absent == 0 {
			break
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
	case missing:
		call.complain(chaosWrong, "an add of what is not there")
	}
}

func (r *chaosRecord) updated(call *chaosCall, v chaosVerdict, content map[string]string,
	answer *chaosView) {
	r.follow(call, v)
	switch v {
	case acknowledged:
		r.must(call, live|deleted)
		r.set(content)
		r.saw(call, answer)
	case missing:
		r.must(call, absent)
		r.states &= absent
	case maybe:
		if r.states&(live|deleted) != 0 {
			r.mayHave(content)
		}
		if r.states&deleted != 0 {
			r.states |= live
		}
	case exists:
		call.complain(chaosWrong, "an update of what is there")
	}
}

func (r *chaosRecord) deletedBy(call *chaosCall, v chaosVerdict) {
	switch v {
	case acknowledged:
		// A "not found" after an open attempt is taken for that attempt's work, also where
		// there was nothing to delete.
		if call.done() == 0 && !call.leftOpen() {
			call.complain(chaosLost, "acknowledged, and not done")
		}
		if call.done() == 0 && r.states&(absent|deleted) == 0 && !r.lostTrack {
			call.complain(chaosLost, "acknowledged, and not done, and it was there")
			r.lostTrack = true
		}
		if r.states&live != 0 {
			r.states = r.states&^live | r.gone()
		}
		if call.done() > 0 {
			r.must(call, r.gone())
			r.states = r.gone()
		}
	case missing:
		r.must(call, absent|deleted)
		r.states &^= live
	case maybe:
		if r.states&live != 0 {
			r.states |= r.gone()
		}
	case exists:
		call.complain(chaosWrong, "a delete of what is there")
	case later:
		r.lostTrack = true
	}
}

func (r *chaosRecord) got(call *chaosCall, v chaosVerdict, answer *chaosView) {
	switch v {
	case acknowledged:
		r.must(call, live)
		r.saw(call, answer)
	case missing:
		r.must(call, absent|deleted)
		r.states &^= live
	case exists:
		call.complain(chaosWrong, "a read of what is there")
	}
}

// chaosSharedRecord is one that all goroutines update, each with keys of its own.
type chaosSharedRecord struct {
	*chaosResource
	id string

	mu          sync.Mutex
	kept, maybe map[string]string
}

// chaosContest is a record that all goroutines add, each with content of its own, or delete.
type chaosContest struct {
	mu    sync.Mutex
	tries []chaosTry
}

type chaosTry struct {
	call         *chaosCall
	chaosVerdict chaosVerdict
	content      map[string]string
}

func (c *chaosContest) enter(call *chaosCall, v chaosVerdict, content map[string]string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tries = append(c.tries, chaosTry{call, v, content})
}
