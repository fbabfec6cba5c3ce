package zep

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand"
	"net/http"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep/internal/jsonscan"
)

// decoding is one kind of response: how it is decoded, and the scan that is tried first.
type decoding[T any] struct {
	decode func(http.Header, []byte) (T, error)
	scan   func(*jsonscan.Scanner) T
}

func scanList[T any](scan func(*jsonscan.Scanner) *T) func(*jsonscan.Scanner) []*T {
	return func(s *jsonscan.Scanner) []*T { return jsonscan.Records(s, scan) }
}

var (
	userDecoding          = decoding[*User]{decodeUser, scanUser}
	usersDecoding         = decoding[[]*User]{decodeUsers(0), scanList(scanUser)}
	sessionDecoding       = decoding[*Session]{decodeSession, scanSession}
	sessionsDecoding      = decoding[[]*Session]{decodeSessions(0), scanList(scanSession)}
	messageDecoding       = decoding[*Message]{decodeMessage, scanMessage}
	messageListDecoding   = decoding[*MessageList]{decodeMessageList(0), scanMessageList}
	memoryDecoding        = decoding[*Memory]{decodeMemory, scanMemory}
	searchResultsDecoding = decoding[[]*MemorySearchResult]{
		decodeSearchResults, scanList(scanSearchResult),
	}
	documentDecoding       = decoding[*Document]{decodeDocument, scanDocument}
	documentsDecoding      = decoding[[]*Document]{decodeDocuments, scanList(scanDocument)}
	documentSearchDecoding = decoding[*DocumentSearchResults]{
		decodeDocumentSearch, scanDocumentSearch,
	}

	collectionDecoding  = decoding[*Collection]{decode: decodeCollection}
	collectionsDecoding = decoding[[]*Collection]{decode: decodeCollections}
)

// scans reports whether the scan alone decodes the body.
func (d decoding[T]) scans(body []byte) bool {
	if d.scan == nil {
		return false
	}
	_, ok := jsonscan.Scan(body, d.scan)
	return ok
}

// check compares what is decoded with the reference, and reports whether the scan decoded it.
func (d decoding[T]) check(t testing.TB, body []byte) (scanned bool) {
	t.Helper()
	buffer := bytes.Clone(body)
	got, err := d.decode(nil, buffer)
	require.Equal(t, body, buffer, "the body was written to")
	for i := range buffer { // the buffer is used for the next response
		buffer[i] = '#'
	}
	want, wantErr := reference[T](body)
	var refusal refusedRecord
	switch {
	case errors.As(wantErr, &refusal):
		require.Errorf(t, err, "%.1000q", body)
	case wantErr != nil:
		require.EqualErrorf(t, err, wantErr.Error(), "%.1000q", body)
	default:
		require.NoErrorf(t, err, "%.1000q", body)
		requireSame(t, body, want, got)
	}
	return d.scans(body)
}

// refusedRecord is an error for valid JSON that holds no record.
type refusedRecord string

func (r refusedRecord) Error() string { return string(r) }

// reference decodes a body with encoding/json alone. null and what has no id are no record, a null
// list is empty, and nil metadata and the zero summary are replaced.
func reference[T any](body []byte) (answer T, err error) {
	if err := json.Unmarshal(body, &answer); err != nil {
		return answer, err
	}
	value := reflect.ValueOf(&answer).Elem()
	if value.Kind() == reflect.Pointer && value.IsNil() {
		return answer, refusedRecord("null")
	}
	var object map[string]json.RawMessage
	list := map[reflect.Type]string{
		reflect.TypeFor[*Memory]():                "messages",
		reflect.TypeFor[*MessageList]():           "messages",
		reflect.TypeFor[*DocumentSearchResults](): "results",
	}[value.Type()]
	if list != "" {
		if err := json.Unmarshal(body, &object); err != nil {
			return answer, err
		}
		folded := func(key string) bool { return strings.EqualFold(key, list) }
		if !slices.ContainsFunc(slices.Collect(maps.Keys(object)), folded) {
			return answer, refusedRecord("no " + list)
		}
	}
	return answer, complete(value)
}

// hasID reports whether a record has the id that its kind is asked for by.
func hasID(record any) bool {
	switch r := record.(type) {
	case User:
		return r.UserID != ""
	case Session:
		return r.SessionID != ""
	case Message:
		return r.UUID != ""
	case MemorySearchResult:
		return (r.Message != nil || r.Summary != nil) && (r.Summary == nil || r.Summary.UUID != "")
	case Collection:
		return r.Name != ""
	case Document:
		return r.UUID != ""
	}
	return true
}

func complete(value reflect.Value) error {
	if memory, ok := value.Interface().(*Memory); ok {
		if s := memory.Summary; s != nil && s.UUID == "00000000-0000-0000-0000-000000000000" {
			memory.Summary = nil
		}
	}
	switch value.Kind() {
	case reflect.Pointer:
		if !value.IsNil() {
			return complete(value.Elem())
		}
	case reflect.Map:
		if value.IsNil() {
			value.Set(reflect.MakeMap(value.Type()))
		}
	case reflect.Slice:
		if value.Type().Elem().Kind() != reflect.Pointer {
			return nil
		}
		if value.IsNil() {
			value.Set(reflect.MakeSlice(value.Type(), 0, 0))
		}
		for i := range value.Len() {
			if value.Index(i).IsNil() {
				return refusedRecord("null in a list")
			}
			if err := complete(value.Index(i)); err != nil {
				return err
			}
		}
	case reflect.Struct:
		if value.Type() == reflect.TypeFor[time.Time]() {
			return nil
		}
		if !hasID(value.Interface()) {
			return refusedRecord("no id")
		}
		for i := range value.NumField() {
			if err := complete(value.Field(i)); err != nil {
				return err
			}
		}
	}
	return nil
}

// requireSame fails unless the values are the same, to the sign of a zero.
func requireSame(t testing.TB, body []byte, want, got any) {
	t.Helper()
	if !reflect.DeepEqual(want, got) {
		require.Equalf(t, want, got, "%.1000q", body)
		require.FailNowf(t, "not the same", "%.1000q: %#v is not %#v", body, got, want)
	}
	wantJSON, err := json.Marshal(want)
	if err != nil {
		return // a time that RFC 3339 cannot express
	}
	gotJSON, err := json.Marshal(got)
	require.NoError(t, err)
	require.Equalf(t, string(wantJSON), string(gotJSON), "%.1000q", body)
}

// checkRecorded checks a body as what the path answers with.
func checkRecorded(t testing.TB, path, body string) (known, scanned bool) {
	path, _, _ = strings.Cut(strings.TrimPrefix(path, apiPath), "?")
	list := body[0] == '['
	for _, kind := range []struct {
		match bool
		check func(testing.TB, []byte) bool
	}{
		{strings.HasSuffix(path, "/messages"), messageListDecoding.check},
		{strings.Contains(path, "/messages/"), messageDecoding.check},
		{strings.HasSuffix(path, "/memory"), memoryDecoding.check},
		{strings.HasSuffix(path, "/search") && list, searchResultsDecoding.check},
		{strings.HasSuffix(path, "/search"), documentSearchDecoding.check},
		{strings.HasSuffix(path, "/sessions") && list, sessionsDecoding.check},
		{strings.HasPrefix(path, "/sessions"), sessionDecoding.check},
		{strings.HasPrefix(path, "/user") && list, usersDecoding.check},
		{strings.HasPrefix(path, "/user"), userDecoding.check},
		{strings.HasSuffix(path, "/list/get"), documentsDecoding.check},
		{strings.Contains(path, "/document/uuid/"), documentDecoding.check},
	} {
		if kind.match {
			return true, kind.check(t, []byte(body))
		}
	}
	return false, false
}

func TestDecode_Recordings(t *testing.T) {
	t.Parallel()
	checked := 0
	for _, r := range recordings(t) {
		if r.Response.Status/100 != 2 || r.Response.Body == "OK" {
			continue
		}
		if known, scanned := checkRecorded(t, r.Request.Path, r.Response.Body); known {
			checked++
			assert.Truef(t, scanned, "%s: %s: left to encoding/json", r.Scenario, r.Step)
		}
	}
	assert.Greater(t, checked, 70)
}

// fill sets every field of a value to something that is not zero.
func fill(value reflect.Value, n *int) {
	*n++
	switch value.Kind() {
	case reflect.Pointer:
		value.Set(reflect.New(value.Type().Elem()))
		fill(value.Elem(), n)
	case reflect.Slice:
		value.Set(reflect.MakeSlice(value.Type(), 2, 2))
		fill(value.Index(0), n)
		fill(value.Index(1), n)
	case reflect.Map:
		value.Set(reflect.ValueOf(Metadata{"k": float64(*n)}))
	case reflect.String:
		value.SetString(fmt.Sprintf("text %d", *n))
	case reflect.Int, reflect.Int64:
		value.SetInt(int64(*n))
	case reflect.Float32, reflect.Float64:
		value.SetFloat(float64(*n) + 0.1)
	case reflect.Bool:
		value.SetBool(true)
	case reflect.Struct:
		if value.Type() == reflect.TypeFor[time.Time]() {
			value.Set(reflect.ValueOf(time.Date(2024, 5, 1, 12, 0, *n, 0, time.UTC)))
			return
		}
		for i := range value.NumField() {
			fill(value.Field(i), n)
		}
	default:
		panic("fill: " + value.Type().String())
	}
}

func checkEveryField[T any](t *testing.T, d decoding[T]) {
	t.Run(reflect.TypeFor[T]().String(), func(t *testing.T) {
		t.Parallel()
		var record T
		n := 0
		fill(reflect.ValueOf(&record).Elem(), &n)
		body, err := json.Marshal(record)
		require.NoError(t, err)
		require.Truef(t, d.check(t, body), "the scan does not know every field of %s", body)
		require.Equal(t, record, decoded(t, d, body))
	})
}

// TestDecode_ScansKnowEveryField fails for a field of a model that its scan does not know.
func TestDecode_ScansKnowEveryField(t *testing.T) {
	t.Parallel()
	checkEveryField(t, userDecoding)
	checkEveryField(t, usersDecoding)
	checkEveryField(t, sessionDecoding)
	checkEveryField(t, sessionsDecoding)
	checkEveryField(t, messageDecoding)
	checkEveryField(t, messageListDecoding)
	checkEveryField(t, memoryDecoding)
	checkEveryField(t, searchResultsDecoding)
	checkEveryField(t, documentDecoding)
	checkEveryField(t, documentsDecoding)
	checkEveryField(t, documentSearchDecoding)
}

func TestDecode_UnusualRecords(t *testing.T) {
	t.Parallel()
	const record = `"uuid":"u","id":7,"created_at":"2024-05-01T12:00:00Z","user_id":"x"`
	for _, test := range []struct {
		name, user string
		scanned    bool
	}{
		{"as the server sends it", `{` + record + `,"deleted_at":null,"metadata":{"k":1}}`, true},
		{"empty", `{}`, true},
		{"null fields", `{"uuid":null,"id":null,"created_at":null,"updated_at":null,` +
			`"deleted_at":null,"user_id":null,"email":null,"metadata":null}`, true},
		{"deleted", `{"deleted_at":"2024-05-01T12:00:00Z"}`, true},
		{"empty metadata", `{"metadata":{}}`, true},
		{"unknown field", `{` + record + `,"project_uuid":"p"}`, false},
		{"field in another case", `{"UUID":"u","Id":1}`, false},
		{"field that folds to another", `{"user_ıd":"x","ſirst_name":"y"}`, false},
		{"field twice", `{"user_id":"a","user_id":"b"}`, false},
		{"metadata twice", `{"metadata":{"a":1},"metadata":{"b":2}}`, false},
		{"id out of range", `{"id":9223372036854775808}`, false},
		{"wrong type", `{"user_id":1}`, false},
		{"null", `null`, false},
		{"array", `[]`, false},
		{"HTML", `<html></html>`, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, test.scanned, userDecoding.check(t, []byte(test.user)))
			list := []byte(`[{"id":3},` + test.user + `]`)
			assert.Equal(t, test.scanned, usersDecoding.check(t, list), "in a list")
		})
	}
}

func TestDecode_NullLists(t *testing.T) {
	t.Parallel()
	lists := map[string]bool{
		`[]`: true, " [ ] \n": true, `[{}]`: true, `[{},{}]`: true, `null`: false, `[null]`: false,
		`[{},null]`: false, `{}`: false, ``: false, `[{}`: false, `[{}]x`: false,
	}
	for body, scanned := range lists {
		assert.Equalf(t, scanned, usersDecoding.check(t, []byte(body)), "%q", body)
		assert.Equalf(t, scanned, sessionsDecoding.check(t, []byte(body)), "%q", body)
		assert.Equalf(t, scanned, searchResultsDecoding.check(t, []byte(body)), "%q", body)
		assert.Equalf(t, scanned, documentsDecoding.check(t, []byte(body)), "%q", body)
		collectionsDecoding.check(t, []byte(body))
	}
	objects := map[string]bool{
		`{}`: true, `{"LIST":null}`: true, `{"LIST":[]}`: true, `{"LIST":[{}]}`: true,
		`{"LIST":[null]}`: false, `{"LIST":[{},null]}`: false, `{"LIST":{}}`: false,
		`{"LIST":[],"LIST":null}`: false, `null`: false, `[]`: false,
	}
	for body, scanned := range objects {
		messages := []byte(strings.ReplaceAll(body, "LIST", "messages"))
		assert.Equalf(t, scanned, messageListDecoding.check(t, messages), "%q", body)
		assert.Equalf(t, scanned, memoryDecoding.check(t, messages), "%q", body)
		results := []byte(strings.ReplaceAll(body, "LIST", "results"))
		assert.Equalf(t, scanned, documentSearchDecoding.check(t, results), "%q", body)
	}
}

func TestDecode_Memory(t *testing.T) {
	t.Parallel()
	zero := "00000000-0000-0000-0000-000000000000"
	for body, scanned := range map[string]bool{
		`{"messages":[],"summary":null}`:                                            true,
		`{"messages":[],"summary":{"uuid":"` + zero + `","token_count":0}}`:         true,
		`{"messages":[],"summary":{"uuid":"` + zero + `","unknown":0}}`:             false,
		`{"messages":[],"summary":{"uuid":"u","content":"c"}}`:                      true,
		`{"messages":[],"summary":{"uuid":"u","metadata":null},"metadata":{}}`:      true,
		`{"messages":[{"role":"ai","content":"a\nb","token_count":3}]}`:             true,
		`{"messages":[{"role":"ai"}],"summary":{"uuid":"u","UUID":"` + zero + `"}}`: false,
		`{"summary":[]}`: false,
	} {
		assert.Equalf(t, scanned, memoryDecoding.check(t, []byte(body)), "%q", body)
	}
}

func TestDecode_Embeddings(t *testing.T) {
	t.Parallel()
	for value, scanned := range map[string]bool{
		`null`: true, `[]`: true, `[0,-0,1,-0.5,1e-7,0.70710677]`: true, `[1e-50]`: true,
		`[null]`: false, `[1e39]`: false, `["1"]`: false, `{}`: false, `[1,]`: false, `[01]`: false,
	} {
		body := []byte(`{"embedding":` + value + `}`)
		assert.Equalf(t, scanned, documentDecoding.check(t, body), "%q", body)
		body = slices.Concat([]byte("["), body, []byte("]"))
		assert.Equalf(t, scanned, documentsDecoding.check(t, body), "%q", body)
		assert.Equalf(t, scanned, searchResultsDecoding.check(t, body), "%q", body)
		body = []byte(`{"query_vector":` + value + `}`)
		assert.Equalf(t, scanned, documentSearchDecoding.check(t, body), "%q", body)
	}
}

// TestDecode_MetadataIsNeverNil decodes by both ways: an unknown field leaves a body to
// encoding/json.
func TestDecode_MetadataIsNeverNil(t *testing.T) {
	t.Parallel()
	for _, fields := range []string{
		``, `,"metadata":null`, `,"unknown":1`, `,"unknown":1,"metadata":null`,
	} {
		body := `{"uuid":"u","user_id":"j","session_id":"s","name":"c"` + fields + `}`
		one, many := []byte(body), []byte("["+body+"]")
		memory := []byte(`{"messages":[` + body + `],"summary":` + body + `,"unknown":1}`)
		empty := []byte(`{"messages":[]` + fields + `}`)
		message, summary := []byte(`[{"message":`+body+`}]`), []byte(`[{"summary":`+body+`}]`)
		found := []byte(`{"results":[` + body + `]}`)
		for i, metadata := range []Metadata{
			decoded(t, userDecoding, one).Metadata,
			decoded(t, usersDecoding, many)[0].Metadata,
			decoded(t, sessionDecoding, one).Metadata,
			decoded(t, sessionsDecoding, many)[0].Metadata,
			decoded(t, messageDecoding, one).Metadata,
			decoded(t, messageListDecoding, memory).Messages[0].Metadata,
			decoded(t, memoryDecoding, empty).Metadata,
			decoded(t, memoryDecoding, memory).Messages[0].Metadata,
			decoded(t, memoryDecoding, memory).Summary.Metadata,
			decoded(t, searchResultsDecoding, message)[0].Metadata,
			decoded(t, searchResultsDecoding, message)[0].Message.Metadata,
			decoded(t, searchResultsDecoding, summary)[0].Summary.Metadata,
			decoded(t, collectionDecoding, one).Metadata,
			decoded(t, collectionsDecoding, many)[0].Metadata,
			decoded(t, documentDecoding, one).Metadata,
			decoded(t, documentsDecoding, many)[0].Metadata,
			decoded(t, documentSearchDecoding, found).Results[0].Metadata,
		} {
			assert.Equalf(t, Metadata{}, metadata, "%s: %d", body, i)
		}
	}
}

func decoded[T any](t testing.TB, d decoding[T], body []byte) T {
	t.Helper()
	value, err := d.decode(nil, body)
	require.NoError(t, err)
	return value
}

// TestDecode_WhatGoEncodes: the server is written in Go, so no scan may fail for what Go encodes.
func TestDecode_WhatGoEncodes(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewSource(1))
	letters := []rune("abcdefghijklmnopqrstuvwxyz0123456789-_ <>&\"\\\n\t\x00\x7fäé日本\u2028😀")
	text := func() string {
		runes := make([]rune, random.Intn(1<<random.Intn(8)))
		for i := range runes {
			runes[i] = letters[random.Intn(len(letters))]
		}
		return string(runes)
	}
	moment := func() time.Time {
		precision := []time.Duration{1, 1e3, 1e6, 1e9}[random.Intn(4)]
		at := time.Unix(random.Int63n(1<<33), random.Int63n(1e9)).UTC().Truncate(precision)
		if random.Intn(4) == 0 {
			at = at.In(time.FixedZone("", 60*random.Intn(1000)-30000))
		}
		return at
	}
	var anything func(depth int) any
	object := func(depth int) map[string]any {
		m := map[string]any{}
		for range random.Intn(6) {
			m[text()] = anything(depth + 1)
		}
		return m
	}
	anything = func(depth int) any {
		switch kind := random.Intn(9); {
		case kind == 0 && depth < 3:
			return object(depth)
		case kind == 1 && depth < 3:
			list := make([]any, random.Intn(5))
			for i := range list {
				list[i] = anything(depth + 1)
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
	// randomize sets a value to anything of its type.
	var randomize func(value reflect.Value)
	randomize = func(value reflect.Value) {
		switch value.Kind() {
		case reflect.Pointer:
			if value.Type() == reflect.TypeFor[*time.Time]() && random.Intn(2) == 0 {
				return
			}
			value.Set(reflect.New(value.Type().Elem()))
			randomize(value.Elem())
		case reflect.Slice:
			n := random.Intn(5)
			value.Set(reflect.MakeSlice(value.Type(), n, n))
			for i := range n {
				randomize(value.Index(i))
			}
		case reflect.Map:
			if random.Intn(5) > 0 {
				value.Set(reflect.ValueOf(Metadata(object(0))))
			}
		case reflect.String:
			value.SetString(text())
		case reflect.Int, reflect.Int64:
			value.SetInt(int64(random.Uint64()) >> random.Intn(63))
		case reflect.Float32, reflect.Float64:
			value.SetFloat(random.NormFloat64() * float64(random.Intn(2000)) / 1000)
		case reflect.Bool:
			value.SetBool(random.Intn(2) == 0)
		case reflect.Struct:
			if value.Type() == reflect.TypeFor[time.Time]() {
				value.Set(reflect.ValueOf(moment()))
				return
			}
			for i := range value.NumField() {
				randomize(value.Field(i))
			}
		}
	}
	for range 100 {
		for _, kind := range []struct {
			value any
			check func(testing.TB, []byte) bool
		}{
			{new(User), userDecoding.check}, {new([]*User), usersDecoding.check},
			{new(Session), sessionDecoding.check}, {new([]*Session), sessionsDecoding.check},
			{new(Message), messageDecoding.check}, {new(MessageList), messageListDecoding.check},
			{new(Memory), memoryDecoding.check},
			{new([]*MemorySearchResult), searchResultsDecoding.check},
			{new(Document), documentDecoding.check}, {new([]*Document), documentsDecoding.check},
			{new(DocumentSearchResults), documentSearchDecoding.check},
		} {
			randomize(reflect.ValueOf(kind.value).Elem())
			body, err := json.Marshal(kind.value)
			require.NoError(t, err)
			if random.Intn(3) == 0 { // the keys in another order, and more of them
				var members any
				decoder := json.NewDecoder(bytes.NewReader(body))
				decoder.UseNumber()
				require.NoError(t, decoder.Decode(&members))
				body, err = json.MarshalIndent(members, "\t", " ")
				require.NoError(t, err)
			}
			require.True(t, kind.check(t, body), "%s", body)
		}
	}
}

func TestDecode_PrefixesAreErrors(t *testing.T) {
	t.Parallel()
	user, document := bytes.TrimSpace(usersPage(1)), bytes.TrimSpace(documentsPage(1, 3))
	for n := range user {
		require.False(t, usersDecoding.check(t, user[:n]))
	}
	for n := range document {
		require.False(t, documentsDecoding.check(t, document[:n]))
	}
	for n := range user { // one byte less or more in the middle may be valid
		usersDecoding.check(t, slices.Concat(user[:n], user[n+1:]))
		usersDecoding.check(t, slices.Concat(user[:n+1], user[n:]))
	}
}

// TestDecode_KeptRecordsAreSmall measures the heap, so it does not run in parallel.
func TestDecode_KeptRecordsAreSmall(t *testing.T) {
	const pages, perPage, maxPerRecord = 20, 500, 2 << 10
	heap := func() int64 {
		runtime.GC()
		runtime.GC() // the second empties the pools
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return int64(stats.HeapAlloc)
	}
	message := []byte(`{"content":"` + strings.Repeat("word", 1<<15) + `.","uuid":"9672fadd"}`)
	for name, keep := range map[string]func() any{
		"user": func() any {
			return mustScan(t, usersDecoding, usersPage(perPage))[perPage/2]
		},
		"session": func() any {
			return mustScan(t, sessionsDecoding, sessionsPage(perPage))[perPage/2]
		},
		"message": func() any {
			return mustScan(t, messageListDecoding, messagesPage(perPage)).Messages[perPage/2]
		},
		"memory's message": func() any {
			return mustScan(t, memoryDecoding, memoryBody(perPage)).Messages[perPage/2]
		},
		"document": func() any {
			return mustScan(t, documentsDecoding, documentsPage(perPage, 16))[perPage/2]
		},
		"message's UUID": func() any { return mustScan(t, messageDecoding, message).UUID },
	} {
		before, kept := heap(), make([]any, 0, pages)
		for range pages {
			kept = append(kept, keep())
		}
		assert.Lessf(t, heap()-before, int64(pages*maxPerRecord), "of a kept %s", name)
		runtime.KeepAlive(kept)
	}
}

func TestDecode_Allocations(t *testing.T) {
	checkAllocations(t, usersDecoding, usersPage(100))
	checkAllocations(t, sessionsDecoding, sessionsPage(100))
	checkAllocations(t, messageListDecoding, messagesPage(100))
	checkAllocations(t, memoryDecoding, memoryBody(50))
	checkAllocations(t, documentsDecoding, documentsPage(20, 384))
}

// checkAllocations fails if decoding takes two thirds of the allocations of encoding/json, or more.
func checkAllocations[T any](t *testing.T, d decoding[T], body []byte) {
	t.Helper()
	fast := testing.AllocsPerRun(10, func() { _, _ = d.decode(nil, body) })
	exact := testing.AllocsPerRun(10, func() {
		var value T
		_ = json.Unmarshal(body, &value)
	})
	assert.Lessf(t, fast, exact*2/3, "allocations for %T", d)
}

// mustScan decodes what the scan has to decode.
func mustScan[T any](t testing.TB, d decoding[T], body []byte) T {
	t.Helper()
	require.True(t, d.scans(body))
	return decoded(t, d, body)
}

// pageOf repeats a record, which is given its number and a time.
func pageOf(n int, record func(i int, at string) string) []byte {
	all := make([]string, n)
	for i := range all {
		at := time.Date(2024, 5, 1, 12, 0, i, 123456000, time.UTC)
		all[i] = record(i+1, at.Format(time.RFC3339Nano))
	}
	return []byte("[" + strings.Join(all, ",") + "]\n")
}

// usersPage is as the server sends it, with about 350 bytes a user.
func usersPage(n int) []byte {
	return pageOf(n, func(i int, at string) string {
		return fmt.Sprintf(`{"uuid":"07beed2b-392e-4ed8-a00b-%012x","id":%d,"created_at":%q,`+
			`"updated_at":%q,"deleted_at":null,"user_id":"user-%06d",`+
			`"email":"user-%06d@example.com","first_name":"Jane","last_name":"Smith",`+
			`"metadata":{"plan":"pro","seats":%d,"active":true,"company":"Example \u0026 Sons"}}`,
			i, i, at, at, i, i, i%50)
	})
}

func sessionsPage(n int) []byte {
	return pageOf(n, func(i int, at string) string {
		return fmt.Sprintf(`{"uuid":"3f8bc625-2c28-4890-ab36-%012x","id":%d,"created_at":%q,`+
			`"updated_at":%q,"deleted_at":null,"session_id":"session-%06d",`+
			`"metadata":{"channel":"web","score":%d.5},"user_id":"user-%06d"}`,
			i, i, at, at, i, i%50, i)
	})
}

func messageRecords(n int) []byte {
	content := strings.Repeat("What is said in a turn. ", 8)
	return pageOf(n, func(i int, at string) string {
		return fmt.Sprintf(`{"uuid":"9672fadd-9d7c-475d-a47d-%012x","created_at":%q,`+
			`"updated_at":"0001-01-01T00:00:00Z","role":"human",`+
			`"content":"%s It\u0026s number %d.\nIs that all?","metadata":{"k":%d},`+
			`"token_count":30}`,
			i, at, content, i, i)
	})
}

func messagesPage(n int) []byte {
	return fmt.Appendf(nil, `{"messages":%s,"total_count":%d,"row_count":%d}`,
		messageRecords(n), n, n)
}

func memoryBody(n int) []byte {
	return fmt.Appendf(nil, `{"messages":%s,`+
		`"summary":{"uuid":"4f3c6a5e-0d0c-4f8e-9d58-1d4f3d2c1b0a",`+
		`"created_at":"2024-05-01T12:00:00.123456Z","content":"They talked.",`+
		`"recent_message_uuid":"9672fadd-9d7c-475d-a47d-000000000001","token_count":12}}`+"\n",
		messageRecords(n))
}

// documentsPage has embeddings of the given number of random numbers, as Go encodes them.
func documentsPage(n, dimensions int) []byte {
	random := rand.New(rand.NewSource(1))
	embedding := make([]float32, dimensions)
	return pageOf(n, func(i int, at string) string {
		for j := range embedding {
			embedding[j] = float32(random.NormFloat64() / 20)
		}
		numbers, _ := json.Marshal(embedding)
		return fmt.Sprintf(`{"uuid":"f61163b5-373e-442f-bd57-%012x","created_at":%q,`+
			`"updated_at":"0001-01-01T00:00:00Z","document_id":"doc-%d",`+
			`"content":"The quick brown fox, number %d.","metadata":{"k":%d},"embedding":%s,`+
			`"is_embedded":true}`, i, at, i, i, i, numbers)
	})
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
func BenchmarkDecodeMemory(b *testing.B) { benchmarkDecoding(b, memoryDecoding, memoryBody(50)) }
func BenchmarkDecodeDocuments(b *testing.B) {
	benchmarkDecoding(b, documentsDecoding, documentsPage(500, 384))
}

func benchmarkDecoding[T any](b *testing.B, d decoding[T], body []byte) {
	mustScan(b, d, body)
	exact := func(_ http.Header, body []byte) (value T, err error) {
		err = json.Unmarshal(body, &value)
		return value, err
	}
	for _, way := range []struct {
		name   string
		decode func(http.Header, []byte) (T, error)
	}{{"fast", d.decode}, {"encoding-json", exact}} {
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
