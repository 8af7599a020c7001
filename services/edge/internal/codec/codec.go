// Package codec defines what the encodings of the edge have in common: the decoded Request,
// and the Codec interface, which the native encoding and Socket.IO implement. A session uses
// its client's codec and does not know which one it is.
package codec

import (
	"bytes"
	"errors"

	"github.com/confab-chat/confab/proto/strictjson"
)

// Codecs is how many codecs one process can have: the native one and one for each of
// two Socket.IO namespaces. Frames of an event are encoded once for each codec in use.
const Codecs = 3

const (
	// NoID is the id of a request without one.
	NoID int64 = -1
	// NoReply marks a request made on the client's behalf; codecs send nothing for it.
	NoReply int64 = -2
)

var (
	// ErrBroken is returned for a message after which the connection must be closed.
	ErrBroken = errors.New("invalid packet")
	// ErrID is returned for a valid message whose id is not one. It does not count as abuse:
	// some client libraries write ids of another kind.
	ErrID = errors.New("id must be a whole number from 0 to 9007199254740991")
)

// Request is a decoded client message. Its slices alias the message's bytes.
type Request struct {
	ID    int64  // NoID when there is none
	Event []byte // the event's name, not checked
	Data  []byte // its payload, valid JSON; nil when there is none
}

// Codec translates between one protocol's messages and requests, replies and events.
// A codec has no state: its methods may be called concurrently.
type Codec interface {
	// Decode reads one message of a client. With an error the request still has
	// the id, if that was understood. The error's text is fit for clients.
	Decode(r *strictjson.Reader, msg []byte) (Request, error)
	Encoder
}

// Encoder appends complete frames, ready to be written.
type Encoder interface {
	// AppendReply appends the reply of that name to request id; object is a JSON object
	// with at least one member. With NoID it appends what the protocol sends for a
	// request without id, which may be nothing.
	AppendReply(dst []byte, id int64, name string, object []byte) []byte
	// AppendEvent appends a server event; data is one JSON value.
	AppendEvent(dst []byte, name string, data []byte) []byte
}

// EventName reads an event's name. Known names contain no escapes, so the common case
// does not copy.
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
