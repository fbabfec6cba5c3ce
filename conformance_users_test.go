package zep_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
)

var userConformance = []conformanceTest{
	{"add with all fields, and get", func(t *testing.T, c *testClient) {
		before := time.Now().Add(-time.Hour) // clocks differ
		user := c.addUser(t, zep.CreateUserRequest{
			UserID:    "jane",
			Email:     "jane@example.com",
			FirstName: "Jane",
			LastName:  "Smith",
			Metadata:  zep.Metadata{"foo": "bar"},
		})
		assert.NotEmpty(t, user.UUID)
		assert.Positive(t, user.ID)
		assert.True(t, user.CreatedAt.After(before))
		assert.True(t, user.UpdatedAt.Equal(user.CreatedAt))
		assert.Equal(t, &zep.User{
			UUID:      user.UUID,
			ID:        user.ID,
			CreatedAt: user.CreatedAt,
			UpdatedAt: user.UpdatedAt,
			UserID:    c.id("jane"),
			Email:     "jane@example.com",
			FirstName: "Jane",
			LastName:  "Smith",
			Metadata:  zep.Metadata{"foo": "bar"},
		}, user)
		got, err := c.User.Get(c.ctx, user.UserID)
		require.NoError(t, err)
		assert.Equal(t, user, got)
	}},
	{"add with an id alone", func(t *testing.T, c *testClient) {
		user := c.addUser(t, zep.CreateUserRequest{UserID: "min"})
		assert.Empty(t, user.Email+user.FirstName+user.LastName)
		assert.Empty(t, user.Metadata)
		assert.Nil(t, user.DeletedAt)
	}},
	{"add one whose id is taken", func(t *testing.T, c *testClient) {
		c.addUser(t, zep.CreateUserRequest{UserID: "twice", Email: "first@example.com"})
		_, err := c.User.Add(c.ctx, &zep.CreateUserRequest{
			UserID: c.id("twice"),
			Email:  "second@example.com",
		})
		require.ErrorIs(t, err, zep.ErrAlreadyExists)
		assert.ErrorContains(t, err, "user already exists with user_id: "+c.id("twice"))
		user, err := c.User.Get(c.ctx, c.id("twice"))
		require.NoError(t, err)
		assert.Equal(t, "first@example.com", user.Email)
	}},
	{"a failed add leaves a gap in the ids", func(t *testing.T, c *testClient) {
		first := c.addUser(t, zep.CreateUserRequest{UserID: "a"})
		_, err := c.User.Add(c.ctx, &zep.CreateUserRequest{UserID: c.id("a")})
		require.ErrorIs(t, err, zep.ErrAlreadyExists)
		second := c.addUser(t, zep.CreateUserRequest{UserID: "b"})
		assert.Greater(t, second.ID, first.ID+1)
	}},
	{"metadata that is empty is not stored", func(t *testing.T, c *testClient) {
		user := c.addUser(t, zep.CreateUserRequest{UserID: "empty", Metadata: zep.Metadata{}})
		assert.Equal(t, zep.Metadata{}, user.Metadata)
	}},
	{"metadata of any kind, its integers beyond 2^53 rounded", func(t *testing.T, c *testClient) {
		user := c.addUser(t, zep.CreateUserRequest{UserID: "nested", Metadata: zep.Metadata{
			"a":   map[string]any{"b": []any{1, 2.5, "x", nil, true}},
			"i53": int64(9007199254740993),
			"uni": "日本 😀 \u2028 <&>",
		}})
		want := zep.Metadata{
			"a":   map[string]any{"b": []any{1.0, 2.5, "x", nil, true}},
			"i53": 9007199254740992.0,
			"uni": "日本 😀 \u2028 <&>",
		}
		assert.Equal(t, want, user.Metadata)
		got, err := c.User.Get(c.ctx, user.UserID)
		require.NoError(t, err)
		assert.Equal(t, want, got.Metadata)
	}},
	{"get one who is not there", func(t *testing.T, c *testClient) {
		_, err := c.User.Get(c.ctx, c.id("nobody"))
		require.ErrorIs(t, err, zep.ErrNotFound)
		var refused *zep.Error
		require.ErrorAs(t, err, &refused)
		assert.Equal(t, 404, refused.StatusCode)
		assert.Equal(t, "not found", refused.Message)
	}},
	{"update merges metadata deep", func(t *testing.T, c *testClient) {
		user := c.addUser(t, zep.CreateUserRequest{UserID: "merge", Metadata: zep.Metadata{
			"kept":   1,
			"map":    map[string]any{"kept": true, "changed": 1},
			"list":   []any{1, 2},
			"yes":    true,
			"n":      7,
			"text":   "x",
			"nulled": 1,
		}})
		for _, patch := range []zep.Metadata{
			{"map": map[string]any{"changed": 2, "new": 3}},
			{"map": map[string]any{}},
			{"list": []any{3}},
			{"yes": false},
			{"n": 0},
			{"text": ""},
			{"nulled": nil},
			{"added": "new"},
		} {
			updated, err := c.User.Update(c.ctx, &zep.UpdateUserRequest{
				UserID:   user.UserID,
				Metadata: patch,
			})
			require.NoError(t, err)
			assert.True(t, updated.UpdatedAt.After(user.UpdatedAt))
			assert.Equal(t, user.UUID, updated.UUID)
		}
		got, err := c.User.Get(c.ctx, user.UserID)
		require.NoError(t, err)
		assert.Equal(t, zep.Metadata{
			"kept":   1.0,
			"map":    map[string]any{"kept": true, "changed": 2.0, "new": 3.0},
			"list":   []any{3.0},
			"yes":    false,
			"n":      0.0,
			"text":   "",
			"nulled": nil,
			"added":  "new",
		}, got.Metadata)
	}},
	{"update of one field leaves the others", func(t *testing.T, c *testClient) {
		user := c.addUser(t, zep.CreateUserRequest{
			UserID:    "fields",
			Email:     "a@example.com",
			FirstName: "A",
			LastName:  "B",
			Metadata:  zep.Metadata{"k": 1},
		})
		updated, err := c.User.Update(c.ctx, &zep.UpdateUserRequest{
			UserID:    user.UserID,
			Email:     "b@example.com",
			FirstName: "",
		})
		require.NoError(t, err)
		assert.Equal(t, "b@example.com A B",
			updated.Email+" "+updated.FirstName+" "+updated.LastName)
		assert.Equal(t, zep.Metadata{"k": 1.0}, updated.Metadata)
	}},
	{"update of nothing, or with empty metadata, is no error", func(t *testing.T, c *testClient) {
		user := c.addUser(t, zep.CreateUserRequest{UserID: "same", Metadata: zep.Metadata{"k": 1}})
		for _, metadata := range []zep.Metadata{nil, {}} {
			updated, err := c.User.Update(c.ctx, &zep.UpdateUserRequest{
				UserID:   user.UserID,
				Metadata: metadata,
			})
			require.NoError(t, err)
			assert.Equal(t, zep.Metadata{"k": 1.0}, updated.Metadata)
		}
	}},
	{"update one who is not there", func(t *testing.T, c *testClient) {
		for _, metadata := range []zep.Metadata{nil, {"k": 1}} {
			_, err := c.User.Update(c.ctx, &zep.UpdateUserRequest{
				UserID:   c.id("nobody"),
				Email:    "x@example.com",
				Metadata: metadata,
			})
			require.ErrorIs(t, err, zep.ErrNotFound)
		}
	}},
	{"of concurrent updates through one client all are kept", func(t *testing.T, c *testClient) {
		user := c.addUser(t, zep.CreateUserRequest{UserID: "busy"})
		var writers sync.WaitGroup
		for writer := range 8 {
			writers.Add(1)
			go func() {
				defer writers.Done()
				for i := range 5 {
					_, err := c.User.Update(c.ctx, &zep.UpdateUserRequest{
						UserID:   user.UserID,
						Metadata: zep.Metadata{fmt.Sprint(writer, "-", i): true},
					})
					assert.NoError(t, err)
				}
			}()
		}
		writers.Wait()
		got, err := c.User.Get(c.ctx, user.UserID)
		require.NoError(t, err)
		assert.Len(t, got.Metadata, 40)
	}},
	{"delete, and what is left", func(t *testing.T, c *testClient) {
		user := c.addUser(t, zep.CreateUserRequest{UserID: "gone", Email: "old@example.com"})
		require.NoError(t, c.User.Delete(c.ctx, user.UserID))
		require.ErrorIs(t, c.User.Delete(c.ctx, user.UserID), zep.ErrNotFound)
		_, err := c.User.Get(c.ctx, user.UserID)
		require.ErrorIs(t, err, zep.ErrNotFound)
	}},
	{"add again after a delete: a new record", func(t *testing.T, c *testClient) {
		first := c.addUser(t, zep.CreateUserRequest{UserID: "again", Email: "old@example.com"})
		require.NoError(t, c.User.Delete(c.ctx, first.UserID))
		second := c.addUser(t, zep.CreateUserRequest{UserID: "again"})
		assert.Greater(t, second.ID, first.ID)
		assert.NotEqual(t, first.UUID, second.UUID)
		assert.Empty(t, second.Email)
	}},
	{"delete takes the sessions too", func(t *testing.T, c *testClient) {
		user := c.addUser(t, zep.CreateUserRequest{UserID: "leaving"})
		session := c.addSession(t, zep.CreateSessionRequest{
			SessionID: "theirs",
			UserID:    user.UserID,
		})
		require.NoError(t, c.User.Delete(c.ctx, user.UserID))
		_, err := c.Session.Get(c.ctx, session.SessionID)
		require.ErrorIs(t, err, zep.ErrNotFound)
		sessions, err := c.User.GetSessions(c.ctx, user.UserID)
		require.NoError(t, err)
		assert.Empty(t, sessions)
	}},
	{"sessions of a user, with the id 0", func(t *testing.T, c *testClient) {
		user := c.addUser(t, zep.CreateUserRequest{UserID: "talker"})
		a := c.addSession(t, zep.CreateSessionRequest{
			SessionID: "a",
			UserID:    user.UserID,
			Metadata:  zep.Metadata{"k": 1},
		})
		b := c.addSession(t, zep.CreateSessionRequest{SessionID: "b", UserID: user.UserID})
		c.addSession(t, zep.CreateSessionRequest{SessionID: "c"})
		sessions, err := c.User.GetSessions(c.ctx, user.UserID)
		require.NoError(t, err)
		a.ID, b.ID = 0, 0
		assert.ElementsMatch(t, []*zep.Session{a, b}, sessions)
	}},
	{"sessions of one who is not there: none, and no error", func(t *testing.T, c *testClient) {
		sessions, err := c.User.GetSessions(c.ctx, c.id("nobody"))
		require.NoError(t, err)
		assert.Equal(t, []*zep.Session{}, sessions)
	}},
	{"list with a cursor and a limit", func(t *testing.T, c *testClient) {
		a := c.addUser(t, zep.CreateUserRequest{UserID: "a"})
		b := c.addUser(t, zep.CreateUserRequest{UserID: "b"})
		users, err := c.User.List(c.ctx, &zep.ListOptions{Cursor: a.ID - 1, Limit: 1})
		require.NoError(t, err)
		assert.Equal(t, []*zep.User{a}, users)
		users, err = c.User.List(c.ctx, &zep.ListOptions{Cursor: a.ID})
		require.NoError(t, err)
		assert.NotContains(t, users, a)
		assert.Contains(t, users, b)
		assert.True(t, slices.IsSortedFunc(users, func(x, y *zep.User) int {
			return int(x.ID - y.ID)
		}))
	}},
	{"list without a limit: everyone", func(t *testing.T, c *testClient) {
		var mine []*zep.User
		for i := range 30 {
			mine = append(mine, c.addUser(t, zep.CreateUserRequest{UserID: fmt.Sprint(i)}))
		}
		for _, page := range []*zep.ListOptions{nil, {}, {Cursor: mine[0].ID - 1}} {
			users, err := c.User.List(c.ctx, page)
			require.NoError(t, err)
			assert.Equal(t, mine, own(users, c, func(u *zep.User) string { return u.UserID }))
		}
	}},
	{"list past the end", func(t *testing.T, c *testClient) {
		users, err := c.User.List(c.ctx, &zep.ListOptions{Cursor: 1 << 62, Limit: 2})
		require.NoError(t, err)
		assert.Equal(t, []*zep.User{}, users)
	}},
}

// idConformance has a test for each of the ids that the server is particular about.
func idConformance() []conformanceTest {
	var tests []conformanceTest
	for _, id := range []string{
		"user@example.com", "a+b", "a:b", "a$b", "a&b=c", "a;b", "a,b", "a b", "a?b", "a#b",
		"100%", "日本", "a%2Fb", "user%40example.com", "...", "~", "a'b(c)!*", `\`, `"`, "[x]",
		"<>", "^`{|}", "😀", "tab\there",
	} {
		tests = append(tests, conformanceTest{id, func(t *testing.T, c *testClient) {
			user := c.addUser(t, zep.CreateUserRequest{UserID: id, Email: "mine@example.com"})
			got, err := c.User.Get(c.ctx, user.UserID)
			require.NoError(t, err)
			assert.Equal(t, user, got)
			_, err = c.User.Update(c.ctx, &zep.UpdateUserRequest{
				UserID:    user.UserID,
				FirstName: "Jane",
			})
			require.NoError(t, err)
			session := c.addSession(t, zep.CreateSessionRequest{
				SessionID: id,
				UserID:    user.UserID,
			})
			gotSession, err := c.Session.Get(c.ctx, session.SessionID)
			require.NoError(t, err)
			assert.Equal(t, session, gotSession)
			sessions, err := c.User.GetSessions(c.ctx, user.UserID)
			require.NoError(t, err)
			assert.Len(t, sessions, 1)
			require.NoError(t, c.Session.Delete(c.ctx, session.SessionID))
			require.NoError(t, c.User.Delete(c.ctx, user.UserID))
		}})
	}
	return append(tests,
		conformanceTest{"900 characters", func(t *testing.T, c *testClient) {
			user := c.addUser(t, zep.CreateUserRequest{UserID: strings.Repeat("x",
				900-len(c.id("")))})
			require.Len(t, user.UserID, 900)
			got, err := c.User.Get(c.ctx, user.UserID)
			require.NoError(t, err)
			assert.Equal(t, user, got)
		}},
		conformanceTest{"invalid ids", func(t *testing.T, c *testClient) {
			c.addUser(t, zep.CreateUserRequest{UserID: "nul"})
			for _, id := range []string{
				"", ".", "..", "../user/" + c.id("nul"), c.id("a/b"), c.id("nu\x00l"),
			} {
				_, err := c.User.Get(c.ctx, id)
				require.ErrorIs(t, err, zep.ErrInvalidID, "%q", id)
				require.ErrorIs(t, c.User.Delete(c.ctx, id), zep.ErrInvalidID, "%q", id)
			}
			_, err := c.User.Get(c.ctx, c.id("nul"))
			require.NoError(t, err)
		}},
	)
}
