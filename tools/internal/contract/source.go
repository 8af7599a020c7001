package contract

import (
	"errors"
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"strconv"
	"strings"
)

// source is what the packages of proto that clients see of declare. Keys are
// package.name.
type source struct {
	types     map[string]*ast.TypeSpec
	docs      map[string]*ast.CommentGroup
	constants []named
}

// named is a constant; typ is "" when it has no type of its own.
type named struct {
	pkg, name, typ string
	value          string // strings unquoted
	number         bool
	doc            string
}

func parse(root string) (*source, error) {
	s := &source{types: map[string]*ast.TypeSpec{}, docs: map[string]*ast.CommentGroup{}}
	for _, pkg := range []string{"code", "event", "wire"} {
		files, err := filepath.Glob(filepath.Join(root, "proto", pkg, "*.go"))
		if err != nil || len(files) == 0 {
			return nil, errors.Join(fmt.Errorf("no source in proto/%s", pkg), err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
			if err != nil {
				return nil, err
			}
			for _, d := range f.Decls {
				if d, ok := d.(*ast.GenDecl); ok {
					s.declare(pkg, d)
				}
			}
		}
	}
	return s, nil
}

func (s *source) declare(pkg string, d *ast.GenDecl) {
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			key := pkg + "." + spec.Name.Name
			s.types[key], s.docs[key] = spec, spec.Doc
			if spec.Doc == nil {
				s.docs[key] = d.Doc
			}
		case *ast.ValueSpec:
			if d.Tok == token.CONST && len(spec.Values) == 1 {
				s.constant(pkg, d, spec)
			}
		}
	}
}

func (s *source) constant(pkg string, d *ast.GenDecl, spec *ast.ValueSpec) {
	v, err := types.Eval(token.NewFileSet(), nil, token.NoPos, types.ExprString(spec.Values[0]))
	if err != nil || v.Value == nil {
		return // made of other constants: none that documents name
	}
	c := named{pkg: pkg, name: spec.Names[0].Name, value: v.Value.ExactString(), number: v.Value.Kind() == constant.Int}
	if v.Value.Kind() == constant.String {
		c.value = constant.StringVal(v.Value)
	}
	if typ, ok := spec.Type.(*ast.Ident); ok {
		c.typ = typ.Name
	}
	switch {
	case spec.Doc != nil:
		c.doc = prose(spec.Doc)
	case spec.Comment != nil:
		c.doc = prose(spec.Comment)
	case !d.Lparen.IsValid():
		c.doc = prose(d.Doc)
	}
	s.constants = append(s.constants, c)
}

// valueDoc is the comment of the constant with that value, "" when there is none.
func (s *source) valueDoc(pkg, value string) string {
	for _, c := range s.constants {
		if c.pkg == pkg && c.value == value {
			_, doc, ok := strings.Cut(c.doc, c.name+" is for ")
			if !ok {
				doc = c.doc
			}
			return doc
		}
	}
	return ""
}

// when is what the comment of the constant that names a server event says after "is sent".
func (s *source) when(name string) (string, error) {
	for _, c := range s.constants {
		if c.pkg == "event" && c.value == name && strings.HasPrefix(c.name, "Name") {
			if _, when, ok := strings.Cut(c.doc, c.name+" is sent "); ok {
				return strings.TrimSuffix(when, "."), nil
			}
			return "", fmt.Errorf("%s: its comment must say when it %q", c.name, "is sent")
		}
	}
	return "", fmt.Errorf("no constant names %q", name)
}

// directive is the text behind //typescript:KIND in a type's comment.
func (s *source) directive(key, kind string) string {
	if doc := s.docs[key]; doc != nil {
		for _, c := range doc.List {
			if text, ok := strings.CutPrefix(c.Text, "//typescript:"+kind+" "); ok {
				return text
			}
		}
	}
	return ""
}

// prose is the first paragraph of a comment, on one line. What follows it is for
// readers of the Go code.
func prose(g *ast.CommentGroup) string {
	if g == nil {
		return ""
	}
	first, _, _ := strings.Cut(strings.TrimSpace(g.Text()), "\n\n")
	return strings.Join(strings.Fields(first), " ")
}

// tag is the name of a field in JSON, and whether it may be left out.
func tag(f *ast.Field) (name string, optional bool, err error) {
	if f.Tag == nil {
		return "", false, errors.New("a field without a json tag")
	}
	raw, err := strconv.Unquote(f.Tag.Value)
	if err != nil {
		return "", false, err
	}
	raw = strings.TrimSuffix(strings.TrimPrefix(raw, `json:"`), `"`)
	name, optional = strings.CutSuffix(raw, ",omitempty")
	if name == "" || strings.ContainsAny(name, `,:" `) {
		return "", false, fmt.Errorf("the tag %s is none that is understood here", f.Tag.Value)
	}
	return name, optional, nil
}
