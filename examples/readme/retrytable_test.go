package readme

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// retryRow is a row of the retry table in docs/guarantees.md.
type retryRow struct {
	outcome string
	items   []string // what the attempt got
	retried string
}

// attempts are the attempts of a read, of a write that can be reconciled, and of any other
// write, if all attempts get the same.
type attempts [3]int

var attemptsOf = map[string]attempts{
	"every call": {4, 4, 4},
	"reads, and writes that can be reconciled": {4, 4, 1},
	"reads":   {4, 1, 1},
	"no call": {1, 1, 1},
}

func readRetryTable(t *testing.T) []retryRow {
	t.Helper()
	_, table, found := strings.Cut(read(t, "docs/guarantees.md"), "\n| outcome |")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n\n")
	var rows []retryRow
	for _, line := range strings.Split(table, "\n")[2:] {
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		require.Len(t, cells, 3, line)
		require.Contains(t, attemptsOf, cells[2])
		rows = append(rows, retryRow{cells[0], strings.Split(cells[1], "; "), cells[2]})
	}
	require.NotEmpty(t, rows)
	return rows
}

// TestRetryTable compares the retry table in docs/guarantees.md with the other places that have
// it, and with the cases that package zep tests. With -update it writes the table to those
// places.
func TestRetryTable(t *testing.T) {
	t.Parallel()
	rows := readRetryTable(t)
	comment := retryComment(rows)
	for _, file := range []string{"doc.go", "retry.go"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			source := read(t, file)
			found := retryCommentIn.FindAllString(source, -1)
			require.Len(t, found, 1, "blocks of a comment that begin with an outcome column")
			if *update && found[0] != comment {
				source = strings.Replace(source, found[0], comment, 1)
				require.NoError(t, os.WriteFile(filepath.Join(root, file), []byte(source), 0o644))
				return
			}
			assert.Equal(t, comment, found[0], "to write the table of docs/guarantees.md there: "+
				"go test ./examples/readme -run TestRetryTable -update")
		})
	}
	t.Run("outcomes", func(t *testing.T) {
		t.Parallel()
		testOutcomes(t, rows)
	})
	t.Run("statuses", func(t *testing.T) {
		t.Parallel()
		testStatuses(t, rows)
	})
}

var retryCommentIn = regexp.MustCompile(`(?m)^//\toutcome\b.*\n(?://\t.*\n)*`)

// retryComment formats the table as a block of a Go comment, with columns of a fixed width.
func retryComment(rows []retryRow) string {
	const itemsWidth = 48
	var comment strings.Builder
	write := func(outcome, items, retried string) {
		what, again := wrap(items, itemsWidth), wrap(retried, 26)
		for i := range max(len(what), len(again)) {
			cells := []string{"", "", ""}
			if i == 0 {
				cells[0] = outcome
			}
			if i < len(what) {
				cells[1] = what[i]
			}
			if i < len(again) {
				cells[2] = again[i]
			}
			line := fmt.Sprintf("%-12s  %-*s  %s", cells[0], itemsWidth, cells[1], cells[2])
			comment.WriteString("//\t" + strings.TrimRight(line, " ") + "\n")
		}
	}
	write("outcome", "what the attempt got", "tried again")
	for _, row := range rows {
		write(row.outcome, strings.Join(row.items, "; "), row.retried)
	}
	return comment.String()
}

// wrap breaks a text into lines.
func wrap(text string, width int) []string {
	lines := []string{""}
	for _, word := range strings.Fields(text) {
		last := lines[len(lines)-1]
		switch {
		case last == "":
			lines[len(lines)-1] = word
		case len(last)+1+len(word) <= width:
			lines[len(lines)-1] = last + " " + word
		default:
			lines = append(lines, word)
		}
	}
	return lines
}

// retryCase is a row of package zep's retryTable, which its TestRetryTable runs.
type retryCase struct {
	outcome, gets string
	attempts      attempts
}

func retryCases(t *testing.T) []retryCase {
	t.Helper()
	var cases []retryCase
	for _, name := range glob(t, "*_test.go") {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		ast.Inspect(file, func(node ast.Node) bool {
			spec, ok := node.(*ast.ValueSpec)
			if !ok || spec.Names[0].Name != "retryTable" {
				return true
			}
			for _, row := range spec.Values[0].(*ast.CompositeLit).Elts {
				cases = append(cases, newRetryCase(t, row.(*ast.CompositeLit)))
			}
			return false
		})
	}
	require.NotEmpty(t, cases, "the retryTable of package zep's tests")
	return cases
}

// newRetryCase reads the two texts and the three numbers of a row.
func newRetryCase(t *testing.T, row *ast.CompositeLit) retryCase {
	t.Helper()
	var texts []string
	var numbers []int
	for _, element := range row.Elts {
		if pair, ok := element.(*ast.KeyValueExpr); ok {
			element = pair.Value
		}
		literal, ok := element.(*ast.BasicLit)
		if !ok {
			continue
		}
		if literal.Kind == token.INT {
			n, err := strconv.Atoi(literal.Value)
			require.NoError(t, err)
			numbers = append(numbers, n)
			continue
		}
		text, err := strconv.Unquote(literal.Value)
		require.NoError(t, err)
		texts = append(texts, text)
	}
	require.Len(t, texts, 2)
	require.Len(t, numbers, 3)
	return retryCase{texts[0], texts[1], attempts(numbers)}
}

// testOutcomes compares the table's outcomes with the names that the code has for them, and with
// the cases of the tests.
func testOutcomes(t *testing.T, rows []retryRow) {
	var documented, names []string
	want := map[string]attempts{}
	for _, row := range rows {
		documented = append(documented, row.outcome)
		want[row.outcome] = attemptsOf[row.retried]
	}
	for _, decl := range declarations(t, "retry.go") {
		function, ok := decl.(*ast.FuncDecl)
		if !ok || function.Recv == nil || function.Name.Name != "String" {
			continue
		}
		ast.Inspect(function, func(node ast.Node) bool {
			if literal, ok := node.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				names = append(names, strings.Trim(literal.Value, `"`))
			}
			return true
		})
	}
	require.ElementsMatch(t, names, documented, "the names of outcomes in retry.go")
	tested := map[string]bool{}
	for _, c := range retryCases(t) {
		tested[c.outcome] = true
		assert.Equal(t, want[c.outcome], c.attempts, "%s: %s", c.outcome, c.gets)
	}
	for _, outcome := range documented {
		assert.True(t, tested[outcome], "no case of the tests has the outcome %q", outcome)
	}
}

var (
	status      = regexp.MustCompile(`^[1-5]\d\d$`)
	statusClass = regexp.MustCompile(`^(?:other )?([1-5])xx$`)
)

// testStatuses compares the table's statuses with the cases of the tests, in both directions.
func testStatuses(t *testing.T, rows []retryRow) {
	want := map[string]attempts{} // by status, or by the first digit of a class
	for _, row := range rows {
		for _, item := range row.items {
			if match := statusClass.FindStringSubmatch(item); match != nil {
				item = match[1]
			} else if !status.MatchString(item) {
				continue
			}
			require.NotContains(t, want, item)
			want[item] = attemptsOf[row.retried]
		}
	}
	tested := map[string]bool{}
	for _, c := range retryCases(t) {
		if !status.MatchString(c.gets) {
			continue
		}
		item := c.gets
		if _, explicit := want[item]; !explicit {
			item = item[:1]
		}
		tested[item] = true
		assert.Equal(t, want[item], c.attempts, c.gets)
	}
	for item := range want {
		assert.True(t, tested[item], "no case of the tests has status %s", item)
	}
}
