package log

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/confab-chat/confab/proto/subject"
)

// Config is how the streams are created.
type Config struct {
	Streams  int // 1 to subject.Shards; fixed once they exist
	Replicas int
	Durable  bool // an append is acknowledged after it was written
}

// Keys in subject.BucketConfig of the counts that cannot change.
const (
	keyStreams = "log_streams"
	keyShards  = "shards"
)

// Provision creates the streams that are missing and updates the number of replicas. It is
// idempotent and may run in several processes at once. A request without an answer is repeated
// until ctx ends. ErrMismatch: the streams exist with another stream or shard count, or with
// settings that lose messages; after any other error it may be retried.
func Provision(ctx context.Context, js jetstream.JetStream, c Config) error {
	if err := pinCounts(ctx, js, c); err != nil {
		return err
	}
	for k := range c.Streams {
		if err := provisionStream(ctx, js, c.stream(k), c.Durable); err != nil {
			return fmt.Errorf("provision stream %s: %w", subject.LogStream(k), err)
		}
	}
	if err := provisionStream(ctx, js, c.ledger(), false); err != nil {
		return fmt.Errorf("provision stream %s: %w", subject.StreamLedger, err)
	}
	return nil
}

// ledger returns the configuration of the stream of who is here. Owners shorten it.
func (c Config) ledger() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        subject.StreamLedger,
		Description: "who is here, one subject a shard",
		Subjects:    []string{subject.LedgerAll},
		Storage:     jetstream.FileStorage,
		Retention:   jetstream.LimitsPolicy,
		Replicas:    c.Replicas,
		AllowDirect: true,
		DenyDelete:  true,
	}
}

// requestTimeout is how long a request of Provision waits for its answer before it is repeated.
// A cluster without a leader, or whose stream another process is creating, does not answer at
// all; most answers take milliseconds.
const requestTimeout = time.Second

// request sends an idempotent request, and repeats it until it is answered or ctx ends.
func request[T any](ctx context.Context, send func(ctx context.Context) (T, error)) (T, error) {
	for {
		once, cancel := context.WithTimeout(ctx, requestTimeout)
		answer, err := send(once)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return answer, err
		}
	}
}

func streamInfo(ctx context.Context, js jetstream.JetStream, name string) (jetstream.Stream, error) {
	return request(ctx, func(ctx context.Context) (jetstream.Stream, error) { return js.Stream(ctx, name) })
}

func updateStream(ctx context.Context, js jetstream.JetStream, c jetstream.StreamConfig) error {
	_, err := request(ctx, func(ctx context.Context) (jetstream.Stream, error) { return js.UpdateStream(ctx, c) })
	return err
}

// stream returns the configuration of stream k. It has no limits: JetStream's would remove
// the last record of a room, from which its seqs continue, and the de-duplication window.
// The owners of rooms remove what is not to be kept.
func (c Config) stream(k int) jetstream.StreamConfig {
	var subjects []string
	for s := k; s < subject.Shards; s += c.Streams {
		subjects = append(subjects, subject.LogShard(s))
	}
	return jetstream.StreamConfig{
		Name:        subject.LogStream(k),
		Description: "chat messages, one subject a room",
		Subjects:    subjects,
		Storage:     jetstream.FileStorage,
		Retention:   jetstream.LimitsPolicy,
		Replicas:    c.Replicas,
		AllowDirect: true,
		DenyDelete:  true, // a hole in a room's seq would look like a loss
	}
}

// pinCounts writes the counts that every stored subject depends on, or compares them with
// those that are stored already.
func pinCounts(ctx context.Context, js jetstream.JetStream, c Config) error {
	kv, err := openBucket(ctx, js, c.Replicas)
	if err != nil {
		return fmt.Errorf("open bucket %s: %w", subject.BucketConfig, err)
	}
	for key, want := range map[string]int{keyStreams: c.Streams, keyShards: subject.Shards} {
		if err := pinCount(ctx, kv, key, strconv.Itoa(want)); err != nil {
			return fmt.Errorf("setting %s in %s: %w", key, subject.BucketConfig, err)
		}
	}
	return nil
}

func openBucket(ctx context.Context, js jetstream.JetStream, replicas int) (jetstream.KeyValue, error) {
	existing := func(ctx context.Context) (jetstream.KeyValue, error) { return js.KeyValue(ctx, subject.BucketConfig) }
	kv, err := request(ctx, existing)
	if err == nil {
		err = setReplicas(ctx, js, "KV_"+subject.BucketConfig, replicas)
	}
	if !errors.Is(err, jetstream.ErrBucketNotFound) {
		return kv, err
	}
	kv, err = request(ctx, func(ctx context.Context) (jetstream.KeyValue, error) {
		return js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket:      subject.BucketConfig,
			Description: "counts that cannot change once data is stored",
			Replicas:    replicas,
		})
	})
	if errors.Is(err, jetstream.ErrBucketExists) { // another process was faster
		return request(ctx, existing)
	}
	return kv, err
}

// setReplicas updates the number of replicas of a stream.
func setReplicas(ctx context.Context, js jetstream.JetStream, name string, replicas int) error {
	s, err := streamInfo(ctx, js, name)
	if err != nil || s.CachedInfo().Config.Replicas == replicas {
		return err
	}
	c := s.CachedInfo().Config
	c.Replicas = replicas
	return updateStream(ctx, js, c)
}

func pinCount(ctx context.Context, kv jetstream.KeyValue, key, want string) error {
	_, err := request(ctx, func(ctx context.Context) (uint64, error) { return kv.Create(ctx, key, []byte(want)) })
	if !errors.Is(err, jetstream.ErrKeyExists) {
		return err
	}
	e, err := request(ctx, func(ctx context.Context) (jetstream.KeyValueEntry, error) { return kv.Get(ctx, key) })
	if err != nil {
		return err
	}
	if got := string(e.Value()); got != want {
		return fmt.Errorf("%w: it is %q, this configuration says %q", ErrMismatch, got, want)
	}
	return nil
}

func provisionStream(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig, durable bool) error {
	_, err := request(ctx, func(ctx context.Context) (jetstream.Stream, error) { return js.CreateStream(ctx, want) })
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse):
		return err
	}
	s, err := streamInfo(ctx, js, want.Name)
	if err != nil {
		return err
	}
	have := s.CachedInfo().Config
	why := mismatch(have, want)
	if why == "" && durable && have.PersistMode == jetstream.AsyncPersistMode {
		why = "its persist_mode is async, so it acknowledges before it writes"
	}
	if why != "" {
		return fmt.Errorf("%w: %s", ErrMismatch, why)
	}
	if have.Replicas == want.Replicas && have.AllowDirect && have.MaxMsgsPerSubject <= 0 {
		return nil
	}
	have.Replicas, have.AllowDirect = want.Replicas, true
	have.MaxMsgsPerSubject = -1 // earlier releases set it
	return updateStream(ctx, js, have)
}

// mismatch returns which setting of an existing stream cannot be changed, or was changed by
// an operator and loses messages; "" when the stream is usable.
func mismatch(have, want jetstream.StreamConfig) string {
	switch {
	case !slices.Equal(have.Subjects, want.Subjects):
		return "its subjects"
	case have.Storage != want.Storage:
		return "its storage is not a file"
	case have.Retention != want.Retention:
		return "its retention policy"
	case !have.DenyDelete:
		return "messages can be deleted from it"
	case have.DenyPurge || have.Sealed:
		return "messages cannot be purged from it, so retention does not work"
	case have.MaxAge != 0:
		return "it has a max_age, which would remove the last message of a quiet room"
	case have.Discard == jetstream.DiscardOld && (have.MaxBytes > 0 || have.MaxMsgs > 0):
		return "it discards old messages when it is full"
	}
	return ""
}
