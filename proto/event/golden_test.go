package event_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/wire"
)

// The frames in proto/testdata are what clients in the field send and expect. A
// change here that makes a frame differ breaks them: fields are added, never
// renamed or removed.

const at event.Time = 1767323045678 // 2026-01-02T03:04:05.678Z

var (
	ada     = event.User{ID: "u-ada", Name: "Ada"}
	bob     = event.User{ID: "u-bob", Name: "Bob"}
	message = event.Message{
		ID: event.MessageID("general", 42, uint64(at), "u-ada"), Content: "Hello, <b>world</b> & \"all\"\n😀",
		Author: event.Author(ada), RoomID: "general", MessageType: event.TypeText, Seq: 42,
		Timestamp: at, CreatedAt: at, UpdatedAt: at,
	}
	stats = event.RoomStats{
		RoomID: "general", UserCount: 2, Users: []event.User{ada, bob}, TypingUsers: event.UserIDs{{ID: "u-bob"}},
		CreatedAt: at, LastActivity: at, Timestamp: at,
	}
)

func ptr[T any](v T) *T { return &v }

// serverEvent is the payload of a server event.
type serverEvent interface{ AppendJSON([]byte) []byte }

// raw appends itself: payloads that are made by a function.
type raw []byte

func (r raw) AppendJSON(dst []byte) []byte { return append(dst, r...) }

// golden is what the frames of one file stand for, by the key in the file.
type golden struct {
	requests map[string]event.Request // as Decode leaves them
	replies  map[string]event.Reply   // "reply..." native, "ack..." for Socket.IO
	events   map[string]serverEvent
}

// both lists a reply for both protocols.
func both(replies map[string]event.Reply) map[string]event.Reply {
	for key, r := range maps.Clone(replies) {
		replies["ack"+strings.TrimPrefix(key, "reply")] = r
	}
	return replies
}

func goldens() map[string]golden {
	type requests = map[string]event.Request
	type replies = map[string]event.Reply
	type events = map[string]serverEvent
	encoded := message.AppendJSON(nil)
	joined := &event.MemberChange{UserID: "u-ada", Username: "Ada", RoomID: "general", Timestamp: at}
	online := &event.OnlineChange{UserID: "u-ada", Username: "Ada", Timestamp: at}
	return map[string]golden{
		event.NameJoinRoom: {
			requests: requests{
				"request":        &event.JoinRoom{RoomID: "general"},
				"request resume": &event.JoinRoom{RoomID: "general", Since: ptr[uint64](40)},
			},
			replies: both(replies{
				"reply":        &event.JoinedRoom{RoomID: "general", Success: true, ActiveUsers: event.UserIDs{{ID: "u-ada"}, {ID: "u-bob"}}, Seq: 41, Timestamp: at},
				"reply resume": &event.JoinedRoom{RoomID: "general", Success: true, ActiveUsers: event.UserIDs{{ID: "u-ada"}}, Seq: 42, Recovered: ptr(true), Timestamp: at},
			}),
		},
		event.NameLeaveRoom: {
			requests: requests{"request": &event.LeaveRoom{RoomID: "general"}},
			replies:  both(replies{"reply": &event.LeftRoom{RoomID: "general", Success: true, Timestamp: at}}),
		},
		event.NameSendMessage: {
			requests: requests{
				"request":     &event.SendMessage{Content: message.Content, RoomID: "general", MessageType: event.TypeText},
				"request all": &event.SendMessage{Content: "cat.png", RoomID: "general", MessageType: event.TypeImage, ClientMessageID: "0b7c1c9e-5b0a"},
			},
			replies: both(replies{
				"reply":           &event.MessageSent{Message: encoded, Success: true},
				"reply duplicate": &event.MessageSent{Message: encoded, Success: true, Duplicate: true},
			}),
		},
		event.NameTyping: {
			requests: requests{"request": &event.Typing{RoomID: "general", IsTyping: true}},
			replies: both(replies{
				"reply":         &event.TypingUpdated{Success: true, Timestamp: at},
				"reply limited": &event.TypingUpdated{Timestamp: at, RetryAfterMs: 1500},
			}),
		},
		event.NameGetRoomStats: {
			requests: requests{"request": &event.GetRoomStats{RoomID: "general"}},
			replies:  both(replies{"reply": &event.RoomStatsRetrieved{Success: true, RoomStats: stats}}),
		},
		event.NameHeartbeat: {
			requests: requests{"request": &event.Heartbeat{}},
			replies:  both(replies{"reply": &event.HeartbeatResponse{Timestamp: at, UserID: "u-ada", Success: true}}),
		},
		event.NameGetHistory: {
			requests: requests{
				"request":        &event.GetHistory{RoomID: "general", Before: ptr[uint64](43), Limit: 20},
				"request newest": &event.GetHistory{RoomID: "general", Limit: event.DefaultHistory},
				"request after":  &event.GetHistory{RoomID: "general", After: ptr[uint64](0), Limit: event.MaxHistory},
			},
			replies: both(replies{
				"reply":       &event.History{RoomID: "general", Messages: event.Messages{{Seq: 42, JSON: encoded}}, HasMore: true, Success: true},
				"reply empty": &event.History{RoomID: "empty", Messages: event.Messages{}, Success: true},
			}),
		},
		event.NameUpdatePresence: {
			requests: requests{"request": &event.UpdatePresence{Status: event.StatusBusy, CustomStatus: "in a meeting"}},
			replies:  both(replies{"reply": &event.PresenceUpdated{Success: true, Status: event.StatusBusy, CustomStatus: "in a meeting", Timestamp: at}}),
		},
		event.NameGetPresence: {
			requests: requests{
				"request":           &event.GetPresence{UserIDs: []string{"u-ada", "u-zoe"}},
				"request everybody": &event.GetPresence{},
			},
			replies: both(replies{"reply": &event.PresenceRetrieved{Success: true, PresenceData: []event.Presence{
				event.PresenceOf(wire.Presence{User: ada, Status: event.StatusBusy, Custom: "in a meeting", Online: true, LastSeenMs: uint64(at)}),
				event.PresenceOf(wire.Presence{User: event.User{ID: "u-zoe"}, Status: event.StatusOffline}),
			}, Timestamp: at}}),
		},
		event.NameMessageRead: {
			requests: requests{"request": &event.MessageRead{MessageID: message.ID, RoomID: "general"}},
			replies: both(replies{"reply": &event.MessageReadReply{Success: true, ReadReceipt: event.ReadReceipt{
				MessageID: message.ID, UserID: "u-bob", Username: "Bob", Seq: 42, ReadAt: at,
			}}}),
		},
		event.NameRefreshToken: {
			requests: requests{"request": &event.RefreshToken{Token: "eyJhbGciOiJIUzI1NiJ9.e30.c2ln"}},
			replies:  both(replies{"reply": &event.TokenRefreshed{Success: true, ExpiresAt: at}}),
		},

		event.NameReceiveMessage: {events: events{"event": &message}},
		event.NameUserJoined:     {events: events{"event": joined}},
		event.NameUserLeft:       {events: events{"event": joined}},
		event.NameUserOnline:     {events: events{"event": online}},
		event.NameUserOffline:    {events: events{"event": online}},
		event.NameUserTyping:     {events: events{"event": &event.UserTyping{UserID: "u-ada", Username: "Ada", RoomID: "general", IsTyping: true, Timestamp: at}}},
		event.NameRoomUsers:      {events: events{"event": &event.RoomUsers{RoomID: "general", Users: []event.User{ada, bob}, Total: 2}}},
		event.NameRoomStats: {events: events{
			"event":       &stats,
			"event empty": &event.RoomStats{RoomID: "empty", Users: []event.User{}, TypingUsers: event.UserIDs{}, Timestamp: at},
		}},
		event.NamePresenceUpdate: {events: events{
			"event":       &event.PresenceUpdate{UserID: "u-ada", Username: "Ada", Status: event.StatusBusy, CustomStatus: "in a meeting", Timestamp: at},
			"event plain": &event.PresenceUpdate{UserID: "u-ada", Username: "Ada", Status: event.StatusOnline, Timestamp: at},
		}},
		event.NameMessageReadUpdate: {events: events{"event": &event.MessageReadUpdate{
			RoomID: "general", UserID: "u-bob", Username: "Bob", MessageID: message.ID, Seq: 42, Timestamp: at,
		}}},
		event.NamePing:          {events: events{"event": &event.Ping{Timestamp: at}}},
		event.NameGap:           {events: events{"event": &event.Gap{RoomID: "general", From: 3, To: 17}}},
		event.NameReconnectSoon: {events: events{"event": &event.ReconnectSoon{Reason: "restart", AfterMs: 1200}}},
		event.NameError: {events: events{
			"event": raw(event.AppendError(nil, &code.Error{
				Code: code.RateLimited, Message: "too many messages: at most 30 a minute", RetryAfter: 1499*time.Millisecond + time.Microsecond,
				Event: event.NameSendMessage, Ref: "k3v9x2",
			}, at)),
			"event plain": raw(event.AppendError(nil, &code.Error{Code: code.Unavailable, Message: "try again", Ref: "k3v9x2"}, at)),
		}},
	}
}

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

func TestGoldenFrames(t *testing.T) {
	t.Parallel()
	replyName := map[string]string{}
	for _, def := range event.Catalog() {
		replyName[def.Name] = def.Reply
	}
	for name, want := range goldens() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			frames := readGolden(t, name)
			for key, text := range frames {
				switch kind, _, _ := strings.Cut(key, " "); kind {
				case "request":
					checkRequest(t, name, key, text, want.requests[key])
				case "reply":
					checkReply(t, key, text, want.replies[key], func(object []byte) string {
						return `{"id":7,"event":"` + replyName[name] + `","data":` + string(object) + "}"
					})
				case "ack":
					checkReply(t, key, text, want.replies[key], func(object []byte) string {
						return string(event.AppendNamed(nil, replyName[name], object))
					})
				case "refused":
					checkRefusal(t, name, text, frames["refusal"])
				case "refusal": // with refused
				case "event":
					if want.events[key] == nil {
						t.Errorf("nothing encodes to %q", key)
					} else if got := `{"event":"` + name + `","data":` + string(want.events[key].AppendJSON(nil)) + "}"; got != string(text) {
						t.Errorf("%s:\n got %s\nwant %s", key, got, text)
					}
				default:
					t.Errorf("unknown kind of frame %q", key)
				}
			}
			for _, key := range slices.Concat(slices.Collect(maps.Keys(want.requests)), slices.Collect(maps.Keys(want.replies)), slices.Collect(maps.Keys(want.events))) {
				if frames[key] == nil {
					t.Errorf("%s.json has no %q", name, key)
				}
			}
		})
	}
}

func checkRequest(t *testing.T, name, key string, text []byte, want event.Request) {
	t.Helper()
	if want == nil {
		t.Errorf("nothing is compared with %q", key)
		return
	}
	f := parseFrame(t, text)
	if f.Event != name {
		t.Errorf("%s: event %q", key, f.Event)
	}
	got := reflect.New(reflect.TypeOf(want).Elem()).Interface().(event.Request)
	if err := got.Decode(f.Data); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %+v, %v; want %+v", key, got, err, want)
	}
}

func checkReply(t *testing.T, key string, text []byte, reply event.Reply, framed func(object []byte) string) {
	t.Helper()
	if reply == nil {
		t.Errorf("nothing encodes to %q", key)
		return
	}
	if got := framed(reply.AppendJSON(nil)); got != string(text) {
		t.Errorf("%s:\n got %s\nwant %s", key, got, text)
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
	var failure event.Failure
	if err := json.Unmarshal(parseFrame(t, refusal).Data, &failure); err != nil || !reflect.DeepEqual(failure.Err(), e) || failure.StatusCode != 400 || failure.Timestamp != at {
		t.Errorf("the error object comes back as %+v, %v", failure, err)
	}
}

// newRequest is the zero payload of a client event.
func newRequest(name string) event.Request {
	defs := event.Catalog()
	return defs[slices.IndexFunc(defs, func(d event.Def) bool { return d.Name == name })].Payload()
}

// Guards: whoever adds an event adds its frames.
func TestEveryEventHasGoldenFrames(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	need := func(name string, keys ...string) {
		known[name] = true
		if _, ok := goldens()[name]; !ok {
			t.Errorf("the golden test does not know %s", name)
			return
		}
		frames := readGolden(t, name)
		for _, key := range keys {
			if frames[key] == nil {
				t.Errorf("%s.json has no %q", name, key)
			}
		}
	}
	for _, def := range event.Catalog() {
		if need(def.Name, "request", "reply", "ack"); def.Name != event.NameHeartbeat { // there is nothing to refuse in it
			need(def.Name, "refused", "refusal")
		}
	}
	for _, def := range event.ServerEvents() {
		need(def.Name, "event")
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
		if want := goldens()[def.Name]; reflect.TypeOf(def.Payload()) != reflect.TypeOf(want.requests["request"]) || reflect.TypeOf(def.Success()) != reflect.TypeOf(want.replies["reply"]) {
			t.Errorf("%s: the golden frames are a %T and a %T", def.Name, want.requests["request"], want.replies["reply"])
		}
		// NeedsRoom says that there is a roomId to look at; joinRoom alone has one without needing it.
		_, hasRoom := reflect.TypeOf(newRequest(def.Name)).Elem().FieldByName("RoomID")
		if hasRoom != (def.NeedsRoom || def.Name == event.NameJoinRoom) {
			t.Errorf("%s: NeedsRoom = %v, but its payload has a room: %v", def.Name, def.NeedsRoom, hasRoom)
		}
	}
	for _, def := range event.ServerEvents() {
		if want := goldens()[def.Name].events["event"]; def.Name != event.NameError && reflect.TypeOf(def.Payload()) != reflect.TypeOf(want) {
			t.Errorf("%s: the golden frame is a %T", def.Name, want)
		}
	}
}

// A Go client decodes with encoding/json into the same structs.
func TestGoldenRepliesDecode(t *testing.T) {
	t.Parallel()
	for name, want := range goldens() {
		for key, reply := range want.replies {
			got := reflect.New(reflect.TypeOf(reply).Elem()).Interface()
			if err := json.Unmarshal(reply.AppendJSON(nil), got); err != nil || !reflect.DeepEqual(got, reply) {
				t.Errorf("%s, %s: decoded by a Go client: %+v, %v; want %+v", name, key, got, err, reply)
			}
		}
	}
}
