package strictjson

// Kind is the type of a JSON value.
type Kind uint8

// Kinds of values; Invalid stands for no value at all.
const (
	Invalid Kind = iota
	Null
	Bool
	Number
	String
	Array
	Object
)

// String names the kind as it stands in errors.
func (k Kind) String() string {
	return [...]string{"nothing", "null", "a boolean", "a number", "a string", "an array", "an object"}[k]
}

// Kind is the type of the value that can be read now.
func (r *Reader) Kind() Kind {
	if r.err != nil || !r.due || r.pos >= len(r.b) {
		return Invalid
	}
	switch c := r.b[r.pos]; {
	case c == '"':
		return String
	case c == '{':
		return Object
	case c == '[':
		return Array
	case c == 't', c == 'f':
		return Bool
	case c == 'n':
		return Null
	case c == '-', '0' <= c && c <= '9':
		return Number
	}
	return Invalid
}

// Skip checks the value and steps over it.
func (r *Reader) Skip() {
	for outer := r.depth; ; {
		switch k := r.Kind(); k {
		case Object, Array:
			r.begin(k)
		default:
			r.scalar(k)
		}
		for {
			if r.err != nil || r.depth == outer {
				return
			}
			if r.nextValue() {
				break
			}
		}
	}
}

// nextValue goes to the next value of the object or array around the position.
func (r *Reader) nextValue() bool {
	if r.open[r.depth-1].array {
		return r.NextElement()
	}
	return r.NextMember()
}

// Raw checks the value, steps over it and returns its bytes, part of the input.
func (r *Reader) Raw() []byte {
	start := r.pos
	if r.Skip(); r.err != nil {
		return nil
	}
	return r.b[start:r.pos:r.pos]
}

// Null steps over a null and returns true; any other value is left to be read.
func (r *Reader) Null() bool {
	if r.Kind() != Null {
		return false
	}
	r.scalar(Null)
	return r.err == nil
}

// Bool reads true or false.
func (r *Reader) Bool() bool {
	if r.Kind() != Bool {
		return r.take(Bool)
	}
	value := r.b[r.pos] == 't'
	r.scalar(Bool)
	return value && r.err == nil
}

// scalar steps over a value without parts.
func (r *Reader) scalar(k Kind) {
	if !r.take(k) {
		return
	}
	switch {
	case k == String:
		r.scanString()
	case k == Number:
		r.scanNumber()
	case r.literal("true"), r.literal("false"), r.literal("null"):
	default:
		r.fail(r.pos, "expected a value")
	}
}

func (r *Reader) literal(word string) bool {
	if len(r.b)-r.pos < len(word) || string(r.b[r.pos:r.pos+len(word)]) != word {
		return false
	}
	r.pos += len(word)
	return true
}

// take claims the value that is due, if it is of kind want.
func (r *Reader) take(want Kind) bool {
	if r.err != nil {
		return false
	}
	if !r.due {
		return r.fail(r.pos, "no value to read here")
	}
	switch found := r.Kind(); {
	case found == Invalid && r.pos >= len(r.b):
		return r.fail(r.pos, "it ends too early")
	case found == Invalid:
		return r.fail(r.pos, "expected a value")
	case found != want:
		return r.refuse(r.pos, "expected "+want.String()+", found "+found.String())
	}
	r.due = false
	return true
}
