package endpoint_test

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/shared/natsconn"
	"github.com/confab-chat/confab/shared/natstest"
)

// Messages stored, acknowledged and broadcast, with 64 on their way at once; the
// sender and the NATS server run in the same process.
func BenchmarkSend(b *testing.B) {
	for _, durability := range []string{"fast", "durable"} {
		for _, rooms := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/rooms=%d", durability, rooms), func(b *testing.B) {
				if durability == "durable" {
					benchmarkSend(b, natstest.Start(b, natstest.Durable), rooms)
				} else {
					benchmarkSend(b, natstest.Start(b), rooms)
				}
			})
		}
	}
}

func benchmarkSend(b *testing.B, srv dialer, rooms int) {
	e, o := startOn(b, srv)
	ctx := b.Context()
	deliver := make(chan *nats.Msg, 4096)
	r, err := natsconn.NewRequester(e.nc, deliver)
	if err != nil {
		b.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { r.Run(ctx) })
	wg.Go(func() {
		for {
			select {
			case m := <-deliver:
				r.Handle(m)
			case <-ctx.Done():
				return
			}
		}
	})
	subjects, names := make([]string, rooms), make([]string, rooms)
	for i := range rooms {
		names[i] = "room-" + strconv.Itoa(i)
		subjects[i] = subject.RoomCommand(subject.Shard(names[i]), subject.OpSend)
		if s := e.send(names[i], "warm", "w", "up"); s == nil || s.Code != "" {
			b.Fatalf("warm-up: %+v", s)
		}
	}
	window := make(chan struct{}, 64)
	content := strings.Repeat("x", 128)
	var failed error
	started := time.Now()
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		window <- struct{}{}
		n++
		cmd := wire.Marshal(&wire.Send{
			Origin: e.origin, Room: names[n%rooms], User: wire.User{ID: "user-1", Name: "User One"},
			ClientID: strconv.Itoa(n), Type: "TEXT", Content: content,
		})
		r.Do(subjects[n%rooms], nil, cmd, 5*time.Second, func(_ *nats.Msg, err error) {
			if err != nil {
				failed = err
			}
			<-window
		})
	}
	for range cap(window) {
		window <- struct{}{}
	}
	if failed != nil {
		b.Fatal(failed)
	}
	b.ReportMetric(float64(n)/time.Since(started).Seconds(), "msgs/s")
	h := o.count.Appends()
	b.ReportMetric(float64(n)/float64(max(h.Count, 1)), "msgs/append")
	b.ReportMetric(float64(h.Quantile(0.5).Microseconds()), "append-p50-us")
	b.ReportMetric(float64(h.Quantile(0.99).Microseconds()), "append-p99-us")
	b.Cleanup(wg.Wait)
}
