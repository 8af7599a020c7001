package dialect

import (
	"bytes"
	"strconv"
)

// native is Confab's native protocol: JSON text frames {id?, event, data}, with the members
// in this order (proto/WEBSOCKET_API.md; golden frames in proto/testdata).
type native struct{}

func (native) Traits() Traits {
	return Traits{
		Path: "/ws", Subprotocol: "confab.v1", Pong: `{"event":"heartbeat"}`,
		OpenOnUpgrade: true, Resumes: true, Token: true,
	}
}

func (native) Next(p []byte) (Message, []byte) {
	m := Message{Body: p}
	if rest, ok := bytes.CutPrefix(p, []byte(`{"id":`)); ok {
		m.ID, rest = cutNumber(rest)
		if rest, ok = bytes.CutPrefix(rest, []byte(`,"event":"`)); ok {
			m.Kind = confabKind(rest)
		}
	} else if rest, ok := bytes.CutPrefix(p, []byte(`{"event":"`)); ok {
		m.Kind = confabKind(rest)
	}
	return m, nil
}

// confabKind returns the kind of an event whose name p begins with.
func confabKind(p []byte) Kind {
	switch {
	case bytes.HasPrefix(p, []byte(`receiveMessage"`)):
		return Delivery
	case bytes.HasPrefix(p, []byte(`messageSent"`)):
		return Accepted
	case bytes.HasPrefix(p, []byte(`joinedRoom"`)):
		return Joined
	case bytes.HasPrefix(p, []byte(`ping"`)):
		return Ping
	case bytes.HasPrefix(p, []byte(`error"`)):
		return Refused
	}
	return Other
}

func (native) AppendJoin(dst []byte, id uint64, room string, since int64) []byte {
	dst = append(strconv.AppendUint(append(dst, `{"id":`...), id, 10), `,"event":"joinRoom","data":`...)
	return append(appendJoinData(dst, room, since), '}')
}

func (native) AppendPublish(dst []byte, id uint64, room string, content []byte) []byte {
	dst = append(strconv.AppendUint(append(dst, `{"id":`...), id, 10), `,"event":"sendMessage","data":`...)
	return append(appendPublishData(dst, room, content), '}')
}

func appendJoinData(dst []byte, room string, since int64) []byte {
	dst = append(append(append(dst, `{"roomId":"`...), room...), '"')
	if since >= 0 {
		dst = strconv.AppendInt(append(dst, `,"since":`...), since, 10)
	}
	return append(dst, '}')
}

func appendPublishData(dst []byte, room string, content []byte) []byte {
	dst = append(append(dst, `{"roomId":"`...), room...)
	dst = append(append(dst, `","content":"`...), content...)
	return append(dst, `"}`...)
}
