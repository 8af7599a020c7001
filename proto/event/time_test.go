package event_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/event"
)

const iso = "2006-01-02T15:04:05.000Z"

func TestAppendTime(t *testing.T) {
	t.Parallel()
	first, last := time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli(), time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC).UnixMilli()
	check := func(ms int64) {
		if got, want := string(event.AppendTime([]byte("at "), ms)), "at "+time.UnixMilli(ms).UTC().Format(iso); got != want {
			t.Fatalf("%d: got %s, want %s", ms, got, want)
		}
	}
	cycle, end := time.Date(1800, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli(), time.Date(2201, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	for ms := cycle; ms < end; ms += 24 * 60 * 60 * 1000 { // each day of the calendar's 400 years, around midnight
		check(ms)
		check(ms + 24*60*60*1000 - 1)
	}
	random := rand.New(rand.NewPCG(5, 6))
	for range 10000 {
		check(first + random.Int64N(last-first+1))
	}
	for ms, want := range map[int64]string{
		math.MinInt64: "0000-01-01T00:00:00.000Z", first - 1: "0000-01-01T00:00:00.000Z",
		math.MaxInt64: "9999-12-31T23:59:59.999Z", last + 1: "9999-12-31T23:59:59.999Z", 0: "1970-01-01T00:00:00.000Z", -1: "1969-12-31T23:59:59.999Z",
	} {
		if got := string(event.AppendTime(nil, ms)); got != want {
			t.Errorf("%d: got %s, want %s", ms, got, want)
		}
	}
}

func TestTimeJSON(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]event.Time{
		`"2026-01-02T03:04:05.678Z"`: at, `"2026-01-02T05:04:05.678+02:00"`: at, `null`: 0,
	} {
		got := event.Time(1)
		if err := json.Unmarshal([]byte(text), &got); err != nil || got != want {
			t.Errorf("%s: got %d, %v", text, got, err)
		}
	}
	for _, text := range []string{`""`, `"yesterday"`, `1767323045678`, `{}`} {
		if err := json.Unmarshal([]byte(text), new(event.Time)); err == nil {
			t.Errorf("%s: accepted", text)
		}
	}
	if got, want := event.At(time.Date(2026, 1, 2, 3, 4, 5, 678999999, time.UTC)), at; got != want {
		t.Errorf("At: got %d, want %d", got, want)
	}
}
