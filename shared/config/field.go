package config

import (
	"fmt"
	"maps"
	"reflect"
	"strings"
)

// leaf is one field that a variable sets.
type leaf struct {
	name     string // of the variable, with Prefix
	field    reflect.StructField
	value    reflect.Value
	required bool

	fallback string // default set by an enclosing struct
	override bool   // there is one
}

func (f leaf) secret() bool { return f.field.Type == reflect.TypeFor[Secret]() }

// defaultIn is the default in an environment; empty for none.
func (f leaf) defaultIn(e Env) string {
	if f.override {
		return f.fallback
	}
	if value, ok := f.field.Tag.Lookup(string(e)); ok {
		return value
	}
	return f.field.Tag.Get("envDefault")
}

// fields is a settings struct taken apart.
type fields struct {
	leaves  []leaf
	structs []reflect.Value // outermost first
}

// walk takes root apart; the error is a mistake in a tag.
func walk(root reflect.Value) (*fields, error) {
	if root.Kind() != reflect.Struct {
		return nil, fmt.Errorf("config: %s is not a struct", root.Type())
	}
	fs := new(fields)
	return fs, fs.enter(root, Prefix, nil)
}

// enter adds the fields of a struct; defaults are those that enclosing structs set.
func (fs *fields) enter(v reflect.Value, prefix string, defaults map[string]string) error {
	fs.structs = append(fs.structs, v)
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if !field.IsExported() {
			continue
		}
		var err error
		if tag, ok := field.Tag.Lookup("env"); ok {
			err = fs.add(v.Field(i), field, prefix, tag, defaults)
		} else if field.Type.Kind() == reflect.Struct {
			err = fs.enterField(v.Field(i), field, prefix+field.Tag.Get("envPrefix"), defaults)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (fs *fields) add(v reflect.Value, field reflect.StructField, prefix, tag string, defaults map[string]string) error {
	key, option, _ := strings.Cut(tag, ",")
	if key == "" || option != "" && option != "required" {
		return fmt.Errorf("config: field %s: cannot use tag env:%q", field.Name, tag)
	}
	f := leaf{name: prefix + key, field: field, value: v, required: option == "required"}
	f.fallback, f.override = defaults[f.name]
	fs.leaves = append(fs.leaves, f)
	return nil
}

// enterField enters a nested struct, with the defaults in its tag; those that an
// outer struct sets win. A default for a variable that is not there is a mistake.
func (fs *fields) enterField(v reflect.Value, field reflect.StructField, prefix string, outer map[string]string) error {
	own, err := ownDefaults(field, prefix)
	if err != nil {
		return err
	}
	defaults := maps.Clone(own)
	maps.Copy(defaults, outer)
	before := len(fs.leaves)
	if err := fs.enter(v, prefix, defaults); err != nil {
		return err
	}
	for _, f := range fs.leaves[before:] {
		delete(own, f.name)
	}
	for name := range own {
		return fmt.Errorf("config: field %s: default for %s, which is not in it", field.Name, name)
	}
	return nil
}

// ownDefaults reads a tag default:"NAME=value;NAME=value".
func ownDefaults(field reflect.StructField, prefix string) (map[string]string, error) {
	own := make(map[string]string)
	tag, ok := field.Tag.Lookup("default")
	if !ok {
		return own, nil
	}
	for pair := range strings.SplitSeq(tag, ";") {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, fmt.Errorf("config: field %s: cannot use tag default:%q", field.Name, tag)
		}
		own[prefix+name] = value
	}
	return own, nil
}
