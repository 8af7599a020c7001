package ws

// Partial is what a connection has received in part: a header, a payload, or a message whose
// last fragment has not arrived.
type Partial struct {
	// Until is when it must be complete. The connection sets it; 0 at first.
	Until uint32

	head    [maxHeader]byte
	headLen int

	open   bool // in the payload of frame
	frame  header
	got    int64 // payload bytes of frame so far
	ctl    [maxControl]byte
	op     OpCode // of the message under assembly, 0 without one
	frames int    // of that message so far
	body   []byte // of that message
	text   textChecker
}

// readHeader completes the header of the next frame; q.open is set when it is complete.
func (q *Partial) readHeader(b []byte) (int, error) {
	n := copy(q.head[q.headLen:], b)
	h, size, err := parseHeader(q.head[:q.headLen+n])
	if err != nil {
		return 0, err
	}
	if size == 0 {
		q.headLen += n
		return n, nil
	}
	n = size - q.headLen
	q.headLen = 0
	q.frame, q.got, q.open = h, 0, true
	return n, nil
}

// addPayload unmasks what b has of the open frame's payload, and keeps it. Memory grows with
// the bytes that have arrived, never with the length that was declared.
func (q *Partial) addPayload(b []byte) (int, error) {
	n := int(min(q.frame.length-q.got, int64(len(b))))
	b = b[:n]
	unmask(b, q.frame.mask, int(q.got&3))
	if q.frame.op.control() {
		copy(q.ctl[q.got:], b)
	} else {
		if q.op == OpText && !q.text.add(b) {
			return n, ErrText
		}
		q.body = append(q.body, b...)
	}
	q.got += int64(n)
	return n, nil
}
