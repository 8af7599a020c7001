package session_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/auth"
	"github.com/confab-chat/confab/services/edge/internal/codec"
	"github.com/confab-chat/confab/services/edge/internal/codec/native"
	"github.com/confab-chat/confab/services/edge/internal/quota"
	"github.com/confab-chat/confab/services/edge/internal/rooms/hub"
	"github.com/confab-chat/confab/services/edge/internal/rooms/relay"
	"github.com/confab-chat/confab/services/edge/internal/session"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
)

// world is one session over a fake relay, quota and link.
type world struct {
	*testing.T
	*session.Session
	loop *poll.Loop
	hub  *hub.Hub
	now  time.Time

	asked   []asked // of the relay, without answer
	permits []func(quota.Decision)
	held    bool // permits are not granted at once
	sent    []string
	paused  bool
	closed  code.Close
	live    uint64 // of every seat

	roomsAtClose int // when UserClosed was called
}

type asked struct {
	what   string
	until  time.Time // when the owner must have answered; zero: it is not awaited
	answer func(reply wire.Message, err error)
}

// newWorld returns a session that is open.
func newWorld(t *testing.T) *world {
	w := newUnopened(t)
	w.Opened(w)
	return w
}

// newUnopened returns a session before Opened or Restore.
func newUnopened(t *testing.T) *world {
	w := &world{T: t, now: time.Unix(1000, 0)}
	w.loop = poll.NewManual(w.now, time.Second)
	w.hub = hub.New([]*poll.Loop{w.loop}, native.Codec{})
	core := session.New(session.Options{
		Loops: []*poll.Loop{w.loop}, Hub: w.hub, Relay: w, Quota: w, Codecs: []codec.Codec{native.Codec{}}, Heartbeat: time.Minute,
	})
	w.Session = core.New(w.loop, auth.Identity{UserID: "ann", Username: "ANN", Expires: w.now.Add(time.Hour)}, 0)
	return w
}

// says sends requests in one turn of the loop, as `event {payload}` with ids from 1.
func (w *world) says(requests ...string) {
	for i, r := range requests {
		name, data, _ := strings.Cut(r, " ")
		w.Message(fmt.Appendf(nil, `{"id":%d,"event":%q,"data":%s}`, i+1, name, data))
	}
	w.turn()
}

func (w *world) turn() { w.loop.Turn(w.now) }

// answer answers the oldest question, which must be want.
func (w *world) answer(want string, reply wire.Message, err error) {
	w.Helper()
	if len(w.asked) == 0 || w.asked[0].what != want {
		w.Fatalf("asked %v, want %s first", w.asked, want)
	}
	q := w.asked[0]
	w.asked = w.asked[1:]
	q.answer(reply, err)
	w.turn()
}

// join joins the room "r".
func (w *world) join() {
	w.Helper()
	w.says(`joinRoom {"roomId":"r"}`)
	w.answer("join r", &wire.Joined{}, nil)
	w.sent = nil
}

// wants compares what was sent since the last look by prefix.
func (w *world) wants(want ...string) {
	w.Helper()
	if !slices.EqualFunc(w.sent, want, func(got, want string) bool { return strings.Contains(got, want) }) {
		w.Errorf("sent %q, want %q", w.sent, want)
	}
	w.sent = nil
}

func (w *world) add(what string, until time.Time, answer func(wire.Message, error)) {
	w.asked = append(w.asked, asked{what, until, answer})
}

func (w *world) Send(frames []byte, _ conn.Class) bool {
	w.sent = append(w.sent, string(frames))
	return true
}
func (w *world) Close(k code.Close, _ string) { w.closed = k }
func (w *world) ID() uint64                   { return 1 }
func (w *world) Queued() int                  { return 0 }
func (w *world) NotifyDrained()               {}
func (w *world) PauseReads()                  { w.paused = true }
func (w *world) ResumeReads()                 { w.paused = false }

func (w *world) Origin() wire.Origin                   { return wire.Origin{Edge: "e"} }
func (w *world) Leave(l relay.Leaving)                 { w.add("leave "+l.Room, time.Time{}, nil) }
func (w *world) UserOpened(*wire.User, int, func())    {}
func (w *world) UserClosed(string, time.Duration)      { w.roomsAtClose = w.Rooms() }
func (w *world) Typing(_ int, m *wire.Typing)          { w.add("typing "+m.Room, time.Time{}, nil) }
func (w *world) Members([]string, int, func([]string)) {}

func (w *world) Join(j relay.JoinRequest, done func(relay.Seat, error)) {
	w.add("join "+j.Room, j.Deadline, func(reply wire.Message, err error) {
		if err != nil {
			done(relay.Seat{}, err)
			return
		}
		room := new(hub.Room)
		room.Init(w.hub, j.Room, subject.Shard(j.Room))
		room.Enter(0, 0, 0, func(r *hub.LocalRoom) { done(relay.Seat{Room: r, Joined: *reply.(*wire.Joined), Live: w.live}, nil) })
	})
}

func (w *world) RoomCommand(_ int, op subject.RoomOp, m wire.Message, _ nats.Header, until time.Time, done func([]byte, error)) {
	what := string(op)
	if s, ok := m.(*wire.Send); ok {
		what += " " + s.Content
		for _, t := range s.More {
			what += " " + t.Content
		}
	}
	w.add(what, until, func(reply wire.Message, err error) {
		if err != nil {
			done(nil, err)
			return
		}
		done(wire.Marshal(reply), nil)
	})
}

func (w *world) UserCommand(_ int, op subject.UserOp, m wire.Message, h nats.Header, until time.Time, done func([]byte, error)) {
	w.RoomCommand(0, subject.RoomOp(op), m, h, until, done)
}

func (w *world) Take(_ string, _ wire.Action, done func(quota.Decision)) {
	if w.held {
		w.permits = append(w.permits, done)
		return
	}
	done(quota.Decision{OK: true})
}

func (w *world) Return(string, wire.Action) {}

const stats = `getRoomStats {"roomId":"r"}`

func TestForward(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		reply *wire.Result
		err   error
		want  []string
	}{
		"success":     {&wire.Result{JSON: []byte(`{"a":1}`)}, nil, []string{`"event":"roomStatsRetrieved","data":{"a":1}`}},
		"with event":  {&wire.Result{JSON: []byte(`{"a":1}`), Event: "e", Data: []byte(`{}`)}, nil, []string{`{"a":1}`, `{"event":"e","data":{}}`}},
		"refusal":     {&wire.Result{Fault: wire.Fault{Code: "CONFLICT", Message: "no"}}, nil, []string{`"error":"CONFLICT","message":"no"`}},
		"no reply":    {&wire.Result{}, nil, []string{`"INTERNAL"`}},
		"unavailable": {nil, relay.ErrUnavailable, []string{`"UNAVAILABLE"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.join()
			w.says(stats)
			w.answer("getRoomStats", c.reply, c.err)
			w.wants(c.want...)
		})
	}
}

// The owner has 4.5 s for every request, from when the edge received it. The relay gives up at
// most half a second later, so that the client is answered within 5 s.
func TestOwnerHasADeadline(t *testing.T) {
	t.Parallel()
	for _, request := range []string{
		`joinRoom {"roomId":"other"}`, `sendMessage {"roomId":"r","content":"x"}`, `getHistory {"roomId":"r"}`, stats,
		`updatePresence {"status":"away"}`, `getPresence {}`,
	} {
		synctest.Test(t, func(t *testing.T) { // time stands still
			w := newWorld(t)
			w.join()
			w.says(request)
			if len(w.asked) == 0 {
				t.Fatalf("%s: no owner is asked", request)
			}
			for len(w.asked) > 0 {
				q := w.asked[0]
				if left := time.Until(q.until); left != 4500*time.Millisecond {
					t.Errorf("%s: the owner of %s has %v", request, q.what, left)
				}
				w.answer(q.what, nil, relay.ErrUnavailable)
			}
			w.wants(`"error":"UNAVAILABLE"`)
		})
	}
}

func TestRefusedAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says(`nonsense {}`, stats, `getRoomStats {}`)
	w.wants("unknown event", "NOT_IN_ROOM", "roomId must be")
	if len(w.asked) > 0 {
		t.Errorf("asked %v", w.asked)
	}
}

// What is asked about a room waits for the join before it; a join that fails takes it along.
func TestRequestsWaitForTheJoin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says(`joinRoom {"roomId":"r"}`, stats)
	if len(w.asked) != 1 {
		t.Fatalf("asked %v", w.asked)
	}
	w.answer("join r", &wire.Joined{}, nil)
	w.wants("joinedRoom", "roomUsers")
	w.answer("getRoomStats", &wire.Result{JSON: []byte(`{"a":1}`)}, nil)
	w.wants("roomStatsRetrieved")

	w = newWorld(t)
	w.says(`joinRoom {"roomId":"r"}`, stats)
	w.answer("join r", nil, relay.ErrUnavailable)
	w.wants("UNAVAILABLE", "NOT_IN_ROOM")
}

func TestBurstAndPermits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.join()
	say := func(text string) string { return `sendMessage {"roomId":"r","content":"` + text + `"}` }
	w.says(say("a"), say("b"), stats, say("c"))
	ok := wire.Outcome{Message: []byte(`{}`)}
	if len(w.asked) != 2 { // c waits: a message of the room is in progress
		t.Errorf("asked %v", w.asked)
	}
	w.answer("send a b", &wire.Sent{Outcome: ok, More: []wire.Outcome{ok}}, nil)
	w.wants("messageSent", "messageSent")
	w.answer("getRoomStats", &wire.Result{JSON: []byte(`{"a":1}`)}, nil)
	w.answer("send c", &wire.Sent{Outcome: ok}, nil)
	w.wants("roomStatsRetrieved", "messageSent")

	// A permit that comes late does not change the order; one that is denied is refused.
	w.held = true
	w.says(say("d"), say("e"))
	w.permits[1](quota.Decision{OK: true})
	w.turn()
	if len(w.asked) != 0 {
		t.Errorf("asked %v", w.asked)
	}
	w.permits[0](quota.Decision{RetryAfter: 1500 * time.Millisecond})
	w.turn()
	w.wants(`"RATE_LIMITED"`)
	w.answer("send e", &wire.Sent{Outcome: ok}, nil)
	w.wants("messageSent")
}

func TestReadsPauseWhileTooMuchIsOpen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.join()
	w.says(slices.Repeat([]string{stats}, 64)...)
	if !w.paused {
		t.Error("not paused with 64 requests open")
	}
	for range 32 {
		w.answer("getRoomStats", &wire.Result{JSON: []byte(`{"a":1}`)}, nil)
	}
	if w.paused {
		t.Error("paused with 32 requests open")
	}
}

func TestClosedSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.join()
	w.says(stats, `joinRoom {"roomId":"s"}`)
	w.Closed(conn.Cause{Kind: conn.Clean})
	w.answer("getRoomStats", &wire.Result{JSON: []byte(`{"a":1}`)}, nil)
	w.answer("join s", &wire.Joined{}, nil) // the seat is released
	w.wants()
	if len(w.asked) != 2 || w.asked[0].what != "leave r" || w.asked[1].what != "leave s" {
		t.Errorf("asked %v", w.asked)
	}
	if w.roomsAtClose != 1 { // or userOffline goes to no room
		t.Error("the rooms were left before the connection's end was announced")
	}
}
