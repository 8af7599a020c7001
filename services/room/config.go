package room

import (
	"net/url"
	"strings"
	"time"

	"github.com/confab-chat/confab/services/room/internal/sequencer"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log"
	"github.com/confab-chat/confab/services/room/internal/shard/users/presence"
	"github.com/confab-chat/confab/shared/config"
)

// Values of CONFAB_DURABILITY.
const (
	durable = "durable"
	fast    = "fast"
)

// Config holds the settings of the room service.
type Config struct {
	config.Common `default:"ADMIN_ADDR=127.0.0.1:9102"`

	Durability string `env:"DURABILITY" envDefault:"durable" oneof:"durable fast" doc:"what an acknowledged message survives: durable: a power failure (requires sync_interval: always on the NATS servers), fast: the end of a process"`
	Streams    int    `env:"LOG_STREAMS" envDefault:"8" min:"1" max:"64" doc:"number of streams of the message log; fixed once they are created"`
	Replicas   int    `env:"LOG_REPLICAS" envDefault:"1" min:"1" max:"5" doc:"replicas of the message log and of the leases: 1, or 3 on a cluster"`

	NATSMonitorURL string `env:"NATS_MONITOR_URL" example:"http://127.0.0.1:8222" doc:"monitoring URLs of the NATS servers, comma separated; used at start to check that durable is true"`

	HistoryMaxAge     time.Duration `env:"HISTORY_MAX_AGE" envDefault:"168h" min:"0s" doc:"messages older than this are removed; 0: never. The last 1 000 of a room are always kept"`
	HistoryMaxPerRoom int           `env:"HISTORY_MAX_PER_ROOM" envDefault:"10000" min:"1000" doc:"minimum number of messages kept of a room, unless they are older than HISTORY_MAX_AGE; the last 1 000 and those of the last 10 minutes are always kept"`

	PresenceScope string `env:"PRESENCE_SCOPE" envDefault:"all" production:"rooms" oneof:"all rooms" doc:"who is notified of a user's presence: all other users, or those in the same rooms"`
}

// Validate checks rules that the tags cannot express.
func (c Config) Validate(config.Env) []config.Problem {
	var found []config.Problem
	if c.Replicas%2 == 0 {
		found = append(found, config.Bad("LOG_REPLICAS", "must be odd, so that a majority remains when one fails", "3"))
	}
	for server := range strings.SplitSeq(c.NATSMonitorURL, ",") {
		u, err := url.Parse(strings.TrimSpace(server))
		if c.NATSMonitorURL != "" && (err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https") {
			found = append(found, config.Bad("NATS_MONITOR_URL", "must be http addresses of NATS servers", "http://127.0.0.1:8222"))
			break
		}
	}
	return found
}

func (c Config) log() log.Config {
	return log.Config{Streams: c.Streams, Replicas: c.Replicas, Durable: c.Durability == durable}
}

func (c Config) retention() sequencer.Retention {
	return sequencer.Retention{MaxAge: c.HistoryMaxAge, MaxMessages: uint64(c.HistoryMaxPerRoom)}
}

func (c Config) scope() presence.Scope {
	if c.PresenceScope == "rooms" {
		return presence.ScopeRooms
	}
	return presence.ScopeAll
}

// sweepTimes returns how often rooms without members are checked, and after which idle
// time they are dropped.
func (c Config) sweepTimes() (every, idle time.Duration) {
	switch c.Env {
	case config.Production:
		return 5 * time.Minute, 30 * time.Minute
	case config.Test:
		return 30 * time.Second, time.Minute
	}
	return 2 * time.Minute, 10 * time.Minute
}
