package event

import "github.com/confab-chat/confab/proto/code"

// Names of the event and of its reply.
const (
	NameUpdatePresence  = "updatePresence"
	NamePresenceUpdated = "presenceUpdated"
)

// Status is what a user can say of themselves.
type Status = string

// What a user can say of themselves.
const (
	StatusOnline Status = "online"
	StatusAway   Status = "away"
	StatusBusy   Status = "busy"
)

// UpdatePresence sets what a user says of themselves.
type UpdatePresence struct {
	Status       Status `json:"status"`
	CustomStatus string `json:"customStatus,omitempty"` // at most MaxCustomStatus code points after trimming; "" removes it
}

// Decode implements Request. CustomStatus comes out trimmed, and "" when nothing of it is visible.
func (p *UpdatePresence) Decode(data []byte) error {
	*p = UpdatePresence{}
	var d decoder
	for d.begin(data); d.next(); {
		switch string(d.r.Key()) {
		case "status":
			p.Status = d.text("status")
		case "customStatus":
			p.CustomStatus = d.text("customStatus")
		}
	}
	if err := d.end(); err != nil {
		return err
	}
	switch p.Status {
	case StatusOnline, StatusAway, StatusBusy:
	default:
		return code.New(code.BadRequest, "status must be online, away or busy")
	}
	p.CustomStatus = trim(p.CustomStatus)
	if err := checkText("customStatus", p.CustomStatus, MaxCustomStatus); err != nil {
		return err
	}
	if !visible(p.CustomStatus) {
		p.CustomStatus = ""
	}
	return nil
}

// PresenceUpdated answers UpdatePresence.
type PresenceUpdated struct {
	Success      bool   `json:"success"`
	Status       Status `json:"status"`
	CustomStatus string `json:"customStatus"` // "" when there is none
	Timestamp    Time   `json:"timestamp"`
}

// AppendJSON implements Reply.
func (r *PresenceUpdated) AppendJSON(dst []byte) []byte {
	dst = appendText(dst, `{"success":true,"status":`, r.Status)
	dst = appendText(dst, `,"customStatus":`, r.CustomStatus)
	dst = appendTime(dst, `,"timestamp":`, r.Timestamp)
	return append(dst, '}')
}
