package zepmcp

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const invalid = "The arguments are not valid. Change these and call again:\n- "

func TestArguments_Invalid(t *testing.T) {
	t.Parallel()
	server, client := newZep(t)
	tools := newTools(t, client, nil)
	long := strings.Repeat("x", 300)
	for _, test := range []struct {
		tool      string
		arguments object
		want      string
	}{
		{"recall", nil, "session_id is required"},
		{"recall", object{"session_id": ""}, "session_id must not be empty"},
		{"recall", object{"session_id": long}, "session_id must have at most 256 characters, not 300"},
		{"recall", object{"session_id": 5}, "session_id must be string, not number"},
		{"recall", object{"session_id": nil}, "session_id must be string, not null"},
		{"recall", object{"session_id": "a/b"},
			`session_id must not be "." or "..", and not contain "/" or a NUL: it is "a/b"`},
		{"recall", object{"session_id": ".."},
			`session_id must not be "." or "..", and not contain "/" or a NUL: it is ".."`},
		{"recall", object{"session_id": "s", "limit": 0}, "limit must be at least 1, not 0"},
		{"recall", object{"session_id": "s", "limit": 1e9}, "limit must be at most 200, not 1e+09"},
		{"recall", object{"session_id": "s", "limit": 1.5}, "limit must be integer, not number"},
		{"recall", object{"session_id": "s", "limit": "5"}, "limit must be integer, not string"},
		{"recall", object{"session_id": "s", "last": 5},
			`"last" is not known: there are session_id, limit, before, content_offset`},
		{"recall", object{"sessionId": "s", long: 5}, "session_id is required\n- " +
			`"sessionId" is not known: there are session_id, limit, before, content_offset` + "\n- " +
			`"` + long[:50] + `…" is not known: there are session_id, limit, before, content_offset`},
		{"remember", object{"session_id": "s", "messages": []object{}},
			"messages must have at least 1 element, not 0"},
		{"remember", object{"session_id": "s", "messages": say(numbered(51)...)},
			"messages must have at most 50 elements, not 51"},
		{"remember", object{"session_id": "s", "messages": "hello"},
			"messages must be array, not string"},
		{"remember", object{"session_id": "s", "messages": []any{"hello"}},
			"messages[0] must be object, not string"},
		{"remember", object{"session_id": "s", "messages": []object{{"role": "user", "content": "a"},
			{"role": "robot"}}}, "messages[1].content is required\n- messages[1].role must be one of " +
			`"user", "assistant", "system", "tool", "function", "human", "ai", not "robot"`},
		{"remember", object{"session_id": "s", "messages": say("")},
			"messages[0].content must not be empty"},
		{"remember", object{"session_id": "s", "messages": say(strings.Repeat("é", maxContent+1))},
			"messages[0].content must have at most 50000 characters, not 50001"},
		{"remember", object{"session_id": "s", "messages": []object{
			{"role": "user", "content": "a", "metadata": []any{}}}},
			"messages[0].metadata must be object, not array"},
		{"remember", object{"session_id": "s", "messages": []object{
			{"role": "user", "content": "a", "name": "x"}}},
			`"messages[0].name" is not known: there are role, content, metadata`},
		{"search_memory", object{"session_id": "s", "query": "x", "scope": "all"},
			`scope must be one of "messages", "summaries", not "all"`},
		{"search_memory", object{"session_id": "s", "query": "x", "where": object{"a": []any{}}},
			"where.a must be string or number or boolean, not array"},
		{"search_documents", object{"collection": "my docs", "query": "x"},
			`collection must have 3 to 40 letters and digits, and nothing else: it is "my docs"`},
		{"search_documents", object{"collection": "docs", "query": "x", "min_score": -0.5},
			"min_score must be at least 0, not -0.5"},
	} {
		assert.Equal(t, invalid+test.want, tools.fails(test.tool, test.arguments))
	}
	assert.Zero(t, server.Requests(), "nothing is sent")

	many := object{}
	for _, name := range numbered(100) {
		many[name] = 1
	}
	text := tools.fails("recall", many)
	assert.Equal(t, maxComplaints, strings.Count(text, "\n- ")-1)
	assert.True(t, strings.HasSuffix(text, "\n- and more"))
}

func TestArguments_Valid(t *testing.T) {
	t.Parallel()
	_, client := newZep(t)
	tools := newTools(t, client, nil)
	for _, id := range []string{
		"a", ".a", "..a", "...", "a.b", "jane@example.com", "a b\n", "日本", "%2F",
	} {
		tools.ok("remember", object{"session_id": id, "messages": say("hello")})
		got := tools.ok("recall", object{"session_id": id, "limit": json.RawMessage("2.0")})
		assert.Equal(t, []any{"hello"}, field(got.list("messages"), "content"), id)
	}
	// What is no JSON object, or not UTF-8, does not come from an MCP client of the SDK.
	schema, err := inputSchema[recallInput](definition{arguments: arguments{
		"session_id": {"", idText},
	}}).Resolve(nil)
	require.NoError(t, err)
	var in recallInput
	for data, want := range map[string]string{
		`{"session_id":"s","limit":1e400}`: "The arguments cannot be read as a JSON object.",
		"[]":                               "The arguments cannot be read as a JSON object.",
		`"`:                                "The arguments cannot be read as a JSON object.",
		"{\"session_id\":\"\xff\"}":        "The arguments are not UTF-8.",
	} {
		assert.EqualError(t, decodeArguments(json.RawMessage(data), schema, &in), want)
	}
	assert.ErrorContains(t, decodeArguments(json.RawMessage("null"), schema, &in),
		"session_id is required")
}

// Client and server cannot have different opinions about what is valid: whatever the schema
// refuses has a complaint, and what it allows has none.
func TestComplain_AsSchema(t *testing.T) {
	t.Parallel()
	_, client := newZep(t)
	var schemas []*jsonschema.Resolved
	for tool, err := range newTools(t, client, nil).session.Tools(t.Context(), nil) {
		require.NoError(t, err)
		resolved, err := schemaOf(t, tool.InputSchema).Resolve(nil)
		require.NoError(t, err)
		schemas = append(schemas, resolved)
	}
	random := rand.New(rand.NewPCG(1, 2))
	refused := 0
	for i := range 3000 {
		schema := schemas[i%len(schemas)]
		value := randomObject(random, schema.Schema())
		err := schema.Validate(value)
		complaints := complain(nil, "", schema.Schema(), value)
		if !assert.Equal(t, err == nil, len(complaints) == 0, "%v\n%v\n%v", value, err, complaints) {
			return
		}
		if err != nil {
			refused++
		}
	}
	assert.Greater(t, refused, 1000)
	assert.Less(t, refused, 2700)
}

func schemaOf(t *testing.T, schema any) *jsonschema.Schema {
	t.Helper()
	data, err := json.Marshal(schema)
	require.NoError(t, err)
	var s jsonschema.Schema
	require.NoError(t, json.Unmarshal(data, &s))
	return &s
}

// randomObject returns an object that the schema may allow or not.
func randomObject(random *rand.Rand, schema *jsonschema.Schema) map[string]any {
	value := map[string]any{}
	for name, property := range schema.Properties {
		if random.IntN(8) > 0 {
			value[name] = randomValue(random, property)
		}
	}
	if random.IntN(20) == 0 {
		value["other"] = 1.0
	}
	return value
}

func randomValue(random *rand.Rand, schema *jsonschema.Schema) any {
	wrong := []any{nil, true, "", 1.0, []any{}, map[string]any{}, "a/b", ".", -1.0, 1e12, 0.5}
	if random.IntN(12) == 0 {
		return wrong[random.IntN(len(wrong))]
	}
	switch {
	case len(schema.Enum) > 0:
		return schema.Enum[random.IntN(len(schema.Enum))]
	case schema.Type == "string":
		return strings.Repeat(string(alphabet[random.IntN(len(alphabet))]), 1+random.IntN(60))
	case schema.Type == "integer", schema.Type == "number":
		return float64(random.IntN(60))
	case schema.Type == "array":
		elements := []any{}
		for range random.IntN(4) {
			elements = append(elements, randomObject(random, schema.Items))
		}
		return elements
	case schema.Type == "object" && schema.AdditionalProperties != nil:
		value := map[string]any{}
		for _, key := range numbered(random.IntN(12)) {
			value[key] = wrong[1+random.IntN(3)]
		}
		return value
	}
	return map[string]any{"any": wrong[random.IntN(len(wrong))]}
}

// Each argument and each field of an answer has a schema that is fit for use: arguments are
// described and limited, unknown ones are refused, and the structured content is as the output
// schema says.
func TestSchemas(t *testing.T) {
	t.Parallel()
	_, client := newZep(t)
	tools := newTools(t, client, nil)
	for tool, err := range tools.session.Tools(t.Context(), nil) {
		require.NoError(t, err)
		input := schemaOf(t, tool.InputSchema)
		require.NotNil(t, input.AdditionalProperties)
		assert.NotNil(t, input.AdditionalProperties.Not, "unknown arguments are refused")
		for name, property := range input.Properties {
			assert.NotEmpty(t, property.Description, "%s %s", tool.Name, name)
			assert.True(t, isLimited(property), "%s %s", tool.Name, name)
		}
		output := schemaOf(t, tool.OutputSchema)
		assert.Equal(t, "object", output.Type)
	}
	addMessages(t, client, "s1", numbered(3)...)
	addDocuments(t, client, "docs", numbered(3)...)
	for tool, arguments := range map[string]object{
		"remember":         {"session_id": "s2", "messages": say("a")},
		"recall":           {"session_id": "s1", "limit": 1},
		"search_memory":    {"session_id": "s1", "query": "a", "limit": 1},
		"search_documents": {"collection": "docs", "query": "a", "limit": 1},
		"list_sessions":    {"limit": 1},
		"list_collections": {},
	} {
		got := tools.ok(tool, arguments)
		resolved, err := schemaOf(t, tools.find(tool).OutputSchema).Resolve(nil)
		require.NoError(t, err)
		assert.NoError(t, resolved.Validate(got.object), tool)
	}
}

// isLimited reports whether a schema says how long or large a value may be. The metadata of a
// message is limited by what the Zep server takes.
func isLimited(s *jsonschema.Schema) bool {
	switch s.Type {
	case "string":
		return s.MaxLength != nil || s.Pattern == collectionPattern || len(s.Enum) > 0
	case "integer", "number":
		return s.Minimum != nil && s.Maximum != nil && s.Default != nil
	case "array":
		return s.MaxItems != nil && isLimited(s.Items)
	case "object":
		for name, property := range s.Properties {
			if name != "metadata" && !isLimited(property) {
				return false
			}
		}
		return s.MaxProperties != nil || len(s.Properties) > 0
	}
	return false
}

// find returns a tool as the server lists it.
func (c tools) find(name string) *mcp.Tool {
	c.t.Helper()
	for tool, err := range c.session.Tools(c.t.Context(), nil) {
		require.NoError(c.t, err)
		if tool.Name == name {
			return tool
		}
	}
	require.Fail(c.t, "there is no "+name)
	return nil
}

// The defaults of the schemas are what a call without the argument gets.
func TestSchemas_Defaults(t *testing.T) {
	t.Parallel()
	schema, err := inputSchema[searchMemoryInput](definition{arguments: searchArguments.with(arguments{
		"session_id": {"", idText},
		"scope":      {"", scopeText},
	})}).Resolve(nil)
	require.NoError(t, err)
	var in searchMemoryInput
	require.NoError(t, decodeArguments(json.RawMessage(`{"session_id":"s","query":"q"}`), schema, &in))
	assert.True(t, reflect.DeepEqual(
		searchMemoryInput{SessionID: "s", Query: "q", Scope: "messages", Limit: 10}, in), in)
}
