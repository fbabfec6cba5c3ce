package zep

import (
	"flag"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/zep-go/zep/internal/apifile"
)

var updateAPI = flag.Bool("update", false, "write the files in api/")

// TestAPI_Golden compares the exported API of packages with the files in api/, also of those that are
// modules of their own.
func TestAPI_Golden(t *testing.T) {
	t.Parallel()
	for golden, dir := range map[string]string{
		"api/zep.txt":     ".",
		"api/zeptest.txt": "zeptest",
		"api/otelzep.txt": "otel",
	} {
		importPath := "github.com/zep-go/zep"
		if dir != "." {
			importPath += "/" + dir
		}
		assert.NoError(t, apifile.Compare(dir, importPath, golden, *updateAPI),
			"If the change is meant: go test -run TestAPI_Golden . -update")
	}
}
