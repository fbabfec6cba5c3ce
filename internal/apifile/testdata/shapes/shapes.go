// Package shapes has a declaration of every kind.
package shapes

import (
	"errors"
	"io"
	"net/http"
)

const (
	Small = 1 << iota
	Large
	hidden
)

const Name, Other Kind = "n", "o"

type Kind string

var (
	ErrOne     = errors.New("one")
	Default    = Kind("k")
	Set        map[string]bool
	unexported = errors.New("two")
	_, Ignored = 1, 2
	A, B       int
)

type (
	Alias = http.Header

	Hook func(a, b int, w io.Writer) (n int, err error)

	Visit func(inner)

	Record struct {
		X, Y   int `json:"x"`
		Nested struct{ Z int }
		Do     func(name string) error
		secret string
		Kind
		*http.Client
		inner
	}

	inner struct{ V int }

	Walker interface {
		io.Reader
		Walk(root string, visit func(path string) bool) error
		sealed()
	}

	List[T any, K ~int | ~string] struct{ Items []T }
)

func (l *List[T, K]) Add(items ...T)          {}
func (Record) Close() error                   { return nil }
func (r *Record) hide()                       {}
func (inner) Exported()                       {}
func Map[T, U any](in []T, f func(v T) U) []U { return nil }
func New(a, b string, opts ...func(*Record)) (record *Record, err error) {
	return nil, nil
}
func hide() {}
