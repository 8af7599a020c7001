package edge_test

import (
	"crypto/tls"
	"net/http"
	"testing"

	"github.com/confab-chat/confab/shared/cert/certtest"
	"github.com/confab-chat/confab/shared/eventually"
)

// All endpoints over TLS, on the loops and on goroutines: chat, and HTTP on the same port.
func TestTLS(t *testing.T) {
	t.Parallel()
	for _, io := range []string{"auto", "goroutine"} {
		t.Run(io, func(t *testing.T) {
			t.Parallel()
			certFile, keyFile, pool := certtest.Files(t)
			w := start(t, "EDGE_IO="+io, "EDGE_TLS_CERT_FILE="+certFile, "EDGE_TLS_KEY_FILE="+keyFile)
			w.tls = &tls.Config{RootCAs: pool}
			ann, bob := w.dial("ann"), w.dial("bob")
			ann.join("r")
			bob.join("r")
			w.owner.Say("r", "ann", "over TLS")
			for _, c := range []*client{ann, bob} {
				if got := c.event("receiveMessage", 1); got.Content != "over TLS" {
					t.Errorf("got %+v", got)
				}
			}
			client := http.Client{Timeout: eventually.Patience(), Transport: &http.Transport{TLSClientConfig: w.tls}}
			defer client.CloseIdleConnections()
			for range 2 { // kept alive
				resp, err := client.Get("https://" + w.addr + "/")
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					t.Errorf("demo page: %s", resp.Status)
				}
			}
		})
	}
}
