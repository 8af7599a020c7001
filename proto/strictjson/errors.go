package strictjson

import "strconv"

// Error is returned when bytes are not JSON that this package accepts, or not of
// the type that was asked for. Its text is fit for clients: it quotes none of the input.
type Error struct {
	Offset  int    // of the byte that was refused, from 0
	Message string // what is wrong there
	// Text says that the syntax is right and a string is not: it has half of a
	// surrogate pair, which no text has.
	Text bool
}

// Error implements error.
func (e *Error) Error() string {
	return "invalid JSON at byte " + strconv.Itoa(e.Offset) + ": " + e.Message
}
