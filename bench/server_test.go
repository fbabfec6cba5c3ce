package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func get(t *testing.T, method, url string) (*http.Response, []byte) {
	t.Helper()
	body := strings.NewReader(`{"user_id":"x"}`)
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	must(t, err)
	transport := DefaultTransport()
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	must(t, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	must(t, err)
	return resp, data
}

func TestServer_Pages(t *testing.T) {
	t.Parallel()
	for _, config := range []Config{
		{Users: 10},
		{Users: 10, OnDemand: true},
		{Users: 10, Gaps: true},
		{Users: 10, Gaps: true, OnDemand: true},
	} {
		all := []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
		if config.Gaps {
			all = []int64{1, 2, 4, 5, 7, 18, 20, 21, 23, 24} // ten ids are missing in the middle
		}
		server := serve(t, config)
		for _, query := range []string{
			"", "?limit=0", "?limit=-1", "?limit=1", "?limit=3&cursor=0", "?limit=3&cursor=2",
			"?limit=4&cursor=3", "?limit=5&cursor=7", "?cursor=17", "?limit=100&cursor=4",
			"?limit=2&cursor=10", "?limit=2&cursor=24", "?cursor=1000000",
			"?limit=9223372036854775807",
		} {
			var limit, cursor int64
			fmt.Sscanf(query, "?limit=%d&cursor=%d", &limit, &cursor)
			if limit == 0 {
				fmt.Sscanf(query, "?cursor=%d", &cursor)
			}
			want := []int64{}
			for _, id := range all {
				if id > cursor && (limit <= 0 || int64(len(want)) < limit) {
					want = append(want, id)
				}
			}
			resp, body := get(t, http.MethodGet, server.URL()+"/api/v1/user"+query)
			var users []User
			must(t, json.Unmarshal(body, &users))
			got := []int64{}
			for _, user := range users {
				got = append(got, user.ID)
			}
			if fmt.Sprint(got) != fmt.Sprint(want) || resp.StatusCode != http.StatusOK {
				t.Errorf("%+v %s: got %s %v, want %v", config, query, resp.Status, got, want)
			}
			if chunked := resp.ContentLength < 0; chunked != (len(body) > 2048) {
				t.Errorf("%s: a body of %d bytes: chunked is %t", query, len(body), chunked)
			}
			if got := resp.Header.Get("Content-Type"); got != "text/plain; charset=utf-8" {
				t.Errorf("%s: Content-Type is %s", query, got)
			}
		}
	}
}

func TestServer_Responses(t *testing.T) {
	t.Parallel()
	server := serve(t, Config{Users: 10})
	for _, test := range []struct {
		method, path string
		status       int
		userID       string // "" for "not found"
	}{
		{http.MethodGet, "/user/" + UserID(3), 200, UserID(3)},
		{http.MethodPatch, "/user/" + UserID(3), 200, UserID(3)},
		{http.MethodPost, "/user", 201, UserID(0)},
		{http.MethodGet, "/user/" + UserID(10), 404, ""},
		{http.MethodGet, "/user/user-3", 404, ""},
		{http.MethodGet, "/user/nobody", 404, ""},
		{http.MethodPatch, "/user/nobody", 404, ""},
		{http.MethodPatch, "/user", 404, ""},
		{http.MethodDelete, "/user/" + UserID(3), 404, ""},
		{http.MethodGet, "/session", 404, ""},
	} {
		resp, body := get(t, test.method, server.URL()+"/api/v1"+test.path)
		var user User
		if test.userID != "" {
			must(t, json.Unmarshal(body, &user))
		} else if string(body) != "not found\n" {
			t.Errorf("%s %s: got %q", test.method, test.path, body)
		}
		if resp.StatusCode != test.status || user.UserID != test.userID {
			t.Errorf("%s %s: got %d %q, want %d %q",
				test.method, test.path, resp.StatusCode, user.UserID, test.status, test.userID)
		}
	}
	resp, _ := get(t, http.MethodGet, server.URL()+"/api/v1/user?limit=x")
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("a limit that is not a number: got %s", resp.Status)
	}
}

// TestServer_Records checks the responses that have all messages or documents.
func TestServer_Records(t *testing.T) {
	t.Parallel()
	server := serve(t, Config{Messages: 50, Documents: 30})
	_, body := get(t, http.MethodGet, server.URL()+"/api/v1/sessions/s/memory?lastn=50")
	var memory Memory
	must(t, json.Unmarshal(body, &memory))
	same(t, len(memory.Messages), 50)
	if size := len(body) / 50; size < 350 || size > 450 {
		t.Errorf("a message is %d bytes", size)
	}
	_, body = get(t, http.MethodPost, server.URL()+"/api/v1/collection/c/document/list/get")
	var documents []*Document
	must(t, json.Unmarshal(body, &documents))
	same(t, len(documents), 30)
	same(t, len(documents[29].Embedding), dimensions)
	if documents[29].UUID != DocumentUUID(29) {
		t.Errorf("document 29 has the UUID %s", documents[29].UUID)
	}
}

// TestServer_UserSize checks that a user is about as large as on a real server.
func TestServer_UserSize(t *testing.T) {
	t.Parallel()
	const n = 1000
	server := newServer(Config{Users: n})
	if size := len(server.records) / n; size < 320 || size > 400 {
		t.Errorf("a user is %d bytes", size)
	}
}

// TestServer_Costs uses the fake clock of synctest.
func TestServer_Costs(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	for _, test := range []struct {
		name   string
		config Config
		path   string
		n      int // parallel requests
		want   time.Duration
	}{
		{"nothing", Config{}, "?limit=100", 4, 0},
		{"network", Config{Latency: 5 * ms, Cores: 1}, "?limit=100", 4, 5 * ms},
		{"a page", Config{PerPage: perPage, PerUser: perUser}, "?limit=1000", 4, 29 * ms},
		{"an empty page", Config{PerPage: perPage, PerUser: perUser}, "?cursor=5000", 4, 17 * ms},
		{"two cores", Config{PerPage: 17 * ms, Cores: 2}, "?limit=1000", 5, 51 * ms},
		{"one user", Config{Latency: ms, PerPage: 17 * ms}, "/" + UserID(1), 4, ms},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				test.config.Users = 5000
				server := newServer(test.config)
				start := time.Now()
				var all sync.WaitGroup
				for range test.n {
					all.Go(func() {
						req, err := http.NewRequestWithContext(t.Context(), http.MethodGet,
							"/api/v1/user"+test.path, nil)
						must(t, err)
						server.ServeHTTP(httptest.NewRecorder(), req)
					})
				}
				all.Wait()
				if got := time.Since(start); got != test.want {
					t.Errorf("took %v, want %v", got, test.want)
				}
			})
		})
	}
}
