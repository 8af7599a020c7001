// Package deploytest checks what is in deploy/ without Docker: the Compose file
// is loaded as Compose does, the Dockerfile's steps are run, the binaries start
// in an empty root as an ordinary user, NATS starts with its configuration.
package deploytest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/nats-io/nats-server/v2/server"

	"github.com/confab-chat/confab/shared/config"
)

const (
	repository  = "../.."
	composeFile = repository + "/deploy/compose/compose.yaml"
)

// services are those that the suite consists of.
var services = []string{"edge", "monitor", "ratelimit", "room"}

// compose loads a Compose file as the Compose command does, strictly.
func compose(t *testing.T, file string, environ ...string) (*types.Project, error) {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{file}, cli.WithEnv(environ))
	if err != nil {
		t.Fatal(err)
	}
	return options.LoadProject(t.Context())
}

func project(t *testing.T, environ ...string) *types.Project {
	t.Helper()
	p, err := compose(t, composeFile, environ...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// settings is the environment of a service, as Load takes it.
func settings(s types.ServiceConfig) (environ []string) {
	for name, value := range s.Environment {
		environ = append(environ, name+"="+*value)
	}
	return environ
}

func TestComposeHasTheSuite(t *testing.T) {
	t.Parallel()
	names := project(t).ServiceNames()
	if want := append([]string{"nats"}, services...); !slices.Equal(slices.Sorted(slices.Values(names)), slices.Sorted(slices.Values(want))) {
		t.Errorf("services %q, want %q", names, want)
	}
}

// A typing mistake in the file is an error: the checks here are worth something.
func TestComposeIsLoadedStrictly(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(composeFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, mistake := range [][2]string{
		{"stop_grace_period:", "stop_grace_periodX:"},
		{"condition: service_healthy", "condition: healthy"},
		{"*settings", "*setings"},
		{"networks: [inside]", "networks: [outsid]"},
	} {
		if !strings.Contains(string(content), mistake[0]) {
			t.Fatalf("no %q to spoil", mistake[0])
		}
		file := filepath.Join(t.TempDir(), "compose.yaml")
		wrong := strings.ReplaceAll(string(content), mistake[0], mistake[1])
		if err := os.WriteFile(file, []byte(wrong), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := compose(t, file); err == nil {
			t.Errorf("%q is accepted", mistake[1])
		}
	}
}

// Every container is locked up as far as it can be.
func TestComposeIsHard(t *testing.T) {
	t.Parallel()
	for name, s := range project(t).Services {
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || s.Privileged || len(s.CapAdd) > 0 ||
			!slices.Equal(s.SecurityOpt, []string{"no-new-privileges:true"}) {
			t.Errorf("%s: read_only %v, cap_drop %q, cap_add %q, security_opt %q", name, s.ReadOnly, s.CapDrop, s.CapAdd, s.SecurityOpt)
		}
		if s.Restart != types.RestartPolicyUnlessStopped || s.HealthCheck == nil || s.StopGracePeriod == nil {
			t.Errorf("%s: restart %q, health check %v, grace %v", name, s.Restart, s.HealthCheck, s.StopGracePeriod)
		}
		if strings.HasSuffix(s.Image, ":latest") || !strings.Contains(s.Image, ":") {
			t.Errorf("%s: image %s has no version", name, s.Image)
		}
		for _, port := range s.Ports {
			public := name == "edge" && port.Target == 3001 && port.Published == "3001"
			local := name == "monitor" && port.Target == 3002 && port.HostIP == "127.0.0.1"
			if !public && !local {
				t.Errorf("%s publishes %+v", name, port)
			}
		}
	}
	if inside := project(t).Networks["inside"]; !inside.Internal {
		t.Error("the network of NATS is not internal")
	}
}

func TestComposeOfServices(t *testing.T) {
	t.Parallel()
	p := project(t)
	common, err := config.Load[struct {
		config.Common `default:"ADMIN_ADDR=127.0.0.1:9100"`
	}](nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range services {
		s := p.Services[name]
		if got := time.Duration(*s.StopGracePeriod); got <= common.ShutdownTimeout {
			t.Errorf("%s: killed after %v, gives up after %v itself", name, got, common.ShutdownTimeout)
		}
		if want := (types.HealthCheckTest{"CMD", "/service", "healthcheck"}); !slices.Equal(s.HealthCheck.Test, want) {
			t.Errorf("%s: health check %q", name, s.HealthCheck.Test)
		}
		if s.DependsOn["nats"].Condition != types.ServiceConditionHealthy {
			t.Errorf("%s: depends on %+v", name, s.DependsOn)
		}
		if got := *s.Build.Args["SERVICE"]; got != name {
			t.Errorf("%s: builds %s", name, got)
		}
		if _, err := os.Stat(filepath.Join(s.Build.Context, s.Build.Dockerfile)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for variable := range s.Environment {
			if !slices.Contains(config.Known(), variable) {
				t.Errorf("%s: nobody knows %s", name, variable)
			}
		}
		if env := *s.Environment["CONFAB_ENV"]; env != string(config.Production) {
			t.Errorf("%s: environment %s, want production by default", name, env)
		}
	}
	if env := *project(t, "CONFAB_ENV=development").Services["room"].Environment["CONFAB_ENV"]; env != "development" {
		t.Errorf("environment %s, asked for development", env)
	}
}

// What the services promise, NATS keeps; and it is the version we test with.
func TestComposeOfNATS(t *testing.T) {
	t.Parallel()
	p := project(t)
	nats := p.Services["nats"]
	if !strings.HasPrefix(nats.Image, "nats:"+server.VERSION+"-") {
		t.Errorf("image %s, tested with %s", nats.Image, server.VERSION)
	}
	options := natsOptions(t)
	durable := *p.Services["room"].Environment["CONFAB_DURABILITY"] == "durable"
	if durable != options.SyncAlways {
		t.Errorf("durability %v, sync_interval: always %v", durable, options.SyncAlways)
	}
	if got := time.Duration(*nats.StopGracePeriod); got <= options.LameDuckDuration+options.LameDuckGracePeriod {
		t.Errorf("killed after %v, lame duck takes %v and %v", got, options.LameDuckGracePeriod, options.LameDuckDuration)
	}
	var mounted, stored bool
	for _, v := range nats.Volumes {
		switch {
		case v.Type == types.VolumeTypeBind:
			_, err := os.Stat(v.Source)
			mounted = err == nil && v.ReadOnly && slices.Contains(nats.Command, v.Target)
		case v.Type == types.VolumeTypeVolume:
			stored = strings.HasPrefix(options.StoreDir, v.Target+"/")
		}
	}
	if !mounted || !stored {
		t.Errorf("volumes %+v: configuration mounted %v, store in a volume %v", nats.Volumes, mounted, stored)
	}
}
