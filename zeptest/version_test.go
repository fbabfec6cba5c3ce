package zeptest_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep/zeptest"
)

// TestServerVersion has what differs, and up to which release.
func TestServerVersion(t *testing.T) {
	t.Parallel()
	const message = `{"messages":[{"uuid":"` + uuid1 +
		`","content":"%s","created_at":"2020-01-01T00:00:00Z"}]}`
	for minor := 15; minor <= 27; minor++ {
		t.Run(fmt.Sprint("0.", minor), func(t *testing.T) {
			t.Parallel()
			s := newServer(t, zeptest.WithServerVersion(fmt.Sprintf("0.%d.1", minor)))
			upTo := func(release int) bool { return minor <= release }
			either := func(old, other any, release int) any {
				if upTo(release) {
					return old
				}
				return other
			}
			resp, err := http.Get(s.URL + "/healthz")
			require.NoError(t, err)
			resp.Body.Close()
			assert.Equal(t, fmt.Sprintf("0.%d.1-abc1234 (2024-05-01T12:00:00Z)", minor),
				resp.Header.Get("X-Zep-Version"))

			send(t, s, "POST", "/sessions", `{"session_id":"empty"}`)
			for _, id := range []string{"empty", "none"} {
				status, _ := send(t, s, "GET", "/sessions/"+id+"/memory", "")
				assert.Equal(t, either(404, 200, 19), status, "memory of "+id)
			}
			status, answer := send(t, s, "POST", "/sessions/none/search", `{"text":"a"}`)
			assert.Equal(t, either(404, 200, 18), status)
			assert.Equal(t, either("not found\n", "[]\n", 18), answer)

			send(t, s, "POST", "/sessions/s/memory", fmt.Sprintf(message, "first"))
			status, answer = send(t, s, "POST", "/sessions/s/memory",
				fmt.Sprintf(message, "second"))
			assert.Equal(t, either(200, 500, 19), status, answer)
			got, list := getMessages(t, s, "/sessions/s/memory")
			assert.Equal(t, either("second", "first", 19), got)
			kept := list.Messages[0].CreatedAt.Equal(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC))
			assert.Equal(t, upTo(16), kept)
			status, _ = send(t, s, "POST", "/sessions/s/memory",
				`{"messages":[{"uuid":"`+uuid2+`"},{"uuid":"`+uuid2+`"}]}`)
			assert.Equal(t, 500, status)

			addMessages(t, s, "long", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l",
				"m")
			got, _ = getMessages(t, s, "/sessions/long/memory")
			assert.Equal(t, either("abcdefghijklm", either("abcdefghijkl", "bcdefghijklm", 19),
				15), got)
			got, _ = getMessages(t, s, "/sessions/long/memory?lastn=2")
			assert.Equal(t, "lm", got)

			for _, call := range [][2]string{
				{"GET", "/sessions/s/messages"},
				{"GET", "/sessions/s/messages/" + uuid1},
				{"PATCH", "/sessions/s/messages/" + uuid1},
			} {
				status, _ = send(t, s, call[0], call[1], `{}`)
				assert.Equal(t, either(404, 200, 20), status, call)
			}

			addCollection(t, s, "docs", 384, true)
			_, answer = send(t, s, "POST", "/collection/docs",
				`{"name":"docs","embedding_dimensions":8,"is_auto_embedded":true}`)
			verb := either("Create", "create", 19)
			assert.Equal(t, fmt.Sprintf("failed to %s collection: bad request: "+
				"collection already exists: docs\n", verb), answer)
			_, answer = send(t, s, "POST", "/collection/docs/document",
				`[{"content":"a","document_id":"d"},{"content":"b","document_id":"d"}]`)
			assert.Equal(t, fmt.Sprintf("failed to %s documents: bad request: "+
				"document_id already exists\n", verb), answer)
		})
	}
}

func TestServerVersion_Texts(t *testing.T) {
	t.Parallel()
	for text, header := range map[string]string{
		"0.18.0":                                "0.18.0-abc1234 (2024-05-01T12:00:00Z)",
		"0.18.0-1234567 (2024-01-15T12:00:00Z)": "0.18.0-1234567 (2024-01-15T12:00:00Z)",
		"dev-n/a (n/a)":                         "dev-n/a (n/a)",
		"whatever":                              "whatever",
		"":                                      "",
	} {
		s := newServer(t, zeptest.WithServerVersion(text))
		resp, err := try(s, "GET", "/sessions/none/memory", "")
		require.NoError(t, err)
		assert.Equal(t, header, resp.Header.Get("X-Zep-Version"))
		assert.Equal(t, text[:min(1, len(text))] == "0", resp.StatusCode == 404, text)
	}
	for _, unknown := range []string{"0.14.0", "0.28.0", "1.0.0", "0", "0.x"} {
		assert.Panics(t, func() { zeptest.WithServerVersion(unknown) }, unknown)
	}
}
