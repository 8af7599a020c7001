package hub

// A client that comes back says which message it has had last. What it has had in
// its other rooms follows from the order in which its loop has given messages to
// members, which is the same for all of them: the trail. One for each loop is
// enough, and it costs nothing where nobody comes back that way.

// trailSteps is how many steps back a trail goes.
const trailSteps = 8192

// trail is the order of the messages that a loop has given away, as a ring.
type trail struct {
	steps [trailSteps]step
	end   uint64 // how many there were; the last is at (end-1) % trailSteps
}

// step is messages of one room, which were given together.
type step struct {
	room        string
	first, last uint64
}

// Position is a message of a room.
type Position struct {
	Room string
	Seq  uint64
}

// Mark is what a client had been sent at one moment. It does not change any more.
type Mark struct {
	places      []markedPlace
	end, steady uint64 // of the trail; what is before steady came another way
	whole       bool   // the client was in every room as a member
}

type markedPlace struct {
	room       string
	from, sent uint64
}

// KeepTrail makes the loop remember what it gives away from now on, for Mark.
func (l *Local) KeepTrail() {
	if l.trail == nil {
		l.trail = &trail{}
	}
}

func (l *Local) trailEnd() uint64 {
	if l.trail == nil {
		return 0
	}
	return l.trail.end
}

// leaveTrail notes messages that members were given, if some of them are of a door
// whose clients come back (frames are those doors').
func (l *Local) leaveTrail(room string, posts []post, frames [][]byte) {
	t := l.trail
	if t == nil {
		return
	}
	for _, f := range frames {
		if f != nil {
			t.steps[t.end%trailSteps] = step{room, posts[0].first, posts[len(posts)-1].last}
			t.end++
			return
		}
	}
}

// settled notes that c may be a member of all its rooms now.
func (c *Client) settled(l *Local) {
	for i := range c.Rooms() {
		if c.places.At(i).follower != nil {
			return
		}
	}
	c.steady = l.trailEnd()
}

// Mark notes what c has been sent so far.
func (l *Local) Mark(c *Client) Mark {
	m := Mark{end: l.trailEnd(), steady: c.steady, whole: true}
	for i := range c.Rooms() {
		p := c.places.At(i)
		sent := p.part.live
		if p.follower != nil {
			m.whole, sent = false, p.follower.pos
		}
		m.places = append(m.places, markedPlace{p.part.room.ID, p.from, max(p.from, sent)})
	}
	return m
}

// Resume tells how far the client had come in each of its rooms when it had last
// received the given message; false when that is not certain.
func (l *Local) Resume(m Mark, last Position) ([]Position, bool) {
	had := make([]Position, len(m.places))
	for i, p := range m.places {
		had[i] = Position{p.room, p.sent}
	}
	switch {
	case len(m.places) == 0:
		return nil, true
	case len(m.places) == 1 && m.places[0].room == last.Room:
		p := &m.places[0]
		had[0].Seq = max(p.from, last.Seq)
		return had, had[0].Seq <= p.sent
	case !m.whole || l.trail == nil:
		return nil, false
	}
	t := l.trail
	for n := m.end; n > m.steady && n+trailSteps > t.end; n-- {
		s := &t.steps[(n-1)%trailSteps]
		i := m.find(s.room)
		if s.room == last.Room && s.first <= last.Seq && last.Seq <= s.last {
			if i >= 0 {
				had[i].Seq = max(m.places[i].from, last.Seq)
			}
			return had, true
		}
		if i >= 0 {
			had[i].Seq = max(m.places[i].from, s.first-1)
		}
	}
	return nil, false
}

func (m *Mark) find(room string) int {
	for i := range m.places {
		if m.places[i].room == room {
			return i
		}
	}
	return -1
}
