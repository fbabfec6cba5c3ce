package zep

import (
	"context"
	"encoding/json"
	"maps"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	userTaken    = "bad request: user already exists with user_id: jane\n"
	sessionTaken = "bad request: session already exists with session_id: s\n"
)

// lostAnswers are attempts whose outcome is ambiguous for a write.
var lostAnswers = map[string]step{
	"the connection broke": answerLost,
	"502":                  answers(502, "<html>502 Bad Gateway</html>"),
	"503":                  answers(503, ""),
	"504":                  answers(504, ""),
	"cut short":            truncated(201, `{"user_id":`),
	"HTML":                 answers(201, "<html>welcome</html>"),
}

// proofs are attempts that prove that nothing was done.
var proofs = map[string]step{
	"429":                answers(429, ""),
	"no connection":      neverDialled,
	"cut before written": cutBeforeWritten,
}

var (
	// large is metadata that the server changes. It rounds integers beyond 2^53 and drops empty
	// maps.
	large = Metadata{
		"n":     int64(9007199254740993),
		"deep":  map[string]any{"n": int64(9223372036854775807), "empty": map[string]any{}},
		"empty": map[string]any{"of": Metadata{}},
		"list":  []any{1, "x", nil, true},
		"none":  nil,
	}
	largeStored = `{"n":9007199254740992,"deep":{"n":9223372036854775807},` +
		`"list":[1,"x",null,true],"none":null}`
)

func TestReconcileAdd_User(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		req     CreateUserRequest
		stored  string // the fields of the user that is stored
		created bool
	}{
		"only an id": {CreateUserRequest{}, ``, true},
		"everything": {
			CreateUserRequest{
				Email:     "e",
				FirstName: "f",
				LastName:  "l",
				Metadata:  Metadata{"a": 1},
			},
			`,"email":"e","first_name":"f","last_name":"l","metadata":{"a":1}`, true,
		},
		"what the server changes": {
			CreateUserRequest{Metadata: large}, `,"metadata":` + largeStored, true,
		},
		"nil metadata, none stored":   {CreateUserRequest{}, `,"metadata":null`, true},
		"nil metadata, empty stored":  {CreateUserRequest{}, `,"metadata":{}`, true},
		"empty metadata, none stored": {CreateUserRequest{Metadata: Metadata{}}, ``, true},
		"metadata of empty maps": {
			CreateUserRequest{Metadata: Metadata{"a": Metadata{"b": Metadata{}}}}, ``, true,
		},
		"1.0 is 1": {CreateUserRequest{Metadata: Metadata{"a": 1.0}}, `,"metadata":{"a":1}`, true},
		"types of the caller": {
			CreateUserRequest{Metadata: Metadata{
				"a": struct{ B []int }{[]int{1}}, "c": json.Number("2"),
			}},
			`,"metadata":{"a":{"B":[1]},"c":2}`, true,
		},
		"types that encode themselves": {
			CreateUserRequest{Metadata: Metadata{
				"raw":  json.RawMessage(`{"a": 1.50, "b": {}, "\u0061": 2, "n": 9007199254740993}`),
				"time": time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC),
			}},
			`,"metadata":{"raw":{"a":2,"n":9007199254740992},"time":"2026-11-25T00:00:00Z"}`, true,
		},
		"empty maps in lists": {
			CreateUserRequest{Metadata: Metadata{
				"a": []any{Metadata{"b": Metadata{}}, Metadata{}, []any{Metadata{"c": Metadata{}}}},
			}},
			`,"metadata":{"a":[{},{},[{}]]}`, true,
		},
		"an empty list is no empty map": {
			CreateUserRequest{Metadata: Metadata{"a": []any{}}}, ``, false,
		},
		"numbers at the ends": {
			CreateUserRequest{Metadata: Metadata{
				"a": math.Copysign(0, -1), "b": math.MaxFloat64, "c": 1e-7, "d": uint64(1<<64 - 1),
				"e": float32(0.1), "f": json.Number("1e-400"),
			}},
			`,"metadata":{"a":0,"b":1.7976931348623157e308,"c":0.0000001,"d":18446744073709552000,` +
				`"e":0.1,"f":0}`, true,
		},
		"text that JSON escapes": {
			CreateUserRequest{FirstName: "<&>\u2028", Metadata: Metadata{"<": "&"}},
			`,"first_name":"<&>\u2028","metadata":{"<":"&"}`, true,
		},
		"another email":      {CreateUserRequest{Email: "e"}, `,"email":"other"`, false},
		"another first name": {CreateUserRequest{FirstName: "f"}, `,"first_name":"F"`, false},
		"another last name":  {CreateUserRequest{LastName: "l"}, ``, false},
		"an email not sent":  {CreateUserRequest{}, `,"email":"other"`, false},
		"another value": {
			CreateUserRequest{Metadata: Metadata{"a": 1}}, `,"metadata":{"a":2}`, false,
		},
		"another type": {
			CreateUserRequest{Metadata: Metadata{"a": 1}}, `,"metadata":{"a":"1"}`, false,
		},
		"one key more": {
			CreateUserRequest{Metadata: Metadata{"a": 1}}, `,"metadata":{"a":1,"b":null}`, false,
		},
		"one key less": {
			CreateUserRequest{Metadata: Metadata{"a": 1, "b": nil}}, `,"metadata":{"a":1}`, false,
		},
		"another order": {
			CreateUserRequest{Metadata: Metadata{"a": []int{1, 2}}},
			`,"metadata":{"a":[2,1]}`, false,
		},
		"metadata not sent": {CreateUserRequest{}, `,"metadata":{"a":1}`, false},
		"another integer, rounded": {
			CreateUserRequest{Metadata: Metadata{"n": int64(9007199254740993)}},
			`,"metadata":{"n":9007199254740994}`, false,
		},
	}
	for name, test := range tests {
		for how, lost := range lostAnswers {
			t.Run(name+"/"+how, func(t *testing.T) {
				t.Parallel()
				req := test.req
				req.UserID = "jane"
				sent := req
				sent.Metadata = maps.Clone(req.Metadata)
				stored := `{"uuid":"u","id":7,"user_id":"jane"` + test.stored + `}`
				c, s, _ := scripted(t, nil, lost, answers(400, userTaken), answers(200, stored))
				user, err := c.User.Add(context.Background(), &req)
				requests := s.requests()
				require.Len(t, requests, 3)
				assert.Equal(t, "GET http://zep.test/zep/api/v1/user/jane",
					requests[2].method+" "+requests[2].url)
				assert.Equal(t, sent, req, "the request is not modified")
				if test.created {
					require.NoError(t, err)
					assert.Equal(t, "u", user.UUID, "the user that was read back")
					assert.EqualValues(t, 7, user.ID)
					return
				}
				assert.Nil(t, user)
				assert.Equal(t, []error{ErrAlreadyExists}, matched(err))
				assert.Equal(t, 2, requireError(t, err).Attempts)
			})
		}
	}
}

// counter is a json.Marshaler whose JSON is another one each time.
type counter struct{ n int }

func (c *counter) MarshalJSON() ([]byte, error) {
	c.n++
	return json.Marshal(c.n)
}

// TestReconcileAdd_ComparesWhatWasSent checks that the request is not encoded again.
func TestReconcileAdd_ComparesWhatWasSent(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	stored := `{"name":"docs","session_id":"s","user_id":"jane","embedding_dimensions":8,` +
		`"metadata":{"n":1}}`
	for kind, add := range map[string]func(*Client) error{
		"user": func(c *Client) error {
			_, err := c.User.Add(ctx, &CreateUserRequest{
				UserID:   "jane",
				Metadata: Metadata{"n": new(counter)},
			})
			return err
		},
		"session": func(c *Client) error {
			_, err := c.Session.Add(ctx, &CreateSessionRequest{
				SessionID: "s",
				UserID:    "jane",
				Metadata:  Metadata{"n": new(counter)},
			})
			return err
		},
		"collection": func(c *Client) error {
			_, err := c.Collection.Add(ctx, &CreateCollectionRequest{
				Name:                "docs",
				EmbeddingDimensions: 8,
				Metadata:            Metadata{"n": new(counter)},
			})
			return err
		},
	} {
		c, s, _ := scripted(t, nil, answerLost, answers(400, kind+" already exists"),
			answers(200, stored))
		require.NoError(t, add(c), kind)
		assert.Len(t, s.requests(), 3)
	}
}

func TestReconcileAdd_Session(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		req     CreateSessionRequest
		stored  string
		created bool
	}{
		"no user": {CreateSessionRequest{}, `,"user_id":null,"metadata":null`, true},
		"a user": {
			CreateSessionRequest{UserID: "jane", Metadata: Metadata{"a": 1}},
			`,"user_id":"jane","metadata":{"a":1}`, true,
		},
		"what the server changes": {
			CreateSessionRequest{Metadata: large},
			`,"user_id":null,"metadata":` + largeStored, true,
		},
		"empty metadata": {
			CreateSessionRequest{Metadata: Metadata{}}, `,"metadata":null`, true,
		},
		"another user":      {CreateSessionRequest{UserID: "jane"}, `,"user_id":"john"`, false},
		"a user not stored": {CreateSessionRequest{UserID: "jane"}, `,"user_id":null`, false},
		"a user stored":     {CreateSessionRequest{}, `,"user_id":"jane"`, false},
		"other metadata": {
			CreateSessionRequest{Metadata: Metadata{"a": 1}}, `,"metadata":{"a":2}`, false,
		},
		"metadata not sent": {CreateSessionRequest{}, `,"metadata":{"a":2}`, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req := test.req
			req.SessionID = "s"
			stored := `{"uuid":"u","session_id":"s"` + test.stored + `}`
			c, s, _ := scripted(t, nil, answerLost, answers(400, sessionTaken),
				answers(200, stored))
			session, err := c.Session.Add(context.Background(), &req)
			assert.Equal(t, "http://zep.test/zep/api/v1/sessions/s", s.requests()[2].url)
			if test.created {
				require.NoError(t, err)
				assert.Equal(t, "u", session.UUID)
				return
			}
			assert.Nil(t, session)
			assert.Equal(t, []error{ErrAlreadyExists}, matched(err))
		})
	}
}

// TestReconcileAdd_NoAmbiguousAttempt checks that the record is not read back: without an
// ambiguous attempt, this call cannot have created it.
func TestReconcileAdd_NoAmbiguousAttempt(t *testing.T) {
	t.Parallel()
	run := func(t *testing.T, steps ...step) {
		t.Helper()
		c, _, _ := scripted(t, nil, append(steps, answers(400, userTaken))...)
		_, err := c.User.Add(context.Background(), &CreateUserRequest{UserID: "jane"})
		assert.Equal(t, []error{ErrAlreadyExists}, matched(err))
		assert.NotContains(t, err.Error(), "may have been carried out")

		c, _, _ = scripted(t, nil, append(steps, answers(400, sessionTaken))...)
		_, err = c.Session.Add(context.Background(), &CreateSessionRequest{SessionID: "s"})
		assert.Equal(t, []error{ErrAlreadyExists}, matched(err))
	}
	t.Run("first", func(t *testing.T) {
		t.Parallel()
		run(t)
	})
	for first, one := range proofs {
		t.Run(first, func(t *testing.T) {
			t.Parallel()
			run(t, one)
		})
		for second, other := range proofs {
			t.Run(first+", then "+second, func(t *testing.T) {
				t.Parallel()
				run(t, one, other)
			})
		}
	}
}

// TestReconcile_AmbiguousAttemptAmongOthers checks that an attempt which proves that it did
// nothing says nothing about the ambiguous one.
func TestReconcile_AmbiguousAttemptAmongOthers(t *testing.T) {
	t.Parallel()
	for first, lost := range lostAnswers {
		for second, proof := range proofs {
			for _, steps := range [][]step{{lost, proof}, {proof, lost}} {
				t.Run(first+" and "+second, func(t *testing.T) {
					t.Parallel()
					c, _, _ := scripted(t, nil,
						steps[0], steps[1], answers(400, userTaken), answers(200, janeJSON))
					_, err := c.User.Add(context.Background(), &CreateUserRequest{UserID: "jane"})
					require.NoError(t, err)

					gone := answers(404, "not found\n")
					c, _, _ = scripted(t, nil, steps[0], steps[1], gone, gone)
					require.NoError(t, c.User.Delete(context.Background(), "jane"))
				})
			}
		}
	}
}

func TestReconcileAdd_ReadBackFails(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		readBack []step
		want     []error
	}{
		"the server fails": {repeat(4, answers(500, "")), []error{ErrServer}},
		"no connection":    {repeat(4, neverDialled), nil},
		"the key has expired": {
			[]step{answers(401, "token is expired")}, []error{ErrUnauthorized},
		},
		"a redirect":             {[]step{answers(302, "", "Location", "/login")}, nil},
		"an unexpected response": {repeat(4, answers(200, "<html>")), nil},
		"null":                   {repeat(4, answers(200, "null")), nil},
		"an unknown path": {
			[]step{answers(404, "404 page not found")}, []error{ErrEndpointNotFound},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			steps := append([]step{answerLost, answers(400, userTaken)}, test.readBack...)
			c, _, _ := scripted(t, nil, steps...)
			user, err := c.User.Add(context.Background(), &CreateUserRequest{UserID: "jane"})
			require.Error(t, err)
			assert.Nil(t, user)
			assert.Equal(t, test.want, matched(err))
			assert.ErrorContains(t, err, "zep: POST /zep/api/v1/user: "+
				"it exists, but could not verify whether this call created it: ")
			assert.Equal(t, "GET", requireError(t, err).Method, "the failed read can be inspected")
			assertOneLine(t, err.Error())
		})
	}
}

func TestReconcileAdd_ContextEndsDuringReadBack(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c, s, _ := scripted(t, nil, answerLost, answers(400, userTaken),
		func(*http.Request) (*http.Response, error) {
			cancel()
			return nil, context.Canceled
		})
	_, err := c.User.Add(ctx, &CreateUserRequest{UserID: "jane"})
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, ErrAlreadyExists)
	assert.Len(t, s.requests(), 3)
}

// TestReconcileAdd_DeletedSession checks a session that cannot be read back because it was
// deleted. This call did not create it.
func TestReconcileAdd_DeletedSession(t *testing.T) {
	t.Parallel()
	c, _, _ := scripted(t, nil, answerLost, answers(400, sessionTaken),
		answers(404, "not found\n"))
	_, err := c.Session.Add(context.Background(), &CreateSessionRequest{SessionID: "s"})
	assert.Equal(t, []error{ErrAlreadyExists}, matched(err))
	assert.Equal(t, "POST", requireError(t, err).Method)
}

func TestReconcileAdd_SecondAttemptSucceeds(t *testing.T) {
	t.Parallel()
	for how, lost := range lostAnswers {
		c, s, _ := scripted(t, nil, lost, answers(201, `{"uuid":"u","user_id":"jane"}`))
		user, err := c.User.Add(context.Background(), &CreateUserRequest{UserID: "jane"})
		require.NoError(t, err, how)
		assert.Equal(t, "u", user.UUID)
		assert.Len(t, s.requests(), 2)
	}
}

func TestReconcileAdd_StaysAmbiguous(t *testing.T) {
	t.Parallel()
	for how, lost := range lostAnswers {
		c, _, _ := scripted(t, nil, repeat(4, lost)...)
		_, err := c.User.Add(context.Background(), &CreateUserRequest{UserID: "jane"})
		require.ErrorContains(t, err,
			"the outcome of an attempt is unknown: it may have been carried out", how)
		assert.Equal(t, 4, requireError(t, err).Attempts)
		assert.NotErrorIs(t, err, ErrAlreadyExists)
	}
	c, _, _ := scripted(t, nil, answerLost, answers(400, "bad request: something else"))
	_, err := c.User.Add(context.Background(), &CreateUserRequest{UserID: "jane"})
	assert.Equal(t, []error{ErrBadRequest}, matched(err), "another refusal is returned as it is")
	assert.ErrorContains(t, err, "may have been carried out")
}

func TestReconcileDelete_NotFound(t *testing.T) {
	t.Parallel()
	gone := answers(404, "not found\n")
	for name, call := range serviceCalls() {
		if !strings.HasPrefix(call.endpoint, "DELETE ") {
			continue
		}
		del := func(c *Client) error { return invoke(context.Background(), c, name, call.args) }
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for how, lost := range lostAnswers {
				if strings.HasPrefix(how, "cut short") {
					lost = truncated(200, "O")
				}
				steps := []step{lost, gone}
				if name == "User.Delete" {
					steps = append(steps, gone) // the look whether the user is gone
				}
				c, s, _ := scripted(t, nil, steps...)
				require.NoError(t, del(c), how)
				assert.Len(t, s.requests(), len(steps), how)

				c, _, _ = scripted(t, nil, lost, answers(200, "OK"))
				require.NoError(t, del(c), how)

				// A proxy or a wrong server that has no such page proves nothing about the record.
				for _, page := range []step{
					answers(404, "404 page not found\n"), answers(404, "backend not found"),
					answers(404, "<html>"), answers(404, ""), answers(405, ""),
				} {
					c, _, _ = scripted(t, nil, lost, page)
					err := del(c)
					assert.Equal(t, []error{ErrEndpointNotFound}, matched(err), how)
					assert.ErrorContains(t, err, "may have been carried out")
				}
			}
			c, _, _ := scripted(t, nil, gone)
			assert.Equal(t, []error{ErrNotFound}, matched(del(c)), "it did not exist")
			for how, proof := range proofs {
				c, _, _ := scripted(t, nil, proof, gone)
				assert.Equal(t, []error{ErrNotFound}, matched(del(c)), how)
				for other, second := range proofs {
					c, _, _ := scripted(t, nil, proof, second, gone)
					assert.Equal(t, []error{ErrNotFound}, matched(del(c)), how+", then "+other)
				}
			}
		})
	}
}

// TestReconcileDelete_UserRemains checks a user whose delete was cut off between two sessions: the
// "not found" of the next attempt is about a session.
func TestReconcileDelete_UserRemains(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	gone, jane := answers(404, "not found\n"), answers(200, janeJSON)
	deleted, down := answers(200, "OK"), answers(500, "storage error")
	for name, test := range map[string]struct {
		steps []step
		want  error
		waits int // that are not between two attempts
	}{
		"deleted again":     {[]step{answerLost, gone, jane, deleted}, nil, 0},
		"gone meanwhile":    {[]step{answerLost, gone, jane, gone, gone}, nil, 1},
		"sessions are left": {[]step{answerLost, gone, jane, gone, jane, gone, jane, deleted}, nil, 2},
		"the look fails":    {append([]step{answerLost, gone}, repeat(4, down)...), ErrServer, 3},
		"the delete fails":  {[]step{answerLost, gone, jane, down}, ErrServer, 0},
	} {
		c, s, clock := scripted(t, nil, test.steps...)
		err := c.User.Delete(ctx, "jane")
		if test.want == nil {
			require.NoError(t, err, name)
		} else {
			require.ErrorIs(t, err, test.want, name)
			require.NotErrorIs(t, err, ErrNotFound, name)
			require.ErrorContains(t, err, "could not verify whether the user is gone", name)
		}
		assert.Len(t, s.requests(), len(test.steps), name)
		assert.Len(t, clock.waited(), 1+test.waits, name)
	}

	// The deadline of the call bounds it.
	forever := roundTripFunc(func(req *http.Request) (*http.Response, error) {
		if req.Method == http.MethodGet {
			return jane(req)
		}
		return gone(req)
	})
	first := true
	c, _ := clientWith(t, roundTripFunc(func(req *http.Request) (*http.Response, error) {
		if first {
			first = false
			return answerLost(req)
		}
		return forever(req)
	}))
	err := c.User.Delete(ctx, "jane", RequestTimeout(50*time.Millisecond))
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// TestReconcileUpdate_SentAgain checks that an update is repeated. Merging the same metadata twice
// changes nothing.
func TestReconcileUpdate_SentAgain(t *testing.T) {
	t.Parallel()
	for how, lost := range lostAnswers {
		metadata := Metadata{"a": 1}
		c, s, _ := scripted(t, nil,
			lost, lost, answers(200, `{"user_id":"jane","metadata":{"a":1}}`))
		user, err := c.User.Update(context.Background(),
			&UpdateUserRequest{UserID: "jane", Metadata: metadata})
		if how == "504" { // the server may be waiting for the lock of the record
			require.ErrorIs(t, err, ErrAmbiguous)
			require.Len(t, s.requests(), 1)
			continue
		}
		require.NoError(t, err, how)
		assert.Equal(t, Metadata{"a": 1.0}, user.Metadata)
		require.Len(t, s.requests(), 3)
		assert.Equal(t, s.requests()[0], s.requests()[2])

		c, _, _ = scripted(t, nil, lost, answers(200, `{"session_id":"s","metadata":{"a":1}}`))
		_, err = c.Session.Update(context.Background(),
			&UpdateSessionRequest{SessionID: "s", Metadata: metadata})
		require.NoError(t, err, how)

		c, _, _ = scripted(t, nil, lost, answers(404, "not found\n"))
		_, err = c.User.Update(context.Background(), &UpdateUserRequest{UserID: "jane"})
		assert.Equal(t, []error{ErrNotFound}, matched(err), how)
	}
}

func TestReconcileAdd_KeepsRequestOptions(t *testing.T) {
	t.Parallel()
	c, s, _ := scripted(t, nil, answerLost, answers(400, userTaken),
		answers(200, `{"user_id":"jane"}`))
	_, err := c.User.Add(context.Background(), &CreateUserRequest{UserID: "jane"},
		RequestHeader("X-Trace", "t"))
	require.NoError(t, err)
	assert.Equal(t, "t", s.requests()[2].header.Get("X-Trace"))
	assert.Empty(t, s.requests()[2].body)
}
