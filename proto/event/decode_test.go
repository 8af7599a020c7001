package event_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/wire"
)

// quoted is s as a JSON string.
func quoted(tb testing.TB, s string) string {
	tb.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

// refusedWith checks that err is a BAD_REQUEST whose message says that.
func refusedWith(tb testing.TB, err error, says string) {
	tb.Helper()
	if code.Of(err) != code.BadRequest || !strings.Contains(code.From(err).Message, says) {
		tb.Errorf("got %v, want BAD_REQUEST with %q", err, says)
	}
}

func TestContent(t *testing.T) {
	t.Parallel()
	const family = "👨\u200d👩\u200d👧\u200d👦" // 7 code points, 25 bytes, one to the eye
	for name, c := range map[string]struct{ sent, stored, says string }{
		"plain":                  {"hello", "hello", ""},
		"2000 ASCII":             {strings.Repeat("a", 2000), strings.Repeat("a", 2000), ""},
		"2001 ASCII":             {strings.Repeat("a", 2001), "", "2001 characters long: at most 2000"},
		"2000 emoji":             {strings.Repeat("😀", 2000), strings.Repeat("😀", 2000), ""},
		"2001 emoji":             {strings.Repeat("😀", 2001), "", "at most 2000"},
		"2000 combining":         {strings.Repeat("e\u0301", 1000), strings.Repeat("e\u0301", 1000), ""},
		"2001 combining":         {strings.Repeat("e\u0301", 1000) + "e", "", "at most 2000"},
		"60 KiB":                 {strings.Repeat("a", 60<<10), "", "too long: at most 2000"},
		"2000 within spaces":     {"  " + strings.Repeat("a", 2000) + "\n\n", strings.Repeat("a", 2000), ""},
		"family":                 {family, family, ""},
		"HTML stays raw":         {"<script>&lt;'\"", "<script>&lt;'\"", ""},
		"trimmed":                {"\ufeff \t\r\n\u00a0\u3000hi there\u2028 ", "hi there", ""},
		"inner white space":      {"a\n\n\tb  c\u2028d", "a\n\n\tb  c\u2028d", ""},
		"bidi marks":             {"\u200fשלום\u200e", "\u200fשלום\u200e", ""},
		"replacement character":  {"\ufffd", "\ufffd", ""},
		"variation selector":     {"❤\ufe0f", "❤\ufe0f", ""},
		"empty":                  {"", "", "content is empty"},
		"white space only":       {" \t\n\u00a0\u3000", "", "content is empty"},
		"zero-width only":        {"\u200b\u200c\u200d\u2060\ufeff", "", "content is empty"},
		"invisible only":         {"\u00ad\u3164\u2800\u034f\ufe0f\U000e0041 \u115f", "", "content is empty"},
		"NUL":                    {"a\x00b", "", "U+0000"},
		"ESC":                    {"a\x1b[31mb", "", "U+001B"},
		"carriage return inside": {"a\r\nb", "", "U+000D"},
		"DEL":                    {"a\x7fb", "", "U+007F"},
		"C1":                     {"a\u0085b", "", "U+0085"},
		"bidi override":          {"invoice\u202efdp.exe", "", "U+202E"},
		"bidi embedding":         {"a\u202ab", "", "U+202A"},
		"bidi isolate":           {"a\u2066b", "", "U+2066"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var p event.SendMessage
			err := p.Decode([]byte(`{"roomId":"general","content":` + quoted(t, c.sent) + `}`))
			if c.says != "" {
				refusedWith(t, err, c.says)
			} else if err != nil || p.Content != c.stored || p.MessageType != event.TypeText {
				t.Errorf("got %.80q, %v", p.Content, err)
			}
		})
	}
	if event.MaxContent*4 > event.MaxContentBytes {
		t.Error("a text within MaxContent can be larger than MaxContentBytes")
	}
}

func TestDecodeRefusals(t *testing.T) {
	t.Parallel()
	const room = `"roomId":"general"`
	users := func(n int) string {
		ids := make([]string, n)
		for i := range ids {
			ids[i] = fmt.Sprintf(`"u%d"`, i)
		}
		return `{"userIds":[` + strings.Join(ids, ",") + `]}`
	}
	for name, c := range map[string]struct{ event, data, says string }{
		"no payload":             {event.NameJoinRoom, ``, "must be an object"},
		"null payload":           {event.NameJoinRoom, `null`, "must be an object"},
		"array payload":          {event.NameSendMessage, `[]`, "must be an object"},
		"string payload":         {event.NameGetPresence, `"x"`, "must be an object"},
		"broken JSON":            {event.NameTyping, `{"roomId"`, "invalid JSON at byte 9"},
		"broken behind":          {event.NameLeaveRoom, `{` + room + `}}`, "invalid JSON at byte 20"},
		"duplicate key":          {event.NameLeaveRoom, `{` + room + `,` + room + `}`, "the same key twice"},
		"lone surrogate":         {event.NameSendMessage, `{` + room + `,"content":"\ud800"}`, "half of a surrogate pair"},
		"room missing":           {event.NameLeaveRoom, `{}`, "roomId must be 1 to 64"},
		"room null":              {event.NameJoinRoom, `{"roomId":null}`, "roomId must be 1 to 64"},
		"room number":            {event.NameJoinRoom, `{"roomId":1}`, "roomId must be a string"},
		"room wildcard":          {event.NameGetRoomStats, `{"roomId":">"}`, "roomId must be 1 to 64"},
		"room in capitals":       {event.NameGetRoomStats, `{"ROOMID":"general"}`, "roomId must be 1 to 64"},
		"since negative":         {event.NameJoinRoom, `{` + room + `,"since":-1}`, "since must be a whole number from 0"},
		"since fraction":         {event.NameJoinRoom, `{` + room + `,"since":1.5}`, "since must be a whole number"},
		"since huge":             {event.NameJoinRoom, `{` + room + `,"since":9223372036854775808}`, "since must be a whole number"},
		"since string":           {event.NameJoinRoom, `{` + room + `,"since":"1"}`, "since must be a number"},
		"since infinite":         {event.NameJoinRoom, `{` + room + `,"since":1e400}`, "since must be a whole number"},
		"content missing":        {event.NameSendMessage, `{` + room + `}`, "content is empty"},
		"content object":         {event.NameSendMessage, `{` + room + `,"content":{}}`, "content must be a string"},
		"message type":           {event.NameSendMessage, `{` + room + `,"content":"x","messageType":"text"}`, "TEXT, IMAGE or FILE"},
		"message type empty":     {event.NameSendMessage, `{` + room + `,"content":"x","messageType":""}`, "TEXT, IMAGE or FILE"},
		"client id empty":        {event.NameSendMessage, `{` + room + `,"content":"x","clientMessageId":""}`, "clientMessageId must be 1 to 64"},
		"client id long":         {event.NameSendMessage, `{` + room + `,"content":"x","clientMessageId":"` + strings.Repeat("a", 65) + `"}`, "clientMessageId must be 1 to 64"},
		"client id space":        {event.NameSendMessage, `{` + room + `,"content":"x","clientMessageId":"a b"}`, "visible ASCII"},
		"isTyping missing":       {event.NameTyping, `{` + room + `}`, "isTyping is missing"},
		"isTyping string":        {event.NameTyping, `{` + room + `,"isTyping":"yes"}`, "isTyping must be a boolean"},
		"limit 0":                {event.NameGetHistory, `{` + room + `,"limit":0}`, "limit must be a whole number from 1"},
		"limit -1":               {event.NameGetHistory, `{` + room + `,"limit":-1}`, "limit must be a whole number from 1"},
		"before negative":        {event.NameGetHistory, `{` + room + `,"before":-7}`, "before must be a whole number from 0"},
		"before and after":       {event.NameGetHistory, `{` + room + `,"before":7,"after":3}`, "exclude each other"},
		"status missing":         {event.NameUpdatePresence, `{}`, "online, away or busy"},
		"status offline":         {event.NameUpdatePresence, `{"status":"offline"}`, "online, away or busy"},
		"custom status long":     {event.NameUpdatePresence, `{"status":"busy","customStatus":"` + strings.Repeat("é", 129) + `"}`, "customStatus is 129 characters long: at most 128"},
		"custom status control":  {event.NameUpdatePresence, `{"status":"busy","customStatus":"a\u0007b"}`, "customStatus contains a character"},
		"101 users":              {event.NameGetPresence, users(101), "more than 100"},
		"user number":            {event.NameGetPresence, `{"userIds":[1]}`, "array of strings"},
		"user empty":             {event.NameGetPresence, `{"userIds":["u",""]}`, "no user id"},
		"users cut off":          {event.NameGetPresence, `{"userIds":["u",`, "invalid JSON"},
		"message id missing":     {event.NameMessageRead, `{` + room + `}`, "messageId is missing"},
		"message id long":        {event.NameMessageRead, `{` + room + `,"messageId":"` + strings.Repeat("1", 65) + `"}`, "messageId must be 1 to 64"},
		"token missing":          {event.NameRefreshToken, `{}`, "token is missing"},
		"token long":             {event.NameRefreshToken, `{"token":"` + strings.Repeat("x", event.MaxToken+1) + `"}`, "longer than 4096"},
		"first mistake is named": {event.NameSendMessage, `{"roomId":1,"content":2}`, "roomId must be a string"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refusedWith(t, newRequest(c.event).Decode([]byte(c.data)), c.says)
		})
	}
}

func TestDecodeAccepts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		event, data string
		want        event.Request
	}{
		"unknown members":      {event.NameLeaveRoom, `{"x":{"roomId":"no"},"roomId":"r","y":[1,[2]]}`, &event.LeaveRoom{RoomID: "r"}},
		"values of the server": {event.NameSendMessage, `{"id":"1","seq":9,"timestamp":"x","author":{"id":"root"},"content":"x","roomId":"r"}`, &event.SendMessage{Content: "x", RoomID: "r", MessageType: "TEXT"}},
		"null is not given":    {event.NameSendMessage, `{"content":"x","roomId":"r","messageType":null,"clientMessageId":null}`, &event.SendMessage{Content: "x", RoomID: "r", MessageType: "TEXT"}},
		"since null":           {event.NameJoinRoom, `{"roomId":"r","since":null}`, &event.JoinRoom{RoomID: "r"}},
		"since 0":              {event.NameJoinRoom, `{"since":0,"roomId":"r"}`, &event.JoinRoom{RoomID: "r", Since: ptr[uint64](0)}},
		"since largest":        {event.NameJoinRoom, `{"since":9007199254740991,"roomId":"r"}`, &event.JoinRoom{RoomID: "r", Since: ptr[uint64](1<<53 - 1)}},
		"limit clamped":        {event.NameGetHistory, `{"roomId":"r","limit":201}`, &event.GetHistory{RoomID: "r", Limit: 200}},
		"limit 1":              {event.NameGetHistory, `{"roomId":"r","limit":1}`, &event.GetHistory{RoomID: "r", Limit: 1}},
		"typing ends":          {event.NameTyping, `{"roomId":"r","isTyping":false}`, &event.Typing{RoomID: "r"}},
		"custom status blank":  {event.NameUpdatePresence, `{"status":"away","customStatus":" \u200b "}`, &event.UpdatePresence{Status: "away"}},
		"presence of nobody":   {event.NameGetPresence, `{"userIds":[]}`, &event.GetPresence{UserIDs: []string{}}},
		"presence null":        {event.NameGetPresence, `null`, &event.GetPresence{}},
		"presence once each":   {event.NameGetPresence, `{"userIds":["b","a","b"]}`, &event.GetPresence{UserIDs: []string{"b", "a"}}},
		"escaped member":       {event.NameLeaveRoom, `{"room\u0049d":"r"}`, &event.LeaveRoom{RoomID: "r"}},
		"heartbeat with junk":  {event.NameHeartbeat, `"anything"`, &event.Heartbeat{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := newRequest(c.event)
			if err := got.Decode([]byte(c.data)); err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v, %v; want %+v", got, err, c.want)
			}
		})
	}
}

// A payload that was used before keeps nothing of it.
func TestDecodeReplaces(t *testing.T) {
	t.Parallel()
	const old = `{"roomId":"old","since":9,"before":9,"limit":9,"content":"old","messageType":"FILE","clientMessageId":"old","isTyping":true,"status":"away","customStatus":"old","userIds":["old"],"messageId":"old","token":"old"}`
	for _, def := range event.Catalog() {
		for key, text := range readGolden(t, def.Name) {
			if !strings.HasPrefix(key, "request") {
				continue
			}
			data, fresh, used := parseFrame(t, text).Data, def.Payload(), def.Payload()
			if err := errors.Join(fresh.Decode(data), used.Decode([]byte(old)), used.Decode(data)); err != nil || !reflect.DeepEqual(used, fresh) {
				t.Errorf("%s, %s: got %+v, %v; want %+v", def.Name, key, used, err, fresh)
			}
		}
	}
}

func TestHistoryQuery(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]wire.History{
		`{"roomId":"r"}`:                       {Room: "r", Limit: 50},
		`{"roomId":"r","after":0,"limit":7}`:   {Room: "r", HasAfter: true, Limit: 7},
		`{"roomId":"r","after":9}`:             {Room: "r", HasAfter: true, After: 9, Limit: 50},
		`{"roomId":"r","before":9,"limit":1}`:  {Room: "r", Before: 9, Limit: 1},
		`{"roomId":"r","before":0,"limit":10}`: {Room: "r", Before: 1, Limit: 10},
	} {
		var p event.GetHistory
		if err := p.Decode([]byte(data)); err != nil || p.Query() != want {
			t.Errorf("%s: got %+v, %v; want %+v", data, p.Query(), err, want)
		}
	}
}

// FuzzDecode: whatever comes, a payload is refused with BAD_REQUEST, or it is one
// that a well-behaved client could have sent.
func FuzzDecode(f *testing.F) {
	for i, def := range event.Catalog() {
		for key, text := range readGolden(f, def.Name) {
			if strings.HasPrefix(key, "request") || key == "refused" {
				f.Add(byte(i), []byte(parseFrame(f, text).Data))
			}
		}
	}
	f.Fuzz(func(t *testing.T, which byte, data []byte) {
		name := event.Catalog()[int(which)%len(event.Catalog())].Name
		p := newRequest(name)
		if err := p.Decode(data); err != nil {
			if code.Of(err) != code.BadRequest || code.From(err).Message == "" {
				t.Fatalf("%s: %v", name, err)
			}
			return
		}
		b, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		again := newRequest(name)
		if g, ok := p.(*event.GetPresence); ok && len(g.UserIDs) == 0 {
			return // "nobody" and "not given" are one when they are sent again
		}
		if err := again.Decode(b); err != nil || !reflect.DeepEqual(p, again) {
			t.Fatalf("%s: %+v is sent again as %s and becomes %+v, %v", name, p, b, again, err)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	for name, data := range map[string]string{
		event.NameSendMessage: `{"roomId":"general","content":"Hello everybody, this is a message of about one hundred bytes, as people write them in chats.","clientMessageId":"0b7c1c9e-5b0a-4a52"}`,
		event.NameJoinRoom:    `{"roomId":"general"}`,
		event.NameTyping:      `{"roomId":"general","isTyping":true}`,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			p, payload := newRequest(name), []byte(data)
			for b.Loop() {
				if err := p.Decode(payload); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
