package logwatch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/services/room/internal/sequencer/log"
)

// State is what a Watch knows of the shards owned by this instance.
type State struct {
	Owned   int
	Failing int    // of these: the log has stored nothing for a while
	Stuck   bool   // no stream that is checked has stored anything for a while
	Note    string // what is wrong and what to do, for operators; empty when nothing is
}

// State returns the present state.
func (w *Watch) State() State {
	shards := w.Owned()
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	st := State{Owned: len(shards), Stuck: !w.stuckSince.IsZero() && now.Sub(w.stuckSince) >= failAfter}
	for _, shard := range shards {
		if w.streams[shard%w.Streams].failing(now) {
			st.Failing++
		}
	}
	var notes []string
	for i := range w.streams {
		if note := w.streams[i].note(now, st.Stuck); note != "" {
			notes = append(notes, note)
		}
	}
	if len(notes) > 0 {
		st.Note = notes[0]
	}
	if len(notes) > 1 {
		st.Note += fmt.Sprintf(" (and %d more streams)", len(notes)-1)
	}
	return st
}

// stream is what is known of one stream.
type stream struct {
	name     string
	storedAt time.Time // when something was known to be stored
	probes   int

	reason  string    // why it does not store; empty: it does
	since   time.Time // when that began
	missing bool      // it does not exist

	inspectedAt time.Time
	behind      string    // replicas that are offline or not up to date
	behindSince time.Time // when that began
}

// works notes that the stream stores.
func (s *stream) works(now time.Time) {
	s.storedAt, s.reason, s.since, s.missing = now, "", time.Time{}, false
}

// failing reports whether the stream has not stored for failAfter.
func (s *stream) failing(now time.Time) bool {
	return s.reason != "" && (s.missing || now.Sub(s.since) >= failAfter)
}

// note returns what is wrong with the stream, if anything. stuck is State.Stuck.
func (s *stream) note(now time.Time, stuck bool) string {
	switch {
	case s.failing(now), s.reason != "" && stuck:
		return s.name + " " + s.reason
	case s.behind != "" && now.Sub(s.behindSince) >= replicaPatience:
		return fmt.Sprintf("%s has replicas that are offline or behind: %s. Start these servers, or look at their disks", s.name, s.behind)
	}
	return ""
}

// diagnose finds out why a probe has failed with err.
func (s *stream) diagnose(ctx context.Context, nc *nats.Conn, now time.Time, err error) {
	if s.reason == "" {
		s.since = now
	}
	info, infoErr := log.Inspect(ctx, nc, s.name)
	s.missing = errors.Is(infoErr, log.ErrNoStream)
	switch {
	case !nc.IsConnected():
		s.reason = "cannot be reached: the NATS connection is lost"
	case s.missing:
		s.reason = "is missing. It is made again, without the messages that it stored"
	case errors.Is(err, log.ErrRefused):
		s.reason = fmt.Sprintf("refuses to store: %v. Give the NATS servers more storage, or raise their limits", err)
	case infoErr != nil, info.Clustered && info.Leader == "":
		s.reason = "has no leader, or JetStream does not run: start the NATS servers that are missing, until a majority of the replicas runs"
	case info.Leader == "":
		s.reason = stuck("its NATS server")
	default:
		s.reason = stuck("its leader " + info.Leader)
	}
}

// stuck is the reason when a server answers but does not store. After a failed write, a
// nats-server writes nothing to the stream until it is started again.
func stuck(server string) string {
	return "is not written, although " + server + " answers: its disk is full or fails, or a majority of the replicas does. " +
		"Free space, then restart that nats-server: it refuses writes until then"
}

// inspect looks at the replicas.
func (s *stream) inspect(ctx context.Context, nc *nats.Conn, now time.Time) {
	info, err := log.Inspect(ctx, nc, s.name)
	if err != nil {
		return // the next probe finds out
	}
	s.inspectedAt = now
	behind := strings.Join(info.Behind, ", ")
	if s.behind == "" && behind != "" {
		s.behindSince = now
	}
	s.behind = behind
}

func isConflict(err error) bool { return errors.Is(err, log.ErrConflict) }
