package config

import (
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Setting describes one variable of a settings struct.
type Setting struct {
	Name    string // of the variable
	Type    string // in words: "duration", "list", "json, text"
	Default string // with differences between environments; empty for none
	Meaning string
}

// Settings lists the variables of T in the order of its fields, each once. The
// error is a mistake in T's tags.
func Settings[T any]() ([]Setting, error) {
	all, err := walk(reflect.New(reflect.TypeFor[T]()).Elem())
	if err != nil {
		return nil, err
	}
	var settings []Setting
	for _, f := range all.fields {
		s := Setting{Name: f.name, Type: typeName(f), Default: defaults(f), Meaning: f.Tag.Get("doc")}
		if f.isSecret() {
			s.Name += " (" + fileSuffix + ")"
		}
		if !slices.ContainsFunc(settings, func(o Setting) bool { return o.Name == s.Name }) {
			settings = append(settings, s)
		}
	}
	return settings, nil
}

// Table prints the settings of T for --help.
func Table[T any](w io.Writer) error {
	all, err := Settings[T]()
	if err != nil {
		return err
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "Variable\tType\tDefault\tMeaning")
	for _, s := range all {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", s.Name, s.Type, s.Default, s.Meaning)
	}
	return tw.Flush()
}

func typeName(f field) string {
	if allowed := f.oneOf(); allowed != nil {
		return strings.Join(allowed, ", ")
	}
	t := f.Type
	switch {
	case f.isSecret():
		return "secret"
	case t == reflect.TypeFor[time.Duration]():
		return "duration"
	case t == reflect.TypeFor[Env]():
		return "environment"
	case t.Kind() == reflect.Bool:
		return "true, false"
	case t.PkgPath() != "": // a named type with its own parser: slog.Level, origin.List
		return strings.ToLower(t.Name())
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64:
		return "number"
	}
	return t.Kind().String()
}

// defaults returns the default as "60 (production 30, test 10)".
func defaults(f field) string {
	base := f.defaultIn(Development)
	var others []string
	for _, e := range []Env{Production, Test} {
		switch d := f.defaultIn(e); {
		case d == base:
		case d == "":
			others = append(others, string(e)+" none")
		default:
			others = append(others, string(e)+" "+d)
		}
	}
	switch {
	case len(others) == 0:
		return base
	case base == "":
		base = "none"
	}
	return base + " (" + strings.Join(others, ", ") + ")"
}
