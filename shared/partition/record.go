package partition

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/shared/partition/internal/lease"
)

// record is the value of a lease or an announcement. JSON, so that operators
// can read the bucket with the nats tool.
type record struct {
	Instance   string `json:"instance"`
	Generation string `json:"gen"`
	Epoch      uint64 `json:"epoch,omitempty"` // absent in the record that begins the lease: it is its revision
}

func (r record) encode() []byte {
	b, err := json.Marshal(r)
	if err != nil {
		panic("partition: " + err.Error()) // strings and a number: cannot be
	}
	return b
}

// keys are the subjects of a group in the bucket.
type keys struct{ prefix string }

const instanceToken = "inst."

func newKeys(group string) keys { return keys{prefix: bucketPrefix + group + "."} }

func (k keys) all() string                 { return k.prefix + ">" }
func (k keys) lease(shard int) string      { return k.prefix + strconv.Itoa(shard) }
func (k keys) instance(name string) string { return k.prefix + instanceToken + name }

// parse tells whose key a subject is: an instance's, or if name is empty a
// shard's. ok is false for anything else, such as a shard beyond shards.
func (k keys) parse(subject string, shards int) (name string, shard int, ok bool) {
	rest, ok := strings.CutPrefix(subject, k.prefix)
	if !ok {
		return "", 0, false
	}
	if name, ok := strings.CutPrefix(rest, instanceToken); ok {
		return name, 0, token.MatchString(name)
	}
	shard, err := strconv.Atoi(rest)
	return "", shard, err == nil && shard >= 0 && shard < shards && rest == strconv.Itoa(shard)
}

// Headers of the bucket's records. The first two are how a key-value bucket
// and the server mark the end of a key.
const (
	headerOperation = "KV-Operation"
	headerMarker    = "Nats-Marker-Reason"
	headerTTL       = "Nats-TTL"
	headerExpect    = "Nats-Expected-Last-Subject-Sequence"
	headerStatus    = "Status"

	operationPurge = "PURGE"
)

// ended says whether a stored message is the marker of the end of its key.
func ended(m *nats.Msg) bool {
	return len(m.Header) > 0 && (m.Header.Get(headerOperation) != "" || m.Header.Get(headerMarker) != "")
}

// answerKind is what became of a publication.
type answerKind uint8

const (
	stored   answerKind = iota
	refused             // another revision than expected
	unstored            // nobody listens: the stream is gone or has no leader
	failed
)

// Error codes of a lost compare-and-set: with one replica, and with several.
const (
	errWrongLastSequence         = 10071
	errWrongLastSequenceConstant = 10164
)

// parseAnswer reads what JetStream answered to a publication.
func parseAnswer(m *nats.Msg) (kind answerKind, revision uint64) {
	if len(m.Data) == 0 || m.Header.Get(headerStatus) != "" {
		return unstored, 0
	}
	var a struct {
		Seq   uint64 `json:"seq"`
		Error *struct {
			Code int `json:"err_code"`
		} `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &a); err != nil {
		return failed, 0
	}
	switch {
	case a.Error == nil && a.Seq > 0:
		return stored, a.Seq
	case a.Error != nil && (a.Error.Code == errWrongLastSequence || a.Error.Code == errWrongLastSequenceConstant):
		return refused, 0
	}
	return failed, 0
}

// answerSubject is the reply subject of publication op for a shard.
func answerSubject(inbox string, shard int, op uint64) string {
	return inbox + "." + strconv.Itoa(shard) + "." + strconv.FormatUint(op, 10)
}

// parseAnswerSubject is the reverse.
func parseAnswerSubject(inbox, subject string, shards int) (shard int, op uint64, ok bool) {
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

// publication is the message of an action of the table; nil if it is none.
func (r *run) publication(a lease.Action) *nats.Msg {
	m := &nats.Msg{Header: nats.Header{}}
	switch a.Verb {
	case lease.Announce:
		m.Subject, m.Data = r.keys.instance(r.o.Instance), r.self.encode()
		m.Header[headerTTL] = []string{r.ttl}
		return m
	case lease.Withdraw:
		m.Subject = r.keys.instance(r.o.Instance)
		m.Header[headerOperation] = []string{operationPurge}
		m.Header[headerTTL] = []string{markerTTL.String()}
		return m
	case lease.Claim, lease.Renew:
		rec := r.self
		rec.Epoch = a.Epoch
		m.Data = rec.encode()
		m.Header[headerTTL] = []string{r.ttl}
	case lease.Drop:
		m.Header[headerOperation] = []string{operationPurge}
		m.Header[headerTTL] = []string{markerTTL.String()}
	default:
		return nil
	}
	m.Subject = r.keys.lease(a.Shard)
	m.Reply = answerSubject(r.inbox, a.Shard, a.Op)
	m.Header[headerExpect] = []string{strconv.FormatUint(a.Expect, 10)}
	return m
}
