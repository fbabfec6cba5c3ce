package mocking_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/examples/mocking"
)

// TestGreet_HTTPMock mocks the transport. Each test has its own, so that tests can run in
// parallel.
func TestGreet_HTTPMock(t *testing.T) {
	t.Parallel()
	const jane = "http://zep.test/api/v1/user/jane@example.com"
	ctx := context.Background()
	mock := httpmock.NewMockTransport()
	client, err := zep.NewClient(
		zep.WithBaseURL("http://zep.test"),
		zep.WithHTTPClient(&http.Client{Transport: mock}),
		zep.WithMaxAttempts(1), // a missing responder is a network error, which is retried
	)
	require.NoError(t, err)
	greeter := mocking.Greeter{Users: client.User}

	mock.RegisterResponder("GET", jane, httpmock.NewStringResponder(200,
		`{"user_id": "jane@example.com", "first_name": "Jane"}`))
	mock.RegisterMatcherResponder("PATCH", jane,
		httpmock.BodyContainsString(`"metadata":{"greeted":true}`),
		httpmock.NewStringResponder(200, `{"user_id": "jane@example.com"}`))
	greeting, err := greeter.Greet(ctx, "jane@example.com")
	require.NoError(t, err)
	assert.Equal(t, "Welcome, Jane.", greeting)
	assert.Equal(t, 2, mock.GetTotalCallCount())

	// Zep's errors are text. A wrong path is a 404 too: only "not found" is a missing user.
	mock.RegisterResponder("GET", jane, httpmock.NewStringResponder(404, "not found\n"))
	greeting, err = greeter.Greet(ctx, "jane@example.com")
	require.NoError(t, err)
	assert.Equal(t, "Hello, stranger.", greeting)

	mock.RegisterResponder("GET", jane, httpmock.NewStringResponder(404, "404 page not found\n"))
	_, err = greeter.Greet(ctx, "jane@example.com")
	assert.ErrorIs(t, err, zep.ErrEndpointNotFound)

	mock.RegisterResponder("GET", jane, httpmock.NewStringResponder(401, "token is expired\n"))
	_, err = greeter.Greet(ctx, "jane@example.com")
	assert.ErrorIs(t, err, zep.ErrUnauthorized)
}
