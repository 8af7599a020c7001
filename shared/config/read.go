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

// read sets one field, or adds the problem with its variable. The error is a
// mistake in a tag.
func (l *loader) read(f field) error {
	value, isSet := l.given[f.name]
	p := Problem{Name: f.name, Value: value, Secret: f.isSecret(), Example: f.example(), unread: true}
	if path, ok := l.given[f.name+fileSuffix]; ok && f.isSecret() {
		content, reason := readSecretFile(f.name, path)
		if isSet {
			reason = "and " + f.name + fileSuffix + " are both set; one is enough"
		}
		if reason != "" {
			p.Reason = reason
			l.add(p)
			return nil
		}
		value, isSet = content, true
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
	switch {
	case err != nil:
		return err
	case reason != "" && !isSet:
		return fmt.Errorf("config: default %q of %s: %s", value, f.name, reason)
	case reason != "":
		p.Reason = reason
		l.add(p)
	}
	return nil
}

// set parses value into the field. A reason, in words for people, says why the
// value is wrong; an error is a mistake in a tag.
func (f field) set(value string) (reason string, err error) {
	if allowed := f.oneOf(); len(allowed) > 0 && !slices.Contains(allowed, value) {
		return "must be " + orList(allowed), nil
	}
	parsed, err := parse(f.Type, value)
	if err != nil {
		if _, ok := errors.AsType[env.NoParserError](err); ok {
			return "", fmt.Errorf("config: %s: no parser for %s", f.name, f.Type)
		}
		return parseReason(f.Type, err), nil
	}
	for _, limit := range []struct {
		tag, words string
		wrong      int // the result of comparing a wrong value with the bound
	}{{"min", "must be at least ", -1}, {"max", "must be at most ", 1}} {
		tag, ok := f.Tag.Lookup(limit.tag)
		if !ok {
			continue
		}
		bound, err := parse(f.Type, tag)
		if err != nil {
			return "", fmt.Errorf("config: %s: cannot use tag %s:%q", f.name, limit.tag, tag)
		}
		if compare(parsed, bound) == limit.wrong {
			return limit.words + tag, nil
		}
	}
	f.value.Set(parsed)
	return "", nil
}

// parse has caarlos0/env read one value. One field at a time, because its errors
// name fields, not variables.
func parse(t reflect.Type, value string) (reflect.Value, error) {
	one := reflect.New(reflect.StructOf([]reflect.StructField{{Name: "Value", Type: t, Tag: `env:"VALUE"`}}))
	err := env.ParseWithOptions(one.Interface(), env.Options{
		Environment: map[string]string{"VALUE": value},
		FuncMap:     map[reflect.Type]env.ParserFunc{reflect.TypeFor[bool](): parseBool},
	})
	return one.Elem().Field(0), err
}

// parseBool accepts two words: 1, yes and on differ between tools.
func parseBool(value string) (any, error) {
	switch value {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return nil, errors.New("must be true or false")
}

// parseReason turns a parser's error into words without the value, which the
// problem shows before them.
func parseReason(t reflect.Type, err error) string {
	if p, ok := errors.AsType[env.ParseError](err); ok {
		err = p.Err // which it does not unwrap
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

// compare compares two numbers of one type.
func compare(a, b reflect.Value) int {
	switch {
	case a.CanInt():
		return cmp.Compare(a.Int(), b.Int())
	case a.CanUint():
		return cmp.Compare(a.Uint(), b.Uint())
	}
	return cmp.Compare(a.Float(), b.Float())
}

func orList(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
