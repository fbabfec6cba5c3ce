// Package zeplangchain lets LangChainGo keep chat histories and documents on a Zep v0.x server.
//
// [ChatMessageHistory] is a schema.ChatMessageHistory: a conversation in a Zep session, for the
// buffers of LangChainGo's package memory. [VectorStore] is a vectorstores.VectorStore: documents
// in a Zep collection, which the server embeds, or an embedder of LangChainGo.
//
//	history := zeplangchain.NewChatMessageHistory(client, "jane-books")
//	buffer := memory.NewConversationBuffer(memory.WithChatHistory(history))
//	answer, err := chains.Run(ctx, chains.NewConversation(llm, buffer), "What shall I read?")
//
//	store := zeplangchain.NewVectorStore(client, "library")
//	retriever := vectorstores.ToRetriever(store, 5, vectorstores.WithScoreThreshold(0.7))
//	answer, err := chains.Run(ctx, chains.NewRetrievalQAFromLLM(llm, retriever), "Who is Ishmael?")
//
// The errors are those of package zep, for errors.Is. What this package itself refuses, before
// anything is sent, is [zep.ErrBadRequest].
package zeplangchain
