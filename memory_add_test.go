package zep

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// version4 matches a random UUID of RFC 9562.
var version4 = regexp.MustCompile(
	`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestNewUUID_Version4(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	variants := map[byte]bool{}
	for range 1000 {
		u := newUUID()
		require.Regexp(t, version4, u)
		require.False(t, seen[u], "generated twice")
		seen[u] = true
		variants[u[19]] = true
	}
	assert.Len(t, variants, 4, "the other bits are random")
}

// sentUUIDs returns the UUIDs of the messages in an add's body.
func sentUUIDs(t *testing.T, body string) (uuids []string) {
	t.Helper()
	var sent struct{ Messages []struct{ UUID string } }
	require.NoError(t, json.Unmarshal([]byte(body), &sent))
	for _, m := range sent.Messages {
		uuids = append(uuids, m.UUID)
	}
	return uuids
}

// TestMemoryAdd_UUIDsInCopy shares one request between goroutines, so that the race detector
// reports any write to it.
func TestMemoryAdd_UUIDsInCopy(t *testing.T) {
	t.Parallel()
	request := func() *AddMemoryRequest {
		return &AddMemoryRequest{Metadata: Metadata{"m": 1}, Messages: []*Message{
			{Role: RoleHuman, Content: "a", Metadata: Metadata{"k": 1}},
			{UUID: strings.ToUpper(uuid1), Content: "b"}, {Content: "c"},
		}}
	}
	c, s, _ := scripted(t, nil, repeat(4, answers(200, "OK"))...)
	shared := request()
	var adding sync.WaitGroup
	for range 4 {
		adding.Add(1)
		go func() {
			defer adding.Done()
			assert.NoError(t, c.Memory.Add(context.Background(), "s", shared))
		}()
	}
	adding.Wait()
	assert.Equal(t, request(), shared, "not modified")
	seen := map[string]bool{}
	for _, add := range s.requests() {
		uuids := sentUUIDs(t, add.body)
		require.Len(t, uuids, 3)
		assert.Equal(t, strings.ToUpper(uuid1), uuids[1], "the caller's UUID is kept")
		for _, u := range []string{uuids[0], uuids[2]} {
			assert.Regexp(t, version4, u)
			assert.False(t, seen[u], "new in every add")
			seen[u] = true
		}
	}
}

// TestMemoryAdd_ZeroUUID checks that the zero UUID is replaced: the server ignores it, and would
// give the message another UUID in every attempt.
func TestMemoryAdd_ZeroUUID(t *testing.T) {
	t.Parallel()
	for _, zero := range []string{zeroUUID, "{" + zeroUUID + "}", "urn:uuid:" + zeroUUID,
		"URN:UUID:" + zeroUUID, strings.ReplaceAll(zeroUUID, "-", "")} {
		c, s, _ := scripted(t, nil, answerLost, answers(200, "OK"))
		req := &AddMemoryRequest{Messages: []*Message{{UUID: zero}, {UUID: zero}}}
		require.NoError(t, c.Memory.Add(context.Background(), "s", req))
		uuids := sentUUIDs(t, s.requests()[0].body)
		assert.Regexp(t, version4, uuids[0], zero)
		assert.NotEqual(t, uuids[0], uuids[1])
		assert.Equal(t, s.requests()[0].body, s.requests()[1].body, "every attempt sends the same")
	}
	// The server refuses a malformed UUID.
	for _, malformed := range []string{"-", "{}", "urn:uuid:", "0", "xyz"} {
		c, s, _ := scripted(t, nil, answers(400, "invalid UUID length: 1\n"))
		req := &AddMemoryRequest{Messages: []*Message{{UUID: malformed}}}
		require.ErrorIs(t, c.Memory.Add(context.Background(), "s", req), ErrBadRequest)
		assert.Equal(t, []string{malformed}, sentUUIDs(t, s.requests()[0].body))
	}
}

const (
	messageTaken = "failed to put messages: failed to create messages ERROR: duplicate key " +
		`value violates unique constraint "message_pkey" (SQLSTATE=23505)` + "\n"
	notPublished = "failed to publish new messages pq: could not serialize access\n"
)

func TestMemoryAdd_LostResponse(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	req := &AddMemoryRequest{Messages: []*Message{{Content: "a"}, {Content: "b"}}}
	for how, lost := range lostAnswers {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			for _, steps := range [][]step{
				{lost, answers(500, messageTaken)}, {lost, lost, lost, answers(500, messageTaken)},
				{lost, answers(503, ""), answers(500, messageTaken)},
				{answers(503, ""), lost, answers(500, messageTaken)},
				{lost, answers(400, sessionTaken), answers(500, messageTaken)},
				{lost, answers(200, "OK")},
			} {
				c, s, _ := scripted(t, nil, steps...)
				require.NoError(t, c.Memory.Add(ctx, "s", req))
				requests := s.requests()
				require.Len(t, requests, len(steps),
					"with UUIDs of its own nothing needs to be read back")
				for _, again := range requests[1:] {
					assert.Equal(t, requests[0], again, "every attempt sends the same")
				}
			}

			c, _, _ := scripted(t, nil, lost)
			err := c.Memory.Add(ctx, "s", req, RequestMaxAttempts(1))
			require.ErrorContains(t, err, "may have been carried out")
			c, _, _ = scripted(t, nil, lost, answers(500, "another failure"))
			err = c.Memory.Add(ctx, "s", req)
			assert.Equal(t, []error{ErrServer}, matched(err))
			require.ErrorContains(t, err, "may have been carried out")
		})
	}
}

// TestMemoryAdd_UUIDTakenAtFirstAttempt checks that nothing is read back: without a lost
// response the stored message can't be this call's.
func TestMemoryAdd_UUIDTakenAtFirstAttempt(t *testing.T) {
	t.Parallel()
	run := func(steps ...step) {
		c, s, _ := scripted(t, nil, append(steps, answers(500, messageTaken))...)
		err := c.Memory.Add(context.Background(), "s",
			&AddMemoryRequest{Messages: []*Message{{UUID: uuid1, Content: "a"}}})
		assert.Equal(t, []error{ErrAlreadyExists, ErrServer}, matched(err))
		require.ErrorContains(t, err, "message_pkey")
		assert.NotContains(t, err.Error(), "may have been carried out")
		assert.Len(t, s.requests(), len(steps)+1)
	}
	run()
	for _, proof := range proofs {
		run(proof)
	}
	run(answers(400, sessionTaken))
}

// TestMemoryAdd_UUIDTakenAfterLostResponse checks how a taken UUID of the caller is resolved. It
// may have been taken before, by this message or by another one, in this session or elsewhere.
func TestMemoryAdd_UUIDTakenAfterLostResponse(t *testing.T) {
	t.Parallel()
	there := func(uuid, role, content string) step {
		return answers(200, fmt.Sprintf(`{"uuid":%q,"role":%q,"content":%q}`, uuid, role, content))
	}
	// The response for a message that is not in the session.
	elsewhere := repeat(4, answers(500, ""))
	a := &Message{UUID: uuid1, Role: RoleHuman, Content: "a"}
	b := &Message{UUID: uuid2, Role: RoleAI, Content: "b"}
	ours := &Message{Content: "c"}
	tests := map[string]struct {
		messages []*Message
		readBack []step
		asks     []string // UUIDs, "" for a generated one
		want     string   // in the error; "" for none
		matches  []error
	}{
		"one of ours is there": {
			[]*Message{a, ours, b},
			[]step{answersRecord},
			[]string{""},
			"",
			nil,
		},
		"one of ours is not there": {
			[]*Message{a, ours},
			elsewhere,
			[]string{"", "", "", ""},
			"message_pkey",
			[]error{ErrAlreadyExists, ErrServer},
		},
		"all are there": {
			[]*Message{a, b},
			[]step{there(uuid1, "human", "a"), there(uuid2, "ai", "b")},
			[]string{uuid1, uuid2},
			"",
			nil,
		},
		"the only one is there": {
			[]*Message{b},
			[]step{there(uuid2, "ai", "b")},
			[]string{uuid2},
			"",
			nil,
		},
		"only the first is there": {
			[]*Message{a, b},
			append([]step{there(uuid1, "human", "a")}, elsewhere...),
			[]string{uuid1, uuid2, uuid2, uuid2, uuid2},
			"message_pkey",
			[]error{ErrAlreadyExists, ErrServer},
		},
		"the first is in another session": {
			[]*Message{a, b},
			elsewhere,
			[]string{uuid1, uuid1, uuid1, uuid1},
			"message_pkey",
			[]error{ErrAlreadyExists, ErrServer},
		},
		"another content is there": {
			[]*Message{a, b},
			[]step{there(uuid1, "human", "A")},
			[]string{uuid1},
			"message_pkey",
			[]error{ErrAlreadyExists, ErrServer},
		},
		"another role is there": {
			[]*Message{a, b},
			[]step{there(uuid1, "human", "a"), there(uuid2, "human", "b")},
			[]string{uuid1, uuid2},
			"message_pkey",
			[]error{ErrAlreadyExists, ErrServer},
		},
		"text that JSON escapes": {
			[]*Message{{UUID: uuid1, Role: "<ai>", Content: "<&>\u2028\ufffd"}},
			[]step{there(uuid1, "<ai>", "<&>\u2028\uFFFD")},
			[]string{uuid1},
			"",
			nil,
		},
		"whether it is there cannot be asked": {
			[]*Message{a},
			repeat(4, neverDialled),
			[]string{uuid1, uuid1, uuid1, uuid1},
			"could not verify",
			nil,
		},
		"the key has expired": {
			[]*Message{a},
			[]step{answers(401, "token is expired\n")},
			[]string{uuid1},
			"could not verify",
			[]error{ErrUnauthorized},
		},
		"the server fails, and says so": {
			[]*Message{a},
			repeat(4, answers(500, "out of memory")),
			[]string{uuid1, uuid1, uuid1, uuid1},
			"could not verify",
			[]error{ErrServer},
		},
		"one of ours cannot be asked for": {
			[]*Message{a, ours},
			repeat(4, answers(502, "")),
			[]string{"", "", "", ""},
			"could not verify",
			[]error{ErrServer},
		},
		"a UUID that the server cannot read, lost": {
			[]*Message{{UUID: "xyz"}},
			nil,
			nil,
			"invalid UUID length: 3",
			[]error{ErrBadRequest},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refusal := answers(500, messageTaken)
			if test.readBack == nil {
				refusal = answers(400, "invalid UUID length: 3\n")
			}
			c, s, _ := scripted(t, nil, append([]step{answerLost, refusal}, test.readBack...)...)
			err := c.Memory.Add(context.Background(), "s",
				&AddMemoryRequest{Messages: test.messages}, RequestHeader("X-Trace", "t"))
			requests := s.requests()
			require.Len(t, requests, 2+len(test.asks))
			for i, request := range requests[2:] {
				uuid := test.asks[i]
				if uuid == "" {
					uuid = sentUUIDs(t, requests[0].body)[1]
				}
				assert.Equal(t, "GET "+mockURL+apiPath+"/sessions/s/messages/"+uuid,
					request.method+" "+request.url)
				assert.Equal(t, "t", request.header.Get("X-Trace"), "the options of the call apply")
			}
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.want)
			assert.Equal(t, test.matches, matched(err))
			if test.want != "could not verify" {
				require.ErrorContains(t, err, "may have been carried out")
				assert.Equal(t, 2, requireError(t, err).Attempts)
			}
			assertOneLine(t, err.Error())
		})
	}
}

func TestMemoryAdd_ContextEndsDuringReadBack(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	c, s, _ := scripted(t, nil, answerLost, answers(500, messageTaken),
		func(*http.Request) (*http.Response, error) {
			cancel()
			return nil, context.Canceled
		})
	err := c.Memory.Add(ctx, "s", &AddMemoryRequest{Messages: []*Message{{UUID: uuid1}}})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "could not verify")
	assert.Len(t, s.requests(), 3)
}

// TestMemoryAdd_SessionRace checks that an add is sent again when another one created the
// session at the same time: none of its messages was stored.
func TestMemoryAdd_SessionRace(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	req := &AddMemoryRequest{Messages: []*Message{{Content: "a"}}}
	refused, failed := []error{ErrAlreadyExists}, []error{ErrAlreadyExists, ErrServer}
	for _, test := range []struct {
		status int
		text   string
		want   []error
	}{
		{400, sessionTaken, refused},
		{400, "session already exists with session_id: s\n", refused},
		{500, "storage error: failed to Create messages (original error: bad request: session " +
			"already exists with session_id: s)\n", failed}, // up to Zep 0.18
		{500, "storage error: failed to create session (original error: ERROR: duplicate key value " +
			`violates unique constraint "session_session_id_key" (SQLSTATE=23505))`, failed}, // 0.11
	} {
		race := answers(test.status, test.text)
		c, s, clock := scripted(t, nil, race, race, race, answers(200, "OK"))
		require.NoError(t, c.Memory.Add(ctx, "s", req))
		assert.Equal(t, s.requests()[0], s.requests()[3])
		assert.Len(t, clock.waited(), 3)

		c, s, _ = scripted(t, nil, repeat(4, race)...)
		err := c.Memory.Add(ctx, "s", req)
		assert.Equal(t, test.want, matched(err))
		assert.NotContains(t, err.Error(), "may have been carried out", "nothing was")
		assert.Len(t, s.requests(), 4)

		c, _, _ = scripted(t, nil, race)
		require.ErrorIs(t, c.Memory.Add(ctx, "s", req, RequestMaxAttempts(1)), ErrAlreadyExists)
	}
	for _, text := range []string{userTaken, "bad request: no\nsession already exists",
		"messages: session already exists"} {
		c, _, _ := scripted(t, nil, answers(400, text))
		require.Error(t, c.Memory.Add(ctx, "s", req), text)
	}
	c, _, _ := scripted(t, nil, answers(400, sessionTaken))
	_, err := c.Session.Add(ctx, &CreateSessionRequest{SessionID: "s"})
	require.ErrorIs(t, err, ErrAlreadyExists, "not a race for Session.Add")
}

// TestMemoryAdd_NotPublished checks that the caller is told, and that no attempt follows, which
// would only hide it.
func TestMemoryAdd_NotPublished(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	req := &AddMemoryRequest{Messages: []*Message{{UUID: uuid1, Content: "a"}}}
	tests := map[string]struct {
		before []step
		hedged bool
	}{
		"at once":                   {nil, false},
		"after the server was busy": {[]step{answers(429, "")}, false},
		"after a race":              {[]step{answers(400, sessionTaken)}, false},
		"after an answer was lost":  {[]step{answerLost}, true},
		"after more than one was": {
			[]step{answers(502, ""), answers(504, ""), answerLost},
			true,
		},
		"after one was lost, and 429": {[]step{answerLost, answers(429, "")}, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, s, _ := scripted(t, nil, append(test.before, answers(500, notPublished))...)
			err := c.Memory.Add(ctx, "s", req)
			require.ErrorIs(t, err, ErrNotPublished)
			assert.Equal(t, []error{ErrServer, ErrNotPublished}, matched(err))
			require.ErrorContains(t, err, strings.TrimSpace(notPublished))
			assert.Equal(t, test.hedged,
				strings.Contains(err.Error(), "may have been carried out"), err)
			assert.Len(t, s.requests(), len(test.before)+1)
		})
	}
	for _, text := range []string{"failed to put messages: failed to publish new messages",
		"failed to publish", ""} {
		c, _, _ := scripted(t, nil, answers(500, text))
		err := c.Memory.Add(ctx, "s", req)
		require.ErrorIs(t, err, ErrServer)
		require.NotErrorIs(t, err, ErrNotPublished, text)
	}
	c, _, _ := scripted(t, nil, answers(400, notPublished))
	require.NotErrorIs(t, c.Memory.Add(ctx, "s", req), ErrNotPublished)
}

// TestMemoryAdd_OtherConstraint checks that only the constraint of the messages proves that an
// earlier attempt stored them.
func TestMemoryAdd_OtherConstraint(t *testing.T) {
	t.Parallel()
	c, s, _ := scripted(t, nil, answerLost, answers(500,
		`failed to create messages: ERROR: duplicate key value violates unique constraint `+
			`"message_embedding_message_uuid_key" (SQLSTATE=23505)`+"\n"))
	err := c.Memory.Add(context.Background(), "s",
		&AddMemoryRequest{Messages: []*Message{{Role: RoleUser, Content: "hello"}}})
	require.ErrorIs(t, err, ErrServer)
	require.ErrorContains(t, err, "may have been carried out")
	assert.Len(t, s.requests(), 2)
}
