package otelzep_test

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/zep-go/zep"
	otelzep "github.com/zep-go/zep/otel"
	"github.com/zep-go/zep/zeptest"
)

// A user is added through a proxy that loses the response. The client sends the request again, is
// told that the user exists, and reads the user to find out whether it was the one that added it.
func Example() {
	ctx := context.Background()
	server := zeptest.NewServer()
	defer server.Close()
	server.Inject(zeptest.Fault{Method: "POST", Status: 502, Apply: true})

	spans := tracetest.NewInMemoryExporter() // yours sends them to a collector
	provider := trace.NewTracerProvider(trace.WithSyncer(spans))
	defer provider.Shutdown(ctx)

	client, err := server.Client(
		zep.WithMiddleware(otelzep.Middleware(otelzep.WithTracerProvider(provider))),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := client.User.Add(ctx, &zep.CreateUserRequest{UserID: "jane"}); err != nil {
		fmt.Println(err)
		return
	}
	for _, span := range spans.GetSpans() {
		fmt.Println(span.Name)
		for _, attribute := range span.Attributes {
			switch attribute.Key {
			case "http.response.status_code", "http.request.resend_count", "error.type":
				fmt.Printf("  %s %s\n", attribute.Key, attribute.Value.String())
			}
		}
	}
	// Output:
	// POST /user
	//   http.response.status_code 502
	//   error.type 502
	// POST /user
	//   http.request.resend_count 1
	//   http.response.status_code 400
	//   error.type 400
	// GET /user/{userId}
	//   http.response.status_code 200
}

// Without options, the global providers are used, which a program sets once.
func ExampleMiddleware() {
	provider := trace.NewTracerProvider()
	defer provider.Shutdown(context.Background())
	otel.SetTracerProvider(provider)

	client, err := zep.NewClient(
		zep.WithBaseURL("https://zep.example.com"),
		zep.WithMiddleware(otelzep.Middleware()),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(client)
	// Output: zep.Client(https://zep.example.com)
}
