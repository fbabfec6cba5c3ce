package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/zep-go/zep"
)

// record is what a user had before the deletion.
type record struct {
	UserID   string          `json:"user_id"`
	UUID     string          `json:"uuid"` // tells the user from a later one with the same id
	Sessions []sessionRecord `json:"sessions"`
}

// sessionRecord is what a session had before the deletion.
type sessionRecord struct {
	SessionID string `json:"session_id"`
	UUID      string `json:"uuid"`
	Messages  int    `json:"messages"`
}

func (r record) messages() (n int) {
	for _, session := range r.Sessions {
		n += session.Messages
	}
	return n
}

// find walks all users, and records those that have the value in their metadata.
func find(ctx context.Context, client *zep.Client, key, value string) ([]record, error) {
	var records []record
	for user, err := range client.User.All(ctx) {
		if err != nil {
			return nil, err
		}
		if !matches(user.Metadata, key, value) {
			continue
		}
		r, err := newRecord(ctx, client, user)
		if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	return records, nil
}

// matches reports whether metadata has the value: as a string, or as the JSON of a number or a
// boolean.
func matches(metadata zep.Metadata, key, value string) bool {
	switch stored := metadata[key].(type) {
	case string:
		return stored == value
	case float64, bool:
		text, err := json.Marshal(stored)
		return err == nil && string(text) == value
	default:
		return false
	}
}

func newRecord(ctx context.Context, client *zep.Client, user *zep.User) (record, error) {
	r := record{UserID: user.UserID, UUID: user.UUID}
	sessions, err := client.User.GetSessions(ctx, user.UserID)
	if err != nil {
		return record{}, err
	}
	for _, session := range sessions {
		n, err := countMessages(ctx, client, session.SessionID)
		if err != nil {
			return record{}, err
		}
		r.Sessions = append(r.Sessions, sessionRecord{session.SessionID, session.UUID, n})
	}
	return r, nil
}

// countMessages returns the number of messages of a session, 0 if there is no such session.
func countMessages(ctx context.Context, client *zep.Client, sessionID string) (int, error) {
	page, err := client.Message.List(ctx, sessionID, &zep.ListMessagesOptions{Limit: 1})
	if err != nil {
		return 0, err
	}
	return page.TotalCount, nil
}

// deleteUsers deletes the users of all records. It continues after a failure with the next user.
func deleteUsers(ctx context.Context, client *zep.Client, records []record) error {
	var failures []error
	for _, r := range records {
		err := client.User.Delete(ctx, r.UserID)
		if err != nil && !errors.Is(err, zep.ErrNotFound) {
			failures = append(failures, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(failures...)
}

// verify reads each recorded user and session by its id, and fails if the server still has one.
func verify(ctx context.Context, w io.Writer, client *zep.Client, records []record) error {
	var left []error
	sessions, messages := 0, 0
	for _, r := range records {
		user, err := client.User.Get(ctx, r.UserID)
		switch {
		case err == nil && user.UUID == r.UUID:
			left = append(left, fmt.Errorf("user %q is still there", r.UserID))
		case err != nil && !errors.Is(err, zep.ErrNotFound):
			return err
		}
		for _, session := range r.Sessions {
			problem, err := session.verify(ctx, client)
			if err != nil {
				return err
			}
			if problem != "" {
				left = append(left, fmt.Errorf("session %q of user %q %s",
					session.SessionID, r.UserID, problem))
			}
			sessions++
		}
		messages += r.messages()
	}
	if len(left) > 0 {
		return errors.Join(left...)
	}
	fmt.Fprintf(w, "Verified: %d users, %d sessions and %d messages are gone.\n",
		len(records), sessions, messages)
	return nil
}

// verify returns what is left of the session, or "". The messages are looked at too, since the
// server keeps them apart from their session.
func (s sessionRecord) verify(ctx context.Context, client *zep.Client) (left string, err error) {
	session, err := client.Session.Get(ctx, s.SessionID)
	switch {
	case err == nil && session.UUID == s.UUID:
		return "is still there", nil
	case err == nil:
		return "", nil // another session has the id now, and the messages are its own
	case !errors.Is(err, zep.ErrNotFound):
		return "", err
	}
	n, err := countMessages(ctx, client, s.SessionID)
	if err != nil {
		return "", err
	}
	if n > 0 {
		return fmt.Sprintf("still has %d messages", n), nil
	}
	memory, err := client.Memory.Get(ctx, s.SessionID, nil)
	if err != nil {
		return "", err
	}
	if memory.Summary != nil {
		return "still has a summary", nil
	}
	return "", nil
}

// writeRecords writes a new file. It does not overwrite one, which may have the only record of an
// earlier run.
func writeRecords(name string, records []record) error {
	data, err := json.MarshalIndent(records, "", "  ")
	if err != nil {
		return err
	}
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(append(data, '\n'))
	if err == nil {
		err = file.Sync() // before anything is deleted
	}
	return errors.Join(err, file.Close())
}

func readRecords(name string) (records []record, err error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &records); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return records, nil
}
