package sim_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/confab-chat/confab/shared/natstest"
)

var (
	users     = []string{"ann", "bob", "cid", "dan"}
	roomNames = []string{"red", "green", "blue"}
	// devices are the clients: the user of each, and the edge that it starts at.
	devices = []struct {
		user string
		edge int
	}{{"ann", 0}, {"ann", 1}, {"bob", 0}, {"bob", 0}, {"cid", 1}, {"dan", 1}}
)

// step is one thing that happens. Its form in text is "kind subject argument".
type step struct {
	kind    string
	subject string
	arg     string
}

func (s step) String() string { return strings.TrimSpace(s.kind + " " + s.subject + " " + s.arg) }

// parseSchedule reads the form that format writes.
func parseSchedule(text string) (steps []step) {
	for part := range strings.SplitSeq(text, ";") {
		f := append(strings.Fields(part), "", "", "")
		steps = append(steps, step{f[0], f[1], f[2]})
	}
	return steps
}

func format(steps []step) string {
	parts := make([]string, len(steps))
	for i, s := range steps {
		parts[i] = s.String()
	}
	return strings.Join(parts, "; ")
}

// newSchedule returns the steps of a seed.
func newSchedule(seed uint64) (steps []step) {
	rng := rand.New(rand.NewPCG(seed, 1))
	pick := func(list []string) string { return list[rng.IntN(len(list))] }
	clients := make([]string, len(devices))
	for i := range devices {
		clients[i] = strconv.Itoa(i)
	}
	processes := []string{"room1", "room2", "edge1", "edge2", "ratelimit1", "ratelimit2", "monitor1"}
	damaged := map[string]string{} // how each process or "nats" is to be healed
	for range 20 + rng.IntN(20) {
		switch n := rng.IntN(100); {
		case n < 14:
			steps = append(steps, step{"send", pick(clients), pick(roomNames)})
		case n < 18:
			steps = append(steps, step{"burst", pick(clients), pick(roomNames)})
		case n < 26:
			steps = append(steps, step{"leave", pick(clients), pick(roomNames)})
		case n < 38:
			steps = append(steps, step{"join", pick(clients), pick(roomNames)})
		case n < 43:
			steps = append(steps, step{"offline", pick(clients), ""})
		case n < 50:
			steps = append(steps, step{"online", pick(clients), ""})
		case n < 54:
			steps = append(steps, step{"drop", pick(clients), ""})
		case n < 57:
			steps = append(steps, step{"type", pick(clients), pick(roomNames)})
		case n < 60:
			steps = append(steps, step{"read", pick(clients), pick(roomNames)})
		case n < 80:
			name := pick(processes)
			if n < 66 {
				name = "nats"
			}
			if heal, ok := damaged[name]; ok {
				steps = append(steps, step{heal, name, ""})
				delete(damaged, name)
				break
			}
			kind := pick([]string{"cut", "hang", "deaf", "dumb", "stop", "kill", "restart"})
			if name == "nats" {
				kind = pick([]string{"hang", "stop", "restart", "restart"})
			}
			steps = append(steps, step{kind, name, ""})
			switch kind {
			case "cut", "hang", "deaf", "dumb":
				damaged[name] = "heal"
			case "stop", "kill":
				damaged[name] = "start"
			}
		default:
			pause := time.Duration(rng.IntN(1500)) * time.Millisecond
			if rng.IntN(4) == 0 {
				pause = time.Duration(rng.IntN(20)) * time.Second
			}
			steps = append(steps, step{"wait", pause.String(), ""})
		}
	}
	return steps
}

// play executes a step.
func (w *world) play(s step) {
	w.logf("step %s", s)
	if i, err := strconv.Atoi(s.subject); err == nil {
		w.playClient(w.clients[i], s)
		return
	}
	if s.kind == "wait" {
		d, err := time.ParseDuration(s.subject)
		if err != nil {
			w.Fatal(err)
		}
		w.sleep(d)
		return
	}
	if s.subject == "nats" {
		w.playNATS(s)
		return
	}
	p := w.process[s.subject]
	if p == nil {
		w.Fatalf("unknown step %q", s)
	}
	switch s.kind {
	case "cut":
		p.gate.Cut()
	case "hang":
		p.gate.hang(natstest.Both)
	case "deaf":
		p.gate.hang(natstest.Down)
	case "dumb":
		p.gate.hang(natstest.Up)
	case "heal":
		p.gate.heal()
	case "stop":
		p.end()
	case "kill":
		p.kill()
	case "start":
		p.start()
	case "restart":
		p.end()
		p.start()
	default:
		w.Fatalf("unknown step %q", s)
	}
}

func (w *world) playNATS(s step) {
	switch s.kind {
	case "hang":
		for _, p := range w.process {
			if p.up {
				p.gate.hang(natstest.Both)
			}
		}
	case "heal":
		for _, p := range w.process {
			if p.up {
				p.gate.heal()
			}
		}
	case "stop":
		w.nats.Stop()
	case "start":
		w.nats.Restart(w)
	case "restart":
		w.nats.Restart(w)
	default:
		w.Fatalf("unknown step %q", s)
	}
}

func (w *world) playClient(c *client, s step) {
	switch s.kind {
	case "send":
		c.queue(s.arg)
	case "burst":
		for range 2 * messageLimit {
			c.queue(s.arg)
		}
	case "join":
		c.setRoom(s.arg, true)
	case "leave":
		c.setRoom(s.arg, false)
	case "online":
		c.setOnline(true)
	case "offline":
		c.setOnline(false)
	case "drop":
		c.drop()
	case "type":
		w.background(func(ctx context.Context) { c.ask(ctx, "typing", map[string]any{"roomId": s.arg, "isTyping": true}) })
	case "read":
		w.background(func(ctx context.Context) {
			c.ask(ctx, "messageRead", map[string]any{"roomId": s.arg, "messageId": "01"})
		})
	default:
		w.Fatalf("unknown step %q", s)
	}
}

// heal ends every fault.
func (w *world) heal() {
	w.logf("heal everything")
	if !w.nats.Running() {
		w.nats.Restart(w)
	}
	for _, name := range w.names {
		p := w.process[name]
		if !p.up {
			p.start()
		}
		p.gate.heal()
	}
}

// shrink removes steps that a failure does not need. fails reports whether a schedule fails.
func shrink(steps []step, fails func([]step) bool) []step {
	for size := len(steps) / 2; size > 0; {
		removed := false
		for at := 0; at+size <= len(steps); {
			fewer := slices.Delete(slices.Clone(steps), at, at+size)
			if fails(fewer) {
				steps, removed = fewer, true
			} else {
				at += size
			}
		}
		if !removed || size > len(steps) {
			size /= 2
		}
	}
	return steps
}

func (w *world) logf(f string, args ...any) {
	fmt.Fprintf(w, "%s %s\n", w.now(), fmt.Sprintf(f, args...))
}
