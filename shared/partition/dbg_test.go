package partition_test

import (
	"github.com/confab-chat/confab/shared/natstest"
	"github.com/nats-io/nats.go/jetstream"
	"log/slog"
	"testing"
)

func TestDbgLost(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	l := newLedger(t)
	logs := newLogLines()
	lg := slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	o := patient(options(srv.Conn(t), "a"))
	o.Logger = lg
	l.start(o)
	l.waitShared("a")
	o = patient(options(srv.Conn(t), "b"))
	o.Logger = lg
	l.start(o)
	l.waitShared("a", "b")
	n0 := l.acquired
	lg.Info("deleting")
	before := l.epochsNow()
	js, _ := jetstream.New(srv.Conn(t))
	js.DeleteStream(t.Context(), "KV_chat_own")
	l.waitNewEpochs(before)
	lg.Info("epochs")
	l.waitShared("a", "b")
	lg.Info("shared")
	if l.acquired != 2*shards+32 || l.overlaps > 0 {
		t.Errorf("%d, %d acquisitions, %d overlaps: a lost bucket moves shards", n0, l.acquired, l.overlaps)
		t.Log(logs.buf.String())
	}
}
