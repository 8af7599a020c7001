package dialect

import (
	"bytes"
	"strconv"
)

// centrifugo is Centrifugo's bidirectional protocol in JSON: commands and replies are
// objects with one member named for what they are, several of them in a frame are
// separated by newlines, and an empty object is a ping and its answer. See "Client
// protocol" in its documentation. tools/chatload/peers/centrifugo has a configuration
// that lets anybody in. A channel without subscribers serves as the echo.
type centrifugo struct{}

// The ids of commands tell what they were, which replies do not say in every version:
// an id is ours, times three, plus one of these.
const (
	centrifugoJoin = iota
	centrifugoPublish
	centrifugoEcho
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
	id, member := number(digits)
	failed := bytes.HasPrefix(member, []byte(`,"error"`))
	switch {
	case failed:
		m.Kind, m.ID = Refused, id/3
	case id == 1:
		m.Kind = Opened
	default:
		m.Kind, m.ID = [...]Kind{Joined, Accepted, Echoed}[id%3], id/3
	}
	return m, rest
}

func appendCommand(dst []byte, id uint64, what uint64, name string) []byte {
	dst = strconv.AppendUint(append(dst, `{"id":`...), id*3+what, 10)
	return append(append(append(dst, `,"`...), name...), `":{"channel":"`...)
}

func (centrifugo) AppendJoin(dst []byte, id uint64, room string, _ int64) []byte {
	dst = appendCommand(dst, id, centrifugoJoin, "subscribe")
	return append(append(dst, room...), `"}}`...)
}

func (centrifugo) AppendPublish(dst []byte, id uint64, room string, content []byte) []byte {
	dst = appendCommand(dst, id, centrifugoPublish, "publish")
	dst = append(append(dst, room...), `","data":"`...)
	return append(append(dst, content...), `"}}`...)
}

func (centrifugo) AppendEcho(dst []byte, id uint64) []byte {
	dst = appendCommand(dst, id, centrifugoEcho, "publish")
	return append(dst, `echo","data":""}}`...)
}
