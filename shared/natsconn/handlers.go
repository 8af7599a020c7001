package natsconn

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/nats-io/nats.go"
)

// events updates Status and logs each change of state or of its reason once: an outage of
// an hour logs two lines. The library calls it on one goroutine per connection.
type events struct {
	status *Status
	log    *slog.Logger

	// Owned by the library's callback goroutine.
	reason string // why attempts fail, as last logged
}

func (e *events) options() []nats.Option {
	return []nats.Option{
		nats.ConnectHandler(e.connected),
		nats.DisconnectErrHandler(e.lost),
		nats.ReconnectErrHandler(e.attemptFailed),
		nats.ReconnectHandler(e.reconnected),
		nats.ClosedHandler(e.closed),
		nats.ErrorHandler(e.failed),
	}
}

func (e *events) connected(nc *nats.Conn) {
	e.status.set(nc, true, time.Now())
	e.reason = ""
	e.log.Info("nats connected", "conn", nc.Opts.Name, "server", nc.ConnectedServerName())
}

func (e *events) lost(nc *nats.Conn, err error) {
	if nc.IsClosed() { // by us
		return
	}
	e.status.set(nc, false, time.Now())
	e.reason = networkReason
	e.log.Warn("nats connection lost, reconnecting", "conn", nc.Opts.Name, "err", err)
}

func (e *events) attemptFailed(nc *nats.Conn, err error) {
	if r := reasonOf(err); r != e.reason {
		e.reason = r
		e.log.Warn("nats cannot be reached, retrying", "conn", nc.Opts.Name, "err", err)
		return
	}
	e.log.Debug("nats attempt failed", "conn", nc.Opts.Name, "err", err)
}

func (e *events) reconnected(nc *nats.Conn) {
	e.status.reconnected(nc, time.Now())
	e.reason = ""
	e.log.Info("nats reconnected", "conn", nc.Opts.Name, "server", nc.ConnectedServerName())
}

func (e *events) closed(nc *nats.Conn) {
	e.status.closed(nc)
	e.log.Debug("nats connection closed", "conn", nc.Opts.Name)
}

// failed handles asynchronous errors.
func (e *events) failed(nc *nats.Conn, sub *nats.Subscription, err error) {
	switch {
	case errors.Is(err, nats.ErrSlowConsumer) && sub != nil:
		if suppressed, ok := e.status.slowed(sub, time.Now()); ok {
			e.log.Warn("nats messages dropped", "conn", nc.Opts.Name,
				"subject", sub.Subject, "suppressed", suppressed, "err", err)
		}
	case nc.IsConnected() || nc.IsDraining():
		e.log.Error("nats error", "conn", nc.Opts.Name, "err", err)
	default: // refused credentials are reported here, once per attempt
		e.attemptFailed(nc, err)
	}
}

// networkReason stands for all network errors: with several servers, their texts differ
// from attempt to attempt.
const networkReason = "network"

func reasonOf(err error) string {
	if _, ok := errors.AsType[net.Error](err); ok || errors.Is(err, io.EOF) ||
		errors.Is(err, nats.ErrNoServers) || errors.Is(err, io.ErrClosedPipe) {
		return networkReason
	}
	return err.Error()
}
