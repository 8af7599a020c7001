// Package contract reads the client contract from the Go source of module proto:
// the events from their Def and ServerDef variables, their payloads from their types.
// Code, documents and TypeScript are generated from it.
package contract

import (
	"fmt"
	"slices"

	"github.com/confab-chat/confab/proto/code"
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
	src, err := Parse(root)
	if err != nil {
		return nil, err
	}
	r := reader{Source: src, contract: &Contract{}, seen: map[string]*Type{}}
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
	rows, err := r.Events()
	if err != nil {
		return err
	}
	for _, row := range rows {
		payload, err := r.named("event." + row.Payload)
		if err != nil {
			return fmt.Errorf("%s: %w", row.Name, err)
		}
		if row.Reply == "" {
			when, err := r.when(row.Name)
			if err != nil {
				return err
			}
			r.contract.Server = append(r.contract.Server, Event{row.Name, payload, when})
			continue
		}
		success, err := r.named("event." + row.Success)
		if err != nil {
			return fmt.Errorf("%s: %w", row.Reply, err)
		}
		request := Request{Name: row.Name, Payload: payload, Doc: payload.Doc, Reply: row.Reply, Success: success}
		request.Optional = !slices.ContainsFunc(payload.Fields, func(f Field) bool { return !f.Optional })
		if len(payload.Fields) == 0 {
			request.Payload = nil
		}
		r.contract.Client = append(r.contract.Client, request)
	}
	return r.rest()
}
