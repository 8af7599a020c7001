package faults_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/confab-chat/confab/tools/internal/cluster"
	"github.com/confab-chat/confab/tools/internal/histories"
)

// mutation is a bug to plant: what is replaced by what, in which file.
type mutation struct {
	file     string
	old, new string
	run      string   // scenarios that must find it, as a pattern for -run
	finds    []string // anomalies, one of which the judge must report
	// test is a test of the whole suite in one process that must fail instead: its package and name.
	test [2]string
}

// mutations are the bugs that the suite must find. What is replaced must be in its
// file exactly once, so that a mutation that no longer fits fails.
func mutations() map[string]mutation {
	const sequencer, shard = "services/room/internal/sequencer/", "services/room/internal/shard/"
	return map[string]mutation{
		"acknowledge before store": {
			file: sequencer + "send.go",
			old:  `	r.env.Log.Append(r.logRoom, r.head.pos, a.data, func(`,
			new: `	for i, p := range r.queue[:len(a.rec.Entries)] {
		r.replyAccepted(wire.Outcome{Seq: a.rec.First + uint64(i), Message: a.rec.Entries[i].JSON}, p.recipient)
	}
	r.env.Log.Append(r.logRoom, r.head.pos, a.data, func(`,
			run:   "owners",
			finds: []string{histories.Lost, histories.Duplicate, histories.SplitOrder},
		},
		"no de-duplication": {
			file:  "services/room/internal/sequencer/dedup/dedup.go",
			old:   `	seq, ok := x.seqs[id]`,
			new:   `	seq, ok := x.seqs[ID{}]`,
			run:   "storm",
			finds: []string{histories.Duplicate},
		},
		"no gap fill": {
			file:  "services/edge/internal/rooms/relay/repair.go",
			old:   `	if !r.queued {`,
			new:   `	if false {`,
			run:   "link",
			finds: []string{histories.SilentGap},
		},
		"health without the write probe": {
			file:  "services/room/internal/logwatch/logwatch.go",
			old:   `	case failed || s.reason != "" || now.Sub(s.storedAt) >= idleEvery:`,
			new:   `	case failed && now.Before(s.storedAt):`,
			run:   "full",
			finds: []string{"dishonest-health"},
		},
		"forget one edge on takeover": {
			file:  shard + "sync.go",
			old:   `s.sync.edges.Update(s.now, s.cfg.Edges.Live(s.now)) {`,
			new:   `s.sync.edges.Update(s.now, s.cfg.Edges.Live(s.now))[:0] {`,
			test:  [2]string{"./" + shard, "^TestSilentEdgeIsAskedAgain$"},
			finds: []string{"member-missing"},
		},
		"drop pending departures": {
			file: shard + "rooms/restore.go",
			old:  `	s.open(h.Room).members.Restore(now, h.User, state)`,
			new: `	if !state.Until.IsZero() {
		return
	}
	s.open(h.Room).members.Restore(now, h.User, state)`,
			test:  [2]string{"./" + shard, "^TestDeparturesSurvive$"},
			finds: []string{"wrong-departures"},
		},
		"a report that resets": {
			file: "services/edge/internal/session/core.go",
			old:  `		all.Merge(l.accepts)`,
			new: `		all.Merge(l.accepts)
		l.accepts = wire.Histogram{}`,
			test:  [2]string{"./tools/e2e", "^TestNumbersAreSums$"},
			finds: []string{"wrong-sum"},
		},
	}
}

// TestMutations plants each bug and runs the suite against programs built with it. The suite must
// fail with an anomaly of the bug.
func TestMutations(t *testing.T) {
	if os.Getenv("CONFAB_TEST_MUTATIONS") == "" {
		t.Skip("slow: set CONFAB_TEST_MUTATIONS=1 (task mutations does)")
	}
	root, err := cluster.Workspace()
	if err != nil {
		t.Fatal(err)
	}
	for name, m := range mutations() {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(m.file)))
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(b), m.old); n != 1 {
				t.Fatalf("%s has %q %d times", m.file, m.old, n)
			}
			mutant := strings.Replace(string(b), m.old, m.new, 1)
			overlay, err := cluster.Overlay(t.TempDir(), map[string][]byte{m.file: []byte(mutant)})
			if err != nil {
				t.Fatal(err)
			}
			args := []string{"test", "-count=1", "-v", "./tools/faults", "-run", "^TestFaults$/^(" + m.run + ")$"}
			if m.run == "" {
				args = []string{"test", "-count=1", "-v", "-overlay", overlay, m.test[0], "-run", m.test[1]}
			}
			suite := exec.Command("go", args...)
			suite.Dir = root
			suite.Env = append(os.Environ(), cluster.OverlayEnv+"="+overlay, "CONFAB_TEST_LONG=1")
			out, err := suite.CombinedOutput()
			if err == nil {
				t.Fatalf("%s: the suite has found no anomaly:\n%s", name, out)
			}
			found := anomalies(string(out))
			if !slices.ContainsFunc(m.finds, func(kind string) bool { return found[kind] > 0 }) {
				t.Fatalf("%s: found %v, want one of %v:\n%s", name, found, m.finds, out)
			}
			t.Logf("%s: found by %s: %v", name, m.run, found)
		})
	}
}

var reported = regexp.MustCompile(`_test\.go:\d+: ([a-z-]+): (?:room |seen )`)

// anomalies counts the anomalies in the output of a test.
func anomalies(out string) map[string]int {
	found := make(map[string]int)
	for _, m := range reported.FindAllStringSubmatch(out, -1) {
		found[m[1]]++
	}
	return found
}
