package poll_test

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
	"github.com/confab-chat/confab/shared/cert/certtest"
)

// TestTLS: a connection that is not plain TCP is driven by goroutines, on the
// same loops, whatever the mode.
func TestTLS(t *testing.T) {
	t.Parallel()
	cert, pool := certtest.New(t, 1)
	modes(t, func(t *testing.T, o poll.Options) {
		g, _ := serve(t, o, acceptEcho)
		plain, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := plain.Addr().String()
		closer, err := g.Listen(tls.NewListener(plain, &tls.Config{Certificates: []tls.Certificate{cert}}), acceptEcho)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { closer.Close() })
		c := tls.Client(dial(t, addr), &tls.Config{RootCAs: pool, ServerName: "localhost"})
		want := strings.Repeat("over tls ", 100_000)
		go func() {
			io.WriteString(c, want)
			c.CloseWrite()
		}()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
			t.Errorf("the echo differs: %v", err)
		}
		c.Close()
		waitEmpty(t, g)
	})
}
