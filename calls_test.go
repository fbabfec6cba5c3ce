package zep

import (
	"context"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// serviceCall is a call of a method that works, and the calls of that method that do not.
type serviceCall struct {
	endpoint string       // the endpoint of the first request, as in call
	resend   resendPolicy // what the endpoint has; of a GET it is readOnly
	locks    bool         // the server may be waiting for a lock after 504: it is not sent again
	args     []any        // the arguments between the context and the options
	idField  string       // the field of the last argument that is an id, "" for none
	ids      []string     // the names of the ids in errors: the string arguments, then idField
	answers  []string     // the responses; without one, the call sends nothing
	invalid  map[string]invalidCall
}

// invalidCall has arguments that are refused before anything is sent. A nil stands for the zero
// value of its parameter.
type invalidCall struct {
	args []any
	want error
	text string // is part of the error
}

// serviceCalls returns the registry of calls: at least one of each method. Its keys are the names
// of the methods; if there are several calls of one, a space and more follow. The registry is made
// anew each time, so that a test may compare the arguments of two.
func serviceCalls() map[string]serviceCall {
	calls := map[string]serviceCall{
		"Client.Health": {endpoint: "GET " + healthRoute, answers: []string{"."}},
	}
	for _, service := range []map[string]serviceCall{
		userCalls(), sessionCalls(), memoryCalls(), messageCalls(), collectionCalls(),
		documentCalls(), documentListCalls(),
	} {
		maps.Copy(calls, service)
	}
	return calls
}

// anyMetadata returns the metadata of the registry's requests.
func anyMetadata() Metadata {
	return Metadata{"empty": map[string]any{}, "list": []any{1, "x", nil}, "none": nil}
}

var notJSON = Metadata{"f": func() {}}

func nilRequest(method string, args ...any) invalidCall {
	return invalidCall{append(args, nil), ErrBadRequest, method + ": the request is nil"}
}

func withoutJSON(args ...any) invalidCall {
	return invalidCall{args, ErrBadRequest, "cannot be sent as JSON"}
}

func negative(field string, args ...any) invalidCall {
	return invalidCall{args, ErrBadRequest, field + " is -1, must not be negative"}
}

// tooMany is the first number that the server reads as another one; negative where int has 32 bits.
var tooMany = func(n int) int { return n + 1 }(math.MaxInt32)

func overLimit(field string, args ...any) invalidCall {
	return invalidCall{args, ErrBadRequest, field + " is 2147483648, must be at most 2147483647"}
}

func userCalls() map[string]serviceCall {
	return map[string]serviceCall{
		"User.Add": {
			endpoint: "POST /user",
			args:     []any{&CreateUserRequest{UserID: "jane", Metadata: anyMetadata()}},
			idField:  "UserID",
			ids:      []string{"userID"},
			answers:  []string{janeJSON},
			invalid: map[string]invalidCall{
				"nil":      nilRequest("User.Add"),
				"not JSON": withoutJSON(&CreateUserRequest{UserID: "jane", Metadata: notJSON}),
			},
		},
		"User.Get": {
			endpoint: "GET /user/{userId}",
			args:     []any{"jane"},
			ids:      []string{"userID"},
			answers:  []string{janeJSON},
		},
		"User.GetOrAdd": {
			endpoint: "GET /user/{userId}",
			args:     []any{&CreateUserRequest{UserID: "jane", Metadata: anyMetadata()}},
			idField:  "UserID",
			ids:      []string{"userID"},
			answers:  []string{janeJSON},
			invalid: map[string]invalidCall{
				"nil":      nilRequest("User.GetOrAdd"),
				"not JSON": withoutJSON(&CreateUserRequest{UserID: "jane", Metadata: notJSON}),
			},
		},
		"User.Upsert": {
			endpoint: "PATCH /user/{userId}",
			locks:    true,
			args:     []any{&CreateUserRequest{UserID: "jane", Metadata: anyMetadata()}},
			idField:  "UserID",
			ids:      []string{"userID"},
			answers:  []string{janeJSON},
			invalid: map[string]invalidCall{
				"nil":      nilRequest("User.Upsert"),
				"not JSON": withoutJSON(&CreateUserRequest{UserID: "jane", Metadata: notJSON}),
			},
		},
		"User.Update": {
			endpoint: "PATCH /user/{userId}",
			locks:    true,
			args:     []any{&UpdateUserRequest{UserID: "jane", Metadata: anyMetadata()}},
			idField:  "UserID",
			ids:      []string{"userID"},
			answers:  []string{janeJSON},
			invalid: map[string]invalidCall{
				"nil":      nilRequest("User.Update"),
				"not JSON": withoutJSON(&UpdateUserRequest{UserID: "jane", Metadata: notJSON}),
			},
		},
		"User.Update with empty metadata": {
			endpoint: "PATCH /user/{userId}",
			args:     []any{&UpdateUserRequest{UserID: "jane", Metadata: Metadata{}}},
			idField:  "UserID",
			ids:      []string{"userID"},
			answers:  []string{janeJSON},
		},
		"User.Delete": {
			endpoint: "DELETE /user/{userId}",
			args:     []any{"jane"},
			ids:      []string{"userID"},
			answers:  []string{"OK"},
		},
		"User.GetSessions": {
			endpoint: "GET /user/{userId}/sessions",
			args:     []any{"jane"},
			ids:      []string{"userID"},
			answers:  []string{"[]"},
		},
		"User.List":        listCall("GET /user"),
		"User.ListChunked": walkCall("GET /user", "Limit"),
		"User.AllParallel": walkCall("GET /user", "workers"),
		"User.All":         {endpoint: "GET /user", answers: []string{"[]"}},
	}
}

func listCall(endpoint string) serviceCall {
	return serviceCall{
		endpoint: endpoint,
		args:     []any{&ListOptions{}},
		answers:  []string{"[]"},
		invalid: map[string]invalidCall{
			"negative Limit":  negative("ListOptions: Limit", &ListOptions{Limit: -1}),
			"negative Cursor": negative("ListOptions: Cursor", &ListOptions{Cursor: -1}),
		},
	}
}

func walkCall(endpoint, number string) serviceCall {
	return serviceCall{
		endpoint: endpoint,
		args:     []any{1},
		answers:  []string{"[]"},
		invalid:  map[string]invalidCall{"negative number": negative(number, -1)},
	}
}

func sessionCalls() map[string]serviceCall {
	const session = `{"uuid":"u","id":1,"session_id":"s"}`
	return map[string]serviceCall{
		"Session.Add": {
			endpoint: "POST /sessions",
			args:     []any{&CreateSessionRequest{SessionID: "s", Metadata: anyMetadata()}},
			idField:  "SessionID",
			ids:      []string{"sessionID"},
			answers:  []string{session},
			invalid: map[string]invalidCall{
				"nil":      nilRequest("Session.Add"),
				"not JSON": withoutJSON(&CreateSessionRequest{SessionID: "s", Metadata: notJSON}),
				"user": {
					[]any{&CreateSessionRequest{SessionID: "s", UserID: "\xff"}},
					ErrInvalidID, "userID",
				},
			},
		},
		"Session.Get": {
			endpoint: "GET /sessions/{sessionId}",
			args:     []any{"s"},
			ids:      []string{"sessionID"},
			answers:  []string{session},
		},
		"Session.GetOrAdd": {
			endpoint: "GET /sessions/{sessionId}",
			args:     []any{&CreateSessionRequest{SessionID: "s", Metadata: anyMetadata()}},
			idField:  "SessionID",
			ids:      []string{"sessionID"},
			answers:  []string{session},
			invalid: map[string]invalidCall{
				"nil":      nilRequest("Session.GetOrAdd"),
				"not JSON": withoutJSON(&CreateSessionRequest{SessionID: "s", Metadata: notJSON}),
				"user": {
					[]any{&CreateSessionRequest{SessionID: "s", UserID: "\xff"}},
					ErrInvalidID, "userID",
				},
			},
		},
		"Session.Update": {
			endpoint: "PATCH /sessions/{sessionId}",
			locks:    true,
			args:     []any{&UpdateSessionRequest{SessionID: "s", Metadata: anyMetadata()}},
			idField:  "SessionID",
			ids:      []string{"sessionID"},
			answers:  []string{session},
			invalid: map[string]invalidCall{
				"nil":      nilRequest("Session.Update"),
				"not JSON": withoutJSON(&UpdateSessionRequest{SessionID: "s", Metadata: notJSON}),
			},
		},
		"Session.Delete": {
			endpoint: "DELETE /sessions/{sessionId}/memory",
			args:     []any{"s"},
			ids:      []string{"sessionID"},
			answers:  []string{"OK"},
		},
		"Session.List":        listCall("GET /sessions"),
		"Session.ListChunked": walkCall("GET /sessions", "Limit"),
		"Session.AllParallel": walkCall("GET /sessions", "workers"),
		"Session.All":         {endpoint: "GET /sessions", answers: []string{"[]"}},
	}
}

func memoryCalls() map[string]serviceCall {
	hello := []*Message{{Role: RoleHuman, Content: "hello", Metadata: anyMetadata()}}
	return map[string]serviceCall{
		"Memory.Get": {
			endpoint: "GET /sessions/{sessionId}/memory",
			args:     []any{"s", &GetMemoryOptions{}},
			ids:      []string{"sessionID"},
			answers:  []string{`{"messages":[` + helloJSON + `],"summary":null}`},
			invalid: map[string]invalidCall{
				"negative LastN": negative("Memory.Get: LastN", "s", &GetMemoryOptions{LastN: -1}),
				"LastN over 32 bits": overLimit("Memory.Get: LastN",
					"s", &GetMemoryOptions{LastN: tooMany}),
			},
		},
		"Memory.Add": {
			endpoint: "POST /sessions/{sessionId}/memory",
			args:     []any{"s", &AddMemoryRequest{Messages: hello, Metadata: anyMetadata()}},
			ids:      []string{"sessionID"},
			answers:  []string{"OK"},
			invalid: map[string]invalidCall{
				"nil":      nilRequest("Memory.Add", "s"),
				"not JSON": withoutJSON("s", &AddMemoryRequest{Metadata: notJSON}),
				"nil message": {
					[]any{"s", &AddMemoryRequest{Messages: []*Message{nil}}},
					ErrBadRequest, "Memory.Add: message 0 is nil",
				},
			},
		},
		"Memory.Delete": {
			endpoint: "DELETE /sessions/{sessionId}/memory",
			args:     []any{"s"},
			ids:      []string{"sessionID"},
			answers:  []string{"OK"},
		},
		"Memory.Search": {
			endpoint: "POST /sessions/{sessionId}/search",
			resend:   readOnly,
			args:     []any{"s", &SearchMemoryRequest{Text: "x", Metadata: anyMetadata()}},
			ids:      []string{"sessionID"},
			answers:  []string{"[]"},
			invalid: map[string]invalidCall{
				"nil":      nilRequest("Memory.Search", "s"),
				"not JSON": withoutJSON("s", &SearchMemoryRequest{Metadata: notJSON}),
				"negative Limit": negative("Memory.Search: Limit",
					"s", &SearchMemoryRequest{Text: "x", Limit: -1}),
				"Limit over 32 bits": overLimit("Memory.Search: Limit",
					"s", &SearchMemoryRequest{Text: "x", Limit: tooMany}),
				"nothing to search for": {
					[]any{"s", &SearchMemoryRequest{}},
					ErrBadRequest, "Memory.Search: neither Text nor Metadata",
				},
			},
		},
	}
}

func messageCalls() map[string]serviceCall {
	list := serviceCall{
		endpoint: "GET /sessions/{sessionId}/messages",
		args:     []any{"s", &ListMessagesOptions{}},
		ids:      []string{"sessionID"},
		answers:  []string{`{"messages":[]}`},
		invalid: map[string]invalidCall{
			"negative Limit": negative("ListMessagesOptions: Limit",
				"s", &ListMessagesOptions{Limit: -1}),
			"negative Page": negative("ListMessagesOptions: Page",
				"s", &ListMessagesOptions{Page: -1}),
			"negative Page with Limit": negative("ListMessagesOptions: Page",
				"s", &ListMessagesOptions{Limit: 3, Page: -1}),
		},
	}
	all := list
	all.args, all.invalid = []any{"s"}, nil
	get := serviceCall{
		endpoint: "GET /sessions/{sessionId}/messages/{messageId}",
		args:     []any{"s", uuid1},
		ids:      []string{"sessionID", "messageUUID"},
		answers:  []string{helloJSON},
	}
	unchanged := get
	unchanged.args = []any{"s", uuid1, Metadata{}}
	update := get
	update.endpoint = "PATCH /sessions/{sessionId}/messages/{messageId}"
	update.args = []any{"s", uuid1, anyMetadata()}
	update.invalid = map[string]invalidCall{"not JSON": withoutJSON("s", uuid1, notJSON)}
	return map[string]serviceCall{
		"Message.List":                       list,
		"Message.All":                        all,
		"Message.Get":                        get,
		"Message.UpdateMetadata":             update,
		"Message.UpdateMetadata without any": unchanged,
	}
}

func collectionCalls() map[string]serviceCall {
	const route = "/collection/{collectionName}"
	return map[string]serviceCall{
		"Collection.Add": {
			endpoint: "POST " + route,
			args: []any{&CreateCollectionRequest{
				Name:                "docs",
				EmbeddingDimensions: 8,
				Metadata:            anyMetadata(),
			}},
			idField: "Name",
			ids:     []string{"collection"},
			answers: []string{"OK", docsJSON},
			invalid: map[string]invalidCall{
				"nil": nilRequest("Collection.Add"),
				"not JSON": withoutJSON(&CreateCollectionRequest{
					Name:                "docs",
					EmbeddingDimensions: 8,
					Metadata:            notJSON,
				}),
				"negative EmbeddingDimensions": {
					[]any{&CreateCollectionRequest{Name: "docs", EmbeddingDimensions: -1}},
					ErrBadRequest, "EmbeddingDimensions is -1",
				},
				"name": {
					[]any{&CreateCollectionRequest{Name: "a-b", EmbeddingDimensions: 8}},
					ErrBadRequest, `Collection.Add: Name "a-b"`,
				},
			},
		},
		"Collection.Get": {
			endpoint: "GET " + route,
			args:     []any{"docs"},
			ids:      []string{"collection"},
			answers:  []string{docsJSON},
		},
		"Collection.Update": {
			endpoint: "PATCH " + route,
			args:     []any{&UpdateCollectionRequest{Name: "docs", Metadata: anyMetadata()}},
			idField:  "Name",
			ids:      []string{"collection"},
			answers:  []string{"OK", docsJSON},
			invalid: map[string]invalidCall{
				"nil":      nilRequest("Collection.Update"),
				"not JSON": withoutJSON(&UpdateCollectionRequest{Name: "docs", Metadata: notJSON}),
			},
		},
		"Collection.Delete": {
			endpoint: "DELETE " + route,
			args:     []any{"docs"},
			ids:      []string{"collection"},
			answers:  []string{"OK"},
		},
		"Collection.List": {endpoint: "GET /collection", answers: []string{"[]"}},
		"Collection.CreateIndex": {
			endpoint: "POST " + route + "/index/create",
			resend:   noRetry,
			args:     []any{"docs", true},
			ids:      []string{"collection"},
			answers:  []string{"OK"},
		},
		"Collection.Search": {
			endpoint: "POST " + route + "/search",
			resend:   readOnly,
			args:     []any{"docs", &SearchDocumentsRequest{Text: "x", Metadata: anyMetadata()}},
			ids:      []string{"collection"},
			answers:  []string{`{"results":[]}`},
			invalid: map[string]invalidCall{
				"nil":      nilRequest("Collection.Search", "docs"),
				"not JSON": withoutJSON("docs", &SearchDocumentsRequest{Metadata: notJSON}),
				"negative Limit": negative("Collection.Search: Limit",
					"docs", &SearchDocumentsRequest{Text: "x", Limit: -1}),
				"Limit over 32 bits": overLimit("Collection.Search: Limit",
					"docs", &SearchDocumentsRequest{Text: "x", Limit: tooMany}),
				"nothing to search for": {
					[]any{"docs", &SearchDocumentsRequest{}},
					ErrBadRequest, "Collection.Search: no Text, Embedding or Metadata",
				},
			},
		},
	}
}

func documentCalls() map[string]serviceCall {
	ids := []string{"collection", "documentUUID"}
	return map[string]serviceCall{
		"Document.Get": {
			endpoint: "GET " + documentRoute,
			args:     []any{"docs", uuid1},
			ids:      ids,
			answers:  []string{foxJSON},
		},
		"Document.All": {
			endpoint: "POST /collection/{collectionName}/document/list/get",
			resend:   readOnly,
			args:     []any{"docs"},
			ids:      []string{"collection"},
			answers:  []string{"[" + foxJSON + "]"},
		},
		"Document.Update": {
			endpoint: "PATCH " + documentRoute,
			args:     []any{"docs", &UpdateDocumentRequest{UUID: uuid1, Metadata: anyMetadata()}},
			idField:  "UUID",
			ids:      ids,
			answers:  []string{"OK"},
			invalid: map[string]invalidCall{
				"nil": nilRequest("Document.Update", "docs"),
				"not JSON": withoutJSON("docs",
					&UpdateDocumentRequest{UUID: uuid1, Metadata: notJSON}),
			},
		},
		"Document.Delete": {
			endpoint: "DELETE " + documentRoute,
			args:     []any{"docs", uuid1},
			ids:      ids,
			answers:  []string{"OK"},
		},
	}
}

// documentListCalls has the methods that take lists, each once with an empty one.
func documentListCalls() map[string]serviceCall {
	const route = "/collection/{collectionName}/document"
	emptyID := func(name, valid string) invalidCall {
		return invalidCall{[]any{"docs", []string{valid, ""}}, ErrInvalidID, name + "[1] is empty"}
	}
	calls := map[string]serviceCall{
		"Document.Add": {
			endpoint: "POST " + route,
			args: []any{"docs", []*CreateDocumentRequest{{
				DocumentID: "d1",
				Content:    "fox",
				Metadata:   anyMetadata(),
			}}},
			answers: []string{`["` + uuid1 + `"]`},
			invalid: map[string]invalidCall{
				"nil": {
					[]any{"docs", []*CreateDocumentRequest{nil}},
					ErrBadRequest, "Document.Add: document 0 is nil",
				},
				"not JSON": withoutJSON("docs",
					[]*CreateDocumentRequest{{Content: "fox", Metadata: notJSON}}),
			},
		},
		"Document.Add without ids": {
			endpoint: "POST " + route,
			resend:   noRetry,
			args:     []any{"docs", []*CreateDocumentRequest{{Content: "fox"}}},
			answers:  []string{`["` + uuid1 + `"]`},
		},
		"Document.GetByUUIDs": {
			endpoint: "POST " + route + "/list/get",
			resend:   readOnly,
			args:     []any{"docs", []string{uuid1}},
			answers:  []string{"[]"},
			invalid:  map[string]invalidCall{"empty id": emptyID("documentUUIDs", uuid1)},
		},
		"Document.GetByIDs": {
			endpoint: "POST " + route + "/list/get",
			resend:   readOnly,
			args:     []any{"docs", []string{"d1"}},
			answers:  []string{"[]"},
			invalid:  map[string]invalidCall{"empty id": emptyID("documentIDs", "d1")},
		},
		"Document.UpdateAll": {
			endpoint: "PATCH " + route + "/list/update",
			args: []any{"docs", []*UpdateDocumentRequest{
				{UUID: uuid2, Metadata: anyMetadata()}, {UUID: uuid1, Metadata: anyMetadata()},
			}},
			answers: []string{"OK"},
			invalid: map[string]invalidCall{
				"nil": {
					[]any{"docs", []*UpdateDocumentRequest{nil}},
					ErrBadRequest, "Document.UpdateAll: request 0 is nil",
				},
				"not JSON": withoutJSON("docs",
					[]*UpdateDocumentRequest{{UUID: uuid1, Metadata: notJSON}}),
				"empty id": {
					[]any{"docs", []*UpdateDocumentRequest{{UUID: uuid1}, {}}},
					ErrInvalidID, "the UUID of request 1 is empty",
				},
			},
		},
		"Document.DeleteAll": {
			endpoint: "POST " + route + "/list/delete",
			args:     []any{"docs", []string{uuid1}},
			answers:  []string{"OK"},
			invalid:  map[string]invalidCall{"empty id": emptyID("documentUUIDs", uuid1)},
		},
	}
	for name, call := range maps.Clone(calls) {
		call.ids = []string{"collection"}
		calls[name] = call
		call.args = []any{"docs", nil}
		call.answers, call.invalid = nil, nil
		if name == methodOf(name) {
			calls[name+" of none"] = call
		}
	}
	return calls
}

// methodOf returns the method of a call of the registry: "Document.Add".
func methodOf(name string) string {
	method, _, _ := strings.Cut(name, " ")
	return method
}

// methodsByName returns the exported methods that the registry has to have.
func methodsByName(c *Client) map[string]reflect.Value {
	receivers := services(c)
	receivers["Client"] = reflect.ValueOf(c)
	methods := map[string]reflect.Value{}
	for name, receiver := range receivers {
		for i := range receiver.NumMethod() {
			methods[name+"."+receiver.Type().Method(i).Name] = receiver.Method(i)
		}
	}
	for _, notOneCall := range []string{
		"Client.String", "Client.Wait", "Client.CloseIdleConnections", "Client.Do", "Client.WaitReady",
	} {
		delete(methods, notOneCall)
	}
	return methods
}

// services returns the services of a client by the names of their fields.
func services(c *Client) map[string]reflect.Value {
	found := map[string]reflect.Value{}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[Client]()) {
		if field.IsExported() {
			found[field.Name] = reflect.ValueOf(c).Elem().FieldByIndex(field.Index)
		}
	}
	return found
}

// invoke calls a method, ranges over its result if that is a walk, and returns the error.
func invoke(
	ctx context.Context, c *Client, name string, args []any, opts ...RequestOption,
) error {
	_, err := invokeForResult(ctx, c, name, args, opts...)
	return err
}

// invokeForResult returns the result too. It is nil of a walk, and of a method without one.
func invokeForResult(
	ctx context.Context, c *Client, name string, args []any, opts ...RequestOption,
) (result any, failure error) {
	method := methodsByName(c)[methodOf(name)]
	in := []reflect.Value{reflect.ValueOf(ctx)}
	for i, arg := range args {
		value := reflect.ValueOf(arg)
		if arg == nil {
			value = reflect.Zero(method.Type().In(i + 1))
		}
		in = append(in, value)
	}
	out := method.CallSlice(append(in, reflect.ValueOf(opts)))
	last := out[len(out)-1]
	if last.Kind() != reflect.Func {
		failure, _ = last.Interface().(error)
		if len(out) > 1 {
			result = out[0].Interface()
		}
		return result, failure
	}
	for _, err := range last.Seq2() {
		failure, _ = err.Interface().(error)
	}
	return nil, failure
}

// idValues returns the ids in the arguments, in the order of call.ids.
func (call serviceCall) idValues() (values []string) {
	for _, arg := range call.args {
		if id, ok := arg.(string); ok {
			values = append(values, id)
		}
	}
	if call.idField != "" {
		request := reflect.ValueOf(call.args[len(call.args)-1]).Elem()
		values = append(values, request.FieldByName(call.idField).String())
	}
	return values
}

// withID returns the arguments with another value for the nth of call.ids.
func (call serviceCall) withID(n int, id string) []any {
	args := slices.Clone(call.args)
	for i, arg := range args {
		if _, ok := arg.(string); ok {
			if n == 0 {
				args[i] = id
				return args
			}
			n--
		}
	}
	last := len(args) - 1
	request := reflect.New(reflect.TypeOf(args[last]).Elem())
	request.Elem().Set(reflect.ValueOf(args[last]).Elem())
	request.Elem().FieldByName(call.idField).SetString(id)
	args[last] = request.Interface()
	return args
}

// path returns the endpoint with all of its path.
func (call serviceCall) path() string {
	verb, route, _ := strings.Cut(call.endpoint, " ")
	if route == healthRoute {
		return call.endpoint
	}
	return verb + " " + apiPath + route
}

// steps returns the responses to the call.
func (call serviceCall) steps() (steps []step) {
	for _, answer := range call.answers {
		steps = append(steps, answers(200, answer))
	}
	return steps
}

// eachServiceCall runs a test for each call of the registry.
func eachServiceCall(t *testing.T, test func(t *testing.T, name string, call serviceCall)) {
	t.Helper()
	t.Parallel()
	for name, call := range serviceCalls() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, name, call)
		})
	}
}

// TestServiceCalls_Complete checks that the registry has every method, with all of its parameters
// and with what can be invalid about them, and nothing that is not a method.
func TestServiceCalls_Complete(t *testing.T) {
	t.Parallel()
	c, _, _ := scripted(t, nil)
	methods := methodsByName(c)
	calls := serviceCalls()
	require.Greater(t, len(methods), 30)
	for name := range calls {
		assert.Contains(t, methods, methodOf(name), "the registry has what is not a method")
	}
	for name, method := range methods {
		call, ok := calls[name]
		if !assert.True(t, ok, "%s is not in the registry of calls", name) {
			continue
		}
		assert.NotEmpty(t, call.answers, "%s is called so that it sends nothing", name)
		parameters := []string{}
		for i := 1; i < method.Type().NumIn()-1; i++ {
			parameters = append(parameters, method.Type().In(i).String())
			for _, form := range invalidForms(method.Type().In(i)) {
				assert.Contains(t, call.invalid, form, "%s: the registry has no such form", name)
			}
		}
		given := []string{}
		for _, arg := range call.args {
			given = append(given, reflect.TypeOf(arg).String())
		}
		assert.Equal(t, parameters, given, "%s: the parameters and the arguments", name)
	}
}

// invalidForms returns what can be invalid about an argument that is not an id.
func invalidForms(parameter reflect.Type) (forms []string) {
	if parameter == reflect.TypeFor[Metadata]() {
		return []string{"not JSON"}
	}
	if parameter == reflect.TypeFor[[]string]() {
		return []string{"empty id"}
	}
	if isNumber(parameter) {
		return []string{"negative number"}
	}
	if parameter.Kind() == reflect.Slice {
		parameter = parameter.Elem()
	}
	if parameter.Kind() != reflect.Pointer {
		return nil
	}
	record := parameter.Elem()
	if strings.HasSuffix(record.Name(), "Request") { // nil options are the default
		forms = append(forms, "nil")
	}
	for _, field := range reflect.VisibleFields(record) {
		switch {
		case field.Type == reflect.TypeFor[Metadata]():
			forms = append(forms, "not JSON")
		case isNumber(field.Type):
			forms = append(forms, "negative "+field.Name)
		}
	}
	return forms
}

func isNumber(t reflect.Type) bool { return t.Kind() == reflect.Int || t.Kind() == reflect.Int64 }
