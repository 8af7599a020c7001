package sequencer_test

import (
	"fmt"
	"testing"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/sequencer"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log/logtest"
)

// sendAll sends messages as one command: each is an id and its content.
func sendAll(r *sequencer.Room, reply string, texts ...[2]string) {
	cmd := wire.Send{Room: "general", User: wire.User{ID: "u", Name: "U"}, ClientID: texts[0][0], Type: "TEXT", Content: texts[0][1]}
	for _, t := range texts[1:] {
		cmd.More = append(cmd.More, wire.Text{ClientID: t[0], Type: "TEXT", Content: t[1]})
	}
	r.Send(&cmd, reply)
}

// outcomes returns the outcomes in a command's only answer.
func (w *world) outcomes(t *testing.T, reply string) []wire.Outcome {
	t.Helper()
	if n := len(w.replies[reply]); n != 1 {
		t.Fatalf("%s got %d answers", reply, n)
	}
	sent := w.sent(reply)
	return append([]wire.Outcome{sent.Outcome}, sent.More...)
}

// The messages of one command are stored in their order and answered together, each
// with its own outcome.
func TestManyInOneCommand(t *testing.T) {
	t.Parallel()
	w := newWorld()
	r := w.newRoom(1)
	sendAll(r, "first", [2]string{"a", "one"}, [2]string{"b", "two"}, [2]string{"c", "three"})
	w.RunAll()
	for i, o := range w.outcomes(t, "first") {
		if o.Seq != uint64(i+1) || o.Code != "" || o.Duplicate {
			t.Errorf("message %d: %+v", i, o)
		}
	}
	sendAll(r, "second", [2]string{"b", "two"}, [2]string{"d", "four"}, [2]string{"c", "another text"}, [2]string{"d", "four"})
	w.RunAll()
	got := w.outcomes(t, "second")
	if len(got) != 4 || got[0].Seq != 2 || !got[0].Duplicate || got[1].Seq != 4 || got[1].Duplicate ||
		got[2].Code != "CONFLICT" || got[3].Seq != 4 || !got[3].Duplicate {
		t.Errorf("%+v", got)
	}
}

// A command whose answer was lost is repeated, to another owner: all its messages are stored once
// and in order.
func TestManyAgainWithAnotherOwner(t *testing.T) {
	t.Parallel()
	for fate := range logtest.NumFates {
		w := newWorld()
		old, next := w.newRoom(0), w.newRoom(1)
		var texts [][2]string
		for i := range 100 { // two records
			texts = append(texts, [2]string{fmt.Sprint("c", i), fmt.Sprint("text ", i)})
		}
		sendAll(old, "old", texts...)
		for n := 0; len(w.Steps) > 0 && n < 3; n++ {
			w.RunStep(0, logtest.Fate(fate))
		}
		w.Kill(0)
		sendAll(next, "next", texts...)
		w.RunAll()
		for i, o := range w.outcomes(t, "next") {
			if o.Seq != uint64(i+1) || o.Code != "" {
				t.Fatalf("fate %d: message %d: %+v", fate, i, o)
			}
		}
	}
}

// A room whose queue has no place for all messages of a command accepts the first ones.
func TestManyTooMany(t *testing.T) {
	t.Parallel()
	w := newWorld()
	r := w.newRoom(1)
	var texts [][2]string
	for i := range 1500 {
		texts = append(texts, [2]string{fmt.Sprint(i), "x"})
	}
	sendAll(r, "many", texts...)
	w.RunAll()
	refused := 0
	for i, o := range w.outcomes(t, "many") {
		switch {
		case o.Code == "UNAVAILABLE":
			refused++
		case o.Code != "" || o.Seq != uint64(i+1) || refused > 0:
			t.Fatalf("message %d: %+v", i, o)
		}
	}
	if refused == 0 || refused == len(texts) {
		t.Errorf("%d were refused", refused)
	}
}
