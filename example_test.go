package zep_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/zeptest"
)

// newServer starts a server in the process and returns a client of it. The client of another
// server is made with zep.NewClient.
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

	_, err = zep.NewClient(zep.WithTimeout(-time.Second), zep.WithMaxAttempts(0))
	fmt.Println(err)
	// Output:
	// zep.Client(https://zep.example.com)
	// zep: NewClient: WithTimeout(-1s): must be more than 0; WithMaxAttempts(0): must be at least 1
}

func ExampleWithTokenSource() {
	ctx := context.Background()
	server := zeptest.NewServer(zeptest.WithAPIKey("the-first-token"))
	defer server.Close()

	var mu sync.Mutex
	var token string
	var expires time.Time
	source := func(context.Context) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		if time.Now().After(expires) {
			fmt.Println("logging in")
			token, expires = "the-first-token", time.Now().Add(time.Hour)
		}
		return token, nil
	}
	client, err := zep.NewClient(zep.WithBaseURL(server.URL), zep.WithTokenSource(source))
	if err != nil {
		log.Fatal(err)
	}
	addUsers(ctx, client, "jane", "john")

	errNoLogin := errors.New("the login is down")
	client, err = zep.NewClient(zep.WithBaseURL(server.URL), zep.WithTokenSource(
		func(context.Context) (string, error) { return "", errNoLogin }))
	if err != nil {
		log.Fatal(err)
	}
	_, err = client.User.Get(ctx, "jane")
	fmt.Println(errors.Is(err, errNoLogin), err)
	// Output:
	// logging in
	// true zep: GET /api/v1/user/jane: WithTokenSource: the login is down
}

func ExampleClient_Health() {
	ctx := context.Background()
	server := zeptest.NewServer(zeptest.WithServerVersion("0.27.2-abc1234 (2024-05-01T12:00:00Z)"))
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
		fmt.Println(refused.Method, refused.Path, refused.StatusCode, refused.Message,
			refused.Attempts)
	}
	// Output:
	// GET /api/v1/user/nobody 404 not found 1
}
