package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// object is a JSON object.
type object = map[string]any

// call is a call of a tool, as a language model makes it.
type call struct {
	tool      string
	arguments object
}

// calls are a short conversation, and a second one that looks for what was said in the first.
var calls = []call{
	{"recall", object{"session_id": "travel"}},
	{"remember", object{
		"session_id": "travel",
		"messages": []object{
			{"role": "user", "content": "I must not eat nuts."},
			{"role": "assistant", "content": "Noted: no nuts."},
			{"role": "user", "content": "On Friday I take the night train to Bergen."},
		},
	}},
	{"list_sessions", nil},
	{"search_memory", object{
		"session_id": "travel",
		"query":      "When does the train leave?",
		"limit":      1,
	}},
	{"recall", object{"session_id": "travel", "limit": 2}},
	{"recall", object{"session_id": "travel", "limit": 2, "before": 2}},
	{"search_documents", object{"collection": "menu", "query": "dishes without nuts"}},
}

// make makes a call, and prints it with the interesting part of its answer.
func (c call) make(ctx context.Context, w io.Writer, session *mcp.ClientSession) error {
	fmt.Fprintf(w, "\n%s %s\n", c.tool, arguments(c.arguments))
	result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: c.tool, Arguments: c.arguments})
	if err != nil {
		return err
	}
	if result.IsError {
		fmt.Fprintf(w, "  error: %s\n", result.Content[0].(*mcp.TextContent).Text)
		return nil
	}
	answer := result.StructuredContent.(object)
	for _, list := range []string{"sessions", "messages", "results"} {
		records, _ := answer[list].([]any)
		for _, r := range records {
			record := r.(object)
			if record["session_id"] != nil {
				fmt.Fprintf(w, "  session %s of %s\n", record["session_id"], record["user_id"])
			} else {
				fmt.Fprintf(w, "  %s: %s\n", record["role"], record["content"])
			}
		}
	}
	if answer["stored"] != nil {
		fmt.Fprintf(w, "  stored %v messages\n", answer["stored"])
	}
	if more, ok := answer["more"].(object); ok {
		fmt.Fprintf(w, "  more: %s\n", more["note"])
		fmt.Fprintf(w, "        %s\n", arguments(more["arguments"].(object)))
	}
	return nil
}

// arguments returns arguments as they are in a call of a function.
func arguments(all object) string {
	data, err := json.Marshal(all)
	if err != nil || all == nil {
		return "{}"
	}
	return strings.TrimSpace(string(data))
}
