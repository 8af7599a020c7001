// Package endpoint is the NATS side of monitor's answers: the edges' port asks
// here for /websocket/health and /websocket/stats. It is a nats.go micro service,
// so "nats micro" lists every monitor with its requests and errors.
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

// Serve answers until ctx ends. The monitors of a cluster share the requests.
// The error is that of a closed connection.
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

// respond gives the HTTP status in a header. Nobody hears an error: whoever
// asked has gone, or NATS has.
func respond(r micro.Request, a collect.Answer) {
	_ = r.Respond(a.Body, micro.WithHeaders(micro.Headers{
		subject.HeaderStatus: {strconv.Itoa(a.Status)},
	}))
}

// semver is what micro demands of a version.
var semver = regexp.MustCompile(`^v?(\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?)$`)

// semantic is version if it is a semantic one, else 0.0.0; the true one stands
// in the metadata.
func semantic(version string) string {
	if m := semver.FindStringSubmatch(version); m != nil {
		return m[1]
	}
	return "0.0.0"
}
