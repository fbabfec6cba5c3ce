package exactjson

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maybeChanged reports whether JSON may stand for text that the server would change. encoding/json
// writes U+FFFD for a byte that is not UTF-8, as \ufffd or, with GOEXPERIMENT=jsonv2, as it is; and
// \u0000 for NUL. A json.Marshaler may write those, half a surrogate pair, or bytes that are not
// UTF-8. Some JSON that is fine is reported too.
func maybeChanged(data []byte) bool {
	if !utf8.Valid(data) || bytes.Contains(data, []byte("\ufffd")) {
		return true
	}
	for {
		i := bytes.IndexByte(data, '\\')
		if i < 0 {
			return false
		}
		data = data[i+1:]
		if r, ok := unicodeEscape(data); ok &&
			(r == 0 || r == utf8.RuneError || utf16.IsSurrogate(r)) {
			return true
		}
	}
}

// unicodeEscape reads the rest of a \u escape, after the backslash.
func unicodeEscape(data []byte) (rune, bool) {
	if len(data) < len("u0000") || data[0] != 'u' {
		return 0, false
	}
	r, err := strconv.ParseUint(string(data[1:5]), 16, 16)
	return rune(r), err == nil
}

var (
	errNotUTF8 = errors.New("is not UTF-8: replace the invalid bytes, as strings.ToValidUTF8 does")
	errNUL     = errors.New("contains a NUL character, which the server does not store: remove it")

	errHalfPair = errors.New(`contains half of a surrogate pair, such as \ud800, ` +
		`which is not UTF-8: replace it, as strings.ToValidUTF8 replaces invalid bytes`)
)

// CheckText returns why the server would not store the text as it is, or nil.
func CheckText(text string) error {
	switch {
	case !utf8.ValidString(text):
		return errNotUTF8
	case strings.Contains(text, "\x00"):
		return errNUL
	}
	return nil
}

// checkJSON returns why the server would not store a text of valid JSON as it is, or nil.
func checkJSON(data []byte) error {
	if !utf8.Valid(data) {
		return errNotUTF8
	}
	for {
		i := bytes.IndexByte(data, '\\')
		if i < 0 {
			return nil
		}
		data = data[i+1:]
		r, ok := unicodeEscape(data)
		if !ok {
			data = data[1:] // it may be a backslash
			continue
		}
		data = data[len("u0000"):]
		if r == 0 {
			return errNUL
		}
		if utf16.IsSurrogate(r) {
			rest, _ := bytes.CutPrefix(data, []byte(`\`))
			low, ok := unicodeEscape(rest)
			if !ok || len(rest) == len(data) || utf16.DecodeRune(r, low) == utf8.RuneError {
				return errHalfPair
			}
			data = rest[len("u0000"):]
		}
	}
}
