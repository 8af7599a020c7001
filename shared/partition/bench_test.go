//go:build unix

package partition_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/confab-chat/confab/shared/natstest"
)

// BenchmarkIdleHolder renews 64 leases b.N times, as an idle instance does
// each second. cpu-us/renewal is of the whole process, so it includes the
// embedded server: publish, store, answer, show to the watch.
func BenchmarkIdleHolder(b *testing.B) {
	srv := natstest.Start(b)
	rec := newRecorder(b)
	nc := srv.Conn(b)
	o := options(nc, "a")
	o.Renew = 10 * time.Millisecond
	rec.start(o)
	rec.waitShared("a")

	b.ReportAllocs()
	b.ResetTimer()
	before, cpu := nc.Stats(), cpuTime(b)
	sent := before.OutMsgs
	tick := time.NewTicker(o.Renew)
	defer tick.Stop()
	for sent < before.OutMsgs+uint64(b.N)*(shards+1) {
		<-tick.C
		sent = nc.Stats().OutMsgs
	}
	b.StopTimer()
	n := float64(sent-before.OutMsgs) / (shards + 1)
	after := nc.Stats()
	b.ReportMetric(float64(cpuTime(b)-cpu)/1e3/n, "cpu-us/renewal")
	b.ReportMetric(float64(after.OutMsgs-before.OutMsgs)/n, "msgs-out/renewal")
	b.ReportMetric(float64(after.InMsgs-before.InMsgs)/n, "msgs-in/renewal")
	b.ReportMetric(float64(after.OutBytes-before.OutBytes)/n, "B-out/renewal")
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
