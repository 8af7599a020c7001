package contract

import (
	"fmt"
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// reader turns declarations into Types, each once.
type reader struct {
	*Source
	contract *Contract
	seen     map[string]*Type // by package.name
	waiting  []string         // named by a field, not read yet
}

// rest reads what fields have named.
func (r *reader) rest() error {
	for len(r.waiting) > 0 {
		key := r.waiting[0]
		r.waiting = r.waiting[1:]
		if _, err := r.named(key); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) named(key string) (*Type, error) {
	key = r.own(key)
	if t := r.seen[key]; t != nil {
		return t, nil
	}
	spec := r.types[key]
	if spec == nil {
		return nil, fmt.Errorf("proto does not declare %s", key)
	}
	t := &Type{Name: identifier(spec.Name.Name), Doc: prose(r.docs[key])}
	if r.contract.Type(t.Name) != nil {
		return nil, fmt.Errorf("two types are called %s", t.Name)
	}
	r.seen[key] = t
	if err := r.fill(t, key, spec); err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	if len(t.Fields) > 0 || t.Extends != "" || len(t.Values) > 0 || t.Is != "" {
		r.contract.Types = append(r.contract.Types, t)
	}
	t.Doc = r.translate(t.Doc, t, spec)
	return t, nil
}

func (r *reader) fill(t *Type, key string, spec *ast.TypeSpec) (err error) {
	pkg, name, _ := strings.Cut(key, ".")
	if t.Is = r.directive(key, "type"); t.Is != "" {
		return nil
	}
	switch expr := spec.Type.(type) {
	case *ast.StructType:
		return r.object(t, pkg, spec, expr)
	case *ast.SelectorExpr: // another package's: its declaration, this comment
		if other := r.types[keyOf(expr)]; other != nil {
			return r.fill(t, keyOf(expr), other)
		}
	case *ast.Ident:
		for _, c := range r.constants {
			if c.pkg == pkg && c.typ == name {
				t.Values = append(t.Values, Value{c.value, c.doc})
			}
		}
		if expr.Name != "string" {
			t.Extends, err = r.notation(pkg, expr)
		} else if len(t.Values) == 0 {
			t.Is = "string"
		}
		return err
	}
	return fmt.Errorf("%T is no declaration that is understood here", spec.Type)
}

func (r *reader) object(t *Type, pkg string, spec *ast.TypeSpec, body *ast.StructType) error {
	fields, err := members(body)
	if err != nil {
		return err
	}
	for _, f := range fields {
		typ, err := r.notation(pkg, f.expr)
		switch {
		case err != nil:
			return err
		case f.Name == "":
			t.Extends = typ
		case f.JSON == "":
			return fmt.Errorf("%s: a field without a json tag", f.Name)
		default:
			t.Fields = append(t.Fields, Field{f.JSON, typ, f.Optional, r.translate(f.doc, t, spec)})
		}
	}
	return nil
}

// notation is a Go type in TypeScript's notation.
func (r *reader) notation(pkg string, expr ast.Expr) (string, error) {
	switch expr := expr.(type) {
	case *ast.StarExpr:
		return r.notation(pkg, expr.X)
	case *ast.ArrayType:
		element, err := r.notation(pkg, expr.Elt)
		return element + "[]", err
	case *ast.SelectorExpr:
		if key := keyOf(expr); key == "code.Code" {
			return "ErrorCode", nil
		}
	case *ast.Ident:
		switch expr.Name {
		case "string":
			return "string", nil
		case "bool":
			return "boolean", nil
		case "int", "int64", "uint64":
			return "number", nil
		}
		key := pkg + "." + expr.Name
		if text := r.directive(key, "inline"); text != "" {
			return r.inline(pkg, text), nil
		}
		r.want(key)
		return identifier(expr.Name), nil
	}
	return "", fmt.Errorf("%T is no type that is understood here: give it a name with a //typescript: line", expr)
}

var upper = regexp.MustCompile(`\b[A-Z]\w*`)

// inline notes the types that the text of a directive names.
func (r *reader) inline(pkg, text string) string {
	return upper.ReplaceAllStringFunc(text, func(name string) string {
		r.want(pkg + "." + name)
		return identifier(name)
	})
}

func (r *reader) want(key string) {
	key = r.own(key)
	if r.seen[key] == nil && !slices.Contains(r.waiting, key) {
		r.waiting = append(r.waiting, key)
	}
}

// own is package event's alias of another package's type, where there is one of the
// same name.
func (r *reader) own(key string) string {
	_, name, _ := strings.Cut(key, ".")
	if spec := r.types["event."+name]; spec != nil {
		if expr, ok := spec.Type.(*ast.SelectorExpr); ok && keyOf(expr) == key {
			return "event." + name
		}
	}
	return key
}

var word = regexp.MustCompile(`\b[A-Z]\w+\b`)

// translate turns a comment about Go into one about JSON: fields of the type get
// their JSON names, constants become their values.
func (r *reader) translate(doc string, t *Type, spec *ast.TypeSpec) string {
	fields := map[string]string{}
	if body, ok := spec.Type.(*ast.StructType); ok {
		if all, err := members(body); err == nil {
			for _, f := range all {
				fields[f.Name] = f.JSON
			}
		}
	}
	return word.ReplaceAllStringFunc(doc, func(w string) string {
		if name := fields[w]; name != "" && identifier(w) != t.Name {
			return name
		}
		for _, c := range r.constants {
			if c.name == w && c.pkg == "event" {
				if c.number {
					return c.value
				}
				return strconv.Quote(c.value)
			}
		}
		return identifier(w)
	})
}

// identifier spells a Go name as JavaScript does: RoomId for RoomID.
func identifier(name string) string {
	if stem, ok := strings.CutSuffix(name, "ID"); ok && token.IsIdentifier(stem) {
		return stem + "Id"
	}
	return name
}

func keyOf(expr *ast.SelectorExpr) string {
	return fmt.Sprintf("%s.%s", expr.X, expr.Sel.Name)
}
