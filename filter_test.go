package zep_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/theory/sqljson/path"

	"github.com/zep-go/zep"
)

// where returns a search's metadata with a condition.
func where(condition zep.Condition) zep.Metadata {
	return zep.SearchFilter{Where: condition}.Metadata()
}

// TestSearch_AsRecorded makes each recorded search with the client and compares path, query and
// body with the recording. A recorded search that is not in the tables fails.
func TestSearch_AsRecorded(t *testing.T) {
	t.Parallel()
	k, z := zep.JSONPath(`$[*] ? (@.k == 1)`), zep.JSONPath(`$[*] ? (@.z == 1)`)
	day := func(year int) time.Time { return time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC) }
	memory := map[string]*zep.SearchMemoryRequest{
		"search: similarity":    {Text: "hello", Limit: 2},
		"search: limit omitted": {Text: "hello"},
		"search: mmr": {
			Text: "hello", Type: zep.SearchTypeMMR, MMRLambda: 0.5, Limit: 2,
		},
		"search: scope summary":   {Text: "hello", Scope: zep.SearchScopeSummary, Limit: 2},
		"search: missing session": {Text: "hello", Limit: 2},
		"search: metadata filter": {Text: "hello", Limit: 2, Metadata: where(z)},
		"search: metadata filter and/or": {
			Text: "hello", Limit: 2, Metadata: where(zep.And(z, zep.Or(k, z))),
		},
		"search: metadata only": {Limit: 2, Metadata: where(k)},
		"search: date filter": {
			Text: "hello", Limit: 2,
			Metadata: zep.SearchFilter{Start: day(2020), End: day(2099)}.Metadata(),
		},
		"search: bad jsonpath": {
			Text: "hello", Limit: 2, Metadata: where(zep.JSONPath(`$[*] ? (`)),
		},
		"search: empty query": nil, // refused before it is sent
	}
	documents := map[string]*zep.SearchDocumentsRequest{
		"documents: search text": {Text: "quick fox", Limit: 2},
		"documents: search embedding": {
			Embedding: []float32{1, 0, 0, 0, 0, 0, 0, 0}, Limit: 1,
		},
		"documents: search metadata": {
			Text: "fox", Limit: 2, Metadata: where(zep.JSONPath(`$[*] ? (@.z == 9)`)),
		},
		"documents: search mmr": {
			Text: "fox", Type: zep.SearchTypeMMR, MMRLambda: 0.4, Limit: 2,
		},
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
			// Go encodes map keys in alphabetical order, the recording has another order.
			const start, end = `"start_date":"2020-01-01"`, `"end_date":"2099-01-01"`
			want := strings.Replace(e.Request.Body, start+","+end, end+","+start, 1)
			test := wireTest{
				method: http.MethodPost,
				uri:    "/zep" + e.Request.Path,
				body:   want,
				answer: "[]",
				call: func(ctx context.Context, c *zep.Client) (any, error) {
					session := strings.TrimPrefix(owner, "/api/v1/sessions/")
					return c.Memory.Search(ctx, session, memory[e.String()])
				},
			}
			request, known := memory[e.String()]
			refused := known && request == nil
			if e.Scenario == "documents" {
				test.answer = `{"results":null}`
				test.call = func(ctx context.Context, c *zep.Client) (any, error) {
					collection := strings.TrimPrefix(owner, "/api/v1/collection/")
					return c.Collection.Search(ctx, collection, documents[e.String()])
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

func TestSearch_RefusedBeforeSending(t *testing.T) {
	t.Parallel()
	c := clientOf(t, noTransport(t))
	for name, test := range map[string]struct {
		request zep.SearchMemoryRequest
		want    string
	}{
		"nothing":        {zep.SearchMemoryRequest{}, ""},
		"limit alone":    {zep.SearchMemoryRequest{Limit: 3}, ""},
		"empty filter":   {zep.SearchMemoryRequest{Metadata: zep.SearchFilter{}.Metadata()}, ""},
		"negative limit": {zep.SearchMemoryRequest{Text: "hello", Limit: -1}, "Limit is -1"},
		"value in Or": {
			zep.SearchMemoryRequest{Metadata: where(zep.Or(zep.Equal("plan", []string{"a"})))},
			`Equal("plan"): the value is a []string`,
		},
		"path": {
			zep.SearchMemoryRequest{Metadata: where(zep.JSONPath("$.a ? (@ == \"\xff\")"))},
			"JSONPath: the path is not UTF-8",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request := test.request
			_, err := c.Memory.Search(context.Background(), "s", &request)
			require.ErrorIs(t, err, zep.ErrBadRequest)
			require.ErrorContains(t, err, test.want)
			_, err = c.Collection.Search(context.Background(), "docs", &zep.SearchDocumentsRequest{
				Text:      request.Text,
				Metadata:  request.Metadata,
				Limit:     request.Limit,
				Embedding: []float32{},
			})
			require.ErrorIs(t, err, zep.ErrBadRequest)
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestSearchFilter_JSON(t *testing.T) {
	t.Parallel()
	at := func(day, hour, sec, nsec int) time.Time {
		return time.Date(2024, 2, day, hour, 0, sec, nsec, time.UTC)
	}
	berlin := func(day, hour, minute int) time.Time {
		return time.Date(2024, 2, day, hour, minute, 0, 0, time.FixedZone("CET", 3600))
	}
	a, b := zep.JSONPath("$.a"), zep.JSONPath("$.b")
	for name, test := range map[string]struct {
		filter zep.SearchFilter
		want   string
	}{
		"none": {zep.SearchFilter{}, `{}`},
		"path": {
			zep.SearchFilter{Where: zep.JSONPath(`$[*] ? (@.plan == "pro")`)},
			`{"where":{"jsonpath":"$[*] ? (@.plan == \"pro\")"}}`,
		},
		"equal": {
			zep.SearchFilter{Where: zep.Equal("plan", "pro")},
			`{"where":{"jsonpath":"$[*] ? (@.\"plan\" == \"pro\")"}}`,
		},
		"and": {
			zep.SearchFilter{Where: zep.And(a, b)},
			`{"where":{"and":[{"jsonpath":"$.a"},{"jsonpath":"$.b"}]}}`,
		},
		"or": {
			zep.SearchFilter{Where: zep.Or(a, b)},
			`{"where":{"or":[{"jsonpath":"$.a"},{"jsonpath":"$.b"}]}}`,
		},
		"groups of one": {
			zep.SearchFilter{Where: zep.And(zep.Or(a))},
			`{"where":{"and":[{"or":[{"jsonpath":"$.a"}]}]}}`,
		},
		"day": {zep.SearchFilter{Start: at(29, 0, 0, 0)}, `{"start_date":"2024-02-29"}`},
		"second": {
			zep.SearchFilter{Start: at(29, 0, 1, 0)},
			`{"start_date":"2024-02-29T00:00:01Z"}`,
		},
		"nanosecond": {
			zep.SearchFilter{End: at(29, 0, 0, 1)},
			`{"end_date":"2024-02-29T00:00:00.000000001Z"}`,
		},
		"other zone": {
			zep.SearchFilter{End: berlin(29, 23, 30)},
			`{"end_date":"2024-02-29T22:30:00Z"}`,
		},
		"midnight of another zone": {
			zep.SearchFilter{Start: berlin(29, 0, 0)}, `{"start_date":"2024-02-28T23:00:00Z"}`,
		},
		"midnight of UTC in another zone": {
			zep.SearchFilter{Start: berlin(29, 1, 0)}, `{"start_date":"2024-02-29"}`,
		},
		"all at once": {
			zep.SearchFilter{Where: a, Start: at(1, 0, 0, 0), End: at(2, 0, 0, 0)},
			`{"where":{"jsonpath":"$.a"},"start_date":"2024-02-01","end_date":"2024-02-02"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := json.Marshal(test.filter.Metadata())
			require.NoError(t, err)
			assert.JSONEq(t, test.want, string(got))
		})
	}
}

func TestCondition_CopiesItsParts(t *testing.T) {
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

// TestCondition_OnTheServer has what the documentation warns of: the server's apostrophes, and
// groups in an Or.
func TestCondition_OnTheServer(t *testing.T) {
	t.Parallel()
	_, c := startServer(t)
	message := func(content, name string, n int) *zep.Message {
		return &zep.Message{Content: content, Metadata: zep.Metadata{"name": name, "n": n}}
	}
	injection := `nobody' || @.name != '`
	require.NoError(t, c.Memory.Add(context.Background(), "s", &zep.AddMemoryRequest{
		Messages: []*zep.Message{
			message("a", "O'Brien", 1), message("b", "Smith", 2), message("c", injection, 3),
		},
	}))
	search := func(condition zep.Condition) ([]string, error) {
		results, err := c.Memory.Search(context.Background(), "s", &zep.SearchMemoryRequest{
			Metadata: where(condition),
		})
		return found(results), err
	}
	path := func(literal string) zep.Condition {
		return zep.JSONPath("$[*] ? (@.name == " + literal + ")")
	}
	name := func(name string) zep.Condition { return zep.Equal("name", name) }
	n := func(n int) zep.Condition { return zep.Equal("n", n) }
	for what, test := range map[string]struct {
		where zep.Condition
		want  []string
	}{
		"Equal, apostrophe":           {name("O'Brien"), []string{"a"}},
		"Quote, apostrophe":           {path(zep.Quote("O'Brien")), []string{"a"}},
		"Equal, injection":            {name(injection), []string{"c"}},
		"Quote, injection":            {path(zep.Quote(injection)), []string{"c"}},
		"JSON quoting, injection":     {path(strconv.Quote(injection)), []string{"a", "b", "c"}},
		"apostrophes quote":           {path(`'Smith'`), []string{"b"}},
		"Equal, number":               {n(2), []string{"b"}},
		"Equal, wrong type":           {zep.Equal("n", "2"), nil},
		"Equal, nil of a missing key": {zep.Equal("missing", nil), nil},
		"Or":                          {zep.Or(n(1), n(2)), []string{"a", "b"}},
		"Or, a group first": {
			zep.Or(zep.And(n(1), name("O'Brien")), n(2)), []string{"a", "b"},
		},
		"Or, a group that is not first": {zep.Or(n(2), zep.And(n(1), name("O'Brien"))), nil},
	} {
		results, err := search(test.where)
		require.NoError(t, err, what)
		assert.ElementsMatch(t, test.want, results, what)
	}
	_, err := search(path(`"O'Brien"`))
	require.ErrorIs(t, err, zep.ErrServer)
}

func TestQuote(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"":                   `""`,
		"pro":                `"pro"`,
		"O'Brien":            `"O\u0027Brien"`,
		`a "b" \c`:           `"a \"b\" \\c"`,
		"tab\tline\ndel\x7f": `"tab\u0009line\u000adel\u007f"`,
		"日本 🎉":               `"日本 🎉"`,
		"<&>\u2028":          "\"<&>\u2028\"",
	} {
		assert.Equal(t, want, zep.Quote(value))
	}
}

// jsonPath returns a condition's path as PostgreSQL gets it, and false if it cannot be sent.
func jsonPath(t testing.TB, condition zep.Condition) (text string, ok bool) {
	t.Helper()
	data, err := json.Marshal(condition)
	if err != nil {
		return "", false
	}
	var query struct{ JSONPath string }
	require.NoError(t, json.Unmarshal(data, &query))
	return strings.ReplaceAll(query.JSONPath, "'", `"`), true
}

// finds reports whether PostgreSQL finds a condition's path in metadata.
func finds(t testing.TB, condition zep.Condition, metadata zep.Metadata) bool {
	t.Helper()
	text, ok := jsonPath(t, condition)
	require.True(t, ok)
	parsed, err := path.Parse(text)
	require.NoError(t, err, text)
	stored := map[string]any{}
	require.NoError(t, metadata.Decode(&stored))
	exists, err := parsed.Exists(context.Background(), stored)
	require.NoError(t, err, text)
	return exists
}

type plan string

func TestEqual_Values(t *testing.T) {
	t.Parallel()
	text := "pro"
	when := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		value any
		want  string
	}{
		"string":            {"pro", `"pro"`},
		"named string":      {plan("O'Brien"), `"O\u0027Brien"`},
		"pointer":           {&text, `"pro"`},
		"nil pointer":       {(*string)(nil), `null`},
		"nil":               {nil, `null`},
		"bool":              {true, `true`},
		"int":               {-5, `-5`},
		"uint8":             {uint8(255), `255`},
		"as stored":         {int64(80351110224678912), `80351110224678910`},
		"large exact":       {int64(1 << 53), `9007199254740992`},
		"large float":       {80351110224678912.0, `80351110224678910`},
		"stored number":     {json.Number("80351110224678910"), `80351110224678910`},
		"float64":           {0.1, `0.1`},
		"float32":           {float32(0.1), `0.1`},
		"exponent":          {1e21, `1e+21`},
		"small float":       {1e-7, `1e-7`},
		"json.Number":       {json.Number("12.50"), `12.5`},
		"time":              {when, `"2024-02-29T12:00:00Z"`},
		"marshaler":         {json.RawMessage(`"it's"`), `"it\u0027s"`},
		"replacement rune":  {"\ufffd", "\"\ufffd\""},
		"marshaler, number": {json.RawMessage("1.0"), `1`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			condition := zep.Equal("key", test.value)
			assert.Equal(t, zep.JSONPath(`$[*] ? (@."key" == `+test.want+`)`), condition)
			assert.True(t, finds(t, condition, zep.Metadata{"key": test.value}))
			assert.False(t, finds(t, condition, zep.Metadata{"key": "other", "pro": "key"}))
			assert.True(t, finds(t, condition, zep.Metadata{"key": []any{"other", test.value}}))
		})
	}
}

func TestEqual_InvalidValues(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		key   string
		value any
		want  string
	}{
		"map":             {"k", zep.Metadata{}, `Equal("k"): the value is a zep.Metadata`},
		"slice":           {"k", []int{1}, `Equal("k"): the value is a []int`},
		"struct":          {"k", struct{}{}, `Equal("k"): the value is a struct {}`},
		"channel":         {"k", make(chan int), `Equal("k"): json: unsupported type: chan int`},
		"NaN":             {"k", math.NaN(), `Equal("k"): json: unsupported value: NaN`},
		"inexact integer": {"k", 1<<53 + 1, `9007199254740993 is not exact as a float64`},
		"inexact uint64":  {"k", uint64(math.MaxUint64), `18446744073709551615 is not exact`},
		"inexact form":    {"k", int64(80351110224678910), `80351110224678910 is not exact`},
		"inexact number":  {"k", json.Number("9007199254740993"), `9007199254740993 is not exact`},
		"out of range":    {"k", json.Number("1e400"), `Equal("k"): strconv.ParseFloat`},
		"not UTF-8":       {"k", "\xff", `Equal("k"): the value is not UTF-8`},
		"NUL":             {"k", "nu\x00l", `Equal("k"): the value contains a NUL character`},
		"named, UTF-8":    {"k", plan("\xff"), `the value is not UTF-8`},
		"named, NUL":      {"k", plan("\x00"), `the value contains a NUL character`},
		"pointer":         {"k", new(plan), ""},
		"escaped NUL":     {"k", json.RawMessage(`"\u0000"`), `the value contains a NUL`},
		"key, UTF-8":      {"k\xff", "v", `Equal("k\xff"): the key is not UTF-8`},
		"key, NUL":        {"k\x00", "v", `Equal("k\x00"): the key contains a NUL character`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := json.Marshal(zep.Equal(test.key, test.value))
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.want)
		})
	}
}

// injections are values that end their string, or change the condition, if they are quoted in
// another way.
var injections = []string{
	"pro", "", "O'Brien", `"`, `'`, `\`, `\'`, `\\'`, `\"`, `"'`, "a\nb\r\t\b\f\v\x1b\x7f",
	`nobody' || @.tenant != '`, `nobody" || @.tenant != "`, `x') || (@.a == 'b`,
	`nobody\u0027 || @.tenant != \u0027`, "/* */", "// --", "$[*] ? (true)",
	"日本", "🎉", "\u2028", `\ud83c`, "\ufffd", "\xff", "a\xc0\xafb", "\x00", "nu\x00l",
}

func FuzzQuote(f *testing.F) {
	for i, value := range injections {
		f.Add(value, injections[(i+1)%len(injections)])
	}
	f.Fuzz(func(t *testing.T, value, other string) {
		condition := zep.JSONPath("$[*] ? (@.tenant == " + zep.Quote(value) + ")")
		checkFinds(t, condition, "tenant", value, other)
	})
}

func FuzzEqual(f *testing.F) {
	for i, value := range injections {
		key, other := injections[(i+7)%len(injections)], injections[(i+1)%len(injections)]
		f.Add(key, value, other, 0.5, int64(i))
	}
	f.Add("key", "value", "other", 1e21, int64(80351110224678912))
	f.Add("key", "value", "other", 80351110224678912.0, int64(80351110224678910))
	f.Add("key", "value", "other", -1e-7, int64(1<<53+1))
	f.Fuzz(func(t *testing.T, key, value, other string, float float64, integer int64) {
		checkFinds(t, zep.Equal(key, value), key, value, other)
		if storable(key) && !math.IsNaN(float) && !math.IsInf(float, 0) && math.Abs(float) < 1e18 {
			condition := zep.Equal(key, float)
			assert.True(t, finds(t, condition, zep.Metadata{key: float}))
			assert.False(t, finds(t, condition, zep.Metadata{key: math.Nextafter(float, 1e19)}))
		}
		condition := zep.Equal(key, integer)
		_, sent := jsonPath(t, condition)
		exact := float64(integer) < math.MaxInt64 && int64(float64(integer)) == integer
		require.Equal(t, storable(key) && exact, sent)
		if sent && math.Abs(float64(integer)) < 1e18 {
			assert.True(t, finds(t, condition, zep.Metadata{key: integer}))
		}
	})
}

// checkFinds checks that a condition finds the record that has the value, and no other one.
func checkFinds(t *testing.T, condition zep.Condition, key, value, other string) {
	t.Helper()
	_, sent := jsonPath(t, condition)
	require.Equal(t, storable(key) && storable(value), sent)
	if !sent {
		return
	}
	assert.True(t, finds(t, condition, zep.Metadata{key: value}))
	assert.False(t, finds(t, condition, zep.Metadata{}))
	assert.False(t, finds(t, condition, zep.Metadata{key: value + "x", key + "x": value}))
	if storable(other) {
		assert.Equal(t, value == other, finds(t, condition, zep.Metadata{key: other}))
	}
}

// storable reports whether metadata on the server can have a text.
func storable(text string) bool {
	return strings.ToValidUTF8(text, "") == text && !strings.Contains(text, "\x00")
}

func ExampleEqual() {
	author := "O'Brien" // from outside
	condition := zep.Equal("author", author)
	fmt.Println(condition["jsonpath"])
	// Output:
	// $[*] ? (@."author" == "O\u0027Brien")
}

func ExampleQuote() {
	city := "L'Aquila" // from outside
	condition := zep.JSONPath(`$.address ? (@.city == ` + zep.Quote(city) + `)`)
	fmt.Println(condition["jsonpath"])
	// Output:
	// $.address ? (@.city == "L\u0027Aquila")
}
