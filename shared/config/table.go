package config

import (
	"fmt"
	"io"
	"reflect"
	"strings"
	"text/tabwriter"
	"time"
)

// Setting describes one variable of a settings struct.
type Setting struct {
	Name    string // of the variable
	Type    string // for people: "duration", "list", "json, text"
	Default string // with differences between environments; empty for none
	Meaning string
}

// Settings lists the variables of T in the order of its fields, each once. The
// error is a mistake in T's tags.
func Settings[T any]() ([]Setting, error) {
	fs, err := walk(reflect.New(reflect.TypeFor[T]()).Elem())
	if err != nil {
		return nil, err
	}
	var all []Setting
	seen := make(map[string]bool)
	for _, f := range fs.leaves {
		if seen[f.name] {
			continue
		}
		seen[f.name] = true
		s := Setting{Name: f.name, Type: typeName(f), Default: defaults(f), Meaning: f.field.Tag.Get("doc")}
		if f.secret() {
			s.Name += " (" + fileSuffix + ")"
		}
		all = append(all, s)
	}
	return all, nil
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

// Given is a setting with its value in force, secrets redacted.
type Given struct{ Name, Value string }

// Effective lists the values in force of loaded settings, for a start-up log line.
func Effective[T any](t T) []Given {
	v := reflect.New(reflect.TypeFor[T]()).Elem()
	v.Set(reflect.ValueOf(t))
	fs, err := walk(v)
	if err != nil { // Load would have failed before
		return nil
	}
	var all []Given
	seen := make(map[string]bool)
	for _, f := range fs.leaves {
		if !seen[f.name] {
			seen[f.name] = true
			all = append(all, Given{f.name, show(f.value)})
		}
	}
	return all
}

func show(v reflect.Value) string {
	if v.Kind() != reflect.Slice {
		return hideUserinfo(fmt.Sprint(v.Interface()))
	}
	parts := make([]string, v.Len())
	for i := range parts {
		parts[i] = show(v.Index(i))
	}
	return strings.Join(parts, ",")
}

func typeName(f leaf) string {
	if allowed := f.field.Tag.Get("oneof"); allowed != "" {
		return strings.Join(strings.Fields(allowed), ", ")
	}
	t := f.field.Type
	switch {
	case f.secret():
		return "secret"
	case t == reflect.TypeFor[time.Duration]():
		return "duration"
	case t == reflect.TypeFor[Env]():
		return "environment"
	case t.Kind() == reflect.Slice:
		return "list"
	case t.Kind() == reflect.Bool:
		return "true, false"
	case t.PkgPath() != "": // has its own parser, and a name: slog.Level
		return strings.ToLower(t.Name())
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64:
		return "number"
	}
	return t.Kind().String()
}

// defaults is "60 (production 30, test 10)".
func defaults(f leaf) string {
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
