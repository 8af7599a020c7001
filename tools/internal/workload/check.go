package workload

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/confab-chat/confab/shared/client"
	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/tools/internal/histories"
)

// HistoryEnv names a folder in which histories are kept. Without it only those of failed tests
// are kept.
const HistoryEnv = "CONFAB_TEST_HISTORY"

// Stop stops sending. All clients stay connected.
func (w *Workload) Stop() {
	w.stopSend()
	w.sending.Wait()
}

// Check stops sending, reads what is stored, waits until every client has received all of it, and
// fails the test for every anomaly.
func (w *Workload) Check() {
	w.tb.Helper()
	w.Stop()
	total, first := 0, time.Now()
	for _, room := range w.rooms {
		log := w.readLog(room)
		w.rec.Add(histories.Event{Kind: histories.Final, Room: room, Log: log})
		total += len(log)
		if len(log) == 0 || log[0].Seq != 1 {
			w.tb.Errorf("the history of %s starts with %v", room, log[:min(len(log), 1)])
			continue
		}
		w.waitCaughtUp(room, log[len(log)-1].Seq, first)
	}
	events := w.rec.Events()
	found := histories.Check(events)
	for i, a := range found {
		if i == 20 {
			w.tb.Errorf("and %d more", len(found)-i)
			break
		}
		w.tb.Errorf("%v", a)
	}
	w.writeHistory(events)
	result := "valid"
	if len(found) > 0 {
		result = fmt.Sprintf("%d anomalies", len(found))
	}
	w.tb.Logf("%d messages in %d rooms, %d events: %s", total, len(w.rooms), len(events), result)
}

// waitCaughtUp waits until every client has received all of a room, and records that it should
// have: Check then reports the clients that have not.
func (w *Workload) waitCaughtUp(room string, last uint64, since time.Time) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for _, t := range w.senders {
		for {
			if seq, _ := t.received.Load(room); seq == last || time.Since(since) > eventually.Patience() {
				break
			}
			<-tick.C
		}
		w.rec.Add(histories.Event{Kind: histories.End, Client: t.name, Room: room})
	}
	for _, r := range w.readers {
		if r.room != room {
			continue
		}
		for r.received() != last && time.Since(since) < eventually.Patience() {
			<-tick.C
		}
		w.rec.Add(histories.Event{Kind: histories.End, Client: r.view(), Room: room})
	}
}

// readLog reads the history of a room.
func (w *Workload) readLog(room string) (log []histories.Entry) {
	w.tb.Helper()
	after := uint64(0)
	for {
		var page client.History
		eventually.OK(w.tb, "the history of "+room, func() (err error) {
			ctx, cancel := context.WithTimeout(context.Background(), Attempt)
			defer cancel()
			page, err = w.senders[0].c.HistoryAfter(ctx, room, after, 200)
			return err
		})
		for _, m := range page.Messages {
			log = append(log, histories.Entry{Seq: m.Seq, ID: nameOf(m.Content)})
			after = m.Seq
		}
		if !page.HasMore {
			return log
		}
	}
}

// writeHistory writes the history to a file that outlives the test, if the test has failed or
// HistoryEnv is set.
func (w *Workload) writeHistory(events []histories.Event) {
	dir := os.Getenv(HistoryEnv)
	if dir == "" && !w.tb.Failed() {
		return
	}
	name := strings.NewReplacer("/", "-", "=", "-").Replace(w.tb.Name()) + "-*.jsonl"
	f, err := os.CreateTemp(dir, name)
	if err == nil {
		err = histories.Write(f, events)
		f.Close()
	}
	if err != nil {
		w.tb.Errorf("history: %v", err)
		return
	}
	w.tb.Logf("history: %s (check it with: go run ./tools/histcheck FILE)", filepath.ToSlash(f.Name()))
}
