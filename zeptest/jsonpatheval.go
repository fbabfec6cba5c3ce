package zeptest

import (
	"encoding/json"
	"math/big"
	"regexp"
	"strings"

	"github.com/theory/sqljson/path/ast"
)

// exists says whether the path finds anything in a JSON object, as jsonb_path_exists does. Numbers
// in the object are of type [json.Number].
func (p *jsonPath) exists(object map[string]any) bool {
	e := &pathEvaluation{root: object, regexps: map[*ast.RegexNode]*regexp.Regexp{}}
	return len(e.items(p.root, object, true)) > 0
}

// pathEvaluation evaluates a path in lax mode, step by step as PostgreSQL does. An array where a
// single item is wanted is unwrapped, once; where an array is wanted, any other item counts as an
// array of itself; and what is not there is skipped.
type pathEvaluation struct {
	root    any
	current any // @
	last    int // the last index of the innermost array with subscripts
	regexps map[*ast.RegexNode]*regexp.Regexp
}

// items returns what the path from node on finds in value. unwrap says whether an array is
// unwrapped by a step that wants a single item.
func (e *pathEvaluation) items(node ast.Node, value any, unwrap bool) []any {
	if node == nil {
		return []any{value}
	}
	if array, ok := value.([]any); ok && unwrap && wantsSingle(node) {
		return e.each(array, func(element any) []any { return e.items(node, element, false) })
	}
	next := func(value any) []any { return e.items(node.Next(), value, true) }
	switch node := node.(type) {
	case *ast.ConstNode:
		return e.constant(node, value, next)
	case *ast.StringNode:
		return next(node.Text())
	case *ast.IntegerNode:
		return next(json.Number(node.Literal()))
	case *ast.NumericNode:
		return next(json.Number(node.Literal()))
	case *ast.KeyNode:
		object, _ := value.(map[string]any)
		if member, ok := object[node.Text()]; ok {
			return next(member)
		}
		return nil
	case *ast.AnyNode:
		return append(next(value), e.descendants(value, next)...)
	case *ast.ArrayIndexNode:
		return e.indexed(node, value, next)
	case *ast.MethodNode:
		if node.Name() == ast.MethodSize {
			return next(jsonInt(len(asArray(value))))
		}
		return next(typeName(value))
	case *ast.UnaryNode:
		if node.Operator() == ast.UnaryFilter {
			if e.filtered(node.Operand(), value) != isTrue {
				return nil
			}
			return next(value)
		}
	}
	// A condition has a value, too.
	return next(e.condition(node, value).item())
}

// wantsSingle says whether a step is made in each element of an array, rather than in the array.
func wantsSingle(node ast.Node) bool {
	switch node := node.(type) {
	case *ast.KeyNode:
		return true
	case *ast.ConstNode:
		return node.Const() == ast.ConstAnyKey
	case *ast.UnaryNode:
		return node.Operator() == ast.UnaryFilter
	}
	return false
}

// each joins what find finds in each of the values.
func (e *pathEvaluation) each(values []any, find func(any) []any) []any {
	var found []any
	for _, value := range values {
		found = append(found, find(value)...)
	}
	return found
}

func (e *pathEvaluation) constant(
	node *ast.ConstNode, value any, next func(any) []any,
) []any {
	switch node.Const() {
	case ast.ConstRoot:
		return next(e.root)
	case ast.ConstCurrent:
		return next(e.current)
	case ast.ConstLast:
		return next(jsonInt(e.last))
	case ast.ConstAnyArray:
		return e.each(asArray(value), next)
	case ast.ConstAnyKey:
		return e.each(members(value), next)
	case ast.ConstTrue:
		return next(true)
	case ast.ConstFalse:
		return next(false)
	default:
		return next(nil)
	}
}

// descendants joins what next finds in all that is in value, at any depth.
func (e *pathEvaluation) descendants(value any, next func(any) []any) []any {
	children := members(value)
	if array, ok := value.([]any); ok {
		children = array
	}
	return e.each(children, func(child any) []any {
		return append(next(child), e.descendants(child, next)...)
	})
}

func (e *pathEvaluation) indexed(
	node *ast.ArrayIndexNode, value any, next func(any) []any,
) []any {
	array := asArray(value)
	outer := e.last
	defer func() { e.last = outer }()
	var found []any
	for _, bounds := range node.Subscripts() {
		bounds := bounds.(*ast.BinaryNode)
		from := subscriptValue(bounds.Left(), len(array))
		to := from
		if bounds.Right() != nil {
			to = subscriptValue(bounds.Right(), len(array))
		}
		for i := max(from, 0); i <= min(to, len(array)-1); i++ {
			e.last = len(array) - 1
			found = append(found, next(array[i])...)
		}
	}
	return found
}

func subscriptValue(node ast.Node, size int) int {
	if number, ok := node.(*ast.IntegerNode); ok {
		return int(number.Int())
	}
	return size - 1
}

// tristate is the result of a condition, in an order in which && is the minimum and || the
// maximum.
type tristate int

const (
	isFalse tristate = iota
	isUnknown
	isTrue
)

func asTristate(b bool) tristate {
	if b {
		return isTrue
	}
	return isFalse
}

func (t tristate) not() tristate { return isTrue - t }

// item is the value of a condition.
func (t tristate) item() any {
	switch t {
	case isTrue:
		return true
	case isFalse:
		return false
	}
	return nil
}

// filtered evaluates a condition with value for @.
func (e *pathEvaluation) filtered(node ast.Node, value any) tristate {
	outer := e.current
	defer func() { e.current = outer }()
	e.current = value
	return e.condition(node, value)
}

func (e *pathEvaluation) condition(node ast.Node, value any) tristate {
	switch node := node.(type) {
	case *ast.UnaryNode:
		switch node.Operator() {
		case ast.UnaryNot:
			return e.condition(node.Operand(), value).not()
		case ast.UnaryIsUnknown:
			return asTristate(e.condition(node.Operand(), value) == isUnknown)
		case ast.UnaryExists:
			return asTristate(len(e.items(node.Operand(), value, true)) > 0)
		}
	case *ast.RegexNode:
		return anyOf(e.operand(node.Operand(), value), []any{nil}, func(left, _ any) tristate {
			text, ok := left.(string)
			if !ok {
				return isUnknown
			}
			return asTristate(e.regexp(node).MatchString(text))
		})
	case *ast.BinaryNode:
		switch op := node.Operator(); op {
		case ast.BinaryAnd:
			return min(e.condition(node.Left(), value), e.condition(node.Right(), value))
		case ast.BinaryOr:
			return max(e.condition(node.Left(), value), e.condition(node.Right(), value))
		case ast.BinaryStartsWith:
			return anyOf(e.operand(node.Left(), value), e.items(node.Right(), value, true),
				startsWith)
		default:
			return anyOf(e.operand(node.Left(), value), e.operand(node.Right(), value),
				func(left, right any) tristate { return compare(op, left, right) })
		}
	}
	return isUnknown
}

// operand returns the items of a condition's operand, with the elements of arrays in their place.
func (e *pathEvaluation) operand(node ast.Node, value any) []any {
	return e.each(e.items(node, value, true), func(item any) []any {
		if array, ok := item.([]any); ok {
			return array
		}
		return []any{item}
	})
}

// anyOf is true if a pair of items holds; otherwise it is unknown if one of them is, and else
// false.
func anyOf(left, right []any, holds func(left, right any) tristate) tristate {
	result := isFalse
	for _, l := range left {
		for _, r := range right {
			switch holds(l, r) {
			case isTrue:
				return isTrue
			case isUnknown:
				result = isUnknown
			}
		}
	}
	return result
}

func startsWith(left, right any) tristate {
	text, isText := left.(string)
	prefix, isPrefix := right.(string)
	if !isText || !isPrefix {
		return isUnknown
	}
	return asTristate(strings.HasPrefix(text, prefix))
}

func (e *pathEvaluation) regexp(node *ast.RegexNode) *regexp.Regexp {
	if e.regexps[node] == nil {
		e.regexps[node], _ = likeRegex(node) // the path was refused if it fails
	}
	return e.regexps[node]
}

// compare compares two items. null is unequal to all others, and other items of two types cannot
// be compared, nor can objects and arrays.
func compare(op ast.BinaryOperator, left, right any) tristate {
	leftType, rightType := typeName(left), typeName(right)
	switch {
	case leftType != rightType && (left == nil || right == nil):
		return asTristate(op == ast.BinaryNotEqual)
	case leftType != rightType:
		return isUnknown
	}
	order := 0
	switch left := left.(type) {
	case nil:
	case bool:
		order = boolInt(left) - boolInt(right.(bool))
	case json.Number:
		order = rational(left).Cmp(rational(right.(json.Number)))
	case string:
		order = strings.Compare(left, right.(string))
	default:
		return isUnknown
	}
	switch op {
	case ast.BinaryEqual:
		return asTristate(order == 0)
	case ast.BinaryNotEqual:
		return asTristate(order != 0)
	case ast.BinaryLess:
		return asTristate(order < 0)
	case ast.BinaryLessOrEqual:
		return asTristate(order <= 0)
	case ast.BinaryGreater:
		return asTristate(order > 0)
	default:
		return asTristate(order >= 0)
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func rational(n json.Number) *big.Rat {
	r, ok := new(big.Rat).SetString(strings.TrimSuffix(n.String(), "."))
	if !ok {
		return new(big.Rat)
	}
	return r
}

func jsonInt(n int) json.Number { return json.Number(big.NewInt(int64(n)).String()) }

// asArray returns the elements of an array, or any other value as the one element.
func asArray(value any) []any {
	if array, ok := value.([]any); ok {
		return array
	}
	return []any{value}
}

func members(value any) []any {
	object, _ := value.(map[string]any)
	values := make([]any, 0, len(object))
	for _, member := range object {
		values = append(values, member)
	}
	return values
}

// typeName is the name that .type() gives.
func typeName(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case json.Number:
		return "number"
	case string:
		return "string"
	case []any:
		return "array"
	default:
		return "object"
	}
}
