package zeplangchain_test

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tmc/langchaingo/chains"
	"github.com/tmc/langchaingo/embeddings"
	"github.com/tmc/langchaingo/llms"
	"github.com/tmc/langchaingo/memory"
	"github.com/tmc/langchaingo/schema"
	"github.com/tmc/langchaingo/vectorstores"

	"github.com/zep-go/zep"
	zeplangchain "github.com/zep-go/zep/integrations/langchaingo"
)

// TestReadme_Code requires that the Go code of README.md is in the tests of this package, which
// compile and run it.
func TestReadme_Code(t *testing.T) {
	t.Parallel()
	var tests string
	for _, file := range []string{"readme_test.go", "chaos_test.go"} {
		tests += withoutIndent(t, file)
	}
	blocks := regexp.MustCompile("(?ms)^```go\n(.*?)^```$").
		FindAllStringSubmatch(withoutIndent(t, "README.md"), -1)
	assert.Len(t, blocks, 6)
	for _, block := range blocks {
		assert.Contains(t, tests, block[1])
	}
}

// withoutIndent returns the lines of a file without the white space that they begin with.
func withoutIndent(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	lines := strings.Split(string(text), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return strings.Join(lines, "\n") + "\n"
}

func TestReadme_Runs(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	_, client := newServer(t)
	_, err := client.User.Add(ctx, &zep.CreateUserRequest{UserID: "jane"})
	require.NoError(t, err)
	require.NoError(t, readmeSession(ctx, client))
	llm := newModel("Moby-Dick.", "The narrator.")
	require.NoError(t, readmeHistory(ctx, client, llm))
	messages, err := readmeWindow(client).Messages(ctx)
	require.NoError(t, err)
	assert.Equal(t, []string{"human: What shall I read?", "ai: Moby-Dick."}, contents(messages))
	require.NoError(t, readmeDocuments(ctx, client, llm))
	assert.Contains(t, llm.prompts[1], "Call me Ishmael.")
	assert.NotContains(t, llm.prompts[1], "It was the best of times.")
	var calls int
	_, err = readmeEmbedder(client, newEmbedder(t, &calls)).SimilaritySearch(ctx, "Ishmael", 1)
	require.ErrorIs(t, err, zep.ErrServer, "its embeddings are of another length")
	assert.Equal(t, 1, calls)
}

func readmeSession(ctx context.Context, client *zep.Client) error {
	_, err := client.Session.Add(ctx, &zep.CreateSessionRequest{
		SessionID: "jane-books",
		UserID:    "jane",
	})
	if err != nil {
		return err
	}
	return nil
}

func readmeHistory(ctx context.Context, client *zep.Client, llm llms.Model) error {
	history := zeplangchain.NewChatMessageHistory(client, "jane-books")
	buffer := memory.NewConversationBuffer(memory.WithChatHistory(history))
	conversation := chains.NewConversation(llm, buffer)
	answer, err := chains.Run(ctx, conversation, "What shall I read?")
	if err != nil {
		return err
	}
	fmt.Println(answer)
	return nil
}

func readmeWindow(client *zep.Client) *zeplangchain.ChatMessageHistory {
	history := zeplangchain.NewChatMessageHistory(client, "jane-books", zeplangchain.WithLastN(20))
	return history
}

func readmeDocuments(ctx context.Context, client *zep.Client, llm llms.Model) error {
	_, err := client.Collection.Add(ctx, &zep.CreateCollectionRequest{
		Name:                "library",
		EmbeddingDimensions: 384,  // those of the server's model
		IsAutoEmbedded:      true, // by the server
	})
	if err != nil {
		return err
	}
	store := zeplangchain.NewVectorStore(client, "library")
	ids, err := store.AddDocuments(ctx, []schema.Document{
		{PageContent: "Call me Ishmael.", Metadata: map[string]any{"author": "Melville"}},
		{PageContent: "It was the best of times.", Metadata: map[string]any{"author": "Dickens"}},
	})
	if err != nil {
		return err
	}
	fmt.Println(len(ids))

	retriever := vectorstores.ToRetriever(store, 5,
		vectorstores.WithScoreThreshold(0.6),
		vectorstores.WithFilters(zep.Equal("author", "Melville")))
	answer, err := chains.Run(ctx, chains.NewRetrievalQAFromLLM(llm, retriever), "Who is Ishmael?")
	if err != nil {
		return err
	}
	fmt.Println(answer)
	return nil
}

func readmeEmbedder(client *zep.Client, embedder embeddings.Embedder) *zeplangchain.VectorStore {
	store := zeplangchain.NewVectorStore(client, "library", zeplangchain.WithEmbedder(embedder))
	return store
}
