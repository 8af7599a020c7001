package cache_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/sequencer/cache"
)

func items(from, to uint64, size int) (list []wire.Item) {
	for seq := from; seq <= to; seq++ {
		json := make([]byte, size)
		copy(json, fmt.Sprint(seq))
		list = append(list, wire.Item{Seq: seq, JSON: json})
	}
	return list
}

// The cache returns exactly the messages that were asked for, in order, or none. Its memory is
// bounded.
func TestPages(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var p cache.Chunks
		size := rapid.SampledFrom([]int{10, 300, 4000}).Draw(t, "size")
		rooms := []string{"a", "b"}
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			room := rapid.SampledFrom(rooms).Draw(t, "room")
			from := rapid.Uint64Range(1, 1000).Draw(t, "from")
			to := from + rapid.Uint64Range(0, 300).Draw(t, "more")
			if rapid.Bool().Draw(t, "add") {
				list := items(from, to, size)
				if hole := rapid.IntRange(0, len(list)).Draw(t, "hole"); hole < len(list) && rapid.Bool().Draw(t, "cut") {
					list = append(list[:hole:hole], list[hole+1:]...)
				}
				p.Add(room, list)
			}
			got, ok := p.Get(room, from, to)
			if !ok {
				continue
			}
			if uint64(len(got)) != to-from+1 {
				t.Fatalf("%d to %d: %d messages", from, to, len(got))
			}
			for i, it := range got {
				if it.Seq != from+uint64(i) || string(it.JSON[:len(fmt.Sprint(it.Seq))]) != fmt.Sprint(it.Seq) {
					t.Fatalf("%d to %d: message %d is %d", from, to, i, it.Seq)
				}
			}
			if p.Bytes() > cache.MaxChunkBytes {
				t.Fatalf("%d bytes", p.Bytes())
			}
		}
	})
}

// What was added whole is there, until newer ones need its place.
func TestPagesAreKept(t *testing.T) {
	t.Parallel()
	var p cache.Chunks
	from, to := cache.ChunkBounds(100, 299)
	if from != 64 || to != 319 {
		t.Fatalf("whole chunks around 100 to 299: %d to %d", from, to)
	}
	if from, _ := cache.ChunkBounds(5, 6); from != 1 {
		t.Errorf("there is no message %d", from)
	}
	p.Add("r", items(from, to, 100))
	if got, ok := p.Get("r", 100, 299); !ok || len(got) != 200 || got[0].Seq != 100 {
		t.Errorf("%d messages, %v", len(got), ok)
	}
	if _, ok := p.Get("other", 100, 299); ok {
		t.Error("they are another room's too")
	}
	if _, ok := p.Get("r", 100, 320); ok {
		t.Error("what was not added is there")
	}
	p.Add("r", items(1, 63, 100)) // the first chunk has no message 0
	if _, ok := p.Get("r", 1, 319); !ok {
		t.Error("the first chunk is not there")
	}
	for n := range uint64(100) {
		p.Add("big", items(n*64+64, n*64+127, 1000))
	}
	if _, ok := p.Get("r", 100, 299); ok || p.Bytes() > cache.MaxChunkBytes {
		t.Errorf("nothing has gone: %d bytes", p.Bytes())
	}
	p.Clear()
	if p.Bytes() != 0 {
		t.Error("not empty")
	}
}
