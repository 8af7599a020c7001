package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/confab-chat/confab/tools/internal/contract"
)

// encoder writes AppendJSON of a type, which makes it a Reply or a Payload.
func (w *writer) encoder(typ, implements string, elements map[string]bool) error {
	w.linef("// AppendJSON implements %s.\nfunc (m *%s) AppendJSON(dst []byte) []byte {", implements, typ)
	e := &encoding{writer: w, elements: elements, literal: "{"}
	return e.finish("m", typ)
}

// elements writes the encoders of types that lists consist of.
func (w *writer) elements(types map[string]bool) error {
	for _, typ := range slices.Sorted(maps.Keys(types)) {
		w.linef("func append%s(dst []byte, m *%s) []byte {", typ, typ)
		e := &encoding{writer: w, elements: types, literal: "{"}
		if err := e.finish("m", typ); err != nil {
			return err
		}
	}
	return nil
}

// encoding is the body of an encoder.
type encoding struct {
	*writer
	elements map[string]bool
	literal  string // text that waits for the next append
	members  int    // of the object at hand
	last     string // the Time that the output ends with, "" for anything else
}

// finish writes the object without its opening brace, and the end of the function.
func (e *encoding) finish(expr, typ string) error {
	if err := e.object(expr, typ); err != nil {
		return fmt.Errorf("%s: %w", typ, err)
	}
	e.linef("return append(dst, %s)\n}\n", spread(e.literal+"}"))
	return nil
}

// spread is a literal as append takes it.
func spread(literal string) string {
	if len(literal) == 1 {
		return "'" + literal + "'"
	}
	return "`" + literal + "`..."
}

// object appends the members of a struct, and those of embedded ones.
func (e *encoding) object(expr, typ string) error {
	members, ok, err := e.Members("event", typ)
	if err != nil || !ok {
		return fmt.Errorf("%s is no struct: %w", typ, err)
	}
	for _, m := range members {
		if m.Name == "" {
			err = e.object(expr+"."+m.Type, m.Type)
		} else {
			err = e.member(expr+"."+m.Name, m)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", m.JSON, err)
		}
	}
	return nil
}

func (e *encoding) member(expr string, m contract.Member) error {
	if m.Optional {
		if e.members == 0 {
			return fmt.Errorf("the first member must not be optional")
		}
		e.flush()
		given := map[string]string{"string": ` != ""`, "uint64": " != 0", "int": " != 0", "bool": ""}
		basic, _ := e.Basic("event", m.Type)
		condition, known := given[basic]
		if strings.HasPrefix(m.Type, "*") {
			condition, known = " != nil", true
		}
		if !known {
			return fmt.Errorf("no rule says when a %s is left out", m.Type)
		}
		e.linef("if %s%s {", expr, condition)
		defer e.linef("}")
		defer e.flush()
	}
	if e.members > 0 {
		e.literal += ","
	}
	e.members++
	e.literal += fmt.Sprintf("%q:", m.JSON)
	return e.value(expr, m.Type)
}

// value appends a value and what waits in front of it.
func (e *encoding) value(expr, typ string) error {
	basic, _ := e.Basic("event", typ)
	switch element, list := strings.CutPrefix(typ, "[]"); {
	case typ == "True":
		e.literal += "true"
	case typ == "False":
		e.literal += "false"
	case typ == "Time" || typ == "TimeOrNull":
		last := e.last
		if last == "" {
			e.call("appendTime", expr)
		} else {
			e.call("appendSameTime", expr, last)
		}
		e.last = expr
	case typ == "EncodedMessage":
		e.linef("dst = append(append(dst, `%s`...), %s...)", e.takeLiteral(), expr)
	case typ == "UserIDs":
		e.call("appendList", expr, "appendUserID")
	case typ == "Messages":
		e.call("appendList", expr, "appendItem")
	case list:
		e.elements[element] = true
		e.call("appendList", expr, "append"+element)
	case typ == "code.Code":
		e.call("appendText", "string("+expr+")")
	case basic == "string":
		e.call("appendText", expr)
	case basic == "uint64":
		e.call("appendUint", expr)
	case basic == "int":
		e.call("appendInt", "int64("+expr+")")
	case basic == "bool":
		e.call("appendBool", expr)
	case typ == "*bool":
		e.call("appendBool", "*"+expr)
	default: // a struct
		outer := e.members
		e.literal += "{"
		e.members = 0
		if err := e.object(expr, typ); err != nil {
			return err
		}
		e.literal += "}"
		e.members = outer
	}
	return nil
}

// call appends what waits, and a value, by a function of package event.
func (e *encoding) call(function string, arguments ...string) {
	e.linef("dst = %s(dst, `%s`, %s)", function, e.takeLiteral(), strings.Join(arguments, ", "))
}

// flush appends what waits.
func (e *encoding) flush() {
	if literal := e.takeLiteral(); literal != "" {
		e.linef("dst = append(dst, %s)", spread(literal))
	}
}

// takeLiteral returns what waits, which the caller appends; no Time is last then.
func (e *encoding) takeLiteral() string {
	literal := e.literal
	e.literal, e.last = "", ""
	return literal
}

// textKeys writes isTextKey, which knows the members of type Text.
func (w *writer) textKeys(rows []contract.Row) error {
	keys := map[string]bool{}
	var collect func(typ string) error
	collect = func(typ string) error {
		members, _, err := w.Members("event", typ)
		if err != nil {
			return err
		}
		for _, m := range members {
			if m.Type == "Text" {
				keys[m.JSON] = true
			} else if err := collect(strings.TrimPrefix(m.Type, "[]")); err != nil {
				return err
			}
		}
		return nil
	}
	for _, row := range rows {
		for _, typ := range []string{row.Payload, row.Success} {
			if err := collect(typ); err != nil {
				return err
			}
		}
	}
	w.linef("// isTextKey reports whether members of that name are of type [Text].\nfunc isTextKey(key []byte) bool {\nswitch string(key) {")
	w.linef("case %s:\nreturn true\n}\nreturn false\n}", `"`+strings.Join(slices.Sorted(maps.Keys(keys)), `", "`)+`"`)
	return nil
}
