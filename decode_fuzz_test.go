package zep

import (
	"strings"
	"testing"
)

// What these find would be a difference from encoding/json: in a value, in an error, or in what is left of a value when the
// answer's buffer is used again.

func FuzzDecodeUsersEqual(f *testing.F) {
	seedDecoding(f, "/user")
	f.Fuzz(func(t *testing.T, body []byte) {
		usersDecoding.check(t, body)
		userDecoding.check(t, body)
	})
}

func FuzzDecodeSessionsEqual(f *testing.F) {
	seedDecoding(f, "/sessions")
	f.Fuzz(func(t *testing.T, body []byte) {
		sessionsDecoding.check(t, body)
		sessionDecoding.check(t, body)
	})
}

func FuzzDecodeMessagesEqual(f *testing.F) {
	seedDecoding(f, "/messages")
	f.Fuzz(func(t *testing.T, body []byte) {
		messageListDecoding.check(t, body)
		messageDecoding.check(t, body)
	})
}

// seedDecoding gives what the server answered to a path, and that with something unusual in it.
func seedDecoding(f *testing.F, path string) {
	f.Helper()
	seen := map[string]bool{}
	add := func(body string) {
		if !seen[body] {
			seen[body] = true
			f.Add([]byte(body))
		}
	}
	recorded := 0
	for _, r := range recordings(f) {
		if body := r.Response.Body; r.Response.Status/100 == 2 && strings.Contains(r.Request.Path, path) && len(body) < 2000 && !seen[body] {
			add(body)
			if recorded++; recorded > 12 {
				continue
			}
			for _, change := range unusual {
				add(strings.Replace(body, change[0], change[1], 1))
				add(strings.ReplaceAll(body, change[0], change[1]))
			}
			add(body[:len(body)/2])
			add(body + body)
		}
	}
	for _, body := range []string{"", "null", "[null]", "[{},null]", "[]", "{}", "[{}]", `{"messages":null}`, `{"messages":[{}]}`, "\ufeff[]", "<html>"} {
		add(body)
	}
}

// unusual are changes to an answer.
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
	{`"metadata":{`, `"metadata":{"a":{"b":{"c":[[[{}]]]}},"":"","x":[1,-0,2.5e-3,true,false,null,[],{}],`},
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
