package jsonscan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// item has a field for each method of Scanner that reads a value.
type item struct {
	ID     int64          `json:"id"`
	Count  int            `json:"count"`
	Name   string         `json:"name"`
	Note   string         `json:"note"`
	At     time.Time      `json:"at"`
	On     bool           `json:"on"`
	Score  float64        `json:"score"`
	Vector []float32      `json:"vector"`
	Extra  map[string]any `json:"extra"`
	Parts  []*item        `json:"parts"`
}

var itemFields = []string{
	"id", "count", "name", "note", "at", "on", "score", "vector", "extra", "parts",
}

func scanItem(s *Scanner) *item {
	r, fields := new(item), NewFields(itemFields)
	for more := s.BeginObject(); more; more = s.NextField() {
		switch s.Field(&fields) {
		case "id":
			r.ID = s.Int64()
		case "count":
			r.Count = s.Int()
		case "name":
			r.Name = s.Text()
		case "note":
			r.Note = s.Text()
		case "at":
			r.At = s.Time()
		case "on":
			r.On = s.Bool()
		case "score":
			r.Score = s.Float64()
		case "vector":
			r.Vector = s.Float32s()
		case "extra":
			r.Extra = s.Map()
		case "parts":
			r.Parts = Records(s, scanItem)
		}
	}
	s.EndRecord()
	return r
}

func scanItems(s *Scanner) []*item { return Records(s, scanItem) }

// check compares what a scan of text returns with what encoding/json decodes, and reports whether
// the scan succeeded.
func check[T any](t testing.TB, text string, scan func(*Scanner) T) bool {
	t.Helper()
	data := []byte(text)
	got, ok := Scan(data, scan)
	if !ok {
		return false
	}
	require.Equal(t, text, string(data), "the text was written to")
	for i := range data { // the value must not refer to the text
		data[i] = '#'
	}
	var want T
	require.NoErrorf(t, json.Unmarshal([]byte(text), &want), "%.1000q", text)
	requireSame(t, text, want, got)
	return true
}

// requireSame fails unless the values are the same, to the sign of a zero.
func requireSame(t testing.TB, text string, want, got any) {
	t.Helper()
	if !reflect.DeepEqual(want, got) {
		require.FailNowf(t, "not the same", "%.1000q: want %#v, got %#v", text, want, got)
	}
	wantJSON, err := json.Marshal(want)
	if err != nil {
		return // a time that RFC 3339 cannot express
	}
	gotJSON, err := json.Marshal(got)
	require.NoError(t, err)
	require.Equalf(t, string(wantJSON), string(gotJSON), "%.1000q", text)
}

func nested(n int) string {
	return `{"extra":{"a":` + strings.Repeat(`[`, n) + strings.Repeat(`]`, n) + `}}`
}

// itemTexts are texts of an item, and whether the scanner reads them.
var itemTexts = []struct {
	name, text string
	ok         bool
}{
	{"empty", `{}`, true},
	{"all fields", `{"id":7,"count":2,"name":"n","note":"m","at":"2024-05-01T12:00:00.123456Z",` +
		`"on":true,"score":0.5,"vector":[1,2.5],"extra":{"k":"v"},"parts":[{"id":1},{}]}`, true},
	{"another order", `{"parts":[],"extra":{},"note":"m","id":1,"name":"n"}`, true},
	{"space", " \t\r\n{ \"id\" :\t1 , \"extra\" : { \"a\" : [ 1 , 2 ] ,\"b\" : { } }\n}\n", true},
	{"null fields", `{"id":null,"count":null,"name":null,"at":null,"on":null,"score":null,` +
		`"vector":null,"extra":null,"parts":null}`, true},
	{"empty values", `{"name":"","vector":[],"parts":[],` +
		`"extra":{"":"","a":[],"o":{},"n":null,"t":true,"f":false}}`, true},
	{"false", `{"on":false}`, true},
	{"another zone", `{"at":"2024-05-01T12:00:00+02:00"}`, true},
	{"zero time", `{"at":"0001-01-01T00:00:00Z"}`, true},
	{"time with 13 digits", `{"at":"2024-05-01T12:00:00.1234567891234Z"}`, true},
	{"time with a comma", `{"at":"2024-05-01T12:00:00,5Z"}`, true},
	{"escapes of Go", `{"name":"\u003ca\u0026b\u003e \u2028","note":"\"\\\/\b\f\n\r\t"}`, true},
	{"adjacent escapes", `{"name":"\n\nabcdefgh\n12345678\n","note":"日本\n語"}`, true},
	{"escaped NUL", `{"name":"a\u0000b"}`, true},
	{"escape in a name", `{"n\u0061me":"x","extra":{"\u003ck\u003e":1}}`, true},
	{"upper-case hexadecimals", `{"name":"\u00E9\u00e9\uFFFD"}`, true},
	{"beyond ASCII", `{"name":"日本 😀 é","extra":{"日本":"語"}}`, true},
	{"long text", `{"name":"` + strings.Repeat("long ", 1000) + `"}`, true},
	{"long text beyond ASCII", `{"name":"` + strings.Repeat("日本", 1000) + `"}`, true},
	{"delete character", "{\"name\":\"a\x7fb\"}", true},
	{"nested", nested(maxDepth - 1), true},

	{"nested too deep", nested(maxDepth), false},
	{"string for a number", `{"id":"1"}`, false},
	{"number for a string", `{"name":1}`, false},
	{"number for a bool", `{"on":1}`, false},
	{"string for a bool", `{"on":"true"}`, false},
	{"number for a time", `{"at":1}`, false},
	{"array for a map", `{"extra":[]}`, false},
	{"object for an array", `{"parts":{}}`, false},
	{"object for a vector", `{"vector":{}}`, false},
	{"null in a vector", `{"vector":[1,null]}`, false},
	{"string in a vector", `{"vector":["1"]}`, false},
	{"array in a vector", `{"vector":[[1]]}`, false},
	{"null in records", `{"parts":[null]}`, false},
	{"name in another case", `{"ID":1,"Name":"n"}`, false},
	{"name that folds to another", `{"ſcore":1}`, false},
	{"unknown name", `{"id":1,"project":"p"}`, false},
	{"name twice", `{"name":"a","name":"b"}`, false},
	{"name twice with null", `{"name":"a","name":null}`, false},
	{"map twice", `{"extra":{"a":1},"extra":{"b":2}}`, false},
	{"key twice in a map", `{"extra":{"a":{"b":1},"a":{"c":2}}}`, false},
	{"key twice in a map, once escaped", `{"extra":{"a":1,"\u0061":2}}`, false},
	{"surrogate pair", `{"name":"\ud83d\ude00"}`, false},
	{"half a surrogate pair", `{"name":"\ud83d"}`, false},
	{"not UTF-8", "{\"name\":\"a\xffb\"}", false},
	{"not UTF-8 in the last bytes", "{\"name\":\"\xff\"}", false},
	{"not UTF-8 in a long text", "{\"name\":\"" + strings.Repeat("a", 64) + "\xff\"}", false},
	{"not UTF-8 before a long text", "{\"name\":\"\xff" + strings.Repeat("a", 64) + "\"}", false},
	{"not UTF-8 before an escape", "{\"name\":\"\xc3\\u00a9\"}", false},
	{"not UTF-8 in keys", "{\"extra\":{\"\xc3\":1,\"\xc4\":2}}", false},
	{"time with an escape", `{"at":"2024-05-01T12:00:00\u005a"}`, false},
	{"time that does not exist", `{"at":"2024-02-30T12:00:00Z"}`, false},
	{"empty time", `{"at":""}`, false},

	{"null", `null`, false},
	{"nothing", ``, false},
	{"only space", ` `, false},
	{"HTML", `<html></html>`, false},
	{"an array", `[]`, false},
	{"unended object", `{"id":1`, false},
	{"second value", `{} {}`, false},
	{"trailing NUL", "{}\x00", false},
	{"trailing comma", `{"id":1,}`, false},
	{"trailing comma in an array", `{"extra":{"a":[1,]}}`, false},
	{"trailing comma in a vector", `{"vector":[1,]}`, false},
	{"leading comma", `{,"id":1}`, false},
	{"missing comma", `{"id":1 "name":"u"}`, false},
	{"missing colon", `{"id" 1}`, false},
	{"missing colon in a map", `{"extra":{"a" 1}}`, false},
	{"missing value", `{"id":}`, false},
	{"short literal", `{"extra":{"a":tru}}`, false},
	{"long literal", `{"extra":{"a":nullable}}`, false},
	{"wrong literal", `{"extra":{"a":falsy}}`, false},
	{"literal in another case", `{"on":True}`, false},
	{"control character", "{\"name\":\"a\nb\"}", false},
	{"control character far in", "{\"name\":\"" + strings.Repeat("a", 23) + "\x1fb\"}", false},
	{"unknown escape", `{"name":"\x41"}`, false},
	{"upper-case escape", `{"name":"\U0041"}`, false},
	{"escape that is no number", `{"name":"\u+041"}`, false},
	{"short escape", `{"name":"\u00`, false},
	{"trailing backslash", `{"name":"\`, false},
	{"unended string", `{"name":"abc`, false},
	{"byte order mark", "\ufeff{}", false},
	{"vertical tab", "{\v}", false},
	{"no-break space", "{\u00a0}", false},
}

func TestScan_Objects(t *testing.T) {
	t.Parallel()
	for _, test := range itemTexts {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, test.ok, check(t, test.text, scanItem))
			if strings.TrimSpace(test.text) != "" {
				list := `[{"id":3},` + test.text + `]`
				assert.Equal(t, test.ok, check(t, list, scanItems), "in an array")
			}
		})
	}
}

func TestScan_Arrays(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		`[]`: true, " [ ] \n": true, `[{}]`: true, `[{},{}]`: true,
		`null`: false, `[null]`: false, `[{},null]`: false, `[{},]`: false, `[,{}]`: false,
		`[{} {}]`: false, `[`: false, `[{}`: false, `]`: false, `[]]`: false, `[[]]`: false,
		`{}`: false, ``: false, `[}`: false, `[{}}`: false,
	} {
		assert.Equalf(t, ok, check(t, text, scanItems), "%q", text)
	}
}

func TestScan_Prefixes(t *testing.T) {
	t.Parallel()
	text := itemTexts[1].text
	require.True(t, check(t, text, scanItem))
	for n := range text {
		require.Falsef(t, check(t, text[:n], scanItem), "%q", text[:n])
		check(t, text[:n]+text[n+1:], scanItem)
		check(t, text[:n+1]+text[n:], scanItem)
	}
}

func TestMap_Bare(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		`{"a":[1,"x",{"b":null}]}`: true, `{}`: true, `[]`: false, `null`: false, `1`: false,
	} {
		assert.Equalf(t, ok, check(t, text, (*Scanner).Map), "%q", text)
	}
}

func TestRecords_Capacity(t *testing.T) {
	t.Parallel()
	short, long := strings.Repeat("x", 300), strings.Repeat("x", 5000)
	for _, test := range []struct {
		name        string
		first, rest string
	}{
		{"equal", short, short}, {"long", long, long}, {"short first", "", long},
		{"long first", long, short},
	} {
		texts := slices.Repeat([]string{`{"name":"` + test.rest + `"}`}, 500)
		texts[0] = `{"name":"` + test.first + `"}`
		list, ok := Scan([]byte("["+strings.Join(texts, ",")+"]"), scanItems)
		require.True(t, ok, test.name)
		require.Len(t, list, 500, test.name)
		if test.first != "" {
			assert.LessOrEqual(t, cap(list), 2*len(list), test.name)
		} else {
			assert.LessOrEqual(t, cap(list), 2+500*len(texts[1])/256, test.name)
		}
	}
}

func TestScanner_CapHintIsLimited(t *testing.T) {
	t.Parallel()
	var keys strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&keys, `,"key-%d":"a short text"`, i)
	}
	hint, ok := Scan([]byte(`[{"extra":{"a":1`+keys.String()+`}},{}]`), func(s *Scanner) int {
		scanItems(s)
		return s.capHint
	})
	require.True(t, ok)
	assert.LessOrEqual(t, hint, maxChunk)
}

func address(text string) uintptr { return uintptr(unsafe.Pointer(unsafe.StringData(text))) }

func TestText_SharedInARecord(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", maxShared+1)
	text := `[{"name":"jane","note":"j"},{"name":"joe","note":"` + long + `"}]`
	list, ok := Scan([]byte(text), scanItems)
	require.True(t, ok)
	assert.Equal(t, address(list[0].Name)+4, address(list[0].Note), "one chunk for a record")
	assert.NotEqual(t, address(list[0].Note)+1, address(list[1].Name), "another for the next")
	assert.NotEqual(t, address(list[1].Name)+3, address(list[1].Note), "none for a long string")
}

func TestScan_Allocations(t *testing.T) {
	for _, test := range []struct {
		name, text string
		scan       func(*Scanner)
		want       float64
	}{
		{"bool", `true`, func(s *Scanner) { s.Bool() }, 0},
		{"number", `-12.5e3`, func(s *Scanner) { s.Float64() }, 0},
		{"time", `"2024-05-01T12:00:00Z"`, func(s *Scanner) { s.Time() }, 0},
		{"escaped text", `"a\nb"`, func(s *Scanner) { s.Text() }, 1},
		{"vector", `[1,2.5,3e-7,0.1,0.2,0.3,0.4,0.5,0.6]`, func(s *Scanner) { s.Float32s() }, 1},
		{"no records", `[]`, func(s *Scanner) { scanItems(s) }, 0},
		{"item with texts", `{"name":"a","note":"b"}`, func(s *Scanner) { scanItem(s) }, 2},
	} {
		data := []byte(test.text)
		scan := func(s *Scanner) struct{} {
			test.scan(s)
			return struct{}{}
		}
		least := testing.AllocsPerRun(1, func() {})
		for i := range 20 { // the race detector makes sync.Pool drop items at random
			n := testing.AllocsPerRun(1, func() { Scan(data, scan) })
			if i == 0 || n < least {
				least = n
			}
		}
		_, ok := Scan(data, scan)
		assert.True(t, ok, test.name)
		assert.LessOrEqual(t, least, test.want, test.name)
	}
}

func TestScan_KeepsNoLargeBuffer(t *testing.T) {
	t.Parallel()
	s := &Scanner{}
	s.reset([]byte(`"` + strings.Repeat(`\n`, maxKeptBuffer+1) + `"`))
	s.Text()
	require.True(t, s.done())
	s.reset(nil)
	assert.LessOrEqual(t, cap(s.unescaped), maxKeptBuffer)
	assert.Nil(t, s.data)
}

func FuzzScan(f *testing.F) {
	for _, test := range itemTexts {
		f.Add([]byte(test.text))
		f.Add([]byte("[" + test.text + "]"))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		text := string(bytes.Clone(data))
		check(t, text, scanItem)
		check(t, text, scanItems)
		check(t, text, (*Scanner).Map)
	})
}
