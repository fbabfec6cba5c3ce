package zepmcp

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zep-go/zep"
)

type listSessionsInput struct {
	UserID string `json:"user_id,omitempty"`
	Limit  int    `json:"limit,omitempty"`
	Cursor string `json:"cursor,omitempty"`
}

// listedSession is a session, as the tools return it.
type listedSession struct {
	SessionID string    `json:"session_id"`
	UserID    string    `json:"user_id,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	details

	id int64
}

type sessionList struct {
	Sessions []*listedSession `json:"sessions"`
	More     *more            `json:"more,omitempty" jsonschema:"how to get further sessions"`
}

func (s *server) addListSessions() {
	d := definition{
		name:  "list_sessions",
		title: "List sessions",
		description: "Lists all sessions, oldest first, or with user_id those of a user, " +
			"newest first.",
		arguments: arguments{
			"user_id": {"list the sessions of this user only, newest first", idText},
			"limit":   {"how many sessions at most", between(1, 200, 50)},
			"cursor":  {"where to go on, from more.arguments of the last answer", length(1, 40)},
		},
	}
	if s.userID != "" {
		delete(d.arguments, "user_id")
		d.description = "Lists the sessions of the user, newest first."
	}
	addTool(s, d, s.listSessions)
}

func (s *server) listSessions(ctx context.Context, in listSessionsInput) (*sessionList, error) {
	list := s.allSessions
	if cmp.Or(s.userID, in.UserID) != "" {
		list = s.userSessions
	}
	sessions, cursor, err := list(ctx, in)
	if err != nil {
		return nil, err
	}
	out := &sessionList{Sessions: []*listedSession{}}
	all := len(sessions)
	kept, f, err := fit(s, out, sessions[:min(all, in.Limit)])
	if err != nil {
		return nil, err
	}
	out.Sessions = kept
	if f.records < all || f.leftOut > 0 {
		last := sessions[f.records-1]
		out.More = &more{
			Note:      f.note(s, "list_sessions", "further sessions"),
			Arguments: map[string]any{"cursor": cursor(last)},
		}
	}
	return out, nil
}

// allSessions returns the sessions after the cursor, one more than the limit if there are so many,
// and how the cursor of a session is made: it is the id of its row.
func (s *server) allSessions(
	ctx context.Context, in listSessionsInput,
) ([]*listedSession, func(*listedSession) string, error) {
	after := int64(0)
	if in.Cursor != "" {
		var err error
		if after, err = strconv.ParseInt(in.Cursor, 10, 64); err != nil || after < 0 {
			return nil, nil, errCursor
		}
	}
	found, err := s.client.Session.List(ctx, &zep.ListOptions{Cursor: after, Limit: in.Limit + 1})
	if err != nil {
		return nil, nil, err
	}
	return sessionsOf(found), func(x *listedSession) string { return strconv.FormatInt(x.id, 10) }, nil
}

// userSessions returns all sessions of a user after the cursor, newest first. Zep has no pages of
// them. They are sorted by their cursors, so that the next call goes on behind a session even if
// it was deleted since.
func (s *server) userSessions(
	ctx context.Context, in listSessionsInput,
) ([]*listedSession, func(*listedSession) string, error) {
	userID := cmp.Or(s.userID, in.UserID)
	found, err := s.client.User.GetSessions(ctx, userID)
	if err != nil {
		return nil, nil, err
	}
	if len(found) == 0 && s.userID == "" {
		_, err := s.client.User.Get(ctx, userID)
		if errors.Is(err, zep.ErrNotFound) {
			err = modelError(fmt.Sprintf(
				"The user %q does not exist. Change user_id, or leave it out.", shorten(userID)))
		}
		return nil, nil, err
	}
	sessions := sessionsOf(found)
	slices.SortFunc(sessions, func(a, b *listedSession) int {
		return strings.Compare(ageCursor(b), ageCursor(a))
	})
	if in.Cursor != "" {
		if !ageCursorPattern.MatchString(in.Cursor) {
			return nil, nil, errCursor
		}
		sessions = slices.DeleteFunc(sessions, func(x *listedSession) bool {
			return ageCursor(x) >= in.Cursor
		})
	}
	return sessions, ageCursor, nil
}

// ageCursor returns a short text that sorts as the time of the session, and that no other session
// has.
func ageCursor(x *listedSession) string {
	sum := sha256.Sum256([]byte(x.SessionID))
	return fmt.Sprintf("%016x-%x", x.CreatedAt.UnixMicro(), sum[:8])
}

var ageCursorPattern = regexp.MustCompile(`^[0-9a-f]{16}-[0-9a-f]{16}$`)

var errCursor = modelError("cursor is not one that list_sessions gave for this list. " +
	"Leave it out to begin anew.")

func sessionsOf(found []*zep.Session) []*listedSession {
	sessions := []*listedSession{}
	for _, x := range found {
		sessions = append(sessions, &listedSession{
			SessionID: x.SessionID,
			UserID:    x.UserID,
			CreatedAt: x.CreatedAt,
			UpdatedAt: x.UpdatedAt,
			details:   detailsOf(x.Metadata),
			id:        x.ID,
		})
	}
	return sessions
}

// checkOwner reports a session that is not the user's, if the server is confined to one.
func (s *server) checkOwner(ctx context.Context, sessionID string) error {
	if s.userID == "" {
		return nil
	}
	session, err := s.client.Session.Get(ctx, sessionID)
	if err == nil && session.UserID != s.userID {
		return s.noSession(sessionID)
	}
	if errors.Is(err, zep.ErrNotFound) {
		return s.noSession(sessionID)
	}
	return err
}

// checkExists reports a session that does not exist. To Zep that is no error: it has no messages.
func (s *server) checkExists(ctx context.Context, sessionID string) error {
	_, err := s.client.Session.Get(ctx, sessionID)
	if errors.Is(err, zep.ErrNotFound) {
		return s.noSession(sessionID)
	}
	return err
}

func (s *server) noSession(sessionID string) error {
	text := fmt.Sprintf("The session %q does not exist. Change session_id to one of those that "+
		"list_sessions shows.", shorten(sessionID))
	if !s.readOnly {
		text += " remember makes a new session."
	}
	return modelError(text)
}

type listCollectionsInput struct {
	Limit  int    `json:"limit,omitempty"`
	Cursor string `json:"cursor,omitempty"`
}

// listedCollection is a collection of documents, as the tools return it.
type listedCollection struct {
	Name          string `json:"name"`
	Description   string `json:"description,omitempty"`
	Documents     int    `json:"documents" jsonschema:"with those that were deleted"`
	Embedded      int    `json:"embedded" jsonschema:"how many can be found"`
	AutoEmbedding bool   `json:"auto_embedding" jsonschema:"the server embeds the documents"`
	details
}

type collectionList struct {
	Collections []*listedCollection `json:"collections" jsonschema:"by name"`
	More        *more               `json:"more,omitempty" jsonschema:"how to get further collections"`
}

func (s *server) addListCollections() {
	addTool(s, definition{
		name:        "list_collections",
		title:       "List collections of documents",
		description: "Lists the collections that search_documents can search, by name.",
		arguments: arguments{
			"limit":  {"how many collections at most", between(1, 200, 50)},
			"cursor": {"where to go on, from more.arguments of the last answer", collectionText},
		},
	}, s.listCollections)
}

func (s *server) listCollections(
	ctx context.Context, in listCollectionsInput,
) (*collectionList, error) {
	found, err := s.client.Collection.List(ctx)
	if err != nil {
		return nil, err
	}
	var collections []*listedCollection
	for _, c := range found {
		if c.Name > in.Cursor {
			collections = append(collections, &listedCollection{
				Name:          c.Name,
				Documents:     c.DocumentCount,
				Embedded:      c.DocumentEmbeddedCount,
				AutoEmbedding: c.IsAutoEmbedded,
				Description:   shortenTo(c.Description, 500),
				details:       detailsOf(c.Metadata),
			})
		}
	}
	slices.SortFunc(collections, func(a, b *listedCollection) int {
		return strings.Compare(a.Name, b.Name)
	})
	out := &collectionList{Collections: []*listedCollection{}}
	all := len(collections)
	kept, f, err := fit(s, out, collections[:min(all, in.Limit)])
	if err != nil {
		return nil, err
	}
	out.Collections = kept
	if f.records < all || f.leftOut > 0 {
		out.More = &more{
			Note:      f.note(s, "list_collections", "further collections"),
			Arguments: map[string]any{"cursor": collections[f.records-1].Name},
		}
	}
	return out, nil
}
