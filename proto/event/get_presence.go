package event

import (
	"slices"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/strictjson"
	"github.com/confab-chat/confab/proto/wire"
)

// Names of the event and of its reply.
const (
	NameGetPresence       = "getPresence"
	NamePresenceRetrieved = "presenceRetrieved"
)

// MaxPresence is how many users one GetPresence may ask for.
const MaxPresence = 100

// GetPresence asks who is online.
type GetPresence struct {
	UserIDs []UserID `json:"userIds,omitempty"` // at most MaxPresence, each once; not given: whom the user may see; empty: nobody
}

// Decode implements Request. The payload itself may be missing.
func (p *GetPresence) Decode(data []byte) error {
	*p = GetPresence{}
	if len(data) == 0 || string(data) == "null" {
		return nil
	}
	var d decoder
	for d.begin(data); d.next(); {
		if string(d.r.Key()) == "userIds" && d.is("userIds", strictjson.Array) {
			p.UserIDs = d.userIDs()
		}
	}
	return d.end()
}

func (d *decoder) userIDs() []string {
	ids := []string{}
	for d.r.BeginArray(); d.err == nil && d.r.NextElement(); {
		if d.r.Kind() != strictjson.String {
			d.check(d.r.Kind() == strictjson.Invalid, "userIds must be an array of strings")
			continue
		}
		id := d.r.Text()
		d.check(ValidUserID(id), "userIds contains something that is no user id")
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
		if len(ids) > MaxPresence {
			d.err = code.New(code.BadRequest, "userIds has more than %d users", MaxPresence)
		}
	}
	return ids
}

// PresenceRetrieved answers GetPresence.
type PresenceRetrieved struct {
	Success      bool       `json:"success"`
	PresenceData []Presence `json:"presenceData"`
	Timestamp    Time       `json:"timestamp"`
}

// AppendJSON implements Reply.
func (r *PresenceRetrieved) AppendJSON(dst []byte) []byte {
	dst = appendList(dst, `{"success":true,"presenceData":`, r.PresenceData, appendPresence)
	dst = appendTime(dst, `,"timestamp":`, r.Timestamp)
	return append(dst, '}')
}

// SeenStatus is what others see of a user: what the user says, or StatusOffline.
type SeenStatus = Status

const StatusOffline SeenStatus = "offline" // has no connection

// Presence is what is known of a user. Of somebody who was never seen the name is empty.
type Presence struct {
	User
	Status       SeenStatus `json:"status"`
	CustomStatus string     `json:"customStatus,omitempty"`
	IsOnline     bool       `json:"isOnline"`
	LastSeen     TimeOrNull `json:"lastSeen"` // null when never seen
}

// PresenceOf is p as clients see it.
func PresenceOf(p wire.Presence) Presence {
	return Presence{User: p.User, Status: p.Status, CustomStatus: p.Custom, IsOnline: p.Online, LastSeen: Time(p.LastSeenMs)}
}

func appendPresence(dst []byte, p *Presence) []byte {
	dst = appendText(dst, `{"userId":`, p.ID)
	dst = appendText(dst, `,"username":`, p.Name)
	dst = appendText(dst, `,"status":`, p.Status)
	if p.CustomStatus != "" {
		dst = appendText(dst, `,"customStatus":`, p.CustomStatus)
	}
	dst = appendBool(dst, `,"isOnline":`, p.IsOnline)
	dst = appendTime(dst, `,"lastSeen":`, p.LastSeen)
	return append(dst, '}')
}
