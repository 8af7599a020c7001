package wirebench

import (
	"fmt"
	"testing"

	"github.com/klauspost/compress/s2"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/confab-chat/confab/proto/wire"
)

// fieldsFrom is the record that would be stored if the client's JSON were made
// anew for each reader: the fields of which it is made, without those that follow
// from the record (room, seq, id).
func fieldsFrom(first, n int) []byte {
	r := recordFrom(first, n)
	for i := range r.Entries {
		r.Entries[i].JSON = nil
	}
	b := wire.Marshal(r)
	for i := range n {
		m := message(first + i)
		for num, s := range []string{m.Author.Name, m.MessageType, m.Content} {
			b = protowire.AppendTag(b, protowire.Number(6+num), protowire.BytesType)
			b = protowire.AppendString(b, s)
		}
	}
	return b
}

// BenchmarkStored reports what a message takes in the log, both ways, without
// compression and with S2, which JetStream offers: it compresses blocks of a
// stream, here 256 KiB of consecutive records.
func BenchmarkStored(b *testing.B) {
	for _, n := range []int{1, 16, 64} {
		for name, encode := range map[string]func(first, n int) []byte{
			"json":   func(first, n int) []byte { return wire.Marshal(recordFrom(first, n)) },
			"fields": fieldsFrom,
		} {
			b.Run(fmt.Sprintf("%s_%d", name, n), func(b *testing.B) {
				var block []byte
				messages := 0
				for ; len(block) < 256<<10; messages += n {
					block = append(block, encode(messages, n)...)
				}
				var packed []byte
				for b.Loop() {
					packed = s2.Encode(packed[:cap(packed)], block)
				}
				b.ReportMetric(float64(len(block))/float64(messages), "bytes/msg")
				b.ReportMetric(float64(len(packed))/float64(messages), "s2bytes/msg")
			})
		}
	}
}

// BenchmarkMessageJSON is what storing the JSON spares each edge and each reader
// of the history.
func BenchmarkMessageJSON(b *testing.B) {
	b.ReportAllocs()
	m := message(3)
	dst := make([]byte, 0, 1024)
	for b.Loop() {
		dst = m.AppendJSON(dst[:0])
	}
	b.ReportMetric(float64(len(dst)), "bytes")
}
