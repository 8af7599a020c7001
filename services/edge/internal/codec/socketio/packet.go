// Package socketio is the codec of the Socket.IO protocol, revision 5
// (https://github.com/socketio/socket.io-protocol): packets with their namespaces,
// acknowledgement ids and attachments, and the contract's events and replies as
// packets. It has no network and no clock.
package socketio

import (
	"encoding/json"
	"errors"
	"slices"

	"github.com/confab-chat/confab/services/edge/internal/codec"
)

// Type is the type of a packet, its first character.
type Type byte

const (
	Connect      Type = '0'
	Disconnect   Type = '1'
	Event        Type = '2'
	Ack          Type = '3'
	ConnectError Type = '4'
	BinaryEvent  Type = '5'
	BinaryAck    Type = '6'
)

const (
	// Main is the namespace that packets do not name.
	Main = "/"

	// MaxAttachments is how many binary attachments a packet may have. Without a bound
	// one packet could make the server wait, and keep data, forever (CVE-2026-33151).
	MaxAttachments = 10

	// MaxID is the largest acknowledgement id: JavaScript represents it exactly.
	MaxID = 1 << 53

	// maxNamespace is the longest name of a namespace, in bytes.
	maxNamespace = 255
)

// ErrPacket is returned for an invalid packet, and for a payload that the packet's type
// cannot have. A client that sends one is disconnected.
var ErrPacket = errors.New("invalid packet")

// Packet is one packet of a client. Its attachments follow as binary messages.
type Packet struct {
	Type        Type
	Namespace   string
	ID          int64  // codec.NoID when there is none
	Attachments int    // number of binary messages that follow
	Data        []byte // JSON, a part of the parsed bytes; nil when there is none
}

// Parse parses a packet. Of an event's payload it checks only the first character; see
// [SplitEvent] and [Codec.Decode].
func Parse(b []byte) (Packet, error) {
	p := Packet{Namespace: Main, ID: codec.NoID}
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

// attachments parses the number of attachments, which only binary packets have.
func (p *Packet) attachments(b []byte) (rest []byte, ok bool) {
	if p.Type != BinaryEvent && p.Type != BinaryAck {
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
	p.Namespace = string(b[:n])
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
	case Connect:
		return first == 0 || first == '{' && json.Valid(p.Data)
	case Disconnect:
		return first == 0
	case ConnectError:
		return false // only a server sends it
	case Event, BinaryEvent:
		return first == '['
	}
	return p.ID >= 0 && first == '[' && json.Valid(p.Data)
}

// CheckAttachments returns ErrPacket unless the payload of a binary packet has exactly
// one placeholder for each of its attachments.
func CheckAttachments(p Packet) error {
	var value any
	if json.Unmarshal(p.Data, &value) != nil {
		return ErrPacket
	}
	found := appendPlaceholders(nil, value)
	slices.Sort(found)
	for i, num := range found {
		if num != float64(i) {
			return ErrPacket
		}
	}
	if len(found) != p.Attachments {
		return ErrPacket
	}
	return nil
}

// appendPlaceholders appends the numbers of the placeholders in value; -1 for one that
// has none.
func appendPlaceholders(dst []float64, value any) []float64 {
	switch v := value.(type) {
	case []any:
		for _, e := range v {
			dst = appendPlaceholders(dst, e)
		}
	case map[string]any:
		if v["_placeholder"] == true {
			num, ok := v["num"].(float64)
			if !ok {
				num = -1
			}
			return append(dst, num)
		}
		for _, e := range v {
			dst = appendPlaceholders(dst, e)
		}
	}
	return dst
}

// SplitEvent returns an event's name, which may be a number in the payload, and its
// arguments.
func SplitEvent(data []byte) (name string, arguments []json.RawMessage, err error) {
	var all []json.RawMessage
	if json.Unmarshal(data, &all) != nil || len(all) == 0 {
		return "", nil, ErrPacket
	}
	var value any
	_ = json.Unmarshal(all[0], &value) // value stays nil for a number that is too large
	switch v := value.(type) {
	case string:
		name = v
	case float64:
		name = string(all[0])
	default:
		return "", nil, ErrPacket
	}
	if reserved(name) {
		return "", nil, ErrPacket
	}
	return name, all[1:], nil
}

// reserved reports whether the client library itself emits events of that name. No
// client sends them.
func reserved(name string) bool {
	switch name {
	case "connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener":
		return true
	}
	return false
}
