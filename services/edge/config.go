package edge

import (
	"time"

	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/shared/config"
	"github.com/confab-chat/confab/shared/devtoken"
	"github.com/confab-chat/confab/shared/lifecycle"
)

// Config is the settings of the edge.
type Config struct {
	config.Common `default:"ADMIN_ADDR=127.0.0.1:9101"`
	config.Origins
	config.Limits

	Addr        string `env:"EDGE_ADDR" envDefault:":3001" doc:"public listener: WebSocket, Socket.IO, health, demo page"`
	DataDir     string `env:"DATA_DIR" envDefault:"./.confab" doc:"folder of the embedded NATS server's files and of the development secret"`
	TLSCertFile string `env:"EDGE_TLS_CERT_FILE" doc:"certificate chain (PEM) of the public listener, read again when it changes; empty: no TLS"`
	TLSKeyFile  string `env:"EDGE_TLS_KEY_FILE" doc:"its key (PEM)"`
	Namespace   string `env:"NAMESPACE" envDefault:"/chat" doc:"Socket.IO namespace"`
	Loops       int    `env:"EDGE_LOOPS" envDefault:"0" min:"0" max:"256" doc:"event loops; 0: one a CPU"`
	IO          string `env:"EDGE_IO" envDefault:"auto" oneof:"auto epoll goroutine" doc:"how connections are read: epoll loops, or a pair of goroutines each; auto takes epoll where there is one"`
	NATSConns   int    `env:"EDGE_NATS_CONNS" envDefault:"2" min:"1" max:"16" doc:"NATS connections that rooms are spread over"`
	Conformance bool   `env:"EDGE_CONFORMANCE" envDefault:"false" doc:"test doors for protocol suites (/conformance/echo, /engine.io/, bare Socket.IO namespaces); refused in production"`

	Secret          config.Secret `env:"AUTH_HMAC_SECRET" doc:"secret that tokens are signed with (HS256), at least 32 bytes; outside production generated once into DATA_DIR/dev-secret"`
	Issuer          string        `env:"AUTH_ISSUER" doc:"tokens must have this iss"`
	Audience        string        `env:"AUTH_AUDIENCE" doc:"tokens must have this aud"`
	Leeway          time.Duration `env:"AUTH_LEEWAY" envDefault:"5s" min:"0s" max:"30s" doc:"how much the clock of who issues tokens may be ahead: for nbf and iat"`
	AllowQueryToken bool          `env:"AUTH_ALLOW_QUERY_TOKEN" envDefault:"false" development:"true" doc:"accept ?token=; refused in production"`

	EnableHeartbeat   bool          `env:"ENABLE_HEARTBEAT" envDefault:"true" doc:"send the ping event each heartbeat interval"`
	HeartbeatInterval time.Duration `env:"HEARTBEAT_INTERVAL" envDefault:"30s" min:"1s" doc:"time between pings; a connection that sends no byte in two of them is closed 4002"`
	QueueBytes        int           `env:"OUTBOUND_QUEUE_BYTES" envDefault:"262144" min:"65536" doc:"what may wait for a client that reads slowly; over it the connection is closed 4000"`

	SocketIO SocketIO `envPrefix:"SOCKETIO_"`

	TotalBytes int64 `env:"OUTBOUND_TOTAL_BYTES" envDefault:"0" min:"0" doc:"what may wait for all clients together; over it those that are behind are closed 4000; 0: a quarter of GOMEMLIMIT, or no bound without that"`

	EscapeHTML    string `env:"ESCAPE_HTML" envDefault:"socketio" oneof:"none socketio all" doc:"on which doors texts of users are escaped for HTML; native clients encode on output unless it is all"`
	DefaultRoom   string `env:"DEFAULT_ROOM" doc:"room that every connection joins"`
	PresenceScope string `env:"PRESENCE_SCOPE" envDefault:"all" production:"rooms" oneof:"all rooms" doc:"who is notified of a user's presence: all other users, or those in the same rooms"`

	HandshakeRate float64 `env:"HANDSHAKE_RATE" envDefault:"0" min:"0" doc:"handshakes a second; more are answered 503; 0: off"`
	PerIP         int     `env:"LIMIT_CONNECTIONS_PER_IP" envDefault:"0" min:"0" doc:"connections of one address; more are answered 429; 0: off"`
	PerUser       int     `env:"LIMIT_CONNECTIONS_PER_USER" envDefault:"0" min:"0" doc:"connections of one user on this edge; more are closed 4504; 0: off"`

	PermitTimeout time.Duration `env:"EDGE_PERMIT_TIMEOUT" envDefault:"50ms" min:"1ms" max:"4s" doc:"how long ratelimit may take for a permit; after it the edge decides by itself, at half the limit"`

	DrainDelay    time.Duration `env:"DRAIN_DELAY" envDefault:"0s" production:"5s" min:"0s" doc:"from failing /readyz to letting clients go"`
	DrainWindow   time.Duration `env:"DRAIN_WINDOW" envDefault:"1s" production:"45s" min:"0s" doc:"over which clients are let go"`
	NATSLostClose time.Duration `env:"EDGE_NATS_LOST_CLOSE" envDefault:"0s" min:"0s" doc:"how long an edge that is cut off from NATS keeps its clients; 0: for ever"`
}

// flushTime is what a shutdown needs beside the drain.
const flushTime = 10 * time.Second

// Validate checks what no single value shows.
func (c Config) Validate(e config.Env) (found []config.Problem) {
	found = append(found, config.CheckAddr("EDGE_ADDR", c.Addr)...)
	if c.Secret.IsSet() && len(c.Secret.Value()) < devtoken.MinSecret {
		found = append(found, config.Bad("AUTH_HMAC_SECRET", "must have at least 32 bytes", ""))
	}
	if (c.TLSCertFile == "") != (c.TLSKeyFile == "") {
		found = append(found, config.Bad("EDGE_TLS_CERT_FILE", "and CONFAB_EDGE_TLS_KEY_FILE must both be set, or none", ""))
	}
	if c.DefaultRoom != "" && !event.ValidRoomID(c.DefaultRoom) {
		found = append(found, config.Bad("DEFAULT_ROOM", "must be 1 to 64 of A-Z a-z 0-9 _ - . : /", "global"))
	}
	found = append(found, badNamespace(c.Namespace)...)
	if c.DrainDelay+c.DrainWindow+flushTime > c.ShutdownTimeout {
		found = append(found, config.Bad("SHUTDOWN_TIMEOUT", "must be at least CONFAB_DRAIN_DELAY + CONFAB_DRAIN_WINDOW + 10s",
			(c.DrainDelay+c.DrainWindow+flushTime).String()))
	}
	if e != config.Production {
		return found
	}
	if !c.Secret.IsSet() {
		found = append(found, config.Bad("AUTH_HMAC_SECRET", "is required in production", ""))
	}
	if c.AllowQueryToken {
		found = append(found, config.Bad("AUTH_ALLOW_QUERY_TOKEN", "must not be true in production: URLs end up in logs", "false"))
	}
	if c.Conformance {
		found = append(found, config.Bad("EDGE_CONFORMANCE", "must not be true in production", "false"))
	}
	return found
}

// idle is how long a connection may stay without any byte (the contract, section
// 6), and how often that is looked at.
func (c Config) idle() (every, after time.Duration) {
	switch c.Env {
	case config.Production:
		return 5 * time.Minute, 30 * time.Minute
	case config.Test:
		return 30 * time.Second, time.Minute
	}
	return 2 * time.Minute, 10 * time.Minute
}

// heartbeat is the time between two pings. A connection that sends nothing is closed
// after two of it; never later than idle connections are to be.
func (c Config) heartbeat() time.Duration {
	_, idle := c.idle()
	return min(c.HeartbeatInterval, idle/2)
}

// Service describes the edge to lifecycle.Main.
func Service() lifecycle.Service[Config] {
	return lifecycle.Service[Config]{
		Name:    wire.ServiceEdge,
		Summary: "holds client connections and fans messages out to them",
		Run:     Run,
	}
}
