package zep

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// recordedRecords are the users or sessions in the recorded answers: those of whose objects have the given id.
func recordedRecords(t *testing.T, id string) map[string][]json.RawMessage {
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
			if json.Unmarshal(record, &object) == nil && object[id] != nil && object["uuid"] != nil {
				name := r.Scenario + ": " + r.Step
				found[name] = append(found[name], record)
			}
		}
	}
	return found
}

// decodesWhole decodes a recorded record, and fails on a field that has no place in the model or that comes back as something
// else. It returns the record as the model gives it back, to be compared with the recording.
func decodesWhole(t *testing.T, name string, record json.RawMessage, model any) (was, is map[string]any) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(record))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(model), name)
	data, err := json.Marshal(model)
	require.NoError(t, err, name)
	require.NoError(t, json.Unmarshal(record, &was), name)
	require.NoError(t, json.Unmarshal(data, &is), name)
	return was, is
}

func TestEveryRecordedUserDecodesWhole(t *testing.T) {
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
			was, is := decodesWhole(t, name, record, &user)
			assert.Equal(t, was, is, name)
			assert.NotEmpty(t, user.UserID, name)
			assert.NotZero(t, user.ID, name)
			assert.False(t, user.CreatedAt.IsZero(), name)
			assert.False(t, user.UpdatedAt.IsZero(), name)
		}
	}
	assert.Greater(t, count, 20)
}

func TestEveryRecordedSessionDecodesWhole(t *testing.T) {
	t.Parallel()
	count := 0
	for name, records := range recordedRecords(t, "session_id") {
		for _, record := range records {
			count++
			var session Session
			was, is := decodesWhole(t, name, record, &session)
			if was["user_id"] == nil { // nobody's session
				assert.Empty(t, session.UserID, name)
				was["user_id"] = ""
			}
			assert.Equal(t, was, is, name)
			assert.NotEmpty(t, session.SessionID, name)
			assert.False(t, session.CreatedAt.IsZero(), name)
		}
	}
	assert.Greater(t, count, 5)
}

func TestADecodedUser(t *testing.T) {
	t.Parallel()
	user, err := decodeJSON[*User](nil, []byte(`{
		"uuid": "07beed2b-392e-4ed8-a00b-98a10665a804", "id": 9007199254740993,
		"created_at": "2026-11-24T02:21:53.227117Z", "updated_at": "2026-11-24T02:21:54+02:00", "deleted_at": "2026-11-25T00:00:00Z",
		"user_id": "jane", "email": "jane@example.com", "first_name": "Jane", "last_name": "Doe",
		"metadata": {"n": 1, "deep": {"list": [true, null, "x"]}}, "of_a_later_server": {"ignored": true}
	}`))
	require.NoError(t, err)
	deleted := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	assert.True(t, time.Date(2026, 11, 24, 0, 21, 54, 0, time.UTC).Equal(user.UpdatedAt))
	user.UpdatedAt = time.Time{}
	assert.Equal(t, &User{
		UUID: "07beed2b-392e-4ed8-a00b-98a10665a804", ID: 9007199254740993, // beyond 2^53, and not rounded
		CreatedAt: time.Date(2026, 11, 24, 2, 21, 53, 227117000, time.UTC), DeletedAt: &deleted,
		UserID: "jane", Email: "jane@example.com", FirstName: "Jane", LastName: "Doe",
		Metadata: Metadata{"n": 1.0, "deep": map[string]any{"list": []any{true, nil, "x"}}},
	}, user)
}

func TestAListIsNeverNil(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"[]", " [ ]\n", "null", "null\n"} {
		users, err := decodeList[User](http.Header{}, []byte(body))
		require.NoError(t, err)
		assert.NotNil(t, users)
		assert.Empty(t, users)
	}
	for _, body := range []string{"[null]", "[{},null]", "{}", `"x"`, "[1]", "", "[", "[{}", "[]x", "<html>"} {
		_, err := decodeList[Session](nil, []byte(body))
		assert.Error(t, err, body)
	}
}

// TestWhatIsSent: empty fields are left out, since the server takes them for content or refuses them.
func TestWhatIsSent(t *testing.T) {
	t.Parallel()
	deep := Metadata{"a": map[string]any{}}
	tests := []struct {
		request any
		want    string
	}{
		{CreateUserRequest{UserID: "jane"}, `{"user_id":"jane"}`},
		{CreateUserRequest{UserID: "jane", Metadata: Metadata{}}, `{"user_id":"jane"}`},
		{CreateUserRequest{UserID: "jane", Email: "e", FirstName: "f", LastName: "l", Metadata: deep}, `{"user_id":"jane","email":"e","first_name":"f","last_name":"l","metadata":{"a":{}}}`},
		{UpdateUserRequest{UserID: "jane"}, `{"user_id":"jane"}`},
		{UpdateUserRequest{UserID: "jane", Metadata: Metadata{}}, `{"user_id":"jane"}`},
		{UpdateUserRequest{UserID: "jane", Metadata: Metadata{"gone": nil}}, `{"user_id":"jane","metadata":{"gone":null}}`},
		{CreateSessionRequest{SessionID: "s"}, `{"session_id":"s"}`},
		{CreateSessionRequest{SessionID: "s", UserID: "jane", Metadata: Metadata{"a": 1}}, `{"session_id":"s","user_id":"jane","metadata":{"a":1}}`},
		{UpdateSessionRequest{SessionID: "s"}, `{}`},
		{UpdateSessionRequest{SessionID: "s", Metadata: Metadata{}}, `{}`},
		{UpdateSessionRequest{SessionID: "s", Metadata: Metadata{"a": 1}}, `{"metadata":{"a":1}}`},
	}
	for _, test := range tests {
		data, err := json.Marshal(test.request)
		require.NoError(t, err)
		assert.JSONEq(t, test.want, string(data))
	}
}

func TestMetadataDecodesIntoACallersStruct(t *testing.T) {
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
		"plan":  map[string]any{"name": "team", "seats": 12.0, "since": "2024-05-01T12:00:00Z", "tags": []any{"a", "b"}},
		"other": true,
	}
	require.NoError(t, m.Decode(&into))
	assert.Equal(t, plan{"team", 12, time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC), []string{"a", "b"}}, into.Plan)
	assert.Equal(t, "as it was", into.Kept)

	require.NoError(t, Metadata(nil).Decode(&into), "no metadata changes nothing")
	assert.Equal(t, "team", into.Plan.Name)

	for name, err := range map[string]error{
		"no pointer":     m.Decode(into),
		"nil":            m.Decode(nil),
		"wrong type":     Metadata{"plan": "free"}.Decode(&into),
		"no JSON at all": Metadata{"plan": make(chan int)}.Decode(&into),
	} {
		assert.ErrorContains(t, err, "zep: Metadata.Decode: ", name)
	}
	var mismatch *json.UnmarshalTypeError
	assert.ErrorAs(t, Metadata{"plan": "free"}.Decode(&into), &mismatch)
}
