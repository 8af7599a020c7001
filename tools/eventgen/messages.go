package main

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/confab-chat/confab/tools/internal/contract"
)

// messages writes the fields method of each message of package wire: each struct that
// has a field with a wire tag, or embeds a message.
func (w *writer) messages() error {
	w.linef("package wire\n")
	for _, name := range w.messageNames() {
		used := map[string]bool{}
		w.linef("func (m *%s) fields(c *codec) {", name)
		if err := w.fields("m", name, used); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		w.linef("}\n")
	}
	return nil
}

// messageList writes the list of all messages for the tests of package wire.
func (w *writer) messageList() error {
	w.linef("package wire_test\n\nimport \"github.com/confab-chat/confab/proto/wire\"\n")
	w.linef("// messages returns a zero value of each message type.\nfunc messages() []wire.Message {\nreturn []wire.Message{")
	for _, name := range w.messageNames() {
		w.linef("new(wire.%s),", name)
	}
	w.linef("}\n}")
	return nil
}

func (w *writer) messageNames() (names []string) {
	for _, name := range w.Types("wire") {
		if w.isMessage(name) {
			names = append(names, name)
		}
	}
	return names
}

func (w *writer) isMessage(name string) bool {
	members, _, err := w.Members("wire", name)
	if err != nil {
		return false
	}
	for _, m := range members {
		if _, tagged := m.Tag.Lookup("wire"); tagged || m.Name == "" && w.isMessage(m.Type) {
			return true
		}
	}
	return false
}

// fields writes a line for each field of the message, in the order of the struct, and
// notes the numbers that are used.
func (w *writer) fields(expr, name string, used map[string]bool) error {
	members, _, err := w.Members("wire", name)
	if err != nil {
		return err
	}
	for _, m := range members {
		if m.Name == "" {
			if err := w.embedded(m.Type, used); err != nil {
				return err
			}
			w.linef("%s.%s.fields(c)", expr, m.Type)
			continue
		}
		if err := w.field(expr+"."+m.Name, m, used); err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
	}
	return nil
}

// embedded notes the numbers of an embedded message.
func (w *writer) embedded(name string, used map[string]bool) error {
	inner := &writer{Source: w.Source}
	return inner.fields("m", name, used)
}

func (w *writer) field(expr string, m contract.Member, used map[string]bool) error {
	numbers := strings.Split(m.Tag.Get("wire"), ",")
	for _, n := range numbers {
		if n == "" || used[n] {
			return fmt.Errorf("the number %q is missing or used twice", n)
		}
		used[n] = true
	}
	if w.isMessage(m.Type) {
		return w.flat(expr, m.Type, numbers)
	}
	if len(numbers) != 1 {
		return fmt.Errorf("%s takes one number", m.Type)
	}
	if element, list := strings.CutPrefix(m.Type, "[]"); list && w.isMessage(element) {
		w.linef("repeated(c, %s, &%s)", numbers[0], expr)
		return nil
	}
	basic, alias := w.Basic("wire", m.Type)
	pointer := "&" + expr
	if !alias {
		pointer = fmt.Sprintf("(*%s)(&%s)", basic, expr)
	}
	method := map[string]string{"string": "string", "uint64": "uint", "bool": "bool", "[]byte": "bytes", "[]string": "strings"}[basic]
	if method == "" {
		return fmt.Errorf("%s is no type of a wire field", m.Type)
	}
	w.linef("c.%s(%s, %s)", method, numbers[0], pointer)
	return nil
}

// flat writes the fields of a message that lie in the outer one, under its numbers.
func (w *writer) flat(expr, name string, numbers []string) error {
	members, _, err := w.Members("wire", name)
	if err != nil {
		return err
	}
	if len(members) != len(numbers) {
		return fmt.Errorf("%s has %d fields, the tag %d numbers", name, len(members), len(numbers))
	}
	for i, m := range members {
		m.Tag = reflect.StructTag(`wire:"` + numbers[i] + `"`)
		if err := w.field(expr+"."+m.Name, m, map[string]bool{}); err != nil {
			return err
		}
	}
	return nil
}
