package strictjson

import "strconv"

// Int reads a whole number between -MaxInt and MaxInt, written without fraction
// and exponent.
func (r *Reader) Int() int64 {
	at := r.pos
	if !r.take(Number) {
		return 0
	}
	text, whole := r.scanNumber()
	if r.err != nil {
		return 0
	}
	if !whole {
		r.refuse(at, "expected a whole number")
		return 0
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || n > MaxInt || n < -MaxInt {
		r.refuse(at, "a whole number beyond 9007199254740991")
		return 0
	}
	return n
}

// Float reads a number that fits a float64.
func (r *Reader) Float() float64 {
	if !r.take(Number) {
		return 0
	}
	text, _ := r.scanNumber()
	if r.err != nil {
		return 0
	}
	f, _ := strconv.ParseFloat(string(text), 64) // scanNumber has checked its form and range
	return f
}

// certainlyFits is how long a number without exponent may be and still be
// below the largest float64, which has 309 digits.
const certainlyFits = 300

// scanNumber steps over a number and checks that a float64 can hold it.
func (r *Reader) scanNumber() (text []byte, whole bool) {
	start := r.pos
	whole, exponent := true, false
	if r.peek() == '-' {
		r.pos++
	}
	if r.peek() == '0' {
		r.pos++
	} else if !r.digits() {
		return nil, false
	}
	if r.peek() == '.' {
		whole = false
		if r.pos++; !r.digits() {
			return nil, false
		}
	}
	if c := r.peek(); c == 'e' || c == 'E' {
		whole, exponent = false, true
		r.pos++
		if c := r.peek(); c == '+' || c == '-' {
			r.pos++
		}
		if !r.digits() {
			return nil, false
		}
	}
	text = r.b[start:r.pos]
	if exponent || len(text) > certainlyFits {
		if _, err := strconv.ParseFloat(string(text), 64); err != nil {
			r.refuse(start, "a number too large")
		}
	}
	return text, whole
}

// digits steps over one digit or more.
func (r *Reader) digits() bool {
	start := r.pos
	for r.pos < len(r.b) && r.b[r.pos] >= '0' && r.b[r.pos] <= '9' {
		r.pos++
	}
	return r.pos > start || r.fail(r.pos, "expected a digit")
}
