package ws_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
)

// utf8Vectors are section 6 of the Autobahn test suite, whose texts are
// Markus Kuhn's UTF-8 decoder stress test. Names are the suite's case numbers.
var utf8Vectors = []struct {
	name, text string
	valid      bool
}{
	{"6.1.1 empty", "", true},
	{"6.2.1 mixed scripts", "Hello-µ@ßöäüàá-UTF-8!!", true},
	{"6.5.1 kosme", "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", true},
	{"6.3.1 kosme, surrogate, edited", "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80\x65\x64\x69\x74\x65\x64", false},
	{"6.4.1 kosme, beyond 10ffff, edited", "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80\x65\x64\x69\x74\x65\x64", false},

	{"6.6.1 cut", "\xce", false},
	{"6.6.2", "\xce\xba", true},
	{"6.6.3 cut", "\xce\xba\xe1", false},
	{"6.6.4 cut", "\xce\xba\xe1\xbd", false},
	{"6.6.5", "\xce\xba\xe1\xbd\xb9", true},
	{"6.6.6 cut", "\xce\xba\xe1\xbd\xb9\xcf", false},
	{"6.6.7", "\xce\xba\xe1\xbd\xb9\xcf\x83", true},
	{"6.6.8 cut", "\xce\xba\xe1\xbd\xb9\xcf\x83\xce", false},
	{"6.6.9", "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc", true},
	{"6.6.10 cut", "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce", false},
	{"6.6.11", "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", true},

	{"6.7.1 first of 1 byte", "\x00", true},
	{"6.7.2 first of 2", "\xc2\x80", true},
	{"6.7.3 first of 3", "\xe0\xa0\x80", true},
	{"6.7.4 first of 4", "\xf0\x90\x80\x80", true},
	{"6.8.1 first of 5", "\xf8\x88\x80\x80\x80", false},
	{"6.8.2 first of 6", "\xfc\x84\x80\x80\x80\x80", false},
	{"6.9.1 last of 1", "\x7f", true},
	{"6.9.2 last of 2", "\xdf\xbf", true},
	{"6.9.3 last of 3", "\xef\xbf\xbf", true},
	{"6.9.4 last of 4", "\xf4\x8f\xbf\xbf", true},
	{"6.10.1 last of 4 by pattern", "\xf7\xbf\xbf\xbf", false},
	{"6.10.2 last of 5", "\xfb\xbf\xbf\xbf\xbf", false},
	{"6.10.3 last of 6", "\xfd\xbf\xbf\xbf\xbf\xbf", false},

	{"6.11.1 before the surrogates", "\xed\x9f\xbf", true},
	{"6.11.2 behind the surrogates", "\xee\x80\x80", true},
	{"6.11.3 replacement character", "\xef\xbf\xbd", true},
	{"6.11.4 last code point", "\xf4\x8f\xbf\xbf", true},
	{"6.11.5 behind the last", "\xf4\x90\x80\x80", false},

	{"6.12.1 lone continuation", "\x80", false},
	{"6.12.2", "\xbf", false},
	{"6.12.3 two", "\x80\xbf", false},
	{"6.12.4 three", "\x80\xbf\x80", false},
	{"6.12.5 four", "\x80\xbf\x80\xbf", false},
	{"6.12.6 five", "\x80\xbf\x80\xbf\x80", false},
	{"6.12.7 six", "\x80\xbf\x80\xbf\x80\xbf", false},
	{"6.12.8 all", "\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x90\x91\x92\x93\x94\x95\x96\x97\x98\x99\x9a\x9b\x9c\x9d\x9e\x9f\xa0\xa1\xa2\xa3\xa4\xa5\xa6\xa7\xa8\xa9\xaa\xab\xac\xad\xae\xaf\xb0\xb1\xb2\xb3\xb4\xb5\xb6\xb7\xb8\xb9\xba\xbb\xbc\xbd\xbe\xbf", false},

	{"6.13.1 lone starts of 2", "\xc0 \xc1 \xc2 \xdf ", false},
	{"6.13.2 lone starts of 3", "\xe0 \xe1 \xef ", false},
	{"6.13.3 lone starts of 4", "\xf0 \xf1 \xf7 ", false},
	{"6.13.4 lone starts of 5", "\xf8 \xf9 \xfa \xfb ", false},
	{"6.13.5 lone starts of 6", "\xfc \xfd ", false},

	{"6.14.1 cut 2", "\xc0", false},
	{"6.14.2 cut 3", "\xe0\x80", false},
	{"6.14.3 cut 4", "\xf0\x80\x80", false},
	{"6.14.4 cut 5", "\xf8\x80\x80\x80", false},
	{"6.14.5 cut 6", "\xfc\x80\x80\x80\x80", false},
	{"6.14.6 cut 2", "\xdf", false},
	{"6.14.7 cut 3", "\xef\xbf", false},
	{"6.14.8 cut 4", "\xf7\xbf\xbf", false},
	{"6.14.9 cut 5", "\xfb\xbf\xbf\xbf", false},
	{"6.14.10 cut 6", "\xfd\xbf\xbf\xbf\xbf", false},
	{"6.15.1 all of these", "\xc0\xe0\x80\xf0\x80\x80\xf8\x80\x80\x80\xfc\x80\x80\x80\x80\xdf\xef\xbf\xf7\xbf\xbf\xfb\xbf\xbf\xbf\xfd\xbf\xbf\xbf\xbf", false},

	{"6.16.1 fe", "\xfe", false},
	{"6.16.2 ff", "\xff", false},
	{"6.16.3 both", "\xfe\xfe\xff\xff", false},

	{"6.17.1 overlong slash 2", "\xc0\xaf", false},
	{"6.17.2 overlong slash 3", "\xe0\x80\xaf", false},
	{"6.17.3 overlong slash 4", "\xf0\x80\x80\xaf", false},
	{"6.17.4 overlong slash 5", "\xf8\x80\x80\x80\xaf", false},
	{"6.17.5 overlong slash 6", "\xfc\x80\x80\x80\x80\xaf", false},
	{"6.18.1 longest overlong 2", "\xc1\xbf", false},
	{"6.18.2 longest overlong 3", "\xe0\x9f\xbf", false},
	{"6.18.3 longest overlong 4", "\xf0\x8f\xbf\xbf", false},
	{"6.18.4 longest overlong 5", "\xf8\x87\xbf\xbf\xbf", false},
	{"6.18.5 longest overlong 6", "\xfc\x83\xbf\xbf\xbf\xbf", false},
	{"6.19.1 overlong NUL 2", "\xc0\x80", false},
	{"6.19.2 overlong NUL 3", "\xe0\x80\x80", false},
	{"6.19.3 overlong NUL 4", "\xf0\x80\x80\x80", false},
	{"6.19.4 overlong NUL 5", "\xf8\x80\x80\x80\x80", false},
	{"6.19.5 overlong NUL 6", "\xfc\x80\x80\x80\x80\x80", false},

	{"6.20.1 surrogate d800", "\xed\xa0\x80", false},
	{"6.20.2 surrogate db7f", "\xed\xad\xbf", false},
	{"6.20.3 surrogate db80", "\xed\xae\x80", false},
	{"6.20.4 surrogate dbff", "\xed\xaf\xbf", false},
	{"6.20.5 surrogate dc00", "\xed\xb0\x80", false},
	{"6.20.6 surrogate df80", "\xed\xbe\x80", false},
	{"6.20.7 surrogate dfff", "\xed\xbf\xbf", false},
	{"6.21.1 paired surrogates", "\xed\xa0\x80\xed\xb0\x80", false},
	{"6.21.2", "\xed\xa0\x80\xed\xbf\xbf", false},
	{"6.21.3", "\xed\xad\xbf\xed\xb0\x80", false},
	{"6.21.4", "\xed\xad\xbf\xed\xbf\xbf", false},
	{"6.21.5", "\xed\xae\x80\xed\xb0\x80", false},
	{"6.21.6", "\xed\xae\x80\xed\xbf\xbf", false},
	{"6.21.7", "\xed\xaf\xbf\xed\xb0\x80", false},
	{"6.21.8", "\xed\xaf\xbf\xed\xbf\xbf", false},

	{"6.22.1 non-character fffe", "\xef\xbf\xbe", true},
	{"6.22.2 non-character ffff", "\xef\xbf\xbf", true},
	{"6.22.3 non-character 1fffe", "\xf0\x9f\xbf\xbe", true},
	{"6.22.4 non-character 1ffff", "\xf0\x9f\xbf\xbf", true},
	{"6.22.5 non-character 2fffe", "\xf0\xaf\xbf\xbe", true},
	{"6.22.33 non-character 10fffe", "\xf4\x8f\xbf\xbe", true},
	{"6.22.34 non-character 10ffff", "\xf4\x8f\xbf\xbf", true},
	{"6.23.1 fff9", "\xef\xbf\xb9", true},
	{"6.23.7 ffff", "\xef\xbf\xbf", true},
}

func TestText(t *testing.T) {
	t.Parallel()
	for _, v := range utf8Vectors {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			for cut := range len(v.text) + 1 {
				in := join(frame(false, ws.OpText, v.text[:cut]), frame(true, 0, v.text[cut:]))
				if cut == 0 {
					in = frame(true, ws.OpText, v.text)
				}
				for _, piece := range []int{0, 1, 4} {
					lines, err := decode(ws.DefaultLimits(), in, piece)
					switch {
					case v.valid && (err != nil || fmt.Sprint(lines) != fmt.Sprintf("[data 1 %q]", v.text)):
						t.Errorf("in fragments at %d, by %d: %v, %v", cut, piece, lines, err)
					case !v.valid && (!errors.Is(err, ws.ErrText) || lines != nil):
						t.Errorf("in fragments at %d, by %d: %v, %v; want %v", cut, piece, lines, err, ws.ErrText)
					}
				}
			}
		})
	}
}
