// Package dialect encodes what chat servers expect over a WebSocket, and recognizes what
// they send: Confab's native and Socket.IO doors, and Centrifugo. It has no network and no
// clock. A server's message is recognized by how it begins and never parsed, because a
// generator reads millions of them a second.
package dialect

import (
	"bytes"
	"fmt"
	"strings"
)

// Kind is what a server's message means to a generator.
type Kind uint8

// The kinds, and what a client does about each.
const (
	Other    Kind = iota // nothing
	Hello                // the server spoke first: send Traits.Hello
	Opened               // the session is open
	Joined               // reply to AppendJoin
	Delivery             // a message of a room
	Accepted             // reply to AppendPublish: the server accepted it
	Refused              // reply to a request: refused, or limited
	Ping                 // send Traits.Pong
)

// Message is one message of a server. Body is part of the frame that carried it.
type Message struct {
	Kind Kind
	ID   uint64 // of the request that this answers; 0 when the server does not say
	Body []byte
}

// Traits are what is the same for all messages of a dialect.
type Traits struct {
	Path, Query string // of the upgrade request
	Subprotocol string // offered in the upgrade; may be empty
	Greeting    string // sent after the upgrade; may be empty
	Hello, Pong string // the answers to Hello and Ping

	OpenOnUpgrade bool // the session is open after the upgrade
	Resumes       bool // AppendJoin understands since
	Token         bool // the upgrade needs a token
}

// Dialect is the protocol of one kind of server. Implementations have no state and are
// safe for concurrent use. Callers choose request ids, from 1.
type Dialect interface {
	Traits() Traits
	// Next returns the first message of a frame's payload, which is not empty, and what
	// follows it.
	Next(payload []byte) (m Message, rest []byte)
	// AppendJoin appends a request to join room. since is the seq after which the client
	// missed messages; negative for a client that missed none.
	AppendJoin(dst []byte, id uint64, room string, since int64) []byte
	// AppendPublish appends a request to send content, which needs no escapes in JSON.
	AppendPublish(dst []byte, id uint64, room string, content []byte) []byte
}

// Names returns the names that Named knows.
func Names() []string { return []string{"native", "sio", "centrifugo"} }

// Named returns a dialect by its name. namespace is that of Socket.IO.
func Named(name, namespace string) (Dialect, error) {
	switch name {
	case "native":
		return native{}, nil
	case "sio":
		return newSocketIO(namespace), nil
	case "centrifugo":
		return centrifugo{}, nil
	}
	return nil, fmt.Errorf("unknown dialect %q: want %s", name, strings.Join(Names(), ", "))
}

// cutNumber splits leading digits off b.
func cutNumber(b []byte) (n uint64, rest []byte) {
	i := 0
	for i < len(b) && b[i]-'0' <= 9 {
		n = n*10 + uint64(b[i]-'0')
		i++
	}
	return n, b[i:]
}

// Seq returns the room's sequence number in a Joined or Delivery of Confab.
func Seq(body []byte) (seq uint64, ok bool) {
	const key = `,"seq":`
	i := bytes.LastIndex(body, []byte(key)) // texts of users come earlier and cannot fake it
	if i < 0 {
		return 0, false
	}
	digits := body[i+len(key):]
	seq, rest := cutNumber(digits)
	return seq, len(rest) < len(digits)
}
