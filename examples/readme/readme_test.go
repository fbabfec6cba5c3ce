// Package readme tests the documents: their Go code compiles and runs, and their tables, names and
// links are compared with the repository.
package readme

import (
	"flag"
	"fmt"
	"go/format"
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

var update = flag.Bool("update", false, "write the retry table into the code")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const root = "../.."

// block is a Go block of a document.
type block struct {
	document string
	line     int // of its first line
	code     string
	kind     kind
}

type kind int

const (
	program  kind = iota // a whole file
	decls                // declarations of tests, or for them
	fragment             // statements of a function that has ctx and client, and returns an error
)

// documents returns the files whose code, names and links are tested.
func documents(t *testing.T) []string {
	t.Helper()
	names := []string{"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"}
	for _, file := range glob(t, "docs/*.md") {
		names = append(names, "docs/"+filepath.Base(file))
	}
	return names
}

var fence = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")

// blocks returns all blocks of one kind, by document.
func blocks(t *testing.T, kind kind) map[string][]block {
	t.Helper()
	found := map[string][]block{}
	for _, document := range documents(t) {
		text := read(t, document)
		for _, at := range fence.FindAllStringSubmatchIndex(text, -1) {
			b := block{
				document: document,
				line:     1 + strings.Count(text[:at[2]], "\n"),
				code:     text[at[2]:at[3]],
			}
			if b.kind = kindOf(b.code); b.kind == kind {
				found[document] = append(found[document], b)
			}
		}
	}
	require.NotEmpty(t, found)
	return found
}

func kindOf(code string) kind {
	parses := func(source string) bool {
		_, err := parser.ParseFile(token.NewFileSet(), "", source, 0)
		return err == nil
	}
	switch {
	case parses(code):
		return program
	case parses("package p\n" + code):
		return decls
	}
	return fragment
}

// source returns the code with a directive that makes the compiler name the document.
func (b block) source() string {
	return fmt.Sprintf("//line %s:%d\n%s", b.document, b.line, b.code)
}

// folder returns a name for the package of a document's code.
func folder(document string) string {
	return strings.ToLower(strings.TrimSuffix(filepath.Base(document), ".md"))
}

// module is the module of a user, which requires this repository's module as it is on disk.
type module struct {
	t   *testing.T
	dir string
}

// newModule makes a module with the same requirements, so that nothing has to be downloaded.
func newModule(t *testing.T) module {
	t.Helper()
	m := module{t, t.TempDir()}
	here, err := filepath.Abs(root)
	require.NoError(t, err)
	gomod, found := strings.CutPrefix(read(t, "go.mod"), "module github.com/zep-go/zep\n")
	require.True(t, found)
	m.write("go.mod", "module readme\n"+gomod+"\nrequire github.com/zep-go/zep v0.0.0\n"+
		fmt.Sprintf("replace github.com/zep-go/zep => %q\n", here))
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
	cmd.Env = append(os.Environ(),
		"GOFLAGS=-mod=mod", "GOWORK=off", "ZEP_API_URL="+server, "ZEP_API_KEY=")
	out, err := cmd.CombinedOutput()
	require.NoError(m.t, err, "%v\n%s", cmd.Args, out)
	return string(out)
}

// packages maps the names of the packages that the documents use to their import paths.
var packages = map[string]string{
	"context":  "context",
	"errors":   "errors",
	"fmt":      "fmt",
	"http":     "net/http",
	"httpmock": "github.com/jarcoal/httpmock",
	"os":       "os",
	"testing":  "testing",
	"time":     "time",
	"zep":      "github.com/zep-go/zep",
	"zeptest":  "github.com/zep-go/zep/zeptest",
}

var qualifier = regexp.MustCompile(`\b([a-z]+)\.[A-Z]`)

// imports returns the import declarations that the code needs.
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

// TestPrograms_QuickStart runs the README's program twice: on an empty server, and once more on
// the same server.
func TestPrograms_QuickStart(t *testing.T) {
	t.Parallel()
	server := zeptest.NewServer()
	defer server.Close()
	programs := blocks(t, program)
	require.Len(t, programs, 1)
	require.Len(t, programs["README.md"], 1)
	m := newModule(t)
	m.write("main.go", programs["README.md"][0].code)
	m.run("", "vet", ".")
	for range 2 {
		out := m.run(server.URL, "run", ".")
		assert.Equal(t, "Hello, Jane.\njane@example.com free\n", out)
	}
}

// fragmentFunc makes a fragment a function.
const fragmentFunc = `
func line%d(ctx context.Context, client *zep.Client) error {
%s
	return nil
}
`

// fragmentsMain calls the fragments of a document one after the other.
const fragmentsMain = `
//line main.go:1
func main() {
	client, err := zep.NewClient()
	if err != nil {
		panic(err)
	}
	try := func(at string, fragment func(context.Context, *zep.Client) error) {
		if err := fragment(context.Background(), client); err != nil {
			fmt.Printf("%s: %v\n", at, err)
			os.Exit(1)
		}
	}
`

// TestFragments runs the fragments of each document in their order, on one server for each
// document.
func TestFragments(t *testing.T) {
	t.Parallel()
	m := newModule(t)
	fragments := blocks(t, fragment)
	for document, blocks := range fragments {
		functions, calls := "", ""
		for _, b := range blocks {
			functions += fmt.Sprintf(fragmentFunc, b.line, b.source())
			calls += fmt.Sprintf("\ttry(\"%s:%d\", line%[2]d)\n", document, b.line)
		}
		code := functions + fragmentsMain + calls + "}\n"
		m.write(folder(document)+"/main.go", "package main\n"+imports(code)+code)
	}
	m.run("", "vet", "./...")

	prints := map[string][]string{ // some of what the fragments print
		"README.md": {
			"assistant Try Moby-Dick.",
			"It is not down in any map; true places never are.",
		},
		"docs/guide.md": {
			"Jane Oslo",
			"jane-books",
			"found map[closed:true topic:books]",
			"assistant Try Moby-Dick.",
			"It is not down in any map; true places never are.",
		},
		"docs/configuration.md":    {"jane@example.com 0.27.2"},
		"docs/server-surprises.md": {"It is not down in any map; true places never are."},
	}
	for document := range prints {
		require.Contains(t, fragments, document)
	}
	for document := range fragments {
		t.Run(document, func(t *testing.T) {
			t.Parallel()
			server := zeptest.NewServer()
			defer server.Close()
			out := module{t, m.dir}.run(server.URL, "run", "./"+folder(document))
			for _, want := range prints[document] {
				assert.Contains(t, out, want)
			}
		})
	}
}

// TestDeclarations runs the tests that the documents show.
func TestDeclarations(t *testing.T) {
	t.Parallel()
	m := newModule(t)
	tests := 0
	for document, blocks := range blocks(t, decls) {
		code := ""
		for _, b := range blocks {
			code += "\n" + b.source()
		}
		tests += strings.Count(code, "func Test")
		name := folder(document)
		m.write(name+"/document_test.go", "package "+name+"\n"+imports(code)+code)
	}
	require.NotZero(t, tests)
	m.run("", "vet", "./...")
	out := m.run("", "test", "-v", "./...")
	assert.Equal(t, tests, strings.Count(out, "--- PASS: "), out)
}

func TestBlocks_Formatted(t *testing.T) {
	t.Parallel()
	for _, kind := range []kind{program, decls, fragment} {
		for _, blocks := range blocks(t, kind) {
			for _, b := range blocks {
				formatted, err := format.Source([]byte(b.code))
				require.NoError(t, err)
				assert.Equal(t, string(formatted), b.code, "%s:%d", b.document, b.line)
			}
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	require.NoError(t, err)
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, pattern))
	require.NoError(t, err)
	return files
}
