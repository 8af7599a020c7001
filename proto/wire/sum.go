package wire

// Sum describes a set by its size and by the sum of the hashes of its elements, so that the
// order does not matter, and adding or removing an element costs the same however large the
// set is. Edges and owners compare sums to detect that they differ.
type Sum struct {
	Count uint64 `wire:"1"`
	Hash  uint64 `wire:"2"`
}

// Add adds the elements of a set that has none in common with s.
func (s *Sum) Add(o Sum) {
	s.Count += o.Count
	s.Hash += o.Hash
}

// Remove removes the elements of a set that is part of s.
func (s *Sum) Remove(o Sum) {
	s.Count -= o.Count
	s.Hash -= o.Hash
}

// MemberSum is the set of one element: a user who is a member of a room.
func MemberSum(room string, user UserID) Sum {
	return Sum{Count: 1, Hash: mix(fnv64a(fnv64a(fnv64a(fnvOffset, room), "\x00"), user))}
}

// UserSum is the set of a user and the rooms that the user has joined.
func UserSum(user UserID, rooms []string) Sum {
	s := Sum{Count: 1, Hash: mix(fnv64a(fnvOffset, user))}
	for _, room := range rooms {
		s.Add(MemberSum(room, user))
	}
	return s
}

const fnvOffset = 14695981039346656037

func fnv64a(h uint64, s string) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// mix spreads h over all bits (the finalizer of MurmurHash3): sums of FNV hashes of similar
// ids would collide.
func mix(h uint64) uint64 {
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
