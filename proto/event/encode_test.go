package event_test

import (
	"bytes"
	"encoding/json"
	"fmt"
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

// sameAsReflection compares the encoder of T with encoding/json over random values.
func sameAsReflection[T any](t *testing.T, encode func(*T) []byte) {
	t.Helper()
	t.Run(fmt.Sprintf("%T", *new(T)), func(t *testing.T) {
		t.Parallel()
		if err := quick.Check(func(v T) bool {
			settle(reflect.ValueOf(&v).Elem())
			got, want := string(encode(&v)), reflected(t, &v)
			if got != want {
				t.Errorf("\n got %s\nwant %s", got, want)
			}
			return got == want
		}, nil); err != nil {
			t.Error(err)
		}
	})
}

// settle replaces what no program makes: lists that are nil, success that is
// false, JSON that is none.
func settle(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Field(i)
			_, limited := v.Interface().(event.TypingUpdated)
			if v.Type().Field(i).Name == "Success" && !limited {
				f.SetBool(true)
			} else if v.Type().Field(i).Type == reflect.TypeFor[json.RawMessage]() {
				f.SetBytes(message.AppendJSON(nil))
			} else if v.Type().Field(i).Type == reflect.TypeFor[event.Messages]() {
				f.Set(reflect.ValueOf(make(event.Messages, f.Len())))
				for k := range f.Len() {
					f.Index(k).FieldByName("JSON").SetBytes(message.AppendJSON(nil))
				}
			} else {
				settle(f)
			}
		}
	case reflect.Slice:
		if v.IsNil() {
			v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		}
	}
}

func TestRepliesEqualEncodingJSON(t *testing.T) {
	t.Parallel()
	sameAsReflection(t, func(r *event.JoinedRoom) []byte { return r.AppendJSON(nil) })
	sameAsReflection(t, func(r *event.LeftRoom) []byte { return r.AppendJSON(nil) })
	sameAsReflection(t, func(r *event.MessageSent) []byte { return r.AppendJSON(nil) })
	sameAsReflection(t, func(r *event.TypingUpdated) []byte { return r.AppendJSON(nil) })
	sameAsReflection(t, func(r *event.RoomStatsRetrieved) []byte { return r.AppendJSON(nil) })
	sameAsReflection(t, func(r *event.HeartbeatResponse) []byte { return r.AppendJSON(nil) })
	sameAsReflection(t, func(r *event.History) []byte { return r.AppendJSON(nil) })
	sameAsReflection(t, func(r *event.PresenceUpdated) []byte { return r.AppendJSON(nil) })
	sameAsReflection(t, func(r *event.PresenceRetrieved) []byte { return r.AppendJSON(nil) })
	sameAsReflection(t, func(r *event.MessageReadReply) []byte { return r.AppendJSON(nil) })
	sameAsReflection(t, func(r *event.TokenRefreshed) []byte { return r.AppendJSON(nil) })
}

func TestServerEventsEqualEncodingJSON(t *testing.T) {
	t.Parallel()
	sameAsReflection(t, func(e *event.Message) []byte { return e.AppendJSON(nil) })
	sameAsReflection(t, func(e *event.MemberChange) []byte { return e.AppendJSON(nil) })
	sameAsReflection(t, func(e *event.OnlineChange) []byte { return e.AppendJSON(nil) })
	sameAsReflection(t, func(e *event.UserTyping) []byte { return e.AppendJSON(nil) })
	sameAsReflection(t, func(e *event.RoomUsers) []byte { return e.AppendJSON(nil) })
	sameAsReflection(t, func(e *event.RoomStats) []byte { return e.AppendJSON(nil) })
	sameAsReflection(t, func(e *event.PresenceUpdate) []byte { return e.AppendJSON(nil) })
	sameAsReflection(t, func(e *event.MessageReadUpdate) []byte { return e.AppendJSON(nil) })
	sameAsReflection(t, func(e *event.Ping) []byte { return e.AppendJSON(nil) })
	sameAsReflection(t, func(e *event.Gap) []byte { return e.AppendJSON(nil) })
	sameAsReflection(t, func(e *event.ReconnectSoon) []byte { return e.AppendJSON(nil) })
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
