package zeptest_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/zeptest"
)

func Example() {
	server := zeptest.NewServer()
	defer server.Close()
	client, err := server.Client()
	if err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	if _, err := client.User.Add(ctx, &zep.CreateUserRequest{
		UserID: "jane",
		Email:  "jane@example.com",
	}); err != nil {
		log.Fatal(err)
	}
	user, err := client.User.Get(ctx, "jane")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(user.ID, user.Email)

	_, err = client.User.Get(ctx, "john")
	fmt.Println(errors.Is(err, zep.ErrNotFound))
	// Output:
	// 1 jane@example.com
	// true
}

func ExampleServer_Inject() {
	server := zeptest.NewServer()
	defer server.Close()
	client, err := server.Client(zep.WithMaxAttempts(1))
	if err != nil {
		log.Fatal(err)
	}

	// A proxy loses the answer. The user is added all the same.
	server.Inject(zeptest.Fault{
		Method: http.MethodPost,
		Route:  "/user",
		Apply:  true,
		Status: http.StatusGatewayTimeout,
	})
	ctx := context.Background()
	_, err = client.User.Add(ctx, &zep.CreateUserRequest{UserID: "jane"})
	fmt.Println(err != nil)
	_, err = client.User.Get(ctx, "jane")
	fmt.Println(err == nil)

	for _, request := range server.RequestLog() {
		fmt.Println(request.Method, request.Route)
	}
	// Output:
	// true
	// true
	// POST /user
	// GET /user/{userId}
}

func ExampleServer_Enrich() {
	server := zeptest.NewServer(zeptest.WithDelayedEnrichment())
	defer server.Close()
	client, err := server.Client()
	if err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	err = client.Memory.Add(ctx, "chat", &zep.AddMemoryRequest{Messages: []*zep.Message{
		{Role: zep.RoleHuman, Content: "Where can I buy bread?"},
		{Role: zep.RoleAI, Content: "At the corner, until six."},
	}})
	if err != nil {
		log.Fatal(err)
	}
	search := func() []*zep.MemorySearchResult {
		results, err := client.Memory.Search(ctx, "chat", &zep.SearchMemoryRequest{Text: "bread"})
		if err != nil {
			log.Fatal(err)
		}
		return results
	}
	fmt.Println(len(search()))
	server.Enrich()
	fmt.Println(search()[0].Message.Content)
	// Output:
	// 0
	// Where can I buy bread?
}

func ExampleServer_SetSummary() {
	server := zeptest.NewServer()
	defer server.Close()
	client, err := server.Client()
	if err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	if _, err := client.Session.Add(ctx,
		&zep.CreateSessionRequest{SessionID: "chat"}); err != nil {
		log.Fatal(err)
	}
	if err := server.SetSummary("chat", "Jane looks for bread."); err != nil {
		log.Fatal(err)
	}
	memory, err := client.Memory.Get(ctx, "chat", nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(memory.Summary.Content)
	// Output: Jane looks for bread.
}

func ExampleServer_SeedUsers() {
	server := zeptest.NewServer()
	defer server.Close()
	err := server.SeedUsers(10_000, func(i int) zep.CreateUserRequest {
		return zep.CreateUserRequest{UserID: fmt.Sprintf("user-%d", i)}
	})
	if err != nil {
		log.Fatal(err)
	}

	client, err := server.Client()
	if err != nil {
		log.Fatal(err)
	}
	users := 0
	for _, err := range client.User.All(context.Background()) {
		if err != nil {
			log.Fatal(err)
		}
		users++
	}
	fmt.Println(users)
	// Output: 10000
}
