package engine

import (
	"sync"

	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
)

// registry finds sessions over long-polling by their ids.
type registry struct {
	mu   sync.Mutex // guards the following
	byID map[string]*Socket
}

func (r *registry) add(s *Socket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byID[s.polling.sid] = s
}

func (r *registry) remove(sid string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.byID, sid)
}

// find returns nil for an unknown id.
func (r *registry) find(sid string) *Socket {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.byID[sid]
}

// onLoop returns the sessions of a loop.
func (r *registry) onLoop(l *poll.Loop) []*Socket {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []*Socket
	for _, s := range r.byID {
		if s.local.loop == l {
			all = append(all, s)
		}
	}
	return all
}
