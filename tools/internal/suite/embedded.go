package suite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/confab-chat/confab/shared/lifecycle"
)

// embeddedReady is how long the embedded server may take to recover its files.
// 800 000 messages took 0.3 s; a killed server rebuilds its index, which is slower.
const embeddedReady = 60 * time.Second

// embedded is a nats-server with JetStream inside this process. It listens nowhere: the
// services reach it over in-process connections. run restarts it when its files
// could not be written and now can: after a failed write a nats-server refuses writes until it
// is restarted. InProcessConn may be called concurrently.
type embedded struct {
	// Static.
	dir     string // must not be in use by another server
	durable bool   // every acknowledgement waits for the disk
	log     *slog.Logger

	mu     sync.Mutex // guards server
	server *server.Server
}

// InProcessConn implements nats.InProcessConnProvider.
func (e *embedded) InProcessConn() (net.Conn, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.server == nil {
		return nil, errors.New("the embedded nats-server restarts")
	}
	return e.server.InProcessConn()
}

// start starts the server.
func (e *embedded) start() error {
	s, err := server.NewServer(&server.Options{
		ServerName: "confab",
		DontListen: true,
		NoSigs:     true,
		JetStream:  true,
		StoreDir:   e.dir,
		SyncAlways: e.durable,
		// One connection carries a whole service, so a short stall must not cut it.
		MaxPending:    64 << 20,
		WriteDeadline: 5 * time.Second,
	})
	if err != nil {
		return fmt.Errorf("embedded nats-server: %w", err)
	}
	s.SetLoggerV2(natsLog{e.log.With("component", "nats-server")}, false, false, false)
	go s.Start() // ends with Shutdown, which WaitForShutdown waits for
	if !s.ReadyForConnections(embeddedReady) {
		err = fmt.Errorf("embedded nats-server: not ready after %v", embeddedReady)
	} else if !s.JetStreamEnabled() {
		err = errors.New("embedded nats-server: JetStream could not start")
	}
	if err != nil {
		s.Shutdown()
		s.WaitForShutdown()
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.server = s
	return nil
}

// stop ends the server, unless it has ended.
func (e *embedded) stop() {
	e.mu.Lock()
	s := e.server
	e.server = nil
	e.mu.Unlock()
	if s != nil {
		s.Shutdown()
		s.WaitForShutdown()
	}
}

const (
	// healthEvery is how often the server is asked for its health. It is started again when it
	// has been unhealthy twice in a row, its folder can be written, and the last start was
	// restartPause ago.
	healthEvery  = 2 * time.Second
	restartPause = 20 * time.Second

	// spareBytes must be free in the folder before the server is started again.
	spareBytes = 4 << 20
)

// run restarts the server when that is the remedy, until ctx ends.
func (e *embedded) run(ctx context.Context) error {
	tick := time.NewTicker(healthEvery)
	defer tick.Stop()
	var failed int
	var startedAt time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		why := e.unhealthy()
		if failed++; why == "" {
			failed = 0
		}
		if failed < 2 || time.Since(startedAt) < restartPause || !hasSpace(e.dir) {
			continue
		}
		e.log.Error("the embedded nats-server starts again", "event", "nats.restart", "reason", why)
		startedAt = time.Now()
		e.stop()
		if err := e.start(); err != nil {
			e.log.Error("the embedded nats-server does not start", "event", "nats.restart", "err", err)
		}
	}
}

// unhealthy returns why the server needs a restart, empty if it does not.
func (e *embedded) unhealthy() string {
	e.mu.Lock()
	s := e.server
	e.mu.Unlock()
	if s == nil {
		return "it does not run"
	}
	if h := s.Healthz(&server.HealthzOptions{}); h.StatusCode != http.StatusOK {
		return h.Error
	}
	return ""
}

// hasSpace reports whether spareBytes can be written to a folder.
func hasSpace(dir string) bool {
	f, err := os.CreateTemp(dir, ".space-")
	if err != nil {
		return false
	}
	_, err = f.Write(make([]byte, spareBytes))
	return errors.Join(err, f.Close(), os.Remove(f.Name())) == nil
}

// PrepareDataDir makes the folder and proves that it can be written; its error is
// an *lifecycle.IOError.
func PrepareDataDir(dir string) error {
	probe := filepath.Join(dir, ".writable")
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		err = os.WriteFile(probe, nil, 0o600)
	}
	if err == nil {
		err = os.Remove(probe)
	}
	if path, ok := errors.AsType[*os.PathError](err); ok {
		err = path.Err
	}
	if err != nil {
		return &lifecycle.IOError{What: "CONFAB_DATA_DIR=" + dir, Err: err}
	}
	return nil
}

// natsLog passes the server's notices to slog; its debug and trace output is off.
type natsLog struct{ log *slog.Logger }

func (l natsLog) Noticef(format string, v ...any) {
	l.log.Debug("notice", "text", fmt.Sprintf(format, v...))
}
func (l natsLog) Warnf(format string, v ...any) {
	l.log.Warn("warning", "text", fmt.Sprintf(format, v...))
}
func (l natsLog) Errorf(format string, v ...any) {
	l.log.Error("error", "text", fmt.Sprintf(format, v...))
}
func (l natsLog) Fatalf(format string, v ...any) {
	l.log.Error("fatal", "text", fmt.Sprintf(format, v...))
}
func (natsLog) Debugf(string, ...any) {}
func (natsLog) Tracef(string, ...any) {}
