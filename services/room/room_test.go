package room_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log/logcheck"
	"github.com/confab-chat/confab/shared/admin"
	"github.com/confab-chat/confab/shared/config"
	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/shared/lifecycle"
	"github.com/confab-chat/confab/shared/natstest"
	"github.com/confab-chat/confab/shared/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func settings(tb testing.TB, environ ...string) room.Config {
	tb.Helper()
	cfg, err := config.Load[room.Config](append([]string{"CONFAB_ENV=test", "CONFAB_LOG_STREAMS=4"}, environ...))
	if err != nil {
		tb.Fatal(err)
	}
	return cfg
}

// instance is a running room service.
type instance struct {
	name string
	stop func() error // ends it gracefully
}

// run starts an instance of the service, which ends with the test.
func run(tb testing.TB, p nats.InProcessConnProvider, name string, cfg room.Config) *instance {
	tb.Helper()
	tel, err := telemetry.New(tb.Context(), telemetry.Options{Service: wire.ServiceRoom, Instance: name, Log: io.Discard})
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- room.Run(ctx, cfg, lifecycle.Deps{
			Identity: lifecycle.Identity{Service: wire.ServiceRoom, Instance: name, Gen: 1, Version: "test"},
			NATS:     p, Telemetry: tel, Admin: admin.New(),
		})
	}()
	stop := sync.OnceValue(func() error {
		cancel()
		return errors.Join(<-done, tel.Shutdown(context.Background()))
	})
	tb.Cleanup(func() {
		if err := stop(); err != nil {
			tb.Errorf("%s: %v", name, err)
		}
	})
	return &instance{name, stop}
}

// beats is the latest heartbeat of each room instance.
type beats struct {
	mu   sync.Mutex // guards last
	last map[string]wire.Heartbeat
	tel  map[string]wire.Telemetry
}

func listen(tb testing.TB, nc *nats.Conn) *beats {
	tb.Helper()
	b := &beats{last: map[string]wire.Heartbeat{}, tel: map[string]wire.Telemetry{}}
	_, err1 := nc.Subscribe(subject.HeartbeatOf(wire.ServiceRoom), func(m *nats.Msg) {
		var hb wire.Heartbeat
		if json.Unmarshal(m.Data, &hb) == nil {
			b.mu.Lock()
			b.last[hb.Instance] = hb
			b.mu.Unlock()
		}
	})
	_, err2 := nc.Subscribe(subject.TelemetryAll, func(m *nats.Msg) {
		var t wire.Telemetry
		if json.Unmarshal(m.Data, &t) == nil {
			b.mu.Lock()
			b.tel[t.Instance] = t
			b.mu.Unlock()
		}
	})
	if err := errors.Join(err1, err2); err != nil {
		tb.Fatal(err)
	}
	return b
}

// shards is how many shards an instance says it owns.
func (b *beats) shards(name string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if hb := b.last[name]; hb.Room != nil && hb.State == wire.StateOK {
		return len(hb.Room.Shards)
	}
	return -1
}

// send sends a message until it is accepted, as an edge would.
func send(tb testing.TB, nc *nats.Conn, roomID, cid string) logcheck.Ack {
	tb.Helper()
	cmd := wire.Marshal(&wire.Send{
		Origin: wire.Origin{Edge: "e", Gen: 1}, Room: roomID, User: wire.User{ID: "ann", Name: "Ann"},
		ClientID: cid, Type: "TEXT", Content: "content of " + cid,
	})
	subj := subject.RoomCommand(subject.Shard(roomID), subject.OpSend)
	var s wire.Sent
	eventually.True(tb, "message "+cid+" is accepted", func() bool {
		m, err := nc.Request(subj, cmd, time.Second)
		s = wire.Sent{}
		return err == nil && wire.Unmarshal(m.Data, &s) == nil && s.Code == ""
	})
	return logcheck.Ack{Room: roomID, User: "ann", ClientID: cid, Seq: s.Seq, Message: string(s.Message)}
}

// The service starts before NATS, works once NATS runs, shares its shards with a
// second instance, and both can be stopped: one gracefully, one by a crash.
func TestRun(t *testing.T) {
	natstest.VirtualTime(t, func(t *testing.T) {
		srv := natstest.Start(t)
		srv.Stop()
		cfg := settings(t)
		gate := srv.Gate(t)
		one := run(t, srv, "one", cfg)
		srv.Restart(t)
		nc := srv.Conn(t)
		b := listen(t, nc)
		eventually.True(t, "one owns all shards", func() bool { return b.shards("one") == subject.Shards })
		rooms := []string{"general", "a/b", "other"}
		var acks []logcheck.Ack
		say := func(what string) {
			for _, r := range rooms {
				for n := range 5 {
					acks = append(acks, send(t, nc, r, fmt.Sprint(what, n)))
				}
			}
		}
		say("alone")
		run(t, gate, "two", cfg)
		eventually.True(t, "they share the shards", func() bool { return b.shards("one") == 32 && b.shards("two") == 32 })
		say("shared")
		gate.Cut()
		say("crashed") // two does not return its shards
		eventually.True(t, "one owns all shards again", func() bool { return b.shards("one") == subject.Shards })
		gate.Open()
		eventually.True(t, "two is back", func() bool { return b.shards("one") == 32 && b.shards("two") == 32 })
		if err := one.stop(); err != nil {
			t.Fatal(err)
		}
		say("left")
		b.mu.Lock()
		if s := b.last["one"].State; s != wire.StateStopped {
			t.Errorf("the last heartbeat of one says %q", s)
		}
		b.mu.Unlock()
		for _, r := range rooms {
			logcheck.Verify(t, nc, 4, r, acks)
		}
	})
}

func TestTelemetry(t *testing.T) {
	natstest.VirtualTime(t, func(t *testing.T) {
		srv := natstest.Start(t)
		run(t, srv, "one", settings(t))
		nc := srv.Conn(t)
		b := listen(t, nc)
		send(t, nc, "general", "c1")
		join := wire.Marshal(&wire.Join{Origin: wire.Origin{Edge: "e", Gen: 1}, Room: "general", User: wire.User{ID: "ann"}})
		if _, err := nc.Request(subject.RoomCommand(subject.Shard("general"), subject.OpJoin), join, 5*time.Second); err != nil {
			t.Fatal(err)
		}
		eventually.True(t, "telemetry", func() bool {
			b.mu.Lock()
			defer b.mu.Unlock()
			tel, hb := b.tel["one"], b.last["one"]
			appends := tel.Latency[wire.LatencyAppend]
			return tel.Counters[wire.CountMessages] == 1 && appends.Count == 1 && hb.Room != nil && hb.Room.Rooms == 1 &&
				slices.ContainsFunc(tel.Rooms, func(d wire.RoomDetail) bool { return d.RoomID == "general" && d.UserCount == 1 })
		})
	})
}

// A log that was made with another number of streams ends the service with an
// error about settings.
func TestStreamCountIsFixed(t *testing.T) {
	natstest.VirtualTime(t, func(t *testing.T) {
		srv := natstest.Start(t)
		one := run(t, srv, "one", settings(t))
		nc := srv.Conn(t)
		send(t, nc, "general", "c1")
		if err := one.stop(); err != nil {
			t.Fatal(err)
		}
		tel, err := telemetry.New(t.Context(), telemetry.Options{Service: wire.ServiceRoom, Log: io.Discard})
		if err != nil {
			t.Fatal(err)
		}
		err = room.Run(t.Context(), settings(t, "CONFAB_LOG_STREAMS=8"), lifecycle.Deps{
			Identity: lifecycle.NewIdentity(wire.ServiceRoom, "test"), NATS: srv, Telemetry: tel, Admin: admin.New(),
		})
		if lifecycle.Explain(io.Discard, err) != lifecycle.ExitConfig {
			t.Errorf("got %v", err)
		}
	})
}

// The promise that an acknowledgement survives a power failure is checked where the
// NATS server can be asked.
func TestDurabilityIsChecked(t *testing.T) {
	t.Parallel()
	monitored := func(o *server.Options) { o.HTTPHost, o.HTTPPort = "127.0.0.1", server.RANDOM_PORT }
	lax, strict := natstest.Start(t, natstest.Listen, monitored), natstest.Start(t, natstest.Listen, monitored, natstest.Durable)
	for name, c := range map[string]struct {
		srv     *natstest.Server
		environ []string
		refused bool
	}{
		"durable, and it is":     {strict, nil, false},
		"durable, and it is not": {lax, nil, true},
		"one of several is not":  {strict, []string{"CONFAB_NATS_MONITOR_URL=" + monitorOf(strict) + ", " + monitorOf(lax)}, true},
		"fast":                   {lax, []string{"CONFAB_DURABILITY=fast"}, false},
		"cannot be seen":         {lax, []string{"CONFAB_NATS_MONITOR_URL="}, false},
		"nobody answers":         {strict, []string{"CONFAB_NATS_MONITOR_URL=http://127.0.0.1:1"}, false},
		"somebody else answers":  {strict, []string{"CONFAB_NATS_MONITOR_URL=" + monitorOf(strict) + "/none"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			environ := append([]string{"CONFAB_NATS_URL=" + c.srv.URL(), "CONFAB_NATS_MONITOR_URL=" + monitorOf(c.srv)}, c.environ...)
			tel, err := telemetry.New(t.Context(), telemetry.Options{Service: wire.ServiceRoom, Log: io.Discard})
			if err != nil {
				t.Fatal(err)
			}
			health := admin.New()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error, 1)
			go func() {
				done <- room.Run(ctx, settings(t, environ...), lifecycle.Deps{
					Identity: lifecycle.NewIdentity(wire.ServiceRoom, "test"), Telemetry: tel, Admin: health,
				})
			}()
			if c.refused {
				if err := <-done; lifecycle.Explain(io.Discard, err) != lifecycle.ExitConfig || !strings.Contains(err.Error(), "sync_interval") {
					t.Errorf("got %v", err)
				}
				return
			}
			nc := c.srv.Conn(t)
			send(t, nc, "general", strings.ReplaceAll(name, " ", "-"))
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

// monitorOf is the address of a server's monitoring port.
func monitorOf(srv *natstest.Server) string { return "http://" + srv.NATS().MonitorAddr().String() }

func TestSettings(t *testing.T) {
	t.Parallel()
	for name, environ := range map[string][]string{
		"even replicas":   {"CONFAB_LOG_REPLICAS=2"},
		"no stream":       {"CONFAB_LOG_STREAMS=0"},
		"too many":        {"CONFAB_LOG_STREAMS=65"},
		"window cut":      {"CONFAB_HISTORY_MAX_PER_ROOM=10"},
		"unknown promise": {"CONFAB_DURABILITY=maybe"},
		"no monitor":      {"CONFAB_NATS_MONITOR_URL=nats://here"},
		"unknown scope":   {"CONFAB_PRESENCE_SCOPE=none"},
	} {
		if _, err := config.Load[room.Config](environ); err == nil {
			t.Errorf("%s: %v is accepted", name, environ)
		}
	}
	for env, want := range map[string]string{"production": "rooms", "development": "all", "test": "all"} {
		if got := settings(t, "CONFAB_ENV="+env).PresenceScope; got != want {
			t.Errorf("presence scope in %s is %s", env, got)
		}
	}
}
