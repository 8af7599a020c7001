// Package dialect is what different chat servers want to hear over a WebSocket, and
// how what they say is read: Confab by its native and its Socket.IO door, a plain
// Socket.IO server, Centrifugo. Text in, text out: no network and no clock. What a
// server delivers is recognised by how it begins, never parsed: a generator reads
// millions of these a second.
package dialect

import (
	"bytes"
	"fmt"
	"strings"
)

// Kind is what a server's message means to a generator.
type Kind uint8

// The kinds. What a user of a Dialect has to do about each is in the comment.
const (
	Other    Kind = iota // nothing
	Hello                // the server spoke first: send Traits.Hello
	Opened               // the session is up
	Joined               // answer to AppendJoin
	Delivery             // a message of a room
	Accepted             // answer to AppendPublish: it was taken
	Limited              // answer to a request: not now, a limit was reached
	Refused              // answer to a request: no
	Echoed               // answer to AppendEcho
	Ping                 // send Traits.Pong
)

// Message is one message of a server. Body is a part of the frame that it came in.
type Message struct {
	Kind Kind
	ID   uint64 // of the request that is answered; 0 when the server does not say
	Body []byte
}

// Traits is what does not depend on the message.
type Traits struct {
	Path        string // of the upgrade
	Subprotocol string // offered in the upgrade; may be empty
	Greeting    string // sent when the upgrade is done; may be empty
	Hello, Pong string // the answers to the two kinds

	OpensItself    bool // the session is up with the upgrade
	PublisherJoins bool // only members of a room may publish in it
	Resumes        bool // AppendJoin understands since
	Token          bool // the upgrade needs a token
}

// Dialect is what one kind of server speaks. Implementations have no state and are
// safe for concurrent use. Request ids are 1 or more, and chosen by the caller.
type Dialect interface {
	Traits() Traits
	// Next takes the first message off a frame's payload, which is not empty.
	Next(payload []byte) (m Message, rest []byte)
	// AppendJoin asks to join room. since is the seq after which messages were
	// missed, negative for a client that has missed nothing.
	AppendJoin(dst []byte, id uint64, room string, since int64) []byte
	// AppendPublish sends content, which needs no escapes in JSON, to room.
	AppendPublish(dst []byte, id uint64, room string, content []byte) []byte
	// AppendEcho asks for the cheapest answer there is.
	AppendEcho(dst []byte, id uint64) []byte
}

var dialects = []struct {
	name string
	make func(namespace string) Dialect
}{
	{"native", func(string) Dialect { return native{} }},
	{"sio", func(namespace string) Dialect { return newConfabSIO(namespace) }},
	{"socketio", func(string) Dialect { return socketIO{} }},
	{"centrifugo", func(string) Dialect { return centrifugo{} }},
}

// Names are what Named knows.
func Names() (names []string) {
	for _, d := range dialects {
		names = append(names, d.name)
	}
	return names
}

// Named returns a dialect by its name. namespace is the Socket.IO namespace of Confab.
func Named(name, namespace string) (Dialect, error) {
	for _, d := range dialects {
		if d.name == name {
			return d.make(namespace), nil
		}
	}
	return nil, fmt.Errorf("no dialect %q: there are %s", name, strings.Join(Names(), ", "))
}

// number takes leading digits off b.
func number(b []byte) (n uint64, rest []byte) {
	i := 0
	for i < len(b) && b[i]-'0' <= 9 {
		n = n*10 + uint64(b[i]-'0')
		i++
	}
	return n, b[i:]
}

// Seq reads the room's sequence number out of a Joined or Delivery of Confab.
func Seq(body []byte) (seq uint64, ok bool) {
	const key = `,"seq":`
	i := bytes.LastIndex(body, []byte(key)) // texts of users, which come earlier, cannot fake it
	if i < 0 {
		return 0, false
	}
	digits := body[i+len(key):]
	seq, rest := number(digits)
	return seq, len(rest) < len(digits)
}
