package e2e_test

import (
	"fmt"

	"github.com/confab-chat/confab/proto/code"
)

// PinMessage: everybody in the room sees it; another room's messages cannot be pinned.
func (contract) PinMessage(sc *scene) {
	all := sc.gather("#r", "ann", "bob")
	ann, bob := all[0], all[1]
	id := ann.says("#r", "pin me", 1, bob).text("id")
	bob.do(`pinMessage {"roomId":"#r","messageId":"` + id + `"}`)
	update := fmt.Sprintf(`pinUpdate {"roomId":"#r","userId":"@bob","username":"BOB","messageId":%q,"seq":1,"pinnedAt":"<time>"}`, id)
	bob.wantAll(fmt.Sprintf(`re messagePinned {"success":true,"messageId":%q,"seq":1,"pinnedAt":"<time>"}`, id), update)
	ann.want(update)
	for _, wrong := range []string{"x", id + "x", "2-" + id[2:]} {
		bob.refused(code.NotFound, `pinMessage {"roomId":"#r","messageId":"`+wrong+`"}`)
	}
	other := sc.conn("carol")
	other.refused(code.NotInRoom, `pinMessage {"roomId":"#r","messageId":"`+id+`"}`)
}
