package endpoint_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/services/monitor/internal/api"
	"github.com/confab-chat/confab/services/monitor/internal/collect"
	"github.com/confab-chat/confab/services/monitor/internal/collect/collecttest"
	"github.com/confab-chat/confab/services/monitor/internal/endpoint"
	"github.com/confab-chat/confab/shared/natstest"
)

// serve runs the endpoints until the test ends and returns a client.
func serve(t *testing.T, version string) (*collect.Collector, *natstest.Server, *nats.Conn) {
	t.Helper()
	c, server := collecttest.Start(t)
	nc := server.Conn(t)
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := endpoint.Serve(ctx, nc, "m-1", version, c); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { stop(); wg.Wait() })
	client := server.Conn(t)
	collecttest.Until(t, nil, "endpoints serve", func() bool {
		_, err := client.Request(subject.APIStats, nil, time.Second)
		_, err2 := client.Request(subject.APIHealth, nil, time.Second)
		return err == nil && err2 == nil
	})
	return c, server, client
}

// ask returns the HTTP status and the body as the edge would.
func ask(t *testing.T, nc *nats.Conn, subj, payload string) (int, []byte) {
	t.Helper()
	m, err := nc.Request(subj, []byte(payload), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	status, err := strconv.Atoi(m.Header.Get(subject.HeaderStatus))
	if err != nil {
		t.Fatal(err)
	}
	return status, m.Data
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	_, server, client := serve(t, "1.2.3")
	all := collecttest.Cluster(t, server.Conn(t))
	collecttest.Until(t, all, "healthy", func() bool {
		status, data := ask(t, client, subject.APIHealth, "")
		var h api.Health
		if err := json.Unmarshal(data, &h); err != nil {
			t.Fatal(err)
		}
		return status == http.StatusOK && h.Status == api.Healthy
	})
	tests := []struct {
		cursor   string
		status   int
		contains string
	}{
		{"", http.StatusOK, `"details":[{"roomId"`},
		{"MSA8aW1nIHNyYz14Pg", http.StatusOK, `"details":[]`}, // the only room
		{"nonsense", http.StatusBadRequest, "BAD_REQUEST"},
		{"cursor=%zz", http.StatusBadRequest, "BAD_REQUEST"},
	}
	for _, test := range tests {
		status, data := ask(t, client, subject.APIStats, test.cursor)
		if status != test.status || !strings.Contains(string(data), test.contains) {
			t.Errorf("%q: %d %.200s, want %d with %s", test.cursor, status, data, test.status, test.contains)
		}
	}
}

// 503 is a body like any other, and not the status by which NATS reports "no responders".
func TestUnhealthyHasABody(t *testing.T) {
	natstest.VirtualTime(t, func(t *testing.T) {
		_, _, client := serve(t, "1.2.3")
		collecttest.Until(t, nil, "unhealthy", func() bool {
			status, data := ask(t, client, subject.APIHealth, "")
			return status == http.StatusServiceUnavailable && strings.Contains(string(data), `"unhealthy"`)
		})
	})
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]string{
		"1.2.3": "1.2.3", "v1.2.3-rc.1": "1.2.3-rc.1", "devel-0123456789ab": "0.0.0", "": "0.0.0",
	} {
		t.Run("version "+version, func(t *testing.T) {
			t.Parallel()
			_, _, client := serve(t, version)
			m, err := client.Request("$SRV.INFO.confab-monitor", nil, 5*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			var info micro.Info
			if err := json.Unmarshal(m.Data, &info); err != nil {
				t.Fatal(err)
			}
			if info.Version != want || info.Metadata["instance"] != "m-1" || info.Metadata["version"] != version {
				t.Errorf("info %+v", info)
			}
		})
	}
}

func TestClosedConnection(t *testing.T) {
	t.Parallel()
	c, server := collecttest.Start(t)
	nc := server.Conn(t)
	nc.Close()
	if err := endpoint.Serve(t.Context(), nc, "m-1", "1.2.3", c); err == nil {
		t.Error("no error on a closed connection")
	}
}
