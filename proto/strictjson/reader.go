// Package strictjson reads JSON from clients in one pass, without allocation, and
// refuses what two readers could understand differently (RFC 8259 leaves it open;
// RFC 7493, I-JSON, closes it): invalid UTF-8, lone surrogates, a key twice in an
// object, numbers that do not fit, anything behind the value. Depth and sizes are
// bounded, so that no input costs more than its length. It also appends JSON strings.
package strictjson

import "bytes"

// Bounds of what a [Reader] accepts.
const (
	MaxDepth    = 16        // objects and arrays inside each other
	MaxKeys     = 64        // members of one object
	MaxElements = 256       // elements of one array
	MaxInt      = 1<<53 - 1 // what every JSON reader holds exactly, RFC 7493 section 2.2
)

// inlineKeys is how many keys may be open at once (in the objects around the
// reading position) before the Reader allocates room for more. A client's event
// has fewer than ten.
const inlineKeys = 16

// Reader walks one JSON value. Reset it, read, then ask [Reader.End]. A value that
// was announced ([Reader.NextMember], [Reader.NextElement]) and not read is
// checked and skipped. The first error sticks: from then on every method returns
// its zero value, so that only End's error must be looked at. The zero Reader
// reads nothing. Not safe for concurrent use; one Reader may be used again and again.
//
//	var r strictjson.Reader
//	r.Reset(b)
//	for r.BeginObject(); r.NextMember(); {
//		switch string(r.Key()) {
//		case "roomId":
//			roomID = r.Text()
//		}
//	}
//	err := r.End()
type Reader struct {
	b     []byte
	pos   int
	err   *Error
	due   bool // a value begins at pos and was not read yet
	depth int
	open  [MaxDepth]scope

	// Keys of all open objects, for finding duplicates: the first inlineKeys of
	// them here, the others in more.
	nkeys int16
	keys  [inlineKeys]span
	more  []span

	key     []byte // of the last NextMember
	scratch []byte // decoded text of strings with escapes
}

// scope is one object or array around the reading position.
type scope struct {
	array bool
	count int16  // members or elements begun
	base  int16  // nkeys when it was opened
	seen  uint64 // bit h is set when a key with hash h modulo 64 is among its keys
}

// span is a string in Reader.b, without its quotes.
type span struct {
	start, end int32
	hash       uint32 // of a key, decoded
	escaped    bool
}

// Reset starts reading b, which must not change until the reader is done with
// it and is shorter than 2 GiB.
func (r *Reader) Reset(b []byte) {
	r.b, r.pos, r.err, r.due, r.depth, r.nkeys, r.key = b, 0, nil, true, 0, 0, nil
	if bytes.HasPrefix(b, []byte("\xef\xbb\xbf")) {
		r.fail(0, "a byte order mark")
	}
	r.space()
}

// Err is the error that stopped the reader, nil so far.
func (r *Reader) Err() error {
	if r.err == nil {
		return nil
	}
	return r.err
}

// End checks that the value was read to its end and that nothing but white space
// follows. The error is an [*Error].
func (r *Reader) End() error {
	if r.due {
		r.Skip()
	}
	if r.err == nil && r.depth > 0 {
		r.fail(r.pos, "not read to the end")
	}
	r.space()
	if r.err == nil && r.pos < len(r.b) {
		r.fail(r.pos, "something follows the value")
	}
	return r.Err()
}

// BeginObject enters an object: call NextMember until it returns false.
func (r *Reader) BeginObject() bool { return r.begin(Object) }

// BeginArray enters an array: call NextElement until it returns false.
func (r *Reader) BeginArray() bool { return r.begin(Array) }

func (r *Reader) begin(k Kind) bool {
	if !r.take(k) {
		return false
	}
	if r.depth == MaxDepth {
		return r.refuse(r.pos, "nested deeper than 16 levels")
	}
	r.open[r.depth] = scope{array: k == Array, base: r.nkeys}
	r.depth++
	r.pos++
	return true
}

// NextMember goes to the object's next member, whose value can then be read. It
// returns false behind the last one, having left the object, and on errors.
func (r *Reader) NextMember() bool {
	if !r.next(false) {
		return false
	}
	s := &r.open[r.depth-1]
	if s.count++; s.count > MaxKeys {
		return r.refuse(r.pos, "more than 64 members in an object")
	}
	if r.peek() != '"' {
		return r.fail(r.pos, "expected a key in quotes")
	}
	if !r.readKey(s) {
		return false
	}
	if r.space(); r.peek() != ':' {
		return r.fail(r.pos, "expected a colon after the key")
	}
	r.pos++
	r.space()
	r.due = true
	return true
}

// NextElement goes to the array's next element, which can then be read. It
// returns false behind the last one, having left the array, and on errors.
func (r *Reader) NextElement() bool {
	if !r.next(true) {
		return false
	}
	s := &r.open[r.depth-1]
	if s.count++; s.count > MaxElements {
		return r.refuse(r.pos, "more than 256 elements in an array")
	}
	r.due = true
	return true
}

// next steps over what separates two members or elements. It returns false when
// there is none, having left the scope, and on errors.
func (r *Reader) next(array bool) bool {
	if r.due {
		r.Skip()
	}
	if r.err != nil {
		return false
	}
	if r.depth == 0 || r.open[r.depth-1].array != array {
		return r.fail(r.pos, "not inside such a value")
	}
	s := &r.open[r.depth-1]
	r.space()
	c := r.peek()
	if !array && c == '}' || array && c == ']' {
		r.pos++
		r.depth--
		r.nkeys = s.base
		return false
	}
	if s.count == 0 {
		return true
	}
	if c != ',' {
		return r.fail(r.pos, "expected a comma or the end of the object or array")
	}
	r.pos++
	r.space()
	return true
}

// Key is the key of the current member. It is valid until the next NextMember.
func (r *Reader) Key() []byte { return r.key }

// fail keeps the first error and returns false.
func (r *Reader) fail(offset int, message string) bool {
	if r.err == nil {
		if offset >= len(r.b) {
			message = "it ends too early"
		}
		r.err = &Error{Offset: offset, Message: message}
		r.due, r.key = false, nil
	}
	return false
}

// refuse is fail for what is JSON, but not what is accepted.
func (r *Reader) refuse(offset int, message string) bool {
	if r.err == nil {
		r.fail(offset, message)
		r.err.Sound = offset < len(r.b)
	}
	return false
}

func (r *Reader) space() {
	for r.pos < len(r.b) {
		switch r.b[r.pos] {
		case ' ', '\t', '\n', '\r':
			r.pos++
		default:
			return
		}
	}
}

// peek is the byte at hand, 0 at the end.
func (r *Reader) peek() byte {
	if r.pos >= len(r.b) {
		return 0
	}
	return r.b[r.pos]
}
