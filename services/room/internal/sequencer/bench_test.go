package sequencer_test

import (
	"io"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/publisher"
	"github.com/confab-chat/confab/services/room/internal/sequencer"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log/logtest"
	"github.com/confab-chat/confab/services/room/internal/stats"
)

// instant is a log that acknowledges as soon as it is asked to.
type instant struct {
	logtest.Log
	pos  uint64
	done func(uint64, error)
}

func (l *instant) Append(_ log.Room, _ uint64, _ []byte, done func(uint64, error)) { l.done = done }

func (l *instant) acknowledge() {
	if done := l.done; done != nil {
		l.done = nil
		l.pos++
		done(l.pos, nil)
	}
}

type nowhere struct{}

func (nowhere) Publish(_ string, data []byte) error { _, err := io.Discard.Write(data); return err }

// What the room service itself does for a message: de-duplication, encoding for
// clients, for the log, for the reply and the broadcast, and the bookkeeping.
func BenchmarkSend(b *testing.B) {
	for _, batch := range []int{1, 16} {
		b.Run("batch="+strconv.Itoa(batch), func(b *testing.B) {
			logger := slog.New(slog.DiscardHandler)
			l := &instant{Log: logtest.Log{World: logtest.New()}}
			now := time.Now()
			env := &sequencer.Env{
				Log: l, Publisher: publisher.New(nowhere{}, logger), Epoch: 7, Now: func() time.Time { return now },
				After: func(time.Duration, func()) {}, Logger: logger, Counters: stats.New(logger), HeadMoved: func(*sequencer.Room) {},
			}
			r := new(sequencer.Room)
			r.Init(env, "general", general)
			r.WhenLoaded(func(error) {})
			l.World.RunAll()
			content := strings.Repeat("x", 128)
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				n++
				r.Send(&wire.Send{
					Room: "general", User: wire.User{ID: "user-1", Name: "User One"},
					ClientID: strconv.Itoa(n), Type: "TEXT", Content: content,
				}, "_INBOX_edge.x.1")
				if n%batch == 0 {
					for l.done != nil {
						l.acknowledge()
					}
				}
			}
		})
	}
}
