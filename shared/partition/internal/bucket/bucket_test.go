package bucket

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func TestKeys(t *testing.T) {
	t.Parallel()
	k := NewKeys("room")
	for _, c := range []struct {
		subject string
		name    string
		shard   int
		ok      bool
	}{
		{k.Lease(0), "", 0, true},
		{k.Lease(63), "", 63, true},
		{k.Lease(64), "", 64, false},
		{k.Instance("a-1"), "a-1", 0, true},
		{"$KV.chat_own.room.07", "", 7, false},
		{"$KV.chat_own.room.-1", "", -1, false},
		{"$KV.chat_own.room.inst.", "", 0, false},
		{"$KV.chat_own.room.inst.a.b", "a.b", 0, false},
		{"$KV.chat_own.room.x", "", 0, false},
		{"$KV.chat_own.rooms.1", "", 0, false},
	} {
		name, shard, ok := k.Parse(c.subject, 64)
		if ok != c.ok || ok && (name != c.name || shard != c.shard) {
			t.Errorf("parse(%s) = %q, %d, %t", c.subject, name, shard, ok)
		}
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		data     string
		status   string
		kind     Answer
		revision uint64
	}{
		{data: `{"stream":"KV_chat_own","seq":1795494299081347}`, kind: Stored, revision: 1795494299081347},
		{data: `{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 3"},"stream":"S","seq":0}`, kind: Refused},
		{data: `{"error":{"code":400,"err_code":10164,"description":"wrong last sequence"}}`, kind: Refused},
		{data: `{"error":{"code":503,"err_code":10077,"description":"maximum messages exceeded"}}`, kind: Failed},
		{data: `{}`, kind: Failed},
		{data: `not JSON`, kind: Failed},
		{status: "503", kind: Unheard},
	} {
		m := &nats.Msg{Data: []byte(c.data)}
		if c.status != "" {
			m.Header = nats.Header{headerStatus: []string{c.status}}
		}
		if kind, revision := ParseAnswer(m); kind != c.kind || revision != c.revision {
			t.Errorf("%s%s: %d, revision %d", c.data, c.status, kind, revision)
		}
	}
}

func TestAnswerSubject(t *testing.T) {
	t.Parallel()
	const inbox = "_INBOX_room.x"
	if shard, op, ok := ParseAnswerSubject(inbox, AnswerSubject(inbox, 63, 1<<40), 64); shard != 63 || op != 1<<40 || !ok {
		t.Errorf("shard %d, op %d, %t", shard, op, ok)
	}
	for _, subject := range []string{"", inbox, inbox + ".64.1", inbox + ".-1.1", inbox + ".1", inbox + ".1.x", "other.1.1"} {
		if _, _, ok := ParseAnswerSubject(inbox, subject, 64); ok {
			t.Errorf("%q is taken for an answer", subject)
		}
	}
}

func TestForgot(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	at := func(ago time.Duration) uint64 { return uint64(now.Add(-ago).UnixMicro()) }
	for name, c := range map[string]struct {
		first, last, messages uint64
		want                  bool
	}{
		"just made":               {first: at(time.Second), last: at(time.Second) - 1},
		"back empty":              {first: at(time.Hour), last: at(time.Hour) - 1, want: true},
		"in use":                  {first: at(time.Hour), last: at(time.Hour) + 100, messages: 65},
		"everybody left":          {first: at(time.Hour), last: at(time.Hour) + 100},
		"provisioned by the tool": {want: true},
		"moved forward":           {last: at(time.Hour)},
	} {
		info := &jetstream.StreamInfo{
			Config: jetstream.StreamConfig{FirstSeq: c.first},
			State:  jetstream.StreamState{LastSeq: c.last, Msgs: c.messages},
		}
		if got := forgot(info, now); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
