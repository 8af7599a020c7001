package natstest_test

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/shared/natstest"
)

// Two bubbles, one after the other, because a timer of the first must not reach the second.
func TestVirtualTime(t *testing.T) {
	for range 2 {
		natstest.VirtualTime(t, func(t *testing.T) {
			srv := natstest.Start(t)
			up := make(chan struct{}, 1)
			nc := srv.Conn(t, nats.ReconnectHandler(func(*nats.Conn) { up <- struct{}{} }))
			if _, err := nc.Subscribe("silent", func(*nats.Msg) {}); err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			_, err := nc.Request("silent", nil, time.Hour)
			if took := time.Since(begin); took != time.Hour || !errors.Is(err, nats.ErrTimeout) {
				t.Errorf("after %v: %v", took, err)
			}
			srv.Restart(t)
			<-up
			if err := nc.Flush(); err != nil {
				t.Error(err)
			}
		})
	}
}
