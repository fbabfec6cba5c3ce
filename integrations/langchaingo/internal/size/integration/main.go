// Integration is a program that uses LangChainGo over the client.
package main

import (
	"context"
	"fmt"

	"github.com/tmc/langchaingo/chains"
	"github.com/tmc/langchaingo/llms/fake"
	"github.com/tmc/langchaingo/memory"
	"github.com/tmc/langchaingo/vectorstores"

	"github.com/zep-go/zep"
	zeplangchain "github.com/zep-go/zep/integrations/langchaingo"
)

func main() {
	ctx := context.Background()
	client, err := zep.NewClient()
	if err != nil {
		panic(err)
	}
	stored, err := client.Memory.Get(ctx, "session", nil)
	fmt.Println(stored, err)
	found, err := client.Collection.Search(ctx, "library",
		&zep.SearchDocumentsRequest{Text: "text"})
	fmt.Println(found, err)

	llm := fake.NewFakeLLM([]string{"hi"})
	buffer := memory.NewConversationBuffer(memory.WithChatHistory(
		zeplangchain.NewChatMessageHistory(client, "session")))
	answer, err := chains.Run(ctx, chains.NewConversation(llm, buffer), "hello")
	fmt.Println(answer, err)
	retriever := vectorstores.ToRetriever(zeplangchain.NewVectorStore(client, "library"), 1)
	answer, err = chains.Run(ctx, chains.NewRetrievalQAFromLLM(llm, retriever), "hello")
	fmt.Println(answer, err)
}
