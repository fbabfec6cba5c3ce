package zepmcp

import (
	"bytes"
	"go/format"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep/zeptest"
)

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}

// TestReadme_Tools compares the table with what the server lists.
func TestReadme_Tools(t *testing.T) {
	t.Parallel()
	_, client := newZep(t)
	row := regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (.*) \\| .* \\|$")
	documented := map[string]string{}
	for _, match := range row.FindAllStringSubmatch(readme(t), -1) {
		documented[match[1]] = match[2]
	}
	listed := map[string]string{}
	for tool, err := range newTools(t, client, nil).session.Tools(t.Context(), nil) {
		require.NoError(t, err)
		schema := schemaOf(t, tool.InputSchema)
		var names []string
		for name := range schema.Properties {
			if slices.Contains(schema.Required, name) {
				name = "**" + name + "**"
			}
			names = append(names, name)
		}
		listed[tool.Name] = sorted(strings.Join(names, ", "))
	}
	for name, arguments := range documented {
		documented[name] = sorted(arguments)
	}
	assert.Equal(t, listed, documented)
}

func sorted(names string) string {
	list := strings.Split(names, ", ")
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// TestReadme_Errors makes the errors that the README shows.
func TestReadme_Errors(t *testing.T) {
	t.Parallel()
	server, client := newZep(t, zeptest.WithDelayedEnrichment())
	tools := newTools(t, client, nil)
	server.Enrich()
	addDocuments(t, client, "books", numbered(12)...)
	text := strings.Join(strings.Fields(readme(t)), " ")
	for _, failure := range []string{
		strings.TrimPrefix(tools.fails("recall", object{"session_id": "s", "limit": 1000}), invalid),
		tools.fails("recall", object{"session_id": "travel"}),
		tools.fails("search_documents", object{"collection": "books", "query": "whales"}),
	} {
		assert.Contains(t, text, "- `"+failure+"`")
	}
}

// TestReadme_Program builds the program that the README shows, in a folder of this module.
func TestReadme_Program(t *testing.T) {
	t.Parallel()
	match := regexp.MustCompile("(?ms)^```go\n(.*?)^```$").FindAllStringSubmatch(readme(t), -1)
	require.Len(t, match, 1)
	code := []byte(match[0][1])
	formatted, err := format.Source(code)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(formatted, code), "gofmt would change it")
	dir := t.TempDir()
	file := filepath.Join(dir, "main.go")
	require.NoError(t, os.WriteFile(file, code, 0o600))
	program := filepath.Join(dir, "program.exe")
	out, err := exec.Command("go", "build", "-o", program, file).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

func TestReadme_Links(t *testing.T) {
	t.Parallel()
	for _, match := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(readme(t), -1) {
		if !strings.Contains(match[1], "://") {
			_, err := os.Stat(match[1])
			assert.NoError(t, err)
		}
	}
}
