// Package wire defines the messages between the services over NATS: commands and replies,
// broadcasts, log records, permits, snapshots. Clients never see these bytes; what they see
// is inside, as JSON that room has encoded once.
//
// The encoding is the protobuf wire format (varint and length-delimited fields
// only), written by hand: each message names its fields once, in a method that
// encodes and decodes. Fields with a zero value are left out, unknown fields are
// skipped, so a release is compatible with the one before it. docs/adr/0001 has the
// figures behind the choice.
package wire

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"slices"
	"sync"
)

// ErrMalformed is returned when bytes are not a message of this package.
var ErrMalformed = errors.New("malformed wire message")

// Message is one of the message types of this package.
type Message interface {
	// fields visits every field with its number. Numbers are never reused.
	fields(c *codec)
}

// Append appends the encoding of m to dst. It never fails and keeps no reference.
func Append(dst []byte, m Message) []byte {
	c := borrow(codec{buf: dst, encoding: true})
	defer c.release()
	m.fields(c)
	return c.buf
}

// Marshal is Append to a new slice of the right size.
func Marshal(m Message) []byte {
	c := borrow(codec{encoding: true, counting: true})
	defer c.release()
	m.fields(c)
	c.buf, c.counting = make([]byte, 0, c.size), false
	m.fields(c)
	return c.buf
}

// Unmarshal decodes b into m, which must be zero. Strings are copied; []byte
// fields alias b. It returns ErrMalformed and leaves m half filled when b is cut
// off or has a field of the wrong type.
func Unmarshal(b []byte, m Message) error {
	c := borrow(codec{buf: b})
	defer c.release()
	if !c.message(m) {
		return ErrMalformed
	}
	return nil
}

const (
	wireVarint = 0
	wireBytes  = 2
)

// codec walks the fields of a message. When encoding, it appends each field to buf, or only
// counts the bytes. When decoding, it holds one field read from buf and passes it to the
// field with the same number.
type codec struct {
	buf      []byte
	size     int // counted so far
	encoding bool
	counting bool // with encoding
	bad      bool

	num  uint64 // the field at hand, decoding only
	kind uint64
	n    uint64
	data []byte
}

// codecs are spare ones: a codec outlives its stack frame, because messages are
// called through an interface.
var codecs = sync.Pool{New: func() any { return new(codec) }}

func borrow(state codec) *codec {
	c := codecs.Get().(*codec)
	*c = state
	return c
}

// release clears c and returns it to the pool.
func (c *codec) release() {
	*c = codec{}
	codecs.Put(c)
}

// message reads all of buf into m; false when it is malformed.
func (c *codec) message(m Message) bool {
	for len(c.buf) > 0 && !c.bad {
		if !c.next() {
			return false
		}
		m.fields(c)
	}
	return !c.bad
}

// next reads one field; false when buf is malformed.
func (c *codec) next() bool {
	tag, k := binary.Uvarint(c.buf)
	if k <= 0 || tag>>3 == 0 {
		return false
	}
	c.buf = c.buf[k:]
	c.num, c.kind, c.n, c.data = tag>>3, tag&7, 0, nil
	switch c.kind {
	case wireVarint:
		c.n, k = binary.Uvarint(c.buf)
		if k <= 0 {
			return false
		}
		c.buf = c.buf[k:]
	case wireBytes:
		size, k := binary.Uvarint(c.buf)
		if k <= 0 || size > uint64(len(c.buf)-k) {
			return false
		}
		c.data, c.buf = c.buf[k:k+int(size):k+int(size)], c.buf[k+int(size):]
	case 1, 5: // fixed64, fixed32: this release does not write them, a later one may
		width := 8
		if c.kind == 5 {
			width = 4
		}
		if len(c.buf) < width {
			return false
		}
		c.buf = c.buf[width:]
	default:
		return false
	}
	return true
}

// at reports whether the field at hand is num, and marks the message bad when its kind is not.
func (c *codec) at(num, kind uint64) bool {
	if c.num != num {
		return false
	}
	if c.kind != kind {
		c.bad = true
		return false
	}
	return true
}

func (c *codec) tag(num, kind uint64) { c.uvarint(num<<3 | kind) }

func (c *codec) uvarint(n uint64) {
	if c.counting {
		c.size += (bits.Len64(n|1) + 6) / 7
		return
	}
	c.buf = binary.AppendUvarint(c.buf, n)
}

// sized appends b with its length in front.
func sized[T string | []byte](c *codec, b T) {
	if c.uvarint(uint64(len(b))); c.counting {
		c.size += len(b)
		return
	}
	c.buf = append(c.buf, b...)
}

func (c *codec) uint(num uint64, v *uint64) {
	switch {
	case c.encoding && *v != 0:
		c.tag(num, wireVarint)
		c.uvarint(*v)
	case !c.encoding && c.at(num, wireVarint):
		*v = c.n
	}
}

func (c *codec) bool(num uint64, v *bool) {
	var n uint64
	if *v {
		n = 1
	}
	if c.uint(num, &n); !c.encoding {
		*v = n != 0
	}
}

func (c *codec) string(num uint64, v *string) {
	switch {
	case c.encoding && *v != "":
		c.tag(num, wireBytes)
		sized(c, *v)
	case !c.encoding && c.at(num, wireBytes):
		*v = string(c.data)
	}
}

func (c *codec) bytes(num uint64, v *[]byte) {
	switch {
	case c.encoding && len(*v) != 0:
		c.tag(num, wireBytes)
		sized(c, *v)
	case !c.encoding && c.at(num, wireBytes):
		*v = c.data
	}
}

func (c *codec) strings(num uint64, v *[]string) {
	if c.encoding {
		for i := range *v {
			c.tag(num, wireBytes)
			sized(c, (*v)[i])
		}
	} else if c.at(num, wireBytes) {
		*v = append(*v, string(c.data))
	}
}

// repeated visits a list of nested messages.
func repeated[T any, P interface {
	*T
	Message
}](c *codec, num uint64, v *[]T) {
	if c.encoding {
		for i := range *v {
			c.nested(num, P(&(*v)[i]))
		}
		return
	}
	if c.at(num, wireBytes) {
		var zero T
		*v = append(*v, zero)
		rest := c.buf
		c.buf = c.data
		c.bad = !c.message(P(&(*v)[len(*v)-1]))
		c.buf, c.num = rest, 0 // the inner message's last field must not match a field of the outer one
	}
}

// nested appends m with its length in front: encoded behind the place of the
// length, then moved, so that no second buffer is needed.
func (c *codec) nested(num uint64, m Message) {
	c.tag(num, wireBytes)
	if c.counting {
		before := c.size
		m.fields(c)
		c.uvarint(uint64(c.size - before))
		return
	}
	start := len(c.buf)
	m.fields(c)
	var size [binary.MaxVarintLen64]byte
	k := binary.PutUvarint(size[:], uint64(len(c.buf)-start))
	c.buf = slices.Insert(c.buf, start, size[:k]...)
}
