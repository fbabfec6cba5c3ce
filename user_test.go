package zep_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
)

const janeJSON = `{"uuid":"07beed2b-392e-4ed8-a00b-98a10665a804","id":1,` +
	`"created_at":"2026-11-24T02:21:53.227117Z",` +
	`"updated_at":"2026-11-24T02:21:54Z","deleted_at":null,"user_id":"jane",` +
	`"email":"jane@example.com","first_name":"Jane",` +
	`"last_name":"Smith","metadata":{"plan":"pro","seats":3}}`

func jane() *zep.User {
	return &zep.User{
		UUID:      "07beed2b-392e-4ed8-a00b-98a10665a804",
		ID:        1,
		CreatedAt: at("2026-11-24T02:21:53.227117Z"),
		UpdatedAt: at("2026-11-24T02:21:54Z"),
		UserID:    "jane",
		Email:     "jane@example.com",
		FirstName: "Jane",
		LastName:  "Smith",
		Metadata:  zep.Metadata{"plan": "pro", "seats": 3.0},
	}
}

const joeJSON = `{"uuid":"d984a1fd-6763-4182-8c3b-949fddc2e254","id":2,` +
	`"created_at":"2026-11-24T02:21:53Z",` +
	`"updated_at":"2026-11-24T02:21:53Z","deleted_at":null,"user_id":"joe"}`

func joe() *zep.User {
	return &zep.User{
		UUID:      "d984a1fd-6763-4182-8c3b-949fddc2e254",
		ID:        2,
		CreatedAt: at("2026-11-24T02:21:53Z"),
		UpdatedAt: at("2026-11-24T02:21:53Z"),
		UserID:    "joe",
		Metadata:  zep.Metadata{},
	}
}

func TestUserService_Wire(t *testing.T) {
	runWireTests(t, map[string]wireTest{
		"Add with all fields": {
			call: func(ctx context.Context, c *zep.Client) (any, error) {
				return c.User.Add(ctx, &zep.CreateUserRequest{
					UserID:    "jane",
					Email:     "jane@example.com",
					FirstName: "Jane",
					LastName:  "Smith",
					Metadata:  zep.Metadata{"seats": 3, "plan": "pro"},
				})
			},
			method: "POST", uri: "/zep/api/v1/user",
			body: `{"user_id":"jane","email":"jane@example.com","first_name":"Jane",` +
				`"last_name":"Smith",` +
				`"metadata":{"plan":"pro","seats":3}}`,
			status: http.StatusCreated, answer: janeJSON + "\n", want: jane(),
		},
		"Add with an id alone": {
			call: func(ctx context.Context, c *zep.Client) (any, error) {
				return c.User.Add(ctx,
					&zep.CreateUserRequest{UserID: "joe", Metadata: zep.Metadata{}})
			},
			method: "POST", uri: "/zep/api/v1/user", body: `{"user_id":"joe"}`,
			status: http.StatusCreated, answer: joeJSON, want: joe(),
		},
		"Get": {
			call: func(ctx context.Context, c *zep.Client) (any, error) {
				return c.User.Get(ctx, "jane")
			},
			method: "GET", uri: "/zep/api/v1/user/jane", answer: janeJSON, want: jane(),
		},
		"Get escapes as Go escapes a path": {
			call: func(ctx context.Context, c *zep.Client) (any, error) {
				user, err := c.User.Get(ctx, "a b%2F?#[]\"<>^`{|}\\日@:+,;$&=!~*'()-_.x")
				return user.FirstName, err
			},
			method: "GET",
			uri: "/zep/api/v1/user/a%20b%252F%3F%23%5B%5D%22%3C%3E%5E%60%7B%7C%7D%5C%E6%97%A5" +
				"@:+,;$&=%21~%2A%27%28%29-_.x",
			answer: `{"user_id":"a b%2F?#[]\"<>^` + "`" + `{|}\\日@:+,;$&=!~*'()-_.x","first_name":"A"}`,
			want:   "A",
		},
		"GetOrAdd of one who is there": {
			call: func(ctx context.Context, c *zep.Client) (any, error) {
				return c.User.GetOrAdd(ctx, &zep.CreateUserRequest{UserID: "jane", Email: "new"})
			},
			method: "GET", uri: "/zep/api/v1/user/jane", answer: janeJSON, want: jane(),
		},
		"Upsert of one who is there": {
			call: func(ctx context.Context, c *zep.Client) (any, error) {
				return c.User.Upsert(ctx, &zep.CreateUserRequest{
					UserID:   "jane",
					LastName: "Smith",
					Metadata: zep.Metadata{"seats": 3},
				})
			},
			method: "PATCH", uri: "/zep/api/v1/user/jane",
			body:   `{"user_id":"jane","last_name":"Smith","metadata":{"seats":3}}`,
			answer: janeJSON, want: jane(),
		},
		"Upsert with empty metadata sends none": {
			call: func(ctx context.Context, c *zep.Client) (any, error) {
				return c.User.Upsert(ctx,
					&zep.CreateUserRequest{UserID: "jane", Metadata: zep.Metadata{}})
			},
			method: "PATCH", uri: "/zep/api/v1/user/jane", body: `{"user_id":"jane"}`,
			answer: janeJSON, want: jane(),
		},
		"Update": {
			call: func(ctx context.Context, c *zep.Client) (any, error) {
				return c.User.Update(ctx, &zep.UpdateUserRequest{
					UserID:    "jane",
					Email:     "jane@example.com",
					FirstName: "Jane",
					LastName:  "Smith",
					Metadata:  zep.Metadata{"nested": map[string]any{"gone": nil}},
				})
			},
			method: "PATCH", uri: "/zep/api/v1/user/jane",
			body: `{"user_id":"jane","email":"jane@example.com","first_name":"Jane",` +
				`"last_name":"Smith",` +
				`"metadata":{"nested":{"gone":null}}}`,
			answer: janeJSON, want: jane(),
		},
		"Update of one field sends no other": {
			call: func(ctx context.Context, c *zep.Client) (any, error) {
				return c.User.Update(ctx,
					&zep.UpdateUserRequest{UserID: "jane", Email: "jane@example.com"})
			},
			method: "PATCH", uri: "/zep/api/v1/user/jane",
			body:   `{"user_id":"jane","email":"jane@example.com"}`,
			answer: janeJSON, want: jane(),
		},
		"Update with empty metadata sends none": {
			call: func(ctx context.Context, c *zep.Client) (any, error) {
				return c.User.Update(ctx,
					&zep.UpdateUserRequest{
						UserID:    "jane",
						FirstName: "Jane",
						Metadata:  zep.Metadata{},
					})
			},
			method: "PATCH", uri: "/zep/api/v1/user/jane",
			body:   `{"user_id":"jane","first_name":"Jane"}`,
			answer: janeJSON, want: jane(),
		},
		"Delete": {
			call: func(ctx context.Context, c *zep.Client) (any, error) {
				return errOnly(c.User.Delete(ctx, "jane@example.com"))
			},
			method: "DELETE", uri: "/zep/api/v1/user/jane@example.com", answer: "OK",
		},
		"GetSessions": {
			call: func(ctx context.Context, c *zep.Client) (any, error) {
				return c.User.GetSessions(ctx, "jane")
			},
			method: "GET", uri: "/zep/api/v1/user/jane/sessions",
			answer: "[" + lessonJSON + "]", want: []*zep.Session{lesson()},
		},
		"GetSessions of one who has none": {
			call: func(ctx context.Context, c *zep.Client) (any, error) {
				return c.User.GetSessions(ctx, "jane")
			},
			method: "GET", uri: "/zep/api/v1/user/jane/sessions", answer: "[]\n",
			want: []*zep.Session{},
		},
		"GetSessions takes null for an empty list": {
			call: func(ctx context.Context, c *zep.Client) (any, error) {
				return c.User.GetSessions(ctx, "jane")
			},
			method: "GET", uri: "/zep/api/v1/user/jane/sessions", answer: "null\n",
			want: []*zep.Session{},
		},
		"List without options is the server's default": {
			call: func(ctx context.Context, c *zep.Client) (any, error) {
				return c.User.List(ctx, nil)
			},
			method: "GET", uri: "/zep/api/v1/user", answer: "[" + janeJSON + "," + joeJSON + "]\n",
			want: []*zep.User{jane(), joe()},
		},
		"List of a page": {
			call: func(ctx context.Context, c *zep.Client) (any, error) {
				return c.User.List(ctx, &zep.ListOptions{Limit: 2, Cursor: 40})
			},
			method: "GET", uri: "/zep/api/v1/user?cursor=40&limit=2", answer: "[" + joeJSON + "]",
			want: []*zep.User{joe()},
		},
		"List past the end": {
			call: func(ctx context.Context, c *zep.Client) (any, error) {
				return c.User.List(ctx, &zep.ListOptions{Cursor: 9999})
			},
			method: "GET", uri: "/zep/api/v1/user?cursor=9999", answer: "[]\n",
			want: []*zep.User{},
		},
		"List takes null for an empty list": {
			call: func(ctx context.Context, c *zep.Client) (any, error) {
				return c.User.List(ctx, nil)
			},
			method: "GET", uri: "/zep/api/v1/user", answer: "null\n", want: []*zep.User{},
		},
		"fields of a later server are ignored": {
			call: func(ctx context.Context, c *zep.Client) (any, error) {
				return c.User.Get(ctx, "jane")
			},
			method: "GET", uri: "/zep/api/v1/user/jane",
			answer: `{"avatar":{"url":"x","sizes":[1,{"a":[]}]},` + janeJSON[1:len(janeJSON)-1] +
				`,"uuids":["}"],"tier":null,"age":-1.5e3,"ok":true}`,
			want: jane(),
		},
		"fields of a later server in a list are ignored": {
			call: func(ctx context.Context, c *zep.Client) (any, error) {
				return c.User.List(ctx, nil)
			},
			method: "GET", uri: "/zep/api/v1/user",
			answer: `[{"z":[{}],` + janeJSON[1:] + `, ` + joeJSON[:len(joeJSON)-1] +
				`,"z":"\"]"}]`, want: []*zep.User{
				jane(),
				joe(),
			},
		},
	})
}

// TestMetadata_RoundTrip covers kinds of metadata that are in no recording, in records and in
// lists.
func TestMetadata_RoundTrip(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]zep.Metadata{
		`{}`:                                     {},
		`null`:                                   {},
		` { "a" : [ ] , "b" : { } , "c" : "" } `: {"a": []any{}, "b": map[string]any{}, "c": ""},
		`{"0":0,"-0":-0,"e":1E+2,"f":-1.5e-3}`:   {"0": 0.0, "-0": 0.0, "e": 100.0, "f": -0.0015},
		`{"i53":9007199254740993}`:               {"i53": 9007199254740992.0},
		`{"":true,"t":false,"n":null}`:           {"": true, "t": false, "n": nil},
		`{"esc":"\"\\\/\b\f\n\r\t"}`:             {"esc": "\"\\/\b\f\n\r\t"},
		`{"u":"\u65e5\ud83d\ude00\u2028","raw":"日😀"}`: {"u": "日😀\u2028", "raw": "日😀"},
		`{"lone":"\ud83d","\u0061":"key"}`:            {"lone": "\uFFFD", "a": "key"},
		`{"twice":1,"twice":2}`:                       {"twice": 2.0},
		`{"deep":[[[{"x":[1,"2",null]}]]]}`: {
			"deep": []any{[]any{[]any{map[string]any{"x": []any{1.0, "2", nil}}}}},
		},
		`{"user_id":"inner","id":7,"metadata":{}}`: {
			"user_id":  "inner",
			"id":       7.0,
			"metadata": map[string]any{},
		},
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			ctx := context.Background()
			record := `{"id":5,"user_id":"u","session_id":"s","metadata":` + text + `}`
			one, list := answering(t, 200, record), answering(t, 200, "["+record+","+record+"]")
			user, err := one.User.Get(ctx, "u")
			require.NoError(t, err)
			session, err := one.Session.Get(ctx, "s")
			require.NoError(t, err)
			users, err := list.User.List(ctx, nil)
			require.NoError(t, err)
			sessions, err := list.Session.List(ctx, nil)
			require.NoError(t, err)
			assert.Equal(t, &zep.User{ID: 5, UserID: "u", Metadata: want}, user)
			assert.Equal(t, &zep.Session{
				ID:        5,
				UserID:    "u",
				SessionID: "s",
				Metadata:  want,
			}, session)
			assert.Equal(t, []*zep.User{user, user}, users)
			assert.Equal(t, []*zep.Session{session, session}, sessions)
		})
	}
}

// TestMetadata_LargeNumbersSentExactly checks that the client sends numbers beyond 2^53 as they
// are. The server rounds them.
func TestMetadata_LargeNumbersSentExactly(t *testing.T) {
	t.Parallel()
	wireTest{
		call: func(ctx context.Context, c *zep.Client) (any, error) {
			return c.User.Add(ctx, &zep.CreateUserRequest{UserID: "joe", Metadata: zep.Metadata{
				"int": int64(9007199254740993), "number": json.Number("12345678901234567890"),
				"html": "<&>",
			}})
		},
		method: "POST",
		uri:    "/zep/api/v1/user",
		body: string(bytes.Join([][]byte{
			[]byte(`{"user_id":"joe","metadata":{"html":"<&>"`),
			[]byte(`"int":9007199254740993`),
			[]byte(`"number":12345678901234567890}}`),
		}, []byte(","))),
		status: http.StatusCreated,
		answer: joeJSON,
		want:   joe(),
	}.run(t)
}
