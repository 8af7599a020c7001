package wirebench

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/confab-chat/confab/proto/wire"
)

// codec is one way to put a message on the wire.
type codec struct {
	name      string
	marshal   func(any) ([]byte, error)
	unmarshal func([]byte, any) error
}

var others = []codec{
	{"json", json.Marshal, json.Unmarshal},
	{"msgpack", msgpack.Marshal, msgpack.Unmarshal},
	{"cbor", cbor.Marshal, cbor.Unmarshal},
}

var ours = codec{
	"ours",
	func(v any) ([]byte, error) { return wire.Marshal(v.(wire.Message)), nil },
	func(b []byte, v any) error { return wire.Unmarshal(b, v.(wire.Message)) },
}

// sample is a message in our type and in the one of the other encodings.
type sample struct {
	name   string
	ours   func() any
	theirs func(codec) any
}

// samples are what one sendMessage causes: a command, its answer, a record of the
// log with 1 or, when it waited, 16 messages, and its broadcast.
var samples = []sample{
	{"Send", func() any { return ourSend() }, func(codec) any { return theirSend() }},
	{"Sent", func() any { return ourSent() }, func(codec) any { return theirSent() }},
	{"Record1", func() any { return ourRecord(1) }, func(codec) any { return theirRecord(1) }},
	{"Record16", func() any { return ourRecord(16) }, func(codec) any { return theirRecord(16) }},
	{"Broadcast", func() any { return ourBroadcast(wire.Marshal(ourRecord(1))) }, func(c codec) any {
		record, err := c.marshal(theirRecord(1))
		if err != nil {
			panic(err)
		}
		return theirBroadcast(record)
	}},
}

func (s sample) of(c codec) any {
	if c.name == ours.name {
		return s.ours()
	}
	return s.theirs(c)
}

func codecs() []codec { return append([]codec{ours}, others...) }

// What is measured must work: each encoding must round-trip.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	for _, s := range samples {
		for _, c := range codecs() {
			want := s.of(c)
			b, err := c.marshal(want)
			if err != nil {
				t.Fatal(err)
			}
			got := reflect.New(reflect.TypeOf(want).Elem()).Interface()
			if err := c.unmarshal(b, got); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s in %s: got %+v, %v", s.name, c.name, got, err)
			}
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, s := range samples {
		for _, c := range codecs() {
			b.Run(s.name+"/"+c.name, func(b *testing.B) {
				b.ReportAllocs()
				m := s.of(c)
				size := 0
				for b.Loop() {
					out, err := c.marshal(m)
					if err != nil {
						b.Fatal(err)
					}
					size = len(out)
				}
				b.ReportMetric(float64(size), "bytes")
			})
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, s := range samples {
		for _, c := range codecs() {
			b.Run(s.name+"/"+c.name, func(b *testing.B) {
				b.ReportAllocs()
				m := s.of(c)
				in, err := c.marshal(m)
				if err != nil {
					b.Fatal(err)
				}
				typ := reflect.TypeOf(m).Elem()
				for b.Loop() {
					if err := c.unmarshal(in, reflect.New(typ).Interface()); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
