package dialecttest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// strict decodes JSON into v and refuses what v does not know.
func strict(text string, v any) error {
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if d.More() {
		return fmt.Errorf("more than one value")
	}
	return nil
}

func message(room, content string, seq uint64) string {
	return fmt.Sprintf(`{"id":"m%d","content":%q,"author":{"id":"u","username":"u"},"roomId":%q,"messageType":"TEXT","seq":%d,"timestamp":"2026-01-02T03:04:05.678Z"}`, seq, content, room, seq)
}

// confabRequest turns an event of Confab's contract into a request.
func confabRequest(name string, id uint64, data json.RawMessage) (request, error) {
	r := request{id: id}
	var d struct {
		RoomID  string  `json:"roomId"`
		Content string  `json:"content"`
		Since   *uint64 `json:"since"`
	}
	if len(data) > 0 {
		if err := strict(string(data), &d); err != nil {
			return r, err
		}
	}
	r.room, r.content, r.since = d.RoomID, d.Content, d.Since
	switch name {
	case "joinRoom":
		r.kind = "join"
	case "sendMessage":
		r.kind = "publish"
	case "heartbeat":
		r.kind = "echo"
	default:
		return r, fmt.Errorf("event %q", name)
	}
	return r, nil
}

type native struct{}

func (native) token(r *http.Request) error { return bearer(r) }
func (native) greet(*peer) []string        { return nil }
func (native) ping() string {
	return `{"event":"ping","data":{"timestamp":"2026-01-02T03:04:05.678Z"}}`
}

func (native) parse(_ *peer, text string) ([]request, error) {
	var f struct {
		ID    *uint64
		Event string
		Data  json.RawMessage
	}
	if err := strict(text, &f); err != nil {
		return nil, err
	}
	if f.ID == nil {
		if f.Event != "heartbeat" {
			return nil, fmt.Errorf("no id")
		}
		return []request{{kind: "pong"}}, nil
	}
	r, err := confabRequest(f.Event, *f.ID, f.Data)
	return []request{r}, err
}

func (native) joined(r request, seq uint64) string {
	return fmt.Sprintf(`{"id":%d,"event":"joinedRoom","data":{"roomId":%q,"success":true,"activeUsers":[],"seq":%d}}`, r.id, r.room, seq)
}

func (native) accepted(r request, seq uint64) string {
	return fmt.Sprintf(`{"id":%d,"event":"messageSent","data":{"message":%s,"success":true}}`, r.id, message(r.room, r.content, seq))
}

func (native) refused(r request) string {
	return fmt.Sprintf(`{"id":%d,"event":"error","data":{"success":false,"error":"RATE_LIMITED","statusCode":429}}`, r.id)
}

func (native) echoed(r request) string {
	return fmt.Sprintf(`{"id":%d,"event":"heartbeatResponse","data":{"success":true}}`, r.id)
}

func (native) delivery(room, content string, seq uint64) string {
	return `{"event":"receiveMessage","data":` + message(room, content, seq) + `}`
}

// sioPacket is a parsed packet of Socket.IO inside a message of Engine.IO.
func sioPacket(text, namespace string) (kind byte, id uint64, args []json.RawMessage, err error) {
	if text == "3" {
		return 'P', 0, nil, nil
	}
	rest, ok := strings.CutPrefix(text, "4")
	if !ok || rest == "" {
		return 0, 0, nil, fmt.Errorf("no message packet")
	}
	kind = rest[0]
	if rest, ok = strings.CutPrefix(rest[1:], namespace); !ok {
		return 0, 0, nil, fmt.Errorf("not in namespace %q", namespace)
	}
	if kind == '0' {
		return kind, 0, nil, nil
	}
	digits := strings.IndexByte(rest, '[')
	if digits < 1 {
		return 0, 0, nil, fmt.Errorf("no acknowledgement asked for")
	}
	if id, err = strconv.ParseUint(rest[:digits], 10, 64); err != nil {
		return 0, 0, nil, err
	}
	return kind, id, args, strict(rest[digits:], &args)
}

const sioHandshake = `0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`

type confabSIO struct{}

func (confabSIO) token(r *http.Request) error { return bearer(r) }
func (confabSIO) greet(*peer) []string        { return []string{sioHandshake} }
func (confabSIO) ping() string                { return "2" }

func (confabSIO) parse(p *peer, text string) ([]request, error) {
	kind, id, args, err := sioPacket(text, "/chat,")
	switch {
	case err != nil:
		return nil, err
	case kind == 'P':
		return []request{{kind: "pong"}}, nil
	case kind == '0':
		p.send(`40/chat,{"sid":"y"}`)
		return nil, nil
	}
	var name string
	if err := json.Unmarshal(args[0], &name); err != nil {
		return nil, err
	}
	r, err := confabRequest(name, id, append(args, nil)[1])
	return []request{r}, err
}

func (confabSIO) joined(r request, seq uint64) string {
	return fmt.Sprintf(`43/chat,%d[{"event":"joinedRoom","roomId":%q,"success":true,"activeUsers":[],"seq":%d}]`, r.id, r.room, seq)
}

func (confabSIO) accepted(r request, seq uint64) string {
	return fmt.Sprintf(`43/chat,%d[{"event":"messageSent","message":%s,"success":true}]`, r.id, message(r.room, r.content, seq))
}

func (confabSIO) refused(r request) string {
	return fmt.Sprintf(`43/chat,%d[{"success":false,"error":"RATE_LIMITED","statusCode":429}]`, r.id)
}

func (confabSIO) echoed(r request) string {
	return fmt.Sprintf(`43/chat,%d[{"event":"heartbeatResponse","success":true}]`, r.id)
}

func (confabSIO) delivery(room, content string, seq uint64) string {
	return fmt.Sprintf(`42/chat,["receiveMessage",%s,"%d"]`, message(room, content, seq), seq)
}

type socketIO struct{}

func (socketIO) token(*http.Request) error { return nil }
func (socketIO) greet(*peer) []string      { return []string{sioHandshake} }
func (socketIO) ping() string              { return "2" }

func (socketIO) parse(p *peer, text string) ([]request, error) {
	kind, id, raw, err := sioPacket(text, "")
	switch {
	case err != nil:
		return nil, err
	case kind == 'P':
		return []request{{kind: "pong"}}, nil
	case kind == '0':
		p.send(`40{"sid":"y"}`)
		return nil, nil
	}
	args := make([]string, len(raw))
	for i, a := range raw {
		if err := json.Unmarshal(a, &args[i]); err != nil {
			return nil, err
		}
	}
	switch {
	case args[0] == "join" && len(args) == 2:
		return []request{{kind: "join", id: id, room: args[1]}}, nil
	case args[0] == "publish" && len(args) == 3:
		return []request{{kind: "publish", id: id, room: args[1], content: args[2]}}, nil
	case args[0] == "echo" && len(args) == 1:
		return []request{{kind: "echo", id: id}}, nil
	}
	return nil, fmt.Errorf("event %q with %d arguments", args[0], len(args)-1)
}

func (socketIO) joined(r request, _ uint64) string   { return fmt.Sprintf(`43%d["joined"]`, r.id) }
func (socketIO) accepted(r request, _ uint64) string { return fmt.Sprintf(`43%d["published"]`, r.id) }
func (socketIO) refused(r request) string            { return fmt.Sprintf(`43%d["refused"]`, r.id) }
func (socketIO) echoed(r request) string             { return fmt.Sprintf(`43%d["echo"]`, r.id) }
func (socketIO) delivery(_, content string, _ uint64) string {
	return fmt.Sprintf(`42["message",%q]`, content)
}

type centrifugo struct{}

func (centrifugo) token(*http.Request) error { return nil }
func (centrifugo) greet(*peer) []string      { return nil }
func (centrifugo) ping() string              { return "{}" }

func (centrifugo) parse(p *peer, text string) (found []request, err error) {
	for line := range strings.SplitSeq(text, "\n") {
		var c struct {
			ID        uint64
			Connect   *struct{}
			Subscribe *struct{ Channel string }
			Publish   *struct{ Channel, Data string }
		}
		if err := strict(line, &c); err != nil {
			return nil, err
		}
		switch {
		case line == "{}":
			found = append(found, request{kind: "pong"})
		case c.ID == 0:
			return nil, fmt.Errorf("no id")
		case c.Connect != nil:
			p.send(fmt.Sprintf(`{"id":%d,"connect":{"client":"x","version":"6","ping":25,"pong":true}}`, c.ID))
		case c.Subscribe != nil:
			found = append(found, request{kind: "join", id: c.ID, room: c.Subscribe.Channel})
		case c.Publish != nil && c.Publish.Channel == "echo":
			found = append(found, request{kind: "echo", id: c.ID})
		case c.Publish != nil:
			found = append(found, request{kind: "publish", id: c.ID, room: c.Publish.Channel, content: c.Publish.Data})
		default:
			return nil, fmt.Errorf("unknown command")
		}
	}
	return found, nil
}

func (centrifugo) joined(r request, _ uint64) string {
	return fmt.Sprintf(`{"id":%d,"subscribe":{}}`, r.id)
}

func (centrifugo) accepted(r request, _ uint64) string {
	return fmt.Sprintf(`{"id":%d,"publish":{}}`, r.id)
}

func (centrifugo) refused(r request) string {
	return fmt.Sprintf(`{"id":%d,"error":{"code":111,"message":"too many requests"}}`, r.id)
}

func (centrifugo) echoed(r request) string { return fmt.Sprintf(`{"id":%d,"publish":{}}`, r.id) }

func (centrifugo) delivery(room, content string, _ uint64) string {
	return fmt.Sprintf(`{"push":{"channel":%q,"pub":{"data":%q}}}`, room, content)
}
