// Package engineio is the format of the Engine.IO protocol, version 4
// (https://github.com/socketio/engine.io-protocol): packets, the payloads in which
// long-polling carries several of them, the open packet, and the errors of its HTTP
// side. The server and its clients share it. It has no network and no clock.
package engineio

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strconv"
	"time"
)

// Version is the revision of the protocol, as clients name it in the query: EIO=4.
const Version = "4"

// Type is the type of a packet, its first character.
type Type byte

const (
	Open    Type = '0'
	Close   Type = '1'
	Ping    Type = '2'
	Pong    Type = '3'
	Message Type = '4'
	Upgrade Type = '5'
	Noop    Type = '6'
)

// Probe is the data of the ping and the pong that test a WebSocket before a session is
// upgraded to it.
const Probe = "probe"

// separator separates the packets of a payload.
const separator = 0x1e

// MaxPackets is how many packets a payload may have. At most 64 requests of a
// connection are in flight, and clients gather no more than a few times that.
const MaxPackets = 4096

var (
	// ErrPacket is returned for an invalid packet: empty, or of an unknown type.
	ErrPacket = errors.New("invalid packet")
	// ErrPayload is returned for a payload with too many packets.
	ErrPayload = errors.New("too many packets in a payload")
)

// Packet is one packet.
type Packet struct {
	Type   Type
	Binary bool   // a Message with binary data
	Data   []byte // a part of the parsed bytes, or newly decoded from base64
}

// Parse parses a packet that is not part of a payload, as in a WebSocket text frame.
func Parse(b []byte) (Packet, error) {
	if len(b) == 0 || b[0] < byte(Open) || b[0] > byte(Noop) {
		return Packet{}, ErrPacket
	}
	return Packet{Type: Type(b[0]), Data: b[1:]}, nil
}

// ParseInPayload parses a packet of a payload, where binary data is a b and base64.
func ParseInPayload(b []byte) (Packet, error) {
	if len(b) == 0 || b[0] != 'b' {
		return Parse(b)
	}
	data := make([]byte, base64.StdEncoding.DecodedLen(len(b)-1))
	n, err := base64.StdEncoding.Strict().Decode(data, b[1:])
	if err != nil || bytes.ContainsAny(b, "\r\n") { // the decoder skips line breaks
		return Packet{}, ErrPacket
	}
	return Packet{Type: Message, Binary: true, Data: data[:n]}, nil
}

// Next returns the first packet of a payload and the rest. last reports that it was the
// only one.
func Next(payload []byte) (packet, rest []byte, last bool) {
	packet, rest, more := bytes.Cut(payload, []byte{separator})
	return packet, rest, !more
}

// CheckPayload returns an error if any packet of a payload is invalid: such a payload is
// refused before its first packet is handled.
func CheckPayload(payload []byte) error {
	if bytes.Count(payload, []byte{separator}) >= MaxPackets {
		return ErrPayload
	}
	for last := false; !last; {
		var packet []byte
		packet, payload, last = Next(payload)
		if _, err := ParseInPayload(packet); err != nil {
			return err
		}
	}
	return nil
}

// AppendText appends a packet to a payload.
func AppendText(payload, packet []byte) []byte {
	return append(separate(payload), packet...)
}

// AppendBinary appends a message with binary data to a payload.
func AppendBinary(payload, data []byte) []byte {
	return base64.StdEncoding.AppendEncode(append(separate(payload), 'b'), data)
}

func separate(payload []byte) []byte {
	if len(payload) > 0 {
		return append(payload, separator)
	}
	return payload
}

// Handshake is the data of the open packet.
type Handshake struct {
	SID                       string // characters that need no escapes
	Upgrade                   bool   // to websocket
	PingInterval, PingTimeout time.Duration
	MaxPayload                int // bytes
}

// AppendOpen appends the open packet.
func AppendOpen(dst []byte, h Handshake) []byte {
	dst = append(append(dst, `0{"sid":"`...), h.SID...)
	dst = append(dst, `","upgrades":[`...)
	if h.Upgrade {
		dst = append(dst, `"websocket"`...)
	}
	dst = strconv.AppendInt(append(dst, `],"pingInterval":`...), h.PingInterval.Milliseconds(), 10)
	dst = strconv.AppendInt(append(dst, `,"pingTimeout":`...), h.PingTimeout.Milliseconds(), 10)
	dst = strconv.AppendInt(append(dst, `,"maxPayload":`...), int64(h.MaxPayload), 10)
	return append(dst, '}')
}
