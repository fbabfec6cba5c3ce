package zep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// refusal returns the error of a call that got this response.
func refusal(t testing.TB, status int, body string, header ...string) *Error {
	t.Helper()
	c, _, _ := scripted(t, nil, answers(status, body, header...))
	_, err := c.User.Get(context.Background(), "jane", RequestMaxAttempts(1))
	return requireError(t, err)
}

// TestError_RecordedRefusals has an expectation for each refusal of the recordings, and no other.
func TestError_RecordedRefusals(t *testing.T) {
	t.Parallel()
	expected := map[string][]error{
		"users: add again: already exists":              {ErrAlreadyExists},
		"users: add empty id":                           {ErrBadRequest},
		"users: add malformed json":                     {ErrBadRequest},
		"users: add empty body":                         {ErrBadRequest},
		"users: add wrong type":                         {ErrBadRequest},
		"users: get missing":                            {ErrNotFound},
		"users: update metadata {}: error":              {ErrServer},
		"users: update missing, with metadata":          {ErrNotFound},
		"users: update missing, without metadata":       {ErrNotFound},
		"users: list limit not a number":                {ErrBadRequest},
		"users: list cursor out of range":               {ErrBadRequest},
		"users: delete again: not found":                {ErrNotFound},
		"users: get deleted":                            {ErrNotFound},
		"users: path: dot-dot id leaves the collection": {ErrEndpointNotFound},
		"users: method not allowed":                     {ErrEndpointNotFound},
		"users: wrong base path: html 404":              {ErrEndpointNotFound},
		"users: its session after that":                 {ErrNotFound},

		"user ids on the path: get user@example.com as user%40example.com": {ErrNotFound},
		"user ids on the path: get a+b as a%2Bb":                           {ErrNotFound},
		"user ids on the path: get a;b as a%3Bb":                           {ErrNotFound},
		"user ids on the path: get a,b as a%2Cb":                           {ErrNotFound},
		"user ids on the path: get a/b as a%2Fb":                           {ErrNotFound},
		"user ids on the path: get a:b as a%3Ab":                           {ErrNotFound},

		"sessions: add again: already exists": {ErrAlreadyExists},
		"sessions: add with unknown user":     {ErrUserNotFound, ErrBadRequest},
		"sessions: add with empty user":       {ErrUserNotFound, ErrBadRequest},
		"sessions: add empty id":              {ErrServer},
		"sessions: get missing":               {ErrNotFound},
		"sessions: update metadata {}: error": {ErrServer},
		"sessions: update missing":            {ErrNotFound},

		"memory: get lastn not a number":                   {ErrBadRequest},
		"memory: add malformed json":                       {ErrBadRequest},
		"memory: delete again":                             {ErrNotFound},
		"memory: get deleted session":                      {ErrNotFound},
		"memory: add session with the id of a deleted one": {ErrAlreadyExists},
		"messages: get malformed uuid":                     {ErrBadRequest},
		"messages: get missing: 500 with no body":          {ErrServer},
		"messages: update missing":                         {ErrNotFound},
		"search: bad jsonpath":                             {ErrServer},
		"search: empty query":                              {ErrServer},
		"collections: add again":                           {ErrAlreadyExists},
		"collections: add bad name":                        {ErrBadRequest},
		"collections: add too few dimensions":              {ErrBadRequest},
		"collections: add without is_auto_embedded":        {ErrBadRequest},
		"collections: get missing":                         {ErrNotFound},
		"collections: update missing":                      {ErrNotFound},
		"collections: delete again":                        {ErrNotFound},
		"documents: add duplicate document_id":             {ErrAlreadyExists},
		"documents: add empty document":                    {ErrBadRequest},
		"documents: add wrong dimensions":                  {ErrServer},
		"documents: add to missing collection":             {ErrNotFound, ErrServer},
		"documents: get malformed uuid":                    {ErrBadRequest},
		"documents: get missing":                           {ErrNotFound},
		"documents: update missing":                        {ErrNotFound},
		"documents: search nothing asked":                  {ErrServer},
		"documents: search missing collection":             {ErrNotFound},
		"auth: required, none sent":                        {ErrUnauthorized},
		"auth: required, wrong token":                      {ErrUnauthorized},
		"limits: body over 5 MiB":                          {ErrTooLarge},
	}
	met := 0
	for _, r := range recordings(t) {
		name := r.Scenario + ": " + r.Step
		want, ok := expected[name]
		if r.Response.Status < 300 {
			assert.Falsef(t, ok, "%s is not an error", name)
			continue
		}
		if !assert.Truef(t, ok,
			"no expectation for %s: %d %s", name, r.Response.Status, r.Response.Body) {
			continue
		}
		met++
		e := refusal(t, r.Response.Status, r.Response.Body)
		assert.Equal(t, want, matched(e), name)
		assert.Equal(t, r.Response.Status, e.StatusCode, name)
		assertOneLine(t, e.Error())
		if page := strings.HasPrefix(r.Response.Body, "<"); page {
			assert.Equal(t, "(an HTML page)", e.Message, name)
		} else {
			assert.Equal(t, strings.ReplaceAll(strings.TrimSpace(r.Response.Body), "\n", "; "),
				e.Message, name)
		}
	}
	assert.Equal(t, len(expected), met, "each expectation has a recording")
}

func TestError_ProxiesAndOtherServers(t *testing.T) {
	t.Parallel()
	nginx := func(title string) string {
		return "<html>\r\n<head><title>" + title + "</title></head>\r\n<body>\r\n" +
			"<center><h1>" + title + "</h1></center>\r\n</body>\r\n</html>\r\n"
	}
	tests := []struct {
		name   string
		status int
		body   string
		want   []error
	}{
		{"nginx 404", 404, nginx("404 Not Found"), []error{ErrEndpointNotFound}},
		{"web UI off", 404, "404 page not found\n", []error{ErrEndpointNotFound}},
		{"JSON 404", 404, `{"message":"not found"}`, []error{ErrEndpointNotFound}},
		{
			"JSON 404, pretty", 404, "{\n  \"detail\": \"Not Found\"\n}\n",
			[]error{ErrEndpointNotFound},
		},
		{"404 without a body", 404, "", []error{ErrEndpointNotFound}},
		{"404 with another text", 404, "default backend - 404", []error{ErrEndpointNotFound}},
		{
			"404 that quotes", 404, "not found: no route for /zep/api/v1/user",
			[]error{ErrEndpointNotFound},
		},
		{"405", 405, "", []error{ErrEndpointNotFound}},
		{"405 of nginx", 405, nginx("405 Not Allowed"), []error{ErrEndpointNotFound}},
		{"400 of nginx", 400, nginx("400 Bad Request"), []error{ErrBadRequest}},
		{"401 without a body", 401, "", []error{ErrUnauthorized}},
		{"expired", 401, "token is expired\n", []error{ErrUnauthorized}},
		{"403", 403, nginx("403 Forbidden"), []error{ErrUnauthorized}},
		{"408", 408, "", []error{ErrBadRequest}},
		{"409", 409, "conflict", []error{ErrAlreadyExists}},
		{"413 of nginx", 413, nginx("413 Request Entity Too Large"), []error{ErrTooLarge}},
		{"418", 418, "", []error{ErrBadRequest}},
		{"429", 429, "slow down", []error{ErrRateLimited}},
		{"499", 499, "", []error{ErrBadRequest}},
		{"500 without a body", 500, "", []error{ErrServer}},
		{"501", 501, "", []error{ErrServer}},
		{
			"collection taken, before v0.20", 400,
			"failed to Create collection: bad request: collection already exists: docs\n",
			[]error{ErrAlreadyExists},
		},
		{
			"document_id taken, before v0.20", 400,
			"failed to Create documents: bad request: document_id already exists: d\n",
			[]error{ErrAlreadyExists},
		},
		{
			"user taken, v0.11", 500, "failed to create user: ERROR: duplicate key value violates " +
				`unique constraint "users_user_id_key" (SQLSTATE=23505)`,
			[]error{ErrAlreadyExists, ErrServer},
		},
		{
			"another key taken", 500, "ERROR: duplicate key value violates unique constraint " +
				`"message_embedding_key" (SQLSTATE=23505)`,
			[]error{ErrServer},
		},
		{
			"an id that quotes a taken key", 500, `failed to add "duplicate key value violates ` +
				`unique constraint "users_user_id_key"`,
			[]error{ErrServer},
		},
		{"502 of nginx", 502, nginx("502 Bad Gateway"), []error{ErrServer}},
		{"503", 503, "", []error{ErrServer}},
		{"504", 504, "upstream request timeout", []error{ErrServer}},
		{"599", 599, "", []error{ErrServer}},
		{"300 without a Location", 300, "", nil},
		{"304", 304, "", nil},
		{"302 without a Location", 302, "", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := refusal(t, test.status, test.body)
			assert.Equal(t, test.want, matched(e))
			assertOneLine(t, e.Error())
			assert.NotContains(t, e.Error(), "<", "no HTML is shown")
		})
	}
}

// TestError_IDQuotedInText checks ids that contain the text of another error. The server quotes
// ids.
func TestError_IDQuotedInText(t *testing.T) {
	t.Parallel()
	ids := []string{
		"user already exists", "user already exists with user_id: x",
		"bad request: session already exists", "not found", "page not found",
		"x\nuser already exists", "x\nbad request: session already exists with session_id: y",
		"documents not found", "failed to get collection: collection: x not found", "<html>",
		"failed to acquire advisory lock", "a: documents not found",
	}
	texts := []struct {
		status int
		text   string
		want   []error
	}{
		{
			400, "bad request: user does not exist with user_id: %s\n",
			[]error{ErrUserNotFound, ErrBadRequest},
		},
		{400, "bad request: user already exists with user_id: %s\n", []error{ErrAlreadyExists}},
		{
			400, "bad request: session already exists with session_id: %s\n",
			[]error{ErrAlreadyExists},
		},
		{400, "strconv.ParseInt: parsing %q: invalid syntax\n", []error{ErrBadRequest}},
		{404, "not found\n", []error{ErrNotFound}},
	}
	for _, id := range ids {
		for _, text := range texts {
			body := text.text
			if strings.Contains(body, "%") {
				body = fmt.Sprintf(body, id)
			}
			assert.Equal(t, text.want, matched(refusal(t, text.status, body)), body)
		}
	}
}

// TestError_LongerTextIsAnother checks that a text which only begins as that of an existing record
// is not taken for it.
func TestError_LongerTextIsAnother(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]error{
		"bad request: user already exists":                           ErrAlreadyExists,
		"bad request: user already exists with user_id: x":           ErrAlreadyExists,
		"bad request: user already exists: x":                        ErrAlreadyExists,
		"bad request: user already existsx":                          ErrBadRequest,
		"bad request: session already exists_elsewhere":              ErrBadRequest,
		"failed to create documents: document_id already existsence": ErrBadRequest,
	} {
		assert.Equal(t, []error{want}, matched(refusal(t, 400, text)), text)
	}
}

func TestError_MessageIsOneLine(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 5000)
	tests := map[string]struct{ body, want string }{
		"nothing":            {"", ""},
		"white space":        {" \r\n\t ", ""},
		"text":               {"not found\n", "not found"},
		"two lines":          {"one\ntwo\n", "one; two"},
		"DOS lines":          {"one\r\ntwo\r\n\r\n", "one; two"},
		"tabs":               {"one\ttwo", "one two"},
		"terminal sequences": {"\x1b[31mred\x1b[0m\x07", " [31mred [0m "},
		"NUL":                {"a\x00b", "a b"},
		"next line, a C1":    {"a\u0085b", "a b"},
		"line separators":    {"a\u2028b\u2029c", "a b c"},
		"directions":         {"a\u202a\u202e\u2066\u2069\u200e\u061cb", "a      b"},
		"zero width":         {"a\u200b\u200d\u2060\ufeff\u00adb", "a     b"},
		"invalid UTF-8":      {"a\xff\xfeb", "a\uFFFDb"},
		"Unicode stays":      {"日本 ü 🙂", "日本 ü 🙂"},
		"HTML":               {"<html><body>secret things</body></html>", "(an HTML page)"},
		"HTML after space":   {"\n\n  <!DOCTYPE html>", "(an HTML page)"},
		"XML":                {"<?xml version='1.0'?><Error/>", "(an HTML page)"},
		"JSON stays":         {`{"error":"x"}`, `{"error":"x"}`},
		"4 KiB":              {long[:4096], long[:4096]},
		"more than 4 KiB":    {long, long[:4093] + "…"},
		"cut between runes": {
			strings.Repeat("x", 4092) + "日本日本", strings.Repeat("x", 4092) + "…",
		},
		"a run of invalid bytes": {
			strings.Repeat("x", 4090) + strings.Repeat("\xff", 100),
			strings.Repeat("x", 4090) + "\uFFFD",
		},
		"a format is not one": {"100%d %s %!", "100%d %s %!"},
		"cut after lines joined": {
			strings.Repeat("x\n", 3000), strings.Repeat("x; ", 1364) + "x…",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := refusal(t, 400, test.body)
			assert.Equal(t, test.want, e.Message)
			assert.LessOrEqual(t, len(e.Message), 4096)
			assertOneLine(t, e.Error())
		})
	}
}

// TestError_MessageIsLimited checks texts that are not the body of a response, such as those that
// net/http and encoding/json quote.
func TestError_MessageIsLimited(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 100_000)
	tests := map[string]step{
		"a Location":                answers(302, "", "Location", "http://zep.test/"+long),
		"an invalid time":           answers(200, `{"created_at":"`+long+`"}`),
		"a number too large":        answers(200, `{"id":`+strings.Repeat("9", 100_000)+`}`),
		"an error of the transport": failsWith(errors.New("malformed MIME header line: " + long)),
		"control characters": failsWith(
			errors.New("malformed MIME header line: \x1b[31m\r\n evil \u2028")),
	}
	for name, attempt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _, _ := scripted(t, nil, attempt)
			_, err := c.User.Get(context.Background(), "jane", RequestMaxAttempts(1))
			e := requireError(t, err)
			assert.LessOrEqual(t, len(e.Message), 4096)
			assertOneLine(t, e.Error())
		})
	}
}

func TestError_Text(t *testing.T) {
	t.Parallel()
	const endpointHint = "; the server does not know this path: " +
		"check that the base URL (WithBaseURL or ZEP_API_URL) is that of a Zep v0.x server"
	const keyHint = "; check the API key (WithAPIKey, WithTokenSource or ZEP_API_KEY)"
	const redirectHint = "; redirects are not followed: " +
		"set the base URL (WithBaseURL or ZEP_API_URL) to the server's own"
	const hereHint = "; check that Zep runs there, " +
		"or set the base URL (WithBaseURL or ZEP_API_URL)"
	refused := &net.OpError{
		Op:  "dial",
		Net: "tcp",
		Err: os.NewSyscallError("connect", syscall.ECONNREFUSED),
	}
	const apiPathHint = "; the base URL (WithBaseURL or ZEP_API_URL) ends in /api/v1, " +
		"which the client adds: leave it out"
	const messagesHint = "; the server does not know this path: if it knows others, " +
		"it is a Zep server before v0.21, which has no paths for messages"
	tests := []struct {
		err  *Error
		want string
	}{
		{&Error{}, "zep: unknown error"},
		{&Error{StatusCode: 400}, "zep: 400 Bad Request"},
		{&Error{StatusCode: 599}, "zep: 599"},
		{&Error{StatusCode: 400, Message: "no"}, "zep: 400: no"},
		{&Error{Message: "no"}, "zep: no"},
		{&Error{Method: "GET", StatusCode: 400}, "zep: GET: 400 Bad Request"},
		{&Error{Path: "/x", StatusCode: 400}, "zep: /x: 400 Bad Request"},
		{&Error{Method: "GET", Path: "/x"}, "zep: GET /x"},
		{&Error{cause: context.Canceled}, "zep: context canceled"},
		{&Error{Method: "A\nB", Path: "/\u202e\x1b", StatusCode: 400, Message: "a\nb\u200b"},
			"zep: A; B /: 400: a; b "},
		{&Error{Path: "/api/v1/api/v1/user/jane", StatusCode: 404},
			"zep: /api/v1/api/v1/user/jane: 404 Not Found" + apiPathHint},
		{&Error{Path: "/zep/api/v1/healthz", StatusCode: 405},
			"zep: /zep/api/v1/healthz: 405 Method Not Allowed" + apiPathHint},
		{&Error{Path: "/api/v1/api/v1/sessions/s/messages", StatusCode: 404},
			"zep: /api/v1/api/v1/sessions/s/messages: 404 Not Found" + apiPathHint},
		{&Error{Path: "/api/v1/api/v1/user/jane", StatusCode: 404, Message: "not found"},
			"zep: /api/v1/api/v1/user/jane: 404: not found"},
		{&Error{Path: "/zep/api/v1/sessions/s/messages", StatusCode: 404},
			"zep: /zep/api/v1/sessions/s/messages: 404 Not Found" + messagesHint},
		{&Error{Path: "/api/v1/sessions/s/messages/u", StatusCode: 404},
			"zep: /api/v1/sessions/s/messages/u: 404 Not Found" + messagesHint},
		{&Error{Path: "/api/v1/sessions/messages/memory", StatusCode: 404},
			"zep: /api/v1/sessions/messages/memory: 404 Not Found" + endpointHint},
		{&Error{Path: "/api/v1/user/messages", StatusCode: 404},
			"zep: /api/v1/user/messages: 404 Not Found" + endpointHint},
		{&Error{
			Method:     "GET",
			Path:       "/api/v1/user/jane",
			StatusCode: 404,
			Message:    "not found",
			Attempts:   1,
		},
			"zep: GET /api/v1/user/jane: 404: not found"},
		{&Error{
			Method:     "GET",
			Path:       "/api/v1/user/a%20b",
			StatusCode: 500,
			Attempts:   4,
		},
			"zep: GET /api/v1/user/a%20b: 500 Internal Server Error (4 attempts)"},
		{&Error{
			Method:     "GET",
			Path:       "/wrong/api/v1/user",
			StatusCode: 404,
			Message:    "(an HTML page)",
			Attempts:   1,
		},
			"zep: GET /wrong/api/v1/user: 404: (an HTML page)" + endpointHint},
		{&Error{
			Method:     "PUT",
			Path:       "/api/v1/user",
			StatusCode: 405,
			Attempts:   1,
		},
			"zep: PUT /api/v1/user: 405 Method Not Allowed" + endpointHint},
		{&Error{
			Method:     "GET",
			Path:       "/api/v1/user",
			StatusCode: 401,
			Message:    "no token found",
			Attempts:   1,
		},
			"zep: GET /api/v1/user: 401: no token found" + keyHint},
		{&Error{
			Method:     "GET",
			Path:       "/api/v1/user",
			StatusCode: 403,
			Attempts:   1,
		},
			"zep: GET /api/v1/user: 403 Forbidden" + keyHint},
		{&Error{
			Method:     "GET",
			Path:       "/api/v1/user",
			StatusCode: 302,
			Header:     http.Header{"Location": {"https://login.test/"}},
			Message:    "redirects to https://login.test/",
			Attempts:   1,
		},
			"zep: GET /api/v1/user: 302: redirects to https://login.test/" + redirectHint},
		{&Error{
			Method:   "GET",
			Path:     "/api/v1/user",
			Message:  refused.Error(),
			Attempts: 4,
			cause:    refused,
		},
			"zep: GET /api/v1/user: dial tcp: connect: connection refused (4 attempts)" +
				hereHint},
		{&Error{
			Method:     "GET",
			Path:       "/api/v1/user",
			StatusCode: 503,
			Message:    "busy",
			Attempts:   2,
			cause:      context.DeadlineExceeded,
		},
			"zep: GET /api/v1/user: 503: busy: context deadline exceeded (2 attempts)"},
		{&Error{
			Method:     "GET",
			Path:       "/api/v1/user",
			StatusCode: 429,
			Attempts:   1,
			cause:      errors.Join(context.Canceled),
		},
			"zep: GET /api/v1/user: 429 Too Many Requests: context canceled"},
		{&Error{
			Method:   "GET",
			Path:     "/api/v1/user",
			Message:  "context canceled",
			Attempts: 1,
			cause:    context.Canceled,
		},
			"zep: GET /api/v1/user: context canceled"},
		{&Error{
			Method:        "POST",
			Path:          "/api/v1/user",
			StatusCode:    502,
			Attempts:      4,
			maybeExecuted: true,
		},
			"zep: POST /api/v1/user: 502 Bad Gateway (4 attempts); " +
				"the outcome of an attempt is unknown: it may have been carried out"},
		{&Error{
			Method:  "PATCH",
			Path:    "/api/v1/user/jane",
			Message: "waiting for an earlier update of the same record",
			cause:   context.Canceled,
		},
			"zep: PATCH /api/v1/user/jane: " +
				"waiting for an earlier update of the same record: context canceled"},
	}
	for _, test := range tests {
		assert.Equal(t, test.want, test.err.Error())
	}
}

func TestError_Fields(t *testing.T) {
	t.Parallel()
	c, _, _ := scripted(t, []Option{WithBaseURL("http://zep.test/a%2Fb/")},
		answers(404, "not found\n", "X-Zep-Version", "dev-n/a (n/a)"))
	_, err := c.User.Get(context.Background(), "a b?")
	wrapped := fmt.Errorf("load the profile: %w", err)
	require.ErrorIs(t, wrapped, ErrNotFound)
	e := requireError(t, wrapped)
	assert.Equal(t, "GET", e.Method)
	assert.Equal(t, "/a%2Fb/api/v1/user/a%20b%3F", e.Path)
	assert.Equal(t, 404, e.StatusCode)
	assert.Equal(t, "not found", e.Message)
	assert.Equal(t, "dev-n/a (n/a)", e.Header.Get("X-Zep-Version"))
	assert.Equal(t, 1, e.Attempts)
	assert.NoError(t, errors.Unwrap(e), "a refusal has no other cause")

	c, _, _ = scripted(t, nil, repeat(4, neverDialled)...)
	_, err = c.User.List(context.Background(), &ListOptions{Limit: 3, Cursor: 7})
	e = requireError(t, err)
	assert.Equal(t, "/zep/api/v1/user", e.Path, "the query is left out")
	assert.Zero(t, e.StatusCode)
	assert.Nil(t, e.Header)
	var op *net.OpError
	require.ErrorAs(t, err, &op)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	var asURL *url.Error
	assert.False(t, errors.As(err, &asURL), "no error with the whole URL is kept")
	assert.Empty(t, matched(err))
}

// TestError_FreshValue checks that no two calls share an error, which one of the callers could
// modify.
func TestError_FreshValue(t *testing.T) {
	t.Parallel()
	c, _, _ := scripted(t, nil, repeat(2, answers(404, "not found\n"))...)
	_, first := c.User.Get(context.Background(), "jane")
	_, second := c.User.Get(context.Background(), "jane")
	assert.Equal(t, first, second)
	assert.NotSame(t, requireError(t, first), requireError(t, second))
}

// TestError_MadeByCaller checks that an Error which a fake returns is matched like one of the
// client.
func TestError_MadeByCaller(t *testing.T) {
	t.Parallel()
	tests := []struct {
		err  error
		want []error
	}{
		{&Error{StatusCode: 404, Message: "not found"}, []error{ErrNotFound}},
		{&Error{StatusCode: 404}, []error{ErrEndpointNotFound}},
		{
			&Error{StatusCode: 400, Message: "user already exists with user_id: jane"},
			[]error{ErrAlreadyExists},
		},
		{
			&Error{
				StatusCode: 400,
				Message:    "bad request: session already exists with session_id: s",
			},
			[]error{ErrAlreadyExists},
		},
		{
			&Error{
				StatusCode: 400,
				Message: "failed to create collection: " +
					"bad request: collection already exists: docs",
			},
			[]error{ErrAlreadyExists},
		},
		{&Error{StatusCode: 400}, []error{ErrBadRequest}},
		{&Error{StatusCode: 401}, []error{ErrUnauthorized}},
		{&Error{StatusCode: 413}, []error{ErrTooLarge}},
		{&Error{StatusCode: 429}, []error{ErrRateLimited}},
		{&Error{StatusCode: 500}, []error{ErrServer}},
		{&Error{}, nil},
		{fmt.Errorf("wrapped: %w", ErrNotFound), []error{ErrNotFound}},
	}
	for _, test := range tests {
		assert.Equal(t, test.want, matched(test.err), test.err)
		assert.NotEmpty(t, test.err.Error())
		assert.NotErrorIs(t, test.err, io.EOF)
	}
	data, err := json.Marshal(&Error{
		Method:     "GET",
		Path:       "/x",
		StatusCode: 404,
		Message:    "not found",
		Header:     http.Header{"A": {"b"}},
		Attempts:   1,
	})
	require.NoError(t, err)
	assert.JSONEq(t,
		`{"Method":"GET","Path":"/x","StatusCode":404,"Message":"not found",`+
			`"Header":{"A":["b"]},"Attempts":1}`,
		string(data))
}

// TestError_KeyInServerText checks that the key is removed from a text after the text was
// classified.
func TestError_KeyInServerText(t *testing.T) {
	t.Parallel()
	for text, test := range map[string]struct {
		status int
		key    string
		want   error
	}{
		"user already exists with user_id: jane": {400, "already", ErrAlreadyExists},
		"not found":                              {404, "found", ErrNotFound},
	} {
		c, _, _ := scripted(t, []Option{WithAPIKey(test.key)}, answers(test.status, text))
		_, err := c.User.Get(context.Background(), "jane")
		require.ErrorIs(t, err, test.want)
		assert.Equal(t, strings.Replace(text, test.key, redacted, 1), requireError(t, err).Message)
	}
}

// TestError_LongPath checks that a path is shortened in the text of an error only.
func TestError_LongPath(t *testing.T) {
	t.Parallel()
	id := strings.Repeat("j", 5000)
	c, _, _ := scripted(t, nil, answers(404, "not found"))
	_, err := c.User.Get(context.Background(), id)
	assert.Len(t, err.Error(), len("zep: GET : 404: not found")+1000)
	assert.Equal(t, "/zep/api/v1/user/"+id, requireError(t, err).Path)
}
