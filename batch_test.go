package zep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// testLimit is the largest body that the servers of these tests take, and the limit of clients.
const testLimit = 10_000

// documentOf returns a document that takes n bytes as JSON.
func documentOf(n int) *CreateDocumentRequest {
	return &CreateDocumentRequest{Content: strings.Repeat("x", n-len(`{"content":""}`))}
}

func documentsOf(n, size int) (documents []*CreateDocumentRequest) {
	for range n {
		documents = append(documents, documentOf(size))
	}
	return documents
}

// TestBatches_Sizes checks that a batch has at most 500 items and at most the bytes that are
// allowed, to the byte.
func TestBatches_Sizes(t *testing.T) {
	t.Parallel()
	const most = testLimit - len("[]")
	tests := map[string]struct {
		documents []*CreateDocumentRequest
		want      []int
	}{
		"one":                      {documentsOf(1, 20), []int{1}},
		"one that fills a request": {documentsOf(1, most), []int{1}},
		"two that fill a request": {
			[]*CreateDocumentRequest{documentOf(most - 1000 - len(",")), documentOf(1000)},
			[]int{2},
		},
		"two that are a byte too much": {
			[]*CreateDocumentRequest{documentOf(most - 1000), documentOf(1000)},
			[]int{1, 1},
		},
		"small ones around a large one": {
			[]*CreateDocumentRequest{
				documentOf(20), documentOf(most), documentOf(20), documentOf(20),
			},
			[]int{1, 1, 2},
		},
		"a third that does not fit": {
			[]*CreateDocumentRequest{
				documentOf(most / 2), documentOf(most/2 - 1), documentOf(20), documentOf(20),
			},
			[]int{2, 2},
		},
		"500":  {documentsOf(500, 15), []int{500}},
		"501":  {documentsOf(501, 15), []int{500, 1}},
		"1500": {documentsOf(1500, 15), []int{500, 500, 500}},
		"such that both limits come once": {
			append(documentsOf(500, 15), documentsOf(3, most/2-10)...),
			[]int{500, 2, 1},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, s := limitedServer(t, testLimit, WithMaxRequestBytes(testLimit))
			uuids, err := c.Document.Add(context.Background(), "docs", test.documents)
			require.NoError(t, err)
			assert.Len(t, uuids, len(test.documents))
			assert.Equal(t, test.want, s.counts)
			assert.Zero(t, s.refused)
			require.Len(t, s.stored, len(test.documents))
			for i, item := range s.stored {
				want, err := json.Marshal(test.documents[i])
				require.NoError(t, err)
				require.True(t, string(want) == item, "item %d", i)
			}
		})
	}
}

// limitedBackend is a server that takes bodies up to a limit. It stores the items of a request,
// which are an array or in an array of an object, as JSON.
type limitedBackend struct {
	limit  int
	answer func(items []json.RawMessage) string

	replies map[int]step // to the requests with these numbers, from 1: nothing of them is stored

	mu      sync.Mutex
	bodies  []string // of all requests
	counts  []int    // of the items in the requests that it took
	refused int
	stored  []string
}

func (s *limitedBackend) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bodies = append(s.bodies, string(body))
	if len(body) > s.limit {
		s.refused++
		return answers(413, "request body too large\n")(req)
	}
	var items []json.RawMessage
	if json.Unmarshal(body, &items) != nil {
		var object map[string]json.RawMessage
		if err := json.Unmarshal(body, &object); err != nil {
			return nil, err
		}
		for _, value := range object {
			if json.Unmarshal(value, &items) == nil {
				break
			}
		}
	}
	if reply := s.replies[len(s.bodies)]; reply != nil {
		return reply(req)
	}
	s.counts = append(s.counts, len(items))
	for _, item := range items {
		s.stored = append(s.stored, string(item))
	}
	return answers(200, s.answer(items))(req)
}

// limitedServer returns a client of a limitedBackend that answers adds of documents.
func limitedServer(t *testing.T, limit int, opts ...Option) (*Client, *limitedBackend) {
	t.Helper()
	s := &limitedBackend{limit: limit, answer: func(items []json.RawMessage) string {
		uuids, _ := json.Marshal(make([]int, len(items)))
		return strings.ReplaceAll(string(uuids), "0", `"u"`)
	}}
	c, _ := clientWith(t, s, opts...)
	return c, s
}

func okAnswer([]json.RawMessage) string { return "OK" }

// TestBatches_SplitAfterRefusal checks that a batch which the server refuses is split, and no other
// one, and that no item is lost, doubled or out of order.
func TestBatches_SplitAfterRefusal(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	uuids := func(n int) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprintf("00000000-0000-4000-8000-%012d", i))
		}
		return all
	}
	for name, test := range map[string]struct {
		answer  func([]json.RawMessage) string
		limit   int
		call    func(*Client) error
		counts  []int
		refused int
	}{
		"Document.Add, all taken": {
			nil, 1 << 20,
			func(c *Client) error {
				_, err := c.Document.Add(ctx, "docs", documentsOf(600, 1000))
				return err
			},
			[]int{500, 100}, 0,
		},
		"Document.Add, 6 MiB to a server that takes them": {
			nil, 1 << 30,
			func(c *Client) error {
				_, err := c.Document.Add(ctx, "docs", documentsOf(4, 3<<19))
				return err
			},
			[]int{4}, 0,
		},
		"Memory.Add, 6 MiB to a server that takes them": {
			okAnswer, 1 << 30,
			func(c *Client) error {
				return c.Memory.Add(ctx, "s", &AddMemoryRequest{Messages: messagesOf(4, 3<<19)})
			},
			[]int{4}, 0,
		},
		"Document.Add, halved": {
			nil, 8000,
			func(c *Client) error {
				_, err := c.Document.Add(ctx, "docs", documentsOf(10, 1000))
				return err
			},
			[]int{5, 5}, 1,
		},
		"Document.Add, each alone": {
			nil, 1002,
			func(c *Client) error {
				_, err := c.Document.Add(ctx, "docs", documentsOf(4, 1000))
				return err
			},
			[]int{1, 1, 1, 1}, 2,
		},
		"Document.UpdateAll": {
			okAnswer, 500,
			func(c *Client) error {
				var reqs []*UpdateDocumentRequest
				for _, uuid := range uuids(10) {
					reqs = append(reqs, &UpdateDocumentRequest{UUID: uuid, DocumentID: "d"})
				}
				return c.Document.UpdateAll(ctx, "docs", reqs)
			},
			[]int{5, 5}, 1,
		},
		"Document.DeleteAll": {
			okAnswer, 300,
			func(c *Client) error { return c.Document.DeleteAll(ctx, "docs", uuids(10)) },
			[]int{5, 5}, 1,
		},
		"Document.GetByUUIDs": {
			func(items []json.RawMessage) string {
				return `[{"uuid":` + string(items[0]) + `}]`
			}, 300,
			func(c *Client) error {
				found, err := c.Document.GetByUUIDs(ctx, "docs", uuids(10))
				assert.Len(t, found, 2, "one for each request")
				return err
			},
			[]int{5, 5}, 1,
		},
		"Memory.Add": {
			okAnswer, 1200,
			func(c *Client) error {
				return c.Memory.Add(ctx, "s", &AddMemoryRequest{Messages: messagesOf(10, 100)})
			},
			[]int{5, 5}, 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, s := limitedServer(t, test.limit)
			if test.answer != nil {
				s.answer = test.answer
			}
			require.NoError(t, test.call(c))
			assert.Equal(t, test.counts, s.counts)
			assert.Equal(t, test.refused, s.refused)
			whole := &limitedBackend{limit: 1 << 30, answer: s.answer}
			other, _ := clientWith(t, whole)
			if !strings.HasPrefix(name, "Document.GetBy") {
				require.NoError(t, test.call(other))
				if !strings.HasPrefix(name, "Memory.Add") { // its UUIDs are random
					assert.Equal(t, whole.stored, s.stored)
				}
			}
		})
	}
}

// messagesOf returns n messages with contents of the given size, which begin with their numbers.
func messagesOf(n, size int) (messages []*Message) {
	for i := range n {
		number := fmt.Sprintf("%d:", i)
		messages = append(messages, &Message{
			Role: RoleHuman, Content: number + strings.Repeat("x", size-len(number)),
		})
	}
	return messages
}

// contentsOf returns the numbers of the messages that the server stored.
func contentsOf(t *testing.T, s *limitedBackend) (numbers []string) {
	t.Helper()
	for _, item := range s.stored {
		var m Message
		require.NoError(t, json.Unmarshal([]byte(item), &m))
		number, _, _ := strings.Cut(m.Content, ":")
		numbers = append(numbers, number)
	}
	return numbers
}

// TestMemoryAdd_InParts checks the order of the messages, and that the metadata is in the first
// request alone, after a refusal and with a limit of the client.
func TestMemoryAdd_InParts(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		opts    []Option
		refused int
	}{
		"after a refusal": {nil, 1},
		"with a limit":    {[]Option{WithMaxRequestBytes(testLimit)}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, s := limitedServer(t, testLimit, test.opts...)
			s.answer = okAnswer
			req := &AddMemoryRequest{
				Messages: messagesOf(30, 500),
				Metadata: Metadata{"m": strings.Repeat("y", 1000)},
			}
			require.NoError(t, c.Memory.Add(context.Background(), "s", req))
			assert.Equal(t, test.refused, s.refused)
			var want []string
			for i := range 30 {
				want = append(want, fmt.Sprint(i))
			}
			assert.Equal(t, want, contentsOf(t, s))
			taken := s.bodies[s.refused:]
			require.Greater(t, len(taken), 1)
			for i, body := range taken {
				assert.Equal(t, i == 0, strings.Contains(body, `"metadata"`), "request %d", i)
				assert.LessOrEqual(t, len(body), testLimit)
			}
			var uuids []string
			for _, body := range taken {
				uuids = append(uuids, sentUUIDs(t, body)...)
			}
			slices.Sort(uuids)
			assert.Len(t, slices.Compact(uuids), 30)
			if test.refused > 0 {
				first := sentUUIDs(t, s.bodies[0])
				slices.Sort(first)
				assert.Equal(t, first, uuids, "the UUIDs are those of the request that was refused")
			}
		})
	}
}

// TestMemoryAdd_WithoutMessages checks that this is one request, whatever the limit.
func TestMemoryAdd_WithoutMessages(t *testing.T) {
	t.Parallel()
	for _, opts := range [][]Option{nil, {WithMaxRequestBytes(testLimit)}} {
		c, s := limitedServer(t, testLimit, opts...)
		s.answer = okAnswer
		req := &AddMemoryRequest{Messages: []*Message{}, Metadata: Metadata{"m": 1}}
		require.NoError(t, c.Memory.Add(context.Background(), "s", req))
		assert.Equal(t, []string{`{"messages":[],"metadata":{"m":1}}`}, s.bodies)
	}
}

// TestMemoryAdd_PartFails checks what is told of the parts before the one that fails.
func TestMemoryAdd_PartFails(t *testing.T) {
	t.Parallel()
	notPublished := answers(500, "failed to publish new messages\n")
	for name, test := range map[string]struct {
		replies map[int]step // two are refused, then each has 3 messages
		text    string
		matches []error
		stored  int
	}{
		"refused": {
			map[int]step{4: answers(400, "no")},
			"zep: Memory.Add: the first 3 of 12 are stored: zep: POST " +
				"/zep/api/v1/sessions/s/memory: 400: no",
			[]error{ErrBadRequest}, 3,
		},
		"refused, the first": {
			map[int]step{3: answers(400, "no")}, "zep: POST ", []error{ErrBadRequest}, 0,
		},
		"lost": {
			map[int]step{4: answerLost, 5: answerLost, 6: answerLost, 7: answerLost},
			"may have been carried out", nil, 3,
		},
		"busy once": {map[int]step{4: answers(429, "")}, "", nil, 12},
		"too large alone": {
			map[int]step{4: answers(413, ""), 5: answers(413, "")},
			"the first 3 of 12 are stored", []error{ErrTooLarge}, 3,
		},
		"not published": {
			map[int]step{4: notPublished},
			"failed to publish", []error{ErrServer, ErrNotPublished}, 9,
		},
		"not published, and then refused": {
			map[int]step{4: notPublished, 5: answers(400, "no")},
			"the first 6 of 12 are stored, but not all published: ", []error{ErrBadRequest}, 3,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, s := limitedServer(t, 700) // takes 3 messages
			s.answer, s.replies = okAnswer, test.replies
			err := c.Memory.Add(context.Background(), "s",
				&AddMemoryRequest{Messages: messagesOf(12, 100)})
			assert.Len(t, s.stored, test.stored)
			if test.text == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.text)
			assert.Equal(t, test.matches, matched(err))
			assertOneLine(t, err.Error())
		})
	}
}

// TestBatches_NoSplitAfterAmbiguousOutcome checks that documents which may be stored already are
// not sent again in parts.
func TestBatches_NoSplitAfterAmbiguousOutcome(t *testing.T) {
	t.Parallel()
	c, s, _ := scripted(t, nil, answerLost, answers(413, "too large"))
	uuids, err := c.Document.Add(context.Background(), "docs", numbered(2, true))
	require.ErrorIs(t, err, ErrTooLarge)
	require.ErrorIs(t, err, ErrAmbiguous)
	assert.Empty(t, uuids)
	assert.Len(t, s.requests(), 2)
}

// TestBatches_ResponseOverLimit checks that documents whose response is too large are asked for in
// smaller batches.
func TestBatches_ResponseOverLimit(t *testing.T) {
	t.Parallel()
	c, s := limitedServer(t, 1<<20)
	s.answer = func(items []json.RawMessage) string {
		var all []string
		for _, item := range items {
			all = append(all, fmt.Sprintf(`{"uuid":%s,"content":"%0500d"}`, item, 0))
		}
		return "[" + strings.Join(all, ",") + "]"
	}
	limitResponses(c, testLimit)
	var uuids []string
	for i := range 100 {
		uuids = append(uuids, fmt.Sprint("u", i))
	}
	found, err := c.Document.GetByIDs(context.Background(), "docs", uuids)
	require.NoError(t, err)
	var got []string
	for _, d := range found {
		got = append(got, d.UUID)
	}
	assert.Equal(t, uuids, got)
}

// TestWithMaxRequestBytes_Refuses checks that what cannot be split is refused, and that nothing is
// sent before that.
func TestWithMaxRequestBytes_Refuses(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	big := strings.Repeat("x", testLimit)
	for name, test := range map[string]struct {
		call func(*Client) error
		text string
	}{
		"Document.Add": {func(c *Client) error {
			documents := append(documentsOf(600, 100), documentOf(testLimit-1))
			_, err := c.Document.Add(ctx, "docs", documents)
			return err
		}, "Document.Add: item 600 takes 10001 bytes as JSON, over the 10000 of WithMaxRequest"},
		"Document.UpdateAll": {func(c *Client) error {
			return c.Document.UpdateAll(ctx, "docs", []*UpdateDocumentRequest{
				{UUID: uuid1, DocumentID: "d"}, {UUID: uuid2, Metadata: Metadata{"x": big}},
			})
		}, "Document.UpdateAll: item 1 takes "},
		"Document.GetByIDs": {func(c *Client) error {
			_, err := c.Document.GetByIDs(ctx, "docs", []string{"a", big})
			return err
		}, "Document.GetByIDs: item 1 takes "},
		"Document.DeleteAll": {func(c *Client) error {
			return c.Document.DeleteAll(ctx, "docs", []string{"a", big})
		}, "Document.DeleteAll: item 1 takes "},
		"Memory.Add": {func(c *Client) error {
			return c.Memory.Add(ctx, "s", &AddMemoryRequest{
				Messages: append(messagesOf(50, 500), &Message{Content: big}),
			})
		}, "Memory.Add: item 50 takes "},
		"Memory.Add, its metadata": {func(c *Client) error {
			return c.Memory.Add(ctx, "s", &AddMemoryRequest{
				Messages: messagesOf(2, 100), Metadata: Metadata{"m": big},
			})
		}, "Memory.Add: item 0 takes "},
		"Memory.Add, nothing but metadata": {func(c *Client) error {
			return c.Memory.Add(ctx, "s", &AddMemoryRequest{Metadata: Metadata{"m": big}})
		}, "POST /sessions/{sessionId}/memory: the request takes 10035 bytes, over the 10000 of"},
		"User.Add": {func(c *Client) error {
			_, err := c.User.Add(ctx, &CreateUserRequest{UserID: "jane", FirstName: big})
			return err
		}, "POST /user: the request takes 10034 bytes, over the 10000 of WithMaxRequestBytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, s, _ := scripted(t, []Option{WithMaxRequestBytes(testLimit)})
			err := test.call(c)
			require.ErrorContains(t, err, test.text)
			assert.Equal(t, []error{ErrTooLarge}, matched(err))
			assert.False(t, errors.Is(err, ErrAmbiguous))
			assert.Empty(t, s.requests())
		})
	}
}
