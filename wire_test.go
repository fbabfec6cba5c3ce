package zep

import (
	"context"
	"net/http"
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

// TestSearch_RetriedAsRead checks that searches are retried after any failure, although they are
// POSTs.
func TestSearch_RetriedAsRead(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, search := range map[string]struct {
		call   func(*Client) error
		answer string
	}{
		"Memory.Search": {func(c *Client) error {
			_, err := c.Memory.Search(ctx, "s", &SearchMemoryRequest{Text: "x"})
			return err
		}, "[]"},
		"Collection.Search": {func(c *Client) error {
			_, err := c.Collection.Search(ctx, "docs", &SearchDocumentsRequest{Text: "x"})
			return err
		}, `{"results":[]}`},
		"Document.GetByUUIDs": {
			func(c *Client) error {
				_, err := c.Document.GetByUUIDs(ctx, "docs", []string{uuid1})
				return err
			},
			"[]",
		},
		"Document.GetByIDs": {
			func(c *Client) error {
				_, err := c.Document.GetByIDs(ctx, "docs", []string{"d1"})
				return err
			},
			"[]",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for how, lost := range lostAnswers {
				c, s, _ := scripted(t, nil, answers(500, ""), lost, answers(500, ""),
					answers(200, search.answer))
				require.NoError(t, search.call(c), how)
				assert.Len(t, s.requests(), 4)
			}
			c, _, _ := scripted(t, nil, repeat(4, answerLost)...)
			assert.NotContains(t, search.call(c).Error(), "may have been carried out")
		})
	}
}

// TestCaptureResponse_InvalidCall checks that a call that sends nothing does not leave the
// response of an earlier call. An invalid option is an error all the same.
func TestCaptureResponse_InvalidCall(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	c, s, _ := scripted(t, nil)
	for name, call := range map[string]func(...RequestOption) error{
		"Memory.Get": func(o ...RequestOption) error {
			_, err := c.Memory.Get(ctx, "s", &GetMemoryOptions{LastN: -1}, o...)
			return err
		},
		"Memory.Add": func(o ...RequestOption) error { return c.Memory.Add(ctx, "s", nil, o...) },
		"Memory.Add of nil": func(o ...RequestOption) error {
			return c.Memory.Add(ctx, "s", &AddMemoryRequest{Messages: []*Message{nil}}, o...)
		},
		"Memory.Search": func(o ...RequestOption) error {
			_, err := c.Memory.Search(ctx, "s", nil, o...)
			return err
		},
		"Memory.Search of nothing": func(o ...RequestOption) error {
			_, err := c.Memory.Search(ctx, "s", &SearchMemoryRequest{}, o...)
			return err
		},
		"Message.List": func(o ...RequestOption) error {
			_, err := c.Message.List(ctx, "s", &ListMessagesOptions{Page: -1}, o...)
			return err
		},
		"Collection.Add": func(o ...RequestOption) error {
			_, err := c.Collection.Add(ctx, nil, o...)
			return err
		},
		"Collection.Add of a name": func(o ...RequestOption) error {
			_, err := c.Collection.Add(ctx, &CreateCollectionRequest{Name: "a-b"}, o...)
			return err
		},
		"Collection.Update": func(o ...RequestOption) error {
			_, err := c.Collection.Update(ctx, nil, o...)
			return err
		},
		"Collection.Search": func(o ...RequestOption) error {
			_, err := c.Collection.Search(ctx, "docs", nil, o...)
			return err
		},
		"Collection.Search of nothing": func(o ...RequestOption) error {
			_, err := c.Collection.Search(ctx, "docs", &SearchDocumentsRequest{}, o...)
			return err
		},
		"Document.Add": func(o ...RequestOption) error {
			_, err := c.Document.Add(ctx, "docs", []*CreateDocumentRequest{nil}, o...)
			return err
		},
		"Document.Update": func(o ...RequestOption) error {
			return c.Document.Update(ctx, "docs", nil, o...)
		},
		"Document.UpdateAll": func(o ...RequestOption) error {
			return c.Document.UpdateAll(ctx, "docs", []*UpdateDocumentRequest{{}}, o...)
		},
		"Document.DeleteAll": func(o ...RequestOption) error {
			return c.Document.DeleteAll(ctx, "docs", []string{""}, o...)
		},
		"Document.GetByIDs": func(o ...RequestOption) error {
			_, err := c.Document.GetByIDs(ctx, "docs", []string{""}, o...)
			return err
		},
		"no documents": func(o ...RequestOption) error {
			_, err := c.Document.Add(ctx, "docs", nil, o...)
			return err
		},
		"no UUIDs": func(o ...RequestOption) error {
			_, err := c.Document.GetByUUIDs(ctx, "docs", nil, o...)
			return err
		},
		"no ids": func(o ...RequestOption) error {
			_, err := c.Document.GetByIDs(ctx, "docs", []string{}, o...)
			return err
		},
		"no updates": func(o ...RequestOption) error {
			return c.Document.UpdateAll(ctx, "docs", nil, o...)
		},
		"no deletes": func(o ...RequestOption) error {
			return c.Document.DeleteAll(ctx, "docs", nil, o...)
		},
	} {
		response := &http.Response{StatusCode: 999}
		err := call(CaptureResponse(&response))
		assert.Nil(t, response, name)
		assert.Equal(t, strings.HasPrefix(name, "no "), err == nil, "%s: %v", name, err)
		require.ErrorIs(t, call(RequestMaxAttempts(0)), ErrBadRequest, name)
		require.ErrorIs(t, call(nil), ErrBadRequest, name)
	}
	assert.Empty(t, s.requests())
}
