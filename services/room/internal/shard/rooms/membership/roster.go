package membership

import (
	"iter"
	"slices"
	"sort"
)

// chunkLen bounds a chunk of a roster, and with it the bytes that an insertion
// moves: 8 bytes each, so at most 4 KiB.
const chunkLen = 512

// roster is the members of a room, sorted by user id: a list of sorted chunks. It is kept in
// order because every joiner gets the first 200 members; and a room of two is one small
// chunk instead of a map.
//
// Invariant: no chunk is empty; ids grow within chunks and from chunk to chunk.
type roster struct {
	chunks [][]*member
	n      int
}

func (s *roster) len() int { return s.n }

// all iterates over the members by id. The roster must not change meanwhile.
func (s *roster) all() iter.Seq[*member] {
	return func(yield func(*member) bool) {
		for _, chunk := range s.chunks {
			for _, m := range chunk {
				if !yield(m) {
					return
				}
			}
		}
	}
}

// search returns where user is, or belongs: the chunk, the index in it, and whether it is
// there.
func (s *roster) search(user string) (c, i int, found bool) {
	if len(s.chunks) == 0 {
		return 0, 0, false
	}
	if len(s.chunks) > 1 {
		// The last chunk that begins at or before user; smaller ids go into the first.
		c = max(0, sort.Search(len(s.chunks), func(k int) bool { return s.chunks[k][0].user.ID > user })-1)
	}
	chunk := s.chunks[c]
	i = sort.Search(len(chunk), func(k int) bool { return chunk[k].user.ID >= user })
	return c, i, i < len(chunk) && chunk[i].user.ID == user
}

func (s *roster) find(user string) *member {
	c, i, found := s.search(user)
	if !found {
		return nil
	}
	return s.chunks[c][i]
}

// insert adds m, whose user must not be in the roster.
func (s *roster) insert(m *member) {
	c, i, _ := s.search(m.user.ID)
	s.n++
	if len(s.chunks) == 0 {
		s.chunks = [][]*member{{m}}
		return
	}
	if len(s.chunks[c]) == chunkLen {
		s.split(c)
		if half := len(s.chunks[c]); i > half {
			c, i = c+1, i-half
		}
	}
	s.chunks[c] = slices.Insert(s.chunks[c], i, m)
}

// split halves chunk c. An append at the very end (ids that only grow) is not
// worth a special case: it leaves chunks half full, 8 bytes a member.
func (s *roster) split(c int) {
	half := len(s.chunks[c]) / 2
	upper := slices.Clone(s.chunks[c][half:])
	clear(s.chunks[c][half:])
	s.chunks[c] = s.chunks[c][:half]
	s.chunks = slices.Insert(s.chunks, c+1, upper)
}

// remove removes user, if present.
func (s *roster) remove(user string) {
	c, i, found := s.search(user)
	if !found {
		return
	}
	s.n--
	chunk := slices.Delete(s.chunks[c], i, i+1)
	switch {
	case s.n == 0:
		s.chunks = nil
		return
	case len(chunk) == 0:
		s.chunks = slices.Delete(s.chunks, c, c+1)
		return
	case cap(chunk) > 16 && len(chunk) < cap(chunk)/4:
		chunk = append(make([]*member, 0, 2*len(chunk)), chunk...)
	}
	s.chunks[c] = chunk
	if c+1 < len(s.chunks) && len(chunk)+len(s.chunks[c+1]) <= chunkLen/4 {
		s.chunks[c] = append(chunk, s.chunks[c+1]...)
		s.chunks = slices.Delete(s.chunks, c+1, c+2)
	}
}
