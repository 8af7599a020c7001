package ratelimit

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/confab-chat/confab/services/ratelimit/internal/endpoint"
	"github.com/confab-chat/confab/shared/natsconn"
)

// instrument registers the metrics. They read the endpoint's counters, so a permit costs
// nothing extra.
func instrument(meter metric.Meter, status *natsconn.Status, permits *endpoint.Endpoint) error {
	decisions, err1 := meter.Int64ObservableCounter("chat.ratelimit.decisions",
		metric.WithUnit("{decision}"), metric.WithDescription("Permits granted and denied."))
	malformed, err2 := meter.Int64ObservableCounter("chat.ratelimit.malformed",
		metric.WithUnit("{request}"), metric.WithDescription("Malformed permit requests (indicates a bug in an edge)."))
	keys, err3 := meter.Int64ObservableGauge("chat.ratelimit.keys",
		metric.WithUnit("{key}"), metric.WithDescription("Keys (user and action) with recent permits."))
	evicted, err6 := meter.Int64ObservableCounter("chat.ratelimit.evicted",
		metric.WithUnit("{key}"), metric.WithDescription("Keys in use that were dropped because their shard was full: these users may exceed their limit."))
	shards, err4 := meter.Int64ObservableGauge("chat.ratelimit.shards",
		metric.WithUnit("{shard}"), metric.WithDescription("Shards owned."))
	leases, err5 := meter.Int64ObservableCounter("chat.ratelimit.leases",
		metric.WithUnit("{lease}"), metric.WithDescription("Leases of users' limits, by outcome: given to edges, claimed by edges after a change of owner, recalled, unanswered recalls."))
	if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil {
		return fmt.Errorf("make permit metrics: %w", err)
	}
	_, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for _, d := range permits.Decisions() {
			limit := attribute.String("chat.limit", d.Action)
			o.ObserveInt64(decisions, int64(d.Granted), metric.WithAttributes(limit, attribute.String("outcome", "allow")))
			o.ObserveInt64(decisions, int64(d.Denied), metric.WithAttributes(limit, attribute.String("outcome", "deny")))
		}
		load := permits.Load()
		n := permits.Leases()
		for outcome, count := range map[string]uint64{"given": n.Given, "claimed": n.Claimed, "recalled": n.Recalled, "unanswered": n.Unanswered} {
			o.ObserveInt64(leases, int64(count), metric.WithAttributes(attribute.String("outcome", outcome)))
		}
		o.ObserveInt64(malformed, int64(permits.Malformed()))
		o.ObserveInt64(evicted, int64(permits.Evicted()))
		o.ObserveInt64(keys, int64(load.Keys))
		o.ObserveInt64(shards, int64(len(load.Shards)))
		return nil
	}, decisions, malformed, keys, evicted, shards, leases)
	if err != nil {
		return fmt.Errorf("register permit metrics: %w", err)
	}
	return status.Register(meter)
}
