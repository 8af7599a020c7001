// Package sio is the codec of Socket.IO clients: the contract's events and replies as
// packets of package socketio. It has no network and no clock.
package sio

import (
	"encoding/json"

	"github.com/confab-chat/confab/proto/engineio"
	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/socketio"
	"github.com/confab-chat/confab/proto/strictjson"
	"github.com/confab-chat/confab/services/edge/internal/codec"
	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
)

// Codec implements [codec.Codec] for one namespace. Its frames are WebSocket text
// frames, each with one Engine.IO message; long-polling removes the headers again. Its
// methods may be called concurrently.
type Codec struct {
	Namespace string // "/" or "/name"
}

// Decode parses an event packet, with its type and namespace. It returns
// codec.ErrBroken for an invalid packet or invalid JSON. JSON that readers could
// understand differently is an error of the request only.
func (Codec) Decode(r *strictjson.Reader, msg []byte) (codec.Request, error) {
	p, err := socketio.Parse(msg)
	if err != nil || p.Type != socketio.Event && p.Type != socketio.BinaryEvent {
		return codec.Request{ID: codec.NoID}, codec.ErrBroken
	}
	req := codec.Request{ID: p.ID}
	named := false
	r.Reset(p.Data)
	r.BeginArray()
	for i := 0; r.NextElement(); i++ {
		switch {
		case i == 0 && r.Kind() == strictjson.String:
			req.Event, named = codec.EventName(r), true
		case i == 0 && r.Kind() == strictjson.Number: // the protocol allows numbers as names
			req.Event, named = r.Raw(), true
		case i == 1 && !r.Null():
			req.Data = r.Raw()
		}
	}
	if err := r.End(); err != nil {
		if !json.Valid(p.Data) {
			return codec.Request{ID: p.ID}, codec.ErrBroken
		}
		return codec.Request{ID: p.ID}, err
	}
	if !named || socketio.Reserved(string(req.Event)) {
		return codec.Request{ID: p.ID}, codec.ErrBroken
	}
	return req, nil
}

// AppendReply appends the acknowledgement of request id. For a request without an id it
// appends an event with the reply's name. An acknowledgement does not carry a name, so the
// object gets one as its first member. An error object does not: clients recognize it by
// success: false.
func (c Codec) AppendReply(dst []byte, id int64, name string, object []byte) []byte {
	if id == codec.NoReply {
		return dst
	}
	var buf [headBuffer]byte
	var head []byte
	if id == codec.NoID {
		head = c.appendEventHead(buf[:0], name)
	} else {
		head = append(c.appendHead(buf[:0], socketio.Ack, 0, id), '[')
	}
	size := len(head) + len(object) + len("]")
	if name != event.NameError {
		size += event.NamedSize(name)
	}
	dst = append(ws.AppendHeader(dst, ws.OpText, size), head...)
	if name == event.NameError {
		dst = append(dst, object...)
	} else {
		dst = event.AppendNamed(dst, name, object)
	}
	return append(dst, ']')
}

// AppendEvent appends the packet of a server event. A chat message has a second argument:
// the offset with which the client can recover its session.
func (c Codec) AppendEvent(dst []byte, name string, data []byte) []byte {
	var headBuf, tailBuf [headBuffer]byte
	head, tail := c.appendEventHead(headBuf[:0], name), tailBuf[:0]
	if name == event.NameReceiveMessage {
		tail = appendOffsetOf(tail, data)
	}
	tail = append(tail, ']')
	dst = append(ws.AppendHeader(dst, ws.OpText, len(head)+len(data)+len(tail)), head...)
	return append(append(dst, data...), tail...)
}

// headBuffer holds what stands before or after the data of a usual packet, in bytes. A
// longer one is allocated.
const headBuffer = 128

// appendHead appends the Engine.IO type of a message, and the packet up to its data.
func (c Codec) appendHead(dst []byte, t socketio.Type, attachments int, id int64) []byte {
	return socketio.AppendHead(append(dst, byte(engineio.Message)), t, attachments, c.Namespace, id)
}

// appendEventHead appends an event up to its first argument. Event names need no escapes.
func (c Codec) appendEventHead(dst []byte, name string) []byte {
	dst = append(c.appendHead(dst, socketio.Event, 0, socketio.NoID), `["`...)
	return append(append(dst, name...), `",`...)
}

// AppendConnect appends the answer that grants a CONNECT. With pid the client can
// recover its session; empty for none.
func (c Codec) AppendConnect(dst []byte, sid, pid string) []byte {
	body := append(append([]byte(`{"sid":"`), sid...), '"')
	if pid != "" {
		body = append(append(append(body, `,"pid":"`...), pid...), '"')
	}
	return c.AppendPacket(dst, socketio.Connect, 0, socketio.NoID, append(body, '}'))
}

// AppendConnectError appends the answer that refuses a CONNECT. data is the error object,
// or nil.
func (c Codec) AppendConnectError(dst []byte, message string, data []byte) []byte {
	body := strictjson.AppendString([]byte(`{"message":`), message)
	if data != nil {
		body = append(append(body, `,"data":`...), data...)
	}
	return c.AppendPacket(dst, socketio.ConnectError, 0, socketio.NoID, append(body, '}'))
}

// AppendDisconnect appends the packet after which the client library does not reconnect.
func (c Codec) AppendDisconnect(dst []byte) []byte {
	return c.AppendPacket(dst, socketio.Disconnect, 0, socketio.NoID, nil)
}

// AppendPacket appends any packet; see socketio.AppendHead.
func (c Codec) AppendPacket(dst []byte, t socketio.Type, attachments int, id int64, data []byte) []byte {
	return ws.AppendFrame(dst, ws.OpText, append(c.appendHead(nil, t, attachments, id), data...))
}
