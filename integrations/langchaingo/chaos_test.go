package zeplangchain_test

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tmc/langchaingo/chains"
	"github.com/tmc/langchaingo/llms"
	"github.com/tmc/langchaingo/memory"

	"github.com/zep-go/zep"
	zeplangchain "github.com/zep-go/zep/integrations/langchaingo"
	"github.com/zep-go/zep/internal/chaos"
)

const chaosTurns = 200

// TestConversation_Chaos holds a conversation of 200 turns over a network in which every fifth
// exchange fails, and checks that each message is stored once, in order.
func TestConversation_Chaos(t *testing.T) {
	t.Parallel()
	for _, seed := range []uint64{1, 2} {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			server, direct := newServer(t)
			proxy := chaos.New(server, seed, 0.2)
			defer proxy.Close()
			history := zeplangchain.NewChatMessageHistory(chaosClient(t, proxy), session)
			answers := make([]string, chaosTurns)
			for i := range answers {
				answers[i] = fmt.Sprintf("answer %d", i)
			}
			llm := newModel(answers...)
			conversation := chains.NewConversation(llm,
				memory.NewConversationBuffer(memory.WithChatHistory(history)))
			failures := 0
			for i := range chaosTurns {
				failures += takeTurn(t, conversation, history, i)
			}
			proxy.Close()

			got, err := zeplangchain.NewChatMessageHistory(direct, session).
				Messages(context.Background())
			require.NoError(t, err)
			var want []llms.ChatMessage
			for i := range chaosTurns {
				want = append(want, llms.HumanChatMessage{Content: fmt.Sprintf("question %d", i)},
					llms.AIChatMessage{Content: fmt.Sprintf("answer %d", i)})
			}
			assert.Equal(t, want, got)
			assert.Len(t, llm.prompts, chaosTurns)
			exchanges, faults := proxy.Counts()
			faulty := 0
			for _, n := range faults {
				faulty += n
			}
			t.Logf("seed %d: %d exchanges, %d with a fault, %d errors to recover from",
				seed, exchanges, faulty, failures)
			assert.Greater(t, faulty, exchanges/10)
		})
	}
}

// chaosClient returns a client of the proxy. Each request has a label of its own, so that its
// fault does not depend on the one before.
func chaosClient(t *testing.T, proxy *chaos.Proxy) *zep.Client {
	t.Helper()
	var requests atomic.Int64
	client, err := zep.NewClient(zep.WithBaseURL(proxy.URL), zep.WithAPIKey(""),
		zep.WithTimeout(20*time.Second), // less than the longest Retry-After that the client honours
		zep.WithBackoff(time.Millisecond, 2*time.Millisecond),
		zep.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
			return roundTripper(func(request *http.Request) (*http.Response, error) {
				request = request.Clone(request.Context())
				request.Header.Set(chaos.Header, fmt.Sprint("request ", requests.Add(1)))
				return next.RoundTrip(request)
			})
		}))
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)
	return client
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// takeTurn makes a turn of the conversation, and after an error does what README.md says. It
// returns the number of errors.
func takeTurn(
	t *testing.T, conversation chains.Chain, history *zeplangchain.ChatMessageHistory, turn int,
) (failures int) {
	t.Helper()
	ctx := context.Background()
	question := fmt.Sprintf("question %d", turn)
	var answer string
	for answer == "" { // the history could not be read, and the model was not asked
		outputs, err := chains.Call(ctx, conversation, map[string]any{"input": question})
		if err == nil {
			return failures
		}
		failures++
		require.Less(t, failures, 20, err)
		answer, _ = outputs["text"].(string)
	}
	for { // the turn could not be stored
		err := finishTurn(ctx, history, turn, question, answer)
		if err == nil {
			return failures
		}
		failures++
		require.Less(t, failures, 20, err)
	}
}

// finishTurn adds the messages that are missing of a turn. The first turn is 0.
func finishTurn(
	ctx context.Context, history *zeplangchain.ChatMessageHistory,
	turn int, question, answer string,
) error {
	messages, err := history.Messages(ctx)
	if err != nil {
		return err
	}
	if len(messages) == 2*turn {
		if err := history.AddUserMessage(ctx, question); err != nil {
			return err
		}
	}
	if len(messages) < 2*turn+2 {
		return history.AddAIMessage(ctx, answer)
	}
	return nil
}
