package zep

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// maxErrorText bounds the text of any error: two of the server's texts and two paths.
const maxErrorText = 2*maxMessage + 4<<10

// lockerFunc is a function as a Locker.
type lockerFunc func(context.Context, string) (context.Context, func(), error)

func (f lockerFunc) Lock(ctx context.Context, key string) (context.Context, func(), error) {
	return f(ctx, key)
}

// allErrors makes every error that the package can, with the text in all places that come from
// outside. Where the text is a valid value there is none.
func allErrors(t testing.TB, text string) map[string]error {
	t.Helper()
	ctx := context.Background()
	found := make(map[string]error)
	quoted, err := json.Marshal(text)
	require.NoError(t, err)

	for name, opt := range map[string]Option{
		"base URL":   WithBaseURL(text),
		"host":       WithBaseURL("http://" + text),
		"path":       WithBaseURL("http://zep.test/%" + text),
		"key":        WithAPIKey(text),
		"quoted key": WithAPIKey(`"` + text),
		"user agent": WithUserAgent(text + "\n"),
		"two, invalid": func(c *config) error {
			return errors.Join(WithBaseURL(text)(c), WithAPIKey(text)(c))
		},
	} {
		_, found["NewClient: "+name] = NewClient(WithBaseURL(mockURL), WithAPIKey(""), opt)
	}

	unencodable := Metadata{"x": unencodable{errors.New(text)}}
	found["Decode: key"] = Metadata{text: math.NaN()}.Decode(&struct{}{})
	found["Decode: value"] = unencodable.Decode(&struct{}{})
	found["Decode: type"] = Metadata{"a": text}.Decode(&struct{ A int }{})

	// Calls that fail before anything is sent, or get the same response to each attempt.
	calls := map[string]func(*Client, ...RequestOption) error{
		"User.Get": func(c *Client, opts ...RequestOption) error {
			_, err := c.User.Get(ctx, text, opts...)
			return err
		},
		"User.List": func(c *Client, opts ...RequestOption) error {
			_, err := c.User.List(ctx, nil, opts...)
			return err
		},
		"User.Add": func(c *Client, opts ...RequestOption) error {
			_, err := c.User.Add(ctx, &CreateUserRequest{UserID: text}, opts...)
			return err
		},
		"User.Add, not JSON": func(c *Client, opts ...RequestOption) error {
			_, err := c.User.Add(ctx,
				&CreateUserRequest{UserID: "j", Metadata: unencodable}, opts...)
			return err
		},
		"User.Delete": func(c *Client, opts ...RequestOption) error {
			return c.User.Delete(ctx, text, opts...)
		},
		"Session.Add": func(c *Client, opts ...RequestOption) error {
			_, err := c.Session.Add(ctx,
				&CreateSessionRequest{SessionID: "s", UserID: text}, opts...)
			return err
		},
		"Session.Update": func(c *Client, opts ...RequestOption) error {
			_, err := c.Session.Update(ctx,
				&UpdateSessionRequest{SessionID: text, Metadata: Metadata{"a": 1}}, opts...)
			return err
		},
		"Memory.Add": func(c *Client, opts ...RequestOption) error {
			return c.Memory.Add(ctx, "s", &AddMemoryRequest{
				Messages: []*Message{{UUID: text}, {UUID: text}},
			}, opts...)
		},
		"Memory.Add, once": func(c *Client, opts ...RequestOption) error {
			return c.Memory.Add(ctx, text,
				&AddMemoryRequest{Messages: []*Message{{UUID: text}}}, opts...)
		},
		"Memory.Search": func(c *Client, opts ...RequestOption) error {
			_, err := c.Memory.Search(ctx, "s", &SearchMemoryRequest{
				Metadata: SearchFilter{Where: Equal(text, text+"\x00")}.Metadata(),
			}, opts...)
			return err
		},
		"Message.UpdateMetadata": func(c *Client, opts ...RequestOption) error {
			_, err := c.Message.UpdateMetadata(ctx, "s", text, Metadata{"a": 1}, opts...)
			return err
		},
		"Message.All": func(c *Client, opts ...RequestOption) error {
			for _, err := range c.Message.All(ctx, "s", opts...) {
				if err != nil {
					return err
				}
			}
			return nil
		},
		"Collection.Add": func(c *Client, opts ...RequestOption) error {
			return collectionAdd(ctx, c, text, opts)
		},
		"Collection.Add of a good name": func(c *Client, opts ...RequestOption) error {
			return collectionAdd(ctx, c, "docs", opts)
		},
		"Document.Add": func(c *Client, opts ...RequestOption) error {
			_, err := c.Document.Add(ctx, "docs", []*CreateDocumentRequest{
				{DocumentID: text, Content: "a"}, {DocumentID: text, Content: "b"},
			}, opts...)
			return err
		},
		"Document.Add, not JSON": func(c *Client, opts ...RequestOption) error {
			_, err := c.Document.Add(ctx, "docs", []*CreateDocumentRequest{
				{Content: "a", Metadata: unencodable},
			}, opts...)
			return err
		},
		"Document.Get": func(c *Client, opts ...RequestOption) error {
			_, err := c.Document.Get(ctx, text, text, opts...)
			return err
		},
		"Health": func(c *Client, opts ...RequestOption) error {
			_, err := c.Health(ctx, opts...)
			return err
		},
		"header's name": func(c *Client, opts ...RequestOption) error {
			_, err := c.Health(ctx, append(opts, RequestHeader(text, "a"))...)
			return err
		},
		"header's value": func(c *Client, opts ...RequestOption) error {
			_, err := c.Health(ctx, append(opts, RequestHeader("X-"+text, text+"\n"))...)
			return err
		},
	}
	messages := `{"messages":[{"uuid":` + string(quoted) + `,"content":"a"}],"total_count":1}`
	servers := map[string][]step{
		"the text":         {answers(400, text)},
		"the text, 500":    {answers(500, text)},
		"a redirect":       {answers(302, "", "Location", text)},
		"a redirect's URL": {answers(302, "", "Location", "http://zep.test/"+text)},
		"a success":        {answers(200, text)},
		"a string":         {answers(200, string(quoted))},
		"a time":           {answers(200, `{"created_at":`+string(quoted)+`}`)},
		"a list of times":  {answers(200, `[{"created_at":`+string(quoted)+`}]`)},
		"messages":         {answers(200, messages)},
		"transport":        {failsWith(errors.New(text))},
		"lost, then taken": {answerLost, answers(400, userTaken), answers(400, text)},
		"lost, then stored": {
			answerLost, answers(500, messageTaken), answers(401, text),
		},
		"OK, then the text": {answers(200, "OK"), answers(400, text)},
	}
	for what, call := range calls {
		for how, steps := range servers {
			n := 0
			c, _ := clientWith(t, roundTripFunc(func(req *http.Request) (*http.Response, error) {
				step := steps[min(n, len(steps)-1)]
				n++
				return step(req)
			}), WithBackoff(0, 0))
			found[what+": "+how] = call(c, RequestMaxAttempts(2))
		}
	}

	ended, cancel := context.WithCancelCause(ctx)
	cancel(errors.New(text))
	update := func(ctx context.Context, opts ...Option) error {
		c, _, _ := scripted(t, opts, answers(400, text))
		_, err := c.User.Update(ctx, &UpdateUserRequest{UserID: "j", Metadata: Metadata{"a": 1}})
		return err
	}
	found["context"] = update(ended)
	found["Locker"] = update(ctx, WithLocker(lockerFunc(
		func(context.Context, string) (context.Context, func(), error) {
			return nil, nil, errors.New(text)
		})))
	found["lock lost"] = update(ctx, WithLocker(lockerFunc(
		func(context.Context, string) (context.Context, func(), error) {
			return ended, func() {}, nil
		})))
	found["made by hand"] = &Error{Method: text, Path: text, StatusCode: 404, Message: text}
	return found
}

func collectionAdd(ctx context.Context, c *Client, name string, opts []RequestOption) error {
	_, err := c.Collection.Add(ctx,
		&CreateCollectionRequest{Name: name, EmbeddingDimensions: 8}, opts...)
	return err
}

// assertShortLine fails for an error that is not one bounded line.
func assertShortLine(t testing.TB, name string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	text := err.Error()
	assert.LessOrEqual(t, len(text), maxErrorText, name)
	assert.NotEmpty(t, text, name)
	assertOneLine(t, text)
}

// TestError_BoundedLine checks long texts, and those that drive a terminal, in every error.
func TestError_BoundedLine(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"long":       strings.Repeat("x", 2*maxErrorText),
		"many lines": strings.Repeat("evil\r\n", maxErrorText/5),
		"terminal":   "\x1b[31mred\x00\a\u0085 b\n",
		"directions": "a\u202e\u202a\u2066\u2069\u200f\u061cb",
		"zero width": "a\u200b\u200d\u2060\ufeffb\u00ad",
		"not UTF-8":  "a\xff\xfe\n",
		"empty":      "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for where, err := range allErrors(t, text) {
				assertShortLine(t, where, err)
			}
		})
	}
}

func TestNewClient_LongBaseURL(t *testing.T) {
	t.Parallel()
	for _, base := range []string{
		strings.Repeat("x", 1<<17), "http://zep.test:" + strings.Repeat("1", 1<<17),
		"http://zep.test/%" + strings.Repeat("\u202e", 1<<17), strings.Repeat("@\n", 1<<17),
	} {
		_, err := NewClient(WithBaseURL(base), WithAPIKey(""))
		require.Error(t, err)
		assert.Less(t, len(err.Error()), 2000)
		assertOneLine(t, err.Error())
	}
}

// FuzzErrors checks that every error of the package is one bounded line.
func FuzzErrors(f *testing.F) {
	for _, text := range []string{
		"", "jane", "a\nb", "a\r\nb\x1b[0m", "\u202ea\u2069", "\u200b", "\xff", "\x00", "%zz",
		"a/b", `"`,
		`{"user_id":"a"}`, "null", "[null]", "OK", "<html>", "http://zep.test/\u2028", "\U000e0041",
		strings.Repeat("x\n", 5000),
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for where, err := range allErrors(t, text) {
			assertShortLine(t, where, err)
		}
	})
}
