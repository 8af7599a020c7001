// Package code holds the error codes, close codes and the error object that
// chat clients see. It is the whole vocabulary of refusal: a service that
// wants to say something new adds a code here and to WEBSOCKET_API.md.
package code

// Code is a stable, upper-case name of what went wrong. Clients switch on it;
// the message beside it is for people.
type Code string

const (
	// BadRequest is for input that can never succeed as it is: unknown event,
	// missing or wrong field, text too long. Repeating it is pointless.
	BadRequest Code = "BAD_REQUEST"
	// Unauthorized is for a missing or unusable token.
	Unauthorized Code = "UNAUTHORIZED"
	// TokenExpired is for a token that was good once; a fresh one helps.
	TokenExpired Code = "TOKEN_EXPIRED"
	// Forbidden is for an act that this user or connection may not do.
	Forbidden Code = "FORBIDDEN"
	// NotInRoom is for an act in a room that this connection has not joined.
	NotInRoom Code = "NOT_IN_ROOM"
	// NotFound is for a thing named by the client that does not exist.
	NotFound Code = "NOT_FOUND"
	// Conflict is for a clientMessageId that was used for other content.
	Conflict Code = "CONFLICT"
	// PayloadTooLarge is for a body over the size limit.
	PayloadTooLarge Code = "PAYLOAD_TOO_LARGE"
	// RateLimited is for an act over the user's limit; the error says when it is allowed again.
	RateLimited Code = "RATE_LIMITED"
	// Internal is for a fault of ours. Its outcome is unknown to the client.
	Internal Code = "INTERNAL"
	// Unavailable is for a dependency that is away. Its outcome is unknown;
	// repeating with the same clientMessageId is safe.
	Unavailable Code = "UNAVAILABLE"
)

// Status is the HTTP status that belongs to the code; 500 for an unknown one.
func (c Code) Status() int {
	switch c {
	case BadRequest:
		return 400
	case Unauthorized, TokenExpired:
		return 401
	case Forbidden, NotInRoom:
		return 403
	case NotFound:
		return 404
	case Conflict:
		return 409
	case PayloadTooLarge:
		return 413
	case RateLimited:
		return 429
	case Unavailable:
		return 503
	}
	return 500
}

// Retryable reports whether the same request may succeed later as it is.
func (c Code) Retryable() bool {
	switch c {
	case RateLimited, Internal, Unavailable:
		return true
	}
	return false
}

// Unknown reports whether a request that was answered with c may nevertheless
// have been carried out. Every other code promises that it was not.
func (c Code) Unknown() bool { return c == Internal || c == Unavailable }

// All returns every code, in the order in which the documents list them.
func All() []Code {
	return []Code{
		BadRequest, Unauthorized, TokenExpired, Forbidden, NotInRoom, NotFound,
		Conflict, PayloadTooLarge, RateLimited, Internal, Unavailable,
	}
}
