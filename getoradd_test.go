package zep

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const notFound = "not found\n"

// getOrAddTest is a call that is made of several: what each attempt gets, and what the call does.
type getOrAddTest struct {
	steps []step
	sent  string // the methods of the requests
	want  []error
	text  string // of the result, or a part of the error
}

var (
	missing = answers(404, notFound)
	locked  = answers(500, "failed to acquire advisory lock: timeout\n")
)

// run makes the call, and checks that the captured response is that of the last request.
func (test getOrAddTest) run(
	t *testing.T, call func(context.Context, *Client, ...RequestOption) (string, error),
) error {
	t.Helper()
	c, s, _ := scripted(t, nil, test.steps...)
	var response *http.Response
	got, err := call(context.Background(), c, CaptureResponse(&response))
	if test.want == nil {
		require.NoError(t, err)
		assert.Equal(t, test.text, got)
		sent := strings.Fields(test.sent)
		if assert.NotNil(t, response) {
			assert.Equal(t, sent[len(sent)-1], response.Request.Method)
		}
	} else {
		assert.Empty(t, got)
		assert.ElementsMatch(t, test.want, matched(err), "%v", err)
		require.ErrorContains(t, err, test.text)
		assertOneLine(t, err.Error())
	}
	methods := []string{}
	for _, request := range s.requests() {
		methods = append(methods, request.method)
	}
	assert.Equal(t, test.sent, strings.Join(methods, " "))
	assert.Empty(t, s.steps, "steps that were not reached")
	assert.True(t, idle(c.updates), "no update waits")
	return err
}

func TestUserService_GetOrAdd(t *testing.T) {
	t.Parallel()
	taken := answers(400, userTaken)
	user := func(name string) step {
		return answers(200, `{"user_id":"jane","first_name":"`+name+`"}`)
	}
	for name, test := range map[string]getOrAddTest{
		"there": {steps: []step{user("stored")}, sent: "GET", text: "stored"},
		"missing": {
			steps: []step{missing, user("Jane")}, sent: "GET POST", text: "Jane",
		},
		"added by another between the two": {
			steps: []step{missing, taken, user("other")}, sent: "GET POST GET", text: "other",
		},
		"added by another and deleted again": {
			steps: []step{missing, taken, missing, user("Jane")},
			sent:  "GET POST GET POST", text: "Jane",
		},
		"neither found nor added": {
			steps: []step{missing, taken, missing, taken, missing, taken, missing, taken},
			sent:  "GET POST GET POST GET POST GET POST",
			want:  []error{ErrAlreadyExists}, text: "already exists",
		},
		"the answer of Get lost": {
			steps: []step{answerLost, answers(502, ""), missing, user("Jane")},
			sent:  "GET GET GET POST", text: "Jane",
		},
		"the answer of Add lost, and it was carried out": {
			steps: []step{missing, answerLost, taken, user("Jane")},
			sent:  "GET POST POST GET", text: "Jane",
		},
		"the answer of Add lost, and it was not carried out": {
			steps: []step{missing, answerLost, user("Jane")}, sent: "GET POST POST", text: "Jane",
		},
		"the answer of Add lost, and another added the user": {
			steps: []step{missing, answerLost, taken, user("other"), user("other")},
			sent:  "GET POST POST GET GET", text: "other",
		},
		"all answers of Get lost": {
			steps: repeat(4, answerLost), sent: "GET GET GET GET",
			want: []error{}, text: "connection reset",
		},
		"all answers of Add lost": {
			steps: append([]step{missing}, repeat(4, answerLost)...),
			sent:  "GET POST POST POST POST",
			want:  []error{}, text: "may have been carried out",
		},
		"Get is refused": {
			steps: []step{answers(401, "no token found\n")}, sent: "GET",
			want: []error{ErrUnauthorized}, text: "no token found",
		},
		"not Zep": {
			steps: []step{answers(404, "404 page not found\n")}, sent: "GET",
			want: []error{ErrEndpointNotFound}, text: "base URL",
		},
		"Add is refused": {
			steps: []step{missing, answers(413, "request body too large\n")}, sent: "GET POST",
			want: []error{ErrTooLarge}, text: "too large",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.run(t, func(ctx context.Context, c *Client, o ...RequestOption) (string, error) {
				u, err := c.User.GetOrAdd(ctx,
					&CreateUserRequest{UserID: "jane", FirstName: "Jane"}, o...)
				if u == nil {
					return "", err
				}
				return u.FirstName, err
			})
		})
	}
}

func TestUserService_Upsert(t *testing.T) {
	t.Parallel()
	taken := answers(400, userTaken)
	jane := answers(200, `{"user_id":"jane","first_name":"Jane","metadata":{"k":1}}`)
	for name, test := range map[string]getOrAddTest{
		"there":   {steps: []step{jane}, sent: "PATCH", text: "Jane"},
		"missing": {steps: []step{missing, jane}, sent: "PATCH POST", text: "Jane"},
		"added by another between the two": {
			steps: []step{missing, taken, jane}, sent: "PATCH POST PATCH", text: "Jane",
		},
		"added by another and deleted again": {
			steps: []step{missing, taken, missing, jane},
			sent:  "PATCH POST PATCH POST", text: "Jane",
		},
		"neither found nor added": {
			steps: []step{missing, taken, missing, taken, missing, taken, missing, taken},
			sent:  "PATCH POST PATCH POST PATCH POST PATCH POST",
			want:  []error{ErrAlreadyExists}, text: "already exists",
		},
		"the answer of Update lost": {
			steps: []step{answerLost, jane}, sent: "PATCH PATCH", text: "Jane",
		},
		"the answer of Update lost, and the user deleted": {
			steps: []step{answerLost, missing, jane}, sent: "PATCH PATCH POST", text: "Jane",
		},
		"the server may be waiting for a lock": {
			steps: []step{answers(504, "")}, sent: "PATCH",
			want: []error{ErrServer}, text: "may have been carried out",
		},
		"the record is locked": {
			steps: []step{locked}, sent: "PATCH",
			want: []error{ErrServer}, text: "server-locks.md",
		},
		"the answer of Add lost, and it was carried out": {
			steps: []step{missing, answerLost, taken, jane},
			sent:  "PATCH POST POST GET", text: "Jane",
		},
		"the answer of Add lost, and another added the user": {
			steps: []step{missing, answerLost, taken, answers(200, janeJSON), jane},
			sent:  "PATCH POST POST GET PATCH", text: "Jane",
		},
		"all answers of Add lost": {
			steps: append([]step{missing}, repeat(4, answerLost)...),
			sent:  "PATCH POST POST POST POST",
			want:  []error{}, text: "may have been carried out",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.run(t, func(ctx context.Context, c *Client, o ...RequestOption) (string, error) {
				u, err := c.User.Upsert(ctx, &CreateUserRequest{
					UserID:    "jane",
					FirstName: "Jane",
					Metadata:  Metadata{"k": 1},
				}, o...)
				if u == nil {
					return "", err
				}
				return u.FirstName, err
			})
		})
	}
}

func TestUserService_UpsertSendsTheSameTwice(t *testing.T) {
	t.Parallel()
	c, s, _ := scripted(t, nil, missing, answers(201, janeJSON))
	_, err := c.User.Upsert(context.Background(), &CreateUserRequest{
		UserID:    "jane",
		Email:     "jane@example.com",
		FirstName: "Jane",
		LastName:  "Smith",
		Metadata:  Metadata{"k": 1},
	})
	require.NoError(t, err)
	sent := s.requests()
	require.Len(t, sent, 2)
	assert.Equal(t, `{"user_id":"jane","email":"jane@example.com","first_name":"Jane",`+
		`"last_name":"Smith","metadata":{"k":1}}`, sent[0].body)
	assert.Equal(t, sent[0].body, sent[1].body)
}

// TestUserService_UpsertQueues checks that an Upsert waits for the turn of metadata updates, and
// that nobody waits for what it adds.
func TestUserService_UpsertQueues(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	updating, goOn := make(chan struct{}), make(chan struct{})
	adding, goOnAdding := make(chan struct{}), make(chan struct{})
	c, s, _ := scripted(t, nil,
		func(req *http.Request) (*http.Response, error) {
			close(updating)
			<-goOn
			return answersRecord(req)
		},
		missing,
		func(req *http.Request) (*http.Response, error) {
			close(adding)
			<-goOnAdding
			return answers(201, janeJSON)(req)
		},
		answersRecord,
	)
	first := startUpdate(ctx, c, "session", "s", 1)
	<-updating
	upserted := make(chan error)
	go func() {
		_, err := c.User.Upsert(ctx, &CreateUserRequest{UserID: "jane", Metadata: Metadata{"k": 1}})
		upserted <- err
	}()
	waitUntil(t, "the Upsert waits for the update of the session", func() bool {
		return waiting(c.updates, allMetadata[0]) == 1
	})
	assert.Len(t, s.requests(), 1)
	close(goOn)
	require.NoError(t, <-first)
	<-adding
	require.NoError(t, <-startUpdate(ctx, c, "user", "jane", 1), "it does not wait for the Add")
	close(goOnAdding)
	require.NoError(t, <-upserted)
}

func TestSessionService_GetOrAdd(t *testing.T) {
	t.Parallel()
	taken := answers(400, sessionTaken)
	mine := answers(200, `{"session_id":"s","user_id":"jane","uuid":"jane's"}`)
	joes := answers(200, `{"session_id":"s","user_id":"joe","uuid":"joe's"}`)
	nobodys := answers(200, `{"session_id":"s","user_id":null,"uuid":"nobody's"}`)
	unused, used := answers(200, `{"messages":[]}`), answers(200, `{"messages":[{"uuid":"m"}]}`)
	ok := answers(200, "OK")
	exists := []error{ErrAlreadyExists}
	for name, test := range map[string]getOrAddTest{
		"there":   {steps: []step{mine}, sent: "GET", text: "jane's"},
		"missing": {steps: []step{missing, mine}, sent: "GET POST", text: "jane's"},
		"added by another between the two": {
			steps: []step{missing, taken, mine}, sent: "GET POST GET", text: "jane's",
		},
		"deleted": {
			steps: []step{missing, taken, missing, mine},
			sent:  "GET POST GET PATCH", text: "jane's",
		},
		"deleted, and purged before it is back": {
			steps: []step{missing, taken, missing, missing, mine},
			sent:  "GET POST GET PATCH POST", text: "jane's",
		},
		"deleted, purged and added by another": {
			steps: []step{missing, taken, missing, missing, taken, mine},
			sent:  "GET POST GET PATCH POST GET", text: "jane's",
		},
		"neither found nor added": {
			steps: []step{
				missing, taken, missing, missing, taken, missing, missing, taken, missing, missing,
				taken,
			},
			sent: "GET POST GET PATCH POST GET PATCH POST GET PATCH POST", want: exists,
			text: "already exists",
		},
		"of another user": {
			steps: []step{joes}, sent: "GET", want: exists, text: `"s" belongs to another user`,
		},
		"of nobody": {
			steps: []step{nobodys}, sent: "GET", want: exists, text: `"s" belongs to nobody`,
		},
		"added for another user between the two": {
			steps: []step{missing, taken, joes}, sent: "GET POST GET", want: exists,
			text: "belongs to another user",
		},
		"of another user, and deleted": {
			steps: []step{missing, taken, missing, joes, unused, ok},
			sent:  "GET POST GET PATCH GET DELETE", want: exists, text: "belongs to another user",
		},
		"of nobody, and deleted": {
			steps: []step{missing, taken, missing, nobodys, unused, ok},
			sent:  "GET POST GET PATCH GET DELETE", want: exists, text: "belongs to nobody",
		},
		"of another user, and deleted, on a server before 0.20": {
			steps: []step{missing, taken, missing, joes, missing, ok},
			sent:  "GET POST GET PATCH GET DELETE", want: exists, text: "belongs to another user",
		},
		"of another user, who brings it back at the same time": {
			steps: []step{missing, taken, missing, joes, used},
			sent:  "GET POST GET PATCH GET", want: exists, text: "belongs to another user",
		},
		"of another user, who deletes it at the same time": {
			steps: []step{missing, taken, missing, joes, unused, missing},
			sent:  "GET POST GET PATCH GET DELETE", want: exists, text: "belongs to another user",
		},
		"of another user, and cannot be deleted again": {
			steps: []step{missing, taken, missing, joes, unused, answers(500, "no space\n")},
			sent:  "GET POST GET PATCH GET DELETE",
			want:  []error{ErrAlreadyExists, ErrServer},
			text:  "could not delete it again: zep: DELETE /zep/api/v1/sessions/s/memory: 500: no space",
		},
		"of another user, and not known whether it is used": {
			steps: []step{missing, taken, missing, joes, answers(401, "token is expired\n")},
			sent:  "GET POST GET PATCH GET",
			want:  []error{ErrAlreadyExists, ErrUnauthorized},
			text:  "could not delete it again: zep: GET /zep/api/v1/sessions/s/memory: 401",
		},
		"the answer of Get lost": {
			steps: []step{answerLost, mine}, sent: "GET GET", text: "jane's",
		},
		"the answer of Add lost, and it was carried out": {
			steps: []step{missing, answerLost, taken, mine},
			sent:  "GET POST POST GET", text: "jane's",
		},
		"the answer of Add lost, and another deleted it": {
			steps: []step{missing, answerLost, taken, missing, missing, mine},
			sent:  "GET POST POST GET GET PATCH", text: "jane's",
		},
		"the answer of the second Get lost": {
			steps: []step{missing, taken, answerLost, missing, mine},
			sent:  "GET POST GET GET PATCH", text: "jane's",
		},
		"the answer of Update lost": {
			steps: []step{missing, taken, missing, answerLost, answers(504, ""), mine},
			sent:  "GET POST GET PATCH PATCH PATCH", text: "jane's",
		},
		"the answer of Update lost, of another user's": {
			steps: []step{missing, taken, missing, answerLost, joes, used},
			sent:  "GET POST GET PATCH PATCH GET", want: exists, text: "belongs to another user",
		},
		"the answer of Delete lost": {
			steps: []step{missing, taken, missing, joes, unused, answerLost, missing},
			sent:  "GET POST GET PATCH GET DELETE DELETE", want: exists,
			text: "belongs to another user",
		},
		"all answers of Update lost": {
			steps: append([]step{missing, taken, missing}, repeat(4, answerLost)...),
			sent:  "GET POST GET PATCH PATCH PATCH PATCH",
			want:  []error{}, text: "may have been carried out",
		},
		"for a user who is not there": {
			steps: []step{missing, answers(400, "bad request: user does not exist with user_id: jane\n")},
			sent:  "GET POST", want: []error{ErrUserNotFound, ErrBadRequest}, text: "does not exist",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := test.run(t,
				func(ctx context.Context, c *Client, o ...RequestOption) (string, error) {
					s, err := c.Session.GetOrAdd(ctx,
						&CreateSessionRequest{SessionID: "s", UserID: "jane"}, o...)
					if s == nil {
						return "", err
					}
					return s.UUID, err
				})
			if err != nil {
				assert.NotContains(t, err.Error(), "joe", "whose it is")
			}
		})
	}
}

// TestSessionService_GetOrAddOfNobody asks without a user for a session that has one.
func TestSessionService_GetOrAddOfNobody(t *testing.T) {
	t.Parallel()
	c, _, _ := scripted(t, nil, answers(200, `{"session_id":"s","user_id":"jane"}`))
	_, err := c.Session.GetOrAdd(context.Background(), &CreateSessionRequest{SessionID: "s"})
	require.ErrorIs(t, err, ErrAlreadyExists)
	c, _, _ = scripted(t, nil, answers(200, `{"session_id":"s","user_id":null}`))
	_, err = c.Session.GetOrAdd(context.Background(), &CreateSessionRequest{SessionID: "s"})
	require.NoError(t, err)
}

// TestSessionService_GetOrAddTakesNoLock checks that the update that brings a session back carries
// no metadata, and so waits for no other's.
func TestSessionService_GetOrAddTakesNoLock(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	updating, goOn := make(chan struct{}), make(chan struct{})
	back := answers(200, `{"session_id":"s"}`)
	c, s, _ := scripted(t, nil,
		func(req *http.Request) (*http.Response, error) {
			close(updating)
			<-goOn
			return answersRecord(req)
		},
		missing, answers(400, sessionTaken), missing, back,
	)
	other := startUpdate(ctx, c, "session", "other", 1)
	<-updating
	req := &CreateSessionRequest{SessionID: "s", Metadata: Metadata{"k": 1}}
	_, err := c.Session.GetOrAdd(ctx, req)
	require.NoError(t, err)
	close(goOn)
	require.NoError(t, <-other)
	sent := s.requests()
	require.Len(t, sent, 5)
	assert.Equal(t, "{}", sent[4].body)
}

// getOrAdds are the calls that are made of several, and the steps of the longest way of each.
var getOrAdds = map[string]struct {
	steps []step
	call  func(context.Context, *Client, ...RequestOption) error
}{
	"User.GetOrAdd": {
		steps: []step{missing, answers(400, userTaken), answers(200, janeJSON)},
		call: func(ctx context.Context, c *Client, opts ...RequestOption) error {
			_, err := c.User.GetOrAdd(ctx, &CreateUserRequest{UserID: "jane"}, opts...)
			return err
		},
	},
	"User.Upsert": {
		steps: []step{missing, answers(400, userTaken), answers(200, janeJSON)},
		call: func(ctx context.Context, c *Client, opts ...RequestOption) error {
			_, err := c.User.Upsert(ctx, &CreateUserRequest{UserID: "jane"}, opts...)
			return err
		},
	},
	"Session.GetOrAdd": {
		steps: []step{
			missing, answers(400, sessionTaken), missing,
			answers(200, `{"session_id":"s","user_id":"joe"}`), answers(200, `{"messages":[]}`),
			answers(200, "OK"),
		},
		call: func(ctx context.Context, c *Client, opts ...RequestOption) error {
			_, err := c.Session.GetOrAdd(ctx, &CreateSessionRequest{SessionID: "s"}, opts...)
			return err
		},
	},
}

// TestGetOrAdd_ContextEndsBetween ends the context while an answer comes, whichever it is.
func TestGetOrAdd_ContextEndsBetween(t *testing.T) {
	t.Parallel()
	for name, test := range getOrAdds {
		for n := 1; n < len(test.steps); n++ {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			steps := append([]step(nil), test.steps[:n]...)
			last := steps[n-1]
			steps[n-1] = func(req *http.Request) (*http.Response, error) {
				resp, err := last(req)
				cancel()
				return resp, err
			}
			c, s, _ := scripted(t, nil, steps...)
			err := test.call(ctx, c)
			require.ErrorIs(t, err, context.Canceled, "%s after %d", name, n)
			assert.Len(t, s.requests(), n, name)
			assert.True(t, idle(c.updates), "no update waits")
		}
	}
}

// TestGetOrAdd_OneDeadline checks that all requests share the timeout of the call.
func TestGetOrAdd_OneDeadline(t *testing.T) {
	t.Parallel()
	for name, test := range getOrAdds {
		var deadlines []time.Time
		steps := append([]step(nil), test.steps...)
		for i, next := range steps {
			steps[i] = func(req *http.Request) (*http.Response, error) {
				deadline, _ := req.Context().Deadline()
				deadlines = append(deadlines, deadline)
				return next(req)
			}
		}
		c, _, _ := scripted(t, nil, steps...)
		began := time.Now()
		_ = test.call(context.Background(), c, RequestTimeout(time.Hour))
		require.Len(t, deadlines, len(steps), name)
		assert.WithinDuration(t, began.Add(time.Hour), deadlines[0], time.Minute, name)
		for _, deadline := range deadlines {
			assert.True(t, deadline.Equal(deadlines[0]), "%s: %v", name, deadlines)
		}
	}
}

// TestGetOrAdd_Options checks that each request has the options of the call.
func TestGetOrAdd_Options(t *testing.T) {
	t.Parallel()
	for name, test := range getOrAdds {
		c, s, _ := scripted(t, nil, test.steps...)
		_ = test.call(context.Background(), c, RequestHeader("X-Tenant", "t"))
		sent := s.requests()
		require.Len(t, sent, len(test.steps), name)
		for _, request := range sent {
			assert.Equal(t, "t", request.header.Get("X-Tenant"), name)
		}
		c, s, _ = scripted(t, nil, answers(502, ""))
		require.Error(t, test.call(context.Background(), c, RequestMaxAttempts(1)), name)
		assert.Len(t, s.requests(), 1, name)
		c, _, _ = scripted(t, nil)
		require.ErrorIs(t, test.call(context.Background(), c, After(1)), ErrBadRequest, name)
	}
}

// TestCaptureResponse_RequestLeftOut has a transport that does not say what it responds to.
func TestCaptureResponse_RequestLeftOut(t *testing.T) {
	t.Parallel()
	c, _, _ := scripted(t, nil, func(req *http.Request) (*http.Response, error) {
		resp, err := answers(200, janeJSON)(req)
		resp.Request = nil
		return resp, err
	})
	var response *http.Response
	_, err := c.User.Get(context.Background(), "jane", CaptureResponse(&response))
	require.NoError(t, err)
	require.NotNil(t, response.Request)
	assert.Equal(t, "GET /zep/api/v1/user/jane",
		response.Request.Method+" "+response.Request.URL.Path)
}
