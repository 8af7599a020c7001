package partition

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/confab-chat/confab/proto/subject"
)

const (
	bucketStream = "KV_" + subject.BucketOwners
	bucketPrefix = "$KV." + subject.BucketOwners + "."

	// markerTTL is how long the server remembers the end of a key. Watches that
	// are open learn of it at once.
	markerTTL = time.Minute

	// writtenAfter is how old a bucket without a single record must be to be
	// taken for one that lost its memory instead of one just made by somebody else.
	writtenAfter = 10 * time.Second
)

// openBucket makes sure that the bucket exists and that its next revision is
// above floor. rewound says that it is known not to be.
//
// Epochs are revisions and must grow over a loss of the bucket, which is in
// memory. So a new bucket starts at the present unix time in microseconds, far
// above any revision of an earlier one, which cannot have counted a million
// changes a second. A replicated bucket whose servers all restarted comes back
// by itself, empty, at the old start: it is moved forward by a purge.
func openBucket(ctx context.Context, js jetstream.JetStream, replicas int, floor uint64, rewound bool) error {
	s, err := js.Stream(ctx, bucketStream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		s, err = js.CreateStream(ctx, bucketConfig(replicas, firstRevision(time.Now(), floor)))
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			s, err = js.Stream(ctx, bucketStream) // another instance was faster
		}
	}
	if err != nil {
		return fmt.Errorf("open bucket %s: %w", subject.BucketOwners, err)
	}
	info := s.CachedInfo()
	if !info.Config.AllowMsgTTL || info.Config.SubjectDeleteMarkerTTL <= 0 {
		return fmt.Errorf("open bucket %s: %w", subject.BucketOwners, errBucket)
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

// firstRevision is where a bucket made at now begins.
func firstRevision(now time.Time, floor uint64) uint64 {
	return max(uint64(now.UnixMicro()), floor+1)
}

// forgot says whether the bucket has never been written to although it is not new.
func forgot(info *jetstream.StreamInfo, now time.Time) bool {
	unwritten := info.State.Msgs == 0 && info.State.LastSeq+1 <= max(1, info.Config.FirstSeq)
	return unwritten && info.State.LastSeq+1 < uint64(now.Add(-writtenAfter).UnixMicro())
}

// bucketConfig is what [jetstream.JetStream.CreateKeyValue] would send, plus the first
// revision, which it cannot.
func bucketConfig(replicas int, first uint64) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:                   bucketStream,
		Description:            "who owns which shard",
		Subjects:               []string{bucketPrefix + ">"},
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
		SubjectDeleteMarkerTTL: markerTTL,
		FirstSeq:               first,
	}
}
