package zep_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/zep-go/zep"
)

// addLesson adds a conversation of four messages to the session "lesson".
func addLesson(ctx context.Context, client *zep.Client) {
	must(client.Memory.Add(ctx, "lesson", &zep.AddMemoryRequest{Messages: []*zep.Message{
		{
			Role:     zep.RoleHuman,
			Content:  "How do you say good morning in Spanish?",
			Metadata: zep.Metadata{"topic": "greetings"},
		},
		{Role: zep.RoleAI, Content: "Buenos días.", Metadata: zep.Metadata{"topic": "greetings"}},
		{
			Role:     zep.RoleHuman,
			Content:  "And thank you?",
			Metadata: zep.Metadata{"topic": "thanks"},
		},
		{Role: zep.RoleAI, Content: "Gracias.", Metadata: zep.Metadata{"topic": "thanks"}},
	}}))
}

func ExampleMemoryService_Add() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	// The session is created if it does not exist.
	err := client.Memory.Add(ctx, "lesson", &zep.AddMemoryRequest{Messages: []*zep.Message{
		{Role: zep.RoleHuman, Content: "How do you say good morning in Spanish?"},
		{Role: zep.RoleAI, Content: "Buenos días.", Metadata: zep.Metadata{"language": "es"}},
	}})
	if err != nil {
		log.Fatal(err)
	}

	session, err := client.Session.Get(ctx, "lesson")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(session.SessionID)
	// Output:
	// lesson
}

func ExampleMemoryService_Get() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addLesson(ctx, client)

	memory, err := client.Memory.Get(ctx, "lesson", &zep.GetMemoryOptions{LastN: 2})
	if err != nil {
		log.Fatal(err)
	}
	for _, message := range memory.Messages {
		fmt.Printf("%s: %s\n", message.Role, message.Content)
	}
	fmt.Println("summary of what was before:", memory.Summary)
	// Output:
	// human: And thank you?
	// ai: Gracias.
	// summary of what was before: <nil>
}

func ExampleMemoryService_Delete() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addLesson(ctx, client)

	if err := client.Memory.Delete(ctx, "lesson"); err != nil {
		log.Fatal(err)
	}

	memory, err := client.Memory.Get(ctx, "lesson", nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(memory.Messages), "messages")
	// Output:
	// 0 messages
}

func ExampleMemoryService_Search() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addLesson(ctx, client)

	results, err := client.Memory.Search(ctx, "lesson", &zep.SearchMemoryRequest{
		Text:  "good morning",
		Type:  zep.SearchTypeSimilarity,
		Limit: 1,
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, result := range results {
		fmt.Printf("%.2f %s\n", result.Dist, result.Message.Content)
	}
	// Output:
	// 0.50 How do you say good morning in Spanish?
}

func ExampleSearchFilter() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addLesson(ctx, client)

	filter := zep.SearchFilter{
		Where: zep.Or(
			zep.JSONPath(`$[*] ? (@.topic == "thanks")`),
			zep.JSONPath(`$[*] ? (@.topic == "farewells")`),
		),
		Start: time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	results, err := client.Memory.Search(ctx, "lesson",
		&zep.SearchMemoryRequest{Text: "thank you", Metadata: filter.Metadata()})
	if err != nil {
		log.Fatal(err)
	}
	for _, result := range results {
		fmt.Println(result.Message.Content)
	}
	// Output:
	// And thank you?
	// Gracias.
}

func ExampleJSONPath() {
	filter := zep.SearchFilter{Where: zep.JSONPath(`$[*] ? (@.plan == "pro")`)}
	fmt.Println(filter.Metadata())
	// Output:
	// map[where:map[jsonpath:$[*] ? (@.plan == "pro")]]
}

func ExampleMessageService_List() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addLesson(ctx, client)

	page, err := client.Message.List(ctx, "lesson", &zep.ListMessagesOptions{Limit: 3, Page: 2})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(page.RowCount, "of", page.TotalCount)
	for _, message := range page.Messages {
		fmt.Println(message.Content)
	}
	// Output:
	// 1 of 4
	// Gracias.
}

func ExampleMessageService_All() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addLesson(ctx, client)

	for message, err := range client.Message.All(ctx, "lesson") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: %s\n", message.Role, message.Content)
	}
	// Output:
	// human: How do you say good morning in Spanish?
	// ai: Buenos días.
	// human: And thank you?
	// ai: Gracias.
}

func ExampleMessageService_Get() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	// The UUID is optional: without one, the client chooses it.
	const uuid = "9672fadd-9d7c-475d-a47d-fc439f1a5abc"
	err := client.Memory.Add(ctx, "lesson", &zep.AddMemoryRequest{Messages: []*zep.Message{
		{UUID: uuid, Role: zep.RoleHuman, Content: "hola"},
	}})
	if err != nil {
		log.Fatal(err)
	}

	message, err := client.Message.Get(ctx, "lesson", uuid)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(message.Role, message.Content)
	// Output:
	// human hola
}

func ExampleMessageService_UpdateMetadata() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	const uuid = "9672fadd-9d7c-475d-a47d-fc439f1a5abc"
	err := client.Memory.Add(ctx, "lesson", &zep.AddMemoryRequest{Messages: []*zep.Message{
		{
			UUID:     uuid,
			Role:     zep.RoleHuman,
			Content:  "hola",
			Metadata: zep.Metadata{"language": "es"},
		},
	}})
	if err != nil {
		log.Fatal(err)
	}

	message, err := client.Message.UpdateMetadata(ctx, "lesson", uuid,
		zep.Metadata{"mood": "friendly"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(message.Metadata)
	// Output:
	// map[language:es mood:friendly]
}
