package poll

import (
	"time"
)

// maxLinger bounds what the rude can hold: a descriptor each, for seconds.
const maxLinger = 2048

// Linger ends t the way a peer that is still sending can hear our last bytes:
// the write side is closed at once, what still comes is thrown away until the
// peer closes too, and after d, at the latest, the connection is aborted.
// (Closing a socket with unread bytes makes the system reset it, and a reset
// overtakes bytes that the peer has not read yet.) When maxLinger connections
// of the loop linger already, t is closed at once.
func Linger(t Transport, d time.Duration) {
	if t.Loop().lingering >= maxLinger {
		t.Close()
		return
	}
	t.Loop().lingering++
	l := &lingerer{transport: t}
	l.timer.Owner = l
	t.SetHandler(l)
	t.ResumeReads()
	t.CloseWrite()
	t.Loop().Arm(&l.timer, t.Loop().Tick()+t.Loop().Ticks(d))
}

// lingerer is the handler of a connection that is over.
type lingerer struct {
	transport Transport
	timer     Timer
}

func (l *lingerer) Readable([]byte) {}
func (l *lingerer) Writable()       {}

func (l *lingerer) Closed(error) {
	l.timer.unlink()
	l.transport.Loop().lingering--
}

func (l *lingerer) Expire() {
	l.transport.Abort()
	l.transport.Loop().lingering--
}

// Refuse is an acceptor's answer to a connection that it does not want:
// it writes b and lingers for d.
func Refuse(t Transport, b []byte, d time.Duration) {
	// A fresh socket takes a short answer whole; whoever is refused has no
	// claim to more effort.
	t.Write(b)
	Linger(t, d)
}

var _ Handler = (*lingerer)(nil)
