package main

import (
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "write testdata/RESULTS.md anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const sample = "testdata/bench.txt"

func TestReport(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	page := filepath.Join(dir, "speed.md")
	write(t, page, "# Title\n\n"+begin+"\nold\n"+end+"\n\nMore.\n")
	for range 2 { // the second time changes nothing
		if err := run(dir, page, "../bench/chart.svg", []string{sample}); err != nil {
			t.Fatal(err)
		}
	}
	results := read(t, filepath.Join(dir, "RESULTS.md"))
	const golden = "testdata/RESULTS.md"
	if *update {
		write(t, golden, results)
	}
	if want := read(t, golden); results != want {
		t.Errorf("got\n%s\nwant (%s; -update writes it)\n%s", results, golden, want)
	}
	got := read(t, page)
	if !strings.HasPrefix(got, "# Title\n\n"+begin+"\n![") || !strings.HasSuffix(got, ".\n"+end+"\n\nMore.\n") ||
		strings.Contains(got, "old") || !strings.Contains(got, "(../bench/chart.svg)") || !strings.Contains(got, "2025-01-02") {
		t.Errorf("the page is\n%s", got)
	}
}

func TestChart(t *testing.T) {
	t.Parallel()
	results, err := parse(strings.NewReader(read(t, sample)))
	if err != nil {
		t.Fatal(err)
	}
	image, err := drawChart(results)
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for decoder := xml.NewDecoder(strings.NewReader(string(image))); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if text, is := token.(xml.CharData); is && strings.TrimSpace(string(text)) != "" {
			texts = append(texts, strings.TrimSpace(string(text)))
		}
	}
	all := strings.Join(texts, "\n") + "\n"
	for _, want := range []string{
		"Example CPU, 2 cores, go1.26.8, 2025-01-02", "Get a user", "net/http by hand", "52.6 µs", "54.2 µs (1.03×)",
		"zep: All", "193 ms (0.35×)", "18.4 s", "1.68 s (0.09×)",
	} {
		if !strings.Contains(all, want+"\n") {
			t.Errorf("no %q in the chart:\n%s", want, all)
		}
	}
	if strings.Contains(all, "Add a user") {
		t.Error("a panel without figures was drawn")
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	const head = "cores: 2\ncpu: X\n"
	results, err := parse(strings.NewReader(head + "BenchmarkA/peer=zep-logger-16  10  3 ns/op  7 a-b/s\n" + head +
		"some log\nBenchmarkA/peer=zep-logger-16  10  1e3 ns/op\nBenchmarkB 1 2.5 ns/op\nPASS\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(results.Names, " "); got != "A/peer=zep-logger B" {
		t.Errorf("the names are %q", got)
	}
	for _, want := range []struct {
		name, unit string
		value      float64
		found      bool
	}{
		{"A/peer=zep-logger", "ns/op", 501.5, true}, {"A/peer=zep-logger", "a-b/s", 7, true}, {"B", "ns/op", 2.5, true},
		{"B", "B/op", 0, false}, {"C", "ns/op", 0, false},
	} {
		if value, found := results.Get(want.name, want.unit); value != want.value || found != want.found {
			t.Errorf("%s %s: got %v %t, want %v %t", want.name, want.unit, value, found, want.value, want.found)
		}
	}
	for what, input := range map[string]string{
		"nothing":        "PASS\nok\n",
		"a failure":      "BenchmarkA 1 2 ns/op\n--- FAIL: BenchmarkB\n",
		"a panic":        "BenchmarkA 1 2 ns/op\npanic: no\n",
		"two machines":   "cpu: X\nBenchmarkA 1 2 ns/op\ncpu: Y\n",
		"no unit":        "BenchmarkA 1 2 ns/op 3\n",
		"no number":      "BenchmarkA 1 x ns/op\n",
		"too long lines": strings.Repeat("x", 2<<20),
	} {
		if _, err := parse(strings.NewReader(input)); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

func TestReplaceSection(t *testing.T) {
	t.Parallel()
	if got, err := replaceSection("a\n"+begin+end+"\nb\n", "new\n"); err != nil || got != "a\n"+begin+"\nnew\n"+end+"\nb\n" {
		t.Errorf("got %q, %v", got, err)
	}
	for _, text := range []string{"", begin, end, end + begin, begin + begin + end, begin + end + end, end + begin + end, begin + end + begin} {
		if got, err := replaceSection(text, "new"); err == nil {
			t.Errorf("%q: got %q", text, got)
		}
	}
}

func TestForms(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ got, want string }{
		{duration(0.5), "0.50 ns"}, {duration(999), "999 ns"}, {duration(999.9), "1.00 µs"}, {duration(1000), "1.00 µs"},
		{duration(12_345), "12.3 µs"}, {duration(99_960), "100 µs"}, {duration(999_400), "999 µs"}, {duration(999_600), "1.00 ms"},
		{duration(1.5e9), "1.50 s"}, {duration(18.4e9), "18.4 s"}, {milliseconds(18.9), "18.9 ms"},
		{count(0), "0"}, {count(999), "999"}, {count(1000), "1,000"}, {count(1_234_567), "1,234,567"},
		{times(52, 50), "(1.04×)"}, {more(129, 122), "(+7)"}, {more(120, 122), "(-2)"}, {mebibytes(3.456), "3.5 MiB"},
	} {
		if test.got != test.want {
			t.Errorf("got %q, want %q", test.got, test.want)
		}
	}
}

func TestRunFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	nothing, noChart := filepath.Join(dir, "nothing.txt"), filepath.Join(dir, "nochart.txt")
	write(t, nothing, "PASS\n")
	write(t, noChart, "BenchmarkA 1 2 ns/op\n")
	for _, test := range []struct {
		dir, page string
		files     []string
	}{
		{dir, "", []string{filepath.Join(dir, "missing")}},
		{dir, "", []string{nothing}},
		{dir, "", []string{noChart}},
		{dir, "", []string{sample, sample}},
		{filepath.Join(dir, "missing"), "", []string{sample}},
		{dir, filepath.Join(dir, "missing"), []string{sample}},
		{dir, nothing, []string{sample}}, // no markers
	} {
		if err := run(test.dir, test.page, "", test.files); err == nil {
			t.Errorf("%+v: no error", test)
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
