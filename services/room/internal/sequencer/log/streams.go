package log

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/confab-chat/confab/proto/subject"
)

// Config says how the streams are made.
type Config struct {
	Streams  int // 1 to subject.Shards; fixed once they exist
	Replicas int
}

// Names under which subject.BucketConfig remembers what cannot change.
const (
	keyStreams = "log_streams"
	keyShards  = "shards"
)

// Provision creates what is missing of the streams and brings the number of
// replicas up to date. Doing it again, or at the same time elsewhere, changes
// nothing. ErrMismatch: they exist with another stream or shard count, or with
// settings under which messages get lost; any other error may go away by itself.
func Provision(ctx context.Context, js jetstream.JetStream, c Config) error {
	if err := pinCounts(ctx, js, c); err != nil {
		return err
	}
	for k := range c.Streams {
		if err := provisionStream(ctx, js, c.stream(k)); err != nil {
			return fmt.Errorf("provision stream %s: %w", subject.LogStream(k), err)
		}
	}
	return nil
}

// stream is the configuration of stream k. It has no limits of its own: those of
// JetStream know neither the last record of a room, from which its numbers go on,
// nor the window of de-duplication. Owners remove what is not to be kept.
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
		DenyDelete:  true, // a hole in a room's seq could not be told from a loss
	}
}

// remember writes the counts that every stored subject depends on, or compares
// them with those of whoever came first.
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
	kv, err := js.KeyValue(ctx, subject.BucketConfig)
	if err == nil {
		err = setReplicas(ctx, js, "KV_"+subject.BucketConfig, replicas)
	}
	if !errors.Is(err, jetstream.ErrBucketNotFound) {
		return kv, err
	}
	kv, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket:      subject.BucketConfig,
		Description: "counts that cannot change once data is stored",
		Replicas:    replicas,
	})
	if errors.Is(err, jetstream.ErrBucketExists) { // somebody else's came first
		return js.KeyValue(ctx, subject.BucketConfig)
	}
	return kv, err
}

// replicate gives a stream as many replicas as that.
func setReplicas(ctx context.Context, js jetstream.JetStream, name string, replicas int) error {
	s, err := js.Stream(ctx, name)
	if err != nil || s.CachedInfo().Config.Replicas == replicas {
		return err
	}
	c := s.CachedInfo().Config
	c.Replicas = replicas
	_, err = js.UpdateStream(ctx, c)
	return err
}

func pinCount(ctx context.Context, kv jetstream.KeyValue, key, want string) error {
	_, err := kv.Create(ctx, key, []byte(want))
	if !errors.Is(err, jetstream.ErrKeyExists) {
		return err
	}
	e, err := kv.Get(ctx, key)
	if err != nil {
		return err
	}
	if got := string(e.Value()); got != want {
		return fmt.Errorf("%w: it is %q, this configuration says %q", ErrMismatch, got, want)
	}
	return nil
}

func provisionStream(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig) error {
	_, err := js.CreateStream(ctx, want)
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse):
		return err
	}
	s, err := js.Stream(ctx, want.Name)
	if err != nil {
		return err
	}
	have := s.CachedInfo().Config
	if why := mismatch(have, want); why != "" {
		return fmt.Errorf("%w: %s", ErrMismatch, why)
	}
	if have.Replicas == want.Replicas && have.AllowDirect && have.MaxMsgsPerSubject <= 0 {
		return nil
	}
	have.Replicas, have.AllowDirect = want.Replicas, true
	have.MaxMsgsPerSubject = -1 // releases before had JetStream count
	_, err = js.UpdateStream(ctx, have)
	return err
}

// differs says what of a stream that exists cannot be changed, or was set by
// somebody who must know that it loses messages; empty when nothing is.
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
		return "nothing can be removed from it, so retention does not work"
	case have.MaxAge != 0:
		return "it has a max_age, which would take the last message of a quiet room"
	case have.Discard == jetstream.DiscardOld && (have.MaxBytes > 0 || have.MaxMsgs > 0):
		return "it discards old messages when it is full, whichever they are"
	}
	return ""
}
