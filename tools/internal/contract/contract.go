// Package contract reads the client contract out of the Go code of module proto:
// which events there are, from its catalog; what their payloads look like, from the
// source of their types. Documents and TypeScript are written from it.
package contract

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/event"
)

// Contract is the whole of it, in the order of the documents.
type Contract struct {
	Client []Request
	Server []Event
	Types  []*Type // every type that a payload uses, the payloads first
	Errors []Code
	Closes []Close
}

// Request is a client event.
type Request struct {
	Name     string
	Payload  *Type // nil when there is none
	Optional bool  // the payload may be missing
	Doc      string
	Reply    string
	Success  *Type
}

// Event is a server event. When continues "it is sent".
type Event struct {
	Name    string
	Payload *Type
	When    string
}

// Code is an error code, Close a close code.
type (
	Code struct {
		code.Code
		Doc string
	}
	Close struct {
		code.Close
		Doc string
	}
)

// Type is a named type. It is one of: an object with Fields, which has those of
// Extends too; some of the strings of Values, and of the type that Extends names;
// else what Is says in TypeScript.
type Type struct {
	Name    string // as in Go, but with Id for ID
	Doc     string
	Extends string
	Fields  []Field
	Values  []Value
	Is      string
}

// Field is a member of an object. Type is TypeScript's notation.
type Field struct {
	Name     string
	Type     string
	Optional bool
	Doc      string
}

// Value is one of a type's strings.
type Value struct {
	Text string
	Doc  string
}

// Type returns the type of that name, nil when there is none.
func (c *Contract) Type(name string) *Type {
	for _, t := range c.Types {
		if t.Name == name {
			return t
		}
	}
	return nil
}

// Read reads the contract; root is the workspace's folder.
func Read(root string) (*Contract, error) {
	src, err := parse(root)
	if err != nil {
		return nil, err
	}
	r := reader{source: src, contract: &Contract{}, seen: map[string]*Type{}}
	if err := r.events(); err != nil {
		return nil, err
	}
	for _, c := range code.All() {
		r.contract.Errors = append(r.contract.Errors, Code{c, src.valueDoc("code", string(c))})
	}
	for _, c := range code.Closes() {
		r.contract.Closes = append(r.contract.Closes, Close{c, src.valueDoc("code", fmt.Sprint(uint16(c)))})
	}
	return r.contract, nil
}

func (r *reader) events() error {
	for _, def := range event.Catalog() {
		payload, err := r.payload(def.Payload, "")
		if err != nil {
			return fmt.Errorf("%s: %w", def.Name, err)
		}
		said, err := successOf(def.Success)
		if err != nil {
			return fmt.Errorf("%s: %w", def.Reply, err)
		}
		success, err := r.payload(def.Success, said)
		if err != nil {
			return fmt.Errorf("%s: %w", def.Reply, err)
		}
		row := Request{Name: def.Name, Payload: payload, Doc: payload.Doc, Reply: def.Reply, Success: success}
		if row.Optional = def.Payload.Decode(nil) == nil; len(payload.Fields) == 0 {
			row.Payload = nil
		}
		r.contract.Client = append(r.contract.Client, row)
	}
	for _, def := range event.ServerEvents() {
		payload, err := r.payload(def.Payload, "false") // the error object alone has success
		if err != nil {
			return fmt.Errorf("%s: %w", def.Name, err)
		}
		when, err := r.when(def.Name)
		if err != nil {
			return err
		}
		r.contract.Server = append(r.contract.Server, Event{def.Name, payload, when})
	}
	return r.rest()
}

// successOf tells what the encoder of a reply makes of its field Success: what a
// reply says of it is the encoder's doing, not the field's.
func successOf(reply event.Reply) (string, error) {
	said := [2]bool{}
	for i, success := range []bool{false, true} {
		r := reflect.New(reflect.TypeOf(reply).Elem())
		for _, f := range r.Elem().Fields() {
			if f.Type() == reflect.TypeFor[event.EncodedMessage]() {
				f.SetBytes([]byte("{}"))
			}
		}
		r.Elem().FieldByName("Success").SetBool(success)
		var body struct{ Success *bool }
		if err := json.Unmarshal(r.Interface().(event.Reply).AppendJSON(nil), &body); err != nil {
			return "", err
		}
		if body.Success == nil {
			return "", errors.New("a reply without success")
		}
		said[i] = *body.Success
	}
	if said[0] != said[1] {
		return "boolean", nil
	}
	return fmt.Sprint(said[0]), nil
}
