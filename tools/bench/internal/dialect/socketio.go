package dialect

import (
	"bytes"

	"github.com/confab-chat/confab/proto/engineio"
	"github.com/confab-chat/confab/proto/socketio"
)

// socketIO is Confab's Socket.IO endpoint: the same events as the native one. The reply is
// the one argument of the acknowledgement.
type socketIO struct {
	namespace string // "/" or "/name"
	traits    Traits
}

func newSocketIO(namespace string) socketIO {
	if namespace == "" {
		namespace = socketio.Main
	}
	d := socketIO{namespace: namespace}
	d.traits = Traits{
		Path: "/socket.io/", Query: "EIO=" + engineio.Version + "&transport=websocket",
		Hello: string(d.appendHead(nil, socketio.Connect, socketio.NoID)), Pong: string(engineio.Pong),
		Resumes: true, Token: true,
	}
	return d
}

func (d socketIO) Traits() Traits { return d.traits }

// Next returns the whole payload: a frame has one packet. A packet that cannot be parsed is
// of kind Other.
func (d socketIO) Next(payload []byte) (m Message, rest []byte) {
	m.Body = payload
	p, err := engineio.Parse(payload)
	if err != nil {
		return m, nil
	}
	switch p.Type {
	case engineio.Open:
		m.Kind = Hello
	case engineio.Ping:
		m.Kind = Ping
	case engineio.Message:
		if p, err := socketio.Parse(p.Data); err == nil && string(p.Namespace) == d.namespace {
			m.Kind, m.ID = packetKind(p), uint64(max(p.ID, 0))
		}
	}
	return m, nil
}

// packetKind returns what a packet of the namespace means.
func packetKind(p socketio.Packet) Kind {
	switch p.Type {
	case socketio.Connect:
		return Opened
	case socketio.ConnectError:
		return Refused
	case socketio.Event:
		name, _ := bytes.CutPrefix(p.Data, []byte(`["`))
		if k := confabKind(name); k != Ping { // answering Engine.IO's own ping is enough
			return k
		}
	case socketio.Ack:
		if name, ok := bytes.CutPrefix(p.Data, []byte(`[{"event":"`)); ok {
			return confabKind(name)
		}
		return Refused
	}
	return Other
}

// appendHead appends a message with a packet up to its data.
func (d socketIO) appendHead(dst []byte, t socketio.Type, id int64) []byte {
	return socketio.AppendHead(append(dst, byte(engineio.Message)), t, 0, d.namespace, id)
}

// appendEvent appends the start of an event that asks for the acknowledgement id.
func (d socketIO) appendEvent(dst []byte, id uint64, name string) []byte {
	dst = append(d.appendHead(dst, socketio.Event, int64(id)), `["`...)
	return append(append(dst, name...), `",`...)
}

func (d socketIO) AppendJoin(dst []byte, id uint64, room string, since int64) []byte {
	return append(appendJoinData(d.appendEvent(dst, id, "joinRoom"), room, since), ']')
}

func (d socketIO) AppendPublish(dst []byte, id uint64, room string, content []byte) []byte {
	return append(appendPublishData(d.appendEvent(dst, id, "sendMessage"), room, content), ']')
}
