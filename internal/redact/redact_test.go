package redact

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const secret = "eyJhbGciOiJIUzI1NiJ9.s3cr3t/+<&>=\"\\_0123456789"

// escapes are the ways in which a text may have the secret.
var escapes = map[string]func(string) string{
	"as it is": func(s string) string { return s },
	"URL":      url.QueryEscape,
	"every byte": func(s string) string {
		var b strings.Builder
		for i := range len(s) {
			fmt.Fprintf(&b, "%%%02x", s[i])
		}
		return b.String()
	},
	"JSON": func(s string) string {
		data, _ := json.Marshal(s)
		return string(data[1 : len(data)-1])
	},
	"%q": func(s string) string {
		quoted := fmt.Sprintf("%q", s)
		return quoted[1 : len(quoted)-1]
	},
}

// TestSecrets_LongText checks texts that are searched in more than one piece.
func TestSecrets_LongText(t *testing.T) {
	t.Parallel()
	for how, escape := range escapes {
		echo := escape(secret)
		for _, border := range []int{searchChunk - searchOverlap, searchChunk, 2 * searchChunk} {
			for _, before := range []int{len(echo), len(echo) / 2, 7, 1, 0} {
				text := strings.Repeat("x", border-before) + echo + strings.Repeat("y", searchChunk)
				clean := Secrets{New(secret)}.Text(text)
				require.Equal(t, border-before+len(Mark)+searchChunk, len(clean), how)
				require.Equal(t, border-before, strings.Index(clean, Mark))
			}
		}
	}
	assert.Nil(t, New(secret).find(nil))
}

// TestSecrets_CleanTextKept checks that nothing is copied where there is no secret.
func TestSecrets_CleanTextKept(t *testing.T) {
	t.Parallel()
	r := Secrets{New(secret)}
	body, header := []byte(`{"a":1}`), http.Header{"A": {"b"}}
	assert.Same(t, &body[0], &r.Bytes(body)[0])
	r.Header(header)["B"] = nil
	assert.Contains(t, header, "B")
}
