package log

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/subject"
)

const apiInfo = "$JS.API.STREAM.INFO."

// probeToken ends the subjects that belong to no room.
var probeToken = "." + strings.TrimPrefix(subject.LogProbe(0), subject.RoomLog(0, ""))

// LargeRooms lists the rooms of a shard that have more than min records, in the order of
// their subjects, from the stream's leader. streams is the number of log streams.
func (l *Log) LargeRooms(shard, streams int, min uint64, done func([]Room, error)) {
	l.largeRooms(subject.LogStream(shard%streams), subject.LogShard(shard), 0, min, nil, done)
}

// largeRooms asks for one page of subjects, and then for the next one.
func (l *Log) largeRooms(stream, filter string, offset int, min uint64, found []Room, done func([]Room, error)) {
	body, err := json.Marshal(struct {
		Filter string `json:"subjects_filter"`
		Offset int    `json:"offset"`
	}{filter, offset})
	if err != nil {
		panic(err) // a string and an integer
	}
	l.req.Do(apiInfo+stream, nil, body, purgeTimeout, func(m *nats.Msg, err error) {
		var r struct {
			Error *apiError `json:"error"`
			Total int       `json:"total"`
			State struct {
				Subjects map[string]uint64 `json:"subjects"`
			} `json:"state"`
		}
		if err == nil {
			err = json.Unmarshal(m.Data, &r)
		}
		if err == nil && r.Error != nil {
			err = r.Error.err()
		}
		if err != nil {
			done(nil, fmt.Errorf("list the rooms of %s: %w", stream, err))
			return
		}
		for subj, n := range r.State.Subjects {
			if n > min && !strings.HasSuffix(subj, probeToken) {
				found = append(found, Room{Stream: stream, Subject: subj})
			}
		}
		if next := offset + len(r.State.Subjects); next < r.Total && next > offset {
			l.largeRooms(stream, filter, next, min, found, done)
			return
		}
		slices.SortFunc(found, func(a, b Room) int {
			if a.Subject < b.Subject {
				return -1
			}
			return 1
		})
		done(found, nil)
	})
}
