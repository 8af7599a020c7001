package deploytest

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/shared/natstest"
)

// user is the one of the Dockerfile.
const user = 65532

const version = "1.2.3"

// build runs the first stage of the Dockerfile in a copy of what it copies, and
// returns the path of the binary.
func build(t *testing.T, service string) string {
	t.Helper()
	source, out := t.TempDir(), t.TempDir()
	first := stages(t)[0]
	expand := strings.NewReplacer("${SERVICE}", service, "${VERSION}", version, "/out/", out+"/")
	for _, i := range first.instructions {
		rest := expand.Replace(i.rest)
		switch i.verb {
		case "ARG", "WORKDIR":
		case "COPY":
			from, to, ok := strings.Cut(rest, " ")
			if !ok || from != to {
				t.Fatalf("COPY %s is not read here", rest)
			}
			copyFolder(t, filepath.Join(repository, from), filepath.Join(source, to))
		case "RUN":
			cmd := exec.CommandContext(t.Context(), "sh", "-c", rest)
			cmd.Dir = source
			if output, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("RUN %s: %v\n%s", rest, err, output)
			}
		default:
			t.Fatalf("%s is not read here", i.verb)
		}
	}
	return filepath.Join(out, "service")
}

// copyFolder copies what Docker would be given: see Dockerfile.dockerignore.
func copyFolder(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, from))
		switch {
		case d.IsDir() && (d.Name() == "testdata" || d.Name() == "bin"):
			return filepath.SkipDir
		case d.IsDir():
			return os.MkdirAll(target, 0o755)
		case strings.HasSuffix(path, "_test.go"):
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, content, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// image is a folder as a container of the last stage sees it.
type image struct {
	t       *testing.T
	root    string
	environ []string
}

// command runs the binary with the image as its root, as the ordinary user, and
// with nothing of this process's environment.
func (i *image) command(args ...string) *exec.Cmd {
	return &exec.Cmd{
		Path: "/service", Args: append([]string{"/service"}, args...), Dir: "/", Env: i.environ,
		SysProcAttr: &syscall.SysProcAttr{
			Chroot:     i.root,
			Credential: &syscall.Credential{Uid: user, Gid: user},
			Pdeathsig:  syscall.SIGKILL, // nothing is left behind when the test is killed
		},
	}
}

// output of a command that must succeed.
func (i *image) output(args ...string) string {
	i.t.Helper()
	cmd := i.command(args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		i.t.Fatalf("%q: %v\n%s", args, err, &out)
	}
	return out.String()
}

func newImage(t *testing.T, service string) *image {
	t.Helper()
	root := t.TempDir()
	content, err := os.ReadFile(build(t, service))
	if err != nil {
		t.Fatal(err)
	}
	for path, file := range map[string]struct {
		content []byte
		mode    fs.FileMode
	}{
		"service":          {content, 0o555},
		"run/secrets/hmac": {[]byte(strings.Repeat("k", 64) + "\n"), 0o444}, // Compose mounts it
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, path), file.content, file.mode); err != nil {
			t.Fatal(err)
		}
	}
	return &image{t: t, root: root, environ: settings(project(t).Services[service])}
}

// TestImages builds each service as its image is built, and runs it there: empty root, ordinary
// user, the settings of the Compose file. Without CONFAB_TEST_LONG=1, which .ci/run sets, it builds
// the edge only: the services differ in their settings, which other tests check.
func TestImages(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("chroot needs root")
	}
	if testing.Short() {
		t.Skip("builds the four binaries")
	}
	built := services
	if os.Getenv("CONFAB_TEST_LONG") == "" {
		built = []string{"edge"}
	}
	for _, service := range built {
		t.Run(service, func(t *testing.T) {
			runtime.LockOSThread() // Pdeathsig is about the thread that started the process
			defer runtime.UnlockOSThread()
			i := newImage(t, service)
			static(t, filepath.Join(i.root, "service"))
			if got := i.output("version"); !strings.HasPrefix(got, service+" "+version+" ") {
				t.Errorf("version: %s", got)
			}
			if got := i.output("--help"); !strings.Contains(got, "CONFAB_NATS_URL") {
				t.Errorf("help: %s", got)
			}
			i.output("config", "check")
			lives(t, i)
		})
	}
}

// static fails when the binary needs a loader or a library.
func static(t *testing.T, path string) {
	t.Helper()
	file, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("the binary is not static: %v", p.Type)
		}
	}
}

// lives runs the service against a NATS server until it reports that it is ready, and stops it.
func lives(t *testing.T, i *image) {
	t.Helper()
	nats := natstest.Start(t, natstest.Listen)
	i.environ = slices.Concat(i.environ, []string{
		"CONFAB_ENV=development", // drains at once
		"CONFAB_ALLOWED_ORIGINS=http://localhost:3001",
		"CONFAB_NATS_URL=" + nats.URL(),
		"CONFAB_ADMIN_ADDR=" + freePort(t), "CONFAB_EDGE_ADDR=" + freePort(t), "CONFAB_MONITOR_ADDR=" + freePort(t),
	})
	cmd := i.command()
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }() // waited for below
	stopped := false
	defer func() {
		if !stopped {
			_ = cmd.Process.Kill() // it may be gone
			<-exited
		}
		if t.Failed() {
			t.Logf("its log:\n%s", &log)
		}
	}()

	eventually.OK(t, "the service is ready", func() error {
		select {
		case err := <-exited:
			stopped = true
			t.Fatalf("ended without a signal: %v", err)
		default:
		}
		probe := i.command("healthcheck")
		probe.Stdout, probe.Stderr = io.Discard, io.Discard
		return probe.Run()
	})
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	err := eventually.Receive(t, "the end after SIGTERM", exited)
	stopped = true
	if exit, bad := errors.AsType[*exec.ExitError](err); bad {
		t.Errorf("exit code %d after SIGTERM", exit.ExitCode())
	}
	unwritten(t, i)
}

// unwritten fails when the service left anything in its root.
func unwritten(t *testing.T, i *image) {
	t.Helper()
	var files []string
	err := filepath.WalkDir(i.root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, strings.TrimPrefix(path, i.root))
		}
		return err
	})
	if want := []string{"/run/secrets/hmac", "/service"}; err != nil || !slices.Equal(files, want) {
		t.Errorf("files %q, %v; want %q", files, err, want)
	}
}

// freePort is an address that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return fmt.Sprint(ln.Addr())
}
