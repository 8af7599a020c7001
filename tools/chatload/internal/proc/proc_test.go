package proc_test

import (
	"os"
	"reflect"
	"testing"
	"testing/fstest"

	"github.com/confab-chat/confab/tools/chatload/internal/proc"
)

func files(contents map[string]string) fstest.MapFS {
	fs := make(fstest.MapFS)
	for name, text := range contents {
		fs[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fs
}

func TestOf(t *testing.T) {
	fs := files(map[string]string{
		// A name may hold spaces and brackets.
		"7/stat":   "7 (a) b) c) S 1 7 7 0 -1 4194304 100 0 0 0 1250 350 0 0 20 0 9 0 12345 1000 200 18446744073709551615\n",
		"7/status": "Name:\ta) b) c\nVmRSS:\t    2048 kB\nRssAnon:\t    1024 kB\nThreads:\t9\n",
		"8/stat":   "8 (edge) S 1 7 7 0 -1 4194304 100 0 0 0 50 50 0 0 20 0 9 0 12345 1000 200\n",
		"8/status": "VmRSS:\t1 kB\nRssAnon:\t1 kB\n",
		"9/stat":   "9 (broken",
	})
	got, err := proc.Of(fs, proc.Group{Name: "edge", Pids: []int{7, 8}})
	want := proc.Usage{User: 13, System: 4, RSS: 2049 << 10, Anonymous: 1025 << 10}
	if err != nil || got != want || got.CPU() != 17 {
		t.Errorf("%+v %v, want %+v", got, err, want)
	}
	for _, pid := range []int{9, 10} {
		if _, err := proc.Of(fs, proc.Group{Pids: []int{pid}}); err == nil {
			t.Errorf("process %d: no error", pid)
		}
	}
}

func machine(stat string) (proc.Machine, error) {
	return proc.ReadMachine(files(map[string]string{
		"stat":         stat,
		"meminfo":      "MemTotal: 100 kB\nMemAvailable:   50 kB\nSlab:     10 kB\n",
		"net/sockstat": "sockets: used 5\nTCP: inuse 9 orphan 0 tw 1 alloc 12 mem 3\nUDP: inuse 0 mem 7\n",
	}))
}

func TestReadMachine(t *testing.T) {
	pages := 3 * int64(os.Getpagesize())
	for name, c := range map[string]struct {
		stat string
		want proc.Machine
	}{
		// user nice system idle iowait irq softirq steal guest guest_nice
		"all columns":     {"cpu  100 20 30 4000 50 6 7 8 9 10\ncpu0 1 2 3\n", proc.Machine{Busy: 1.63, Total: 42.21, Stolen: 0.08}},
		"nothing stolen":  {"cpu  100 20 30 4000 50 6 7 0 0 0\n", proc.Machine{Busy: 1.63, Total: 42.13}},
		"all stolen":      {"cpu  0 0 0 0 0 0 0 12345 0 0\n", proc.Machine{Total: 123.45, Stolen: 123.45}},
		"no such columns": {"cpu  100 20 30 4000\n", proc.Machine{Busy: 1.5, Total: 41.5}},
	} {
		got, err := machine(c.stat)
		near := func(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 }
		if err != nil || !near(got.Busy, c.want.Busy) || !near(got.Total, c.want.Total) || !near(got.Stolen, c.want.Stolen) {
			t.Errorf("%s: %+v %v, want %+v", name, got, err, c.want)
		}
		if got.Slab != 10<<10 || got.Available != 50<<10 || got.SocketPages != pages {
			t.Errorf("%s: memory %+v", name, got)
		}
	}
	if _, err := machine("cpu  100 x 30 4000\n"); err == nil {
		t.Error("an unreadable line is taken")
	}
}

func TestParseGroups(t *testing.T) {
	got, err := proc.ParseGroups("edge=12, room=14,edge=13,99")
	want := []proc.Group{{Name: "edge", Pids: []int{12, 13}}, {Name: "room", Pids: []int{14}}, {Name: "server", Pids: []int{99}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v %v", got, err)
	}
	if got, err := proc.ParseGroups(""); err != nil || got != nil {
		t.Errorf("nothing: %v %v", got, err)
	}
	for _, bad := range []string{"x", "edge=", "edge=-1", "=5", "0"} {
		if _, err := proc.ParseGroups(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
