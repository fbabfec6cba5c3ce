package zep_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
)

// TestGetOrAdd_Mocked registers what a user's mock of the server has for each case.
func TestGetOrAdd_Mocked(t *testing.T) {
	t.Parallel()
	const (
		users    = "/zep/api/v1/user"
		sessions = "/zep/api/v1/sessions"
		joes     = `{"session_id":"lesson","user_id":"joe"}`
	)
	missing := httpmock.NewStringResponder(404, "not found\n")
	taken := httpmock.NewStringResponder(400,
		"bad request: session already exists with session_id: lesson\n")
	user := func(c *zep.Client) (any, error) {
		return c.User.GetOrAdd(context.Background(), &zep.CreateUserRequest{UserID: "jane"})
	}
	upsert := func(c *zep.Client) (any, error) {
		return c.User.Upsert(context.Background(), &zep.CreateUserRequest{UserID: "jane"})
	}
	session := func(c *zep.Client) (any, error) {
		return c.Session.GetOrAdd(context.Background(),
			&zep.CreateSessionRequest{SessionID: "lesson", UserID: "jane"})
	}
	for name, test := range map[string]struct {
		call  func(*zep.Client) (any, error)
		mock  map[string]httpmock.Responder
		want  any
		fails error
	}{
		"a user who is there": {
			call: user,
			mock: map[string]httpmock.Responder{
				"GET " + users + "/jane": httpmock.NewStringResponder(200, janeJSON),
			},
			want: jane(),
		},
		"a new user": {
			call: user,
			mock: map[string]httpmock.Responder{
				"GET " + users + "/jane": missing,
				"POST " + users:          httpmock.NewStringResponder(201, janeJSON),
			},
			want: jane(),
		},
		"upsert of a new user": {
			call: upsert,
			mock: map[string]httpmock.Responder{
				"PATCH " + users + "/jane": missing,
				"POST " + users:            httpmock.NewStringResponder(201, janeJSON),
			},
			want: jane(),
		},
		"a new session": {
			call: session,
			mock: map[string]httpmock.Responder{
				"GET " + sessions + "/lesson": missing,
				"POST " + sessions:            httpmock.NewStringResponder(201, lessonJSON),
			},
			want: lesson(),
		},
		"a deleted session": {
			call: session,
			mock: map[string]httpmock.Responder{
				"GET " + sessions + "/lesson":   missing.Then(missing),
				"POST " + sessions:              taken,
				"PATCH " + sessions + "/lesson": httpmock.NewStringResponder(200, lessonJSON),
			},
			want: lesson(),
		},
		"another user's session": {
			call: session,
			mock: map[string]httpmock.Responder{
				"GET " + sessions + "/lesson": httpmock.NewStringResponder(200, joes),
			},
			fails: zep.ErrAlreadyExists,
		},
		"another user's deleted session": {
			call: session,
			mock: map[string]httpmock.Responder{
				"GET " + sessions + "/lesson":           missing.Then(missing),
				"POST " + sessions:                      taken,
				"PATCH " + sessions + "/lesson":         httpmock.NewStringResponder(200, joes),
				"GET " + sessions + "/lesson/memory":    httpmock.NewStringResponder(200, `{"messages":[]}`),
				"DELETE " + sessions + "/lesson/memory": httpmock.NewStringResponder(200, "OK"),
			},
			fails: zep.ErrAlreadyExists,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mock := httpmock.NewMockTransport()
			for endpoint, responder := range test.mock {
				method, path, _ := strings.Cut(endpoint, " ")
				mock.RegisterResponder(method, path, responder)
			}
			got, err := test.call(clientOf(t, mock))
			if test.fails != nil {
				require.ErrorIs(t, err, test.fails)
			} else {
				require.NoError(t, err)
				assert.Equal(t, test.want, got)
			}
			for endpoint, calls := range mock.GetCallCountInfo() {
				assert.NotZero(t, calls, endpoint)
			}
		})
	}
}
