package main

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/confab-chat/confab/tools/internal/contract"
)

func requests(c *contract.Contract) string {
	var b strings.Builder
	b.WriteString("| Event | Payload | Reply | |\n|---|---|---|---|\n")
	for _, r := range c.Client {
		payload := "none"
		if r.Payload != nil {
			payload = "`" + object(c, r.Payload) + "`"
		}
		_, does, _ := strings.Cut(r.Doc, " ")
		fmt.Fprintf(&b, "| `%s` | %s | `%s %s` | %s |\n", r.Name, payload, r.Reply, object(c, r.Success), cell(strings.TrimSuffix(does, ".")))
	}
	return b.String()
}

func events(c *contract.Contract) string {
	var b strings.Builder
	b.WriteString("| Event | Payload | Sent |\n|---|---|---|\n")
	for _, e := range c.Server {
		payload := "`" + object(c, e.Payload) + "`"
		if e.Payload.Name == "Failure" {
			payload = "see [Errors](#errors): `" + object(c, e.Payload) + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", e.Name, payload, cell(e.When))
	}
	return b.String()
}

// object is the shape of a payload as documents write it: {roomId, since?}. What a
// reply says by being one, success: true, is left out.
func object(c *contract.Contract, t *contract.Type) string {
	return "{" + strings.Join(members(c, t), ", ") + "}"
}

func members(c *contract.Contract, t *contract.Type) (all []string) {
	switch {
	case t.Extends == "":
	case isPayload(c, t.Extends):
		all = append(all, "..."+lower(t.Extends))
	default:
		all = members(c, c.Type(t.Extends))
	}
	for _, f := range t.Fields {
		if f.Name == "success" && f.Type == "true" {
			continue
		}
		text := f.Name
		if f.Optional {
			text += "?"
		}
		if f.Type == "false" {
			text += ":false"
		}
		if of := shape(c, f.Type); of != "" {
			text += ":" + of
		}
		all = append(all, text)
	}
	return all
}

// shape returns the part of a type that a field's name does not show: a list, or an object.
func shape(c *contract.Contract, typ string) string {
	element, list := strings.CutSuffix(typ, "[]")
	of := c.Type(element)
	text := ""
	switch {
	case of == nil, len(of.Fields) == 0 && !list:
		return ""
	case len(of.Fields) == 0, isPayload(c, element):
		text = lower(element)
	default:
		text = object(c, of)
	}
	if list {
		return "[" + text + "]"
	}
	if text == lower(element) {
		return "" // message: a message
	}
	return text
}

// isPayload reports whether the type is the payload of an event: its row shows it.
func isPayload(c *contract.Contract, name string) bool {
	for _, e := range c.Server {
		if e.Payload.Name == name {
			return true
		}
	}
	return false
}

func lower(name string) string {
	return string(unicode.ToLower(rune(name[0]))) + name[1:]
}
