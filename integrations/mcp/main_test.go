package zepmcp

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/zeptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// object is a JSON object.
type object = map[string]any

// tools calls the tools of a server as an MCP client does.
type tools struct {
	t       *testing.T
	session *mcp.ClientSession
}

// answer is the answer of a tool.
type answer struct {
	object
	text    string
	isError bool
}

// newTools starts an MCP server over a Zep client, and connects an MCP client to it.
func newTools(t *testing.T, client *zep.Client, options *Options) tools {
	t.Helper()
	server, err := NewServer(client, options)
	require.NoError(t, err)
	serverSide, clientSide := mcp.NewInMemoryTransports()
	ctx := context.Background()
	serverSession, err := server.Connect(ctx, serverSide, nil)
	require.NoError(t, err)
	session, err := mcp.NewClient(&mcp.Implementation{Name: "test"}, nil).Connect(ctx, clientSide, nil)
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, session.Close())
		assert.NoError(t, serverSession.Wait())
	})
	return tools{t, session}
}

// newZep starts a Zep server, and returns it with a client whose calls do not wait long.
func newZep(t *testing.T, options ...zeptest.Option) (*zeptest.Server, *zep.Client) {
	t.Helper()
	server := zeptest.NewServer(options...)
	t.Cleanup(server.Close)
	client, err := server.Client()
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)
	return server, client
}

// call calls a tool, whose answer may be an error of the tool but not of the protocol.
func (c tools) call(tool string, arguments object) answer {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	result, err := c.session.CallTool(ctx, &mcp.CallToolParams{Name: tool, Arguments: arguments})
	require.NoError(c.t, err)
	require.Len(c.t, result.Content, 1)
	a := answer{text: result.Content[0].(*mcp.TextContent).Text, isError: result.IsError}
	if a.isError {
		require.Nil(c.t, result.StructuredContent)
		return a
	}
	a.object = result.StructuredContent.(object)
	same, err := json.Marshal(a.object)
	require.NoError(c.t, err)
	require.JSONEq(c.t, string(same), a.text, "the text is the structured content")
	return a
}

// ok calls a tool that must not fail.
func (c tools) ok(tool string, arguments object) answer {
	c.t.Helper()
	a := c.call(tool, arguments)
	require.False(c.t, a.isError, a.text)
	return a
}

// fails calls a tool that must fail, and returns the text of its error.
func (c tools) fails(tool string, arguments object) string {
	c.t.Helper()
	a := c.call(tool, arguments)
	require.True(c.t, a.isError, a.text)
	return a.text
}

// list returns the records of an answer.
func (a answer) list(name string) []object {
	records := []object{}
	for _, record := range a.object[name].([]any) {
		records = append(records, record.(object))
	}
	return records
}

// next returns the arguments of the next call, nil if there is nothing more.
func (a answer) next(arguments object) object {
	more, ok := a.object["more"].(object)
	if !ok {
		return nil
	}
	next := maps.Clone(arguments)
	maps.Copy(next, more["arguments"].(object))
	return next
}

// field returns one field of all records.
func field(records []object, name string) []any {
	values := []any{}
	for _, record := range records {
		values = append(values, record[name])
	}
	return values
}

// say returns messages of a user.
func say(contents ...string) []object {
	messages := []object{}
	for _, content := range contents {
		messages = append(messages, object{"role": "user", "content": content})
	}
	return messages
}

// numbered returns the texts "m1" to "mn".
func numbered(n int) []string {
	texts := []string{}
	for i := range n {
		texts = append(texts, fmt.Sprintf("m%d", i+1))
	}
	return texts
}

// params returns the parameters of a call.
func params(tool string, arguments object) *mcp.CallToolParams {
	return &mcp.CallToolParams{Name: tool, Arguments: arguments}
}
