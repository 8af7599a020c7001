package e2e_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// Patterns are JSON in which some strings stand for a kind of value.
const (
	anyTime   = "<time>" // ISO 8601, UTC, milliseconds
	anyText   = "<text>" // a string that is not empty
	anyMs     = "<ms>"   // a whole number above 0
	anyNumber = "<n>"    // a whole number
	anything  = "<any>"
)

func iso() *regexp.Regexp {
	return regexp.MustCompile(`^20\d\d-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\d\.\d{3}Z$`)
}

// match returns how got, decoded JSON, differs from want. Objects must have the same
// members: a field too many is a difference too. Lists in which the contract
// promises no order are compared as sets.
func match(path string, want, got any) error {
	switch want := want.(type) {
	case map[string]any:
		return matchObject(path, want, got)
	case []any:
		list, ok := got.([]any)
		switch {
		case !ok || len(list) != len(want):
			return fmt.Errorf("%s: want %d elements, got %v", path, len(want), got)
		case unordered(path):
			return matchSet(path, want, list)
		}
		for i := range want {
			if err := match(fmt.Sprintf("%s[%d]", path, i), want[i], list[i]); err != nil {
				return err
			}
		}
		return nil
	case string:
		return matchText(path, want, got)
	}
	if want != got {
		return fmt.Errorf("%s: want %v, got %v", path, want, got)
	}
	return nil
}

func matchObject(path string, want map[string]any, got any) error {
	object, ok := got.(map[string]any)
	if !ok {
		return fmt.Errorf("%s: want an object, got %v", path, got)
	}
	for name, w := range want {
		g, there := object[name]
		if !there {
			return fmt.Errorf("%s.%s is missing", path, name)
		}
		if err := match(path+"."+name, w, g); err != nil {
			return err
		}
	}
	for name := range object {
		if _, known := want[name]; !known {
			return fmt.Errorf("%s.%s is not in the contract", path, name)
		}
	}
	return nil
}

func matchText(path, want string, got any) error {
	text, isText := got.(string)
	n, isNumber := got.(float64)
	whole := isNumber && n == float64(int64(n))
	ok := false
	switch want {
	case anything:
		ok = true
	case anyTime:
		ok = isText && iso().MatchString(text)
	case anyText:
		ok = isText && text != ""
	case anyMs:
		ok = whole && n > 0
	case anyNumber:
		ok = whole
	default:
		ok = isText && text == want
	}
	if !ok {
		return fmt.Errorf("%s: want %s, got %v", path, want, got)
	}
	return nil
}

// unordered names the lists of users and instances: their order has no meaning.
func unordered(path string) bool {
	switch path[strings.LastIndexByte(path, '.')+1:] {
	case "users", "activeUsers", "typingUsers", "presenceData", "services", "instances":
		return true
	}
	return false
}

func matchSet(path string, want, got []any) error {
	taken := make([]bool, len(got))
next:
	for _, w := range want {
		for i, g := range got {
			if !taken[i] && match(path, w, g) == nil {
				taken[i] = true
				continue next
			}
		}
		return fmt.Errorf("%s: nothing matches %v in %v", path, w, got)
	}
	return nil
}

func decode(tb testing.TB, text string) (v any) {
	tb.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		tb.Fatalf("no JSON: %v: %s", err, text)
	}
	return v
}

// The patterns must be able to fail.
func TestPattern(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		want, got string
		ok        bool
	}{
		"equal":          {`{"a":[1,"x",null,true]}`, `{"a":[1,"x",null,true]}`, true},
		"other value":    {`{"a":1}`, `{"a":2}`, false},
		"field missing":  {`{"a":1,"b":2}`, `{"a":1}`, false},
		"field too many": {`{"a":1}`, `{"a":1,"b":2}`, false},
		"time":           {`"<time>"`, `"2026-01-02T03:04:05.678Z"`, true},
		"time, no ms":    {`"<time>"`, `"2026-01-02T03:04:05Z"`, false},
		"time, number":   {`"<time>"`, `1767322800000`, false},
		"ms":             {`"<ms>"`, `17`, true},
		"ms, zero":       {`"<ms>"`, `0`, false},
		"ms, fraction":   {`"<ms>"`, `1.5`, false},
		"ms, text":       {`"<ms>"`, `"17"`, false},
		"text":           {`"<text>"`, `""`, false},
		"order":          {`{"seqs":[1,2]}`, `{"seqs":[2,1]}`, false},
		"set":            {`{"users":["a","b"]}`, `{"users":["b","a"]}`, true},
		"set, twice":     {`{"users":["a","b"]}`, `{"users":["a","a"]}`, false},
		"length":         {`{"users":["a"]}`, `{"users":["a","b"]}`, false},
		"not a list":     {`[1]`, `{"a":1}`, false},
		"null":           {`null`, `null`, true},
		"null, wanted":   {`null`, `0`, false},
	} {
		err := match("", decode(t, c.want), decode(t, c.got))
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
