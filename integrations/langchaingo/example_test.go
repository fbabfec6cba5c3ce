package zeplangchain_test

import (
	"context"
	"fmt"
	"log"

	"github.com/tmc/langchaingo/chains"
	"github.com/tmc/langchaingo/llms/fake"
	"github.com/tmc/langchaingo/memory"
	"github.com/tmc/langchaingo/schema"
	"github.com/tmc/langchaingo/vectorstores"

	"github.com/zep-go/zep"
	zeplangchain "github.com/zep-go/zep/integrations/langchaingo"
	"github.com/zep-go/zep/zeptest"
)

func ExampleChatMessageHistory() {
	server := zeptest.NewServer() // your program calls zep.NewClient
	defer server.Close()
	client, err := server.Client()
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	history := zeplangchain.NewChatMessageHistory(client, "jane-books")
	conversation := chains.NewConversation(fake.NewFakeLLM([]string{"Try Moby-Dick."}),
		memory.NewConversationBuffer(memory.WithChatHistory(history)))
	if _, err := chains.Run(ctx, conversation, "What shall I read?"); err != nil {
		log.Fatal(err)
	}
	messages, err := history.Messages(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, message := range messages {
		fmt.Println(message.GetType(), message.GetContent())
	}
	// Output:
	// human What shall I read?
	// ai Try Moby-Dick.
}

func ExampleVectorStore() {
	server := zeptest.NewServer() // your program calls zep.NewClient
	defer server.Close()
	client, err := server.Client()
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	_, err = client.Collection.Add(ctx, &zep.CreateCollectionRequest{
		Name:                "library",
		EmbeddingDimensions: 384,
		IsAutoEmbedded:      true,
	})
	if err != nil {
		log.Fatal(err)
	}
	store := zeplangchain.NewVectorStore(client, "library")
	_, err = store.AddDocuments(ctx, []schema.Document{
		{PageContent: "Call me Ishmael.", Metadata: map[string]any{"author": "Melville"}},
		{PageContent: "Call me a cab.", Metadata: map[string]any{"author": "Nobody"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	retriever := vectorstores.ToRetriever(store, 5,
		vectorstores.WithFilters(zep.Equal("author", "Melville")))
	documents, err := retriever.GetRelevantDocuments(ctx, "What do they call me?")
	if err != nil {
		log.Fatal(err)
	}
	for _, document := range documents {
		fmt.Println(document.PageContent)
	}
	// Output: Call me Ishmael.
}
