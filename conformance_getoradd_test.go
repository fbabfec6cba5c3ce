package zep_test

import (
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
)

// getOrAddConformance makes the calls that are made of several.
var getOrAddConformance = []conformanceTest{
	{"a user who is not there", func(t *testing.T, c *testClient) {
		user := c.getOrAddUser(t, &zep.CreateUserRequest{UserID: "new", FirstName: "Jane"})
		assert.Equal(t, "Jane", user.FirstName)
	}},
	{"a user who is there stays as stored", func(t *testing.T, c *testClient) {
		stored := c.addUser(t, zep.CreateUserRequest{
			UserID:    "old",
			FirstName: "Jane",
			Metadata:  zep.Metadata{"k": 1},
		})
		user := c.getOrAddUser(t, &zep.CreateUserRequest{
			UserID:    "old",
			FirstName: "Joe",
			Metadata:  zep.Metadata{"k": 2},
		})
		assert.Equal(t, stored, user)
	}},
	{"a user who was deleted is a new one", func(t *testing.T, c *testClient) {
		old := c.addUser(t, zep.CreateUserRequest{UserID: "again", FirstName: "Jane"})
		require.NoError(t, c.User.Delete(c.ctx, old.UserID))
		user := c.getOrAddUser(t, &zep.CreateUserRequest{UserID: "again"})
		assert.NotEqual(t, old.UUID, user.UUID)
		assert.Empty(t, user.FirstName)
	}},
	{"upsert adds, and then merges", func(t *testing.T, c *testClient) {
		c.cleanUp(t, "user", func() error { return c.User.Delete(c.ctx, c.id("merged")) })
		added, err := c.User.Upsert(c.ctx, &zep.CreateUserRequest{
			UserID:    c.id("merged"),
			Email:     "jane@example.com",
			FirstName: "Jane",
			Metadata:  zep.Metadata{"kept": 1, "map": map[string]any{"a": 1}, "list": []any{1}},
		})
		require.NoError(t, err)
		updated, err := c.User.Upsert(c.ctx, &zep.CreateUserRequest{
			UserID:    c.id("merged"),
			FirstName: "Joan",
			Metadata:  zep.Metadata{"map": map[string]any{"b": 2}, "list": []any{}},
		})
		require.NoError(t, err)
		assert.Equal(t, added.UUID, updated.UUID)
		assert.Equal(t, "jane@example.com", updated.Email)
		assert.Equal(t, "Joan", updated.FirstName)
		assert.Equal(t, zep.Metadata{
			"kept": 1.0,
			"map":  map[string]any{"a": 1.0, "b": 2.0},
			"list": []any{},
		}, updated.Metadata)
	}},
	{"a session that is not there, and is there then", func(t *testing.T, c *testClient) {
		user := c.addUser(t, zep.CreateUserRequest{UserID: "jane"})
		req := &zep.CreateSessionRequest{
			SessionID: c.id("s"),
			UserID:    user.UserID,
			Metadata:  zep.Metadata{"k": 1},
		}
		added, by := c.getOrAddSession(t, req)
		assert.Equal(t, http.MethodPost, by)
		assert.Equal(t, user.UserID, added.UserID)
		req.Metadata = zep.Metadata{"k": 2}
		got, by := c.getOrAddSession(t, req)
		assert.Equal(t, http.MethodGet, by)
		assert.Equal(t, added, got)
	}},
	{"a deleted session is brought back as it was", func(t *testing.T, c *testClient) {
		user := c.addUser(t, zep.CreateUserRequest{UserID: "jane"})
		old := c.addSession(t, zep.CreateSessionRequest{
			SessionID: "back",
			UserID:    user.UserID,
			Metadata:  zep.Metadata{"old": map[string]any{"a": 1}},
		})
		c.addMemory(t, "back", say("forgotten")...)
		c.embedded(t, old.SessionID)
		require.NoError(t, c.Session.Delete(c.ctx, old.SessionID))
		back, by := c.getOrAddSession(t, &zep.CreateSessionRequest{
			SessionID: old.SessionID,
			UserID:    user.UserID,
			Metadata:  zep.Metadata{"new": 1},
		})
		assert.Equal(t, http.MethodPatch, by)
		assert.True(t, back.UpdatedAt.After(old.UpdatedAt))
		back.UpdatedAt = old.UpdatedAt
		assert.Equal(t, old, back)
		assert.Empty(t, c.messages(t, "back"))
		sessions, err := c.User.GetSessions(c.ctx, user.UserID)
		require.NoError(t, err)
		assert.Len(t, sessions, 1)
	}},
	{"a session of another user, or of nobody", func(t *testing.T, c *testClient) {
		jane := c.addUser(t, zep.CreateUserRequest{UserID: "jane"})
		joe := c.addUser(t, zep.CreateUserRequest{UserID: "joe"})
		for name, session := range map[string]zep.CreateSessionRequest{
			"joe's":    {SessionID: "joes", UserID: joe.UserID, Metadata: zep.Metadata{"k": 1}},
			"nobody's": {SessionID: "nobodys"},
		} {
			stored := c.addSession(t, session)
			req := &zep.CreateSessionRequest{SessionID: stored.SessionID, UserID: jane.UserID}
			_, err := c.Session.GetOrAdd(c.ctx, req)
			require.ErrorIs(t, err, zep.ErrAlreadyExists, name)
			got, err := c.Session.Get(c.ctx, stored.SessionID)
			require.NoError(t, err, name)
			assert.Equal(t, stored, got, name)

			require.NoError(t, c.Session.Delete(c.ctx, stored.SessionID))
			_, err = c.Session.GetOrAdd(c.ctx, req)
			require.ErrorIs(t, err, zep.ErrAlreadyExists, name)
			_, err = c.Session.Get(c.ctx, stored.SessionID)
			require.ErrorIs(t, err, zep.ErrNotFound, name)
		}
	}},
	{"a session for a user who is not there", func(t *testing.T, c *testClient) {
		_, err := c.Session.GetOrAdd(c.ctx, &zep.CreateSessionRequest{
			SessionID: c.id("s"),
			UserID:    c.id("nobody"),
		})
		require.ErrorIs(t, err, zep.ErrUserNotFound)
	}},
	{"many at once get one user and one session", func(t *testing.T, c *testClient) {
		c.cleanUp(t, "user", func() error { return c.User.Delete(c.ctx, c.id("rush")) })
		deleted := c.addSession(t, zep.CreateSessionRequest{SessionID: "deleted"})
		require.NoError(t, c.Session.Delete(c.ctx, deleted.SessionID))
		c.cleanUpSession(t, c.id("rush"))
		var callers sync.WaitGroup
		var mu sync.Mutex
		uuids := map[string]string{}
		note := func(what, uuid string, err error) {
			mu.Lock()
			defer mu.Unlock()
			if assert.NoError(t, err) && uuids[what] != "" {
				assert.Equal(t, uuids[what], uuid, what)
			}
			uuids[what] = uuid
		}
		for range 16 {
			callers.Add(1)
			go func() {
				defer callers.Done()
				other := c.server.client(t)
				user, err := other.User.GetOrAdd(c.ctx, &zep.CreateUserRequest{UserID: c.id("rush")})
				require.NoError(t, err)
				note("user", user.UUID, err)
				user, err = other.User.Upsert(c.ctx, &zep.CreateUserRequest{
					UserID:    c.id("rush"),
					FirstName: "Jane",
				})
				require.NoError(t, err)
				note("user", user.UUID, err)
				for _, id := range []string{c.id("rush"), deleted.SessionID} {
					s, err := other.Session.GetOrAdd(c.ctx, &zep.CreateSessionRequest{SessionID: id})
					require.NoError(t, err)
					note(id, s.UUID, err)
				}
			}()
		}
		callers.Wait()
		assert.Equal(t, deleted.UUID, uuids[deleted.SessionID])
		assert.Len(t, uuids, 3)
	}},
}

// getOrAddUser makes the call for a user whose id is made from the one in req.
func (c *testClient) getOrAddUser(t *testing.T, req *zep.CreateUserRequest) *zep.User {
	t.Helper()
	req.UserID = c.id(req.UserID)
	user, err := c.User.GetOrAdd(c.ctx, req)
	require.NoError(t, err)
	c.cleanUp(t, "user "+req.UserID, func() error { return c.User.Delete(c.ctx, req.UserID) })
	assert.Equal(t, req.UserID, user.UserID)
	return user
}

// getOrAddSession returns the method of the last request too.
func (c *testClient) getOrAddSession(
	t *testing.T, req *zep.CreateSessionRequest,
) (*zep.Session, string) {
	t.Helper()
	var response *http.Response
	session, err := c.Session.GetOrAdd(c.ctx, req, zep.CaptureResponse(&response))
	require.NoError(t, err)
	c.cleanUpSession(t, req.SessionID)
	return session, response.Request.Method
}
