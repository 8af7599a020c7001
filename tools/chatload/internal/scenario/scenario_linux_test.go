package scenario_test

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/confab-chat/confab/tools/chatload/internal/dialect"
	"github.com/confab-chat/confab/tools/chatload/internal/dialect/dialecttest"
	"github.com/confab-chat/confab/tools/chatload/internal/proc"
	"github.com/confab-chat/confab/tools/chatload/internal/report"
	"github.com/confab-chat/confab/tools/chatload/internal/scenario"
)

// options are small, for a server of this process.
func options(t *testing.T, name string, servers ...*dialecttest.Server) scenario.Options {
	t.Helper()
	d, err := dialect.Named(name, "/chat")
	if err != nil {
		t.Fatal(err)
	}
	o := scenario.Options{
		Label: "test", DialectName: name, Dialect: d, Token: func(int) string { return "token" },
		Groups: []proc.Group{{Name: "server", Pids: []int{os.Getpid()}}}, Proc: os.DirFS("/proc"),
		Connections: 6, AtOnce: 4, Rooms: 3, Members: 4, Window: 2, Size: 64, Missed: 20, Burst: 1, Publishers: 1,
		Warm: 10 * time.Millisecond, Duration: 100 * time.Millisecond, Life: 10 * time.Millisecond, Patience: 20 * time.Second,
	}
	for _, s := range servers {
		o.Targets = append(o.Targets, s.Addr())
	}
	return o
}

func run(t *testing.T, mode string, o scenario.Options) []report.Result {
	t.Helper()
	o.Mode = mode
	results, err := scenario.All()[mode](t.Context(), o)
	if err != nil {
		t.Fatalf("%s: %v", mode, err)
	}
	return results
}

func figure(t *testing.T, r report.Result, name string) float64 {
	t.Helper()
	v, ok := r.Figures.Get(name)
	if !ok {
		t.Fatalf("%s has no figure %s: %+v", r.Mode, name, r.Figures)
	}
	return v
}

// nothingWrong checks the figures that must be zero.
func nothingWrong(t *testing.T, r report.Result) {
	t.Helper()
	for _, name := range []string{"missing", "out_of_order", "refused", "unanswered", "thrown_out", "lost", "shed"} {
		if v, ok := r.Figures.Get(name); ok && v != 0 {
			t.Errorf("%s %s: %v %s", r.Mode, name, v, r.Note)
		}
	}
}

// Every mode runs with every dialect that has it.
func TestModes(t *testing.T) {
	for _, name := range dialect.Names() {
		t.Run(name, func(t *testing.T) {
			server := dialecttest.New(t, name)
			o := options(t, name, server)

			idle := run(t, "idle", o)[0]
			if figure(t, idle, "open") != 6 {
				t.Errorf("idle: %+v", idle.Figures)
			}
			closed := run(t, "fanout", o)[0]
			nothingWrong(t, closed)
			if figure(t, closed, "deliveries_per_s") == 0 || figure(t, closed, "deliver_p50_ms") == 0 || figure(t, closed, "ack_p99_ms") == 0 {
				t.Errorf("fanout: %+v", closed.Figures)
			}
			o.Rate, o.Runs = 200, 2
			for _, r := range run(t, "fanout", o) {
				nothingWrong(t, r)
				if rate := figure(t, r, "messages_per_s"); rate <= 0 {
					t.Errorf("%v messages a second", rate)
				}
			}
			nothingWrong(t, run(t, "echo", o)[1])
			churn := run(t, "churn", o)[0]
			nothingWrong(t, churn)
			if figure(t, churn, "joined_per_s") == 0 {
				t.Errorf("churn: %+v", churn.Figures)
			}
			o.Rate = 0
			echo := run(t, "echo", o)[0]
			nothingWrong(t, echo)
			if figure(t, echo, "round_trips_per_s") == 0 {
				t.Errorf("echo: %+v", echo.Figures)
			}
			o.Rates = []float64{100, 200}
			if sweep := run(t, "sweep", o); len(sweep) != 4 {
				t.Errorf("%d results of a sweep over two rates with two runs each", len(sweep))
			}
		})
	}
}

func TestResume(t *testing.T) {
	for _, name := range []string{"native", "sio"} {
		o := options(t, name, dialecttest.New(t, name))
		o.AtOnce, o.Runs = 2, 2
		for _, r := range run(t, "resume", o) {
			nothingWrong(t, r)
			if figure(t, r, "resume_p95_ms") < figure(t, r, "resume_from_join_p95_ms") {
				t.Errorf("%+v", r.Figures)
			}
		}
	}
	o := options(t, "centrifugo", dialecttest.New(t, "centrifugo"))
	if _, err := scenario.Resume(t.Context(), o); err == nil {
		t.Error("a dialect without since resumes")
	}
}

// What the server keeps from members is counted, and so is what it refuses.
func TestLossesAreSeen(t *testing.T) {
	server := dialecttest.New(t, "native")
	o := options(t, "native", server)
	o.Rate, o.Patience = 100, 300*time.Millisecond
	server.DropNext(3)
	if r := run(t, "fanout", o)[0]; figure(t, r, "missing") != 3 {
		t.Errorf("3 were dropped: %+v", r.Figures)
	}
	o.Patience = 20 * time.Second
	server.RefuseNext(2)
	r := run(t, "fanout", o)[0]
	if figure(t, r, "refused") != 2 || figure(t, r, "missing") != 0 || !strings.Contains(r.Note, "RATE_LIMITED") {
		t.Errorf("2 were refused: %+v %s", r.Figures, r.Note)
	}
}

// Members that never read hold up nobody here, and are not counted among the missing.
// The quotient is that of the two results before and in which it stands.
func TestSlow(t *testing.T) {
	o := options(t, "native", dialecttest.New(t, "native"))
	o.Stalled, o.Publishers, o.Runs = 3, 2, 2
	results := run(t, "slow", o)
	if len(results) != 4 {
		t.Fatalf("%d results of two runs", len(results))
	}
	for i, r := range results {
		nothingWrong(t, r)
		stalled, beside := r.Setup.Get("stalled")
		if beside != (i%2 == 1) || beside && stalled != 3 {
			t.Errorf("result %d: %v stalled", i, stalled)
		}
		if beside {
			want := figure(t, r, "deliver_p99_ms") / figure(t, results[i-1], "deliver_p99_ms")
			if got := figure(t, r, "deliver_p99_to_without"); got != want {
				t.Errorf("p99 %v times that without, want %v", got, want)
			}
		}
	}
}

func TestNobodyThere(t *testing.T) {
	o := options(t, "native")
	o.Targets = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:1")}
	for mode, f := range scenario.All() {
		o.Rates = []float64{1}
		if mode == "churn" { // losses are what it counts
			continue
		}
		if _, err := f(t.Context(), o); err == nil {
			t.Errorf("%s: no error", mode)
		}
	}
}

func TestStop(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o := options(t, "native", dialecttest.New(t, "native"))
	o.Duration = time.Hour
	if _, err := scenario.Fanout(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
