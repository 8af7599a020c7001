// Package socketio is the packet format of the Socket.IO protocol, revision 5
// (https://github.com/socketio/socket.io-protocol): namespaces, acknowledgement ids and
// attachments. Each packet is the data of an Engine.IO message (package engineio). The
// server and its clients share it. It has no network and no clock.
package socketio

import (
	"encoding/json"
	"errors"
	"strconv"
)

// Type is the type of a packet, its first character.
type Type byte

const (
	Connect      Type = '0'
	Disconnect   Type = '1'
	Event        Type = '2'
	Ack          Type = '3'
	ConnectError Type = '4' // only a server sends it
	BinaryEvent  Type = '5'
	BinaryAck    Type = '6'
)

const (
	// Main is the namespace that packets do not name.
	Main = "/"

	// NoID is the acknowledgement id of a packet without one.
	NoID int64 = -1

	// MaxAttachments is how many binary attachments a packet may have. Without a bound
	// one packet could make the receiver wait, and keep data, forever (CVE-2026-33151).
	MaxAttachments = 10

	// MaxID is the largest acknowledgement id: JavaScript represents it exactly.
	MaxID = 1 << 53

	// maxNamespace is the longest name of a namespace, in bytes.
	maxNamespace = 255
)

// ErrPacket is returned for an invalid packet, and for a payload that the packet's type
// cannot have. A client that sends one is disconnected.
var ErrPacket = errors.New("invalid packet")

var mainNamespace = []byte(Main)

// Packet is one packet. Its attachments follow as binary messages.
type Packet struct {
	Type        Type
	Namespace   []byte // a part of the parsed bytes, or Main; must not be changed
	ID          int64  // NoID when there is none
	Attachments int    // number of binary messages that follow
	Data        []byte // JSON, a part of the parsed bytes; nil when there is none
}

// Parse parses a packet. Of the payload of an event or an acknowledgement it checks only
// the first character: such packets are many, and receivers parse the payload anyway (see
// [SplitEvent]).
func Parse(b []byte) (Packet, error) {
	p := Packet{Namespace: mainNamespace, ID: NoID}
	if len(b) == 0 || b[0] < byte(Connect) || b[0] > byte(BinaryAck) {
		return p, ErrPacket
	}
	p.Type = Type(b[0])
	b, ok := p.attachments(b[1:])
	if !ok {
		return p, ErrPacket
	}
	if b, ok = p.namespace(b); !ok {
		return p, ErrPacket
	}
	if b, ok = p.id(b); !ok {
		return p, ErrPacket
	}
	if len(b) > 0 {
		p.Data = b
	}
	if !p.plausible() {
		return p, ErrPacket
	}
	return p, nil
}

func (t Type) binary() bool { return t == BinaryEvent || t == BinaryAck }

// attachments parses the number of attachments, which only binary packets have.
func (p *Packet) attachments(b []byte) (rest []byte, ok bool) {
	if !p.Type.binary() {
		return b, true
	}
	n, rest := digits(b)
	if n < 0 || n > MaxAttachments || len(rest) == len(b) || len(rest) == 0 || rest[0] != '-' {
		return nil, false
	}
	p.Attachments = int(n)
	return rest[1:], true
}

// namespace parses the name up to the comma. At the end of a packet the comma may be
// missing.
func (p *Packet) namespace(b []byte) (rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '/' {
		return b, true
	}
	n := 0
	for n < len(b) && b[n] != ',' {
		if n++; n > maxNamespace {
			return nil, false
		}
	}
	p.Namespace = b[:n]
	return b[min(n+1, len(b)):], true
}

func (p *Packet) id(b []byte) (rest []byte, ok bool) {
	n, rest := digits(b)
	if len(rest) == len(b) {
		return b, true
	}
	p.ID = n
	return rest, n >= 0
}

// digits parses a number. n is -1 when it exceeds MaxID; rest is b when there are no
// digits.
func digits(b []byte) (n int64, rest []byte) {
	for len(b) > 0 && '0' <= b[0] && b[0] <= '9' {
		if n >= 0 {
			n = 10*n + int64(b[0]-'0')
		}
		if n > MaxID {
			n = -1
		}
		b = b[1:]
	}
	return n, b
}

// plausible reports whether packets of the type may have such a payload.
func (p *Packet) plausible() bool {
	first := byte(0)
	if len(p.Data) > 0 {
		first = p.Data[0]
	}
	switch p.Type {
	case Connect, ConnectError:
		return first == 0 || first == '{' && json.Valid(p.Data)
	case Disconnect:
		return first == 0
	case Event, BinaryEvent:
		return first == '['
	}
	return p.ID >= 0 && first == '['
}

// AppendHead appends everything of a packet that stands before its data. attachments is
// written for binary packets only, id unless it is NoID.
func AppendHead(dst []byte, t Type, attachments int, namespace string, id int64) []byte {
	dst = append(dst, byte(t))
	if t.binary() {
		dst = append(strconv.AppendInt(dst, int64(attachments), 10), '-')
	}
	if namespace != Main {
		dst = append(append(dst, namespace...), ',')
	}
	if id != NoID {
		dst = strconv.AppendInt(dst, id, 10)
	}
	return dst
}
