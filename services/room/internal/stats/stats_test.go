package stats_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/stats"
	"github.com/confab-chat/confab/shared/telemetry"
)

func TestInstruments(t *testing.T) {
	t.Parallel()
	tel, err := telemetry.New(t.Context(), telemetry.Options{Service: wire.ServiceRoom, Log: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	c := stats.New(slog.New(slog.DiscardHandler))
	if err := c.Register(tel.Meter, func() wire.RoomLoad { return wire.RoomLoad{Rooms: 3, Users: 4} }); err != nil {
		t.Fatal(err)
	}
	c.CountStored(5, 3*time.Millisecond)
	c.Duplicates.Add(2)
	w := httptest.NewRecorder()
	telemetry.Handler(tel.Gatherer).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		`chat_messages_accepted_total{outcome="ok"`, `chat_messages_accepted_total{outcome="duplicate"`,
		"chat_rooms_active{", "chat_users_online{", `chat_sequence_gaps_total{chat_side="room"`,
		"chat_log_append_duration_seconds_count{",
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %s", want)
		}
	}
	if h := c.Appends(); h.Count != 1 || c.Messages.Load() != 5 {
		t.Errorf("%d appends, %d messages", h.Count, c.Messages.Load())
	}
}

// An outage of the log fills no disk with lines.
func TestFailuresAreLoggedOnceASecond(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c := stats.New(slog.New(slog.NewTextHandler(&out, nil)))
	for range 1000 {
		c.CountRetry(errors.New("no answer"))
	}
	if n := strings.Count(out.String(), "\n"); n == 0 || n > 3 || c.Retries.Load() != 1000 {
		t.Errorf("%d lines, %d counted", n, c.Retries.Load())
	}
}
