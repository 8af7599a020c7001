package proctest_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/shared/natstest"
	"github.com/confab-chat/confab/tools/internal/cluster/clustertest"
	"github.com/confab-chat/confab/tools/internal/workload"
)

// spanSink is an OpenTelemetry collector that keeps the spans it receives.
type spanSink struct {
	mu    sync.Mutex // guards spans
	spans map[string]spanRecord
}

// spanRecord is the newest span of a name.
type spanRecord struct{ trace, id, parent string }

func (s *spanSink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var req collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &req)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, resource := range req.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			for _, span := range scope.Spans {
				s.spans[span.Name] = spanRecord{string(span.TraceId), string(span.SpanId), string(span.ParentSpanId)}
			}
		}
	}
}

// chain checks that each name is a span whose parent is the previous one, all in one trace.
func (s *spanSink) chain(names ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, name := range names {
		span, ok := s.spans[name]
		if !ok {
			return fmt.Errorf("no span %q", name)
		}
		if i == 0 {
			continue
		}
		if before := s.spans[names[i-1]]; span.trace != before.trace || span.parent != before.id {
			return fmt.Errorf("span %q does not follow from %q", name, names[i-1])
		}
	}
	return nil
}

// TestTrace: a message is one trace, from the client's event through the owner of the room to the
// fan-out. The second message has a trace of its own.
func TestTrace(t *testing.T) {
	t.Parallel()
	sink := &spanSink{spans: make(map[string]spanRecord)}
	srv := httptest.NewServer(sink)
	t.Cleanup(srv.Close)
	edge := natstest.FreeAddr(t)
	env, admin := embedded(t, "CONFAB_EDGE_ADDR="+edge, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="+srv.URL,
		"OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "OTEL_BSP_SCHEDULE_DELAY=50")
	p := clustertest.Run(t, clustertest.Binary(t, "confab"), env)
	p.WaitStatus("http://"+admin+"/readyz", 200)

	c := workload.NewClient("ws://"+edge+"/ws", "ann", nil)
	ctx, cancel := eventually.Context(t)
	var running sync.WaitGroup
	running.Go(func() {
		if err := c.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	eventually.OK(t, "ann joins", func() error {
		_, err := c.Join(ctx, "general")
		return err
	})
	for range 2 {
		if _, err := c.Send(ctx, "general", workload.Text); err != nil {
			t.Fatal(err)
		}
	}
	// The log has a refusal with the ref that the client received, and with its trace.
	refused := code.From(c.Request(ctx, "leaveRoom", map[string]string{"roomId": "elsewhere"}, nil))
	eventually.OK(t, "the refusal in the log", func() error {
		for line := range strings.Lines(p.Stdout()) {
			if strings.Contains(line, refused.Ref) && refused.Ref != "" && strings.Contains(line, "trace_id=") {
				return nil
			}
		}
		return fmt.Errorf("%q is not in the log with a trace", refused.Ref)
	})
	eventually.OK(t, "the traces", func() error {
		return errors.Join(
			sink.chain("edge sendMessage", "room send", "edge fan-out"),
			sink.chain("edge joinRoom", "room join"),
		)
	})
}
