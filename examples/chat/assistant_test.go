package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestIntentOf(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]intent{
		"Bye!":                     farewell,
		"goodbye":                  farewell,
		"Bye is all that she said": statement,
		"Hello.":                   greeting,
		"hi there":                 greeting,
		"Hi, I am Jane.":           statement,
		"Hello?":                   question,
		"Thank you very much.":     thanks,
		"It rains.":                statement,
		"Does it rain?":            question,
		"...":                      statement,
		"?":                        question,
	} {
		assert.Equal(t, want, intentOf(line), line)
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	bergen := fact{Text: "My sister Ann lives in Bergen.", Score: 0.3}
	bees := fact{Text: "My sister keeps bees.", Score: 0.2}
	tea := fact{Text: "No milk in it.", Score: 0.6}
	for _, test := range []struct {
		question string
		facts    []fact
		want     fact
	}{
		{"Where does my sister live?", []fact{bees, bergen}, bergen},
		{"How is my sister?", []fact{bees, bergen}, bees},
		{"How is my sister?", []fact{bergen, bees}, bergen},
		{"How do I drink tea?", []fact{bergen, tea}, tea}, // by its score alone
		{"Where does my sister live?", []fact{tea, bergen}, bergen},
		{"What does she keep?", []fact{bergen, bees}, bees},
		{"What is in my bag?", []fact{bergen, bees}, fact{}}, // only stop words
		{"Who?", []fact{bergen, bees}, fact{}},
		{"Who?", nil, fact{}},
	} {
		got, known := choose(test.question, test.facts)
		assert.Equal(t, test.want, got, test.question)
		assert.Equal(t, test.want != fact{}, known, test.question)
	}
}
