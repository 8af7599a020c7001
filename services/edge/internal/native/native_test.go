package native_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/confab-chat/confab/proto/strictjson"
	"github.com/confab-chat/confab/services/edge/internal/door"
	"github.com/confab-chat/confab/services/edge/internal/native"
)

func TestDecode(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		frame string
		want  door.Request
		ok    bool
	}{
		"whole":               {`{"id":7,"event":"joinRoom","data":{"roomId":"a"}}`, door.Request{ID: 7, Event: []byte("joinRoom"), Data: []byte(`{"roomId":"a"}`)}, true},
		"no id":               {`{"event":"heartbeat"}`, door.Request{ID: door.NoID, Event: []byte("heartbeat")}, true},
		"id 0":                {`{"id":0,"event":"heartbeat"}`, door.Request{ID: 0, Event: []byte("heartbeat")}, true},
		"largest id":          {`{"id":9007199254740991,"event":"x"}`, door.Request{ID: 1<<53 - 1, Event: []byte("x")}, true},
		"another order":       {` {"data":[1],"event":"x","more":{"a":1},"id":3} `, door.Request{ID: 3, Event: []byte("x"), Data: []byte(`[1]`)}, true},
		"escapes in the name": {`{"event":"join\u0052oom"}`, door.Request{ID: door.NoID, Event: []byte("joinRoom")}, true},
		"negative id":         {`{"id":-1,"event":"x"}`, door.Request{ID: door.NoID, Event: []byte("x")}, false},
		"id too large":        {`{"id":9007199254740992,"event":"x"}`, door.Request{ID: door.NoID}, false},
		"id of another type":  {`{"id":"7","event":"x"}`, door.Request{ID: door.NoID}, false},
		"no event":            {`{"id":7}`, door.Request{ID: 7}, false},
		"empty event":         {`{"id":7,"event":""}`, door.Request{ID: 7}, false},
		"event no string":     {`{"id":7,"event":1}`, door.Request{ID: door.NoID}, false},
		"twice the same key":  {`{"id":7,"id":8,"event":"x"}`, door.Request{ID: door.NoID}, false},
		"no object":           {`[1]`, door.Request{ID: door.NoID}, false},
		"nothing":             {``, door.Request{ID: door.NoID}, false},
		"cut off":             {`{"id":7,"event":"x","data":{`, door.Request{ID: door.NoID}, false},
		"something behind":    {`{"event":"x"}{}`, door.Request{ID: door.NoID}, false},
		"lone surrogate":      {`{"id":7,"event":"x","data":"\ud800"}`, door.Request{ID: 7}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var r strictjson.Reader
			got, err := native.Codec{}.Decode(&r, []byte(c.frame))
			if (err == nil) != c.ok {
				t.Fatalf("err = %v", err)
			}
			if got.ID != c.want.ID || c.ok && (!bytes.Equal(got.Event, c.want.Event) || !bytes.Equal(got.Data, c.want.Data)) {
				t.Errorf("got %d %s %s", got.ID, got.Event, got.Data)
			}
		})
	}
}

// A reader is used for one frame after another: nothing of a bad one may stay.
func TestDecodeAfterABadFrame(t *testing.T) {
	t.Parallel()
	var r strictjson.Reader
	if _, err := (native.Codec{}).Decode(&r, []byte(`{"id":`)); err == nil {
		t.Fatal("a cut frame was read")
	}
	if got, err := (native.Codec{}).Decode(&r, []byte(`{"id":1,"event":"x"}`)); err != nil || got.ID != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
}

// payload is what is in a text frame of a server (RFC 6455, section 5.2).
func payload(t testing.TB, frame []byte) []byte {
	t.Helper()
	if frame[0] != 0x81 || frame[1]&0x80 != 0 {
		t.Fatalf("no unmasked text frame: %x", frame[:2])
	}
	size, n := int(frame[1]), 2
	if size == 126 {
		size, n = int(frame[2])<<8|int(frame[3]), 4
	}
	if size != len(frame)-n {
		t.Fatalf("the header says %d bytes, %d follow", size, len(frame)-n)
	}
	return frame[n:]
}

func TestEncode(t *testing.T) {
	t.Parallel()
	var codec native.Codec
	for name, c := range map[string]struct {
		frame []byte
		want  string
	}{
		"reply":      {codec.AppendReply(nil, 7, "joinedRoom", []byte(`{"a":1}`)), `{"id":7,"event":"joinedRoom","data":{"a":1}}`},
		"event":      {codec.AppendEvent(nil, "ping", []byte(`{}`)), `{"event":"ping","data":{}}`},
		"long event": {codec.AppendEvent(nil, "x", []byte(`"`+string(bytes.Repeat([]byte("a"), 300))+`"`)), `{"event":"x","data":"` + string(bytes.Repeat([]byte("a"), 300)) + `"}`},
	} {
		if got := payload(t, c.frame); string(got) != c.want || !json.Valid(got) {
			t.Errorf("%s: %s", name, got)
		}
	}
	if got := codec.AppendReply(nil, door.NoID, "x", nil); len(got) != 0 {
		t.Errorf("a reply nobody asked for: %s", got)
	}
}

// FuzzDecode: whatever is accepted is what encoding/json reads, and nothing panics.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"id":7,"event":"joinRoom","data":{"roomId":"a","since":3}}`, `{"event":"heartbeat"}`, `{"id":-1,"event":"x"}`,
		`{"event":"a\u0000b"}`, `{"id":1e3,"event":"x"}`, `{"data":"\ud800"}`, `[]`, `{"id":7,"event":"x","data":`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		var r strictjson.Reader
		got, err := native.Codec{}.Decode(&r, frame)
		if err != nil {
			return
		}
		var want struct {
			ID    *int64          `json:"id"`
			Event string          `json:"event"`
			Data  json.RawMessage `json:"data"`
		}
		var all map[string]json.RawMessage // encoding/json folds the case of keys, we do not
		if err := json.Unmarshal(frame, &all); err != nil {
			t.Fatalf("accepted what encoding/json refuses: %v", err)
		}
		for name, into := range map[string]any{"id": &want.ID, "event": &want.Event, "data": &want.Data} {
			if raw, ok := all[name]; ok {
				if err := json.Unmarshal(raw, into); err != nil {
					var wrong *json.UnmarshalTypeError
					if errors.As(err, &wrong) {
						return // 1e3 is a whole number to us
					}
					t.Fatal(err)
				}
			}
		}
		if want.Event != string(got.Event) || want.ID != nil && *want.ID != got.ID || !bytes.Equal(want.Data, got.Data) {
			t.Errorf("%s\ngot  %d %q %s\nwant %v %q %s", frame, got.ID, got.Event, got.Data, want.ID, want.Event, want.Data)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	frame := []byte(`{"id":7,"event":"sendMessage","data":{"roomId":"general","content":"hello there","clientMessageId":"c1"}}`)
	var r strictjson.Reader
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (native.Codec{}).Decode(&r, frame); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendEvent(b *testing.B) {
	data := bytes.Repeat([]byte("a"), 300)
	dst := make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		dst = native.Codec{}.AppendEvent(dst[:0], "receiveMessage", data)
	}
}
