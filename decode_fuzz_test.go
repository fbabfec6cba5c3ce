package zep

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The targets look for a difference from encoding/json: in a value, in an error, or in a value
// after the buffer of the response was used again.

func FuzzDecodeUsers(f *testing.F) {
	seedDecoding(f, "/user")
	f.Fuzz(func(t *testing.T, body []byte) {
		usersDecoding.check(t, body)
		userDecoding.check(t, body)
	})
}

func FuzzDecodeSessions(f *testing.F) {
	seedDecoding(f, "/sessions")
	f.Fuzz(func(t *testing.T, body []byte) {
		sessionsDecoding.check(t, body)
		sessionDecoding.check(t, body)
	})
}

func FuzzDecodeMessages(f *testing.F) {
	seedDecoding(f, "/messages")
	f.Fuzz(func(t *testing.T, body []byte) {
		messageListDecoding.check(t, body)
		messageDecoding.check(t, body)
	})
}

func FuzzDecodeMemory(f *testing.F) {
	seedDecoding(f, "/memory", string(memoryBody(2)))
	f.Fuzz(func(t *testing.T, body []byte) { memoryDecoding.check(t, body) })
}

func FuzzDecodeSearchResults(f *testing.F) {
	seedDecoding(f, "/sessions/s3/search",
		`[{"message":{"uuid":"u","role":"ai","content":"c"},"summary":null,`+
			`"dist":0.7071067690849304,"embedding":[0.5,-1e-7]},`+
			`{"message":null,"summary":{"uuid":"s","content":"c","recent_message_uuid":"u",`+
			`"metadata":{"k":1},"token_count":3},"dist":0,"embedding":null}]`)
	f.Fuzz(func(t *testing.T, body []byte) { searchResultsDecoding.check(t, body) })
}

func FuzzDecodeDocuments(f *testing.F) {
	seedDecoding(f, "/document/", string(documentsPage(2, 3)))
	f.Fuzz(func(t *testing.T, body []byte) {
		documentsDecoding.check(t, body)
		documentDecoding.check(t, body)
	})
}

// FuzzDocumentAll compares a walk that decodes documents while they come with the decoding of the
// whole list.
func FuzzDocumentAll(f *testing.F) {
	seedDecoding(f, "/document/list/get", string(documentsPage(2, 3)))
	f.Fuzz(func(t *testing.T, body []byte) {
		want, wantErr := decodeDocuments(nil, body)
		c, _, _ := scripted(t, nil, answers(200, string(body)))
		got, err := Collect(c.Document.All(context.Background(), "docs", RequestMaxAttempts(1)))
		require.Equalf(t, wantErr == nil, err == nil, "%v, not %v", err, wantErr)
		seen := map[string]bool{}
		want = slices.DeleteFunc(want, func(d *Document) bool {
			key := uuidKey(d.UUID)
			defer func() { seen[key] = true }()
			return seen[key]
		})
		if err == nil {
			require.Equal(t, want, got)
		}
	})
}

func FuzzDecodeDocumentSearch(f *testing.F) {
	documents := strings.ReplaceAll(string(documentsPage(2, 3)), `}`, `,"score":0.25}`)
	seedDecoding(f, "/collection/docs1/search",
		`{"results":`+documents+`,"query_vector":[0.25,1e-3,-0],"result_count":2,"total_pages":0,`+
			`"current_page":0}`)
	f.Fuzz(func(t *testing.T, body []byte) { documentSearchDecoding.check(t, body) })
}

// FuzzDecodeCollections: a collection has no scan. encoding/json decodes it.
func FuzzDecodeCollections(f *testing.F) {
	seedDecoding(f, "/collection")
	f.Fuzz(func(t *testing.T, body []byte) {
		collectionsDecoding.check(t, body)
		collectionDecoding.check(t, body)
	})
}

// seedDecoding adds what the server answered to a path and other bodies, unchanged and with
// something unusual in them.
func seedDecoding(f *testing.F, path string, bodies ...string) {
	f.Helper()
	seen := map[string]bool{}
	add := func(body string) {
		if !seen[body] {
			seen[body] = true
			f.Add([]byte(body))
		}
	}
	for _, r := range recordings(f) {
		ok := r.Response.Status/100 == 2
		if ok && strings.Contains(r.Request.Path, path) && len(r.Response.Body) < 2000 {
			bodies = append(bodies, r.Response.Body)
		}
	}
	for i, body := range bodies {
		add(body)
		if i > 12 {
			continue
		}
		for _, change := range unusual {
			add(strings.Replace(body, change[0], change[1], 1))
			add(strings.ReplaceAll(body, change[0], change[1]))
		}
		add(body[:len(body)/2])
		add(body + body)
	}
	for _, body := range []string{
		"", "null", "[null]", "[{},null]", "[]", "{}", "[{}]", `{"messages":null}`,
		`{"messages":[{}]}`, `{"messages":[null]}`, `{"results":[null]}`, "\ufeff[]", "<html>",
	} {
		add(body)
	}
}

// unusual are changes to a body.
var unusual = [][2]string{
	{`"uuid"`, `"UUID"`},
	{`"uuid"`, `"\u0075uid"`},
	{`"uuid"`, `"uuid":"first","uuid"`},
	{`"uuid"`, `"another":{"a":[1]},"uuid"`},
	{`"uuid"`, `"metadata":{"z":{"y":1}},"uuid"`},
	{`"uuid"`, `"created_at":"2020-01-01T00:00:00Z","uuid"`},
	{`{"uuid"`, `{"messages":null,"uuid"`},
	{`"metadata":`, `"metadata":{"a":{"b":1}},"metadata":`},
	{`"metadata":`, `"metadata":null,"metadata":`},
	{`"metadata":null`, `"metadata":{"a":1,"a":{"b":2},"a":null}`},
	{`"metadata":{`, `"metadata":{"a":{"b":{"c":[[[{}]]]}},"":"",`},
	{`"metadata":{`, `"metadata":{"x":[1,-0,2.5e-3,true,false,null,[],{}],`},
	{`"metadata":null`, `"metadata":{}`},
	{`"metadata":{`, `"metadata":{"big":1E400,`},
	{`"metadata":{`, `"metadata":{"a":` + strings.Repeat("[", 70) + strings.Repeat("]", 70) + `,`},
	{`"deleted_at":null`, `"deleted_at":"2024-05-01T12:00:00+02:00"`},
	{`"created_at":"2`, `"created_at":"\u0032`},
	{`"created_at":"2026-11-24T02`, `"created_at":"2026-11-24T2`},
	{`Z"`, `+24:60"`},
	{`Z"`, `z"`},
	{`.`, `,`},
	{`"id":`, `"id":1234567890123456789`},
	{`"id":`, `"id":90071992547409930`},
	{`"id":`, `"id":0`},
	{`"id":`, `"id":-`},
	{`"id":`, `"id":1e`},
	{`"token_count":0`, `"token_count":-0.0`},
	{`"embedding":[`, `"embedding":[16777217,0.1e-44,-0,1e38,`},
	{`"embedding":[`, `"embedding":[null,`},
	{`"embedding":[`, `"embedding":[1e39,`},
	{`"embedding":null`, `"embedding":[]`},
	{`"summary":{`, `"summary":{"uuid":"00000000-0000-0000-0000-000000000000","UUID":null,`},
	{`{"message`, `{"metadata":{"k":1},"message`},
	{`"score":0`, `"score":-0`},
	{`"is_embedded":`, `"is_embedded":false,"IS_embedded":`},
	{`null`, `nul`},
	{`"`, `'`},
	{`":"`, `":"\ud83d\ude00\ud83d\u0041`},
	{`":"`, `":"\"\\\/\b\f\n\r\t\u003c\u2028`},
	{`":"`, `":"\x`},
	{`":"`, `":"\u+041`},
	{`":"`, `":"` + "\xff\xc3\\u00e9"},
	{`":"`, `":"` + "日本\u2028😀"},
	{`":"`, `":"` + "tab\there"},
	{`":"`, `":"` + strings.Repeat("long ", 40)},
	{`,`, " ,\n\t\r "},
	{`:`, " :\v"},
	{`,`, `,,`},
	{`}`, `,}`},
	{`]`, `,]`},
	{`}`, `}}`},
	{"\n", "\x00"},
	{"\n", "]"},
}
