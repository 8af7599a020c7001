package log

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	apiMsgGet    = "$JS.API.STREAM.MSG.GET."
	apiDirectGet = "$JS.API.DIRECT.GET."
	apiPurge     = "$JS.API.STREAM.PURGE."
)

const codeNoMessage = 10037

type getRequest struct {
	Seq      uint64 `json:"seq,omitempty"`
	LastFor  string `json:"last_by_subj,omitempty"`
	NextFor  string `json:"next_by_subj,omitempty"`
	Batch    int    `json:"batch,omitempty"`
	MaxBytes int    `json:"max_bytes,omitempty"`
}

// body returns the request as JSON.
func (g getRequest) body() []byte {
	b, err := json.Marshal(g)
	if err != nil {
		panic(err) // a struct of strings and integers
	}
	return b
}

// Tail reads the room's last record from the stream's leader, which also loads the right
// block into the server's cache. ErrNotFound: the room has no record.
func (l *Log) Tail(room Room, done func(Stored, error)) {
	l.leader(room, getRequest{LastFor: room.Subject}, done)
}

// Next reads the room's first record at position from or later, from the stream's leader.
// ErrNotFound: there is none.
func (l *Log) Next(room Room, from uint64, done func(Stored, error)) {
	l.leader(room, getRequest{Seq: max(from, 1), NextFor: room.Subject}, done)
}

// At reads the record at exactly pos, possibly from a replica that lags. ErrNotFound: it
// does not exist, or belongs to another room.
func (l *Log) At(room Room, pos uint64, done func(Stored, error)) {
	l.req.Do(apiDirectGet+room.Stream, nil, getRequest{Seq: pos}.body(), ReadTimeout, func(m *nats.Msg, err error) {
		s, err := decodeDirect(room, m, err)
		if err != nil {
			err = fmt.Errorf("read %s at %d: %w", room.Stream, pos, err)
		}
		done(s, err)
	})
}

// First reads the oldest record the room has, possibly from a replica that lags.
func (l *Log) First(room Room, done func(Stored, error)) {
	g := getRequest{Seq: 1, NextFor: room.Subject}
	l.req.Do(apiDirectGet+room.Stream, nil, g.body(), ReadTimeout, func(m *nats.Msg, err error) {
		s, err := decodeDirect(room, m, err)
		if err != nil {
			err = fmt.Errorf("read the first of %s: %w", room.Stream, err)
		}
		done(s, err)
	})
}

// leader sends a request that only the stream's leader answers.
func (l *Log) leader(room Room, g getRequest, done func(Stored, error)) {
	l.req.Do(apiMsgGet+room.Stream, nil, g.body(), ReadTimeout, func(m *nats.Msg, err error) {
		s, err := decodeStored(m, err)
		if err != nil {
			err = fmt.Errorf("read %s: %w", room.Stream, err)
		}
		done(s, err)
	})
}

// Range reads up to batch records of the room in order, from the first at or after from,
// and stops behind the one that makes them maxBytes or more; possibly from a replica that
// lags. each is called for every record and returns whether it wants more; at the end it is
// called once with ErrEnd or another error.
func (l *Log) Range(room Room, from uint64, batch, maxBytes int, each func(Stored, error) bool) {
	g := getRequest{Seq: max(from, 1), NextFor: room.Subject, Batch: batch, MaxBytes: maxBytes}
	l.req.DoMany(apiDirectGet+room.Stream, nil, g.body(), ReadTimeout, func(m *nats.Msg, err error) bool {
		s, err := decodeDirect(room, m, err)
		if err != nil && !errors.Is(err, ErrEnd) {
			err = fmt.Errorf("read %s from %d: %w", room.Stream, from, err)
		}
		return each(s, err) && err == nil
	})
}

const (
	statusNotFound = "404"
	statusEnd      = "204"
)

// decodeDirect decodes the reply to a direct get.
func decodeDirect(room Room, m *nats.Msg, err error) (Stored, error) {
	if err != nil {
		return Stored{}, err
	}
	switch status := m.Header.Get("Status"); status {
	case "":
	case statusEnd:
		return Stored{}, ErrEnd
	case statusNotFound:
		return Stored{}, ErrNotFound
	default:
		return Stored{}, fmt.Errorf("%w: status %s %s", ErrRefused, status, m.Header.Get("Description"))
	}
	if m.Header.Get(nats.JSSubject) != room.Subject {
		return Stored{}, ErrNotFound
	}
	pos, err := strconv.ParseUint(m.Header.Get(nats.JSSequence), 10, 64)
	if err != nil {
		return Stored{}, fmt.Errorf("%w: no position: %w", ErrRefused, err)
	}
	return Stored{Pos: pos, Data: m.Data}, nil
}

type getResponse struct {
	Error   *apiError `json:"error"`
	Message *struct {
		Seq  uint64 `json:"seq"`
		Data []byte `json:"data"`
	} `json:"message"`
}

// decodeStored decodes the reply of STREAM.MSG.GET.
func decodeStored(m *nats.Msg, err error) (Stored, error) {
	if err != nil {
		return Stored{}, err
	}
	var r getResponse
	switch err := json.Unmarshal(m.Data, &r); {
	case err != nil:
		return Stored{}, fmt.Errorf("unreadable answer: %w", err)
	case r.Error != nil && r.Error.ErrCode == codeNoMessage:
		return Stored{}, ErrNotFound
	case r.Error != nil:
		return Stored{}, r.Error.err()
	case r.Message == nil:
		return Stored{}, fmt.Errorf("%w: answer without a message", ErrRefused)
	}
	return Stored{Pos: r.Message.Seq, Data: r.Message.Data}, nil
}

// purgeTimeout is longer than ReadTimeout: the server rewrites blocks.
const purgeTimeout = 5 * time.Second

// Purge removes the room's records before position before, and reports how many. The
// caller must keep the room's last record: without it, seqs would start again at 1.
func (l *Log) Purge(room Room, before uint64, done func(n uint64, err error)) {
	body, err := json.Marshal(struct {
		Filter string `json:"filter"`
		Seq    uint64 `json:"seq"`
	}{room.Subject, before})
	if err != nil {
		panic(err) // a string and an integer
	}
	l.req.Do(apiPurge+room.Stream, nil, body, purgeTimeout, func(m *nats.Msg, err error) {
		var r struct {
			Error  *apiError `json:"error"`
			Purged uint64    `json:"purged"`
		}
		if err == nil {
			err = json.Unmarshal(m.Data, &r)
		}
		if err == nil && r.Error != nil {
			err = r.Error.err()
		}
		if err != nil {
			err = fmt.Errorf("purge %s: %w", room.Stream, err)
		}
		done(r.Purged, err)
	})
}
