package socketio_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/confab-chat/confab/proto/socketio"
)

// The examples of the protocol document, "Packet encoding", and what is wrong.
func TestParse(t *testing.T) {
	t.Parallel()
	none := socketio.NoID
	type want struct {
		typ         socketio.Type
		namespace   string
		id          int64
		attachments int
		data        string
	}
	for in, w := range map[string]*want{
		`0`:                              {socketio.Connect, "/", none, 0, ""},
		`0{"token":"123"}`:               {socketio.Connect, "/", none, 0, `{"token":"123"}`},
		`0/admin`:                        {socketio.Connect, "/admin", none, 0, ""},
		`0/admin,`:                       {socketio.Connect, "/admin", none, 0, ""},
		`0/admin,{"a":[1]}`:              {socketio.Connect, "/admin", none, 0, `{"a":[1]}`},
		`1`:                              {socketio.Disconnect, "/", none, 0, ""},
		`1/admin,`:                       {socketio.Disconnect, "/admin", none, 0, ""},
		`1/admin`:                        {socketio.Disconnect, "/admin", none, 0, ""},
		`2["foo"]`:                       {socketio.Event, "/", none, 0, `["foo"]`},
		`2/admin,["bar"]`:                {socketio.Event, "/admin", none, 0, `["bar"]`},
		`212["foo"]`:                     {socketio.Event, "/", 12, 0, `["foo"]`},
		`2/admin,0["foo"]`:               {socketio.Event, "/admin", 0, 0, `["foo"]`},
		`29007199254740992["foo"]`:       {socketio.Event, "/", 1 << 53, 0, `["foo"]`},
		`3/admin,13["bar"]`:              {socketio.Ack, "/admin", 13, 0, `["bar"]`},
		`313[]`:                          {socketio.Ack, "/", 13, 0, `[]`},
		`51-["b",{"_placeholder":true}]`: {socketio.BinaryEvent, "/", none, 1, `["b",{"_placeholder":true}]`},
		`52-/admin,7["baz"]`:             {socketio.BinaryEvent, "/admin", 7, 2, `["baz"]`},
		`510-["x"]`:                      {socketio.BinaryEvent, "/", none, 10, `["x"]`},
		`61-15["bar"]`:                   {socketio.BinaryAck, "/", 15, 1, `["bar"]`},
		``:                               nil,
		`9`:                              nil,
		`abc`:                            nil,
		`2`:                              nil,
		`2{}`:                            nil,
		`2abc["x"]`:                      nil,
		`2-1["x"]`:                       nil,
		`29007199254740993["foo"]`:       nil,
		`2999999999999999999999["foo"]`:  nil,
		`0[]`:                            nil,
		`0"x"`:                           nil,
		`0{`:                             nil,
		`1/admin,{}`:                     nil,
		`3["no id"]`:                     nil,
		`313`:                            nil,
		`313{}`:                          nil,
		`4`:                              {socketio.ConnectError, "/", none, 0, ""},
		`4/chat,{"message":"x"}`:         {socketio.ConnectError, "/chat", none, 0, `{"message":"x"}`},
		`4[]`:                            nil,
		`5["x"]`:                         nil,
		`5-["x"]`:                        nil,
		`511-["x"]`:                      nil,
		`599999-["x"]`:                   nil,
		`51["x"]`:                        nil,
		`5x-["x"]`:                       nil,
		`0/` + strings.Repeat("n", 300):  nil,
	} {
		p, err := socketio.Parse([]byte(in))
		switch {
		case w == nil:
			if !errors.Is(err, socketio.ErrPacket) {
				t.Errorf("%s: %+v", in, p)
			}
		case err != nil || p.Type != w.typ || string(p.Namespace) != w.namespace || p.ID != w.id ||
			p.Attachments != w.attachments || string(p.Data) != w.data:
			t.Errorf("%s: %+v, %v", in, p, err)
		default:
			again := socketio.AppendHead(nil, p.Type, p.Attachments, string(p.Namespace), p.ID)
			if p, err = socketio.Parse(append(again, p.Data...)); err != nil || string(p.Namespace) != w.namespace || p.ID != w.id {
				t.Errorf("%s: appended as %s", in, again)
			}
		}
	}
}

func TestAttachments(t *testing.T) {
	t.Parallel()
	const a, b = `{"_placeholder":true,"num":0}`, `{"_placeholder":true,"num":1}`
	for in, ok := range map[string]bool{
		`51-["x",` + a + `]`:                            true,
		`52-["x",` + a + `,` + b + `]`:                  true,
		`52-["x",{"deep":[` + b + `,{"a":` + a + `}]}]`: true,
		`50-["x"]`:                                 true,
		`51-["x"]`:                                 false,
		`50-["x",` + a + `]`:                       false,
		`51-["x",` + b + `]`:                       false,
		`52-["x",` + a + `,` + a + `]`:             false,
		`51-["x",{"_placeholder":true,"num":-1}]`:  false,
		`51-["x",{"_placeholder":true,"num":0.5}]`: false,
		`51-["x",{"_placeholder":true,"num":"0"}]`: false,
		`51-["x",{"_placeholder":true}]`:           false,
		`51-["x",{"_placeholder":1,"num":0}]`:      false,
		`51-["x",`:                                 false,
	} {
		p, err := socketio.Parse([]byte(in))
		if err != nil {
			t.Fatalf("%s: %v", in, err)
		}
		if err := socketio.CheckAttachments(p); (err == nil) != ok {
			t.Errorf("%s: %v", in, err)
		}
	}
}

func TestSplitEvent(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`["message",1,"2",{"3":[true]}]`: `message|1|"2"|{"3":[true]}`,
		`["a"]`:                          `a`,
		`[ "a" , 1]`:                     `a|1`,
		`["a\"b\\",1]`:                   `a"b\|1`,
		`[]`:                             "",
		`{}`:                             "",
		`[1]`:                            "1",
		`[-1.5e3 ,"x"]`:                  `-1.5e3|"x"`,
		`[true]`:                         "",
		`[null,1]`:                       "",
		`[{"a":1}]`:                      "",
		`["a"`:                           "",
		`["disconnect"]`:                 "",
		`[["a"]]`:                        "",
	} {
		name, arguments, err := socketio.SplitEvent([]byte(in))
		got := name
		for _, a := range arguments {
			got += "|" + string(a)
		}
		if (err == nil) != (want != "") || got != want {
			t.Errorf("%s: %s %v", in, got, err)
		}
	}
}

// Whatever a peer sends: no panic, no attachments beyond the bound, and what is
// understood names its parts exactly.
func FuzzPacket(f *testing.F) {
	for _, s := range []string{
		`0`, `0/admin,{"a":1}`, `212["foo"]`, `52-/admin,7["baz",{"_placeholder":true,"num":0}]`, `61-15["bar"]`,
		`2/chat,9007199254740993["x"]`, `599999-["x"]`, `5`, `2`, `4{}`, `1/a,`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		p, err := socketio.Parse(in)
		if err != nil {
			return
		}
		if p.Attachments > socketio.MaxAttachments || p.ID > socketio.MaxID || p.ID < socketio.NoID {
			t.Errorf("%q: %+v", in, p)
		}
		if p.Attachments > 0 && socketio.CheckAttachments(p) == nil && !strings.Contains(string(p.Data), "_placeholder") && !strings.Contains(string(p.Data), `\u`) {
			t.Errorf("%q: attachments without places", in)
		}
		if _, arguments, err := socketio.SplitEvent(p.Data); err == nil {
			for _, a := range arguments {
				if !json.Valid(a) {
					t.Errorf("%q: argument %q", in, a)
				}
			}
		}
	})
}
