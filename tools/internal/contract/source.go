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
	"strings"
)

// Source holds the declarations of the packages of proto that define the contract.
// It is read without compiling them, so that generated code that is missing or stale
// does not matter. Keys are package.name.
type Source struct {
	types     map[string]*ast.TypeSpec
	docs      map[string]*ast.CommentGroup
	order     []string                     // the keys of types, in the order of the source
	methods   map[string]bool              // package.type.method
	variables map[string]*ast.CompositeLit // package variables that are composite literals
	constants []named
}

// named is a constant; typ is "" when it has no type of its own.
type named struct {
	pkg, name, typ string
	value          string // strings unquoted
	number         bool
	doc            string
}

// Parse reads the source in root, the workspace's folder.
func Parse(root string) (*Source, error) {
	s := &Source{
		types: map[string]*ast.TypeSpec{}, docs: map[string]*ast.CommentGroup{},
		methods: map[string]bool{}, variables: map[string]*ast.CompositeLit{},
	}
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
				switch d := d.(type) {
				case *ast.GenDecl:
					s.declare(pkg, d)
				case *ast.FuncDecl:
					if d.Recv != nil {
						receiver := strings.TrimPrefix(types.ExprString(d.Recv.List[0].Type), "*")
						s.methods[pkg+"."+receiver+"."+d.Name.Name] = true
					}
				}
			}
		}
	}
	return s, nil
}

func (s *Source) declare(pkg string, d *ast.GenDecl) {
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			key := pkg + "." + spec.Name.Name
			s.types[key], s.docs[key] = spec, spec.Doc
			s.order = append(s.order, key)
			if spec.Doc == nil {
				s.docs[key] = d.Doc
			}
		case *ast.ValueSpec:
			if len(spec.Values) != 1 {
				continue
			}
			if d.Tok == token.CONST {
				s.constant(pkg, d, spec)
			} else if literal, ok := spec.Values[0].(*ast.CompositeLit); ok {
				s.variables[pkg+"."+spec.Names[0].Name] = literal
			}
		}
	}
}

func (s *Source) constant(pkg string, d *ast.GenDecl, spec *ast.ValueSpec) {
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
func (s *Source) valueDoc(pkg, value string) string {
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
func (s *Source) when(name string) (string, error) {
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
func (s *Source) directive(key, kind string) string {
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
