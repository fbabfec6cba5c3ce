package zeplangchain_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tmc/langchaingo/chains"
	"github.com/tmc/langchaingo/llms"
	"github.com/tmc/langchaingo/memory"
	"github.com/tmc/langchaingo/schema"
	"github.com/tmc/langchaingo/vectorstores"

	"github.com/zep-go/zep"
	zeplangchain "github.com/zep-go/zep/integrations/langchaingo"
	"github.com/zep-go/zep/zeptest"
)

func TestConversation(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	_, client := newServer(t)
	llm := newModel("Try Moby-Dick.", "Herman Melville.", "You asked for a book.")
	buffer := memory.NewConversationBuffer(memory.WithChatHistory(
		zeplangchain.NewChatMessageHistory(client, session)))
	conversation := chains.NewConversation(llm, buffer)
	for _, turn := range [][2]string{
		{"What shall I read?", "Try Moby-Dick."}, {"Who wrote it?", "Herman Melville."},
	} {
		answer, err := chains.Run(ctx, conversation, turn[0])
		require.NoError(t, err)
		assert.Equal(t, turn[1], answer)
	}

	// Another process goes on.
	buffer = memory.NewConversationBuffer(memory.WithChatHistory(
		zeplangchain.NewChatMessageHistory(client, session)))
	_, err := chains.Run(ctx, chains.NewConversation(llm, buffer), "What did I ask?")
	require.NoError(t, err)
	require.Len(t, llm.prompts, 3)
	assert.Contains(t, llm.prompts[2], "\nCurrent conversation:\n"+
		"Human: What shall I read?\nAI: Try Moby-Dick.\n"+
		"Human: Who wrote it?\nAI: Herman Melville.\n"+
		"Human: What did I ask?\nAI:")

	require.NoError(t, buffer.Clear(ctx))
	_, err = chains.Run(ctx, chains.NewConversation(llm, buffer), "And now?")
	require.NoError(t, err)
	assert.Contains(t, llm.prompts[3], "\nCurrent conversation:\n\nHuman: And now?\nAI:")
}

// TestConversationBuffer_ReturnMessages has calls of tools in a buffer for chat models.
func TestConversationBuffer_ReturnMessages(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	_, client := newServer(t)
	history := zeplangchain.NewChatMessageHistory(client, session)
	buffer := memory.NewConversationBuffer(memory.WithChatHistory(history),
		memory.WithReturnMessages(true))
	for _, m := range everyMessage {
		require.NoError(t, history.AddMessage(ctx, m))
	}
	require.NoError(t, buffer.SaveContext(ctx,
		map[string]any{"input": "Thanks."}, map[string]any{"output": "You are welcome."}))
	variables, err := buffer.LoadMemoryVariables(ctx, nil)
	require.NoError(t, err)
	want := append(slices.Clone(everyMessage),
		llms.HumanChatMessage{Content: "Thanks."}, llms.AIChatMessage{Content: "You are welcome."},
	)
	assert.Equal(t, map[string]any{"history": want}, variables)
}

// TestConversationWindowBuffer calls SetMessages in every turn from the third on, and with
// WithLastN in none.
func TestConversationWindowBuffer(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, test := range []struct {
		options         []zeplangchain.HistoryOption
		stored, removed int
	}{
		{nil, 4, 3},
		{[]zeplangchain.HistoryOption{zeplangchain.WithLastN(4)}, 10, 0},
	} {
		server, client := newServer(t)
		buffer := memory.NewConversationWindowBuffer(2, memory.WithChatHistory(
			zeplangchain.NewChatMessageHistory(client, session, test.options...)))
		conversation := chains.NewConversation(newModel("a1", "a2", "a3", "a4", "a5"), buffer)
		for i := 1; i <= 5; i++ {
			_, err := chains.Run(ctx, conversation, fmt.Sprint("q", i))
			require.NoError(t, err)
		}
		variables, err := buffer.LoadMemoryVariables(ctx, nil)
		require.NoError(t, err)
		assert.Equal(t, "Human: q4\nAI: a4\nHuman: q5\nAI: a5", variables["history"])
		assert.Len(t, storedMessages(t, client), test.stored)
		removed := 0
		for _, request := range server.RequestLog() {
			if request.Method == "DELETE" {
				removed++
			}
		}
		assert.Equal(t, test.removed, removed)
	}
}

// TestConversation_Failure checks what a turn leaves behind whose answer could not be stored.
func TestConversation_Failure(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	server, client := newServer(t)
	add := zeptest.Fault{Method: "POST", Route: addRoute}
	question, answer := add, add
	question.Apply = true
	answer.Status, answer.Body = 500, "disk full\n"
	server.Inject(question, answer)
	buffer := memory.NewConversationBuffer(memory.WithChatHistory(
		zeplangchain.NewChatMessageHistory(client, session)))
	conversation := chains.NewConversation(newModel("hi"), buffer)
	outputs, err := chains.Call(ctx, conversation, map[string]any{"input": "hello"})
	require.ErrorIs(t, err, zep.ErrServer)
	assert.Equal(t, "hi", outputs["text"], "the answer of the model is not lost")
	variables, err := buffer.LoadMemoryVariables(ctx, nil)
	require.NoError(t, err)
	assert.Equal(t, "Human: hello", variables["history"])
}

func TestRetrievalQA(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	_, client := newServer(t)
	store := newStore(t, client, novels)
	var retriever schema.Retriever = vectorstores.ToRetriever(store, 3,
		vectorstores.WithScoreThreshold(0.7), vectorstores.WithFilters(zep.Equal("author", "Melville")))
	docs, err := retriever.GetRelevantDocuments(ctx, "true places on a map")
	require.NoError(t, err)
	assert.Equal(t, texts(novels[1:2]), texts(docs))

	llm := newModel("Not on any map.")
	answer, err := chains.Run(ctx, chains.NewRetrievalQAFromLLM(llm, retriever),
		"Where are true places on a map?")
	require.NoError(t, err)
	assert.Equal(t, "Not on any map.", answer)
	require.Len(t, llm.prompts, 1)
	assert.Contains(t, llm.prompts[0], novels[1].PageContent)
	assert.NotContains(t, llm.prompts[0], novels[2].PageContent, "of another author")
}
