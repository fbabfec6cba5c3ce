package zep_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
)

// TestSearchesSendWhatTheRecordingsSent makes each recorded search with the client: the path, the query and the body are those of
// the recording, to the letter. A recorded search that is not in the table fails.
func TestSearchesSendWhatTheRecordingsSent(t *testing.T) {
	t.Parallel()
	memory := map[string]*zep.SearchMemoryRequest{
		"search: similarity":      {Text: "hello", Limit: 2},
		"search: limit omitted":   {Text: "hello"},
		"search: mmr":             {Text: "hello", Type: zep.SearchTypeMMR, MMRLambda: 0.5, Limit: 2},
		"search: scope summary":   {Text: "hello", Scope: zep.SearchScopeSummary, Limit: 2},
		"search: missing session": {Text: "hello", Limit: 2},
		"search: metadata filter": {
			Text: "hello", Limit: 2,
			Metadata: zep.SearchFilter{Where: zep.JSONPath(`$[*] ? (@.z == 1)`)}.Metadata(),
		},
		"search: metadata filter and/or": {
			Text: "hello", Limit: 2,
			Metadata: zep.SearchFilter{Where: zep.And(
				zep.JSONPath(`$[*] ? (@.z == 1)`),
				zep.Or(zep.JSONPath(`$[*] ? (@.k == 1)`), zep.JSONPath(`$[*] ? (@.z == 1)`)),
			)}.Metadata(),
		},
		"search: metadata only": {Limit: 2, Metadata: zep.SearchFilter{Where: zep.JSONPath(`$[*] ? (@.k == 1)`)}.Metadata()},
		"search: date filter": {
			Text: "hello", Limit: 2,
			Metadata: zep.SearchFilter{
				Start: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), End: time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC),
			}.Metadata(),
		},
		"search: bad jsonpath": {
			Text: "hello", Limit: 2, Metadata: zep.SearchFilter{Where: zep.JSONPath(`$[*] ? (`)}.Metadata(),
		},
		"search: empty query": nil, // refused before it is sent
	}
	documents := map[string]*zep.SearchDocumentsRequest{
		"documents: search text":      {Text: "quick fox", Limit: 2},
		"documents: search embedding": {Embedding: []float32{1, 0, 0, 0, 0, 0, 0, 0}, Limit: 1},
		"documents: search metadata": {
			Text: "fox", Limit: 2, Metadata: zep.SearchFilter{Where: zep.JSONPath(`$[*] ? (@.z == 9)`)}.Metadata(),
		},
		"documents: search mmr":                {Text: "fox", Type: zep.SearchTypeMMR, MMRLambda: 0.4, Limit: 2},
		"documents: search missing collection": {Text: "x"},
		"documents: search nothing asked":      nil, // refused before it is sent
	}
	searches := 0
	for _, e := range recordedExchanges(t) {
		path, _, _ := strings.Cut(e.Request.Path, "?")
		owner, isSearch := strings.CutSuffix(path, "/search")
		if !isSearch {
			continue
		}
		searches++
		t.Run(e.String(), func(t *testing.T) {
			t.Parallel()
			// dates are asked for in the order of the recording; Go writes keys in that of the alphabet.
			want := strings.Replace(e.Request.Body, `"start_date":"2020-01-01","end_date":"2099-01-01"`,
				`"end_date":"2099-01-01","start_date":"2020-01-01"`, 1)
			test := wireTest{
				method: http.MethodPost, uri: "/zep" + e.Request.Path, body: want, answer: "[]",
				call: func(ctx context.Context, c *zep.Client) (any, error) {
					return c.Memory.Search(ctx, strings.TrimPrefix(owner, "/api/v1/sessions/"), memory[e.String()])
				},
			}
			request, known := memory[e.String()]
			refused := known && request == nil
			if e.Scenario == "documents" {
				test.answer = `{"results":null}`
				test.call = func(ctx context.Context, c *zep.Client) (any, error) {
					return c.Collection.Search(ctx, strings.TrimPrefix(owner, "/api/v1/collection/"), documents[e.String()])
				}
				var request *zep.SearchDocumentsRequest
				request, known = documents[e.String()]
				refused = known && request == nil
			}
			require.True(t, known, "a recorded search that this test does not make")
			if !refused {
				test.run(t)
			}
		})
	}
	assert.Equal(t, len(memory)+len(documents), searches)
}

func TestSearchesForNothingAreRefusedBeforeTheyAreSent(t *testing.T) {
	t.Parallel()
	c := clientOf(t, noTransport(t))
	ctx := context.Background()
	for name, request := range map[string]*zep.SearchMemoryRequest{
		"nothing": {}, "a limit alone": {Limit: 3}, "an empty filter": {Metadata: zep.SearchFilter{}.Metadata()},
		"a negative limit": {Text: "hello", Limit: -1},
	} {
		_, err := c.Memory.Search(ctx, "s", request)
		assert.ErrorIs(t, err, zep.ErrBadRequest, name)
		_, err = c.Collection.Search(ctx, "docs", &zep.SearchDocumentsRequest{
			Text: request.Text, Metadata: request.Metadata, Limit: request.Limit, Embedding: []float32{},
		})
		assert.ErrorIs(t, err, zep.ErrBadRequest, name)
	}
}

func TestSearchFilterAsJSON(t *testing.T) {
	t.Parallel()
	berlin := time.FixedZone("CET", 3600)
	tests := map[string]struct {
		filter zep.SearchFilter
		want   string
	}{
		"none":               {zep.SearchFilter{}, `{}`},
		"a path":             {zep.SearchFilter{Where: zep.JSONPath(`$[*] ? (@.plan == "pro")`)}, `{"where":{"jsonpath":"$[*] ? (@.plan == \"pro\")"}}`},
		"and":                {zep.SearchFilter{Where: zep.And(zep.JSONPath("$.a"), zep.JSONPath("$.b"))}, `{"where":{"and":[{"jsonpath":"$.a"},{"jsonpath":"$.b"}]}}`},
		"or":                 {zep.SearchFilter{Where: zep.Or(zep.JSONPath("$.a"), zep.JSONPath("$.b"))}, `{"where":{"or":[{"jsonpath":"$.a"},{"jsonpath":"$.b"}]}}`},
		"of one":             {zep.SearchFilter{Where: zep.And(zep.Or(zep.JSONPath("$.a")))}, `{"where":{"and":[{"or":[{"jsonpath":"$.a"}]}]}}`},
		"a day":              {zep.SearchFilter{Start: time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC)}, `{"start_date":"2024-02-29"}`},
		"a second":           {zep.SearchFilter{Start: time.Date(2024, 2, 29, 0, 0, 1, 0, time.UTC)}, `{"start_date":"2024-02-29T00:00:01Z"}`},
		"a nanosecond":       {zep.SearchFilter{End: time.Date(2024, 2, 29, 0, 0, 0, 1, time.UTC)}, `{"end_date":"2024-02-29T00:00:00.000000001Z"}`},
		"another zone":       {zep.SearchFilter{End: time.Date(2024, 2, 29, 23, 30, 0, 0, berlin)}, `{"end_date":"2024-02-29T22:30:00Z"}`},
		"midnight elsewhere": {zep.SearchFilter{Start: time.Date(2024, 2, 29, 0, 0, 0, 0, berlin)}, `{"start_date":"2024-02-28T23:00:00Z"}`},
		"midnight in UTC":    {zep.SearchFilter{Start: time.Date(2024, 2, 29, 1, 0, 0, 0, berlin)}, `{"start_date":"2024-02-29"}`},
		"all at once": {
			zep.SearchFilter{
				Where: zep.JSONPath("$.a"), Start: time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC), End: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC),
			},
			`{"where":{"jsonpath":"$.a"},"start_date":"2024-01-01","end_date":"2025-01-01"}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := json.Marshal(test.filter.Metadata())
			require.NoError(t, err)
			assert.JSONEq(t, test.want, string(got))
		})
	}
}

func TestConditionsCopyTheirParts(t *testing.T) {
	t.Parallel()
	parts := []zep.Condition{zep.JSONPath("$.a"), zep.JSONPath("$.b")}
	and, or := zep.And(parts...), zep.Or(parts...)
	parts[0] = zep.JSONPath("$.changed")
	for _, condition := range []zep.Condition{and, or} {
		text, err := json.Marshal(condition)
		require.NoError(t, err)
		assert.NotContains(t, string(text), "changed")
	}
}

// TestConditionsAsTheServerReadsThem shows the two surprises that the documentation warns of.
func TestConditionsAsTheServerReadsThem(t *testing.T) {
	t.Parallel()
	_, c := startServer(t)
	ctx := context.Background()
	require.NoError(t, c.Memory.Add(ctx, "s", &zep.AddMemoryRequest{Messages: []*zep.Message{
		{Content: "a", Metadata: zep.Metadata{"name": "O'Hara", "n": 1}}, {Content: "b", Metadata: zep.Metadata{"name": "Smith", "n": 2}},
		{Content: "c", Metadata: zep.Metadata{"name": "Jones", "n": 3}},
	}}))
	name := func(literal string) zep.Condition { return zep.JSONPath("$[*] ? (@.name == " + literal + ")") }
	n := func(n string) zep.Condition { return zep.JSONPath("$[*] ? (@.n == " + n + ")") }
	for what, test := range map[string]struct {
		where zep.Condition
		want  []string
	}{
		"an escaped apostrophe":              {name(`"O\u0027Hara"`), []string{"a"}},
		"apostrophes for quotation marks":    {name(`'Smith'`), []string{"b"}},
		"or":                                 {zep.Or(n("1"), n("2")), []string{"a", "b"}},
		"or, with a group first":             {zep.Or(zep.And(n("1"), name(`"O\u0027Hara"`)), n("2")), []string{"a", "b"}},
		"or, with a group that is not first": {zep.Or(n("2"), zep.And(n("1"), name(`"O\u0027Hara"`))), nil},
	} {
		results, err := c.Memory.Search(ctx, "s", &zep.SearchMemoryRequest{Metadata: zep.SearchFilter{Where: test.where}.Metadata()})
		require.NoError(t, err, what)
		assert.ElementsMatch(t, test.want, found(results), what)
	}
	_, err := c.Memory.Search(ctx, "s", &zep.SearchMemoryRequest{Metadata: zep.SearchFilter{Where: name(`"O'Hara"`)}.Metadata()})
	require.ErrorIs(t, err, zep.ErrServer)
}
