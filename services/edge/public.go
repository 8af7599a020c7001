package edge

import (
	"crypto/tls"
	"time"

	"github.com/confab-chat/confab/services/edge/internal/auth"
	"github.com/confab-chat/confab/services/edge/internal/codec/native"
	"github.com/confab-chat/confab/services/edge/internal/listen"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
	"github.com/confab-chat/confab/services/edge/internal/web"
	"github.com/confab-chat/confab/shared/cert"
	"github.com/confab-chat/confab/shared/config"
)

// listen opens the public port and routes its paths.
func (e *edge) listen(verifier auth.Verifier, secret []byte) error {
	if err := e.serveSocketIO(verifier); err != nil {
		return err
	}
	pages := web.Options{NATS: e.conns[0], Origins: e.cfg.AllowedOrigins, Logger: e.log}
	if e.cfg.Env != config.Production {
		pages.DevSecret = secret
	}
	routes := []listen.Route{{
		Path: "/ws", Only: true, Verifier: verifier, Subprotocol: native.Subprotocol,
		Gate: func(h *listen.Handshake) (conn.Handler, error) {
			return e.core.NewWebSocket(h.Loop, h.Identity, nativePlace), nil
		},
		Conn: conn.Options{
			QueueBytes: e.cfg.QueueBytes, Budget: e.budget, Heartbeat: e.cfg.heartbeat(), Logger: e.log,
		},
	}}
	for _, s := range e.engines {
		routes = append(routes, engineRoute(s))
	}
	if e.cfg.Conformance {
		echo := conn.ConformanceOptions()
		echo.Logger = e.log
		routes = append(routes, listen.Route{
			Path: "/conformance/echo", Only: true, Conn: echo,
			Gate: func(*listen.Handshake) (conn.Handler, error) { return conn.EchoHandler{}, nil },
		})
	}
	tlsConfig, err := e.tls()
	if err != nil {
		return err
	}
	e.server, err = listen.New(listen.Options{
		Group: e.loops, Routes: routes, HTTP: e.withEngines(web.Handler(pages)), Origins: e.cfg.AllowedOrigins, Rate: e.cfg.HandshakeRate,
		PerIP: listen.PerIP{Connections: e.cfg.PerIP}, AllowQueryToken: e.cfg.AllowQueryToken, TLS: tlsConfig, Logger: e.log,
	})
	if err != nil {
		return err
	}
	e.ln, err = e.deps.Listen("CONFAB_EDGE_ADDR", e.cfg.Addr)
	return err
}

// tls returns the TLS configuration of the public listener, or nil for plain TCP.
func (e *edge) tls() (*tls.Config, error) {
	if e.cfg.TLSCertFile == "" {
		return nil, nil
	}
	pair, err := cert.Load(e.cfg.TLSCertFile, e.cfg.TLSKeyFile, e.log, time.Now)
	if err != nil {
		return nil, &config.Error{Problems: []config.Problem{config.Bad("EDGE_TLS_CERT_FILE", err.Error(), "")}}
	}
	return pair.Config(), nil
}
