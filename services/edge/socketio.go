package edge

import (
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/engineio"
	"github.com/confab-chat/confab/proto/socketio"
	"github.com/confab-chat/confab/services/edge/internal/auth"
	"github.com/confab-chat/confab/services/edge/internal/codec"
	"github.com/confab-chat/confab/services/edge/internal/codec/native"
	"github.com/confab-chat/confab/services/edge/internal/codec/sio"
	"github.com/confab-chat/confab/services/edge/internal/listen"
	"github.com/confab-chat/confab/services/edge/internal/socketio/engine"
	"github.com/confab-chat/confab/services/edge/internal/socketio/namespace"
	"github.com/confab-chat/confab/services/edge/internal/socketio/peers"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
	"github.com/confab-chat/confab/services/edge/internal/web"
)

// SocketIO holds the settings of the Socket.IO server. They have the names that the
// reference implementation gives them.
type SocketIO struct {
	PingInterval   time.Duration `env:"PING_INTERVAL" envDefault:"25s" min:"50ms" max:"10m" doc:"Engine.IO: time between pings"`
	PingTimeout    time.Duration `env:"PING_TIMEOUT" envDefault:"20s" min:"50ms" max:"10m" doc:"Engine.IO: time to answer a ping; a client that does not is disconnected"`
	ConnectTimeout time.Duration `env:"CONNECT_TIMEOUT" envDefault:"45s" min:"50ms" max:"10m" doc:"Socket.IO: time from connecting to joining a namespace"`
	MaxPayload     int           `env:"MAX_PAYLOAD" envDefault:"1000000" min:"1024" max:"1000000" doc:"Engine.IO: largest body of a long-polling POST, in bytes"`
}

// Paths of the engines.
const (
	pathSocketIO = "/socket.io/"
	pathEngineIO = "/engine.io/" // conformance only
)

// namespaces returns the namespaces that serve the contract: the configured one and the
// main one.
func (c Config) namespaces() []string {
	return slices.Compact([]string{c.Namespace, socketio.Main})
}

// codecs returns all codecs, by their indexes in the hub: the native one, and one for each
// namespace.
func (e *edge) codecs() []codec.Codec {
	all := []codec.Codec{native.Codec{}}
	for _, name := range e.cfg.namespaces() {
		all = append(all, sio.Codec{Namespace: name})
	}
	for i, c := range all {
		if e.cfg.EscapeHTML == "all" || e.cfg.EscapeHTML == "socketio" && i != nativePlace {
			all[i] = codec.Escaped{Codec: c}
		}
	}
	return all
}

// serveSocketIO makes the engine of Socket.IO and, in conformance mode, one of Engine.IO
// alone.
func (e *edge) serveSocketIO(verifier auth.Verifier) error {
	e.peers = peers.New(e.conns[0], e.relay, e.log)
	client := namespace.New(namespace.Options{
		Core: e.core, Verifier: verifier, Namespaces: e.socketNamespaces(), ConnectTimeout: e.cfg.SocketIO.ConnectTimeout,
		Peers: e.peers, Logger: e.log,
	})
	o := e.engineOptions()
	o.Path, o.Open, o.Peers = pathSocketIO, client.Open, e.peers
	server := engine.New(o)
	e.engines = append(e.engines, server)
	if e.cfg.Conformance {
		o := e.engineOptions()
		o.Path, o.Open = pathEngineIO, func(engine.Request) engine.Handler { return engine.Echo{} }
		e.engines = append(e.engines, engine.New(o))
	}
	return e.peers.Serve(peers.Handlers{Poll: server.ServePeer, Recover: client.Release})
}

// socketNamespaces returns all namespaces. In conformance mode the main one is bare.
func (e *edge) socketNamespaces() []namespace.Namespace {
	var all []namespace.Namespace
	for i, name := range e.cfg.namespaces() {
		if e.cfg.Conformance && name == socketio.Main {
			continue
		}
		all = append(all, namespace.Namespace{
			Codec: sio.Codec{Namespace: name}, Place: uint8(nativePlace + 1 + i),
		})
	}
	if e.cfg.Conformance {
		all = append(all,
			namespace.Namespace{Codec: sio.Codec{Namespace: socketio.Main}, Bare: true, Echo: true},
			namespace.Namespace{Codec: sio.Codec{Namespace: "/custom"}, Bare: true})
	}
	return all
}

func (e *edge) engineOptions() engine.Options {
	sio := e.cfg.SocketIO
	o := engine.Options{
		Loops: e.loops.Loops(), PingInterval: sio.PingInterval, PingTimeout: sio.PingTimeout, MaxPayload: sio.MaxPayload,
		Heartbeat: e.cfg.heartbeat(), Origins: e.cfg.AllowedOrigins, QueryToken: e.cfg.AllowQueryToken,
		// The server is made later, but before the first client connects.
		Admit: func(peer netip.Addr) (func(), *code.Error) { return e.server.AdmitSession(peer) },
		Conn:  conn.Options{Limits: ws.DefaultLimits(), QueueBytes: e.cfg.QueueBytes, Budget: e.budget, Heartbeat: -1, Logger: e.log},
	}
	if e.cfg.Conformance { // the suites test the limit that the protocol document names
		o.Conn.Limits.Message = sio.MaxPayload
		o.Conn.QueueBytes = max(e.cfg.QueueBytes, 4*sio.MaxPayload)
	}
	return o
}

// engineRoute returns the route of WebSockets to an engine.
func engineRoute(s *engine.Server) listen.Route {
	return listen.Route{
		Path: s.Path, Home: s.Home, Conn: s.Conn,
		Gate: func(h *listen.Handshake) (conn.Handler, error) {
			handler, err := s.Gate(h.Loop, h.Query, h.Token)
			if fault, ok := err.(engineio.Fault); ok {
				return nil, &listen.Answer{Status: fault.Status(), Body: fault.Body()}
			}
			return handler, err
		},
	}
}

// withEngines serves long-polling on the engines' paths, and site on all others.
func (e *edge) withEngines(site http.Handler) http.Handler {
	mux := http.NewServeMux()
	for _, s := range e.engines {
		mux.Handle(s.Path+"{$}", web.CORS.Handler(e.cfg.AllowedOrigins, s))
	}
	mux.Handle("/", site)
	return mux
}

// connStats returns the counters of all connections: one for each loop of the WebSocket
// server and of each engine.
func (e *edge) connStats() []*conn.Stats {
	all := e.server.ConnStats()
	for _, s := range e.engines {
		all = append(all, s.ConnStats()...)
	}
	return all
}
