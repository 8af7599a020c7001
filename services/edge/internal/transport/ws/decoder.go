package ws

import "unicode/utf8"

const (
	// keptPartials and keptBody bound what a decoder keeps for reuse: enough
	// for the messages that are cut at any one time, at the usual limit.
	keptPartials = 64
	keptBody     = 64 << 10
)

// Sink receives what a decoder finds. A method that returns false stops the decoder after
// this frame. Payloads are valid during the call only.
type Sink interface {
	// Data receives a whole message. Text is valid UTF-8.
	Data(op OpCode, payload []byte) bool
	// Control receives a ping, pong or close frame.
	Control(op OpCode, payload []byte) bool
}

// Decoder turns a client's bytes into messages. It serves all connections of
// one loop; what it must remember of one of them between two reads is in a
// Partial, which exists only while something is unfinished. Owned by one loop.
type Decoder struct {
	limits Limits
	free   []*Partial
}

// NewDecoder returns a decoder that enforces l.
func NewDecoder(l Limits) *Decoder { return &Decoder{limits: l} }

// Feed decodes b, changing it (payloads are unmasked in place). *p is nil or
// what an earlier Feed left there. It returns the bytes that follow the frame at which
// the sink stopped, none if it did not stop, or a *Violation: then the stream must not be
// decoded any further. The caller releases *p when the connection ends.
func (d *Decoder) Feed(p **Partial, b []byte, s Sink) (rest []byte, err error) {
	for len(b) > 0 {
		var n int
		var on bool
		if *p == nil {
			n, on, err = d.decodeWhole(b, s)
			if err == nil && n == 0 {
				*p = d.newPartial()
			}
		}
		if *p != nil {
			n, on, err = d.decodePart(p, b, s)
		}
		if err != nil {
			return nil, err
		}
		b = b[n:]
		if !on {
			return b, nil
		}
	}
	return nil, nil
}

// decodeWhole decodes one frame that lies in b as a whole and needs no memory. n is
// 0 when there is none.
func (d *Decoder) decodeWhole(b []byte, s Sink) (n int, on bool, err error) {
	h, n, err := parseHeader(b)
	if err != nil || n == 0 {
		return 0, true, err
	}
	if err := d.checkFrame(h, nil); err != nil {
		return 0, true, err
	}
	if !h.fin || h.length > int64(len(b)-n) {
		return 0, true, nil
	}
	end := n + int(h.length)
	payload := b[n:end:end]
	unmask(payload, h.mask, 0)
	if h.op.control() {
		return end, s.Control(h.op, payload), nil
	}
	if h.op == OpText && !utf8.Valid(payload) {
		return 0, true, ErrText
	}
	return end, s.Data(h.op, payload), nil
}

// checkFrame applies the rules that concern a frame's place in its message, and the
// limits, before anything is held for it.
func (d *Decoder) checkFrame(h header, p *Partial) error {
	if h.op.control() {
		return nil
	}
	var frames, size int
	if p != nil && p.op != 0 {
		frames, size = p.frames, len(p.body)
	}
	switch {
	case h.op == OpContinuation && frames == 0:
		return ErrContinuation
	case h.op != OpContinuation && frames > 0:
		return ErrInterleaved
	case h.length > int64(d.limits.Message-size):
		return ErrTooBig
	case frames >= d.limits.Fragments:
		return ErrFragments
	}
	return nil
}

// decodePart continues the unfinished frame *p with b: it completes the header, adds payload,
// or passes on what is complete.
func (d *Decoder) decodePart(p **Partial, b []byte, s Sink) (n int, on bool, err error) {
	q := *p
	if !q.open {
		n, err = q.readHeader(b)
		if err != nil || !q.open {
			return n, true, err
		}
		if err := d.checkFrame(q.frame, q); err != nil {
			return 0, true, err
		}
		if !q.frame.op.control() {
			q.frames++
			if q.op == 0 {
				q.op = q.frame.op
			}
		}
	}
	m, err := q.addPayload(b[n:])
	n += m
	if err != nil || q.got < q.frame.length {
		return n, true, err
	}
	q.open = false
	if q.frame.op.control() {
		return n, d.deliverControl(p, s), nil
	}
	if !q.frame.fin {
		return n, true, nil
	}
	if q.op == OpText && !q.text.complete() {
		return n, true, ErrText
	}
	*p = nil // the sink may release the connection's partial
	on = s.Data(q.op, q.body)
	d.recycle(q)
	return n, on, nil
}

// deliverControl delivers a control frame, which may stand inside a message.
func (d *Decoder) deliverControl(p **Partial, s Sink) bool {
	q := *p
	if q.op != 0 {
		// A copy: the sink may release the partial, and keep on answering.
		ctl := q.ctl
		return s.Control(q.frame.op, ctl[:q.got])
	}
	*p = nil
	on := s.Control(q.frame.op, q.ctl[:q.got])
	d.recycle(q)
	return on
}

// Release frees the unfinished message of a connection that ends.
func (d *Decoder) Release(p **Partial) {
	if *p != nil {
		d.recycle(*p)
		*p = nil
	}
}

func (d *Decoder) newPartial() *Partial {
	if n := len(d.free); n > 0 {
		q := d.free[n-1]
		d.free = d.free[:n-1]
		return q
	}
	return new(Partial)
}

func (d *Decoder) recycle(q *Partial) {
	if len(d.free) >= keptPartials {
		return
	}
	body := q.body[:0]
	if cap(body) > keptBody {
		body = nil
	}
	*q = Partial{body: body}
	d.free = append(d.free, q)
}
