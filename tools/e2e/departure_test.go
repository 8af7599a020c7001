package e2e_test

import (
	"fmt"

	"github.com/gobwas/ws"
)

func left(user string) string { return leftRoom(user, "#r") }

func leftRoom(user, room string) string {
	return fmt.Sprintf(`userLeft {"userId":"@%s","username":"<text>","roomId":%q,"timestamp":"<time>"}`, user, room)
}

// DepartureAtOnce: a lost connection is announced after the later departures, because it
// may return within the grace period.
func (contract) DepartureAtOnce(sc *scene) {
	all := sc.gather("#r", "ann", "bob", "carol", "dave", "erin")
	ann, bob, carol, dave, erin := all[0], all[1], all[2], all[3], all[4]
	bob.drop()
	carol.write(closing(ws.StatusNormalClosure))
	ann.want(left("carol"))
	dave.write(closing(ws.StatusGoingAway))
	ann.want(left("dave"))
	erin.do(`leaveRoom {"roomId":"#r"}`)
	ann.want(left("erin"), left("bob"))
}

func closing(code ws.StatusCode) ws.Frame { return ws.NewCloseFrame(ws.NewCloseFrameBody(code, "")) }

// DepartureLost: every other end of a connection is a loss, and announced once.
func (contract) DepartureLost(sc *scene) {
	all := sc.gather("#r", "ann", "bob", "carol")
	ann, bob, carol := all[0], all[1], all[2]
	bob2 := sc.conn("bob")
	bob2.join("#r")
	ann.join("#s")
	carol.join("#s")
	ann.want("userJoined")

	bob.drop() // his other connection is still there
	ann.says("#r", "bob is still here", 1, bob2)
	bob2.write(closing(4999)) // neither 1000 nor 1001
	ann.want(left("bob"))
	carol.drop() // of both rooms
	ann.wantAll(left("carol"), leftRoom("carol", "#s"))
	ann.says("#r", "once each", 2)
}

// DepartureComingBack: carol is lost when bob is back, so that his time is over
// when hers is.
func (contract) DepartureComingBack(sc *scene) {
	all := sc.gather("#r", "ann", "bob", "carol")
	ann, bob, carol := all[0], all[1], all[2]
	bob.drop()
	back := sc.conn("bob")
	back.join("#r")
	carol.drop()
	ann.want(left("carol"))
	back.want(left("carol"))
	ann.says("#r", "nothing about bob", 1, back)

	// A user who leaves while his return is awaited is gone at once.
	dave := sc.conn("dave")
	dave.join("#r")
	ann.want("userJoined")
	dave.drop()
	dave = sc.conn("dave")
	dave.join("#r")
	dave.do(`leaveRoom {"roomId":"#r"}`)
	ann.want(left("dave"))
	ann.says("#r", "once", 2)
}
