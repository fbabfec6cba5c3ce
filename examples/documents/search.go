package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/zep-go/zep"
)

// search is a request and its title.
type search struct {
	title   string
	request *zep.SearchDocumentsRequest
}

// searches returns a search for each query or, without any, the searches of the program.
func searches(queries []string) []search {
	if len(queries) > 0 {
		var found []search
		for _, query := range queries {
			found = append(found, search{
				fmt.Sprintf("By text: %q.", query),
				&zep.SearchDocumentsRequest{Text: query, Limit: 3},
			})
		}
		return found
	}
	early := zep.SearchFilter{Where: zep.JSONPath(`$[*] ? (@.year < 1800)`)}
	end := zep.SearchFilter{Where: zep.And(
		zep.Equal("title", "The Gettysburg Address"),
		zep.Equal("paragraph", 3),
	)}
	return []search{
		{
			`By text: "taxes without consent".`,
			&zep.SearchDocumentsRequest{Text: "taxes without consent", Limit: 2},
		},
		{
			`By text: "a nation at war".`,
			&zep.SearchDocumentsRequest{Text: "a nation at war", Limit: 2},
		},
		{
			`By text and metadata: "a nation at war", in a text from before 1800.`,
			&zep.SearchDocumentsRequest{
				Text:     "a nation at war",
				Metadata: early.Metadata(),
				Limit:    1,
			},
		},
		{
			"By metadata: the third paragraph of the Gettysburg Address.",
			&zep.SearchDocumentsRequest{Metadata: end.Metadata(), Limit: 10},
		},
	}
}

// run searches the collection, and prints the results.
func (s search) run(ctx context.Context, w io.Writer, client *zep.Client, name string) error {
	found, err := client.Collection.Search(ctx, name, s.request)
	if err != nil {
		return err
	}
	ranked := s.request.Text != ""
	if !ranked { // the order is not defined, and the scores mean nothing
		slices.SortFunc(found.Results, func(a, b *zep.DocumentSearchResult) int {
			return cmp.Compare(a.DocumentID, b.DocumentID)
		})
	}
	for _, result := range found.Results {
		var source struct {
			Title     string
			Paragraph int
		}
		if err := result.Metadata.Decode(&source); err != nil {
			return err
		}
		score := "   -"
		if ranked {
			score = fmt.Sprintf("%.2f", result.Score)
		}
		fmt.Fprintf(w, "  %s  %s, paragraph %d (%s)\n",
			score, source.Title, source.Paragraph, result.DocumentID)
		for _, line := range wrap(result.Content, 90) {
			fmt.Fprintf(w, "        %s\n", line)
		}
	}
	return nil
}

// wrap breaks a text into lines of at most width characters. A longer word has its own line.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && utf8.RuneCountInString(line+" "+word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
