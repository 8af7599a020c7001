package bucket

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Record is the value of a lease or an announcement. JSON, so that operators
// can read the bucket with the nats tool.
type Record struct {
	Instance   string `json:"instance"`
	Generation string `json:"gen"`
	Epoch      uint64 `json:"epoch,omitempty"` // absent in the lease's first record, whose revision is the epoch
}

// Keys are the subjects of one group in the bucket.
type Keys struct{ prefix string }

const instanceToken = "inst."

var token = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// Token reports whether s is valid as the name of a group or an instance.
func Token(s string) bool { return token.MatchString(s) }

// NewKeys returns the keys of a group.
func NewKeys(group string) Keys { return Keys{prefix: subjectPrefix + group + "."} }

// All matches every key of the group.
func (k Keys) All() string { return k.prefix + ">" }

// Lease is the key of a shard.
func (k Keys) Lease(shard int) string { return k.prefix + strconv.Itoa(shard) }

// Instance is the key of an instance's announcement.
func (k Keys) Instance(name string) string { return k.prefix + instanceToken + name }

// Parse returns the instance name, or if name is empty the shard, to which a key belongs.
// ok is false for any other subject, such as that of a shard beyond shards.
func (k Keys) Parse(subject string, shards int) (name string, shard int, ok bool) {
	rest, ok := strings.CutPrefix(subject, k.prefix)
	if !ok {
		return "", 0, false
	}
	if name, ok := strings.CutPrefix(rest, instanceToken); ok {
		return name, 0, Token(name)
	}
	shard, err := strconv.Atoi(rest)
	return "", shard, err == nil && shard >= 0 && shard < shards && rest == strconv.Itoa(shard)
}

// Headers of the bucket's messages.
const (
	headerOperation = "KV-Operation"       // how a client ends a key
	headerMarker    = "Nats-Marker-Reason" // how the server does
	headerTTL       = "Nats-TTL"
	headerExpect    = "Nats-Expected-Last-Subject-Sequence"
	headerStatus    = "Status"

	operationPurge = "PURGE" // with a TTL it leaves nothing behind; DEL would leave another marker
)

// Put returns the publication of a record that expires after ttl. A key-value client
// cannot send it: its Update drops the TTL.
func Put(key string, r Record, ttl time.Duration) *nats.Msg {
	value, err := json.Marshal(r)
	if err != nil {
		panic("bucket: " + err.Error()) // strings and a number: cannot be
	}
	return &nats.Msg{Subject: key, Data: value, Header: nats.Header{headerTTL: []string{ttl.String()}}}
}

// End returns the publication that ends a key.
func End(key string) *nats.Msg {
	return &nats.Msg{Subject: key, Header: nats.Header{
		headerOperation: []string{operationPurge},
		headerTTL:       []string{MarkerTTL.String()},
	}}
}

// Expect makes a publication a compare-and-set: it is stored only if the last revision of
// its key is revision (0: if the key has none).
func Expect(m *nats.Msg, revision uint64) {
	m.Header[headerExpect] = []string{strconv.FormatUint(revision, 10)}
}

// Ended reports whether a stored message marks the end of its key.
func Ended(m *nats.Msg) bool {
	return len(m.Header) > 0 && (m.Header.Get(headerOperation) != "" || m.Header.Get(headerMarker) != "")
}

// Answer is the outcome of a publication.
type Answer uint8

const (
	Stored  Answer = iota
	Refused        // the last revision was not the expected one
	Unheard        // no responders: the stream does not exist or has no leader
	Failed         // anything else
)

// Error codes of a lost compare-and-set: with one replica, and with several.
const (
	errWrongLastSequence         = 10071
	errWrongLastSequenceConstant = 10164
)

// ParseAnswer parses JetStream's answer. revision is set if a is Stored.
func ParseAnswer(m *nats.Msg) (a Answer, revision uint64) {
	if len(m.Data) == 0 || m.Header.Get(headerStatus) != "" {
		return Unheard, 0
	}
	var ack struct {
		Seq   uint64 `json:"seq"`
		Error *struct {
			Code int `json:"err_code"`
		} `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &ack); err != nil {
		return Failed, 0
	}
	switch {
	case ack.Error == nil && ack.Seq > 0:
		return Stored, ack.Seq
	case ack.Error != nil && (ack.Error.Code == errWrongLastSequence || ack.Error.Code == errWrongLastSequenceConstant):
		return Refused, 0
	}
	return Failed, 0
}

// AnswerSubject returns the reply subject, below inbox, of publication op for a shard.
func AnswerSubject(inbox string, shard int, op uint64) string {
	return inbox + "." + strconv.Itoa(shard) + "." + strconv.FormatUint(op, 10)
}

// ParseAnswerSubject is the reverse of AnswerSubject.
func ParseAnswerSubject(inbox, subject string, shards int) (shard int, op uint64, ok bool) {
	rest, ok := strings.CutPrefix(subject, inbox+".")
	if !ok {
		return 0, 0, false
	}
	a, b, _ := strings.Cut(rest, ".")
	shard, err := strconv.Atoi(a)
	if err != nil || shard < 0 || shard >= shards {
		return 0, 0, false
	}
	op, err = strconv.ParseUint(b, 10, 64)
	return shard, op, err == nil
}
