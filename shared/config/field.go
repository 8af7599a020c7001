package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// field is one field that a variable sets.
type field struct {
	reflect.StructField
	name     string // of the variable, with Prefix
	value    reflect.Value
	required bool
	fallback *string // default set by an enclosing struct, nil for none
}

func (f field) isSecret() bool { return f.Type == reflect.TypeFor[Secret]() }

// defaultIn returns the default in an environment, or "".
func (f field) defaultIn(e Env) string {
	if f.fallback != nil {
		return *f.fallback
	}
	if value, ok := f.Tag.Lookup(string(e)); ok {
		return value
	}
	return f.Tag.Get("envDefault")
}

// oneOf returns the allowed values, or nil when the type decides.
func (f field) oneOf() []string { return strings.Fields(f.Tag.Get("oneof")) }

// example returns a value that would be accepted, or "" for none.
func (f field) example() string {
	for _, value := range append([]string{f.Tag.Get("example")}, f.oneOf()...) {
		if value != "" {
			return value
		}
	}
	if f.isSecret() {
		return ""
	}
	for _, e := range []Env{Production, Development} {
		if value := f.defaultIn(e); value != "" {
			return value
		}
	}
	switch {
	case f.Type == reflect.TypeFor[time.Duration]():
		return "30s"
	case f.Type.Kind() == reflect.Bool:
		return "true"
	case f.value.CanInt() || f.value.CanUint():
		return "10"
	}
	return ""
}

// structure is a settings struct taken apart.
type structure struct {
	fields  []field
	structs []reflect.Value // outermost first
}

// walk takes root apart; the error is a mistake in a tag.
func walk(root reflect.Value) (*structure, error) {
	if root.Kind() != reflect.Struct {
		return nil, fmt.Errorf("config: %s is not a struct", root.Type())
	}
	s := new(structure)
	return s, s.enter(root, Prefix)
}

func (s *structure) enter(v reflect.Value, prefix string) error {
	s.structs = append(s.structs, v)
	for sf, value := range v.Fields() {
		tag, isField := sf.Tag.Lookup("env")
		switch {
		case !sf.IsExported():
		case isField:
			key, option, _ := strings.Cut(tag, ",")
			if key == "" || option != "" && option != "required" {
				return fmt.Errorf("config: field %s: cannot use tag env:%q", sf.Name, tag)
			}
			s.fields = append(s.fields, field{StructField: sf, name: prefix + key, value: value, required: option == "required"})
		case value.Kind() == reflect.Struct:
			before, inner := len(s.fields), prefix+sf.Tag.Get("envPrefix")
			if err := s.enter(value, inner); err != nil {
				return err
			}
			if err := override(s.fields[before:], sf, inner); err != nil {
				return err
			}
		}
	}
	return nil
}

// override applies the tag default:"NAME=value;NAME=value" of a nested struct to
// its fields. Outer structs are applied last and win.
func override(fields []field, sf reflect.StructField, prefix string) error {
	tag, ok := sf.Tag.Lookup("default")
	if !ok {
		return nil
	}
	for pair := range strings.SplitSeq(tag, ";") {
		name, value, ok := strings.Cut(pair, "=")
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == prefix+name })
		if !ok || i < 0 {
			return fmt.Errorf("config: field %s: cannot use %q in tag default", sf.Name, pair)
		}
		fields[i].fallback = &value
	}
	return nil
}
