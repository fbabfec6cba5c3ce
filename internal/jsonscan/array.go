package jsonscan

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

var (
	// ErrNotArray is the error of a text that is not a JSON array.
	ErrNotArray = errors.New("not an array")

	// ErrTooLong is the error of an element that is longer than the limit.
	ErrTooLong = errors.New("element too long")
)

const (
	// readSize is the size of the buffer of an ArrayReader, unless an element is longer.
	readSize = 64 << 10

	// maxKept limits the buffer that is kept after a longer element.
	maxKept = 1 << 20

	// maxQuoted limits what an error quotes of the text.
	maxQuoted = 100

	// maxEmptyReads is how often a reader may return nothing in a row.
	maxEmptyReads = 100
)

// ArrayReader reads a JSON array from a stream, and returns its elements one after the other. It
// reads no more of them than it takes to find their ends, and does not check them: if each element
// is JSON, the text is.
type ArrayReader struct {
	reader io.Reader
	max    int64 // the largest length of an element

	data []byte // what was read; data[:pos] was returned
	pos  int
	err  error // of the reader

	begun, ended, more bool // more: a comma was read, so that another element has to come
	depth              int
	inString, escaped  bool
}

// NewArrayReader returns a reader of an array whose elements have at most max bytes each, with the
// space around them. Its buffer grows with the longest element.
func NewArrayReader(r io.Reader, max int64) *ArrayReader {
	return &ArrayReader{reader: r, max: max}
}

// Next returns the next element, with the space around it. It is valid until the next call. The
// error is [io.EOF] after the end of the array, and of a text that is null. Otherwise it is that of
// the reader, [io.ErrUnexpectedEOF] if the reader ends within the array, [ErrTooLong], or
// [ErrNotArray].
func (a *ArrayReader) Next() ([]byte, error) {
	if !a.begun {
		if err := a.begin(); err != nil {
			return nil, err
		}
		a.begun = true
	}
	if a.ended {
		return nil, a.end()
	}
	n := 0
	for {
		if n += a.scan(a.data[a.pos+n:]); int64(n) > a.max {
			return nil, ErrTooLong
		}
		if a.pos+n < len(a.data) {
			break
		}
		if err := a.fill(); err != nil {
			return nil, unexpected(err)
		}
	}
	element, after := a.data[a.pos:a.pos+n], a.data[a.pos+n]
	a.pos += n + 1
	a.ended = after != ','
	isLast := !a.more && a.ended && len(bytes.TrimLeft(element, space)) == 0
	a.more = after == ','
	switch {
	case after == '}':
		return nil, fmt.Errorf(`"}" in the place of "]": %w`, ErrNotArray)
	case isLast: // of an empty array
		return nil, a.end()
	}
	return element, nil
}

// Buffered returns what was read and is not part of a returned element. It is valid until the next
// call.
func (a *ArrayReader) Buffered() []byte { return a.data[a.pos:] }

const space = " \t\r\n"

// scan returns how many bytes come before the end of the element, len(data) if it does not end
// there.
func (a *ArrayReader) scan(data []byte) int {
	for i := 0; i < len(data); i++ {
		if a.inString {
			if i = a.scanString(data, i); i >= len(data) {
				break
			}
			continue
		}
		switch data[i] {
		case '"':
			a.inString = true
		case '{', '[':
			a.depth++
		case '}', ']':
			if a.depth == 0 {
				return i
			}
			a.depth--
		case ',':
			if a.depth == 0 {
				return i
			}
		}
	}
	return len(data)
}

// scanString returns the index of the quote that ends a string, or of a backslash in it.
func (a *ArrayReader) scanString(data []byte, i int) int {
	if a.escaped {
		a.escaped = false
		return i
	}
	for ; i < len(data); i++ {
		for len(data)-i >= 8 {
			n := ordinary(binary.LittleEndian.Uint64(data[i:]))
			if i += n; n < 8 {
				break
			}
		}
		switch {
		case i == len(data):
		case data[i] == '"':
			a.inString = false
			return i
		case data[i] == '\\':
			a.escaped = true
			return i
		}
	}
	return i
}

// begin reads what comes before the first element.
func (a *ArrayReader) begin() error {
	err := a.skipSpace()
	if err == nil && a.data[a.pos] == '[' {
		a.pos++
		return nil
	}
	for err == nil && len(a.data)-a.pos < maxQuoted {
		err = a.fill()
	}
	text := a.data[a.pos:]
	switch {
	case err != nil && err != io.EOF, len(text) == 0:
		return unexpected(err)
	case string(bytes.TrimRight(text, space)) == "null":
		a.begun, a.ended = true, true
		a.pos = len(a.data)
		return a.end()
	}
	return fmt.Errorf("%q: %w", text[:min(len(text), maxQuoted)], ErrNotArray)
}

// end reads what comes after the last element, and returns io.EOF if that is nothing but space.
func (a *ArrayReader) end() error {
	if err := a.skipSpace(); err != nil {
		return err
	}
	text := a.data[a.pos:]
	return fmt.Errorf("%q after the array: %w", text[:min(len(text), maxQuoted)], ErrNotArray)
}

// skipSpace goes to the next byte that is not space.
func (a *ArrayReader) skipSpace() error {
	for skipped := int64(0); skipped <= a.max; {
		rest := bytes.TrimLeft(a.data[a.pos:], space)
		skipped += int64(len(a.data) - a.pos - len(rest))
		a.pos = len(a.data) - len(rest)
		if len(rest) > 0 {
			return nil
		}
		if err := a.fill(); err != nil {
			return err
		}
	}
	return ErrTooLong
}

// fill reads more. It moves the data that was not returned to the beginning of the buffer.
func (a *ArrayReader) fill() error {
	if a.err != nil {
		return a.err
	}
	rest := a.data[a.pos:]
	switch {
	case len(rest) == cap(a.data): // full of one element
		capacity := min(max(2*int64(cap(a.data)), readSize), a.max+readSize)
		a.data = append(make([]byte, 0, capacity), rest...)
	case cap(a.data) > maxKept && len(rest) < readSize:
		a.data = append(make([]byte, 0, readSize), rest...)
	case a.pos > 0:
		a.data = a.data[:copy(a.data, rest)]
	}
	a.pos = 0
	for range maxEmptyReads {
		n, err := a.reader.Read(a.data[len(a.data):cap(a.data)])
		a.data = a.data[:len(a.data)+n]
		a.err = err
		switch {
		case n > 0:
			return nil
		case err != nil:
			return err
		}
	}
	return io.ErrNoProgress
}

// unexpected returns the error for a text that ends too early.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
