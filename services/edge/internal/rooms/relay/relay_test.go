package relay_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/rooms/relay"
	"github.com/confab-chat/confab/shared/eventually"
)

func TestMembersHearTheRoomInOrder(t *testing.T) {
	t.Parallel()
	e := start(t)
	ann, bob := e.member("ann", 0), e.member("bob", 1)
	if s := ann.join("general"); s.Live != 0 || s.Joined.Total != 1 {
		t.Fatalf("first seat: %+v", s)
	}
	e.owner.Say("general", "x", "one")
	ann.wait("one message", atLeast(1))
	if s := bob.join("general"); s.Live != 1 || len(s.Joined.Users) != 2 {
		t.Fatalf("second seat: %+v", s)
	}
	for i := range 100 {
		e.owner.Say("general", "x", fmt.Sprint(i))
	}
	for m, want := range map[*member]string{ann: "[1 userJoined bob 2 3", bob: "[2 3 4"} {
		all := m.wait("all messages", func(all []received) bool { return len(all) > 0 && all[len(all)-1].Data.Seq == 101 })
		if got := fmt.Sprint(all); got[:len(want)] != want {
			t.Errorf("%s received %v", m.User, got)
		}
	}
}

func TestOwnerIsToldOfTheFirstAndTheLastConnection(t *testing.T) {
	t.Parallel()
	e := start(t)
	a, b := e.member("ann", 0), e.member("ann", 1)
	a.join("r")
	b.join("r")
	if n := len(e.owner.SeenOp("join")); n != 2 {
		t.Errorf("%d joins, want one a connection", n)
	}
	a.leave("r", 0)
	b.leave("r", 2*time.Second)
	eventually.True(t, "the owner is notified of the leave", func() bool { return len(e.owner.Members("r")) == 0 })
	leaves := e.owner.SeenOp("leave")
	if len(leaves) != 1 || leaves[0].Text != "2000" {
		t.Errorf("leaves: %+v", leaves)
	}
	if c := e.Counts(); c.Rooms != 1 || c.Memberships != 0 { // the room stays for a while
		t.Errorf("counts: %+v", c)
	}
}

// In a crowd the owner sends a list of users once, as long as it is the same.
func TestListOfACrowdIsAskedForOnce(t *testing.T) {
	t.Parallel()
	e := start(t)
	listed := func(user, room string) string {
		ids := ""
		for _, u := range e.member(user, 0).join(room).Joined.Users {
			ids += u.ID + " "
		}
		return ids
	}
	for i, step := range []struct {
		list       uint64
		user, room string
		want       string
	}{
		{0, "u1", "r", "u1 "},
		{7, "u2", "r", "u1 u2 "},
		{7, "u3", "r", "u1 u2 "}, // what the edge has: this owner's list has changed without a new name
		{8, "u4", "r", "u1 u2 u3 u4 "},
		{8, "u5", "other", "u5 "}, // another room has its own
		{8, "u6", "r", "u1 u2 u3 u4 "},
		{0, "u7", "r", "u1 u2 u3 u4 u6 u7 "}, // no crowd any more
		{8, "u8", "r", "u1 u2 u3 u4 u6 u7 u8 "},
	} {
		e.owner.Name(step.list)
		if got := listed(step.user, step.room); got != step.want {
			t.Errorf("step %d: %s joins and receives %q, want %q", i+1, step.user, got, step.want)
		}
	}
}

func TestWhoHasLeftHearsNothing(t *testing.T) {
	t.Parallel()
	e := start(t)
	ann, bob := e.member("ann", 0), e.member("bob", 0)
	ann.join("r")
	bob.join("r")
	bob.leave("r", 0)
	for range 10 {
		e.owner.Say("r", "x", "hello")
	}
	ann.wait("messages", func(all []received) bool { return len(all) >= 11 })
	if all := bob.all(); len(all) != 0 {
		t.Errorf("received after leaving: %v", all)
	}
}

func TestRejoinWithinTheHoldingTimeMissesNothing(t *testing.T) {
	t.Parallel()
	e := start(t)
	ann := e.member("ann", 0)
	ann.join("r")
	ann.leave("r", 0)
	e.owner.Say("r", "x", "while away")
	s := ann.join("r")
	e.owner.Say("r", "x", "back")
	ann.wait("the next message", atLeast(1))
	if s.Live != 1 || fmt.Sprint(ann.all()) != "[2]" {
		t.Errorf("seat at %d, received %v", s.Live, ann.all())
	}
}

func TestHoleIsRepaired(t *testing.T) {
	t.Parallel()
	e := start(t)
	ann := e.member("ann", 0)
	ann.join("r")
	e.owner.Say("r", "x", "1")
	e.owner.Mute(true)
	for range 450 { // more than a repair brings at once
		e.owner.Say("r", "x", "lost")
	}
	e.owner.Mute(false)
	e.owner.Say("r", "x", "452")
	all := ann.wait("everything", atLeast(452))
	for i, m := range all {
		if m.Data.Seq != uint64(i+1) {
			t.Fatalf("position %d: %v", i, m)
		}
	}
	if c := e.Counts(); c.Repaired == 0 || c.Gone != 0 {
		t.Errorf("counts: %+v", c)
	}
}

// Holes in many rooms at once are not asked for at once: each connection to NATS asks
// for eight, and for the next when one is answered or given up.
func TestRepairsAreFew(t *testing.T) {
	t.Parallel()
	e := start(t)
	const rooms, most = 100, 8 * 2
	ann := e.member("ann", 0)
	name := func(i int) string { return fmt.Sprint("r", i) }
	for i := range rooms {
		ann.join(name(i))
	}
	e.owner.SilenceOp("hist")
	e.owner.Mute(true)
	for i := range rooms {
		e.owner.Say(name(i), "x", "lost")
	}
	e.owner.Mute(false)
	began := time.Now()
	for i := range rooms {
		e.owner.Say(name(i), "x", "shows it")
	}
	asked := func() int {
		seen := make(map[string]bool)
		for _, c := range e.owner.SeenOp("hist") {
			seen[c.Room] = true
		}
		return len(seen)
	}
	eventually.True(t, "holes are asked for", func() bool { return asked() >= most })
	for i := range 4 { // behind everything that was said, on both connections
		ann.join(fmt.Sprint("other", i))
	}
	if n := asked(); n > most*(1+int(time.Since(began)/(2*time.Second))) { // after 2 s they are given up
		t.Errorf("%d of %d holes are asked for at once", n, rooms)
	}
	e.owner.SilenceOp("")
	all := ann.wait("everything", atLeast(2*rooms))
	if len(all) != 2*rooms {
		t.Errorf("%d messages", len(all))
	}
}

func TestLostTailIsFoundByTheDigest(t *testing.T) {
	t.Parallel()
	e := start(t)
	ann := e.member("ann", 0)
	ann.join("a.room:1")
	e.owner.Mute(true)
	e.owner.Say("a.room:1", "x", "lost")
	e.owner.Digest("a.room:1")
	ann.wait("the lost message", atLeast(1))
}

// No digest came for a while, so one that announced a lost message may be among
// those that were missed: the next one, whatever it says, has all heads asked for.
func TestSilenceOfDigestsIsASuspicion(t *testing.T) {
	t.Parallel()
	e := start(t, func(o *relay.Options) { o.Silence = time.Nanosecond })
	ann := e.member("ann", 0)
	e.owner.Still(subject.Shard("r"))
	ann.join("r")
	e.owner.Mute(true)
	e.owner.Say("r", "x", "lost")
	// Digests that come in one turn of the intake come at one time: no silence between.
	eventually.True(t, "the lost message is found", func() bool {
		e.owner.Still(subject.Shard("r"))
		return len(ann.all()) > 0
	})
	ann.wait("the lost message", atLeast(1))
}

func TestWhatIsGoneIsAnnounced(t *testing.T) {
	t.Parallel()
	e := start(t)
	ann := e.member("ann", 0)
	ann.join("r")
	e.owner.Mute(true)
	for range 5 {
		e.owner.Say("r", "x", "lost")
	}
	e.owner.Forget("r", 3)
	e.owner.Mute(false)
	e.owner.Say("r", "x", "6")
	if got := fmt.Sprint(ann.wait("gap and the rest", atLeast(4))); got != "[gap 1-3 4 5 6]" {
		t.Errorf("received %s", got)
	}
	if c := e.Counts(); c.Gone != 3 {
		t.Errorf("counts: %+v", c)
	}
}

func TestOutageHeals(t *testing.T) {
	t.Parallel()
	e := start(t)
	ann := e.member("ann", 0)
	ann.join("r")
	e.gate.Cut()
	for range 5 {
		e.owner.Say("r", "x", "unheard")
	}
	e.gate.Open()
	all := ann.wait("what was said during the outage", atLeast(5))
	if fmt.Sprint(all) != "[1 2 3 4 5]" {
		t.Errorf("received %v", all)
	}
	if n := len(e.owner.SeenOp("join")); n != 1 {
		t.Errorf("%d joins after a short outage, want 1", n)
	}
}

// Checks carry the sum of what the edge holds, also right after an outage.
func TestOwnersAreChecked(t *testing.T) {
	t.Parallel()
	e := start(t, func(o *relay.Options) { o.RoomScope = true })
	ann, bob := e.member("ann", 0), e.member("bob", 1)
	shard := subject.Shard("r")
	want := wire.Check{Origin: wire.Origin{Edge: "e1", Gen: 1}}
	agree := func(what string) {
		t.Helper()
		eventually.True(t, what, func() bool { return e.owner.Checked(shard) == want })
	}
	ann.join("r")
	bob.join("r")
	want.Members.Add(wire.MemberSum("r", "ann"))
	want.Members.Add(wire.MemberSum("r", "bob"))
	agree("both are in the sum")
	e.Leave(relay.Leaving{Room: "r", User: "bob", Loop: 1})
	want.Members.Remove(wire.MemberSum("r", "bob"))
	agree("one is not any more")
	e.gate.Cut()
	e.gate.Open()
	want.Members.Add(wire.MemberSum("r", "bob"))
	bob.join("r")
	agree("all are in it after an outage")
}

// A numbered event is passed on once, and what was missed during an outage is asked for.
func TestMissedEventsAreRepeated(t *testing.T) {
	t.Parallel()
	e := start(t)
	ann := e.member("ann", 0)
	ann.join("r")
	numbered := func(n uint64) wire.Broadcast {
		return wire.Broadcast{Room: "r", Event: "userLeft", Data: fmt.Appendf(nil, `{"seq":%d}`, n), Number: n, Except: "x"}
	}
	seqs := func() (all []uint64) {
		for _, m := range ann.all() {
			all = append(all, m.Data.Seq)
		}
		return all
	}
	for _, n := range []uint64{5, 5, 4, 6} {
		e.owner.Broadcast(numbered(n))
	}
	eventually.True(t, "each once", func() bool { return slices.Equal(seqs(), []uint64{5, 6}) })
	e.owner.Remember(numbered(5), numbered(6), numbered(7), numbered(8))
	e.gate.Cut()
	e.owner.Broadcast(numbered(7))
	e.gate.Open()
	eventually.True(t, "what was missed", func() bool { return slices.Equal(seqs(), []uint64{5, 6, 7, 8}) })
	e.owner.Broadcast(numbered(9))
	eventually.True(t, "and what follows", func() bool { return slices.Equal(seqs(), []uint64{5, 6, 7, 8, 9}) })
}

func TestUsersAreChecked(t *testing.T) {
	t.Parallel()
	e := start(t, func(o *relay.Options) { o.RoomScope = true })
	ann := e.member("ann", 0)
	shard := subject.Shard("ann")
	sumIs := func(want wire.Sum) func() bool {
		return func() bool { return e.owner.Checked(shard).Users == want }
	}
	e.UserOpened(&ann.User, 0, nil)
	ann.join("r1")
	ann.join("r2")
	eventually.True(t, "the user and both rooms", sumIs(wire.UserSum("ann", []string{"r2", "r1"})))
	e.Leave(relay.Leaving{Room: "r1", User: "ann", Loop: 0})
	eventually.True(t, "one room less", sumIs(wire.UserSum("ann", []string{"r2"})))
	e.UserClosed("ann", time.Minute)
	eventually.True(t, "nothing", sumIs(wire.Sum{}))
}

func TestSync(t *testing.T) {
	t.Parallel()
	e := start(t, func(o *relay.Options) { o.RoomScope = true })
	ann, bob := e.member("ann", 0), e.member("bob", 1)
	rooms, users := map[string][]string{}, map[string][]string{}
	for _, m := range []*member{ann, bob} {
		e.UserOpened(&m.User, 0, nil)
		for i := range 50 {
			m.join(fmt.Sprint("room", i))
		}
	}
	for shard := range 64 {
		for _, s := range e.owner.Sync(shard, 1) {
			if s.Edge != "e1" || s.Shard != uint64(shard) {
				t.Fatalf("snapshot of %q for %d", s.Edge, s.Shard)
			}
			for _, r := range s.Rooms {
				for _, u := range r.Users {
					rooms[r.Room] = append(rooms[r.Room], u.ID)
				}
			}
			for _, u := range s.Users {
				users[u.User.ID] = u.Rooms
			}
		}
	}
	if len(rooms) != 50 || len(users) != 2 {
		t.Fatalf("%d rooms, %d users", len(rooms), len(users))
	}
	for room, ids := range rooms {
		if len(ids) != 2 {
			t.Errorf("%s: %v", room, ids)
		}
	}
	for id, held := range users {
		if len(held) != 50 {
			t.Errorf("%s is in %d rooms", id, len(held))
		}
	}
}

func TestUserIsToldUpAndDown(t *testing.T) {
	t.Parallel()
	e := start(t, func(o *relay.Options) { o.RoomScope = true })
	ann := e.member("ann", 0)
	e.UserOpened(&ann.User, 0, nil)
	e.UserOpened(&ann.User, 0, nil)
	ann.join("r1")
	ann.join("r2")
	eventually.True(t, "the owner knows both rooms", func() bool {
		ups := e.owner.SeenOp("up")
		return len(ups) > 0 && ups[len(ups)-1].Text == "r1,r2"
	})
	e.UserClosed("ann", 0)
	ann.leave("r1", 0)
	eventually.True(t, "the owner knows the one that is left", func() bool {
		ups := e.owner.SeenOp("up")
		return ups[len(ups)-1].Text == "r2"
	})
	if downs := e.owner.SeenOp("down"); len(downs) != 0 {
		t.Fatalf("down while a connection is left: %v", downs)
	}
	e.UserClosed("ann", 2*time.Second)
	eventually.True(t, "the owner knows that the user is gone", func() bool {
		downs := e.owner.SeenOp("down")
		return len(downs) == 1 && downs[0].Text == "2000"
	})
	eventually.True(t, "the edge has forgotten the user", func() bool { return e.Counts().Users == 0 })
}

func TestConnectionLimitOfAUser(t *testing.T) {
	t.Parallel()
	e := start(t)
	refused := make(chan int, 4)
	for i := range 4 {
		e.UserOpened(&e.member("ann", 0).User, 3, func() { refused <- i })
	}
	if i := <-refused; i != 3 {
		t.Errorf("connection %d was refused", i)
	}
}
