package otelzep_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestReadme compares the code and the output in the README with the examples, which are run.
func TestReadme(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	examples, err := os.ReadFile("example_test.go")
	require.NoError(t, err)
	prefixes := map[string]string{
		"go": "\t",    // of the body of a function
		"":   "\t// ", // of its output
	}
	fence := regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$")
	compared := 0
	for _, block := range fence.FindAllStringSubmatch(string(readme), -1) {
		prefix, ok := prefixes[block[1]]
		if !ok {
			continue
		}
		compared++
		var want strings.Builder
		for line := range strings.Lines(block[2]) {
			want.WriteString(prefix + line)
		}
		assert.Contains(t, string(examples), want.String())
	}
	assert.Equal(t, 2, compared)
}
