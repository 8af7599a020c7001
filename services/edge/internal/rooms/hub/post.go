package hub

import (
	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/codec"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
)

// Event is something to tell that is no message.
type Event struct {
	Name   string
	Data   []byte     // its payload, not changed any more
	Class  conn.Class // what a slow client loses first
	Except string     // this user's connections are not told
	Only   string     // only this user's connections are told, unless it is empty
	Rooms  []string   // presence: rooms of the user whom it is about; a member of two is told once
}

// post is one thing on its way to the members of a room, or to everyone. It is
// shared by all loops and not changed any more.
type post struct {
	frames [codec.Codecs][]byte // nil for codecs that had no member when it was made
	class  conn.Class

	// Messages, or a gap (without items), or neither of them.
	first, last uint64
	items       []wire.Item

	event Event // unless it has items
}

func (h *Hub) newPost(e Event) *post { return &post{class: e.Class, event: e} }

// ordered tells whether it has a place among the room's messages.
func (p *post) ordered() bool { return p.last != 0 }

// size is about what its frames take.
func (p *post) size() int {
	n := len(p.event.Data)
	for i := range p.items {
		n += len(p.items[i].JSON)
	}
	return n
}

// count is the number of events in it.
func (p *post) count() int { return max(1, len(p.items)) }

// skips tells whether c is not to be told.
func (p *post) skips(c *Client) bool {
	return p.event.Except != "" && c.User.ID == p.event.Except || p.event.Only != "" && c.User.ID != p.event.Only
}

// framesFor returns the frames for a codec, made here if its first member came
// after the post was made.
func (p *post) framesFor(codec uint8, enc codec.Encoder) []byte {
	if b := p.frames[codec]; b != nil {
		return b
	}
	return p.encode(enc, 0)
}

// encode returns the frames of what follows seq after: all of it if after is 0.
func (p *post) encode(enc codec.Encoder, after uint64) []byte {
	if len(p.items) == 0 {
		return enc.AppendEvent(nil, p.event.Name, p.event.Data)
	}
	items := p.items
	if after >= p.first {
		items = items[after+1-p.first:]
	}
	return appendItems(nil, enc, items)
}

// frameOverhead is more than what any codec puts around a message.
const frameOverhead = 96

// appendItems appends the frames of messages, to a dst made for them.
func appendItems(dst []byte, enc codec.Encoder, items []wire.Item) []byte {
	n := 0
	for i := range items {
		n += len(items[i].JSON) + frameOverhead
	}
	if dst == nil {
		dst = make([]byte, 0, n)
	}
	for i := range items {
		dst = enc.AppendEvent(dst, event.NameReceiveMessage, items[i].JSON)
	}
	return dst
}
