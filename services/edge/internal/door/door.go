// Package door is what the edge's doors have in common: how a request looks once
// it is decoded, and what a codec must be able to do. One session core serves all
// doors; a door is a codec and whatever its transport needs.
package door

import (
	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/strictjson"
)

// Codecs is how many codecs one process can have: frames are kept once for each.
const Codecs = 2

// NoID is the id of a request that wants no reply.
const NoID int64 = -1

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
