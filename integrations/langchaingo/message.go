package zeplangchain

import (
	"cmp"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/tmc/langchaingo/llms"

	"github.com/zep-go/zep"
)

// MetadataKey is the key of a message's metadata under which a [ChatMessageHistory] keeps what a
// message has besides its role and content. Its value is an object:
//
//	"type"               "ai", "generic", "function" or "tool": the type of the message
//	"role", "name"       of a generic message; "name" of a function message too
//	"tool_call_id"       of a tool message: the id of the call that it is the result of
//	"function_call"      of an AI message: {"name": …, "arguments": …}
//	"tool_calls"         of an AI message: [{"id": …, "type": …, "function": {…}}], where function
//	                     is as "function_call"
//	"reasoning_content"  of an AI message
//
// What is empty is left out. Human and system messages, and AI messages of nothing but content,
// have no such key.
const MetadataKey = "langchaingo"

// record is the value under MetadataKey.
type record struct {
	Type             llms.ChatMessageType `json:"type"`
	Role             string               `json:"role,omitempty"`
	Name             string               `json:"name,omitempty"`
	ToolCallID       string               `json:"tool_call_id,omitempty"`
	FunctionCall     *functionCall        `json:"function_call,omitempty"`
	ToolCalls        []toolCall           `json:"tool_calls,omitempty"`
	ReasoningContent string               `json:"reasoning_content,omitempty"`
}

// functionCall has the fields of llms.FunctionCall under names of its own, so that a new version
// of LangChainGo reads what this one stored.
type functionCall struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

type toolCall struct {
	ID       string        `json:"id"`
	Type     string        `json:"type"`
	Function *functionCall `json:"function,omitempty"`
}

// newZepMessage returns a message of LangChainGo as it is stored.
func newZepMessage(message llms.ChatMessage) (*zep.Message, error) {
	m := &zep.Message{}
	var r *record
	switch message := value(message).(type) {
	case llms.HumanChatMessage:
		m.Role, m.Content = zep.RoleHuman, message.Content
	case llms.SystemChatMessage:
		m.Role, m.Content = zep.RoleSystem, message.Content
	case llms.AIChatMessage:
		m.Role, m.Content = zep.RoleAI, message.Content
		r = newAIRecord(message)
	case llms.GenericChatMessage:
		m.Role, m.Content = zep.Role(cmp.Or(message.Role, "generic")), message.Content
		r = &record{Type: llms.ChatMessageTypeGeneric, Role: message.Role, Name: message.Name}
	case llms.FunctionChatMessage:
		m.Role, m.Content = zep.RoleFunction, message.Content
		r = &record{Type: llms.ChatMessageTypeFunction, Name: message.Name}
	case llms.ToolChatMessage:
		m.Role, m.Content = zep.RoleTool, message.Content
		r = &record{Type: llms.ChatMessageTypeTool, ToolCallID: message.ID}
	default:
		return nil, fmt.Errorf("%w: %T", llms.ErrUnexpectedChatMessageType, message)
	}
	if err := checkText("the content", m.Content); err != nil {
		return nil, err
	}
	if r != nil {
		if err := r.check(); err != nil {
			return nil, err
		}
		m.Metadata = zep.Metadata{MetadataKey: r}
	}
	return m, nil
}

// value returns the message that a pointer points to, and any other message as it is.
func value(message llms.ChatMessage) llms.ChatMessage {
	if v := reflect.ValueOf(message); v.Kind() == reflect.Pointer && !v.IsNil() {
		if m, ok := v.Elem().Interface().(llms.ChatMessage); ok {
			return m
		}
	}
	return message
}

// newAIRecord returns nil for a message that has only content.
func newAIRecord(message llms.AIChatMessage) *record {
	if message.FunctionCall == nil && len(message.ToolCalls) == 0 && message.ReasoningContent == "" {
		return nil
	}
	r := &record{
		Type:             llms.ChatMessageTypeAI,
		FunctionCall:     (*functionCall)(message.FunctionCall),
		ReasoningContent: message.ReasoningContent,
	}
	for _, call := range message.ToolCalls {
		r.ToolCalls = append(r.ToolCalls, toolCall{
			ID:       call.ID,
			Type:     call.Type,
			Function: (*functionCall)(call.FunctionCall),
		})
	}
	return r
}

// check returns an error for text that the server would not store as it is.
func (r *record) check() error {
	errs := []error{
		checkText("the role", r.Role),
		checkText("the name", r.Name),
		checkText("the id of the tool call", r.ToolCallID),
		checkText("the reasoning content", r.ReasoningContent),
		r.FunctionCall.check("the function call"),
	}
	for i, call := range r.ToolCalls {
		name := fmt.Sprintf("tool call %d", i)
		errs = append(errs, checkText(name, call.ID, call.Type), call.Function.check(name))
	}
	return cmp.Or(errs...)
}

func (c *functionCall) check(name string) error {
	if c == nil {
		return nil
	}
	return checkText(name, c.Name, c.Arguments)
}

func checkText(name string, texts ...string) error {
	for _, text := range texts {
		switch {
		case !utf8.ValidString(text):
			return fmt.Errorf("%w: %s is not UTF-8", zep.ErrBadRequest, name)
		case strings.ContainsRune(text, 0):
			return fmt.Errorf("%w: %s contains a NUL character", zep.ErrBadRequest, name)
		}
	}
	return nil
}

// newChatMessage returns a stored message as LangChainGo has it.
func newChatMessage(m *zep.Message) (llms.ChatMessage, error) {
	if _, ok := m.Metadata[MetadataKey]; !ok {
		return messageByRole(m), nil
	}
	var metadata struct {
		Record record `json:"langchaingo"`
	}
	if err := m.Metadata.Decode(&metadata); err != nil {
		return nil, fmt.Errorf("its metadata: %w", err)
	}
	r := metadata.Record
	switch r.Type {
	case llms.ChatMessageTypeAI:
		return r.aiMessage(m.Content), nil
	case llms.ChatMessageTypeGeneric:
		return llms.GenericChatMessage{Content: m.Content, Role: r.Role, Name: r.Name}, nil
	case llms.ChatMessageTypeFunction:
		return llms.FunctionChatMessage{Content: m.Content, Name: r.Name}, nil
	case llms.ChatMessageTypeTool:
		return llms.ToolChatMessage{Content: m.Content, ID: r.ToolCallID}, nil
	}
	return nil, fmt.Errorf("its metadata: %w: %.50q", llms.ErrUnexpectedChatMessageType, r.Type)
}

// messageByRole returns a message that has nothing but its role and content.
func messageByRole(m *zep.Message) llms.ChatMessage {
	switch m.Role {
	case zep.RoleHuman, zep.RoleUser:
		return llms.HumanChatMessage{Content: m.Content}
	case zep.RoleAI, zep.RoleAssistant:
		return llms.AIChatMessage{Content: m.Content}
	case zep.RoleSystem:
		return llms.SystemChatMessage{Content: m.Content}
	case zep.RoleFunction:
		return llms.FunctionChatMessage{Content: m.Content}
	case zep.RoleTool:
		return llms.ToolChatMessage{Content: m.Content}
	}
	return llms.GenericChatMessage{Content: m.Content, Role: string(m.Role)}
}

func (r *record) aiMessage(content string) llms.AIChatMessage {
	message := llms.AIChatMessage{
		Content:          content,
		FunctionCall:     (*llms.FunctionCall)(r.FunctionCall),
		ReasoningContent: r.ReasoningContent,
	}
	for _, call := range r.ToolCalls {
		message.ToolCalls = append(message.ToolCalls, llms.ToolCall{
			ID:           call.ID,
			Type:         call.Type,
			FunctionCall: (*llms.FunctionCall)(call.Function),
		})
	}
	return message
}
