package dialect

import (
	"bytes"
	"strconv"
)

// Engine.IO 4 packets are one digit and their payload; in a message (4), Socket.IO 5
// has a digit of its own, a namespace that ends with a comma unless it is "/", an id
// to acknowledge, and JSON. See the specifications of both in socketio/socket.io,
// docs/ in the repository: engine.io-protocol and socket.io-protocol.
const (
	eioOpen    = '0'
	eioPing    = '2'
	eioPong    = "3"
	eioMessage = '4'

	sioConnect      = '0'
	sioEvent        = '2'
	sioAck          = '3'
	sioConnectError = '4'

	eioPath = "/socket.io/?EIO=4&transport=websocket"
)

// packet splits a frame of Engine.IO. kind is the Socket.IO packet type, 0 when what
// came is of Engine.IO alone; then m says it all.
func packet(p, namespace []byte) (kind byte, id uint64, data []byte, m Message) {
	switch {
	case p[0] == eioOpen:
		return 0, 0, nil, Message{Kind: Hello, Body: p}
	case p[0] == eioPing:
		return 0, 0, nil, Message{Kind: Ping, Body: p}
	case p[0] != eioMessage || len(p) < 2:
		return 0, 0, nil, Message{Body: p}
	}
	rest, ok := bytes.CutPrefix(p[2:], namespace)
	if !ok {
		return 0, 0, nil, Message{Body: p} // somebody else's namespace
	}
	id, data = number(rest)
	return p[1], id, data, Message{Body: p}
}

// appendEvent begins an event that is to be acknowledged with id.
func appendEvent(dst, namespace []byte, id uint64, name string) []byte {
	dst = append(append(dst, eioMessage, sioEvent), namespace...)
	dst = strconv.AppendUint(dst, id, 10)
	return append(append(append(dst, `["`...), name...), '"')
}

// confabSIO is Confab's Socket.IO door: the same contract as the native one, with
// the reply object as the one argument of the acknowledgement.
type confabSIO struct {
	namespace []byte // as it stands in a packet: empty, or with its comma
	traits    Traits
}

func newConfabSIO(namespace string) confabSIO {
	if namespace == "" || namespace == "/" {
		namespace = ""
	} else {
		namespace += ","
	}
	return confabSIO{[]byte(namespace), Traits{
		Path: eioPath, Hello: "40" + namespace, Pong: eioPong, PublisherJoins: true, Resumes: true, Token: true,
	}}
}

func (d confabSIO) Traits() Traits { return d.traits }

func (d confabSIO) Next(p []byte) (Message, []byte) {
	kind, id, data, m := packet(p, d.namespace)
	m.ID = id
	switch kind {
	case sioEvent:
		if name, ok := bytes.CutPrefix(data, []byte(`["`)); ok {
			m.Kind = confabKind(name)
		}
		if m.Kind == Ping {
			m.Kind = Other // Engine.IO's own ping shows that we live
		}
	case sioAck:
		if name, ok := bytes.CutPrefix(data, []byte(`[{"event":"`)); ok {
			m.Kind = confabKind(name)
		} else if bytes.Contains(data, []byte(`"error":"RATE_LIMITED"`)) {
			m.Kind = Limited
		} else {
			m.Kind = Refused
		}
	case sioConnect:
		m.Kind, m.ID = Opened, 0
	case sioConnectError:
		m.Kind, m.ID = Refused, 0
	}
	return m, nil
}

func (d confabSIO) AppendJoin(dst []byte, id uint64, room string, since int64) []byte {
	dst = append(appendEvent(dst, d.namespace, id, "joinRoom"), ',')
	return append(appendJoinData(dst, room, since), ']')
}

func (d confabSIO) AppendPublish(dst []byte, id uint64, room string, content []byte) []byte {
	dst = append(appendEvent(dst, d.namespace, id, "sendMessage"), ',')
	return append(appendPublishData(dst, room, content), ']')
}

func (d confabSIO) AppendEcho(dst []byte, id uint64) []byte {
	return append(appendEvent(dst, d.namespace, id, "heartbeat"), ']')
}

// socketIO is a plain Socket.IO server with the three events of
// tools/chatload/peers/socketio: join(room, ack), publish(room, content, ack) and
// echo(ack); members get message(content).
type socketIO struct{}

func (socketIO) Traits() Traits {
	return Traits{Path: eioPath, Hello: "40", Pong: eioPong}
}

func (socketIO) Next(p []byte) (Message, []byte) {
	kind, id, data, m := packet(p, nil)
	m.ID = id
	switch kind {
	case sioEvent:
		if bytes.HasPrefix(data, []byte(`["message"`)) {
			m.Kind = Delivery
		}
	case sioAck:
		switch {
		case bytes.HasPrefix(data, []byte(`["joined"`)):
			m.Kind = Joined
		case bytes.HasPrefix(data, []byte(`["published"`)):
			m.Kind = Accepted
		case bytes.HasPrefix(data, []byte(`["echo"`)):
			m.Kind = Echoed
		default:
			m.Kind = Refused
		}
	case sioConnect:
		m.Kind, m.ID = Opened, 0
	case sioConnectError:
		m.Kind, m.ID = Refused, 0
	}
	return m, nil
}

func (socketIO) AppendJoin(dst []byte, id uint64, room string, _ int64) []byte {
	dst = append(appendEvent(dst, nil, id, "join"), `,"`...)
	return append(append(dst, room...), `"]`...)
}

func (socketIO) AppendPublish(dst []byte, id uint64, room string, content []byte) []byte {
	dst = append(appendEvent(dst, nil, id, "publish"), `,"`...)
	dst = append(append(dst, room...), `","`...)
	return append(append(dst, content...), `"]`...)
}

func (socketIO) AppendEcho(dst []byte, id uint64) []byte {
	return append(appendEvent(dst, nil, id, "echo"), ']')
}
