// Package request is a client event at the owner of its room or user: who asks, what
// rule carries it out, and how the answer gets back.
package request

import (
	"math"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/publisher"
)

// Request is one client event. Its rule calls exactly one of Succeed, SucceedWith and
// Refuse, now or later, on the shard's goroutine.
type Request struct {
	User     wire.User // who asks
	MaxBytes int       // of lists in the reply: what the asker's connection can take

	publisher *publisher.Publisher
	reply     string // subject
}

// New returns the request that cmd carries, to be answered on the subject reply.
func New(p *publisher.Publisher, cmd *wire.Command, reply string) *Request {
	r := &Request{User: cmd.User, MaxBytes: math.MaxInt, publisher: p, reply: reply}
	if cmd.MaxBytes > 0 && cmd.MaxBytes < math.MaxInt {
		r.MaxBytes = int(cmd.MaxBytes)
	}
	return r
}

// Succeed answers with success.
func (r *Request) Succeed(e event.Reply) {
	r.publisher.Publish(r.reply, &wire.Result{JSON: e.AppendJSON(nil)})
}

// SucceedWith is Succeed, and sends the asker's connection a server event afterwards.
func (r *Request) SucceedWith(e event.Reply, name string, payload event.Payload) {
	r.publisher.Publish(r.reply, &wire.Result{JSON: e.AppendJSON(nil), Event: name, Data: payload.AppendJSON(nil)})
}

// Refuse answers with an error: a *code.Error, or else INTERNAL without its text.
func (r *Request) Refuse(err error) {
	r.publisher.Publish(r.reply, &wire.Result{Fault: wire.FaultOf(err)})
}

// Rule carries out the client event of one name.
type Rule struct {
	Event   string
	Payload event.Request // a zero value of the payload's type
	decode  func(data []byte) (event.Request, error)
	run     func(*Request, event.Request)
}

// On returns the rule of a client event. Run must not block.
func On[T any, P interface {
	*T
	event.Request
}](name string, run func(*Request, P)) Rule {
	return Rule{
		Event: name, Payload: P(new(T)),
		decode: func(data []byte) (event.Request, error) {
			p := P(new(T))
			return p, p.Decode(data)
		},
		run: func(r *Request, p event.Request) { run(r, p.(P)) },
	}
}

// Decode returns the payload of cmd. It is checked once more, although the edge has
// checked it: a shard depends on no other process for what it stores. The error is a
// *code.Error.
func (r *Rule) Decode(cmd *wire.Command) (event.Request, error) {
	if cmd.User.ID == "" {
		return nil, code.New(code.BadRequest, "malformed command")
	}
	return r.decode(cmd.Payload)
}

// Run carries out the rule for a payload that Decode returned.
func (r *Rule) Run(req *Request, payload event.Request) { r.run(req, payload) }
