package wire

import "github.com/confab-chat/confab/proto/code"

// Origin names the edge process that sends: Gen is new at every start, so what a
// dead process left behind is told from what its successor says.
type Origin struct {
	Edge string
	Gen  uint64
}

func (o *Origin) fields(c *codec) {
	c.string(1, &o.Edge)
	c.uint(2, &o.Gen)
}

// UserID is what package event says of it.
type UserID = string

// User is a user as others see them. The tags are those of the client contract,
// where package event uses this type too.
type User struct {
	ID   UserID `json:"userId"`
	Name string `json:"username"`
}

func (u *User) fields(c *codec) {
	c.string(1, &u.ID)
	c.string(2, &u.Name)
}

// Fault is the refusal at the head of every reply; its zero value means success.
type Fault struct {
	Code         string
	Message      string
	RetryAfterMs uint64
}

func (f *Fault) fault(c *codec) {
	c.string(1, &f.Code)
	c.string(2, &f.Message)
	c.uint(3, &f.RetryAfterMs)
}

// FaultOf makes a Fault of what a service refuses with. An err that is no
// *code.Error becomes INTERNAL without its text.
func FaultOf(err error) Fault { return faultOf(err) }

// Err is the *code.Error that f stands for, nil on success.
func (f *Fault) Err() *code.Error { return f.err() }

// Join asks the owner of a room to count a user's connection on an edge as a
// member. Joining twice changes nothing. Reply: Joined.
type Join struct {
	Origin
	Room string
	User User
	// Again: an owner has counted this before, and the edge says it once more after
	// an outage. To an owner that has just begun it is no news.
	Again bool
	// List is the Joined.List of the users that the edge has at hand, 0: it has none.
	List uint64
}

func (m *Join) fields(c *codec) {
	m.Origin.fields(c)
	c.string(3, &m.Room)
	c.string(4, &m.User.ID)
	c.string(5, &m.User.Name)
	c.bool(6, &m.Again)
	c.uint(7, &m.List)
}

// Joined answers Join.
type Joined struct {
	Fault
	Epoch uint64 // of the owner's lease
	Head  uint64 // seq of the room's last message, 0 when there is none
	Total uint64 // members, all of them
	Users []User // at most 200, sorted by id; left out when the edge has them: List is the Join's
	List  uint64 // names Users in a room of more than 200, where they seldom change; else 0
}

func (m *Joined) fields(c *codec) {
	m.fault(c)
	c.uint(4, &m.Epoch)
	c.uint(5, &m.Head)
	c.uint(6, &m.Total)
	repeated(c, 7, &m.Users)
	c.uint(8, &m.List)
}

// Leave tells the owner that the last connection of a user on an edge has left
// the room. After GraceMs without a new Join the user is gone there. Reply: Done.
type Leave struct {
	Origin
	Room    string
	User    string
	GraceMs uint64
}

func (m *Leave) fields(c *codec) {
	m.Origin.fields(c)
	c.string(3, &m.Room)
	c.string(4, &m.User)
	c.uint(5, &m.GraceMs)
}

// Done answers a command that has nothing else to say.
type Done struct{ Fault }

func (m *Done) fields(c *codec) { m.fault(c) }

// Text is a message of Send.More. Its fields mean what Send's do.
type Text struct {
	ClientID string
	Type     string
	Content  string
}

func (m *Text) fields(c *codec) {
	c.string(1, &m.ClientID)
	c.string(2, &m.Type)
	c.string(3, &m.Content)
}

// Send asks the owner to accept a message, and More of the same user, which follow it
// in this order. ClientID makes a message idempotent per user and room; the edge makes
// one up when the client gave none. Reply: Sent.
type Send struct {
	Origin
	Room     string
	User     User
	ClientID string
	Type     string // TEXT, IMAGE, FILE
	Content  string // trimmed and checked by the edge
	More     []Text
}

func (m *Send) fields(c *codec) {
	m.Origin.fields(c)
	c.string(3, &m.Room)
	c.string(4, &m.User.ID)
	c.string(5, &m.User.Name)
	c.string(6, &m.ClientID)
	c.string(7, &m.Type)
	c.string(8, &m.Content)
	repeated(c, 9, &m.More)
}

// Outcome is what has become of a message, when the log has acknowledged it.
type Outcome struct {
	Fault
	Seq       uint64
	Message   []byte // the client's JSON of the stored message
	Duplicate bool   // the ClientID was stored before: Message is that one
}

func (m *Outcome) fields(c *codec) {
	m.fault(c)
	c.uint(4, &m.Seq)
	c.bytes(5, &m.Message)
	c.bool(6, &m.Duplicate)
}

// Sent answers Send: the outcome of the first, and of More in the same order. An
// owner that knows only single messages, or refuses the whole, leaves More out.
type Sent struct {
	Outcome
	More []Outcome
}

func (m *Sent) fields(c *codec) {
	m.Outcome.fields(c)
	repeated(c, 7, &m.More)
}

// History asks the owner for messages by seq. With neither After nor Before: the
// newest. HasAfter marks After, because "after 0" means from the beginning. It
// serves getHistory, replay after joinRoom {since} and gap repair. Reply: Messages.
type History struct {
	Room     string
	HasAfter bool
	After    uint64 // exclusive
	Before   uint64 // exclusive, 0 = not given
	Limit    uint64 // 1 to 200
}

func (m *History) fields(c *codec) {
	c.string(1, &m.Room)
	c.bool(2, &m.HasAfter)
	c.uint(3, &m.After)
	c.uint(4, &m.Before)
	c.uint(5, &m.Limit)
}

// Messages answers History: ascending, without holes but for what retention took.
type Messages struct {
	Fault
	Items  []Item
	More   bool   // there is more in the direction asked
	Head   uint64 // seq of the room's last message
	Oldest uint64 // seq of the first message still retained, 0 when there is none
}

func (m *Messages) fields(c *codec) {
	m.fault(c)
	repeated(c, 4, &m.Items)
	c.bool(5, &m.More)
	c.uint(6, &m.Head)
	c.uint(7, &m.Oldest)
}

// Item is one message with the seq that its JSON carries.
type Item struct {
	Seq  uint64
	JSON []byte
}

func (m *Item) fields(c *codec) {
	c.uint(1, &m.Seq)
	c.bytes(2, &m.JSON)
}

// Command carries a client event to the owner of its room or user: subject.RoomCommand
// or subject.UserCommand with the event's name as the operation. Reply: Result.
type Command struct {
	Origin
	Room     string // of a room's event
	User     User   // who asks
	Payload  []byte // the event's payload, JSON that the edge has checked; may be empty
	MaxBytes uint64 // of lists in the reply: what the connection can take; 0: any number
}

func (m *Command) fields(c *codec) {
	m.Origin.fields(c)
	c.string(3, &m.Room)
	c.string(4, &m.User.ID)
	c.string(5, &m.User.Name)
	c.bytes(6, &m.Payload)
	c.uint(7, &m.MaxBytes)
}

// Result answers Command.
type Result struct {
	Fault
	JSON  []byte // the reply object as native clients see it, without a Fault
	Event string // a server event for the asker alone, sent after the reply; empty: none
	Data  []byte // its payload
}

func (m *Result) fields(c *codec) {
	m.fault(c)
	c.bytes(4, &m.JSON)
	c.string(5, &m.Event)
	c.bytes(6, &m.Data)
}

// RoomStats asks for a room's statistics. Reply: Stats.
type RoomStats struct{ Room string }

func (m *RoomStats) fields(c *codec) { c.string(1, &m.Room) }

// Stats answers RoomStats with the client's JSON object (roomStats of the contract).
type Stats struct {
	Fault
	JSON []byte
}

func (m *Stats) fields(c *codec) {
	m.fault(c)
	c.bytes(4, &m.JSON)
}

// Read says that a user has read a message. Reply: Receipt.
type Read struct {
	Room      string
	User      User
	MessageID string
}

func (m *Read) fields(c *codec) {
	c.string(1, &m.Room)
	c.string(2, &m.User.ID)
	c.string(3, &m.User.Name)
	c.string(4, &m.MessageID)
}

// Receipt answers Read.
type Receipt struct {
	Fault
	Seq  uint64
	AtMs uint64 // unix milliseconds
}

func (m *Receipt) fields(c *codec) {
	m.fault(c)
	c.uint(4, &m.Seq)
	c.uint(5, &m.AtMs)
}

// Typing says, at most once, that a user types or stopped. No reply.
type Typing struct {
	Room string
	User User
	On   bool
}

func (m *Typing) fields(c *codec) {
	c.string(1, &m.Room)
	c.string(2, &m.User.ID)
	c.string(3, &m.User.Name)
	c.bool(4, &m.On)
}

// Heads asks for the heads of rooms, all of one shard, after an edge was cut off
// (subject.OpHeads). Reply: Digest, without the rooms that the log does not know.
type Heads struct{ Rooms []string }

func (m *Heads) fields(c *codec) { c.strings(1, &m.Rooms) }
