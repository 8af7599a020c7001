// Package wire holds what the services say to each other over NATS: commands
// and replies, broadcasts, log records, permits, snapshots. Clients never see
// these bytes; what they see travels inside, as JSON that room encoded once.
//
// The encoding is the protobuf wire format (varint and length-delimited fields
// only), written by hand: each message names its fields once, in a method that
// encodes and decodes. Fields with a zero value are left out, unknown fields are
// skipped, so a release talks to the one before it. docs/adr/0001 has the
// figures behind the choice.
package wire

import (
	"encoding/binary"
	"errors"
	"slices"
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
	c := codec{buf: dst, encoding: true}
	m.fields(&c)
	return c.buf
}

// Marshal is Append to a new slice.
func Marshal(m Message) []byte { return Append(nil, m) }

// Unmarshal decodes b into m, which must be zero. Strings are copied; []byte
// fields alias b. It returns ErrMalformed and leaves m half filled when b is cut
// off or has a field of the wrong type.
func Unmarshal(b []byte, m Message) error {
	c := codec{buf: b}
	for len(c.buf) > 0 {
		if !c.next() {
			return ErrMalformed
		}
		m.fields(&c)
		if c.bad {
			return ErrMalformed
		}
	}
	return nil
}

const (
	wireVarint = 0
	wireBytes  = 2
)

// codec walks the fields of a message: encoding, it appends each to buf;
// decoding, it holds one field read from buf and gives it to whoever has its number.
type codec struct {
	buf      []byte
	encoding bool
	bad      bool

	num  uint64 // the field at hand, decoding only
	kind uint64
	n    uint64
	data []byte
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
	case 1, 5: // fixed64, fixed32: nobody here writes them, a later release may
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

// at tells whether the field at hand is num, and marks the message bad when its kind is not.
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

func (c *codec) tag(num, kind uint64) {
	c.buf = binary.AppendUvarint(c.buf, num<<3|kind)
}

func (c *codec) uint(num uint64, v *uint64) {
	switch {
	case c.encoding && *v != 0:
		c.tag(num, wireVarint)
		c.buf = binary.AppendUvarint(c.buf, *v)
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
		c.buf = binary.AppendUvarint(c.buf, uint64(len(*v)))
		c.buf = append(c.buf, *v...)
	case !c.encoding && c.at(num, wireBytes):
		*v = string(c.data)
	}
}

func (c *codec) bytes(num uint64, v *[]byte) {
	switch {
	case c.encoding && len(*v) != 0:
		c.tag(num, wireBytes)
		c.buf = binary.AppendUvarint(c.buf, uint64(len(*v)))
		c.buf = append(c.buf, *v...)
	case !c.encoding && c.at(num, wireBytes):
		*v = c.data
	}
}

func (c *codec) strings(num uint64, v *[]string) {
	if c.encoding {
		for i := range *v {
			c.tag(num, wireBytes)
			c.buf = binary.AppendUvarint(c.buf, uint64(len((*v)[i])))
			c.buf = append(c.buf, (*v)[i]...)
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
		var m T
		if Unmarshal(c.data, P(&m)) != nil {
			c.bad = true
		}
		*v = append(*v, m)
	}
}

// nested appends m with its length in front: encoded behind the place of the
// length, then moved, so that no second buffer is needed.
func (c *codec) nested(num uint64, m Message) {
	c.tag(num, wireBytes)
	start := len(c.buf)
	m.fields(c)
	var size [binary.MaxVarintLen64]byte
	k := binary.PutUvarint(size[:], uint64(len(c.buf)-start))
	c.buf = slices.Insert(c.buf, start, size[:k]...)
}
