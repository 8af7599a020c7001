package scenario

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/confab-chat/confab/tools/chatload/internal/crowd"
	"github.com/confab-chat/confab/tools/chatload/internal/dialect"
	"github.com/confab-chat/confab/tools/chatload/internal/stamp"
)

// Orders to a holder, one a line.
const (
	orderGather = "gather" // join the room of all
	orderSay    = "say"    // publish one message there
	orderLeave  = "leave"  // end
)

// Word is what a holder says, one JSON object a line.
type Word struct {
	Is     string  `json:"is"` // opening, open, gathered, heard, said, failed
	Open   int     `json:"open"`
	Joined int     `json:"joined"`
	Heard  int     `json:"heard"`
	P50    float64 `json:"p50"` // milliseconds
	P99    float64 `json:"p99"`
	Max    float64 `json:"max"`
	Why    string  `json:"why,omitempty"`
}

// holder keeps connections of one process for Scale, and does what it is told.
type holder struct {
	*stage
	out    *json.Encoder
	orders <-chan string
	conns  []*crowd.Conn
	all    string // name of the room of all
	heard  int
	times  *hdrhistogram.Histogram
}

// Hold opens Connections, each in a room of Members, and follows the orders that come
// in, until there are no more. It is one process of Scale.
func Hold(ctx context.Context, o Options, in io.Reader, out io.Writer) error {
	s, err := newStage(ctx, o)
	if err != nil {
		return err
	}
	defer s.crowd.Close()
	h := &holder{stage: s, out: json.NewEncoder(out), all: "load-everyone"}
	if err := h.hold(in); err != nil {
		return h.say(Word{Is: "failed", Why: err.Error()})
	}
	return nil
}

func (h *holder) say(w Word) error {
	w.Open, w.Joined = h.crowd.Stats.Open, h.joined
	return h.out.Encode(w)
}

func (h *holder) hold(in io.Reader) error {
	h.orders = lines(in)
	if h.joins = h.Members > 0; h.joins {
		h.opened = func(c *crowd.Conn) {
			h.join(c, fmt.Sprintf("load-%d-%d", h.FirstSource, int(c.Number)/h.Members), -1)
		}
	}
	if err := h.open(h.Connections, func(_ int, c *crowd.Conn) { h.conns = append(h.conns, c) }); err != nil {
		return err
	}
	if h.Members > 0 {
		if err := h.allJoined(h.Connections); err != nil {
			return err
		}
	}
	if err := h.say(Word{Is: "open"}); err != nil {
		return err
	}
	h.message = h.listen
	for {
		select {
		case order, more := <-h.orders:
			if !more || order == orderLeave {
				return nil
			}
			if err := h.follow(order); err != nil {
				return err
			}
		default:
			h.crowd.Poll(10 * time.Millisecond)
		}
		if err := h.ctx.Err(); err != nil {
			return err
		}
	}
}

// lines reads orders on a goroutine that ends with the input, which ends with the
// process that writes it.
func lines(in io.Reader) <-chan string {
	orders := make(chan string)
	go func() {
		defer close(orders)
		for scan := bufio.NewScanner(in); scan.Scan(); {
			orders <- strings.TrimSpace(scan.Text())
		}
	}()
	return orders
}

func (h *holder) follow(order string) error {
	switch order {
	case orderGather:
		return h.gather()
	case orderSay:
		h.publish(h.conns[0], firstID, h.all, stamp.Now(), 1)
		return h.say(Word{Is: "said"})
	}
	return fmt.Errorf("unknown order %q", order)
}

// gather joins the room of all, AtOnce at a time.
func (h *holder) gather() error {
	h.joined = 0
	for _, c := range h.conns {
		c.Joined = false
	}
	asked := 0
	for end := time.Now().Add(h.Patience); h.joined < len(h.conns); {
		for ; asked < len(h.conns) && asked-h.joined < h.AtOnce; asked++ {
			h.join(h.conns[asked], h.all, -1)
		}
		h.crowd.Poll(10 * time.Millisecond)
		if h.crowd.Stats.Lost > 0 {
			return fmt.Errorf("connections were lost: %w", h.crowd.Stats.FirstError)
		}
		if err := h.check(end, "gathering"); err != nil {
			return err
		}
	}
	return h.say(Word{Is: "gathered"})
}

func (h *holder) listen(_ *crowd.Conn, m dialect.Message, at int64) {
	due, _, ok := stamp.Find(m.Body)
	if m.Kind != dialect.Delivery || !ok {
		return
	}
	if h.heard == 0 {
		h.times = latencies()
	}
	h.heard++
	record(h.times, at-due)
	if h.heard < len(h.conns) {
		return
	}
	ms := func(q float64) float64 { return float64(h.times.ValueAtQuantile(q)) / 1000 }
	_ = h.say(Word{Is: "heard", Heard: h.heard, P50: ms(50), P99: ms(99), Max: ms(100)}) // who does not listen has gone
	h.heard = 0
}
