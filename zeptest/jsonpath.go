package zeptest

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/theory/sqljson/path"
	"github.com/theory/sqljson/path/ast"
)

// jsonPath is an SQL/JSON path of which [pathEvaluation] is known to make what PostgreSQL 15 does.
// All others are refused, correct or not: an error in a test is better than a result that a real
// server would not give.
type jsonPath struct{ root ast.Node }

// maxPathLength keeps the parser's recursion from running out of stack.
const maxPathLength = 64 << 10

// plainText is read alike by the parser and by PostgreSQL 15. Outside quotes it has no comment,
// which ends a word in PostgreSQL only; no escape, since the parser forgets one at the very end;
// and no levels of .**, which the parser cuts to 32 bits. In quotes it has no escapes but those of
// JSON.
var plainText = regexp.MustCompile(
	`^([^"\\/{]|"([^"\\]|\\["\\/bfnrt]|\\u[0-9A-Fa-f]{4})*")*$`)

// The codes of PostgreSQL's errors. An error with such a code is final for a client.
const (
	syntaxErrorCode  = "42601"
	invalidTextCode  = "22P02"
	notSupportedCode = "0A000"
)

func sqlError(code, text string) error {
	return fmt.Errorf("ERROR: %s (SQLSTATE=%s)", text, code)
}

// errPathEnd is PostgreSQL's error for a path that ends too soon.
var errPathEnd = sqlError(syntaxErrorCode, "syntax error at end of jsonpath input")

// refusal is the error for a path that is not evaluated.
func refusal(code, text, reason string) error {
	return sqlError(code, fmt.Sprintf("zeptest cannot evaluate this jsonpath: %q: %s. It knows "+
		`$, @, .key, .*, .**, [*], [0], [last], [0, 1 to last], .type(), .size(), ? (condition), `+
		`==, !=, <>, <, <=, >, >=, &&, ||, !(condition), (condition) is unknown, exists(path), `+
		`starts with "text", like_regex "^(a|[b-d]{2}).*$" flag "i", and literals`, text, reason))
}

// parseJSONPath parses a path. An empty one, and one that ends too soon, get PostgreSQL's own
// error.
func parseJSONPath(text string) (parsed *jsonPath, err error) {
	defer func() {
		if reason := recover(); reason != nil { // numbers that are too large for the parser
			parsed, err = nil, refusal(notSupportedCode, text, fmt.Sprint(reason))
		}
	}()
	switch {
	case strings.Trim(text, " \t\n\r\f") == "":
		return nil, sqlError(invalidTextCode,
			fmt.Sprintf("invalid input syntax for type jsonpath: \"%s\"", text))
	case len(text) > maxPathLength:
		return nil, refusal(notSupportedCode, text[:100],
			fmt.Sprintf("it has %d bytes", len(text)))
	case !plainText.MatchString(text):
		return nil, refusal(notSupportedCode, text,
			"it has a comment, a slash, a brace, an escape "+
				"that is not of JSON, or an open quote")
	}
	p, err := path.Parse(text)
	switch {
	case err != nil && endsTooSoon(text, err):
		return nil, errPathEnd
	case err != nil:
		return nil, refusal(syntaxErrorCode, text,
			strings.TrimPrefix(err.Error(), "path: parser: "))
	case p.IsStrict():
		// It fails where a member is missing, and PostgreSQL may evaluate it for the records of
		// other sessions too.
		return nil, refusal(notSupportedCode, text, "it is strict")
	}
	if part := unfit(p.Root()); part != "" {
		return nil, refusal(notSupportedCode, text, "it has "+part)
	}
	return &jsonPath{p.Root()}, nil
}

// endsTooSoon says whether a syntax error is that the path ends. The parser does not tell this
// from a last token that is wrong. But it only gets as far as a quote behind the path, which is
// never closed, if all before is right.
func endsTooSoon(text string, err error) bool {
	if !strings.Contains(err.Error(), "syntax error") {
		return false
	}
	_, err = path.Parse(text + ` "`)
	return err != nil && strings.Contains(err.Error(), "literal not terminated")
}

var (
	exactInteger = regexp.MustCompile(`^-?[0-9]{1,18}$`)
	exactNumber  = regexp.MustCompile(`^-?[0-9.]{1,15}([eE][+-]?[0-9]{1,2})?$`)
	subscript    = regexp.MustCompile(`^[0-9]{1,9}$`)
)

// unfit returns a part of a path, from node on, that is not evaluated as PostgreSQL 15 does, or
// that may fail, or "" if there is none. Arithmetic is not evaluated; nor are most methods: they
// are younger than PostgreSQL 15, or fail for some values.
func unfit(node ast.Node) string {
	part := ""
	for ; node != nil && part == ""; node = node.Next() {
		switch node := node.(type) {
		case *ast.ConstNode, *ast.KeyNode, *ast.StringNode, *ast.AnyNode:
		case *ast.IntegerNode:
			if !exactInteger.MatchString(node.Literal()) {
				part = node.Literal()
			}
		case *ast.NumericNode:
			if !exactNumber.MatchString(node.Literal()) {
				part = node.Literal()
			}
		case *ast.MethodNode:
			if node.Name() != ast.MethodType && node.Name() != ast.MethodSize {
				part = node.String()
			}
		case *ast.ArrayIndexNode:
			part = unfitSubscripts(node)
		case *ast.RegexNode:
			if _, err := likeRegex(node); err != nil {
				part = "like_regex " + err.Error()
			} else {
				part = unfit(node.Operand())
			}
		case *ast.UnaryNode:
			switch node.Operator() {
			case ast.UnaryExists, ast.UnaryNot, ast.UnaryIsUnknown, ast.UnaryFilter:
				part = unfit(node.Operand())
			default:
				part = node.Operator().String()
			}
		case *ast.BinaryNode:
			part = unfitBinary(node)
		default:
			part = node.String()
		}
	}
	return part
}

func unfitBinary(node *ast.BinaryNode) string {
	switch node.Operator() {
	case ast.BinaryAnd, ast.BinaryOr, ast.BinaryEqual, ast.BinaryNotEqual, ast.BinaryLess,
		ast.BinaryGreater, ast.BinaryLessOrEqual, ast.BinaryGreaterOrEqual, ast.BinaryStartsWith:
		if part := unfit(node.Left()); part != "" {
			return part
		}
		return unfit(node.Right())
	}
	return node.Operator().String()
}

// unfitSubscripts allows those that are numbers or last, and ranges of such.
func unfitSubscripts(node *ast.ArrayIndexNode) string {
	fits := func(bound ast.Node) bool {
		switch bound := bound.(type) {
		case *ast.IntegerNode:
			return bound.Next() == nil && subscript.MatchString(bound.Literal())
		case *ast.ConstNode:
			return bound.Next() == nil && bound.Const() == ast.ConstLast
		}
		return false
	}
	for _, bounds := range node.Subscripts() {
		b, ok := bounds.(*ast.BinaryNode)
		if !ok || !fits(b.Left()) || b.Right() != nil && !fits(b.Right()) {
			return bounds.String()
		}
	}
	return ""
}
