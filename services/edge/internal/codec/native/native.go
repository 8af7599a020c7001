// Package native is the codec of the native protocol: one JSON object in one
// WebSocket text frame. A request is {"id":7,"event":"joinRoom","data":{...}}, its
// reply carries the same id, and server events have none.
package native

import (
	"errors"
	"math"
	"strconv"

	"github.com/confab-chat/confab/proto/strictjson"
	"github.com/confab-chat/confab/services/edge/internal/codec"
	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
)

// Subprotocol is what clients offer for this codec (RFC 6455 section 1.9).
const Subprotocol = "confab.v1"

// ErrEvent is returned for a frame without an event.
var ErrEvent = errors.New("a frame needs an event")

// Codec implements [codec.Codec]. Safe for concurrent use.
type Codec struct{}

// Decode reads a frame's payload. Members other than id, event and data are
// ignored, as is the order of the three. An id of null means none.
func (Codec) Decode(r *strictjson.Reader, msg []byte) (codec.Request, error) {
	req := codec.Request{ID: codec.NoID}
	wrong := error(nil)
	r.Reset(msg)
	for r.BeginObject(); r.NextMember(); {
		switch string(r.Key()) {
		case "id":
			if id, ok := readID(r); ok {
				req.ID = id
			} else {
				wrong = codec.ErrID
			}
		case "event":
			req.Event = codec.EventName(r)
		case "data":
			req.Data = r.Raw()
		}
	}
	if err := r.End(); err != nil {
		if bad, ok := errors.AsType[*strictjson.Error](err); !ok || !bad.Sound {
			req.ID = codec.NoID // it cannot be trusted
		}
		return codec.Request{ID: req.ID}, err
	}
	if wrong == nil && len(req.Event) == 0 {
		wrong = ErrEvent
	}
	return req, wrong
}

// readID reads an id: a whole number, or null for none. It returns false for any other
// value.
func readID(r *strictjson.Reader) (id int64, ok bool) {
	switch r.Kind() {
	case strictjson.Null:
		return codec.NoID, r.Null()
	case strictjson.Number:
		n := r.Float()
		return int64(n), n >= 0 && n <= strictjson.MaxInt && n == math.Trunc(n)
	}
	r.Skip()
	return 0, false
}

// AppendReply appends the frame that answers request id; nothing without one.
func (Codec) AppendReply(dst []byte, id int64, name string, data []byte) []byte {
	if id < 0 {
		return dst
	}
	var digits [20]byte
	num := strconv.AppendInt(digits[:0], id, 10)
	n := len(`{"id":,`) + len(num) + bodySize(name, data)
	dst = ws.AppendHeader(dst, ws.OpText, n)
	dst = append(append(append(dst, `{"id":`...), num...), ',')
	return appendBody(dst, name, data)
}

// AppendEvent appends the frame of a server event.
func (Codec) AppendEvent(dst []byte, name string, data []byte) []byte {
	dst = ws.AppendHeader(dst, ws.OpText, 1+bodySize(name, data))
	return appendBody(append(dst, '{'), name, data)
}

// bodySize is the length of what appendBody appends. Event names are our own
// and need no escapes.
func bodySize(name string, data []byte) int {
	return len(`"event":"","data":}`) + len(name) + len(data)
}

func appendBody(dst []byte, name string, data []byte) []byte {
	dst = append(append(dst, `"event":"`...), name...)
	dst = append(append(dst, `","data":`...), data...)
	return append(dst, '}')
}
