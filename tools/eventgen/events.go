package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/confab-chat/confab/tools/internal/contract"
)

// events writes the catalog, the decoders and the encoders of package event.
func (w *writer) events() error {
	rows, err := w.Events()
	if err != nil {
		return err
	}
	w.linef("package event\n")
	w.catalog(rows)
	elements := map[string]bool{} // types of lists, which need a function of their own
	done := map[string]bool{}
	for _, row := range rows {
		if done[row.Payload] {
			continue
		}
		done[row.Payload] = true
		if row.Reply == "" {
			err = w.encoder(row.Payload, "Payload", elements)
		} else if err = w.decoder(row.Payload); err == nil {
			err = w.encoder(row.Success, "Reply", elements)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", row.Name, err)
		}
	}
	if err := w.elements(elements); err != nil {
		return err
	}
	return w.textKeys(rows)
}

func (w *writer) catalog(rows []contract.Row) {
	w.linef("// Catalog returns all client events, sorted by name.\nfunc Catalog() []Def {\nreturn []Def{")
	for _, row := range rows {
		if row.Reply != "" {
			w.linef("%s,", row.Variable)
		}
	}
	w.linef("}\n}\n\n// ServerEvents returns all server events, sorted by name.\nfunc ServerEvents() []ServerDef {\nreturn []ServerDef{")
	for _, row := range rows {
		if row.Reply == "" {
			w.linef("%s,", row.Variable)
		}
	}
	w.linef("}\n}\n")
}

// check is what Decode does after reading all members. Checks run in the order of
// their stages.
type check struct {
	stage int
	code  string
}

const (
	stagePresence = iota // is it given?
	stageID              // is it an id?
	stageText
	stageDefault
)

// decoder writes Decode of a payload type.
func (w *writer) decoder(typ string) error {
	members, _, err := w.Members("event", typ)
	if err != nil {
		return err
	}
	if len(members) == 0 {
		w.linef("// Decode implements Request. It ignores data: the event has no payload.\nfunc (p *%s) Decode([]byte) error { return nil }\n", typ)
		return nil
	}
	var vars, cases strings.Builder
	var checks []check
	for _, m := range members {
		f, err := w.member(m)
		if err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
		if f.given != "" {
			fmt.Fprintf(&vars, "%s := false\n", f.given)
		}
		fmt.Fprintf(&cases, "case %q:\n%s\n", m.JSON, f.read)
		checks = append(checks, f.checks...)
	}
	slices.SortStableFunc(checks, func(a, b check) int { return a.stage - b.stage })

	w.linef("// Decode implements Request.\nfunc (p *%s) Decode(data []byte) error {\n*p = %s{}", typ, typ)
	if !slices.ContainsFunc(members, func(m contract.Member) bool { return !m.Optional }) {
		w.linef("if len(data) == 0 || string(data) == \"null\" { // every member is optional, the payload too\nreturn nil\n}")
	}
	w.linef("%svar d decoder\nfor d.begin(data); d.next(); {\nswitch string(d.r.Key()) {\n%s}\n}\nif err := d.end(); err != nil {\nreturn err\n}", vars.String(), cases.String())
	for _, c := range checks {
		w.linef("%s", c.code)
	}
	if w.HasMethod("event", typ, "Validate") {
		w.linef("return p.Validate()\n}\n")
	} else {
		w.linef("return nil\n}\n")
	}
	if slices.ContainsFunc(members, func(m contract.Member) bool { return m.Name == "RoomID" }) {
		w.linef("// Room implements RoomRequest.\nfunc (p *%s) Room() RoomID { return p.RoomID }\n", typ)
	}
	return nil
}

// reading is how a member is decoded.
type reading struct {
	read   string
	given  string // variable that is set when the member is given
	checks []check
}

// member chooses how a member is decoded, by its type and its tags: the vocabulary is
// in the comment of package event.
func (w *writer) member(m contract.Member) (f reading, err error) {
	if m.JSON == "" {
		return f, fmt.Errorf("a member of a payload needs a json tag")
	}
	rules := map[string]string{}
	for rule := range strings.SplitSeq(m.Tag.Get("check"), ",") {
		name, value, _ := strings.Cut(rule, "=")
		rules[name] = value
	}
	delete(rules, "")
	option := func(name string) string {
		value := rules[name]
		delete(rules, name)
		return value
	}
	target := "p." + m.Name
	add := func(stage int, format string, a ...any) {
		f.checks = append(f.checks, check{stage, fmt.Sprintf(format, a...)})
	}
	refuseEmpty := func(refusal string) {
		if !m.Optional {
			add(stagePresence, "if %s == \"\" {\nreturn %s\n}", target, refusal)
		}
	}
	basic, _ := w.Basic("event", m.Type)
	switch values := w.Values("event", m.Type); {
	case m.Type == "RoomID":
		f.read = fmt.Sprintf("%s = d.text(%q)", target, m.JSON)
		add(stageID, "if err := checkRoomID(%q, %s); err != nil {\nreturn err\n}", m.JSON, target)
	case m.Type == "ClientMessageID":
		f.read = fmt.Sprintf("%s = d.clientID(%q)", target, m.JSON)
		refuseEmpty(fmt.Sprintf("missing(%q)", m.JSON))
	case m.Type == "[]UserID":
		f.read = fmt.Sprintf("%s = d.userIDs(%q, %s)", target, m.JSON, option("max"))
	case len(values) > 0 && basic == "string":
		list := fmt.Sprintf("%q, %s", m.JSON, strings.Join(values, ", "))
		f.read = fmt.Sprintf("%s = d.choice(%s)", target, list)
		refuseEmpty("mustBe(" + list + ")")
	case basic == "string" && has(rules, "text"):
		f.read = fmt.Sprintf("%s = d.text(%q)", target, m.JSON)
		clean := "requiredText"
		if m.Optional {
			clean = "optionalText"
		}
		add(stageText, "if text, err := %s(%q, %s, %s); err != nil {\nreturn err\n} else {\n%s = text\n}", clean, m.JSON, target, option("text"), target)
	case basic == "string" && has(rules, "max"):
		f.read = fmt.Sprintf("%s = d.limited(%q, %s)", target, m.JSON, option("max"))
		refuseEmpty(fmt.Sprintf("missing(%q)", m.JSON))
	case basic == "string" && has(rules, "validate"):
		option("validate")
		f.read = fmt.Sprintf("%s = d.text(%q)", target, m.JSON)
		refuseEmpty(fmt.Sprintf("missing(%q)", m.JSON))
	case m.Type == "bool" && m.Optional:
		f.read = fmt.Sprintf("%s, _ = d.flag(%q)", target, m.JSON)
	case m.Type == "bool":
		f.given = "has" + m.Name
		f.read = fmt.Sprintf("%s, %s = d.flag(%q)", target, f.given, m.JSON)
	case m.Type == "*uint64":
		f.read = fmt.Sprintf("%s = d.seq(%q)", target, m.JSON)
	case basic == "int" || basic == "uint64":
		least, value, given := "0", "n", "_"
		if v := option("min"); v != "" {
			least = v
		}
		if v := option("clamp"); v != "" {
			value = "min(n, " + v + ")"
		}
		if !m.Optional {
			f.given = "has" + m.Name
			given = f.given
		}
		f.read = fmt.Sprintf("if n, given := d.integer(%q, %s); given {\n%s = %s(%s)\n}", m.JSON, least, target, m.Type, value)
		if given != "_" {
			f.read = strings.TrimSuffix(f.read, "}") + given + " = true\n}"
		}
	default:
		return f, fmt.Errorf("no rule says how to decode and limit a %s with the tag %s", m.Type, m.Tag)
	}
	if f.given != "" {
		add(stagePresence, "if !%s {\nreturn missing(%q)\n}", f.given, m.JSON)
	}
	if value := m.Tag.Get("default"); value != "" {
		zero := "0"
		if basic == "string" {
			zero = `""`
		}
		add(stageDefault, "if %s == %s {\n%s = %s\n}", target, zero, target, value)
	}
	for name := range rules {
		return f, fmt.Errorf("the check %q does not apply to a %s", name, m.Type)
	}
	return f, nil
}

func has(m map[string]string, key string) bool {
	_, ok := m[key]
	return ok
}
