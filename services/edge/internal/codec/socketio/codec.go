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
// frames, each with one Engine.IO message; long-polling takes the headers off
// again. Safe for concurrent use.
type Codec struct {
	Namespace string // "/" or "/name"
}

var _ codec.Codec = Codec{}

// Decode reads an event packet, with its type and namespace. What is no packet, or
// no JSON, is codec.ErrBroken; what JSON readers could understand differently is an
// error about a request.
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
		case i == 0 && r.Kind() == strictjson.Number: // a name too, says the protocol
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

// AppendReply appends the acknowledgement of request id; without one, the event of
// the reply's name. An acknowledgement does not carry a name, so the object gets one as
// its first member. An error object does not: clients know it by success: false.
func (c Codec) AppendReply(dst []byte, id int64, name string, object []byte) []byte {
	size := len(object)
	if name != event.NameError {
		size += event.NamedSize(name)
	}
	switch id {
	case codec.NoReply:
		return dst
	case codec.NoID:
		dst = c.begin(ws.AppendHeader(dst, ws.OpText, len(`42["",]`)+c.prefix()+len(name)+size), Event)
		dst = append(append(append(dst, `["`...), name...), `",`...)
	default:
		var buf [20]byte
		num := strconv.AppendInt(buf[:0], id, 10)
		dst = c.begin(ws.AppendHeader(dst, ws.OpText, len("43[]")+c.prefix()+len(num)+size), Ack)
		dst = append(append(dst, num...), '[')
	}
	if name == event.NameError {
		dst = append(dst, object...)
	} else {
		dst = event.AppendNamed(dst, name, object)
	}
	return append(dst, ']')
}

// AppendEvent appends the packet of a server event. A message has a second argument:
// the offset from which a connection is recovered.
func (c Codec) AppendEvent(dst []byte, name string, data []byte) []byte {
	var buf [128]byte
	var offset []byte
	if name == event.NameReceiveMessage {
		offset = appendOffsetOf(buf[:0], data)
	}
	n := len(`42["",]`) + c.prefix() + len(name) + len(data)
	if len(offset) > 0 {
		n += len(offset) + len(`,""`)
	}
	dst = c.begin(ws.AppendHeader(dst, ws.OpText, n), Event)
	dst = append(append(append(dst, `["`...), name...), `",`...) // names are ours and need no escapes
	dst = append(dst, data...)
	if len(offset) > 0 {
		dst = append(append(append(dst, `,"`...), offset...), '"')
	}
	return append(dst, ']')
}

// begin appends what a packet begins with, behind the Engine.IO message's type.
func (c Codec) begin(dst []byte, t Type) []byte {
	dst = append(dst, '4', byte(t))
	if c.Namespace != Main {
		dst = append(append(dst, c.Namespace...), ',')
	}
	return dst
}

// prefix is the length of the namespace in a packet.
func (c Codec) prefix() int {
	if c.Namespace == Main {
		return 0
	}
	return len(c.Namespace) + 1
}

// AppendConnect appends the answer to a CONNECT that is granted. pid is what the
// client shows to have its session recovered; empty for none.
func (c Codec) AppendConnect(dst []byte, sid, pid string) []byte {
	body := append(append([]byte(`{"sid":"`), sid...), '"')
	if pid != "" {
		body = append(append(append(body, `,"pid":"`...), pid...), '"')
	}
	return c.appendPacket(dst, Connect, append(body, '}'))
}

// AppendConnectError appends the answer to a CONNECT that is refused; data, the
// error object, may be nil.
func (c Codec) AppendConnectError(dst []byte, message string, data []byte) []byte {
	body := strictjson.AppendString([]byte(`{"message":`), message)
	if data != nil {
		body = append(append(body, `,"data":`...), data...)
	}
	return c.appendPacket(dst, ConnectError, append(body, '}'))
}

// AppendDisconnect appends the packet after which the client does not come back by
// itself.
func (c Codec) AppendDisconnect(dst []byte) []byte { return c.appendPacket(dst, Disconnect, nil) }

// AppendRaw appends a packet as the conformance door echoes it: attachments are told
// for binary packets, id unless it is codec.NoID.
func (c Codec) AppendRaw(dst []byte, t Type, attachments int, id int64, data []byte) []byte {
	body := []byte{'4', byte(t)}
	if t == BinaryEvent || t == BinaryAck {
		body = append(strconv.AppendInt(body, int64(attachments), 10), '-')
	}
	if c.Namespace != Main {
		body = append(append(body, c.Namespace...), ',')
	}
	if id != codec.NoID {
		body = strconv.AppendInt(body, id, 10)
	}
	return ws.AppendFrame(dst, ws.OpText, append(body, data...))
}

func (c Codec) appendPacket(dst []byte, t Type, body []byte) []byte {
	dst = ws.AppendHeader(dst, ws.OpText, len("40")+c.prefix()+len(body))
	return append(c.begin(dst, t), body...)
}
