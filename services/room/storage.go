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

// storage reports whether the message log exists. The zero value reports that it does not.
// All methods may be called concurrently.
type storage struct{ exists atomic.Bool }

const (
	// provisionTimeout bounds one attempt to create the streams, and retryEvery is the time
	// between two. A cluster takes some seconds to start.
	provisionTimeout = 10 * time.Second
	retryEvery       = time.Second
)

// provision creates the streams, and retries until ctx ends. Its error is a *config.Error:
// the streams exist with other settings.
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
			st.exists.Store(true)
			logger.Info("message log is ready", "event", "log.ready")
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

// logReady is the readiness check of the message log.
func (s *service) logReady() admin.Result {
	if !s.log.exists.Load() {
		return admin.Result{Status: admin.Fail, Output: "the streams of the message log do not exist yet"}
	}
	switch st := s.watch.State(); {
	case st.Stuck:
		return admin.Result{Status: admin.Fail, Output: st.Note}
	case st.Note != "":
		return admin.Result{Status: admin.Warn, Output: st.Note}
	}
	return admin.Result{}
}

// makeStreams makes the streams of the log that are missing.
func (s *service) makeStreams(ctx context.Context) error {
	js, err := jetstream.New(s.conn)
	if err != nil {
		return fmt.Errorf("open jetstream: %w", err)
	}
	return log.Provision(ctx, js, s.cfg.log())
}

// state returns what the heartbeat reports about the message log.
func (st *storage) state() (wire.State, string) {
	if st.exists.Load() {
		return wire.StateOK, ""
	}
	return wire.StateStarting, "waiting for the message log"
}

// natsReady is the readiness check of the NATS connection, which may be down for a while.
func (s *service) natsReady() admin.Result {
	lost := s.status.State().LostFor(time.Now())
	switch grace := s.cfg.ReadyNATSGrace; {
	case lost == 0:
		return admin.Result{}
	case grace > 0 && lost > grace:
		return admin.Result{Status: admin.Fail, Output: "the NATS connection has been lost for " + lost.Round(time.Second).String()}
	default:
		return admin.Result{Status: admin.Warn, Output: "the NATS connection is lost"}
	}
}
