package listen

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/services/edge/internal/listen/head"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
)

// Reason is why a connection was refused: a closed set, for metrics.
type Reason uint8

const (
	BadRequest Reason = iota
	TooLarge
	Timeout
	Method
	HTTPVersion
	NoUpgrade
	Version
	Origin
	NoToken
	BadToken
	Expired
	Gated
	Rate
	Overload
	Draining
	AddressPending
	AddressConnections
	reasons // how many there are
)

// String is the reason as a metric label.
func (r Reason) String() string {
	return [reasons]string{
		"bad_request", "too_large", "timeout", "method", "http_version", "no_upgrade", "version", "origin", "no_token",
		"bad_token", "token_expired", "gate", "rate", "overload", "draining", "address_pending", "address_connections",
	}[r]
}

// Stats counts what the server does.
type Stats struct {
	Upgraded atomic.Uint64 // to WebSocket
	HTTP     atomic.Int64  // served by net/http now
	Refused  [reasons]atomic.Uint64
}

// Reasons returns the labels of Stats.Refused, by index.
func Reasons() []string {
	var s []string
	for r := range reasons {
		s = append(s, r.String())
	}
	return s
}

// lingering is how long a refused peer may take to read the response.
const lingering = 2 * time.Second

// refusal is a response other than an upgrade.
type refusal struct {
	reason Reason
	status int
	header string // whole lines
	err    code.Error
	own    []byte     // the body, instead of the error object; nil for that
	close  code.Close // sent to browsers after an upgrade; 0 for an HTTP response
}

// inBand reports whether the refusal is sent as a close code after an upgrade.
func (r *refusal) inBand(h *Handshake) bool { return r.close != 0 && h.Origin != "" }

// headRefusal returns the refusal for an error of package head.
func headRefusal(err error) *refusal {
	if errors.Is(err, head.ErrTooLarge) {
		return refused(TooLarge)
	}
	return refused(BadRequest)
}

// refusalFor returns the refusal for an error of the verifier or the gate.
func refusalFor(e *code.Error) *refusal {
	r := &refusal{reason: Gated, status: e.Code.Status(), err: *e}
	switch e.Code {
	case code.Unauthorized:
		r.reason, r.close = BadToken, code.CloseInvalidToken
		r.header = "WWW-Authenticate: Bearer error=\"invalid_token\"\r\n"
	case code.TokenExpired:
		r.reason, r.close = Expired, code.CloseTokenExpired
		r.header = "WWW-Authenticate: Bearer error=\"invalid_token\"\r\n"
	case code.Unavailable, code.RateLimited:
		if r.err.RetryAfter == 0 {
			r.err.RetryAfter = retryDelay()
		}
	}
	return r
}

// responses are those to the reasons of this package that have one of their own; the
// others are answered as malformed requests.
var responses = map[Reason]struct {
	status  int
	code    code.Code
	message string
	header  string
}{
	TooLarge:           {http.StatusRequestHeaderFieldsTooLarge, code.PayloadTooLarge, "the request header is too large", ""},
	Method:             {http.StatusMethodNotAllowed, code.BadRequest, "a WebSocket begins with GET", "Allow: GET\r\n"},
	HTTPVersion:        {http.StatusHTTPVersionNotSupported, code.BadRequest, "a WebSocket needs HTTP/1.1", ""},
	NoUpgrade:          {http.StatusUpgradeRequired, code.BadRequest, "connect with a WebSocket", "Upgrade: websocket\r\nConnection: upgrade\r\n"},
	Version:            {http.StatusUpgradeRequired, code.BadRequest, "unknown WebSocket version", "Sec-WebSocket-Version: 13\r\n"},
	Origin:             {http.StatusForbidden, code.Forbidden, "the origin is not allowed", ""},
	NoToken:            {http.StatusUnauthorized, code.Unauthorized, "a token is required", "WWW-Authenticate: Bearer\r\n"},
	Rate:               {http.StatusServiceUnavailable, code.Unavailable, "too many connections arrive, try again", ""},
	Overload:           {http.StatusServiceUnavailable, code.Unavailable, "too many connections arrive, try again", ""},
	Draining:           {http.StatusServiceUnavailable, code.Unavailable, "this server is shutting down, try again", ""},
	AddressPending:     {http.StatusTooManyRequests, code.RateLimited, "too many connections from this address", ""},
	AddressConnections: {http.StatusTooManyRequests, code.RateLimited, "too many connections from this address", ""},
}

// refused returns the refusal for a reason of this package.
func refused(reason Reason) *refusal {
	a, ok := responses[reason]
	if !ok {
		a.status, a.code, a.message = http.StatusBadRequest, code.BadRequest, "the request is malformed"
	}
	r := &refusal{reason: reason, status: a.status, header: a.header, err: code.Error{Code: a.code, Message: a.message}}
	switch a.code {
	case code.Unavailable, code.RateLimited:
		r.err.RetryAfter = retryDelay()
	case code.Unauthorized:
		r.close = code.CloseAuthRequired
	}
	return r
}

// retryDelay returns 1 to 10 s, to spread the clients that are refused.
func retryDelay() time.Duration { return time.Duration(1+rand.IntN(10)) * time.Second }

// refuse sends a refusal and ends the handshake.
func (p *pending) refuse(r *refusal) {
	p.local.sendRefusal(p.t, r)
	p.endHandshake()
}

// sendRefusal responds on a transport that has no handler yet.
func (l *local) sendRefusal(t poll.Transport, r *refusal) {
	s := l.server
	s.stats.Refused[r.reason].Add(1)
	r.err.Ref = strconv.FormatUint(rand.Uint64(), 36)
	if log := s.options.Logger; log.Enabled(context.Background(), slog.LevelDebug) {
		log.Debug("connection refused", "event", "listen.refused", "err", r.reason.String(), "ref", r.err.Ref)
	}
	poll.Refuse(t, r.response(l.loop.Now()), lingering)
}

// response returns the whole HTTP response.
func (r *refusal) response(now time.Time) []byte {
	body, header := r.body(now), r.header
	if r.err.RetryAfter > 0 {
		header += fmt.Sprintf("Retry-After: %d\r\n", (r.err.RetryAfter+time.Second-1)/time.Second)
	}
	b := fmt.Appendf(nil, "HTTP/1.1 %d %s\r\n", r.status, http.StatusText(r.status))
	b = append(b, "Content-Type: application/json\r\nCache-Control: no-store\r\nConnection: close\r\n"...)
	return fmt.Appendf(b, "%sContent-Length: %d\r\n\r\n%s", header, len(body), body)
}

// body returns the error object of the client contract. Its statusCode is that of
// the response, which is finer than the code's for faults of HTTP itself.
func (r *refusal) body(now time.Time) []byte {
	if r.own != nil {
		return r.own
	}
	f := event.Failure{
		Code: r.err.Code, Message: r.err.Message, StatusCode: r.status, Timestamp: event.At(now),
		RetryAfterMs: code.Millis(r.err.RetryAfter), Event: r.err.Event, Ref: r.err.Ref,
	}
	return f.AppendJSON(nil)
}
