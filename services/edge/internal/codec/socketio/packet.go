// Package socketio is the codec of the Socket.IO protocol, revision 5
// (https://github.com/socketio/socket.io-protocol): packets with their namespaces,
// acknowledgement ids and attachments, and how the contract's events and replies
// look in them. It has no network and no clock.
package socketio

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/confab-chat/confab/services/edge/internal/codec"
)

// Type is the type of a packet, the character that it begins with.
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
	// Main is the namespace whose name is left out of packets.
	Main = "/"

	// MaxAttachments is how many binary attachments a packet may have: without a
	// bound one packet could make us wait, and hold, for ever (CVE-2026-33151).
	MaxAttachments = 10

	// MaxID is the largest acknowledgement id: what every JavaScript holds exactly.
	MaxID = 1 << 53

	// maxNamespace is the longest name of a namespace, in bytes.
	maxNamespace = 255
)

// ErrPacket is returned for what is no packet, and for a payload that the packet's
// type cannot have. Whoever sends one is disconnected.
var ErrPacket = errors.New("invalid packet")

// Packet is one packet of a client, of which attachments may follow.
type Packet struct {
	Type        Type
	Namespace   string
	ID          int64  // codec.NoID without
	Attachments int    // how many binary messages belong to it
	Data        []byte // JSON, part of what was parsed; nil without
}

// Parse reads a packet. Of an event only the first character of the payload is
// checked; see [SplitEvent] and [Codec.Decode].
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

// attachments reads how many there are, which stands in binary packets only.
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

// namespace reads the name up to the comma, which may be missing at the end.
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
	p.Namespace = string(b[:n]) // compared with few names: worth no table
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

// digits reads a number; -1 when it is over MaxID. Without digits rest is b.
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

// plausible tells whether the payload is one that the type can have.
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
		return false // only servers refuse
	case Event, BinaryEvent:
		return first == '['
	}
	return p.ID >= 0 && first == '[' && json.Valid(p.Data)
}

// CheckAttachments tells whether the payload of a binary packet has a place for each
// of its attachments, and no other.
func CheckAttachments(p Packet) error {
	var value any
	if json.Unmarshal(p.Data, &value) != nil {
		return ErrPacket
	}
	seen := 0
	places := make(map[float64]bool)
	if !findPlaces(value, func(num float64) bool {
		seen++
		places[num] = true
		return num >= 0 && num < float64(p.Attachments) && num == float64(int(num))
	}) || seen != p.Attachments || len(places) != seen {
		return ErrPacket
	}
	return nil
}

// findPlaces calls found for every placeholder; it returns false when one did.
func findPlaces(value any, found func(num float64) bool) bool {
	switch v := value.(type) {
	case []any:
		for _, e := range v {
			if !findPlaces(e, found) {
				return false
			}
		}
	case map[string]any:
		if v["_placeholder"] == true {
			num, ok := v["num"].(float64)
			return ok && found(num)
		}
		for _, e := range v {
			if !findPlaces(e, found) {
				return false
			}
		}
	}
	return true
}

// SplitEvent cuts an event's payload into its name, a string or a number, and what
// follows it, which is empty or begins with a comma and ends with the bracket.
func SplitEvent(data []byte) (name string, rest []byte, err error) {
	if len(data) == 0 || data[0] != '[' || !json.Valid(data) {
		return "", nil, ErrPacket
	}
	first := bytes.TrimLeft(data[1:], " \t\r\n")
	end := bytes.IndexAny(first, ",] \t\r\n")
	if first[0] == '"' {
		for end = 1; first[end] != '"'; end++ {
			if first[end] == '\\' {
				end++
			}
		}
		end++
	}
	var value any
	if json.Unmarshal(first[:end], &value) != nil {
		return "", nil, ErrPacket
	}
	switch v := value.(type) {
	case string:
		name = v
	case float64:
		name = string(first[:end])
	default:
		return "", nil, ErrPacket
	}
	if reserved(name) {
		return "", nil, ErrPacket
	}
	return name, first[end:], nil
}

// reserved tells whether an event of that name is the library's own: a client that
// sends one means to confuse.
func reserved(name string) bool {
	switch name {
	case "connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener":
		return true
	}
	return false
}
