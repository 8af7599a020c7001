package socketio

import (
	"encoding/json"
	"strconv"

	"github.com/confab-chat/confab/proto/event"
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

var _ codec.Codec = Codec{}

// Decode parses an event packet, with its type and namespace. It returns
// codec.ErrBroken for an invalid packet or invalid JSON. JSON that readers could
// understand differently is an error of the request only.
func (Codec) Decode(r *strictjson.Reader, msg []byte) (codec.Request, error) {
	p, err := Parse(msg)
	if err != nil || p.Type != Event && p.Type != BinaryEvent {
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
	if !named || reserved(string(req.Event)) {
		return codec.Request{ID: p.ID}, codec.ErrBroken
	}
	return req, nil
}

// AppendReply appends the acknowledgement of request id. For a request without an id it
// appends an event with the reply's name. An acknowledgement does not carry a name, so the
// object gets one as its first member. An error object does not: clients recognize it by
// success: false.
func (c Codec) AppendReply(dst []byte, id int64, name string, object []byte) []byte {
	size := len(object)
	if name != event.NameError {
		size += event.NamedSize(name)
	}
	switch id {
	case codec.NoReply:
		return dst
	case codec.NoID:
		dst = c.appendPrefix(ws.AppendHeader(dst, ws.OpText, len(`42["",]`)+c.namespaceSize()+len(name)+size), Event)
		dst = append(append(append(dst, `["`...), name...), `",`...)
	default:
		var buf [20]byte
		num := strconv.AppendInt(buf[:0], id, 10)
		dst = c.appendPrefix(ws.AppendHeader(dst, ws.OpText, len("43[]")+c.namespaceSize()+len(num)+size), Ack)
		dst = append(append(dst, num...), '[')
	}
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
	var buf [128]byte
	var offset []byte
	if name == event.NameReceiveMessage {
		offset = appendOffsetOf(buf[:0], data)
	}
	n := len(`42["",]`) + c.namespaceSize() + len(name) + len(data)
	if len(offset) > 0 {
		n += len(offset) + len(`,""`)
	}
	dst = c.appendPrefix(ws.AppendHeader(dst, ws.OpText, n), Event)
	dst = append(append(append(dst, `["`...), name...), `",`...) // event names need no escapes
	dst = append(dst, data...)
	if len(offset) > 0 {
		dst = append(append(append(dst, `,"`...), offset...), '"')
	}
	return append(dst, ']')
}

// appendPrefix appends the Engine.IO type of a message, and the type and namespace of a
// packet.
func (c Codec) appendPrefix(dst []byte, t Type) []byte {
	return c.appendNamespace(append(dst, '4', byte(t)))
}

func (c Codec) appendNamespace(dst []byte) []byte {
	if c.Namespace == Main {
		return dst
	}
	return append(append(dst, c.Namespace...), ',')
}

// namespaceSize returns the length of the namespace in a packet.
func (c Codec) namespaceSize() int {
	if c.Namespace == Main {
		return 0
	}
	return len(c.Namespace) + 1
}

// AppendConnect appends the answer that grants a CONNECT. With pid the client can
// recover its session; empty for none.
func (c Codec) AppendConnect(dst []byte, sid, pid string) []byte {
	body := append(append([]byte(`{"sid":"`), sid...), '"')
	if pid != "" {
		body = append(append(append(body, `,"pid":"`...), pid...), '"')
	}
	return c.AppendPacket(dst, Connect, 0, codec.NoID, append(body, '}'))
}

// AppendConnectError appends the answer that refuses a CONNECT. data is the error object,
// or nil.
func (c Codec) AppendConnectError(dst []byte, message string, data []byte) []byte {
	body := strictjson.AppendString([]byte(`{"message":`), message)
	if data != nil {
		body = append(append(body, `,"data":`...), data...)
	}
	return c.AppendPacket(dst, ConnectError, 0, codec.NoID, append(body, '}'))
}

// AppendDisconnect appends the packet after which the client library does not reconnect.
func (c Codec) AppendDisconnect(dst []byte) []byte {
	return c.AppendPacket(dst, Disconnect, 0, codec.NoID, nil)
}

// AppendPacket appends any packet. attachments is written for binary packets only, id
// unless it is codec.NoID.
func (c Codec) AppendPacket(dst []byte, t Type, attachments int, id int64, data []byte) []byte {
	body := []byte{'4', byte(t)}
	if t == BinaryEvent || t == BinaryAck {
		body = append(strconv.AppendInt(body, int64(attachments), 10), '-')
	}
	body = c.appendNamespace(body)
	if id != codec.NoID {
		body = strconv.AppendInt(body, id, 10)
	}
	return ws.AppendFrame(dst, ws.OpText, append(body, data...))
}
