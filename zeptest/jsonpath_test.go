package zeptest

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/theory/sqljson/path"
)

// TestJSONPath has what PostgreSQL 15 says to the same.
func TestJSONPath(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		path, object string
		exists       bool
	}{
		{`$`, `{}`, true},
		{`$.a`, `{"a":null}`, true},
		{`$.a`, `{}`, false},
		{`$.a.b`, `{"a":{"b":1}}`, true},
		{`$.a.b`, `{"a":1}`, false},
		{`$."a b"`, `{"a b":1}`, true},
		{`$.日本`, `{"日本":1}`, true},
		{`$.*`, `{"a":1}`, true},
		{`$.*`, `{}`, false},
		{`lax $.a`, `{"a":1}`, true},
		{"$ .\ta [ * ]", `{"a":[1]}`, true},

		// An object counts as an array of itself, and an array where a single item is wanted is unwrapped.
		{`$[*] ? (@.a == 1)`, `{"a":1}`, true},
		{`$ ? (@.a == 1)`, `{"a":1}`, true},
		{`$.a ? (@ == 1)`, `{"a":[2,1]}`, true},
		{`$.a[*] ? (@ == 1)`, `{"a":[2,1]}`, true},
		{`$ ? (@.a == 1)`, `{"a":[2,1]}`, true},
		{`$ ? (@.a.b == 1)`, `{"a":[{"b":2},{"b":1}]}`, true},
		{`$.a ? (@.b == 1)`, `{"a":[{"b":2},{"b":[3,1]}]}`, true},
		{`$ ? (@.a == 1)`, `{"a":[[1]]}`, false}, // but only once
		{`$.a ? (@ == 1)`, `{"a":[[1]]}`, true},
		{`$.a ? (@ == 1)`, `{"a":[[[1]]]}`, false},
		{`$.a[*][*] ? (@ == 1)`, `{"a":[[[1]]]}`, true},
		{`$.a.b`, `{"a":[[{"b":1}]]}`, false},
		{`$.a[*]`, `{"a":[]}`, false},
		{`$.* ? (@.b == 1)`, `{"a":{"b":1}}`, true},

		// Without a pair to compare, a comparison is false, an inequality too.
		{`$ ? (@.a == 1)`, `{}`, false},
		{`$ ? (@.a != 1)`, `{}`, false},
		{`$ ? (!(@.a == 1))`, `{}`, true},
		{`$ ? (@.a != 1)`, `{"a":[]}`, false},
		{`$ ? (@.a == null)`, `{}`, false},

		// null is a value, and unequal to all others.
		{`$ ? (@.a == null)`, `{"a":null}`, true},
		{`$ ? (@.a <= null)`, `{"a":null}`, true},
		{`$ ? (@.a < null)`, `{"a":null}`, false},
		{`$ ? (@.a != null)`, `{"a":1}`, true},
		{`$ ? (@.a != null)`, `{"a":{}}`, true},
		{`$ ? (@.a != 1)`, `{"a":null}`, true},
		{`$ ? (@.a > null)`, `{"a":1}`, false},
		{`$ ? (!(@.a > null))`, `{"a":1}`, true},

		// Two types can't be compared: that is unknown, and so is its opposite.
		{`$ ? (@.a == "1")`, `{"a":1}`, false},
		{`$ ? (@.a != "1")`, `{"a":1}`, false},
		{`$ ? (!(@.a == "1"))`, `{"a":1}`, false},
		{`$ ? (@.a == true)`, `{"a":"true"}`, false},
		{`$ ? (@.a != 1)`, `{"a":{}}`, false},
		{`$ ? (@.a == @.a)`, `{"a":{}}`, false},
		{`$ ? (@.a == "1" || @.b == 1)`, `{"a":1,"b":1}`, true},
		{`$ ? (@.a == "1" && @.b == 1)`, `{"a":1,"b":1}`, false},
		{`$ ? (!(@.a == "1" && @.b == 2))`, `{"a":1,"b":1}`, true},
		{`$ ? (!(@.a == "1" || @.b == 2))`, `{"a":1,"b":1}`, false},
		{`$ ? (@.a == 1)`, `{"a":["1",1]}`, true},

		{`$ ? (@.a == 1)`, `{"a":1.0}`, true},
		{`$ ? (@.a == 0.1)`, `{"a":0.1}`, true},
		{`$ ? (@.a == 1e2)`, `{"a":100}`, true},
		{`$ ? (@.a >= -1.5 && @.a < - 1)`, `{"a":-1.5}`, true},
		{`$ ? (@.a > 9)`, `{"a":10}`, true},
		{`$ ? (@.a == 9007199254740993)`, `{"a":9007199254740992}`, false},
		{`$ ? (@.a > "9")`, `{"a":"10"}`, false},
		{`$ ? (@.a < "b")`, `{"a":"a"}`, true},
		{`$ ? (@.a > "Z")`, `{"a":"a"}`, true},
		{`$ ? (@.a == "\"\n\/")`, `{"a":"\"\n/"}`, true},
		{`$ ? (@.a == true)`, `{"a":true}`, true},
		{`$ ? (@.a > false)`, `{"a":true}`, true},
		{`$ ? (1 == @.a)`, `{"a":1}`, true},
		{`$ ? (@.a <> 1)`, `{"a":2}`, true},
		{`$ ? (@.a == @.b)`, `{"a":1,"b":[3,1]}`, true},
		{`$.c ? (@.a == $.b)`, `{"b":1,"c":{"a":1}}`, true},

		{`$ ? (@.a == 1 || @.a == 2 && @.b == 1)`, `{"a":1}`, true}, // && binds tighter
		{`$ ? ((@.a == 1 || @.a == 2) && @.b == 1)`, `{"a":1}`, false},
		{`$ ? (@.a == 1) ? (@.b == 2)`, `{"a":1,"b":2}`, true},
		{`$ ? (@.a == 1).b`, `{"a":1,"b":2}`, true},
		{`$ ? (@.a ? (@ > 1) == 2)`, `{"a":[1,2]}`, true},
		{`$ ? (exists(@.a))`, `{"a":null}`, true},
		{`$ ? (EXISTS(@.a))`, `{}`, false},
		{`$ ? (!exists(@.a))`, `{}`, true},
		{`$ ? (exists(@.a ? (@ > 1)))`, `{"a":[1,2]}`, true},
		{`$ ? (@.exists == 1)`, `{"exists":1}`, true},
		{`$ ? (@.a starts with "x")`, `{"a":"xy"}`, true},
		{`$ ? (@.a starts with "x")`, `{"a":["y","xy"]}`, true},
		{`$ ? (@.a starts with "1")`, `{"a":1}`, false},
		{`$ ? (!(@.a starts with "1"))`, `{"a":1}`, false},
		{`$ ? (@.a like_regex "^x.*z$")`, `{"a":["y","xyz"]}`, true},
		{`$ ? (@.a like_regex "b c")`, `{"a":"ab cd"}`, true},
		{`$ ? (@.a like_regex "b.c")`, `{"a":"b\nc"}`, false},
		{`$ ? (@.a like_regex "^b$")`, `{"a":"a\nb"}`, false},
		{`$ ? (@.a like_regex "1")`, `{"a":1}`, false},
		{`$ ? (!(@.a like_regex "1"))`, `{"a":1}`, false},
		{`$ ? ((@.a == "1") is unknown)`, `{"a":1}`, true},
		{`$ ? ((@.a == 2) is unknown)`, `{"a":1}`, false},

		// A condition that is the whole path is a value, which is always found, be it false or unknown.
		{`$.a == 1`, `{"a":2}`, true},
		{`exists($.a)`, `{}`, true},
		{`($.a == 1) ? (@ == true)`, `{"a":2}`, false},
		{`($.a == "1") ? (@ == null)`, `{"a":1}`, true},
		{`1`, `{}`, true},

		{`($.a).b`, `{"a":{"b":1}}`, true},
		{`$ ? ((@.a) == 1)`, `{"a":1}`, true},
		{`$.a.type() ? (@ == "array")`, `{"a":[1]}`, true},
		{`$ ? (@.a.type() == "null")`, `{"a":null}`, true},
		{`$ ? (@.a.type() == "number")`, `{}`, false},
		{`$ ? (@.a.size() == 2)`, `{"a":[1,null]}`, true},
		{`$ ? (@.a.size() == 1)`, `{"a":{}}`, true},
		{`$.** ? (@.b == 1)`, `{"a":[[{"c":{"b":1}}]]}`, true},
		{`$.**.b`, `{"a":[]}`, false},
		{`$ ? (@.a == "\u00e9\ud83d\ude00")`, `{"a":"é😀"}`, true},
		{`$ ? (@.a == .5 && @.b == 1. && @.c == +1)`, `{"a":0.5,"b":1,"c":1}`, true},
		{`$ ? (@.a == -0)`, `{"a":0}`, true},
		{`$ ? (@.a == 0.1)`, `{"a":0.10000000000000002}`, false},
		{`$ ? (@.a == 999999999999999999)`, `{"a":1000000000000000000}`, false},
		{`$ ? (@.a > 999999999999999999)`, `{"a":1e300}`, true},
		{`$ ? (@.a < -999999999999999999)`, `{"a":-1e300}`, true},
		{`$ ? (` + strings.Repeat("(", 100) + `@.a == 1` + strings.Repeat(")", 100) + `)`, `{"a":1}`, true},
	} {
		t.Run(test.path+" of "+test.object, func(t *testing.T) {
			t.Parallel()
			path, err := parseJSONPath(test.path)
			require.NoError(t, err)
			exists, err := path.exists(storedObject(t, test.object))
			require.NoError(t, err)
			assert.Equal(t, test.exists, exists)
		})
	}
}

// storedObject is a JSON object as the server keeps it.
func storedObject(t *testing.T, text string) map[string]any {
	t.Helper()
	var object map[string]any
	require.NoError(t, json.Unmarshal([]byte(text), &object))
	return asStored(object)
}

func TestJSONPathErrors(t *testing.T) {
	t.Parallel()
	for _, path := range []string{
		`$[*] ? (`, `$.`, `$[`, `$[*`, `$ ?`, `$ ? (@`, `$ ? (@.a`, `$ ? (@.a ==`, `$ ? (@.a == 1`, `$ ? (@.a == 1 &&`, `$ ? (!`,
		`$ ? (@.a starts`, `$ ? (exists(@.a)`, `lax`, `$.a."b".`,
	} {
		_, err := parseJSONPath(path)
		assert.Equal(t, errPathEnd, err, path)
	}
	_, err := parseJSONPath(" ")
	assert.EqualError(t, err, `ERROR: invalid input syntax for type jsonpath: " " (SQLSTATE=22P02)`)

	for _, path := range []string{
		// What PostgreSQL could evaluate.
		`strict $.a`, `$.a[0]`, `$.a[0, 1]`, `$.a[last]`, `$.**{1}`, `$ ? (@.a + 1 == 2)`, `$.a ? (-@ == 1)`, `$.a / 2`, `$ ? (@.a % 2 == 0)`,
		`$.a.double()`, `$.a.abs()`, `$.a.keyvalue()`, `$ ? (@.a.datetime() < "2024-01-01".datetime())`, `$ ? (@.a == $v)`, `$ ? (@.a == $"v")`,
		`$ ? (@.a starts with $v)`, `$ ? (@.a like_regex "^x" flag "i")`, `$ ? (@.a like_regex "x|y")`, `$ ? (@.a like_regex "\\d")`,
		`$ ? (@.a like_regex "[[:<:]]x")`, `$ ? (@.a[0] like_regex "x")`, `$ ? (@.a like_regex ".{2}")`, `$ ? (@.a == 1e300)`,
		`$ ? (@.a == 0.1000000000000000)`, `$ ? (@.a == 1000000000000000000)`, `$ ? (@.a == - -1)`, `$ ? (exists(@.a[0]))`, `$ ? (@.a == @.b[0])`,
		`$.a /* why */`, `$.\u0061`, `$."\u{61}"`, `$."\x61"`, "$.\"a\nb\"", `$.😀`,
		// What it couldn't.
		`a`, `@.a`, `$$`, `$ $`, `$a`, `$.1`, `$ ? @.a`, `$ ? ()`, `$ ? (@.a)`, `$ ? (@.a = 1)`, `$ ? (@.a === 1)`, `$ ? (@.a == 1 == 1)`,
		`$ ? (@.a == x)`, `$ ? (@.a == TRUE)`, `$ ? (@.a == 01)`, `$ ? (!@.a == 1)`, `$ ? (@.a == "x)`, `$ ? ($starts with "x")`, `$ ? (@.a == 1))`,
		`$.a-b`, `$ ? (@.a == )`, `$ ? (@.a == 0x1)`, `$ ? (@.a == 1_0)`, `$ ? (@.a == 1a)`, `$.a.string()`, `$.a.decimal(1)`, `$.a.date()`, `$.a/**/.b`,
		`$ ? (@.a like_regex "(")`, `$ ? (@.a like_regex "*")`, `$."\q`, `$."\u{110000}"`, `$."\ud800"`, `$."\u0000"`, `$ ? (last == 1)`,
		"$.a\xff", strings.Repeat("$", maxPathLength+1),
	} {
		_, err := parseJSONPath(path)
		assert.ErrorContains(t, err, "zeptest can't evaluate this jsonpath", path)
	}
}

// TestJSONPathFails has what the library does when it can't go on: that is refused too, wherever it happens.
func TestJSONPathFails(t *testing.T) {
	t.Parallel()
	fails := &jsonPath{text: "$v", parsed: path.MustParse("$v")}
	_, err := fails.exists(map[string]any{})
	require.ErrorContains(t, err, `zeptest can't evaluate this jsonpath: "$v": exec: could not find jsonpath variable "v"`)
	panics := &jsonPath{text: "$.a<1", parsed: path.MustParse("$ ? (@.a < 1)")}
	_, err = panics.exists(map[string]any{"a": json.Number("1e400")})
	require.ErrorContains(t, err, "zeptest can't evaluate this jsonpath")

	object := map[string]any{"a": "b"}
	s := newStore()
	s.messages.insert(newRow(s.messages.nextID(), "m", message{UUID: nilUUID, Metadata: object}))
	s.messagesOf["s"] = []string{"m"}
	s.summariesOf["s"] = []summary{{Metadata: object}}
	c := &collection{documents: map[uuid]*document{"d": {Metadata: object}}}
	for _, where := range []clauses{{{path: fails}}, {{group: clauses{{path: fails}}}, {or: true, path: fails}}} {
		_, err = s.findMessages("s", nil, where, period{})
		require.ErrorContains(t, err, "zeptest can't evaluate this jsonpath")
		_, err = s.findSummaries("s", nil, where, period{})
		require.ErrorContains(t, err, "zeptest can't evaluate this jsonpath")
		_, err = c.find(nil, where)
		require.ErrorContains(t, err, "error scanning query zeptest can't evaluate this jsonpath")
	}
}

func FuzzJSONPath(f *testing.F) {
	for _, path := range []string{
		`$[*] ? (@.z == 1)`, `lax $.a.*."b c" ? (@ starts with "x" || !(exists($.a[*] ? (@ <> -1.5e3)) && @ >= null)).d`, `$[*] ? (`,
		`strict $.a[0 to last]`, `$.**{2} ? ((@.size() + 1 > 2) is unknown)`, `$ ? (@.a like_regex "^x" flag "q")`, `$.a.datetime("HH24") < $v`,
		`- -1`, `$ ? (@ == 1e999)`, `99999999999999999999`, `$."\ud83d\ude00\u{1}" /* c */`,
	} {
		f.Add(path, `{"a":[{"b c":"x"},null,[1,true]],"b":{"a":-1.5},"z":1}`)
	}
	f.Fuzz(func(t *testing.T, text, metadata string) {
		path, err := parseJSONPath(text)
		if (path == nil) == (err == nil) {
			t.Fatalf("a path or an error: %v, %v", path, err)
		}
		var object map[string]any
		if json.Unmarshal([]byte(metadata), &object) != nil {
			return
		}
		// Filters from the root within each other multiply, as all levels do, and may take forever.
		if err == nil && len(metadata) < 500 && strings.Count(text, "$") < 5 && strings.Count(text, "**") < 3 {
			if _, err := path.exists(asStored(object)); err != nil {
				t.Fatalf("what fails at a record is to be refused before: %v", err)
			}
		}
	})
}
