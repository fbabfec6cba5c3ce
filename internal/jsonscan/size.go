package jsonscan

import (
	"bytes"
	"encoding/binary"
)

// What a part of a JSON text takes in memory when it is decoded, in bytes: a little more than was
// measured of 64-bit programs.
const (
	recordSize  = 224 // a record without its texts and the members of its metadata
	objectSize  = 352 // a map with a few members
	memberSize  = 112 // each further member of a map
	arraySize   = 48  // a slice, its header and its first element
	elementSize = 32  // each further element: an interface or a pointer, and the spare capacity
	stringSize  = 16  // the header of a string

	// fewMembers is how many members objectSize includes. No record has more.
	fewMembers = 10
)

// MaxGrowth is the most that [DecodedSize] returns for each byte of a text. Arrays of empty objects
// in metadata have it.
const MaxGrowth = (objectSize + elementSize) / 3 // bytes of "{},"

// DecodedSize estimates how many bytes of memory it takes to decode a text, with this package or
// with encoding/json. It stops when the estimate is over max. It reads no more of the text than
// the structure, and does not check it. It takes for records the text itself, the elements of an
// array that is the text, and those of an array that is a member of the text.
func DecodedSize(data []byte, max int64) int64 {
	var size int64
	var parents []container
	var in container
	for i := 0; i < len(data) && size <= max; i++ {
		switch data[i] {
		case '{':
			if isRecord := !in.object && len(parents) <= 2; isRecord {
				size += recordSize
			} else {
				size += objectSize
			}
			parents = append(parents, in)
			in = container{object: true}
		case '[':
			parents = append(parents, in)
			in = container{}
			size += arraySize
		case '}', ']':
			if len(parents) == 0 {
				return size
			}
			in, parents = parents[len(parents)-1], parents[:len(parents)-1]
		case ',':
			in.commas++
			if !in.object {
				size += elementSize
			} else if in.commas >= fewMembers {
				size += memberSize
			}
		case '"':
			end := stringEnd(data, i+1)
			if isName := end+1 < len(data) && data[end+1] == ':'; !isName {
				size += stringSize + int64(end-i-1)
			}
			i = end
		}
	}
	return size
}

// container is an object or an array, and how many commas were read of it.
type container struct {
	object bool
	commas int
}

// Elements returns the number of elements of a text that is an array, and 0 for another text. It
// stops when there are more than max.
func Elements(data []byte, max int) int {
	data = bytes.TrimLeft(data, " \t\r\n")
	if len(data) == 0 || data[0] != '[' {
		return 0
	}
	n, depth := 0, 0
	for i := 0; i < len(data) && n <= max; i++ {
		c := data[i]
		if n == 0 && i > 0 && c > ' ' && c != ']' {
			n = 1
		}
		switch c {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return n
			}
		case ',':
			if depth == 1 {
				n++
			}
		case '"':
			i = stringEnd(data, i+1)
		}
	}
	return n
}

// stringEnd returns the index of the quote that ends the string that begins at i, or the length of
// the data if none does.
func stringEnd(data []byte, i int) int {
	for i < len(data) {
		if len(data)-i >= 8 {
			n := ordinary(binary.LittleEndian.Uint64(data[i:]))
			if i += n; n == 8 {
				continue
			}
		}
		switch data[i] {
		case '"':
			return i
		case '\\':
			i++
		}
		i++
	}
	return len(data)
}
