package zep_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/zeptest"
)

// The examples run against a server in the process, for which newServer gives a client. With a server of your own it is
// zep.NewClient().
func newServer() (*zeptest.Server, *zep.Client) {
	server := zeptest.NewServer()
	client, err := server.Client()
	if err != nil {
		log.Fatal(err)
	}
	return server, client
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func addUsers(ctx context.Context, client *zep.Client, ids ...string) {
	for _, id := range ids {
		_, err := client.User.Add(ctx, &zep.CreateUserRequest{UserID: id})
		must(err)
	}
}

func addSessions(ctx context.Context, client *zep.Client, ids ...string) {
	for _, id := range ids {
		_, err := client.Session.Add(ctx, &zep.CreateSessionRequest{SessionID: id})
		must(err)
	}
}

// addLesson adds a conversation of four messages, to the session "lesson".
func addLesson(ctx context.Context, client *zep.Client) {
	must(client.Memory.Add(ctx, "lesson", &zep.AddMemoryRequest{Messages: []*zep.Message{
		{Role: zep.RoleHuman, Content: "How do you say good morning in Spanish?", Metadata: zep.Metadata{"topic": "greetings"}},
		{Role: zep.RoleAI, Content: "Buenos días.", Metadata: zep.Metadata{"topic": "greetings"}},
		{Role: zep.RoleHuman, Content: "And thank you?", Metadata: zep.Metadata{"topic": "thanks"}},
		{Role: zep.RoleAI, Content: "Gracias.", Metadata: zep.Metadata{"topic": "thanks"}},
	}}))
}

// addFables adds a collection with three documents, and returns their UUIDs.
func addFables(ctx context.Context, client *zep.Client) []string {
	_, err := client.Collection.Add(ctx, &zep.CreateCollectionRequest{
		Name: "fables", Description: "By Aesop", EmbeddingDimensions: 384, IsAutoEmbedded: true,
	})
	must(err)
	uuids, err := client.Document.Add(ctx, "fables", []*zep.CreateDocumentRequest{
		{DocumentID: "fox", Content: "The fox and the grapes", Metadata: zep.Metadata{"animals": 1}},
		{DocumentID: "hare", Content: "The hare and the tortoise", Metadata: zep.Metadata{"animals": 2}},
		{DocumentID: "ant", Content: "The ant and the cricket", Metadata: zep.Metadata{"animals": 2}},
	})
	must(err)
	return uuids
}

func ExampleNewClient() {
	client, err := zep.NewClient(
		zep.WithBaseURL("https://zep.example.com"),
		zep.WithAPIKey(os.Getenv("MY_ZEP_KEY")),
		zep.WithTimeout(10*time.Second),
	)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(client)

	_, err = zep.NewClient(zep.WithBaseURL("zep.example.com"), zep.WithMaxAttempts(0))
	fmt.Println(err)
	// Output:
	// zep.Client(https://zep.example.com)
	// zep: NewClient: base URL "zep.example.com" has no http:// or https://: it must be like http://localhost:8000; WithMaxAttempts(0): want at least 1
}

func ExampleClient_Health() {
	ctx := context.Background()
	server := zeptest.NewServer(zeptest.WithVersion("0.27.2-abc1234 (2024-05-01T12:00:00Z)"))
	defer server.Close()
	client, err := server.Client()
	if err != nil {
		log.Fatal(err)
	}

	health, err := client.Health(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(health.Version)
	// Output:
	// 0.27.2-abc1234 (2024-05-01T12:00:00Z)
}

func ExampleUserService_Add() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	user, err := client.User.Add(ctx, &zep.CreateUserRequest{
		UserID:    "jane@example.com",
		Email:     "jane@example.com",
		FirstName: "Jane",
		LastName:  "Smith",
		Metadata:  zep.Metadata{"plan": "pro"},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(user.ID, user.UserID, user.Metadata["plan"])

	_, err = client.User.Add(ctx, &zep.CreateUserRequest{UserID: "jane@example.com"})
	fmt.Println(errors.Is(err, zep.ErrAlreadyExists))
	fmt.Println(err)
	// Output:
	// 1 jane@example.com pro
	// true
	// zep: POST /api/v1/user: 400: bad request: user already exists with user_id: jane@example.com
}

func ExampleUserService_Get() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addUsers(ctx, client, "jane")

	user, err := client.User.Get(ctx, "jane")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(user.UserID)

	_, err = client.User.Get(ctx, "nobody")
	fmt.Println(errors.Is(err, zep.ErrNotFound))

	_, err = client.User.Get(ctx, "../sessions")
	fmt.Println(errors.Is(err, zep.ErrInvalidID))
	// Output:
	// jane
	// true
	// true
}

func ExampleUserService_Update() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	_, err := client.User.Add(ctx, &zep.CreateUserRequest{
		UserID: "jane", Email: "jane@example.com",
		Metadata: zep.Metadata{"plan": "free", "limits": map[string]any{"seats": 1}},
	})
	if err != nil {
		log.Fatal(err)
	}

	// Metadata is merged, maps within it too. Fields that are left out stay as they are.
	user, err := client.User.Update(ctx, &zep.UpdateUserRequest{
		UserID:   "jane",
		Metadata: zep.Metadata{"plan": "pro", "limits": map[string]any{"disk": "10 GB"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(user.Email)
	fmt.Println(user.Metadata)
	// Output:
	// jane@example.com
	// map[limits:map[disk:10 GB seats:1] plan:pro]
}

func ExampleUserService_Delete() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addUsers(ctx, client, "jane")

	if err := client.User.Delete(ctx, "jane"); err != nil {
		log.Fatal(err)
	}

	err := client.User.Delete(ctx, "jane")
	fmt.Println(errors.Is(err, zep.ErrNotFound))
	// Output:
	// true
}

func ExampleUserService_GetSessions() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addUsers(ctx, client, "jane")
	for _, id := range []string{"monday", "tuesday"} {
		_, err := client.Session.Add(ctx, &zep.CreateSessionRequest{SessionID: id, UserID: "jane"})
		if err != nil {
			log.Fatal(err)
		}
	}

	sessions, err := client.User.GetSessions(ctx, "jane")
	if err != nil {
		log.Fatal(err)
	}
	for _, session := range sessions {
		fmt.Println(session.SessionID, session.UserID)
	}
	// Unordered output:
	// monday jane
	// tuesday jane
}

func ExampleUserService_List() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addUsers(ctx, client, "a", "b", "c")

	// The page after the record with this ID. All of them without options: client.User.List(ctx, nil).
	first, err := client.User.List(ctx, &zep.ListOptions{Limit: 2})
	if err != nil {
		log.Fatal(err)
	}
	last := first[len(first)-1]
	second, err := client.User.List(ctx, &zep.ListOptions{Limit: 2, Cursor: last.ID})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(first), "and then", len(second))
	// Output:
	// 2 and then 1
}

func ExampleUserService_ListChunked() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addUsers(ctx, client, "a", "b", "c", "d", "e")

	for users, err := range client.User.ListChunked(ctx, 2) {
		if err != nil {
			log.Fatal(err)
		}
		for _, user := range users {
			fmt.Print(user.UserID, " ")
		}
		fmt.Println("and a request for more")
	}
	// Output:
	// a b and a request for more
	// c d and a request for more
	// e and a request for more
}

func ExampleUserService_All() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addUsers(ctx, client, "a", "b", "c", "d", "e")

	for user, err := range client.User.All(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(user.UserID)
		if user.UserID == "c" {
			break // cancels the page that is on its way
		}
	}
	// Output:
	// a
	// b
	// c
}

func ExampleUserService_AllParallel() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addUsers(ctx, client, "a", "b", "c")

	for user, err := range client.User.AllParallel(ctx, 4) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(user.UserID) // in no order
	}
	// Unordered output:
	// a
	// b
	// c
}

func ExampleSessionService_List() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addSessions(ctx, client, "a", "b", "c")

	// The page after the record with this ID. All of them without options: client.Session.List(ctx, nil).
	first, err := client.Session.List(ctx, &zep.ListOptions{Limit: 2})
	if err != nil {
		log.Fatal(err)
	}
	last := first[len(first)-1]
	second, err := client.Session.List(ctx, &zep.ListOptions{Limit: 2, Cursor: last.ID})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(first), "and then", len(second))
	// Output:
	// 2 and then 1
}

func ExampleSessionService_ListChunked() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addSessions(ctx, client, "a", "b", "c", "d", "e")

	for sessions, err := range client.Session.ListChunked(ctx, 2) {
		if err != nil {
			log.Fatal(err)
		}
		for _, session := range sessions {
			fmt.Print(session.SessionID, " ")
		}
		fmt.Println("and a request for more")
	}
	// Output:
	// a b and a request for more
	// c d and a request for more
	// e and a request for more
}

func ExampleSessionService_All() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addSessions(ctx, client, "a", "b", "c", "d", "e")

	for session, err := range client.Session.All(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(session.SessionID)
		if session.SessionID == "c" {
			break // cancels the page that is on its way
		}
	}
	// Output:
	// a
	// b
	// c
}

func ExampleSessionService_AllParallel() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addSessions(ctx, client, "a", "b", "c")

	for session, err := range client.Session.AllParallel(ctx, 4) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(session.SessionID) // in no order
	}
	// Unordered output:
	// a
	// b
	// c
}

func ExampleSessionService_Add() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addUsers(ctx, client, "jane")

	session, err := client.Session.Add(ctx, &zep.CreateSessionRequest{
		SessionID: "lesson",
		UserID:    "jane", // or leave it out: a session need not be a user's
		Metadata:  zep.Metadata{"topic": "verbs"},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(session.SessionID, session.UserID, session.Metadata["topic"])

	_, err = client.Session.Add(ctx, &zep.CreateSessionRequest{SessionID: "other", UserID: "nobody"})
	fmt.Println(err)
	// Output:
	// lesson jane verbs
	// zep: POST /api/v1/sessions: 400: bad request: user does not exist with user_id: nobody
}

func ExampleSessionService_Get() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addSessions(ctx, client, "lesson")

	session, err := client.Session.Get(ctx, "lesson")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s is nobody's: %t\n", session.SessionID, session.UserID == "")

	_, err = client.Session.Get(ctx, "party")
	fmt.Println(errors.Is(err, zep.ErrNotFound))
	// Output:
	// lesson is nobody's: true
	// true
}

func ExampleSessionService_Update() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addSessions(ctx, client, "lesson")

	session, err := client.Session.Update(ctx, &zep.UpdateSessionRequest{
		SessionID: "lesson",
		Metadata:  zep.Metadata{"topic": "verbs"},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(session.Metadata)
	// Output:
	// map[topic:verbs]
}

func ExampleSessionService_Delete() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addSessions(ctx, client, "lesson")

	if err := client.Session.Delete(ctx, "lesson"); err != nil {
		log.Fatal(err)
	}

	// A deleted session keeps its id. An update would bring it back.
	_, err := client.Session.Add(ctx, &zep.CreateSessionRequest{SessionID: "lesson"})
	fmt.Println(errors.Is(err, zep.ErrAlreadyExists))
	// Output:
	// true
}

func ExampleMetadata_Decode() {
	metadata := zep.Metadata{"plan": "pro", "limits": map[string]any{"seats": 3}}

	var account struct {
		Plan   string
		Limits struct{ Seats int }
	}
	if err := metadata.Decode(&account); err != nil {
		log.Fatal(err)
	}
	fmt.Println(account.Plan, account.Limits.Seats)
	// Output:
	// pro 3
}

func ExampleCaptureResponse() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addUsers(ctx, client, "jane")

	var response *http.Response
	_, err := client.User.Get(ctx, "jane", zep.CaptureResponse(&response))
	if err != nil {
		log.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(response.Status, response.Header.Get("X-Zep-Version"), len(body) > 0)
	// Output:
	// 200 OK 0.27.2-abc1234 (2024-05-01T12:00:00Z) true
}

func ExampleError() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	_, err := client.User.Get(ctx, "nobody")

	var refused *zep.Error
	if errors.As(err, &refused) {
		fmt.Println(refused.Method, refused.Path, refused.StatusCode, refused.Message, refused.Attempts)
	}
	// Output:
	// GET /api/v1/user/nobody 404 not found 1
}

func ExampleMemoryService_Add() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	// The session is made if there is none.
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
	results, err := client.Memory.Search(ctx, "lesson", &zep.SearchMemoryRequest{Text: "thank you", Metadata: filter.Metadata()})
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
	const uuid = "9672fadd-9d7c-475d-a47d-fc439f1a5abc" // chosen by the caller, or else by the client
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
		{UUID: uuid, Role: zep.RoleHuman, Content: "hola", Metadata: zep.Metadata{"language": "es"}},
	}})
	if err != nil {
		log.Fatal(err)
	}

	message, err := client.Message.UpdateMetadata(ctx, "lesson", uuid, zep.Metadata{"mood": "friendly"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(message.Metadata)
	// Output:
	// map[language:es mood:friendly]
}

func ExampleCollectionService_Add() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	collection, err := client.Collection.Add(ctx, &zep.CreateCollectionRequest{
		Name:                "fables",
		Description:         "By Aesop",
		EmbeddingDimensions: 384,
		IsAutoEmbedded:      true, // by the server's own model
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(collection.Name, collection.Description, collection.DocumentCount)

	_, err = client.Collection.Add(ctx, &zep.CreateCollectionRequest{Name: "my fables", EmbeddingDimensions: 384})
	fmt.Println(err)
	// Output:
	// fables By Aesop 0
	// zep: bad request: Collection.Add: name "my fables": want 3 to 40 letters and digits
}

func ExampleCollectionService_Get() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addFables(ctx, client)

	collection, err := client.Collection.Get(ctx, "Fables") // upper case is the same
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(collection.Name, collection.DocumentCount)
	// Output:
	// fables 3
}

func ExampleCollectionService_Update() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addFables(ctx, client)

	collection, err := client.Collection.Update(ctx, &zep.UpdateCollectionRequest{
		Name:     "fables",
		Metadata: zep.Metadata{"language": "en"}, // replaces what was there
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(collection.Description, collection.Metadata)
	// Output:
	// By Aesop map[language:en]
}

func ExampleCollectionService_Delete() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addFables(ctx, client)

	if err := client.Collection.Delete(ctx, "fables"); err != nil {
		log.Fatal(err)
	}

	_, err := client.Collection.Get(ctx, "fables")
	fmt.Println(errors.Is(err, zep.ErrNotFound))
	// Output:
	// true
}

func ExampleCollectionService_List() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addFables(ctx, client)

	collections, err := client.Collection.List(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, collection := range collections {
		fmt.Println(collection.Name)
	}
	// Output:
	// fables
}

func ExampleCollectionService_CreateIndex() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addFables(ctx, client)

	const force = false // true also where the server thinks that there are too few documents
	if err := client.Collection.CreateIndex(ctx, "fables", force); err != nil {
		log.Fatal(err)
	}

	collection, err := client.Collection.Get(ctx, "fables")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("indexed:", collection.IsIndexed)
	// Output:
	// indexed: true
}

func ExampleCollectionService_Search() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addFables(ctx, client)

	found, err := client.Collection.Search(ctx, "fables", &zep.SearchDocumentsRequest{
		Text:     "tortoise and hare",
		Metadata: zep.SearchFilter{Where: zep.JSONPath(`$[*] ? (@.animals == 2)`)}.Metadata(),
		Limit:    1,
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, result := range found.Results {
		fmt.Println(result.DocumentID, result.Content)
	}
	// Output:
	// hare The hare and the tortoise
}

func ExampleDocumentService_Add() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	_, err := client.Collection.Add(ctx, &zep.CreateCollectionRequest{Name: "fables", EmbeddingDimensions: 384, IsAutoEmbedded: true})
	if err != nil {
		log.Fatal(err)
	}

	// Any number of them: they go up in batches that the server takes. With a DocumentID, an upload whose answer was lost
	// can be tried again.
	uuids, err := client.Document.Add(ctx, "fables", []*zep.CreateDocumentRequest{
		{DocumentID: "fox", Content: "The fox and the grapes"},
		{DocumentID: "hare", Content: "The hare and the tortoise"},
	})
	if err != nil {
		log.Fatalf("%d stored before that: %v", len(uuids), err)
	}
	fmt.Println(len(uuids), "documents")

	_, err = client.Document.Add(ctx, "fables", []*zep.CreateDocumentRequest{{Content: "Another"}, {DocumentID: "empty"}})
	fmt.Println(err)
	// Output:
	// 2 documents
	// zep: bad request: Document.Add: document 1 has neither Content nor Embedding
}

func ExampleDocumentService_Get() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	uuids := addFables(ctx, client)

	document, err := client.Document.Get(ctx, "fables", uuids[0])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(document.DocumentID, document.Content, document.Metadata)
	// Output:
	// fox The fox and the grapes map[animals:1]
}

func ExampleDocumentService_GetByUUIDs() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	uuids := addFables(ctx, client)

	documents, err := client.Document.GetByUUIDs(ctx, "fables", uuids[:2])
	if err != nil {
		log.Fatal(err)
	}
	for _, document := range documents {
		fmt.Println(document.Content)
	}
	// Unordered output:
	// The fox and the grapes
	// The hare and the tortoise
}

func ExampleDocumentService_GetByIDs() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addFables(ctx, client)

	// Those that are not there are missing from the answer.
	documents, err := client.Document.GetByIDs(ctx, "fables", []string{"fox", "wolf"})
	if err != nil {
		log.Fatal(err)
	}
	for _, document := range documents {
		fmt.Println(document.DocumentID, document.Content)
	}
	// Output:
	// fox The fox and the grapes
}

func ExampleDocumentService_Update() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	uuids := addFables(ctx, client)

	err := client.Document.Update(ctx, "fables", &zep.UpdateDocumentRequest{
		UUID:     uuids[0],
		Metadata: zep.Metadata{"moral": "sour"}, // replaces what was there
	})
	if err != nil {
		log.Fatal(err)
	}

	document, err := client.Document.Get(ctx, "fables", uuids[0])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(document.DocumentID, document.Metadata)
	// Output:
	// fox map[moral:sour]
}

func ExampleDocumentService_UpdateAll() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	uuids := addFables(ctx, client)

	err := client.Document.UpdateAll(ctx, "fables", []*zep.UpdateDocumentRequest{
		{UUID: uuids[0], DocumentID: "fox-and-grapes"},
		{UUID: uuids[1], DocumentID: "hare-and-tortoise"},
	})
	if err != nil {
		log.Fatal(err)
	}

	documents, err := client.Document.GetByUUIDs(ctx, "fables", uuids)
	if err != nil {
		log.Fatal(err)
	}
	for _, document := range documents {
		fmt.Println(document.DocumentID)
	}
	// Unordered output:
	// fox-and-grapes
	// hare-and-tortoise
	// ant
}

func ExampleDocumentService_Delete() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	uuids := addFables(ctx, client)

	for range 2 { // what is gone already is no error
		if err := client.Document.Delete(ctx, "fables", uuids[0]); err != nil {
			log.Fatal(err)
		}
	}

	_, err := client.Document.Get(ctx, "fables", uuids[0])
	fmt.Println(errors.Is(err, zep.ErrNotFound))
	// Output:
	// true
}

func ExampleDocumentService_DeleteAll() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	uuids := addFables(ctx, client)

	if err := client.Document.DeleteAll(ctx, "fables", uuids[:2]); err != nil {
		log.Fatal(err)
	}

	documents, err := client.Document.GetByUUIDs(ctx, "fables", uuids)
	if err != nil {
		log.Fatal(err)
	}
	for _, document := range documents {
		fmt.Println(document.DocumentID)
	}
	// Output:
	// ant
}
