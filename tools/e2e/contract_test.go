package e2e_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestContract is everything that needs no particular settings.
func TestContract(t *testing.T) { run(t, contract(), shared()...) }

// TestContractPortable is the same over goroutines instead of epoll, as on systems
// that have none.
func TestContractPortable(t *testing.T) {
	if os.Getenv("CONFAB_TEST_LONG") == "" {
		t.Skip("slow: set CONFAB_TEST_LONG=1 (bash .ci/run does)")
	}
	run(t, contract(), append(shared(), "CONFAB_EDGE_IO=goroutine")...)
}

// shared are settings under which tests can be in one suite. Limits are high, and
// not off, so that permits are asked for. Presence is told in shared rooms only, so
// that tests do not hear each other.
func shared() []string {
	return []string{
		"CONFAB_LIMIT_MESSAGES=100000", "CONFAB_LIMIT_JOINS=100000", "CONFAB_LIMIT_TYPING=100000",
		"CONFAB_PRESENCE_SCOPE=rooms",
	}
}

func contract() map[string]func(*scene) {
	return map[string]func(*scene){
		"join and leave":          joinAndLeave,
		"join: room names":        roomNames,
		"join: hundred rooms":     hundredRooms,
		"join: display names":     displayNames,
		"not in room":             notInRoom,
		"payloads":                payloads,
		"send":                    send,
		"send: texts":             texts,
		"send: order":             sendOrder,
		"send: server's values":   serversValues,
		"duplicates":              duplicates,
		"duplicates: at once":     duplicatesAtOnce,
		"duplicates: reconnect":   duplicatesAfterReconnect,
		"duplicates: conflict":    conflict,
		"typing":                  typing,
		"typing: ends by itself":  typingExpires,
		"stats":                   roomStats,
		"heartbeat":               heartbeat,
		"history":                 history,
		"since":                   since,
		"since: while talking":    sinceWhileTalking,
		"since: reconnect":        sinceAfterReconnect,
		"read":                    messageRead,
		"read: coalesced":         messageReadCoalesced,
		"departure: at once":      departureAtOnce,
		"departure: lost":         departureLost,
		"departure: coming back":  departureComingBack,
		"presence: status":        presenceStatus,
		"presence: shared rooms":  presenceSharedRooms,
		"presence: offline":       presenceOffline,
		"crowd":                   crowd,
		"frames: ids":             frameIDs,
		"frames: unknown":         unknownEvents,
		"frames: broken":          brokenJSON,
		"frames: sizes":           frameSizes,
		"frames: protocol faults": protocolFaults,
		"frames: early":           earlyFrame,
		"auth: refusals":          authRefusals,
		"auth: where":             authPlaces,
		"auth: refresh":           refresh,
		"auth: expiry":            expiry,
		"auth: dev token":         devToken,
		"http":                    httpDoors,
	}
}
