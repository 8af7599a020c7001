package wire

import (
	"math"
	"math/bits"
	"time"
)

// Histogram is a sparse histogram of durations with four buckets an octave:
// mergeable by adding, and quantiles are at most 25 % too high. The zero value is
// empty. Not safe for concurrent use.
type Histogram struct {
	Count   uint64         `json:"count"`
	SumUs   uint64         `json:"sumUs"`
	Buckets map[int]uint64 `json:"buckets,omitempty"` // see bucketOf
}

// Add counts one duration; below a microsecond counts as one.
func (h *Histogram) Add(d time.Duration) {
	us := uint64(max(d.Microseconds(), 1))
	if h.Buckets == nil {
		h.Buckets = make(map[int]uint64)
	}
	h.Count++
	h.SumUs += us
	h.Buckets[bucketOf(us)]++
}

// Merge adds what o counted.
func (h *Histogram) Merge(o Histogram) {
	if h.Buckets == nil {
		h.Buckets = make(map[int]uint64, len(o.Buckets))
	}
	h.Count += o.Count
	h.SumUs += o.SumUs
	for b, n := range o.Buckets {
		h.Buckets[b] += n
	}
}

// Quantile is an upper bound of the q-quantile, 0 < q <= 1; 0 when empty.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank, seen := uint64(math.Ceil(q*float64(h.Count))), uint64(0)
	for b := range maxBucket {
		if seen += h.Buckets[b]; seen >= rank && seen > 0 {
			return time.Duration(min(upperBound(b), math.MaxInt64/1000)) * time.Microsecond
		}
	}
	return 0
}

// maxBucket is past the bucket of the largest uint64.
const maxBucket = 64 * 4

// bucketOf is 4 x log2(us), the fraction linear between powers of two.
func bucketOf(us uint64) int {
	exp := bits.Len64(us) - 1
	frac := us << (63 - exp) << 1 >> 62 // the two bits behind the leading one
	return exp*4 + int(frac)
}

// upperBound is the largest number of microseconds in bucket b.
func upperBound(b int) uint64 {
	exp, frac := b/4, uint64(b%4)
	if exp < 2 {
		return uint64(1)<<exp + frac*(1<<exp)/4
	}
	return (4+frac+1)<<(exp-2) - 1
}
