// Package subject is the only place where a NATS subject, queue group, stream
// or bucket name of Confab is spelled. Room and user ids reach a subject only
// as tokens (see [Room], [User]), so that no id can inject a wildcard, a dot
// or a line break. The leading chat.v1 is the wire version of the payloads.
package subject

import "strconv"

// Shards is the number of room shards, of user shards and of permit shards.
// It is fixed for the life of a cluster: it is part of every stored subject.
const Shards = 64

const root = "chat.v1."

// Queue groups.
const (
	QueueRoom  = "room"
	QueueLimit = "rl"
)

// RoomOp is an operation on a room, a token of the subject: one of the following, or
// the name of a client event that is forwarded (wire.Command). The room goes in the
// payload.
type RoomOp string

const (
	OpJoin  RoomOp = "join"
	OpLeave RoomOp = "leave"
	OpSend  RoomOp = "send"
	OpHist  RoomOp = "hist"
	OpHeads RoomOp = "heads"
	OpCheck RoomOp = "check" // of what the edge holds in the shard, users included
	// OpRepeat asks for the numbered events of the shard again, those of users included.
	OpRepeat RoomOp = "repeat"
)

// UserOp is an operation on a user's presence: one of the following, or the name of a
// client event that is forwarded (wire.Command).
type UserOp string

const (
	OpUserUp   UserOp = "up"   // first connection of a user on an edge, or its rooms changed
	OpUserDown UserOp = "down" // last connection of a user on an edge closed
	OpUserGet  UserOp = "get"  // getPresence
)

// LimitOp is an operation on a user's permits.
type LimitOp string

const (
	OpTake   LimitOp = "take"
	OpReturn LimitOp = "return" // a stopping edge returns leases
)

// RoomCommand is where edges send room commands; the owner of shard subscribes in QueueRoom.
func RoomCommand(shard int, op RoomOp) string {
	return root + "room." + strconv.Itoa(shard) + ".cmd." + string(op)
}

// RoomCommands is what the owner of shard subscribes to.
func RoomCommands(shard int) string { return root + "room." + strconv.Itoa(shard) + ".cmd.*" }

// RoomTyping is where edges report, at most once, that a user types.
func RoomTyping(shard int) string { return root + "room." + strconv.Itoa(shard) + ".typing" }

// RoomLog is the log subject of a room: one subject per room, in stream LogStream.
func RoomLog(shard int, token string) string {
	return root + "log." + strconv.Itoa(shard) + "." + token
}

// LogShard matches the log subjects of every room of a shard.
func LogShard(shard int) string { return root + "log." + strconv.Itoa(shard) + ".>" }

// LogProbe is where the owner of a shard checks that the shard's stream stores. No room has it:
// tokens begin with a letter.
func LogProbe(shard int) string { return RoomLog(shard, "_probe") }

// LogStream is the name of log stream k of n; shard s is stored in stream s mod n.
func LogStream(k int) string { return "LOG_" + strconv.Itoa(k) }

// StreamLedger is the stream of the shards' ledgers.
const StreamLedger = "LEDGER"

// Ledger is the subject of a shard's ledger: who is here, in rooms and online.
func Ledger(shard int) string { return root + "ledger." + strconv.Itoa(shard) }

// LedgerAll matches every ledger.
const LedgerAll = root + "ledger.*"

// RoomBroadcast is where the owner publishes to the edges that hold the room.
func RoomBroadcast(shard int, token string) string {
	return root + "bc." + strconv.Itoa(shard) + "." + token
}

// Head is the owner's digest of rooms whose head moved in the last seconds.
func Head(shard int) string { return root + "head." + strconv.Itoa(shard) }

// HeadAll matches every head digest.
const HeadAll = root + "head.*"

// UserCommand is where edges send presence commands; the owner of the shard in room answers.
func UserCommand(shard int, op UserOp) string {
	return root + "user." + strconv.Itoa(shard) + ".cmd." + string(op)
}

// UserCommands is what the owner of a user shard subscribes to.
func UserCommands(shard int) string { return root + "user." + strconv.Itoa(shard) + ".cmd.*" }

// UserBroadcast is where the owner of a user shard publishes to all edges.
func UserBroadcast(shard int) string { return root + "userbc." + strconv.Itoa(shard) }

// UserBroadcastAll matches every user broadcast.
const UserBroadcastAll = root + "userbc.*"

// Limit is where edges request permits; the owner of the shard in ratelimit answers.
func Limit(shard int, op LimitOp) string {
	return root + "rl." + strconv.Itoa(shard) + "." + string(op)
}

// Limits is what the owner of a permit shard subscribes to.
func Limits(shard int) string { return root + "rl." + strconv.Itoa(shard) + ".*" }

// Edge control.
const (
	// EdgesSync asks every edge for the members and users it holds in a shard.
	EdgesSync = root + "ctl.edges.sync"
	// EdgesLeases asks every edge for the leases of limits that it holds in a shard.
	EdgesLeases = root + "ctl.edges.leases"
)

// PeerOp is an operation that one edge requests from another.
type PeerOp string

const (
	OpPoll    PeerOp = "poll"    // a request of long-polling for one of its sessions
	OpRecover PeerOp = "recover" // a Socket.IO session that it had
)

// EdgePeer is where the edge with that token receives requests of other edges. The token is
// letters and digits, new at each start of an edge, and part of the session ids of clients.
func EdgePeer(token string, op PeerOp) string { return root + "ctl.edge." + token + "." + string(op) }

// EdgeRecall is where the owner of a user's limits ends the lease of an edge.
func EdgeRecall(edge string) string { return root + "ctl.edge." + edge + ".recall" }

// Heartbeat and Telemetry of one instance of a service.
func Heartbeat(service, instance string) string { return root + "hb." + service + "." + instance }
func Telemetry(service, instance string) string { return root + "tel." + service + "." + instance }

// HeartbeatAll, HeartbeatOf and TelemetryAll match those of many instances.
const (
	HeartbeatAll = root + "hb.>"
	TelemetryAll = root + "tel.>"
)

// HeartbeatOf matches the heartbeats of one service.
func HeartbeatOf(service string) string { return root + "hb." + service + ".*" }

// Monitor's endpoints, for the edge's port: request and reply. The payload of a
// request for stats is the cursor of the URL, empty for none; the reply's payload
// is the JSON body, its header HeaderStatus HTTP's status.
const (
	APIHealth    = root + "api.health"
	APIStats     = root + "api.stats"
	HeaderStatus = "Status"
)

// Bucket and stream names.
const (
	BucketOwners = "chat_own" // leases, see shared/partition
	BucketConfig = "chat_cfg" // shard and stream counts, checked at start
)
