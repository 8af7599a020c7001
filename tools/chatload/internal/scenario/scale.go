package scenario

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"time"

	"github.com/confab-chat/confab/tools/chatload/internal/report"
)

// said is how often one message is sent to all.
const said = 5

// million is what the figures are extrapolated to.
const million = 1_000_000

// Scale spreads Connections over holders, one process for each target because a
// process has only so many descriptors, weighs the server, leaves it alone for Settle,
// and then sends single messages to all of them. command makes the command line of a
// holder, by its number and its share of the connections.
func Scale(ctx context.Context, o Options, command func(i, connections int) []string) (r report.Result, err error) {
	s := &scaling{Options: o, line: progress{w: o.Progress}}
	defer func() { err = errors.Join(err, s.end()) }()
	empty, err := o.read()
	if err != nil {
		return r, err
	}
	for i := range o.Targets {
		share := o.Connections / len(o.Targets)
		if i < o.Connections%len(o.Targets) {
			share++
		}
		if err := s.start(ctx, command(i, share)); err != nil {
			return r, err
		}
	}
	if err := s.all(ctx, "open"); err != nil {
		return r, err
	}
	full, err := s.read()
	if err != nil {
		return r, err
	}
	if err := s.wait(ctx, o.Settle); err != nil {
		return r, err
	}
	idle, err := s.read()
	if err != nil {
		return r, err
	}
	r = report.Result{Label: o.Label, Mode: "scale", Dialect: o.DialectName}
	r.Setup.Add("connections", float64(o.Connections), "")
	r.Setup.Add("room_of", float64(o.Members), "")
	r.Setup.Add("processes", float64(len(o.Targets)), "")
	s.weigh(&r, empty, full, idle)
	if err := s.sayToAll(ctx, &r); err != nil {
		return r, err
	}
	return r, nil
}

// scaling is the holders of one Scale.
type scaling struct {
	Options
	line    progress
	holders []*holding
}

// holding is one holder's process, seen from outside. words is closed when it ends.
type holding struct {
	cmd    *exec.Cmd
	orders io.WriteCloser
	words  chan Word
	reader sync.WaitGroup
}

func (s *scaling) start(ctx context.Context, args []string) error {
	h := &holding{cmd: exec.CommandContext(ctx, args[0], args[1:]...), words: make(chan Word, 16)}
	h.cmd.Stderr = s.Progress
	var err error
	if h.orders, err = h.cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := h.cmd.Start(); err != nil {
		return err
	}
	s.holders, s.own = append(s.holders, h), append(s.own, h.cmd.Process.Pid)
	h.reader.Go(func() {
		defer close(h.words)
		for scan := bufio.NewScanner(out); scan.Scan(); {
			var w Word
			if json.Unmarshal(scan.Bytes(), &w) == nil {
				h.words <- w
			}
		}
	})
	return nil
}

// end ends the holders and waits for them.
func (s *scaling) end() (err error) {
	for _, h := range s.holders {
		_ = h.orders.Close() // it may have ended
	}
	for _, h := range s.holders {
		for range h.words {
		}
		h.reader.Wait()
		err = errors.Join(err, h.cmd.Wait())
	}
	return err
}

// all waits for one word from every holder, and returns the last of each.
func (s *scaling) all(ctx context.Context, is string) error {
	_, err := s.words(ctx, is)
	return err
}

func (s *scaling) words(ctx context.Context, is string) (words []Word, err error) {
	timeout := time.NewTimer(s.Patience)
	defer timeout.Stop()
	for i, h := range s.holders {
		for got := false; !got; {
			select {
			case w, ok := <-h.words:
				switch {
				case !ok:
					return nil, fmt.Errorf("holder %d has ended", i)
				case w.Is == "failed":
					return nil, fmt.Errorf("holder %d: %s", i, w.Why)
				case w.Is == is:
					words, got = append(words, w), true
				}
			case <-timeout.C:
				return nil, fmt.Errorf("holder %d is not %s after %v", i, is, s.Patience)
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
	}
	return words, nil
}

func (s *scaling) wait(ctx context.Context, d time.Duration) error {
	end := time.NewTimer(d)
	defer end.Stop()
	select {
	case <-end.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *scaling) order(holders []*holding, order string) error {
	for _, h := range holders {
		if _, err := fmt.Fprintln(h.orders, order); err != nil {
			return err
		}
	}
	return nil
}

// weigh adds what the connections cost, and what a million of them would.
func (s *scaling) weigh(r *report.Result, empty, full, idle meter) {
	n := float64(s.Connections)
	var user float64
	for i, g := range s.Groups {
		each := float64(idle.groups[i].RSS-empty.groups[i].RSS) / n
		r.Figures.Add("rss_per_connection_"+g.Name, each, "B")
		user += each
	}
	// Both ends of a connection are on this machine, so that half of it is the server's.
	kernel := float64(idle.machine.Slab-empty.machine.Slab+idle.machine.SocketPages-empty.machine.SocketPages) / n / 2
	r.Figures.Add("kernel_per_connection", kernel, "B")
	r.Figures.Add("handshakes_per_s", n/full.at.Sub(empty.at).Seconds(), "/s")
	s.addCPU(&r.Figures, empty, full, "handshakes", n)
	for i, g := range s.Groups {
		r.Figures.Add("cpu_idle_"+g.Name, (idle.groups[i].CPU()-full.groups[i].CPU())/idle.at.Sub(full.at).Seconds()*100, "%")
	}
	r.Figures.Add("gib_for_a_million_user", user*million/(1<<30), "GiB")
	r.Figures.Add("gib_for_a_million_kernel", kernel*million/(1<<30), "GiB")
}

// sayToAll joins all to one room, and measures how long it takes until all of them
// have one message.
func (s *scaling) sayToAll(ctx context.Context, r *report.Result) error {
	began := time.Now()
	if err := s.order(s.holders, orderGather); err != nil {
		return err
	}
	if err := s.all(ctx, "gathered"); err != nil {
		return err
	}
	r.Figures.Add("gather_s", time.Since(began).Seconds(), "s")
	if err := s.wait(ctx, 3*s.Pause); err != nil { // the last list of users goes out meanwhile
		return err
	}
	for i := range said {
		before, err := s.read()
		if err != nil {
			return err
		}
		if err := s.order(s.holders[:1], orderSay); err != nil {
			return err
		}
		words, err := s.words(ctx, "heard")
		if err != nil {
			return err
		}
		after, err := s.read()
		if err != nil {
			return err
		}
		var last float64
		for _, w := range words {
			last = max(last, w.Max)
		}
		r.Figures.Add(fmt.Sprintf("to_all_%d_ms", i+1), last, "ms")
		r.Figures.Add(fmt.Sprintf("to_all_%d_cpu_us_each", i+1), cpu(before, after)/float64(s.Connections)*1e6, "us")
		if err := s.wait(ctx, s.Pause); err != nil {
			return err
		}
	}
	return nil
}
