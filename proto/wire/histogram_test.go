package wire_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/wire"
)

func TestHistogramOfOne(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	durations := []time.Duration{math.MinInt64, -1, 0, 1, time.Microsecond, 3 * time.Microsecond, time.Second, time.Hour, math.MaxInt64}
	for us := range 3000 {
		durations = append(durations, time.Duration(us)*time.Microsecond)
	}
	for range 3000 {
		durations = append(durations, time.Duration(random.Int64()>>random.IntN(63)))
	}
	for _, d := range durations {
		var h wire.Histogram
		h.Add(d)
		exact := max(d.Truncate(time.Microsecond), time.Microsecond)
		if got := h.Quantile(1); got < exact || float64(got) > 1.25*float64(exact) {
			t.Errorf("%v: bound %v", d, got)
		}
		if h.Quantile(0.001) != h.Quantile(1) || h.Count != 1 || h.SumUs != uint64(exact.Microseconds()) {
			t.Errorf("%v: %+v", d, h)
		}
	}
}

func TestHistogramQuantiles(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		var h wire.Histogram
		all := make([]time.Duration, 1+random.IntN(2000))
		for i := range all {
			all[i] = time.Duration(math.Exp(random.NormFloat64()*2+7)+1) * time.Microsecond
			h.Add(all[i])
		}
		slices.Sort(all)
		for _, q := range []float64{0.001, 0.5, 0.9, 0.99, 0.999, 1} {
			exact := all[int(math.Ceil(q*float64(len(all))))-1]
			if got := h.Quantile(q); got < exact || float64(got) > 1.25*float64(exact) {
				t.Errorf("%v of %d: %v, exactly %v", q, len(all), got, exact)
			}
		}
	}
}

func TestHistogramEmpty(t *testing.T) {
	t.Parallel()
	var h, other wire.Histogram
	if h.Quantile(0.5) != 0 || h.Quantile(1) != 0 {
		t.Error("an empty histogram has a quantile")
	}
	other.Add(time.Second)
	h.Merge(other)
	other.Merge(wire.Histogram{})
	if !reflect.DeepEqual(h, other) {
		t.Errorf("%+v, %+v", h, other)
	}
}

// Merged, histograms are what one histogram of all would be, and keep nothing of each other.
func TestHistogramMerge(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(5, 6))
	var all, merged wire.Histogram
	parts := make([]wire.Histogram, 7)
	for range 5000 {
		d := time.Duration(random.ExpFloat64() * float64(time.Millisecond))
		all.Add(d)
		parts[random.IntN(len(parts))].Add(d)
	}
	for _, p := range parts {
		b, err := json.Marshal(p) // as it travels
		if err != nil {
			t.Fatal(err)
		}
		var travelled wire.Histogram
		if err := json.Unmarshal(b, &travelled); err != nil || !reflect.DeepEqual(travelled, p) {
			t.Fatalf("%s becomes %+v, %v", b, travelled, err)
		}
		merged.Merge(travelled)
	}
	if !reflect.DeepEqual(merged, all) {
		t.Errorf("merged %+v, want %+v", merged, all)
	}
	count := parts[0].Count
	merged.Add(time.Second)
	if parts[0].Count != count {
		t.Error("a part has changed with the whole")
	}
}

func BenchmarkHistogramAdd(b *testing.B) {
	b.ReportAllocs()
	var h wire.Histogram
	for b.Loop() {
		h.Add(300 * time.Microsecond)
	}
}
