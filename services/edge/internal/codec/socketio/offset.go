package socketio

import (
	"bytes"
	"strconv"
	"strings"
)

// An offset says which message a client has had last, in the order in which they
// were sent to it: seq and room, as in 42.general. The same message has the same
// offset for everybody, so that its frame can be shared.

var (
	roomMember = []byte(`"roomId":"`)
	seqMember  = []byte(`,"seq":`)
)

// appendOffsetOf appends the offset of a message, given its JSON as event.Message
// writes it; nothing when that is something else. A text cannot be mistaken for a
// member, since the quotes in it are escaped.
func appendOffsetOf(dst, message []byte) []byte {
	i := bytes.Index(message, roomMember)
	if i < 0 {
		return dst
	}
	room := message[i+len(roomMember):]
	end := bytes.IndexByte(room, '"')
	j := bytes.Index(room, seqMember)
	if end < 0 || j < 0 {
		return dst
	}
	seq := room[j+len(seqMember):]
	n := 0
	for n < len(seq) && '0' <= seq[n] && seq[n] <= '9' {
		n++
	}
	if n == 0 {
		return dst
	}
	return append(append(append(dst, seq[:n]...), '.'), room[:end]...)
}

// ParseOffset reads an offset. The room is not checked.
func ParseOffset(s string) (room string, seq uint64, ok bool) {
	num, room, ok := strings.Cut(s, ".")
	if !ok || room == "" {
		return "", 0, false
	}
	seq, err := strconv.ParseUint(num, 10, 53)
	return room, seq, err == nil && seq > 0 && num[0] != '+'
}
