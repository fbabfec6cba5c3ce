package zep_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
)

// noMemory is the memory of a session without messages.
func noMemory() *zep.Memory {
	return &zep.Memory{Messages: []*zep.Message{}, Metadata: zep.Metadata{}}
}

var memoryConformance = []conformanceTest{
	{"get: nothing yet", func(t *testing.T, c *testClient) {
		session := c.addSession(t, zep.CreateSessionRequest{SessionID: "new"})
		memory, err := c.Memory.Get(c.ctx, session.SessionID, nil)
		if c.server.isUpTo(19) {
			require.ErrorIs(t, err, zep.ErrNotFound)
			return
		}
		require.NoError(t, err)
		assert.Equal(t, noMemory(), memory)
	}},
	{"get of a session that is not there", func(t *testing.T, c *testClient) {
		memory, err := c.Memory.Get(c.ctx, c.id("none"), nil)
		if c.server.isUpTo(19) {
			require.ErrorIs(t, err, zep.ErrNotFound)
		} else {
			require.NoError(t, err)
			assert.Equal(t, noMemory(), memory)
		}
		_, err = c.Session.Get(c.ctx, c.id("none"))
		require.ErrorIs(t, err, zep.ErrNotFound, "not made by asking")
	}},
	{"add, and get", func(t *testing.T, c *testClient) {
		c.addSession(t, zep.CreateSessionRequest{SessionID: "s"})
		require.NoError(t, c.Memory.Add(c.ctx, c.id("s"), &zep.AddMemoryRequest{
			Messages: []*zep.Message{
				{Role: zep.RoleHuman, Content: "hello world"},
				{Role: zep.RoleAI, Content: "hi there", Metadata: zep.Metadata{"k": 1}},
			},
		}))
		memory, err := c.Memory.Get(c.ctx, c.id("s"), nil)
		require.NoError(t, err)
		require.Len(t, memory.Messages, 2)
		for _, m := range memory.Messages {
			assert.Len(t, m.UUID, 36)
			assert.False(t, m.CreatedAt.IsZero())
		}
		assert.Equal(t, zep.RoleHuman, memory.Messages[0].Role)
		assert.Equal(t, "hello world", memory.Messages[0].Content)
		assert.Equal(t, "hi there", memory.Messages[1].Content)
		assert.Equal(t, 1.0, memory.Messages[1].Metadata["k"])
		assert.Nil(t, memory.Summary, "none yet")
	}},
	{"add makes the session", func(t *testing.T, c *testClient) {
		c.addMemory(t, "made", say("hello")...)
		session, err := c.Session.Get(c.ctx, c.id("made"))
		require.NoError(t, err)
		assert.Empty(t, session.UserID)
	}},
	{"add of no messages", func(t *testing.T, c *testClient) {
		if c.server.isLive {
			t.Skip("v0.27.2 retries to embed no messages for 12 to 22 s, and embeds no others then")
		}
		c.addMemory(t, "empty")
		assert.Empty(t, c.messages(t, "empty"))
	}},
	{"the last N, 12 by default, oldest first", func(t *testing.T, c *testClient) {
		var texts []string
		for i := range 15 {
			texts = append(texts, fmt.Sprint("message ", i))
			c.addMemory(t, "window", say(texts[i])...)
		}
		window := texts[3:]
		switch {
		case c.server.isUpTo(15):
			window = texts
		case c.server.isUpTo(19):
			window = texts[:12]
		}
		for n, want := range map[int][]string{
			0:   window,
			1:   texts[14:],
			5:   texts[10:],
			15:  texts,
			100: texts,
		} {
			memory, err := c.Memory.Get(c.ctx, c.id("window"), &zep.GetMemoryOptions{LastN: n})
			require.NoError(t, err)
			assert.Equal(t, want, contents(memory.Messages), "LastN %d", n)
		}
	}},
	{"the UUID of a message is kept, and its time is not", func(t *testing.T, c *testClient) {
		uuid := newUUID()
		created := time.Date(2023, 7, 1, 12, 0, 0, 0, time.UTC)
		c.addMemory(t, "own", &zep.Message{
			UUID:      uuid,
			CreatedAt: created,
			Role:      zep.RoleUser,
			Content:   "hello",
		})
		messages := c.messages(t, "own")
		require.Len(t, messages, 1)
		assert.Equal(t, uuid, messages[0].UUID)
		assert.Equal(t, zep.RoleUser, messages[0].Role)
		assert.Equal(t, c.server.isUpTo(16), created.Equal(messages[0].CreatedAt))
	}},
	{"a UUID that is taken", func(t *testing.T, c *testClient) {
		uuid := newUUID()
		c.addMemory(t, "twice", &zep.Message{UUID: uuid, Role: zep.RoleHuman, Content: "first"})
		err := c.Memory.Add(c.ctx, c.id("twice"), &zep.AddMemoryRequest{Messages: []*zep.Message{
			{Role: zep.RoleHuman, Content: "beside it"},
			{UUID: uuid, Role: zep.RoleHuman, Content: "second"},
		}})
		if c.server.isUpTo(19) { // it replaces the other
			require.NoError(t, err)
			assert.ElementsMatch(t, []string{"beside it", "second"},
				contents(c.messages(t, "twice")))
			return
		}
		require.ErrorIs(t, err, zep.ErrServer)
		assert.ErrorContains(t, err, "message_pkey")
		assert.Equal(t, []string{"first"}, contents(c.messages(t, "twice")))
	}},
	{"delete takes the session too", func(t *testing.T, c *testClient) {
		c.addMemory(t, "gone", say("hello")...)
		c.embedded(t, c.id("gone"))
		require.NoError(t, c.Memory.Delete(c.ctx, c.id("gone")))
		require.ErrorIs(t, c.Memory.Delete(c.ctx, c.id("gone")), zep.ErrNotFound)
		_, err := c.Session.Get(c.ctx, c.id("gone"))
		require.ErrorIs(t, err, zep.ErrNotFound)
		assert.Empty(t, c.messages(t, "gone"))
		_, err = c.Session.Add(c.ctx, &zep.CreateSessionRequest{SessionID: c.id("gone")})
		require.ErrorIs(t, err, zep.ErrAlreadyExists)
	}},
	{"a session that is brought back has lost its messages", func(t *testing.T, c *testClient) {
		c.addMemory(t, "back", say("hello")...)
		c.embedded(t, c.id("back"))
		require.NoError(t, c.Memory.Delete(c.ctx, c.id("back")))
		_, err := c.Session.Update(c.ctx, &zep.UpdateSessionRequest{
			SessionID: c.id("back"),
			Metadata:  zep.Metadata{"u": 1},
		})
		require.NoError(t, err)
		assert.Empty(t, c.messages(t, "back"))
		c.addMemory(t, "back", say("anew")...)
		assert.Equal(t, []string{"anew"}, contents(c.messages(t, "back")))
	}},
	{"of concurrent adds to a new session all are stored", func(t *testing.T, c *testClient) {
		c.cleanUpSession(t, c.id("crowd"))
		var writers sync.WaitGroup
		for writer := range 8 {
			writers.Add(1)
			go func() {
				defer writers.Done()
				err := c.Memory.Add(c.ctx, c.id("crowd"),
					&zep.AddMemoryRequest{Messages: say(fmt.Sprint(writer))})
				if !errors.Is(err, zep.ErrNotPublished) { // stored all the same
					assert.NoError(t, err)
				}
			}()
		}
		writers.Wait()
		assert.ElementsMatch(t, []string{"0", "1", "2", "3", "4", "5", "6", "7"},
			contents(c.messages(t, "crowd")))
	}},
}

// messageConformance returns the tests of the paths of messages, which came with 0.21.
func messageConformance(server testServer) []conformanceTest {
	if !server.isUpTo(20) {
		return messagePathConformance
	}
	return []conformanceTest{{"no paths of messages", func(t *testing.T, c *testClient) {
		_, err := c.Message.List(c.ctx, c.id("s"), nil)
		require.ErrorIs(t, err, zep.ErrEndpointNotFound)
		_, err = c.Message.Get(c.ctx, c.id("s"), unknownUUID)
		require.ErrorIs(t, err, zep.ErrEndpointNotFound)
		_, err = c.Message.UpdateMetadata(c.ctx, c.id("s"), unknownUUID, zep.Metadata{"k": 1})
		require.ErrorIs(t, err, zep.ErrEndpointNotFound)
	}}}
}

var messagePathConformance = []conformanceTest{
	{"list without options: all, oldest first", func(t *testing.T, c *testClient) {
		c.addMemory(t, "s", say("a", "b")...)
		c.addMemory(t, "s", say("c")...)
		list, err := c.Message.List(c.ctx, c.id("s"), nil)
		require.NoError(t, err)
		assert.Equal(t, 3, list.TotalCount)
		assert.Equal(t, 3, list.RowCount)
		assert.Equal(t, "c", list.Messages[2].Content)
		assert.ElementsMatch(t, []string{"a", "b"}, contents(list.Messages[:2]))
		for _, message := range list.Messages {
			assert.True(t, message.UpdatedAt.IsZero(), "lists leave it out")
		}
	}},
	{"pages have numbers, and 0 and 1 are the first", func(t *testing.T, c *testClient) {
		for _, text := range []string{"a", "b", "c", "d", "e"} {
			c.addMemory(t, "pages", say(text)...)
		}
		for page, want := range map[int][]string{
			0: {"a", "b"},
			1: {"a", "b"},
			2: {"c", "d"},
			3: {"e"},
		} {
			list, err := c.Message.List(c.ctx, c.id("pages"), &zep.ListMessagesOptions{
				Limit: 2,
				Page:  page,
			})
			require.NoError(t, err)
			assert.Equal(t, want, contents(list.Messages), "page %d", page)
			assert.Equal(t, 5, list.TotalCount)
			assert.Equal(t, len(want), list.RowCount)
		}
	}},
	{"past the end the total is forgotten", func(t *testing.T, c *testClient) {
		c.addMemory(t, "s", say("a")...)
		list, err := c.Message.List(c.ctx, c.id("s"), &zep.ListMessagesOptions{Limit: 1, Page: 2})
		require.NoError(t, err)
		assert.Equal(t, &zep.MessageList{Messages: []*zep.Message{}}, list)
	}},
	{"list of a session that is not there", func(t *testing.T, c *testClient) {
		list, err := c.Message.List(c.ctx, c.id("none"), nil)
		require.NoError(t, err)
		assert.Equal(t, &zep.MessageList{Messages: []*zep.Message{}}, list)
	}},
	{"all of more than a page, in order", func(t *testing.T, c *testClient) {
		batches, size := 3, 200
		if c.server.isLive {
			// v0.27.2 stores the intents of a batch at once, each over two of the 4 database
			// connections per core: of 200 messages they block the server for a minute.
			batches, size = 60, 2
		}
		var want []string
		for batch := range batches {
			var texts []string
			for i := range size {
				texts = append(texts, fmt.Sprint(batch, " ", i))
			}
			c.addMemory(t, "long", say(texts...)...)
			want = append(want, texts...)
		}
		var got []string
		for m, err := range c.Message.All(c.ctx, c.id("long")) {
			require.NoError(t, err)
			got = append(got, m.Content)
		}
		assert.Equal(t, want, got)
	}},
	{"get", func(t *testing.T, c *testClient) {
		c.addMemory(t, "s", &zep.Message{
			Role:     zep.RoleAI,
			Content:  "hello",
			Metadata: zep.Metadata{"k": 1},
		})
		listed := c.messages(t, "s")[0]
		m, err := c.Message.Get(c.ctx, c.id("s"), listed.UUID)
		require.NoError(t, err)
		assert.Equal(t, "hello", m.Content)
		assert.Equal(t, zep.RoleAI, m.Role)
		assert.Equal(t, listed.UUID, m.UUID)
		assert.Equal(t, 1.0, m.Metadata["k"])
	}},
	{"get with a malformed UUID", func(t *testing.T, c *testClient) {
		c.addMemory(t, "s", say("a")...)
		_, err := c.Message.Get(c.ctx, c.id("s"), "xyz")
		require.ErrorIs(t, err, zep.ErrBadRequest)
	}},
	{"get one that is not there: 500 without a text", func(t *testing.T, c *testClient) {
		c.addMemory(t, "s", say("a")...)
		_, err := c.Message.Get(c.ctx, c.id("s"), unknownUUID, zep.RequestMaxAttempts(1))
		require.ErrorIs(t, err, zep.ErrServer)
		var refused *zep.Error
		require.ErrorAs(t, err, &refused)
		assert.Empty(t, refused.Message)
	}},
	{"update merges metadata deep", func(t *testing.T, c *testClient) {
		c.addMemory(t, "s", &zep.Message{
			Role:     zep.RoleHuman,
			Content:  "hello",
			Metadata: zep.Metadata{"y": map[string]any{"p": 1}},
		})
		uuid := c.messages(t, "s")[0].UUID
		for _, patch := range []zep.Metadata{{"z": 1}, {"y": map[string]any{"q": 2}}, nil, {}} {
			_, err := c.Message.UpdateMetadata(c.ctx, c.id("s"), uuid, patch)
			require.NoError(t, err)
		}
		m, err := c.Message.Get(c.ctx, c.id("s"), uuid)
		require.NoError(t, err)
		assert.Equal(t, "hello", m.Content)
		assert.Equal(t, 1.0, m.Metadata["z"])
		assert.Equal(t, map[string]any{"p": 1.0, "q": 2.0}, m.Metadata["y"])
	}},
	{"update one that is not there", func(t *testing.T, c *testClient) {
		c.addMemory(t, "s", say("a")...)
		_, err := c.Message.UpdateMetadata(c.ctx, c.id("s"), unknownUUID, zep.Metadata{"z": 1})
		require.ErrorIs(t, err, zep.ErrNotFound)
	}},
	{"of concurrent updates through one client all are kept", func(t *testing.T, c *testClient) {
		c.addMemory(t, "s", say("a")...)
		uuid := c.messages(t, "s")[0].UUID
		var writers sync.WaitGroup
		for writer := range 8 {
			writers.Add(1)
			go func() {
				defer writers.Done()
				for i := range 3 {
					_, err := c.Message.UpdateMetadata(c.ctx, c.id("s"), uuid,
						zep.Metadata{fmt.Sprint("k", writer, "-", i): true})
					assert.NoError(t, err)
				}
			}()
		}
		writers.Wait()
		m, err := c.Message.Get(c.ctx, c.id("s"), uuid)
		require.NoError(t, err)
		kept := 0
		for key := range m.Metadata { // a live server adds to it
			if strings.HasPrefix(key, "k") {
				kept++
			}
		}
		assert.Equal(t, 24, kept)
	}},
}

// greetings are what the searches find.
func greetings() []*zep.Message {
	return []*zep.Message{
		{Role: zep.RoleHuman, Content: "hello world", Metadata: zep.Metadata{"z": 1}},
		{Role: zep.RoleAI, Content: "hi there", Metadata: zep.Metadata{"k": 1}},
	}
}

// search searches the memory of the session of that name. It finds nothing where an old server
// says so with an error.
func (c *testClient) search(session string, req zep.SearchMemoryRequest) (
	[]*zep.MemorySearchResult, error,
) {
	results, err := c.Memory.Search(c.ctx, c.id(session), &req)
	if c.server.isUpTo(18) && errors.Is(err, zep.ErrNotFound) {
		return []*zep.MemorySearchResult{}, nil
	}
	return results, err
}

// find returns the contents of what a search finds.
func (c *testClient) find(t testing.TB, session string, req zep.SearchMemoryRequest) []string {
	t.Helper()
	results, err := c.search(session, req)
	require.NoError(t, err)
	return found(results)
}

func found(results []*zep.MemorySearchResult) (texts []string) {
	for _, r := range results {
		texts = append(texts, r.Message.Content)
	}
	return texts
}

// searchable waits until n messages of the session can be found. A search, by metadata too, finds
// only those with an embedding.
func (c *testClient) searchable(t testing.TB, session string, n int) {
	t.Helper()
	soon(t, func() bool {
		results, err := c.search(session, zep.SearchMemoryRequest{Text: "hello", Limit: n})
		return err == nil && len(results) == n
	}, "the embeddings of all messages")
}

var searchConformance = []conformanceTest{
	{"by text, best first", func(t *testing.T, c *testClient) {
		c.addMemory(t, "s", greetings()...)
		soon(t, func() bool {
			results, err := c.search("s", zep.SearchMemoryRequest{Text: "hello", Limit: 2})
			return err == nil && slices.Equal(found(results),
				[]string{"hello world", "hi there"}) &&
				results[0].Dist >= results[1].Dist
		}, "messages found by their text")
		results, err := c.search("s", zep.SearchMemoryRequest{Text: "hello", Limit: 1})
		require.NoError(t, err)
		require.Len(t, results, 1)
		assert.Nil(t, results[0].Summary)
		assert.Empty(t, results[0].Embedding)
	}},
	{"MMR gives the embeddings", func(t *testing.T, c *testClient) {
		c.addMemory(t, "s", greetings()...)
		soon(t, func() bool {
			results, err := c.search("s", zep.SearchMemoryRequest{
				Text:      "hello",
				Type:      zep.SearchTypeMMR,
				MMRLambda: 0.5,
				Limit:     2,
			})
			return err == nil && len(results) == 2 && len(results[0].Embedding) > 0
		}, "messages found by MMR")
	}},
	{"in summaries, of which there are none", func(t *testing.T, c *testClient) {
		c.addMemory(t, "s", greetings()...)
		results, err := c.search("s", zep.SearchMemoryRequest{
			Text:  "hello",
			Scope: zep.SearchScopeSummary,
		})
		require.NoError(t, err)
		assert.Equal(t, []*zep.MemorySearchResult{}, results)
	}},
	{"by metadata alone", func(t *testing.T, c *testClient) {
		c.addMemory(t, "s", greetings()...)
		c.searchable(t, "s", 2)
		for path, want := range map[string][]string{
			`$[*] ? (@.k == 1)`: {"hi there"},
			`$[*] ? (@.z == 1)`: {"hello world"},
			`$[*] ? (@.z == 2)`: nil,
		} {
			assert.Equal(t, want, c.find(t, "s", zep.SearchMemoryRequest{
				Metadata: zep.SearchFilter{Where: zep.JSONPath(path)}.Metadata(),
				Limit:    2,
			}), path)
		}
	}},
	{"by metadata with and, or", func(t *testing.T, c *testClient) {
		c.addMemory(t, "s", greetings()...)
		c.searchable(t, "s", 2)
		k, z := zep.JSONPath(`$[*] ? (@.k == 1)`), zep.JSONPath(`$[*] ? (@.z == 1)`)
		for name, test := range map[string]struct {
			where zep.Condition
			want  []string
		}{
			"and":    {zep.And(z, k), nil},
			"or":     {zep.Or(z, k), []string{"hello world", "hi there"}},
			"and or": {zep.And(z, zep.Or(k, z)), []string{"hello world"}},
		} {
			assert.ElementsMatch(t, test.want, c.find(t, "s", zep.SearchMemoryRequest{
				Metadata: zep.SearchFilter{Where: test.where}.Metadata(),
			}), name)
		}
	}},
	{"by dates", func(t *testing.T, c *testClient) {
		for _, text := range []string{"old", "new"} {
			c.addMemory(t, "s", &zep.Message{
				Role:     zep.RoleHuman,
				Content:  text,
				Metadata: zep.Metadata{"d": 1},
			})
		}
		c.searchable(t, "s", 2)
		messages := c.messages(t, "s")
		older, newer := messages[0].CreatedAt, messages[1].CreatedAt
		require.True(t, newer.After(older))
		for name, test := range map[string]struct {
			filter zep.SearchFilter
			want   []string
		}{
			"start":   {zep.SearchFilter{Start: newer}, []string{"new"}},
			"end":     {zep.SearchFilter{End: older}, []string{"old"}},
			"both":    {zep.SearchFilter{Start: older, End: newer}, []string{"old", "new"}},
			"neither": {zep.SearchFilter{End: older.AddDate(-1, 0, 0)}, nil},
		} {
			test.filter.Where = zep.JSONPath(`$[*] ? (@.d == 1)`)
			assert.ElementsMatch(t, test.want, c.find(t, "s", zep.SearchMemoryRequest{
				Metadata: test.filter.Metadata(),
			}), name)
		}
	}},
	{"with a path that PostgreSQL cannot read", func(t *testing.T, c *testClient) {
		c.addMemory(t, "s", greetings()...)
		_, err := c.Memory.Search(c.ctx, c.id("s"), &zep.SearchMemoryRequest{
			Metadata: zep.SearchFilter{Where: zep.JSONPath(`$[*] ? (`)}.Metadata(),
		})
		require.ErrorIs(t, err, zep.ErrServer)
		assert.ErrorContains(t, err, "jsonpath")
	}},
	{"in a session that is not there", func(t *testing.T, c *testClient) {
		results, err := c.search("none", zep.SearchMemoryRequest{Text: "hello"})
		require.NoError(t, err)
		assert.Equal(t, []*zep.MemorySearchResult{}, results)
	}},
}
