package zepmcp

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
)

// alphabet has characters of one to four bytes, and some whose JSON is longer than they are.
var alphabet = []rune("ab <>&\"\\\n\x01é日😀\u2028")

func randomText(random *rand.Rand, length int) string {
	var b strings.Builder
	for range length {
		b.WriteRune(alphabet[random.IntN(len(alphabet))])
	}
	return b.String()
}

// collect makes calls until an answer has no more, and joins the parts of contents that are cut.
// No answer may be larger than the limit.
func (c tools) collect(tool, list string, arguments object, maxBytes int) map[string]string {
	c.t.Helper()
	whole := map[string]string{}
	complete := map[string]bool{}
	for next, calls := arguments, 0; next != nil; calls++ {
		require.Less(c.t, calls, 1000)
		got := c.ok(tool, next)
		require.LessOrEqual(c.t, len(got.text), maxBytes)
		records := got.list(list)
		require.NotEmpty(c.t, records, "every answer has something")
		for _, record := range records {
			uuid := record["uuid"].(string)
			require.False(c.t, complete[uuid], "a record came twice")
			whole[uuid] += record["content"].(string)
			complete[uuid] = record["content_cut"] == nil
			if !complete[uuid] {
				require.Len(c.t, records, 1, "what is cut comes alone")
				require.NotEmpty(c.t, record["content"])
			}
		}
		following := got.next(next)
		require.NotEqual(c.t, next, following)
		next = following
	}
	for _, done := range complete {
		require.True(c.t, done)
	}
	return whole
}

// Answers are never larger than the limit, and following them gives every record once, whole.
func TestAnswer_Limit(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 0))
			maxBytes := leastMaxBytes + random.IntN(4096)
			_, client := newZep(t)
			tools := newTools(t, client, &Options{MaxBytes: maxBytes})
			var texts []string
			for range 12 {
				texts = append(texts, randomText(random, 1+random.IntN(1<<random.IntN(14))))
			}
			addMessages(t, client, "s1", texts...)
			want := map[string]string{}
			for m, err := range client.Message.All(context.Background(), "s1") {
				require.NoError(t, err)
				want[m.UUID] = m.Content
			}
			require.Len(t, want, 12)
			limit := 1 + random.IntN(15)
			assert.Equal(t, want, tools.collect("recall", "messages",
				object{"session_id": "s1", "limit": limit}, maxBytes))
			assert.Equal(t, want, tools.collect("search_memory", "results",
				object{"session_id": "s1", "query": "b", "limit": limit}, maxBytes))

			addDocuments(t, client, "docs")
			var documents []*zep.CreateDocumentRequest
			for _, text := range texts {
				documents = append(documents, &zep.CreateDocumentRequest{Content: text})
			}
			uuids, err := client.Document.Add(context.Background(), "docs", documents)
			require.NoError(t, err)
			want = map[string]string{}
			for i, uuid := range uuids {
				want[uuid] = texts[i]
			}
			assert.Equal(t, want, tools.collect("search_documents", "results",
				object{"collection": "docs", "query": "b", "limit": limit}, maxBytes))
		})
	}
}

func TestAnswer_LimitOfLists(t *testing.T) {
	t.Parallel()
	server, client := newZep(t)
	big := zep.Metadata{"text": strings.Repeat("x", 1500)}
	huge := zep.Metadata{"text": strings.Repeat("x", 5000)}
	require.NoError(t, server.SeedSessions(10, func(i int) zep.CreateSessionRequest {
		req := zep.CreateSessionRequest{SessionID: fmt.Sprintf("s%d", i), Metadata: big}
		if i == 4 {
			req.Metadata = huge
		}
		return req
	}))
	tools := newTools(t, client, &Options{MaxBytes: leastMaxBytes})
	var ids []any
	for next := (object{}); next != nil; {
		got := tools.ok("list_sessions", next)
		require.LessOrEqual(t, len(got.text), leastMaxBytes)
		for _, session := range got.list("sessions") {
			ids = append(ids, session["session_id"])
			assert.Equal(t, session["session_id"] == "s4", session["metadata_cut"] == true)
			assert.Equal(t, session["session_id"] == "s4", session["metadata"] == nil)
		}
		next = got.next(next)
	}
	assert.Equal(t, []any{"s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9"}, ids)
}

// A record of which not even a part fits is left out, and the answer says so.
func TestAnswer_LeftOut(t *testing.T) {
	t.Parallel()
	_, client := newZep(t)
	require.NoError(t, client.Memory.Add(context.Background(), "s1", &zep.AddMemoryRequest{
		Messages: []*zep.Message{
			{Role: "user", Content: "first"},
			{Role: zep.Role(strings.Repeat("r", 5000)), Content: "second"},
			{Role: "user", Content: "third"},
		},
	}))
	tools := newTools(t, client, &Options{MaxBytes: leastMaxBytes})
	arguments := object{"session_id": "s1", "limit": 2}
	first := tools.ok("recall", arguments)
	assert.Equal(t, []any{"third"}, field(first.list("messages"), "content"))
	second := tools.ok("recall", first.next(arguments))
	assert.Equal(t, []any{"first"}, field(second.list("messages"), "content"))
	assert.Contains(t, second.text, "Left out, since not even a part fits into the "+
		"4096 bytes of an answer: 1. For earlier")
	assert.LessOrEqual(t, len(second.text), leastMaxBytes)
}

func TestAnswer_SummaryCut(t *testing.T) {
	t.Parallel()
	server, client := newZep(t)
	addMessages(t, client, "s1", "a")
	summary := strings.Repeat("They talked. ", 1000)
	require.NoError(t, server.SetSummary("s1", summary))
	tools := newTools(t, client, &Options{MaxBytes: leastMaxBytes})
	got := tools.ok("recall", object{"session_id": "s1"})
	assert.Equal(t, true, got.object["summary_cut"])
	assert.True(t, strings.HasPrefix(summary, got.object["summary"].(string)))
	assert.Greater(t, len(got.object["summary"].(string)), 500)
	assert.Len(t, got.list("messages"), 1)
	whole := tools.collect("search_memory", "results",
		object{"session_id": "s1", "query": "they", "scope": "summaries"}, leastMaxBytes)
	for _, content := range whole {
		assert.Equal(t, summary, content)
	}
}

func TestAnswer_ContentOffsetPastEnd(t *testing.T) {
	t.Parallel()
	_, client := newZep(t)
	addMessages(t, client, "s1", "日本")
	tools := newTools(t, client, nil)
	got := tools.ok("recall", object{"session_id": "s1", "content_offset": 1})
	assert.Equal(t, []any{"本"}, field(got.list("messages"), "content"))
	assert.Equal(t, "content_offset must be at most 2, the characters of the content, not 3",
		tools.fails("recall", object{"session_id": "s1", "content_offset": 3}))
}
