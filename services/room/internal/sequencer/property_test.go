package sequencer_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/sequencer"
	"github.com/confab-chat/confab/services/room/internal/sequencer/dedup"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log/logtest"
)

// attempt is a message that was sent to some owner.
type attempt struct {
	key     dedup.Key
	content string
	reply   string
	place   int // in its command
	owner   int
}

// Two owners of one room run, and each believes to be the only one. Requests, acknowledgements and
// reads are lost or late, and owners die and start again. The log still is one order without holes,
// holds every acknowledged message exactly once, and each message gets one answer.
func TestOrderSurvivesEverything(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		w.pageEvery = rapid.SampledFrom([]uint64{0, 1, 3, 10}).Draw(t, "page")
		const owners = 2
		rooms := []*sequencer.Room{w.newRoom(0), w.newRoom(1)}
		var all []attempt
		dead := map[string]bool{} // answers that died with their owner
		steps := rapid.IntRange(20, 200).Draw(t, "steps")
		for n := range steps {
			switch choice := rapid.IntRange(0, 9).Draw(t, "what"); {
			case choice < 4:
				a := attempt{
					// Few ids, so that messages are sent again, also elsewhere and with
					// other content.
					key:     dedup.Key{User: "u", ClientID: fmt.Sprint("c", rapid.IntRange(0, 12).Draw(t, "id"))},
					content: "hello",
					owner:   rapid.IntRange(0, owners-1).Draw(t, "owner"),
					reply:   fmt.Sprint("reply.", n),
				}
				if rapid.IntRange(0, 9).Draw(t, "other") == 0 {
					a.content = "other"
				}
				all = append(all, a)
				cmd := wire.Send{
					Room: "general", User: wire.User{ID: "u", Name: "U"}, ClientID: a.key.ClientID, Type: "TEXT", Content: a.content,
				}
				for range rapid.IntRange(0, 2).Draw(t, "more") {
					a.place++
					a.key.ClientID = fmt.Sprint("c", rapid.IntRange(0, 12).Draw(t, "id"))
					all = append(all, a)
					cmd.More = append(cmd.More, wire.Text{ClientID: a.key.ClientID, Type: "TEXT", Content: a.content})
				}
				rooms[a.owner].Send(&cmd, a.reply)
			case choice < 9 && len(w.Steps) > 0:
				f := logtest.Fine
				if rapid.Bool().Draw(t, "fault") {
					f = logtest.Fate(rapid.IntRange(0, logtest.NumFates-1).Draw(t, "fate"))
				}
				w.RunStep(rapid.IntRange(0, len(w.Steps)-1).Draw(t, "step"), f)
			case choice == 9 && rapid.IntRange(0, 4).Draw(t, "dies") == 0:
				o := rapid.IntRange(0, owners-1).Draw(t, "owner")
				w.Kill(o)
				for _, a := range all {
					if a.owner == o && w.sent(a.reply) == nil {
						dead[a.reply] = true
					}
				}
				rooms[o] = w.newRoom(o)
			}
		}
		w.RunAll()
		verify(t, w, all, dead)
	})
}

// verify checks what must hold when nothing is under way any more.
func verify(t *rapid.T, w *world, all []attempt, dead map[string]bool) {
	seqs := map[dedup.Key]uint64{}
	bySeq := map[uint64]wire.Entry{}
	next := uint64(1)
	for _, s := range w.Records[general] {
		var rec wire.Record
		if err := wire.Unmarshal(s.Data, &rec); err != nil {
			t.Fatal(err)
		}
		if rec.First != next {
			t.Fatalf("record at %d begins with %d, want %d", s.Pos, rec.First, next)
		}
		for i, e := range rec.Entries {
			k := dedup.Key{User: e.User, ClientID: e.ClientID}
			if seqs[k] != 0 {
				t.Fatalf("%v is stored as %d and %d", k, seqs[k], rec.First+uint64(i))
			}
			seqs[k] = rec.First + uint64(i)
			bySeq[seqs[k]] = e
		}
		next = rec.Last() + 1
	}
	if w.count.Holes.Load() > 0 {
		t.Fatal("a room saw a hole")
	}
	firsts := map[dedup.Key]int{}
	for _, a := range all {
		answers := w.replies[a.reply]
		if len(answers) > 1 || len(answers) == 0 && !dead[a.reply] {
			t.Fatalf("%s got %d answers", a.reply, len(answers))
		}
		if len(answers) == 0 {
			continue
		}
		sum := sequencer.Sum("TEXT", a.content)
		s := w.sent(a.reply).Outcome
		if a.place > 0 {
			s = w.sent(a.reply).More[a.place-1]
		}
		switch s.Code {
		case "":
			if e := bySeq[s.Seq]; seqs[a.key] != s.Seq || e.Sum != sum || string(e.JSON) != string(s.Message) {
				t.Fatalf("%v was acknowledged as %d, stored as %d", a.key, s.Seq, seqs[a.key])
			}
			if !s.Duplicate {
				firsts[a.key]++
			}
			if firsts[a.key] > 1 {
				t.Fatalf("%v was accepted %d times as if for the first time", a.key, firsts[a.key])
			}
		case "CONFLICT":
			// At the time another message with the id was stored or under way.
		case "UNAVAILABLE":
		default:
			t.Fatalf("%s: unexpected refusal %s", a.reply, s.Code)
		}
	}
}

// Every record is broadcast, unless its writer died.
func TestWhatIsStoredIsBroadcast(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		r := w.newRoom(1)
		for n := range rapid.IntRange(1, 40).Draw(t, "messages") {
			r.Send(&wire.Send{User: wire.User{ID: "u"}, ClientID: fmt.Sprint(n), Type: "TEXT", Content: "x"}, "")
			for len(w.Steps) > 0 && rapid.Bool().Draw(t, "go on") {
				w.RunStep(0, logtest.Fate(rapid.IntRange(0, logtest.NumFates-1).Draw(t, "fate")))
			}
		}
		w.RunAll()
		// A last one, so that what came late is found.
		r.Send(&wire.Send{User: wire.User{ID: "u"}, ClientID: "last", Type: "TEXT", Content: "x"}, "")
		w.RunAll()
		told := map[uint64]bool{}
		for _, data := range w.casts {
			var b wire.Broadcast
			if err := wire.Unmarshal(data, &b); err != nil {
				t.Fatal(err)
			}
			told[b.Pos] = true
		}
		for _, s := range w.Records[general] {
			if !told[s.Pos] {
				t.Fatalf("the record at %d was never broadcast", s.Pos)
			}
		}
	})
}

var _ sequencer.Log = (*log.Log)(nil)
