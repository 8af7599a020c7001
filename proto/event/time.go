package event

import (
	"fmt"
	"time"
)

// Time is a point in time. Clients see ISO 8601 in UTC with milliseconds:
// 2026-01-02T03:04:05.678Z.
//
// In Go and between services it is unix milliseconds; 0 means unknown, and is null
// for clients.
//
//typescript:type string
type Time int64

// TimeOrNull is a Time that may be unknown to us.
//
//typescript:inline Time | null
type TimeOrNull = Time

// At is t in milliseconds.
func At(t time.Time) Time { return Time(t.UnixMilli()) }

// MarshalJSON implements json.Marshaler.
func (t Time) MarshalJSON() ([]byte, error) { return t.append(nil), nil }

// UnmarshalJSON implements json.Unmarshaler.
func (t *Time) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*t = 0
		return nil
	}
	at, err := time.Parse(`"`+time.RFC3339+`"`, string(b))
	if err != nil {
		return fmt.Errorf("timestamp: %w", err)
	}
	*t = At(at)
	return nil
}

func (t Time) append(dst []byte) []byte {
	if t == 0 {
		return append(dst, "null"...)
	}
	return append(AppendTime(append(dst, '"'), int64(t)), '"')
}

const (
	dayMs   = 24 * 60 * 60 * 1000
	minTime = -62167219200000 // 0000-01-01T00:00:00.000Z
	maxTime = 253402300799999 // 9999-12-31T23:59:59.999Z
)

// AppendTime appends ms, unix milliseconds, as 2026-01-02T03:04:05.678Z. Times
// outside the years 0 to 9999 become the nearest one inside.
func AppendTime(dst []byte, ms int64) []byte {
	ms = min(max(ms, minTime), maxTime) - minTime
	year, month, day := civil(uint32(ms / dayMs))
	rest := uint32(ms % dayMs)
	dst = appendDigits(dst, year, 4, '-')
	dst = appendDigits(dst, month, 2, '-')
	dst = appendDigits(dst, day, 2, 'T')
	dst = appendDigits(dst, rest/3600000, 2, ':')
	dst = appendDigits(dst, rest/60000%60, 2, ':')
	dst = appendDigits(dst, rest/1000%60, 2, '.')
	return appendDigits(dst, rest%1000, 3, 'Z')
}

// civil is the date of a day counted from 0000-01-01. Years are taken to begin in
// March, so that the leap day is the last (Howard Hinnant, days_from_civil).
func civil(n uint32) (year, month, day uint32) {
	n += 400*365 + 97 - 60 // count from -0400-03-01, a multiple of 400 years earlier
	era, doe := n/146097, n%146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	m := (5*doy + 2) / 153 // 0 is March
	year = era*400 + yoe - 400
	if month = m + 3; month > 12 {
		month -= 12
		year++
	}
	return year, month, doy - (153*m+2)/5 + 1
}

// appendDigits appends the last width digits of n and what follows them.
func appendDigits(dst []byte, n uint32, width int, then byte) []byte {
	var b [4]byte
	for i := width - 1; i >= 0; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
	return append(append(dst, b[:width]...), then)
}
