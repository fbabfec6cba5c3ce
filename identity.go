package zep

import (
	"encoding/json"
	"fmt"
	"strings"
)

// A success proves nothing if it is not about the record that was asked for: a proxy, a cache or
// another program may have sent it. So every record has to have its id, and a record that was asked
// for by an id has to have that one. The row number does not count: it is 0 in some lists.

// identity is the id of a record, and the name of its field in JSON.
type identity struct{ field, id string }

// identified is a record that is asked for by its id.
type identified interface{ identity() identity }

func (u *User) identity() identity       { return identity{"user_id", u.UserID} }
func (s *Session) identity() identity    { return identity{"session_id", s.SessionID} }
func (m *Message) identity() identity    { return identity{"uuid", m.UUID} }
func (c *Collection) identity() identity { return identity{"name", c.Name} }
func (d *Document) identity() identity   { return identity{"uuid", d.UUID} }

// check returns an error for a record without an id.
func (i identity) check() error {
	if i.id == "" {
		return fmt.Errorf("no %s: %w", i.field, errNotZep)
	}
	return nil
}

// checkAsked returns an error if the result of a call is another record than the one asked for.
func checkAsked(result any, asked string) error {
	record, ok := result.(identified)
	if !ok {
		return nil
	}
	got := record.identity()
	if got.id == asked || got.key(got.id) == got.key(asked) {
		return nil
	}
	return fmt.Errorf("%s %.100q, asked for %.100q: %w", got.field, got.id, asked, errNotZep)
}

// key returns one form for all ids that mean the same record to the server.
func (i identity) key(id string) string {
	switch i.field {
	case "uuid":
		return uuidKey(id)
	case "name":
		return strings.ToLower(id)
	}
	return id
}

// requireList returns an error if an object has no field of this name. The list that was decoded
// from it does not tell: a missing one is as empty as null.
func requireList(body []byte, name string, length int) error {
	if length > 0 {
		return nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return err
	}
	for field := range fields {
		if strings.EqualFold(field, name) {
			return nil
		}
	}
	return fmt.Errorf("no %s: %w", name, errNotZep)
}
