package main

import (
	"embed"
	"fmt"
	"regexp"
	"strings"

	"github.com/zep-go/zep"
)

//go:embed texts/*.txt
var texts embed.FS

// A work is one of the texts.
type work struct {
	file  string // without .txt
	title string
	year  int
}

var works = []work{
	{"declaration", "The Declaration of Independence", 1776},
	{"gettysburg", "The Gettysburg Address", 1863},
	{"inaugural", "Lincoln's Second Inaugural Address", 1865},
}

// maxPiece is how many bytes a document has at the most. Models have a limit too, and read no further: 256 tokens, a thousand
// letters of English or so, is a common one. And the smaller the pieces, the sharper the searches.
const maxPiece = 500

// documents are the pieces of a work. The metadata of each tells where it is from, for searches to filter by. Each has an id of its
// own, so that an upload whose answer is lost can be tried again.
func (w work) documents() []*zep.CreateDocumentRequest {
	text, err := texts.ReadFile("texts/" + w.file + ".txt")
	if err != nil {
		panic(err) // it is in the program
	}
	var documents []*zep.CreateDocumentRequest
	for i, paragraph := range paragraphs(string(text)) {
		for _, piece := range pieces(paragraph, maxPiece) {
			documents = append(documents, &zep.CreateDocumentRequest{
				DocumentID: fmt.Sprintf("%s-%03d", w.file, len(documents)+1),
				Content:    piece,
				Metadata:   zep.Metadata{"title": w.title, "year": w.year, "paragraph": i + 1},
			})
		}
	}
	return documents
}

// paragraphs are the paragraphs of a text, each in one line.
func paragraphs(text string) []string {
	var found []string
	for _, paragraph := range strings.Split(text, "\n\n") {
		if words := strings.Fields(paragraph); len(words) > 0 {
			found = append(found, strings.Join(words, " "))
		}
	}
	return found
}

// cuts find where a text may be cut, the best places first: after a sentence, after a part of one, after a word. The cut is behind
// the group.
var cuts = []*regexp.Regexp{
	regexp.MustCompile(`([.?!]"? )(?:— )?["A-Z]`),
	regexp.MustCompile(`([;:—] )`),
	regexp.MustCompile(`(, )`),
	regexp.MustCompile(`( )`),
}

// pieces cuts a paragraph into pieces of at most size bytes, and a word that is longer makes one by itself.
func pieces(paragraph string, size int) []string {
	var found []string
	for len(paragraph) > size {
		end := firstCut(paragraph, size)
		found = append(found, strings.TrimSuffix(paragraph[:end], " "))
		paragraph = paragraph[end:]
	}
	if paragraph != "" {
		found = append(found, paragraph)
	}
	return found
}

// firstCut is where the first piece of a text that is too long ends. The space behind the piece does not count.
func firstCut(text string, size int) int {
	for _, cut := range cuts {
		last := 0
		for _, match := range cut.FindAllStringSubmatchIndex(text, -1) {
			if end := match[3]; end <= size+len(" ") {
				last = end
			}
		}
		if last > 0 {
			return last
		}
	}
	if space := strings.Index(text, " "); space >= 0 {
		return space + len(" ")
	}
	return len(text)
}
