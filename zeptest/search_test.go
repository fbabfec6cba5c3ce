package zeptest_test

import (
	"fmt"
	"testing"

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

func TestSearchRanks(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	addMessages(t, s, "s", "the weather in Oslo", "a recipe for bread", "bread, butter", "Bread!", "shoes")
	addMessages(t, s, "other", "bread")
	assert.Equal(t, []string{"Bread!", "bread, butter", "a recipe for bread"}, find(t, s, "?limit=3", `{"text":"bread"}`))
	assert.Equal(t, "the weather in Oslo", find(t, s, "", `{"text":"how is the weather in OSLO?"}`)[0])
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

func TestSearchMMR(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	addMessages(t, s, "s", "fresh bread", "fresh bread, fresh bread", "bread knife", "shoes")
	assert.Equal(t, []string{"fresh bread", "fresh bread, fresh bread"}, find(t, s, "?limit=2", `{"text":"fresh bread today"}`))
	assert.Equal(t, []string{"fresh bread", "fresh bread, fresh bread"},
		find(t, s, "?limit=2", `{"text":"fresh bread today","search_type":"mmr","mmr_lambda":1}`))
	assert.Equal(t, []string{"fresh bread", "shoes"},
		find(t, s, "?limit=2", `{"text":"fresh bread today","search_type":"mmr","mmr_lambda":0.1}`))
	assert.Empty(t, find(t, s, "?limit=-1", `{"text":"bread","search_type":"mmr"}`))

	status, answer := send(t, s, "POST", "/sessions/s/search", `{"search_type":"mmr","metadata":{"start_date":"2020-01-01"}}`)
	assert.Equal(t, 500, status, "without a text there is nothing to be like")
	assert.Contains(t, answer, "query embedding width does not match embedding vector width")
}

func TestSearchFilters(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	status, answer := send(t, s, "POST", "/sessions/s/memory", `{"messages":[
		{"content":"a","metadata":{"n":1,"tags":["x","y"]},"created_at":"2024-01-01T00:00:00Z"},
		{"content":"b","metadata":{"n":2,"tags":["y"]},"created_at":"2024-01-02T00:00:00Z"},
		{"content":"c","metadata":{"n":3,"who":"ann"},"created_at":"2024-01-03T12:00:00Z"},
		{"content":"d","created_at":"2024-01-04T00:00:00Z"}]}`)
	require.Equal(t, 200, status, answer)
	const n1, n2, n3, y = `{"jsonpath":"$[*] ? (@.n == 1)"}`, `{"jsonpath":"$[*] ? (@.n == 2)"}`, `{"jsonpath":"$[*] ? (@.n == 3)"}`,
		`{"jsonpath":"$.tags[*] ? (@ == 'y')"}` // single quotes are taken for double ones
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
		// The group is joined by AND, whatever the list is.
		{`{"where":{"or":[` + n3 + `,{"and":[` + n1 + `,` + y + `]}]}}`, []string{}},
		{`{"where":{"jsonpath":"$.tags","and":[` + n1 + `]}}`, []string{"a"}},
		{`{"start_date":"2024-01-02"}`, []string{"d", "c", "b"}},
		{`{"end_date":"2024-01-02"}`, []string{"b", "a"}},
		{`{"start_date":"2024-01-02","end_date":"2024-01-03"}`, []string{"b"}},
		{`{"start_date":"2024-01-03T13:00:00+01:00","end_date":"2024-01-03 12:00:00"}`, []string{"c"}},
		{`{"start_date":"2024-01-02","where":` + y + `}`, []string{"b"}},
		{`{"start_date":null}`, []string{}},
	} {
		assert.Equal(t, test.want, find(t, s, "", `{"metadata":`+test.metadata+`}`), test.metadata)
	}
	assert.Equal(t, []string{"b", "a"}, find(t, s, "", `{"text":"b","metadata":{"where":`+y+`}}`))

	const failed = "storage error: memory searchMemory failed (original error: error scanning: "
	for _, test := range []struct{ body, answer string }{
		{`{"metadata":{}}`, "empty query"},
		{`{"text":"a","search_scope":"all"}`, "invalid search scope"},
		{`{"metadata":{"where":{"jsonpath":"$ ? (@.a"}}}`, failed + "ERROR: syntax error at end of jsonpath input (SQLSTATE=42601))\n"},
		{`{"metadata":{"where":{"or":[{"jsonpath":"strict $"}]}}}`, failed + `zeptest can't evaluate this jsonpath: "strict $"`},
		{`{"metadata":{"where":5}}`, "storage error: error applying metadata filter (original error: storage error: " +
			"error unmarshalling metadata (original error: json: cannot unmarshal number into Go value of type postgres.JSONQuery))\n"},
		{`{"metadata":{"start_date":"yesterday"}}`, failed + "zeptest can't read the date"},
		{`{"metadata":{"end_date":5}}`, failed + "zeptest can't compare times with the end_date 5"},
	} {
		for _, session := range []string{"s", "nobody's"} {
			status, answer := send(t, s, "POST", "/sessions/"+session+"/search", test.body)
			assert.Equal(t, 500, status, test.body)
			assert.Contains(t, answer, test.answer)
		}
	}
	status, answer = send(t, s, "POST", "/sessions/s/search", `{"metadata":{"where":{"and":[null]}}}`)
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
	assert.Empty(t, findDocuments(t, s, "docs", "", `{"text":"early"}`).contents())
	got, _ := getMessages(t, s, "/sessions/s/memory")
	assert.Equal(t, "early", got)
	_, answer := send(t, s, "POST", "/collection/docs/document/list/get", `{}`)
	assert.Contains(t, answer, `"embedding":null,"is_embedded":false`)
	_, answer = send(t, s, "GET", "/collection/docs", "")
	assert.Contains(t, answer, `"document_count":1,"document_embedded_count":0`)

	s.Enrich()
	addMessages(t, s, "s", "late")
	addDocuments(t, s, "docs", `[{"content":"late"}]`)
	assert.Equal(t, []string{"early"}, find(t, s, "", `{"text":"late"}`))
	assert.Equal(t, []string{"early"}, findDocuments(t, s, "docs", "", `{"text":"late"}`).contents())
	s.Enrich()
	assert.Equal(t, []string{"late", "early"}, find(t, s, "", `{"text":"late"}`))
	assert.Equal(t, []string{"late", "early"}, findDocuments(t, s, "docs", "", `{"text":"late"}`).contents())
	_, answer = send(t, s, "GET", "/collection/docs", "")
	assert.Contains(t, answer, `"document_count":2,"document_embedded_count":2`)
}

func TestSearchIsTheSameInEveryRun(t *testing.T) {
	t.Parallel()
	contents := make([]string, 100)
	for i := range contents {
		contents[i] = fmt.Sprintf("number %d of %d", i, i%7)
	}
	var first []string
	for range 3 {
		s := newServer(t)
		addMessages(t, s, "s", contents...)
		found := find(t, s, "?limit=50", `{"text":"number 3","search_type":"mmr","mmr_lambda":0.3}`)
		assert.Len(t, found, 50)
		if first == nil {
			first = found
		}
		assert.Equal(t, first, found)
	}
}
