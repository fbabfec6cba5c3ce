package zepmcp

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
)

// walk follows the cursors of a list, and returns one field of all records, and how many answers
// there were.
func (c tools) walk(tool, list, name string, arguments object) (all []any, answers int) {
	c.t.Helper()
	for next := arguments; next != nil; answers++ {
		require.Less(c.t, answers, 100)
		got := c.ok(tool, next)
		all = append(all, field(got.list(list), name)...)
		next = got.next(next)
	}
	return all, answers
}

func TestListSessions(t *testing.T) {
	t.Parallel()
	server, client := newZep(t)
	ctx := context.Background()
	tools := newTools(t, client, nil)
	assert.Empty(t, tools.ok("list_sessions", nil).list("sessions"))
	for _, user := range []string{"jane", "bob"} {
		_, err := client.User.Add(ctx, &zep.CreateUserRequest{UserID: user})
		require.NoError(t, err)
	}
	var all, ofJane []any
	require.NoError(t, server.SeedSessions(9, func(i int) zep.CreateSessionRequest {
		req := zep.CreateSessionRequest{SessionID: fmt.Sprintf("s%d", i), Metadata: zep.Metadata{"i": i}}
		if i%2 == 0 {
			req.UserID = "jane"
			ofJane = append(ofJane, req.SessionID)
		}
		all = append(all, req.SessionID)
		return req
	}))
	first := tools.ok("list_sessions", object{"limit": 1})
	session := first.list("sessions")[0]
	assert.Equal(t, "s0", session["session_id"])
	assert.Equal(t, "jane", session["user_id"])
	assert.Equal(t, object{"i": 0.0}, session["metadata"])
	assert.NotEmpty(t, session["created_at"])

	for limit := 1; limit <= 10; limit++ {
		got, answers := tools.walk("list_sessions", "sessions", "session_id", object{"limit": limit})
		assert.Equal(t, all, got)
		assert.Equal(t, (9+limit-1)/limit, answers)
		got, answers = tools.walk("list_sessions", "sessions", "session_id",
			object{"limit": limit, "user_id": "jane"})
		assert.ElementsMatch(t, ofJane, got)
		assert.Equal(t, (5+limit-1)/limit, answers)
	}
	assert.Empty(t, tools.ok("list_sessions", object{"user_id": "bob"}).list("sessions"))
	assert.Equal(t, `The user "nobody" does not exist. Change user_id, or leave it out.`,
		tools.fails("list_sessions", object{"user_id": "nobody"}))

	got, _ := newTools(t, client, &Options{UserID: "jane"}).walk(
		"list_sessions", "sessions", "session_id", object{"limit": 2})
	assert.ElementsMatch(t, ofJane, got)
	ofNobody := newTools(t, client, &Options{UserID: "nobody"}).ok("list_sessions", nil)
	assert.Empty(t, ofNobody.list("sessions"))
}

// The sessions of a user come newest first, and those that come and go meanwhile change nothing
// for the others.
func TestListSessions_OfUser_Meanwhile(t *testing.T) {
	t.Parallel()
	_, client := newZep(t)
	ctx := context.Background()
	jane := newTools(t, client, &Options{UserID: "jane"})
	for i := range 4 {
		jane.ok("remember", object{"session_id": fmt.Sprintf("s%d", i), "messages": say("x")})
	}
	arguments := object{"limit": 2}
	first := jane.ok("list_sessions", arguments)
	assert.Equal(t, []any{"s3", "s2"}, field(first.list("sessions"), "session_id"))
	jane.ok("remember", object{"session_id": "s4", "messages": say("x")})
	require.NoError(t, client.Session.Delete(ctx, "s2"))
	second := jane.ok("list_sessions", first.next(arguments))
	assert.Equal(t, []any{"s1", "s0"}, field(second.list("sessions"), "session_id"))
	assert.Nil(t, second.next(arguments))
}

func TestListSessions_BadCursor(t *testing.T) {
	t.Parallel()
	_, client := newZep(t)
	_, err := client.User.Add(context.Background(), &zep.CreateUserRequest{UserID: "jane"})
	require.NoError(t, err)
	_, err = client.Session.Add(context.Background(),
		&zep.CreateSessionRequest{SessionID: "s", UserID: "jane"})
	require.NoError(t, err)
	tools := newTools(t, client, nil)
	for _, arguments := range []object{
		{"cursor": "x"}, {"cursor": "-1"}, {"cursor": "1.5"},
		{"cursor": "5", "user_id": "jane"}, {"cursor": "0006-", "user_id": "jane"},
	} {
		assert.Equal(t, errCursor.Error(), tools.fails("list_sessions", arguments))
	}
}

func TestListCollections(t *testing.T) {
	t.Parallel()
	_, client := newZep(t)
	tools := newTools(t, client, nil)
	assert.Empty(t, tools.ok("list_collections", nil).list("collections"))
	for _, name := range []string{"books", "art", "music"} {
		addDocuments(t, client, name, "one", "two")
	}
	got := tools.ok("list_collections", nil).list("collections")
	assert.Equal(t, object{
		"name":           "art",
		"description":    "of art",
		"documents":      2.0,
		"embedded":       2.0,
		"auto_embedding": true,
	}, got[0])
	for limit := 1; limit <= 4; limit++ {
		names, answers := tools.walk("list_collections", "collections", "name", object{"limit": limit})
		assert.Equal(t, []any{"art", "books", "music"}, names)
		assert.Equal(t, (3+limit-1)/limit, answers)
	}
}
