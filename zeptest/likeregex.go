package zeptest

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/theory/sqljson/path/ast"
)

// likeRegex returns the regular expression of a like_regex, if it is one that PostgreSQL 15 and Go
// match alike: literal text, ., ^ and $ at the ends, \d, escaped punctuation, classes of letters,
// digits and punctuation, groups, alternatives, and one of *, +, ?, {2}, {2,} and {2,3} behind
// each, with the flag "i" or none.
//
// It is translated for two differences. In PostgreSQL, no class matches a newline that does not
// name it; and without regard to case, a letter matches itself in the other case only, but for Go
// "k" is the Kelvin sign too.
func likeRegex(node *ast.RegexNode) (*regexp.Regexp, error) {
	pattern := node.Regexp().String()
	t := &regexTranslation{}
	t.rest, t.anyCase = strings.CutPrefix(pattern, "(?i)")
	if strings.HasPrefix(t.rest, "^") {
		t.copy(1)
	}
	if err := t.alternatives(); err != nil {
		return nil, fmt.Errorf("%q: %w", pattern, err)
	}
	if t.rest == "$" {
		t.copy(1)
	}
	if t.rest != "" {
		return nil, fmt.Errorf("%q: %w", pattern, t.unknown())
	}
	return regexp.Compile(t.out.String())
}

// regexTranslation translates a pattern from left to right.
type regexTranslation struct {
	rest    string
	out     strings.Builder
	anyCase bool // a letter of ASCII matches in both cases
	depth   int  // of groups
}

func (t *regexTranslation) copy(n int) {
	t.out.WriteString(t.rest[:n])
	t.rest = t.rest[n:]
}

func (t *regexTranslation) unknown() error {
	return fmt.Errorf("it has %.10q", t.rest)
}

// alternatives translates branches up to the end of the pattern or of the group.
func (t *regexTranslation) alternatives() error {
	for {
		if err := t.branch(); err != nil {
			return err
		}
		if !strings.HasPrefix(t.rest, "|") {
			return nil
		}
		t.copy(1)
	}
}

func (t *regexTranslation) branch() error {
	whole := t.rest
	for t.rest != "" && t.rest != "$" && !strings.ContainsAny(t.rest[:1], "|)") {
		if err := t.atom(); err != nil {
			return err
		}
		t.copy(len(quantifier.FindString(t.rest)))
	}
	if t.rest == whole && (t.depth > 0 || t.rest != "" && t.rest != "$" || t.alternative()) {
		return errors.New("it has an empty alternative")
	}
	return nil
}

// alternative says whether a branch is not the first of its pattern or group.
func (t *regexTranslation) alternative() bool { return strings.HasSuffix(t.out.String(), "|") }

func (t *regexTranslation) atom() error {
	switch t.rest[0] {
	case '.':
		t.copy(1)
		return nil
	case '(':
		return t.group()
	case '[':
		return t.class()
	case '\\':
		return t.escape()
	}
	r, size := utf8.DecodeRuneInString(t.rest)
	switch {
	case isPlain(r):
		t.literal(r)
		t.rest = t.rest[size:]
	case !t.anyCase && unicode.In(r, unicode.L, unicode.N), unicode.Is(unicode.Lo, r):
		t.copy(size)
	default:
		return t.unknown()
	}
	return nil
}

// isPlain says whether a character means itself.
func isPlain(r rune) bool {
	return isASCIILetter(r) || isDigit(r) || strings.ContainsRune(" _@,;:/-\"#%&=<>~!`", r)
}

func isASCIILetter(r rune) bool { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' }

func isDigit(r rune) bool { return '0' <= r && r <= '9' }

// literal writes a character of ASCII that means itself.
func (t *regexTranslation) literal(r rune) {
	if t.anyCase && isASCIILetter(r) {
		fmt.Fprintf(&t.out, "[%c%c]", unicode.ToLower(r), unicode.ToUpper(r))
		return
	}
	t.out.WriteRune(r)
}

func (t *regexTranslation) group() error {
	if strings.HasPrefix(t.rest, "(?") && !strings.HasPrefix(t.rest, "(?:") {
		return t.unknown()
	}
	t.rest = strings.TrimPrefix(t.rest[1:], "?:")
	t.out.WriteString("(?:")
	t.depth++
	if err := t.alternatives(); err != nil {
		return err
	}
	t.depth--
	if !strings.HasPrefix(t.rest, ")") {
		return errors.New("a group is open")
	}
	t.copy(1)
	return nil
}

var escapedPunctuation = regexp.MustCompile("^\\\\[!-/:-@\\[-`{-~]")

func (t *regexTranslation) escape() error {
	if !strings.HasPrefix(t.rest, `\d`) && !escapedPunctuation.MatchString(t.rest) {
		return t.unknown()
	}
	t.copy(2)
	return nil
}

// class is a whole class in brackets, in parts that mean the same to both.
var (
	class = regexp.MustCompile(
		`^\[\^?((?:[A-Za-z0-9]-[A-Za-z0-9]|[A-Za-z0-9 _@,;:/.+*?$|(){}!#%&=<>"])+)-?\]`)
	classPart = regexp.MustCompile(`[A-Za-z0-9]-[A-Za-z0-9]|.`)
)

func (t *regexTranslation) class() error {
	m := class.FindStringSubmatch(t.rest)
	if m == nil {
		return t.unknown()
	}
	whole := m[0]
	t.out.WriteByte('[')
	if strings.HasPrefix(whole, "[^") {
		t.out.WriteString(`^\n`)
	}
	for _, part := range classPart.FindAllString(m[1], -1) {
		from, to := rune(part[0]), rune(part[len(part)-1])
		if from > to || kind(from) != kind(to) {
			return t.unknown()
		}
		t.out.WriteString(part)
		if t.anyCase {
			t.out.WriteString(otherCase(part))
		}
	}
	if strings.HasSuffix(whole, "-]") {
		t.out.WriteByte('-')
	}
	t.out.WriteByte(']')
	t.rest = t.rest[len(whole):]
	return nil
}

// kind tells digits, capitals and small letters apart: a range within one of them is the same to
// both.
func kind(r rune) int {
	switch {
	case isDigit(r):
		return 1
	case unicode.IsUpper(r):
		return 2
	case unicode.IsLower(r):
		return 3
	}
	return 0
}

func otherCase(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsUpper(r) {
			return unicode.ToLower(r)
		}
		return unicode.ToUpper(r)
	}, s)
}

// quantifier is what may stand behind an atom. Its numbers are less than the 255 of PostgreSQL.
var quantifier = regexp.MustCompile(`^([*+?]|\{1?[0-9]?[0-9](,(1?[0-9]?[0-9])?)?\})`)
