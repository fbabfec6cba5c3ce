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

// TestGreetWithHTTPMock mocks the wire: a transport of the test's own, so that tests can run side by side.
func TestGreetWithHTTPMock(t *testing.T) {
	t.Parallel()
	const jane = "http://zep.test/api/v1/user/jane@example.com"
	ctx := context.Background()
	mock := httpmock.NewMockTransport()
	client, err := zep.NewClient(
		zep.WithBaseURL("http://zep.test"),
		zep.WithHTTPClient(&http.Client{Transport: mock}),
		zep.WithMaxAttempts(1), // a missing responder is an error of the network, and those are tried again
	)
	require.NoError(t, err)
	greeter := mocking.Greeter{Users: client.User}

	mock.RegisterResponder("GET", jane, httpmock.NewStringResponder(200, `{"user_id": "jane@example.com", "first_name": "Jane"}`))
	mock.RegisterMatcherResponder("PATCH", jane, httpmock.BodyContainsString(`"metadata":{"greeted":true}`),
		httpmock.NewStringResponder(200, `{"user_id": "jane@example.com"}`))
	greeting, err := greeter.Greet(ctx, "jane@example.com")
	require.NoError(t, err)
	assert.Equal(t, "Welcome, Jane.", greeting)
	assert.Equal(t, 2, mock.GetTotalCallCount())

	// Zep's errors are text, and a wrong path is a 404 too: only "not found" is a user who is not there.
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
