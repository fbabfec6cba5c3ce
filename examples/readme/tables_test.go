package readme

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
)

// TestReadme_Length keeps the README a first page. Details have pages of their own in docs/.
func TestReadme_Length(t *testing.T) {
	t.Parallel()
	assert.LessOrEqual(t, strings.Count(read(t, "README.md"), "\n"), 300)
}

var optionRow = regexp.MustCompile("(?m)^\\| `(\\w+)\\(.*?\\)` \\|.*\\|$")

// TestOptionTables compares the tables of options with the code: each option has a row, and the
// row has each default and variable that the option's comment names.
func TestOptionTables(t *testing.T) {
	t.Parallel()
	fact := regexp.MustCompile(`ZEP_\w+|https?://\S+\d|\b\d+ m?s\b`)
	rows := map[string]string{}
	var documented []string
	for _, row := range optionRow.FindAllStringSubmatch(read(t, "docs/configuration.md"), -1) {
		rows[row[1]] = row[0]
		documented = append(documented, row[1])
	}
	options := options(t)
	assert.ElementsMatch(t, slices.Collect(maps.Keys(options)), documented)
	for name, doc := range options {
		for _, fact := range fact.FindAllString(defaultIn(doc), -1) {
			assert.Contains(t, rows[name], fact, name)
		}
	}
}

// defaultIn returns the sentence of an option's comment that names its default.
func defaultIn(doc string) string {
	_, after, _ := strings.Cut(strings.ReplaceAll(doc, "\n", " "), "Default: ")
	sentence, _, _ := strings.Cut(after, ". ")
	return sentence
}

// options returns the comments of the functions that return an option, by name.
func options(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, decl := range declarations(t, "*.go") {
		function, ok := decl.(*ast.FuncDecl)
		if !ok || function.Recv != nil || !function.Name.IsExported() ||
			function.Type.Results == nil {
			continue
		}
		result, ok := function.Type.Results.List[0].Type.(*ast.Ident)
		if ok && (result.Name == "Option" || result.Name == "RequestOption") {
			found[function.Name.Name] = function.Doc.Text()
		}
	}
	require.NotEmpty(t, found)
	return found
}

// TestErrorTable compares the table of errors with the sentinels in the code.
func TestErrorTable(t *testing.T) {
	t.Parallel()
	var sentinels, documented []string
	for _, decl := range declarations(t, "*.go") {
		group, ok := decl.(*ast.GenDecl)
		if !ok || group.Tok != token.VAR {
			continue
		}
		for _, spec := range group.Specs {
			for _, name := range spec.(*ast.ValueSpec).Names {
				if strings.HasPrefix(name.Name, "Err") {
					sentinels = append(sentinels, name.Name)
				}
			}
		}
	}
	row := regexp.MustCompile("(?m)^\\| `zep\\.(Err\\w+)` \\|")
	for _, match := range row.FindAllStringSubmatch(read(t, "README.md"), -1) {
		documented = append(documented, match[1])
	}
	assert.ElementsMatch(t, sentinels, documented)
}

// declarations returns the top-level declarations of the files that match and are not tests.
func declarations(t *testing.T, pattern string) []ast.Decl {
	t.Helper()
	var decls []ast.Decl
	for _, name := range glob(t, pattern) {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		require.NoError(t, err)
		decls = append(decls, file.Decls...)
	}
	require.NotEmpty(t, decls)
	return decls
}

// TestGuaranteeTable requires that every guarantee names a test.
func TestGuaranteeTable(t *testing.T) {
	t.Parallel()
	row := regexp.MustCompile(`(?m)^\| (\d+) \|.*\| (.*) \|$`)
	guarantees := row.FindAllStringSubmatch(read(t, "docs/guarantees.md"), -1)
	assert.GreaterOrEqual(t, len(guarantees), 9)
	for _, guarantee := range guarantees {
		assert.Contains(t, guarantee[2], "`Test", guarantee[0])
	}
}

// TestCallTable compares the table of calls in the README with the API: the calls exist, every
// method of the client and of its services is in it, and once.
func TestCallTable(t *testing.T) {
	t.Parallel()
	_, table, found := strings.Cut(read(t, "README.md"), "\n| what you want | call |\n")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n\n")
	names := exported(t)
	var listed []string
	for _, row := range strings.Split(table, "\n")[1:] {
		cells := strings.Split(strings.Trim(row, "| "), " | ")
		require.Len(t, cells, 2, row)
		for _, call := range strings.Split(cells[1], ", ") {
			name, isCode := strings.CutPrefix(strings.TrimSuffix(call, "`"), "`")
			assert.True(t, isCode && names[name], "there is no %s: %s", call, row)
			if strings.HasPrefix(name, "client.") {
				listed = append(listed, name)
			}
		}
	}
	var calls []string
	for name := range names {
		_, isField := clientFields[name]
		if strings.HasPrefix(name, "client.") && !isField && name != "client.String" {
			calls = append(calls, name)
		}
	}
	assert.ElementsMatch(t, calls, listed)
}

// clientFields are the services: "client.User".
var clientFields = func() map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[zep.Client]()) {
		if field.IsExported() {
			fields["client."+field.Name] = field.Type
		}
	}
	return fields
}()

// exported returns what a user of package zep can write: "zep.User", "client.User",
// "client.User.Get" and "client.Health".
func exported(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	api := regexp.MustCompile(`(?m)^pkg github.com/zep-go/zep, (?:const|func|type|var) (\w+)`)
	for _, match := range api.FindAllStringSubmatch(read(t, "api/zep.txt"), -1) {
		names["zep."+match[1]] = true
	}
	methods := func(of string, receiver reflect.Type) {
		names[of] = true
		for i := range receiver.NumMethod() {
			names[of+"."+receiver.Method(i).Name] = true
		}
	}
	methods("client", reflect.TypeFor[*zep.Client]())
	for name, service := range clientFields {
		methods(name, service)
	}
	delete(names, "client")
	return names
}

// TestNames_API requires that everything exists that the documents name of package zep.
func TestNames_API(t *testing.T) {
	t.Parallel()
	names := exported(t)
	named := regexp.MustCompile("`((?:zep|client)(?:\\.[A-Z]\\w+)+)")
	found := 0
	for _, document := range documents(t) {
		for _, match := range named.FindAllStringSubmatch(read(t, document), -1) {
			assert.True(t, names[match[1]], "%s: there is no %s", document, match[1])
			found++
		}
	}
	assert.Greater(t, found, 50)
}

// TestNames requires that every test and example exists that the documents name.
func TestNames(t *testing.T) {
	t.Parallel()
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark|Example)\w+)\(`)
	named := regexp.MustCompile("`((?:Test|Fuzz|Benchmark|Example)[A-Z]\\w+)`")
	exists := map[string]bool{}
	for _, file := range testFiles(t) {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, match := range declared.FindAllSubmatch(source, -1) {
			exists[string(match[1])] = true
		}
	}
	for _, document := range documents(t) {
		for _, match := range named.FindAllStringSubmatch(read(t, document), -1) {
			assert.True(t, exists[match[1]], "%s: there is no %s", document, match[1])
		}
	}
}

func testFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, "_test.go") {
			files = append(files, path)
		}
		return err
	})
	require.NoError(t, err)
	return files
}

// TestContributing_Files compares the table of files with the repository: its files and folders
// exist, and every file of package zep is in it.
func TestContributing_Files(t *testing.T) {
	t.Parallel()
	_, table, _ := strings.Cut(read(t, "CONTRIBUTING.md"), "\n| file |")
	table, _, _ = strings.Cut(table, "\n\n")
	listed := map[string]bool{}
	for _, row := range strings.Split(table, "\n")[2:] {
		names, _, _ := strings.Cut(strings.TrimPrefix(row, "|"), "|")
		for _, name := range strings.Split(names, ",") {
			name = strings.Trim(name, " `")
			listed[name] = true
			_, err := os.Stat(filepath.Join(root, name))
			assert.NoError(t, err)
		}
	}
	for _, file := range glob(t, "*.go") {
		if name := filepath.Base(file); !strings.HasSuffix(name, "_test.go") {
			assert.True(t, listed[name], "%s is not in the table", name)
		}
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	example = regexp.MustCompile(`\./(examples/\w+)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
)

// TestLinks requires that the documents' links lead to files and headings that exist.
func TestLinks(t *testing.T) {
	t.Parallel()
	for _, document := range documents(t) {
		text := read(t, document)
		for _, match := range example.FindAllStringSubmatch(text, -1) {
			assert.DirExists(t, filepath.Join(root, match[1]), document)
		}
		for _, match := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(match[1], "://") {
				continue
			}
			path, anchor, hasAnchor := strings.Cut(match[1], "#")
			target := document
			if path != "" {
				target = filepath.Join(filepath.Dir(document), path)
			}
			_, err := os.Stat(filepath.Join(root, target))
			if !assert.NoError(t, err, document) || !hasAnchor {
				continue
			}
			assert.Contains(t, anchors(read(t, target)), anchor, document)
		}
	}
}

// anchors returns the names under which the headings of a document can be linked to.
func anchors(text string) []string {
	var names []string
	for _, match := range heading.FindAllStringSubmatch(text, -1) {
		names = append(names, strings.ReplaceAll(strings.ToLower(match[1]), " ", "-"))
	}
	return names
}
