package apifile

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "write testdata/shapes.txt")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	shapes = "testdata/shapes"
	golden = "testdata/shapes.txt"
)

func TestCompare(t *testing.T) {
	t.Parallel()
	require.NoError(t, Compare(shapes, "example.com/shapes", golden, *update))
}

// TestCompare_Change changes the source in one place each, and expects the lines of that change.
func TestCompare_Change(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile(filepath.Join(shapes, "shapes.go"))
	require.NoError(t, err)
	tests := []struct{ name, old, new, line string }{
		{"function removed", "func New(", "func renew(", "- func New("},
		{"function added", "func hide()", "func Hide()", "+ func Hide()"},
		{"method removed", ") Close()", ") close()", "- method (Record) Close() error"},
		{"receiver", "(Record) Close", "(*Record) Close", "+ method (*Record) Close()"},
		{"parameter's type", "New(a, b string", "New(a, b []byte", "+ func New([]byte, []byte, "},
		{"result's type", "(n int, err", "(n int64, err", "+ type Hook func(int, int, io.Wr"},
		{"field's type", "X, Y   int", "X, Y int64", "+ type Record struct, Y int64"},
		{"field added", "secret string", "Secret string", "+ type Record struct, Secret s"},
		{"method of an interface", "sealed()", "Opened()", "+ type Walker interface { Opened, "},
		{"constant's value", `"n", "o"`, `"n", "p"`, `+ const Other Kind = "p"`},
		{"constant's place", "Large\n\thidden", "hidden\n\tLarge", "+ const Large = 1 << iota ("},
		{"variable removed", "ErrOne ", "errOne ", "- var ErrOne error"},
		{"constraint", "~int | ~string", "~int", "+ type List[T any, K ~int] struct"},
		{"alias becomes a type", "Alias = http", "Alias http", "+ type Alias http.Header"},
		{"embedded type removed", "*http.Client", "c *http.Client", "- type Record struct, emb"},
		{"unexported type", "Visit func(inner)", "Visit func(*inner)", "+ type Visit func(*unexp"},
		{"unexported type's name", "inner", "inside", ""},
		{"parameter's name", "New(a, b string", "New(c, d string", ""},
		{"name in a field's type", "func(name string) error", "func(string) error", ""},
		{"tag", "`json:\"x\"`", "`json:\"y\"`", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			kept := filepath.Join(dir, "api.txt")
			file := filepath.Join(dir, "p.go")
			require.NoError(t, os.WriteFile(file, source, 0o600))
			require.NoError(t, Compare(dir, "p", kept, true))
			require.NoError(t, Compare(dir, "p", kept, false))

			changed := strings.ReplaceAll(string(source), test.old, test.new)
			require.NotEqual(t, string(source), changed)
			require.NoError(t, os.WriteFile(file, []byte(changed), 0o600))
			err := Compare(dir, "p", kept, false)
			sign, line, found := strings.Cut(test.line, " ")
			if !found {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, "\n"+sign+" pkg p, "+line)
		})
	}
}

func TestCompare_Golden(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(golden)
	require.NoError(t, err)
	lines := strings.SplitAfter(string(text), "\n")
	kept := filepath.Join(t.TempDir(), "api.txt")
	compare := func(text string) error {
		require.NoError(t, os.WriteFile(kept, []byte(text), 0o600))
		return Compare(shapes, "example.com/shapes", kept, false)
	}
	onWindows := strings.ReplaceAll(string(text), "\n", "\r\n")
	require.NoError(t, compare(onWindows))
	withoutFirst := strings.Join(lines[1:], "")
	assert.ErrorContains(t, compare(withoutFirst), "\n+ "+strings.TrimSpace(lines[0]))
	assert.ErrorContains(t, compare(string(text)+"pkg x, func F()\n"), "\n- pkg x, func F()")
	assert.ErrorContains(t, compare(lines[0]+string(text)), "not unique")
}

func TestLines_Error(t *testing.T) {
	t.Parallel()
	empty, broken, two := t.TempDir(), t.TempDir(), t.TempDir()
	write := func(dir, name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	write(broken, "a.go", "package p\nfunc {")
	write(two, "a.go", "package p\n")
	write(two, "b.go", "package q\n")
	dirs := map[string]string{"0 packages": empty, "2 packages": two, "a.go:2:": broken}
	for want, dir := range dirs {
		_, err := Lines(dir, "p")
		assert.ErrorContains(t, err, want)
	}
	assert.Error(t, Compare(empty, "p", filepath.Join(empty, "api.txt"), true))
	assert.Error(t, Compare(shapes, "p", filepath.Join(empty, "none.txt"), false))
}
