package zepmcp

import (
	"fmt"
	"sort"
	"unicode/utf8"

	"github.com/zep-go/zep"
)

// more says how to get what an answer leaves out.
type more struct {
	Note      string         `json:"note" jsonschema:"what the answer leaves out, and how to get it"`
	Arguments map[string]any `json:"arguments" jsonschema:"what to change in the next call"`
}

// details are the metadata of a record.
type details struct {
	Metadata    zep.Metadata `json:"metadata,omitempty"`
	MetadataCut bool         `json:"metadata_cut,omitempty" jsonschema:"it is too large"`
}

func (d *details) parts() (*text, *details) { return nil, d }

// text is the content of a record, with its metadata.
type text struct {
	Content    string `json:"content"`
	ContentCut bool   `json:"content_cut,omitempty" jsonschema:"the content goes on: see more"`
	details
}

func (t *text) parts() (*text, *details) { return t, &t.details }

// record is a record of an answer, with the parts of it that can be cut. The text is nil if it has
// none.
type record interface{ parts() (*text, *details) }

// textOf returns a text without what Zep itself adds to metadata: its analysis of the content.
func textOf(content string, metadata zep.Metadata) text {
	return text{Content: content, details: detailsOf(metadata)}
}

func detailsOf(metadata zep.Metadata) details {
	delete(metadata, "system")
	return details{Metadata: metadata}
}

// fitted says how much of the records fits into an answer.
type fitted struct {
	records int // how many, with those that were left out
	leftOut int // how many were left out, because they are too large even when they are cut
	content int // how many characters the last record has of its content, 0 if all
}

// fit returns the first records that fit into an answer beside its envelope, which is the answer
// without them. If the first does not fit, it is cut.
func fit[T record](s *server, envelope any, records []T) ([]T, fitted, error) {
	data, err := encode(envelope)
	if err != nil {
		return nil, fitted{}, err
	}
	room := s.maxBytes - len(data) - moreBytes
	kept := []T{}
	var f fitted
	for _, r := range records {
		size, err := sizeOf(r)
		if err != nil {
			return nil, f, err
		}
		if size > room && len(kept) > 0 {
			break
		}
		f.records++
		if size > room {
			if f.content, size, err = cut(r, room); err != nil {
				return nil, f, err
			}
		}
		if size > room {
			f.leftOut++
			continue
		}
		kept = append(kept, r)
		room -= size // after one that was cut, there is no room for another
	}
	return kept, f, nil
}

// moreBytes is kept free for the continuation.
const moreBytes = 640

// sizeOf returns the size of the JSON of a record, with a comma.
func sizeOf(r record) (int, error) {
	data, err := encode(r)
	return len(data) + len(","), err
}

// cut takes the metadata away from a record that is too large and, if that is not enough, the end
// of its content. It returns how many characters of the content are left, 0 if it is whole, and
// the record's size, which is over the room if not even one character fits.
func cut(r record, room int) (characters, size int, err error) {
	content, metadata := r.parts()
	if len(metadata.Metadata) > 0 {
		metadata.Metadata, metadata.MetadataCut = nil, true
	}
	size, err = sizeOf(r)
	if err != nil || size <= room || content == nil {
		return 0, size, err
	}
	content.ContentCut = true
	all := prefix(content.Content, max(room, 0)) // its JSON is no shorter than it is
	ends := []int{}
	for i, c := range all {
		ends = append(ends, i+utf8.RuneLen(c))
	}
	characters = sort.Search(len(ends), func(i int) bool {
		content.Content = all[:ends[i]]
		n, failure := sizeOf(r)
		if failure != nil {
			err = failure
		}
		return n > room
	})
	if characters == 0 {
		return 0, size, err
	}
	content.Content = all[:ends[characters-1]]
	if err == nil {
		size, err = sizeOf(r)
	}
	return characters, size, err
}

// prefix returns at most so many bytes of a text, and no part of a character.
func prefix(text string, bytes int) string {
	if len(text) <= bytes {
		return text
	}
	for !utf8.RuneStart(text[bytes]) {
		bytes--
	}
	return text[:bytes]
}

// skipContent takes the characters away from the first record that an earlier answer had.
func skipContent[T record](records []T, characters int) error {
	if characters == 0 || len(records) == 0 {
		return nil
	}
	content, _ := records[0].parts()
	if n := utf8.RuneCountInString(content.Content); characters > n {
		return modelError(fmt.Sprintf(
			"content_offset must be at most %d, the characters of the content, not %d", n, characters))
	}
	content.Content = string([]rune(content.Content)[characters:])
	return nil
}

// next returns how many records the next call has to go past.
func (f fitted) next() int {
	if f.content > 0 {
		return f.records - 1
	}
	return f.records
}

// arguments returns the arguments of the next call: what leads it to its first record, and how
// many characters of that it has to skip. contentOffset is that of this call.
func (f fitted) arguments(name string, value any, contentOffset int) map[string]any {
	arguments := map[string]any{name: value}
	switch {
	case f.content > 0 && f.records == 1:
		arguments["content_offset"] = contentOffset + f.content
	case f.content > 0, contentOffset > 0:
		arguments["content_offset"] = f.content
	}
	return arguments
}

// note says what an answer leaves out: the rest of the records, or of the content of one.
func (f fitted) note(s *server, tool, rest string) string {
	note := ""
	if f.leftOut > 0 {
		note = fmt.Sprintf("Left out, since not even a part fits into the %d bytes of an answer: %d. ",
			s.maxBytes, f.leftOut)
	}
	if f.content > 0 {
		rest = "the rest of a content that is cut, since an answer has at most " +
			fmt.Sprint(s.maxBytes) + " bytes"
	}
	return fmt.Sprintf("%sFor %s, call %s again with the same arguments, except for these.",
		note, rest, tool)
}
