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

// varz is the part of a NATS server's /varz that matters here.
type varz struct {
	Name      string `json:"server_name"`
	JetStream struct {
		Config *struct {
			SyncAlways bool `json:"sync_always"`
		} `json:"config"` // nil: JetStream is disabled
	} `json:"jetstream"`
}

const (
	varzTimeout = 2 * time.Second
	maxVarz     = 1 << 20
)

// checkDurability checks that the NATS servers sync every write, as
// CONFAB_DURABILITY=durable promises. The error, a *config.Error, names a server that does
// not. Servers that do not reply are logged. An embedded server is not checked.
func (s *service) checkDurability(ctx context.Context) error {
	if s.cfg.Durability != durable || s.deps.NATS != nil {
		return nil
	}
	if s.cfg.NATSMonitorURL == "" {
		s.logger.Warn("cannot check that NATS syncs every write: CONFAB_NATS_MONITOR_URL is not set",
			"event", "log.durability")
		return nil
	}
	for url := range strings.SplitSeq(s.cfg.NATSMonitorURL, ",") {
		v, err := fetchVarz(ctx, strings.TrimSpace(url))
		switch {
		case err != nil:
			s.logger.Warn("cannot check that a NATS server syncs every write",
				"event", "log.durability", "err", err)
		case v.JetStream.Config != nil && !v.JetStream.Config.SyncAlways:
			reason := fmt.Sprintf("is not true of NATS server %q: its jetstream block must say sync_interval: always", v.Name)
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
