package sequencer

import "github.com/confab-chat/confab/proto/wire"

// asker waits for the outcome of one message: as the only one of its command, or as
// one of several, whose outcomes go out together.
type asker struct {
	to    string // where the answer of an only one goes
	group *group // else
	place int    // in the group
}

// group is a command of several messages.
type group struct {
	to       string
	left     int // without an outcome
	outcomes []wire.Outcome
}

// askers hands out the askers of one command, one for each of its messages.
type askers struct {
	first asker
}

func askersOf(cmd *wire.Send, reply string) *askers {
	if len(cmd.More) == 0 {
		return &askers{asker{to: reply}}
	}
	n := 1 + len(cmd.More)
	return &askers{asker{group: &group{to: reply, left: n, outcomes: make([]wire.Outcome, n)}}}
}

func (s *askers) next() asker {
	a := s.first
	s.first.place++
	return a
}

// command is where the answer of a's command goes; empty for all but its first message.
func (a asker) command() string {
	switch {
	case a.group == nil:
		return a.to
	case a.place == 0:
		return a.group.to
	}
	return ""
}

// tell gives a its outcome.
func (a asker) tell(e *Env, o wire.Outcome) {
	g := a.group
	if g == nil {
		e.answer(a.to, wire.Sent{Outcome: o})
		return
	}
	g.outcomes[a.place] = o
	if g.left--; g.left == 0 {
		e.answer(g.to, wire.Sent{Outcome: g.outcomes[0], More: g.outcomes[1:]})
	}
}

func (e *Env) answer(to string, sent wire.Sent) {
	e.sent = sent // not &sent, which would cost an allocation
	e.Publisher.Publish(to, &e.sent)
}
