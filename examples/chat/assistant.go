package main

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// An intent is what a line is.
type intent int

const (
	tells intent = iota
	asks
	greets
	thanks
	leaves
)

// intentOf tells by the last letter and the first word.
func intentOf(line string) intent {
	words := words(line)
	switch {
	case strings.HasSuffix(line, "?"):
		return asks
	case len(words) == 0:
		return tells
	case len(words) == 1 && slices.Contains([]string{"bye", "goodbye"}, words[0]):
		return leaves
	case len(words) <= 2 && slices.Contains([]string{"hello", "hi"}, words[0]):
		return greets
	case words[0] == "thanks", words[0] == "thank":
		return thanks
	default:
		return tells
	}
}

// words are the words of a text, in lower case.
func words(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) })
}

// alike is from where on a search's result is about the question though they have no word in common. Models differ in this.
const alike = 0.5

// choose chooses the fact that answers a question: the first of those that have most words in common with it. A program with a
// language model would hand it all of them.
func choose(question string, facts []fact) (fact, bool) {
	var best fact
	most := 0
	for _, f := range facts {
		n := inCommon(question, f.text)
		if f.dist >= alike {
			n = max(n, 1)
		}
		if n > most {
			best, most = f, n
		}
	}
	return best, most > 0
}

// common are the words that are in every text, and so tell nothing.
var common = words(`a an and are at be did do does for has have he her his how i in is it me my of on or our she that the their there
	they this to was we were what when where which who whose why will with you your`)

// inCommon is how many words of a question are in a text, or begin one that is: "live" is in "she lives".
func inCommon(question, text string) int {
	n := 0
	for _, asked := range words(question) {
		if !slices.Contains(common, asked) && slices.ContainsFunc(words(text), func(said string) bool { return strings.HasPrefix(said, asked) }) {
			n++
		}
	}
	return n
}

// answer is how the assistant words its answer to a question.
func answer(run int, f fact, known bool) string {
	switch {
	case !known:
		return "You have not told me."
	case f.run == run:
		return fmt.Sprintf("You just told me: %q", f.text)
	default:
		return fmt.Sprintf("You told me in run %d: %q", f.run, f.text)
	}
}
