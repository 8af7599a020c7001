package log

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/subject"
)

// probeTimeout bounds one request of Probe, Inspect and PurgeProbes.
const probeTimeout = time.Second

// Probe appends an empty record to the probe subject of a shard, which belongs to no room, and
// waits until it is stored. The errors are those of Append, except ErrConflict.
func Probe(ctx context.Context, nc *nats.Conn, shard int) error {
	m, err := ask(ctx, nc, subject.LogProbe(shard), nil)
	if err != nil {
		return fmt.Errorf("probe shard %d: %w: %w", shard, ErrUncertain, err)
	}
	if _, err := parseAck(m.Data); err != nil {
		return fmt.Errorf("probe shard %d: %w", shard, err)
	}
	return nil
}

// PurgeProbes removes the probes of a shard but the last one.
func PurgeProbes(ctx context.Context, nc *nats.Conn, stream string, shard int) error {
	body, err := json.Marshal(struct {
		Filter string `json:"filter"`
		Keep   int    `json:"keep"`
	}{subject.LogProbe(shard), 1})
	if err != nil {
		panic(err) // a string and an integer
	}
	if _, err := ask(ctx, nc, apiPurge+stream, body); err != nil {
		return fmt.Errorf("purge the probes of %s: %w", stream, err)
	}
	return nil
}

// Info is what JetStream says about a stream.
type Info struct {
	Leader    string // the server that stores first; empty while there is none
	Clustered bool
	Behind    []string // replicas that are offline or not up to date
}

// Inspect returns what JetStream says about a stream. ErrNoStream: there is none with that
// name. ErrRefused: JetStream answers with an error. ErrUncertain: it does not answer.
func Inspect(ctx context.Context, nc *nats.Conn, stream string) (Info, error) {
	m, err := ask(ctx, nc, apiInfo+stream, nil)
	if err != nil {
		return Info{}, fmt.Errorf("inspect %s: %w: %w", stream, ErrUncertain, err)
	}
	var r struct {
		Error   *apiError `json:"error"`
		Cluster *struct {
			Name     string `json:"name"`
			Leader   string `json:"leader"`
			Replicas []struct {
				Name    string `json:"name"`
				Current bool   `json:"current"`
				Offline bool   `json:"offline"`
			} `json:"replicas"`
		} `json:"cluster"`
	}
	if err := json.Unmarshal(m.Data, &r); err != nil {
		return Info{}, fmt.Errorf("inspect %s: %w: %w", stream, ErrRefused, err)
	}
	switch {
	case r.Error != nil && r.Error.ErrCode == codeNoStream:
		return Info{}, fmt.Errorf("inspect %s: %w", stream, ErrNoStream)
	case r.Error != nil:
		return Info{}, fmt.Errorf("inspect %s: %w", stream, r.Error.err())
	case r.Cluster == nil:
		return Info{}, nil
	}
	info := Info{Leader: r.Cluster.Leader, Clustered: r.Cluster.Name != ""}
	for _, p := range r.Cluster.Replicas {
		if p.Offline || !p.Current {
			info.Behind = append(info.Behind, p.Name)
		}
	}
	return info, nil
}

const codeNoStream = 10059

func ask(ctx context.Context, nc *nats.Conn, subj string, data []byte) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	return nc.RequestWithContext(ctx, subj, data)
}
