package event_test

import (
	"bytes"
	"encoding/json"
	mathrand "math/rand"
	"math/rand/v2"
	"reflect"
	"testing"
	"testing/quick"

	"github.com/confab-chat/confab/proto/event"
)

// reflected is v by encoding/json, without escapes for HTML.
func reflected(tb testing.TB, v any) string {
	tb.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		tb.Fatal(err)
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

// encoder is a reply or the payload of a server event.
type encoder interface{ AppendJSON(dst []byte) []byte }

// Every encoder, compared with encoding/json over random values.
func TestEncodersEqualEncodingJSON(t *testing.T) {
	t.Parallel()
	compare := func(name string, zero encoder) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := mathrand.New(mathrand.NewSource(1))
			for range 100 {
				v, ok := quick.Value(reflect.TypeOf(zero).Elem(), r)
				if !ok {
					t.Fatalf("cannot make a %T", zero)
				}
				p := reflect.New(v.Type())
				p.Elem().Set(v)
				makeEncodable(p.Elem())
				got, want := string(p.Interface().(encoder).AppendJSON(nil)), reflected(t, p.Interface())
				if got != want {
					t.Fatalf("\n got %s\nwant %s", got, want)
				}
			}
		})
	}
	for _, def := range event.Catalog() {
		compare(def.Reply, def.Success())
	}
	for _, def := range event.ServerEvents() {
		compare(def.Name, def.Payload())
	}
}

// makeEncodable replaces what no program makes: lists that are nil, constants with
// another value, JSON that is none.
func makeEncodable(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Field(i)
			_, limited := v.Interface().(event.TypingUpdated)
			if v.Type().Field(i).Name == "Success" && !limited {
				_, failure := v.Interface().(event.Failure)
				f.SetBool(!failure)
			} else if v.Type().Field(i).Type == reflect.TypeFor[json.RawMessage]() {
				f.SetBytes(message.AppendJSON(nil))
			} else if v.Type().Field(i).Type == reflect.TypeFor[event.Messages]() {
				f.Set(reflect.ValueOf(make(event.Messages, f.Len())))
				for k := range f.Len() {
					f.Index(k).FieldByName("JSON").SetBytes(message.AppendJSON(nil))
				}
			} else {
				makeEncodable(f)
			}
		}
	case reflect.Slice:
		if v.IsNil() {
			v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		}
	}
}

// The three times of a message are equal today: the short way and the long one agree.
func TestMessageTimes(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		m := message
		for _, field := range []*event.Time{&m.Timestamp, &m.CreatedAt, &m.UpdatedAt} {
			*field = event.Time(random.IntN(2)) * at
		}
		if got, want := string(m.AppendJSON(nil)), reflected(t, &m); got != want {
			t.Fatalf("\n got %s\nwant %s", got, want)
		}
	}
}

// Lists are never null on the wire, and a reply is a success whatever the field says.
func TestZeroReplies(t *testing.T) {
	t.Parallel()
	for want, got := range map[string][]byte{
		`{"roomId":"","success":true,"activeUsers":[],"seq":0,"timestamp":null}`: new(event.JoinedRoom).AppendJSON(nil),
		`{"roomId":"","messages":[],"hasMore":false,"success":true}`:             new(event.History).AppendJSON(nil),
		`{"success":true,"presenceData":[],"timestamp":null}`:                    new(event.PresenceRetrieved).AppendJSON(nil),
		`{"roomId":"","users":[],"total":0}`:                                     new(event.RoomUsers).AppendJSON(nil),
		`{"event":"leftRoom","roomId":"","success":true,"timestamp":null}`:       event.AppendNamed(nil, event.NameLeftRoom, new(event.LeftRoom).AppendJSON(nil)),
	} {
		if string(got) != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	dst := make([]byte, 0, 4096)
	m := message
	m.Content = "Hello everybody, this is a message of about one hundred bytes, as people write them in chats."
	sent := event.MessageSent{Message: m.AppendJSON(nil)}
	for name, encode := range map[string]func(){
		"Message":               func() { dst = m.AppendJSON(dst[:0]) },
		"Message_encoding_json": func() { reflected(b, &m) },
		"MessageSent":           func() { dst = sent.AppendJSON(dst[:0]) },
		"AppendEscaped":         func() { dst = event.AppendEscaped(dst[:0], sent.Message) },
		"AppendTime":            func() { dst = event.AppendTime(dst[:0], int64(at)) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				encode()
			}
		})
	}
}

func TestHotEncodersDoNotAllocate(t *testing.T) {
	dst := make([]byte, 0, 4096)
	m := message
	sent := event.MessageSent{Message: m.AppendJSON(nil)}
	if n := testing.AllocsPerRun(100, func() {
		dst = m.AppendJSON(dst[:0])
		dst = sent.AppendJSON(dst[:0])
		dst = event.AppendEscaped(dst[:0], sent.Message)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
