package event

import (
	"slices"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/strictjson"
)

// decoder reads the members of a payload object for the generated Decode methods.
// Its first error sticks. A member that is null counts as absent.
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

// is reports whether the member is of that kind. It records an error when the member
// is of another kind and not null.
func (d *decoder) is(field string, kind strictjson.Kind) bool {
	switch found := d.r.Kind(); {
	case found == kind:
		return true
	case found == strictjson.Null, found == strictjson.Invalid: // Invalid: end reports it
		d.r.Skip()
	default:
		d.err = code.New(code.BadRequest, "%s must be %s", field, kind)
	}
	return false
}

// refuse records an error, unless there is one already.
func (d *decoder) refuse(format string, args ...any) {
	if d.err == nil && d.r.Err() == nil {
		d.err = code.New(code.BadRequest, format, args...)
	}
}

func (d *decoder) text(field string) string {
	if !d.is(field, strictjson.String) {
		return ""
	}
	return d.r.Text()
}

// limited reads a string of at most limit bytes.
func (d *decoder) limited(field string, limit int) string {
	s := d.text(field)
	if len(s) > limit {
		d.refuse("%s must be 1 to %d characters", field, limit)
	}
	return s
}

func (d *decoder) clientID(field string) string {
	if !d.is(field, strictjson.String) {
		return ""
	}
	id := d.r.Text()
	if !ValidClientID(id) {
		d.refuse("%s must be 1 to %d visible ASCII characters", field, MaxClientID)
	}
	return id
}

// choice reads one of the values; "" when the member is absent.
func (d *decoder) choice(field string, values ...string) string {
	if !d.is(field, strictjson.String) {
		return ""
	}
	text := d.r.TextBytes()
	for _, v := range values {
		if string(text) == v {
			return v
		}
	}
	d.refuse("%s", mustBe(field, values...).Message)
	return ""
}

// flag reads a boolean and reports whether it was given.
func (d *decoder) flag(field string) (value, given bool) {
	if !d.is(field, strictjson.Bool) {
		return false, false
	}
	return d.r.Bool(), true
}

// integer reads a whole number of at least least and reports whether it was given.
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

// seq reads a message number; nil when it is absent.
func (d *decoder) seq(field string) *uint64 {
	n, given := d.integer(field, 0)
	if !given {
		return nil
	}
	seq := uint64(n)
	return &seq
}

// userIDs reads at most limit user ids and drops repeated ones; nil when they are absent.
func (d *decoder) userIDs(field string, limit int) []string {
	if !d.is(field, strictjson.Array) {
		return nil
	}
	ids := []string{}
	for d.r.BeginArray(); d.err == nil && d.r.NextElement(); {
		switch d.r.Kind() {
		case strictjson.String:
		case strictjson.Invalid: // end reports it
			continue
		default:
			d.refuse("%s must be an array of strings", field)
			continue
		}
		id := d.r.Text()
		if !ValidUserID(id) {
			d.refuse("%s contains something that is no user id", field)
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
		if len(ids) > limit {
			d.err = code.New(code.BadRequest, "%s has more than %d users", field, limit)
		}
	}
	return ids
}

func missing(field string) error {
	return code.New(code.BadRequest, "%s is missing", field)
}

// mustBe names the values that a member may have: "status must be online, away or busy".
func mustBe(field string, values ...string) *code.Error {
	text := field + " must be "
	for i, v := range values {
		switch i {
		case 0:
		case len(values) - 1:
			text += " or "
		default:
			text += ", "
		}
		text += v
	}
	return code.New(code.BadRequest, "%s", text)
}
