// Langchaingo is a program that uses the client, and LangChainGo without the client.
package main

import (
	"context"
	"fmt"

	"github.com/tmc/langchaingo/chains"
	"github.com/tmc/langchaingo/llms/fake"
	"github.com/tmc/langchaingo/memory"
	"github.com/tmc/langchaingo/vectorstores"

	"github.com/zep-go/zep"
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
	conversation := chains.NewConversation(llm, memory.NewConversationBuffer())
	answer, err := chains.Run(ctx, conversation, "hello")
	fmt.Println(answer, err)
	var store vectorstores.VectorStore
	retriever := vectorstores.ToRetriever(store, 1)
	answer, err = chains.Run(ctx, chains.NewRetrievalQAFromLLM(llm, retriever), "hello")
	fmt.Println(answer, err)
}
