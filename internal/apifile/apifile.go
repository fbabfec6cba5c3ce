// Package apifile writes the exported API of a package in the form of Go's own api files: one
// declaration a line, sorted. A test compares the lines with a file in the repository, so that a
// change of the API shows in a review.
package apifile

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Compare compares the exported API of the package in dir, whose import path is given, with a
// golden file. The error lists the lines that differ. With update, Compare writes the file first.
func Compare(dir, importPath, golden string, update bool) error {
	lines, err := Lines(dir, importPath)
	if err != nil {
		return err
	}
	if update {
		text := strings.Join(lines, "\n") + "\n"
		if err := os.WriteFile(golden, []byte(text), 0o644); err != nil {
			return err
		}
	}
	text, err := os.ReadFile(golden)
	if err != nil {
		return err
	}
	unix := strings.ReplaceAll(string(text), "\r\n", "\n")
	kept := strings.Split(strings.TrimSuffix(unix, "\n"), "\n")
	if slices.Equal(kept, lines) {
		return nil
	}
	var changes strings.Builder
	for _, line := range kept {
		if !slices.Contains(lines, line) {
			changes.WriteString("\n- " + line)
		}
	}
	for _, line := range lines {
		if !slices.Contains(kept, line) {
			changes.WriteString("\n+ " + line)
		}
	}
	if changes.Len() == 0 {
		changes.WriteString("\nits lines are not sorted, or not unique")
	}
	return fmt.Errorf("the API is not that of %s:%s", golden, changes.String())
}

// Lines returns the exported API of the package in dir. It reads all files that are not tests,
// whatever their build tags.
func Lines(dir, importPath string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	d := describer{prefix: "pkg " + importPath + ", ", unexported: map[string]bool{}}
	var decls []ast.Decl
	packages := map[string]bool{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		packages[file.Name.Name] = true
		decls = append(decls, file.Decls...)
	}
	if len(packages) != 1 {
		return nil, fmt.Errorf("%s holds %d packages, must be one", dir, len(packages))
	}
	for _, decl := range decls {
		d.noteUnexported(decl)
	}
	for _, decl := range decls {
		d.decl(decl)
	}
	if d.err != nil {
		return nil, d.err
	}
	slices.Sort(d.lines)
	return slices.Compact(d.lines), nil
}

// describer collects the lines of one package.
type describer struct {
	prefix     string
	unexported map[string]bool // types, whose names are not part of the API
	lines      []string
	err        error
}

func (d *describer) noteUnexported(decl ast.Decl) {
	group, ok := decl.(*ast.GenDecl)
	if !ok {
		return
	}
	for _, spec := range group.Specs {
		if spec, ok := spec.(*ast.TypeSpec); ok && !spec.Name.IsExported() {
			d.unexported[spec.Name.Name] = true
		}
	}
}

func (d *describer) add(format string, args ...any) {
	d.lines = append(d.lines, d.prefix+fmt.Sprintf(format, args...))
}

func (d *describer) decl(decl ast.Decl) {
	switch decl := decl.(type) {
	case *ast.FuncDecl:
		d.function(decl)
	case *ast.GenDecl:
		var previous *ast.ValueSpec // constants without a value repeat it
		for i, spec := range decl.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				d.typeSpec(spec)
			case *ast.ValueSpec:
				if decl.Tok == token.CONST {
					if spec.Type == nil && spec.Values == nil {
						spec.Type, spec.Values = previous.Type, previous.Values
					}
					previous = spec
				}
				d.values(decl.Tok, spec, i)
			}
		}
	}
}

func (d *describer) function(f *ast.FuncDecl) {
	if !f.Name.IsExported() {
		return
	}
	if f.Recv == nil {
		d.add("func %s%s%s", f.Name, d.typeParams(f.Type.TypeParams), d.signature(f.Type))
		return
	}
	receiver := f.Recv.List[0].Type
	if !exportedReceiver(receiver) {
		return
	}
	d.add("method (%s) %s%s", d.expr(receiver), f.Name, d.signature(f.Type))
}

// exportedReceiver reports whether the receiver's type is exported, behind a pointer and type
// parameters.
func exportedReceiver(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.StarExpr:
		return exportedReceiver(e.X)
	case *ast.IndexExpr:
		return exportedReceiver(e.X)
	case *ast.IndexListExpr:
		return exportedReceiver(e.X)
	case *ast.Ident:
		return e.IsExported()
	}
	return false
}

// values describes constants and variables. A variable without a type has that of a call of
// errors.New or fmt.Errorf, or is described by its value.
func (d *describer) values(tok token.Token, spec *ast.ValueSpec, iota int) {
	for i, name := range spec.Names {
		if !name.IsExported() {
			continue
		}
		line := fmt.Sprintf("%s %s", tok, name)
		var value string
		if i < len(spec.Values) {
			value = d.expr(spec.Values[i])
		}
		switch {
		case spec.Type != nil:
			line += " " + d.expr(spec.Type)
		case strings.HasPrefix(value, "errors.New("), strings.HasPrefix(value, "fmt.Errorf("):
			line += " error"
		case tok == token.VAR:
			line += " = " + value
		}
		if tok == token.CONST {
			line += " = " + value
			if strings.Contains(value, "iota") {
				line += fmt.Sprintf(" (iota %d)", iota)
			}
		}
		d.add("%s", line)
	}
}

func (d *describer) typeSpec(spec *ast.TypeSpec) {
	if !spec.Name.IsExported() {
		return
	}
	name := "type " + spec.Name.Name + d.typeParams(spec.TypeParams)
	if spec.Assign.IsValid() {
		d.add("%s = %s", name, d.expr(spec.Type))
		return
	}
	switch t := spec.Type.(type) {
	case *ast.StructType:
		d.add("%s struct", name)
		for _, field := range t.Fields.List {
			d.field("type "+spec.Name.Name+" struct", field)
		}
	case *ast.InterfaceType:
		d.interfaceType(name, "type "+spec.Name.Name+" interface", t)
	default:
		d.add("%s %s", name, d.expr(spec.Type))
	}
}

func (d *describer) field(owner string, field *ast.Field) {
	if len(field.Names) == 0 && exportedReceiver(embedded(field.Type)) {
		d.add("%s, embedded %s", owner, d.expr(field.Type))
	}
	for _, name := range field.Names {
		if name.IsExported() {
			d.add("%s, %s %s", owner, name, d.expr(field.Type))
		}
	}
}

// embedded returns the name under which a type of another package is embedded.
func embedded(e ast.Expr) ast.Expr {
	if star, ok := e.(*ast.StarExpr); ok {
		e = star.X
	}
	if selector, ok := e.(*ast.SelectorExpr); ok {
		return selector.Sel
	}
	return e
}

// interfaceType describes an interface. All its methods stand in the line of the type, too: a new
// one breaks whoever implements the interface.
func (d *describer) interfaceType(name, owner string, t *ast.InterfaceType) {
	var elements []string
	for _, field := range t.Methods.List {
		signature, isMethod := field.Type.(*ast.FuncType)
		if !isMethod {
			elements = append(elements, d.expr(field.Type))
			continue
		}
		for _, method := range field.Names {
			elements = append(elements, method.Name)
			if method.IsExported() {
				d.add("%s, %s%s", owner, method, d.signature(signature))
			}
		}
	}
	slices.Sort(elements)
	d.add("%s interface { %s }", name, strings.Join(elements, ", "))
}

func (d *describer) typeParams(fields *ast.FieldList) string {
	if fields == nil {
		return ""
	}
	var params []string
	for _, field := range fields.List {
		for _, name := range field.Names {
			params = append(params, name.Name+" "+d.expr(field.Type))
		}
	}
	return "[" + strings.Join(params, ", ") + "]"
}

// signature describes parameters and results without their names.
func (d *describer) signature(f *ast.FuncType) string {
	return strings.TrimPrefix(d.expr(&ast.FuncType{Params: f.Params, Results: f.Results}), "func")
}

// expr prints an expression in one line, without the names of parameters and of unexported types.
func (d *describer) expr(e ast.Expr) string {
	ast.Inspect(e, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.FuncType:
			removeNames(node.Params)
			removeNames(node.Results)
		case *ast.Ident:
			if d.unexported[node.Name] {
				node.Name = "unexported"
			}
		}
		return true
	})
	var b bytes.Buffer
	if err := printer.Fprint(&b, token.NewFileSet(), e); err != nil {
		d.err = errors.Join(d.err, err)
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// removeNames makes (a, b int) into (int, int).
func removeNames(fields *ast.FieldList) {
	if fields == nil {
		return
	}
	var unnamed []*ast.Field
	for _, field := range fields.List {
		for range max(1, len(field.Names)) {
			unnamed = append(unnamed, &ast.Field{Type: field.Type})
		}
	}
	fields.List = unnamed
}
