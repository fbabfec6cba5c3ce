package zep

import (
	"bytes"
	"encoding/json"
	"math"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// recordedRecords returns the records of the recorded responses that have a UUID and the given
// key, by the name of their step.
func recordedRecords(t *testing.T, key string) map[string][]json.RawMessage {
	t.Helper()
	found := map[string][]json.RawMessage{}
	for _, r := range recordings(t) {
		if r.Response.Status >= 300 {
			continue
		}
		body := []byte(r.Response.Body)
		var list []json.RawMessage
		if json.Unmarshal(body, &list) != nil {
			list = []json.RawMessage{body}
		}
		for _, record := range list {
			var object map[string]any
			err := json.Unmarshal(record, &object)
			if err == nil && object[key] != nil && object["uuid"] != nil {
				name := r.Scenario + ": " + r.Step
				found[name] = append(found[name], record)
			}
		}
	}
	return found
}

// decodeWhole decodes a recorded record, and fails for a field that the model does not have. It
// returns the record, and what the model encodes to.
func decodeWhole(
	t *testing.T, name string, record json.RawMessage, model any,
) (recorded, encoded map[string]any) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(record))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(model), name)
	data, err := json.Marshal(model)
	require.NoError(t, err, name)
	require.NoError(t, json.Unmarshal(record, &recorded), name)
	require.NoError(t, json.Unmarshal(data, &encoded), name)
	return recorded, encoded
}

func TestUser_Recordings(t *testing.T) {
	t.Parallel()
	users := recordedRecords(t, "email")
	for name, records := range recordedRecords(t, "user_id") {
		if !strings.HasPrefix(name, "sessions: ") && !strings.Contains(name, "sessions of") {
			users[name] = records
		}
	}
	count := 0
	for name, records := range users {
		for _, record := range records {
			if bytes.Contains(record, []byte(`"session_id"`)) {
				continue
			}
			count++
			var user User
			recorded, encoded := decodeWhole(t, name, record, &user)
			assert.Equal(t, recorded, encoded, name)
			assert.NotEmpty(t, user.UserID, name)
			assert.NotZero(t, user.ID, name)
			assert.False(t, user.CreatedAt.IsZero(), name)
			assert.False(t, user.UpdatedAt.IsZero(), name)
		}
	}
	assert.Greater(t, count, 20)
}

func TestSession_Recordings(t *testing.T) {
	t.Parallel()
	count := 0
	for name, records := range recordedRecords(t, "session_id") {
		for _, record := range records {
			count++
			var session Session
			recorded, encoded := decodeWhole(t, name, record, &session)
			if recorded["user_id"] == nil { // it belongs to nobody
				assert.Empty(t, session.UserID, name)
				recorded["user_id"] = ""
			}
			assert.Equal(t, recorded, encoded, name)
			assert.NotEmpty(t, session.SessionID, name)
			assert.False(t, session.CreatedAt.IsZero(), name)
		}
	}
	assert.Greater(t, count, 5)
}

func TestUser_EveryField(t *testing.T) {
	t.Parallel()
	user, err := decodeUser(nil, []byte(`{
		"uuid": "07beed2b-392e-4ed8-a00b-98a10665a804", "id": 9007199254740993,
		"created_at": "2026-11-24T02:21:53.227117Z", "updated_at": "2026-11-24T02:21:54+02:00",
		"deleted_at": "2026-11-25T00:00:00Z", "user_id": "jane", "email": "jane@example.com",
		"first_name": "Jane", "last_name": "Doe",
		"metadata": {"n": 1, "deep": {"list": [true, null, "x"]}},
		"field_of_a_later_server": {"ignored": true}
	}`))
	require.NoError(t, err)
	deleted := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	assert.True(t, time.Date(2026, 11, 24, 0, 21, 54, 0, time.UTC).Equal(user.UpdatedAt))
	user.UpdatedAt = time.Time{}
	assert.Equal(t, &User{
		UUID:      "07beed2b-392e-4ed8-a00b-98a10665a804",
		ID:        9007199254740993, // beyond 2^53
		CreatedAt: time.Date(2026, 11, 24, 2, 21, 53, 227117000, time.UTC),
		DeletedAt: &deleted,
		UserID:    "jane",
		Email:     "jane@example.com",
		FirstName: "Jane",
		LastName:  "Doe",
		Metadata:  Metadata{"n": 1.0, "deep": map[string]any{"list": []any{true, nil, "x"}}},
	}, user)
}

// TestRequests_EmptyFieldsAreOmitted: the server takes an empty field for content, or refuses it.
func TestRequests_EmptyFieldsAreOmitted(t *testing.T) {
	t.Parallel()
	deep := Metadata{"a": map[string]any{}}
	for _, test := range []struct {
		request any
		want    string
	}{
		{CreateUserRequest{UserID: "jane"}, `{"user_id":"jane"}`},
		{CreateUserRequest{UserID: "jane", Metadata: Metadata{}}, `{"user_id":"jane"}`},
		{
			CreateUserRequest{
				UserID: "jane", Email: "e", FirstName: "f", LastName: "l", Metadata: deep,
			},
			`{"user_id":"jane","email":"e","first_name":"f","last_name":"l","metadata":{"a":{}}}`,
		},
		{UpdateUserRequest{UserID: "jane"}, `{"user_id":"jane"}`},
		{UpdateUserRequest{UserID: "jane", Metadata: Metadata{}}, `{"user_id":"jane"}`},
		{
			UpdateUserRequest{UserID: "jane", Metadata: Metadata{"null": nil}},
			`{"user_id":"jane","metadata":{"null":null}}`,
		},
		{CreateSessionRequest{SessionID: "s"}, `{"session_id":"s"}`},
		{
			CreateSessionRequest{SessionID: "s", UserID: "jane", Metadata: Metadata{"a": 1}},
			`{"session_id":"s","user_id":"jane","metadata":{"a":1}}`,
		},
		{UpdateSessionRequest{SessionID: "s"}, `{}`},
		{UpdateSessionRequest{SessionID: "s", Metadata: Metadata{}}, `{}`},
		{UpdateSessionRequest{SessionID: "s", Metadata: Metadata{"a": 1}}, `{"metadata":{"a":1}}`},
	} {
		data, err := json.Marshal(test.request)
		require.NoError(t, err)
		assert.JSONEq(t, test.want, string(data))
	}
}

func TestMetadataDecode_Struct(t *testing.T) {
	t.Parallel()
	type plan struct {
		Name  string    `json:"name"`
		Seats int       `json:"seats"`
		Since time.Time `json:"since"`
		Tags  []string  `json:"tags"`
	}
	var into struct {
		Plan plan `json:"plan"`
		Kept string
	}
	into.Kept = "as it was"
	m := Metadata{
		"plan": map[string]any{
			"name": "team", "seats": 12.0, "since": "2024-05-01T12:00:00Z", "tags": []any{"a", "b"},
		},
		"other": true,
	}
	require.NoError(t, m.Decode(&into))
	since := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	assert.Equal(t, plan{"team", 12, since, []string{"a", "b"}}, into.Plan)
	assert.Equal(t, "as it was", into.Kept)

	require.NoError(t, Metadata(nil).Decode(&into), "no metadata changes nothing")
	assert.Equal(t, "team", into.Plan.Name)
}

// TestMetadataDecode_Integers decodes floats of a server's answer, and what a caller's map holds.
func TestMetadataDecode_Integers(t *testing.T) {
	t.Parallel()
	type floats []float64
	const snowflake = 80351110224678912
	largest := new(big.Int)
	new(big.Float).SetFloat64(math.MaxFloat64).Int(largest)
	for _, test := range []struct {
		name  string
		value any
		want  any // of the type that it is decoded into
	}{
		{"int64", float64(snowflake), int64(snowflake)},
		{"uint64", float64(1 << 63), uint64(1 << 63)},
		{"smallest int64", float64(math.MinInt64), int64(math.MinInt64)},
		{"json.Number", float64(snowflake), json.Number("80351110224678912")},
		{"float64", float64(snowflake), float64(snowflake)},
		{"any", float64(snowflake), any(float64(snowflake))},
		{"2^53 + 2", float64(1<<53 + 2), int64(1<<53 + 2)},
		{"small", 12.0, 12},
		{"zero", 0.0, 0},
		{"minus zero", math.Copysign(0, -1), math.Copysign(0, -1)},
		{"1e21", 1e21, json.Number("1000000000000000000000")},
		{"largest", math.MaxFloat64, *largest},
		{"largest as a float64", math.MaxFloat64, math.MaxFloat64},
		{"fraction", 0.1, json.Number("0.1")},
		{"fraction as a float64", 1e15 + 0.125, 1e15 + 0.125},
		{"smallest", math.SmallestNonzeroFloat64, math.SmallestNonzeroFloat64},
		{"string", "80351110224678912", "80351110224678912"},
		{"int64 of the caller", int64(1<<53 + 1), int64(1<<53 + 1)},
		{"uint64 of the caller", uint64(math.MaxUint64), uint64(math.MaxUint64)},
		{"json.Number of the caller", json.Number("9007199254740993"), int64(1<<53 + 1)},
		{"raw message of the caller", json.RawMessage("9007199254740993"), int64(1<<53 + 1)},
		{"float32 of the caller", float32(snowflake), int64(float32(snowflake))},
		{"fraction in a float32", float32(0.1), json.Number("0.1")},

		{"in an array", []any{float64(snowflake), "x"}, []any{float64(snowflake), "x"}},
		{"in an array of integers", []any{float64(snowflake), 1.0}, []int64{snowflake, 1}},
		{"in an object", map[string]any{"id": float64(snowflake)},
			map[string]int64{"id": snowflake}},
		{"in Metadata", Metadata{"id": float64(snowflake)}, map[string]int64{"id": snowflake}},
		{"deep", []any{map[string]any{"ids": []any{float64(snowflake)}}},
			[]map[string][]int64{{"ids": {snowflake}}}},
		{"in a typed slice", []float64{snowflake, 1}, []int64{snowflake, 1}},
		{"in a named slice", floats{snowflake}, []int64{snowflake}},
		{"in an array of Go", [2]float64{snowflake, 1}, []int64{snowflake, 1}},
		{"in a typed map", map[string]float64{"id": snowflake}, map[string]int64{"id": snowflake}},
		{"in maps of a slice", []map[string]any{{"id": float64(snowflake)}},
			[]map[string]int64{{"id": snowflake}}},
		{"behind a pointer", ptr(float64(snowflake)), int64(snowflake)},
		{"behind a pointer to a map", &map[string]float64{"id": snowflake},
			map[string]int64{"id": snowflake}},
		{"nil map", map[string]any(nil), (*int)(nil)},
		{"nil slice", []any(nil), (*int)(nil)},
		{"nil typed slice", []float64(nil), (*int)(nil)},
		{"nil pointer", (*float64)(nil), (*int)(nil)},
		{"bytes", []byte("abc"), "YWJj"},
		{"map by numbers", map[int]string{1: "a"}, map[string]string{"1": "a"}},
		{"own JSON", cents(150), "cents"},
		{"own JSON of the pointer", &[]level{7}, []string{"level"}},
		{"time", time.Unix(0, 0).UTC(), "1970-01-01T00:00:00Z"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			into := reflect.New(reflect.MapOf(reflect.TypeFor[string](), reflect.TypeOf(test.want)))
			metadata := Metadata{"k": test.value}
			require.NoError(t, metadata.Decode(into.Interface()))
			got := into.Elem().MapIndex(reflect.ValueOf("k")).Interface()
			require.Equal(t, test.want, got)
			if f, ok := test.want.(float64); ok {
				assert.Equal(t, math.Float64bits(f), math.Float64bits(got.(float64)))
			}
			assert.Equal(t, Metadata{"k": test.value}, metadata, "the map is not written to")
		})
	}
}

// cents and level encode themselves, level by its pointer.
type (
	cents float64
	level float64
)

func (cents) MarshalText() ([]byte, error)  { return []byte("cents"), nil }
func (*level) MarshalJSON() ([]byte, error) { return []byte(`"level"`), nil }

func ptr[T any](v T) *T { return &v }

func TestMetadataDecode_Errors(t *testing.T) {
	t.Parallel()
	cycle := map[string]any{"a": 1.5}
	cycle["again"], cycle["more"] = cycle, []any{cycle}
	var into struct {
		N int `json:"n"`
	}
	for _, test := range []struct {
		name     string
		metadata Metadata
		target   any
		want     string
	}{
		{"no pointer", Metadata{}, into, "non-pointer"},
		{"nil", Metadata{}, nil, "nil"},
		{"wrong type", Metadata{"n": "free"}, &into, "string"},
		{"fraction into an int", Metadata{"n": 1.5}, &into, "number 1.5"},
		{"too large for an int", Metadata{"n": 1e19}, &into, "number 10000000000000000000"},
		{"NaN", Metadata{"ok": 1.0, "price": math.NaN()}, &into, `"price": NaN`},
		{"infinity", Metadata{"price": math.Inf(1)}, &into, `"price": +Inf`},
		{"infinity in a float32", Metadata{"price": float32(math.Inf(-1))}, &into, `"price": -Inf`},
		{"NaN in an object", Metadata{"plan": map[string]any{"price": math.NaN()}}, &into,
			`"plan": "price": NaN`},
		{"NaN in an array", Metadata{"prices": []any{1.0, math.NaN()}}, &into,
			`"prices": [1]: NaN`},
		{"NaN in a struct", Metadata{"plan": struct{ Price float64 }{math.NaN()}}, &into,
			`"plan": json: unsupported value: NaN`},
		{"channel", Metadata{"plan": make(chan int)}, &into,
			`"plan": json: unsupported type: chan int`},
		{"cycle", Metadata{"loop": cycle}, &into, `"loop": `},
	} {
		err := test.metadata.Decode(test.target)
		require.Error(t, err, test.name)
		assert.Contains(t, err.Error(), "zep: Metadata.Decode: ", test.name)
		assert.Contains(t, err.Error(), test.want, test.name)
		assert.Less(t, len(err.Error()), 300, test.name)
	}
	var mismatch *json.UnmarshalTypeError
	assert.ErrorAs(t, Metadata{"n": "free"}.Decode(&into), &mismatch)
	var unsupported *json.UnsupportedTypeError
	assert.ErrorAs(t, Metadata{"n": make(chan int)}.Decode(&into), &unsupported)
}

// FuzzMetadataDecode decodes metadata of an answer into the numbers that its text has, if the
// float64 of each is that number, and into anything.
func FuzzMetadataDecode(f *testing.F) {
	for _, text := range []string{
		`{}`, `{"id":80351110224678912}`, `{"a":{"b":[1,-0,0.1,1e21,1.7976931348623157e308]}}`,
		`{"a":9007199254740993,"b":1e-400,"c":"<&>","d":null,"e":[[]],"f":{}}`,
		`{"a":9223372036854775807,"b":-9223372036854775808,"c":123456789012345678901234567890}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var metadata Metadata
		if json.Unmarshal(text, &metadata) != nil {
			return
		}
		var back Metadata
		require.NoError(t, metadata.Decode(&back))
		requireSame(t, text, metadata, back)

		var numbers map[string]any
		decoder := json.NewDecoder(bytes.NewReader(exactJSON(t, metadata)))
		decoder.UseNumber()
		require.NoError(t, decoder.Decode(&numbers))
		requireExact(t, map[string]any(metadata), numbers)
	})
}

// exactJSON is the metadata as Decode hands it to a target.
func exactJSON(t *testing.T, metadata Metadata) []byte {
	t.Helper()
	var members map[string]json.RawMessage
	require.NoError(t, metadata.Decode(&members))
	data, err := json.Marshal(members)
	require.NoError(t, err)
	return data
}

// requireExact fails if a number in the JSON is not the float64 that the metadata holds: as a text
// of all its digits if it is an integer, and with a fraction or an exponent if it is none.
func requireExact(t *testing.T, value, number any) {
	t.Helper()
	switch value := value.(type) {
	case map[string]any:
		for key := range value {
			requireExact(t, value[key], number.(map[string]any)[key])
		}
	case []any:
		for i := range value {
			requireExact(t, value[i], number.([]any)[i])
		}
	case float64:
		text := number.(json.Number).String()
		integer, isInteger := new(big.Int).SetString(text, 10)
		require.Equal(t, value == math.Trunc(value), isInteger, "%v is %s", value, text)
		if isInteger {
			float, accuracy := new(big.Float).SetInt(integer).Float64()
			require.Equal(t, big.Exact, accuracy, "%v is %s", value, text)
			require.Equal(t, value, float)
		}
	}
}
