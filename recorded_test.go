package zep

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestRecorded_MemoryAndDocuments gives the recorded responses about memory, messages, searches,
// collections and documents to the methods that they belong to, and compares what these return,
// as JSON, with the recording. The one documented difference is that the zero summary is nil.
func TestRecorded_MemoryAndDocuments(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	noSummary := regexp.MustCompile(`"summary":\{"uuid":"` + zeroUUID + `"[^}]*\}`)
	was := map[string]int{}
	for _, r := range recordings(t) {
		path, _, _ := strings.Cut(strings.TrimPrefix(r.Request.Path, apiPath), "?")
		parts := strings.Split(path, "/")
		if r.Response.Status >= 300 ||
			parts[1] != "collection" && (parts[1] != "sessions" || len(parts) < 4) {
			continue
		}
		name := r.String()
		collection := answers(200, `{"name":"docs"}`)
		id := "docs" // of the record
		if len(parts) > 2 && parts[1] == "collection" {
			id = parts[2]
		}
		if last := parts[len(parts)-1]; strings.Count(last, "-") == 4 {
			id = last
		}
		var got any
		var err error
		call := func(f func(*Client) (any, error), more ...step) {
			c, s, _ := scripted(t, nil,
				append([]step{answers(r.Response.Status, r.Response.Body)}, more...)...)
			got, err = f(c)
			require.NoError(t, err, name)
			assert.Equal(t, r.Request.Method, s.requests()[0].method, name)
		}
		kind := parts[1] + " " + r.Request.Method
		if len(parts) > 3 {
			kind = strings.Join(append([]string{r.Request.Method, parts[3]}, parts[4:]...), " ")
		}
		for _, part := range parts[min(len(parts), 4):] {
			if strings.Count(part, "-") == 4 {
				kind = strings.Replace(kind, part, "{uuid}", 1)
			}
		}
		was[kind]++
		switch kind {
		case "GET memory":
			call(func(c *Client) (any, error) { return c.Memory.Get(ctx, "s", nil) })
		case "POST memory":
			call(func(c *Client) (any, error) {
				return errOnly(c.Memory.Add(ctx, "s", &AddMemoryRequest{}))
			})
		case "DELETE memory":
			call(func(c *Client) (any, error) { return errOnly(c.Memory.Delete(ctx, "s")) })
		case "GET messages":
			call(func(c *Client) (any, error) { return c.Message.List(ctx, "s", nil) })
		case "GET messages {uuid}":
			call(func(c *Client) (any, error) { return c.Message.Get(ctx, "s", id) })
		case "PATCH messages {uuid}":
			call(func(c *Client) (any, error) {
				return c.Message.UpdateMetadata(ctx, "s", id, Metadata{"k": 1})
			})
		case "POST search":
			call(func(c *Client) (any, error) {
				if parts[1] == "sessions" {
					return c.Memory.Search(ctx, "s", &SearchMemoryRequest{Text: "x"})
				}
				return c.Collection.Search(ctx, "docs", &SearchDocumentsRequest{Text: "x"})
			})
		case "collection GET":
			call(func(c *Client) (any, error) {
				if len(parts) == 2 {
					return c.Collection.List(ctx)
				}
				return c.Collection.Get(ctx, id)
			})
		case "collection POST":
			call(func(c *Client) (any, error) {
				return c.Collection.Add(ctx,
					&CreateCollectionRequest{Name: "docs", EmbeddingDimensions: 8})
			}, collection)
		case "collection PATCH":
			call(func(c *Client) (any, error) {
				return c.Collection.Update(ctx, &UpdateCollectionRequest{Name: "docs"})
			}, collection)
		case "collection DELETE":
			call(func(c *Client) (any, error) { return errOnly(c.Collection.Delete(ctx, "docs")) })
		case "POST index create":
			call(func(c *Client) (any, error) {
				return errOnly(c.Collection.CreateIndex(ctx, "docs", false))
			})
		case "POST document":
			var documents []*CreateDocumentRequest
			require.NoError(t, json.Unmarshal([]byte(r.Request.Body), &documents), name)
			if len(documents) == 0 {
				continue // the client sends nothing
			}
			call(func(c *Client) (any, error) { return c.Document.Add(ctx, "docs", documents) })
		case "GET document uuid {uuid}":
			call(func(c *Client) (any, error) { return c.Document.Get(ctx, "docs", id) })
		case "POST document list get":
			call(func(c *Client) (any, error) {
				return c.Document.GetByUUIDs(ctx, "docs", []string{uuid1})
			})
		case "PATCH document uuid {uuid}":
			call(func(c *Client) (any, error) {
				return errOnly(c.Document.Update(ctx, "docs", &UpdateDocumentRequest{UUID: uuid1}))
			})
		case "PATCH document list update":
			call(func(c *Client) (any, error) {
				return errOnly(c.Document.UpdateAll(ctx, "docs",
					[]*UpdateDocumentRequest{{UUID: uuid1}}))
			})
		case "DELETE document uuid {uuid}":
			call(func(c *Client) (any, error) {
				return errOnly(c.Document.Delete(ctx, "docs", uuid1))
			})
		case "POST document list delete":
			call(func(c *Client) (any, error) {
				return errOnly(c.Document.DeleteAll(ctx, "docs", []string{uuid1}))
			})
		default:
			require.Fail(t, "no method for this recording", "%s: %s", name, kind)
		}
		if r.Response.Body == "OK" {
			continue
		}
		back, err := json.Marshal(got)
		require.NoError(t, err, name)
		assert.JSONEq(t, noSummary.ReplaceAllString(r.Response.Body, `"summary":null`),
			string(back), name)
	}
	assert.Len(t, was, 19, "%v", was)
}

// TestRecorded_UsersAndSessions does the same with the recorded users and sessions. The one
// documented difference is that a session without a user has the UserID "", where the server
// sends null.
func TestRecorded_UsersAndSessions(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	users, sessions := 0, 0
	for _, r := range recordings(t) {
		body := strings.TrimSpace(r.Response.Body)
		if r.Response.Status/100 != 2 || body == "OK" || body == "." {
			continue
		}
		path, _, _ := strings.Cut(strings.TrimPrefix(r.Request.Path, apiPath+"/"), "?")
		// The server takes "/" and "/." for the list.
		path = strings.TrimSuffix(strings.TrimSuffix(path, "/"), "/.")
		c, _, _ := scripted(t, nil, answers(r.Response.Status, r.Response.Body))
		resource, id, _ := strings.Cut(path, "/")
		asked, err := url.PathUnescape(id)
		require.NoError(t, err, r)
		if r.Request.Method == http.MethodPost && id == "" && resource != "collection" {
			var created struct {
				UserID    string `json:"user_id"`
				SessionID string `json:"session_id"`
			}
			require.NoError(t, json.Unmarshal([]byte(r.Request.Body), &created), r)
			asked = cmp.Or(created.SessionID, created.UserID)
		}
		if strings.Contains(asked, "/") {
			continue // the client refuses this id
		}
		var got any
		switch {
		case resource == "user" && strings.HasSuffix(id, "/sessions"):
			got, err = c.User.GetSessions(ctx, "id")
		case resource == "user" && r.Request.Method == http.MethodPost:
			got, err = c.User.Add(ctx, &CreateUserRequest{UserID: asked})
		case resource == "user" && r.Request.Method == http.MethodPatch:
			got, err = c.User.Update(ctx, &UpdateUserRequest{UserID: asked})
		case resource == "user" && id == "":
			got, err = c.User.List(ctx, nil)
		case resource == "user":
			got, err = c.User.Get(ctx, asked)
		case resource == "sessions" && strings.Contains(id, "/"):
			continue // see TestRecorded_MemoryAndDocuments
		case resource == "sessions" && r.Request.Method == http.MethodPost:
			got, err = c.Session.Add(ctx, &CreateSessionRequest{SessionID: asked})
		case resource == "sessions" && r.Request.Method == http.MethodPatch:
			got, err = c.Session.Update(ctx, &UpdateSessionRequest{SessionID: asked})
		case resource == "sessions" && id == "":
			got, err = c.Session.List(ctx, nil)
		case resource == "sessions":
			got, err = c.Session.Get(ctx, asked)
		default:
			continue
		}
		require.NoError(t, err, r)
		users += strings.Count(body, `"uuid"`)
		if strings.Contains(body, `"session_id"`) {
			users -= strings.Count(body, `"uuid"`)
			sessions += strings.Count(body, `"uuid"`)
			body = strings.ReplaceAll(body, `"user_id":null`, `"user_id":""`)
			body = strings.ReplaceAll(body, `"metadata":null`, `"metadata":{}`)
		}
		back, err := json.Marshal(got)
		require.NoError(t, err, r)
		assert.JSONEq(t, body, string(back), "%s", r)
	}
	assert.Greater(t, users, 50, "users in the recordings")
	assert.Greater(t, sessions, 10, "sessions in the recordings")
}
