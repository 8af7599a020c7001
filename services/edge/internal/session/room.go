package session

import (
	"crypto/rand"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/rooms/relay"
)

func sendMessage(c *command, data []byte) error {
	var p event.SendMessage
	if err := p.Decode(data); err != nil {
		return err
	}
	if p.ClientMessageID == "" { // sending it twice must not store it twice
		p.ClientMessageID = "edge-" + rand.Text()
	}
	c.room, c.action = p.RoomID, wire.ActionMessage
	c.text = &wire.Text{ClientID: p.ClientMessageID, Type: p.MessageType, Content: p.Content}
	c.run = (*command).send
	return nil
}

func typing(c *command, data []byte) error {
	var p event.Typing
	if err := p.Decode(data); err != nil {
		return err
	}
	c.room, c.action = p.RoomID, wire.ActionTyping
	c.run = func(c *command) {
		shard := c.s.LocalRoom(p.RoomID).Shard()
		c.s.local.core.Relay.Typing(shard, &wire.Typing{Room: p.RoomID, User: c.s.User, On: p.IsTyping})
		c.succeed(&event.TypingUpdated{Success: true, Timestamp: c.s.now()})
	}
	return nil
}

func getRoomStats(c *command, data []byte) error {
	var p event.GetRoomStats
	if err := p.Decode(data); err != nil {
		return err
	}
	c.room = p.RoomID
	c.run = func(c *command) {
		c.ask(subject.OpStats, &wire.RoomStats{Room: p.RoomID}, func(reply []byte, err error) {
			var m wire.Stats
			if err := relay.Unpack(reply, err, &m); err != nil {
				c.fail(err)
				return
			}
			if len(m.JSON) < len(`{}`) {
				c.fail(relay.ErrReply)
				return
			}
			s := c.s
			s.replyObject(c.id, c.reply, append(append(s.local.object(), `{"success":true,`...), m.JSON[1:]...))
			s.tell(event.NameRoomStats, m.JSON)
			c.finish()
		})
	}
	return nil
}

func getHistory(c *command, data []byte) error {
	var p event.GetHistory
	if err := p.Decode(data); err != nil {
		return err
	}
	c.room = p.RoomID
	c.run = func(c *command) {
		q := p.Query()
		c.ask(subject.OpHist, &q, func(reply []byte, err error) {
			var m wire.Messages
			if err := relay.Unpack(reply, err, &m); err != nil {
				c.fail(err)
				return
			}
			items, cut := within(m.Items, c.s.local.core.QueueBytes/2, q.HasAfter)
			c.succeed(&event.History{RoomID: p.RoomID, Messages: items, HasMore: m.More || cut})
		})
	}
	return nil
}

// within keeps as many items as fit n bytes, at least one: the first ones, or else
// the last ones. A reply that fills the connection's queue would make a slow
// consumer of whoever asked for it.
func within(items []wire.Item, n int, first bool) (kept []wire.Item, cut bool) {
	for i := range items {
		at := i
		if !first {
			at = len(items) - 1 - i
		}
		if n -= len(items[at].JSON); n < 0 && i > 0 {
			if first {
				return items[:at], true
			}
			return items[at+1:], true
		}
	}
	return items, false
}

func messageRead(c *command, data []byte) error {
	var p event.MessageRead
	if err := p.Decode(data); err != nil {
		return err
	}
	c.room = p.RoomID
	c.run = func(c *command) {
		if _, ok := event.SeqOf(p.MessageID); !ok {
			c.fail(code.New(code.NotFound, "there is no such message"))
			return
		}
		m := wire.Read{Room: p.RoomID, User: c.s.User, MessageID: p.MessageID}
		c.ask(subject.OpRead, &m, func(reply []byte, err error) {
			var m wire.Receipt
			if err := relay.Unpack(reply, err, &m); err != nil {
				c.fail(err)
				return
			}
			c.succeed(&event.MessageReadReply{ReadReceipt: event.ReadReceipt{
				MessageID: p.MessageID, UserID: c.s.User.ID, Username: c.s.User.Name, Seq: m.Seq, ReadAt: event.Time(m.AtMs),
			}})
		})
	}
	return nil
}
