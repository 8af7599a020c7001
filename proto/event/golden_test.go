package event_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/event"
)

// The frames in proto/testdata are what clients in the field send and expect. A
// change here that makes a frame differ breaks them: fields are added, never
// renamed or removed.

const at event.Time = 1767323045678 // 2026-01-02T03:04:05.678Z

var (
	ada     = event.User{ID: "u-ada", Name: "Ada"}
	message = event.Message{
		ID: event.MessageID("general", 42, uint64(at), "u-ada"), Content: "Hello, <b>world</b> & \"all\"\n😀",
		Author: event.Author(ada), RoomID: "general", MessageType: event.TypeText, Seq: 42,
		Timestamp: at, CreatedAt: at, UpdatedAt: at,
	}
)

func ptr[T any](v T) *T { return &v }

// frame is a native frame; Data keeps its bytes.
type frame struct {
	ID    *uint64         `json:"id"`
	Event string          `json:"event"`
	Data  json.RawMessage `json:"data"`
}

func readGolden(tb testing.TB, name string) map[string]json.RawMessage {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("..", "testdata", name+".json"))
	if err != nil {
		tb.Fatal(err)
	}
	var frames map[string]json.RawMessage
	if err := json.Unmarshal(b, &frames); err != nil {
		tb.Fatal(err)
	}
	return frames
}

func parseFrame(tb testing.TB, b []byte) frame {
	tb.Helper()
	var f frame
	if err := json.Unmarshal(b, &f); err != nil {
		tb.Fatal(err)
	}
	return f
}

// decoded is a Go client's view: data decoded by encoding/json into like, a new value.
func decoded[T any](tb testing.TB, data []byte, like T) T {
	tb.Helper()
	if err := json.Unmarshal(data, like); err != nil {
		tb.Errorf("%s: %v", data, err)
	}
	return like
}

// A golden request is decoded to what it says, or to "payload" of the same file where
// Decode changes it. A golden reply or event is what its decoded form encodes to.
func TestGoldenFrames(t *testing.T) {
	t.Parallel()
	for _, def := range event.Catalog() {
		t.Run(def.Name, func(t *testing.T) {
			t.Parallel()
			frames := readGolden(t, def.Name)
			for key, text := range frames {
				kind, variant, _ := strings.Cut(key, " ")
				switch kind {
				case "request":
					payload := frames[strings.TrimSpace("payload "+variant)]
					checkRequest(t, def, key, text, payload)
				case "reply":
					object := decoded(t, parseFrame(t, text).Data, def.Success()).AppendJSON(nil)
					if got := `{"id":7,"event":"` + def.Reply + `","data":` + string(object) + "}"; got != string(text) {
						t.Errorf("%s:\n got %s\nwant %s", key, got, text)
					}
					ack := frames[strings.TrimSpace("ack "+variant)]
					if got := string(event.AppendNamed(nil, def.Reply, object)); got != string(ack) {
						t.Errorf("the acknowledgement of %s:\n got %s\nwant %s", key, got, ack)
					}
				case "refused":
					checkRefusal(t, def.Name, text, frames["refusal"])
				case "event":
					checkEvent(t, key, text)
				case "ack", "payload", "refusal": // with the others
				default:
					t.Errorf("unknown kind of frame %q", key)
				}
			}
		})
	}
	for _, def := range event.ServerEvents() {
		t.Run(def.Name, func(t *testing.T) {
			t.Parallel()
			frames, ok := goldenEvents(t)[def.Name]
			if !ok {
				t.Fatal("no golden frames")
			}
			for key, text := range frames {
				if !strings.HasPrefix(key, "event") {
					t.Errorf("unknown kind of frame %q", key)
				}
				checkEvent(t, key, text)
			}
		})
	}
}

// goldenEvents are the frames of server events by the event's name: those in a file of its
// own, and those named "event" in the file of the client event that causes them.
func goldenEvents(tb testing.TB) map[string]map[string]json.RawMessage {
	tb.Helper()
	files, err := filepath.Glob("../testdata/*.json")
	if err != nil || len(files) == 0 {
		tb.Fatal("no golden frames", err)
	}
	all := map[string]map[string]json.RawMessage{}
	for _, file := range files {
		for key, text := range readGolden(tb, strings.TrimSuffix(filepath.Base(file), ".json")) {
			if name := parseFrame(tb, text).Event; strings.HasPrefix(key, "event") {
				if all[name] == nil {
					all[name] = map[string]json.RawMessage{}
				}
				all[name][key] = text
			}
		}
	}
	return all
}

// checkEvent compares a frame of a server event with what its decoded form encodes to.
func checkEvent(t *testing.T, key string, text []byte) {
	t.Helper()
	f := parseFrame(t, text)
	defs := event.ServerEvents()
	i := slices.IndexFunc(defs, func(d event.ServerDef) bool { return d.Name == f.Event })
	if i < 0 {
		t.Errorf("%s: there is no event %s", key, f.Event)
		return
	}
	object := decoded(t, f.Data, defs[i].Payload()).AppendJSON(nil)
	if got := `{"event":"` + f.Event + `","data":` + string(object) + "}"; got != string(text) {
		t.Errorf("%s:\n got %s\nwant %s", key, got, text)
	}
}

// checkRequest compares what Decode makes of a frame with payload, or, where that is
// empty, with the frame's data.
func checkRequest(t *testing.T, def event.Def, key string, text, payload []byte) {
	t.Helper()
	f := parseFrame(t, text)
	if f.Event != def.Name {
		t.Errorf("%s: event %q", key, f.Event)
	}
	if payload == nil {
		payload = f.Data
	}
	if payload == nil {
		payload = []byte("{}")
	}
	got, want := def.Payload(), decoded(t, payload, def.Payload())
	if err := got.Decode(f.Data); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %+v, %v; want %+v", key, got, err, want)
	}
}

func checkRefusal(t *testing.T, name string, refused, refusal []byte) {
	t.Helper()
	f := parseFrame(t, refused)
	err := newRequest(name).Decode(f.Data)
	if code.Of(err) != code.BadRequest {
		t.Errorf("not refused: %v", err)
		return
	}
	e := code.From(err)
	e.Event, e.Ref = name, "k3v9x2"
	if got := `{"id":8,"event":"error","data":` + string(event.AppendError(nil, e, at)) + "}"; got != string(refusal) {
		t.Errorf("refusal:\n got %s\nwant %s", got, refusal)
	}
	failure := decoded(t, parseFrame(t, refusal).Data, new(event.Failure))
	if !reflect.DeepEqual(failure.Err(), e) || failure.StatusCode != 400 || failure.Timestamp != at {
		t.Errorf("a Go client decodes the error object as %+v", failure)
	}
}

// newRequest returns a zero payload of a client event.
func newRequest(name string) event.Request {
	defs := event.Catalog()
	return defs[slices.IndexFunc(defs, func(d event.Def) bool { return d.Name == name })].Payload()
}

// The golden message, made in Go.
func TestGoldenMessage(t *testing.T) {
	t.Parallel()
	want := parseFrame(t, readGolden(t, event.NameReceiveMessage)["event"]).Data
	if got := message.AppendJSON(nil); string(got) != string(want) {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// RetryAfter is rounded up, and left out when there is none.
func TestAppendError(t *testing.T) {
	t.Parallel()
	frames := readGolden(t, event.NameError)
	for key, e := range map[string]*code.Error{
		"event": {
			Code: code.RateLimited, Message: "too many messages: at most 30 a minute", RetryAfter: 1499*time.Millisecond + time.Microsecond,
			Event: event.NameSendMessage, Ref: "k3v9x2",
		},
		"event plain": {Code: code.Unavailable, Message: "try again", Ref: "k3v9x2"},
	} {
		if got, want := event.AppendError(nil, e, at), parseFrame(t, frames[key]).Data; string(got) != string(want) {
			t.Errorf("%s:\n got %s\nwant %s", key, got, want)
		}
	}
}

// Every event has its frames, and every file belongs to an event.
func TestEveryEventHasGoldenFrames(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	need := func(name string, keys ...string) {
		known[name] = true
		frames := readGolden(t, name)
		for _, key := range keys {
			if frames[key] == nil {
				t.Errorf("%s.json has no %q", name, key)
			}
		}
	}
	for _, def := range event.Catalog() {
		if need(def.Name, "request", "reply", "ack"); def.Name != event.NameHeartbeat { // it refuses nothing
			need(def.Name, "refused", "refusal")
		}
	}
	for _, def := range event.ServerEvents() {
		if known[def.Name] = true; goldenEvents(t)[def.Name]["event"] == nil {
			t.Errorf("%s has no frame \"event\"", def.Name)
		}
	}
	files, err := filepath.Glob("../testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden frames", err)
	}
	for _, file := range files {
		if name := strings.TrimSuffix(filepath.Base(file), ".json"); !known[name] {
			t.Errorf("%s belongs to no event", file)
		}
	}
}

func TestCatalog(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, def := range event.Catalog() {
		if def.Name == "" || def.Reply == "" || seen[def.Name] {
			t.Errorf("row %+v", def)
		}
		seen[def.Name] = true
		// NeedsRoom says that there is a roomId to look at; joinRoom alone has one without needing it.
		_, hasRoom := def.Payload().(event.RoomRequest)
		if hasRoom != (def.NeedsRoom || def.Name == event.NameJoinRoom) {
			t.Errorf("%s: NeedsRoom = %v, but its payload has a room: %v", def.Name, def.NeedsRoom, hasRoom)
		}
	}
}
