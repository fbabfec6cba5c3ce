package zepmcp

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/zeptest"
)

func TestSearchMemory(t *testing.T) {
	t.Parallel()
	server, client := newZep(t)
	tools := newTools(t, client, nil)
	tools.ok("remember", object{"session_id": "s1", "messages": []object{
		{"role": "user", "content": "The train leaves on Friday.",
			"metadata": object{"topic": "travel", "n": 1}},
		{"role": "user", "content": "I like trains.",
			"metadata": object{"topic": "taste", "n": 2}},
		{"role": "user", "content": "No nuts for me."},
	}})
	got := tools.ok("search_memory",
		object{"session_id": "s1", "query": "when leaves the train on Friday"})
	results := got.list("results")
	require.Len(t, results, 3)
	assert.Equal(t, "The train leaves on Friday.", results[0]["content"])
	assert.Greater(t, results[0]["score"], results[1]["score"])
	assert.NotContains(t, got.object, "more")

	for name, test := range map[string]struct {
		where object
		want  []any
	}{
		"text":    {object{"topic": "travel"}, []any{"The train leaves on Friday."}},
		"number":  {object{"n": 2}, []any{"I like trains."}},
		"both":    {object{"n": 2, "topic": "taste"}, []any{"I like trains."}},
		"neither": {object{"n": 1, "topic": "taste"}, []any{}},
		"quoted":  {object{`"]`: `' || true`}, []any{}},
	} {
		got := tools.ok("search_memory",
			object{"session_id": "s1", "query": "train", "where": test.where})
		assert.Equal(t, test.want, field(got.list("results"), "content"), name)
	}

	tomorrow := time.Now().Add(48 * time.Hour).UTC().Format(time.DateOnly)
	for _, test := range []struct {
		arguments object
		want      int
	}{
		{object{"start": tomorrow}, 0},
		{object{"end": tomorrow}, 3},
		{object{"start": "2020-01-01T00:00:00+02:00", "end": tomorrow}, 3},
	} {
		test.arguments["session_id"], test.arguments["query"] = "s1", "train"
		assert.Len(t, tools.ok("search_memory", test.arguments).list("results"), test.want)
	}
	assert.Equal(t,
		"start must be a date such as 2024-05-31, or a time such as 2024-05-31T18:00:00Z.",
		tools.fails("search_memory", object{"session_id": "s1", "query": "x", "start": "last week"}))

	summaries := object{"session_id": "s1", "query": "travel", "scope": "summaries"}
	assert.Empty(t, tools.ok("search_memory", summaries).list("results"))
	require.NoError(t, server.SetSummary("s1", "They talked of travel."))
	results = tools.ok("search_memory", summaries).list("results")
	assert.Equal(t, []any{"They talked of travel."}, field(results, "content"))
}

func TestSearchMemory_Nothing(t *testing.T) {
	t.Parallel()
	server, client := newZep(t, zeptest.WithDelayedEnrichment())
	tools := newTools(t, client, nil)
	arguments := object{"session_id": "s1", "query": "nuts"}
	assert.Contains(t, tools.fails("search_memory", arguments), `The session "s1" does not exist.`)
	tools.ok("remember", object{"session_id": "s1", "messages": say("no nuts")})
	got := tools.ok("search_memory", arguments)
	assert.Empty(t, got.list("results"))
	assert.Contains(t, got.object["note"], "may be missing: the server embeds them a little later")
	server.Enrich()
	assert.Len(t, tools.ok("search_memory", arguments).list("results"), 1)
}

func TestSearch_Pages(t *testing.T) {
	t.Parallel()
	_, client := newZep(t)
	tools := newTools(t, client, nil)
	addMessages(t, client, "s1", numbered(7)...)
	addDocuments(t, client, "docs", numbered(7)...)
	for tool, arguments := range map[string]object{
		"search_memory":    {"session_id": "s1", "query": "m3"},
		"search_documents": {"collection": "docs", "query": "m3"},
	} {
		for limit := 1; limit <= 8; limit++ {
			arguments["limit"], arguments["offset"] = limit, 0
			var all []any
			calls := 0
			for next := arguments; next != nil; calls++ {
				got := tools.ok(tool, next)
				all = append(all, field(got.list("results"), "content")...)
				next = got.next(next)
			}
			assert.Equal(t, "m3", all[0])
			assert.ElementsMatch(t, numbered(7), all)
			assert.Equal(t, (7+limit-1)/limit, calls)
		}
		arguments["offset"] = 100
		assert.Empty(t, tools.ok(tool, arguments).list("results"))
	}
}

func TestSearch_BeyondOffset(t *testing.T) {
	t.Parallel()
	_, client := newZep(t)
	texts := numbered(1100)
	for len(texts) > 0 {
		addMessages(t, client, "s1", texts[:100]...)
		texts = texts[100:]
	}
	got := newTools(t, client, nil).ok("search_memory",
		object{"session_id": "s1", "query": "m", "limit": 50, "offset": 1000})
	assert.Len(t, got.list("results"), 50)
	assert.Contains(t, got.text, "offset skips at most 1000. Make the query narrower.")
	assert.Empty(t, got.object["more"].(object)["arguments"])
}

// addDocuments makes a collection of documents, past the tools.
func addDocuments(t *testing.T, client *zep.Client, collection string, contents ...string) {
	t.Helper()
	ctx := context.Background()
	_, err := client.Collection.Add(ctx, &zep.CreateCollectionRequest{
		Name:                collection,
		Description:         "of " + collection,
		EmbeddingDimensions: 384,
		IsAutoEmbedded:      true,
	})
	if err != nil {
		require.ErrorIs(t, err, zep.ErrAlreadyExists)
	}
	var documents []*zep.CreateDocumentRequest
	for i, content := range contents {
		documents = append(documents, &zep.CreateDocumentRequest{
			DocumentID: fmt.Sprintf("%s-%d", content[:min(len(content), 10)], i),
			Content:    content,
			Metadata:   zep.Metadata{"i": i},
		})
	}
	_, err = client.Document.Add(ctx, collection, documents)
	require.NoError(t, err)
}

func TestSearchDocuments(t *testing.T) {
	t.Parallel()
	_, client := newZep(t)
	tools := newTools(t, client, nil)
	addDocuments(t, client, "books", "Call me Ishmael.", "It is not down in any map.", "true places")
	got := tools.ok("search_documents", object{"collection": "Books", "query": "map"})
	results := got.list("results")
	require.Len(t, results, 3)
	assert.Equal(t, "It is not down in any map.", results[0]["content"])
	assert.Equal(t, "It is not -1", results[0]["document_id"])
	assert.Equal(t, object{"i": 1.0}, results[0]["metadata"])
	assert.NotContains(t, got.object, "note")

	got = tools.ok("search_documents", object{"collection": "books", "query": "map", "min_score": 0.6})
	assert.Equal(t, []any{"It is not down in any map."}, field(got.list("results"), "content"))
	got = tools.ok("search_documents",
		object{"collection": "books", "query": "map", "where": object{"i": 0}})
	assert.Equal(t, []any{"Call me Ishmael."}, field(got.list("results"), "content"))
}

func TestSearchDocuments_NoCollection(t *testing.T) {
	t.Parallel()
	_, client := newZep(t)
	tools := newTools(t, client, nil)
	arguments := object{"collection": "nope", "query": "x"}
	assert.Equal(t, `The collection "nope" does not exist, and no other does.`,
		tools.fails("search_documents", arguments))
	addDocuments(t, client, "books")
	addDocuments(t, client, "art")
	assert.Equal(t, `The collection "nope" does not exist. Change collection to one of: art, books.`,
		tools.fails("search_documents", arguments))
	for i := range maxNames {
		addDocuments(t, client, fmt.Sprintf("c%02d", i))
	}
	assert.Contains(t, tools.fails("search_documents", arguments),
		"Change collection to one of the 22 that list_collections shows.")
}

// The server puts documents that are not embedded before all others, and counts them into the
// limit.
func TestSearchDocuments_NotEmbedded(t *testing.T) {
	t.Parallel()
	server, client := newZep(t, zeptest.WithDelayedEnrichment())
	tools := newTools(t, client, nil)
	arguments := object{"collection": "docs", "query": "m1", "limit": 2}
	addDocuments(t, client, "docs")
	got := tools.ok("search_documents", arguments)
	assert.Empty(t, got.list("results"))
	assert.NotContains(t, got.object, "note")

	addDocuments(t, client, "docs", numbered(5)...)
	assert.Equal(t, `Nothing can be found in the collection "docs" yet: at least 5 of its documents `+
		`are not embedded. Call again in some seconds with the same arguments.`,
		tools.fails("search_documents", arguments))

	server.Enrich()
	var later []string
	for i := range 300 {
		later = append(later, fmt.Sprintf("later%d", i))
	}
	addDocuments(t, client, "docs", later...)
	got = tools.ok("search_documents", arguments)
	assert.Equal(t, "m1", got.list("results")[0]["content"])
	assert.Len(t, got.list("results"), 2)
	assert.Contains(t, got.object["note"],
		"At least 300 documents of the collection are not embedded yet")
	assert.Equal(t, 2.0, got.object["more"].(object)["arguments"].(object)["offset"])

	server.Enrich()
	got = tools.ok("search_documents", arguments)
	assert.NotContains(t, got.object, "note")
}

func TestSearchDocuments_TooManyNotEmbedded(t *testing.T) {
	t.Parallel()
	server, client := newZep(t, zeptest.WithDelayedEnrichment())
	addDocuments(t, client, "docs", numbered(3)...)
	server.Enrich()
	var later []string
	for i := range maxWaiting + 20 {
		later = append(later, fmt.Sprintf("later%d", i))
	}
	addDocuments(t, client, "docs", later...)
	assert.Contains(t, newTools(t, client, nil).fails("search_documents",
		object{"collection": "docs", "query": "m1"}), "Nothing can be found")
}
