package ws_test

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"testing"
)

// message is what a client is sent for a chat message of about 60 characters.
func message(i int) []byte {
	return fmt.Appendf(nil, `{"event":"receiveMessage","data":{"id":"%x-8ajsel0ipjb98","content":"See you at the station at %d, the train leaves ten minutes later","author":{"id":"user-%d","username":"Ada Lovelace"},"roomId":"general","messageType":"TEXT","seq":%d,"timestamp":"2026-01-02T03:04:05.678Z","createdAt":"2026-01-02T03:04:05.678Z","updatedAt":"2026-01-02T03:04:05.678Z"}}`, i, i%24, i%97, i)
}

// BenchmarkDeflate is what permessage-deflate (RFC 7692) without context takeover
// would cost and spare: a message alone, as a room would compress it once for all
// members, and what a client would cost us that compresses what it sends. ADR 0008.
func BenchmarkDeflate(b *testing.B) {
	for _, level := range []int{flate.BestSpeed, flate.DefaultCompression} {
		b.Run(fmt.Sprintf("compress/level%d", level), func(b *testing.B) {
			var out bytes.Buffer
			w, err := flate.NewWriter(&out, level)
			if err != nil {
				b.Fatal(err)
			}
			in, sent := 0, 0
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				out.Reset()
				w.Reset(&out)
				m := message(i)
				if _, err := w.Write(m); err != nil {
					b.Fatal(err)
				}
				if err := w.Flush(); err != nil {
					b.Fatal(err)
				}
				in, sent = in+len(m), sent+out.Len()
			}
			b.ReportMetric(float64(sent)/float64(in), "of-size")
		})
	}
	b.Run("inflate", func(b *testing.B) {
		var packed bytes.Buffer
		w, err := flate.NewWriter(&packed, flate.BestSpeed)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := w.Write(message(1)); err != nil {
			b.Fatal(err)
		}
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
		r := flate.NewReader(nil)
		b.ReportAllocs()
		for b.Loop() {
			if err := r.(flate.Resetter).Reset(bytes.NewReader(packed.Bytes()), nil); err != nil {
				b.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, r); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkBuild is the part of BenchmarkDeflate that makes the message.
func BenchmarkBuild(b *testing.B) {
	for i := 0; b.Loop(); i++ {
		message(i)
	}
}
