// Package codec is what the edge's doors have in common: how a request looks once
// it is decoded, and what a codec must be able to do. One session core serves all
// doors; a door is a codec and whatever its transport needs.
package codec

import (
	"bytes"
	"errors"

	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/strictjson"
)

// Codecs is how many codecs one process can have: the native one and one for each of
// two Socket.IO namespaces. Frames are made and kept once for each that has members.
const Codecs = 3

const (
	// NoID is the id of a request that wants no reply.
	NoID int64 = -1
	// Silent is the id of what nobody has asked for: no door says anything then.
	Silent int64 = -2
)

// ErrBroken is returned for a message after which the connection cannot go on.
var ErrBroken = errors.New("invalid packet")

// Request is what a client asked. Its bytes are part of the message.
type Request struct {
	ID    int64  // NoID when there is none
	Event []byte // the event's name, not checked
	Data  []byte // its payload, valid JSON; nil when there is none
}

// Codec is a door's language. A codec has no state: one value serves all
// connections of its door, from any goroutine.
type Codec interface {
	// Decode reads one message of a client. With an error the request still has
	// the id, if that was understood. The error's text is fit for clients.
	Decode(r *strictjson.Reader, msg []byte) (Request, error)
	// Form is how the objects begin that AppendReply gets.
	Form() event.Form
	Encoder
}

// Encoder makes complete frames, ready to be written. data is one JSON value.
type Encoder interface {
	// AppendReply answers a request. With NoID it appends what the door says then,
	// which may be nothing.
	AppendReply(dst []byte, id int64, name string, data []byte) []byte
	// AppendEvent says something by itself.
	AppendEvent(dst []byte, name string, data []byte) []byte
}

// EventName reads an event's name. None of ours has escapes, so that hardly ever is
// anything copied.
func EventName(r *strictjson.Reader) []byte {
	if r.Kind() != strictjson.String {
		r.TextBytes() // notes what is wrong
		return nil
	}
	raw := r.Raw()
	if bytes.IndexByte(raw, '\\') < 0 {
		return bytes.Trim(raw, `"`)
	}
	var escaped strictjson.Reader
	escaped.Reset(raw)
	return escaped.AppendText(nil)
}
