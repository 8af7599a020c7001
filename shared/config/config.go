// Package config reads the settings of a service from CONFAB_ environment
// variables into a struct, and reports everything that is wrong with them at
// once.
//
// The tags of a settings struct hold everything about a setting:
//
//	type Config struct {
//		config.Common `default:"ADMIN_ADDR=127.0.0.1:9101"`
//		config.Limits
//		Addr   string        `env:"EDGE_ADDR" envDefault:":3001" doc:"public listener"`
//		Scope  string        `env:"PRESENCE_SCOPE" envDefault:"all" production:"rooms" oneof:"all rooms" doc:"who sees presence"`
//		Window time.Duration `env:"DRAIN_WINDOW" envDefault:"1s" production:"45s" min:"0s" max:"1h" doc:"…"`
//		Key    config.Secret `env:"AUTH_HMAC_SECRET" doc:"…"`
//	}
//
// env is the name after CONFAB_, with ",required" when there is no default.
// envDefault is the default; production, development and test override it in that
// environment. oneof lists the allowed values, min and max bound numbers and
// durations, example is shown with a complaint, and doc is the meaning in the
// --help table. A struct field without env is read as part of the struct;
// envPrefix is put before its names, and default (NAME=value;NAME=value) overrides
// defaults inside it. After a new field, run go generate work: see [Known].
//
// An empty variable counts as unset. Durations have a unit, booleans are true or
// false, and a [Secret] can also come from the file that the variable with _FILE
// appended names. A CONFAB_ name that no program of the suite reads is a problem.
package config

import (
	_ "embed"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// Prefix starts the name of every variable of the suite.
const Prefix = "CONFAB_"

//go:embed known.txt
var known string

// Known returns every name that some program of the suite reads. Programs share
// environment files, so a setting of another program is not a mistake. tools/docgen
// writes the list from the services' settings, which this package cannot import.
func Known() []string { return strings.Fields(known) }

// Validator is implemented by settings, and by structs inside them, that have
// rules beyond one field. It is called after everything has been read; its problems
// with variables that could not be read are dropped. See [Bad].
type Validator interface {
	Validate(Env) []Problem
}

// Load reads T, a settings struct, from environ, which has the form of
// os.Environ. Wrong variables are returned as an [*Error]; any other error is a
// mistake in T's tags. T is complete only when the error is nil.
func Load[T any](environ []string) (T, error) {
	var t T
	all, err := walk(reflect.ValueOf(&t).Elem())
	if err != nil {
		return t, err
	}
	l := loader{given: parseEnviron(environ), fields: all.fields}
	l.readEnv()
	for _, f := range all.fields {
		if err := l.read(f); err != nil {
			return t, err
		}
	}
	for _, v := range all.structs {
		if rules, ok := v.Addr().Interface().(Validator); ok {
			l.addFindings(rules.Validate(l.env))
		}
	}
	l.addUnknown()
	if len(l.problems) > 0 {
		return t, &Error{Problems: l.problems}
	}
	return t, nil
}

// parseEnviron returns the suite's variables that have a value; a later duplicate wins.
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

// loader collects problems while it reads.
type loader struct {
	given    map[string]string
	fields   []field
	env      Env // selects defaults
	problems []Problem
}

// readEnv finds the environment first, because defaults depend on it. A bad value
// is reported when its field is read.
func (l *loader) readEnv() {
	l.env = Development
	var e Env
	if value, ok := l.given[Prefix+"ENV"]; ok && e.UnmarshalText([]byte(value)) == nil {
		l.env = e
	}
}

// add appends a problem once: several structs may read one variable.
func (l *loader) add(p Problem) {
	if !slices.Contains(l.problems, p) {
		l.problems = append(l.problems, p)
	}
}

// addFindings adds the findings of a Validator, with the values of their variables.
func (l *loader) addFindings(found []Problem) {
	for _, p := range found {
		if !strings.HasPrefix(p.Name, Prefix) {
			p.Name = Prefix + p.Name
		}
		if slices.ContainsFunc(l.problems, func(o Problem) bool { return o.Name == p.Name && o.unread }) {
			continue
		}
		if i := slices.IndexFunc(l.fields, func(f field) bool { return f.name == p.Name }); i >= 0 {
			p.Value, p.Secret = l.given[p.Name], l.fields[i].isSecret()
		}
		l.add(p)
	}
}

// addUnknown reports variables that no program reads: a misspelt name must not
// start a server without the setting.
func (l *loader) addUnknown() {
	names := Known()
	for _, f := range l.fields {
		names = append(names, f.name)
		if f.isSecret() {
			names = append(names, f.name+fileSuffix)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.given)) {
		if !slices.Contains(names, name) && !serviceLink.MatchString(name+"="+l.given[name]) {
			// Without the value: it may be a secret under a misspelt name.
			l.add(Problem{Name: name, Reason: "no such setting; --help lists all"})
		}
	}
}

// serviceLink matches NAME=value as Kubernetes sets it in every container for a
// Service named confab-…: CONFAB_EDGE_SERVICE_HOST, CONFAB_EDGE_PORT=tcp://…,
// CONFAB_EDGE_PORT_3001_TCP_ADDR.
var serviceLink = regexp.MustCompile(`^[^=]*(_SERVICE_HOST=|_SERVICE_PORT(_[^=]*)?=|_PORT=(tcp|udp)://|_PORT_[0-9]+_(TCP|UDP))`)
