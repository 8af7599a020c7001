package relay

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/confab-chat/confab/proto/strictjson"
)

// malformedLogEvery is the least time between two log lines about malformed messages, so that a
// faulty publisher cannot fill the log.
const malformedLogEvery = 10 * time.Second

// malformed counts the messages from NATS that the edge dropped because they are not what an
// owner sends. It may be used by several goroutines at once.
type malformed struct {
	log      *slog.Logger
	dropped  atomic.Uint64
	loggedAt atomic.Int64 // Unix nanoseconds; zero before the first line
}

// drop counts a message that was received at now, and logs it unless another one was logged a
// moment ago.
func (m *malformed) drop(now time.Time, subject string, err error) {
	n := m.dropped.Add(1)
	last := m.loggedAt.Load()
	if last != 0 && now.UnixNano()-last < int64(malformedLogEvery) || !m.loggedAt.CompareAndSwap(last, now.UnixNano()) {
		return
	}
	m.log.Error("malformed message from NATS dropped", "event", "relay.malformed", "subject", subject, "err", err, "dropped", n)
}

var errEventName = errors.New("the event's name is not one")

// maxEventName is more than the name of any event takes.
const maxEventName = 64

// checkEvent checks what clients would be sent as an event: a name that needs no escaping, and
// one JSON object in valid UTF-8. Names of events that this release does not know pass, because
// owners may be newer.
func (in *intake) checkEvent(name string, data []byte) error {
	letter := func(c rune) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
	if name == "" || len(name) > maxEventName || strings.TrimFunc(name, letter) != "" {
		return errEventName
	}
	return in.checkJSON(data)
}

// checkJSON checks that data is one JSON object in valid UTF-8, as clients receive it.
func (in *intake) checkJSON(data []byte) error {
	in.reader.Reset(data)
	kind := in.reader.Kind()
	if err := in.reader.End(); err != nil {
		return err
	}
	if kind != strictjson.Object {
		return fmt.Errorf("%v instead of an object", kind)
	}
	return nil
}
