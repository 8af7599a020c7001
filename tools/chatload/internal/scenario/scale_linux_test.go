package scenario_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/confab-chat/confab/tools/chatload/internal/dialect"
	"github.com/confab-chat/confab/tools/chatload/internal/dialect/dialecttest"
	"github.com/confab-chat/confab/tools/chatload/internal/scenario"
)

// holderOf makes this test's binary a holder: the address of its server.
const holderOf = "CHATLOAD_TEST_HOLD"

func TestMain(m *testing.M) {
	if addr := os.Getenv(holderOf); addr != "" {
		if err := holdHere(addr); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func holdHere(addr string) error {
	d, err := dialect.Named("native", "")
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(os.Args[1])
	if err != nil {
		return err
	}
	return scenario.Hold(context.Background(), scenario.Options{
		DialectName: "native", Dialect: d, Token: func(int) string { return "token" }, Targets: []netip.AddrPort{netip.MustParseAddrPort(addr)},
		Connections: n, AtOnce: 3, Members: 2, Size: 64, Patience: 20 * time.Second,
	}, os.Stdin, os.Stdout)
}

// Two processes hold seven connections to one server, all of which get five messages.
func TestScale(t *testing.T) {
	server := dialecttest.New(t, "native")
	o := options(t, "native", server, server)
	o.Connections, o.Settle, o.Pause = 7, 10*time.Millisecond, time.Millisecond
	t.Setenv(holderOf, server.Addr().String())
	var shares []int
	r, err := scenario.Scale(t.Context(), o, func(_, connections int) []string {
		shares = append(shares, connections)
		return []string{os.Args[0], strconv.Itoa(connections)}
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(shares) != 2 || shares[0]+shares[1] != 7 {
		t.Errorf("shares %v", shares)
	}
	for i := range 5 {
		if figure(t, r, fmt.Sprintf("to_all_%d_ms", i+1)) <= 0 {
			t.Errorf("%+v", r.Figures)
		}
	}
}

// A holder that cannot open its connections says so, and the others are ended.
func TestScaleFails(t *testing.T) {
	server := dialecttest.New(t, "native")
	o := options(t, "native", server)
	t.Setenv(holderOf, "127.0.0.1:1")
	_, err := scenario.Scale(t.Context(), o, func(int, int) []string { return []string{os.Args[0], "2"} })
	if err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("%v", err)
	}
}
