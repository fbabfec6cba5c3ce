package zep_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/zeptest"
)

// inProcess is a transport that calls a handler.
type inProcess struct {
	http.Handler
	requests atomic.Int64
}

func (p *inProcess) RoundTrip(req *http.Request) (*http.Response, error) {
	p.requests.Add(1)
	recorder := httptest.NewRecorder()
	p.ServeHTTP(recorder, req)
	return recorder.Result(), nil
}

// textClient returns a client of a new server, with the collection docs.
func textClient(f *testing.F) (*zep.Client, *inProcess) {
	f.Helper()
	server := zeptest.NewServer()
	f.Cleanup(server.Close)
	transport := &inProcess{Handler: server}
	c, err := zep.NewClient(zep.WithAPIKey(""), zep.WithMaxAttempts(1),
		zep.WithHTTPClient(&http.Client{Transport: transport}))
	require.NoError(f, err)
	_, err = c.Collection.Add(context.Background(), &zep.CreateCollectionRequest{
		Name:                "docs",
		EmbeddingDimensions: 8,
		IsAutoEmbedded:      true,
	})
	require.NoError(f, err)
	return c, transport
}

var (
	surrogatePairs = regexp.MustCompile(`\\ud[89ab]..\\ud[c-f]..`)
	changedEscapes = regexp.MustCompile(`\\u0000|\\ud[89a-f]`)
)

// storableJSON reports whether the server stores every text of valid JSON as it is.
func storableJSON(raw string) bool {
	escapes := strings.ToLower(strings.ReplaceAll(raw, `\\`, "backslash"))
	escapes = surrogatePairs.ReplaceAllString(escapes, "")
	return utf8.ValidString(raw) && !changedEscapes.MatchString(escapes)
}

// requireRefusedOrSent checks that a call is refused before it is sent if its text is not storable,
// and is made otherwise. It reports which.
func requireRefusedOrSent(t *testing.T, p *inProcess, ok bool, call func() error) bool {
	t.Helper()
	before := p.requests.Load()
	err := call()
	if ok {
		require.NoError(t, err)
		return true
	}
	require.ErrorIs(t, err, zep.ErrBadRequest)
	require.Less(t, len(err.Error()), 5000)
	require.NotRegexp(t, `[\n\r\x{2028}\x{2029}]`, err.Error())
	require.Equal(t, before, p.requests.Load(), "nothing is sent")
	return false
}

// FuzzText puts any text into every kind of field: the request is refused, or the server stores
// what was given.
func FuzzText(f *testing.F) {
	for _, text := range []string{
		"", "a", "Andr\xe9", "nu\x00l", "\ufffd", `\ufffd`, `\u0000`, "é日本😀", "<&>\u2028", "\x7f\x01",
		"\xed\xa0\x80", "\xf0\x9f", `"\`, "\n", "system", "k\xe1",
	} {
		f.Add(text, "k")
		f.Add("v", text)
	}
	ctx := context.Background()
	c, transport := textClient(f)
	f.Fuzz(func(t *testing.T, text, key string) {
		if len(text) > 900 {
			return // a description has at most 1000 characters
		}
		list := []any{text, 1.5, nil, map[string]any{key: text}}
		metadata := zep.Metadata{"k": list, "own": map[string]any{key: true}}
		ok := storable(text)
		all := ok && storable(key)
		sent := func(ok bool, call func() error) bool {
			return requireRefusedOrSent(t, transport, ok, call)
		}
		var user *zep.User
		if sent(all, func() (err error) {
			user, err = c.User.Add(ctx, &zep.CreateUserRequest{
				UserID:    "u",
				Email:     text,
				FirstName: text,
				LastName:  text,
				Metadata:  metadata,
			})
			return err
		}) {
			require.NoError(t, c.User.Delete(ctx, "u"))
			require.Equal(t, []string{text, text, text},
				[]string{user.Email, user.FirstName, user.LastName})
			require.Equal(t, metadata, user.Metadata)
		}
		if sent(all, func() error {
			return c.Memory.Add(ctx, "s", &zep.AddMemoryRequest{Messages: []*zep.Message{{
				Role:     zep.Role("r" + text),
				Content:  "c" + text,
				Metadata: metadata,
			}}})
		}) {
			memory, err := c.Memory.Get(ctx, "s", nil)
			require.NoError(t, err)
			last := memory.Messages[len(memory.Messages)-1]
			require.Equal(t, "r"+text, string(last.Role))
			require.Equal(t, "c"+text, last.Content)
			require.Equal(t, metadata, last.Metadata)
			require.NoError(t, c.Session.Delete(ctx, "s"))
		}
		var uuids []string
		if sent(all, func() (err error) {
			uuids, err = c.Document.Add(ctx, "docs", []*zep.CreateDocumentRequest{
				{Content: "before"},
				{Content: "c" + text, Metadata: metadata},
			})
			return err
		}) {
			d, err := c.Document.Get(ctx, "docs", uuids[1])
			require.NoError(t, err)
			require.Equal(t, "c"+text, d.Content)
			require.Equal(t, metadata, d.Metadata)
			require.NoError(t, c.Document.DeleteAll(ctx, "docs", uuids))
		}
		var docs *zep.Collection
		if sent(ok, func() (err error) {
			docs, err = c.Collection.Update(ctx, &zep.UpdateCollectionRequest{
				Name:        "docs",
				Description: "d" + text,
			})
			return err
		}) {
			require.Equal(t, "d"+text, docs.Description)
		}
		sent(ok, func() error {
			_, err := c.Memory.Search(ctx, "s", &zep.SearchMemoryRequest{Text: "t" + text})
			return err
		})
	})
}

// FuzzTextOfMarshaler does so with the JSON of a value that encodes itself.
func FuzzTextOfMarshaler(f *testing.F) {
	for _, raw := range []string{
		`{}`, `"\u0000"`, `"\\u0000"`, `"\\\u0000"`, `"\ud83d\ude00"`, `"\ude00\ud83d"`, `"\uD83D"`,
		`"\ud83dude00"`, `"\ufffd"`, `{"\u0000":1}`, `{"a":{"a":[1,-0,1e-400,"<\/>"]},"a":2}`,
		"\"\xff\"", "{\"\xe1\":1,\"\xe9\":2}", `"\ud800\\udc00"`, `"\ud800\\\udc00"`, "\"\u2028\ufffd\"", ` [ null ] `,
	} {
		f.Add(raw)
	}
	ctx := context.Background()
	c, transport := textClient(f)
	f.Fuzz(func(t *testing.T, raw string) {
		var want any
		if len(raw) > 5000 || json.Unmarshal([]byte(raw), &want) != nil {
			return
		}
		for _, value := range []any{
			json.RawMessage(raw), []json.RawMessage{json.RawMessage(raw)}, selfEncoded{raw},
		} {
			var user *zep.User
			if !requireRefusedOrSent(t, transport, storableJSON(raw), func() (err error) {
				user, err = c.User.Add(ctx, &zep.CreateUserRequest{
					UserID:   "u",
					Metadata: zep.Metadata{"k": value},
				})
				return err
			}) {
				continue
			}
			require.NoError(t, c.User.Delete(ctx, "u"))
			stored := user.Metadata["k"]
			if list, ok := value.([]json.RawMessage); ok {
				require.Len(t, stored, len(list))
				stored = stored.([]any)[0]
			}
			require.Equal(t, want, stored)
		}
	})
}

type selfEncoded struct{ raw string }

func (s selfEncoded) MarshalJSON() ([]byte, error) { return []byte(s.raw), nil }
