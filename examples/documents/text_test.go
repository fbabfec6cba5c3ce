package main

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
)

// TestDocuments checks that the documents have all words of the texts, in pieces of limited size.
func TestDocuments(t *testing.T) {
	t.Parallel()
	ids := map[string]bool{}
	for _, work := range works {
		text, err := texts.ReadFile("texts/" + work.file + ".txt")
		require.NoError(t, err)
		var joined []string
		last := 0
		for _, document := range work.documents() {
			assert.LessOrEqual(t, len(document.Content), maxPiece)
			assert.True(t, utf8.ValidString(document.Content))
			assert.Equal(t, strings.TrimSpace(document.Content), document.Content)
			assert.False(t, ids[document.DocumentID], document.DocumentID)
			ids[document.DocumentID] = true
			assert.Equal(t, work.title, document.Metadata["title"])
			assert.Equal(t, work.year, document.Metadata["year"])
			paragraph, ok := document.Metadata["paragraph"].(int)
			require.True(t, ok)
			assert.True(t, paragraph == last || paragraph == last+1, document.DocumentID)
			last = paragraph
			joined = append(joined, document.Content)
		}
		assert.Equal(t, strings.Count(string(text), "\n\n")+1, last)
		assert.Equal(t, strings.Join(strings.Fields(string(text)), " "), strings.Join(joined, " "))
	}
	assert.Greater(t, len(ids), 30)
}

func TestParagraphs(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []string{"one line", "two lines", "three"},
		paragraphs("one line\n\ntwo\n  lines\n\n\n\nthree\n"))
	assert.Empty(t, paragraphs(" \n\n"))
}

func TestPieces(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, paragraph string
		want            []string
	}{
		{"nothing", "", nil},
		{"just fits", "Twenty letters here.", []string{"Twenty letters here."}},
		{"sentences", "One. Two. Three. Four. Five.", []string{"One. Two. Three.", "Four. Five."}},
		{
			"the space does not count", "Twenty letters here. More.",
			[]string{"Twenty letters here.", "More."},
		},
		{"questions and cries", "Who? He! And they, too.", []string{"Who? He!", "And they, too."}},
		{"words quoted", `He said "one." And "two."`, []string{`He said "one."`, `And "two."`}},
		{
			"no end of a sentence", "See p. 12, not p. 13, of it.",
			[]string{"See p. 12,", "not p. 13, of it."},
		},
		{
			"a dash before a sentence", "It is so. — That is so too.",
			[]string{"It is so.", "— That is so too."},
		},
		{
			"clauses", "first a; then b, c, d, e; done",
			[]string{"first a;", "then b, c, d, e;", "done"},
		},
		{"dashes", "we can not — can not ever", []string{"we can not —", "can not ever"}},
		{"lists", "apples, pears, plums, figs", []string{"apples, pears,", "plums, figs"}},
		{"words", "no end to this sentence ever", []string{"no end to this", "sentence ever"}},
		{"a long word", "incomprehensibilities of it", []string{"incomprehensibilities", "of it"}},
		{"a long word alone", "incomprehensibilities", []string{"incomprehensibilities"}},
		{"characters of several bytes", "日本語日本語日 日本語", []string{"日本語日本語日", "日本語"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, test.want, pieces(test.paragraph, 20))
		})
	}
}

func TestWrap(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []string{"one two", "three", "incomprehensible", "— — — —", "end"},
		wrap("one two three incomprehensible — — — — end", 7))
}

// TestSearches_WithoutQueries checks that each search has something to search for.
func TestSearches_WithoutQueries(t *testing.T) {
	t.Parallel()
	for _, search := range searches(nil) {
		empty := zep.SearchDocumentsRequest{Limit: search.request.Limit}
		assert.NotEqual(t, empty, *search.request, search.title)
		assert.Positive(t, search.request.Limit, search.title)
	}
}
