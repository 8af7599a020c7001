package quota_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/quota"
	"github.com/confab-chat/confab/shared/natsconn"
)

// service stands for ratelimit: it answers at once with what is set.
type service struct {
	taken    wire.Taken
	err      error
	subjects []string
	timeout  time.Duration // of the last request
}

func (s *service) Do(subj string, _ nats.Header, _ []byte, timeout time.Duration, done natsconn.Done) {
	s.timeout = timeout
	s.subjects = append(s.subjects, subj)
	if s.err != nil {
		done(nil, s.err)
		return
	}
	done(&nats.Msg{Data: wire.Marshal(&s.taken)}, nil)
}

type fixture struct {
	*quota.Quota
	service *service
	now     time.Time
	logs    *bytes.Buffer
}

func setup(s service) *fixture { return patient(s, 0) }

func patient(s service, patience time.Duration) *fixture {
	f := &fixture{service: &s, now: time.Unix(1000, 0), logs: &bytes.Buffer{}}
	f.Quota = quota.New(quota.Options{
		Edge: "e1", Requester: f.service, Limits: quota.Limits{wire.ActionMessage: 5, wire.ActionJoin: 4}, Patience: patience,
		Logger: slog.New(slog.NewTextHandler(f.logs, nil)), Now: func() time.Time { return f.now },
	})
	return f
}

func TestPatience(t *testing.T) {
	t.Parallel()
	for given, want := range map[time.Duration]time.Duration{0: quota.Patience, time.Second: time.Second} {
		f := patient(service{taken: wire.Taken{OK: true}}, given)
		f.take(t, "ann", wire.ActionMessage)
		if f.service.timeout != want {
			t.Errorf("%v: waits for %v", given, f.service.timeout)
		}
	}
}

func (f *fixture) take(t *testing.T, user string, a wire.Action) quota.Decision {
	t.Helper()
	var got []quota.Decision
	f.Take(user, a, func(d quota.Decision) { got = append(got, d) })
	if len(got) != 1 {
		t.Fatalf("done ran %d times", len(got))
	}
	return got[0]
}

func TestServiceDecides(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		taken wire.Taken
		want  quota.Decision
	}{
		"granted": {wire.Taken{OK: true}, quota.Decision{OK: true}},
		"refused": {wire.Taken{RetryAfterMs: 1500}, quota.Decision{RetryAfter: 1500 * time.Millisecond}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(service{taken: c.taken})
			if got := f.take(t, "alice", wire.ActionMessage); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if want := subject.Limit(subject.Shard("alice"), subject.OpTake); f.service.subjects[0] != want {
				t.Errorf("asked %s, want %s", f.service.subjects[0], want)
			}
			if h := f.Latency(); h.Count != 1 || f.Fallback() {
				t.Errorf("latency %+v, fallback %v", h, f.Fallback())
			}
		})
	}
}

func TestUnlimitedAsksNobody(t *testing.T) {
	t.Parallel()
	f := setup(service{err: errors.New("must not be asked")})
	if d := f.take(t, "alice", wire.ActionTyping); !d.OK || d.Local {
		t.Errorf("got %+v", d)
	}
	if len(f.service.subjects) != 0 {
		t.Errorf("asked %v", f.service.subjects)
	}
}

func TestFallbackIsHalfAndComesBack(t *testing.T) {
	t.Parallel()
	for name, failure := range map[string]func(*service){
		"no answer":   func(s *service) { s.err = nats.ErrTimeout },
		"nobody":      func(s *service) { s.err = nats.ErrNoResponders },
		"nats lost":   func(s *service) { s.err = nats.ErrReconnectBufExceeded },
		"own refusal": func(s *service) { s.taken = wire.Taken{Fault: wire.FaultOf(code.New(code.Internal, "x"))} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(service{})
			failure(f.service)
			for i := range 3 { // half of 5, rounded up
				if d := f.take(t, "alice", wire.ActionMessage); !d.OK || !d.Local {
					t.Fatalf("permit %d: %+v", i+1, d)
				}
			}
			if d := f.take(t, "alice", wire.ActionMessage); d.OK || d.RetryAfter != time.Minute {
				t.Errorf("the fourth: %+v", d)
			}
			if d := f.take(t, "alice", wire.ActionJoin); !d.OK {
				t.Errorf("another action: %+v", d)
			}
			if n := len(f.service.subjects); n != 1 {
				t.Errorf("the silent service was asked %d times within a second", n)
			}
			if !f.Fallback() || f.Stats() != (quota.Stats{Asked: 1, Local: 5}) {
				t.Errorf("fallback %v, %+v", f.Fallback(), f.Stats())
			}

			f.now = f.now.Add(4 * quota.Probe)
			if f.Fallback() {
				t.Error("still in fallback although no permit was requested for seconds")
			}
			f.service.err, f.service.taken = nil, wire.Taken{OK: true}
			if d := f.take(t, "alice", wire.ActionMessage); !d.OK || d.Local {
				t.Errorf("the probe: %+v", d)
			}
			if f.Fallback() {
				t.Error("still on its own after an answer")
			}
			if n := strings.Count(f.logs.String(), "\n"); n != 2 {
				t.Errorf("%d log lines, want one a change:\n%s", n, f.logs)
			}
		})
	}
}

// One shard's owner is away; the users of others notice nothing.
func TestFallbackIsPerShard(t *testing.T) {
	t.Parallel()
	f := setup(service{err: nats.ErrTimeout})
	f.take(t, "alice", wire.ActionMessage)
	f.service.err, f.service.taken = nil, wire.Taken{OK: true}
	other := "bob"
	if subject.Shard(other) == subject.Shard("alice") {
		t.Fatal("choose another name")
	}
	if d := f.take(t, other, wire.ActionMessage); d.Local {
		t.Errorf("bob: %+v", d)
	}
	if d := f.take(t, "alice", wire.ActionMessage); !d.Local {
		t.Errorf("alice: %+v", d)
	}
}

func BenchmarkTake(b *testing.B) {
	f := setup(service{taken: wire.Taken{OK: true}})
	b.ReportAllocs()
	for b.Loop() {
		f.Take("alice", wire.ActionMessage, func(quota.Decision) {})
		f.service.subjects = f.service.subjects[:0]
	}
}
