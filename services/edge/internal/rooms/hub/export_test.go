package hub

// NewRoom returns a room without members.
func (h *Hub) NewRoom(id string, shard int) *Room {
	r := new(Room)
	r.Init(h, id, shard)
	return r
}

// Members returns the number of connections that have joined.
func (r *Room) Members() int {
	n := 0
	for i := range r.seats {
		n += int(r.seats[i].n)
	}
	return n
}
