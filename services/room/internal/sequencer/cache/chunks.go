package cache

import "github.com/confab-chat/confab/proto/wire"

const (
	// Chunk is how many messages are kept or dropped together: those with the same seq / Chunk.
	Chunk = 64

	// MaxChunkBytes bounds the bytes of all chunks of one shard. When it is exceeded the
	// oldest chunks are dropped: the cache serves many clients that return at the same time.
	MaxChunkBytes = 2 << 20

	itemOverhead = 64 // bytes besides the message
)

// Chunks keeps messages of a shard's rooms that were read from the log or written to it
// lately, so that the next client that missed them needs no read. Messages never change, so
// the cache is never stale. The zero value is empty; it must not be used concurrently.
type Chunks struct {
	chunks map[chunkKey][]wire.Item
	order  []chunkKey // the oldest first
	bytes  int
}

type chunkKey struct {
	room string
	n    uint64 // seq / Chunk
}

// ChunkBounds returns the smallest run of whole chunks that contains from to to.
func ChunkBounds(from, to uint64) (uint64, uint64) {
	return max(from/Chunk*Chunk, 1), to/Chunk*Chunk + Chunk - 1
}

// Add keeps the whole chunks among items, which must be in order and must not be changed
// afterwards. Chunks with a hole are not kept.
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

// Get returns the messages from to to if it has all of them. They must not be changed.
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

// Bytes returns approximately how much memory the chunks occupy.
func (p *Chunks) Bytes() int { return p.bytes }

// Clear drops all chunks.
func (p *Chunks) Clear() { *p = Chunks{} }
