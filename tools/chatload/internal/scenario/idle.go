package scenario

import (
	"context"
	"time"

	"github.com/confab-chat/confab/tools/chatload/internal/crowd"
	"github.com/confab-chat/confab/tools/chatload/internal/report"
)

// Idle opens Connections, each in a room of Members when that is not 0, and weighs
// the server before and after. It uses AtOnce and Settle.
func Idle(ctx context.Context, o Options) ([]report.Result, error) {
	s, err := newStage(ctx, o)
	if err != nil {
		return nil, err
	}
	defer s.crowd.Close()
	if s.joins = o.Members > 0; s.joins {
		s.opened = func(c *crowd.Conn) { s.join(c, s.roomName(int(c.Number)/o.Members), -1) }
	}
	empty, err := s.read()
	if err != nil {
		return nil, err
	}
	if err := s.open(o.Connections, func(int, *crowd.Conn) {}); err != nil {
		return nil, err
	}
	if o.Members > 0 {
		if err := s.allJoined(o.Connections); err != nil {
			return nil, err
		}
	}
	full, err := s.read()
	if err != nil {
		return nil, err
	}
	if err := s.rest(o.Settle); err != nil {
		return nil, err
	}
	idle, err := s.read()
	if err != nil {
		return nil, err
	}
	r := s.result()
	r.Setup.Add("connections", float64(o.Connections), "")
	r.Setup.Add("room_of", float64(o.Members), "")
	n := float64(o.Connections)
	for i, g := range o.Groups {
		r.Figures.Add("rss_per_connection_"+g.Name, float64(idle.groups[i].RSS-empty.groups[i].RSS)/n, "B")
		r.Figures.Add("anonymous_per_connection_"+g.Name, float64(idle.groups[i].Anonymous-empty.groups[i].Anonymous)/n, "B")
	}
	r.Figures.Add("kernel_per_connection_both_ends", float64(idle.machine.Slab-empty.machine.Slab+idle.machine.SocketPages-empty.machine.SocketPages)/n, "B")
	r.Figures.Add("handshakes_per_s", n/full.at.Sub(empty.at).Seconds(), "/s")
	s.addCPU(&r.Figures, empty, full, "handshakes", n)
	for i, g := range o.Groups {
		r.Figures.Add("cpu_idle_"+g.Name, (idle.groups[i].CPU()-full.groups[i].CPU())/idle.at.Sub(full.at).Seconds()*100, "%")
	}
	r.Figures.Add("open", float64(s.crowd.Stats.Open), "")
	r.Note = s.lossNote()
	return []report.Result{r}, nil
}

// rest answers pings and does nothing else.
func (s *stage) rest(d time.Duration) error {
	for end := time.Now().Add(d); time.Now().Before(end); {
		s.crowd.Poll(50 * time.Millisecond)
		s.line.show("idle", "%d open", s.crowd.Stats.Open)
		if err := s.ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}
