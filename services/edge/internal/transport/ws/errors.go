package ws

import "strconv"

// Violation is a peer's breach of the protocol or of our limits. The
// connection is closed with its code.
type Violation struct {
	Code   StatusCode
	Reason string // stable, lower case; goes into the close frame
}

func (v *Violation) Error() string {
	return "websocket " + strconv.Itoa(int(v.Code)) + ": " + v.Reason
}

var (
	// ErrUnmasked is returned for a client frame without mask (RFC 6455, 5.1).
	ErrUnmasked = &Violation{1002, "frame is not masked"}
	// ErrReservedBits is returned for RSV bits: no extension was negotiated (5.2).
	ErrReservedBits = &Violation{1002, "reserved bits set"}
	// ErrReservedOpCode is returned for opcodes 3-7 and B-F (5.2).
	ErrReservedOpCode = &Violation{1002, "reserved opcode"}
	// ErrControlLength is returned for a control frame over 125 bytes (5.5).
	ErrControlLength = &Violation{1002, "control frame too long"}
	// ErrControlFragment is returned for a control frame without FIN (5.5).
	ErrControlFragment = &Violation{1002, "fragmented control frame"}
	// ErrContinuation is returned for a continuation of nothing (5.4).
	ErrContinuation = &Violation{1002, "continuation without start"}
	// ErrInterleaved is returned for a new message inside a fragmented one (5.4).
	ErrInterleaved = &Violation{1002, "message inside a message"}
	// ErrLength is returned for a length with its highest bit set (5.2).
	ErrLength = &Violation{1002, "invalid length"}
	// ErrCloseLength is returned for a close frame with half a code (5.5.1).
	ErrCloseLength = &Violation{1002, "invalid close payload"}
	// ErrCloseCode is returned for a close code that must not be sent (7.4).
	ErrCloseCode = &Violation{1002, "invalid close code"}
	// ErrText is returned for text or a close reason that is not UTF-8 (8.1).
	ErrText = &Violation{1007, "invalid utf-8"}
	// ErrTooBig is returned when a message is or declares to be over the limit.
	ErrTooBig = &Violation{1009, "message too big"}
	// ErrFragments is returned for a message of too many frames.
	ErrFragments = &Violation{1008, "too many fragments"}
)
