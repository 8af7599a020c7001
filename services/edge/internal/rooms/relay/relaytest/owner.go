// Package relaytest plays the services behind the edge in tests: one owner of all
// room and user shards, with a log in memory, and the permit service. It obeys the
// wire contract and nothing else, and it can misbehave on request.
package relaytest

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
)

// Owner answers for all rooms, users and permits. Safe for concurrent use.
type Owner struct {
	tb testing.TB
	nc *nats.Conn

	mu    sync.Mutex // guards the following
	subs  []*nats.Subscription
	epoch uint64
	rooms map[string]*Room
	users map[string]*User
	seen  []Command
	sums  map[string]wire.Check // the last of each shard

	numbered []wire.Broadcast // what is repeated when an edge asks

	// silent, if set, selects commands that are not answered; they are not
	// carried out either, unless carryOut is set too.
	silent   func(Command) bool
	carryOut bool
	mute     bool                   // no broadcasts
	answers  map[string]wire.Result // by client event
	single   bool                   // takes one message of a send
	listed   uint64
	fault    *code.Error
	takes    int
	deny     time.Duration
}

// Command is what was asked.
type Command struct {
	Op   string // the last token of the subject
	Room string
	User string
	Text string   // of a send; of a client event, its payload
	More []string // of a send, the texts that follow

	MaxBytes uint64 // of a client event
}

// Room is a room's state.
type Room struct {
	Items   []wire.Item // the whole log
	Oldest  int         // how many of them are gone
	Members map[string]map[string]bool
	byID    map[string]int
}

// User is what edges have said of a user.
type User struct {
	wire.Presence
	Edges map[string][]string // edge -> rooms
	Grace uint64              // of the last down
}

// New starts an owner on nc that serves until the test ends.
func New(tb testing.TB, nc *nats.Conn) *Owner {
	tb.Helper()
	o := &Owner{tb: tb, nc: nc, epoch: 1, rooms: map[string]*Room{}, users: map[string]*User{}, sums: map[string]wire.Check{}, answers: map[string]wire.Result{}}
	o.Serve()
	return o
}

// Single makes o an owner of a release that does not know wire.Send.More.
func (o *Owner) Single() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.single = true
}

// Name gives the lists of users in answers to joins a name, as owners do in a crowd,
// and leaves out those that the edge has; 0 ends it.
func (o *Owner) Name(list uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.listed = list
}

// Serve subscribes; it ends with Vanish or the connection.
func (o *Owner) Serve() {
	o.tb.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	for shard := range subject.Shards {
		for subj, h := range map[string]nats.MsgHandler{
			subject.RoomCommands(shard): o.command,
			subject.RoomTyping(shard):   o.command,
			subject.UserCommands(shard): o.command,
			subject.Limits(shard):       o.take,
		} {
			sub, err := o.nc.Subscribe(subj, h)
			if err != nil {
				o.tb.Fatal(err)
			}
			o.subs = append(o.subs, sub)
		}
	}
	if err := o.nc.Flush(); err != nil {
		o.tb.Fatal(err)
	}
}

// Vanish unsubscribes everything: edges get "no responders".
func (o *Owner) Vanish() {
	o.tb.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, sub := range o.subs {
		if err := sub.Unsubscribe(); err != nil {
			o.tb.Fatal(err)
		}
	}
	o.subs = nil
	if err := o.nc.Flush(); err != nil {
		o.tb.Fatal(err)
	}
}

// Silence makes the owner leave the selected commands unanswered. If carryOut is set, it
// carries them out nevertheless. nil ends it.
func (o *Owner) Silence(which func(Command) bool, carryOut bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.silent, o.carryOut = which, carryOut
}

// Mute stops broadcasts of messages.
func (o *Owner) Mute(on bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mute = on
}

// Refuse answers every room command with a fault; nil ends it.
func (o *Owner) Refuse(e *code.Error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fault = e
}

// Answer is how a client event is answered from now on.
func (o *Owner) Answer(event string, r wire.Result) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answers[event] = r
}

// Deny refuses all permits with retry-after d; 0 ends it.
func (o *Owner) Deny(d time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.deny = d
}

// Takes is the number of permits asked for.
func (o *Owner) Takes() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.takes
}

// Seen lists the commands that came, in order.
func (o *Owner) Seen() []Command {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.seen)
}

// SeenOp lists those of one operation.
func (o *Owner) SeenOp(op string) []Command {
	return slices.DeleteFunc(o.Seen(), func(c Command) bool { return c.Op != op })
}

// Checked returns the last check of a shard.
func (o *Owner) Checked(shard int) wire.Check {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sums[strconv.Itoa(shard)]
}

// View calls look with a room's state.
func (o *Owner) View(room string, look func(*Room)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	look(o.room(room))
}

// ViewUser calls look with a user's state.
func (o *Owner) ViewUser(id string, look func(*User)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	look(o.user(id))
}

// Members lists the users in a room over all edges.
func (o *Owner) Members(room string) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var ids []string
	for id := range o.room(room).Members {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Forget loses the log's messages up to seq, as retention does.
func (o *Owner) Forget(room string, seq int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.room(room).Oldest = seq
}

// Say stores a message of a user elsewhere and broadcasts it; it returns its seq.
func (o *Owner) Say(room, user, text string) uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.append(room, wire.User{ID: user, Name: user}, "", event.TypeText, text)
}

// Broadcast sends b to the edges that hold its room, or to all when it has none.
func (o *Owner) Broadcast(b wire.Broadcast) {
	if b.Epoch == 0 {
		b.Epoch = 1
	}
	if b.Room == "" {
		o.publish(subject.UserBroadcast(subject.Shard(cmp.Or(b.Only, b.Except))), &b)
		return
	}
	o.publish(subject.RoomBroadcast(subject.Shard(b.Room), subject.Token(b.Room)), &b)
}

// Remember keeps events, which have numbers, to be repeated when an edge asks.
func (o *Owner) Remember(events ...wire.Broadcast) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.numbered = append(o.numbered, events...)
}

// Digest publishes the heads of rooms.
func (o *Owner) Digest(rooms ...string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, id := range rooms {
		d := wire.Digest{Epoch: o.epoch, Heads: []wire.Head{{Room: id, Seq: uint64(len(o.room(id).Items))}}}
		o.publish(subject.Head(subject.Shard(id)), &d)
	}
}

// Still says that nothing has moved in a shard.
func (o *Owner) Still(shard int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.publish(subject.Head(shard), &wire.Digest{Epoch: o.epoch})
}

// Sync asks the edges who is in a shard and returns what they say, until n have finished.
func (o *Owner) Sync(shard, n int) []wire.Snapshot {
	o.tb.Helper()
	inbox := o.nc.NewInbox()
	sub, err := o.nc.SubscribeSync(inbox)
	if err != nil {
		o.tb.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := o.nc.PublishRequest(subject.EdgesSync, inbox, wire.Marshal(&wire.Sync{Shard: uint64(shard)})); err != nil {
		o.tb.Fatal(err)
	}
	var all []wire.Snapshot
	for n > 0 {
		m, err := sub.NextMsg(10 * time.Second)
		if err != nil {
			o.tb.Fatal(err)
		}
		var s wire.Snapshot
		if err := wire.Unmarshal(m.Data, &s); err != nil {
			o.tb.Fatal(err)
		}
		if all = append(all, s); s.Last {
			n--
		}
	}
	return all
}

func (o *Owner) room(id string) *Room {
	r := o.rooms[id]
	if r == nil {
		r = &Room{Members: map[string]map[string]bool{}, byID: map[string]int{}}
		o.rooms[id] = r
	}
	return r
}

func (o *Owner) user(id string) *User {
	u := o.users[id]
	if u == nil {
		u = &User{Edges: map[string][]string{}}
		u.User.ID = id
		o.users[id] = u
	}
	return u
}

func (o *Owner) publish(subj string, m wire.Message) {
	if err := o.nc.Publish(subj, wire.Marshal(m)); err != nil {
		o.tb.Errorf("owner: %v", err)
	}
}

func lastToken(subj string) string { return subj[strings.LastIndexByte(subj, '.')+1:] }

// SilenceOp leaves commands of one operation unanswered; "" ends it.
func (o *Owner) SilenceOp(op string) {
	if op == "" {
		o.Silence(nil, false)
		return
	}
	o.Silence(func(c Command) bool { return c.Op == op }, false)
}
