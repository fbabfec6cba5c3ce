package zep

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func hello() *Message {
	return &Message{
		UUID:       uuid1,
		CreatedAt:  at("2026-11-24T02:21:53.470906Z"),
		Role:       RoleHuman,
		Content:    "hello",
		Metadata:   Metadata{"k": 1.0},
		TokenCount: 2,
	}
}

func TestMemoryService_Wire(t *testing.T) {
	t.Parallel()
	get := func(options *GetMemoryOptions) func(context.Context, *Client) (any, error) {
		return func(ctx context.Context, c *Client) (any, error) {
			return c.Memory.Get(ctx, "s", options)
		}
	}
	add := func(req AddMemoryRequest) func(context.Context, *Client) (any, error) {
		return func(ctx context.Context, c *Client) (any, error) {
			return errOnly(c.Memory.Add(ctx, "s", &req))
		}
	}
	search := func(req SearchMemoryRequest) func(context.Context, *Client) (any, error) {
		return func(ctx context.Context, c *Client) (any, error) {
			return c.Memory.Search(ctx, "s", &req)
		}
	}
	empty := &Memory{Messages: []*Message{}, Metadata: Metadata{}}
	none := []*MemorySearchResult{}
	runWireCalls(t, map[string]wireCall{
		"Get": {
			get(nil), []string{"GET /sessions/s/memory"},
			[]string{`{"messages":[` + helloJSON + `],"summary":{"uuid":"` + uuid2 +
				`","created_at":"2026-11-24T02:21:53Z","content":"a greeting",` +
				`"recent_message_uuid":"` + uuid1 +
				`","metadata":{"m":true},"token_count":7},"metadata":{"x":null},` +
				`"of_a_later_server":[]}`},
			&Memory{
				Messages: []*Message{hello()}, Metadata: Metadata{"x": nil},
				Summary: &Summary{
					UUID:              uuid2,
					CreatedAt:         at("2026-11-24T02:21:53Z"),
					Content:           "a greeting",
					RecentMessageUUID: uuid1,
					Metadata:          Metadata{"m": true},
					TokenCount:        7,
				},
			},
		},
		"Get the last five": {
			get(&GetMemoryOptions{LastN: 5}),
			[]string{"GET /sessions/s/memory?lastn=5"},
			[]string{`{"messages":[]}`},
			empty,
		},
		"Get the server's default": {
			get(&GetMemoryOptions{}), []string{"GET /sessions/s/memory"},
			[]string{`{"messages":null,"summary":null}`}, empty,
		},
		"Get without a summary: the server's zero one": {
			get(nil), []string{"GET /sessions/s/memory"},
			[]string{`{"messages":[],"summary":{"uuid":"` + zeroUUID +
				`","created_at":"0001-01-01T00:00:00Z","content":"","recent_message_uuid":"` +
				zeroUUID + `"}}`},
			empty,
		},
		"Get of a session whose id is escaped": {
			func(ctx context.Context, c *Client) (any, error) {
				return c.Memory.Get(ctx, "chat 7: jane;joe 100%", nil)
			},
			[]string{"GET /sessions/chat%207:%20jane;joe%20100%25/memory"},
			[]string{`{"messages":[]}`}, empty,
		},
		"Add a message with all fields": {
			add(AddMemoryRequest{
				Messages: []*Message{{
					UUID: uuid1, CreatedAt: at("2023-07-01T14:00:00.5+02:00"),
					UpdatedAt: at("2024-01-01T00:00:00Z"), Role: RoleAI, Content: "<hi>",
					Metadata: Metadata{"k": 1}, TokenCount: 3,
				}},
				Metadata: Metadata{"m": 1},
			}),
			[]string{`POST /sessions/s/memory {"messages":[{"uuid":"` + uuid1 +
				`","created_at":"2023-07-01T14:00:00.5+02:00","role":"ai",` +
				`"content":"<hi>","metadata":{"k":1},"token_count":3}],` +
				`"metadata":{"m":1}}`},
			[]string{"OK"}, nil,
		},
		"Add sends no field that is empty, but role and content": {
			add(AddMemoryRequest{
				Messages: []*Message{{UUID: uuid1, Metadata: Metadata{}}},
				Metadata: Metadata{},
			}),
			[]string{`POST /sessions/s/memory {"messages":[{"uuid":"` + uuid1 +
				`","role":"","content":""}]}`}, []string{"OK\n"}, nil,
		},
		"Add no messages": {
			add(AddMemoryRequest{}),
			[]string{`POST /sessions/s/memory {"messages":[]}`},
			[]string{"OK"},
			nil,
		},
		"Delete": {
			func(ctx context.Context, c *Client) (any, error) {
				return errOnly(c.Memory.Delete(ctx, "s"))
			},
			[]string{"DELETE /sessions/s/memory"}, []string{"OK"}, nil,
		},
		"Search with all fields": {
			search(SearchMemoryRequest{
				Text:      "hello",
				Metadata:  Metadata{"where": map[string]any{"jsonpath": "$.a"}},
				Scope:     SearchScopeMessages,
				Type:      SearchTypeMMR,
				MMRLambda: 0.3,
				Limit:     5,
			}),
			[]string{`POST /sessions/s/search?limit=5 {"text":"hello",` +
				`"metadata":{"where":{"jsonpath":"$.a"}},"search_scope":"messages",` +
				`"search_type":"mmr","mmr_lambda":0.3}`},
			[]string{`[{"message":` + helloJSON +
				`,"summary":null,"metadata":{"r":1},"dist":0.75,"embedding":[0.5,-1]},` +
				`{"message":null,"summary":{"uuid":"` + uuid2 + `"},"dist":0,"embedding":null}]`},
			[]*MemorySearchResult{
				{
					Message:   hello(),
					Metadata:  Metadata{"r": 1.0},
					Dist:      0.75,
					Embedding: []float32{0.5, -1},
				},
				{
					Summary:  &Summary{UUID: uuid2, Metadata: Metadata{}},
					Metadata: Metadata{},
				},
			},
		},
		"Search with a filter of the caller's own": {
			search(SearchMemoryRequest{Metadata: Metadata{"start_date": "2024-01-01"}}),
			[]string{`POST /sessions/s/search {"metadata":{"start_date":"2024-01-01"}}`},
			[]string{"null"}, none,
		},
		"Search in summaries by likeness": {
			search(SearchMemoryRequest{
				Text:  "x",
				Scope: SearchScopeSummary,
				Type:  SearchTypeSimilarity,
			}),
			[]string{`POST /sessions/s/search {"text":"x","search_scope":"summary",` +
				`"search_type":"similarity"}`}, []string{"[]"}, none,
		},
	})
}

func TestRoles(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []Role{"human", "ai", "user", "assistant", "system", "function", "tool"},
		[]Role{RoleHuman, RoleAI, RoleUser, RoleAssistant, RoleSystem, RoleFunction, RoleTool})
}

func TestMemoryGet_UnexpectedResponse(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"null", `{"messages":[null]}`, `[]`, `{"messages":{}}`} {
		c, _, _ := scripted(t, []Option{WithMaxAttempts(1)}, answers(200, body))
		memory, err := c.Memory.Get(context.Background(), "s", nil)
		require.ErrorContains(t, err, "unexpected response", body)
		assert.Nil(t, memory)
	}
}

func TestMemoryGet_LargestLastN(t *testing.T) {
	t.Parallel()
	c, s, _ := scripted(t, nil, answers(200, `{"messages":[]}`))
	_, err := c.Memory.Get(context.Background(), "s", &GetMemoryOptions{LastN: math.MaxInt32})
	require.NoError(t, err)
	assert.Contains(t, s.requests()[0].url, "?lastn=2147483647")
}

func TestMemoryDelete_LostResponse(t *testing.T) {
	t.Parallel()
	for how, lost := range lostAnswers {
		c, s, _ := scripted(t, nil, lost, answers(404, "not found\n"))
		require.NoError(t, c.Memory.Delete(context.Background(), "s"), how)
		assert.Len(t, s.requests(), 2)
	}
	c, _, _ := scripted(t, nil, answers(404, "not found\n"))
	require.ErrorIs(t, c.Memory.Delete(context.Background(), "s"), ErrNotFound)
}

func TestMemoryService_InvalidRequests(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	add := func(messages ...*Message) func(*Client) error {
		return func(c *Client) error {
			return c.Memory.Add(ctx, "s", &AddMemoryRequest{Messages: messages})
		}
	}
	one := &Message{UUID: uuid1}
	tests := map[string]struct {
		call func(*Client) error
		want string
	}{
		"no message": {add(one, nil), "message 1 is nil"},
		"a UUID twice": {
			add(one, &Message{}, &Message{UUID: uuid1}),
			"message 2 has the UUID \"" + uuid1 + "\" of an earlier one",
		},
		"a UUID twice, once upper case": {
			add(one, &Message{UUID: strings.ToUpper(uuid1)}),
			"message 1 ",
		},
		"a UUID twice, once in braces": {
			add(one, &Message{UUID: "{" + uuid1 + "}"}),
			"message 1 ",
		},
		"a UUID twice, once as a URN": {
			add(one, &Message{UUID: "urn:uuid:" + uuid1}),
			"message 1 ",
		},
		"a UUID twice, once as digits": {
			add(one, &Message{UUID: strings.ReplaceAll(uuid1, "-", "")}),
			"message 1 ",
		},
		"metadata that is no JSON": {add(&Message{Metadata: Metadata{"f": func() {}}}), "JSON"},
		"a time that is no JSON": {
			add(&Message{CreatedAt: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}),
			"JSON",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, s, _ := scripted(t, nil)
			err := test.call(c)
			require.ErrorContains(t, err, test.want)
			assert.Equal(t, []error{ErrBadRequest}, matched(err))
			assert.Empty(t, s.requests())
		})
	}
}
