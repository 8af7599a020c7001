package event

import (
	"sync"

	"github.com/confab-chat/confab/proto/wire"
)

// Broadcast returns the broadcast of a server event in its class of the catalog.
func Broadcast(name string, payload Payload) *wire.Broadcast {
	return &wire.Broadcast{Event: name, Data: payload.AppendJSON(nil), Class: classes()[name]}
}

// classes is the class of every server event, by name.
var classes = sync.OnceValue(func() map[string]wire.Class {
	all := make(map[string]wire.Class)
	for _, def := range ServerEvents() {
		all[def.Name] = def.Class
	}
	return all
})
