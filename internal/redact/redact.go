// Package redact takes secrets out of texts of others, who may have been sent them: whole or in
// parts, and escaped.
package redact

import (
	"bytes"
	"encoding/binary"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	// Mark replaces a secret in a text.
	Mark = "[redacted]"

	// revealing is the number of characters of a secret that nothing may show.
	revealing = 8

	// A long text is searched in chunks. They overlap by more than the longest escaping of
	// revealing characters.
	searchChunk   = 64 << 10
	searchOverlap = 1 << 10

	// escapeLevels is how often a text is unescaped: JSON in a URL takes two.
	escapeLevels = 2
)

// Secret is a text that is looked for in texts of others, who may have been sent it: whole or a
// part of it, in any case of its letters, and as URLs, JSON and %q escape it.
type Secret struct {
	text  string      // in lower case
	width int         // of a window, the shortest part that is found
	known [256]uint64 // a bit for the hash of every window
}

// New returns a secret to look for. It must not be empty.
func New(text string) *Secret {
	t := &Secret{width: min(revealing, len(text))}
	lower := []byte(text)
	var w window
	for i, c := range lower {
		lower[i] = toLower(c)
		w = w.next(lower[i], t.width)
		if i+1 >= t.width {
			word, bit := w.hash()
			t.known[word] |= bit
		}
	}
	t.text = string(lower)
	return t
}

// toLower returns the lower case of an ASCII letter, and other bytes as they are.
func toLower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// window is the last bytes of a text, at most revealing.
type window uint64

func (w window) next(c byte, width int) window {
	return (w<<8 | window(c)) & (1<<(8*width) - 1)
}

func (w window) text(width int) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(w))
	return string(b[len(b)-width:])
}

func (w window) hash() (word int, bit uint64) {
	h := uint64(w) * 0x9e3779b97f4a7c15 >> 50
	return int(h / 64), 1 << (h % 64)
}

// span is a part of a text.
type span struct{ start, end int }

// find returns where a text has a part of the secret.
func (t *Secret) find(text []byte) []span {
	var found []span
	for start := 0; len(text)-start >= t.width; start += searchChunk - searchOverlap {
		chunk := text[start:min(start+searchChunk, len(text))]
		t.search(chunk, nil, escapeLevels, func(at span) {
			found = append(found, span{start + at.start, start + at.end})
		})
	}
	return found
}

// search reports where a text has a window of the secret, as it is and unescaped. The offsets are
// those of its bytes in the text that it was unescaped from; nil if it was not.
func (t *Secret) search(text []byte, offsets []int, levels int, found func(span)) {
	offset := func(i int) int {
		if offsets == nil {
			return i
		}
		return offsets[i]
	}
	var w window
	for i, c := range text {
		w = w.next(toLower(c), t.width)
		if i+1 < t.width {
			continue
		}
		if word, bit := w.hash(); t.known[word]&bit == 0 {
			continue
		}
		if strings.Contains(t.text, w.text(t.width)) {
			found(span{offset(i + 1 - t.width), offset(i + 1)})
		}
	}
	if levels == 0 {
		return
	}
	for _, escape := range []byte{'%', '\\'} {
		if bytes.IndexByte(text, escape) >= 0 {
			plain, at := unescape(text, escape, offset)
			t.search(plain, at, levels-1, found)
		}
	}
}

// unescape undoes the escapes of a text that begin with the given character: those of URLs, or
// those of JSON and %q. It returns the offset of each byte, and that of the end.
func unescape(text []byte, escape byte, offset func(int) int) (plain []byte, offsets []int) {
	plain, offsets = make([]byte, 0, len(text)), make([]int, 0, len(text)+1)
	for i := 0; i < len(text); {
		before, width := len(plain), 0
		if text[i] == escape {
			plain, width = appendUnescaped(plain, text[i+1:], escape)
		}
		if width == 0 {
			plain = append(plain, text[i])
		}
		for range len(plain) - before {
			offsets = append(offsets, offset(i))
		}
		i += 1 + width
	}
	return plain, append(offsets, offset(len(text)))
}

// appendUnescaped appends what an escape stands for, given the text behind its first character, and
// returns how much of that it takes: 0 if it is no escape.
func appendUnescaped(plain, rest []byte, escape byte) ([]byte, int) {
	code := func(from, digits int) (uint64, bool) {
		if len(rest) < from+digits {
			return 0, false
		}
		n, err := strconv.ParseUint(string(rest[from:from+digits]), 16, 32)
		return n, err == nil
	}
	switch {
	case escape == '%':
		if c, ok := code(0, 2); ok {
			return append(plain, byte(c)), 2
		}
		return plain, 0
	case len(rest) == 0:
		return plain, 0
	case rest[0] == 'x':
		if c, ok := code(1, 2); ok {
			return append(plain, byte(c)), 3
		}
	case rest[0] == 'u':
		if r, ok := code(1, 4); ok {
			return utf8.AppendRune(plain, rune(r)), 5
		}
	}
	return append(plain, rest[0]), 1
}

// Secrets are what is taken out of texts.
type Secrets []*Secret

// Bytes returns a text without the secrets: the same one if it has none.
func (r Secrets) Bytes(text []byte) []byte {
	var found []span
	for _, t := range r {
		found = append(found, t.find(text)...)
	}
	if found == nil {
		return text
	}
	slices.SortFunc(found, func(a, b span) int { return a.start - b.start })
	var kept []byte
	end := 0
	for i, at := range found {
		if i == 0 || at.start > end {
			kept = append(append(kept, text[end:at.start]...), Mark...)
		}
		end = max(end, at.end)
	}
	return append(kept, text[end:]...)
}

// Text is Bytes for a string.
func (r Secrets) Text(text string) string { return string(r.Bytes([]byte(text))) }

// In reports whether a text has one of the secrets.
func (r Secrets) In(text string) bool {
	return slices.ContainsFunc(r, func(t *Secret) bool { return t.find([]byte(text)) != nil })
}

// Header returns a header without the secrets: the same one if it has none.
func (r Secrets) Header(header http.Header) http.Header {
	clean, cloned := header, false
	for key, values := range header {
		inKey := r.In(key)
		if !inKey && !slices.ContainsFunc(values, r.In) {
			continue
		}
		if !cloned {
			clean, cloned = maps.Clone(header), true
		}
		if delete(clean, key); !inKey {
			clean[key] = []string{Mark}
		}
	}
	return clean
}
