// Report writes what is shown of the benchmarks' output: RESULTS.md, chart.svg and, with -page,
// the section of a page between two markers.
//
//	go test -run '^$' -bench . ./... | tee bench.txt
//	go run ./report -page ../docs/speed.md bench.txt
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// The section of a page between these markers is replaced.
const (
	begin = "<!-- bench:begin -->"
	end   = "<!-- bench:end -->"
)

func main() {
	dir := flag.String("dir", ".", "the `folder` for RESULTS.md and chart.svg")
	page := flag.String("page", "",
		"the `file` in which the section between "+begin+" and "+end+" is replaced")
	chart := flag.String("chart", "../bench/chart.svg", "the `path` of the chart from that page")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: report [flags] [file]\n"+
			"The file, or standard input, is the output of go test -bench.")
		flag.PrintDefaults()
	}
	flag.Parse()
	if err := run(*dir, *page, *chart, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

func run(dir, page, chart string, files []string) error {
	input := io.Reader(os.Stdin)
	if len(files) > 1 {
		return fmt.Errorf("%d files: must be one, or standard input", len(files))
	}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer f.Close()
		input = f
	}
	results, err := parse(input)
	if err != nil {
		return err
	}
	image, err := drawChart(results)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "chart.svg"), image, 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "RESULTS.md"), []byte(resultsFile(results)), 0o644); err != nil {
		return err
	}
	if page == "" {
		return nil
	}
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	replaced, err := replaceSection(string(text), section(results, chart))
	if err != nil {
		return fmt.Errorf("%s: %w", page, err)
	}
	return os.WriteFile(page, []byte(replaced), 0o644)
}

// replaceSection puts the section between the markers of a text.
func replaceSection(text, section string) (string, error) {
	before, rest, _ := strings.Cut(text, begin)
	_, after, inOrder := strings.Cut(rest, end)
	if !inOrder || strings.Count(text, begin) != 1 || strings.Count(text, end) != 1 {
		return "", fmt.Errorf("must have the markers %s and %s once each, in this order", begin, end)
	}
	return before + begin + "\n" + section + end + after, nil
}
