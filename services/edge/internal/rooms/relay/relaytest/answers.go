package relaytest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
)

// command answers one command, under the lock: the owner is one actor.
func (o *Owner) command(m *nats.Msg) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if lastToken(m.Subject) == string(subject.OpCheck) { // every other second, so not counted as seen
		check := read[wire.Check](o, m)
		o.sums[strings.Split(m.Subject, ".")[3]] = *check
		_ = m.Respond(wire.Marshal(&wire.Done{})) // the test may have ended
		return
	}
	if lastToken(m.Subject) == string(subject.OpRepeat) {
		after := read[wire.Repeat](o, m).After
		_ = m.Respond(wire.Marshal(&wire.Done{}))
		for _, b := range o.numbered {
			if b.Number > after {
				o.Broadcast(b)
			}
		}
		return
	}
	c, do := o.decode(m)
	o.seen = append(o.seen, c)
	silent := o.silent != nil && o.silent(c)
	if silent && !o.carryOut || do == nil {
		return
	}
	reply := do()
	if o.fault != nil && strings.Contains(m.Subject, ".room.") {
		reply = &wire.Done{Fault: wire.FaultOf(o.fault)}
	}
	if !silent && reply != nil && m.Reply != "" {
		o.publish(m.Reply, reply)
	}
}

func read[T any, P interface {
	*T
	wire.Message
}](o *Owner, m *nats.Msg) P {
	v := P(new(T))
	if err := wire.Unmarshal(m.Data, v); err != nil {
		o.tb.Errorf("owner: %s: %v", m.Subject, err)
	}
	return v
}

// decode returns what is asked, and how it is answered.
func (o *Owner) decode(m *nats.Msg) (Command, func() wire.Message) {
	c := Command{Op: lastToken(m.Subject)}
	for _, def := range event.Catalog() {
		if def.Name == c.Op && def.Route != event.RouteLocal {
			return o.forwarded(c, &def, read[wire.Command](o, m))
		}
	}
	if strings.Contains(m.Subject, ".user.") {
		return o.decodeUser(c, m)
	}
	switch c.Op {
	case string(subject.OpJoin):
		q := read[wire.Join](o, m)
		c.Room, c.User = q.Room, q.User.ID
		return c, func() wire.Message { return o.join(q) }
	case string(subject.OpLeave):
		q := read[wire.Leave](o, m)
		c.Room, c.User, c.Text = q.Room, q.User, fmt.Sprint(q.GraceMs)
		return c, func() wire.Message { return o.leave(q) }
	case string(subject.OpSend):
		q := read[wire.Send](o, m)
		c.Room, c.User, c.Text = q.Room, q.User.ID, q.Content
		for _, t := range q.More {
			c.More = append(c.More, t.Content)
		}
		return c, func() wire.Message { return o.send(q) }
	case string(subject.OpHist):
		q := read[wire.History](o, m)
		c.Room, c.Text = q.Room, fmt.Sprint(q.After)
		return c, func() wire.Message { return o.history(q) }
	case string(subject.OpHeads):
		q := read[wire.Heads](o, m)
		return c, func() wire.Message { return o.heads(q) }
	case "typing":
		q := read[wire.Typing](o, m)
		c.Room, c.User, c.Text = q.Room, q.User.ID, fmt.Sprint(q.On)
		return c, func() wire.Message { return nil }
	}
	o.tb.Errorf("owner: unknown command %s", m.Subject)
	return c, nil
}

// forwarded answers a client event of the catalog: as Answer has said, or with the zero
// value of its reply.
func (o *Owner) forwarded(c Command, def *event.Def, q *wire.Command) (Command, func() wire.Message) {
	c.User, c.Text, c.MaxBytes = q.User.ID, string(q.Payload), q.MaxBytes
	payload := def.Payload()
	if err := payload.Decode(q.Payload); err != nil {
		o.tb.Errorf("owner: %s %s: %v", c.Op, q.Payload, err)
	}
	if p, ok := payload.(event.RoomRequest); ok {
		c.Room = p.Room()
	}
	return c, func() wire.Message {
		if answer, ok := o.answers[c.Op]; ok {
			return &answer
		}
		return &wire.Result{JSON: def.Success().AppendJSON(nil)}
	}
}

func (o *Owner) join(q *wire.Join) wire.Message {
	r := o.room(q.Room)
	first := len(r.Members[q.User.ID]) == 0
	if r.Members[q.User.ID] == nil {
		r.Members[q.User.ID] = map[string]bool{}
	}
	r.Members[q.User.ID][q.Edge] = true
	u := o.user(q.User.ID)
	u.User = q.User
	if first {
		o.publish(subject.RoomBroadcast(subject.Shard(q.Room), subject.Token(q.Room)), &wire.Broadcast{
			Epoch: o.epoch, Room: q.Room, Total: uint64(len(r.Members)), Event: event.NameUserJoined,
			Data: fmt.Appendf(nil, `{"userId":%q,"roomId":%q}`, q.User.ID, q.Room), Class: wire.ClassPresence, Except: q.User.ID,
		})
	}
	m := &wire.Joined{Epoch: o.epoch, Head: uint64(len(r.Items)), Total: uint64(len(r.Members)), List: o.listed}
	if m.List == 0 || m.List != q.List {
		m.Users = o.list(r)
	}
	return m
}

func (o *Owner) list(r *Room) []wire.User {
	var users []wire.User
	for id := range r.Members {
		users = append(users, o.user(id).User)
	}
	slices.SortFunc(users, func(a, b wire.User) int { return strings.Compare(a.ID, b.ID) })
	return users
}

func (o *Owner) leave(q *wire.Leave) wire.Message {
	r := o.room(q.Room)
	if delete(r.Members[q.User], q.Edge); len(r.Members[q.User]) == 0 {
		delete(r.Members, q.User)
	}
	return &wire.Done{}
}

func (o *Owner) send(q *wire.Send) wire.Message {
	sent := &wire.Sent{Outcome: o.accept(q, &wire.Text{ClientID: q.ClientID, Type: q.Type, Content: q.Content, RepeatOnly: q.RepeatOnly})}
	for i := range q.More {
		if o.single {
			break
		}
		sent.More = append(sent.More, o.accept(q, &q.More[i]))
	}
	return sent
}

func (o *Owner) accept(q *wire.Send, t *wire.Text) wire.Outcome {
	r := o.room(q.Room)
	key := q.User.ID + "\x00" + t.ClientID
	if i, ok := r.byID[key]; ok {
		return wire.Outcome{Seq: r.Items[i].Seq, Message: r.Items[i].JSON, Duplicate: true}
	}
	if t.RepeatOnly {
		return wire.Outcome{Fault: wire.FaultOf(code.New(code.RateLimited, "too many messages"))}
	}
	seq := o.append(q.Room, q.User, key, t.Type, t.Content)
	return wire.Outcome{Seq: seq, Message: r.Items[seq-1].JSON}
}

// append stores and broadcasts a message; o.mu is held.
func (o *Owner) append(room string, user wire.User, key, typ, text string) uint64 {
	r := o.room(room)
	seq := uint64(len(r.Items) + 1)
	at := time.Now()
	msg := event.Message{
		ID: event.MessageID(room, seq, uint64(at.UnixMilli()), user.ID), Content: text,
		Author: event.Author(user), RoomID: room, MessageType: typ, Seq: seq,
		Timestamp: event.At(at), CreatedAt: event.At(at), UpdatedAt: event.At(at),
	}
	item := wire.Item{Seq: seq, JSON: msg.AppendJSON(nil)}
	r.Items = append(r.Items, item)
	if key != "" {
		r.byID[key] = int(seq - 1)
	}
	if !o.mute {
		rec := wire.Record{Epoch: o.epoch, First: seq, Room: room, Entries: []wire.Entry{{User: user.ID, JSON: item.JSON}}}
		o.publish(subject.RoomBroadcast(subject.Shard(room), subject.Token(room)), &wire.Broadcast{
			Epoch: o.epoch, Room: room, Pos: seq, Record: wire.Marshal(&rec),
		})
	}
	return seq
}

func (o *Owner) history(q *wire.History) wire.Message {
	r := o.room(q.Room)
	m := &wire.Messages{Head: uint64(len(r.Items))}
	if len(r.Items) > 0 {
		m.Oldest = uint64(r.Oldest) + 1
	}
	from, to := uint64(r.Oldest)+1, m.Head
	limit := max(q.Limit, 1)
	switch {
	case q.HasAfter:
		from = max(from, q.After+1)
		m.More = to > from+limit-1
		to = min(to, from+limit-1)
	default:
		if q.Before > 0 {
			to = min(to, q.Before-1)
		}
		if to >= from+limit {
			m.More = true
			from = to - limit + 1
		}
	}
	if from <= to {
		m.Items = r.Items[from-1 : to]
	}
	return m
}

func (o *Owner) heads(q *wire.Heads) wire.Message {
	d := &wire.Digest{Epoch: o.epoch}
	for _, id := range q.Rooms {
		if n := len(o.room(id).Items); n > 0 {
			d.Heads = append(d.Heads, wire.Head{Room: id, Seq: uint64(n)})
		}
	}
	return d
}

func (o *Owner) decodeUser(c Command, m *nats.Msg) (Command, func() wire.Message) {
	switch c.Op {
	case string(subject.OpUserUp):
		q := read[wire.UserUp](o, m)
		c.User, c.Text = q.User.ID, strings.Join(q.Rooms, ",")
		return c, func() wire.Message {
			u := o.user(q.User.ID)
			u.User, u.Online, u.Status = q.User, true, event.StatusOnline
			u.Edges[q.Edge] = q.Rooms
			return &wire.Done{}
		}
	case string(subject.OpUserDown):
		q := read[wire.UserDown](o, m)
		c.User, c.Text = q.User, fmt.Sprint(q.GraceMs)
		return c, func() wire.Message {
			u := o.user(q.User)
			delete(u.Edges, q.Edge)
			u.Online, u.Grace = len(u.Edges) > 0, q.GraceMs
			return &wire.Done{}
		}
	}
	q := read[wire.UserGet](o, m)
	c.Text = strings.Join(q.Users, ",")
	return c, func() wire.Message { return o.presences(m.Subject, q) }
}

func (o *Owner) presences(subj string, q *wire.UserGet) wire.Message {
	p := &wire.Presences{}
	for _, id := range q.Users {
		p.Users = append(p.Users, o.user(id).Presence)
	}
	if q.Users == nil {
		for id, u := range o.users {
			if u.Online && subject.UserCommand(subject.Shard(id), subject.OpUserGet) == subj && len(p.Users) < int(q.Limit) {
				p.Users = append(p.Users, u.Presence)
			}
		}
	}
	return p
}

// take answers for permits.
func (o *Owner) take(m *nats.Msg) {
	if m.Reply == "" { // leases that an edge returns when it stops
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	read[wire.Take](o, m)
	o.takes++
	if o.silent != nil && o.silent(Command{Op: "take"}) {
		return
	}
	o.publish(m.Reply, &wire.Taken{OK: o.deny == 0, RetryAfterMs: uint64(o.deny.Milliseconds())})
}
