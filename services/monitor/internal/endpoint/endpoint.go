// Package endpoint answers the edges over NATS: an edge forwards requests for
// /websocket/health and /websocket/stats to it. It is a nats.go micro service, so
// "nats micro" lists every monitor with its requests and errors.
package endpoint

import (
	"context"
	"fmt"
	"regexp"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/services/monitor/internal/collect"
)

// Serve answers until ctx ends. The monitors of a cluster share the requests. It returns
// an error if the connection is closed.
func Serve(ctx context.Context, nc *nats.Conn, instance, version string, c *collect.Collector) error {
	service, err := micro.AddService(nc, micro.Config{
		Name:        "confab-monitor",
		Version:     semantic(version),
		Description: "health and statistics of the cluster",
		Metadata:    map[string]string{"instance": instance, "version": version},
	})
	if err != nil {
		return fmt.Errorf("serve the monitor's endpoints: %w", err)
	}
	// The connection may be gone already; then the subscriptions are too.
	defer func() { _ = service.Stop() }()
	for name, e := range map[string]struct {
		subject string
		answer  func(cursor string) collect.Answer
	}{
		"health": {subject.APIHealth, func(string) collect.Answer { return c.Health() }},
		"stats":  {subject.APIStats, c.Stats},
	} {
		err := service.AddEndpoint(name, micro.HandlerFunc(func(r micro.Request) {
			respond(r, e.answer(string(r.Data())))
		}), micro.WithEndpointSubject(e.subject))
		if err != nil {
			return fmt.Errorf("serve %s: %w", e.subject, err)
		}
	}
	<-ctx.Done()
	return nil
}

// respond sends an answer with the HTTP status in a header. It ignores errors: if the
// response cannot be sent, the requester times out.
func respond(r micro.Request, a collect.Answer) {
	_ = r.Respond(a.Body, micro.WithHeaders(micro.Headers{
		subject.HeaderStatus: {strconv.Itoa(a.Status)},
	}))
}

// semver matches the versions that micro accepts.
var semver = regexp.MustCompile(`^v?(\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?)$`)

// semantic returns version if it is a semantic version, else 0.0.0. The metadata holds
// the version as it is.
func semantic(version string) string {
	if m := semver.FindStringSubmatch(version); m != nil {
		return m[1]
	}
	return "0.0.0"
}
