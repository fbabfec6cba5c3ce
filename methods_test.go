package zep

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestServiceCalls_Endpoint checks what a call sends first, that it sends no more than it has
// answers, and that the result has all that the last answer has.
func TestServiceCalls_Endpoint(t *testing.T) {
	eachServiceCall(t, func(t *testing.T, name string, call serviceCall) {
		c, s, _ := scripted(t, nil, call.steps()...)
		response := &http.Response{StatusCode: 999}
		result, err := invokeForResult(context.Background(), c, name, call.args,
			CaptureResponse(&response))
		require.NoError(t, err)
		requests := s.requests()
		require.Len(t, requests, len(call.answers))
		if len(requests) == 0 {
			assert.Nil(t, response)
			return
		}
		if strings.HasSuffix(name, "AllParallel") {
			assert.Nil(t, response, "the response of a page without records is not kept")
		} else {
			assert.Equal(t, 200, response.StatusCode)
		}
		answer := call.answers[len(call.answers)-1]
		if result != nil && strings.HasPrefix(answer, "{") {
			assert.Subset(t, fields(t, result), fields(t, json.RawMessage(answer)))
		}

		method, path, _ := strings.Cut(call.endpoint, " ")
		parameters := regexp.MustCompile(`\{\w+\}`).FindAllString(path, -1)
		ids := call.idValues()
		require.GreaterOrEqual(t, len(ids), len(parameters), "ids")
		for i, parameter := range parameters {
			path = strings.Replace(path, parameter, ids[i], 1)
		}
		if path != healthRoute {
			path = apiPath + path
		}
		sentPath, _, _ := strings.Cut(requests[0].url, "?")
		assert.Equal(t, method+" "+mockURL+path, requests[0].method+" "+sentPath)
	})
}

// fields returns the fields of a value in JSON.
func fields(t *testing.T, value any) (all map[string]any) {
	t.Helper()
	data, err := json.Marshal(value)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &all))
	return all
}

// refusedIDs are ids that no request can carry to their own record, with what the error says.
var refusedIDs = map[string]string{
	"":                 "empty",
	".":                "relative path segment",
	"..":               "relative path segment",
	"/":                `"/"`,
	"a/b":              `"/"`,
	"../user/other":    `"/"`,
	"jane/":            `"/"`,
	"/jane":            `"/"`,
	"./.":              `"/"`,
	"\x00":             "NUL",
	"nu\x00l":          "NUL",
	"jane\x00":         "NUL",
	"\xff":             "UTF-8",
	"jane\xc3":         "UTF-8",
	"\xed\xa0\x80":     "UTF-8", // a surrogate
	"\xc0\xaf":         "UTF-8", // an overlong "/"
	"\xf4\x90\x80\x80": "UTF-8", // beyond Unicode
}

// TestServiceCalls_InvalidIDs checks that nothing is sent for an invalid id, whichever of a call's
// ids it is. The error names the id.
func TestServiceCalls_InvalidIDs(t *testing.T) {
	eachServiceCall(t, func(t *testing.T, name string, call serviceCall) {
		require.Len(t, call.ids, len(call.idValues()), "the names of all ids")
		c, s, _ := scripted(t, nil)
		for n, parameter := range call.ids {
			for id, why := range refusedIDs {
				err := invoke(context.Background(), c, name, call.withID(n, id))
				require.Equal(t, []error{ErrInvalidID}, matched(err), "%s %q", parameter, id)
				assert.Contains(t, err.Error(), fmt.Sprintf("%s %q ", parameter, id))
				assert.Contains(t, err.Error(), why, "%q", id)
				assertNotSent(t, err)
			}
		}
		assert.Empty(t, s.requests())
	})
}

// assertNotSent fails for the error of a call that was under way, and for a text of several lines.
func assertNotSent(t *testing.T, err error) {
	t.Helper()
	var failure *Error
	assert.NotErrorAs(t, err, &failure)
	assertOneLine(t, err.Error())
}

// TestServiceCalls_Invalid checks that nothing is sent for invalid arguments. A captured response
// is cleared, because it is that of an earlier call.
func TestServiceCalls_Invalid(t *testing.T) {
	eachServiceCall(t, func(t *testing.T, name string, call serviceCall) {
		c, s, _ := scripted(t, nil)
		for form, invalid := range call.invalid {
			response := &http.Response{StatusCode: 999}
			err := invoke(context.Background(), c, name, invalid.args, CaptureResponse(&response))
			require.Equal(t, []error{invalid.want}, matched(err), form)
			require.ErrorContains(t, err, invalid.text, form)
			assertNotSent(t, err)
			assert.Nil(t, response, form)
		}
		for n, parameter := range call.ids {
			response := &http.Response{StatusCode: 999}
			err := invoke(context.Background(), c, name, call.withID(n, "a/b"),
				CaptureResponse(&response))
			require.ErrorIs(t, err, ErrInvalidID, parameter)
			assert.Nil(t, response, parameter)
		}
		assert.Empty(t, s.requests())
		assert.True(t, idle(c.updates), "no update waits")
	})
}

// TestServiceCalls_InvalidOptions checks that an invalid option is an error of every call, of an
// invalid one and of one that would send nothing too.
func TestServiceCalls_InvalidOptions(t *testing.T) {
	eachServiceCall(t, func(t *testing.T, name string, call serviceCall) {
		c, s, _ := scripted(t, nil)
		forms := maps.Clone(call.invalid)
		if forms == nil {
			forms = map[string]invalidCall{}
		}
		forms["valid"] = invalidCall{args: call.args}
		for form, arguments := range forms {
			for want, opt := range map[string]RequestOption{
				"RequestMaxAttempts(0)":   RequestMaxAttempts(0),
				"request option 1 is nil": nil,
			} {
				err := invoke(context.Background(), c, name, arguments.args, opt)
				require.ErrorContains(t, err, want, form)
				assert.Equal(t, []error{ErrBadRequest}, matched(err), form)
			}
		}
		assert.Empty(t, s.requests())
	})
}

func TestServiceCalls_ContextEnded(t *testing.T) {
	eachServiceCall(t, func(t *testing.T, name string, call serviceCall) {
		c, s, _ := scripted(t, nil)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		response := &http.Response{StatusCode: 999}
		err := invoke(ctx, c, name, call.args, CaptureResponse(&response))
		assert.Nil(t, response)
		assert.Empty(t, s.requests())
		if len(call.answers) > 0 {
			require.ErrorIs(t, err, context.Canceled)
		}
	})
}

// TestServiceCalls_LostResponse checks when a call is sent again after an attempt whose outcome is
// ambiguous. A read is, although a search is a POST, and it never was "carried out".
func TestServiceCalls_LostResponse(t *testing.T) {
	eachServiceCall(t, func(t *testing.T, name string, call serviceCall) {
		if len(call.answers) == 0 {
			return
		}
		isRead := call.resend == readOnly || strings.HasPrefix(call.endpoint, "GET ")
		for how, lost := range lostAnswers {
			steps := append([]step{lost}, call.steps()...)
			if isRead {
				steps = append([]step{answers(500, ""), lost, answers(500, "")}, call.steps()...)
			}
			c, s, _ := scripted(t, nil, steps...)
			err := invoke(context.Background(), c, name, call.args)
			if call.resend == noRetry || call.locks && how == "504" {
				require.ErrorContains(t, err, "may have been carried out", how)
				assert.Len(t, s.requests(), 1, how)
				continue
			}
			require.NoError(t, err, how)
			assert.Len(t, s.requests(), len(steps), how)
		}
		if isRead {
			c, _, _ := scripted(t, nil, repeat(4, answerLost)...)
			err := invoke(context.Background(), c, name, call.args)
			require.Error(t, err)
			assert.NotContains(t, err.Error(), "may have been carried out")
		}
	})
}

// TestServiceCalls_ArgumentsNotModified shares the arguments between goroutines, so that the race
// detector reports any write to them, and compares them with a copy afterwards.
func TestServiceCalls_ArgumentsNotModified(t *testing.T) {
	copies := serviceCalls()
	eachServiceCall(t, func(t *testing.T, name string, call serviceCall) {
		if len(call.answers) == 0 {
			return
		}
		verb, _, _ := strings.Cut(call.endpoint, " ")
		c, _ := clientWith(t, roundTripFunc(func(req *http.Request) (*http.Response, error) {
			if req.Method == verb {
				return answers(200, call.answers[0])(req)
			}
			return answers(200, call.answers[len(call.answers)-1])(req)
		}))
		var group sync.WaitGroup
		for range 4 {
			group.Add(1)
			go func() {
				defer group.Done()
				assert.NoError(t, invoke(context.Background(), c, name, call.args))
			}()
		}
		group.Wait()
		assert.Equal(t, copies[name].args, call.args)
	})
}
