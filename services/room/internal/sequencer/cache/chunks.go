package cache

import "github.com/confab-chat/confab/proto/wire"

const (
	// Chunk is how many messages are kept or dropped together: those whose seq gives
	// the same when divided by it.
	Chunk = 64

	// MaxPages bounds the bytes of all chunks of one shard. When it is full the oldest
	// go: it is there for the many who come back at the same time.
	MaxChunkBytes = 2 << 20

	itemOverhead = 64 // bytes besides the message
)

// Pages keeps what was read from the logs of a shard's rooms, and what was written to
// them lately, so that the next one who has missed the same needs no read. Messages never change, so nothing here is ever
// wrong. The zero value is empty; not safe for concurrent use.
type Chunks struct {
	chunks map[chunkKey][]wire.Item
	order  []chunkKey // the oldest first
	bytes  int
}

type chunkKey struct {
	room string
	n    uint64 // seq / Chunk
}

// Whole is the smallest run of whole chunks around from to to.
func ChunkBounds(from, to uint64) (uint64, uint64) {
	return max(from/Chunk*Chunk, 1), to/Chunk*Chunk + Chunk - 1
}

// Add keeps the whole chunks among items, which are in order and are not changed any
// more. What has a hole is not kept.
func (p *Chunks) Add(room string, items []wire.Item) {
	for len(items) > 0 {
		n := items[0].Seq / Chunk
		first, last := ChunkBounds(items[0].Seq, items[0].Seq)
		size := int(last - first + 1)
		whole := items[0].Seq == first && len(items) >= size && items[size-1].Seq == last
		if whole {
			p.store(chunkKey{room, n}, items[:size:size])
			items = items[size:]
			continue
		}
		for len(items) > 0 && items[0].Seq/Chunk == n {
			items = items[1:]
		}
	}
}

func (p *Chunks) store(k chunkKey, items []wire.Item) {
	if _, ok := p.chunks[k]; ok {
		return
	}
	if p.chunks == nil {
		p.chunks = make(map[chunkKey][]wire.Item)
	}
	p.chunks[k] = items
	p.order = append(p.order, k)
	p.bytes += byteSize(items)
	for p.bytes > MaxChunkBytes {
		oldest := p.order[0]
		p.order[0] = chunkKey{}
		p.order = p.order[1:]
		p.bytes -= byteSize(p.chunks[oldest])
		delete(p.chunks, oldest)
	}
}

func byteSize(items []wire.Item) (bytes int) {
	for i := range items {
		bytes += len(items[i].JSON) + itemOverhead
	}
	return bytes
}

// Get returns the messages from to to, if all of them are here. They are not to be changed.
func (p *Chunks) Get(room string, from, to uint64) ([]wire.Item, bool) {
	if len(p.chunks) == 0 || to < from {
		return nil, false
	}
	for n := from / Chunk; n <= to/Chunk; n++ {
		if _, ok := p.chunks[chunkKey{room, n}]; !ok {
			return nil, false
		}
	}
	items := make([]wire.Item, 0, to-from+1)
	for n := from / Chunk; n <= to/Chunk; n++ {
		chunk := p.chunks[chunkKey{room, n}]
		first := chunk[0].Seq
		lo, hi := max(from, first), min(to, chunk[len(chunk)-1].Seq)
		items = append(items, chunk[lo-first:hi-first+1]...)
	}
	return items, true
}

// Bytes is about what is kept.
func (p *Chunks) Bytes() int { return p.bytes }

// Clear forgets everything.
func (p *Chunks) Clear() { *p = Chunks{} }
