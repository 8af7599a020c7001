package log

import (
	"errors"
	"testing"
)

func TestParseAck(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		in   string
		pos  uint64
		want error
	}{
		"plain":               {`{"stream":"LOG_0","seq":17}`, 17, nil},
		"as the server does":  {`{"stream":"LOG_0", "seq":17}`, 17, nil},
		"with a domain":       {`{"stream":"LOG_0","domain":"hub","seq":17}`, 17, nil},
		"duplicate":           {`{"stream":"LOG_0","seq":17,"duplicate":true}`, 17, nil},
		"wrong last sequence": {`{"error":{"code":400,"err_code":10071,"description":"x"},"stream":"LOG_0","seq":0}`, 0, ErrConflict},
		"in process":          {`{"error":{"code":503,"err_code":10164,"description":"x"},"stream":"LOG_0","seq":0}`, 0, ErrConflict},
		"duplicate in flight": {`{"error":{"code":409,"err_code":10158,"description":"x"},"stream":"LOG_0","seq":0}`, 0, ErrConflict},
		"no space left":       {`{"error":{"code":503,"err_code":10023,"description":"x"},"stream":"LOG_0","seq":0}`, 0, ErrRefused},
		"no position":         {`{"stream":"LOG_0","seq":0}`, 0, ErrUncertain},
		"cut off":             {`{"stream":"LOG_0","seq":1`, 0, ErrUncertain},
		"empty":               {``, 0, ErrUncertain},
	} {
		if pos, err := parseAck([]byte(c.in)); pos != c.pos || !errors.Is(err, c.want) {
			t.Errorf("%s: got %d, %v", name, pos, err)
		}
	}
}

func BenchmarkParseAck(b *testing.B) {
	in := []byte(`{"stream":"LOG_0", "seq":1234567}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseAck(in); err != nil {
			b.Fatal(err)
		}
	}
}
