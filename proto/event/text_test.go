package event_test

import (
	"encoding/json"
	"html"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/confab-chat/confab/proto/event"
)

func TestSanitizeName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"":                               "",
		" Ada Lovelace ":                 "Ada Lovelace",
		"Ada\n\tKing \u00a0 of\u2028it":  "Ada King of it",
		"<b>&'\"":                        "<b>&'\"",
		"a\x00b\x1b[1mc\x7f\u0085d":      "ab[1mc d",
		"\u202eevil\u2066":               "evil",
		"A\u200bd\u2060a\ufeff":          "Ada",
		"👩\u200d🚀":                       "👩\u200d🚀",
		"می\u200cخواهم":                  "می\u200cخواهم",
		"\u200d \u200c":                  "",
		"\u3164":                         "",
		"\xffAda\xc3":                    "Ada",
		strings.Repeat("é", 65):          strings.Repeat("é", 64),
		strings.Repeat("a", 63) + " bcd": strings.Repeat("a", 63),
		strings.Repeat("a ", 40):         strings.TrimSpace(strings.Repeat("a ", 32)),
	} {
		if got := event.SanitizeName(name); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}

func FuzzSanitizeName(f *testing.F) {
	f.Add(" A\u200b\u202e\nB")
	f.Fuzz(func(t *testing.T, name string) {
		got := event.SanitizeName(name)
		if !utf8.ValidString(got) || utf8.RuneCountInString(got) > event.MaxName || got != strings.TrimSpace(got) || strings.ContainsAny(got, "\n\t\u202e\x00\x7f") {
			t.Fatalf("%q: got %q", name, got)
		}
		if again := event.SanitizeName(got); again != got {
			t.Fatalf("%q, sanitized twice, goes from %q to %q", name, got, again)
		}
	})
}

// checkEscaped sends texts through AppendEscaped: a client gets each as
// html.EscapeString makes it, and everything else as it was.
func checkEscaped(t *testing.T, content, username, custom string) {
	t.Helper()
	content, username, custom = strings.ToValidUTF8(content, ""), strings.ToValidUTF8(username, ""), strings.ToValidUTF8(custom, "")
	m := message
	m.Content, m.Author.Name = content, username
	var got event.Message
	if err := json.Unmarshal(event.AppendEscaped(nil, m.AppendJSON(nil)), &got); err != nil {
		t.Fatal(err)
	}
	want := m
	want.Content, want.Author.Name = html.EscapeString(content), html.EscapeString(username)
	if got != want {
		t.Fatalf("got %+v, want %+v", got, want)
	}

	u := event.PresenceUpdate{UserID: "<u>", Username: username, Status: "busy", CustomStatus: custom, Timestamp: at}
	var update event.PresenceUpdate
	if err := json.Unmarshal(event.AppendEscaped(nil, u.AppendJSON(nil)), &update); err != nil {
		t.Fatal(err)
	}
	u.Username, u.CustomStatus = html.EscapeString(username), html.EscapeString(custom)
	if update != u {
		t.Fatalf("got %+v, want %+v", update, u)
	}
}

func TestAppendEscaped(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "plain", "<script>alert(1)</script>", "&lt;", `'"><img onerror="x">`, `\"`, `\\"`, "\n\t\\", "\u2028 <\u2029", "日本<語",
		`","content":"<`, `{"username":"<x>"}`, `content`, `username":"`,
	} {
		checkEscaped(t, text, text, text)
		checkEscaped(t, text, "content", "username")
	}
}

// In lists and replies, too: whatever was encoded here can be escaped as a whole.
func TestAppendEscapedEverywhere(t *testing.T) {
	t.Parallel()
	evil := event.User{ID: "u", Name: "<a>&"}
	m := message
	m.Content, m.Author.Name = "<b>", "<a>&"
	safe := m
	safe.Content, safe.Author.Name = "&lt;b&gt;", "&lt;a&gt;&amp;"
	for name, c := range map[string]struct{ in, want []byte }{
		"history": {
			(&event.History{RoomID: "r", Messages: event.Messages{{JSON: m.AppendJSON(nil)}, {JSON: m.AppendJSON(nil)}}}).AppendJSON(nil),
			(&event.History{RoomID: "r", Messages: event.Messages{{JSON: safe.AppendJSON(nil)}, {JSON: safe.AppendJSON(nil)}}}).AppendJSON(nil),
		},
		"ack": {
			(&event.MessageSent{Message: m.AppendJSON(nil)}).AppendJSON(nil),
			(&event.MessageSent{Message: safe.AppendJSON(nil)}).AppendJSON(nil),
		},
		"users": {
			(&event.RoomUsers{RoomID: "r", Users: []event.User{evil, ada}, Total: 2}).AppendJSON(nil),
			(&event.RoomUsers{RoomID: "r", Users: []event.User{{ID: "u", Name: "&lt;a&gt;&amp;"}, ada}, Total: 2}).AppendJSON(nil),
		},
		"cut off": {[]byte(`{"content":"<`), []byte(`{"content":"<`)},
		"empty":   {nil, nil},
	} {
		if got := event.AppendEscaped(nil, c.in); string(got) != string(c.want) {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.want)
		}
	}
}

func FuzzAppendEscaped(f *testing.F) {
	f.Add("<&>\"'\\", "content", `":"`)
	f.Fuzz(func(t *testing.T, content, username, custom string) {
		checkEscaped(t, content, username, custom)
		event.AppendEscaped(nil, []byte(content)) // bytes of others must not make it panic
	})
}
