package strictjson_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/confab-chat/confab/proto/strictjson"
)

func many(n int, format string) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = strings.ReplaceAll(format, "#", fmt.Sprint(i))
	}
	return strings.Join(parts, ",")
}

var accepted = map[string]string{
	"null":                  `null`,
	"booleans":              `[true,false]`,
	"numbers":               `[0,-0,1,-1,0.5,1e3,1E-7,1.7976931348623157e308,-12.25e+2]`,
	"tiny number":           `1e-400`,
	"long zero":             `0.` + strings.Repeat("0", 400) + `1`,
	"strings":               `["","a","ab","abcdefgh","abcdefghijklmnopq","\u00e9\n\t\"\\\/\b\f\r"]`,
	"escaped surrogates":    `"\ud83d\ude00 \uD83D\uDE00"`,
	"noncharacters":         `"\uffff\u0000\u2028"`,
	"utf-8":                 `"日本語 😀 ünïcode and then some plain text"`,
	"white space":           " \t\r\n{ \"a\" : [ 1 , 2 ] , \"b\" : { } } \n",
	"nested":                `{"a":{"a":{"b":[{"a":1},{"a":2}]}},"b":[]}`,
	"depth 16":              strings.Repeat("[", 16) + strings.Repeat("]", 16),
	"64 members":            `{` + many(64, `"k#":#`) + `}`,
	"256 elements":          `[` + many(256, `#`) + `]`,
	"members by the dozens": `{"a":{` + many(64, `"k#":#`) + `},"b":{` + many(64, `"k#":#`) + `},"c":1}`,
	"keys alike":            `{"a":1,"A":2,"a ":3,"":4,"\u0041a":5}`,
	"DEL":                   "\"\x7f\"",
}

var refused = map[string]struct {
	json   string
	offset int
	says   string
}{
	"empty":                  {``, 0, "ends too early"},
	"white space only":       {" \n", 2, "ends too early"},
	"byte order mark":        {"\xef\xbb\xbf{}", 0, "byte order mark"},
	"trailing":               {`{} x`, 3, "follows"},
	"two values":             {`{}{}`, 2, "follows"},
	"trailing NUL":           {"1\x00", 1, "follows"},
	"leading zero":           {`01`, 1, "follows"},
	"plus":                   {`+1`, 0, "expected a value"},
	"dot first":              {`.5`, 0, "expected a value"},
	"dot last":               {`[1.]`, 3, "expected a digit"},
	"exponent without digit": {`[1e]`, 3, "expected a digit"},
	"minus":                  {`-`, 1, "ends too early"},
	"NaN":                    {`NaN`, 0, "expected a value"},
	"too large":              {`1e400`, 0, "too large"},
	"too large, inside":      {`{"a":[1e999]}`, 6, "too large"},
	"too large, digits":      {strings.Repeat("9", 310), 0, "too large"},
	"half a word":            {`tru`, 0, "expected a value"},
	"capitals":               {`True`, 0, "expected a value"},
	"comma last in array":    {`[1,]`, 3, "expected a value"},
	"comma last in object":   {`{"a":1,}`, 7, "expected a key"},
	"comma first":            {`[,1]`, 1, "expected a value"},
	"no comma":               {`[1 2]`, 3, "expected a comma"},
	"no colon":               {`{"a" 1}`, 5, "expected a colon"},
	"no value":               {`{"a":}`, 5, "expected a value"},
	"bare key":               {`{a:1}`, 1, "expected a key"},
	"number key":             {`{1:1}`, 1, "expected a key"},
	"wrong bracket":          {`[1}`, 2, "expected a comma"},
	"wrong brace":            {`{"a":1]`, 6, "expected a comma"},
	"cut off":                {`{"a":[1,2`, 9, "ends too early"},
	"cut off key":            {`{"a`, 3, "ends too early"},
	"cut off escape":         {`"\`, 2, "ends too early"},
	"cut off long":           {`"abcdefghijk`, 12, "ends too early"},
	"same key":               {`{"a":1,"b":2,"a":3}`, 13, "same key"},
	"same key, escaped":      {`{"a":1,"\u0061":2}`, 7, "same key"},
	"same key, escaped once": {`{"\u0061":1,"a":2}`, 12, "same key"},
	"same key, 64th":         {`{` + many(63, `"k#":#`) + `,"k0":1}`, -1, "same key"},
	"same key, skipped":      {`[[{"x":{"":1,"":2}}]]`, 13, "same key"},
	"65 members":             {`{` + many(65, `"k#":#`) + `}`, -1, "more than 64"},
	"257 elements":           {`[` + many(257, `#`) + `]`, -1, "more than 256"},
	"depth 17":               {strings.Repeat("[", 17) + strings.Repeat("]", 17), 16, "deeper than 16"},
	"depth 10000":            {strings.Repeat(`{"a":`, 10000), 80, "deeper than 16"},
	"NUL":                    {"\"\x00\"", 1, "control character"},
	"newline":                {"\"abcdefghi\n\"", 10, "control character"},
	"unknown escape":         {`"\x41"`, 1, "unknown escape"},
	"short \\u":              {`"\u12"`, 1, "four hexadecimal"},
	"lone high":              {`"a\ud800"`, 2, "half of a surrogate"},
	"lone low":               {`"\udc00"`, 1, "half of a surrogate"},
	"high twice":             {`"\ud800\ud800"`, 1, "half of a surrogate"},
	"high, then text":        {`"\ud800abcdef"`, 1, "half of a surrogate"},
	"invalid UTF-8":          {"\"abc\xff\"", 4, "invalid UTF-8"},
	"overlong UTF-8":         {"\"\xc0\xaf\"", 1, "invalid UTF-8"},
	"surrogate in UTF-8":     {"\"\xed\xa0\x80\"", 1, "invalid UTF-8"},
	"invalid UTF-8 in key":   {"{\"\xff\":1}", 2, "invalid UTF-8"},
	"single quotes":          {`'a'`, 0, "expected a value"},
	"comment":                {`{}//`, 2, "follows"},
}

func TestAccepted(t *testing.T) {
	t.Parallel()
	for name, text := range accepted {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := read([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			var want any
			if err := json.Unmarshal([]byte(text), &want); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %#v, want %#v", got, want)
			}
			var r strictjson.Reader
			if r.Reset([]byte(text)); r.End() != nil {
				t.Errorf("skipped: %v", r.End())
			}
		})
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	for name, c := range refused {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var r strictjson.Reader
			r.Reset([]byte(c.json))
			e, ok := errors.AsType[*strictjson.Error](r.End())
			if !ok {
				t.Fatal("accepted")
			}
			if c.offset >= 0 && e.Offset != c.offset || !strings.Contains(e.Error(), c.says) {
				t.Errorf("%v; want %q at %d", e, c.says, c.offset)
			}
			if _, err := read([]byte(c.json)); err == nil || err.Error() != e.Error() {
				t.Errorf("read: %v; skipped: %v", err, e)
			}
			if r.Err() != error(e) || r.NextMember() || r.NextElement() || r.Text() != "" || r.Kind() != strictjson.Invalid {
				t.Error("the reader goes on after its error")
			}
		})
	}
}

func TestInt(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"0": 0, "-0": 0, "7": 7, "-12": -12, "9007199254740991": strictjson.MaxInt, "-9007199254740991": -strictjson.MaxInt,
	} {
		var r strictjson.Reader
		r.Reset([]byte(text))
		if got := r.Int(); got != want || r.End() != nil {
			t.Errorf("%s: got %d, %v", text, got, r.Err())
		}
	}
	for _, text := range []string{"9007199254740992", "-9007199254740992", "18446744073709551616", strings.Repeat("1", 200), "1.0", "1e3", `"1"`, "null", "-", ""} {
		var r strictjson.Reader
		r.Reset([]byte(text))
		if got := r.Int(); got != 0 || r.End() == nil {
			t.Errorf("%s: got %d, no error", text, got)
		}
	}
}

func TestReads(t *testing.T) {
	t.Parallel()
	var r strictjson.Reader
	r.Reset([]byte(`{"t":"pl\u0061in","b":"as is","raw": {"x":[1, 2]} ,"on":true,"off":false,"none":null,"left":[{"a":1}],"more":["x"],"f":2.5}`))
	got := map[string]any{}
	for r.BeginObject(); r.NextMember(); {
		switch key := string(r.Key()); key {
		case "t":
			got[key] = string(r.AppendText([]byte("> ")))
		case "b":
			got[key] = string(r.TextBytes())
		case "raw":
			got[key] = string(r.Raw())
		case "on", "off":
			got[key] = r.Bool()
		case "none":
			got[key] = r.Null()
		case "more":
			got[key] = r.Null()
		case "f":
			got[key] = r.Float()
		}
	}
	if err := r.End(); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"t": "> plain", "b": "as is", "raw": `{"x":[1, 2]}`, "on": true, "off": false, "none": true, "more": false, "f": 2.5}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}

// What a caller does wrong ends in an error, never in a panic or a loop.
func TestMisuse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		json string
		use  func(*strictjson.Reader)
	}{
		"string as number":     {`"a"`, func(r *strictjson.Reader) { r.Int() }},
		"number as string":     {`1`, func(r *strictjson.Reader) { r.Text() }},
		"string as boolean":    {`"true"`, func(r *strictjson.Reader) { r.Bool() }},
		"array as object":      {`[]`, func(r *strictjson.Reader) { r.BeginObject() }},
		"member of an array":   {`[1]`, func(r *strictjson.Reader) { r.BeginArray(); r.NextMember() }},
		"element of an object": {`{"a":1}`, func(r *strictjson.Reader) { r.BeginObject(); r.NextElement() }},
		"member of nothing":    {`1`, func(r *strictjson.Reader) { r.Int(); r.NextMember() }},
		"value twice":          {`[1,2]`, func(r *strictjson.Reader) { r.BeginArray(); r.NextElement(); r.Int(); r.Int() }},
		"value before member":  {`{"a":1}`, func(r *strictjson.Reader) { r.BeginObject(); r.Int() }},
		"not to the end":       {`{"a":{"b":1},"c":2}`, func(r *strictjson.Reader) { r.BeginObject(); r.NextMember() }},
		"zero reader":          {``, func(r *strictjson.Reader) { *r = strictjson.Reader{}; r.Text() }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var r strictjson.Reader
			r.Reset([]byte(c.json))
			c.use(&r)
			if r.End() == nil {
				t.Error("no error")
			}
		})
	}
}

func TestReaderIsReused(t *testing.T) {
	t.Parallel()
	var r strictjson.Reader
	for _, text := range []string{accepted["members by the dozens"], `{"k0":`, accepted["keys alike"], `{"k0":1}`} {
		r.Reset([]byte(text))
		if err := r.End(); (err == nil) != json.Valid([]byte(text)) {
			t.Errorf("%.20s: %v", text, err)
		}
	}
}

// check compares the reader with the oracle.
func check(t *testing.T, b []byte) {
	t.Helper()
	before := string(b)
	got, err := read(b)
	if want := acceptable(b); want != (err == nil) {
		t.Fatalf("accepted = %v, want %v: %v\n%q", err == nil, want, err, b)
	}
	if string(b) != before {
		t.Fatal("the reader has changed its input")
	}
	if err != nil {
		if e, ok := errors.AsType[*strictjson.Error](err); !ok || e.Offset < 0 || e.Offset > len(b) {
			t.Fatalf("an error of another kind: %v", err)
		}
		return
	}
	var want any
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatalf("encoding/json refuses it: %v\n%q", err, b)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got %#v, want %#v\n%q", got, want, b)
	}
}

func FuzzReader(f *testing.F) {
	for _, text := range accepted {
		f.Add([]byte(text))
	}
	for _, c := range refused {
		f.Add([]byte(c.json))
	}
	f.Fuzz(check)
}

// Valid documents with a few bytes changed reach deeper than noise does.
func TestReaderEqualsEncodingJSON(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	var seeds []string
	for _, text := range accepted {
		seeds = append(seeds, text)
	}
	for range 20000 {
		b := []byte(seeds[random.IntN(len(seeds))])
		for range random.IntN(4) {
			if len(b) == 0 {
				break
			}
			i := random.IntN(len(b))
			switch random.IntN(3) {
			case 0:
				b[i] = `"\{}[],:0du18ea`[random.IntN(15)]
			case 1:
				b = append(b[:i:i], b[i+1:]...)
			case 2:
				b = append(b[:i:i], append([]byte(`\ud83d`), b[i:]...)...)
			}
		}
		check(t, b)
	}
}

const frame = `{"id":7,"event":"sendMessage","data":{"roomId":"general","content":"Hello everybody, this is a message of about one hundred bytes, as people write them in chats.","clientMessageId":"0b7c1c9e-5b0a-4a52"}}`

func TestReaderDoesNotAllocate(t *testing.T) {
	b := []byte(frame)
	if n := testing.AllocsPerRun(100, func() {
		var r strictjson.Reader
		r.Reset(b)
		for r.BeginObject(); r.NextMember(); {
			switch string(r.Key()) {
			case "id":
				r.Int()
			case "event":
				r.TextBytes()
			case "data":
				r.Raw()
			}
		}
		if r.End() != nil {
			t.Fatal(r.Err())
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkReader(b *testing.B) {
	for name, text := range map[string]string{
		"frame":   frame,
		"emoji":   `{"content":"` + strings.Repeat("😀", 500) + `"}`,
		"escapes": `{"content":"` + strings.Repeat(`\u00e9`, 300) + `"}`,
		"64_keys": accepted["64 members"],
		"64KiB":   `{"content":"` + strings.Repeat("x", 64<<10) + `"}`,
		"hostile": `[` + many(256, `{`+many(64, `"k#":1`)+`}`) + `]`,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			doc := []byte(text)
			for b.Loop() {
				var r strictjson.Reader
				r.Reset(doc)
				if err := r.End(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
