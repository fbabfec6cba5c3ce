package zep

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// wireCall is one call: what it sends, to the letter and in order, the responses, and what it
// returns.
type wireCall struct {
	call    func(context.Context, *Client) (any, error)
	sends   []string // "GET /sessions/s/memory", without apiPath; with the body after a space
	answers []string // each with status 200
	want    any
}

func runWireCalls(t *testing.T, calls map[string]wireCall) {
	t.Helper()
	for name, test := range calls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var steps []step
			for _, answer := range test.answers {
				steps = append(steps, answers(200, answer))
			}
			c, s, _ := scripted(t, nil, steps...)
			got, err := test.call(context.Background(), c)
			require.NoError(t, err)
			assert.Equal(t, test.sends, sent(s))
			assert.Equal(t, test.want, got)
			for _, request := range s.requests() {
				if request.body == "" {
					assert.NotContains(t, request.header, "Content-Type")
				} else {
					assert.Equal(t, "application/json", request.header.Get("Content-Type"))
				}
			}
		})
	}
}

// sent returns the script's requests in the form of a wireCall.
func sent(s *script) []string {
	var lines []string
	for _, request := range s.requests() {
		lines = append(lines,
			strings.TrimSpace(request.method+" "+strings.TrimPrefix(request.url, mockURL+apiPath)+
				" "+request.body))
	}
	return lines
}

// errOnly is the result of a call that returns only an error.
func errOnly(err error) (any, error) { return nil, err }

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		panic(err)
	}
	return t
}

const (
	uuid1 = "9672fadd-9d7c-475d-a47d-fc439f1a5abc"
	uuid2 = "2bf2b4bf-bacb-48a0-a148-63b48a794c74"
	uuid3 = "2876d646-ff66-4acd-8891-72a59d7f20d8"

	helloJSON = `{"uuid":"` + uuid1 +
		`","created_at":"2026-11-24T02:21:53.470906Z","updated_at":"0001-01-01T00:00:00Z",` +
		`"role":"human",` +
		`"content":"hello","metadata":{"k":1},"token_count":2}`
)
