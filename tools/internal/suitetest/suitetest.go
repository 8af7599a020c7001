// Package suitetest starts the whole suite in the test's process, on free ports and
// in a folder of its own.
package suitetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/confab-chat/confab/shared/client"
	"github.com/confab-chat/confab/shared/devtoken"
	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/shared/natstest"
	"github.com/confab-chat/confab/tools/internal/suite"
)

// Suite is a running suite. Its fields are static.
type Suite struct {
	Edge    string // host:port of the edge's public listener
	Monitor string
	Admin   string
	DataDir string

	stop func() error
}

// Start starts a suite that ends with the test. env is added to the environment, which
// otherwise holds addresses and the data folder only.
func Start(tb testing.TB, env ...string) *Suite {
	tb.Helper()
	return StartIn(tb, tb.TempDir(), env...)
}

// StartIn is Start over a data folder that may have been used before.
func StartIn(tb testing.TB, dir string, env ...string) *Suite {
	tb.Helper()
	s := &Suite{Edge: natstest.FreeAddr(tb), Monitor: natstest.FreeAddr(tb), Admin: natstest.FreeAddr(tb), DataDir: dir}
	settings, err := suite.Load(append([]string{
		"CONFAB_EDGE_ADDR=" + s.Edge, "CONFAB_MONITOR_ADDR=" + s.Monitor, "CONFAB_ADMIN_ADDR=" + s.Admin,
		"CONFAB_DATA_DIR=" + dir, "CONFAB_DURABILITY=fast", "CONFAB_LOG_LEVEL=error",
	}, env...))
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var result error
	var running sync.WaitGroup
	ended := make(chan struct{})
	running.Go(func() { defer close(ended); result = suite.Serve(ctx, settings, "test", io.Discard) })
	s.stop = func() error { cancel(); running.Wait(); return result }
	tb.Cleanup(func() {
		if err := s.Stop(); err != nil {
			tb.Errorf("suite: %v", err)
		}
	})
	s.waitReady(tb, ended)
	return s
}

// Stop drains the suite and returns what it ended with. Calling it twice is fine.
func (s *Suite) Stop() error { return s.stop() }

func (s *Suite) waitReady(tb testing.TB, ended <-chan struct{}) {
	tb.Helper()
	eventually.OK(tb, "the suite is ready", func() error {
		select {
		case <-ended:
			tb.Fatal("the suite ended before it was ready")
		default:
		}
		resp, err := http.Get("http://" + s.Admin + "/readyz")
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return nil
	})
}

// Token is a token for a user id.
func (s *Suite) Token(tb testing.TB, user string) string {
	tb.Helper()
	secret, err := devtoken.Secret(s.DataDir)
	if err != nil {
		tb.Fatal(err)
	}
	return devtoken.Mint(secret, user, user, time.Now(), time.Hour)
}

// URL returns the WebSocket URL of the native protocol.
func (s *Suite) URL() string { return fmt.Sprintf("ws://%s/ws", s.Edge) }

// Client runs a client of a user until the test ends.
func (s *Suite) Client(tb testing.TB, user string, onEvent func(client.Event)) *client.Client {
	tb.Helper()
	c := client.New(client.Options{
		URL: s.URL(), OnEvent: onEvent, BackoffMin: 10 * time.Millisecond, BackoffMax: 500 * time.Millisecond,
		Token: func(context.Context) (string, error) { return s.Token(tb, user), nil },
	})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := c.Run(ctx); err != nil {
			tb.Errorf("client %s: %v", user, err)
		}
	})
	tb.Cleanup(func() { cancel(); running.Wait() })
	return c
}
