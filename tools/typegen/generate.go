package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"strings"

	"github.com/confab-chat/confab/tools/internal/contract"
)

// frameTypes is the part of the file that does not depend on the events: frames and the types
// of socket.io-client, defined in terms of payloads.
//
//go:embed frames.d.ts
var frameTypes string

const head = `// Types of the Confab client contract. Generated from the Go types in proto by
// tools/typegen: do not edit. What events mean is in proto/WEBSOCKET_API.md.
`

// generate returns the text of index.d.ts.
func generate(root string) ([]byte, error) {
	c, err := contract.Read(root)
	if err != nil {
		return nil, err
	}
	w := &writer{}
	w.text(head)
	for _, t := range c.Types {
		w.declare(t)
	}
	w.codes(c)
	w.maps(c)
	w.text("\n" + frameTypes)
	return w.buf.Bytes(), nil
}

// writer writes declarations.
type writer struct{ buf bytes.Buffer }

func (w *writer) text(s string)                 { w.buf.WriteString(s) }
func (w *writer) linef(format string, a ...any) { fmt.Fprintf(&w.buf, format+"\n", a...) }

// doc writes a comment, nothing for none.
func (w *writer) doc(indent, s string) {
	if s = strings.ReplaceAll(s, "*/", "* /"); s == "" {
		return
	}
	const width = 100
	if len(indent)+len("/** ")+len(s)+len(" */") <= width {
		w.linef("%s/** %s */", indent, s)
		return
	}
	w.linef("%s/**", indent)
	line := ""
	for _, word := range strings.Fields(s) {
		if line != "" && len(indent)+len(" * ")+len(line)+1+len(word) > width {
			w.linef("%s * %s", indent, line)
			line = ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	w.linef("%s * %s", indent, line)
	w.linef("%s */", indent)
}

func (w *writer) declare(t *contract.Type) {
	w.text("\n")
	w.doc("", t.Doc)
	switch {
	case t.Is != "":
		w.linef("export type %s = %s;", t.Name, t.Is)
	case len(t.Values) > 0:
		var members []member
		if t.Extends != "" {
			members = append(members, member{t.Extends, ""})
		}
		for _, v := range t.Values {
			members = append(members, member{fmt.Sprintf("%q", v.Text), v.Doc})
		}
		w.union(t.Name, members)
	default:
		w.object(t)
	}
}

func (w *writer) object(t *contract.Type) {
	extends := ""
	if t.Extends != "" {
		extends = "extends " + t.Extends + " "
	}
	w.linef("export interface %s %s{", t.Name, extends)
	for _, f := range t.Fields {
		w.doc("  ", f.Doc)
		w.linef("  %s%s: %s;", f.Name, mark(f.Optional), f.Type)
	}
	w.text("}\n")
}

// member is one alternative of a union.
type member struct{ text, doc string }

func (w *writer) union(name string, members []member) {
	w.linef("export type %s =", name)
	for i, m := range members {
		w.doc("  ", m.doc)
		end := ""
		if i == len(members)-1 {
			end = ";"
		}
		w.linef("  | %s%s", m.text, end)
	}
}

func (w *writer) codes(c *contract.Contract) {
	var codes, again, final []member
	for _, e := range c.Errors {
		codes = append(codes, member{fmt.Sprintf("%q", e.Code), fmt.Sprintf("%d: %s", e.Status(), e.Doc)})
	}
	for _, e := range c.Closes {
		m := member{fmt.Sprint(uint16(e.Close)), e.String()}
		if e.Doc != "" {
			m.doc += ": " + e.Doc
		}
		if e.Reconnect() {
			again = append(again, m)
		} else {
			final = append(final, m)
		}
	}
	w.text("\n/** What went wrong: `error` of a {@link Failure}. More may be added: have a default. */\n")
	w.union("ErrorCode", codes)
	w.text("\n/** WebSocket close codes after which a client connects again. */\n")
	w.union("ReconnectCode", again)
	w.text("\n/** WebSocket close codes after which a client does not connect again. */\n")
	w.union("FinalCode", final)
	w.text("\nexport type CloseCode = ReconnectCode | FinalCode;\n")
}

func (w *writer) maps(c *contract.Contract) {
	w.text("\n/** Client events, with what `emit` takes behind the name. */\nexport interface Requests {\n")
	for _, r := range c.Client {
		_, does, _ := strings.Cut(r.Doc, " ")
		w.doc("  ", capital(does))
		w.linef("  %s: %s;", r.Name, arguments(r))
	}
	w.text("}\n\n/** Client events, with the name of what answers them. */\nexport interface ReplyNames {\n")
	for _, r := range c.Client {
		w.linef("  %s: %q;", r.Name, r.Reply)
	}
	w.text("}\n\n/** What answers client events, by its name. */\nexport interface Replies {\n")
	for _, r := range c.Client {
		w.doc("  ", r.Success.Doc)
		w.linef("  %s: %s;", r.Reply, r.Success.Name)
	}
	w.text("}\n\n/** Server events, with their payloads. */\nexport interface ServerEvents {\n")
	for _, e := range c.Server {
		w.doc("  ", capital(e.When)+".")
		w.linef("  %s: %s;", e.Name, e.Payload.Name)
	}
	w.text("}\n")
}

func arguments(r contract.Request) string {
	switch {
	case r.Payload == nil:
		return "[]"
	case r.Optional:
		return "[] | [payload: " + r.Payload.Name + "]"
	}
	return "[payload: " + r.Payload.Name + "]"
}

func mark(optional bool) string {
	if optional {
		return "?"
	}
	return ""
}

func capital(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
