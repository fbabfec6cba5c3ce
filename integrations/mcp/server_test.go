package zepmcp

import (
	"encoding/json"
	"fmt"
	"regexp"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
)

func TestNewServer_Tools(t *testing.T) {
	t.Parallel()
	_, client := newZep(t)
	readers := []string{
		"list_collections", "list_sessions", "recall", "search_documents", "search_memory",
	}
	for _, test := range []struct {
		options *Options
		want    []string
	}{
		{nil, append([]string{"remember"}, readers...)},
		{&Options{ReadOnly: true}, readers},
		{&Options{UserID: "jane"}, append([]string{"remember"}, readers...)},
	} {
		tools := newTools(t, client, test.options)
		var names []string
		for tool, err := range tools.session.Tools(t.Context(), nil) {
			require.NoError(t, err)
			names = append(names, tool.Name)
			writes := tool.Name == "remember"
			require.NotNil(t, tool.Annotations)
			assert.Equal(t, !writes, tool.Annotations.ReadOnlyHint)
			assert.Equal(t, !writes, tool.Annotations.IdempotentHint)
			assert.False(t, *tool.Annotations.DestructiveHint)
			assert.False(t, *tool.Annotations.OpenWorldHint)
			assert.NotEmpty(t, tool.Title)
			assert.NotEmpty(t, tool.Description)
			_, hasUser := schemaOf(t, tool.InputSchema).Properties["user_id"]
			assert.Equal(t, hasUser, (writes || tool.Name == "list_sessions") &&
				(test.options == nil || test.options.UserID == ""), tool.Name)
		}
		assert.ElementsMatch(t, test.want, names)
	}
}

func TestNewServer_ReadOnly(t *testing.T) {
	t.Parallel()
	server, client := newZep(t)
	tools := newTools(t, client, &Options{ReadOnly: true})
	_, err := tools.session.CallTool(t.Context(), params("remember",
		object{"session_id": "s", "messages": say("a")}))
	require.ErrorContains(t, err, `unknown tool "remember"`)
	assert.Zero(t, server.Requests())
	assert.Contains(t, tools.session.InitializeResult().Instructions, "can be read only")
	assert.NotContains(t, tools.session.InitializeResult().Instructions, "remember")
}

func TestNewServer_Info(t *testing.T) {
	t.Parallel()
	_, client := newZep(t)
	info := newTools(t, client, nil).session.InitializeResult()
	assert.Equal(t, "zep-mcp", info.ServerInfo.Name)
	assert.Equal(t, Version(), info.ServerInfo.Version)
	assert.Regexp(t, `^(devel|v\d+\.\d+\.\d+.*)$`, Version())
	capabilities, err := json.Marshal(info.Capabilities)
	require.NoError(t, err)
	assert.JSONEq(t, `{"tools":{}}`, string(capabilities))
	// The instructions name tools that there are.
	tool := regexp.MustCompile(`[a-z]+_[a-z]+|remember|recall`)
	for _, name := range tool.FindAllString(info.Instructions, -1) {
		assert.NotNil(t, newTools(t, client, nil).find(name))
	}
}

func TestNewServer_Invalid(t *testing.T) {
	t.Parallel()
	_, client := newZep(t)
	_, err := NewServer(nil, nil)
	require.EqualError(t, err, "zepmcp: the client is nil")
	for want, options := range map[string]*Options{
		"MaxBytes is 100, must be 4096 to 1048576":                                  {MaxBytes: 100},
		"MaxBytes is -1, must be 4096 to 1048576":                                   {MaxBytes: -1},
		"MaxBytes is 2097152, must be 4096 to 1048576":                              {MaxBytes: 2 << 20},
		`UserID must not be "." or "..", and not contain "/" or a NUL: it is "a/b"`: {UserID: "a/b"},
		"UserID must be UTF-8":                                                      {UserID: "\xff"},
	} {
		_, err := NewServer(client, options)
		require.EqualError(t, err, "zepmcp: "+want)
	}
}

// Many calls of one MCP client at once, of all tools.
func TestConcurrency(t *testing.T) {
	t.Parallel()
	_, client := newZep(t)
	addDocuments(t, client, "docs", "one", "two")
	tools := newTools(t, client, &Options{UserID: "jane"})
	tools.ok("remember", object{"session_id": "s0", "messages": say("0 of 0")})
	var wg sync.WaitGroup
	for worker := range 16 {
		wg.Go(func() {
			session := fmt.Sprintf("s%d", worker%4)
			for i := range 5 {
				text := fmt.Sprintf("%d of %d", i, worker)
				tools.ok("remember", object{"session_id": session, "messages": say(text)})
				tools.ok("recall", object{"session_id": session})
				tools.ok("search_memory", object{"session_id": session, "query": text})
				tools.ok("search_documents", object{"collection": "docs", "query": "one"})
				tools.ok("list_sessions", nil)
				tools.ok("list_collections", nil)
			}
		})
	}
	wg.Wait()
	stored := 0
	for session := range 4 {
		stored += len(contents(t, client, fmt.Sprintf("s%d", session)))
	}
	assert.Equal(t, 1+16*5, stored)
	users, err := zep.Collect(client.User.All(t.Context()))
	require.NoError(t, err)
	assert.Len(t, users, 1)
}
