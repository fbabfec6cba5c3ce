package zeptest

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// jsonPathCase is a path, an object, and whether PostgreSQL 15 finds anything in it.
type jsonPathCase struct {
	path, object string
	exists       bool
}

func jsonPathCases() []jsonPathCase {
	return []jsonPathCase{
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

		// An object counts as an array of itself. An array is unwrapped where a single item is
		// wanted.
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

		// Two types cannot be compared: the result is unknown, and so is its negation.
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

		// A condition that is the whole path has a value, which is always found, even if it is
		// false or unknown.
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
		{
			`$ ? (` + strings.Repeat("(", 100) + `@.a == 1` + strings.Repeat(")", 100) + `)`,
			`{"a":1}`, true,
		},

		// Subscripts.
		{`$.a[0]`, `{"a":[null]}`, true},
		{`$.a[0] ? (@ == null)`, `{"a":[null,1]}`, true},
		{`$.a[1]`, `{"a":[1]}`, false},
		{`$.a[0]`, `{"a":[]}`, false},
		{`$.a[last]`, `{"a":[]}`, false},
		{`$.a[last] ? (@ == 2)`, `{"a":[1,2]}`, true},
		{`$.a[last] ? (@ == 1)`, `{"a":[1,2]}`, false},
		{`$.a[0, 2] ? (@ == 3)`, `{"a":[1,2,3]}`, true},
		{`$.a[0, 2] ? (@ == 2)`, `{"a":[1,2,3]}`, false},
		{`$.a[1 to last] ? (@ == 1)`, `{"a":[1,2,3]}`, false},
		{`$.a[1 to 99] ? (@ == 3)`, `{"a":[1,2,3]}`, true},
		{`$.a[2 to 1]`, `{"a":[1,2,3]}`, false},
		{`$.a[last to last]`, `{"a":[1,2,3]}`, true},
		{`$.a[0].b`, `{"a":[{"b":1}]}`, true},
		{`$.a[0] ? (@.b == 1)`, `{"a":{"b":1}}`, true}, // an array of itself
		{`$.a[1]`, `{"a":{"b":1}}`, false},
		{`$.a[last]`, `{"a":"x"}`, true},
		{`$[0].a`, `{"a":1}`, true},
		{`$ ? (@.a[0] == 1)`, `{"a":[[1],2]}`, true},
		{`$.a[0][1] ? (@ == 2)`, `{"a":[[1,2]]}`, true},
		{`$.a[last] ? (@.b[last] == 4)`, `{"a":[{"b":[3]},{"b":[3,4]}]}`, true},
		{`$ ? (exists(@.a[1]))`, `{"a":[1]}`, false},

		// Regular expressions.
		{
			`$.system.entities[*] ? (@.Name like_regex "^parable*" flag "i")`,
			`{"system":{"entities":[{"Name":"Parables"}]}}`, true,
		},
		{
			`$.system.entities[*] ? (@.Name like_regex "^parable*" flag "i")`,
			`{"system":{"entities":[{"Name":"a parable"}]}}`, false,
		},
		{`$.system.entities[*] ? (@.Name like_regex "^parable*" flag "i")`, `{"x":1}`, false},
		{`$ ? (@.a like_regex "KS" flag "i")`, `{"a":"ks"}`, true},
		{`$ ? (@.a like_regex "k" flag "i")`, `{"a":"\u212a"}`, false}, // the Kelvin sign
		{`$ ? (@.a like_regex "[j-l]" flag "i")`, `{"a":"\u212a"}`, false},
		{`$ ? (@.a like_regex "[j-l]" flag "i")`, `{"a":"K"}`, true},
		{`$ ? (@.a like_regex "日本" flag "i")`, `{"a":"日本"}`, true},
		{`$ ? (@.a like_regex "a.c" flag "")`, `{"a":"abc"}`, true},
		{`$ ? (@.a like_regex "é")`, `{"a":"É"}`, false},
		{`$ ? (@.a like_regex "^[0-9]{3}-[0-9]{4}$")`, `{"a":"555-1234"}`, true},
		{`$ ? (@.a like_regex "^[0-9]{3}-[0-9]{4}$")`, `{"a":"555-12345"}`, false},
		{`$ ? (@.a like_regex "^x{2,}y{0,1}$")`, `{"a":"xxx"}`, true},
		{`$ ? (@.a like_regex "^(cat|dog)s?$")`, `{"a":"dogs"}`, true},
		{`$ ? (@.a like_regex "^(?:cat|dog)+$")`, `{"a":"catdog"}`, true},
		{`$ ? (@.a like_regex "cat|dog")`, `{"a":"a dog"}`, true},
		{`$ ? (@.a like_regex "^a|b$")`, `{"a":"xb"}`, true},
		{`$ ? (@.a like_regex "a[^b]c")`, `{"a":"a\nc"}`, false}, // a newline has to be named
		{`$ ? (@.a like_regex "a[^b]c")`, `{"a":"axc"}`, true},
		{`$ ? (@.a like_regex "[^ab]" flag "i")`, `{"a":"aBA"}`, false},
		{`$ ? (@.a like_regex "^[a-c_.-]+$")`, `{"a":"a-b_c."}`, true},
		{`$ ? (@.a like_regex "^\\d+\\.\\d{2}$")`, `{"a":"12.50"}`, true},
		{`$ ? (@.a like_regex "^\\d+\\.\\d{2}$")`, `{"a":"12x50"}`, false},
		{`$ ? (@.a like_regex "\\d")`, `{"a":"\u0663"}`, false}, // an Arabic digit
		{`$ ? (@.a like_regex "a+b" flag "q")`, `{"a":"xa+b"}`, true},
		{`$ ? (@.a like_regex "A+B" flag "qi")`, `{"a":"xa+b"}`, true},
		{`$ ? (@.a like_regex "\"x\"")`, `{"a":"\"x\""}`, true},
		{`$ ? (@.a like_regex "")`, `{"a":""}`, true},
		{`$ ? (@.a like_regex "^$")`, `{"a":""}`, true},
		{`$ ? (@.a like_regex "^$")`, `{"a":"x"}`, false},
		{`$ ? (@.a[0] like_regex "x")`, `{"a":["x"]}`, true},
		{`$ ? (@.a like_regex ".{2}")`, `{"a":"日本"}`, true},
	}
}

func TestJSONPath(t *testing.T) {
	t.Parallel()
	for _, test := range jsonPathCases() {
		t.Run(test.path+" of "+test.object, func(t *testing.T) {
			t.Parallel()
			path, err := parseJSONPath(test.path)
			require.NoError(t, err)
			assert.Equal(t, test.exists, path.exists(storedObject(t, test.object)))
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

// endlessPaths are paths that end too soon.
func endlessPaths() []string {
	return []string{
		`$[*] ? (`, `$.`, `$[`, `$[*`, `$ ?`, `$ ? (@`, `$ ? (@.a`, `$ ? (@.a ==`, `$ ? (@.a == 1`,
		`$ ? (@.a == 1 &&`, `$ ? (!`, `$ ? (@.a starts`, `$ ? (exists(@.a)`, `lax`, `$.a."b".`,
	}
}

// unknownPaths are paths that PostgreSQL can evaluate, unlike this package.
func unknownPaths() []string {
	return []string{
		`strict $`, `$.a[0 + 1]`, `$.a[$.b]`, `$.a[-1]`, `$.a[last - 1]`, `$.a[1.5]`, `$.**{1}`,
		`$ ? (@.a + 1 == 2)`, `$.b ? (-@ == 1)`, `$ ? (@.a / 2 == 1)`, `$ ? (@.a % 2 == 0)`,
		`$.b.double()`, `$.b.abs()`, `$.keyvalue()`,
		`$ ? (@.a.datetime() < "2024-01-01".datetime())`,
		`$ ? (@.a like_regex "x" flag "s")`, `$ ? (@.a like_regex "^x" flag "m")`,
		`$ ? (@.a like_regex "\\w")`, `$ ? (@.a like_regex "\\s")`, `$ ? (@.a like_regex "\\D")`,
		`$ ? (@.a like_regex "[[:<:]]x")`, `$ ? (@.a like_regex "[[:alpha:]]")`,
		`$ ? (@.a like_regex "(x)\\1")`, `$ ? (@.a like_regex "x(?=y)")`,
		`$ ? (@.a like_regex "é" flag "i")`, `$ ? (@.a like_regex "a$|b")`,
		`$ ? (@.a like_regex "[A-z]")`, `$ ? (@.a like_regex "(|x)")`, `$ ? (@.a like_regex ` +
			`"x+?")`,
		`$ ? (@.a == 1e300)`, `$ ? (@.a == 0.1000000000000000)`, `$ ? (@.a == ` +
			`1000000000000000000)`,
		`$ ? (@.a == - -1)`, `$.a /* why */`, `$.\u0061`, `$."\u{61}"`, `$."\x61"`, "$.\"a\nb\"",
		`$ ? (@.a == .5e400)`,
	}
}

// wrongPaths are paths that PostgreSQL 15 refuses, too.
func wrongPaths() []string {
	return []string{
		`a`, `@.a`, `$$`, `$ $`, `$a`, `$v.a`, `$ ? (@.a == $v)`, `$ ? (@.a == $"v")`,
		`$ ? (@.a starts with $v)`, `$.1`, `$ ? @.a`, `$ ? ()`, `$ ? (@.a)`, `$ ? (@.a = 1)`,
		`$ ? (@.a === 1)`, `$ ? (@.a == 1 == 1)`, `$ ? (@.a == x)`, `$ ? (@.a == TRUE)`,
		`$ ? (@.a == 01)`, `$ ? (!@.a == 1)`, `$ ? (@.a == "x)`, `$ ? ($starts with "x")`,
		`$ ? (@.a == 1))`, `$ ? (@.a == )`, `$ ? (@.a == 0x1)`, `$ ? (@.a == 1_0)`,
		`$ ? (@.a == 1a)`, `$.a.string()`, `$.a.decimal(1)`, `$.a.date()`, `$.a/**/.b`,
		`$ ? (@.a like_regex "(")`, `$ ? (@.a like_regex "*")`, `$ ? (@.a like_regex "a**")`,
		`$ ? (@.a like_regex "[b-a]")`, `$ ? (@.a like_regex "a{2,1}")`,
		`$ ? (@.a like_regex "x" flag "x")`, `$ ? (@.a like_regex "x" flag "z")`, `$."\q`,
		`$."\u{110000}"`, `$."\ud800"`, `$."\u0000"`, `$ ? (last == 1)`,
	}
}

func TestJSONPath_Errors(t *testing.T) {
	t.Parallel()
	for _, path := range endlessPaths() {
		_, err := parseJSONPath(path)
		assert.Equal(t, errPathEnd, err, path)
	}
	_, err := parseJSONPath(" ")
	assert.EqualError(t, err,
		`ERROR: invalid input syntax for type jsonpath: " " (SQLSTATE=22P02)`)
	for _, path := range slices.Concat(unknownPaths(), wrongPaths(), []string{
		"$.a\xff", strings.Repeat("$", maxPathLength+1), `$.a-b`, `$.😀`,
	}) {
		_, err := parseJSONPath(path)
		if assert.Error(t, err, path) {
			assert.Regexp(t, `^ERROR: zeptest cannot evaluate this jsonpath: .*`+
				` \(SQLSTATE=(42601|0A000)\)$`, err.Error())
		}
	}
}

func FuzzJSONPath(f *testing.F) {
	for _, path := range []string{
		`$[*] ? (@.z == 1)`, `lax $.a.*."b c" ? (@ starts with "x" || !(exists($.a[*] ? (@ <> ` +
			`-1.5e3)) && @ >= null)).d`, `$[*] ? (`,
		`strict $.a[0 to last]`, `$.**{2} ? ((@.size() + 1 > 2) is unknown)`, `$ ? (@.a ` +
			`like_regex "^x" flag "q")`, `$.a.datetime("HH24") < $v`,
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
		// The time for nested filters from the root, and for all levels, grows exponentially.
		if err == nil && len(metadata) < 500 && strings.Count(text, "$") < 5 &&
			strings.Count(text, "**") < 3 {
			path.exists(asStored(object)) // no path fails at a record: it is refused before
		}
	})
}
