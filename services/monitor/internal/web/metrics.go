package web

import (
	"strings"
	"unicode"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/confab-chat/confab/services/monitor/internal/aggregate"
	"github.com/confab-chat/confab/services/monitor/internal/api"
	"github.com/confab-chat/confab/services/monitor/internal/collect"
)

// cluster exposes the fleet to Prometheus. Labels are services, instances and closed
// lists, never rooms or users. Unknown values are left out: a series that ends shows
// that the value is unknown, a zero would not.
type cluster struct{ c *collect.Collector }

// Describe implements prometheus.Collector. It describes nothing: which counters exist
// depends on what the services report.
func (*cluster) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (m *cluster) Collect(out chan<- prometheus.Metric) {
	health, stats, counters := m.c.Snapshot()
	e := exposition{out}
	for _, state := range []api.State{api.Healthy, api.Degraded, api.Unhealthy} {
		e.gauge("chat_cluster_state", "The cluster's health: 1 for the state it is in.",
			number(health.Status == state), label{"state", string(state)})
	}
	e.gauge("chat_cluster_complete", "Whether every instance that should report does: 1 or 0.", number(stats.Complete))
	e.optional("chat_cluster_connections", "Client connections.", stats.Connections.Current)
	e.optional("chat_cluster_users", "Users online.", health.WebSocket.ConnectedUsers)
	e.optional("chat_cluster_rooms", "Rooms with members.", stats.Rooms.Active)
	e.optional("chat_cluster_typing_users", "Users typing.", health.WebSocket.TotalTypingUsers)
	for _, in := range stats.Instances {
		e.instance(in)
	}
	for name, l := range stats.Latency {
		for quantile, ms := range map[string]float64{"0.5": l.P50Ms, "0.95": l.P95Ms, "0.99": l.P99Ms} {
			e.gauge("chat_cluster_latency_seconds", "Quantiles over the last minute; upper bounds, at most 25 % too high.",
				ms/1000, label{"operation", name}, label{"quantile", quantile})
		}
	}
	for _, c := range counters {
		e.counter(c)
	}
	e.send(prometheus.CounterValue, "chat_monitor_rejected_messages_total",
		"NATS messages rejected because they do not match the instance in their subject.", float64(m.c.Rejected()))
}

type label struct{ name, value string }

type exposition struct{ out chan<- prometheus.Metric }

func (e exposition) send(kind prometheus.ValueType, name, help string, value float64, labels ...label) {
	names, values := make([]string, len(labels)), make([]string, len(labels))
	for i, l := range labels {
		names[i], values[i] = l.name, l.value
	}
	desc := prometheus.NewDesc(name, help, names, nil)
	metric, err := prometheus.NewConstMetric(desc, kind, value, values...)
	if err != nil { // a label that is not UTF-8: shown as an error of the scrape
		metric = prometheus.NewInvalidMetric(desc, err)
	}
	e.out <- metric
}

func (e exposition) gauge(name, help string, value float64, labels ...label) {
	e.send(prometheus.GaugeValue, name, help, value, labels...)
}

// optional exposes a gauge, unless its value is unknown (nil).
func (e exposition) optional(name, help string, value *int) {
	if value != nil {
		e.gauge(name, help, float64(*value))
	}
}

func (e exposition) instance(in api.Instance) {
	labels := []label{{"service", in.Service.Service}, {"instance", in.Instance}}
	e.gauge("chat_instance_up", "Whether a listed instance reports: 1, or 0 when it is stale or missing.",
		number(!in.Status.Silent()), labels...)
	e.gauge("chat_instance_ok", "Whether a listed instance reports and says that it is ok: 1 or 0.",
		number(in.Status == api.StatusOK), labels...)
	e.send(prometheus.CounterValue, "chat_instance_lost_heartbeats_total",
		"Heartbeats of a listed instance that did not arrive.", float64(in.LostHeartbeats), labels...)
	switch {
	case in.Edge != nil:
		e.gauge("chat_instance_connections", "Client connections of an edge.", float64(in.Edge.Connections), labels...)
	case in.Room != nil:
		e.gauge("chat_instance_shards", "Shards that an instance owns.", float64(len(in.Room.Shards)), labels...)
	case in.Limit != nil:
		e.gauge("chat_instance_shards", "Shards that an instance owns.", float64(len(in.Limit.Shards)), labels...)
	}
}

// counter exposes a counter of the services as chat_cluster_<name>_total. It leaves out
// names that are not camel case; no service of ours reports one.
func (e exposition) counter(c aggregate.Counter) {
	if name, ok := snake(c.Name); ok {
		e.send(prometheus.CounterValue, "chat_cluster_"+name+"_total",
			"Sum of the services' counter "+c.Name+".", float64(c.Value), label{"service", c.Service})
	}
}

// snake turns roomsCreated into rooms_created.
func snake(camel string) (string, bool) {
	var b strings.Builder
	for i, r := range camel {
		switch {
		case r >= 'a' && r <= 'z':
		case r >= 'A' && r <= 'Z' && i > 0:
			b.WriteByte('_')
		default:
			return "", false
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String(), b.Len() > 0
}

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
