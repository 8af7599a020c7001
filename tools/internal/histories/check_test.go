package histories_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/confab-chat/confab/tools/internal/histories"
)

// parse reads a history written for people, a line an event:
//
//	invoke m1 | ok m1 1 | fail m1 | info m1 | sub c 0 | recv c m1 1 | gap c 2 3 | end c | final m1 m2@5
func parse(t *testing.T, script string) (events []histories.Event) {
	t.Helper()
	for i, line := range strings.Split(strings.TrimSpace(script), "|") {
		f := strings.Fields(line)
		e := histories.Event{At: time.Duration(i), Kind: histories.Kind(f[0]), Room: "r"}
		num := func(s string) (n uint64) {
			for _, d := range s {
				n = n*10 + uint64(d-'0')
			}
			return n
		}
		switch e.Kind {
		case histories.Invoke, histories.Fail, histories.Info:
			e.ID = f[1]
		case histories.OK:
			e.ID, e.Seq = f[1], num(f[2])
		case histories.Sub:
			e.Client, e.Seq = f[1], num(f[2])
		case histories.Recv:
			e.Client, e.ID, e.Seq = f[1], f[2], num(f[3])
		case histories.Gap:
			e.Client, e.Seq, e.To = f[1], num(f[2]), num(f[3])
		case histories.End:
			e.Client = f[1]
		case histories.Final:
			for _, id := range f[1:] {
				entry := histories.Entry{Seq: 1, ID: id}
				if len(e.Log) > 0 {
					entry.Seq = e.Log[len(e.Log)-1].Seq + 1
				}
				if name, at, ok := strings.Cut(id, "@"); ok {
					entry = histories.Entry{Seq: num(at), ID: name}
				}
				e.Log = append(e.Log, entry)
			}
		}
		events = append(events, e)
	}
	return events
}

func kinds(found []histories.Anomaly) (k []string) {
	for _, a := range found {
		k = append(k, a.Kind)
	}
	slices.Sort(k)
	return slices.Compact(k)
}

func TestValid(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"nothing happened":                 "final",
		"sent and shown":                   "sub c 0 | invoke m1 | recv c m1 1 | ok m1 1 | end c | final m1",
		"unknown and stored":               "invoke m1 | info m1 | final m1",
		"unknown and not stored":           "invoke m1 | info m1 | final",
		"without an outcome":               "invoke m1 | final m1",
		"unknown, then refused, stored":    "invoke m1 | info m1 | invoke m1 | fail m1 | final m1",
		"refused, then acknowledged":       "invoke m1 | fail m1 | invoke m1 | ok m1 1 | final m1",
		"repeat answered alike":            "invoke m1 | info m1 | invoke m1 | ok m1 1 | invoke m1 | ok m1 1 | final m1",
		"refused and not stored":           "invoke m1 | fail m1 | final",
		"an announced gap":                 "sub c 0 | invoke m3 | ok m3 3 | gap c 1 2 | recv c m3 3 | end c | final m3@3",
		"a view from the middle":           "invoke m1 | ok m1 1 | sub c 1 | invoke m2 | ok m2 2 | recv c m2 2 | end c | final m1 m2",
		"resumed where it was":             "sub c 0 | invoke m1 | ok m1 1 | recv c m1 1 | invoke m2 | ok m2 2 | sub c 1 | recv c m2 2 | end c | final m1 m2",
		"retention took the first":         "invoke m1 | ok m1 1 | invoke m2 | ok m2 2 | final m2@2",
		"a view that was lost before":      "sub c 0 | invoke m1 | ok m1 1 | final m1",
		"concurrent sends in either order": "invoke m1 | invoke m2 | ok m1 2 | ok m2 1 | final m2 m1",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if found := histories.Check(parse(t, script)); len(found) != 0 {
				t.Errorf("%v", found)
			}
		})
	}
}

func TestAnomalies(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ script, want string }{
		"lost in the middle":              {"invoke m1 | ok m1 1 | invoke m2 | ok m2 2 | invoke m3 | ok m3 3 | final m1 m3@3", "lost silent-gap"},
		"lost at the end":                 {"invoke m1 | ok m1 1 | invoke m2 | ok m2 2 | final m1", "lost"},
		"all lost":                        {"invoke m1 | ok m1 1 | final", "lost"},
		"stored twice":                    {"invoke m1 | ok m1 1 | final m1 m1", "duplicate"},
		"acknowledged as two":             {"invoke m1 | ok m1 1 | invoke m1 | ok m1 2 | invoke m2 | final m1 m2", "duplicate"},
		"shown twice":                     {"sub c 0 | invoke m1 | ok m1 1 | recv c m1 1 | recv c m1 1 | final m1", "duplicate"},
		"shown late":                      {"invoke m1 | invoke m2 | sub c 0 | recv c m2 2 | recv c m1 1 | final m1 m2", "reordered silent-gap"},
		"stored against the order":        {"invoke m1 | ok m1 2 | invoke m2 | ok m2 1 | final m2 m1", "reordered"},
		"made up":                         {"final m1", "phantom"},
		"shown and made up":               {"sub c 0 | recv c m1 1 | final", "phantom"},
		"a hole in a view":                {"sub c 0 | invoke m1 | invoke m2 | recv c m2 2 | final m1 m2", "silent-gap"},
		"a gap that begins late":          {"sub c 0 | invoke m3 | gap c 2 2 | recv c m3 3 | final m3@3", "silent-gap"},
		"a lost tail":                     {"sub c 0 | invoke m1 | ok m1 1 | end c | final m1", "silent-gap"},
		"resumed too late":                {"sub c 0 | invoke m1 | invoke m2 | sub c 1 | end c | final m1 m2", "silent-gap"},
		"refused but stored":              {"invoke m1 | fail m1 | final m1", "refused-but-stored"},
		"refused but shown":               {"sub c 0 | invoke m1 | fail m1 | recv c m1 1 | final", "lost refused-but-stored"},
		"shown and not stored":            {"sub c 0 | invoke m1 | info m1 | recv c m1 1 | final", "lost"},
		"told to be gone, and stored":     {"sub c 0 | invoke m1 | invoke m2 | invoke m3 | gap c 1 2 | recv c m3 3 | end c | final m2@2 m3", "false-gap"},
		"two views disagree":              {"sub c 0 | sub d 0 | invoke m1 | invoke m2 | recv c m1 1 | recv d m2 1 | final m1", "split-order"},
		"the acknowledgement disagrees":   {"sub c 0 | invoke m1 | invoke m2 | ok m1 1 | recv c m2 1 | final m1", "split-order"},
		"no final":                        {"invoke m1 | ok m1 1", "incomplete"},
		"shown without being subscribed":  {"invoke m1 | recv c m1 1 | final m1", "incomplete"},
		"an outcome without an attempt":   {"ok m1 1 | final m1", "incomplete phantom"},
		"an event of a kind nobody knows": {"dance c | final", "incomplete"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := histories.Check(parse(t, c.script))
			if got := strings.Join(kinds(found), " "); got != c.want {
				t.Errorf("found %q, want %q: %v", got, c.want, found)
			}
		})
	}
}

func TestReadWhatWasWritten(t *testing.T) {
	t.Parallel()
	r := histories.NewRecorder()
	for _, e := range parse(t, "sub c 0 | invoke m1 | ok m1 1 | recv c m1 1 | end c | final m1") {
		r.Add(e)
	}
	var buf bytes.Buffer
	if err := histories.Write(&buf, r.Events()); err != nil {
		t.Fatal(err)
	}
	back, err := histories.Read(&buf)
	if err != nil || len(back) != 6 {
		t.Fatalf("%d events, %v", len(back), err)
	}
	if found := histories.Check(back); len(found) != 0 {
		t.Errorf("%v", found)
	}
	if _, err := histories.Read(strings.NewReader(`{"kind":"ok"} nonsense`)); err == nil {
		t.Error("nonsense was read")
	}
}
