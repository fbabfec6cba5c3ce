package zeptest

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/theory/sqljson/path"
	"github.com/theory/sqljson/path/ast"
)

// A jsonPath is an SQL/JSON path of which the library is known to make what PostgreSQL 15 does. All else
// is refused, be it a mistake or not: an error in a test is better than a result that a real server
// wouldn't give.
type jsonPath struct {
	text   string
	parsed *path.Path
}

// maxPathLength keeps the library's recursion from running out of stack.
const maxPathLength = 64 << 10

// plainText is read alike by the library and PostgreSQL 15. Out of quotes it has no comment, which ends a
// word in PostgreSQL only; no escape, since the library forgets one at the very end; and no levels of .**,
// which the library cuts to 32 bits. In quotes it has no escapes but those of JSON.
var plainText = regexp.MustCompile(`^([^"\\/{]|"([^"\\]|\\["\\/bfnrt]|\\u[0-9A-Fa-f]{4})*")*$`)

// errPathEnd is PostgreSQL's error for a path that ends too soon.
var errPathEnd = errors.New("ERROR: syntax error at end of jsonpath input (SQLSTATE=42601)")

// parseJSONPath parses a path. An empty one, and one that ends too soon, get PostgreSQL's own error.
func parseJSONPath(text string) (parsed *jsonPath, err error) {
	p := &jsonPath{text: text}
	defer func() {
		if reason := recover(); reason != nil { // the library's way with numbers that are too large
			parsed, err = nil, p.refuse(fmt.Sprint(reason))
		}
	}()
	switch {
	case strings.Trim(text, " \t\n\r\f") == "":
		return nil, fmt.Errorf("ERROR: invalid input syntax for type jsonpath: \"%s\" (SQLSTATE=22P02)", text)
	case len(text) > maxPathLength:
		p.text = ""
		return nil, p.refuse(fmt.Sprintf("it has %d bytes", len(text)))
	case !plainText.MatchString(text):
		return nil, p.refuse("it has a comment, a slash, a brace, an escape that is not of JSON, or an open quote")
	}
	if p.parsed, err = path.Parse(text); err != nil {
		if endsTooSoon(text, err) {
			return nil, errPathEnd
		}
		return nil, p.refuse(strings.TrimPrefix(err.Error(), "path: parser: "))
	}
	if p.parsed.IsStrict() {
		// It fails where a member is missing, and PostgreSQL may evaluate it for other sessions' records too.
		return nil, p.refuse("it is strict")
	}
	if part := unfit(p.parsed.Root()); part != "" {
		return nil, p.refuse("it has " + part)
	}
	return p, nil
}

// endsTooSoon says whether a syntax error is that the path ends. The library doesn't tell this from a last
// token that is wrong. But a quote behind it, which is never closed, is reached only if all before is right.
func endsTooSoon(text string, err error) bool {
	if !strings.Contains(err.Error(), "syntax error") {
		return false
	}
	_, err = path.Parse(text + ` "`)
	return err != nil && strings.Contains(err.Error(), "literal not terminated")
}

// refuse says what can't be evaluated.
func (p *jsonPath) refuse(reason string) error {
	return fmt.Errorf("zeptest can't evaluate this jsonpath: %q: %s. It knows $, @, .key, .*, .**, [*], .type(), .size(), "+
		`? (condition), ==, !=, <>, <, <=, >, >=, &&, ||, !(condition), (condition) is unknown, exists(path), `+
		`starts with "text", like_regex "^text.*$", and literals`, p.text, reason)
}

var (
	// The library compares as int64 or float64. Of up to so many digits, that orders a number as its decimal
	// does among those that a float64 has in its shortest form, as all of metadata.
	exactInteger = regexp.MustCompile(`^-?[0-9]{1,18}$`)
	exactNumber  = regexp.MustCompile(`^-?[0-9.]{1,15}([eE][+-]?[0-9]{1,2})?$`)
	// In Go and in PostgreSQL such a pattern is the same. The library puts flags in front, in parentheses.
	plainPattern = regexp.MustCompile(`^\^?([\pL\pN _@,;:/-]|\.[*+]?)*\$?$`)
)

// unfit is a part of a path, from node on, that the library evaluates otherwise than PostgreSQL 15, or
// that may fail, or "" if there is none. Subscripts are not taken because the library passes over null,
// and may give the result of the last of several; arithmetic, because it is of int64 and float64; and
// methods, because most are younger than PostgreSQL 15, are of float64, or fail for some values.
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
		case *ast.RegexNode:
			if pattern := node.Regexp().String(); !plainPattern.MatchString(pattern) {
				part = "like_regex " + pattern
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
			switch node.Operator() {
			case ast.BinaryAnd, ast.BinaryOr, ast.BinaryEqual, ast.BinaryNotEqual, ast.BinaryLess,
				ast.BinaryGreater, ast.BinaryLessOrEqual, ast.BinaryGreaterOrEqual, ast.BinaryStartsWith:
				if part = unfit(node.Left()); part == "" {
					part = unfit(node.Right())
				}
			default:
				part = node.Operator().String()
			}
		default:
			part = node.String()
		}
	}
	return part
}

// exists says whether the path finds anything in a JSON object, as jsonb_path_exists does.
func (p *jsonPath) exists(object map[string]any) (found bool, err error) {
	defer func() {
		if reason := recover(); reason != nil {
			found, err = false, p.refuse(fmt.Sprint(reason))
		}
	}()
	if found, err = p.parsed.Exists(context.Background(), object); err != nil {
		return false, p.refuse(err.Error())
	}
	return found, nil
}
