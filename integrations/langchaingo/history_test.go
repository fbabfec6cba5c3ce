package zeplangchain_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tmc/langchaingo/llms"

	"github.com/zep-go/zep"
	zeplangchain "github.com/zep-go/zep/integrations/langchaingo"
	"github.com/zep-go/zep/zeptest"
)

const (
	addRoute    = "/sessions/{sessionId}/memory"
	deleteRoute = addRoute
)

// everyMessage has a message of each type, and of AI messages each kind of call.
var everyMessage = []llms.ChatMessage{
	llms.SystemChatMessage{Content: "You know books.\nBe brief. <b>&amp;</b>"},
	llms.HumanChatMessage{Content: "Wie heißt der Erzähler von Moby-Dick? 🐳"},
	llms.AIChatMessage{Content: "", ToolCalls: []llms.ToolCall{
		{
			ID:   "call_1",
			Type: "function",
			FunctionCall: &llms.FunctionCall{
				Name:      "search",
				Arguments: `{"title":"Moby-Dick","limit":9007199254740993,"exact":null}`,
			},
		},
		{ID: "call_2", Type: "function", FunctionCall: &llms.FunctionCall{Name: "now"}},
		{ID: "call_3", Type: "retrieval"},
	}},
	llms.ToolChatMessage{ID: "call_1", Content: `{"first line":"Call me Ishmael."}`},
	llms.ToolChatMessage{Content: "without an id"},
	llms.AIChatMessage{Content: "Ishmael."},
	llms.AIChatMessage{Content: "Let me see.", FunctionCall: &llms.FunctionCall{
		Name: "year", Arguments: `{"of":"Moby-Dick"}`,
	}},
	llms.FunctionChatMessage{Name: "year", Content: "1851"},
	llms.AIChatMessage{Content: "In 1851.", ReasoningContent: "The function says so."},
	llms.GenericChatMessage{Role: "librarian", Name: "Mr. Starbuck", Content: "Closing time!"},
	llms.GenericChatMessage{Role: "user", Content: "a role that other messages have"},
	llms.GenericChatMessage{Content: "without a role"},
	llms.HumanChatMessage{},
}

func TestChatMessageHistory_RoundTrip(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	_, client := newServer(t)
	history := zeplangchain.NewChatMessageHistory(client, session)
	for _, m := range everyMessage {
		require.NoError(t, history.AddMessage(ctx, m))
	}
	got, err := zeplangchain.NewChatMessageHistory(client, session).Messages(ctx)
	require.NoError(t, err)
	assert.Equal(t, everyMessage, got)
}

// TestChatMessageHistory_Stored shows what other programs see.
func TestChatMessageHistory_Stored(t *testing.T) {
	t.Parallel()
	_, client := newServer(t)
	history := zeplangchain.NewChatMessageHistory(client, session)
	require.NoError(t, history.SetMessages(context.Background(), everyMessage))
	var lines []string
	for _, m := range storedMessages(t, client) {
		metadata, err := json.Marshal(m.Metadata)
		require.NoError(t, err)
		lines = append(lines, fmt.Sprintf("%s %s", m.Role, metadata))
	}
	assert.Equal(t, []string{
		`system {}`,
		`human {}`,
		`ai {"langchaingo":{"tool_calls":[` +
			`{"function":{"arguments":"{\"title\":\"Moby-Dick\",\"limit\":9007199254740993,` +
			`\"exact\":null}","name":"search"},"id":"call_1","type":"function"},` +
			`{"function":{"arguments":"","name":"now"},"id":"call_2","type":"function"},` +
			`{"id":"call_3","type":"retrieval"}],"type":"ai"}}`,
		`tool {"langchaingo":{"tool_call_id":"call_1","type":"tool"}}`,
		`tool {"langchaingo":{"type":"tool"}}`,
		`ai {}`,
		`ai {"langchaingo":{"function_call":{"arguments":"{\"of\":\"Moby-Dick\"}",` +
			`"name":"year"},"type":"ai"}}`,
		`function {"langchaingo":{"name":"year","type":"function"}}`,
		`ai {"langchaingo":{"reasoning_content":"The function says so.","type":"ai"}}`,
		`librarian {"langchaingo":{"name":"Mr. Starbuck","role":"librarian","type":"generic"}}`,
		`user {"langchaingo":{"role":"user","type":"generic"}}`,
		`generic {"langchaingo":{"type":"generic"}}`,
		`human {}`,
	}, lines)
}

func TestAddMessage_Pointers(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	_, client := newServer(t)
	history := zeplangchain.NewChatMessageHistory(client, session)
	require.NoError(t, history.AddMessage(ctx, &llms.HumanChatMessage{Content: "a"}))
	require.NoError(t, history.AddMessage(ctx, &llms.ToolChatMessage{ID: "1", Content: "b"}))
	got, err := history.Messages(ctx)
	require.NoError(t, err)
	assert.Equal(t, []llms.ChatMessage{
		llms.HumanChatMessage{Content: "a"}, llms.ToolChatMessage{ID: "1", Content: "b"},
	}, got)
}

func TestMessages_OfOtherPrograms(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	_, client := newServer(t)
	var messages []*zep.Message
	for _, role := range []zep.Role{
		"human", "user", "ai", "assistant", "system", "function", "tool", "Jane", "",
	} {
		messages = append(messages, &zep.Message{
			Role:     role,
			Content:  "hello",
			Metadata: zep.Metadata{"language": "en"},
		})
	}
	require.NoError(t,
		client.Memory.Add(ctx, session, &zep.AddMemoryRequest{Messages: messages}))
	got, err := zeplangchain.NewChatMessageHistory(client, session).Messages(ctx)
	require.NoError(t, err)
	assert.Equal(t, []llms.ChatMessage{
		llms.HumanChatMessage{Content: "hello"},
		llms.HumanChatMessage{Content: "hello"},
		llms.AIChatMessage{Content: "hello"},
		llms.AIChatMessage{Content: "hello"},
		llms.SystemChatMessage{Content: "hello"},
		llms.FunctionChatMessage{Content: "hello"},
		llms.ToolChatMessage{Content: "hello"},
		llms.GenericChatMessage{Role: "Jane", Content: "hello"},
		llms.GenericChatMessage{Content: "hello"},
	}, got)
}

func TestMessages_ForeignMetadata(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, test := range []struct {
		value any
		want  string
	}{
		{"a text", "cannot unmarshal string"},
		{map[string]any{"type": "video"}, `unexpected chat message type: "video"`},
		{map[string]any{}, `unexpected chat message type: ""`},
	} {
		_, client := newServer(t)
		const uuid = "11111111-1111-4111-8111-111111111111"
		require.NoError(t, client.Memory.Add(ctx, session, &zep.AddMemoryRequest{
			Messages: []*zep.Message{{
				UUID:     uuid,
				Role:     zep.RoleAI,
				Metadata: zep.Metadata{zeplangchain.MetadataKey: test.value},
			}},
		}))
		_, err := zeplangchain.NewChatMessageHistory(client, session).Messages(ctx)
		require.ErrorContains(t, err, test.want)
		assert.ErrorContains(t, err, `message "`+uuid+`" of session "jane-books"`)
	}
}

// TestMessages_Window has more messages than the server's window, and a summary.
func TestMessages_Window(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	server, client := newServer(t)
	history := zeplangchain.NewChatMessageHistory(client, session)
	none, err := history.Messages(ctx)
	require.NoError(t, err)
	assert.Empty(t, none)
	assert.NotNil(t, none)

	var want []string
	for i := range 40 {
		require.NoError(t, history.AddUserMessage(ctx, fmt.Sprint(i)))
		want = append(want, fmt.Sprintf("human: %d", i))
	}
	require.NoError(t, server.SetSummary(session, "They counted."))
	for _, test := range []struct {
		history *zeplangchain.ChatMessageHistory
		want    []string
	}{
		{history, want},
		{zeplangchain.NewChatMessageHistory(client, session, zeplangchain.WithLastN(0)), want},
		{zeplangchain.NewChatMessageHistory(client, session, zeplangchain.WithLastN(5)), want[35:]},
		{zeplangchain.NewChatMessageHistory(client, session, zeplangchain.WithLastN(99)), want},
	} {
		before := server.Requests()
		got, err := test.history.Messages(ctx)
		require.NoError(t, err)
		assert.Equal(t, test.want, contents(got))
		assert.Equal(t, 1, server.Requests()-before)
	}
	for _, n := range []int{-1, math.MinInt} {
		history := zeplangchain.NewChatMessageHistory(client, session, zeplangchain.WithLastN(n))
		_, err := history.Messages(ctx)
		assert.ErrorIs(t, err, zep.ErrBadRequest)
	}
}

func TestChatMessageHistory_OldServers(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, version := range []string{"0.15.2", "0.18.0", "0.20.1", "0.27.2"} {
		_, client := newServer(t, zeptest.WithServerVersion(version))
		history := zeplangchain.NewChatMessageHistory(client, session)
		none, err := history.Messages(ctx)
		require.NoError(t, err, version)
		assert.Empty(t, none)
		for range 15 { // over the window
			require.NoError(t, history.AddUserMessage(ctx, "hello"))
		}
		require.NoError(t, history.AddAIMessage(ctx, "hi"))
		got, err := history.Messages(ctx)
		require.NoError(t, err, version)
		assert.Len(t, got, 16, version)
		assert.Equal(t, "hi", got[15].GetContent(), version)
	}
}

// unexpected is a message that is not one of LangChainGo's own.
type unexpected struct{ llms.HumanChatMessage }

func TestAddMessage_Refused(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	call := func(name, arguments string) *llms.FunctionCall {
		return &llms.FunctionCall{Name: name, Arguments: arguments}
	}
	withCall := func(c llms.ToolCall) llms.AIChatMessage {
		return llms.AIChatMessage{ToolCalls: []llms.ToolCall{{ID: "0"}, c}}
	}
	var nobody *llms.AIChatMessage
	for _, test := range []struct {
		message llms.ChatMessage
		is      error
		want    string
	}{
		{nil, llms.ErrUnexpectedChatMessageType, "<nil>"},
		{nobody, llms.ErrUnexpectedChatMessageType, "*llms.AIChatMessage"},
		{unexpected{}, llms.ErrUnexpectedChatMessageType, "zeplangchain_test.unexpected"},
		{llms.HumanChatMessage{Content: "a\xff"}, zep.ErrBadRequest, "the content is not UTF-8"},
		{
			llms.SystemChatMessage{Content: "a\x00"}, zep.ErrBadRequest,
			"the content contains a NUL character",
		},
		{llms.GenericChatMessage{Role: "\xe4"}, zep.ErrBadRequest, "the role is not UTF-8"},
		{llms.GenericChatMessage{Name: "\x00"}, zep.ErrBadRequest, "the name contains a NUL"},
		{llms.FunctionChatMessage{Name: "\xe4"}, zep.ErrBadRequest, "the name is not UTF-8"},
		{llms.ToolChatMessage{ID: "\x00"}, zep.ErrBadRequest, "the id of the tool call"},
		{
			llms.AIChatMessage{ReasoningContent: "\x00"}, zep.ErrBadRequest,
			"the reasoning content",
		},
		{
			llms.AIChatMessage{FunctionCall: call("f", "\xe4")}, zep.ErrBadRequest,
			"the function call is not UTF-8",
		},
		{withCall(llms.ToolCall{ID: "\xe4"}), zep.ErrBadRequest, "tool call 1 is not UTF-8"},
		{withCall(llms.ToolCall{ID: "\xc3", Type: "\xa9"}), zep.ErrBadRequest, "tool call 1"},
		{
			withCall(llms.ToolCall{FunctionCall: call("\x00", "")}), zep.ErrBadRequest,
			"tool call 1 contains a NUL character",
		},
	} {
		server, client := newServer(t)
		history := zeplangchain.NewChatMessageHistory(client, session)
		require.NoError(t, history.AddUserMessage(ctx, "stays"))

		err := history.AddMessage(ctx, test.message)
		require.ErrorIs(t, err, test.is)
		assert.ErrorContains(t, err, "AddMessage: ")
		assert.ErrorContains(t, err, test.want)

		err = history.SetMessages(ctx, []llms.ChatMessage{llms.AIChatMessage{}, test.message})
		require.ErrorIs(t, err, test.is)
		assert.ErrorContains(t, err, "SetMessages: message 1: ")
		assert.ErrorContains(t, err, test.want)
		assert.Equal(t, 1, server.Requests(), "nothing was sent or removed")
	}
}

// TestAddMessage_AgainAfterFailure adds a message again after an error that leaves it open
// whether the message is stored.
func TestAddMessage_AgainAfterFailure(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, fault := range map[string]zeptest.Fault{
		"not stored, no answer": {Cut: true, Times: 4},
		"not stored, 500":       {Status: 500, Body: "out of memory\n"},
		"stored, 500":           {Status: 500, Apply: true},
		"stored, no answer":     {Cut: true, Apply: true, Times: 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, client := newServer(t)
			history := zeplangchain.NewChatMessageHistory(client, session)
			require.NoError(t, history.AddUserMessage(ctx, "hello"))
			fault.Method, fault.Route = "POST", addRoute
			server.Inject(fault)
			require.Error(t, history.AddAIMessage(ctx, "hi"))
			require.NoError(t, history.AddAIMessage(ctx, "hi"))
			got, err := history.Messages(ctx)
			require.NoError(t, err)
			assert.Equal(t, []string{"human: hello", "ai: hi"}, contents(got))
		})
	}
}

// TestAddMessage_Equal checks that equal messages are stored apart, but for the one that follows
// its own failure.
func TestAddMessage_Equal(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	server, client := newServer(t)
	history := zeplangchain.NewChatMessageHistory(client, session)
	storedThenFails := zeptest.Fault{
		Method: "POST",
		Route:  addRoute,
		Status: 500,
		Apply:  true,
	}
	server.Inject(storedThenFails)
	require.Error(t, history.AddUserMessage(ctx, "yes"))
	require.NoError(t, history.AddUserMessage(ctx, "yes")) // the same
	require.NoError(t, history.AddUserMessage(ctx, "yes")) // another
	server.Inject(storedThenFails)
	require.Error(t, history.AddUserMessage(ctx, "no"))
	require.NoError(t, history.AddAIMessage(ctx, "no")) // not equal
	require.NoError(t, history.AddUserMessage(ctx, "no"))
	got, err := history.Messages(ctx)
	require.NoError(t, err)
	assert.Equal(t, []string{"human: yes", "human: yes", "human: no", "ai: no", "human: no"},
		contents(got))

	server.Inject(storedThenFails)
	require.Error(t, history.AddUserMessage(ctx, "yes"))
	require.NoError(t, history.Clear(ctx))
	require.NoError(t, history.AddUserMessage(ctx, "yes")) // not the one that was removed
	got, err = history.Messages(ctx)
	require.NoError(t, err)
	assert.Equal(t, []string{"human: yes"}, contents(got))
}

// TestAddMessage_EqualAtOnce adds equal messages from several goroutines after a failure.
func TestAddMessage_EqualAtOnce(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	server, client := newServer(t)
	history := zeplangchain.NewChatMessageHistory(client, session)
	server.Inject(zeptest.Fault{Method: "POST", Route: addRoute, Status: 500, Apply: true})
	require.Error(t, history.AddUserMessage(ctx, "yes"))
	var adding sync.WaitGroup
	for range 8 {
		adding.Add(1)
		go func() {
			defer adding.Done()
			assert.NoError(t, history.AddUserMessage(ctx, "yes"))
		}()
	}
	adding.Wait()
	assert.Len(t, storedMessages(t, client), 8, "one of them was stored before")
}

func TestAddMessage_NotPublished(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	server, client := newServer(t)
	history := zeplangchain.NewChatMessageHistory(client, session)
	server.Inject(zeptest.Fault{
		Method: "POST",
		Route:  addRoute,
		Apply:  true,
		Status: 500,
		Body:   "failed to publish new messages: the queue is full\n",
	})
	require.NoError(t, history.AddUserMessage(ctx, "hello"))
	assert.Len(t, storedMessages(t, client), 1)
}

// newJane adds a user's session with metadata.
func newJane(t *testing.T, client *zep.Client) {
	t.Helper()
	ctx := context.Background()
	_, err := client.User.Add(ctx, &zep.CreateUserRequest{UserID: "jane"})
	require.NoError(t, err)
	_, err = client.Session.Add(ctx, &zep.CreateSessionRequest{
		SessionID: session,
		UserID:    "jane",
		Metadata:  zep.Metadata{"topic": "books"},
	})
	require.NoError(t, err)
}

func TestClear(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	_, client := newServer(t)
	history := zeplangchain.NewChatMessageHistory(client, session)
	require.NoError(t, history.Clear(ctx), "of a session that does not exist")
	newJane(t, client)
	require.NoError(t, history.AddUserMessage(ctx, "hello"))
	require.NoError(t, history.Clear(ctx))
	require.NoError(t, history.Clear(ctx))
	got, err := history.Messages(ctx)
	require.NoError(t, err)
	assert.Empty(t, got)
	_, err = client.Session.Get(ctx, session)
	require.ErrorIs(t, err, zep.ErrNotFound)

	require.NoError(t, history.AddUserMessage(ctx, "hello again"))
	got, err = history.Messages(ctx)
	require.NoError(t, err)
	assert.Equal(t, []string{"human: hello again"}, contents(got))
	back, err := client.Session.Get(ctx, session)
	require.NoError(t, err)
	assert.Equal(t, "jane", back.UserID)
	assert.Equal(t, zep.Metadata{"topic": "books"}, back.Metadata)
}

func TestSetMessages(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	_, client := newServer(t)
	newJane(t, client)
	history := zeplangchain.NewChatMessageHistory(client, session)
	require.NoError(t, history.AddUserMessage(ctx, "hello"))
	require.NoError(t, history.AddAIMessage(ctx, "hi"))
	before := storedMessages(t, client)

	kept := []llms.ChatMessage{llms.AIChatMessage{Content: "hi"}}
	want := append(slices.Clone(kept), everyMessage...)
	require.NoError(t, history.SetMessages(ctx, want))
	got, err := history.Messages(ctx)
	require.NoError(t, err)
	assert.Equal(t, want, got)
	assert.NotEqual(t, before[1].UUID, storedMessages(t, client)[0].UUID)
	back, err := client.Session.Get(ctx, session)
	require.NoError(t, err)
	assert.Equal(t, "jane", back.UserID)
	assert.Equal(t, zep.Metadata{"topic": "books"}, back.Metadata)

	for _, empty := range [][]llms.ChatMessage{nil, {}} {
		require.NoError(t, history.SetMessages(ctx, empty))
		got, err = history.Messages(ctx)
		require.NoError(t, err)
		assert.Empty(t, got)
	}
}

// TestSetMessages_Requests checks that no empty batch of messages is added, which a server
// retries for ever.
func TestSetMessages_Requests(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	server, client := newServer(t)
	history := zeplangchain.NewChatMessageHistory(client, session)
	require.NoError(t, history.SetMessages(ctx, everyMessage))
	require.NoError(t, history.SetMessages(ctx, nil))
	var methods []string
	for _, request := range server.RequestLog() {
		methods = append(methods, request.Method)
	}
	assert.Equal(t, []string{"DELETE", "POST", "DELETE"}, methods)
}

func TestSetMessages_Failures(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, test := range []struct {
		name, method string
		kept         []string // after the failure
	}{
		{"the removal fails", "DELETE", []string{"human: hello"}},
		{"the add fails", "POST", []string{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server, client := newServer(t)
			history := zeplangchain.NewChatMessageHistory(client, session)
			require.NoError(t, history.AddUserMessage(ctx, "hello"))
			server.Inject(zeptest.Fault{
				Method: test.method,
				Route:  deleteRoute,
				Status: 500,
				Body:   "disk full\n",
			})
			messages := []llms.ChatMessage{llms.AIChatMessage{Content: "hi"}}
			require.ErrorContains(t, history.SetMessages(ctx, messages), "disk full")
			got, err := history.Messages(ctx)
			require.NoError(t, err)
			assert.Equal(t, test.kept, contents(got))

			require.NoError(t, history.SetMessages(ctx, messages))
			got, err = history.Messages(ctx)
			require.NoError(t, err)
			assert.Equal(t, messages, got)
		})
	}
}

// TestSetMessages_SeveralRequests has more than goes into one request.
func TestSetMessages_SeveralRequests(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	server, _ := newServer(t)
	client, err := server.Client(zep.WithMaxRequestBytes(10_000))
	require.NoError(t, err)
	history := zeplangchain.NewChatMessageHistory(client, session)
	want := make([]llms.ChatMessage, 20)
	for i := range want {
		want[i] = llms.AIChatMessage{Content: fmt.Sprint(i, strings.Repeat("x", 2_000))}
	}
	require.NoError(t, history.SetMessages(ctx, want))
	assert.Equal(t, 1+5, server.Requests())
	got, err := history.Messages(ctx)
	require.NoError(t, err)
	assert.Equal(t, want, got)
}

func TestChatMessageHistory_InvalidID(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	server, client := newServer(t)
	for _, id := range []string{"", "..", "a/b"} {
		history := zeplangchain.NewChatMessageHistory(client, id)
		_, err := history.Messages(ctx)
		require.ErrorIs(t, err, zep.ErrInvalidID)
		require.ErrorIs(t, history.AddUserMessage(ctx, "hello"), zep.ErrInvalidID)
		require.ErrorIs(t, history.Clear(ctx), zep.ErrInvalidID)
		require.ErrorIs(t, history.SetMessages(ctx, everyMessage), zep.ErrInvalidID)
	}
	assert.Equal(t, 0, server.Requests())
}
