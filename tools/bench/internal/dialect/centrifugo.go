package dialect

import (
	"bytes"
	"strconv"
)

// centrifugo is Centrifugo's bidirectional protocol in JSON. Commands and replies are
// objects with one member named after what they are; newlines separate several of them in
// a frame; an empty object is a ping and the answer to it. See "Client protocol" in its
// documentation. peers/centrifugo has a configuration that admits every client.
type centrifugo struct{}

// A reply does not say in every version what command it answers. The id of a command
// does: it is twice the caller's id, plus one of these.
const (
	centrifugoJoin = iota
	centrifugoPublish
)

func (centrifugo) Traits() Traits {
	return Traits{Path: "/connection/websocket", Greeting: `{"id":1,"connect":{}}`, Pong: `{}`}
}

func (centrifugo) Next(p []byte) (Message, []byte) {
	line, rest, _ := bytes.Cut(p, []byte{'\n'})
	m := Message{Body: line}
	if bytes.HasPrefix(line, []byte(`{"push":`)) {
		m.Kind = Delivery
		return m, rest
	}
	digits, ok := bytes.CutPrefix(line, []byte(`{"id":`))
	if !ok {
		if len(line) == len(`{}`) {
			m.Kind = Ping
		}
		return m, rest
	}
	id, member := cutNumber(digits)
	m.ID = id / 2
	switch {
	case bytes.HasPrefix(member, []byte(`,"error"`)):
		m.Kind = Refused
	case id == 1:
		m.Kind = Opened
	case id%2 == centrifugoJoin:
		m.Kind = Joined
	default:
		m.Kind = Accepted
	}
	return m, rest
}

// appendCommand appends a command up to the value of its channel.
func appendCommand(dst []byte, id uint64, name string) []byte {
	dst = strconv.AppendUint(append(dst, `{"id":`...), id, 10)
	return append(append(append(dst, `,"`...), name...), `":{"channel":"`...)
}

func (centrifugo) AppendJoin(dst []byte, id uint64, room string, _ int64) []byte {
	dst = appendCommand(dst, id*2+centrifugoJoin, "subscribe")
	return append(append(dst, room...), `"}}`...)
}

func (centrifugo) AppendPublish(dst []byte, id uint64, room string, content []byte) []byte {
	dst = appendCommand(dst, id*2+centrifugoPublish, "publish")
	dst = append(append(dst, room...), `","data":"`...)
	return append(append(dst, content...), `"}}`...)
}
