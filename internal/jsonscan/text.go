package jsonscan

import (
	"encoding/binary"
	"math/bits"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// keep returns a string that stays valid with the record.
func (s *Scanner) keep(text []byte) string {
	if len(text) > maxShared {
		return string(text)
	}
	if s.chunk.Cap()-s.chunk.Len() < len(text) {
		s.chunk.Reset()
		s.chunk.Grow(max(s.capHint, len(text)))
	}
	s.textLen += len(text)
	s.chunk.Write(text)
	return s.chunk.String()[s.chunk.Len()-len(text):]
}

// chars reads a string. The bytes are valid until the next string is read.
func (s *Scanner) chars() []byte {
	if !s.token('"') {
		s.fail()
		return nil
	}
	s.unescaped = s.unescaped[:0]
	start := s.pos
	var all uint64 // every byte so far, by OR: its high bits show whether one is beyond ASCII
	for i := start; i < len(s.data); {
		if len(s.data)-i >= 8 {
			word := binary.LittleEndian.Uint64(s.data[i:])
			n := ordinary(word)
			i += n
			if n == 8 {
				all |= word
				continue
			}
			all |= word & (1<<(8*n) - 1)
		}
		switch c := s.data[i]; {
		case c == '"':
			text := s.data[start:i]
			if s.pos = i + 1; len(s.unescaped) > 0 {
				s.unescaped = append(s.unescaped, text...)
				text = s.unescaped
			}
			if all&highBits != 0 && !utf8.Valid(text) {
				s.fail()
			}
			return text
		case c == '\\':
			s.unescaped = append(s.unescaped, s.data[start:i]...)
			s.pos = i + 1
			s.unescaped = utf8.AppendRune(s.unescaped, s.escape())
			i, start = s.pos, s.pos
		case c < ' ':
			i = len(s.data)
		default: // in the last 7 bytes of the data
			all |= uint64(c)
			i++
		}
	}
	s.fail()
	return nil
}

const (
	eachByte = 0x0101010101010101
	highBits = 0x80 * eachByte
)

// ordinary returns how many of the 8 bytes of a word, from the lowest, come before the first that
// ends a run of ordinary bytes of a string: a control character, a quote or a backslash.
//
// Each of the three subtractions leaves the highest bit of a byte set if that byte, below 0x80, is
// one that it looks for: it makes the byte negative. Other bytes below 0x80 can have the bit set
// only if a subtraction borrowed from them, which takes a byte looked for below them. So the
// lowest bit is always right.
func ordinary(word uint64) int {
	control := word - ' '*eachByte
	quote := word ^ '"'*eachByte - eachByte
	backslash := word ^ '\\'*eachByte - eachByte
	found := (control | quote | backslash) &^ word & highBits
	return bits.TrailingZeros64(found) / 8
}

// escape reads what follows a backslash. It fails for surrogates.
func (s *Scanner) escape() rune {
	if s.pos == len(s.data) {
		return 0
	}
	c := s.data[s.pos]
	s.pos++
	if i := strings.IndexByte(`"\/bfnrt`, c); i >= 0 {
		return rune("\"\\/\b\f\n\r\t"[i])
	}
	if end := s.pos + 4; c == 'u' && end <= len(s.data) {
		r, err := strconv.ParseUint(string(s.data[s.pos:end]), 16, 16)
		if err == nil && !utf16.IsSurrogate(rune(r)) {
			s.pos = end
			return rune(r)
		}
	}
	s.fail()
	return 0
}
