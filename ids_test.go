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

// refusedIDs are ids that no request can carry to their own record, with what the error says.
var refusedIDs = map[string]string{
	"":                 "empty",
	".":                "relative path segment",
	"..":               "relative path segment",
	"/":                `"/"`,
	"a/b":              `"/"`,
	"../user/other":    `"/"`,
	"jane/":            `"/"`,
	"/jane":            `"/"`,
	"./.":              `"/"`,
	"\x00":             "NUL",
	"nu\x00l":          "NUL",
	"jane\x00":         "NUL",
	"\xff":             "UTF-8",
	"jane\xc3":         "UTF-8",
	"\xed\xa0\x80":     "UTF-8", // a surrogate
	"\xc0\xaf":         "UTF-8", // an overlong "/"
	"\xf4\x90\x80\x80": "UTF-8", // beyond Unicode
}

// byID calls every method that takes an id on the path with that id.
var byID = map[string]func(ctx context.Context, c *zep.Client, id string) error{
	"User.Add": func(ctx context.Context, c *zep.Client, id string) error {
		_, err := c.User.Add(ctx, &zep.CreateUserRequest{UserID: id})
		return err
	},
	"User.Get": func(ctx context.Context, c *zep.Client, id string) error {
		_, err := c.User.Get(ctx, id)
		return err
	},
	"User.Update": func(ctx context.Context, c *zep.Client, id string) error {
		_, err := c.User.Update(ctx, &zep.UpdateUserRequest{UserID: id, Email: "jane@example.com"})
		return err
	},
	"User.Delete": func(ctx context.Context, c *zep.Client, id string) error {
		return c.User.Delete(ctx, id)
	},
	"User.GetSessions": func(ctx context.Context, c *zep.Client, id string) error {
		_, err := c.User.GetSessions(ctx, id)
		return err
	},
	"Session.Add": func(ctx context.Context, c *zep.Client, id string) error {
		_, err := c.Session.Add(ctx, &zep.CreateSessionRequest{SessionID: id})
		return err
	},
	"Session.Get": func(ctx context.Context, c *zep.Client, id string) error {
		_, err := c.Session.Get(ctx, id)
		return err
	},
	"Session.Update": func(ctx context.Context, c *zep.Client, id string) error {
		_, err := c.Session.Update(ctx,
			&zep.UpdateSessionRequest{SessionID: id, Metadata: zep.Metadata{"k": 1}})
		return err
	},
	"Session.Delete": func(ctx context.Context, c *zep.Client, id string) error {
		return c.Session.Delete(ctx, id)
	},
	"Memory.Get": func(ctx context.Context, c *zep.Client, id string) error {
		_, err := c.Memory.Get(ctx, id, nil)
		return err
	},
	"Memory.Add": func(ctx context.Context, c *zep.Client, id string) error {
		return c.Memory.Add(ctx, id,
			&zep.AddMemoryRequest{
				Messages: []*zep.Message{{Role: zep.RoleHuman, Content: "hello"}},
			})
	},
	"Memory.Delete": func(ctx context.Context, c *zep.Client, id string) error {
		return c.Memory.Delete(ctx, id)
	},
	"Memory.Search": func(ctx context.Context, c *zep.Client, id string) error {
		_, err := c.Memory.Search(ctx, id, &zep.SearchMemoryRequest{Text: "hello"})
		return err
	},
	"Message.List": func(ctx context.Context, c *zep.Client, id string) error {
		_, err := c.Message.List(ctx, id, nil)
		return err
	},
	"Message.All": func(ctx context.Context, c *zep.Client, id string) (failure error) {
		for _, err := range c.Message.All(ctx, id) {
			failure = err
		}
		return failure
	},
	"Message.Get of a session": func(ctx context.Context, c *zep.Client, id string) error {
		_, err := c.Message.Get(ctx, id, aUUID)
		return err
	},
	"Message.Get of a message": func(ctx context.Context, c *zep.Client, id string) error {
		_, err := c.Message.Get(ctx, "s", id)
		return err
	},
	"Message.UpdateMetadata of a session": func(ctx context.Context, c *zep.Client,
		id string) error {
		_, err := c.Message.UpdateMetadata(ctx, id, aUUID, zep.Metadata{"k": 1})
		return err
	},
	"Message.UpdateMetadata of a message": func(ctx context.Context, c *zep.Client,
		id string) error {
		_, err := c.Message.UpdateMetadata(ctx, "s", id, zep.Metadata{"k": 1})
		return err
	},
	"Message.UpdateMetadata without any": func(ctx context.Context, c *zep.Client,
		id string) error {
		_, err := c.Message.UpdateMetadata(ctx, "s", id, nil)
		return err
	},
	"Collection.Add": func(ctx context.Context, c *zep.Client, id string) error {
		_, err := c.Collection.Add(ctx,
			&zep.CreateCollectionRequest{Name: id, EmbeddingDimensions: 8})
		return err
	},
	"Collection.Get": func(ctx context.Context, c *zep.Client, id string) error {
		_, err := c.Collection.Get(ctx, id)
		return err
	},
	"Collection.Update": func(ctx context.Context, c *zep.Client, id string) error {
		_, err := c.Collection.Update(ctx,
			&zep.UpdateCollectionRequest{Name: id, Description: "d"})
		return err
	},
	"Collection.Delete": func(ctx context.Context, c *zep.Client, id string) error {
		return c.Collection.Delete(ctx, id)
	},
	"Collection.CreateIndex": func(ctx context.Context, c *zep.Client, id string) error {
		return c.Collection.CreateIndex(ctx, id, false)
	},
	"Collection.Search": func(ctx context.Context, c *zep.Client, id string) error {
		_, err := c.Collection.Search(ctx, id, &zep.SearchDocumentsRequest{Text: "fox"})
		return err
	},
	"Document.Add": func(ctx context.Context, c *zep.Client, id string) error {
		_, err := c.Document.Add(ctx, id, []*zep.CreateDocumentRequest{{Content: "fox"}})
		return err
	},
	"Document.Add of none": func(ctx context.Context, c *zep.Client, id string) error {
		_, err := c.Document.Add(ctx, id, nil)
		return err
	},
	"Document.Get of a collection": func(ctx context.Context, c *zep.Client, id string) error {
		_, err := c.Document.Get(ctx, id, aUUID)
		return err
	},
	"Document.Get of a document": func(ctx context.Context, c *zep.Client, id string) error {
		_, err := c.Document.Get(ctx, "docs", id)
		return err
	},
	"Document.GetByUUIDs": func(ctx context.Context, c *zep.Client, id string) error {
		_, err := c.Document.GetByUUIDs(ctx, id, []string{aUUID})
		return err
	},
	"Document.GetByUUIDs of none": func(ctx context.Context, c *zep.Client, id string) error {
		_, err := c.Document.GetByUUIDs(ctx, id, nil)
		return err
	},
	"Document.GetByIDs": func(ctx context.Context, c *zep.Client, id string) error {
		_, err := c.Document.GetByIDs(ctx, id, []string{"d1"})
		return err
	},
	"Document.Update of a collection": func(ctx context.Context, c *zep.Client, id string) error {
		return c.Document.Update(ctx, id,
			&zep.UpdateDocumentRequest{UUID: aUUID, DocumentID: "d1"})
	},
	"Document.Update of a document": func(ctx context.Context, c *zep.Client, id string) error {
		return c.Document.Update(ctx, "docs",
			&zep.UpdateDocumentRequest{UUID: id, DocumentID: "d1"})
	},
	"Document.UpdateAll": func(ctx context.Context, c *zep.Client, id string) error {
		return c.Document.UpdateAll(ctx, id,
			[]*zep.UpdateDocumentRequest{{UUID: aUUID, DocumentID: "d1"}})
	},
	"Document.Delete of a collection": func(ctx context.Context, c *zep.Client, id string) error {
		return c.Document.Delete(ctx, id, aUUID)
	},
	"Document.Delete of a document": func(ctx context.Context, c *zep.Client, id string) error {
		return c.Document.Delete(ctx, "docs", id)
	},
	"Document.DeleteAll": func(ctx context.Context, c *zep.Client, id string) error {
		return c.Document.DeleteAll(ctx, id, []string{aUUID})
	},
}

const aUUID = "9672fadd-9d7c-475d-a47d-fc439f1a5abc"

// TestIDs_RefusedByEveryMethod checks that nothing is sent for an invalid id.
func TestIDs_RefusedByEveryMethod(t *testing.T) {
	t.Parallel()
	c := clientOf(t, noTransport(t))
	for name, call := range byID {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for id, why := range refusedIDs {
				err := call(context.Background(), c, id)
				require.ErrorIs(t, err, zep.ErrInvalidID, "%q", id)
				assert.Contains(t, err.Error(), why, "%q", id)
				var answered *zep.Error
				assert.NotErrorAs(t, err, &answered, "nothing was sent")
			}
		})
	}
}

// TestIDs_EmptyInBody checks that empty ids in a body are refused: the server takes them for all
// records, or for none.
func TestIDs_EmptyInBody(t *testing.T) {
	t.Parallel()
	c := clientOf(t, noTransport(t))
	ctx := context.Background()
	for name, call := range map[string]func(id string) error{
		"Document.GetByUUIDs": func(id string) error {
			_, err := c.Document.GetByUUIDs(ctx, "docs", []string{aUUID, id})
			return err
		},
		"Document.GetByIDs": func(id string) error {
			_, err := c.Document.GetByIDs(ctx, "docs", []string{"d1", id})
			return err
		},
		"Document.DeleteAll": func(id string) error {
			return c.Document.DeleteAll(ctx, "docs", []string{aUUID, id})
		},
		"Document.UpdateAll": func(id string) error {
			return c.Document.UpdateAll(ctx, "docs",
				[]*zep.UpdateDocumentRequest{{UUID: aUUID}, {UUID: id}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := call("")
			require.ErrorIs(t, err, zep.ErrInvalidID)
			assert.Contains(t, err.Error(), "1", "which one")
		})
	}
}
