package dialect

import (
	"bytes"
	"strconv"
)

// An Engine.IO 4 packet is one digit and its payload. In a message (4), a Socket.IO 5
// packet has a digit of its own, a namespace that ends with a comma unless it is "/", an
// acknowledgement id, and JSON. See docs/engine.io-protocol and docs/socket.io-protocol in
// the repository socketio/socket.io.
const (
	eioOpen    = '0'
	eioPing    = '2'
	eioPong    = "3"
	eioMessage = '4'

	sioConnect      = '0'
	sioEvent        = '2'
	sioAck          = '3'
	sioConnectError = '4'
)

// socketIO is Confab's Socket.IO door: the same events as the native door. The reply is
// the one argument of the acknowledgement.
type socketIO struct {
	namespace []byte // as it stands in a packet: empty, or with its comma
	traits    Traits
}

func newSocketIO(namespace string) socketIO {
	if namespace == "" || namespace == "/" {
		namespace = ""
	} else {
		namespace += ","
	}
	return socketIO{[]byte(namespace), Traits{
		Path: "/socket.io/", Query: "EIO=4&transport=websocket", Hello: "40" + namespace, Pong: eioPong,
		Resumes: true, Token: true,
	}}
}

func (d socketIO) Traits() Traits { return d.traits }

func (d socketIO) Next(p []byte) (m Message, rest []byte) {
	m.Body = p
	switch {
	case p[0] == eioOpen:
		m.Kind = Hello
	case p[0] == eioPing:
		m.Kind = Ping
	case p[0] == eioMessage && len(p) >= 2:
		if rest, ok := bytes.CutPrefix(p[2:], d.namespace); ok {
			m.Kind, m.ID = socketIOKind(p[1], rest)
		}
	}
	return m, nil
}

// socketIOKind returns what a Socket.IO packet means. rest follows its namespace.
func socketIOKind(packet byte, rest []byte) (k Kind, id uint64) {
	id, data := cutNumber(rest)
	switch packet {
	case sioConnect:
		return Opened, 0
	case sioConnectError:
		return Refused, 0
	case sioEvent:
		name, _ := bytes.CutPrefix(data, []byte(`["`))
		if k = confabKind(name); k == Ping {
			k = Other // answering Engine.IO's own ping is enough
		}
	case sioAck:
		k = Refused
		if name, ok := bytes.CutPrefix(data, []byte(`[{"event":"`)); ok {
			k = confabKind(name)
		}
	}
	return k, id
}

// appendEvent appends the start of an event that asks for the acknowledgement id.
func (d socketIO) appendEvent(dst []byte, id uint64, name string) []byte {
	dst = append(append(dst, eioMessage, sioEvent), d.namespace...)
	dst = strconv.AppendUint(dst, id, 10)
	return append(append(append(dst, `["`...), name...), `",`...)
}

func (d socketIO) AppendJoin(dst []byte, id uint64, room string, since int64) []byte {
	return append(appendJoinData(d.appendEvent(dst, id, "joinRoom"), room, since), ']')
}

func (d socketIO) AppendPublish(dst []byte, id uint64, room string, content []byte) []byte {
	return append(appendPublishData(d.appendEvent(dst, id, "sendMessage"), room, content), ']')
}
