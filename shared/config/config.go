// Package config reads the settings of a service from CONFAB_ environment
// variables into a struct, and reports everything that is wrong with them at
// once.
//
// A settings struct is flat or nested; its fields say all there is to know:
//
//	type Config struct {
//		config.Common `default:"ADMIN_ADDR=127.0.0.1:9101"`
//		config.Limits
//		Addr   string        `env:"EDGE_ADDR" envDefault:":3001" doc:"public listener"`
//		Scope  string        `env:"PRESENCE_SCOPE" envDefault:"all" production:"rooms" oneof:"all rooms" doc:"who hears presence"`
//		Window time.Duration `env:"DRAIN_WINDOW" envDefault:"1s" production:"45s" min:"0s" max:"1h" doc:"…"`
//		Key    config.Secret `env:"AUTH_HMAC_SECRET" doc:"…"`
//	}
//
// env is the name behind CONFAB_, with ",required" when there is no default;
// envDefault is the default, and production, development and test are the
// defaults in that environment; oneof lists the values allowed, min and max bound
// numbers and durations; example is shown with a complaint; doc is the meaning in
// the --help table. A struct field without env is entered, envPrefix is put before
// its names, and default (NAME=value;NAME=value) overrides defaults inside it.
//
// An empty variable is an unset one. Durations have a unit, booleans are true or
// false, list elements are trimmed, and a [Secret] can also come from the file that
// the variable with _FILE behind its name tells. A CONFAB_ name that nobody in the
// suite knows is a problem: see [Known].
package config

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Prefix is in front of every variable of the suite.
const Prefix = "CONFAB_"

// Validator is implemented by settings, and by structs inside them, that have
// rules beyond one field. It is called after everything has been read; problems of
// variables that could not be read are left out. See [Bad].
type Validator interface {
	Validate(Env) []Problem
}

// Load reads T, a settings struct, from environ, which has the form of
// os.Environ. What is wrong with the variables is an [*Error]; any other error is
// a mistake in T's tags. T is complete only when the error is nil.
func Load[T any](environ []string) (T, error) {
	var t T
	fs, err := walk(reflect.ValueOf(&t).Elem())
	if err != nil {
		return t, err
	}
	l := loader{given: parseEnviron(environ), leaves: fs.leaves}
	l.readEnv()
	for _, f := range fs.leaves {
		if err := l.read(f); err != nil {
			return t, err
		}
	}
	for _, v := range fs.structs {
		if rules, ok := v.Addr().Interface().(Validator); ok {
			l.check(rules.Validate(l.env))
		}
	}
	l.unknown()
	if len(l.problems) > 0 {
		return t, &Error{Problems: l.problems}
	}
	return t, nil
}

// parseEnviron keeps the suite's variables that have a value; the last of two wins.
func parseEnviron(environ []string) map[string]string {
	given := make(map[string]string)
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, Prefix) {
			given[name] = value
		}
	}
	maps.DeleteFunc(given, func(_, value string) bool { return value == "" })
	return given
}

// loader collects what is wrong while it reads.
type loader struct {
	given    map[string]string
	leaves   []leaf
	env      Env // decides defaults
	problems []Problem
}

// readEnv finds the environment first, because defaults depend on it. A wrong one
// is reported when its field is read.
func (l *loader) readEnv() {
	l.env = Development
	var e Env
	if value, ok := l.given[Prefix+"ENV"]; ok && e.UnmarshalText([]byte(value)) == nil {
		l.env = e
	}
}

// add keeps a problem unless it is known: several structs may read one variable.
func (l *loader) add(p Problem) {
	if !slices.Contains(l.problems, p) {
		l.problems = append(l.problems, p)
	}
}

// check adds the findings of a Validator, with the values of their variables.
func (l *loader) check(found []Problem) {
	for _, p := range found {
		if !strings.HasPrefix(p.Name, Prefix) {
			p.Name = Prefix + p.Name
		}
		if slices.ContainsFunc(l.problems, func(o Problem) bool { return o.Name == p.Name && o.unread }) {
			continue
		}
		for _, f := range l.leaves {
			if f.name == p.Name {
				p.Value, p.Secret = l.given[f.name], f.secret()
			}
		}
		l.add(p)
	}
}

// unknown reports variables that nobody reads: a mistyped name must not start a
// server without the setting.
func (l *loader) unknown() {
	names := make(map[string]bool)
	for _, n := range Known() {
		names[n] = true
	}
	for _, f := range l.leaves {
		names[f.name] = true
		if f.secret() {
			names[f.name+fileSuffix] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.given)) {
		if names[name] || serviceLink(name, l.given[name]) {
			continue
		}
		// Not the value: it may be a secret under a mistyped name.
		p := Problem{Name: name, Reason: "no such setting"}
		if near := nearest(name, names); near != "" {
			p.Reason += "; did you mean " + near + "?"
		}
		l.add(p)
	}
}
