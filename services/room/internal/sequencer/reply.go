package sequencer

import "github.com/confab-chat/confab/proto/wire"

// recipient is where the outcome of one message is sent: the sender of a command with one
// message, or one entry of the reply to a command with several.
type recipient struct {
	subject string      // of the reply to a single message
	batch   *batchReply // nil for a single message
	index   int         // in batch
}

// batchReply collects the outcomes of a command with several messages.
type batchReply struct {
	subject  string
	left     int // outcomes still missing
	outcomes []wire.Outcome
}

// recipients hands out the recipients of one command, one for each of its messages.
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

// commandSubject returns the reply subject of a's command; "" for all but its first message.
func (a recipient) commandSubject() string {
	switch {
	case a.batch == nil:
		return a.subject
	case a.index == 0:
		return a.batch.subject
	}
	return ""
}

// replyOutcome sends the outcome to a, together with those of the same command.
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
