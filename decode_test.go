package zep

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand"
	"net/http"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A decoding is one kind of answer, and the three ways to read it.
type decoding[T any] struct {
	decode func(http.Header, []byte) (T, error)
	fast   func(*parser) T
	exact  func(http.Header, []byte) (T, error) // encoding/json alone
}

var (
	userDecoding        = decoding[*User]{decodeUser, (*parser).user, decodeJSON[*User]}
	usersDecoding       = decoding[[]*User]{decodeUsers, (*parser).users, decodeList[User]}
	sessionDecoding     = decoding[*Session]{decodeSession, (*parser).session, decodeJSON[*Session]}
	sessionsDecoding    = decoding[[]*Session]{decodeSessions, (*parser).sessions, decodeList[Session]}
	messageDecoding     = decoding[*Message]{decodeMessage, (*parser).message, decodeJSON[*Message]}
	messageListDecoding = decoding[*MessageList]{decodeMessageList, (*parser).messageList, exactMessageList}
)

func exactMessageList(header http.Header, body []byte) (*MessageList, error) {
	list, err := decodeJSON[*MessageList](header, body)
	if err == nil {
		list.Messages, err = withoutNull(list.Messages)
	}
	return list, err
}

// check compares the ways to read a body, and says whether the fast one did.
func (d decoding[T]) check(t testing.TB, body []byte) (fast bool) {
	t.Helper()
	want, wantErr := d.exact(nil, body)
	buffer := bytes.Clone(body)
	p := &parser{data: buffer, room: firstRoom}
	value := d.fast(p)
	if fast = p.done(); fast {
		require.NoErrorf(t, wantErr, "encoding/json refuses %.1000q", body)
		require.Equalf(t, body, buffer, "the body was written to")
		for i := range buffer { // what the next answer does to it
			buffer[i] = '#'
		}
		requireSame(t, body, want, value)
	}
	got, err := d.decode(nil, bytes.Clone(body))
	if wantErr != nil {
		require.EqualErrorf(t, err, wantErr.Error(), "%.1000q", body)
	} else {
		require.NoErrorf(t, err, "%.1000q", body)
	}
	requireSame(t, body, want, got)
	return fast
}

// requireSame: the values are the same, to the sign of a zero.
func requireSame(t testing.TB, body []byte, want, got any) {
	t.Helper()
	if !reflect.DeepEqual(want, got) {
		require.Equalf(t, want, got, "%.1000q", body)
		require.FailNowf(t, "not the same", "%.1000q: %#v is not %#v", body, got, want)
	}
	wanted, err := json.Marshal(want)
	if err != nil {
		return // a time beyond RFC 3339
	}
	had, err := json.Marshal(got)
	require.NoError(t, err)
	require.Equalf(t, string(wanted), string(had), "%.1000q", body)
}

// checkRecorded checks a body as all that the path may answer with.
func checkRecorded(t testing.TB, path, body string) (known, fast bool) {
	path, _, _ = strings.Cut(strings.TrimPrefix(path, apiPath), "?")
	for _, kind := range []struct {
		there bool
		check func(testing.TB, []byte) bool
	}{
		{strings.HasSuffix(path, "/messages"), messageListDecoding.check},
		{strings.Contains(path, "/messages/"), messageDecoding.check},
		{strings.Contains(path, "/memory"), nil},
		{strings.Contains(path, "/search"), nil},
		{strings.HasSuffix(path, "/sessions") && body[0] == '[', sessionsDecoding.check},
		{strings.HasPrefix(path, "/sessions"), sessionDecoding.check},
		{strings.HasPrefix(path, "/user") && body[0] == '[', usersDecoding.check},
		{strings.HasPrefix(path, "/user"), userDecoding.check},
	} {
		if kind.there && kind.check == nil {
			return false, false
		}
		if kind.there {
			return true, kind.check(t, []byte(body))
		}
	}
	return false, false
}

func TestNothingRecordedIsUnusual(t *testing.T) {
	t.Parallel()
	checked := 0
	for _, r := range recordings(t) {
		if r.Response.Status/100 != 2 || r.Response.Body == "OK" {
			continue
		}
		if known, fast := checkRecorded(t, r.Request.Path, r.Response.Body); known {
			checked++
			assert.Truef(t, fast, "%s: %s: left to encoding/json", r.Scenario, r.Step)
		}
	}
	assert.Greater(t, checked, 50)
}

func TestWhatIsDecodedFastAndWhatIsLeftToEncodingJSON(t *testing.T) {
	t.Parallel()
	const record = `"uuid":"u","id":7,"created_at":"2024-05-01T12:00:00.123456Z","deleted_at":null,"user_id":"x"`
	deep := func(n int) string {
		return `{"metadata":{"a":` + strings.Repeat(`[`, n) + strings.Repeat(`]`, n) + `}}`
	}
	for _, test := range []struct {
		name, user string
		fast       bool
	}{
		{"as Zep sends it", `{` + record + `,"metadata":{"k":"v"}}`, true},
		{"nothing in it", `{}`, true},
		{"another order", `{"metadata":{"k":1},"email":"e","uuid":"u","id":1}`, true},
		{"space everywhere", " \t\r\n{ \"id\" :\t1 , \"metadata\" : { \"a\" : [ 1 , 2 ] , \"b\" : { } } \n} \n", true},
		{"no space at all", `{"id":1}`, true},
		{"every field null", `{"uuid":null,"id":null,"created_at":null,"updated_at":null,"deleted_at":null,"user_id":null,"email":null,"metadata":null}`, true},
		{"a deleted user", `{"deleted_at":"2024-05-01T12:00:00Z"}`, true},
		{"another zone", `{"created_at":"2024-05-01T12:00:00+02:00"}`, true},
		{"the zero time", `{"created_at":"0001-01-01T00:00:00Z"}`, true},
		{"a time with more digits than are kept", `{"created_at":"2024-05-01T12:00:00.1234567891234Z"}`, true},
		{"empty metadata", `{"metadata":{}}`, true},
		{"empty values", `{"user_id":"","metadata":{"":"","a":[],"o":{},"n":null,"t":true,"f":false}}`, true},
		{"the server's escapes", `{"user_id":"\u003ca\u0026b\u003e \u2028","email":"\"\\\/\b\f\n\r\t"}`, true},
		{"an escape that is next to others", `{"user_id":"\n\nabcdefgh\n12345678\n","email":"日本\n語"}`, true},
		{"an escaped NUL", `{"user_id":"a\u0000b"}`, true},
		{"an escape in a key", `{"us\u0065r_id":"x","metadata":{"\u003ck\u003e":1}}`, true},
		{"upper-case hexadecimals", `{"user_id":"\u00E9\u00e9\uFFFD"}`, true},
		{"text that is not ASCII", `{"user_id":"日本 😀 é","metadata":{"日本":"語"}}`, true},
		{"a long text", `{"user_id":"` + strings.Repeat("long ", 1000) + `"}`, true},
		{"numbers", `{"metadata":{"a":0,"b":-0,"c":-1.5,"d":1e3,"e":1E+3,"f":1.25e-3,"g":12345678901234567890,"h":0.0,"i":9007199254740993,"j":1e-400}}`, true},
		{"the largest id", `{"id":9223372036854775807}`, true},
		{"the smallest id", `{"id":-9223372036854775808}`, true},
		{"an id that is minus nothing", `{"id":-0}`, true},
		{"deep", deep(maxDepth - 1), true},

		{"too deep", deep(maxDepth), false},
		{"an id out of range", `{"id":9223372036854775808}`, false},
		{"an id that is no integer", `{"id":1.0}`, false},
		{"an id with an exponent", `{"id":1e2}`, false},
		{"an id in quotes", `{"id":"1"}`, false},
		{"a number out of range", `{"metadata":{"a":1e400}}`, false},
		{"a number for a text", `{"user_id":1}`, false},
		{"a list for metadata", `{"metadata":[]}`, false},
		{"a key in another case", `{"UUID":"u","Id":1}`, false},
		{"a key that folds to another", `{"user_ıd":"x","ſirst_name":"y"}`, false},
		{"a key that is not known", `{` + record + `,"project_uuid":"p"}`, false},
		{"a key twice", `{"user_id":"a","user_id":"b"}`, false},
		{"a key twice, once null", `{"user_id":"a","user_id":null}`, false},
		{"metadata twice", `{"metadata":{"a":1},"metadata":{"b":2}}`, false},
		{"a key of the metadata twice", `{"metadata":{"a":{"b":1},"a":{"c":2}}}`, false},
		{"a key of the metadata twice, once escaped", `{"metadata":{"a":1,"\u0061":2}}`, false},
		{"a surrogate pair", `{"user_id":"\ud83d\ude00"}`, false},
		{"half a surrogate pair", `{"user_id":"\ud83d"}`, false},
		{"no UTF-8", "{\"user_id\":\"a\xffb\"}", false},
		{"no UTF-8 but for an escape in it", "{\"user_id\":\"\xc3\\u00a9\"}", false},
		{"no UTF-8 in a key", "{\"metadata\":{\"\xc3\":1,\"\xc4\":2}}", false},
		{"a time with a comma", `{"created_at":"2024-05-01T12:00:00,5Z"}`, true},
		{"a time with an escape", `{"created_at":"2024-05-01T12:00:00\u005a"}`, false},
		{"a time that there is not", `{"created_at":"2024-02-30T12:00:00Z"}`, false},
		{"no time", `{"created_at":""}`, false},
		{"a number for a time", `{"created_at":1}`, false},

		{"null", `null`, false},
		{"nothing", ``, false},
		{"space", ` `, false},
		{"a page", `<html></html>`, false},
		{"a list", `[]`, false},
		{"a second value", `{} {}`, false},
		{"a NUL after it", "{}\x00", false},
		{"a comma at the end", `{"id":1,}`, false},
		{"a comma at the beginning", `{,"id":1}`, false},
		{"a comma at the end of a list", `{"metadata":{"a":[1,]}}`, false},
		{"a comma too few", `{"id":1 "uuid":"u"}`, false},
		{"a colon too few", `{"id" 1}`, false},
		{"a leading zero", `{"id":01}`, false},
		{"a leading zero in metadata", `{"metadata":{"a":01}}`, false},
		{"a leading plus", `{"id":+1}`, false},
		{"a point without digits", `{"metadata":{"a":1.}}`, false},
		{"an exponent without digits", `{"metadata":{"a":1e}}`, false},
		{"no digits", `{"metadata":{"a":-}}`, false},
		{"a number in two", `{"metadata":{"a":1 2}}`, false},
		{"a number with a line", `{"metadata":{"a":1_000}}`, false},
		{"hexadecimal", `{"id":0x10}`, false},
		{"infinity", `{"metadata":{"a":Inf}}`, false},
		{"a literal cut short", `{"metadata":{"a":tru}}`, false},
		{"a literal that goes on", `{"metadata":{"a":nullable}}`, false},
		{"a control character", "{\"user_id\":\"a\nb\"}", false},
		{"a control character far on", "{\"user_id\":\"aaaaaaaaaaaaaaaaaaaaaaa\x1fb\"}", false},
		{"an escape that there is not", `{"user_id":"\x41"}`, false},
		{"an escape in capitals", `{"user_id":"\U0041"}`, false},
		{"an escape that is no number", `{"user_id":"\u+041"}`, false},
		{"an escape cut short", `{"user_id":"\u00`, false},
		{"a backslash at the end", `{"user_id":"\`, false},
		{"a mark before it", "\ufeff{}", false},
		{"a vertical tab", "{\v}", false},
		{"another space", "{\u00a0}", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, test.fast, userDecoding.check(t, []byte(test.user)))
			if test.user != `` && test.user != ` ` {
				assert.Equal(t, test.fast, usersDecoding.check(t, []byte(`[{"id":3},`+test.user+`]`)), "in a list")
			}
		})
	}
}

func TestListsAreDecodedAsEncodingJSONDoes(t *testing.T) {
	t.Parallel()
	for body, fast := range map[string]bool{
		`[]`: true, " [ ] \n": true, `[{}]`: true, `[{},{}]`: true,
		`null`: false, `[null]`: false, `[{},null]`: false, `[{},]`: false, `[,{}]`: false, `[{} {}]`: false, `[`: false, `[{}`: false,
		`]`: false, `[]]`: false, `[[]]`: false, `{}`: false, ``: false,
	} {
		assert.Equalf(t, fast, usersDecoding.check(t, []byte(body)), "%q", body)
		assert.Equalf(t, fast, sessionsDecoding.check(t, []byte(body)), "%q", body)
	}
	for body, fast := range map[string]bool{
		`{"messages":[],"total_count":0,"row_count":0}`: true, `{"messages":null}`: true, `{}`: true, `{"total_count":2}`: true,
		`{"messages":[{"role":"ai","content":"a\nb","token_count":3}],"row_count":-1}`: true,
		`{"messages":[null]}`: false, `{"messages":{}}`: false, `{"messages":[],"messages":[]}`: false, `{"messages":[{"a":1}]}`: false,
		`null`: false, `[]`: false, `{"total_count":1.5}`: false, `{"total_count":9223372036854775808}`: false,
		`{"messages":[{"token_count":"1"}]}`: false,
	} {
		assert.Equalf(t, fast, messageListDecoding.check(t, []byte(body)), "%q", body)
	}
}

// TestWhateverGoEncodesIsDecodedFast: Zep is written in Go.
func TestWhateverGoEncodesIsDecodedFast(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewSource(1))
	letters := []rune("abcdefghijklmnopqrstuvwxyz0123456789-_@.:/ <>&\"\\\n\t\x00\x7fäé日本\u2028😀")
	text := func() string {
		runes := make([]rune, random.Intn(1<<random.Intn(8)))
		for i := range runes {
			runes[i] = letters[random.Intn(len(letters))]
		}
		return string(runes)
	}
	moment := func() time.Time {
		at := time.Unix(random.Int63n(1<<33), random.Int63n(1e9)).UTC().Truncate([]time.Duration{1, 1e3, 1e6, 1e9}[random.Intn(4)])
		if random.Intn(4) == 0 {
			at = at.In(time.FixedZone("", 60*random.Intn(1000)-30000))
		}
		return at
	}
	var value func(depth int) any
	object := func(depth int) map[string]any {
		if random.Intn(5) == 0 {
			return nil
		}
		m := map[string]any{}
		for range random.Intn(6) {
			m[text()] = value(depth + 1)
		}
		return m
	}
	value = func(depth int) any {
		switch kind := random.Intn(9); {
		case kind == 0 && depth < 3:
			return object(depth)
		case kind == 1 && depth < 3:
			list := make([]any, random.Intn(5))
			for i := range list {
				list[i] = value(depth + 1)
			}
			return list
		case kind == 2:
			return nil
		case kind == 3:
			return random.Intn(2) == 0
		case kind == 4:
			return random.Int63() - random.Int63()
		case kind == 5:
			return random.NormFloat64() * 1e9
		case kind == 6:
			return random.ExpFloat64() * 1e-300
		}
		return text()
	}
	encode := func(record any) []byte {
		body, err := json.Marshal(record)
		require.NoError(t, err)
		if random.Intn(3) == 0 { // the keys by the alphabet, and more of them
			var fields any
			require.NoError(t, json.Unmarshal(body, &fields))
			body, err = json.MarshalIndent(fields, "\t", " ")
			require.NoError(t, err)
		}
		return body
	}
	for range 300 {
		var users []*User
		var sessions []*Session
		list := &MessageList{Messages: []*Message{}, TotalCount: random.Int(), RowCount: -random.Int()}
		for range random.Intn(5) {
			at := moment()
			users = append(users, &User{UUID: text(), ID: random.Int63() - random.Int63(), CreatedAt: moment(), UpdatedAt: moment(), DeletedAt: &at,
				UserID: text(), Email: text(), FirstName: text(), LastName: text(), Metadata: object(0)})
			sessions = append(sessions, &Session{UUID: text(), ID: random.Int63(), CreatedAt: moment(), UpdatedAt: moment(),
				SessionID: text(), UserID: text(), Metadata: object(0)})
			list.Messages = append(list.Messages, &Message{UUID: text(), CreatedAt: moment(), UpdatedAt: moment(), Role: Role(text()),
				Content: text(), Metadata: object(0), TokenCount: random.Int()})
		}
		require.True(t, usersDecoding.check(t, encode(append([]*User{}, users...))))
		require.True(t, sessionsDecoding.check(t, encode(append([]*Session{}, sessions...))))
		if body, err := json.Marshal(list); assert.NoError(t, err) {
			require.True(t, messageListDecoding.check(t, body))
		}
		if len(users) > 0 {
			require.True(t, userDecoding.check(t, encode(users[0])))
			require.True(t, sessionDecoding.check(t, encode(sessions[0])))
			require.True(t, messageDecoding.check(t, encode(list.Messages[0])))
		}
	}
}

// TestPlainASCIIFindsTheFirst tries every byte in every place, among bytes from either end of what is plain.
func TestPlainASCIIFindsTheFirst(t *testing.T) {
	t.Parallel()
	for _, filler := range []string{" !#[]~\x7f ", "\x7f~][#! \x7f", "!!!!!!!!", "        ", "]]]]]]]]"} {
		for place := range 8 {
			for c := range 256 {
				for _, after := range []byte{'!', '"', 0, 0xff} {
					text := []byte(filler)
					text[place] = byte(c)
					if place < 7 {
						text[place+1] = after
					}
					want := bytes.IndexFunc(text, func(r rune) bool { return r < ' ' || r == '"' || r == '\\' || r >= utf8.RuneSelf })
					if want < 0 {
						want = 8
					}
					require.Equalf(t, want, plainASCII(binary.LittleEndian.Uint64(text)), "%q", text)
				}
			}
		}
	}
}

// TestNoPrefixOfAnAnswerIsTakenForOne: an answer that was cut short.
func TestNoPrefixOfAnAnswerIsTakenForOne(t *testing.T) {
	t.Parallel()
	body := bytes.TrimSpace(usersPage(1))
	for n := range body {
		require.False(t, usersDecoding.check(t, body[:n]))
	}
	for n := range body { // a byte too few in the middle may be right
		usersDecoding.check(t, slices.Concat(body[:n], body[n+1:]))
		usersDecoding.check(t, slices.Concat(body[:n], body[n:n+1], body[n:]))
	}
}

// TestAKeptRecordDoesNotKeepItsPage measures the heap, so it does not run in parallel.
func TestAKeptRecordDoesNotKeepItsPage(t *testing.T) {
	const pages, perPage, perRecord = 20, 500, 2 << 10
	heap := func() int64 {
		runtime.GC()
		runtime.GC() // pools give way at the second
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return int64(stats.HeapAlloc)
	}
	for name, keep := range map[string]func() any{
		"user":    func() any { return must(t, usersDecoding, usersPage(perPage))[perPage/2] },
		"session": func() any { return must(t, sessionsDecoding, sessionsPage(perPage))[perPage/2] },
		"message": func() any { return must(t, messageListDecoding, messagesPage(perPage)).Messages[perPage/2] },
		"message's id": func() any {
			return must(t, messageDecoding, []byte(`{"content":"`+strings.Repeat("word", 1<<15)+`.","uuid":"9672fadd-9d7c-475d-a47d-fc439f1a5abc"}`)).UUID
		},
	} {
		before, kept := heap(), make([]any, 0, pages)
		for range pages {
			kept = append(kept, keep())
		}
		assert.Lessf(t, heap()-before, int64(pages*perRecord), "a kept %s keeps more", name)
		runtime.KeepAlive(kept)
	}
}

func TestDecodingAllocatesLittle(t *testing.T) {
	users, sessions, messages := usersPage(100), sessionsPage(100), messagesPage(100)
	for name, kind := range map[string]struct{ fast, exact func() }{
		"users":    {func() { _, _ = decodeUsers(nil, users) }, func() { _, _ = decodeList[User](nil, users) }},
		"sessions": {func() { _, _ = decodeSessions(nil, sessions) }, func() { _, _ = decodeList[Session](nil, sessions) }},
		"messages": {func() { _, _ = decodeMessageList(nil, messages) }, func() { _, _ = exactMessageList(nil, messages) }},
	} {
		fast, exact := testing.AllocsPerRun(10, kind.fast), testing.AllocsPerRun(10, kind.exact)
		assert.Lessf(t, fast, exact*2/3, "allocations for 100 %s", name)
	}
}

// must decodes what is decoded fast.
func must[T any](t testing.TB, d decoding[T], body []byte) T {
	t.Helper()
	p := &parser{data: body, room: firstRoom}
	value := d.fast(p)
	require.True(t, p.done())
	return value
}

// pageOf repeats a record, which is given its number and a time.
func pageOf(n int, record func(i int, at string) string) []byte {
	all := make([]string, n)
	for i := range all {
		all[i] = record(i+1, time.Date(2024, 5, 1, 12, 0, i, 123456000, time.UTC).Format(time.RFC3339Nano))
	}
	return []byte("[" + strings.Join(all, ",") + "]\n")
}

// usersPage is as the server sends it, with about 350 bytes a user.
func usersPage(n int) []byte {
	return pageOf(n, func(i int, at string) string {
		return fmt.Sprintf(`{"uuid":"07beed2b-392e-4ed8-a00b-%012x","id":%d,"created_at":%q,"updated_at":%q,"deleted_at":null,"user_id":"user-%06d",`+
			`"email":"user-%06d@example.com","first_name":"Jane","last_name":"Smith","metadata":{"plan":"pro","seats":%d,"active":true,"company":"Example \u0026 Sons"}}`, i, i, at, at, i, i, i%50)
	})
}

func sessionsPage(n int) []byte {
	return pageOf(n, func(i int, at string) string {
		return fmt.Sprintf(`{"uuid":"3f8bc625-2c28-4890-ab36-%012x","id":%d,"created_at":%q,"updated_at":%q,"deleted_at":null,`+
			`"session_id":"session-%06d","metadata":{"channel":"web","score":%d.5},"user_id":"user-%06d"}`, i, i, at, at, i, i%50, i)
	})
}

func messagesPage(n int) []byte {
	return []byte(fmt.Sprintf(`{"messages":%s,"total_count":%d,"row_count":%d}`, pageOf(n, func(i int, at string) string {
		return fmt.Sprintf(`{"uuid":"9672fadd-9d7c-475d-a47d-%012x","created_at":%q,"updated_at":"0001-01-01T00:00:00Z","role":"human",`+
			`"content":"%s It\u0026s number %d.\nIs that all?","metadata":{"k":%d},"token_count":30}`, i, at, strings.Repeat("What is said in a turn. ", 8), i, i)
	}), n, n))
}

func BenchmarkDecodeUsers(b *testing.B) { benchmarkDecoding(b, usersDecoding, usersPage(1000)) }
func BenchmarkDecodeSessions(b *testing.B) {
	benchmarkDecoding(b, sessionsDecoding, sessionsPage(1000))
}
func BenchmarkDecodeMessages(b *testing.B) {
	benchmarkDecoding(b, messageListDecoding, messagesPage(1000))
}
func BenchmarkDecodeUser(b *testing.B) {
	benchmarkDecoding(b, userDecoding, bytes.Trim(usersPage(1), "[]\n"))
}

func benchmarkDecoding[T any](b *testing.B, d decoding[T], body []byte) {
	must(b, d, body)
	for _, way := range []struct {
		name   string
		decode func(http.Header, []byte) (T, error)
	}{{"fast", d.decode}, {"encoding-json", d.exact}} {
		b.Run(way.name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for range b.N {
				if _, err := way.decode(nil, body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestAWordThatOnlyBeginsAsALiteralIsNone: nor one that is longer.
func TestAWordThatOnlyBeginsAsALiteralIsNone(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"trux", "falsy", "nulx", "truee", "True", "tru", "nul", "n"} {
		for _, body := range []string{`[{"metadata":{"a":` + word + `}}]`, `[{"metadata":` + word + `}]`, `[{"id":` + word + `}]`} {
			_, err := decodeUsers(nil, []byte(body))
			assert.Error(t, err, body)
		}
	}
}

// TestADecodedPageHasRoomForItsRecords, and not much more: not after a record with a lot of text, either.
func TestADecodedPageHasRoomForItsRecords(t *testing.T) {
	t.Parallel()
	record := `{"user_id":"jane","email":"jane@example.com","metadata":{"a":"` + strings.Repeat("x", 300) + `"}}`
	users, err := decodeUsers(nil, []byte("["+strings.Repeat(record+",", 999)+record+"]"))
	require.NoError(t, err)
	require.Len(t, users, 1000)
	assert.LessOrEqual(t, cap(users), 2*len(users))

	var long strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&long, `,"key-%d":"a short text"`, i)
	}
	p := &parser{data: []byte(`[{"metadata":{"a":1` + long.String() + `}},` + record + `]`), room: firstRoom}
	require.Len(t, p.users(), 2)
	require.True(t, p.done())
	assert.LessOrEqual(t, p.room, maxChunk)
}

// TestRecordsShareNoText: to keep one is not to keep the next.
func TestRecordsShareNoText(t *testing.T) {
	t.Parallel()
	users, err := decodeUsers(nil, []byte(`[{"user_id":"jane"},{"user_id":"joe"}]`))
	require.NoError(t, err)
	jane := uintptr(unsafe.Pointer(unsafe.StringData(users[0].UserID)))
	joe := uintptr(unsafe.Pointer(unsafe.StringData(users[1].UserID)))
	assert.NotEqual(t, jane+uintptr(len("jane")), joe)
}
