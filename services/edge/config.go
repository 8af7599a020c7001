package edge

import (
	"strings"
	"time"

	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/shared/config"
	"github.com/confab-chat/confab/shared/devtoken"
	"github.com/confab-chat/confab/shared/lifecycle"
)

// Config holds the settings of the edge.
type Config struct {
	config.Common `default:"ADMIN_ADDR=127.0.0.1:9101"`
	config.Origins
	config.Limits

	Addr        string `env:"EDGE_ADDR" envDefault:":3001" doc:"public listener: WebSocket, Socket.IO, health, demo page"`
	DataDir     string `env:"DATA_DIR" envDefault:"./.confab" doc:"folder of the development secret and, in the all-in-one, of the embedded NATS server"`
	TLSCertFile string `env:"EDGE_TLS_CERT_FILE" doc:"certificate chain (PEM) of the public listener, reloaded when it changes; empty: no TLS"`
	TLSKeyFile  string `env:"EDGE_TLS_KEY_FILE" doc:"private key (PEM) of the certificate"`
	Namespace   string `env:"NAMESPACE" envDefault:"/chat" doc:"Socket.IO namespace"`
	Loops       int    `env:"EDGE_LOOPS" envDefault:"0" min:"0" max:"256" doc:"event loops; 0: one per CPU"`
	IO          string `env:"EDGE_IO" envDefault:"auto" oneof:"auto epoll goroutine" doc:"how connections are read: by epoll loops, or by two goroutines per connection; auto: epoll on Linux, goroutines elsewhere"`
	NATSConns   int    `env:"EDGE_NATS_CONNS" envDefault:"2" min:"1" max:"16" doc:"number of NATS connections; rooms are spread over them"`
	Conformance bool   `env:"EDGE_CONFORMANCE" envDefault:"false" doc:"endpoints for protocol test suites (/conformance/echo, /engine.io/, Socket.IO namespaces without chat); refused in production"`

	Secret          config.Secret `env:"AUTH_HMAC_SECRET" doc:"secret that signs tokens (HS256), at least 32 bytes; required in production, otherwise generated once in DATA_DIR/dev-secret"`
	Issuer          string        `env:"AUTH_ISSUER" doc:"value that the claim iss of a token must have; empty: any"`
	Audience        string        `env:"AUTH_AUDIENCE" doc:"value that the claim aud of a token must contain; empty: any"`
	Leeway          time.Duration `env:"AUTH_LEEWAY" envDefault:"5s" min:"0s" max:"30s" doc:"how far the clock of the token issuer may be ahead; applies to nbf and iat"`
	AllowQueryToken bool          `env:"AUTH_ALLOW_QUERY_TOKEN" envDefault:"false" development:"true" doc:"accept the token in the query, ?token=; refused in production"`

	EnableHeartbeat   bool          `env:"ENABLE_HEARTBEAT" envDefault:"true" doc:"send the ping event at each heartbeat interval"`
	HeartbeatInterval time.Duration `env:"HEARTBEAT_INTERVAL" envDefault:"30s" min:"1s" doc:"time between pings; a connection that sends nothing for two intervals is closed with 4002"`
	QueueBytes        int           `env:"OUTBOUND_QUEUE_BYTES" envDefault:"262144" min:"65536" doc:"bytes that may be queued for one client; a connection over it is closed with 4000"`

	SocketIO SocketIO `envPrefix:"SOCKETIO_"`

	TotalBytes int64 `env:"OUTBOUND_TOTAL_BYTES" envDefault:"0" min:"0" doc:"bytes that may be queued for all clients together; over it the slow connections are closed with 4000; 0: a quarter of GOMEMLIMIT, or unbounded without it"`

	EscapeHTML    string `env:"ESCAPE_HTML" envDefault:"socketio" oneof:"none socketio all" doc:"protocols whose clients get user texts escaped for HTML: none, socketio, or all (also the native protocol)"`
	DefaultRoom   string `env:"DEFAULT_ROOM" doc:"room that every connection joins"`
	PresenceScope string `env:"PRESENCE_SCOPE" envDefault:"all" production:"rooms" oneof:"all rooms" doc:"who is notified of a user's presence: all other users, or those in the same rooms"`

	HandshakeRate float64 `env:"HANDSHAKE_RATE" envDefault:"0" min:"0" doc:"handshakes per second; more are refused with 503; 0: unlimited"`
	PerIP         int     `env:"LIMIT_CONNECTIONS_PER_IP" envDefault:"0" min:"0" doc:"connections per client address (IPv6: per /64); more are refused with 429; 0: unlimited"`
	PerUser       int     `env:"LIMIT_CONNECTIONS_PER_USER" envDefault:"0" min:"0" doc:"connections per user on one edge; more are closed with 4504; 0: unlimited"`

	PermitTimeout time.Duration `env:"EDGE_PERMIT_TIMEOUT" envDefault:"50ms" min:"1ms" max:"4s" doc:"how long to wait for ratelimit's answer; after that the edge decides alone, at half the limit"`

	DrainDelay    time.Duration `env:"DRAIN_DELAY" envDefault:"0s" production:"5s" min:"0s" doc:"delay between failing /readyz and disconnecting clients"`
	DrainWindow   time.Duration `env:"DRAIN_WINDOW" envDefault:"1s" production:"45s" min:"0s" doc:"window over which disconnects are spread"`
	NATSLostClose time.Duration `env:"EDGE_NATS_LOST_CLOSE" envDefault:"0s" min:"0s" doc:"how long an edge without NATS keeps its clients; 0: forever"`
}

// flushTime is the part of a shutdown that follows the drain.
const flushTime = 10 * time.Second

// Validate implements config.Validator.
func (c Config) Validate(e config.Env) (found []config.Problem) {
	found = config.CheckAddr("EDGE_ADDR", c.Addr)
	require := func(ok bool, name, reason, example string) {
		if !ok {
			found = append(found, config.Bad(name, reason, example))
		}
	}
	require(!c.Secret.IsSet() || len(c.Secret.Value()) >= devtoken.MinSecret, "AUTH_HMAC_SECRET", "must have at least 32 bytes", "")
	require((c.TLSCertFile == "") == (c.TLSKeyFile == ""),
		"EDGE_TLS_CERT_FILE", "and CONFAB_EDGE_TLS_KEY_FILE must both be set, or none", "")
	require(c.DefaultRoom == "" || event.ValidRoomID(c.DefaultRoom), "DEFAULT_ROOM", "must be 1 to 64 of A-Z a-z 0-9 _ - . : /", "global")
	forbidden := strings.IndexFunc(c.Namespace, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`,"\?`, r) })
	require(forbidden < 0, "NAMESPACE", "must have no blanks, commas, quotes or question marks", "/chat")
	require(forbidden >= 0 || strings.HasPrefix(c.Namespace, "/"), "NAMESPACE", "must start with /", "/chat")
	shutdown := c.DrainDelay + c.DrainWindow + flushTime
	require(shutdown <= c.ShutdownTimeout, "SHUTDOWN_TIMEOUT", "must be at least CONFAB_DRAIN_DELAY + CONFAB_DRAIN_WINDOW + 10s", shutdown.String())
	if e == config.Production {
		require(c.Secret.IsSet(), "AUTH_HMAC_SECRET", "is required in production", "")
		require(!c.AllowQueryToken, "AUTH_ALLOW_QUERY_TOKEN", "must not be true in production: URLs end up in logs", "false")
		require(!c.Conformance, "EDGE_CONFORMANCE", "must not be true in production", "false")
	}
	return found
}

// idle returns how long a connection may stay open without any byte (client
// contract, section 6), and how often that is checked.
func (c Config) idle() (every, after time.Duration) {
	switch c.Env {
	case config.Production:
		return 5 * time.Minute, 30 * time.Minute
	case config.Test:
		return 30 * time.Second, time.Minute
	}
	return 2 * time.Minute, 10 * time.Minute
}

// heartbeat returns the time between two pings. A connection that sends nothing for
// two intervals is closed, never later than the idle limit.
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
