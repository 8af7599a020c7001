package history

import (
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
