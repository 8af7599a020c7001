package code

// Close is a WebSocket close code that Confab sends. After 4000-4499 a client
// reconnects, after 4500-4999 it does not (the split follows Centrifuge). Protocol
// faults have the codes of RFC 6455, section 7.4.1. 4003 is not used.
type Close uint16

const (
	CloseNormal          Close = 1000
	CloseGoingAway       Close = 1001
	CloseProtocolError   Close = 1002
	CloseUnsupportedData Close = 1003
	CloseInvalidPayload  Close = 1007
	ClosePolicy          Close = 1008
	CloseTooBig          Close = 1009
	CloseInternal        Close = 1011
	CloseRestart         Close = 1012 // this edge drains or restarts

	CloseSlowConsumer     Close = 4000 // the client read too slowly
	CloseTokenExpired     Close = 4001
	CloseHeartbeatTimeout Close = 4002
	CloseStateLost        Close = 4004

	CloseInvalidToken    Close = 4500
	CloseAuthRequired    Close = 4501
	CloseRevoked         Close = 4502
	CloseProtocolAbuse   Close = 4503
	CloseConnectionLimit Close = 4504
)

// Reconnect reports whether a client that was closed with c should connect again.
func (c Close) Reconnect() bool { return c < 4500 || c > 4999 }

// String returns the reason for the close frame: short, stable, in lower case.
func (c Close) String() string {
	switch c {
	case CloseNormal:
		return "bye"
	case CloseGoingAway:
		return "going away"
	case CloseProtocolError:
		return "protocol error"
	case CloseUnsupportedData:
		return "unsupported data"
	case CloseInvalidPayload:
		return "invalid payload"
	case ClosePolicy:
		return "policy violation"
	case CloseTooBig:
		return "message too big"
	case CloseInternal:
		return "internal error"
	case CloseRestart:
		return "restart"
	case CloseSlowConsumer:
		return "slow consumer"
	case CloseTokenExpired:
		return "token expired"
	case CloseHeartbeatTimeout:
		return "heartbeat timeout"
	case CloseStateLost:
		return "state lost"
	case CloseInvalidToken:
		return "invalid token"
	case CloseAuthRequired:
		return "auth required"
	case CloseRevoked:
		return "revoked"
	case CloseProtocolAbuse:
		return "protocol abuse"
	case CloseConnectionLimit:
		return "connection limit"
	}
	return "closed"
}

// Closes returns every close code that Confab sends, in ascending order.
func Closes() []Close {
	return []Close{
		CloseNormal, CloseGoingAway, CloseProtocolError, CloseUnsupportedData, CloseInvalidPayload,
		ClosePolicy, CloseTooBig, CloseInternal, CloseRestart,
		CloseSlowConsumer, CloseTokenExpired, CloseHeartbeatTimeout, CloseStateLost,
		CloseInvalidToken, CloseAuthRequired, CloseRevoked, CloseProtocolAbuse, CloseConnectionLimit,
	}
}
