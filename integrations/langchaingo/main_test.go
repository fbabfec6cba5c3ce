package zeplangchain_test

import (
	"context"
	"flag"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tmc/langchaingo/llms"
	"github.com/tmc/langchaingo/llms/fake"
	"go.uber.org/goleak"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/internal/apifile"
	"github.com/zep-go/zep/zeptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var updateAPI = flag.Bool("update", false, "write the file in api/")

// TestAPI_Golden compares the exported API with the file in api/.
func TestAPI_Golden(t *testing.T) {
	t.Parallel()
	assert.NoError(t, apifile.Compare(".", "github.com/zep-go/zep/integrations/langchaingo",
		"../../api/langchaingo.txt", *updateAPI),
		"If the change is meant: go test -run TestAPI_Golden . -update")
}

const session = "jane-books"

// newServer returns a server, and a client of it that does not wait between attempts.
func newServer(t testing.TB, options ...zeptest.Option) (*zeptest.Server, *zep.Client) {
	t.Helper()
	server := zeptest.NewServer(options...)
	t.Cleanup(server.Close)
	client, err := server.Client(zep.WithBackoff(0, 0))
	require.NoError(t, err)
	return server, client
}

// storedMessages returns all messages of the session as the server has them.
func storedMessages(t *testing.T, client *zep.Client) []*zep.Message {
	t.Helper()
	messages, err := zep.Collect(client.Message.All(context.Background(), session))
	require.NoError(t, err)
	return messages
}

// contents returns the role and the content of each message.
func contents(messages []llms.ChatMessage) []string {
	texts := make([]string, len(messages))
	for i, m := range messages {
		texts[i] = fmt.Sprintf("%s: %s", m.GetType(), m.GetContent())
	}
	return texts
}

// model is LangChainGo's fake model, and remembers what it was asked.
type model struct {
	*fake.LLM
	prompts []string
}

func newModel(answers ...string) *model { return &model{LLM: fake.NewFakeLLM(answers)} }

func (m *model) GenerateContent(
	ctx context.Context, messages []llms.MessageContent, options ...llms.CallOption,
) (*llms.ContentResponse, error) {
	for _, message := range messages {
		for _, part := range message.Parts {
			m.prompts = append(m.prompts, fmt.Sprint(part))
		}
	}
	return m.LLM.GenerateContent(ctx, messages, options...)
}
