package wirebench

import (
	"strconv"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
)

// Operators may route by shard with a subject mapping: what the server computes
// is what we compute.
func TestShardIsPartitionOfNATS(t *testing.T) {
	t.Parallel()
	mapping, err := server.NewSubjectTransform("room.*", "shard.{{partition("+strconv.Itoa(subject.Shards)+",1)}}")
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"general", "a.b", ">", "team:42/x", "é", "r", "0"} {
		if got, want := mapping.TransformSubject("room."+subject.Token(id)), "shard."+strconv.Itoa(subject.Shard(id)); got != want {
			t.Errorf("%q: NATS says %s, we say %s", id, got, want)
		}
	}
	for i := range 2000 {
		id := content(i)
		if got, want := mapping.TransformSubject("room."+subject.Token(id)), "shard."+strconv.Itoa(subject.Shard(id)); got != want {
			t.Fatalf("%q: NATS says %s, we say %s", id, got, want)
		}
	}
}

// The hand-written codec writes protobuf's wire format: Google's parser walks it.
func TestWireIsProtobuf(t *testing.T) {
	t.Parallel()
	record := ourRecord(16)
	b := wire.Marshal(ourBroadcast(wire.Marshal(record)))
	seen := map[protowire.Number]int{}
	walk(t, b, func(num protowire.Number, value []byte) {
		if seen[num]++; num != 5 {
			return
		}
		entries := 0
		walk(t, value, func(num protowire.Number, value []byte) {
			if num == 7 {
				entry := map[protowire.Number]string{}
				walk(t, value, func(num protowire.Number, value []byte) { entry[num] = string(value) })
				if entry[5] != string(record.Entries[entries].JSON) || entry[1] != record.Entries[entries].User {
					t.Errorf("entry %d: %v", entries, entry)
				}
				entries++
			}
		})
		if entries != 16 {
			t.Errorf("%d entries", entries)
		}
	})
	for num := protowire.Number(1); num <= 5; num++ {
		if seen[num] != 1 {
			t.Errorf("field %d comes %d times", num, seen[num])
		}
	}
}

func walk(t *testing.T, b []byte, field func(protowire.Number, []byte)) {
	t.Helper()
	for len(b) > 0 {
		num, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			t.Fatal(protowire.ParseError(n))
		}
		b = b[n:]
		if n = protowire.ConsumeFieldValue(num, kind, b); n < 0 {
			t.Fatal(protowire.ParseError(n))
		}
		value := b[:n]
		if kind == protowire.BytesType {
			value, _ = protowire.ConsumeBytes(value)
		}
		field(num, value)
		b = b[n:]
	}
}
