package edge

import (
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/services/edge/internal/auth"
	"github.com/confab-chat/confab/services/edge/internal/codec"
	"github.com/confab-chat/confab/services/edge/internal/codec/engineio"
	"github.com/confab-chat/confab/services/edge/internal/codec/socketio"
	"github.com/confab-chat/confab/services/edge/internal/listen"
	"github.com/confab-chat/confab/services/edge/internal/socketio/engine"
	"github.com/confab-chat/confab/services/edge/internal/socketio/namespace"
	"github.com/confab-chat/confab/services/edge/internal/socketio/peers"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
	"github.com/confab-chat/confab/shared/config"
)

// SocketIO is the settings of the Socket.IO door, named as there.
type SocketIO struct {
	PingInterval   time.Duration `env:"PING_INTERVAL" envDefault:"25s" min:"50ms" max:"10m" doc:"Engine.IO: time between pings"`
	PingTimeout    time.Duration `env:"PING_TIMEOUT" envDefault:"20s" min:"50ms" max:"10m" doc:"Engine.IO: who has not answered a ping by then has gone"`
	ConnectTimeout time.Duration `env:"CONNECT_TIMEOUT" envDefault:"45s" min:"50ms" max:"10m" doc:"Socket.IO: from the connection to the first namespace"`
	MaxPayload     int           `env:"MAX_PAYLOAD" envDefault:"1000000" min:"1024" max:"1000000" doc:"Engine.IO: bytes of a body that long-polling posts"`
}

// Paths of the doors.
const (
	pathSocketIO = "/socket.io/"
	pathEngineIO = "/engine.io/" // conformance only
)

// namespaces are those that serve the contract: the main one, and its own.
func (c Config) namespaces() []string {
	return slices.Compact([]string{c.Namespace, socketio.Main})
}

// codecs are those of all doors, by their places in the hub.
func (e *edge) codecs() []codec.Codec {
	all := []codec.Codec{e.codec()}
	for _, name := range e.cfg.namespaces() {
		all = append(all, e.socketCodec(name))
	}
	return all
}

// socketCodec is the codec of a Socket.IO namespace.
func (e *edge) socketCodec(name string) codec.Codec {
	if e.cfg.EscapeHTML == "none" {
		return socketio.Codec{Namespace: name}
	}
	return codec.Escaped{Codec: socketio.Codec{Namespace: name}}
}

// socketDoors makes the doors for Socket.IO and, in conformance mode, for Engine.IO
// alone.
func (e *edge) socketDoors(verifier auth.Verifier) error {
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

// socketNamespaces are all namespaces; in conformance mode the main one is bare.
func (e *edge) socketNamespaces() []namespace.Namespace {
	var all []namespace.Namespace
	for i, name := range e.cfg.namespaces() {
		if e.cfg.Conformance && name == socketio.Main {
			continue
		}
		all = append(all, namespace.Namespace{
			Codec: socketio.Codec{Namespace: name}, Place: uint8(nativePlace + 1 + i),
		})
	}
	if e.cfg.Conformance {
		all = append(all,
			namespace.Namespace{Codec: socketio.Codec{Namespace: socketio.Main}, Bare: true, Echo: true},
			namespace.Namespace{Codec: socketio.Codec{Namespace: "/custom"}, Bare: true})
	}
	return all
}

func (e *edge) engineOptions() engine.Options {
	sio := e.cfg.SocketIO
	o := engine.Options{
		Loops: e.loops.Loops(), PingInterval: sio.PingInterval, PingTimeout: sio.PingTimeout, MaxPayload: sio.MaxPayload,
		Heartbeat: e.cfg.heartbeat(), Origins: e.cfg.AllowedOrigins, QueryToken: e.cfg.AllowQueryToken, Logger: e.log,
		// The listener is made later, and is there when the first client comes.
		Admit: func(peer netip.Addr) (func(), *code.Error) { return e.server.AdmitSession(peer) },
		Conn:  conn.Options{Limits: ws.DefaultLimits(), QueueBytes: e.cfg.QueueBytes, Budget: e.budget, Heartbeat: -1, Logger: e.log},
	}
	if e.cfg.Conformance { // the suites try the limit that the protocol names
		o.Conn.Limits.Message = sio.MaxPayload
		o.Conn.QueueBytes = max(e.cfg.QueueBytes, 4*sio.MaxPayload)
	}
	return o
}

// engineRoute lets WebSockets through to an engine.
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

// withEngines puts long-polling in front of what else is served over HTTP.
func (e *edge) withEngines(site http.Handler) http.Handler {
	mux := http.NewServeMux()
	for _, s := range e.engines {
		mux.Handle(s.Path+"{$}", s.Handler())
	}
	mux.Handle("/", site)
	return mux
}

// connStats are the counters of all doors' connections.
func (e *edge) connStats() []*conn.Stats {
	all := e.server.ConnStats()
	for _, s := range e.engines {
		all = append(all, s.ConnStats()...)
	}
	return all
}

// badNamespace is what is wrong with the setting.
func badNamespace(name string) []config.Problem {
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f || c == ',' || c == '"' || c == '\\' || c == '?' {
			return []config.Problem{config.Bad("NAMESPACE", "must have no blanks, commas, quotes or question marks", "/chat")}
		}
	}
	if name == "" || name[0] != '/' {
		return []config.Problem{config.Bad("NAMESPACE", "must start with /", "/chat")}
	}
	return nil
}
