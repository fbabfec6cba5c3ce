package zeptest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep/zeptest"
)

type searchResult struct {
	Message   *messageRecord
	Summary   *summaryRecord
	Dist      float64
	Embedding []float32
}

// find searches a session's messages, and returns their contents.
func find(t *testing.T, s *zeptest.Server, query, body string) []string {
	t.Helper()
	status, answer := send(t, s, "POST", "/sessions/s/search"+query, body)
	require.Equal(t, 200, status, answer)
	found := []string{}
	for _, result := range decode[[]searchResult](t, answer) {
		found = append(found, result.Message.Content)
	}
	return found
}

func TestSearch_Ranks(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	addMessages(t, s, "s", "the weather in Oslo", "a recipe for bread", "bread, butter", "Bread!",
		"shoes")
	addMessages(t, s, "other", "bread")
	assert.Equal(t, []string{"Bread!", "bread, butter", "a recipe for bread"},
		find(t, s, "?limit=3", `{"text":"bread"}`))
	assert.Equal(t, "the weather in Oslo", find(t, s, "",
		`{"text":"how is the weather in OSLO?"}`)[0])
	assert.Len(t, find(t, s, "", `{"text":"bread"}`), 5)
	assert.Len(t, find(t, s, "?limit=-1", `{"text":"bread"}`), 5)

	_, answer := send(t, s, "POST", "/sessions/s/search?limit=1", `{"text":"bread"}`)
	best := decode[[]searchResult](t, answer)[0]
	assert.InDelta(t, 1, best.Dist, 1e-6)
	assert.Nil(t, best.Embedding)

	for range 10 {
		addMessages(t, s, "s", "more")
	}
	assert.Len(t, find(t, s, "", `{"text":"more"}`), 10, "10 unless asked for")
}

func TestSearch_MMR(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	addMessages(t, s, "s", "fresh bread", "fresh bread, fresh bread", "bread knife", "shoes")
	assert.Equal(t, []string{"fresh bread", "fresh bread, fresh bread"},
		find(t, s, "?limit=2", `{"text":"fresh bread today"}`))
	assert.Equal(t, []string{"fresh bread", "fresh bread, fresh bread"},
		find(t, s, "?limit=2", `{"text":"fresh bread today","search_type":"mmr","mmr_lambda":1}`))
	assert.Equal(t, []string{"fresh bread", "shoes"},
		find(t, s, "?limit=2",
			`{"text":"fresh bread today","search_type":"mmr","mmr_lambda":0.1}`))
	assert.Empty(t, find(t, s, "?limit=-1", `{"text":"bread","search_type":"mmr"}`))

	status, answer := send(t, s, "POST", "/sessions/s/search",
		`{"search_type":"mmr","metadata":{"start_date":"2020-01-01"}}`)
	assert.Equal(t, 500, status, "without a text there is nothing to be like")
	assert.Contains(t, answer, "query embedding width does not match embedding vector width")
}

func TestSearch_Filters(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, message := range []string{
		`{"content":"a","metadata":{"n":1,"tags":["x","y"]}}`,
		`{"content":"b","metadata":{"n":2,"tags":["y"]}}`,
		`{"content":"c","metadata":{"n":3,"who":"ann"}}`,
		`{"content":"d"}`,
	} {
		status, answer := send(t, s, "POST", "/sessions/s/memory", `{"messages":[`+message+`]}`)
		require.Equal(t, 200, status, answer)
	}
	_, list := getMessages(t, s, "/sessions/s/memory")
	times := map[string]time.Time{}
	for _, m := range list.Messages {
		times[m.Content] = m.CreatedAt
	}
	// at returns when a message was added, in one of the forms that the server takes.
	at := func(content, layout string) string { return times[content].Format(layout) }
	zone := time.FixedZone("", 3600)
	const micros = "2006-01-02T15:04:05.000000Z07:00"
	yesterday := time.Now().UTC().AddDate(0, 0, -1).Format(time.DateOnly)
	const (
		n1 = `{"jsonpath":"$[*] ? (@.n == 1)"}`
		n2 = `{"jsonpath":"$[*] ? (@.n == 2)"}`
		n3 = `{"jsonpath":"$[*] ? (@.n == 3)"}`
		y  = `{"jsonpath":"$.tags[*] ? (@ == 'y')"}` // single quotes are taken for double ones
	)
	for _, test := range []struct {
		metadata string
		want     []string // latest first
	}{
		{`{"where":` + n1 + `}`, []string{"a"}},
		{`{"where":` + y + `}`, []string{"b", "a"}},
		{`{"where":{"jsonpath":"$.who"}}`, []string{"c"}},
		{`{"where":{}}`, []string{"d", "c", "b", "a"}},
		{`{"where":null}`, []string{"d", "c", "b", "a"}},
		{`{"where":{"jsonpath":""}}`, []string{"d", "c", "b", "a"}},
		{`{"where":{"jsonpath":"$"}}`, []string{"c", "b", "a"}}, // no metadata is no object
		{`{"nothing":1}`, []string{"d", "c", "b", "a"}},
		{`{"where":{"and":[` + n2 + `,` + y + `]}}`, []string{"b"}},
		{`{"where":{"and":[` + n3 + `,` + y + `]}}`, []string{}},
		{`{"where":{"or":[` + n1 + `,` + n3 + `]}}`, []string{"c", "a"}},
		{`{"where":{"or":[` + n1 + `]}}`, []string{"a"}},
		{`{"where":{"and":[` + y + `,{"or":[` + n1 + `,` + n3 + `]}]}}`, []string{"a"}},
		{`{"where":{"or":[{"and":[` + n1 + `,` + y + `]},` + n3 + `]}}`, []string{"c", "a"}},
		// A group is joined by AND, in a list of "or" too.
		{`{"where":{"or":[` + n3 + `,{"and":[` + n1 + `,` + y + `]}]}}`, []string{}},
		{`{"where":{"jsonpath":"$.tags","and":[` + n1 + `]}}`, []string{"a"}},
		{`{"start_date":"` + at("b", micros) + `"}`, []string{"d", "c", "b"}},
		{`{"end_date":"` + at("b", micros) + `"}`, []string{"b", "a"}},
		{`{"start_date":"` + at("b", micros) + `","end_date":"` + at("b", micros) + `"}`,
			[]string{"b"}},
		{`{"start_date":"` + times["c"].In(zone).Format(micros) + `","end_date":"` +
			at("c", "2006-01-02 15:04:05.000000") + `"}`, []string{"c"}},
		{`{"start_date":"` + at("b", micros) + `","where":` + y + `}`, []string{"b"}},
		{`{"start_date":"` + yesterday + `"}`, []string{"d", "c", "b", "a"}},
		{`{"end_date":"` + yesterday + `"}`, []string{}},
		{`{"start_date":null}`, []string{}},
	} {
		assert.Equal(t, test.want, find(t, s, "", `{"metadata":`+test.metadata+`}`), test.metadata)
	}
	assert.Equal(t, []string{"b", "a"}, find(t, s, "", `{"text":"b","metadata":{"where":`+y+`}}`))

	const failed = "storage error: memory searchMemory failed (original error: error scanning: "
	for _, test := range []struct{ body, answer string }{
		{`{"metadata":{}}`, "empty query"},
		{`{"text":"a","search_scope":"all"}`, "invalid search scope"},
		{`{"metadata":{"where":{"jsonpath":"$ ? (@.a"}}}`, failed +
			"ERROR: syntax error at end of jsonpath input (SQLSTATE=42601))\n"},
		{`{"metadata":{"where":{"or":[{"jsonpath":"strict $"}]}}}`, failed +
			`ERROR: zeptest cannot evaluate this jsonpath: "strict $"`},
		{`{"metadata":{"where":5}}`, "storage error: error applying metadata filter " +
			"(original error: storage error: error unmarshalling metadata (original error: " +
			"json: cannot unmarshal number into Go value of type postgres.JSONQuery))\n"},
		{`{"metadata":{"where":{"and":[{"jsonpath":5}]}}}`,
			"json: cannot unmarshal number into Go struct field JSONQuery."},
		{`{"metadata":{"start_date":"yesterday"}}`, failed + "zeptest cannot read the date"},
		{`{"metadata":{"end_date":5}}`, failed +
			"zeptest cannot compare times with the end_date 5"},
	} {
		for _, session := range []string{"s", "nobody's"} {
			status, answer := send(t, s, "POST", "/sessions/"+session+"/search", test.body)
			assert.Equal(t, 500, status, test.body)
			assert.Contains(t, answer, test.answer)
		}
	}
	status, answer := send(t, s, "POST", "/sessions/s/search",
		`{"metadata":{"where":{"and":[null]}}}`)
	assert.Equal(t, 500, status)
	assert.Empty(t, answer)
	status, _ = send(t, s, "POST", "/sessions/s/search?limit=x", `{"text":"a"}`)
	assert.Equal(t, 400, status)
}

func TestDelayedEnrichment(t *testing.T) {
	t.Parallel()
	s := newServer(t, zeptest.WithDelayedEnrichment())
	addMessages(t, s, "s", "early")
	addCollection(t, s, "docs", 384, true)
	addDocuments(t, s, "docs", `[{"content":"early","document_id":"e"}]`)

	assert.Empty(t, find(t, s, "", `{"text":"early"}`))
	assert.Empty(t, find(t, s, "", `{"metadata":{"start_date":"2020-01-01"}}`))
	got, _ := getMessages(t, s, "/sessions/s/memory")
	assert.Equal(t, "early", got)
	_, answer := send(t, s, "POST", "/collection/docs/document/list/get", `{}`)
	assert.Contains(t, answer, `"embedding":null,"is_embedded":false`)
	_, answer = send(t, s, "GET", "/collection/docs", "")
	assert.Contains(t, answer, `"document_count":1,"document_embedded_count":0`)

	s.Enrich()
	addMessages(t, s, "s", "late")
	assert.Equal(t, []string{"early"}, find(t, s, "", `{"text":"late"}`))
	s.Enrich()
	assert.Equal(t, []string{"late", "early"}, find(t, s, "", `{"text":"late"}`))
	_, answer = send(t, s, "GET", "/collection/docs", "")
	assert.Contains(t, answer, `"document_count":1,"document_embedded_count":1`)
}

// TestDelayedEnrichment_Documents shows that a search lists documents that are not embedded yet
// first, with a score of 0, whatever it is for, and counts them into the limit.
func TestDelayedEnrichment_Documents(t *testing.T) {
	t.Parallel()
	s := newServer(t, zeptest.WithDelayedEnrichment())
	addCollection(t, s, "docs", 384, true)
	addDocuments(t, s, "docs", `[{"content":"bread"},{"content":"bread knife"}]`)
	s.Enrich()
	addDocuments(t, s, "docs", `[{"content":"shoes"},{"content":"boots","metadata":{"k":1}}]`)

	page := findDocuments(t, s, "docs", "", `{"text":"bread"}`)
	assert.Equal(t, []string{"shoes", "boots", "bread", "bread knife"}, page.contents())
	for i, embedded := range []bool{false, false, true, true} {
		assert.Equal(t, embedded, page.Results[i].IsEmbedded)
		assert.Equal(t, embedded, page.Results[i].Score > 0)
	}
	page = findDocuments(t, s, "docs", "?limit=3", `{"text":"bread"}`)
	assert.Equal(t, []string{"shoes", "boots", "bread"}, page.contents())
	page = findDocuments(t, s, "docs", "",
		`{"text":"bread","metadata":{"where":{"jsonpath":"$.k"}}}`)
	assert.Equal(t, []string{"boots"}, page.contents())

	status, answer := send(t, s, "POST", "/collection/docs/search",
		`{"text":"bread","search_type":"mmr"}`)
	assert.Equal(t, 500, status)
	assert.Contains(t, answer, "query embedding width does not match embedding vector width\n")

	s.Enrich()
	page = findDocuments(t, s, "docs", "?limit=2", `{"text":"bread"}`)
	assert.Equal(t, []string{"bread", "bread knife"}, page.contents())
}

func TestEmbeddingDimensions(t *testing.T) {
	t.Parallel()
	s := newServer(t, zeptest.WithEmbeddingDimensions(1536))
	addCollection(t, s, "docs", 1536, true)
	addDocuments(t, s, "docs", `[{"content":"bread"}]`)
	page := findDocuments(t, s, "docs", "", `{"text":"bread"}`)
	assert.Len(t, page.QueryVector, 1536)
	assert.Len(t, page.Results[0].Embedding, 1536)
	addMessages(t, s, "s", "bread")
	_, answer := send(t, s, "POST", "/sessions/s/search", `{"text":"bread","search_type":"mmr"}`)
	assert.Len(t, decode[[]searchResult](t, answer)[0].Embedding, 1536)

	addCollection(t, s, "other", 384, true)
	addDocuments(t, s, "other", `[{"content":"bread"}]`)
	_, answer = send(t, s, "GET", "/collection/other", "")
	assert.Contains(t, answer, `"document_embedded_count":0`)

	assert.Panics(t, func() { zeptest.WithEmbeddingDimensions(0) })
}

func TestSearch_Repeatable(t *testing.T) {
	t.Parallel()
	contents := make([]string, 100)
	for i := range contents {
		contents[i] = fmt.Sprintf("number %d of %d", i, i%7)
	}
	var first []string
	for range 3 {
		s := newServer(t)
		addMessages(t, s, "s", contents...)
		found := find(t, s, "?limit=50",
			`{"text":"number 3","search_type":"mmr","mmr_lambda":0.3}`)
		assert.Len(t, found, 50)
		if first == nil {
			first = found
		}
		assert.Equal(t, first, found)
	}
}
