package suite

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/confab-chat/confab/shared/lifecycle"
)

// embeddedReady is how long the embedded server may take to recover its files.
// 800 000 messages took 0.3 s; a killed server rebuilds its index, which is slower.
const embeddedReady = 60 * time.Second

// startNATS starts a nats-server with JetStream inside this process. It listens
// nowhere: the services reach it over in-process connections. durable makes every
// acknowledgement wait for the disk. The folder must not be in use by another one.
func startNATS(dir string, durable bool, log *slog.Logger) (*server.Server, error) {
	s, err := server.NewServer(&server.Options{
		ServerName: "confab",
		DontListen: true,
		NoSigs:     true,
		JetStream:  true,
		StoreDir:   dir,
		SyncAlways: durable,
		// One connection carries a whole service, so a short stall must not cut it.
		MaxPending:    64 << 20,
		WriteDeadline: 5 * time.Second,
	})
	if err != nil {
		return nil, fmt.Errorf("embedded nats-server: %w", err)
	}
	s.SetLoggerV2(natsLog{log.With("component", "nats-server")}, false, false, false)
	go s.Start() // ends with Shutdown, which WaitForShutdown waits for
	if !s.ReadyForConnections(embeddedReady) {
		s.Shutdown()
		s.WaitForShutdown()
		return nil, fmt.Errorf("embedded nats-server: not ready after %v", embeddedReady)
	}
	if !s.JetStreamEnabled() {
		s.Shutdown()
		s.WaitForShutdown()
		return nil, errors.New("embedded nats-server: JetStream could not start")
	}
	return s, nil
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
