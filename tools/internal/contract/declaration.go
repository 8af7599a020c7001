package contract

import (
	"errors"
	"fmt"
	"go/ast"
	"go/types"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Row is a declaration of an event: a package variable of package event, of type Def
// or ServerDef.
type Row struct {
	Variable string
	Name     string // of the event
	Reply    string // "" for a server event
	Payload  string // type in package event
	Success  string // type of the reply, "" for a server event
	Route    string // constant of package event, "" for the default
}

// Member is a field of a struct.
type Member struct {
	Name     string // "" when embedded
	Type     string // as in the source
	JSON     string // name in JSON, "" when it has none
	Optional bool   // in JSON
	Tag      reflect.StructTag

	expr ast.Expr
	doc  string
}

// Events returns the declared events: client events, then server events, each sorted by
// name.
func (s *Source) Events() ([]Row, error) {
	var rows []Row
	for key, literal := range s.variables {
		pkg, variable, _ := strings.Cut(key, ".")
		kind, ok := literal.Type.(*ast.Ident)
		if !ok || pkg != "event" || kind.Name != "Def" && kind.Name != "ServerDef" {
			continue
		}
		row := Row{Variable: variable}
		for _, e := range literal.Elts {
			pair, ok := e.(*ast.KeyValueExpr)
			if !ok {
				return nil, fmt.Errorf("%s: its fields must have names", variable)
			}
			switch fmt.Sprint(pair.Key) {
			case "Name":
				row.Name = s.text(fmt.Sprint(pair.Value))
			case "Reply":
				row.Reply = s.text(fmt.Sprint(pair.Value))
			case "Payload":
				row.Payload = argument(pair.Value)
			case "Success":
				row.Success = argument(pair.Value)
			case "Route":
				row.Route = fmt.Sprint(pair.Value)
			}
		}
		if row.Name == "" || row.Payload == "" || kind.Name == "Def" && (row.Reply == "" || row.Success == "") {
			return nil, fmt.Errorf("%s: its names must be constants, its types request[T], reply[T] or serverEvent[T]", variable)
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b Row) int {
		if client := a.Reply != ""; client != (b.Reply != "") {
			if client {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
	return rows, nil
}

// text is the value of a string constant of package event.
func (s *Source) text(constant string) string {
	for _, c := range s.constants {
		if c.pkg == "event" && c.name == constant && !c.number {
			return c.value
		}
	}
	return ""
}

// argument is T of f[T].
func argument(e ast.Expr) string {
	if index, ok := e.(*ast.IndexExpr); ok {
		return types.ExprString(index.Index)
	}
	return ""
}

// Types returns the names of the struct types of a package, in the order of the source.
func (s *Source) Types(pkg string) (names []string) {
	for _, key := range s.order {
		if of, name, _ := strings.Cut(key, "."); of == pkg {
			if _, ok := s.types[key].Type.(*ast.StructType); ok {
				names = append(names, name)
			}
		}
	}
	return names
}

// Members returns the fields of a struct type, following an alias of another
// package's type; ok is false when name is no struct.
func (s *Source) Members(pkg, name string) (fields []Member, ok bool, err error) {
	spec := s.types[pkg+"."+name]
	if spec == nil {
		return nil, false, nil
	}
	switch expr := spec.Type.(type) {
	case *ast.StructType:
		fields, err = members(expr)
		if err != nil {
			return nil, true, fmt.Errorf("%s: %w", name, err)
		}
		return fields, true, nil
	case *ast.SelectorExpr:
		return s.Members(fmt.Sprint(expr.X), expr.Sel.Name)
	}
	return nil, false, nil
}

// Values returns the names of the constants of a type, in the order of the source.
func (s *Source) Values(pkg, typ string) (names []string) {
	for _, c := range s.constants {
		if c.pkg == pkg && c.typ == typ {
			names = append(names, c.name)
		}
	}
	return names
}

// HasMethod reports whether a type declares a method.
func (s *Source) HasMethod(pkg, typ, method string) bool {
	return s.methods[pkg+"."+typ+"."+method]
}

// members reads the fields of a struct.
func members(body *ast.StructType) (all []Member, err error) {
	for _, f := range body.Fields.List {
		m := Member{Type: types.ExprString(f.Type), expr: f.Type, doc: prose(f.Comment)}
		if f.Tag != nil {
			raw, err := strconv.Unquote(f.Tag.Value)
			if err != nil {
				return nil, err
			}
			m.Tag = reflect.StructTag(raw)
			name := m.Tag.Get("json")
			m.JSON, m.Optional = strings.CutSuffix(name, ",omitempty")
			if _, has := m.Tag.Lookup("json"); has && m.JSON == "" || strings.ContainsAny(m.JSON, `,:" `) {
				return nil, fmt.Errorf("the tag %s is none that is understood here", f.Tag.Value)
			}
		}
		if len(f.Names) == 0 {
			all = append(all, m)
		}
		for _, n := range f.Names {
			if m.Name = n.Name; len(f.Names) > 1 && f.Tag != nil {
				return nil, errors.New("several fields with one tag")
			}
			all = append(all, m)
		}
	}
	return all, nil
}

// Basic returns what a type is made of: typ itself, unless it is the name of another
// type. alias is false when that is a type of its own, which needs a conversion.
func (s *Source) Basic(pkg, typ string) (basic string, alias bool) {
	spec := s.types[pkg+"."+typ]
	if spec == nil {
		return typ, true
	}
	switch expr := spec.Type.(type) {
	case *ast.Ident:
		basic, alias = s.Basic(pkg, expr.Name)
	case *ast.SelectorExpr:
		basic, alias = s.Basic(fmt.Sprint(expr.X), expr.Sel.Name)
	default:
		return typ, true
	}
	return basic, alias && spec.Assign.IsValid()
}
