package engineio_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/engineio"
)

// The examples of the protocol document, "Packet encoding" and "Handshake".
func TestParse(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]struct {
		typ    engineio.Type
		binary bool
		data   string
		err    error
	}{
		"4hello":     {typ: engineio.Message, data: "hello"},
		"4":          {typ: engineio.Message},
		"2":          {typ: engineio.Ping},
		"2probe":     {typ: engineio.Ping, data: "probe"},
		"3probe":     {typ: engineio.Pong, data: "probe"},
		"5":          {typ: engineio.Upgrade},
		"6":          {typ: engineio.Noop},
		"1":          {typ: engineio.Close},
		"0{}":        {typ: engineio.Open, data: "{}"},
		"4€":         {typ: engineio.Message, data: "€"},
		"bAQIDBA==":  {typ: engineio.Message, binary: true, data: "\x01\x02\x03\x04"},
		"b":          {typ: engineio.Message, binary: true},
		"":           {err: engineio.ErrPacket},
		"7":          {err: engineio.ErrPacket},
		"abc":        {err: engineio.ErrPacket},
		"bAQIDBA":    {err: engineio.ErrPacket},
		"bAQ\nIDBA=": {err: engineio.ErrPacket},
		"b***":       {err: engineio.ErrPacket},
		" 4hello":    {err: engineio.ErrPacket},
	} {
		p, err := engineio.ParseInPayload([]byte(in))
		if !errors.Is(err, want.err) || want.err == nil && (p.Type != want.typ || p.Binary != want.binary || string(p.Data) != want.data) {
			t.Errorf("%q: %+v, %v", in, p, err)
		}
		if alone, err := engineio.Parse([]byte(in)); err == nil && (want.binary || alone.Type != want.typ) {
			t.Errorf("%q alone: %+v", in, alone)
		}
	}
}

func TestPayload(t *testing.T) {
	t.Parallel()
	payload := engineio.AppendText(nil, []byte("4hello"))
	payload = engineio.AppendText(payload, []byte("2"))
	payload = engineio.AppendBinary(payload, []byte{1, 2, 3, 4})
	if string(payload) != "4hello\x1e2\x1ebAQIDBA==" {
		t.Fatalf("%q", payload)
	}
	var got []string
	for rest, last := payload, false; !last; {
		var packet []byte
		packet, rest, last = engineio.Next(rest)
		got = append(got, string(packet))
	}
	if strings.Join(got, " ") != "4hello 2 bAQIDBA==" {
		t.Errorf("%q", got)
	}
	for in, want := range map[string]error{
		"4a\x1e4b":   nil,
		"":           engineio.ErrPacket,
		"4a\x1e":     engineio.ErrPacket,
		"\x1e4a":     engineio.ErrPacket,
		"4a\x1eabc":  engineio.ErrPacket,
		"4a\x1eb?":   engineio.ErrPacket,
		"4\x1e4\x1e": engineio.ErrPacket,
		strings.Repeat("4\x1e", engineio.MaxPackets-1) + "4": nil,
		strings.Repeat("4\x1e", engineio.MaxPackets) + "4":   engineio.ErrPayload,
	} {
		if err := engineio.CheckPayload([]byte(in)); !errors.Is(err, want) {
			t.Errorf("%.20q: %v, want %v", in, err, want)
		}
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	h := engineio.Handshake{
		SID: "lv_VI97HAXpY6yYWAAAC", Upgrade: true,
		PingInterval: 25 * time.Second, PingTimeout: 20 * time.Second, MaxPayload: 1_000_000,
	}
	const want = `0{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`
	if got := string(engineio.AppendOpen(nil, h)); got != want {
		t.Errorf("%s", got)
	}
	h.Upgrade = false
	if got := string(engineio.AppendOpen(nil, h)); !strings.Contains(got, `"upgrades":[],`) {
		t.Errorf("%s", got)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for f, want := range map[engineio.Fault]string{
		engineio.UnknownTransport: `400 {"code":0,"message":"Transport unknown"}`,
		engineio.UnknownSession:   `400 {"code":1,"message":"Session ID unknown"}`,
		engineio.BadMethod:        `400 {"code":2,"message":"Bad handshake method"}`,
		engineio.BadRequest:       `400 {"code":3,"message":"Bad request"}`,
		engineio.Forbidden:        `403 {"code":4,"message":"Forbidden"}`,
		engineio.BadVersion:       `400 {"code":5,"message":"Unsupported protocol version"}`,
	} {
		if got := string(append(append([]byte{}, []byte{'0' + byte(f.Status()/100), '0', '0' + byte(f.Status()%10), ' '}...), f.Body()...)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// Whatever a client posts: no panic, and what passes the check can be read packet
// by packet and written again as it was.
func FuzzPayload(f *testing.F) {
	for _, s := range []string{"4hello\x1e2\x1e4world", "bAQIDBA==", "4a\x1e", "", "b", "2probe", "\x1e\x1e"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if engineio.CheckPayload(in) != nil {
			return
		}
		var again []byte
		for rest, last := in, false; !last; {
			var packet []byte
			packet, rest, last = engineio.Next(rest)
			p, err := engineio.ParseInPayload(packet)
			switch {
			case err != nil:
				t.Fatalf("%q passed the check: %v", packet, err)
			case p.Binary:
				again = engineio.AppendBinary(again, p.Data)
			default:
				again = engineio.AppendText(again, packet)
			}
		}
		if !bytes.Equal(in, again) {
			t.Errorf("%q became %q", in, again)
		}
	})
}
