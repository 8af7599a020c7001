package room

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log"
	"github.com/confab-chat/confab/shared/admin"
	"github.com/confab-chat/confab/shared/config"
)

// storage is whether the message log is there. Its zero value: it is not. Safe for
// concurrent use.
type storage struct{ there atomic.Bool }

const (
	// attempt bounds one attempt to make the streams, and retryEvery is the time
	// between two. A cluster that starts takes some seconds.
	provisionTimeout = 10 * time.Second
	retryEvery       = time.Second
)

// provision makes the streams, as often as it takes. Its error is an
// *config.Error: the log exists with settings that differ.
func (st *storage) provision(ctx context.Context, nc *nats.Conn, c log.Config, logger *slog.Logger) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("open jetstream: %w", err)
	}
	for said := ""; ; {
		once, cancel := context.WithTimeout(ctx, provisionTimeout)
		err := log.Provision(once, js, c)
		cancel()
		switch {
		case err == nil:
			st.there.Store(true)
			logger.Info("message log is there", "event", "log.ready")
			return nil
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, log.ErrMismatch):
			return &config.Error{Problems: []config.Problem{
				config.Bad("CONFAB_LOG_STREAMS", err.Error(), ""),
			}}
		case err.Error() != said:
			said = err.Error()
			logger.Warn("waiting for the message log", "event", "log.wait", "err", err)
		}
		select {
		case <-time.After(retryEvery):
		case <-ctx.Done():
			return nil
		}
	}
}

// ready is the readiness check of the log.
func (st *storage) ready() admin.Result {
	if st.there.Load() {
		return admin.Result{}
	}
	return admin.Result{Status: admin.Fail, Output: "the streams of the message log are not made yet"}
}

// state is what the heartbeat says of the log.
func (st *storage) state() (wire.State, string) {
	if st.there.Load() {
		return wire.StateOK, ""
	}
	return wire.StateStarting, "waiting for the message log"
}

// natsReady is the readiness check of the connection: NATS may be away for a while.
func (s *service) natsReady() admin.Result {
	lost := s.status.State().LostFor(time.Now())
	switch grace := s.cfg.ReadyNATSGrace; {
	case lost == 0:
		return admin.Result{}
	case grace > 0 && lost > grace:
		return admin.Result{Status: admin.Fail, Output: "NATS is away for " + lost.Round(time.Second).String()}
	default:
		return admin.Result{Status: admin.Warn, Output: "NATS is away"}
	}
}
