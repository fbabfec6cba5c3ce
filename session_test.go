package zep_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/zeptest"
)

const lessonJSON = `{"uuid":"3f8bc625-2c28-4890-ab36-0b8ff489f3ca","id":7,` +
	`"created_at":"2026-11-24T02:21:53.390541Z",` +
	`"updated_at":"2026-11-24T02:21:54Z","deleted_at":null,"session_id":"lesson",` +
	`"metadata":{"topic":"verbs"},"user_id":"jane"}`

func lesson() *zep.Session {
	return &zep.Session{
		UUID:      "3f8bc625-2c28-4890-ab36-0b8ff489f3ca",
		ID:        7,
		CreatedAt: at("2026-11-24T02:21:53.390541Z"),
		UpdatedAt: at("2026-11-24T02:21:54Z"),
		SessionID: "lesson",
		UserID:    "jane",
		Metadata:  zep.Metadata{"topic": "verbs"},
	}
}

const nobodysJSON = `{"uuid":"410ea3f4-cdd1-4c20-be85-9ffacb6be7cc","id":8,` +
	`"created_at":"2026-11-24T02:21:53Z",` +
	`"updated_at":"2026-11-24T02:21:53Z","deleted_at":"2026-11-24T03:00:00Z",` +
	`"session_id":"nobodys","metadata":null,"user_id":null}`

func nobodys() *zep.Session {
	deleted := at("2026-11-24T03:00:00Z")
	return &zep.Session{
		UUID:      "410ea3f4-cdd1-4c20-be85-9ffacb6be7cc",
		ID:        8,
		CreatedAt: at("2026-11-24T02:21:53Z"),
		UpdatedAt: at("2026-11-24T02:21:53Z"),
		DeletedAt: &deleted,
		SessionID: "nobodys",
		Metadata:  zep.Metadata{},
	}
}

func TestSessionService_Wire(t *testing.T) {
	runWireTests(t, map[string]wireTest{
		"Add with all fields": {
			call: func(ctx context.Context, c *zep.Client) (any, error) {
				return c.Session.Add(ctx, &zep.CreateSessionRequest{
					SessionID: "lesson", UserID: "jane", Metadata: zep.Metadata{"topic": "verbs"},
				})
			},
			method: "POST", uri: "/zep/api/v1/sessions",
			body:   `{"session_id":"lesson","user_id":"jane","metadata":{"topic":"verbs"}}`,
			status: http.StatusCreated, answer: lessonJSON + "\n", want: lesson(),
		},
		"Add without a user sends no user_id": {
			call: func(ctx context.Context, c *zep.Client) (any, error) {
				return c.Session.Add(ctx,
					&zep.CreateSessionRequest{SessionID: "nobodys", Metadata: zep.Metadata{}})
			},
			method: "POST", uri: "/zep/api/v1/sessions", body: `{"session_id":"nobodys"}`,
			status: http.StatusCreated, answer: nobodysJSON, want: nobodys(),
		},
		// The user id is in the body and not on the path.
		"Add for a user with a slash in the id": {
			call: func(ctx context.Context, c *zep.Client) (any, error) {
				return c.Session.Add(ctx,
					&zep.CreateSessionRequest{SessionID: "lesson", UserID: "a/b"})
			},
			method: "POST", uri: "/zep/api/v1/sessions",
			body:   `{"session_id":"lesson","user_id":"a/b"}`,
			status: http.StatusCreated, answer: lessonJSON, want: lesson(),
		},
		"Get": {
			call: func(ctx context.Context, c *zep.Client) (any, error) {
				return c.Session.Get(ctx, "lesson")
			},
			method: "GET", uri: "/zep/api/v1/sessions/lesson", answer: lessonJSON, want: lesson(),
		},
		"GetOrAdd of one that is there": {
			call: func(ctx context.Context, c *zep.Client) (any, error) {
				return c.Session.GetOrAdd(ctx, &zep.CreateSessionRequest{
					SessionID: "lesson", UserID: "jane", Metadata: zep.Metadata{"topic": "new"},
				})
			},
			method: "GET", uri: "/zep/api/v1/sessions/lesson", answer: lessonJSON, want: lesson(),
		},
		"Get escapes as Go escapes a path": {
			call: func(ctx context.Context, c *zep.Client) (any, error) {
				session, err := c.Session.Get(ctx, "chat 7: jane;joe 100%")
				return session.UserID, err
			},
			method: "GET", uri: "/zep/api/v1/sessions/chat%207:%20jane;joe%20100%25",
			answer: `{"session_id":"chat 7: jane;joe 100%","user_id":"jane"}`, want: "jane",
		},
		"Update": {
			call: func(ctx context.Context, c *zep.Client) (any, error) {
				return c.Session.Update(ctx,
					&zep.UpdateSessionRequest{
						SessionID: "lesson",
						Metadata:  zep.Metadata{"topic": "verbs"},
					})
			},
			method: "PATCH", uri: "/zep/api/v1/sessions/lesson",
			body: `{"metadata":{"topic":"verbs"}}`, answer: lessonJSON, want: lesson(),
		},
		"Update with empty metadata sends none": {
			call: func(ctx context.Context, c *zep.Client) (any, error) {
				return c.Session.Update(ctx,
					&zep.UpdateSessionRequest{SessionID: "lesson", Metadata: zep.Metadata{}})
			},
			method: "PATCH", uri: "/zep/api/v1/sessions/lesson", body: `{}`, answer: lessonJSON,
			want: lesson(),
		},
		"Update without metadata sends none": {
			call: func(ctx context.Context, c *zep.Client) (any, error) {
				return c.Session.Update(ctx, &zep.UpdateSessionRequest{SessionID: "lesson"})
			},
			method: "PATCH", uri: "/zep/api/v1/sessions/lesson", body: `{}`, answer: lessonJSON,
			want: lesson(),
		},
		"Delete": {
			call: func(ctx context.Context, c *zep.Client) (any, error) {
				return errOnly(c.Session.Delete(ctx, "lesson"))
			},
			method: "DELETE", uri: "/zep/api/v1/sessions/lesson/memory", answer: "OK",
		},
		"List without options is the server's default": {
			call: func(ctx context.Context, c *zep.Client) (any, error) {
				return c.Session.List(ctx, nil)
			},
			method: "GET", uri: "/zep/api/v1/sessions",
			answer: "[" + lessonJSON + "," + nobodysJSON + "]\n",
			want:   []*zep.Session{lesson(), nobodys()},
		},
		"List of a page": {
			call: func(ctx context.Context, c *zep.Client) (any, error) {
				return c.Session.List(ctx, &zep.ListOptions{Limit: 2, Cursor: 7})
			},
			method: "GET", uri: "/zep/api/v1/sessions?cursor=7&limit=2",
			answer: "[" + nobodysJSON + "]", want: []*zep.Session{nobodys()},
		},
		"List takes null for an empty list": {
			call: func(ctx context.Context, c *zep.Client) (any, error) {
				return c.Session.List(ctx, nil)
			},
			method: "GET", uri: "/zep/api/v1/sessions", answer: "null\n", want: []*zep.Session{},
		},
		"fields of a later server are ignored": {
			call: func(ctx context.Context, c *zep.Client) (any, error) {
				return c.Session.Get(ctx, "lesson")
			},
			method: "GET", uri: "/zep/api/v1/sessions/lesson",
			answer: `{"ended_at":null,` + lessonJSON[1:len(lessonJSON)-1] +
				`,"facts":["]}",{"a":1}],"summary":{"uuid":"x"}}`, want: lesson(),
		},
	})
}

// TestSessionIDs_ReachOwnRecord does for sessions what TestUserIDs_ReachOwnRecord does for
// users.
func TestSessionIDs_ReachOwnRecord(t *testing.T) {
	t.Parallel()
	server, c := startServer(t)
	ctx := context.Background()
	all := ids()
	added := map[string]*zep.Session{}
	for i, id := range all {
		session, err := c.Session.Add(ctx,
			&zep.CreateSessionRequest{SessionID: id, Metadata: zep.Metadata{"number": i}})
		require.NoError(t, err, shown(id))
		require.Equal(t, id, session.SessionID)
		added[id] = session
	}
	t.Run("ids", func(t *testing.T) {
		for i, id := range all {
			t.Run(shown(id), func(t *testing.T) {
				t.Parallel()
				got, err := c.Session.Get(ctx, id)
				require.NoError(t, err)
				assert.Equal(t, added[id], got)

				updated, err := c.Session.Update(ctx,
					&zep.UpdateSessionRequest{
						SessionID: id,
						Metadata:  zep.Metadata{"updated": id},
					})
				require.NoError(t, err)
				assert.Equal(t, id, updated.SessionID)
				assert.Equal(t, added[id].UUID, updated.UUID)
				assert.Equal(t, zep.Metadata{"number": float64(i), "updated": id},
					updated.Metadata)

				require.NoError(t, c.Session.Delete(ctx, id))
				_, err = c.Session.Get(ctx, id)
				require.ErrorIs(t, err, zep.ErrNotFound)
			})
		}
	})
	left, err := c.Session.List(ctx, nil)
	require.NoError(t, err)
	assert.Empty(t, left)
	assertRoutes(t, server.RequestLog(), "/sessions", "/sessions/{sessionId}",
		"/sessions/{sessionId}/memory")
}

// assertRoutes checks that no request went to another route than those given.
func assertRoutes(t testing.TB, log []zeptest.Request, routes ...string) {
	t.Helper()
	require.NotEmpty(t, log)
	for _, request := range log {
		assert.Contains(t, routes, request.Route, "%s %s", request.Method, request.URI)
	}
}

// TestSessionAdd_InvalidUserID covers the user id in a body, where everything but a NUL byte and
// invalid UTF-8 is safe.
func TestSessionAdd_InvalidUserID(t *testing.T) {
	t.Parallel()
	c := clientOf(t, noTransport(t))
	for _, id := range []string{"\x00", "nu\x00l", "\xff", "jane\xc3"} {
		_, err := c.Session.Add(context.Background(),
			&zep.CreateSessionRequest{SessionID: "s", UserID: id})
		require.ErrorIs(t, err, zep.ErrInvalidID, fmt.Sprintf("%q", id))
		assert.Contains(t, err.Error(), "userID")
	}
}

// TestUserDelete_DeletesSessions checks that the sessions are deleted softly: their ids stay
// taken, and an update restores one.
func TestUserDelete_DeletesSessions(t *testing.T) {
	t.Parallel()
	_, c := startServer(t)
	ctx := context.Background()
	_, err := c.User.Add(ctx, &zep.CreateUserRequest{UserID: "jane"})
	require.NoError(t, err)
	_, err = c.Session.Add(ctx,
		&zep.CreateSessionRequest{
			SessionID: "lesson",
			UserID:    "jane",
			Metadata:  zep.Metadata{"topic": "verbs"},
		})
	require.NoError(t, err)
	require.NoError(t, c.User.Delete(ctx, "jane"))
	_, err = c.Session.Get(ctx, "lesson")
	require.ErrorIs(t, err, zep.ErrNotFound)
	_, err = c.Session.Update(ctx,
		&zep.UpdateSessionRequest{SessionID: "lesson", Metadata: zep.Metadata{"again": true}})
	require.ErrorIs(t, err, zep.ErrNotFound, "unlike a deleted session")
	again, err := c.Session.Add(ctx, &zep.CreateSessionRequest{SessionID: "lesson"})
	require.NoError(t, err, "the id is free")
	assert.Empty(t, again.Metadata)
}

// TestUserDelete_CutOff checks deletes of users that were cut off between two of their sessions, which
// the server removes one by one: the user is gone when Delete returns no error.
func TestUserDelete_CutOff(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for steps := range 6 {
		server, _ := startServer(t)
		c, err := server.Client(zep.WithBackoff(0, 0))
		require.NoError(t, err)
		_, err = c.User.Add(ctx, &zep.CreateUserRequest{UserID: "jane"})
		require.NoError(t, err)
		for i := range 4 {
			_, err := c.Session.Add(ctx,
				&zep.CreateSessionRequest{SessionID: fmt.Sprint(i), UserID: "jane"})
			require.NoError(t, err)
		}
		server.Inject(zeptest.Fault{
			Method: http.MethodDelete,
			Route:  "/user/{userId}",
			Steps:  steps + 1,
			Cut:    true,
		})
		server.Inject(zeptest.Fault{ // about a session that the first attempt has just removed
			Method: http.MethodDelete,
			Route:  "/user/{userId}",
			Status: http.StatusNotFound,
			Body:   "not found\n",
		})
		require.NoError(t, c.User.Delete(ctx, "jane"), steps)
		_, err = c.User.Get(ctx, "jane")
		require.ErrorIs(t, err, zep.ErrNotFound, steps)
	}
}
