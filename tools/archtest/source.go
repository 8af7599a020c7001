package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
)

// Source checks what only the text of a package shows: no init function, no subject literal
// outside proto/subject, no clock in the pure core, no sleep in a test that is no benchmark.
func Source(p Package) (broken []string, err error) {
	fset := token.NewFileSet()
	for _, name := range p.GoFiles {
		file, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, 0)
		if err != nil {
			return nil, err
		}
		broken = append(broken, sourceOf(p, fset, file)...)
	}
	for _, name := range slices.Concat(p.TestGoFiles, p.XTestGoFiles) {
		file, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, 0)
		if err != nil {
			return nil, err
		}
		broken = append(broken, sleeps(fset, file)...)
	}
	return broken, nil
}

// sleeps reports every time.Sleep and every receive from time.After for its own sake in a test file,
// outside functions that get a *testing.B. A file that imports testing/synctest may sleep: time is
// virtual there.
func sleeps(fset *token.FileSet, file *ast.File) (broken []string) {
	if slices.ContainsFunc(file.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"testing/synctest"` }) {
		return nil
	}
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && benchmarks(f) {
			continue
		}
		cases := make(map[ast.Stmt]bool) // of selects with an alternative: their time.After is a timeout
		ast.Inspect(d, func(n ast.Node) bool {
			what := ""
			switch n := n.(type) {
			case *ast.SelectStmt:
				for _, c := range n.Body.List {
					cases[c.(*ast.CommClause).Comm] = len(n.Body.List) > 1
				}
			case *ast.SelectorExpr:
				if n.Sel.Name == "Sleep" && named(n.X, "time") {
					what = "time.Sleep"
				}
			case *ast.ExprStmt:
				if !cases[n] && receivesAfter(n.X) {
					what = "<-time.After"
				}
			}
			if what != "" {
				pos := fset.Position(n.Pos())
				broken = append(broken, fmt.Sprintf("%s:%d: %s in a test: wait with shared/eventually, or import testing/synctest and sleep in a bubble", filepath.Base(pos.Filename), pos.Line, what))
			}
			return true
		})
	}
	return broken
}

// receivesAfter reports whether x is a receive from time.After.
func receivesAfter(x ast.Expr) bool {
	receive, ok := x.(*ast.UnaryExpr)
	if !ok || receive.Op != token.ARROW {
		return false
	}
	call, ok := receive.X.(*ast.CallExpr)
	if !ok {
		return false
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	return ok && sel.Sel.Name == "After" && named(sel.X, "time")
}

// benchmarks reports whether f has a parameter of type *testing.B.
func benchmarks(f *ast.FuncDecl) bool {
	return slices.ContainsFunc(f.Type.Params.List, func(p *ast.Field) bool {
		star, ok := p.Type.(*ast.StarExpr)
		if !ok {
			return false
		}
		sel, ok := star.X.(*ast.SelectorExpr)
		return ok && sel.Sel.Name == "B" && named(sel.X, "testing")
	})
}

// named reports whether x is the identifier name.
func named(x ast.Expr, name string) bool {
	id, ok := x.(*ast.Ident)
	return ok && id.Name == name
}

func sourceOf(p Package, fset *token.FileSet, file *ast.File) (broken []string) {
	report := func(n ast.Node, what string) {
		pos := fset.Position(n.Pos())
		broken = append(broken, fmt.Sprintf("%s:%d: %s", filepath.Base(pos.Filename), pos.Line, what))
	}
	pure := slices.Contains(Pure(), p.rel())
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Recv == nil && n.Name.Name == "init" {
				report(n, "an init function: construct it where it is used")
			}
		case *ast.BasicLit:
			if n.Kind == token.STRING && strings.Contains(n.Value, "chat.v1.") && p.rel() != "proto/subject" {
				report(n, "a subject literal: proto/subject spells them")
			}
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && pure && x.Name == "time" && clock(n.Sel.Name) {
				report(n, "time."+n.Sel.Name+" in the pure core: time is a parameter there")
			}
		}
		return true
	})
	return broken
}

func clock(name string) bool {
	switch name {
	case "Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick":
		return true
	}
	return false
}
