package contract

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/event"
)

func TestRead(t *testing.T) {
	t.Parallel()
	c, err := Read("../../..")
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Client) != len(event.Catalog()) || len(c.Server) != len(event.ServerEvents()) || len(c.Errors) != len(code.All()) || len(c.Closes) != len(code.Closes()) {
		t.Errorf("%d client events, %d server events, %d errors, %d closes", len(c.Client), len(c.Server), len(c.Errors), len(c.Closes))
	}
	for _, e := range c.Errors {
		if e.Doc == "" {
			t.Errorf("%s is not explained", e.Code)
		}
	}
	fields := func(name string) (all []string) {
		for _, f := range c.Type(name).Fields {
			mark := ""
			if f.Optional {
				mark = "?"
			}
			all = append(all, f.Name+mark+":"+f.Type)
		}
		return all
	}
	for name, want := range map[string][]string{
		"JoinRoom":           {"roomId:RoomId", "since?:number"},
		"MessageSent":        {"message:Message", "success:true", "duplicate?:boolean"},
		"TypingUpdated":      {"success:boolean", "timestamp:Time", "retryAfterMs?:number"},
		"RoomStatsRetrieved": {"success:true"}, // and RoomStats
		"Presence":           {"status:SeenStatus", "customStatus?:string", "isOnline:boolean", "lastSeen:Time | null"},
		"GetPresence":        {"userIds?:UserId[]"},
	} {
		if got := fields(name); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	if failure := fields("Failure"); failure[0] != "success:false" || failure[1] != "error:ErrorCode" {
		t.Errorf("Failure: %v", failure)
	}
	for _, r := range c.Client {
		if none, optional := r.Name == event.NameHeartbeat, r.Name == event.NameHeartbeat || r.Name == event.NameGetPresence; (r.Payload == nil) != none || r.Optional != optional {
			t.Errorf("%s: payload %v, optional %v", r.Name, r.Payload, r.Optional)
		}
	}
	if c.Type("RoomStatsRetrieved").Extends != "RoomStats" || c.Type("Presence").Extends != "User" || c.Type("SeenStatus").Extends != "Status" || c.Type("Nothing") != nil {
		t.Error("what extends what")
	}
}

// What the types call optional may be left out of a golden request, and nothing else.
func TestOptionalMembers(t *testing.T) {
	t.Parallel()
	c, err := Read("../../..")
	if err != nil {
		t.Fatal(err)
	}
	for i, def := range event.Catalog() {
		raw, err := os.ReadFile(filepath.Join("../../../proto/testdata", def.Name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var frames map[string]struct{ Data map[string]json.RawMessage }
		if err := json.Unmarshal(raw, &frames); err != nil {
			t.Fatal(err)
		}
		request := c.Client[i]
		for key, frame := range frames {
			if !strings.HasPrefix(key, "request") || request.Payload == nil {
				continue
			}
			for _, f := range request.Payload.Fields {
				if _, given := frame.Data[f.Name]; !given {
					if !f.Optional {
						t.Errorf("%s, %s: no %s, which is not optional", def.Name, key, f.Name)
					}
					continue
				}
				rest := maps.Clone(frame.Data)
				delete(rest, f.Name)
				data, err := json.Marshal(rest)
				if err != nil {
					t.Fatal(err)
				}
				if err := def.Payload().Decode(data); (err == nil) != f.Optional {
					t.Errorf("%s, %s without %s: %v, but optional is %v", def.Name, key, f.Name, err, f.Optional)
				}
			}
		}
	}
}

// planted is a workspace whose package event has that source.
func planted(t *testing.T, eventSource string) *reader {
	t.Helper()
	root := t.TempDir()
	for pkg, text := range map[string]string{
		"code":  "package code\n\ntype Code string\n",
		"wire":  "package wire\n\ntype User struct {\n\tID string `json:\"userId\"`\n}\n",
		"event": "package event\n\n" + eventSource,
	} {
		dir := filepath.Join(root, "proto", pkg)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, pkg+".go"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	src, err := Parse(root)
	if err != nil {
		t.Fatal(err)
	}
	return &reader{Source: src, contract: &Contract{}, seen: map[string]*Type{}}
}

// Source that Read does not understand is an error.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ source, want string }{
		"no tag":             {"type X struct {\n\tA string\n}\n", "without a json tag"},
		"another option":     {"type X struct {\n\tA string `json:\"a,omitzero\"`\n}\n", "none that is understood"},
		"hidden":             {"type X struct {\n\tA string `json:\",omitempty\"`\n}\n", "none that is understood"},
		"a map":              {"type X struct {\n\tA map[string]int `json:\"a\"`\n}\n", "no type that is understood"},
		"foreign type":       {"type X struct {\n\tA json.RawMessage `json:\"a\"`\n}\n", "no type that is understood"},
		"number with a name": {"type X struct {\n\tA N `json:\"a\"`\n}\ntype N map[string]int\n", "no declaration that is understood"},
		"nowhere":            {"type X struct {\n\tA Y `json:\"a\"`\n}\n", "does not declare event.Y"},
		"same name":          {"type X struct {\n\tA UserID `json:\"a\"`\n\tB UserId `json:\"b\"`\n}\ntype UserID = string\ntype UserId = string\n", "two types are called UserId"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := planted(t, c.source)
			_, err := r.named("event.X")
			if err == nil {
				err = r.rest()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestComments(t *testing.T) {
	t.Parallel()
	r := planted(t, `// X has Max of List, and says since When.
//
// This is for readers of Go.
//
//typescript:nothing
type X struct {
	List []string `+"`json:\"list\"` // at most Max, or \"\"; Kind "+`
	When string   `+"`json:\"when\"`"+`
}

const Max = 8 << 10

const Kind = "KIND"

// NameX is sent when it is so.
const NameX = "x"

const NameY = "y" // says nothing
`)
	x, err := r.named("event.X")
	if err != nil {
		t.Fatal(err)
	}
	if x.Doc != "X has 8192 of list, and says since when." || x.Fields[0].Doc != `at most 8192, or ""; "KIND"` {
		t.Errorf("%q, %q", x.Doc, x.Fields[0].Doc)
	}
	if when, err := r.when("x"); when != "when it is so" || err != nil {
		t.Errorf("%q, %v", when, err)
	}
	for _, name := range []string{"y", "z"} {
		if _, err := r.when(name); err == nil {
			t.Errorf("%s has no comment that says when", name)
		}
	}
}
