package strictjson_test

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/confab-chat/confab/proto/strictjson"
)

// read builds the value that the reader sees, as encoding/json would with UseNumber.
func read(b []byte) (any, error) {
	var r strictjson.Reader
	r.Reset(b)
	v := readValue(&r)
	return v, r.End()
}

func readValue(r *strictjson.Reader) any {
	switch r.Kind() {
	case strictjson.Object:
		object := map[string]any{}
		for r.BeginObject(); r.NextMember(); {
			key := string(r.Key())
			object[key] = readValue(r)
		}
		return object
	case strictjson.Array:
		array := []any{}
		for r.BeginArray(); r.NextElement(); {
			array = append(array, readValue(r))
		}
		return array
	case strictjson.String:
		return r.Text()
	case strictjson.Number:
		return r.Float()
	case strictjson.Bool:
		return r.Bool()
	case strictjson.Null:
		r.Null()
	}
	return nil
}

var escaped = regexp.MustCompile(`\\(u[0-9a-fA-F]{4}|.)`)

// loneSurrogate finds halves of surrogate pairs among the escapes of valid JSON.
func loneSurrogate(b []byte) bool {
	high := -1 // end of an escape that was a high half
	for _, at := range escaped.FindAllIndex(b, -1) {
		n, err := strconv.ParseUint(strings.TrimPrefix(string(b[at[0]:at[1]]), `\u`), 16, 32)
		isHigh, isLow := err == nil && n>>10 == 0xd800>>10, err == nil && n>>10 == 0xdc00>>10
		if high >= 0 && (!isLow || high != at[0]) || high < 0 && isLow {
			return true
		}
		if high = -1; isHigh {
			high = at[1]
		}
	}
	return high >= 0
}

// acceptable decides by encoding/json's tokens what the reader must accept.
func acceptable(b []byte) bool {
	if !json.Valid(b) || !utf8.Valid(b) || loneSurrogate(b) {
		return false
	}
	type scope struct {
		object  bool
		isValue bool
		keys    map[string]bool
		n       int
	}
	var open []scope
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	for {
		token, err := dec.Token()
		if err == io.EOF {
			return true
		} else if err != nil {
			return false
		}
		if token == json.Delim('}') || token == json.Delim(']') {
			open = open[:len(open)-1]
			continue
		}
		if len(open) > 0 {
			s := &open[len(open)-1]
			if s.object && !s.isValue {
				key := token.(string)
				if s.n++; s.keys[key] || s.n > strictjson.MaxKeys {
					return false
				}
				s.keys[key], s.isValue = true, true
				continue
			}
			s.isValue = false
			if !s.object {
				if s.n++; s.n > strictjson.MaxElements {
					return false
				}
			}
		}
		switch v := token.(type) {
		case json.Delim:
			if open = append(open, scope{object: v == '{', keys: map[string]bool{}}); len(open) > strictjson.MaxDepth {
				return false
			}
		case json.Number:
			if f, err := v.Float64(); err != nil || math.IsInf(f, 0) {
				return false
			}
		}
	}
}
