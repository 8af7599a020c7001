package rooms_test

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/wire"
)

// Every rule answers the golden request of its event as the golden reply does: with the
// same members. What it broadcasts has the members of the event's golden frame. The
// values are the business of each rule's own test.
func TestRulesAnswerGoldenFrames(t *testing.T) {
	t.Parallel()
	const at = 1767323045678 // of the golden frames, whose message is number 42
	for _, rule := range newScene(t).Rules() {
		t.Run(rule.Event, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.world.Now = time.UnixMilli(at)
			s.beat("e1", 1, wire.StateOK)
			for _, user := range []string{"u-ada", "u-bob"} {
				s.join("e1", "general", user)
			}
			s.Typing(&wire.Typing{Room: "general", User: person("u-bob"), On: true})
			for i := range 42 {
				s.send("general", "u-ada", fmt.Sprint(i))
			}
			s.casts = nil
			frames := golden(t, rule.Event)
			var reply map[string]any
			if m := s.result("u-bob", rule.Event, string(frames["request"].Data), &reply); m.Code != "" {
				t.Fatalf("refused: %s %s", m.Code, m.Message)
			}
			sameMembers(t, "reply", reply, frames["reply"].Data)
			s.pass(2*time.Second, "e1")
			for _, b := range s.casts {
				var got map[string]any
				if err := json.Unmarshal(b.Data, &got); err != nil {
					t.Fatalf("%s %s: %v", b.Event, b.Data, err)
				}
				want := frames["event"]
				if want.Event != b.Event {
					want = golden(t, b.Event)["event"]
				}
				sameMembers(t, b.Event, got, want.Data)
			}
		})
	}
}

type frame struct {
	Event string
	Data  json.RawMessage
}

// golden returns the golden frames of an event by their key.
func golden(t *testing.T, name string) map[string]frame {
	t.Helper()
	text, err := os.ReadFile("../../../../../proto/testdata/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var frames map[string]frame
	if err := json.Unmarshal(text, &frames); err != nil {
		t.Fatal(err)
	}
	return frames
}

func sameMembers(t *testing.T, what string, got map[string]any, want []byte) {
	t.Helper()
	var w map[string]any
	if err := json.Unmarshal(want, &w); err != nil {
		t.Fatalf("%s: golden %s: %v", what, want, err)
	}
	if g, w := members(got), members(w); !reflect.DeepEqual(g, w) {
		t.Errorf("%s has %v, want %v", what, g, w)
	}
}

// members replaces every value in v by its kind; of a list the first element counts.
func members(v any) any {
	switch v := v.(type) {
	case map[string]any:
		all := make(map[string]any, len(v))
		for k := range v {
			all[k] = members(v[k])
		}
		return all
	case []any:
		if len(v) == 0 {
			return "list"
		}
		return []any{members(v[0])}
	}
	return fmt.Sprintf("%T", v)
}
