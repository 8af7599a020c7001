package proctest_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// childMode makes this test's binary another program: a nats-server.
const childMode = "CONFAB_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childMode) == "nats" {
		serveNATS(os.Getenv("NATS_STORE"), os.Getenv("NATS_PORT"))
	}
	starting.Go(starter)
	code := m.Run()
	close(starts)
	starting.Wait()
	if err := os.RemoveAll(binDir()); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// serveNATS is the child: it ends by a signal only.
func serveNATS(store, port string) {
	p, err := strconv.Atoi(port)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	s, err := server.NewServer(&server.Options{
		ServerName: "proctest", Host: "127.0.0.1", Port: p, JetStream: true, StoreDir: store, SyncAlways: true, NoSigs: true,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	s.ConfigureLogger()
	s.Start()
	select {}
}

// Processes are started on one thread that lives as long as the tests: Linux
// counts a child's parent as dead when the thread that made it ends.
var (
	starts   = make(chan start) // closed by TestMain
	starting sync.WaitGroup
)

type start struct {
	cmd    *exec.Cmd
	result chan error
}

func starter() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for s := range starts {
		s.result <- s.cmd.Start()
	}
}

// binDir holds the built binaries while the tests run.
func binDir() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("confab-proctest-%d", os.Getpid()))
}

// build builds all binaries, once.
var build = sync.OnceValue(func() error {
	dir := binDir()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "-ldflags=-s -w -X main.version=proctest",
		"./services/edge/cmd/edge", "./services/room/cmd/room", "./services/ratelimit/cmd/ratelimit",
		"./services/monitor/cmd/monitor", "./tools/confab")
	cmd.Dir = filepath.Join("..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
})

// binary is the path of a built binary.
func binary(tb testing.TB, name string) string {
	tb.Helper()
	began := time.Now()
	if err := build(); err != nil {
		tb.Fatal(err)
	}
	if took := time.Since(began); took > time.Second {
		tb.Logf("building took %v", took.Round(time.Second))
	}
	return filepath.Join(binDir(), name)
}
