package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/confab-chat/confab/shared/config"
	"github.com/confab-chat/confab/tools/internal/contract"
)

const root = "../.."

// Run with -count=1 after a change by hand: go test does not see the file, which is in
// another module. CI generates anew as well.
func TestDocumentIsFresh(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	want, err := rewrite(root, string(raw))
	if err != nil {
		t.Fatal(err)
	}
	if string(raw) != want {
		t.Errorf("%s is stale: run go generate work", file)
	}
	if _, err := rewrite(root, strings.Replace(want, "<!-- end of events -->", "", 1)); err == nil {
		t.Error("a document without its markers is rewritten")
	}
}

func TestSettingNamesAreFresh(t *testing.T) {
	t.Parallel()
	want, err := settingNames()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(config.Known(), "\n")+"\n" != want {
		t.Errorf("%s is stale: run go generate work", namesFile)
	}
}

// The rows as the client contract has them.
func TestRows(t *testing.T) {
	t.Parallel()
	c, err := contract.Read(root)
	if err != nil {
		t.Fatal(err)
	}
	tables := requests(c) + events(c)
	for _, want := range []string{
		"| `joinRoom` | `{roomId, since?}` | `joinedRoom {roomId, activeUsers:[userId], seq, recovered?, timestamp}` |",
		"| `sendMessage` | `{content, roomId, messageType?, clientMessageId?}` | `messageSent {message, duplicate?}` |",
		"| `typing` | `{roomId, isTyping}` | `typingUpdated {success, timestamp, retryAfterMs?}` |",
		"| `getRoomStats` | `{roomId}` | `roomStatsRetrieved {...roomStats}` |",
		"| `heartbeat` | none | `heartbeatResponse {timestamp, userId}` |",
		"| `getHistory` | `{roomId, before?, after?, limit?}` | `history {roomId, messages:[message], hasMore}` |",
		"| `getPresence` | `{userIds?:[userId]}` | `presenceRetrieved {presenceData:[{userId, username, status, customStatus?, isOnline, lastSeen}], timestamp}` |",
		"| `messageRead` | `{messageId, roomId}` | `messageRead {readReceipt:{messageId, userId, username, seq, readAt}}` |",
		"| `receiveMessage` | `{id, content, author:{id, username}, roomId, messageType, seq, timestamp, createdAt, updatedAt}` |",
		"| `roomStats` | `{roomId, userCount, users:[{userId, username}], typingUsers:[userId], createdAt, lastActivity, timestamp}` |",
		"| `error` | see [Errors](#errors): `{success:false, error, message, statusCode, timestamp, retryAfterMs?, event?, ref}` |",
	} {
		if !strings.Contains(tables, want) {
			t.Errorf("no row %s in\n%s", want, tables)
		}
	}
}
