package jsonscan

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDecodedSize(t *testing.T) {
	t.Parallel()
	repeat := func(part string, n int) string {
		return strings.TrimSuffix(strings.Repeat(part+",", n), ",")
	}
	const elements = 999 * elementSize
	tests := map[string]struct {
		text string
		want int64
	}{
		"nothing":  {"", 0},
		"spaces":   {strings.Repeat(" ", 1000), 0},
		"a number": {"17", 0},
		"a record": {"{}", recordSize},
		"an array": {"[]", arraySize},
		"objects":  {"[" + repeat("{}", 1000) + "]", arraySize + 1000*recordSize + elements},
		"records of a member": {
			`{"messages":[` + repeat("{}", 1000) + "]}", arraySize + 1001*recordSize + elements,
		},
		"objects in metadata": {
			`{"metadata":{"a":[` + repeat("{}", 1000) + "]}}",
			recordSize + arraySize + 1001*objectSize + elements,
		},
		"arrays":  {"[" + repeat("[]", 1000) + "]", 1001*arraySize + elements},
		"numbers": {"[" + repeat("0", 1000) + "]", arraySize + elements},
		"strings": {
			"[" + repeat(`"abc"`, 1000) + "]",
			arraySize + 1000*(stringSize+3) + elements,
		},
		"nested objects": {strings.Repeat(`{"a":`, 1000) + "1", recordSize + 999*objectSize},
		"few members":    {"{" + repeat(`"a":1`, fewMembers) + "}", recordSize},
		"many members":   {"{" + repeat(`"a":1`, fewMembers+3) + "}", recordSize + 3*memberSize},
		"many, after more": {
			`{"b":{"c":1},` + repeat(`"a":1`, fewMembers) + "}",
			recordSize + objectSize + memberSize,
		},
		"after an array": {
			`[[1,2],{` + repeat(`"a":1`, 3) + "}]",
			2*arraySize + recordSize + 2*elementSize,
		},
		"text with structure": {
			`["[{,\"]}:,{{{,,,,\\"]`, arraySize + stringSize + int64(len(`[{,\"]}:,{{{,,,,\\`)),
		},
		"a name is not kept":  {`{"[[[[[[[[":1}`, recordSize},
		"an open string":      {`["` + strings.Repeat("{", 100), arraySize + stringSize + 100},
		"ends with an escape": {`["ab\`, arraySize + stringSize + 3},
		"more after the end":  {`[]][[[`, arraySize},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, test.want, DecodedSize([]byte(test.text), math.MaxInt64))
		})
	}
}

func TestDecodedSize_StopsAtMax(t *testing.T) {
	t.Parallel()
	got := DecodedSize([]byte(strings.Repeat("[", 1000)), 10*arraySize)
	assert.EqualValues(t, 11*arraySize, got)
}

// FuzzDecodedSize checks that no JSON is estimated at more than MaxGrowth, since shorter ones are
// not looked at, and that the number of elements is that of encoding/json.
func FuzzDecodedSize(f *testing.F) {
	for _, seed := range []string{
		"", "[", "[{}", "[{},{}]", `{"a":[1,2],"b":"c"}`, `["a",["b","c"],{"d":1}]`, ` [ ] `,
		`["\\"]`, `[1`, `["]",2]`, `{"":{"":{"":{}}}}`, "[{},{},{},{},{}]",
		"null", "[[],[]]", "[\n1]",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		size := DecodedSize([]byte(text), math.MaxInt64)
		if json.Valid([]byte(text)) { // the last object has no comma after it
			require.LessOrEqual(t, size, int64(len(text)+1)*MaxGrowth)
		}
		var list []json.RawMessage
		if json.Unmarshal([]byte(text), &list) == nil {
			require.Equal(t, len(list), Elements([]byte(text), math.MaxInt))
			require.Equal(t, min(len(list), 3), Elements([]byte(text), 2))
		}
		Elements([]byte(text), math.MaxInt)
	})
}

func TestElements(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"":                          0,
		" \n":                       0,
		"{}":                        0,
		`"[1,2]"`:                   0,
		"[]":                        0,
		" [ \n ] ":                  0,
		"[1]":                       1,
		"[[]]":                      1,
		`["]",2]`:                   2,
		`["a\"]",{"b":[1,2]},null]`: 3,
		"[1,2":                      2,
		"[1,2],3":                   2,
	} {
		assert.Equal(t, want, Elements([]byte(text), 100), text)
	}
	assert.Equal(t, 3, Elements([]byte("[1,2,3,4,5]"), 2), "one more than the maximum")
}

func TestScanRecords(t *testing.T) {
	t.Parallel()
	text := `[{"id":1},{"id":2},{"id":3}]`
	for n, want := range map[int]bool{0: true, 1: false, 2: false, 3: true, 4: true} {
		list, ok := ScanRecords([]byte(text), n, scanItem)
		assert.Equal(t, want, ok, n)
		assert.LessOrEqual(t, len(list), 3)
		if !want {
			assert.Len(t, list, n, "no more are read")
		}
	}
	_, ok := Scan([]byte(text), scanItems)
	assert.True(t, ok, "the next scan has no limit")
}
