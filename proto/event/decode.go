package event

import (
	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/strictjson"
)

// decoder reads the members of a payload object. Its first error sticks. A
// member that is null counts as not given.
type decoder struct {
	r   strictjson.Reader
	err *code.Error
}

// begin starts reading data, which must be an object.
func (d *decoder) begin(data []byte) {
	if d.r.Reset(data); len(data) == 0 || d.r.Kind() != strictjson.Object {
		d.err = code.New(code.BadRequest, "the payload must be an object")
		return
	}
	d.r.BeginObject()
}

// next goes to the next member, whose name is d.r.Key().
func (d *decoder) next() bool { return d.err == nil && d.r.NextMember() }

// end returns the first error.
func (d *decoder) end() error {
	if d.err != nil {
		return d.err
	}
	if err := d.r.End(); err != nil {
		return code.New(code.BadRequest, "%s", err.Error())
	}
	return nil
}

// is checks that the member is of that kind; false when it is null or not.
func (d *decoder) is(field string, kind strictjson.Kind) bool {
	switch found := d.r.Kind(); {
	case found == kind:
		return true
	case found == strictjson.Null, found == strictjson.Invalid: // Invalid: end finds it
		d.r.Skip()
	default:
		d.err = code.New(code.BadRequest, "%s must be %s", field, kind)
	}
	return false
}

func (d *decoder) text(field string) string {
	if !d.is(field, strictjson.String) {
		return ""
	}
	return d.r.Text()
}

// flag reads a boolean and tells whether it was given.
func (d *decoder) flag(field string) (value, given bool) {
	if !d.is(field, strictjson.Bool) {
		return false, false
	}
	return d.r.Bool(), true
}

// integer reads a whole number of at least least; false when it was not given.
func (d *decoder) integer(field string, least int64) (n int64, given bool) {
	if !d.is(field, strictjson.Number) {
		return 0, false
	}
	if n = d.r.Int(); d.r.Err() != nil || n < least {
		d.err = code.New(code.BadRequest, "%s must be a whole number from %d to %d", field, least, int64(strictjson.MaxInt))
		return 0, false
	}
	return n, true
}

// seq reads a message number; nil when it was not given.
func (d *decoder) seq(field string) *uint64 {
	n, given := d.integer(field, 0)
	if !given {
		return nil
	}
	seq := uint64(n)
	return &seq
}

// check refuses the payload with that message unless ok.
func (d *decoder) check(ok bool, message string) {
	if !ok && d.err == nil && d.r.Err() == nil {
		d.err = code.New(code.BadRequest, "%s", message)
	}
}

// decodeRoom decodes and checks the payload {roomId}.
func decodeRoom(data []byte) (string, error) {
	var d decoder
	var room string
	for d.begin(data); d.next(); {
		if string(d.r.Key()) == "roomId" {
			room = d.text("roomId")
		}
	}
	if err := d.end(); err != nil {
		return "", err
	}
	return room, checkRoomID(room)
}

func missing(field string) error {
	return code.New(code.BadRequest, "%s is missing", field)
}
