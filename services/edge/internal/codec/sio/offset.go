package sio

import (
	"bytes"
	"strconv"
	"strings"
)

// An offset names the last message that a client received, in the order in which they
// were sent to it, as seq and room: 42.general. It is part of the message's frame, which
// all members share.

var (
	roomMember = []byte(`"roomId":"`)
	seqMember  = []byte(`,"seq":`)
)

// appendOffsetOf appends the offset of a message as one more argument, given its JSON as
// event.Message writes it. It appends nothing to other JSON. A text cannot be mistaken for a member:
// the quotes in it are escaped.
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
	dst = append(append(dst, `,"`...), seq[:n]...)
	dst = append(append(dst, '.'), room[:end]...)
	return append(dst, '"')
}

// ParseOffset parses an offset. It does not check the room.
func ParseOffset(s string) (room string, seq uint64, ok bool) {
	num, room, ok := strings.Cut(s, ".")
	if !ok || room == "" {
		return "", 0, false
	}
	seq, err := strconv.ParseUint(num, 10, 53)
	return room, seq, err == nil && seq > 0 && num[0] != '+'
}
