package zep_test

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
)

// parsedFiles returns the files whose names match the pattern.
func parsedFiles(t *testing.T, pattern string) (files []*ast.File) {
	t.Helper()
	names, err := filepath.Glob(pattern)
	require.NoError(t, err)
	for _, name := range names {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		require.NoError(t, err)
		files = append(files, file)
	}
	require.NotEmpty(t, files)
	return files
}

// endpointLine is the line of a method's documentation that names its endpoint. Some methods read
// the record back, from the same path.
var endpointLine = regexp.MustCompile(
	`(?m)^(GET|POST|PATCH|DELETE) (/\S+?)(, which answers OK, and GET)?$`)

// TestServiceCalls_DocumentedEndpoints compares the methods' comments with the registry.
func TestServiceCalls_DocumentedEndpoints(t *testing.T) {
	t.Parallel()
	doc := map[string]string{}
	for _, file := range parsedFiles(t, "[a-z]*.go") {
		for _, decl := range file.Decls {
			if method, ok := decl.(*ast.FuncDecl); ok && method.Recv != nil {
				receiver := strings.TrimSuffix(receiverOf(method), "Service")
				doc[receiver+"."+method.Name.Name] = method.Doc.Text()
			}
		}
	}
	for name, call := range zep.ServiceCalls() {
		if strings.Contains(name, " ") {
			continue // another call of the same method
		}
		lines := endpointLine.FindAllStringSubmatch(doc[name], -1)
		if assert.Len(t, lines, 1, "%s: the lines that name the endpoint", name) {
			assert.Equal(t, call.Endpoint, lines[0][1]+" "+lines[0][2], name)
			assert.Equal(t, call.Requests == 2, lines[0][3] != "", "%s: and GET", name)
		}
	}
}

// receiverOf returns the type that a method of a pointer belongs to.
func receiverOf(method *ast.FuncDecl) string {
	if pointer, ok := method.Recv.List[0].Type.(*ast.StarExpr); ok {
		if receiver, ok := pointer.X.(*ast.Ident); ok {
			return receiver.Name
		}
	}
	return ""
}

// TestServiceCalls_ListOfZeptest compares the list of endpoints in the documentation of package
// zeptest with the registry.
func TestServiceCalls_ListOfZeptest(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("zeptest/doc.go")
	require.NoError(t, err)
	endpoint := regexp.MustCompile(`\b([A-Z]+) +(/\S+)`)
	var listed []string
	for _, line := range regexp.MustCompile(`(?m)^//\t.*$`).FindAllString(string(doc), -1) {
		for _, found := range endpoint.FindAllStringSubmatch(line, -1) {
			listed = append(listed, found[1]+" "+found[2])
		}
	}
	var want []string
	seen := map[string]bool{}
	for _, call := range zep.ServiceCalls() {
		if !seen[call.Endpoint] {
			want = append(want, call.Endpoint)
		}
		seen[call.Endpoint] = true
	}
	assert.ElementsMatch(t, want, listed)
}

// TestServiceCalls_ServedByZeptest checks that a server of package zeptest has every endpoint. It
// refuses some of the calls, because it is empty.
func TestServiceCalls_ServedByZeptest(t *testing.T) {
	t.Parallel()
	_, c := startServer(t)
	for name, call := range zep.ServiceCalls() {
		err := call.Do(context.Background(), c, zep.RequestMaxAttempts(1))
		assert.NotErrorIs(t, err, zep.ErrEndpointNotFound, name)
	}
}

// TestConformance_CallsEveryMethod checks that the conformance tests use every method.
func TestConformance_CallsEveryMethod(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	for _, file := range parsedFiles(t, "conformance*_test.go") {
		ast.Inspect(file, func(node ast.Node) bool {
			method, ok := node.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			used["Client."+method.Sel.Name] = true
			if service, ok := method.X.(*ast.SelectorExpr); ok {
				used[service.Sel.Name+"."+method.Sel.Name] = true
			}
			return true
		})
	}
	for name := range zep.ServiceCalls() {
		method, _, _ := strings.Cut(name, " ")
		assert.True(t, used[method], "no conformance test calls %s", method)
	}
}
