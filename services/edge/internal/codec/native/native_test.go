package native_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/confab-chat/confab/proto/strictjson"
	"github.com/confab-chat/confab/services/edge/internal/codec"
	"github.com/confab-chat/confab/services/edge/internal/codec/native"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn/conntest"
	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
)

const golden = "../../../../../proto/testdata"

// frames calls each with every golden frame whose key begins with one of prefixes.
func frames(tb testing.TB, each func(name string, raw []byte), prefixes ...string) {
	tb.Helper()
	files, err := filepath.Glob(filepath.Join(golden, "*.json"))
	if err != nil || len(files) == 0 {
		tb.Fatalf("no golden frames: %v", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		var all map[string]json.RawMessage
		if err := json.Unmarshal(b, &all); err != nil {
			tb.Fatalf("%s: %v", file, err)
		}
		for key, raw := range all {
			for _, p := range prefixes {
				if key == p || strings.HasPrefix(key, p+" ") {
					each(filepath.Base(file)+"/"+key, raw)
				}
			}
		}
	}
}

type golding struct {
	ID    *int64          `json:"id"`
	Event string          `json:"event"`
	Data  json.RawMessage `json:"data"`
}

func TestGoldenRequests(t *testing.T) {
	t.Parallel()
	var r strictjson.Reader
	frames(t, func(name string, raw []byte) {
		var want golding
		if err := json.Unmarshal(raw, &want); err != nil {
			t.Fatal(err)
		}
		got, err := native.Codec{}.Decode(&r, raw)
		if err != nil || string(got.Event) != want.Event || string(got.Data) != string(want.Data) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if want.ID == nil && got.ID != codec.NoID || want.ID != nil && got.ID != *want.ID {
			t.Errorf("%s: id %d", name, got.ID)
		}
	}, "request", "refused")
}

// Replies and server events come out as they stand in the golden files.
func TestGoldenAnswers(t *testing.T) {
	t.Parallel()
	check := func(name string, raw []byte) {
		var g golding
		if err := json.Unmarshal(raw, &g); err != nil {
			t.Fatal(err)
		}
		var frame []byte
		if g.ID != nil {
			frame = native.Codec{}.AppendReply([]byte("x"), *g.ID, g.Event, g.Data)
		} else {
			frame = native.Codec{}.AppendEvent([]byte("x"), g.Event, g.Data)
		}
		got := conntest.ParseFrames(t, frame[1:])
		if len(got) != 1 || got[0].Op != ws.OpText || got[0].Payload != string(raw) {
			t.Errorf("%s:\ngot  %+v\nwant %s", name, got, raw)
		}
	}
	frames(t, check, "reply", "refusal", "event")
}

func TestDecode(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		msg   string
		id    int64
		event string
		data  string
		ok    bool
	}{
		"no id":            {`{"event":"heartbeat"}`, -1, "heartbeat", "", true},
		"id 0":             {`{"event":"heartbeat","id":0}`, 0, "heartbeat", "", true},
		"largest id":       {`{"id":9007199254740991,"event":"x"}`, 9007199254740991, "x", "", true},
		"unknown members":  {`{"v":[1,{}],"event":"x","data":null,"z":""}`, -1, "x", "null", true},
		"white space":      {" {\n\"event\" : \"x\" ,\t\"data\" : { } } ", -1, "x", "{ }", true},
		"escaped name":     {`{"event":"joi\u006eRoom"}`, -1, "joinRoom", "", true},
		"empty name":       {`{"id":3,"event":""}`, 3, "", "", false},
		"no event":         {`{"id":3}`, 3, "", "", false},
		"negative id":      {`{"id":-1,"event":"x"}`, -1, "x", "", false},
		"id too large":     {`{"id":9007199254740992,"event":"x"}`, -1, "", "", false},
		"id is text":       {`{"id":"7","event":"x"}`, -1, "", "", false},
		"id is null":       {`{"id":null,"event":"x"}`, -1, "x", "", true},
		"id is a fraction": {`{"id":1.5,"event":"x"}`, -1, "", "", false},
		"id is an object":  {`{"id":{"a":[1]},"event":"x"}`, -1, "", "", false},
		"broken id":        {`{"id":nul,"event":"x"}`, -1, "", "", false},
		"event is number":  {`{"id":7,"event":7}`, 7, "", "", false},
		"key twice":        {`{"id":7,"event":"x","data":{"a":1,"a":2}}`, 7, "", "", false},
		"too many":         {`{"id":7,"event":"x","data":[` + strings.Repeat("1,", 256) + `1]}`, 7, "", "", false},
		"number too big":   {`{"id":7,"event":"x","data":1e400}`, 7, "", "", false},
		"too deep":         {`{"id":7,"event":"x","data":` + strings.Repeat("[", 17) + strings.Repeat("]", 17) + `}`, 7, "", "", false},
		"broken behind":    {`{"id":7,"event":"x","data":{]}`, -1, "", "", false},
		"array":            {`["x"]`, -1, "", "", false},
		"nothing":          {``, -1, "", "", false},
		"trailing":         {`{"event":"x"}{}`, -1, "", "", false},
		"byte order mark":  {"\ufeff" + `{"event":"x"}`, -1, "", "", false},
		"data twice":       {`{"event":"x","data":1,"data":2}`, -1, "", "", false},
		"broken data":      {`{"event":"x","data":{"a":}}`, -1, "", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var r strictjson.Reader
			got, err := native.Codec{}.Decode(&r, []byte(c.msg))
			if (err == nil) != c.ok {
				t.Fatalf("error %v", err)
			}
			if got.ID != c.id || c.ok && (string(got.Event) != c.event || string(got.Data) != c.data) {
				t.Errorf("got %d %q %q", got.ID, got.Event, got.Data)
			}
		})
	}
}

func TestNoReplyWithoutID(t *testing.T) {
	t.Parallel()
	if b := (native.Codec{}).AppendReply(nil, codec.NoID, "joinedRoom", []byte("{}")); len(b) != 0 {
		t.Errorf("replied %q", b)
	}
}

// FuzzDecode: whatever is accepted is JSON that encoding/json understands in the same way.
func FuzzDecode(f *testing.F) {
	frames(f, func(_ string, raw []byte) { f.Add(raw) }, "request", "refused", "reply", "event")
	for _, seed := range []string{`{"id":1,"event":"x","data":{"a":[1,2,{"b":null}]}}`, `{"id":-1}`, `{"event":"\u006a"}`, `[]`, `{"id":1e3}`} {
		f.Add([]byte(seed))
	}
	var r strictjson.Reader
	f.Fuzz(func(t *testing.T, msg []byte) {
		got, err := native.Codec{}.Decode(&r, msg)
		if err != nil {
			return
		}
		var members map[string]json.RawMessage // a struct would take "ID" for id
		if err := json.Unmarshal(msg, &members); err != nil {
			t.Fatalf("accepted what encoding/json refuses: %v", err)
		}
		var name string
		if err := json.Unmarshal(members["event"], &name); err != nil || string(got.Event) != name {
			t.Errorf("event %q, want %q: %v", got.Event, name, err)
		}
		id := codec.NoID
		if raw, given := members["id"]; given {
			if err := json.Unmarshal(raw, &id); err != nil {
				t.Errorf("id %s: %v", raw, err)
			}
		}
		if got.ID != id {
			t.Errorf("id %d, want %d", got.ID, id)
		}
		if got.Data != nil && !json.Valid(got.Data) {
			t.Errorf("data %q", got.Data)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	msg := []byte(`{"id":7,"event":"sendMessage","data":{"content":"Good morning, everybody! How is the release going?","roomId":"general"}}`)
	var r strictjson.Reader
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (native.Codec{}).Decode(&r, msg); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendEvent(b *testing.B) {
	data, dst := make([]byte, 350), make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		dst = native.Codec{}.AppendEvent(dst[:0], "receiveMessage", data)
	}
}
