package subject_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/confab-chat/confab/proto/subject"
)

// Subjects are stored in logs and spoken by older releases: these never change.
func TestSubjects(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		subject.RoomCommand(7, subject.OpJoin):       "chat.v1.room.7.cmd.join",
		subject.RoomCommands(7):                      "chat.v1.room.7.cmd.*",
		subject.RoomTyping(63):                       "chat.v1.room.63.typing",
		subject.RoomLog(0, "rgeneral"):               "chat.v1.log.0.rgeneral",
		subject.LogShard(12):                         "chat.v1.log.12.>",
		subject.LogStream(3):                         "LOG_3",
		subject.RoomBroadcast(5, "bYS5i"):            "chat.v1.bc.5.bYS5i",
		subject.Head(9):                              "chat.v1.head.9",
		subject.UserCommand(1, "updatePresence"):     "chat.v1.user.1.cmd.updatePresence",
		subject.UserCommands(1):                      "chat.v1.user.1.cmd.*",
		subject.UserBroadcast(2):                     "chat.v1.userbc.2",
		subject.Limit(4, subject.OpTake):             "chat.v1.rl.4.take",
		subject.Limits(4):                            "chat.v1.rl.4.*",
		subject.EdgesSync:                            "chat.v1.ctl.edges.sync",
		subject.EdgePeer("abcdefgh", subject.OpPoll): "chat.v1.ctl.edge.abcdefgh.poll",
		subject.Heartbeat("edge", "e1"):              "chat.v1.hb.edge.e1",
		subject.Telemetry("room", "r1"):              "chat.v1.tel.room.r1",
		subject.APIHealth:                            "chat.v1.api.health",
		subject.APIStats:                             "chat.v1.api.stats",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// matches follows NATS: * is one token, > at the end one or more.
func matches(pattern, subj string) bool {
	p, s := strings.Split(pattern, "."), strings.Split(subj, ".")
	for i, token := range p {
		if token == ">" {
			return i == len(p)-1 && len(s) > i
		}
		if i >= len(s) || token != "*" && token != s[i] {
			return false
		}
	}
	return len(p) == len(s)
}

// Whoever subscribes hears exactly those it should.
func TestPatterns(t *testing.T) {
	t.Parallel()
	token := subject.Token("a.b >*")
	patterns := map[string][]string{ // pattern -> the subjects that it must match
		subject.RoomCommands(7):     {subject.RoomCommand(7, subject.OpSend), subject.RoomCommand(7, subject.OpHeads)},
		subject.UserCommands(7):     {subject.UserCommand(7, subject.OpUserUp)},
		subject.Limits(7):           {subject.Limit(7, subject.OpTake)},
		subject.LogShard(7):         {subject.RoomLog(7, token)},
		subject.HeadAll:             {subject.Head(7), subject.Head(17)},
		subject.UserBroadcastAll:    {subject.UserBroadcast(7), subject.UserBroadcast(17)},
		subject.HeartbeatAll:        {subject.Heartbeat("edge", "e1"), subject.Heartbeat("room", "r1")},
		subject.HeartbeatOf("edge"): {subject.Heartbeat("edge", "e1")},
		subject.TelemetryAll:        {subject.Telemetry("edge", "e1")},
	}
	all := []string{
		subject.RoomTyping(7), subject.RoomCommand(17, subject.OpSend), subject.RoomCommand(77, subject.OpSend), subject.UserCommand(17, subject.OpUserUp),
		subject.Limit(17, subject.OpTake), subject.RoomLog(17, token), subject.RoomBroadcast(7, token), subject.EdgesSync, subject.APIHealth, subject.APIStats,
	}
	for _, heard := range patterns {
		all = append(all, heard...)
	}
	for pattern, want := range patterns {
		for _, s := range all {
			if got := matches(pattern, s); got != slices.Contains(want, s) {
				t.Errorf("%s hears %s: %v", pattern, s, got)
			}
		}
	}
}
