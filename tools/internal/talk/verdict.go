package talk

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/confab-chat/confab/shared/client"
	"github.com/confab-chat/confab/tools/internal/history"
	"github.com/confab-chat/confab/tools/internal/proc"
)

// HistoryEnv names a folder in which histories are kept. Those of tests that fail are
// kept without it.
const HistoryEnv = "CONFAB_TEST_HISTORY"

// Stop ends the talking; everybody stays.
func (k *Talk) Stop() {
	k.stop()
	k.talking.Wait()
}

// Verdict ends the talking, reads what is stored, waits until everybody was shown all
// of it, and fails the test for every anomaly.
func (k *Talk) Verdict() {
	k.tb.Helper()
	k.Stop()
	total, first := 0, time.Now()
	for _, room := range k.rooms {
		log := k.read(room)
		k.rec.Add(history.Event{Kind: history.Final, Room: room, Log: log})
		total += len(log)
		if len(log) == 0 || log[0].Seq != 1 {
			k.tb.Errorf("%s begins with %v", room, log[:min(len(log), 1)])
			continue
		}
		k.caughtUp(room, log[len(log)-1].Seq, first)
	}
	events := k.rec.Events()
	found := history.Check(events)
	for i, a := range found {
		if i == 20 {
			k.tb.Errorf("and %d more", len(found)-i)
			break
		}
		k.tb.Errorf("%v", a)
	}
	k.keep(events)
	verdict := "valid"
	if len(found) > 0 {
		verdict = fmt.Sprintf("%d anomalies", len(found))
	}
	k.tb.Logf("%d messages in %d rooms, %d events: %s", total, len(k.rooms), len(events), verdict)
}

// caughtUp waits until everybody was shown all of a room, and notes that they should
// have been: the judge finds who was not.
func (k *Talk) caughtUp(room string, last uint64, since time.Time) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for _, t := range k.talkers {
		for {
			if seq, _ := t.latest.Load(room); seq == last || time.Since(since) > proc.Patience {
				break
			}
			<-tick.C
		}
		k.rec.Add(history.Event{Kind: history.End, Client: t.name, Room: room})
	}
	for _, v := range k.viewers {
		if v.room != room {
			continue
		}
		for v.shown() != last && time.Since(since) < proc.Patience {
			<-tick.C
		}
		k.rec.Add(history.Event{Kind: history.End, Client: v.view(), Room: room})
	}
}

// read is a room as its history says.
func (k *Talk) read(room string) (log []history.Entry) {
	k.tb.Helper()
	after := uint64(0)
	for {
		var page client.History
		proc.Eventually(k.tb, func() (err error) {
			ctx, cancel := context.WithTimeout(context.Background(), Attempt)
			defer cancel()
			page, err = k.talkers[0].c.HistoryAfter(ctx, room, after, 200)
			return err
		})
		for _, m := range page.Messages {
			log = append(log, history.Entry{Seq: m.Seq, ID: nameOf(m.Content)})
			after = m.Seq
		}
		if !page.HasMore {
			return log
		}
	}
}

// keep writes the history to a file that outlives the test, if it is asked for or worth it.
func (k *Talk) keep(events []history.Event) {
	dir := os.Getenv(HistoryEnv)
	if dir == "" && !k.tb.Failed() {
		return
	}
	name := strings.NewReplacer("/", "-", "=", "-").Replace(k.tb.Name()) + "-*.jsonl"
	f, err := os.CreateTemp(dir, name)
	if err == nil {
		err = history.Write(f, events)
		f.Close()
	}
	if err != nil {
		k.tb.Errorf("history: %v", err)
		return
	}
	k.tb.Logf("history: %s (judge it with: go run ./tools/histcheck FILE)", filepath.ToSlash(f.Name()))
}
