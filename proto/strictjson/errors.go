package strictjson

import "strconv"

// Error is returned when bytes are not JSON that this package accepts, or not of
// the type that was asked for. Its text is fit for clients: it quotes none of the input.
type Error struct {
	Offset  int    // of the byte that was refused, from 0
	Message string // what is wrong there
	// Sound says that the syntax is right as far as it was read, and what it says is
	// not accepted: too deep, too long, the same key twice, a number out of range, a
	// value of another type, or Text.
	Sound bool
	// Text says that a string has half of a surrogate pair, which no text has.
	Text bool
}

// Error implements error.
func (e *Error) Error() string {
	if e.Sound {
		return "JSON not accepted at byte " + strconv.Itoa(e.Offset) + ": " + e.Message
	}
	return "invalid JSON at byte " + strconv.Itoa(e.Offset) + ": " + e.Message
}
