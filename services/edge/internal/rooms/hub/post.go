package hub

import (
	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/codec"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
)

// Event is anything but a message.
type Event struct {
	Name   string
	Data   []byte     // its payload, which must not change any more
	Class  conn.Class // decides what a slow client loses first
	Except string     // this user's connections do not get it
	Only   string     // if set, only this user's connections get it
	Rooms  []string   // presence: the rooms of the user that it is about; a member of two gets it once
}

// post is an event or a batch of messages on its way to the members of a room, or to
// all connections. All loops share it; it does not change any more.
type post struct {
	frames [codec.Codecs][]byte // nil for codecs without a member when it was made
	class  conn.Class

	// Set for messages and for a gap, which has no items.
	first, last uint64
	items       []wire.Item

	event Event // of a post without items
}

// ordered reports whether p has a place in the seq order of the room: messages and gaps.
func (p *post) ordered() bool { return p.last != 0 }

// size returns the approximate size of its frames, in bytes.
func (p *post) size() int {
	n := len(p.event.Data)
	for i := range p.items {
		n += len(p.items[i].JSON)
	}
	return n
}

// count returns the number of events in it.
func (p *post) count() int { return max(1, len(p.items)) }

// skips reports whether c must not get it.
func (p *post) skips(c *Client) bool {
	return p.event.Except != "" && c.User.ID == p.event.Except || p.event.Only != "" && c.User.ID != p.event.Only
}

// framesFor returns the frames for a codec. It encodes them here if the codec's first
// member joined after the post was made.
func (p *post) framesFor(codec uint8, enc codec.Encoder) []byte {
	if b := p.frames[codec]; b != nil {
		return b
	}
	return p.encode(enc, 0)
}

// encode returns the frames of what comes after seq after; all of them if after is 0.
func (p *post) encode(enc codec.Encoder, after uint64) []byte {
	if len(p.items) == 0 {
		return enc.AppendEvent(nil, p.event.Name, p.event.Data)
	}
	items := p.items
	if after >= p.first {
		items = items[after+1-p.first:]
	}
	return encodeItems(enc, items)
}

// frameOverhead exceeds what any codec adds to a message, in bytes.
const frameOverhead = 96

// encodeItems returns the frames of messages.
func encodeItems(enc codec.Encoder, items []wire.Item) []byte {
	n := 0
	for i := range items {
		n += len(items[i].JSON) + frameOverhead
	}
	frames := make([]byte, 0, n)
	for i := range items {
		frames = enc.AppendEvent(frames, event.NameReceiveMessage, items[i].JSON)
	}
	return frames
}
