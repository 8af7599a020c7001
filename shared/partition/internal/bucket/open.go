// Package bucket defines the key-value bucket of the leases: its creation, its keys and
// records, and the server's answers.
package bucket

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/confab-chat/confab/proto/subject"
)

// ErrUnusable is returned for a bucket that was created without the features that leases
// need.
var ErrUnusable = errors.New("bucket has no message ttl or no limit markers")

const (
	// Stream is the bucket's stream.
	Stream = "KV_" + subject.BucketOwners

	subjectPrefix = "$KV." + subject.BucketOwners + "."

	// MarkerTTL is how long the server keeps the marker of a key's end. Open watches
	// receive the marker at once.
	MarkerTTL = time.Minute

	// writtenAfter is the age from which an empty bucket counts as one that lost its
	// memory. A younger one may just have been created by another instance.
	writtenAfter = 10 * time.Second
)

// Open ensures that the bucket exists and that its next revision is above floor. rewound
// reports that it is known not to be.
//
// Epochs are revisions and must grow over a loss of the bucket, which is in memory. So a
// new bucket starts at the current unix time in microseconds, far above any revision of an
// earlier one, which cannot have had a million changes per second. NATS recreates a
// replicated bucket whose servers have all restarted, empty and with its old first
// revision: Open moves it forward by a purge. It also raises the number of replicas if
// necessary: a cluster may have grown out of one server.
func Open(ctx context.Context, js jetstream.JetStream, replicas int, floor uint64, rewound bool) error {
	s, err := js.Stream(ctx, Stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		s, err = js.CreateStream(ctx, config(replicas, firstRevision(time.Now(), floor)))
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			s, err = js.Stream(ctx, Stream) // another instance was faster
		}
	}
	if err != nil {
		return fmt.Errorf("open bucket %s: %w", subject.BucketOwners, err)
	}
	info := s.CachedInfo()
	if !info.Config.AllowMsgTTL || info.Config.SubjectDeleteMarkerTTL <= 0 {
		return fmt.Errorf("open bucket %s: %w", subject.BucketOwners, ErrUnusable)
	}
	if info.Config.Replicas < replicas {
		more := info.Config
		more.Replicas = replicas
		if _, err := js.UpdateStream(ctx, more); err != nil {
			return fmt.Errorf("set bucket %s to %d replicas: %w", subject.BucketOwners, replicas, err)
		}
	}
	if !rewound && !forgot(info, time.Now()) {
		return nil
	}
	// Rounded up, so that instances that notice together purge to the same
	// revision and the second one removes nothing.
	first := firstRevision(time.Now().Truncate(time.Minute).Add(time.Minute), floor)
	if err := s.Purge(ctx, jetstream.WithPurgeSequence(first)); err != nil {
		return fmt.Errorf("move bucket %s forward: %w", subject.BucketOwners, err)
	}
	return nil
}

// firstRevision returns the first revision of a bucket created at now.
func firstRevision(now time.Time, floor uint64) uint64 {
	return max(uint64(now.UnixMicro()), floor+1)
}

// forgot reports whether the bucket has never been written to although it is not new.
func forgot(info *jetstream.StreamInfo, now time.Time) bool {
	unwritten := info.State.Msgs == 0 && info.State.LastSeq+1 <= max(1, info.Config.FirstSeq)
	return unwritten && info.State.LastSeq+1 < uint64(now.Add(-writtenAfter).UnixMicro())
}

// config returns what [jetstream.JetStream.CreateKeyValue] would send, plus the first
// revision, which that function cannot set.
func config(replicas int, first uint64) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:                   Stream,
		Description:            "who owns which shard",
		Subjects:               []string{subjectPrefix + ">"},
		Storage:                jetstream.MemoryStorage,
		Replicas:               replicas,
		MaxMsgsPerSubject:      1,
		MaxMsgs:                -1,
		MaxBytes:               -1,
		MaxMsgSize:             -1,
		MaxConsumers:           -1,
		Discard:                jetstream.DiscardNew,
		AllowRollup:            true,
		DenyDelete:             true,
		AllowDirect:            true,
		AllowMsgTTL:            true,
		SubjectDeleteMarkerTTL: MarkerTTL,
		FirstSeq:               first,
	}
}
