// Package suite runs the whole of Confab in one process: an embedded nats-server
// and the four services over in-process connections.
package suite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge"
	"github.com/confab-chat/confab/services/monitor"
	"github.com/confab-chat/confab/services/ratelimit"
	"github.com/confab-chat/confab/services/room"
	"github.com/confab-chat/confab/shared/admin"
	"github.com/confab-chat/confab/shared/config"
	"github.com/confab-chat/confab/shared/lifecycle"
	"github.com/confab-chat/confab/shared/telemetry"
)

// Serve runs all services until ctx ends, and prints the URL to open on stdout as soon as
// it answers. Parts stop in reverse order: edge, with its clients, first, NATS last.
func Serve(ctx context.Context, s Settings, version string, stdout io.Writer) error {
	if err := PrepareDataDir(s.own.DataDir); err != nil {
		return err
	}
	unlock, err := lockDataDir(s.own.DataDir)
	if err != nil {
		return &lifecycle.IOError{What: "CONFAB_DATA_DIR=" + s.own.DataDir, Err: err}
	}
	defer unlock()
	ln, err := lifecycle.Listen("CONFAB_ADMIN_ADDR", s.own.AdminAddr)
	if err != nil {
		return err
	}
	if err := s.portsFree(); err != nil {
		return errors.Join(err, ln.Close())
	}
	suite := process{settings: s, version: version, probes: admin.New()}
	defer suite.flush()
	log, err := suite.telemetry(ctx, "confab")
	if err != nil {
		return err
	}
	if s.embedded {
		// The folder is locked, so no other process has these files open.
		server := &embedded{dir: filepath.Join(s.own.DataDir, "jetstream"), durable: s.own.Durability == "durable", log: log.Logger}
		if err := server.start(); err != nil {
			return &lifecycle.IOError{What: "CONFAB_DATA_DIR=" + s.own.DataDir, Err: err}
		}
		defer server.stop()
		suite.nats = server
	}
	parts, err := suite.parts(ctx)
	if err != nil {
		return err
	}
	if server, ok := suite.nats.(*embedded); ok {
		parts = append([]lifecycle.Part{{Name: "nats", Run: server.run}}, parts...)
	}
	parts = append([]lifecycle.Part{{Name: "admin", Run: func(ctx context.Context) error { return suite.probes.Serve(ctx, ln) }}}, parts...)
	return lifecycle.RunParts(ctx, append(parts, lifecycle.Part{Name: "welcome", Run: func(ctx context.Context) error {
		if answering(ctx, url(s.edge.Addr)+"/websocket/health") {
			welcome(stdout, s, version)
		}
		<-ctx.Done()
		return nil
	}})...)
}

// portsFree tries the public ports, so that a port in use is reported before any service
// starts. If a port is taken later, the service that needs it reports it.
func (s Settings) portsFree() error {
	for variable, addr := range map[string]string{"CONFAB_EDGE_ADDR": s.edge.Addr, "CONFAB_MONITOR_ADDR": s.monitor.Addr} {
		ln, err := lifecycle.Listen(variable, addr)
		if err != nil {
			return err
		}
		if err := ln.Close(); err != nil {
			return err
		}
	}
	return nil
}

// process is what the four services share.
type process struct {
	settings Settings
	version  string
	nats     nats.InProcessConnProvider // nil: connect to the URL
	probes   *admin.Server
	tels     []*telemetry.Telemetry
}

func (s *process) telemetry(ctx context.Context, service string) (*telemetry.Telemetry, error) {
	c := s.settings.own.Common
	tel, err := telemetry.New(ctx, telemetry.Options{
		Service: service, Version: s.version, LogLevel: c.LogLevel,
		LogText: c.LogFormat == "text", NoMetrics: !c.EnableMetrics,
	})
	if err != nil {
		return nil, &config.Error{Problems: []config.Problem{{Reason: err.Error()}}}
	}
	if c.EnableMetrics {
		s.probes.Metrics(tel.Gatherer)
	}
	s.tels = append(s.tels, tel)
	return tel, nil
}

func (s *process) flush() {
	for _, tel := range s.tels {
		lifecycle.Flush(tel)
	}
}

// parts are the services in the order in which they start.
func (s *process) parts(ctx context.Context) (parts []lifecycle.Part, err error) {
	for _, service := range []struct {
		name string
		run  func(context.Context, lifecycle.Deps) error
	}{
		{wire.ServiceMonitor, func(ctx context.Context, d lifecycle.Deps) error { return monitor.Run(ctx, s.settings.monitor, d) }},
		{wire.ServiceRateLimit, func(ctx context.Context, d lifecycle.Deps) error { return ratelimit.Run(ctx, s.settings.ratelimit, d) }},
		{wire.ServiceRoom, func(ctx context.Context, d lifecycle.Deps) error { return room.Run(ctx, s.settings.room, d) }},
		{wire.ServiceEdge, func(ctx context.Context, d lifecycle.Deps) error { return edge.Run(ctx, s.settings.edge, d) }},
	} {
		s.probes.Starting(service.name)
		tel, err := s.telemetry(ctx, service.name)
		if err != nil {
			return nil, err
		}
		deps := lifecycle.Deps{
			Identity: lifecycle.NewIdentity(service.name, s.version),
			NATS:     s.nats, Telemetry: tel, Admin: s.probes,
		}
		parts = append(parts, lifecycle.Part{Name: service.name, Run: func(ctx context.Context) error { return service.run(ctx, deps) }})
	}
	return parts, nil
}

// answering waits until a server answers at url, so that the URL is not printed before it
// works. It returns false if ctx ends first.
func answering(ctx context.Context, url string) bool {
	client := http.Client{Timeout: time.Second}
	defer client.CloseIdleConnections()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return false
		}
		if resp, err := client.Do(req); err == nil {
			resp.Body.Close()
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}

// welcome prints the URL to open.
func welcome(w io.Writer, s Settings, version string) {
	edge, monitor := url(s.edge.Addr), url(s.monitor.Addr)
	if s.edge.TLSCertFile != "" {
		edge = strings.Replace(edge, "http:", "https:", 1)
	}
	fmt.Fprintf(w, "\n  Confab %s, %s\n\n", version, s.own.Env)
	if s.own.Env != config.Production { // there the page is not served
		fmt.Fprintf(w, "  chat      %s/     open it in two tabs\n", edge)
	}
	fmt.Fprintf(w, "  health    %s/websocket/health\n", edge)
	fmt.Fprintf(w, "  monitor   %s/\n", monitor)
	fmt.Fprintf(w, "  probes    %s/readyz\n", url(s.own.AdminAddr))
	fmt.Fprintf(w, "  a token   confab token -user alice\n")
	fmt.Fprintf(w, "\n  Ctrl-C stops.\n\n")
}

// url returns a listen address as a URL for a browser on this machine.
func url(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}
