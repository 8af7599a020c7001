package engineio

import "strconv"

// Fault is the reason why an HTTP request is refused, numbered as in the reference
// implementation. Clients show its message.
type Fault uint8

const (
	UnknownTransport Fault = iota
	UnknownSession
	BadMethod
	BadRequest
	Forbidden
	BadVersion
)

// String is the fault's message.
func (f Fault) String() string {
	return [...]string{
		"Transport unknown", "Session ID unknown", "Bad handshake method",
		"Bad request", "Forbidden", "Unsupported protocol version",
	}[f]
}

// Status is the HTTP status.
func (f Fault) Status() int {
	if f == Forbidden {
		return 403
	}
	return 400
}

// Body is the JSON body of the response.
func (f Fault) Body() []byte {
	b := strconv.AppendInt([]byte(`{"code":`), int64(f), 10)
	b = append(append(b, `,"message":"`...), f.String()...)
	return append(b, `"}`...)
}

// Error implements error.
func (f Fault) Error() string { return "engine.io: " + f.String() }
