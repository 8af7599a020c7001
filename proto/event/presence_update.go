package event

// NamePresenceUpdate is sent when somebody set their status; your own connections get it too.
const NamePresenceUpdate = "presenceUpdate"

// PresenceUpdate is the payload of presenceUpdate.
type PresenceUpdate struct {
	UserID       UserID `json:"userId"`
	Username     string `json:"username"`
	Status       Status `json:"status"`
	CustomStatus string `json:"customStatus,omitempty"`
	Timestamp    Time   `json:"timestamp"`
}

// AppendJSON appends the payload.
func (p *PresenceUpdate) AppendJSON(dst []byte) []byte {
	dst = appendText(dst, `{"userId":`, p.UserID)
	dst = appendText(dst, `,"username":`, p.Username)
	dst = appendText(dst, `,"status":`, p.Status)
	if p.CustomStatus != "" {
		dst = appendText(dst, `,"customStatus":`, p.CustomStatus)
	}
	dst = appendTime(dst, `,"timestamp":`, p.Timestamp)
	return append(dst, '}')
}
