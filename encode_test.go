package zep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep/internal/exactjson"
)

const bad = "Andr\xe9" // Latin-1

// textFields has a call for each field of text, with the path of that in its error.
var textFields = []struct {
	path string
	call func(ctx context.Context, c *Client, text string) error
}{
	{"POST /user: Email", addUser(func(u *CreateUserRequest, s string) { u.Email = s })},
	{"POST /user: FirstName", addUser(func(u *CreateUserRequest, s string) { u.FirstName = s })},
	{"POST /user: LastName", addUser(func(u *CreateUserRequest, s string) { u.LastName = s })},
	{`POST /user: Metadata["k"]`, addUser(func(u *CreateUserRequest, s string) {
		u.Metadata = Metadata{"a": 1, "k": s}
	})},
	{`POST /user: Metadata["k"]["x"][3]`, addUser(func(u *CreateUserRequest, s string) {
		u.Metadata = Metadata{"k": map[string]any{"x": []any{"a", 1, nil, s}}}
	})},
	{"PATCH /user/{userId}: LastName", func(ctx context.Context, c *Client, s string) error {
		_, err := c.User.Update(ctx, &UpdateUserRequest{UserID: "jane", LastName: s})
		return err
	}},
	{`POST /sessions: Metadata["k"]`, func(ctx context.Context, c *Client, s string) error {
		_, err := c.Session.Add(ctx, &CreateSessionRequest{
			SessionID: "s",
			Metadata:  Metadata{"k": s},
		})
		return err
	}},
	{`PATCH /sessions/{sessionId}: Metadata["k"]`,
		func(ctx context.Context, c *Client, s string) error {
			_, err := c.Session.Update(ctx, &UpdateSessionRequest{
				SessionID: "s",
				Metadata:  Metadata{"k": s},
			})
			return err
		}},
	{"Memory.Add: Messages[2].UUID", addMessage(func(m *Message, s string) { m.UUID = s })},
	{"Memory.Add: Messages[2].Role", addMessage(func(m *Message, s string) { m.Role = Role(s) })},
	{"Memory.Add: Messages[2].Content", addMessage(func(m *Message, s string) { m.Content = s })},
	{`Memory.Add: Messages[2].Metadata["k"]`, addMessage(func(m *Message, s string) {
		m.Metadata = Metadata{"k": s}
	})},
	{`Memory.Add: Metadata["k"]`, func(ctx context.Context, c *Client, s string) error {
		return c.Memory.Add(ctx, "s", &AddMemoryRequest{Metadata: Metadata{"k": s}})
	}},
	{"/search: Text", searchMemory(func(r *SearchMemoryRequest, s string) { r.Text = s })},
	{"/search: Scope", searchMemory(func(r *SearchMemoryRequest, s string) {
		r.Scope = SearchScope(s)
	})},
	{"/search: Type", searchMemory(func(r *SearchMemoryRequest, s string) {
		r.Type = SearchType(s)
	})},
	{`/search: Metadata["where"]["or"][1]["jsonpath"]`,
		searchMemory(func(r *SearchMemoryRequest, s string) {
			where := Or(JSONPath("$.a"), Condition{"jsonpath": s})
			r.Metadata = SearchFilter{Where: where}.Metadata()
		})},
	{`/messages/{messageId}: metadata["k"]`, func(ctx context.Context, c *Client, s string) error {
		_, err := c.Message.UpdateMetadata(ctx, "s", uuid1, Metadata{"k": s})
		return err
	}},
	{"POST /collection/{collectionName}: Description",
		func(ctx context.Context, c *Client, s string) error {
			_, err := c.Collection.Add(ctx, &CreateCollectionRequest{
				Name:                "docs",
				Description:         s,
				EmbeddingDimensions: 8,
			})
			return err
		}},
	{"PATCH /collection/{collectionName}: Description",
		func(ctx context.Context, c *Client, s string) error {
			_, err := c.Collection.Update(ctx, &UpdateCollectionRequest{
				Name:        "docs",
				Description: s,
			})
			return err
		}},
	{"POST /collection/{collectionName}/search: Text",
		func(ctx context.Context, c *Client, s string) error {
			_, err := c.Collection.Search(ctx, "docs", &SearchDocumentsRequest{Text: s})
			return err
		}},
	{"Document.Add: item 1: Content", addDocument(func(d *CreateDocumentRequest, s string) {
		d.Content = s
	})},
	{`Document.Add: item 1: Metadata["k"]`, addDocument(func(d *CreateDocumentRequest, s string) {
		d.Metadata = Metadata{"k": s}
	})},
	{`Document.UpdateAll: item 1: Metadata["k"]`,
		func(ctx context.Context, c *Client, s string) error {
			return c.Document.UpdateAll(ctx, "docs", []*UpdateDocumentRequest{
				{UUID: uuid1, Metadata: Metadata{"k": "fine"}},
				{UUID: uuid2, Metadata: Metadata{"k": s}},
			})
		}},
	{documentRoute + `: Metadata["k"]`, func(ctx context.Context, c *Client, s string) error {
		return c.Document.Update(ctx, "docs", &UpdateDocumentRequest{
			UUID:     uuid1,
			Metadata: Metadata{"k": s},
		})
	}},
}

func addUser(
	set func(*CreateUserRequest, string),
) func(context.Context, *Client, string) error {
	return func(ctx context.Context, c *Client, text string) error {
		req := &CreateUserRequest{UserID: "jane"}
		set(req, text)
		_, err := c.User.Add(ctx, req)
		return err
	}
}

func addMessage(set func(*Message, string)) func(context.Context, *Client, string) error {
	return func(ctx context.Context, c *Client, text string) error {
		m := &Message{Role: RoleHuman, Content: "fine"}
		set(m, text)
		fine := &Message{Role: RoleHuman, Content: "fine"}
		return c.Memory.Add(ctx, "s", &AddMemoryRequest{Messages: []*Message{fine, fine, m}})
	}
}

func searchMemory(
	set func(*SearchMemoryRequest, string),
) func(context.Context, *Client, string) error {
	return func(ctx context.Context, c *Client, text string) error {
		req := &SearchMemoryRequest{Text: "fine"}
		set(req, text)
		_, err := c.Memory.Search(ctx, "s", req)
		return err
	}
}

func addDocument(
	set func(*CreateDocumentRequest, string),
) func(context.Context, *Client, string) error {
	return func(ctx context.Context, c *Client, text string) error {
		d := &CreateDocumentRequest{Content: "fine"}
		set(d, text)
		_, err := c.Document.Add(ctx, "docs", []*CreateDocumentRequest{{Content: "fine"}, d})
		return err
	}
}

func TestEncode_RefusesText(t *testing.T) {
	t.Parallel()
	for _, field := range textFields {
		t.Run(field.path, func(t *testing.T) {
			t.Parallel()
			for text, want := range map[string]string{
				bad:            " is not UTF-8: replace the invalid bytes, as strings.ToValidUTF8",
				"a\x00b":       " contains a NUL character",
				"\xed\xa0\x80": " is not UTF-8",
			} {
				c, s, _ := scripted(t, nil)
				err := field.call(context.Background(), c, text)
				require.Error(t, err)
				assert.Equal(t, []error{ErrBadRequest}, matched(err))
				require.ErrorContains(t, err, field.path+want)
				assertOneLine(t, err.Error())
				assert.Empty(t, s.requests(), "nothing is sent")
				assert.True(t, idle(c.updates))
			}
		})
	}
}

// TestEncode_SendsText checks that all other text is sent as it is.
func TestEncode_SendsText(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, text := range []string{
		"é日本😀", "\ufffd", `\ufffd \u0000 \ud800`, "<&>\u2028", "\n\t\x01\x7f", `\\ufffd\`,
	} {
		encoded, err := exactjson.Encode(text)
		require.NoError(t, err)
		for _, field := range textFields {
			c, s, _ := scripted(t, []Option{WithMaxAttempts(1)}, answers(418, ""))
			require.Error(t, field.call(ctx, c, text))
			require.Len(t, s.requests(), 1, field.path)
			assert.Contains(t, s.requests()[0].body, string(encoded), field.path)
		}
	}
}

// marshaled is a json.Marshaler, whatever it is.
type marshaled string

func (m marshaled) MarshalJSON() ([]byte, error) {
	if m == "" {
		return nil, errors.New("no\nJSON")
	}
	return []byte(m), nil
}

// texted is an encoding.TextMarshaler.
type texted string

func (t texted) MarshalText() ([]byte, error) { return []byte(t), nil }

// pointed has its method on the pointer: encoding/json uses it only in what it can address.
type pointed struct{ Text string }

func (p *pointed) MarshalJSON() ([]byte, error) { return []byte(`"` + p.Text + `"`), nil }

type base struct{ Name string }

type shaped struct {
	base
	Tags    []string `json:"tags,omitempty"`
	Hidden  string   `json:"-"`
	private string
	Quoted  string         `json:",string"`
	ByID    map[int]string `json:",omitempty"`
}

func TestEncode_Metadata(t *testing.T) {
	t.Parallel()
	cycle := map[string]any{}
	cycle["list"] = []any{cycle}
	self := &loop{}
	self.Next = self
	deep := any(bad)
	for range 3000 {
		deep = map[string]any{strings.Repeat("k", 50): deep}
	}
	key := strings.Repeat("\xff", 200)
	const (
		notUTF8 = " is not UTF-8: "
		nul     = " contains a NUL character"
		half    = " contains half of a surrogate pair"
		tooDeep = " cannot be sent as JSON: nested too deep, or within itself"
		noJSON  = " cannot be sent as JSON: json: "
	)
	tests := map[string]struct {
		value any
		want  string // the end of the path, and what follows; "" if it is sent
	}{
		"a key":                      {Metadata{bad: 1}, `["Andr\xe9"] (the key)` + notUTF8},
		"a key with NUL":             {map[string]int{"\x00": 1}, `["\x00"] (the key)` + nul},
		"a long key":                 {Metadata{key: 1}, key100(key) + ` (the key)` + notUTF8},
		"a key of a TextMarshaler":   {map[texted]int{bad: 1}, `["Andr\xe9"] (the key)` + notUTF8},
		"a value below an int":       {map[int]any{-7: bad}, `["-7"]` + notUTF8},
		"typed list":                 {[]string{"a", bad}, "[1]" + notUTF8},
		"array":                      {[2]string{1: bad}, "[1]" + notUTF8},
		"named string":               {Role(bad), notUTF8},
		"pointer":                    {&[]string{bad}, "[0]" + notUTF8},
		"field":                      {shaped{Tags: []string{"a", bad}}, ".Tags[1]" + notUTF8},
		"embedded field":             {shaped{base: base{bad}}, ".base.Name" + notUTF8},
		"quoted field":               {shaped{Quoted: bad}, ".Quoted" + notUTF8},
		"field, a map":               {shaped{ByID: map[int]string{7: bad}}, `ID["7"]` + notUTF8},
		"fields that are no JSON":    {shaped{Hidden: bad, private: bad}, ""},
		"raw JSON":                   {json.RawMessage(`"` + bad + `"`), notUTF8},
		"raw NUL":                    {json.RawMessage(`"\\\u0000"`), nul},
		"raw backslash":              {json.RawMessage(`"\\u0000"`), ""},
		"raw replacement character":  {json.RawMessage(`"\ufffd\uFFFD"`), ""},
		"raw surrogate pair":         {json.RawMessage(`"\ud83d\uDE00"`), ""},
		"raw high surrogate":         {json.RawMessage(`"\uD83d"`), half},
		"raw low surrogate":          {json.RawMessage(`"\udc00"`), half},
		"raw surrogates, reversed":   {json.RawMessage(`"\udc00\ud83d"`), half},
		"raw surrogate before a u":   {json.RawMessage(`"\ud83dude00"`), half},
		"raw surrogate, another":     {json.RawMessage(`"\ud83d\n\ude00"`), half},
		"Marshaler":                  {[]any{marshaled(`{"a":"` + bad + `"}`)}, "[0]" + notUTF8},
		"Marshaler's key":            {marshaled(`{"` + bad + `":1}`), notUTF8},
		"Marshaler that fails":       {[]any{marshaled("")}, "[0]" + noJSON},
		"Marshaler of no JSON":       {[]any{marshaled("{")}, "[0]" + noJSON},
		"TextMarshaler":              {texted(bad), notUTF8},
		"TextMarshaler, NUL":         {texted("\x00"), nul},
		"Marshaler by pointer":       {&pointed{bad}, notUTF8},
		"Marshaler by pointer, list": {[]pointed{{bad}}, "[0]" + notUTF8},
		"Marshaler not addressable":  {Metadata{"p": pointed{bad}}, `["p"].Text` + notUTF8},
		"time":                       {time.Time{}, ""},
		"bytes":                      {[]byte(bad), ""},
		"nil":                        {[]any{nil, (*pointed)(nil), Metadata(nil)}, ""},
		"NaN":                        {[]float64{0, math.NaN()}, "[1]" + noJSON},
		"Inf":                        {number{math.Inf(-1)}, ".F" + noJSON + "unsupported value"},
		"channel":                    {Metadata{"c": make(chan int)}, `["c"]` + noJSON},
		"func":                       {[]func(){nil}, "[0]" + noJSON + "unsupported type: func()"},
		"complex":                    {Metadata{"z": 1i}, `["z"]` + noJSON},
		"map key":                    {map[bool]int{true: 1}, noJSON},
		"invalid json.Number":        {json.Number("1x"), noJSON},
		"json.Number":                {json.Number("1"), ""},
		"cycle":                      {cycle, tooDeep},
		"cycle of pointers":          {self, tooDeep},
		"deep":                       {deep, notUTF8},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			metadata := Metadata{"a": "fine", "k": test.value, "z": []any{`\ufffd \u0000`}}
			c, s, _ := scripted(t, nil, answers(201, janeJSON))
			_, err := c.User.Add(context.Background(),
				&CreateUserRequest{UserID: "jane", Metadata: metadata})
			if test.want == "" {
				require.NoError(t, err)
				want, err := json.Marshal(&CreateUserRequest{UserID: "jane", Metadata: metadata})
				require.NoError(t, err)
				assert.JSONEq(t, string(want), s.requests()[0].body)
				return
			}
			assert.Equal(t, []error{ErrBadRequest}, matched(err))
			require.ErrorContains(t, err, `zep: bad request: POST /user: Metadata["k"]`)
			require.ErrorContains(t, err, test.want)
			assertOneLine(t, err.Error())
			assert.Less(t, len(err.Error()), 1500)
			assert.Empty(t, s.requests(), "nothing is sent")
		})
	}
}

type loop struct{ Next *loop }

type number struct{ F float64 }

func key100(key string) string { return fmt.Sprintf("[%.100q]", key) }

// TestEncode_IDs checks that an id in a body is refused as one on the path is.
func TestEncode_IDs(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, id := range []string{bad, "a\x00b"} {
		ids := []string{uuid1, id}
		for want, call := range map[string]func(*Client) error{
			"documentUUIDs[1]": func(c *Client) error {
				_, err := c.Document.GetByUUIDs(ctx, "docs", ids)
				return err
			},
			"documentIDs[1]": func(c *Client) error {
				_, err := c.Document.GetByIDs(ctx, "docs", ids)
				return err
			},
			"documentUUIDs[1] ": func(c *Client) error {
				return c.Document.DeleteAll(ctx, "docs", ids)
			},
			"Document.UpdateAll: the UUID of request 1": func(c *Client) error {
				return c.Document.UpdateAll(ctx, "docs", []*UpdateDocumentRequest{
					{UUID: uuid1, DocumentID: "a"},
					{UUID: id, DocumentID: "b"},
				})
			},
			"documentUUID": func(c *Client) error {
				return c.Document.Update(ctx, "docs", &UpdateDocumentRequest{UUID: id})
			},
			"userID": func(c *Client) error {
				_, err := c.User.Add(ctx, &CreateUserRequest{UserID: id, Email: id})
				return err
			},
			"userID ": func(c *Client) error {
				_, err := c.User.Update(ctx, &UpdateUserRequest{UserID: id, Email: id})
				return err
			},
		} {
			c, s, _ := scripted(t, nil)
			err := call(c)
			require.ErrorContains(t, err, strings.TrimSpace(want)+fmt.Sprintf(" %q ", id))
			assert.Equal(t, []error{ErrInvalidID}, matched(err), want)
			assert.Empty(t, s.requests())
		}
	}
}

func TestEncode_DistinctKeys(t *testing.T) {
	t.Parallel()
	c, s, _ := scripted(t, nil)
	_, err := c.User.Add(context.Background(), &CreateUserRequest{
		UserID:   "jane",
		Metadata: Metadata{"k\xe1": 1, "k\xe9": 2},
	})
	require.ErrorIs(t, err, ErrBadRequest)
	assert.ErrorContains(t, err, `Metadata["k\xe1"] (the key) is not UTF-8`)
	assert.Empty(t, s.requests())
}

// TestEncode_NoHTMLEscapes checks that HTML takes no more bytes than it has, alone and in batches.
func TestEncode_NoHTMLEscapes(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	page := strings.Repeat("<p>&amp;</p>", 200_000) // 2.4 MB, and 8.4 MB if it is escaped
	c, s, _ := scripted(t, nil, answers(200, `["a"]`), answers(200, `["b"]`), answers(200, "OK"))
	raw := json.RawMessage(`{"a":"<\u003c>"}`)
	_, err := c.Document.Add(ctx, "docs", []*CreateDocumentRequest{{Content: page}})
	require.NoError(t, err)
	_, err = c.Document.Add(ctx, "docs", []*CreateDocumentRequest{
		{Content: "<", Metadata: Metadata{"&": raw}},
	})
	require.NoError(t, err)
	require.NoError(t, c.Memory.Add(ctx, "s", &AddMemoryRequest{
		Messages: []*Message{{UUID: uuid1, Role: "<>", Content: "&"}},
	}))
	sent := s.requests()
	assert.True(t, `[{"content":"`+page+`"}]` == sent[0].body, "the page is sent as it is")
	assert.Equal(t, `[{"content":"<","metadata":{"&":{"a":"<\u003c>"}}}]`, sent[1].body)
	assert.Equal(t, `{"messages":[{"uuid":"`+uuid1+`","role":"<>","content":"&"}]}`, sent[2].body)
}
