package zeptest

import (
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"
)

// validation collects what Zep's validator says about a request: for each field, the first rule
// that the field breaks.
type validation struct {
	of     string // the type's name
	failed []string
}

// rule is one of the validator's tags, and whether the field complies with it.
type rule struct {
	tag string
	ok  bool
}

func (v *validation) field(name string, rules ...rule) {
	for _, r := range rules {
		if !r.ok {
			last := name[strings.LastIndex(name, ".")+1:]
			v.failed = append(v.failed, fmt.Sprintf(
				"Key: '%s.%s' Error:Field validation for '%s' failed on the '%s' tag",
				v.of, name, last, r.tag))
			return
		}
	}
}

func (v *validation) err() error {
	if len(v.failed) == 0 {
		return nil
	}
	return &statusError{http.StatusBadRequest, strings.Join(v.failed, "\n")}
}

// alphanum requires at least one letter or digit of ASCII, and nothing else.
func alphanum(s string) rule {
	other := func(r rune) bool { return !isASCIILetter(r) && !isDigit(r) }
	return rule{"alphanum", s != "" && !strings.ContainsFunc(s, other)}
}

func printASCII(s string) rule {
	other := func(r rune) bool { return r < ' ' || r > '~' }
	return rule{"printascii", !strings.ContainsFunc(s, other)}
}

func minLength(s string, n int) rule { return rule{"min", utf8.RuneCountInString(s) >= n} }

func maxLength(s string, n int) rule { return rule{"max", utf8.RuneCountInString(s) <= n} }
