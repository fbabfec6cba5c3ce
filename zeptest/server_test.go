package zeptest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/zeptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newServer starts a server that is closed when the test ends.
func newServer(t *testing.T, opts ...zeptest.Option) *zeptest.Server {
	t.Helper()
	s := zeptest.NewServer(opts...)
	t.Cleanup(s.Close)
	return s
}

// send sends a request to the server, path and query as they are below /api/v1.
func send(t *testing.T, s *zeptest.Server, method, path, body string) (status int, answer string) {
	t.Helper()
	resp, err := try(s, method, path, body)
	require.NoError(t, err)
	return resp.StatusCode, resp.body
}

type response struct {
	*http.Response
	body string
}

func try(s *zeptest.Server, method, path, body string) (response, error) {
	return tryContext(context.Background(), s, method, path, body)
}

func tryContext(ctx context.Context, s *zeptest.Server, method, path, body string) (response,
	error) {
	req, err := http.NewRequestWithContext(ctx, method, s.URL+"/api/v1"+path,
		strings.NewReader(body))
	if err != nil {
		return response{}, err
	}
	// On a new connection, a client does not silently repeat a request.
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return response{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return response{resp, string(text)}, err
}

func addUsers(t *testing.T, s *zeptest.Server, userIDs ...string) {
	t.Helper()
	for _, userID := range userIDs {
		body, err := json.Marshal(map[string]string{"user_id": userID})
		require.NoError(t, err)
		status, answer := send(t, s, "POST", "/user", string(body))
		require.Equal(t, http.StatusCreated, status, answer)
	}
}

type record struct {
	ID        int64          `json:"id"`
	UpdatedAt time.Time      `json:"updated_at"`
	UserID    *string        `json:"user_id"`
	SessionID string         `json:"session_id"`
	Metadata  map[string]any `json:"metadata"`
}

func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	require.NoError(t, json.Unmarshal([]byte(text), &v), text)
	return v
}

func TestAuthentication(t *testing.T) {
	t.Parallel()
	s := newServer(t, zeptest.WithAPIKey("secret"))
	for _, test := range []struct {
		name, path, authorization string
		status                    int
		body                      string
	}{
		{"no token", "/api/v1/user", "", 401, "no token found\n"},
		{"no scheme", "/api/v1/user", "secret", 401, "no token found\n"},
		{"other scheme", "/api/v1/user", "Basic secret", 401, "no token found\n"},
		{"empty token", "/api/v1/user", "Bearer ", 401, "no token found\n"},
		{"wrong token", "/api/v1/user", "Bearer Secret", 401, "token is unauthorized\n"},
		{"right token", "/api/v1/user", "Bearer secret", 200, "[]\n"},
		{"scheme in lower case", "/api/v1/user", "bearer secret", 200, "[]\n"},
		{"before the path is looked at", "/api/v1/nothing", "", 401, "no token found\n"},
		{"not below the base path", "/healthz", "", 200, "."},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest("GET", test.path, nil)
			if test.authorization != "" {
				r.Header.Set("Authorization", test.authorization)
			}
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			assert.Equal(t, test.status, w.Code)
			assert.Equal(t, test.body, w.Body.String())
		})
	}
}

func TestClient(t *testing.T) {
	t.Parallel()
	s := newServer(t, zeptest.WithAPIKey("secret"), zeptest.WithServerVersion("0.27.2-test"))
	ctx := context.Background()

	client, err := s.Client()
	require.NoError(t, err)
	_, err = client.User.List(ctx, nil)
	assert.NoError(t, err)
	health, err := client.Health(ctx)
	require.NoError(t, err)
	assert.Equal(t, "0.27.2-test", health.Version)

	client, err = s.Client(zep.WithAPIKey("other"))
	require.NoError(t, err)
	_, err = client.User.List(ctx, nil)
	assert.ErrorIs(t, err, zep.ErrUnauthorized)

	_, err = s.Client(zep.WithAPIKey("two words"))
	assert.Error(t, err)
}

func TestPaths(t *testing.T) {
	t.Parallel()
	s := newServer(t, zeptest.WithoutWebUI())
	addUsers(t, s, "a@b", "a b", "nul", "..x")
	const notFound, unknown = "not found\n", "404 page not found\n"
	for _, test := range []struct {
		method, path string
		status       int
		body         string // "" for any
		allow        []string
	}{
		{"GET", "/user/a@b", 200, "", nil},
		{"GET", "/user/a%40b", 404, notFound, nil},
		{"GET", "/user/a%20b", 200, "", nil},
		{"GET", "/user/nu%00l", 200, "", nil},
		{"GET", "/user/..x", 200, "", nil},
		{"GET", "/user//a@b/", 200, "", nil},
		{"GET", "/sessions/../user/a@b", 200, "", nil},
		{"GET", "/sessions/%2e%2e/user/a@b", 404, unknown, nil},
		{"GET", "/user/a@b/nothing", 404, unknown, nil},
		{"GET", "/nothing", 404, unknown, nil},
		{"GET", "", 404, unknown, nil},
		{"GET", "/..", 404, unknown, nil},
		{"HEAD", "/user", 405, "", []string{"GET", "POST"}},
		{"POST", "/user/a@b", 405, "", []string{"GET", "PATCH", "DELETE"}},
		{"DELETE", "/user/", 405, "", []string{"GET", "POST"}},
		{"PUT", "/sessions/s/memory", 405, "", []string{"GET", "POST", "DELETE"}},
		{"BREW", "/nothing", 405, "", nil},
	} {
		t.Run(test.method+" "+test.path, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(test.method, "/api/v1"+test.path, nil)
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			assert.Equal(t, test.status, w.Code)
			if test.body != "" {
				assert.Equal(t, test.body, w.Body.String())
			}
			if test.status == http.StatusMethodNotAllowed {
				assert.Empty(t, w.Body.String())
			}
			assert.ElementsMatch(t, test.allow, w.Header().Values("Allow"))
			assert.NotEmpty(t, w.Header().Get("X-Zep-Version"))
		})
	}
}

func TestIDs(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	addUsers(t, s, "first")
	for _, refused := range []string{
		`{"user_id":""}`, `{"user_id":5}`, `[]`, ``, // take none
		`{"user_id":"first"}`, // takes id 2
	} {
		status, answer := send(t, s, "POST", "/user", refused)
		assert.Equal(t, 400, status, answer)
	}
	_, answer := send(t, s, "POST", "/user", `{"user_id":"second"}`)
	assert.EqualValues(t, 3, decode[record](t, answer).ID)
}

func TestDecoding(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	const cannot = "json: cannot unmarshal "
	for _, test := range []struct{ name, method, path, body, answer string }{
		{"another type's value", "POST", "/user", `[]`,
			cannot + "array into Go value of type models.CreateUserRequest"},
		// From Go 1.27 on, the field has the key.
		{"a number over float64", "POST", "/user", `{"user_id":"u","metadata":{"n":1e400}}`,
			cannot +
				"number 1e400 into Go struct field CreateUserRequest.metadata(.n)? of type " +
				"float64"},
		{"null", "POST", "/user", `null`, "bad request: UserID cannot be empty"},
		{"cut short", "POST", "/user", `{"user_id":"u"`, "unexpected EOF"},
		{"uuid of a user", "PATCH", "/user/u", `{"uuid":"x"}`, "invalid UUID length: 1"},
		{"empty uuid of a user", "PATCH", "/user/u", `{"uuid":""}`, "invalid UUID length: 0"},
		{"number for a uuid", "PATCH", "/user/u", `{"uuid":5}`, cannot +
			"number into Go struct field UpdateUserRequest.uuid of type uuid.UUID"},
		{"user of a list", "PATCH", "/user/u", `[]`,
			cannot + "array into Go value of type models.UpdateUserRequest"},
		{"session", "POST", "/sessions", `5`,
			cannot + "number into Go value of type models.CreateSessionRequest"},
		{"session update", "PATCH", "/sessions/s", `5`,
			cannot + "number into Go value of type models.UpdateSessionRequest"},
		{"messages", "POST", "/sessions/s/memory", `{"messages":{}}`,
			cannot + `object into Go struct field Memory.messages of type \[\]models.Message`},
		{"message", "POST", "/sessions/s/memory", `{"messages":[5]}`,
			cannot + "number into Go struct field Memory.messages of type models.Message"},
		{"summary", "POST", "/sessions/s/memory", `{"summary":5}`,
			cannot + "number into Go struct field Memory.summary of type models.Summary"},
		{"message update", "PATCH", "/sessions/s/messages/" + uuid1, `5`,
			cannot + "number into Go value of type models.Message"},
		{"search", "POST", "/sessions/s/search", `5`,
			cannot + "number into Go value of type models.MemorySearchPayload"},
		{"documents", "POST", "/collection/docs/document", `5`,
			cannot + `number into Go value of type \[\]models.CreateDocumentRequest`},
		{"document", "POST", "/collection/docs/document", `[5]`,
			cannot + "number into Go value of type models.CreateDocumentRequest"},
		{"document update", "PATCH", "/collection/docs/document/list/update", `[5]`,
			cannot + "number into Go value of type models.UpdateDocumentListRequest"},
		{"deleted documents", "POST", "/collection/docs/document/list/delete", `5`,
			cannot + `number into Go value of type \[\]uuid.UUID`},
		{"deleted document", "POST", "/collection/docs/document/list/delete", `[5]`,
			cannot + "number into Go value of type uuid.UUID"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			status, answer := send(t, s, test.method, test.path, test.body)
			assert.Equal(t, 400, status)
			assert.Regexp(t, "^"+test.answer+"\n$", answer)
		})
	}
	t.Run("what follows the first value", func(t *testing.T) {
		t.Parallel()
		status, _ := send(t, s, "POST", "/user", `{"user_id":"followed"} and so on`)
		assert.Equal(t, 201, status)
	})
}

func TestMetadataMerge(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, kept, sent, merged string }{
		{"new key", `{"a":1}`, `{"b":2}`, `{"a":1,"b":2}`},
		{"into none", ``, `{"b":{"c":2}}`, `{"b":{"c":2}}`},
		{"deep", `{"a":{"b":{"c":1}}}`, `{"a":{"b":{"d":2}}}`, `{"a":{"b":{"c":1,"d":2}}}`},
		{"scalars replace", `{"a":1,"b":"x","c":true,"d":[1]}`, `{"a":0,"b":"","c":false,"d":[]}`,
			`{"a":0,"b":"","c":false,"d":[]}`},
		{"null is kept", `{"a":{"b":1}}`, `{"a":null}`, `{"a":null}`},
		{"nested empty object", `{"a":{"b":1}}`, `{"a":{}}`, `{"a":{"b":1}}`},
		{"scalar over object", `{"a":{"b":1}}`, `{"a":2}`, `{"a":2}`},
		{"object over anything else", `{"a":1,"b":"s","c":true,"d":[1],"e":null,"f":0,"g":""}`,
			`{"a":{"x":1},"b":{"x":1},"c":{"x":1},"d":{"x":1},"e":{"x":1},"f":{"x":1},"g":{}}`,
			`{"a":{"x":1},"b":{"x":1},"c":{"x":1},"d":{"x":1},"e":{"x":1},"f":{"x":1},"g":{}}`},
		{"empty object over anything else", `{"a":1,"b":"s","c":[1]}`, `{"a":{},"b":{},"c":{}}`,
			`{"a":{},"b":{},"c":{}}`},
		{"nested object over a scalar", `{"a":{"b":"x","c":1}}`, `{"a":{"b":{"d":2}}}`,
			`{"a":{"b":{"d":2},"c":1}}`},
		{"NUL", `{"a":1}`, `{"b":"x\u0000y","c\u0000":[{"d\u0000":"\u0000"}]}`,
			`{"a":1,"b":"x\\u0000y","c\\u0000":[{"d\\u0000":"\\u0000"}]}`},
		{"numbers", `{"a":1}`, `{"a":1e21,"b":1e-7,"c":-0,"d":9007199254740993}`,
			`{"a":1000000000000000000000,"b":0.0000001,"c":0,"d":9007199254740992}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			kept := test.kept
			if kept == "" {
				kept = "null"
			}
			send(t, s, "POST", "/user", `{"user_id":"u","metadata":`+kept+`}`)
			status, answer := send(t, s, "PATCH", "/user/u", `{"metadata":`+test.sent+`}`)
			require.Equal(t, 200, status, answer)
			got := decode[struct{ Metadata json.RawMessage }](t, answer)
			assert.Equal(t, test.merged, string(got.Metadata))
		})
	}
}

func TestSessions(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	addUsers(t, s, "u")
	send(t, s, "POST", "/sessions", `{"session_id":"s","user_id":"u","metadata":{"a":1}}`)

	_, answer := send(t, s, "GET", "/sessions/s", "")
	before := decode[record](t, answer)
	status, answer := send(t, s, "PATCH", "/sessions/s", `{}`)
	assert.Equal(t, 200, status)
	after := decode[record](t, answer)
	assert.True(t, after.UpdatedAt.After(before.UpdatedAt))
	assert.Equal(t, before.Metadata, after.Metadata)

	_, answer = send(t, s, "PATCH", "/sessions/s",
		`{"metadata":{"system":{"x":1},"b":{"system":2}}}`)
	assert.Equal(t, map[string]any{
		"a": 1.0,
		"b": map[string]any{"system": 2.0},
	}, decode[record](t, answer).Metadata)

	status, _ = send(t, s, "DELETE", "/sessions/s/memory", "")
	assert.Equal(t, 200, status)
	status, _ = send(t, s, "DELETE", "/sessions/s/memory", "")
	assert.Equal(t, 404, status)
	_, answer = send(t, s, "GET", "/sessions", "")
	assert.Equal(t, "[]\n", answer)
	status, answer = send(t, s, "POST", "/sessions", `{"session_id":"s"}`)
	assert.Equal(t, 400, status)
	assert.Equal(t, "bad request: session already exists with session_id: s\n", answer)

	status, _ = send(t, s, "PATCH", "/sessions/s", `{"metadata":{"c":3}}`)
	assert.Equal(t, 200, status)
	_, answer = send(t, s, "GET", "/user/u/sessions", "")
	sessions := decode[[]record](t, answer)
	require.Len(t, sessions, 1)
	assert.Equal(t, "s", sessions[0].SessionID)
	assert.Zero(t, sessions[0].ID)

	status, _ = send(t, s, "DELETE", "/user/u", "")
	assert.Equal(t, 200, status)
	status, _ = send(t, s, "GET", "/sessions/s", "")
	assert.Equal(t, 404, status)
}

// TestPaging walks by cursor after most rows were deleted. Every other row comes once.
func TestPaging(t *testing.T) {
	t.Parallel()
	const n = 5000
	s := newServer(t)
	require.NoError(t, s.SeedUsers(n, func(i int) zep.CreateUserRequest {
		return zep.CreateUserRequest{
			UserID:   fmt.Sprintf("user-%04d", i),
			Metadata: zep.Metadata{"i": i},
		}
	}))
	require.NoError(t, s.SeedSessions(n, func(i int) zep.CreateSessionRequest {
		return zep.CreateSessionRequest{
			SessionID: fmt.Sprintf("session-%04d", i),
			UserID:    fmt.Sprintf("user-%04d", i),
		}
	}))
	for i := range n {
		if i%7 != 0 {
			r := httptest.NewRequest("DELETE", fmt.Sprintf("/api/v1/user/user-%04d", i), nil)
			s.ServeHTTP(httptest.NewRecorder(), r)
		}
	}
	for _, path := range []string{"/user", "/sessions"} {
		var got, want []int64
		for id := int64(1); id <= n; id += 7 {
			want = append(want, id)
		}
		for cursor := int64(0); ; {
			_, answer := send(t, s, "GET", fmt.Sprintf("%s?limit=100&cursor=%d", path, cursor), "")
			page := decode[[]record](t, answer)
			if len(page) == 0 {
				break
			}
			for _, r := range page {
				got = append(got, r.ID)
			}
			cursor = page[len(page)-1].ID
		}
		assert.Equal(t, want, got, path)
	}
	_, answer := send(t, s, "GET", "/user?cursor=9223372036854775807", "")
	assert.Equal(t, "[]\n", answer)
	// Of a limit only the lower 32 bits count, unlike of a cursor.
	_, answer = send(t, s, "GET", "/user?limit=4294967297", "")
	assert.Len(t, decode[[]record](t, answer), 1)
	_, answer = send(t, s, "GET", "/sessions?limit=4294967297&cursor=4294967297", "")
	assert.Empty(t, decode[[]record](t, answer))
}

func TestSeed_Refused(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	err := s.SeedUsers(3,
		func(int) zep.CreateUserRequest { return zep.CreateUserRequest{UserID: "same"} })
	assert.EqualError(t, err,
		"zeptest: seeding user 1: bad request: user already exists with user_id: same")
	err = s.SeedSessions(1, func(int) zep.CreateSessionRequest {
		return zep.CreateSessionRequest{SessionID: "s", UserID: "nobody"}
	})
	assert.EqualError(t, err,
		"zeptest: seeding session 0: bad request: user does not exist with user_id: nobody")
	assert.Error(t, s.SeedUsers(1, func(int) zep.CreateUserRequest {
		return zep.CreateUserRequest{UserID: "u", Metadata: zep.Metadata{"f": func() {}}}
	}))
}

func TestServer_ConcurrentUse(t *testing.T) {
	t.Parallel()
	const workers, each = 8, 25
	s := newServer(t)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range each {
				id := fmt.Sprintf("%d-%d", w, i)
				for _, call := range [][3]string{
					{"POST", "/user", `{"user_id":"` + id + `"}`},
					{"POST", "/sessions", `{"session_id":"` + id + `","user_id":"` + id + `"}`},
					{"PATCH", "/user/" + id, `{"metadata":{"a":1}}`},
					{"PATCH", "/sessions/" + id, `{"metadata":{"a":1}}`},
					{"GET", "/user?limit=10", ""},
					{"GET", "/user/" + id + "/sessions", ""},
				} {
					resp, err := try(s, call[0], call[1], call[2])
					if assert.NoError(t, err) {
						assert.Less(t, resp.StatusCode, 300, resp.body)
					}
				}
				if i%2 == 0 {
					_, err := try(s, "DELETE", "/user/"+id, "")
					assert.NoError(t, err)
				}
			}
		}()
	}
	wg.Wait()
	_, answer := send(t, s, "GET", "/user", "")
	assert.Len(t, decode[[]record](t, answer), workers*(each/2))
	_, answer = send(t, s, "GET", "/sessions", "")
	assert.Len(t, decode[[]record](t, answer), workers*(each/2))
	assert.Equal(t, workers*(each*6+each/2+1)+2, s.Requests())
}

func TestUpdates_Concurrent(t *testing.T) {
	t.Parallel()
	for _, kind := range []struct{ add, body, record string }{
		{"/user", `{"user_id":"x"}`, "/user/x"},
		{"/sessions", `{"session_id":"x"}`, "/sessions/x"},
		{"/sessions/x/memory", `{"messages":[{"uuid":"` + uuid1 + `"}]}`,
			"/sessions/x/messages/" + uuid1},
	} {
		t.Run(kind.record, func(t *testing.T) {
			t.Parallel()
			const writers, updates = 16, 20
			kept := func(opts ...zeptest.Option) int {
				s := newServer(t, opts...)
				send(t, s, "POST", kind.add, kind.body)
				var wg sync.WaitGroup
				for w := range writers {
					wg.Add(1)
					go func() {
						defer wg.Done()
						for u := range updates {
							resp, err := try(s, "PATCH", kind.record,
								fmt.Sprintf(`{"metadata":{"%d-%d":1}}`, w, u))
							if assert.NoError(t, err) {
								assert.Equal(t, 200, resp.StatusCode)
							}
						}
					}()
				}
				wg.Wait()
				_, answer := send(t, s, "GET", kind.record, "")
				return len(decode[record](t, answer).Metadata)
			}
			assert.Equal(t, writers*updates, kept())
			racy := kept(zeptest.WithRacyUpdates())
			assert.Less(t, racy, writers*updates)
			assert.Positive(t, racy)
			t.Logf("%d of %d updates kept", racy, writers*updates)
		})
	}
}

// TestRacyUpdates_OneByOne has updates that do not meet. None is lost.
func TestRacyUpdates_OneByOne(t *testing.T) {
	t.Parallel()
	s := newServer(t, zeptest.WithRacyUpdates())
	addUsers(t, s, "u")
	for _, key := range []string{"a", "b", "c"} {
		send(t, s, "PATCH", "/user/u", `{"metadata":{"`+key+`":1}}`)
	}
	_, answer := send(t, s, "GET", "/user/u", "")
	assert.Len(t, decode[record](t, answer).Metadata, 3)
	status, _ := send(t, s, "PATCH", "/user/nobody", `{"metadata":{"a":1}}`)
	assert.Equal(t, 404, status)
}

func TestResponses_Uncompressed(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	require.NoError(t, s.SeedUsers(10, func(i int) zep.CreateUserRequest {
		return zep.CreateUserRequest{UserID: fmt.Sprint(i), Email: strings.Repeat("x", 500)}
	}))
	req, err := http.NewRequest("GET", s.URL+"/api/v1/user", nil)
	require.NoError(t, err)
	req.Header.Set("Accept-Encoding", "gzip")
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	assert.Empty(t, resp.Header.Get("Content-Encoding"))
	assert.EqualValues(t, -1, resp.ContentLength)
	assert.Equal(t, []string{"chunked"}, resp.TransferEncoding)
}

// TestServer_AsHandler calls the server as a handler. It does not change the request that it gets.
func TestServer_AsHandler(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	addUsers(t, s, "u")
	r := httptest.NewRequest("GET", "/zep/api/v1/user/u", nil)
	body := r.Body
	w := httptest.NewRecorder()
	http.StripPrefix("/zep", s).ServeHTTP(w, r)
	assert.Equal(t, 200, w.Code)
	assert.Equal(t, body, r.Body)
	assert.Empty(t, r.PathValue("userId"))
}

func TestRequestLog(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	assert.Empty(t, s.RequestLog())
	assert.Zero(t, s.Requests())
	for i := range 2500 {
		r := httptest.NewRequest("GET", fmt.Sprintf("/api/v1/user/%%41?i=%d", i), &bytes.Buffer{})
		s.ServeHTTP(httptest.NewRecorder(), r)
	}
	send(t, s, "GET", "/nothing", "")
	assert.Equal(t, 2501, s.Requests())
	log := s.RequestLog()
	assert.Len(t, log, 1000)
	assert.Equal(t, zeptest.Request{
		Method: "GET",
		URI:    "/api/v1/user/%41?i=1501",
		Route:  "/user/{userId}",
	}, log[0])
	assert.Equal(t, zeptest.Request{Method: "GET", URI: "/api/v1/nothing"}, log[999])
}

// BenchmarkPageOfAMillionUsers is a page from the beginning, the middle and the end of a large
// table.
func BenchmarkPageOfAMillionUsers(b *testing.B) {
	const million = 1_000_000
	server := zeptest.NewServer()
	defer server.Close()
	require.NoError(b, server.SeedUsers(million, func(i int) zep.CreateUserRequest {
		return zep.CreateUserRequest{
			UserID:    fmt.Sprintf("user-%d@example.com", i),
			FirstName: "Jane",
			Metadata:  zep.Metadata{"n": i},
		}
	}))
	for _, page := range []struct{ limit, cursor int }{{100, 0}, {100, million / 2},
		{100, million - 100}, {5000, million / 2}} {
		b.Run(fmt.Sprintf("limit=%d/cursor=%d", page.limit, page.cursor), func(b *testing.B) {
			for range b.N {
				answer := httptest.NewRecorder()
				server.ServeHTTP(answer, httptest.NewRequest("GET",
					fmt.Sprintf("/api/v1/user?limit=%d&cursor=%d", page.limit, page.cursor), nil))
				require.Equal(b, 200, answer.Code)
			}
		})
	}
}
