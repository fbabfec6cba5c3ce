package zep_test

import (
	"cmp"
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
)

// wireTest is one call: what it sends, to the letter, and what it returns for a response.
type wireTest struct {
	call func(context.Context, *zep.Client) (any, error)

	method, uri string // the escaped path with that of the base URL, and the query
	body        string // "" for none

	status int // 0 for 200
	answer string
	want   any // nil for a call that returns only an error
}

// run makes the call with a mock transport that responds to every request.
func (test wireTest) run(t *testing.T) {
	t.Helper()
	var sent []*http.Request
	var body string
	mock := httpmock.NewMockTransport()
	mock.RegisterNoResponder(func(req *http.Request) (*http.Response, error) {
		sent = append(sent, req)
		if req.Body != nil {
			data, err := io.ReadAll(req.Body)
			if err != nil {
				return nil, err
			}
			body = string(data)
		}
		return httpmock.NewStringResponse(cmp.Or(test.status, http.StatusOK), test.answer), nil
	})
	got, err := test.call(context.Background(), clientOf(t, mock))
	require.NoError(t, err)
	require.Len(t, sent, 1)
	assert.Equal(t, test.method+" "+test.uri, sent[0].Method+" "+sent[0].URL.RequestURI())
	assert.Equal(t, test.body, body)
	if test.body == "" {
		assert.NotContains(t, sent[0].Header, "Content-Type")
	} else {
		assert.Equal(t, "application/json", sent[0].Header.Get("Content-Type"))
	}
	if test.want != nil {
		assert.Equal(t, test.want, got)
	}
}

func runWireTests(t *testing.T, tests map[string]wireTest) {
	t.Helper()
	t.Parallel()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.run(t)
		})
	}
}

// errOnly is the result of a call that returns only an error.
func errOnly(err error) (any, error) { return nil, err }

// at parses a time as the server writes it.
func at(text string) time.Time {
	parsed, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		panic(err)
	}
	return parsed
}

// answering returns a client that gets the same response to every call.
func answering(t testing.TB, status int, body string) *zep.Client {
	t.Helper()
	mock := httpmock.NewMockTransport()
	mock.RegisterNoResponder(httpmock.NewStringResponder(status, body))
	return clientOf(t, mock)
}

// recordedExchanges returns the exchanges that were recorded with a real server.
func recordedExchanges(t testing.TB) []zep.Recording {
	t.Helper()
	return zep.Recordings(t)
}
