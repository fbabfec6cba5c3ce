package zeptest_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep/zeptest"
)

type messageRecord struct {
	UUID       string         `json:"uuid"`
	CreatedAt  time.Time      `json:"created_at"`
	UpdatedAt  time.Time      `json:"updated_at"`
	Role       string         `json:"role"`
	Content    string         `json:"content"`
	Metadata   map[string]any `json:"metadata"`
	TokenCount int            `json:"token_count"`
}

type messageList struct {
	Messages   []messageRecord `json:"messages"`
	TotalCount int             `json:"total_count"`
	RowCount   int             `json:"row_count"`
	Summary    summaryRecord   `json:"summary"`
}

type summaryRecord struct {
	UUID              string `json:"uuid"`
	Content           string `json:"content"`
	RecentMessageUUID string `json:"recent_message_uuid"`
}

const (
	uuid1 = "11111111-1111-4111-8111-111111111111"
	uuid2 = "22222222-2222-4222-8222-222222222222"
	none  = "00000000-0000-0000-0000-000000000000"
)

// addMessages adds messages with these contents to a session, in one request.
func addMessages(t *testing.T, s *zeptest.Server, sessionID string, contents ...string) {
	t.Helper()
	messages := make([]string, len(contents))
	for i, content := range contents {
		messages[i] = fmt.Sprintf(`{"role":"human","content":%q}`, content)
	}
	status, answer := send(t, s, "POST", "/sessions/"+sessionID+"/memory",
		`{"messages":[`+strings.Join(messages, ",")+`]}`)
	require.Equal(t, 200, status, answer)
}

// getMessages gets the contents of a memory, or of a list of messages.
func getMessages(t *testing.T, s *zeptest.Server, path string) (contents string,
	list messageList) {
	t.Helper()
	status, answer := send(t, s, "GET", path, "")
	require.Equal(t, 200, status, answer)
	list = decode[messageList](t, answer)
	for _, m := range list.Messages {
		contents += m.Content
	}
	return contents, list
}

func TestMemory_Window(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, content := range strings.Split("a b c d e f g h i j k l m n", " ") {
		addMessages(t, s, "s", content)
	}
	for query, want := range map[string]string{
		"":          "cdefghijklmn",
		"?lastn=0":  "cdefghijklmn",
		"?lastn=3":  "lmn",
		"?lastn=14": "abcdefghijklmn",
		"?lastn=99": "abcdefghijklmn",
	} {
		got, list := getMessages(t, s, "/sessions/s/memory"+query)
		assert.Equal(t, want, got, query)
		assert.Equal(t, summaryRecord{UUID: none, RecentMessageUUID: none}, list.Summary)
	}
	status, answer := send(t, s, "GET", "/sessions/s/memory?lastn=-1", "")
	assert.Equal(t, 500, status)
	assert.Equal(t, "cannot specify negative lastNMessages\n", answer)
}

func TestMessages_Pages(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	addMessages(t, s, "s", "a", "b", "c", "d", "e")
	addMessages(t, s, "other", "x")
	for _, test := range []struct {
		query, want string
		total       int
	}{
		{"", "abcde", 5},
		{"?limit=2", "ab", 5},
		{"?limit=2&cursor=0", "ab", 5},
		{"?limit=2&cursor=1", "ab", 5},
		{"?limit=2&cursor=2", "cd", 5},
		{"?limit=2&cursor=3", "e", 5},
		{"?limit=2&cursor=4", "", 0},
		{"?limit=2147483647", "abcde", 5},
		// Only the lower 32 bits count.
		{"?limit=4294967297", "a", 5},
		{"?limit=9223372036854775807", "bcde", 5},
		{"?limit=9223372036854775807&cursor=2", "abcde", 5},
		{"?limit=2&cursor=9223372036854775807", "ab", 5},
		{"?limit=5&cursor=2", "", 0},
		{"?limit=2&cursor=-7", "ab", 5},
		{"?cursor=3", "abcde", 5}, // pages of all
		{"?limit=0", "abcde", 5},
		{"?limit=-1", "bcde", 5}, // as SQL has it
		{"?limit=-1&cursor=2", "abcde", 5},
		{"?limit=x&cursor=y", "abcde", 5},
	} {
		got, list := getMessages(t, s, "/sessions/s/messages"+test.query)
		assert.Equal(t, test.want, got, test.query)
		assert.Equal(t, test.total, list.TotalCount, test.query)
		assert.Equal(t, len(test.want), list.RowCount, test.query)
	}
}

func TestMemory_Add(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	const memory = "/sessions/s/memory"
	before := time.Now().Truncate(time.Microsecond)
	status, answer := send(t, s, "POST", memory, `{"messages":[
		{"uuid":"`+strings.ToUpper(uuid1)+`","role":"ai","content":"a","metadata":{"n":1e2},
		"created_at":"2024-05-01T12:00:00Z","updated_at":"2024-05-01T12:00:00Z","token_count":7},
		{"uuid":null,"content":"nu\u0000l","metadata":{"k\u0000":"\u0000"}},null]}`)
	require.Equal(t, 200, status, answer)
	_, list := getMessages(t, s, memory)
	first := list.Messages[0]
	assert.False(t, first.CreatedAt.Before(before), "the server's own time is stored")
	assert.Equal(t, messageRecord{
		UUID:       uuid1,
		CreatedAt:  first.CreatedAt,
		Role:       "ai",
		Content:    "a",
		Metadata:   map[string]any{"n": 100.0},
		TokenCount: 7,
	}, first)
	assert.Equal(t, map[string]any{`k\u0000`: `\u0000`}, list.Messages[1].Metadata)
	assert.Equal(t, "nul", list.Messages[1].Content)
	assert.NotEqual(t, list.Messages[1].UUID, list.Messages[2].UUID)

	for name, body := range map[string]string{
		"empty uuid":       `{"messages":[{"uuid":""}]}`,
		"malformed uuid":   `{"messages":[{"uuid":"x"}]}`,
		"empty created_at": `{"messages":[{"created_at":""}]}`,
		"another type":     `{"messages":{}}`,
	} {
		status, _ := send(t, s, "POST", memory, body)
		assert.Equal(t, 400, status, name)
	}

	const duplicate = "failed to put messages: failed to create messages ERROR: duplicate key " +
		"value violates unique constraint \"message_pkey\" (SQLSTATE=23505)\n"
	for name, body := range map[string]string{
		"of another request": `{"messages":[{"content":"x"},{"uuid":"` + uuid1 + `"}]}`,
		"of the same":        `{"messages":[{"uuid":"` + uuid2 + `"},{"uuid":"` + uuid2 + `"}]}`,
	} {
		for _, path := range []string{memory, "/sessions/other/memory"} {
			status, answer := send(t, s, "POST", path, body)
			assert.Equal(t, 500, status, name)
			assert.Equal(t, duplicate, answer, name)
		}
	}
	_, list = getMessages(t, s, memory)
	assert.Len(t, list.Messages, 3, "nothing of a refused request is stored")
	status, _ = send(t, s, "GET", "/sessions/other", "")
	assert.Equal(t, 200, status, "but the session is made")

	status, _ = send(t, s, "POST", "/sessions/%00/memory", `{"messages":[]}`)
	assert.Equal(t, 500, status)
}

func TestDeleteSession_Messages(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	addUsers(t, s, "u")
	send(t, s, "POST", "/sessions", `{"session_id":"s","user_id":"u"}`)
	send(t, s, "POST", "/sessions/s/memory", `{"messages":[{"uuid":"`+uuid1+`","content":"a"}]}`)
	require.NoError(t, s.SetSummary("s", "gone"))
	send(t, s, "DELETE", "/sessions/s/memory", "")
	assert.Error(t, s.SetSummary("s", "of nothing"))

	status, answer := send(t, s, "PATCH", "/sessions/s/messages/"+uuid1, `{"metadata":{"a":1}}`)
	assert.Equal(t, 500, status)
	assert.Empty(t, answer)
	send(t, s, "PATCH", "/sessions/s", `{}`) // undeletes
	got, list := getMessages(t, s, "/sessions/s/memory")
	assert.Empty(t, got)
	assert.Equal(t, none, list.Summary.UUID)
	_, answer = send(t, s, "POST", "/sessions/s/search", `{"text":"a"}`)
	assert.Equal(t, "[]\n", answer)
	status, _ = send(t, s, "POST", "/sessions/s/memory",
		`{"messages":[{"uuid":"`+uuid1+`","content":"a"}]}`)
	assert.Equal(t, 500, status, "a deleted message keeps its UUID")

	addMessages(t, s, "s", "b")
	send(t, s, "DELETE", "/sessions/s/memory", "")
	addMessages(t, s, "s", "c") // undeletes as well
	got, _ = getMessages(t, s, "/sessions/s/messages")
	assert.Equal(t, "c", got)
	status, answer = send(t, s, "GET", "/sessions/s", "")
	assert.Equal(t, 200, status)
	assert.Equal(t, "u", *decode[record](t, answer).UserID)

	send(t, s, "DELETE", "/user/u", "")
	got, _ = getMessages(t, s, "/sessions/s/messages")
	assert.Empty(t, got)
}

func TestMessage(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	send(t, s, "POST", "/sessions/s/memory",
		`{"messages":[{"uuid":"`+uuid1+`","content":"a","metadata":{"a":{"b":1}},`+
			`"token_count":5}]}`)
	addMessages(t, s, "other", "x")
	for _, test := range []struct {
		method, path, body string
		status             int
		answer             string
	}{
		{"GET", "/sessions/other/messages/" + uuid1, "", 500, ""},
		{"GET", "/sessions/s/messages/" + uuid2, "", 500, ""},
		{"GET", "/sessions/s/messages/" + uuid1[1:], "", 400,
			"unable to parse document UUID: invalid UUID length: 35\n"},
		{"GET", "/sessions/s/messages/" + strings.ReplaceAll(uuid1, "1", "g"), "", 400,
			"unable to parse document UUID: invalid UUID format\n"},
		{"GET", "/sessions/s/messages/urn:uuie:" + uuid1, "", 400,
			"unable to parse document UUID: invalid urn prefix: \"urn:uuie:\"\n"},
		{"PATCH", "/sessions/s/messages/x", `{}`, 400,
			"unable to parse document UUID: invalid UUID length: 1\nmessage UUID cannot be nil\n"},
		{"PATCH", "/sessions/s/messages/x", ``, 400,
			"unable to parse document UUID: invalid UUID length: 1\nEOF\n"},
		{"PATCH", "/sessions/s/messages/" + none, `{"metadata":{"a":1}}`, 500,
			"message UUID cannot be nil\n"},
		{"GET", "/sessions/s/messages/" + none, "", 500, ""},
		{"PATCH", "/sessions/s/messages/" + uuid2, `{"metadata":{"a":1}}`, 404, "not found\n"},
		{"PATCH", "/sessions/s/messages/" + uuid2, `{}`, 500, ""},
		{"PATCH", "/sessions/other/messages/" + uuid1, `{"metadata":{"a":1}}`, 500, ""},
		{"PATCH", "/sessions/s/messages/" + uuid1, `{"metadata":{}}`, 500,
			"failed to update message metadata: failed to merge message metadata: metadata " +
				"cannot be empty\n"},
		{"PATCH", "/sessions/s/messages/" + uuid1, `{"metadata":[]}`, 400,
			"json: cannot unmarshal array into Go struct field Message.metadata of type " +
				"map[string]interface {}\n"},
	} {
		status, answer := send(t, s, test.method, test.path, test.body)
		assert.Equal(t, test.status, status, test.method+test.path)
		assert.Equal(t, test.answer, answer, test.method+test.path)
	}
	for _, form := range []string{uuid1, strings.ReplaceAll(uuid1, "-", ""), "urn:uuid:" + uuid1,
		"%7B" + uuid1 + "%7D"} {
		status, answer := send(t, s, "GET", "/sessions/s/messages/"+form, "")
		assert.Equal(t, 200, status, form)
		assert.Equal(t, 5, decode[messageRecord](t, answer).TokenCount)
	}
	_, answer := send(t, s, "PATCH", "/sessions/s/messages/"+uuid1,
		`{"content":"x","metadata":{"a":{"c":2},"system":1}}`)
	m := decode[messageRecord](t, answer)
	assert.Equal(t, "a", m.Content)
	assert.Equal(t, map[string]any{"a": map[string]any{"b": 1.0, "c": 2.0}}, m.Metadata)
	assert.Zero(t, m.TokenCount, "it is set, too")
	assert.True(t, m.UpdatedAt.IsZero())

	// A UUID in the body wins, but the message of the path is shown.
	send(t, s, "POST", "/sessions/s/memory", `{"messages":[{"uuid":"`+uuid2+`","content":"b"}]}`)
	_, answer = send(t, s, "PATCH", "/sessions/s/messages/"+uuid1,
		`{"uuid":"`+uuid2+`","metadata":{"d":3}}`)
	assert.Equal(t, uuid1, decode[messageRecord](t, answer).UUID)
	_, answer = send(t, s, "GET", "/sessions/s/messages/"+uuid2, "")
	assert.Equal(t, map[string]any{"d": 3.0}, decode[messageRecord](t, answer).Metadata)
}

func TestSetSummary(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	assert.EqualError(t, s.SetSummary("s", "of nothing"), "zeptest: no session with session_id: s")
	addMessages(t, s, "s", "a", "b", "c", "d", "e", "f")
	require.NoError(t, s.SetSummary("s", "they greet"))
	got, list := getMessages(t, s, "/sessions/s/memory")
	assert.Equal(t, "abcdef", got)
	assert.Equal(t, "they greet", list.Summary.Content)
	assert.Equal(t, none, list.Summary.RecentMessageUUID)

	_, all := getMessages(t, s, "/sessions/s/messages")
	addMessages(t, s, "s", "g", "h")
	require.NoError(t, s.SetSummary("s", "they part"))
	got, list = getMessages(t, s, "/sessions/s/memory")
	assert.Equal(t, "cdefgh", got, "what is in the summary is left out")
	assert.Equal(t, "they part", list.Summary.Content)
	assert.Equal(t, all.Messages[1].UUID, list.Summary.RecentMessageUUID)
	got, _ = getMessages(t, s, "/sessions/s/memory?lastn=8")
	assert.Equal(t, "abcdefgh", got)

	_, answer := send(t, s, "POST", "/sessions/s/search",
		`{"text":"they part again","search_scope":"summary"}`)
	results := decode[[]searchResult](t, answer)
	require.Len(t, results, 2)
	assert.Equal(t, "they part", results[0].Summary.Content)
	assert.Equal(t, none, results[0].Summary.RecentMessageUUID)
	assert.Nil(t, results[0].Message)
	assert.Greater(t, results[0].Dist, results[1].Dist)
}

// TestMemory_Concurrent adds to sessions, reads, searches and deletes them concurrently.
func TestMemory_Concurrent(t *testing.T) {
	t.Parallel()
	const workers, each, sessions = 8, 20, 4
	s := newServer(t)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range each {
				session := fmt.Sprintf("/sessions/%d", i%sessions)
				for _, call := range [][3]string{
					{"POST", session + "/memory",
						fmt.Sprintf(`{"messages":[{"content":"from %d"},{"content":"number %d"}]}`,
							w, i)},
					{"GET", session + "/memory", ""},
					{"GET", session + "/messages?limit=5&cursor=2", ""},
					{"POST", session + "/search", `{"text":"number 3"}`},
					{"POST", "/sessions/deleted/memory", `{"messages":[{"content":"x"}]}`},
				} {
					resp, err := try(s, call[0], call[1], call[2])
					if assert.NoError(t, err) {
						assert.Equal(t, 200, resp.StatusCode, resp.body)
					}
				}
				_, err := try(s, "DELETE", "/sessions/deleted/memory", "")
				assert.NoError(t, err)
			}
		}()
	}
	wg.Wait()
	for i := range sessions {
		_, list := getMessages(t, s, fmt.Sprintf("/sessions/%d/messages", i))
		require.Equal(t, workers*each*2/sessions, list.TotalCount)
		for i := 0; i < len(list.Messages); i += 2 {
			assert.Contains(t, list.Messages[i].Content, "from",
				"a request's messages stay together")
			assert.Contains(t, list.Messages[i+1].Content, "number")
		}
	}
}
