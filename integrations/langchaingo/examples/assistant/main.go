// Assistant is a conversation about books that LangChainGo leads and Zep keeps: chat history,
// calls of a tool, and documents to answer from.
//
//	go run -C integrations/langchaingo ./examples/assistant
//
// Without ZEP_API_URL the program starts a Zep server in its own process. With ZEP_API_URL (and
// ZEP_API_KEY, if that server requires one) it uses that server, whose model must have embeddings
// of -dimensions numbers: 384, the default, is Zep's own. What it adds has new names in every
// run, and is deleted at the end.
//
// The language model is LangChainGo's fake one, which gives prepared answers. For a real one,
// replace newModel by openai.New() or another of LangChainGo's models.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"time"

	"github.com/tmc/langchaingo/chains"
	"github.com/tmc/langchaingo/llms"
	"github.com/tmc/langchaingo/llms/fake"
	"github.com/tmc/langchaingo/memory"
	"github.com/tmc/langchaingo/schema"
	"github.com/tmc/langchaingo/vectorstores"

	"github.com/zep-go/zep"
	zeplangchain "github.com/zep-go/zep/integrations/langchaingo"
	"github.com/zep-go/zep/zeptest"
)

func main() {
	dimensions := flag.Int("dimensions", 384, "`length` of an embedding of the server's model")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, *dimensions); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, w io.Writer, dimensions int) error {
	if os.Getenv("ZEP_API_URL") != "" {
		client, err := zep.NewClient()
		if err != nil {
			return err
		}
		return tour(ctx, w, client, dimensions)
	}
	server := zeptest.NewServer()
	defer server.Close()
	client, err := server.Client()
	if err != nil {
		return err
	}
	return tour(ctx, w, client, dimensions)
}

// tour shows the three parts, and deletes what they added.
func tour(ctx context.Context, w io.Writer, client *zep.Client, dimensions int) (err error) {
	name := fmt.Sprintf("assistant%016x", rand.Uint64()) // unique on any server
	if _, err := client.User.Add(ctx, &zep.CreateUserRequest{UserID: name}); err != nil {
		return err
	}
	defer func() { // and with the user the session
		err = errors.Join(err, client.User.Delete(context.WithoutCancel(ctx), name))
	}()
	// Added before its first message, the session belongs to the user.
	session := &zep.CreateSessionRequest{SessionID: name, UserID: name}
	if _, err := client.Session.Add(ctx, session); err != nil {
		return err
	}
	if err := converse(ctx, w, client, name); err != nil {
		return err
	}
	if err := useTool(ctx, client, name); err != nil {
		return err
	}
	if err := remember(ctx, w, client, name); err != nil {
		return err
	}
	return answerFromDocuments(ctx, w, client, name, dimensions)
}

func newModel(answers ...string) llms.Model { return fake.NewFakeLLM(answers) }

// converse leads a conversation whose history is in a Zep session.
func converse(ctx context.Context, w io.Writer, client *zep.Client, name string) error {
	fmt.Fprintln(w, "A conversation:")
	history := zeplangchain.NewChatMessageHistory(client, name)
	conversation := chains.NewConversation(
		newModel("Try Moby-Dick, by Herman Melville.", "Ishmael, a sailor."),
		memory.NewConversationBuffer(memory.WithChatHistory(history)),
	)
	for _, question := range []string{"What shall I read?", "Who tells the story?"} {
		answer, err := chains.Run(ctx, conversation, question)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "  human  %s\n  ai     %s\n", question, answer)
	}
	return nil
}

// useTool adds what an agent adds: the call of a tool, its result, and the answer.
func useTool(ctx context.Context, client *zep.Client, name string) error {
	history := zeplangchain.NewChatMessageHistory(client, name)
	for _, message := range []llms.ChatMessage{
		llms.HumanChatMessage{Content: "Is it in the library?"},
		llms.AIChatMessage{ToolCalls: []llms.ToolCall{{
			ID:           "call_1",
			Type:         "function",
			FunctionCall: &llms.FunctionCall{Name: "find", Arguments: `{"title":"Moby-Dick"}`},
		}}},
		llms.ToolChatMessage{ID: "call_1", Content: `{"shelf":"12b"}`},
		llms.AIChatMessage{Content: "Yes, on shelf 12b."},
	} {
		if err := history.AddMessage(ctx, message); err != nil {
			return err
		}
	}
	return nil
}

// remember prints the history as another process reads it.
func remember(ctx context.Context, w io.Writer, client *zep.Client, name string) error {
	fmt.Fprintln(w, "\nWhat another process reads of it:")
	messages, err := zeplangchain.NewChatMessageHistory(client, name).Messages(ctx)
	if err != nil {
		return err
	}
	for _, message := range messages {
		fmt.Fprintf(w, "  %-5s  %s", message.GetType(), message.GetContent())
		switch message := message.(type) {
		case llms.AIChatMessage:
			for _, call := range message.ToolCalls {
				fmt.Fprintf(w, "[%s] %s(%s)", call.ID, call.FunctionCall.Name,
					call.FunctionCall.Arguments)
			}
		case llms.ToolChatMessage:
			fmt.Fprintf(w, " [%s]", message.ID)
		}
		fmt.Fprintln(w)
	}
	last := zeplangchain.NewChatMessageHistory(client, name, zeplangchain.WithLastN(1))
	if messages, err = last.Messages(ctx); err != nil {
		return err
	}
	fmt.Fprintf(w, "The last %d of them: %s\n", len(messages), messages[0].GetContent())
	return nil
}

// answerFromDocuments lets the model answer from documents of a Zep collection.
func answerFromDocuments(
	ctx context.Context, w io.Writer, client *zep.Client, name string, dimensions int,
) (err error) {
	_, err = client.Collection.Add(ctx, &zep.CreateCollectionRequest{
		Name:                name,
		EmbeddingDimensions: dimensions,
		IsAutoEmbedded:      true, // by the server
	})
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, client.Collection.Delete(context.WithoutCancel(ctx), name))
	}()
	store := zeplangchain.NewVectorStore(client, name, zeplangchain.WithMMR(0.7))
	ids, err := store.AddDocuments(ctx, []schema.Document{
		{
			PageContent: "The white whale took the leg of captain Ahab.",
			Metadata:    map[string]any{"book": "Moby-Dick"},
		},
		{
			PageContent: "The captain of the ship is Ahab, who hunts the white whale.",
			Metadata:    map[string]any{"book": "Moby-Dick"},
		},
		{
			PageContent: "The captain of the ship is Nemo.",
			Metadata:    map[string]any{"book": "Twenty Thousand Leagues"},
		},
	})
	if err != nil {
		return err
	}
	if err := awaitEmbeddings(ctx, client, name, len(ids)); err != nil {
		return err
	}

	const question = "Who is the captain of the ship?"
	retriever := vectorstores.ToRetriever(store, 2,
		vectorstores.WithFilters(zep.Equal("book", "Moby-Dick")),
		vectorstores.WithScoreThreshold(0.5))
	fmt.Fprintf(w, "\nFrom %d documents:\n", len(ids))
	found, err := retriever.GetRelevantDocuments(ctx, question)
	if err != nil {
		return err
	}
	for _, document := range found {
		fmt.Fprintf(w, "  %.2f   %s\n", document.Score, document.PageContent)
	}
	answer, err := chains.Run(ctx,
		chains.NewRetrievalQAFromLLM(newModel("Ahab is the captain."), retriever), question)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "  human  %s\n  ai     %s\n", question, answer)
	return nil
}

// awaitEmbeddings waits until the server has embedded n documents.
func awaitEmbeddings(ctx context.Context, client *zep.Client, name string, n int) error {
	for {
		collection, err := client.Collection.Get(ctx, name)
		if err != nil || collection.DocumentEmbeddedCount >= n {
			return err
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
