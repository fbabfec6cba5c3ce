package zep

import (
	"context"
	"fmt"
	"net/http"
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMessageService_Wire(t *testing.T) {
	t.Parallel()
	list := func(page *ListMessagesOptions) func(context.Context, *Client) (any, error) {
		return func(ctx context.Context, c *Client) (any, error) {
			return c.Message.List(ctx, "s", page)
		}
	}
	update := func(metadata Metadata) func(context.Context, *Client) (any, error) {
		return func(ctx context.Context, c *Client) (any, error) {
			return c.Message.UpdateMetadata(ctx, "s", uuid1, metadata)
		}
	}
	empty := &MessageList{Messages: []*Message{}}
	runWireCalls(t, map[string]wireCall{
		"List": {
			list(nil), []string{"GET /sessions/s/messages"},
			[]string{`{"messages":[` + helloJSON + `],"total_count":9,"row_count":1}`},
			&MessageList{Messages: []*Message{hello()}, TotalCount: 9, RowCount: 1},
		},
		"List the server's default": {
			list(&ListMessagesOptions{}),
			[]string{"GET /sessions/s/messages"},
			[]string{`{"messages":null}`},
			empty,
		},
		"List a page by its number": {
			list(&ListMessagesOptions{Limit: 2, Page: 3}),
			[]string{"GET /sessions/s/messages?cursor=3&limit=2"}, []string{`{"messages":[]}`},
			empty,
		},
		"Get": {
			func(ctx context.Context, c *Client) (any, error) {
				return c.Message.Get(ctx, "a b", uuid1)
			},
			[]string{"GET /sessions/a%20b/messages/" + uuid1}, []string{helloJSON}, hello(),
		},
		"UpdateMetadata": {
			update(Metadata{"k": 1, "nested": Metadata{"gone": nil}}),
			[]string{"PATCH /sessions/s/messages/" + uuid1 +
				` {"metadata":{"k":1,"nested":{"gone":null}}}`}, []string{helloJSON}, hello(),
		},
		"UpdateMetadata with nothing is Get": {
			update(Metadata{}),
			[]string{"GET /sessions/s/messages/" + uuid1},
			[]string{helloJSON},
			hello(),
		},
		"UpdateMetadata with nil is Get": {
			update(nil),
			[]string{"GET /sessions/s/messages/" + uuid1},
			[]string{helloJSON},
			hello(),
		},
	})
}

// TestMessage_NotFound covers a missing message: the server panics over it, which a client can't
// tell from another failure.
func TestMessage_NotFound(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	c, _, _ := scripted(t, nil, repeat(4, answers(500, ""))...)
	_, err := c.Message.Get(ctx, "s", uuid1)
	assert.Equal(t, []error{ErrServer}, matched(err))

	c, _, _ = scripted(t, nil, answers(404, "not found\n"))
	_, err = c.Message.UpdateMetadata(ctx, "s", uuid1, Metadata{"k": 1})
	assert.Equal(t, []error{ErrNotFound}, matched(err))
}

// TestServiceUpdates_LostResponse checks that updates are sent again. A message's metadata is
// merged, that of a collection or a document is replaced, and either can be repeated.
func TestServiceUpdates_LostResponse(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	updates := map[string]struct {
		update func(*Client) error
		done   []step
		gone   string
	}{
		"Message.UpdateMetadata": {func(c *Client) error {
			_, err := c.Message.UpdateMetadata(ctx, "s", uuid1, Metadata{"k": 1})
			return err
		}, []step{answers(200, helloJSON)}, "not found\n"},
		"Collection.Update": {func(c *Client) error {
			_, err := c.Collection.Update(ctx,
				&UpdateCollectionRequest{Name: "docs", Metadata: Metadata{"k": 1}})
			return err
		}, []step{answers(200, "OK"), answers(200, docsJSON)},
			"failed to update collection: collection: docs not found\n"},
		"Document.Update": {func(c *Client) error {
			return c.Document.Update(ctx, "docs",
				&UpdateDocumentRequest{UUID: uuid1, DocumentID: "d1"})
		}, []step{answers(200, "OK")}, "failed to Update documents: documents not found\n"},
		"Document.UpdateAll": {func(c *Client) error {
			return c.Document.UpdateAll(ctx, "docs",
				[]*UpdateDocumentRequest{
					{UUID: uuid1, DocumentID: "d1"},
					{UUID: uuid2, DocumentID: "d2"},
				})
		}, []step{answers(200, "OK")}, "failed to Update documents: documents not found\n"},
	}
	for name, test := range updates {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for how, lost := range lostAnswers {
				c, s, _ := scripted(t, nil, append([]step{lost, lost}, test.done...)...)
				require.NoError(t, test.update(c), how)
				requests := s.requests()
				require.Len(t, requests, 2+len(test.done))
				assert.Equal(t, requests[0], requests[2], "every attempt sends the same")

				c, _, _ = scripted(t, nil, lost, answers(404, test.gone))
				err := test.update(c)
				assert.Equal(t, []error{ErrNotFound}, matched(err), how)
				require.ErrorContains(t, err, "may have been carried out")
			}
			c, _, _ := scripted(t, nil, answers(500, ""))
			assert.Equal(t, []error{ErrServer}, matched(test.update(c)),
				"a 500 is no proof that it was not done")
		})
	}
}

// turnstile is a transport that holds every request until the test lets it pass, and then
// responds.
type turnstile struct {
	gate
	answer func(*http.Request) string
}

func (g *turnstile) RoundTrip(req *http.Request) (*http.Response, error) {
	if _, err := g.gate.RoundTrip(req); err != nil {
		return nil, err
	}
	return answers(200, g.answer(req))(req)
}

// updaters are the updates of one record, with the name or UUID of the record in several forms.
var updaters = map[string]struct {
	record record
	update func(c *Client, form string, n int) error
	forms  []string
}{
	"Message.UpdateMetadata": {record{"message", uuidKey(uuid1)},
		func(c *Client, form string, n int) error {
			_, err := c.Message.UpdateMetadata(context.Background(), "s", form, Metadata{"n": n})
			return err
		}, uuidForms},
	"Collection.Update": {record{"collection", "docs"}, func(c *Client, form string, n int) error {
		_, err := c.Collection.Update(context.Background(),
			&UpdateCollectionRequest{Name: form, Metadata: Metadata{"n": n}})
		return err
	}, []string{"docs", "DOCS", "Docs"}},
	"Document.Update": {record{"document", uuidKey(uuid1)},
		func(c *Client, form string, n int) error {
			return c.Document.Update(context.Background(), "docs",
				&UpdateDocumentRequest{UUID: form, Metadata: Metadata{"n": n}})
		}, uuidForms},
	"Document.UpdateAll": {record{"document", uuidKey(uuid1)},
		func(c *Client, form string, n int) error {
			return c.Document.UpdateAll(context.Background(), "docs",
				[]*UpdateDocumentRequest{{UUID: form, Metadata: Metadata{"n": n}}})
		}, uuidForms},
	"Document.Update and UpdateAll": {record{"document", uuidKey(uuid1)},
		func(c *Client, form string, n int) error {
			req := &UpdateDocumentRequest{UUID: form, Metadata: Metadata{"n": n}}
			if n%2 == 0 {
				return c.Document.Update(context.Background(), "docs", req)
			}
			return c.Document.UpdateAll(context.Background(), "docs",
				[]*UpdateDocumentRequest{req})
		}, uuidForms},
}

var uuidForms = []string{uuid1, strings.ToUpper(uuid1), "{" + uuid1 + "}", "urn:uuid:" + uuid1,
	strings.ReplaceAll(uuid1, "-", "")}

func turnstiled(t *testing.T) (*Client, *turnstile) {
	t.Helper()
	g := &turnstile{gate{arrived: make(chan arrival)}, func(req *http.Request) string {
		switch {
		case req.Method == http.MethodGet:
			return docsJSON
		case strings.Contains(req.URL.Path, "/messages/"):
			return `{"uuid":"` + path.Base(req.URL.Path) + `"}`
		}
		return "OK"
	}}
	c, err := NewClient(WithBaseURL(mockURL), WithAPIKey(""),
		WithHTTPClient(&http.Client{Transport: g}))
	require.NoError(t, err)
	stopClock(c)
	return c, g
}

func TestServiceUpdates_InOrderOfCalls(t *testing.T) {
	t.Parallel()
	const n = 10
	for name, test := range updaters {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, g := turnstiled(t)
			var done []chan error
			for i := range n {
				done = append(done, make(chan error, 1))
				go func() { done[i] <- test.update(c, test.forms[i%len(test.forms)], i) }()
				waitUntil(t, "the next stands in line",
					func() bool { return waiting(c.updates, test.record) == i })
			}
			for i := range n {
				a := g.next(t)
				assert.Contains(t, a.body, fmt.Sprintf(`"n":%d}`, i))
				close(a.pass)
				// A collection is read back before its next update.
				if strings.HasPrefix(name, "Collection") {
					a = g.next(t)
					assert.Empty(t, a.body)
					assert.Equal(t, n-1-i, waiting(c.updates, test.record))
					close(a.pass)
				}
				require.NoError(t, <-done[i])
			}
			assert.True(t, idle(c.updates), "the queue is empty")
		})
	}
}

// TestServiceUpdates_DifferentRecordsInParallel checks that updates of different records are all
// under way at once.
func TestServiceUpdates_DifferentRecordsInParallel(t *testing.T) {
	t.Parallel()
	c, g := turnstiled(t)
	done := make(chan error)
	updates := []func() error{
		func() error { return updaters["Message.UpdateMetadata"].update(c, uuid1, 0) },
		func() error { return updaters["Message.UpdateMetadata"].update(c, uuid2, 0) },
		func() error { return updaters["Document.Update"].update(c, uuid1, 0) },
		// the same UUID, but another record
		func() error { return updaters["Document.UpdateAll"].update(c, uuid2, 0) },
		func() error { return updaters["Document.UpdateAll"].update(c, uuid3, 0) },
	}
	for _, update := range updates {
		go func() { done <- update() }()
	}
	var arrivals []arrival
	for range updates {
		arrivals = append(arrivals, g.next(t))
	}
	for _, a := range arrivals {
		close(a.pass)
	}
	for range updates {
		require.NoError(t, <-done)
	}
	assert.True(t, idle(c.updates))
}
