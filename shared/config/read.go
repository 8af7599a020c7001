package config

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
)

// read sets one field, or notes why it cannot. The error is a mistake in a tag.
func (l *loader) read(f leaf) error {
	value, isSet := l.given[f.name]
	p := Problem{Name: f.name, Value: value, Secret: f.secret(), Example: example(f), unread: true}
	if f.secret() {
		content, fromFile, reason := l.readSecretFile(f.name)
		if reason != "" {
			p.Reason = reason
			l.add(p)
			return nil
		}
		if fromFile {
			value, isSet = content, true
		}
	}
	if !isSet {
		value = f.defaultIn(l.env)
	}
	if value == "" {
		if f.required {
			p.Reason = "is required"
			l.add(p)
		}
		return nil
	}
	reason, err := f.set(value)
	if err != nil {
		return err
	}
	if reason != "" && !isSet {
		return fmt.Errorf("config: default %q of %s: %s", value, f.name, reason)
	}
	if reason != "" {
		p.Reason = reason
		l.add(p)
	}
	return nil
}

// set parses value into the field. reason says what is wrong with it, for people.
func (f leaf) set(value string) (reason string, err error) {
	if f.field.Type.Kind() == reflect.Slice {
		if value = trimList(value); value == "" {
			return "", nil
		}
	}
	if allowed := strings.Fields(f.field.Tag.Get("oneof")); len(allowed) > 0 && !slices.Contains(allowed, value) {
		return "must be " + orList(allowed), nil
	}
	parsed, err := parse(f.field.Type, value)
	if err != nil {
		if _, ok := errors.AsType[env.NoParserError](err); ok {
			return "", fmt.Errorf("config: %s: no way to read a %s", f.name, f.field.Type)
		}
		return reasonOf(f.field.Type, err), nil
	}
	if reason, err := f.bounds(parsed); reason != "" || err != nil {
		return reason, err
	}
	f.value.Set(parsed)
	return "", nil
}

// parse lets caarlos0/env read one value. One field at a time, because its errors
// name fields and not variables.
func parse(t reflect.Type, value string) (reflect.Value, error) {
	one := reflect.New(reflect.StructOf([]reflect.StructField{{Name: "Value", Type: t, Tag: `env:"VALUE"`}}))
	err := env.ParseWithOptions(one.Interface(), env.Options{
		Environment: map[string]string{"VALUE": value},
		FuncMap:     map[reflect.Type]env.ParserFunc{reflect.TypeFor[bool](): parseBool},
	})
	return one.Elem().Field(0), err
}

// parseBool knows two words: 1, yes and on are guesses that differ between tools.
func parseBool(value string) (any, error) {
	switch value {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return nil, errors.New("must be true or false")
}

// reasonOf turns a parser's error into words without the value, which stands
// before it already.
func reasonOf(t reflect.Type, err error) string {
	if p, ok := errors.AsType[env.ParseError](err); ok {
		err = p.Err // which it does not unwrap
	}
	if t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "must be a duration with a unit"
	case errors.Is(err, strconv.ErrRange):
		return "is out of range"
	case errors.Is(err, strconv.ErrSyntax):
		return "must be a number"
	}
	return err.Error()
}

// bounds applies the tags min and max.
func (f leaf) bounds(v reflect.Value) (reason string, err error) {
	for _, limit := range []struct {
		tag, word string
		wrong     int
	}{{"min", "must be at least ", -1}, {"max", "must be at most ", 1}} {
		bound, ok := f.field.Tag.Lookup(limit.tag)
		if !ok {
			continue
		}
		b, err := parse(f.field.Type, bound)
		if err != nil || !b.CanInt() && !b.CanUint() && !b.CanFloat() {
			return "", fmt.Errorf("config: %s: cannot use tag %s:%q", f.name, limit.tag, bound)
		}
		if compare(v, b) == limit.wrong {
			return limit.word + bound, nil
		}
	}
	return "", nil
}

func compare(a, b reflect.Value) int {
	switch {
	case a.CanInt():
		return cmp.Compare(a.Int(), b.Int())
	case a.CanUint():
		return cmp.Compare(a.Uint(), b.Uint())
	}
	return cmp.Compare(a.Float(), b.Float())
}

// trimList drops blanks around the elements of a list, and empty elements.
func trimList(value string) string {
	var kept []string
	for part := range strings.SplitSeq(value, ",") {
		if part = strings.TrimSpace(part); part != "" {
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, ",")
}

// example is a value that would be accepted.
func example(f leaf) string {
	if tag := f.field.Tag.Get("example"); tag != "" {
		return tag
	}
	if allowed := strings.Fields(f.field.Tag.Get("oneof")); len(allowed) > 0 {
		return allowed[0]
	}
	if f.secret() {
		return ""
	}
	if value := f.defaultIn(Production); value != "" {
		return value
	}
	if value := f.defaultIn(Development); value != "" {
		return value
	}
	switch t := f.field.Type; {
	case t == reflect.TypeFor[time.Duration]():
		return "30s"
	case t.Kind() == reflect.Bool:
		return "true"
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64:
		return "10"
	}
	return ""
}

func orList(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}
