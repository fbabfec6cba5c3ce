package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// intent is the kind of a line.
type intent int

const (
	statement intent = iota
	question
	greeting
	thanks
	farewell
)

// intentOf classifies a line by its last letter and its first words.
func intentOf(line string) intent {
	words := words(line)
	switch {
	case strings.HasSuffix(line, "?"):
		return question
	case len(words) == 0:
		return statement
	case len(words) == 1 && slices.Contains([]string{"bye", "goodbye"}, words[0]):
		return farewell
	case len(words) <= 2 && slices.Contains([]string{"hello", "hi"}, words[0]):
		return greeting
	case words[0] == "thanks", words[0] == "thank":
		return thanks
	default:
		return statement
	}
}

// words returns the words of a text, in lower case.
func words(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsNumber(r)
	})
}

// minSimilarity is the score from which on a search result counts as an answer even if it shares
// no word with the question. The right value depends on the embedding model.
const minSimilarity = 0.5

// choose returns the fact that answers a question: the first of those that share most words with
// it. A program with a language model would pass all of them to it.
func choose(question string, facts []fact) (fact, bool) {
	var best fact
	most := 0
	for _, f := range facts {
		n := sharedWords(question, f.Text)
		if f.Score >= minSimilarity {
			n = max(n, 1)
		}
		if n > most {
			best, most = f, n
		}
	}
	return best, most > 0
}

// stopWords are in every text, and do not tell texts apart.
var stopWords = words(`a an and are at be did do does for has have he her his how i in is it me my
	of on or our she that the their there they this to was we were what when where which who whose
	why will with you your`)

// sharedWords counts the words of a question that are in a text, as a word or the beginning of
// one: "live" is in "she lives".
func sharedWords(question, text string) int {
	n := 0
	for _, asked := range words(question) {
		inText := func(word string) bool { return strings.HasPrefix(word, asked) }
		if !slices.Contains(stopWords, asked) && slices.ContainsFunc(words(text), inText) {
			n++
		}
	}
	return n
}

// answer returns the answer to a line, which is not stored yet.
func (m *memory) answer(ctx context.Context, line string) (*reply, error) {
	recent, isNew, err := m.recent(ctx)
	if err != nil {
		return nil, err
	}
	switch intentOf(line) {
	case greeting:
		if isNew {
			return &reply{Answer: "Hello! Tell me what to remember, and ask me for it later."}, nil
		}
		return &reply{Answer: "Welcome back."}, nil
	case thanks:
		return &reply{Answer: "You are welcome."}, nil
	case farewell:
		return &reply{Answer: "Goodbye."}, nil
	case statement:
		return &reply{Answer: "I will remember that."}, nil
	}
	found, err := m.search(ctx, line)
	if err != nil {
		return nil, err
	}
	f, known := choose(line, slices.Concat(found, recent))
	if !known {
		return &reply{"You have not told me.", found}, nil
	}
	if !slices.ContainsFunc(found, func(other fact) bool { return other.Text == f.Text }) {
		found = append(found, f)
	}
	return &reply{fmt.Sprintf("You told me: %q", f.Text), found}, nil
}
