package zepmcp

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/zeptest"
)

// addMessages adds messages to a session, past the tools.
func addMessages(t *testing.T, client *zep.Client, sessionID string, contents ...string) {
	t.Helper()
	req := &zep.AddMemoryRequest{}
	for _, content := range contents {
		req.Messages = append(req.Messages, &zep.Message{Role: zep.RoleUser, Content: content})
	}
	require.NoError(t, client.Memory.Add(context.Background(), sessionID, req))
}

func TestRecall(t *testing.T) {
	t.Parallel()
	server, client := newZep(t)
	tools := newTools(t, client, nil)
	texts := numbered(7)
	addMessages(t, client, "s1", texts...)

	got := tools.ok("recall", object{"session_id": "s1"})
	assert.Equal(t, "s1", got.object["session_id"])
	assert.Equal(t, 7.0, got.object["total"])
	messages := got.list("messages")
	assert.Equal(t, []any{"m1", "m2", "m3", "m4", "m5", "m6", "m7"}, field(messages, "content"))
	assert.Equal(t, []any{1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0}, field(messages, "number"))
	assert.Equal(t, "user", messages[0]["role"])
	assert.NotEmpty(t, messages[0]["uuid"])
	assert.NotEmpty(t, messages[0]["created_at"])
	assert.NotContains(t, got.object, "more")
	assert.NotContains(t, got.object, "summary")

	require.NoError(t, server.SetSummary("s1", "They counted."))
	assert.Equal(t, "They counted.", tools.ok("recall", object{"session_id": "s1"}).object["summary"])
	got = tools.ok("recall", object{"session_id": "s1", "before": 3})
	assert.NotContains(t, got.object, "summary", "of the first page only")
	assert.Equal(t, []any{"m1", "m2"}, field(got.list("messages"), "content"))
	got = tools.ok("recall", object{"session_id": "s1", "before": 1})
	assert.Empty(t, got.list("messages"), "there is none before the first")
	assert.NotContains(t, got.object, "more")
	got = tools.ok("recall", object{"session_id": "s1", "before": 100, "limit": 2})
	assert.Equal(t, []any{"m6", "m7"}, field(got.list("messages"), "content"))
}

// Whatever the size of a page, the pages have every message once, also of those that were there
// when more are added meanwhile.
func TestRecall_Pages(t *testing.T) {
	t.Parallel()
	_, client := newZep(t)
	tools := newTools(t, client, nil)
	for _, n := range []int{1, 2, 5, 12, 13} {
		for limit := 1; limit <= n+1; limit++ {
			session := fmt.Sprintf("%d-by-%d", n, limit)
			addMessages(t, client, session, numbered(n)...)
			all := []any{}
			pages := 0
			for next := (object{"session_id": session, "limit": limit}); next != nil; pages++ {
				got := tools.ok("recall", next)
				page := field(got.list("messages"), "content")
				next = got.next(next)
				assert.True(t, len(page) == limit || next == nil && len(page) < limit)
				all = append(page, all...)
				addMessages(t, client, session, "meanwhile")
			}
			assert.Equal(t, (n+limit-1)/limit, pages)
			require.Len(t, all, n)
			for i, text := range numbered(n) {
				assert.Equal(t, text, all[i])
			}
		}
	}
}

func TestRecall_NoMessages(t *testing.T) {
	t.Parallel()
	_, client := newZep(t)
	ctx := context.Background()
	const missing = `The session "s1" does not exist. Change session_id to one of those that ` +
		`list_sessions shows.`
	tools := newTools(t, client, nil)
	assert.Equal(t, missing+" remember makes a new session.",
		tools.fails("recall", object{"session_id": "s1"}))
	assert.Equal(t, missing,
		newTools(t, client, &Options{ReadOnly: true}).fails("recall", object{"session_id": "s1"}))

	_, err := client.Session.Add(ctx, &zep.CreateSessionRequest{SessionID: "s1"})
	require.NoError(t, err)
	assert.Empty(t, tools.ok("recall", object{"session_id": "s1"}).list("messages"))
	require.NoError(t, client.Session.Delete(ctx, "s1"))
	assert.Contains(t, tools.fails("recall", object{"session_id": "s1"}), missing)
}

func TestRecall_OtherUser(t *testing.T) {
	t.Parallel()
	_, client := newZep(t)
	bob := newTools(t, client, &Options{UserID: "bob"})
	bob.ok("remember", object{"session_id": "s1", "messages": say("of bob")})
	addMessages(t, client, "nobody", "of nobody")
	jane := newTools(t, client, &Options{UserID: "jane"})
	for _, session := range []string{"s1", "nobody", "none"} {
		for tool, arguments := range map[string]object{
			"recall":        {"session_id": session},
			"search_memory": {"session_id": session, "query": "of bob"},
		} {
			assert.Contains(t, jane.fails(tool, arguments), "does not exist")
		}
	}
	for _, session := range []string{"s1", "nobody"} {
		assert.Contains(t, jane.fails("remember", object{"session_id": session, "messages": say("x")}),
			"is taken by a session of somebody else")
	}
	assert.Len(t, bob.ok("recall", object{"session_id": "s1"}).list("messages"), 1)
	assert.Empty(t, jane.ok("list_sessions", nil).list("sessions"))
	assert.Equal(t, []any{"s1"}, field(bob.ok("list_sessions", nil).list("sessions"), "session_id"))
}

// A server before v0.21 has no pages of messages.
func TestRecall_OldServer(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"0.18.0", "0.20.1"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			_, client := newZep(t, zeptest.WithServerVersion(version))
			tools := newTools(t, client, &Options{MaxBytes: leastMaxBytes})
			addMessages(t, client, "s1", numbered(5)...)
			got := tools.ok("recall", object{"session_id": "s1", "limit": 3})
			assert.Equal(t, []any{"m3", "m4", "m5"}, field(got.list("messages"), "content"))
			assert.Contains(t, tools.fails("recall", object{"session_id": "s1", "before": 3}), "too old")
			assert.Contains(t, tools.fails("recall", object{"session_id": "s2"}), "does not exist")
			assert.Contains(t, tools.fails("search_memory", object{"session_id": "s2", "query": "x"}),
				"does not exist")

			addMessages(t, client, "s1", strings.Repeat("x", 3000), strings.Repeat("y", 3000))
			got = tools.ok("recall", object{"session_id": "s1"})
			require.Len(t, got.list("messages"), 1)
			assert.Contains(t, got.text, "This Zep server has no means to read these.")
		})
	}
}

// Zep puts its analysis of a text into the metadata of the message.
func TestRecall_NoAnalysis(t *testing.T) {
	t.Parallel()
	_, client := newZep(t)
	require.NoError(t, client.Memory.Add(context.Background(), "s1", &zep.AddMemoryRequest{
		Messages: []*zep.Message{{Role: "user", Content: "a", Metadata: zep.Metadata{
			"system": object{"intent": "to say a"}, "mine": true,
		}}},
	}))
	got := newTools(t, client, nil).ok("recall", object{"session_id": "s1"})
	assert.Equal(t, []any{object{"mine": true}}, field(got.list("messages"), "metadata"))
}
