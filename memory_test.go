package zep

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A wireCall is one call: what it sends, to the letter and in order, what it is answered, and what it makes of that.
type wireCall struct {
	call    func(context.Context, *Client) (any, error)
	sends   []string // "GET /sessions/s/memory", below the API's path; a body after a space
	answers []string // each with 200
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

// sent are the script's requests as a wireCall has them.
func sent(s *script) []string {
	var lines []string
	for _, request := range s.requests() {
		lines = append(lines, strings.TrimSpace(request.method+" "+strings.TrimPrefix(request.url, mockURL+apiPath)+" "+request.body))
	}
	return lines
}

// only is for a call that returns nothing but an error.
func only(err error) (any, error) { return nil, err }

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

	helloJSON = `{"uuid":"` + uuid1 + `","created_at":"2026-11-24T02:21:53.470906Z","updated_at":"0001-01-01T00:00:00Z","role":"human",` +
		`"content":"hello","metadata":{"k":1},"token_count":2}`
)

func hello() *Message {
	return &Message{
		UUID: uuid1, CreatedAt: at("2026-11-24T02:21:53.470906Z"), Role: RoleHuman, Content: "hello", Metadata: Metadata{"k": 1.0}, TokenCount: 2,
	}
}

func TestMemoryServiceOnTheWire(t *testing.T) {
	t.Parallel()
	get := func(options *GetMemoryOptions) func(context.Context, *Client) (any, error) {
		return func(ctx context.Context, c *Client) (any, error) { return c.Memory.Get(ctx, "s", options) }
	}
	add := func(req AddMemoryRequest) func(context.Context, *Client) (any, error) {
		return func(ctx context.Context, c *Client) (any, error) { return only(c.Memory.Add(ctx, "s", &req)) }
	}
	search := func(req SearchMemoryRequest) func(context.Context, *Client) (any, error) {
		return func(ctx context.Context, c *Client) (any, error) { return c.Memory.Search(ctx, "s", &req) }
	}
	empty := &Memory{Messages: []*Message{}, Metadata: Metadata{}}
	none := []*MemorySearchResult{}
	runWireCalls(t, map[string]wireCall{
		"Get": {
			get(nil), []string{"GET /sessions/s/memory"},
			[]string{`{"messages":[` + helloJSON + `],"summary":{"uuid":"` + uuid2 + `","created_at":"2026-11-24T02:21:53Z","content":"a greeting",` +
				`"recent_message_uuid":"` + uuid1 + `","metadata":{"m":true},"token_count":7},"metadata":{"x":null},"of_a_later_server":[]}`},
			&Memory{
				Messages: []*Message{hello()}, Metadata: Metadata{"x": nil},
				Summary: &Summary{
					UUID: uuid2, CreatedAt: at("2026-11-24T02:21:53Z"), Content: "a greeting", RecentMessageUUID: uuid1,
					Metadata: Metadata{"m": true}, TokenCount: 7,
				},
			},
		},
		"Get the last five": {get(&GetMemoryOptions{LastN: 5}), []string{"GET /sessions/s/memory?lastn=5"}, []string{`{"messages":[]}`}, empty},
		"Get the server's default": {
			get(&GetMemoryOptions{}), []string{"GET /sessions/s/memory"}, []string{`{"messages":null,"summary":null}`}, empty,
		},
		"Get without a summary: the server's zero one": {
			get(nil), []string{"GET /sessions/s/memory"},
			[]string{`{"messages":[],"summary":{"uuid":"` + noUUID + `","created_at":"0001-01-01T00:00:00Z","content":"","recent_message_uuid":"` + noUUID + `"}}`},
			empty,
		},
		"Get of a session whose id is escaped": {
			func(ctx context.Context, c *Client) (any, error) {
				return c.Memory.Get(ctx, "chat 7: jane;joe 100%", nil)
			},
			[]string{"GET /sessions/chat%207:%20jane;joe%20100%25/memory"}, []string{`{}`}, empty,
		},
		"Add a message with all fields": {
			add(AddMemoryRequest{
				Messages: []*Message{{
					UUID: uuid1, CreatedAt: at("2023-07-01T14:00:00.5+02:00"), UpdatedAt: at("2024-01-01T00:00:00Z"), Role: RoleAI, Content: "<hi>",
					Metadata: Metadata{"k": 1}, TokenCount: 3,
				}},
				Metadata: Metadata{"m": 1},
			}),
			[]string{`POST /sessions/s/memory {"messages":[{"uuid":"` + uuid1 + `","created_at":"2023-07-01T14:00:00.5+02:00","role":"ai",` +
				`"content":"\u003chi\u003e","metadata":{"k":1},"token_count":3}],"metadata":{"m":1}}`},
			[]string{"OK"}, nil,
		},
		"Add sends no field that is empty, but role and content": {
			add(AddMemoryRequest{Messages: []*Message{{UUID: uuid1, Metadata: Metadata{}}}, Metadata: Metadata{}}),
			[]string{`POST /sessions/s/memory {"messages":[{"uuid":"` + uuid1 + `","role":"","content":""}]}`}, []string{"OK\n"}, nil,
		},
		"Add no messages": {add(AddMemoryRequest{}), []string{`POST /sessions/s/memory {"messages":[]}`}, []string{"OK"}, nil},
		"Delete": {
			func(ctx context.Context, c *Client) (any, error) { return only(c.Memory.Delete(ctx, "s")) },
			[]string{"DELETE /sessions/s/memory"}, []string{"OK"}, nil,
		},
		"Search with all fields": {
			search(SearchMemoryRequest{
				Text: "hello", Metadata: Metadata{"where": map[string]any{"jsonpath": "$.a"}}, Scope: SearchScopeMessages, Type: SearchTypeMMR,
				MMRLambda: 0.3, Limit: 5,
			}),
			[]string{`POST /sessions/s/search?limit=5 {"text":"hello","metadata":{"where":{"jsonpath":"$.a"}},"search_scope":"messages",` +
				`"search_type":"mmr","mmr_lambda":0.3}`},
			[]string{`[{"message":` + helloJSON + `,"summary":null,"metadata":{"r":1},"dist":0.75,"embedding":[0.5,-1]},` +
				`{"message":null,"summary":{"uuid":"` + uuid2 + `"},"dist":0,"embedding":null}]`},
			[]*MemorySearchResult{
				{Message: hello(), Metadata: Metadata{"r": 1.0}, Dist: 0.75, Embedding: []float32{0.5, -1}}, {Summary: &Summary{UUID: uuid2, Metadata: Metadata{}}, Metadata: Metadata{}},
			},
		},
		"Search with a filter of the caller's own": {
			search(SearchMemoryRequest{Metadata: Metadata{"start_date": "2024-01-01"}}),
			[]string{`POST /sessions/s/search {"metadata":{"start_date":"2024-01-01"}}`}, []string{"null"}, none,
		},
		"Search in summaries by likeness": {
			search(SearchMemoryRequest{Text: "x", Scope: SearchScopeSummary, Type: SearchTypeSimilarity}),
			[]string{`POST /sessions/s/search {"text":"x","search_scope":"summary","search_type":"similarity"}`}, []string{"[]"}, none,
		},
	})
}

func TestRolesAreThoseOfTheAPI(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []Role{"human", "ai", "user", "assistant", "system", "function", "tool"},
		[]Role{RoleHuman, RoleAI, RoleUser, RoleAssistant, RoleSystem, RoleFunction, RoleTool})
}

func TestAMemoryThatIsNoneIsAnError(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"null", `{"messages":[null]}`, `[]`, `{"messages":{}}`} {
		c, _, _ := scripted(t, nil, answers(200, body))
		memory, err := c.Memory.Get(context.Background(), "s", nil)
		require.ErrorContains(t, err, "the answer is not what Zep sends", body)
		assert.Nil(t, memory)
	}
}

// TestEveryRecordedAnswerComesThroughTheClientWhole gives the recorded answers about memory, messages, searches, collections and
// documents to the methods that they are for: what these return is, as JSON, what was recorded. The one documented difference is
// that the zero summary is none.
func TestEveryRecordedAnswerComesThroughTheClientWhole(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	noSummary := regexp.MustCompile(`"summary":\{"uuid":"` + noUUID + `"[^}]*\}`)
	was := map[string]int{}
	for _, r := range recordings(t) {
		path, _, _ := strings.Cut(strings.TrimPrefix(r.Request.Path, apiPath), "?")
		parts := strings.Split(path, "/")
		if r.Response.Status >= 300 || parts[1] != "collection" && (parts[1] != "sessions" || len(parts) < 4) {
			continue
		}
		name := r.Scenario + ": " + r.Step
		collection := answers(200, `{"name":"read back"}`)
		var got any
		var err error
		call := func(f func(*Client) (any, error), more ...step) {
			c, s, _ := scripted(t, nil, append([]step{answers(r.Response.Status, r.Response.Body)}, more...)...)
			got, err = f(c)
			require.NoError(t, err, name)
			assert.Equal(t, r.Request.Method, s.requests()[0].method, name)
		}
		kind := parts[1] + " " + r.Request.Method
		if len(parts) > 3 {
			kind = strings.Join(append([]string{r.Request.Method, parts[3]}, parts[4:]...), " ")
		}
		for _, id := range parts[min(len(parts), 4):] {
			if strings.Count(id, "-") == 4 {
				kind = strings.Replace(kind, id, "{uuid}", 1)
			}
		}
		was[kind]++
		switch kind {
		case "GET memory":
			call(func(c *Client) (any, error) { return c.Memory.Get(ctx, "s", nil) })
		case "POST memory":
			call(func(c *Client) (any, error) { return only(c.Memory.Add(ctx, "s", &AddMemoryRequest{})) })
		case "DELETE memory":
			call(func(c *Client) (any, error) { return only(c.Memory.Delete(ctx, "s")) })
		case "GET messages":
			call(func(c *Client) (any, error) { return c.Message.List(ctx, "s", nil) })
		case "GET messages {uuid}":
			call(func(c *Client) (any, error) { return c.Message.Get(ctx, "s", uuid1) })
		case "PATCH messages {uuid}":
			call(func(c *Client) (any, error) { return c.Message.UpdateMetadata(ctx, "s", uuid1, Metadata{"k": 1}) })
		case "POST search":
			call(func(c *Client) (any, error) {
				if parts[1] == "sessions" {
					return c.Memory.Search(ctx, "s", &SearchMemoryRequest{Text: "x"})
				}
				return c.Collection.Search(ctx, "docs", &SearchDocumentsRequest{Text: "x"})
			})
		case "collection GET":
			call(func(c *Client) (any, error) {
				if len(parts) == 2 {
					return c.Collection.List(ctx)
				}
				return c.Collection.Get(ctx, "docs")
			})
		case "collection POST":
			call(func(c *Client) (any, error) {
				return c.Collection.Add(ctx, &CreateCollectionRequest{Name: "docs", EmbeddingDimensions: 8})
			}, collection)
		case "collection PATCH":
			call(func(c *Client) (any, error) { return c.Collection.Update(ctx, &UpdateCollectionRequest{Name: "docs"}) }, collection)
		case "collection DELETE":
			call(func(c *Client) (any, error) { return only(c.Collection.Delete(ctx, "docs")) })
		case "POST index create":
			call(func(c *Client) (any, error) { return only(c.Collection.CreateIndex(ctx, "docs", false)) })
		case "POST document":
			var documents []*CreateDocumentRequest
			require.NoError(t, json.Unmarshal([]byte(r.Request.Body), &documents), name)
			if len(documents) == 0 {
				continue // the client sends none
			}
			call(func(c *Client) (any, error) { return c.Document.Add(ctx, "docs", documents) })
		case "GET document uuid {uuid}":
			call(func(c *Client) (any, error) { return c.Document.Get(ctx, "docs", uuid1) })
		case "POST document list get":
			call(func(c *Client) (any, error) { return c.Document.GetByUUIDs(ctx, "docs", []string{uuid1}) })
		case "PATCH document uuid {uuid}":
			call(func(c *Client) (any, error) {
				return only(c.Document.Update(ctx, "docs", &UpdateDocumentRequest{UUID: uuid1}))
			})
		case "PATCH document list update":
			call(func(c *Client) (any, error) {
				return only(c.Document.UpdateAll(ctx, "docs", []*UpdateDocumentRequest{{UUID: uuid1}}))
			})
		case "DELETE document uuid {uuid}":
			call(func(c *Client) (any, error) { return only(c.Document.Delete(ctx, "docs", uuid1)) })
		case "POST document list delete":
			call(func(c *Client) (any, error) { return only(c.Document.DeleteAll(ctx, "docs", []string{uuid1})) })
		default:
			require.Fail(t, "no method for what was recorded", "%s: %s", name, kind)
		}
		if r.Response.Body == "OK" {
			continue
		}
		back, err := json.Marshal(got)
		require.NoError(t, err, name)
		assert.JSONEq(t, noSummary.ReplaceAllString(r.Response.Body, `"summary":null`), string(back), name)
	}
	assert.Len(t, was, 19, "%v", was)
}

// version4 is a random UUID of RFC 9562.
var version4 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestANewUUIDIsOfVersion4(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	variants := map[byte]bool{}
	for range 1000 {
		u := newUUID()
		require.Regexp(t, version4, u)
		require.False(t, seen[u], "it came twice")
		seen[u] = true
		variants[u[19]] = true
	}
	assert.Len(t, variants, 4, "the other bits are random")
}

// sentUUIDs are those of the messages in an add's body.
func sentUUIDs(t *testing.T, body string) (uuids []string) {
	t.Helper()
	var sent struct{ Messages []struct{ UUID string } }
	require.NoError(t, json.Unmarshal([]byte(body), &sent))
	for _, m := range sent.Messages {
		uuids = append(uuids, m.UUID)
	}
	return uuids
}

// TestMessagesGetTheirUUIDsInACopy shares the request between goroutines: the race detector sees who writes to it.
func TestMessagesGetTheirUUIDsInACopy(t *testing.T) {
	t.Parallel()
	request := func() *AddMemoryRequest {
		return &AddMemoryRequest{Metadata: Metadata{"m": 1}, Messages: []*Message{
			{Role: RoleHuman, Content: "a", Metadata: Metadata{"k": 1}}, {UUID: strings.ToUpper(uuid1), Content: "b"}, {Content: "c"},
		}}
	}
	c, s, _ := scripted(t, nil, repeat(4, answers(200, "OK"))...)
	shared := request()
	var adding sync.WaitGroup
	for range 4 {
		adding.Add(1)
		go func() {
			defer adding.Done()
			assert.NoError(t, c.Memory.Add(context.Background(), "s", shared))
		}()
	}
	adding.Wait()
	assert.Equal(t, request(), shared, "it is as it was")
	seen := map[string]bool{}
	for _, add := range s.requests() {
		uuids := sentUUIDs(t, add.body)
		require.Len(t, uuids, 3)
		assert.Equal(t, strings.ToUpper(uuid1), uuids[1], "the caller's own is kept")
		for _, u := range []string{uuids[0], uuids[2]} {
			assert.Regexp(t, version4, u)
			assert.False(t, seen[u], "another in every add")
			seen[u] = true
		}
	}
}

// TestTheZeroUUIDIsNone: the server takes it for none, and would give the message another in every attempt.
func TestTheZeroUUIDIsNone(t *testing.T) {
	t.Parallel()
	for _, zero := range []string{noUUID, "{" + noUUID + "}", "urn:uuid:" + noUUID, "URN:UUID:" + noUUID, strings.ReplaceAll(noUUID, "-", "")} {
		c, s, _ := scripted(t, nil, answerLost, answers(200, "OK"))
		require.NoError(t, c.Memory.Add(context.Background(), "s", &AddMemoryRequest{Messages: []*Message{{UUID: zero}, {UUID: zero}}}))
		uuids := sentUUIDs(t, s.requests()[0].body)
		assert.Regexp(t, version4, uuids[0], zero)
		assert.NotEqual(t, uuids[0], uuids[1])
		assert.Equal(t, s.requests()[0].body, s.requests()[1].body, "each attempt sends the same")
	}
	for _, malformed := range []string{"-", "{}", "urn:uuid:", "0", "xyz"} { // the server says what is wrong
		c, s, _ := scripted(t, nil, answers(400, "invalid UUID length: 1\n"))
		require.ErrorIs(t, c.Memory.Add(context.Background(), "s", &AddMemoryRequest{Messages: []*Message{{UUID: malformed}}}), ErrBadRequest)
		assert.Equal(t, []string{malformed}, sentUUIDs(t, s.requests()[0].body))
	}
}

const (
	messageTaken = "failed to put messages: failed to create messages ERROR: duplicate key value violates unique constraint " +
		`"message_pkey" (SQLSTATE=23505)` + "\n"
	notPublished = "failed to publish new messages pq: could not serialize access\n"
)

func TestAMemoryAddWhoseAnswerWasLostIsDone(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	req := &AddMemoryRequest{Messages: []*Message{{Content: "a"}, {Content: "b"}}}
	for how, lost := range lostAnswers {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			for _, steps := range [][]step{
				{lost, answers(500, messageTaken)}, {lost, lost, lost, answers(500, messageTaken)}, {lost, answers(503, ""), answers(500, messageTaken)},
				{answers(503, ""), lost, answers(500, messageTaken)}, {lost, answers(400, sessionTaken), answers(500, messageTaken)},
				{lost, answers(200, "OK")},
			} {
				c, s, _ := scripted(t, nil, steps...)
				require.NoError(t, c.Memory.Add(ctx, "s", req))
				requests := s.requests()
				require.Len(t, requests, len(steps), "with UUIDs of its own nothing needs to be read back")
				for _, again := range requests[1:] {
					assert.Equal(t, requests[0], again, "each attempt sends the same")
				}
			}

			c, _, _ := scripted(t, nil, lost)
			err := c.Memory.Add(ctx, "s", req, RequestMaxAttempts(1))
			require.ErrorContains(t, err, "may have been carried out")
			c, _, _ = scripted(t, nil, lost, answers(500, "another failure"))
			err = c.Memory.Add(ctx, "s", req)
			assert.Equal(t, []error{ErrServer}, matched(err))
			require.ErrorContains(t, err, "may have been carried out")
		})
	}
}

// TestAUUIDThatIsTakenIsNotReadBackAtOnce: without a lost answer it can't be this call's.
func TestAUUIDThatIsTakenIsNotReadBackAtOnce(t *testing.T) {
	t.Parallel()
	run := func(steps ...step) {
		c, s, _ := scripted(t, nil, append(steps, answers(500, messageTaken))...)
		err := c.Memory.Add(context.Background(), "s", &AddMemoryRequest{Messages: []*Message{{UUID: uuid1, Content: "a"}}})
		assert.Equal(t, []error{ErrServer}, matched(err))
		require.ErrorContains(t, err, "message_pkey")
		assert.NotContains(t, err.Error(), "may have been carried out")
		assert.Len(t, s.requests(), len(steps)+1)
	}
	run()
	for _, proof := range proofs {
		run(proof)
	}
	run(answers(400, sessionTaken))
}

// TestAUUIDOfTheCallersThatIsTakenAfterALostAnswer: it may have been taken before, by this message or by another, here or elsewhere.
func TestAUUIDOfTheCallersThatIsTakenAfterALostAnswer(t *testing.T) {
	t.Parallel()
	there := func(uuid, role, content string) step {
		return answers(200, fmt.Sprintf(`{"uuid":%q,"role":%q,"content":%q}`, uuid, role, content))
	}
	elsewhere := repeat(4, answers(500, "")) // what Zep says of a message that the session does not have
	a, b := &Message{UUID: uuid1, Role: RoleHuman, Content: "a"}, &Message{UUID: uuid2, Role: RoleAI, Content: "b"}
	ours := &Message{Content: "c"}
	tests := map[string]struct {
		messages []*Message
		readBack []step
		asks     []string // UUIDs, "" for one of ours
		want     string   // in the error; "" for none
		matches  []error
	}{
		"one of ours is there":                     {[]*Message{a, ours, b}, []step{there("x", "ai", "whatever")}, []string{""}, "", nil},
		"one of ours is not there":                 {[]*Message{a, ours}, elsewhere, []string{"", "", "", ""}, "message_pkey", []error{ErrServer}},
		"all are there":                            {[]*Message{a, b}, []step{there(uuid1, "human", "a"), there(uuid2, "ai", "b")}, []string{uuid1, uuid2}, "", nil},
		"the only one is there":                    {[]*Message{b}, []step{there(uuid2, "ai", "b")}, []string{uuid2}, "", nil},
		"only the first is there":                  {[]*Message{a, b}, append([]step{there(uuid1, "human", "a")}, elsewhere...), []string{uuid1, uuid2, uuid2, uuid2, uuid2}, "message_pkey", []error{ErrServer}},
		"the first is in another session":          {[]*Message{a, b}, elsewhere, []string{uuid1, uuid1, uuid1, uuid1}, "message_pkey", []error{ErrServer}},
		"another content is there":                 {[]*Message{a, b}, []step{there(uuid1, "human", "A")}, []string{uuid1}, "message_pkey", []error{ErrServer}},
		"another role is there":                    {[]*Message{a, b}, []step{there(uuid1, "human", "a"), there(uuid2, "human", "b")}, []string{uuid1, uuid2}, "message_pkey", []error{ErrServer}},
		"what the server makes of bytes":           {[]*Message{{UUID: uuid1, Role: "\x00ai", Content: "nu\x00l \xff\xfe"}}, []step{there(uuid1, "ai", "nul \uFFFD\uFFFD")}, []string{uuid1}, "", nil},
		"whether it is there cannot be asked":      {[]*Message{a}, repeat(4, neverDialled), []string{uuid1, uuid1, uuid1, uuid1}, "cannot be told", nil},
		"the key has expired":                      {[]*Message{a}, []step{answers(401, "token is expired\n")}, []string{uuid1}, "cannot be told", []error{ErrUnauthorized}},
		"the server fails, and says so":            {[]*Message{a}, repeat(4, answers(500, "out of memory")), []string{uuid1, uuid1, uuid1, uuid1}, "cannot be told", []error{ErrServer}},
		"one of ours cannot be asked for":          {[]*Message{a, ours}, repeat(4, answers(502, "")), []string{"", "", "", ""}, "cannot be told", []error{ErrServer}},
		"a UUID that the server cannot read, lost": {[]*Message{{UUID: "xyz"}}, nil, nil, "invalid UUID length: 3", []error{ErrBadRequest}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refusal := answers(500, messageTaken)
			if test.readBack == nil {
				refusal = answers(400, "invalid UUID length: 3\n")
			}
			c, s, _ := scripted(t, nil, append([]step{answerLost, refusal}, test.readBack...)...)
			err := c.Memory.Add(context.Background(), "s", &AddMemoryRequest{Messages: test.messages}, RequestHeader("X-Trace", "t"))
			requests := s.requests()
			require.Len(t, requests, 2+len(test.asks))
			for i, request := range requests[2:] {
				uuid := test.asks[i]
				if uuid == "" {
					uuid = sentUUIDs(t, requests[0].body)[1]
				}
				assert.Equal(t, "GET "+mockURL+apiPath+"/sessions/s/messages/"+uuid, request.method+" "+request.url)
				assert.Equal(t, "t", request.header.Get("X-Trace"), "the options are the call's")
			}
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.want)
			assert.Equal(t, test.matches, matched(err))
			if test.want != "cannot be told" {
				require.ErrorContains(t, err, "may have been carried out")
				assert.Equal(t, 2, requireError(t, err).Attempts)
			}
			assertOneLine(t, err.Error())
		})
	}
}

func TestAMemoryAddThatIsReadBackEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	c, s, _ := scripted(t, nil, answerLost, answers(500, messageTaken), func(*http.Request) (*http.Response, error) {
		cancel()
		return nil, context.Canceled
	})
	err := c.Memory.Add(ctx, "s", &AddMemoryRequest{Messages: []*Message{{UUID: uuid1}}})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "cannot be told")
	assert.Len(t, s.requests(), 3)
}

// TestAMemoryAddThatLostTheRaceForItsSessionIsSentAgain: two adds created the session at once, and nothing of this one is stored.
func TestAMemoryAddThatLostTheRaceForItsSessionIsSentAgain(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	req := &AddMemoryRequest{Messages: []*Message{{Content: "a"}}}
	for _, text := range []string{sessionTaken, "session already exists with session_id: s\n"} {
		race := answers(400, text)
		c, s, clock := scripted(t, nil, race, race, race, answers(200, "OK"))
		require.NoError(t, c.Memory.Add(ctx, "s", req))
		assert.Equal(t, s.requests()[0], s.requests()[3])
		assert.Len(t, clock.waited(), 3)

		c, s, _ = scripted(t, nil, repeat(4, race)...)
		err := c.Memory.Add(ctx, "s", req)
		assert.Equal(t, []error{ErrAlreadyExists}, matched(err))
		assert.NotContains(t, err.Error(), "may have been carried out", "nothing was")
		assert.Len(t, s.requests(), 4)

		c, _, _ = scripted(t, nil, race)
		require.ErrorIs(t, c.Memory.Add(ctx, "s", req, RequestMaxAttempts(1)), ErrAlreadyExists)
	}
	for _, text := range []string{userTaken, "bad request: no\nsession already exists", "messages: session already exists"} {
		c, _, _ := scripted(t, nil, answers(400, text))
		require.Error(t, c.Memory.Add(ctx, "s", req), text)
	}
	c, _, _ := scripted(t, nil, answers(400, sessionTaken))
	_, err := c.Session.Add(ctx, &CreateSessionRequest{SessionID: "s"})
	require.ErrorIs(t, err, ErrAlreadyExists, "of a session it is the answer")
}

// TestMessagesThatAreStoredButNotPublished: the caller can tell, and no attempt follows, which would only hide it.
func TestMessagesThatAreStoredButNotPublished(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	req := &AddMemoryRequest{Messages: []*Message{{UUID: uuid1, Content: "a"}}}
	tests := map[string]struct {
		before []step
		hedged bool
	}{
		"at once":                     {nil, false},
		"after the server was busy":   {[]step{answers(503, "")}, false},
		"after a race":                {[]step{answers(400, sessionTaken)}, false},
		"after an answer was lost":    {[]step{answerLost}, true},
		"after more than one was":     {[]step{answers(502, ""), answers(504, ""), answerLost}, true},
		"after one was lost, and 429": {[]step{answerLost, answers(429, "")}, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, s, _ := scripted(t, nil, append(test.before, answers(500, notPublished))...)
			err := c.Memory.Add(ctx, "s", req)
			require.ErrorIs(t, err, ErrNotPublished)
			assert.Equal(t, []error{ErrServer, ErrNotPublished}, matched(err))
			require.ErrorContains(t, err, strings.TrimSpace(notPublished))
			assert.Equal(t, test.hedged, strings.Contains(err.Error(), "may have been carried out"), err)
			assert.Len(t, s.requests(), len(test.before)+1)
		})
	}
	for _, text := range []string{"failed to put messages: failed to publish new messages", "failed to publish", ""} {
		c, _, _ := scripted(t, nil, answers(500, text))
		err := c.Memory.Add(ctx, "s", req)
		require.ErrorIs(t, err, ErrServer)
		require.NotErrorIs(t, err, ErrNotPublished, text)
	}
	c, _, _ := scripted(t, nil, answers(400, notPublished))
	require.NotErrorIs(t, c.Memory.Add(ctx, "s", req), ErrNotPublished)
}

// TestSearchesAreReads: they are tried again whatever an attempt met, although they are POSTs.
func TestSearchesAreReads(t *testing.T) {
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
		"Document.GetByUUIDs": {func(c *Client) error { _, err := c.Document.GetByUUIDs(ctx, "docs", []string{uuid1}); return err }, "[]"},
		"Document.GetByIDs":   {func(c *Client) error { _, err := c.Document.GetByIDs(ctx, "docs", []string{"d1"}); return err }, "[]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for how, lost := range lostAnswers {
				c, s, _ := scripted(t, nil, answers(500, ""), lost, answers(500, ""), answers(200, search.answer))
				require.NoError(t, search.call(c), how)
				assert.Len(t, s.requests(), 4)
			}
			c, _, _ := scripted(t, nil, repeat(4, answerLost)...)
			assert.NotContains(t, search.call(c).Error(), "may have been carried out")
		})
	}
}

func TestAMemoryDeleteWhoseAnswerWasLostDidIt(t *testing.T) {
	t.Parallel()
	for how, lost := range lostAnswers {
		c, s, _ := scripted(t, nil, lost, answers(404, "not found\n"))
		require.NoError(t, c.Memory.Delete(context.Background(), "s"), how)
		assert.Len(t, s.requests(), 2)
	}
	c, _, _ := scripted(t, nil, answers(404, "not found\n"))
	require.ErrorIs(t, c.Memory.Delete(context.Background(), "s"), ErrNotFound)
}

func TestWhatNoMemoryTakesIsRefusedBeforeItIsSent(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	add := func(messages ...*Message) func(*Client) error {
		return func(c *Client) error { return c.Memory.Add(ctx, "s", &AddMemoryRequest{Messages: messages}) }
	}
	one := &Message{UUID: uuid1}
	tests := map[string]struct {
		call func(*Client) error
		want string
	}{
		"no message":                    {add(one, nil), "message 1 is nil"},
		"a UUID twice":                  {add(one, &Message{}, &Message{UUID: uuid1}), "message 2 has the UUID " + uuid1 + " of an earlier one"},
		"a UUID twice, once upper case": {add(one, &Message{UUID: strings.ToUpper(uuid1)}), "message 1 "},
		"a UUID twice, once in braces":  {add(one, &Message{UUID: "{" + uuid1 + "}"}), "message 1 "},
		"a UUID twice, once as a URN":   {add(one, &Message{UUID: "urn:uuid:" + uuid1}), "message 1 "},
		"a UUID twice, once as digits":  {add(one, &Message{UUID: strings.ReplaceAll(uuid1, "-", "")}), "message 1 "},
		"metadata that is no JSON":      {add(&Message{Metadata: Metadata{"f": func() {}}}), "JSON"},
		"a time that is no JSON":        {add(&Message{CreatedAt: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}), "JSON"},
		"a negative number of messages": {func(c *Client) error {
			_, err := c.Memory.Get(ctx, "s", &GetMemoryOptions{LastN: -1})
			return err
		}, "LastN is -1"},
		"a negative limit": {func(c *Client) error {
			_, err := c.Memory.Search(ctx, "s", &SearchMemoryRequest{Text: "x", Limit: -2})
			return err
		}, "Limit is -2"},
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

// TestACallThatSendsNothingCapturesNoResponse: that of an earlier call must not be taken for its own. A bad option is an error all the
// same.
func TestACallThatSendsNothingCapturesNoResponse(t *testing.T) {
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
		"Memory.Search": func(o ...RequestOption) error { _, err := c.Memory.Search(ctx, "s", nil, o...); return err },
		"Memory.Search of nothing": func(o ...RequestOption) error {
			_, err := c.Memory.Search(ctx, "s", &SearchMemoryRequest{}, o...)
			return err
		},
		"Message.List": func(o ...RequestOption) error {
			_, err := c.Message.List(ctx, "s", &ListMessagesOptions{Page: -1}, o...)
			return err
		},
		"Collection.Add": func(o ...RequestOption) error { _, err := c.Collection.Add(ctx, nil, o...); return err },
		"Collection.Add of a name": func(o ...RequestOption) error {
			_, err := c.Collection.Add(ctx, &CreateCollectionRequest{Name: "a-b"}, o...)
			return err
		},
		"Collection.Update": func(o ...RequestOption) error { _, err := c.Collection.Update(ctx, nil, o...); return err },
		"Collection.Search": func(o ...RequestOption) error { _, err := c.Collection.Search(ctx, "docs", nil, o...); return err },
		"Collection.Search of nothing": func(o ...RequestOption) error {
			_, err := c.Collection.Search(ctx, "docs", &SearchDocumentsRequest{}, o...)
			return err
		},
		"Document.Add": func(o ...RequestOption) error {
			_, err := c.Document.Add(ctx, "docs", []*CreateDocumentRequest{nil}, o...)
			return err
		},
		"Document.Update": func(o ...RequestOption) error { return c.Document.Update(ctx, "docs", nil, o...) },
		"Document.UpdateAll": func(o ...RequestOption) error {
			return c.Document.UpdateAll(ctx, "docs", []*UpdateDocumentRequest{{}}, o...)
		},
		"Document.DeleteAll": func(o ...RequestOption) error { return c.Document.DeleteAll(ctx, "docs", []string{""}, o...) },
		"Document.GetByIDs": func(o ...RequestOption) error {
			_, err := c.Document.GetByIDs(ctx, "docs", []string{""}, o...)
			return err
		},
		"no documents": func(o ...RequestOption) error { _, err := c.Document.Add(ctx, "docs", nil, o...); return err },
		"no UUIDs":     func(o ...RequestOption) error { _, err := c.Document.GetByUUIDs(ctx, "docs", nil, o...); return err },
		"no ids": func(o ...RequestOption) error {
			_, err := c.Document.GetByIDs(ctx, "docs", []string{}, o...)
			return err
		},
		"no updates": func(o ...RequestOption) error { return c.Document.UpdateAll(ctx, "docs", nil, o...) },
		"no deletes": func(o ...RequestOption) error { return c.Document.DeleteAll(ctx, "docs", nil, o...) },
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

// TestAnotherConstraintIsNoMessageThatIsStored: only that of the messages says that the attempt before did it.
func TestAnotherConstraintIsNoMessageThatIsStored(t *testing.T) {
	t.Parallel()
	c, s, _ := scripted(t, nil, answerLost, answers(500,
		`failed to create messages: ERROR: duplicate key value violates unique constraint "session_session_id_key" (SQLSTATE=23505)`+"\n"))
	err := c.Memory.Add(context.Background(), "s", &AddMemoryRequest{Messages: []*Message{{Role: RoleUser, Content: "hello"}}})
	require.ErrorIs(t, err, ErrServer)
	require.ErrorContains(t, err, "may have been carried out")
	assert.Len(t, s.requests(), 2)
}
