package zep_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
)

// printable returns an id for each printable ASCII character but "/", which is refused.
func printable() []string {
	var ids []string
	for c := byte(' '); c <= '~'; c++ {
		if c != '/' {
			ids = append(ids, "a"+string(c)+"b")
		}
	}
	return ids
}

// ids returns ids that reach their own record. Many of them are what a wrong escaping would make
// of another one.
func ids() []string {
	return slices.Concat(printable(), []string{
		"jane", "JANE", "Jane", "0", "-1", "null", "true", "undefined", "sessions", "memory",
		"user",
		"jane@example.com", "jane%40example.com", "jane+zep@example.com", "jane%2Bzep@example.com",
		"o'hara@example.co.uk",
		`"john doe"@example.com`, "用户@例え.jp",
		" ", "  ", " jane", "jane ", "jane  smith", "jane%20smith", "jane+smith", "\tjane\n",
		"\u00a0jane\u3000",
		"%", "%%", "100%", "100%25", "100%2525", "%2", "%zz", "%2e", "%2E%2E", "%2e%2e%2fother",
		"%00", "a%2Fb", "a%2fb", "a%252Fb",
		"...", "....", ".jane", "jane.", "..jane", "jane..", "a..b", ". ", " .", ". .", "~",
		"~jane", "-", "_", "*", "**",
		"?", "jane?x=1", "jane?limit=1&cursor=2", "#", "jane#top", ";", "jane;v=1", "&", "=",
		"a=b&c=d", ":", "::", "http:", "urn:user:1",
		"@", "$ref", "{userId}", "[]", "[::1]", "(x)", "<script>", "'; DROP TABLE users; --", `\`,
		`..\other`, `C:\jane`, "^", "|", "`id`",
		"日本", "Ünïcödé", "\u00e9", "e\u0301", "ß", "ẞ", "İ", "ı", "\u03a9", "\u2126", "한국어",
		"\u1112\u1161\u11ab", "עברית", "العربية", "हिन्दी",
		"😀", "👩‍👩‍👧‍👦", "🇪🇺", "\U0010FFFF", "\uFFFD", "\uFEFFjane", "\u200bjane", "\u202ejane",
		"\u2028", "ﬁ", "ｊａｎｅ",
		"\x01", "\x1f", "\x7f", "\u0085", "a\rb", "a\nb", "\x1b[31m",
		strings.Repeat("x", 900), strings.Repeat("日", 900), strings.Repeat("%", 900),
		strings.Repeat(".", 900),
		"07beed2b-392e-4ed8-a00b-98a10665a804", "507f1f77bcf86cd799439011",
		"auth0|5f7c8ec7c33c6c004bbafe82",
		"arn:aws:iam::123456789012:user", "CN=Jane Smith,OU=People,DC=example,DC=com",
	})
}

// shown returns the name of a subtest for an id.
func shown(id string) string { return fmt.Sprintf("%.40q", id) }

// TestUserIDs_ReachOwnRecord adds a user and a session for each id before it reads the first one
// back. The content of a record shows whether an id led to another's record.
func TestUserIDs_ReachOwnRecord(t *testing.T) {
	t.Parallel()
	server, c := startServer(t)
	ctx := context.Background()
	all := ids()
	require.Greater(t, len(all), 60)
	added := map[string]*zep.User{}
	for i, id := range all {
		require.Nil(t, added[id], "%s is in the table twice", shown(id))
		user, err := c.User.Add(ctx,
			&zep.CreateUserRequest{UserID: id, Metadata: zep.Metadata{"number": i}})
		require.NoError(t, err, shown(id))
		require.Equal(t, id, user.UserID)
		_, err = c.Session.Add(ctx,
			&zep.CreateSessionRequest{SessionID: fmt.Sprint("session of ", i), UserID: id})
		require.NoError(t, err, shown(id))
		added[id] = user
	}
	t.Run("ids", func(t *testing.T) {
		for i, id := range all {
			t.Run(shown(id), func(t *testing.T) {
				t.Parallel()
				got, err := c.User.Get(ctx, id)
				require.NoError(t, err)
				assert.Equal(t, added[id], got)

				updated, err := c.User.Update(ctx,
					&zep.UpdateUserRequest{UserID: id, Metadata: zep.Metadata{"updated": id}})
				require.NoError(t, err)
				assert.Equal(t, id, updated.UserID)
				assert.Equal(t, added[id].UUID, updated.UUID)
				assert.Equal(t, zep.Metadata{"number": float64(i), "updated": id},
					updated.Metadata)

				sessions, err := c.User.GetSessions(ctx, id)
				require.NoError(t, err)
				require.Len(t, sessions, 1)
				assert.Equal(t, id, sessions[0].UserID)
				assert.Equal(t, fmt.Sprint("session of ", i), sessions[0].SessionID)

				// If this deleted another record, the subtest of that record would fail.
				require.NoError(t, c.User.Delete(ctx, id))
				_, err = c.User.Get(ctx, id)
				require.ErrorIs(t, err, zep.ErrNotFound)
			})
		}
	})
	left, err := c.User.List(ctx, nil)
	require.NoError(t, err)
	assert.Empty(t, left)
	assertRoutes(t, server.RequestLog(), "/user", "/user/{userId}", "/user/{userId}/sessions",
		"/sessions")
}
