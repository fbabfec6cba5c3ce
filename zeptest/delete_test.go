package zeptest_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep/zeptest"
)

// newServerWithSessions has a user u with the sessions 1 to 3, each with a message.
func newServerWithSessions(t *testing.T) *zeptest.Server {
	t.Helper()
	s := newServer(t)
	addUsers(t, s, "u")
	for _, id := range []string{"1", "2", "3"} {
		status, answer := send(t, s, "POST", "/sessions", `{"session_id":"`+id+`","user_id":"u"}`)
		require.Equal(t, 201, status, answer)
		addMessages(t, s, id, "of "+id)
	}
	return s
}

func sessionsOf(t *testing.T, s *zeptest.Server, userID string) []string {
	t.Helper()
	_, answer := send(t, s, "GET", "/user/"+userID+"/sessions", "")
	ids := []string{}
	for _, session := range decode[[]record](t, answer) {
		ids = append(ids, session.SessionID)
	}
	return ids
}

// TestDeleteUser_RemovesSessionsForGood deletes a user with a session that is there, and one that
// was deleted before.
func TestDeleteUser_RemovesSessionsForGood(t *testing.T) {
	t.Parallel()
	s := newServerWithSessions(t)
	const message = `{"messages":[{"uuid":"` + uuid1 + `","content":"x"}]}`
	const deletedMessage = `{"messages":[{"uuid":"` + uuid2 + `","content":"x"}]}`
	send(t, s, "POST", "/sessions/1/memory", message)
	send(t, s, "POST", "/sessions/2/memory", deletedMessage)
	require.NoError(t, s.SetSummary("1", "gone"))
	send(t, s, "DELETE", "/sessions/2/memory", "")

	status, _ := send(t, s, "DELETE", "/user/u", "")
	require.Equal(t, 200, status)
	for _, id := range []string{"1", "2", "3"} {
		status, _ = send(t, s, "PATCH", "/sessions/"+id, someMetadata)
		assert.Equal(t, 404, status, id)
		status, answer := send(t, s, "POST", "/sessions", `{"session_id":"`+id+`"}`)
		assert.Equal(t, 201, status, answer)
		got, list := getMessages(t, s, "/sessions/"+id+"/memory")
		assert.Empty(t, got)
		assert.Equal(t, none, list.Summary.UUID)
	}
	for _, body := range []string{message, deletedMessage} {
		status, answer := send(t, s, "POST", "/sessions/1/memory", body)
		assert.Equal(t, 200, status, answer)
	}
	addUsers(t, s, "u")
	assert.Empty(t, sessionsOf(t, s, "u"))
}

// TestDeleteUser_CutOff cuts off a delete after the first session. The user stays, with the other
// sessions.
func TestDeleteUser_CutOff(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]zeptest.Fault{
		"by the network": {Cut: true},
		"by a proxy":     {Status: 502},
		"by the client":  {Delay: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServerWithSessions(t)
			fault.Method, fault.Route, fault.Steps = "DELETE", "/user/{userId}", 2
			s.Inject(fault)
			ctx, leave := context.WithTimeout(context.Background(), 10*time.Second)
			defer leave()
			if fault.Delay > 0 {
				go func() {
					assert.Eventually(t, func() bool {
						return len(sessionsOf(t, s, "u")) == 2
					}, 10*time.Second, time.Millisecond)
					leave()
				}()
			}
			answer, err := tryContext(ctx, s, "DELETE", "/user/u", "")
			if fault.Status != 0 {
				require.NoError(t, err)
				assert.Equal(t, fault.Status, answer.StatusCode)
			} else {
				require.Error(t, err)
			}

			status, _ := send(t, s, "GET", "/user/u", "")
			assert.Equal(t, 200, status)
			assert.Equal(t, []string{"2", "3"}, sessionsOf(t, s, "u"))
			status, text := send(t, s, "POST", "/sessions", `{"session_id":"1"}`)
			assert.Equal(t, 400, status, text) // it is only soft-deleted

			status, _ = send(t, s, "DELETE", "/user/u", "")
			assert.Equal(t, 200, status)
			status, _ = send(t, s, "POST", "/sessions", `{"session_id":"1"}`)
			assert.Equal(t, 201, status)
		})
	}
}

// TestDeleteUser_Twice has two deletes of one user. One of the sessions that the second has found
// is deleted meanwhile: the second is answered with 404, although the user is there.
func TestDeleteUser_Twice(t *testing.T) {
	t.Parallel()
	s := newServerWithSessions(t)
	s.Inject(
		zeptest.Fault{Method: "DELETE", Steps: 2, Delay: time.Hour}, // the first
		zeptest.Fault{Method: "DELETE", Steps: 2, Delay: time.Second},
	)
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	first := make(chan error)
	go func() {
		_, err := tryContext(ctx, s, "DELETE", "/user/u", "")
		first <- err
	}()
	require.Eventually(t, func() bool { return len(sessionsOf(t, s, "u")) == 2 },
		10*time.Second, time.Millisecond)

	second := make(chan int)
	go func() {
		answer, err := try(s, "DELETE", "/user/u", "")
		assert.NoError(t, err)
		second <- answer.StatusCode
	}()
	require.Eventually(t, func() bool { return len(sessionsOf(t, s, "u")) == 1 },
		10*time.Second, time.Millisecond)
	status, _ := send(t, s, "DELETE", "/sessions/3/memory", "") // as the first would
	assert.Equal(t, 200, status)
	assert.Equal(t, 404, <-second)
	leave()
	require.Error(t, <-first)

	status, _ = send(t, s, "GET", "/user/u", "")
	assert.Equal(t, 200, status, "the user is there")
	assert.Empty(t, sessionsOf(t, s, "u"))
}
