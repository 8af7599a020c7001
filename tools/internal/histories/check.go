package histories

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// The anomalies.
const (
	Lost             = "lost"               // acknowledged or received, and not in the final history
	Duplicate        = "duplicate"          // stored twice, or received twice in one view
	Reordered        = "reordered"          // received or stored out of order, or against the order of sending
	Phantom          = "phantom"            // received or stored, and not sent
	SilentGap        = "silent-gap"         // not received, and no Gap says so
	RefusedButStored = "refused-but-stored" // every attempt was refused for good
	FalseGap         = "false-gap"          // in a Gap, and stored
	SplitOrder       = "split-order"        // two views have different messages with one seq
	Incomplete       = "incomplete"         // the history cannot be checked: no Final, or an impossible event
)

// Anomaly is an event that must not happen.
type Anomaly struct {
	Kind   string
	Room   string
	Client string // of the view, if the anomaly is in one
	ID     string
	Seq    uint64
	Detail string
}

// String returns one line for a log.
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

// Check returns every anomaly of a history. Events must be in the order in which they were
// recorded.
func Check(events []Event) []Anomaly {
	rooms := make(map[string]*room)
	for i := range events {
		e := &events[i]
		r := rooms[e.Room]
		if r == nil {
			r = &room{name: e.Room, sends: make(map[string]*send), views: make(map[string]*view), at: make(map[uint64]string), seqOf: make(map[string]uint64)}
			rooms[e.Room] = r
		}
		r.addEvent(e)
	}
	var found []Anomaly
	for _, name := range slices.Sorted(maps.Keys(rooms)) {
		r := rooms[name]
		r.checkFinal()
		found = append(found, r.found...)
	}
	return found
}

// send is the known state of one message.
type send struct {
	invoked  time.Duration // the first attempt
	answered time.Duration // the first OK
	attempts int
	refused  int    // attempts that ended in Fail
	seq      uint64 // 0: never acknowledged
}

// view is what one client receives.
type view struct {
	next  uint64 // the seq that must be next; 0: not subscribed
	ended bool
	gaps  []Event
}

// room is the state of the check for one room.
type room struct {
	name  string
	sends map[string]*send
	views map[string]*view
	final []Entry
	seen  bool // a Final was recorded

	// Which id a seq has, and which seq an id, in acknowledgements, views and the Final together.
	at    map[uint64]string
	seqOf map[string]uint64

	found []Anomaly
}

func (r *room) report(kind, client, id string, seq uint64, format string, args ...any) {
	r.found = append(r.found, Anomaly{kind, r.name, client, id, seq, fmt.Sprintf(format, args...)})
}

func (r *room) addEvent(e *Event) {
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
		r.addOutcome(s, e)
	case Sub:
		r.views[e.Client] = &view{next: e.Seq + 1}
	case Recv, Gap, End:
		v := r.views[e.Client]
		if v == nil {
			r.report(Incomplete, e.Client, e.ID, e.Seq, "%s before sub", e.Kind)
			return
		}
		r.addReceived(v, e)
	case Final:
		r.seen, r.final = true, e.Log
	default:
		r.report(Incomplete, e.Client, e.ID, e.Seq, "unknown kind %q", e.Kind)
	}
}

// addOutcome ends an attempt. Unknown outcomes are not counted: they are the attempts that are
// neither acknowledged nor refused.
func (r *room) addOutcome(s *send, e *Event) {
	switch e.Kind {
	case OK:
		if s.seq == 0 {
			s.answered, s.seq = e.At, e.Seq
		}
		r.match(e.Client, e.ID, e.Seq)
	case Fail:
		s.refused++
	}
}

// addReceived advances a view.
func (r *room) addReceived(v *view, e *Event) {
	switch e.Kind {
	case Recv:
		switch {
		case e.Seq < v.next && r.at[e.Seq] == e.ID:
			r.report(Duplicate, e.Client, e.ID, e.Seq, "received again; %d was due", v.next)
		case e.Seq < v.next:
			r.report(Reordered, e.Client, e.ID, e.Seq, "received when %d was due", v.next)
		case e.Seq > v.next:
			r.report(SilentGap, e.Client, e.ID, e.Seq, "%d to %d were left out without a gap", v.next, e.Seq-1)
		}
		r.match(e.Client, e.ID, e.Seq)
		v.next = max(v.next, e.Seq+1)
	case Gap:
		if e.Seq > v.next {
			r.report(SilentGap, e.Client, "", e.Seq, "%d to %d were left out; the gap starts later", v.next, e.Seq-1)
		}
		v.next = max(v.next, e.To+1)
		v.gaps = append(v.gaps, *e)
	case End:
		v.ended = true
	}
}

// match records that message id has seq, and reports an anomaly if another event disagrees.
func (r *room) match(client, id string, seq uint64) {
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
