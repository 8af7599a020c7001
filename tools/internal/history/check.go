package history

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// The anomalies.
const (
	Lost             = "lost"               // acknowledged or shown, and not in the final history
	Duplicate        = "duplicate"          // stored twice, or shown twice in one view
	Reordered        = "reordered"          // shown or stored out of order, or against the order in which it was sent
	Phantom          = "phantom"            // nobody sent it
	SilentGap        = "silent-gap"         // not shown, and nobody said so
	RefusedButStored = "refused-but-stored" // every attempt was refused for good
	FalseGap         = "false-gap"          // told to be gone, and stored
	SplitOrder       = "split-order"        // two views disagree on what a seq is
	Incomplete       = "incomplete"         // the history cannot be judged: no Final, or an event that makes no sense
)

// Anomaly is something that must not happen.
type Anomaly struct {
	Kind   string
	Room   string
	Client string // whose view it is, when it is one
	ID     string
	Seq    uint64
	Detail string
}

// String is one line for people.
func (a Anomaly) String() string {
	s := fmt.Sprintf("%s: room %s", a.Kind, a.Room)
	if a.Client != "" {
		s += ", client " + a.Client
	}
	if a.ID != "" {
		s += ", message " + a.ID
	}
	if a.Seq != 0 {
		s += fmt.Sprintf(", seq %d", a.Seq)
	}
	return s + ": " + a.Detail
}

// Check returns every anomaly of a history, which must be in the order of its
// events. A valid one gives none.
func Check(events []Event) []Anomaly {
	rooms := make(map[string]*room)
	for i := range events {
		e := &events[i]
		r := rooms[e.Room]
		if r == nil {
			r = &room{name: e.Room, sends: make(map[string]*send), views: make(map[string]*view), at: make(map[uint64]string), seqOf: make(map[string]uint64)}
			rooms[e.Room] = r
		}
		r.event(e)
	}
	var found []Anomaly
	for _, name := range slices.Sorted(maps.Keys(rooms)) {
		r := rooms[name]
		r.judge()
		found = append(found, r.found...)
	}
	return found
}

// send is what is known of one message.
type send struct {
	invoked  time.Duration // the first attempt
	answered time.Duration // the first OK
	attempts int
	refused  int    // attempts that ended in Fail
	seq      uint64 // 0: never acknowledged
}

// view is what one client is shown.
type view struct {
	next  uint64 // the seq that must come next; 0: not subscribed
	ended bool
	gaps  []Event
}

// room is the state of the check for one room.
type room struct {
	name  string
	sends map[string]*send
	views map[string]*view
	final []Entry
	seen  bool // a Final was

	// What seqs and ids mean, by acknowledgements, views and the Final together.
	at    map[uint64]string
	seqOf map[string]uint64

	found []Anomaly
}

func (r *room) report(kind, client, id string, seq uint64, format string, args ...any) {
	r.found = append(r.found, Anomaly{kind, r.name, client, id, seq, fmt.Sprintf(format, args...)})
}

func (r *room) event(e *Event) {
	switch e.Kind {
	case Invoke:
		s := r.sends[e.ID]
		if s == nil {
			s = &send{invoked: e.At}
			r.sends[e.ID] = s
		}
		s.attempts++
	case OK, Fail, Info:
		s := r.sends[e.ID]
		if s == nil {
			r.report(Incomplete, e.Client, e.ID, e.Seq, "an outcome without an attempt")
			return
		}
		r.outcome(s, e)
	case Sub:
		r.views[e.Client] = &view{next: e.Seq + 1}
	case Recv, Gap, End:
		v := r.views[e.Client]
		if v == nil {
			r.report(Incomplete, e.Client, e.ID, e.Seq, "%s before sub", e.Kind)
			return
		}
		r.shown(v, e)
	case Final:
		r.seen, r.final = true, e.Log
	default:
		r.report(Incomplete, e.Client, e.ID, e.Seq, "unknown kind %q", e.Kind)
	}
}

// outcome ends an attempt. Unknown ones are those that are neither acknowledged
// nor refused, so they need no counting.
func (r *room) outcome(s *send, e *Event) {
	switch e.Kind {
	case OK:
		if s.seq == 0 {
			s.answered, s.seq = e.At, e.Seq
		}
		r.agree(e.Client, e.ID, e.Seq)
	case Fail:
		s.refused++
	}
}

// shown moves a view on.
func (r *room) shown(v *view, e *Event) {
	switch e.Kind {
	case Recv:
		switch {
		case e.Seq < v.next && r.at[e.Seq] == e.ID:
			r.report(Duplicate, e.Client, e.ID, e.Seq, "shown again; %d was due", v.next)
		case e.Seq < v.next:
			r.report(Reordered, e.Client, e.ID, e.Seq, "shown when %d was due", v.next)
		case e.Seq > v.next:
			r.report(SilentGap, e.Client, e.ID, e.Seq, "%d to %d were left out without a word", v.next, e.Seq-1)
		}
		r.agree(e.Client, e.ID, e.Seq)
		v.next = max(v.next, e.Seq+1)
	case Gap:
		if e.Seq > v.next {
			r.report(SilentGap, e.Client, "", e.Seq, "%d to %d were left out; the gap begins later", v.next, e.Seq-1)
		}
		v.next = max(v.next, e.To+1)
		v.gaps = append(v.gaps, *e)
	case End:
		v.ended = true
	}
}

// agree notes that message id is seq, and reports who says otherwise.
func (r *room) agree(client, id string, seq uint64) {
	if other, ok := r.at[seq]; ok && other != id {
		r.report(SplitOrder, client, id, seq, "elsewhere that seq is message %s", other)
		return
	}
	if other, ok := r.seqOf[id]; ok && other != seq {
		r.report(Duplicate, client, id, seq, "elsewhere it has seq %d", other)
		return
	}
	r.at[seq], r.seqOf[id] = id, seq
}

// judge compares everything with the Final.
func (r *room) judge() {
	if !r.seen {
		r.report(Incomplete, "", "", 0, "the final history is missing")
		return
	}
	r.judgeFinal()
	r.judgeSends()
	last := uint64(0)
	if n := len(r.final); n > 0 {
		last = r.final[n-1].Seq
	}
	for _, client := range slices.Sorted(maps.Keys(r.views)) {
		r.judgeGaps(client, r.views[client])
		if v := r.views[client]; v.ended && v.next <= last {
			r.report(SilentGap, client, "", v.next, "%d to %d, the newest, were never shown", v.next, last)
		}
	}
}

// judgeGaps looks for what a client was told to be gone and is there at the end.
func (r *room) judgeGaps(client string, v *view) {
	for _, g := range v.gaps {
		i, _ := slices.BinarySearchFunc(r.final, g.Seq, func(e Entry, seq uint64) int { return cmp.Compare(e.Seq, seq) })
		if i < len(r.final) && r.final[i].Seq <= g.To {
			r.report(FalseGap, client, r.final[i].ID, r.final[i].Seq, "told to be gone, in a gap from %d to %d", g.Seq, g.To)
		}
	}
}

func (r *room) judgeFinal() {
	for i, e := range r.final {
		if i > 0 && e.Seq <= r.final[i-1].Seq {
			r.report(Reordered, "", e.ID, e.Seq, "stored behind seq %d", r.final[i-1].Seq)
		}
		if i > 0 && e.Seq > r.final[i-1].Seq+1 {
			r.report(SilentGap, "", e.ID, e.Seq, "the log has nothing between %d and it", r.final[i-1].Seq)
		}
		r.agree("", e.ID, e.Seq)
	}
	for _, id := range slices.Sorted(maps.Keys(r.seqOf)) {
		if s := r.sends[id]; s == nil {
			r.report(Phantom, "", id, r.seqOf[id], "nobody sent it")
		} else if s.seq == 0 && s.refused == s.attempts {
			r.report(RefusedButStored, "", id, r.seqOf[id], "%d attempts, each refused", s.attempts)
		}
	}
}

// judgeSends looks for what was acknowledged: it must be there, unless retention
// took it, and in the order in which it happened.
func (r *room) judgeSends() {
	oldest, stored := uint64(1), make(map[string]bool, len(r.final))
	if len(r.final) > 0 {
		oldest = r.final[0].Seq
	}
	for _, e := range r.final {
		stored[e.ID] = true
	}
	var acked []string
	for _, id := range slices.Sorted(maps.Keys(r.sends)) {
		s := r.sends[id]
		switch seq := r.seqOf[id]; {
		case s.seq != 0:
			acked = append(acked, id)
		case seq != 0 && seq >= oldest && !stored[id]:
			r.report(Lost, "", id, seq, "shown and not stored")
		}
	}
	slices.SortFunc(acked, func(a, b string) int {
		return cmp.Or(cmp.Compare(r.sends[a].seq, r.sends[b].seq), cmp.Compare(a, b))
	})
	var before time.Duration // the latest first attempt among the seqs so far
	var late string
	for _, id := range acked {
		s := r.sends[id]
		if !stored[id] && s.seq >= oldest {
			r.report(Lost, "", id, s.seq, "acknowledged and not stored")
		}
		if s.answered < before {
			r.report(Reordered, "", id, s.seq, "acknowledged before message %s was sent, and stored behind it", late)
		}
		if s.invoked > before {
			before, late = s.invoked, id
		}
	}
}
