package sequencer_test

import (
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/publisher"
	"github.com/confab-chat/confab/services/room/internal/sequencer"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log/logtest"
	"github.com/confab-chat/confab/services/room/internal/stats"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) } // no task is left

// general is where the only room here is stored.
var general = log.RoomOf("general", 1)

// world is a log, the rooms that write to it, and what they have published.
type world struct {
	*logtest.World
	count   *stats.Counters
	replies map[string][][]byte // published, by subject
	casts   [][]byte            // broadcast
	epoch   uint64              // of the last owner

	envs map[int][]*sequencer.Env // by owner

	pageEvery uint64 // of the rooms to come
}

func newWorld() *world {
	return &world{
		World: logtest.New(), count: stats.New(slog.New(slog.DiscardHandler)), replies: map[string][][]byte{},
		envs: map[int][]*sequencer.Env{},
	}
}

// Kill makes owner end: its tasks stop, and the log does not answer it any more.
func (w *world) Kill(owner int) {
	for _, env := range w.envs[owner] {
		env.StopTasks()
	}
	delete(w.envs, owner)
	w.World.Kill(owner)
}

// newRoom returns the room "general" as owner has it, under a new lease.
func (w *world) newRoom(owner int) *sequencer.Room {
	w.epoch++
	env := &sequencer.Env{
		Log: &logtest.Log{World: w.World, Owner: owner}, Publisher: publisher.New(fakeConn{w}, slog.New(slog.DiscardHandler)),
		Epoch: w.epoch, Now: func() time.Time { return w.Now },
		After:  func(d time.Duration, f func()) { w.After(owner, d, f) },
		Logger: slog.New(slog.DiscardHandler), Counters: w.count, HeadMoved: func(*sequencer.Room) {},
		PageEvery: w.pageEvery,
	}
	w.envs[owner] = append(w.envs[owner], env)
	r := new(sequencer.Room)
	r.Init(env, "general", general)
	return r
}

type fakeConn struct{ world *world }

func (b fakeConn) Publish(subject string, data []byte) error {
	data = slices.Clone(data)
	if strings.HasPrefix(subject, "chat.v1.bc.") {
		b.world.casts = append(b.world.casts, data)
		return nil
	}
	b.world.replies[subject] = append(b.world.replies[subject], data)
	return nil
}

// sent decodes the only answer to a message; nil when there is none yet.
func (w *world) sent(reply string) *wire.Sent {
	if len(w.replies[reply]) == 0 {
		return nil
	}
	var s wire.Sent
	if err := wire.Unmarshal(w.replies[reply][0], &s); err != nil {
		panic(err)
	}
	return &s
}
