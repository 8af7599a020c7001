package fleet

import "errors"

// ErrCursor is returned when a cursor was not made by Stats.
var ErrCursor = errors.New("not a cursor of this list")
