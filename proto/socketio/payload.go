package socketio

import (
	"encoding/json"
	"slices"
)

// CheckAttachments returns ErrPacket unless the payload of a binary packet has exactly
// one placeholder for each of its attachments.
func CheckAttachments(p Packet) error {
	var value any
	if json.Unmarshal(p.Data, &value) != nil {
		return ErrPacket
	}
	found := appendPlaceholders(nil, value)
	slices.Sort(found)
	for i, num := range found {
		if num != float64(i) {
			return ErrPacket
		}
	}
	if len(found) != p.Attachments {
		return ErrPacket
	}
	return nil
}

// appendPlaceholders appends the numbers of the placeholders in value; -1 for one that
// has none.
func appendPlaceholders(dst []float64, value any) []float64 {
	switch v := value.(type) {
	case []any:
		for _, e := range v {
			dst = appendPlaceholders(dst, e)
		}
	case map[string]any:
		if v["_placeholder"] == true {
			num, ok := v["num"].(float64)
			if !ok {
				num = -1
			}
			return append(dst, num)
		}
		for _, e := range v {
			dst = appendPlaceholders(dst, e)
		}
	}
	return dst
}

// SplitEvent returns an event's name, which may be a number in the payload, and its
// arguments.
func SplitEvent(data []byte) (name string, arguments []json.RawMessage, err error) {
	var all []json.RawMessage
	if json.Unmarshal(data, &all) != nil || len(all) == 0 {
		return "", nil, ErrPacket
	}
	var value any
	_ = json.Unmarshal(all[0], &value) // value stays nil for a number that is too large
	switch v := value.(type) {
	case string:
		name = v
	case float64:
		name = string(all[0])
	default:
		return "", nil, ErrPacket
	}
	if Reserved(name) {
		return "", nil, ErrPacket
	}
	return name, all[1:], nil
}

// Reserved reports whether the client library itself emits events of that name. No
// client sends them.
func Reserved(name string) bool {
	switch name {
	case "connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener":
		return true
	}
	return false
}
