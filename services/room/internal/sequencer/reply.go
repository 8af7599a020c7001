package sequencer

import "github.com/confab-chat/confab/proto/wire"

// asker waits for the outcome of one message: as the only one of its command, or as
// one of several, whose outcomes go out together.
type recipient struct {
	subject string      // where the answer of an only one goes
	batch   *batchReply // else
	index   int         // in the group
}

// group is a command of several messages.
type batchReply struct {
	subject  string
	left     int // without an outcome
	outcomes []wire.Outcome
}

// askers hands out the askers of one command, one for each of its messages.
type recipients struct {
	first recipient
}

func recipientsOf(cmd *wire.Send, reply string) *recipients {
	if len(cmd.More) == 0 {
		return &recipients{recipient{subject: reply}}
	}
	n := 1 + len(cmd.More)
	return &recipients{recipient{batch: &batchReply{subject: reply, left: n, outcomes: make([]wire.Outcome, n)}}}
}

func (s *recipients) next() recipient {
	a := s.first
	s.first.index++
	return a
}

// command is where the answer of a's command goes; empty for all but its first message.
func (a recipient) commandSubject() string {
	switch {
	case a.batch == nil:
		return a.subject
	case a.index == 0:
		return a.batch.subject
	}
	return ""
}

// tell gives a its outcome.
func (a recipient) replyOutcome(e *Env, o wire.Outcome) {
	g := a.batch
	if g == nil {
		e.publishSent(a.subject, wire.Sent{Outcome: o})
		return
	}
	g.outcomes[a.index] = o
	if g.left--; g.left == 0 {
		e.publishSent(g.subject, wire.Sent{Outcome: g.outcomes[0], More: g.outcomes[1:]})
	}
}

func (e *Env) publishSent(to string, sent wire.Sent) {
	e.scratchSent = sent // not &sent, which would cost an allocation
	e.Publisher.Publish(to, &e.scratchSent)
}
