package web

import (
	"strings"
	"unicode"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/confab-chat/confab/services/monitor/internal/aggregate"
	"github.com/confab-chat/confab/services/monitor/internal/api"
	"github.com/confab-chat/confab/services/monitor/internal/collect"
)

// cluster shows the fleet to Prometheus. Labels are services, instances and
// closed lists, never rooms or users. What is unknown is left out: a series that
// ends says so, a zero would not.
type cluster struct{ c *collect.Collector }

// Describe implements prometheus.Collector. It names nothing: the counters are
// those that the services tell.
func (*cluster) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (m *cluster) Collect(out chan<- prometheus.Metric) {
	health, stats, counters := m.c.Picture()
	e := exposition{out}
	for _, state := range []api.State{api.Healthy, api.Degraded, api.Unhealthy} {
		e.gauge("chat_cluster_state", "The cluster's health: 1 for the state it is in.",
			number(health.Status == state), label{"state", string(state)})
	}
	e.gauge("chat_cluster_complete", "Whether everybody who should report is heard: 1 or 0.", number(stats.Complete))
	e.optional("chat_cluster_connections", "Client connections.", stats.Connections.Current)
	e.optional("chat_cluster_users", "Users online.", health.WebSocket.ConnectedUsers)
	e.optional("chat_cluster_rooms", "Rooms with members.", stats.Rooms.Active)
	e.optional("chat_cluster_typing_users", "Users typing.", health.WebSocket.TotalTypingUsers)
	for _, in := range stats.Instances {
		e.instance(in)
	}
	for name, l := range stats.Latency {
		for quantile, ms := range map[string]float64{"0.5": l.P50Ms, "0.95": l.P95Ms, "0.99": l.P99Ms} {
			e.gauge("chat_cluster_latency_seconds", "Quantiles of the last minute, upper bounds within 19 %.",
				ms/1000, label{"operation", name}, label{"quantile", quantile})
		}
	}
	for _, c := range counters {
		e.counter(c)
	}
	e.send(prometheus.CounterValue, "chat_monitor_refused_words_total",
		"Words on the bus that were not those of the instance in their subject.", float64(m.c.Refused()))
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

// optional leaves out what is unknown.
func (e exposition) optional(name, help string, value *int) {
	if value != nil {
		e.gauge(name, help, float64(*value))
	}
}

func (e exposition) instance(in api.Instance) {
	who := []label{{"service", in.Service.Service}, {"instance", in.Instance}}
	e.gauge("chat_instance_up", "Whether a listed instance is heard: 1, or 0 when stale or missing.",
		number(!in.Status.Silent()), who...)
	e.gauge("chat_instance_ok", "Whether a listed instance is heard and says that it is well: 1 or 0.",
		number(in.Status == api.StatusOK), who...)
	e.send(prometheus.CounterValue, "chat_instance_lost_heartbeats_total",
		"Heartbeats of a listed instance that did not arrive.", float64(in.LostHeartbeats), who...)
	switch {
	case in.Edge != nil:
		e.gauge("chat_instance_connections", "Client connections of an edge.", float64(in.Edge.Connections), who...)
	case in.Room != nil:
		e.gauge("chat_instance_shards", "Shards that an instance owns.", float64(len(in.Room.Shards)), who...)
	case in.Limit != nil:
		e.gauge("chat_instance_shards", "Shards that an instance owns.", float64(len(in.Limit.Shards)), who...)
	}
}

// counter shows a counter of the services as chat_cluster_<its name>_total. A
// name that is none, which no service of ours tells, is left out.
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
