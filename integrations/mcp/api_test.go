package zepmcp

import (
	"flag"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/zep-go/zep/internal/apifile"
)

var updateAPI = flag.Bool("update", false, "write the file in api/")

// TestAPI_Golden compares the exported API of the package with the file in api/.
func TestAPI_Golden(t *testing.T) {
	t.Parallel()
	assert.NoError(t, apifile.Compare(".", modulePath, "../../api/integrations-mcp.txt", *updateAPI),
		"If the change is meant: go test -run TestAPI_Golden . -update")
}
