// Package readme holds the README to its word: its Go blocks compile and run, and its tables tell of what is there.
package readme

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/zep-go/zep/zeptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const root = "../.."

// A block is a Go block of the README, and what kind of code it is.
type block struct {
	line int // of its first line
	code string
	kind kind
}

type kind int

const (
	program  kind = iota // a whole file
	decls                // declarations, of tests or for them
	fragment             // statements in a function that has ctx and client, and returns an error
)

var fence = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")

func blocks(t *testing.T) []block {
	t.Helper()
	readme := read(t, "README.md")
	var found []block
	for _, at := range fence.FindAllStringSubmatchIndex(readme, -1) {
		b := block{
			line: 1 + strings.Count(readme[:at[2]], "\n"),
			code: readme[at[2]:at[3]],
			kind: fragment,
		}
		if parses(b.code) {
			b.kind = program
		} else if parses("package p\n" + b.code) {
			b.kind = decls
		}
		found = append(found, b)
	}
	require.NotEmpty(t, found)
	return found
}

func parses(source string) bool {
	_, err := parser.ParseFile(token.NewFileSet(), "", source, 0)
	return err == nil
}

// A module is a consumer's: one that requires this repository's, as it is on disk.
type module struct {
	t   *testing.T
	dir string
}

// newModule makes one with the same requirements, so that nothing has to be fetched.
func newModule(t *testing.T) module {
	t.Helper()
	m := module{t, t.TempDir()}
	here, err := filepath.Abs(root)
	require.NoError(t, err)
	gomod, found := strings.CutPrefix(read(t, "go.mod"), "module github.com/zep-go/zep\n")
	require.True(t, found)
	m.write("go.mod", fmt.Sprintf("module readme\n%s\nrequire github.com/zep-go/zep v0.0.0\nreplace github.com/zep-go/zep => %q\n", gomod, here))
	m.write("go.sum", read(t, "go.sum"))
	return m
}

func (m module) write(name, text string) {
	m.t.Helper()
	file := filepath.Join(m.dir, name)
	require.NoError(m.t, os.MkdirAll(filepath.Dir(file), 0o700))
	require.NoError(m.t, os.WriteFile(file, []byte(text), 0o600))
}

// run runs the go command in the module, with a server in the environment.
func (m module) run(server string, args ...string) string {
	m.t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Dir = m.dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off", "ZEP_API_URL="+server, "ZEP_API_KEY=")
	out, err := cmd.CombinedOutput()
	require.NoError(m.t, err, "%v\n%s", cmd.Args, out)
	return string(out)
}

// packages are those that the README's code uses, by name.
var packages = map[string]string{
	"context": "context", "errors": "errors", "fmt": "fmt", "http": "net/http", "httpmock": "github.com/jarcoal/httpmock",
	"os": "os", "testing": "testing", "time": "time",
	"zep": "github.com/zep-go/zep", "zeptest": "github.com/zep-go/zep/zeptest",
}

var qualifier = regexp.MustCompile(`\b([a-z]+)\.[A-Z]`)

// imports imports what code uses.
func imports(code string) string {
	used := map[string]bool{}
	for _, match := range qualifier.FindAllStringSubmatch(code, -1) {
		if path := packages[match[1]]; path != "" {
			used[path] = true
		}
	}
	source := ""
	for _, path := range slices.Sorted(maps.Keys(used)) {
		source += fmt.Sprintf("import %q\n", path)
	}
	return source
}

// at makes the compiler speak of the README.
func (b block) at() string { return fmt.Sprintf("//line README.md:%d\n%s", b.line, b.code) }

// TestSixtySeconds runs the README's program twice: on an empty server, and on what it left.
func TestSixtySeconds(t *testing.T) {
	t.Parallel()
	server := zeptest.NewServer()
	defer server.Close()
	var programs []block
	for _, b := range blocks(t) {
		if b.kind == program {
			programs = append(programs, b)
		}
	}
	require.Len(t, programs, 1)
	m := newModule(t)
	m.write("main.go", programs[0].code)
	m.run("", "vet", ".")
	for range 2 {
		assert.Equal(t, "Hello, Jane.\njane@example.com free\n", m.run(server.URL, "run", "."))
	}
}

// TestFragments runs the README's fragments one after the other, as its reader would, on one server.
func TestFragments(t *testing.T) {
	t.Parallel()
	server := zeptest.NewServer()
	defer server.Close()
	functions, calls := "", ""
	for _, b := range blocks(t) {
		if b.kind != fragment {
			continue
		}
		functions += fmt.Sprintf("\nfunc line%d(ctx context.Context, client *zep.Client) error {\n%s\n\treturn nil\n}\n", b.line, b.at())
		calls += fmt.Sprintf("\ttry(%d, line%[1]d)\n", b.line)
	}
	code := functions + `
//line main.go:1
func main() {
	client, err := zep.NewClient()
	if err != nil {
		panic(err)
	}
	try := func(line int, fragment func(context.Context, *zep.Client) error) {
		if err := fragment(context.Background(), client); err != nil {
			fmt.Printf("README.md:%d: %v\n", line, err)
			os.Exit(1)
		}
	}
` + calls + "}\n"
	m := newModule(t)
	m.write("main.go", "package main\n"+imports(code)+code)
	m.run("", "vet", ".")
	out := m.run(server.URL, "run", ".")
	for _, want := range []string{"jane-books", "assistant Try Moby-Dick.", "It is not down in any map; true places never are."} {
		assert.Contains(t, out, want)
	}
}

// TestDeclarations runs the README's tests.
func TestDeclarations(t *testing.T) {
	t.Parallel()
	code := ""
	for _, b := range blocks(t) {
		if b.kind == decls {
			code += "\n" + b.at()
		}
	}
	require.Contains(t, code, "func Test")
	m := newModule(t)
	m.write("readme_test.go", "package readme\n"+imports(code)+code)
	m.run("", "vet", ".")
	out := m.run("", "test", "-v", ".")
	assert.Equal(t, strings.Count(code, "func Test"), strings.Count(out, "--- PASS: "), out)
}

var tableRow = regexp.MustCompile("(?m)^\\| `(\\w+)\\((.*?)\\)` \\|(.*)\\|$")

// TestConfigurationTable: the tables of options have every option there is, and no other.
func TestConfigurationTable(t *testing.T) {
	t.Parallel()
	_, configuration, _ := strings.Cut(read(t, "README.md"), "\n## Configuration\n")
	configuration, _, _ = strings.Cut(configuration, "\n## ")
	var documented []string
	for _, row := range tableRow.FindAllStringSubmatch(configuration, -1) {
		documented = append(documented, row[1])
	}
	assert.ElementsMatch(t, slices.Collect(maps.Keys(options(t))), documented)
	for name, doc := range options(t) {
		// Each default and each variable that the option's own documentation names is in its row.
		row := regexp.MustCompile("(?m)^\\| `" + name + "\\(.*$").FindString(configuration)
		for _, fact := range regexp.MustCompile(`ZEP_\w+|https?://\S+\d|\b\d+ m?s\b`).FindAllString(defaultIn(doc), -1) {
			assert.Contains(t, row, fact, name)
		}
	}
}

// defaultIn is the sentence of an option's documentation that tells its default.
func defaultIn(doc string) string {
	_, after, _ := strings.Cut(strings.ReplaceAll(doc, "\n", " "), "Default: ")
	sentence, _, _ := strings.Cut(after, ". ")
	return sentence
}

// options are the documentations of package zep's functions that return an option, by name.
func options(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, name := range glob(t, "*.go") {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		require.NoError(t, err)
		for _, decl := range file.Decls {
			function, ok := decl.(*ast.FuncDecl)
			if !ok || function.Recv != nil || !function.Name.IsExported() || function.Type.Results == nil {
				continue
			}
			result, ok := function.Type.Results.List[0].Type.(*ast.Ident)
			if ok && (result.Name == "Option" || result.Name == "RequestOption") {
				found[function.Name.Name] = function.Doc.Text()
			}
		}
	}
	require.NotEmpty(t, found)
	return found
}

// TestErrorTable: the table of errors has every sentinel there is, and no other.
func TestErrorTable(t *testing.T) {
	t.Parallel()
	var sentinels []string
	for _, match := range regexp.MustCompile(`(?m)^\t(Err\w+) += errors\.New`).FindAllStringSubmatch(read(t, "errors.go"), -1) {
		sentinels = append(sentinels, match[1])
	}
	var documented []string
	for _, match := range regexp.MustCompile("(?m)^\\| `zep\\.(Err\\w+)` \\|").FindAllStringSubmatch(read(t, "README.md"), -1) {
		documented = append(documented, match[1])
	}
	assert.ElementsMatch(t, sentinels, documented)
}

// TestNames: every test, file and example that the documents name is there.
func TestNames(t *testing.T) {
	t.Parallel()
	there := map[string]bool{}
	for _, file := range slices.Concat(glob(t, "*_test.go"), glob(t, "*/*_test.go"), glob(t, "*/*/*_test.go")) {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, match := range regexp.MustCompile(`(?m)^func ((Test|Fuzz|Example)\w+)\(`).FindAllSubmatch(source, -1) {
			there[string(match[1])] = true
		}
	}
	for _, document := range []string{"README.md", "CONTRIBUTING.md", "CHANGELOG.md"} {
		text := read(t, document)
		for _, match := range regexp.MustCompile("`((Test|Fuzz|Example)[A-Z]\\w+)`").FindAllStringSubmatch(text, -1) {
			assert.True(t, there[match[1]], "%s: there is no %s", document, match[1])
		}
		for _, match := range regexp.MustCompile(`\]\(([^)#]+)\)|\./(examples/\w+)`).FindAllStringSubmatch(text, -1) {
			if path := match[1] + match[2]; !strings.Contains(path, "://") {
				_, err := os.Stat(filepath.Join(root, path))
				assert.NoError(t, err, document)
			}
		}
	}
}

// TestPromises: every promise names a test.
func TestPromises(t *testing.T) {
	t.Parallel()
	promises := regexp.MustCompile(`(?m)^\| \d+ \|.*\| (.*) \|$`).FindAllStringSubmatch(read(t, "README.md"), -1)
	assert.Len(t, promises, 9)
	for _, promise := range promises {
		assert.Contains(t, promise[1], "`Test", promise[0])
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	require.NoError(t, err)
	return string(text)
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, pattern))
	require.NoError(t, err)
	return files
}
