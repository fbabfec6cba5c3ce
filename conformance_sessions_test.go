package zep_test

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
)

var sessionConformance = []conformanceTest{
	{"add with user and metadata, and get", func(t *testing.T, c *testClient) {
		user := c.addUser(t, zep.CreateUserRequest{UserID: "jane"})
		session := c.addSession(t, zep.CreateSessionRequest{
			SessionID: "s1",
			UserID:    user.UserID,
			Metadata:  zep.Metadata{"foo": "bar"},
		})
		assert.Equal(t, &zep.Session{
			UUID:      session.UUID,
			ID:        session.ID,
			CreatedAt: session.CreatedAt,
			UpdatedAt: session.UpdatedAt,
			SessionID: c.id("s1"),
			UserID:    user.UserID,
			Metadata:  zep.Metadata{"foo": "bar"},
		}, session)
		assert.NotEmpty(t, session.UUID)
		assert.Positive(t, session.ID)
		got, err := c.Session.Get(c.ctx, session.SessionID)
		require.NoError(t, err)
		assert.Equal(t, session, got)
	}},
	{"add without a user", func(t *testing.T, c *testClient) {
		session := c.addSession(t, zep.CreateSessionRequest{SessionID: "nobodys"})
		assert.Empty(t, session.UserID)
		assert.Equal(t, zep.Metadata{}, session.Metadata)
	}},
	{"add one whose id is taken", func(t *testing.T, c *testClient) {
		session := c.addSession(t, zep.CreateSessionRequest{SessionID: "twice"})
		_, err := c.Session.Add(c.ctx, &zep.CreateSessionRequest{SessionID: session.SessionID})
		require.ErrorIs(t, err, zep.ErrAlreadyExists)
		assert.ErrorContains(t, err, "session already exists with session_id: "+session.SessionID)
	}},
	{"a failed add leaves a gap in the ids", func(t *testing.T, c *testClient) {
		first := c.addSession(t, zep.CreateSessionRequest{SessionID: "a"})
		_, err := c.Session.Add(c.ctx, &zep.CreateSessionRequest{SessionID: first.SessionID})
		require.ErrorIs(t, err, zep.ErrAlreadyExists)
		second := c.addSession(t, zep.CreateSessionRequest{SessionID: "b"})
		assert.Greater(t, second.ID, first.ID+1)
	}},
	{"the ids of a deleted user's sessions are free", func(t *testing.T, c *testClient) {
		user := c.addUser(t, zep.CreateUserRequest{UserID: "leaver"})
		uuid := newUUID()
		for _, id := range []string{"left", "deleted"} {
			c.addSession(t, zep.CreateSessionRequest{SessionID: id, UserID: user.UserID})
		}
		c.addMemory(t, "left", &zep.Message{UUID: uuid, Role: zep.RoleHuman, Content: "old"})
		c.embedded(t, c.id("left"))
		require.NoError(t, c.Session.Delete(c.ctx, c.id("deleted")))
		require.NoError(t, c.User.Delete(c.ctx, user.UserID))
		for _, id := range []string{"left", "deleted"} {
			_, err := c.Session.Update(c.ctx, &zep.UpdateSessionRequest{
				SessionID: c.id(id),
				Metadata:  zep.Metadata{"k": 1},
			})
			require.ErrorIs(t, err, zep.ErrNotFound)
			c.addSession(t, zep.CreateSessionRequest{SessionID: id})
		}
		c.addMemory(t, "left", &zep.Message{UUID: uuid, Role: zep.RoleHuman, Content: "new"})
		assert.Equal(t, []string{"new"}, contents(c.messages(t, "left")))
	}},
	{"add for a user who is not there", func(t *testing.T, c *testClient) {
		_, err := c.Session.Add(c.ctx, &zep.CreateSessionRequest{
			SessionID: c.id("s"),
			UserID:    c.id("nobody"),
		})
		require.ErrorIs(t, err, zep.ErrBadRequest)
		assert.ErrorContains(t, err, "user does not exist with user_id: "+c.id("nobody"))
		_, err = c.Session.Get(c.ctx, c.id("s"))
		require.ErrorIs(t, err, zep.ErrNotFound)
	}},
	{"get one that is not there", func(t *testing.T, c *testClient) {
		_, err := c.Session.Get(c.ctx, c.id("none"))
		require.ErrorIs(t, err, zep.ErrNotFound)
	}},
	{"update merges metadata deep", func(t *testing.T, c *testClient) {
		session := c.addSession(t, zep.CreateSessionRequest{
			SessionID: "merge",
			Metadata:  zep.Metadata{"kept": 1, "map": map[string]any{"a": 1}, "list": []any{1, 2}},
		})
		for _, patch := range []zep.Metadata{
			{"map": map[string]any{"b": 2}},
			{"list": []any{}},
			{"nulled": nil},
			{"map": map[string]any{}},
		} {
			_, err := c.Session.Update(c.ctx, &zep.UpdateSessionRequest{
				SessionID: session.SessionID,
				Metadata:  patch,
			})
			require.NoError(t, err)
		}
		got, err := c.Session.Get(c.ctx, session.SessionID)
		require.NoError(t, err)
		assert.Equal(t, zep.Metadata{
			"kept":   1.0,
			"map":    map[string]any{"a": 1.0, "b": 2.0},
			"list":   []any{},
			"nulled": nil,
		}, got.Metadata)
		assert.True(t, got.UpdatedAt.After(session.UpdatedAt))
	}},
	{"update of nothing, or with empty metadata, is no error", func(t *testing.T, c *testClient) {
		session := c.addSession(t, zep.CreateSessionRequest{
			SessionID: "same",
			Metadata:  zep.Metadata{"k": 1},
		})
		for _, metadata := range []zep.Metadata{nil, {}} {
			updated, err := c.Session.Update(c.ctx, &zep.UpdateSessionRequest{
				SessionID: session.SessionID,
				Metadata:  metadata,
			})
			require.NoError(t, err)
			assert.Equal(t, zep.Metadata{"k": 1.0}, updated.Metadata)
		}
	}},
	{"update drops the key system", func(t *testing.T, c *testClient) {
		session := c.addSession(t, zep.CreateSessionRequest{SessionID: "system"})
		updated, err := c.Session.Update(c.ctx, &zep.UpdateSessionRequest{
			SessionID: session.SessionID,
			Metadata:  zep.Metadata{"system": map[string]any{"x": 1}, "k": 1},
		})
		require.NoError(t, err)
		assert.Equal(t, zep.Metadata{"k": 1.0}, updated.Metadata)
	}},
	{"update one that is not there", func(t *testing.T, c *testClient) {
		_, err := c.Session.Update(c.ctx, &zep.UpdateSessionRequest{
			SessionID: c.id("none"),
			Metadata:  zep.Metadata{"k": 1},
		})
		require.ErrorIs(t, err, zep.ErrNotFound)
	}},
	{"of concurrent updates through one client all are kept", func(t *testing.T, c *testClient) {
		session := c.addSession(t, zep.CreateSessionRequest{SessionID: "busy"})
		var writers sync.WaitGroup
		for writer := range 4 {
			writers.Add(1)
			go func() {
				defer writers.Done()
				for i := range 5 {
					_, err := c.Session.Update(c.ctx, &zep.UpdateSessionRequest{
						SessionID: session.SessionID,
						Metadata:  zep.Metadata{fmt.Sprint(writer, "-", i): true},
					})
					assert.NoError(t, err)
				}
			}()
		}
		writers.Wait()
		got, err := c.Session.Get(c.ctx, session.SessionID)
		require.NoError(t, err)
		assert.Len(t, got.Metadata, 20)
	}},
	{"delete, and what is left", func(t *testing.T, c *testClient) {
		session := c.addSession(t, zep.CreateSessionRequest{SessionID: "gone"})
		require.NoError(t, c.Session.Delete(c.ctx, session.SessionID))
		require.ErrorIs(t, c.Session.Delete(c.ctx, session.SessionID), zep.ErrNotFound)
		_, err := c.Session.Get(c.ctx, session.SessionID)
		require.ErrorIs(t, err, zep.ErrNotFound)
	}},
	{"a deleted one keeps its id", func(t *testing.T, c *testClient) {
		session := c.addSession(t, zep.CreateSessionRequest{SessionID: "kept"})
		require.NoError(t, c.Session.Delete(c.ctx, session.SessionID))
		_, err := c.Session.Add(c.ctx, &zep.CreateSessionRequest{SessionID: session.SessionID})
		require.ErrorIs(t, err, zep.ErrAlreadyExists)
	}},
	{"an update brings a deleted one back", func(t *testing.T, c *testClient) {
		session := c.addSession(t, zep.CreateSessionRequest{
			SessionID: "back",
			Metadata:  zep.Metadata{"old": true},
		})
		require.NoError(t, c.Session.Delete(c.ctx, session.SessionID))
		_, err := c.Session.Update(c.ctx, &zep.UpdateSessionRequest{
			SessionID: session.SessionID,
			Metadata:  zep.Metadata{"u": 1},
		})
		require.NoError(t, err)
		got, err := c.Session.Get(c.ctx, session.SessionID)
		require.NoError(t, err)
		assert.Equal(t, session.UUID, got.UUID)
		assert.Equal(t, session.ID, got.ID)
		assert.Equal(t, zep.Metadata{"old": true, "u": 1.0}, got.Metadata)
	}},
	{"list with a cursor and a limit", func(t *testing.T, c *testClient) {
		a := c.addSession(t, zep.CreateSessionRequest{SessionID: "a"})
		b := c.addSession(t, zep.CreateSessionRequest{SessionID: "b"})
		sessions, err := c.Session.List(c.ctx, &zep.ListOptions{Cursor: a.ID - 1, Limit: 1})
		require.NoError(t, err)
		assert.Equal(t, []*zep.Session{a}, sessions)
		sessions, err = c.Session.List(c.ctx, &zep.ListOptions{Cursor: a.ID})
		require.NoError(t, err)
		assert.NotContains(t, sessions, a)
		assert.Contains(t, sessions, b)
	}},
	{"list without a limit: every one but the deleted", func(t *testing.T, c *testClient) {
		a := c.addSession(t, zep.CreateSessionRequest{SessionID: "a"})
		b := c.addSession(t, zep.CreateSessionRequest{SessionID: "b"})
		require.NoError(t, c.Session.Delete(c.ctx, a.SessionID))
		sessions, err := c.Session.List(c.ctx, nil)
		require.NoError(t, err)
		sessionID := func(s *zep.Session) string { return s.SessionID }
		assert.Equal(t, []*zep.Session{b}, own(sessions, c, sessionID))
	}},
	{"list past the end", func(t *testing.T, c *testClient) {
		sessions, err := c.Session.List(c.ctx, &zep.ListOptions{Cursor: 1 << 62, Limit: 2})
		require.NoError(t, err)
		assert.Equal(t, []*zep.Session{}, sessions)
	}},
}

var walkConformance = []conformanceTest{
	{"users, with gaps between their ids, come once each", func(t *testing.T, c *testClient) {
		var want []*zep.User
		for i := range 60 {
			user := c.addUser(t, zep.CreateUserRequest{UserID: fmt.Sprint(i)})
			if i%3 == 0 {
				want = append(want, user)
			} else {
				require.NoError(t, c.User.Delete(c.ctx, user.UserID))
			}
		}
		userID := func(u *zep.User) string { return u.UserID }
		for _, size := range []int{1, 7, 100} {
			if size == 1 && os.Getenv("ZEP_TEST_URL") != "" {
				continue // a running server may have many users, and this is one request for each
			}
			var chunked []*zep.User
			for users, err := range c.User.ListChunked(c.ctx, size) {
				require.NoError(t, err)
				assert.LessOrEqual(t, len(users), size)
				chunked = append(chunked, users...)
			}
			assert.Equal(t, want, own(chunked, c, userID))
		}
		var all []*zep.User
		for user, err := range c.User.All(c.ctx) {
			require.NoError(t, err)
			all = append(all, user)
		}
		assert.Equal(t, want, own(all, c, userID))
		all = nil
		for user, err := range c.User.AllParallel(c.ctx, 2) {
			require.NoError(t, err)
			all = append(all, user)
		}
		assert.ElementsMatch(t, want, own(all, c, userID))
	}},
	{"sessions, with gaps between their ids, come once each", func(t *testing.T, c *testClient) {
		var want []*zep.Session
		for i := range 30 {
			session := c.addSession(t, zep.CreateSessionRequest{SessionID: fmt.Sprint(i)})
			if i%3 == 0 {
				want = append(want, session)
			} else {
				require.NoError(t, c.Session.Delete(c.ctx, session.SessionID))
			}
		}
		sessionID := func(s *zep.Session) string { return s.SessionID }
		var chunked, all []*zep.Session
		for sessions, err := range c.Session.ListChunked(c.ctx, 7) {
			require.NoError(t, err)
			chunked = append(chunked, sessions...)
		}
		assert.Equal(t, want, own(chunked, c, sessionID))
		for session, err := range c.Session.All(c.ctx) {
			require.NoError(t, err)
			all = append(all, session)
		}
		assert.Equal(t, want, own(all, c, sessionID))
		all = nil
		for session, err := range c.Session.AllParallel(c.ctx, 2) {
			require.NoError(t, err)
			all = append(all, session)
		}
		assert.ElementsMatch(t, want, own(all, c, sessionID))
	}},
}
