package wire_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/quick"

	"github.com/confab-chat/confab/proto/wire"
)

func name(m wire.Message) string { return reflect.TypeOf(m).Elem().Name() }

func fresh(m wire.Message) wire.Message {
	return reflect.New(reflect.TypeOf(m).Elem()).Interface().(wire.Message)
}

// random returns a message with random content. Empty lists are nil, as Unmarshal makes them.
func random(t *testing.T, m wire.Message, r *rand.Rand) wire.Message {
	t.Helper()
	v, ok := quick.Value(reflect.TypeOf(m).Elem(), r)
	if !ok {
		t.Fatalf("cannot make a %s", name(m))
	}
	p := reflect.New(v.Type())
	p.Elem().Set(v)
	emptyToNil(p.Elem())
	return p.Interface().(wire.Message)
}

func emptyToNil(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			emptyToNil(v.Field(i))
		}
	case reflect.Slice:
		if v.Len() == 0 {
			v.SetZero()
		}
		for i := range v.Len() {
			emptyToNil(v.Index(i))
		}
	}
}

func eachMessage(t *testing.T, f func(t *testing.T, m wire.Message, r *rand.Rand)) {
	t.Helper()
	for i, m := range messages() {
		t.Run(name(m), func(t *testing.T) {
			t.Parallel()
			f(t, m, rand.New(rand.NewSource(int64(i))))
		})
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	eachMessage(t, func(t *testing.T, m wire.Message, r *rand.Rand) {
		if b := wire.Marshal(m); len(b) != 0 {
			t.Errorf("the zero message takes %d bytes", len(b))
		}
		for range 50 {
			want := random(t, m, r)
			prefix := []byte("before")
			b := wire.Append(prefix, want)
			if !bytes.HasPrefix(b, prefix) {
				t.Fatal("Append has overwritten what was there")
			}
			if once := wire.Marshal(want); !bytes.Equal(once, b[len(prefix):]) || cap(once) > len(once)+len(once)/8+32 {
				t.Fatalf("Marshal took %d bytes for %d", cap(once), len(once))
			}
			got := fresh(m)
			if err := wire.Unmarshal(b[len(prefix):], got); err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("got %+v, %v\nwant %+v", got, err, want)
			}
		}
	})
}

// Fields of a later release: of every kind, with numbers that are not used here.
var unknown = [][]byte{
	{0xf8, 0x07, 0x01},                // 127, varint
	{0xfa, 0x07, 0x03, 'n', 'e', 'w'}, // 127, bytes
	{0xfa, 0x07, 0x00},                // 127, no bytes
	{0xf9, 0x07, 1, 2, 3, 4, 5, 6, 7, 8},
	{0xfd, 0x07, 1, 2, 3, 4},
	{0xf8, 0xff, 0xff, 0xff, 0x0f, 0x05}, // the largest number of protobuf
}

func TestUnknownFieldsAreSkipped(t *testing.T) {
	t.Parallel()
	eachMessage(t, func(t *testing.T, m wire.Message, r *rand.Rand) {
		for range 20 {
			want := random(t, m, r)
			b := wire.Marshal(want)
			for _, field := range unknown {
				for _, mixed := range [][]byte{slices.Concat(field, b), slices.Concat(b, field), slices.Concat(field, b, field)} {
					got := fresh(m)
					if err := wire.Unmarshal(mixed, got); err != nil || !reflect.DeepEqual(got, want) {
						t.Fatalf("with field % x: got %+v, %v\nwant %+v", field, got, err, want)
					}
				}
			}
		}
	})
}

// Cut off anywhere, bytes are refused or are a message; they never panic, and
// never reach beyond themselves.
func TestTruncated(t *testing.T) {
	t.Parallel()
	eachMessage(t, func(t *testing.T, m wire.Message, r *rand.Rand) {
		for range 10 {
			b := wire.Marshal(random(t, m, r))
			for n := range min(len(b), 300) {
				got := fresh(m)
				if err := wire.Unmarshal(b[:n:n], got); err != nil && !errors.Is(err, wire.ErrMalformed) {
					t.Fatal(err)
				}
			}
		}
	})
}

func TestMalformed(t *testing.T) {
	t.Parallel()
	for what, b := range map[string][]byte{
		"tag cut off":            {0x80},
		"tag too long":           bytes.Repeat([]byte{0xff}, 11),
		"field 0":                {0x00, 0x01},
		"varint cut off":         {0x20, 0x80},
		"varint too long":        append([]byte{0x20}, bytes.Repeat([]byte{0xff}, 11)...),
		"bytes without length":   {0x0a},
		"bytes too long":         {0x0a, 0x05, 'a'},
		"bytes enormous":         {0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 'a'},
		"fixed64 cut off":        {0xf9, 0x07, 1, 2, 3, 4, 5, 6, 7},
		"fixed32 cut off":        {0xfd, 0x07, 1, 2, 3},
		"group":                  {0x0b, 0x0c},
		"kind 6":                 {0x0e},
		"kind 7":                 {0x0f},
		"number as text":         {0x22, 0x01, 'a'}, // Joined.Epoch
		"text as number":         {0x08, 0x01},      // Joined.Fault.Code
		"list as number":         {0x38, 0x01},      // Joined.Users
		"nested, malformed":      {0x3a, 0x02, 0x0a, 0x05},
		"nested, of other kind":  {0x3a, 0x02, 0x08, 0x01},
		"good, then malformed":   {0x20, 0x01, 0x80},
		"malformed unknown":      {0xfa, 0x07, 0x05},
		"nothing but a high bit": {0xff},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			if err := wire.Unmarshal(b, new(wire.Joined)); !errors.Is(err, wire.ErrMalformed) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// As in protobuf: of a field that comes twice the last counts, lists go on.
func TestConcatenatedMessagesMerge(t *testing.T) {
	t.Parallel()
	b := slices.Concat(
		wire.Marshal(&wire.Joined{Epoch: 1, Head: 7, Users: []wire.User{{ID: "a"}}}),
		wire.Marshal(&wire.Joined{Epoch: 2, Users: []wire.User{{ID: "b"}, {}}}))
	var got wire.Joined
	want := wire.Joined{Epoch: 2, Head: 7, Users: []wire.User{{ID: "a"}, {ID: "b"}, {}}}
	if err := wire.Unmarshal(b, &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
}

// Strings are copied, bytes are not, and what is appended to them stays out of the input.
func TestUnmarshalAliases(t *testing.T) {
	t.Parallel()
	b := wire.Marshal(&wire.Broadcast{Room: "room", Record: []byte("record"), Event: "event"})
	before := slices.Clone(b)
	var got wire.Broadcast
	if err := wire.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	_ = append(got.Record, "overflow"...)
	if !bytes.Equal(b, before) {
		t.Error("appending to a field changes the input")
	}
	clear(b)
	if got.Room != "room" || got.Event != "event" {
		t.Errorf("strings alias the input: %q, %q", got.Room, got.Event)
	}
	if string(got.Record) == "record" {
		t.Error("bytes are copied: the edge would pay for each broadcast")
	}
}

var update = flag.Bool("update", false, "add the golden bytes of new messages to testdata")

// filled returns a message whose every field has another value than zero.
func filled(m wire.Message) wire.Message {
	p := fresh(m)
	n := 0
	fill(reflect.ValueOf(p).Elem(), &n)
	return p
}

func fill(v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes(fmt.Appendf(nil, "b%d", *n))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	case reflect.String:
		v.SetString(fmt.Sprintf("s%d", *n))
	case reflect.Uint64:
		v.SetUint(uint64(*n) * 100)
	case reflect.Bool:
		v.SetBool(true)
	default:
		panic(v.Kind())
	}
}

// The bytes of every message with all its fields, as releases before this one
// send and store them. Field numbers are never reused: lines are only added, and
// change only by what is appended for new fields.
func TestGoldenBytes(t *testing.T) {
	t.Parallel()
	const file = "testdata/messages.txt"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	golden := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, b, _ := strings.Cut(strings.TrimSpace(line), " ")
		golden[name] = b
	}
	for _, m := range messages() {
		if *update && golden[name(m)] == "" {
			golden[name(m)] = hex.EncodeToString(wire.Marshal(filled(m)))
			text = fmt.Appendf(text, "%s %s\n", name(m), golden[name(m)])
		}
		want, err := hex.DecodeString(golden[name(m)])
		if err != nil || len(want) == 0 {
			t.Errorf("no golden bytes of %s: run with -update", name(m))
			continue
		}
		if got := wire.Marshal(filled(m)); !bytes.Equal(got, want) {
			t.Errorf("%s:\n got %x\nwant %x", name(m), got, want)
		}
		got := fresh(m)
		if err := wire.Unmarshal(want, got); err != nil || !reflect.DeepEqual(got, filled(m)) {
			t.Errorf("%s: the golden bytes are %+v, %v", name(m), got, err)
		}
	}
	if *update {
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// FuzzUnmarshal feeds every message type: no panic, and what is accepted is
// encoded and decoded again as the same message.
func FuzzUnmarshal(f *testing.F) {
	for i, m := range messages() {
		f.Add(uint8(i), wire.Marshal(filled(m)))
	}
	for _, field := range unknown {
		f.Add(uint8(0), field)
	}
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		m := messages()[int(which)%len(messages())]
		before := slices.Clone(b)
		if err := wire.Unmarshal(b, m); err != nil {
			if !errors.Is(err, wire.ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(b, before) {
			t.Fatal("Unmarshal has changed its input")
		}
		again := fresh(m)
		if err := wire.Unmarshal(wire.Marshal(m), again); err != nil {
			t.Fatal(err)
		}
		emptyToNil(reflect.ValueOf(m).Elem())
		if !reflect.DeepEqual(m, again) {
			t.Fatalf("%+v comes back as %+v", m, again)
		}
	})
}

func record(n int) *wire.Record {
	r := &wire.Record{Epoch: 7, First: 1001, Mark64: 900, Mark1024: 100, CreatedMs: 1767323045678, Room: "general"}
	for range n {
		r.Entries = append(r.Entries, wire.Entry{User: "u-ada", ClientID: "0b7c1c9e-5b0a-4a52", Sum: 1 << 60, AtMs: 1767323045678, JSON: bytes.Repeat([]byte("x"), 300)})
	}
	return r
}

func BenchmarkRecord(b *testing.B) {
	for _, n := range []int{1, 16, 64} {
		r := record(n)
		encoded := wire.Marshal(r)
		b.Run(fmt.Sprintf("append_%d", n), func(b *testing.B) {
			b.ReportAllocs()
			dst := make([]byte, 0, 64<<10)
			for b.Loop() {
				dst = wire.Append(dst[:0], r)
			}
		})
		b.Run(fmt.Sprintf("marshal_%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				wire.Marshal(r)
			}
		})
		b.Run(fmt.Sprintf("unmarshal_%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var got wire.Record
				if err := wire.Unmarshal(encoded, &got); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
