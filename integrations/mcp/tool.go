package zepmcp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// definition describes a tool. The schema of its arguments is made of the type of its input, which
// has a field for each.
type definition struct {
	name, title, description string

	writes    bool
	arguments arguments
}

// addTool adds a tool to the server. Its call returns the output, which is the structured content
// of the answer and, as JSON, its text. An error of call becomes an answer with IsError, in words
// for the model.
//
// The SDK's own function of this name is not used: its errors for arguments that are not valid
// quote them whole, however large they are, and do not name the argument first.
func addTool[In, Out any](
	s *server, d definition, call func(context.Context, In) (*Out, error),
) {
	input := inputSchema[In](d)
	resolved, err := input.Resolve(&jsonschema.ResolveOptions{ValidateDefaults: true})
	if err != nil {
		panic(fmt.Sprintf("zepmcp: the schema of %s: %v", d.name, err))
	}
	no := false
	s.mcp.AddTool(&mcp.Tool{
		Name:         d.name,
		Title:        d.title,
		Description:  d.description,
		InputSchema:  input,
		OutputSchema: outputSchema[Out](d),
		Annotations: &mcp.ToolAnnotations{
			Title:           d.title,
			ReadOnlyHint:    !d.writes,
			IdempotentHint:  !d.writes,
			DestructiveHint: &no,
			OpenWorldHint:   &no,
		},
	}, func(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		var in In
		if err := decodeArguments(req.Params.Arguments, resolved, &in); err != nil {
			return s.failure(ctx, d.name, err), nil
		}
		out, err := call(ctx, in)
		if err != nil {
			return s.failure(ctx, d.name, err), nil
		}
		data, err := encode(out)
		if err != nil {
			return s.failure(ctx, d.name, err), nil
		}
		return &mcp.CallToolResult{
			Content:           []mcp.Content{&mcp.TextContent{Text: string(data)}},
			StructuredContent: json.RawMessage(data),
		}, nil
	})
}

// failure returns an answer that tells the model what went wrong and what to change.
func (s *server) failure(ctx context.Context, tool string, err error) *mcp.CallToolResult {
	text := explain(err)
	s.log.LogAttrs(ctx, levelOf(err), "tool failed", logAttrs(tool, err)...)
	return &mcp.CallToolResult{
		Content: []mcp.Content{&mcp.TextContent{Text: text}},
		IsError: true,
	}
}

// decodeArguments decodes the arguments of a call, with the defaults of the schema, if the schema
// allows them.
func decodeArguments(data json.RawMessage, schema *jsonschema.Resolved, into any) error {
	arguments := map[string]any{}
	if len(data) > 0 {
		if !utf8.Valid(data) { // a decoder would change what is not
			return modelError("The arguments are not UTF-8.")
		}
		if err := json.Unmarshal(data, &arguments); err != nil {
			return modelError("The arguments cannot be read as a JSON object.")
		}
	}
	if arguments == nil { // null
		arguments = map[string]any{}
	}
	if err := schema.Validate(arguments); err != nil {
		return invalidArguments(schema.Schema(), arguments)
	}
	if err := schema.ApplyDefaults(&arguments); err != nil {
		return err
	}
	// In the arguments 5.0 is an integer, which it is not to the decoder of an int.
	data, err := encode(arguments)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

// encode returns the JSON of a value, with <, > and & as they are.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, errors.New("an answer has no JSON")
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
