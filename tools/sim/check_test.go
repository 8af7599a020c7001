package sim_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/tools/internal/histories"
)

const (
	// converged is how long after the last fault everything agrees again.
	converged = 15 * time.Second
	// departed is how long after the last fault every departure has been announced: a grace
	// period, or the time after which a silent edge counts as dead.
	departed = 45 * time.Second
	// forgotten is how long after the last fault an instance that is gone is no longer listed.
	forgotten = 75 * time.Second
	// dishonest is how long every message may be refused while health says "healthy".
	dishonest = 15 * time.Second
)

// truth is who is connected, and who of them is in each room.
type truth struct {
	online map[string]bool
	rooms  map[string][]string // sorted
	conns  int
}

// truth returns what the clients hold. It must be called when they do not change.
func (w *world) truth() truth {
	t := truth{online: make(map[string]bool), rooms: make(map[string][]string)}
	for _, user := range users {
		t.online[user] = false
	}
	for _, c := range w.clients {
		online, rooms, _ := c.state()
		if !online {
			continue
		}
		t.conns++
		t.online[c.user] = true
		for _, room := range rooms {
			if !slices.Contains(t.rooms[room], c.user) {
				t.rooms[room] = append(t.rooms[room], c.user)
			}
		}
	}
	for room := range t.rooms {
		slices.Sort(t.rooms[room])
	}
	return t
}

// checkConnected reports clients that are not where they want to be.
func (w *world) checkConnected() {
	for _, c := range w.clients {
		online, rooms, conn := c.state()
		if online && conn == nil {
			w.violation("%s is not connected %v after the last fault", c.name, converged)
			continue
		}
		for _, room := range rooms {
			if online && !conn.in(room) {
				w.violation("%s is not in %s %v after the last fault", c.name, room, converged)
			}
		}
	}
}

// checkTruth compares what owners answer and what users are shown with the truth. missing limits
// it to what must not be missing: departures may still be due.
func (w *world) checkTruth(ctx context.Context, when time.Duration, missing bool) {
	t := w.truth()
	for _, c := range w.clients {
		online, rooms, conn := c.state()
		if !online || conn == nil {
			continue
		}
		for _, room := range rooms {
			var stats struct{ Users []struct{ UserID string } }
			if err := conn.request(ctx, "getRoomStats", map[string]any{"roomId": room}, &stats); err != nil {
				w.violation("%s: getRoomStats of %s %v after the last fault: %v", c.name, room, when, err)
				continue
			}
			var answered []string
			for _, u := range stats.Users {
				answered = append(answered, u.UserID)
			}
			slices.Sort(answered)
			w.compare(fmt.Sprintf("%s asks for %s", c.name, room), when, answered, t.rooms[room], missing)
			w.compare(fmt.Sprintf("%s is shown in %s", conn.name, room), when, conn.shown(room), t.rooms[room], missing)
		}
		answered, err := conn.askPresence(ctx)
		if err != nil {
			w.violation("%s: getPresence %v after the last fault: %v", c.name, when, err)
			continue
		}
		var is []string
		for user, on := range t.online {
			if on {
				is = append(is, user)
			}
		}
		slices.Sort(is)
		w.compare(c.name+" asks for presence", when, onlineOf(answered), is, missing)
		for user, on := range conn.shownOnline() {
			if on != t.online[user] && (!missing || t.online[user]) {
				w.violation("%s, %v after the last fault: %s is shown as online: %v, and the truth is %v", conn.name, when, user, on, t.online[user])
			}
		}
	}
}

func onlineOf(presence map[string]bool) (list []string) {
	for _, user := range slices.Sorted(maps.Keys(presence)) {
		if presence[user] {
			list = append(list, user)
		}
	}
	return list
}

// compare reports a list of users that differs from the truth.
func (w *world) compare(what string, when time.Duration, got, want []string, missing bool) {
	if missing {
		for _, user := range want {
			if !slices.Contains(got, user) {
				w.violation("%s, %v after the last fault: %s is missing from %v", what, when, user, got)
			}
		}
		return
	}
	if !slices.Equal(got, want) {
		w.violation("%s, %v after the last fault: %v, and the truth is %v", what, when, got, want)
	}
}

// checkStatistics compares the monitor's page with the truth.
func (w *world) checkStatistics() {
	t := w.truth()
	var stats struct {
		Connections struct{ Current *int }
		Complete    bool
	}
	if err := w.get("/websocket/stats", &stats); err != nil {
		w.violation("statistics: %v", err)
		return
	}
	switch {
	case !stats.Complete:
		w.violation("statistics are incomplete %v after the last fault", forgotten)
	case stats.Connections.Current == nil || *stats.Connections.Current != t.conns:
		w.violation("statistics say %v connections, there are %d", stats.Connections.Current, t.conns)
	}
	if h, err := w.health(); err != nil || !h.healthy() {
		w.violation("health is %+v (%v) %v after the last fault", h, err, forgotten)
	}
}

// checkMessages compares what was received with what is stored.
func (w *world) checkMessages(ctx context.Context) {
	accepted := make(map[string][]time.Time) // by user
	for _, room := range roomNames {
		log, ok := w.readRoom(ctx, room, accepted)
		if !ok {
			continue
		}
		w.history.Add(histories.Event{Kind: histories.Final, Room: room, Log: log})
	}
	for _, a := range histories.Check(w.history.Events()) {
		w.violation("%s", a)
	}
	for user, times := range accepted {
		w.checkLimit(user, times)
	}
}

// readRoom reads all messages of a room.
func (w *world) readRoom(ctx context.Context, room string, accepted map[string][]time.Time) (log []histories.Entry, ok bool) {
	reader := newClient(w, "reader", "reader", 0, w.clients[0].rng)
	conn, err := reader.connect(ctx)
	if err != nil {
		w.violation("the reader cannot connect: %v", err)
		return nil, false
	}
	w.running.Go(conn.read)
	defer conn.nc.Close()
	if err := conn.request(ctx, "joinRoom", map[string]any{"roomId": room}, nil); err != nil {
		w.violation("the reader cannot join %s: %v", room, err)
		return nil, false
	}
	for after := uint64(0); ; {
		var page struct {
			Messages []struct {
				Content   string
				Seq       uint64
				Author    struct{ ID string }
				CreatedAt time.Time
			}
			HasMore bool
		}
		if err := conn.request(ctx, "getHistory", map[string]any{"roomId": room, "after": after, "limit": 200}, &page); err != nil {
			w.violation("history of %s: %v", room, err)
			return nil, false
		}
		for _, m := range page.Messages {
			log = append(log, histories.Entry{Seq: m.Seq, ID: m.Content})
			accepted[m.Author.ID] = append(accepted[m.Author.ID], m.CreatedAt)
			after = m.Seq
		}
		if !page.HasMore || len(page.Messages) == 0 {
			return log, true
		}
	}
}

// checkLimit reports a user who was allowed more messages than the limit, plus half of it for
// each edge, in any minute. A message may be stored up to answerTime after it was allowed.
func (w *world) checkLimit(user string, times []time.Time) {
	bound := messageLimit + messageLimit/2*len(w.edges())
	if n := most(times, time.Minute-answerTime); n > bound {
		w.violation("%s sent %d messages within %v; the limit is %d, with faults %d", user, n, time.Minute-answerTime, messageLimit, bound)
	}
}

// most returns the largest number of times within any window.
func most(times []time.Time, window time.Duration) (largest int) {
	slices.SortFunc(times, time.Time.Compare)
	for i, from := range times {
		n, _ := slices.BinarySearchFunc(times[i:], from.Add(window), time.Time.Compare)
		largest = max(largest, n)
	}
	return largest
}

// health is what the monitor says.
type health struct {
	Status   string
	Complete bool
	Notes    []string
}

func (h health) healthy() bool { return h.Status == "healthy" && h.Complete }

func (w *world) health() (h health, err error) {
	err = w.get("/websocket/health", &h)
	return h, err
}

// get reads a page of the monitor.
func (w *world) get(path string, out any) error {
	resp, err := w.http("monitor1").Get("http://monitor1" + path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusServiceUnavailable {
		return fmt.Errorf("%s: %s", path, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

// probe compares what the monitor says of health with what senders see. A message that was
// refused before health became healthy says nothing about it. The methods may be called
// concurrently.
type probe struct {
	world *world // static

	mu      sync.Mutex // guards the following
	refused time.Time  // since when health is healthy and every message was refused; zero: not so
	count   int        // messages refused since
}

// run asks for health until ctx ends.
func (p *probe) run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		h, err := p.world.health()
		p.mu.Lock()
		if err != nil || !h.healthy() { // an honest answer, or none
			p.count, p.refused = 0, time.Time{}
		}
		if p.count >= 5 && time.Since(p.refused) > dishonest {
			p.world.violation("at %s health is %q, and all of %d messages were refused for %v", p.world.now(), h.Status, p.count, time.Since(p.refused))
			p.count, p.refused = 0, time.Time{}
		}
		p.mu.Unlock()
	}
}

func (p *probe) sendWorked() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refused, p.count = time.Time{}, 0
}

func (p *probe) sendFailed(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if code.Of(err) != code.Unavailable {
		return
	}
	if p.count++; p.refused.IsZero() {
		p.refused = time.Now()
	}
}
