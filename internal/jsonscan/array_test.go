package jsonscan

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// readArray returns the elements of an array, without the space around them.
func readArray(r io.Reader, limit int64) (elements []string, err error) {
	for a := NewArrayReader(r, limit); ; {
		element, err := a.Next()
		if err == io.EOF {
			return elements, nil
		}
		if err != nil {
			return elements, err
		}
		elements = append(elements, string(bytes.Trim(element, space)))
	}
}

// pieces returns a reader that returns at most n bytes at once, and sometimes none.
func pieces(text string, n int) io.Reader {
	return &piecesReader{text: text, n: n}
}

type piecesReader struct {
	text  string
	n     int
	empty bool
}

func (r *piecesReader) Read(p []byte) (int, error) {
	if r.empty = !r.empty; r.empty {
		return 0, nil
	}
	n := copy(p, r.text[:min(r.n, len(r.text))])
	if r.text = r.text[n:]; r.text == "" {
		return n, io.EOF
	}
	return n, nil
}

func TestArrayReader(t *testing.T) {
	t.Parallel()
	long := `"` + strings.Repeat(`a\"b`, 100_000) + `"`
	for _, test := range []struct {
		text string
		want []string
		err  error
	}{
		{`[]`, nil, nil},
		{" \n[ \t ]\r\n ", nil, nil},
		{`null`, nil, nil},
		{"\n null \n", nil, nil},
		{`[1]`, []string{"1"}, nil},
		{`[1,[2,3],{"a":[{"b":4}]},"x"]` + "\n", []string{"1", "[2,3]", `{"a":[{"b":4}]}`, `"x"`}, nil},
		{`[ {} , null ,true]`, []string{"{}", "null", "true"}, nil},
		{`["]","\"]","\\",",","\\\"",{"}":"{"}]`,
			[]string{`"]"`, `"\"]"`, `"\\"`, `","`, `"\\\""`, `{"}":"{"}`}, nil},
		{`["eight chars,]\u005d \"",2]`, []string{`"eight chars,]\u005d \""`, "2"}, nil},
		{"[" + long + ",2]", []string{long, "2"}, nil},
		{strings.Repeat(" ", 100_000) + "[1" + strings.Repeat(" ", 100_000) + "]" +
			strings.Repeat(" ", 100_000), []string{"1"}, nil},

		// The elements are not checked.
		{`[,]`, []string{"", ""}, nil},
		{`[1,]`, []string{"1", ""}, nil},
		{`[{}{}, [}, x]`, []string{"{}{}", "[}", "x"}, nil},

		{``, nil, io.ErrUnexpectedEOF},
		{` `, nil, io.ErrUnexpectedEOF},
		{`[`, nil, io.ErrUnexpectedEOF},
		{`[1`, nil, io.ErrUnexpectedEOF},
		{`[1,`, []string{"1"}, io.ErrUnexpectedEOF},
		{`["]`, nil, io.ErrUnexpectedEOF},
		{`["\"]`, nil, io.ErrUnexpectedEOF},
		{`[{]`, nil, io.ErrUnexpectedEOF},
		{`{}`, nil, ErrNotArray},
		{`nul`, nil, ErrNotArray},
		{`null x`, nil, ErrNotArray},
		{`null` + strings.Repeat(" ", 200) + "x", nil, ErrNotArray},
		{`<html>` + long, nil, ErrNotArray},
		{`]`, nil, ErrNotArray},
		{`[1}`, nil, ErrNotArray},
		{`[1] x`, []string{"1"}, ErrNotArray},
		{`[1][2]`, []string{"1"}, ErrNotArray},
		{`[] ,`, nil, ErrNotArray},
	} {
		for _, size := range []int{1, 2, 7, 8, 9, 1000, 1 << 20} {
			if len(test.text) > 1000 && size < 1000 {
				continue // takes long
			}
			got, err := readArray(pieces(test.text, size), 1<<20)
			require.ErrorIs(t, err, test.err, "%.50q in pieces of %d", test.text, size)
			require.Equal(t, test.want, got, "%.50q in pieces of %d", test.text, size)
		}
	}
}

func TestArrayReader_ErrorText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"error":"x"}`: `"{\"error\":\"x\"}": not an array`,
		"[]\n" + strings.Repeat("x", 1000): `"` + strings.Repeat("x", 100) +
			`" after the array: not an array`,
		strings.Repeat("x", 1000):            `"` + strings.Repeat("x", 100) + `": not an array`,
		"[1}":                                `"}" in the place of "]": not an array`,
		"\n <html>" + strings.Repeat("x", 5): `"<html>xxxxx": not an array`,
	} {
		_, err := readArray(strings.NewReader(text), 1<<20)
		require.EqualError(t, err, want)
	}
}

func TestArrayReader_ReaderError(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, text := range []string{"", " ", "[", "[1,", "[1]", `["`} {
		r := io.MultiReader(strings.NewReader(text), iotest.ErrReader(broken))
		_, err := readArray(r, 1<<20)
		require.Equal(t, broken, err, text)
	}
	_, err := readArray(endless{}, 1<<20)
	require.Equal(t, io.ErrNoProgress, err)
}

// endless returns nothing, and no error.
type endless struct{}

func (endless) Read([]byte) (int, error) { return 0, nil }

// repeated returns the text again and again, and counts.
type repeated struct {
	text string
	read int
}

func (r *repeated) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = r.text[r.read%len(r.text)]
		r.read++
	}
	return len(p), nil
}

// TestArrayReader_Limit checks that no more of an element is read than the limit, and a buffer.
func TestArrayReader_Limit(t *testing.T) {
	t.Parallel()
	const limit = 1 << 18
	for _, begin := range []string{``, `[`, `[1,`, `["`, `[{`, `[]`, `null`} {
		for _, text := range []string{" ", `{`, `x`} {
			r := &repeated{text: text}
			a := NewArrayReader(io.MultiReader(strings.NewReader(begin), r), limit)
			var err error
			for err == nil {
				_, err = a.Next()
			}
			if text == " " || strings.HasPrefix(begin, "[") && begin != "[]" {
				require.Equal(t, ErrTooLong, err, "%s %s", begin, text)
			} else {
				require.ErrorIs(t, err, ErrNotArray, "%s %s", begin, text)
			}
			require.LessOrEqual(t, r.read, limit+4*readSize)
			require.LessOrEqual(t, cap(a.data), limit+4*readSize)
		}
	}
	element := strings.Repeat("x", limit)
	got, err := readArray(strings.NewReader("["+element+","+element+"]"), limit)
	require.NoError(t, err)
	require.Equal(t, []string{element, element}, got)
	_, err = readArray(strings.NewReader("["+element+"x]"), limit)
	require.Equal(t, ErrTooLong, err)
}

// TestArrayReader_Buffer checks that the buffer does not stay as large as a long element.
func TestArrayReader_Buffer(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 8*maxKept)
	text := "[" + long + strings.Repeat(",{}", 100_000) + "]"
	a := NewArrayReader(strings.NewReader(text), 1<<30)
	for n := 0; ; n++ {
		element, err := a.Next()
		if err == io.EOF {
			require.Equal(t, 100_001, n)
			break
		}
		require.NoError(t, err)
		if n > 0 {
			require.Equal(t, "{}", string(element))
		}
	}
	assert.LessOrEqual(t, cap(a.data), maxKept)
}

func FuzzArrayReader(f *testing.F) {
	for _, text := range []string{
		`[]`, ` [ 1 , "a,]" ]`, `null`, `[{"a":[1,{"b":"\\\""}]},[[]]]`, `[1,]`, `[,1]`, `[1}`, `[{]}]`,
		`[1] 2`, `{"a":1}`, `["\u005d\\",""]`, `[1 2]`, `["a" "b"]`,
		`nullx`, `<html>`, "[\x00]", "[\"\xff\"]",
	} {
		f.Add(text, 3)
	}
	f.Fuzz(func(t *testing.T, text string, size int) {
		size = min(max(size, 1), 100)
		got, err := readArray(pieces(text, size), int64(len(text)))
		var want []json.RawMessage
		wantErr := json.Unmarshal([]byte(text), &want)
		valid := err == nil
		for _, element := range got {
			valid = valid && json.Valid([]byte(element))
		}
		require.Equalf(t, wantErr == nil, valid, "%q: %v, want %v", text, err, wantErr)
		if wantErr == nil {
			require.Len(t, got, len(want))
		}
		for i, element := range want {
			require.Equal(t, string(bytes.Trim(element, space)), got[i])
		}
	})
}
