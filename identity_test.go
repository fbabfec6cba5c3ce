package zep

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// recordCalls are the calls that ask for a record by an id: "jane", or docs of a collection, or
// uuid1.
var recordCalls = map[string]struct {
	own   string // the record that is asked for
	other string // another one
	asked string // what the error says of the other one
	write bool
	call  func(context.Context, *Client) (any, error)
}{
	"User.Add": {
		`{"user_id":"jane"}`, `{"user_id":"joe"}`, `user_id "joe", asked for "jane"`, true,
		func(ctx context.Context, c *Client) (any, error) {
			return c.User.Add(ctx, &CreateUserRequest{UserID: "jane"})
		},
	},
	"User.Get": {
		`{"user_id":"jane"}`, `{"user_id":"Jane"}`, `user_id "Jane", asked for "jane"`, false,
		func(ctx context.Context, c *Client) (any, error) { return c.User.Get(ctx, "jane") },
	},
	"User.Update": {
		`{"user_id":"jane"}`, `{"user_id":"joe","uuid":"jane"}`, `user_id "joe"`, true,
		func(ctx context.Context, c *Client) (any, error) {
			return c.User.Update(ctx, &UpdateUserRequest{UserID: "jane"})
		},
	},
	"Session.Add": {
		`{"session_id":"jane"}`, `{"session_id":"s"}`, `session_id "s", asked for "jane"`, true,
		func(ctx context.Context, c *Client) (any, error) {
			return c.Session.Add(ctx, &CreateSessionRequest{SessionID: "jane", UserID: "s"})
		},
	},
	"Session.Get": {
		`{"session_id":"jane"}`, `{"session_id":"s","user_id":"jane"}`, `session_id "s"`, false,
		func(ctx context.Context, c *Client) (any, error) { return c.Session.Get(ctx, "jane") },
	},
	"Session.Update": {
		`{"session_id":"jane"}`, `{"session_id":"s"}`, `session_id "s"`, true,
		func(ctx context.Context, c *Client) (any, error) {
			return c.Session.Update(ctx, &UpdateSessionRequest{SessionID: "jane"})
		},
	},
	"Message.Get": {
		`{"uuid":"` + uuid1 + `"}`, `{"uuid":"` + uuid2 + `"}`,
		fmt.Sprintf(`uuid %q, asked for %q`, uuid2, uuid1), false,
		func(ctx context.Context, c *Client) (any, error) { return c.Message.Get(ctx, "s", uuid1) },
	},
	"Message.Get, the UUID in another form": {
		`{"uuid":"` + uuid1 + `"}`, `{"uuid":"` + uuid2 + `"}`, fmt.Sprintf(`uuid %q`, uuid2), false,
		func(ctx context.Context, c *Client) (any, error) {
			return c.Message.Get(ctx, "s", "urn:uuid:"+strings.ToUpper(uuid1))
		},
	},
	"Message.UpdateMetadata": {
		`{"uuid":"` + uuid1 + `"}`, `{"uuid":"` + uuid2 + `"}`, fmt.Sprintf(`uuid %q`, uuid2), true,
		func(ctx context.Context, c *Client) (any, error) {
			return c.Message.UpdateMetadata(ctx, "s", uuid1, Metadata{"k": 1})
		},
	},
	"Collection.Get, the name in upper case": {
		`{"name":"docs"}`, `{"name":"docs2"}`, `name "docs2", asked for "Docs"`, false,
		func(ctx context.Context, c *Client) (any, error) { return c.Collection.Get(ctx, "Docs") },
	},
	"Document.Get": {
		`{"uuid":"` + uuid1 + `"}`, `{"uuid":"` + uuid2 + `","document_id":"` + uuid1 + `"}`,
		fmt.Sprintf(`uuid %q`, uuid2), false,
		func(ctx context.Context, c *Client) (any, error) {
			return c.Document.Get(ctx, "docs", uuid1)
		},
	},
}

// TestIdentity_Records checks that a success is one only with the record that was asked for.
func TestIdentity_Records(t *testing.T) {
	t.Parallel()
	for name, test := range recordCalls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for body, want := range map[string]string{
				`{}`:                       "no ",
				`{"error":"out of quota"}`: "no ",
				`{"id":7}`:                 "no ",
				test.other:                 test.asked,
			} {
				c, s, _ := scripted(t, nil, repeat(4, answers(200, body))...)
				_, err := test.call(context.Background(), c)
				require.ErrorContains(t, err, "unexpected response: "+want, body)
				assert.Len(t, s.requests(), 4, "tried again: %s", body)
				assert.Equal(t, test.write, matchesAmbiguous(err), body)
				assertOneLine(t, err.Error())

				c, _, _ = scripted(t, nil, answers(200, body), answers(200, test.own))
				_, err = test.call(context.Background(), c)
				require.NoError(t, err, body)
			}
		})
	}
}

func matchesAmbiguous(err error) bool {
	e, ok := err.(*Error)
	return ok && e.Is(ErrAmbiguous)
}

// TestIdentity_LongIDs checks that an error shows a bounded part of an id, in one line.
func TestIdentity_LongIDs(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("j\n", 10_000)
	body := `{"user_id":"` + strings.Repeat(`x\n`, 10_000) + `"}`
	c, _, _ := scripted(t, []Option{WithMaxAttempts(1)}, answers(200, body))
	_, err := c.User.Get(context.Background(), long)
	require.ErrorContains(t, err, `asked for "j\nj\n`)
	e := requireError(t, err)
	assert.Less(t, len(e.Message), 500)
	assertOneLine(t, err.Error())
}

// TestIdentity_Collections checks Add and Update, which read the collection back.
func TestIdentity_Collections(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]func(context.Context, *Client) (any, error){
		"Add": func(ctx context.Context, c *Client) (any, error) {
			return c.Collection.Add(ctx,
				&CreateCollectionRequest{Name: "Docs", EmbeddingDimensions: 8})
		},
		"Update": func(ctx context.Context, c *Client) (any, error) {
			return c.Collection.Update(ctx, &UpdateCollectionRequest{Name: "Docs"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _, _ := scripted(t, nil, append([]step{answers(200, "OK")},
				repeat(4, answers(200, `{"name":"books"}`))...)...)
			_, err := call(context.Background(), c)
			require.ErrorContains(t, err, `done, but reading it back failed`)
			require.ErrorContains(t, err, `name "books", asked for "Docs"`)
			c, _, _ = scripted(t, nil, answers(200, "OK"), answers(200, `{"name":"docs"}`))
			_, err = call(context.Background(), c)
			require.NoError(t, err)
		})
	}
}

// TestIdentity_Lists checks that the records of a list have ids, and that an object has its list.
func TestIdentity_Lists(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		bodies map[string]string // what is refused, and with which text
		own    []string
		call   func(context.Context, *Client) (any, error)
	}{
		"User.List": {
			map[string]string{
				`[{"user_id":"a"},{"id":7}]`: "record 1: no user_id",
				`[{}]`:                       "record 0: no user_id",
			},
			[]string{`[]`, `[{"user_id":"a"}]`},
			func(ctx context.Context, c *Client) (any, error) { return c.User.List(ctx, nil) },
		},
		"Session.List": {
			map[string]string{`[{"user_id":"a"}]`: "record 0: no session_id"},
			[]string{`[]`, `[{"session_id":"a"}]`},
			func(ctx context.Context, c *Client) (any, error) { return c.Session.List(ctx, nil) },
		},
		"User.GetSessions": {
			map[string]string{`[{"user_id":"a"}]`: "record 0: no session_id"},
			[]string{`[]`, `[{"session_id":"a"}]`},
			func(ctx context.Context, c *Client) (any, error) { return c.User.GetSessions(ctx, "a") },
		},
		"Collection.List": {
			map[string]string{`[{"uuid":"a"}]`: "record 0: no name"},
			[]string{`[]`, `[{"name":"docs"}]`},
			func(ctx context.Context, c *Client) (any, error) { return c.Collection.List(ctx) },
		},
		"Document.GetByUUIDs": {
			map[string]string{`[{"document_id":"a"}]`: "record 0: no uuid"},
			[]string{`[]`, `[{"uuid":"a"}]`},
			func(ctx context.Context, c *Client) (any, error) {
				return c.Document.GetByUUIDs(ctx, "docs", []string{"a"})
			},
		},
		"Message.List": {
			map[string]string{
				`{}`:                           "no messages",
				`{"error":"x"}`:                "no messages",
				`{"messages":[{"role":"ai"}]}`: "record 0: no uuid",
			},
			[]string{`{"messages":[]}`, `{"messages":null}`, `{"messages":[{"uuid":"a"}]}`},
			func(ctx context.Context, c *Client) (any, error) { return c.Message.List(ctx, "s", nil) },
		},
		"Memory.Get": {
			map[string]string{
				`{}`:                           "no messages",
				`{"error":"x"}`:                "no messages",
				`{"messages":[{"role":"ai"}]}`: "record 0: no uuid",
			},
			[]string{`{"messages":[]}`, `{"Messages":null}`, `{"messages":[{"uuid":"a"}]}`},
			func(ctx context.Context, c *Client) (any, error) { return c.Memory.Get(ctx, "s", nil) },
		},
		"Memory.Search": {
			map[string]string{
				`[{}]`:             "record 0: no message and no summary",
				`[{"message":{}}]`: "record 0: no uuid",
				`[{"summary":{}}]`: "record 0: no uuid",
			},
			[]string{`[]`, `[{"message":{"uuid":"a"}}]`, `[{"summary":{"uuid":"a"}}]`},
			func(ctx context.Context, c *Client) (any, error) {
				return c.Memory.Search(ctx, "s", &SearchMemoryRequest{Text: "x"})
			},
		},
		"Collection.Search": {
			map[string]string{
				`{}`:                          "no results",
				`{"error":"x"}`:               "no results",
				`{"results":[{"score":0.5}]}`: "record 0: no uuid",
			},
			[]string{`{"results":[]}`, `{"results":null}`, `{"results":[{"uuid":"a"}]}`},
			func(ctx context.Context, c *Client) (any, error) {
				return c.Collection.Search(ctx, "docs", &SearchDocumentsRequest{Text: "x"})
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for body, want := range test.bodies {
				c, s, _ := scripted(t, nil, repeat(4, answers(http.StatusOK, body))...)
				_, err := test.call(context.Background(), c)
				require.ErrorContains(t, err, "unexpected response: ", body)
				require.ErrorContains(t, err, want+": not a Zep response", body)
				assert.False(t, matchesAmbiguous(err), "a read")
				assert.Len(t, s.requests(), 4, "tried again: %s", body)
			}
			for _, body := range test.own {
				c, _, _ := scripted(t, nil, answers(http.StatusOK, body))
				_, err := test.call(context.Background(), c)
				require.NoError(t, err, body)
			}
		})
	}
}

// TestIdentity_LateAnswerOfAnAdd checks that the add of a user, whose response was another
// program's, is found out by the answer to the repetition.
func TestIdentity_LateAnswerOfAnAdd(t *testing.T) {
	t.Parallel()
	c, s, _ := scripted(t, nil, answers(200, `{"error":"upstream"}`), answers(400, userTaken),
		answers(200, `{"user_id":"jane"}`))
	user, err := c.User.Add(context.Background(), &CreateUserRequest{UserID: "jane"})
	require.NoError(t, err)
	assert.Equal(t, "jane", user.UserID)
	assert.Len(t, s.requests(), 3)
}
