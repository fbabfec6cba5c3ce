package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/zeptest"
)

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, flags := range [][]string{nil, {"-gzip"}, {"-workers", "1"}, {"-workers", "16", "-gzip"}} {
		t.Run(strings.Join(flags, ""), func(t *testing.T) {
			t.Parallel()
			server, client := newServer(t)
			fill(t, server, client, smallLoad)
			dir := filepath.Join(t.TempDir(), "export")
			mustRun(t, server.URL, append([]string{"export", "-o", dir}, flags...)...)
			assert.Empty(t, mustRun(t, server.URL, "verify", dir, "-extra").stdout, "of its own server")

			fresh, freshClient := newServer(t)
			r := mustRun(t, fresh.URL, "import", dir)
			assert.Contains(t, r.stdout, "messages          200 added, 0 were there\n")
			r = mustRun(t, fresh.URL, "verify", dir, "-extra")
			assert.Empty(t, r.stdout)
			assert.Contains(t, r.stderr, "differences: 0\n")

			r = mustRun(t, fresh.URL, "import", dir)
			for _, line := range []string{
				"users               0 added, 60 were there",
				"sessions            0 added, 40 were there",
				"messages            0 added, 200 were there",
				"collections         0 added, 3 were there",
				"documents           0 added, 60 were there",
			} {
				assert.Contains(t, r.stdout, line)
			}
			assert.Empty(t, mustRun(t, fresh.URL, "verify", dir, "-extra").stdout)
			assert.Equal(t, counts(t, client), counts(t, freshClient))
		})
	}
}

// counts returns how many records a server has.
func counts(t *testing.T, client *zep.Client) map[string]int {
	t.Helper()
	ctx := context.Background()
	n := map[string]int{}
	for _, err := range client.User.All(ctx) {
		require.NoError(t, err)
		n[users]++
	}
	for session, err := range client.Session.All(ctx) {
		require.NoError(t, err)
		n[sessions]++
		for _, err := range client.Message.All(ctx, session.SessionID) {
			require.NoError(t, err)
			n[messages]++
		}
	}
	list, err := client.Collection.List(ctx)
	require.NoError(t, err)
	for _, collection := range list {
		n[collections]++
		for _, err := range (server{Client: client}).documents(ctx, collection.Name) {
			require.NoError(t, err)
			n[documents]++
		}
	}
	return n
}

func TestExport_TwiceIsTheSame(t *testing.T) {
	t.Parallel()
	server, client := newServer(t)
	fill(t, server, client, smallLoad)
	for _, flags := range [][]string{nil, {"-gzip"}} {
		t.Run(strings.Join(flags, ""), func(t *testing.T) {
			t.Parallel()
			first, second := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
			mustRun(t, server.URL, append([]string{"export", "-o", first, "-workers", "2"}, flags...)...)
			mustRun(t, server.URL, append([]string{"export", "-o", second, "-workers", "9"}, flags...)...)
			assert.Equal(t, files(t, first), files(t, second))
			assert.Equal(t, timeless(t, first), timeless(t, second))
			assert.Len(t, files(t, first), len(allKinds))
		})
	}
}

// The server may send documents in another order, as PostgreSQL does after an update of one.
func TestExport_DocumentsInOtherOrder(t *testing.T) {
	t.Parallel()
	server, client := newServer(t)
	fill(t, server, client, smallLoad)
	first, second := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
	mustRun(t, server.URL, "export", "-o", first)
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/library/document/list/get") {
			server.ServeHTTP(w, r)
			return
		}
		recorded := httptest.NewRecorder()
		server.ServeHTTP(recorded, r)
		var list []json.RawMessage
		assert.NoError(t, json.Unmarshal(recorded.Body.Bytes(), &list))
		slices.Reverse(list)
		_, _ = w.Write(mustJSON(list))
	})
	mustRun(t, url, "export", "-o", second)
	assert.Equal(t, files(t, first), files(t, second))
}

// The export has what the API sends, in the API's own words.
func TestExport_HasEveryField(t *testing.T) {
	t.Parallel()
	server, client := newServer(t)
	fill(t, server, client, smallLoad)
	dir := filepath.Join(t.TempDir(), "export")
	mustRun(t, server.URL, "export", "-o", dir)

	raw := func(method, route string, body any, ids ...string) any {
		var answer any
		call := zep.RawCall{Method: method, Route: route, IDs: ids, Body: body}
		require.NoError(t, client.Do(context.Background(), call, &answer))
		return answer
	}
	assert.Equal(t, raw("GET", "/user", nil), parseLines(t, dir, users))
	assert.Equal(t, normal(raw("GET", "/sessions", nil)), normal(parseLines(t, dir, sessions)))
	by := func(key string) func(a, b any) int {
		return func(a, b any) int {
			return strings.Compare(a.(map[string]any)[key].(string), b.(map[string]any)[key].(string))
		}
	}
	all := raw("GET", "/collection", nil).([]any)
	slices.SortFunc(all, by("name"))
	assert.Equal(t, any(all), parseLines(t, dir, collections))

	var wantMessages, wantSummaries, wantDocuments []any
	with := func(record any, key, value string) any {
		record.(map[string]any)[key] = value
		return record
	}
	for i := range smallLoad.sessions {
		id := "session-" + itoa(i)
		list := raw("GET", "/sessions/{sessionId}/messages", nil, id).(map[string]any)["messages"]
		for _, m := range list.([]any) {
			wantMessages = append(wantMessages, with(m, "session_id", id))
		}
		s := raw("GET", "/sessions/{sessionId}/memory", nil, id).(map[string]any)["summary"]
		if s.(map[string]any)["content"] != "" {
			wantSummaries = append(wantSummaries, with(s, "session_id", id))
		}
	}
	for _, name := range []string{"library", "vectors"} {
		list := raw("POST", "/collection/{c}/document/list/get", struct{}{}, name).([]any)
		slices.SortFunc(list, by("uuid")) // fill gives all of them the same time
		for _, d := range list {
			wantDocuments = append(wantDocuments, with(d, "collection", name))
		}
	}
	assert.Equal(t, any(wantMessages), parseLines(t, dir, messages))
	text := readFile(t, filepath.Join(dir, "messages.jsonl"))
	assert.Contains(t, text, ": <b>read</b> Moby-Dick & tell 日本.", "not escaped")
	assert.Equal(t, any(wantSummaries), parseLines(t, dir, summaries))
	assert.NotEmpty(t, wantSummaries)
	assert.Equal(t, any(wantDocuments), parseLines(t, dir, documents))
}

func itoa(i int) string { return string(mustJSON(i)) }

func mustJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

func parseLines(t *testing.T, dir, kind string) any {
	t.Helper()
	var all []any
	for _, line := range splitLines(readFile(t, filepath.Join(dir, kind+".jsonl"))) {
		var record any
		require.NoError(t, json.Unmarshal([]byte(line), &record))
		all = append(all, record)
	}
	return all
}

// normal makes null what the client reads as empty.
func normal(sessions any) any {
	for _, session := range sessions.([]any) {
		s := session.(map[string]any)
		if s["user_id"] == "" {
			s["user_id"] = nil
		}
		if m, _ := s["metadata"].(map[string]any); len(m) == 0 {
			s["metadata"] = nil
		}
	}
	return sessions
}

func TestExport_Only(t *testing.T) {
	t.Parallel()
	server, client := newServer(t)
	fill(t, server, client, smallLoad)
	whole := filepath.Join(t.TempDir(), "whole")
	mustRun(t, server.URL, "export", "-o", whole)
	for _, only := range []string{
		"users", "messages", "summaries", "documents", "collections,documents", "messages,users",
		"users,sessions,messages,collections,documents",
	} {
		t.Run(only, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "export")
			mustRun(t, server.URL, "export", "-o", dir, "-only", only)
			want := map[string]string{}
			for _, kind := range strings.Split(only, ",") {
				want[kind+".jsonl"] = files(t, whole)[kind+".jsonl"]
			}
			assert.Equal(t, want, files(t, dir))
			assert.Empty(t, mustRun(t, server.URL, "verify", dir).stdout)
		})
	}
	r := zepdump(t, server.URL, "export", "-only", "users,cats", "-o", filepath.Join(whole, "x"))
	assert.Equal(t, result{exitError, "", `zepdump: -only: "cats" is not one of ` +
		"users,sessions,messages,summaries,collections,documents\n"}, r)
}

func TestRoundTrip_EmptyServer(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"-gzip=true", "-gzip=false"} {
		t.Run(flag, func(t *testing.T) {
			t.Parallel()
			server, _ := newServer(t)
			dir := filepath.Join(t.TempDir(), "export")
			mustRun(t, server.URL, "export", flag, "-o", dir)
			mustRun(t, server.URL, "import", dir)
			assert.Empty(t, mustRun(t, server.URL, "verify", dir, "-extra").stdout)
		})
	}
}

// Servers before 0.21 have no pages of messages.
func TestRoundTrip_OldServer(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"0.20.1", "0.18.0", "0.15.2"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			server, client := newServer(t, zeptest.WithServerVersion(version))
			fill(t, server, client, smallLoad)
			dir := filepath.Join(t.TempDir(), "export")
			mustRun(t, server.URL, "export", "-o", dir)
			assert.Equal(t, int64(smallLoad.messages), timeless(t, dir).Files[2].Records)
			fresh, _ := newServer(t)
			mustRun(t, fresh.URL, "import", dir)
			assert.Empty(t, mustRun(t, fresh.URL, "verify", dir, "-extra").stdout)
		})
	}
}

// A session can have an id that no request can carry: its messages cannot be had.
func TestExport_UnaddressableSession(t *testing.T) {
	t.Parallel()
	server, client := newServer(t)
	ids := []string{"a", "a/b", "b", "c"}
	require.NoError(t, server.SeedSessions(len(ids), func(i int) zep.CreateSessionRequest {
		return zep.CreateSessionRequest{SessionID: ids[i]}
	}))
	for _, id := range []string{"a", "b", "c"} {
		require.NoError(t, client.Memory.Add(context.Background(), id, &zep.AddMemoryRequest{
			Messages: []*zep.Message{{Role: "user", Content: strings.Repeat("a block. ", 300)}},
		}))
	}
	dir := filepath.Join(t.TempDir(), "export")
	r := mustRun(t, server.URL, "export", "-o", dir)
	assert.Contains(t, r.stderr, `the messages of the session "a/b" are left out`)
	assert.Contains(t, r.stdout, "        1 sessions have ids that no request can carry")
	m := timeless(t, dir)
	assert.Equal(t, int64(1), m.Unaddressable)
	assert.Equal(t, int64(4), m.file(sessions).Records)
	assert.Equal(t, int64(3), m.file(messages).Records)

	fresh, _ := newServer(t)
	// It is counted once, though the export was begun again after it.
	var broken atomic.Bool
	broken.Store(true)
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/c/messages") && broken.Load() {
			http.Error(w, "broken", http.StatusInternalServerError)
			return
		}
		server.ServeHTTP(w, r)
	})
	again := filepath.Join(t.TempDir(), "again")
	require.Equal(t, exitError, zepdump(t, url, "export", "-o", again, "-workers", "1").status)
	broken.Store(false)
	mustRun(t, url, "export", "-o", again, "-workers", "1")
	assert.Equal(t, files(t, dir), files(t, again))
	assert.Equal(t, m, timeless(t, again))

	r = zepdump(t, fresh.URL, "import", dir)
	assert.Equal(t, exitDifferent, r.status, r.stderr)
	conflicts := differences(t, readFile(t, filepath.Join(dir, "conflicts.jsonl")))
	require.Len(t, conflicts, 1)
	assert.Equal(t, "a/b", conflicts[0].ID)
	assert.Equal(t, isRefused, conflicts[0].Difference)
}

// A page that fails more often than the client tries is asked for again, behind the last record.
func TestExport_PageFails(t *testing.T) {
	t.Parallel()
	server, client := newServer(t)
	fill(t, server, client, load{users: 400})
	clean, dir := filepath.Join(t.TempDir(), "clean"), filepath.Join(t.TempDir(), "export")
	mustRun(t, server.URL, "export", "-o", clean)
	var failed atomic.Int64
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		isPage := strings.HasSuffix(r.URL.Path, "/user") && r.URL.Query().Get("limit") != "1"
		if isPage && r.URL.Query().Get("cursor") == "100" && failed.Add(1) <= 10 {
			http.Error(w, "broken", http.StatusInternalServerError)
			return
		}
		server.ServeHTTP(w, r)
	})
	r := mustRun(t, url, "export", "-o", dir)
	assert.Contains(t, r.stderr, "zepdump: try 1 of 5 failed: zep: GET /api/v1/user: 500: broken")
	assert.Equal(t, int64(11), failed.Load())
	assert.Equal(t, files(t, clean), files(t, dir))
}
