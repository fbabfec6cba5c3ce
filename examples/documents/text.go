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

// work is one of the texts.
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

// maxPiece is the maximal size of a document, in bytes. Embedding models have a limit too, and
// ignore the text after it: 256 tokens, about a thousand characters of English, is a common one.
// Small pieces also make searches more precise.
const maxPiece = 500

// documents returns the pieces of a work. Their metadata has what searches filter by. Each has a
// DocumentID, so that an upload whose response is lost can be sent again.
func (w work) documents() []*zep.CreateDocumentRequest {
	text, err := texts.ReadFile("texts/" + w.file + ".txt")
	if err != nil {
		panic(err) // impossible: the file is embedded
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

// paragraphs returns the paragraphs of a text, each in one line.
func paragraphs(text string) []string {
	var found []string
	for _, paragraph := range strings.Split(text, "\n\n") {
		if words := strings.Fields(paragraph); len(words) > 0 {
			found = append(found, strings.Join(words, " "))
		}
	}
	return found
}

// cuts find where a text may be split, the best places first: after a sentence, after a clause,
// after a word. The place is the end of the group.
var cuts = []*regexp.Regexp{
	regexp.MustCompile(`([.?!]"? )(?:— )?["A-Z]`),
	regexp.MustCompile(`([;:—] )`),
	regexp.MustCompile(`(, )`),
	regexp.MustCompile(`( )`),
}

// pieces splits a paragraph into pieces of at most size bytes. A longer word is a piece of its
// own.
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

// firstCut returns where the first piece of a long text ends. The space after the piece does not
// count.
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
