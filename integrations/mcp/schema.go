package zepmcp

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/jsonschema-go/jsonschema"
)

// arguments are the arguments of a tool, by their names.
type arguments map[string]argument

// argument tells the model what an argument is, and limits what it can be.
type argument struct {
	about string
	limit func(*jsonschema.Schema)
}

// with returns the arguments of both.
func (a arguments) with(more arguments) arguments {
	all := maps.Clone(a)
	maps.Copy(all, more)
	return all
}

// inputSchema returns the schema of the arguments of a tool: an object with those fields of In
// that the definition describes.
func inputSchema[In any](d definition) *jsonschema.Schema {
	schema, err := jsonschema.For[In](nil)
	if err != nil {
		panic(fmt.Sprintf("zepmcp: the schema of %s: %v", d.name, err))
	}
	for name, argument := range d.arguments {
		property := schema.Properties[name]
		if property == nil {
			panic(fmt.Sprintf("zepmcp: %s has no argument %s", d.name, name))
		}
		property.Description = argument.about
		argument.limit(property)
	}
	undescribed := func(name string) bool { return d.arguments[name].limit == nil }
	maps.DeleteFunc(schema.Properties, func(name string, _ *jsonschema.Schema) bool {
		return undescribed(name)
	})
	schema.PropertyOrder = slices.DeleteFunc(schema.PropertyOrder, undescribed)
	return schema
}

// outputSchema returns the schema of the structured content of a tool. Its lists are never null.
func outputSchema[Out any](d definition) *jsonschema.Schema {
	schema, err := jsonschema.For[Out](nil)
	if err != nil {
		panic(fmt.Sprintf("zepmcp: the output schema of %s: %v", d.name, err))
	}
	withoutNull(schema)
	return schema
}

func withoutNull(schema *jsonschema.Schema) {
	if len(schema.Types) == 2 && schema.Types[0] == "null" {
		schema.Type, schema.Types = schema.Types[1], nil
	}
	for _, property := range schema.Properties {
		withoutNull(property)
	}
	if schema.Items != nil {
		withoutNull(schema.Items)
	}
}

// length limits the characters of a text.
func length(min, max int) func(*jsonschema.Schema) {
	return func(s *jsonschema.Schema) { s.MinLength, s.MaxLength = &min, &max }
}

// between limits a number, and gives it a default.
func between(min, max float64, byDefault int) func(*jsonschema.Schema) {
	return func(s *jsonschema.Schema) {
		s.Minimum, s.Maximum = &min, &max
		s.Default = json.RawMessage(fmt.Sprint(byDefault))
	}
}

// oneOf limits a text to the values.
func oneOf(values ...string) func(*jsonschema.Schema) {
	return func(s *jsonschema.Schema) {
		for _, value := range values {
			s.Enum = append(s.Enum, value)
		}
	}
}

// The patterns of texts.
const (
	idPattern = `^([^/.\x00]|\.[^/.\x00]|\.\.[^/\x00])[^/\x00]*$`

	collectionPattern = `^[a-zA-Z0-9]{3,40}$`
)

// pattern is a pattern, and what it demands in words.
type pattern struct {
	*regexp.Regexp
	words string
}

var patterns = map[string]pattern{
	idPattern: {
		regexp.MustCompile(idPattern),
		`must not be "." or "..", and not contain "/" or a NUL`,
	},
	collectionPattern: {
		regexp.MustCompile(collectionPattern),
		"must have 3 to 40 letters and digits, and nothing else",
	},
}

// maxID is how many characters an id has at most.
const maxID = 256

// invalidID says why a text cannot be an id, "" if it can.
func invalidID(id string) string {
	if !utf8.ValidString(id) {
		return "must be UTF-8"
	}
	var why []string
	add := func(format string, args ...any) { why = append(why, fmt.Sprintf(format, args...)) }
	schema := &jsonschema.Schema{}
	idText(schema)
	complainOfText(add, schema, id)
	return strings.Join(why, "; ")
}

// idText limits a text to what can be an id.
func idText(s *jsonschema.Schema) {
	length(1, maxID)(s)
	s.Pattern = idPattern
}

func collectionText(s *jsonschema.Schema) { s.Pattern = collectionPattern }

// equalities limits an object to what [zep.Equal] compares.
func equalities(s *jsonschema.Schema) {
	most := 10
	s.MaxProperties = &most
	s.AdditionalProperties = &jsonschema.Schema{Types: []string{"string", "number", "boolean"}}
}

// maxComplaints is how many mistakes an error names.
const maxComplaints = 10

// invalidArguments says which arguments the schema does not allow, and what it allows.
func invalidArguments(schema *jsonschema.Schema, arguments map[string]any) error {
	complaints := complain(nil, "", schema, arguments)
	if len(complaints) > maxComplaints {
		complaints = append(complaints[:maxComplaints], "and more")
	}
	return modelError("The arguments are not valid. Change these and call again:\n- " +
		strings.Join(complaints, "\n- "))
}

// complain appends what is wrong with a value. It knows what the schemas of this package use.
func complain(list []string, path string, schema *jsonschema.Schema, value any) []string {
	add := func(format string, args ...any) {
		name := path
		if name == "" {
			name = "the arguments"
		}
		list = append(list, name+" "+fmt.Sprintf(format, args...))
	}
	if types := typesOf(schema); len(types) > 0 && !slices.ContainsFunc(types, isType(value)) {
		add("must be %s, not %s", strings.Join(types, " or "), kindOf(value))
		return list
	}
	if len(schema.Enum) > 0 && !slices.Contains(schema.Enum, value) {
		add("must be one of %s, not %s", quoted(schema.Enum), quoted([]any{value}))
		return list
	}
	switch value := value.(type) {
	case string:
		complainOfText(add, schema, value)
	case float64:
		if schema.Minimum != nil && value < *schema.Minimum {
			add("must be at least %v, not %v", *schema.Minimum, value)
		}
		if schema.Maximum != nil && value > *schema.Maximum {
			add("must be at most %v, not %v", *schema.Maximum, value)
		}
	case []any:
		if n := len(value); schema.MinItems != nil && n < *schema.MinItems {
			add("must have at least %d element, not %d", *schema.MinItems, n)
		} else if schema.MaxItems != nil && n > *schema.MaxItems {
			add("must have at most %d elements, not %d", *schema.MaxItems, n)
		}
		for i, element := range value {
			if schema.Items != nil && len(list) <= maxComplaints {
				list = complain(list, fmt.Sprintf("%s[%d]", path, i), schema.Items, element)
			}
		}
	case map[string]any:
		if n := len(value); schema.MaxProperties != nil && n > *schema.MaxProperties {
			add("must have at most %d keys, not %d", *schema.MaxProperties, n)
		}
		list = complainOfObject(list, path, schema, value)
	}
	return list
}

func complainOfText(add func(string, ...any), schema *jsonschema.Schema, value string) {
	n := utf8.RuneCountInString(value)
	switch {
	case schema.MinLength != nil && n < *schema.MinLength:
		add("must not be empty")
	case schema.MaxLength != nil && n > *schema.MaxLength:
		add("must have at most %d characters, not %d", *schema.MaxLength, n)
	case schema.Pattern != "":
		if p := patterns[schema.Pattern]; !p.MatchString(value) {
			add("%s: it is %s", p.words, quoted([]any{value}))
		}
	}
}

func complainOfObject(
	list []string, path string, schema *jsonschema.Schema, value map[string]any,
) []string {
	join := func(name string) string { return strings.TrimPrefix(path+"."+name, ".") }
	for _, name := range schema.Required {
		if _, ok := value[name]; !ok {
			list = append(list, join(name)+" is required")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(value)) {
		property := schema.Properties[name]
		if property == nil {
			property = schema.AdditionalProperties
		}
		switch {
		case len(list) > maxComplaints:
			return list
		case property == nil: // anything will do
		case property.Not != nil:
			list = append(list, fmt.Sprintf("%s is not known: there are %s",
				quoted([]any{join(name)}), strings.Join(schema.PropertyOrder, ", ")))
		default:
			list = complain(list, join(shorten(name)), property, value[name])
		}
	}
	return list
}

// typesOf returns the types that a schema allows, all if there are none.
func typesOf(schema *jsonschema.Schema) []string {
	if schema.Type != "" {
		return []string{schema.Type}
	}
	return schema.Types
}

// isType returns a function that reports whether a value is of a type.
func isType(value any) func(string) bool {
	kind := kindOf(value)
	return func(name string) bool {
		if f, ok := value.(float64); ok && name == "integer" {
			return f == math.Trunc(f)
		}
		return name == kind
	}
}

// kindOf returns the JSON type of a value.
func kindOf(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case float64:
		return "number"
	case string:
		return "string"
	case []any:
		return "array"
	}
	return "object"
}

// quoted returns values as short JSON.
func quoted(values []any) string {
	var texts []string
	for _, value := range values {
		if text, ok := value.(string); ok {
			value = shorten(text)
		}
		data, err := encode(value)
		if err != nil {
			data = []byte("?")
		}
		texts = append(texts, string(data))
	}
	return strings.Join(texts, ", ")
}

// shorten returns at most 50 characters of a text, and a mark if that is not all of it.
func shorten(text string) string { return shortenTo(text, 50) }

func shortenTo(text string, characters int) string {
	for i := range text {
		if characters == 0 {
			return text[:i] + "…"
		}
		characters--
	}
	return text
}
