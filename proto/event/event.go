// Package event is the contract with chat clients in Go: one file per client
// event with its payload, what is checked of it and its reply, one per server
// event, and the catalog of all of them. Golden frames of each are in
// proto/testdata; WEBSOCKET_API.md is the same for people.
//
// Payloads are decoded with package strictjson and checked in one go (Decode);
// replies and server events append themselves as JSON without reflection. All of
// it is pure: no I/O, no clock, no shared state.
//
// tools/eventgen writes the code of an event from its struct's tags and types:
//
//	json:"roomId"              the member's name; every field of a payload needs it
//	json:"limit,omitempty"     a request may leave it out; a reply leaves out its zero value
//	check:"text=MaxContent"    a string that is trimmed and cleaned; at most so many code points
//	check:"max=maxMessageID"   a string of at most so many bytes, or a []UserID of so many ids
//	check:"min=1"              the smallest integer that is accepted, 0 without it
//	check:"clamp=MaxHistory"   higher integers become this one
//	check:"validate"           a string that only the payload's Validate limits
//	default:"DefaultHistory"   replaces the zero value once all members are checked
//
// Rules of one check are separated by commas: check:"min=1,clamp=MaxHistory". RoomID and
// ClientMessageID are checked without a tag. A string type with constants accepts these
// alone. *uint64 is a seq that may be absent. Decode ends with the payload's Validate, if
// it has one. eventgen refuses a request's member that no rule here decodes and limits.
package event

import (
	"strconv"

	"github.com/confab-chat/confab/proto/strictjson"
	"github.com/confab-chat/confab/proto/wire"
)

//go:generate go run ../../tools/eventgen ../..

// Request is the payload of a client event.
type Request interface {
	// Decode replaces the payload by what data, the JSON of it, says, and checks
	// it. Unknown members are ignored. The error is a *code.Error fit for the client.
	Decode(data []byte) error
}

// RoomRequest is a Request about one room.
type RoomRequest interface {
	Request
	Room() RoomID
}

// Reply is the success that answers a client event.
type Reply interface {
	// AppendJSON appends the reply object, which has at least one member. It does not
	// allocate when dst has room.
	AppendJSON(dst []byte) []byte
}

// Payload is the payload of a server event.
type Payload interface {
	// AppendJSON appends the payload. It does not allocate when dst has room.
	AppendJSON(dst []byte) []byte
}

// AppendNamed appends a reply object with its name in front of the other members, as
// acknowledgements of Socket.IO carry it. NamedSize is how many bytes that adds.
func AppendNamed(dst []byte, name string, reply []byte) []byte {
	dst = append(append(dst, `{"event":"`...), name...)
	return append(append(dst, `",`...), reply[1:]...) // without its brace
}

// NamedSize is how much longer than the reply object AppendNamed's result is.
func NamedSize(name string) int { return len(`"event":"",`) + len(name) }

// True is a member that is true on the wire, whatever the Go field holds.
//
//typescript:inline true
type True = bool

// False is a member that is false on the wire, whatever the Go field holds.
//
//typescript:inline false
type False = bool

// User is a user as others see them.
type User = wire.User

// Author is the author of a message.
//
// A User converts to it.
type Author struct {
	ID   UserID `json:"id"`
	Name Text   `json:"username"`
}

// appendText appends a member: its key as it stands in JSON, from the comma or
// brace in front to the colon, and a string.
func appendText(dst []byte, key, value string) []byte {
	return strictjson.AppendString(append(dst, key...), value)
}

func appendUint(dst []byte, key string, n uint64) []byte {
	return strconv.AppendUint(append(dst, key...), n, 10)
}

func appendInt(dst []byte, key string, n int64) []byte {
	return strconv.AppendInt(append(dst, key...), n, 10)
}

func appendTime(dst []byte, key string, t Time) []byte {
	return t.append(append(dst, key...))
}

// appendSameTime is appendTime for a t that mostly equals last, which dst ends with:
// it copies that instead of formatting t.
func appendSameTime(dst []byte, key string, t, last Time) []byte {
	if t != last || t == 0 {
		return appendTime(dst, key, t)
	}
	at := dst[len(dst)-len(`"2026-01-02T03:04:05.678Z"`):]
	return append(append(dst, key...), at...)
}

func appendBool(dst []byte, key string, b bool) []byte {
	return strconv.AppendBool(append(dst, key...), b)
}

// appendList appends an array of what each appends per element; never null.
func appendList[T any](dst []byte, key string, list []T, each func([]byte, *T) []byte) []byte {
	dst = append(append(dst, key...), '[')
	for i := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = each(dst, &list[i])
	}
	return append(dst, ']')
}

func appendUserID(dst []byte, u *User) []byte { return strictjson.AppendString(dst, u.ID) }
