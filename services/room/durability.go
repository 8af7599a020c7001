package room

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/confab-chat/confab/shared/config"
)

// varz is what a NATS server's monitoring port says of itself, as far as it matters.
type varz struct {
	Name      string `json:"server_name"`
	JetStream struct {
		Config *struct {
			SyncAlways bool `json:"sync_always"`
		} `json:"config"` // nil: the server stores nothing
	} `json:"jetstream"`
}

const (
	varzTimeout = 2 * time.Second
	maxVarz     = 1 << 20
)

// keepsPromise checks that NATS does what CONFAB_DURABILITY=durable says, as far as
// its servers can be asked. The error, an *config.Error, names one that does not; who
// does not answer is logged. An embedded server needs no asking.
func (s *service) checkDurability(ctx context.Context) error {
	if s.cfg.Durability != durable || s.deps.NATS != nil {
		return nil
	}
	if s.cfg.NATSMonitorURL == "" {
		s.logger.Warn("whether NATS writes to the disk before it acknowledges cannot be seen: set CONFAB_NATS_MONITOR_URL to have it checked",
			"event", "log.durability")
		return nil
	}
	for url := range strings.SplitSeq(s.cfg.NATSMonitorURL, ",") {
		v, err := fetchVarz(ctx, strings.TrimSpace(url))
		switch {
		case err != nil:
			s.logger.Warn("a NATS server does not say whether it writes to the disk before it acknowledges",
				"event", "log.durability", "err", err)
		case v.JetStream.Config != nil && !v.JetStream.Config.SyncAlways:
			reason := fmt.Sprintf("promises what NATS server %q does not do: its jetstream block must say sync_interval: always", v.Name)
			return &config.Error{Problems: []config.Problem{config.Bad("CONFAB_DURABILITY", reason, fast)}}
		}
	}
	return nil
}

func fetchVarz(ctx context.Context, url string) (v varz, err error) {
	ctx, cancel := context.WithTimeout(ctx, varzTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(url, "/")+"/varz", nil)
	if err != nil {
		return v, err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return v, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return v, fmt.Errorf("%s: %s", req.URL, resp.Status)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxVarz)).Decode(&v); err != nil {
		return v, fmt.Errorf("%s: %w", req.URL, err)
	}
	return v, nil
}
