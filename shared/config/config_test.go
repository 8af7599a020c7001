package config_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/confab-chat/confab/shared/config"
)

// settings are those of an invented service.
type settings struct {
	config.Common `default:"ADMIN_ADDR=127.0.0.1:9101"`
	config.Limits
	config.Origins
	Secret config.Secret `env:"AUTH_HMAC_SECRET" doc:"key of tokens"`
	Scope  string        `env:"PRESENCE_SCOPE" envDefault:"all" production:"rooms" oneof:"all rooms"`
	Drain  struct {
		Delay  time.Duration `env:"DELAY" envDefault:"0s" production:"5s" min:"0s"`
		Window time.Duration `env:"WINDOW" envDefault:"1s" production:"45s" max:"1h"`
	} `envPrefix:"DRAIN_"`
	Streams int    `env:"LOG_STREAMS" envDefault:"8" min:"1" max:"64"`
	Room    string `env:"DEFAULT_ROOM"`
	//lint:ignore U1000 unexported fields are left alone
	hidden int
}

func (s settings) Validate(e config.Env) []config.Problem {
	if s.Drain.Delay > s.Drain.Window {
		return []config.Problem{config.Bad("DRAIN_DELAY", "must not be longer than the window", "1s")}
	}
	return nil
}

func load(t *testing.T, environ ...string) settings {
	t.Helper()
	s, err := config.Load[settings](environ)
	if err != nil {
		t.Fatalf("load %q: %v", environ, err)
	}
	return s
}

// problems returns the lines of a failed Load.
func problems[T any](t *testing.T, environ ...string) []string {
	t.Helper()
	_, err := config.Load[T](environ)
	if err == nil {
		return nil
	}
	found, ok := errors.AsType[*config.Error](err)
	if !ok {
		t.Fatalf("not a *config.Error: %v", err)
	}
	lines := strings.Split(found.Error(), "\n")
	if len(lines) != len(found.Problems) {
		t.Errorf("%d lines for %d problems:\n%s", len(lines), len(found.Problems), found)
	}
	return lines
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		environ []string
		scope   string
		limit   int
		window  time.Duration
		origins string
		format  string
	}{
		"nothing set":     {nil, "all", 60, time.Second, "*", "text"},
		"development":     {[]string{"CONFAB_ENV=development"}, "all", 60, time.Second, "*", "text"},
		"production":      {[]string{"CONFAB_ENV=production"}, "rooms", 30, 45 * time.Second, "", "json"},
		"test":            {[]string{"CONFAB_ENV=test"}, "all", 10, time.Second, "*", "json"},
		"empty is unset":  {[]string{"CONFAB_ENV=production", "CONFAB_PRESENCE_SCOPE=", "CONFAB_ALLOWED_ORIGINS="}, "rooms", 30, 45 * time.Second, "", "json"},
		"given wins":      {[]string{"CONFAB_ENV=production", "CONFAB_PRESENCE_SCOPE=all", "CONFAB_LIMIT_MESSAGES=7"}, "all", 7, 45 * time.Second, "", "json"},
		"not ours":        {[]string{"PATH=/bin", "PRESENCE_SCOPE=x", "ENV=production"}, "all", 60, time.Second, "*", "text"},
		"list is trimmed": {[]string{"CONFAB_ALLOWED_ORIGINS= https://a.example , https://*.b.example:8443,, "}, "all", 60, time.Second, "https://a.example,https://*.b.example:8443", "text"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := load(t, c.environ...)
			if s.Scope != c.scope || s.Messages != c.limit || s.Drain.Window != c.window || s.LogFormat != c.format {
				t.Errorf("got scope %q, messages %d, window %s, format %q", s.Scope, s.Messages, s.Drain.Window, s.LogFormat)
			}
			if s.AllowedOrigins.String() != c.origins {
				t.Errorf("origins %q, want %q", s.AllowedOrigins, c.origins)
			}
			if s.AdminAddr != "127.0.0.1:9101" || s.Base().AdminAddr != s.AdminAddr {
				t.Errorf("admin address %q", s.AdminAddr)
			}
		})
	}
}

func TestOneProblem(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing")
	for name, c := range map[string]struct{ environ, want string }{
		"unit":            {"CONFAB_DRAIN_WINDOW=30", `CONFAB_DRAIN_WINDOW="30": must be a duration with a unit; for example 45s`},
		"bool":            {"CONFAB_ENABLE_METRICS=1", `CONFAB_ENABLE_METRICS="1": must be true or false; for example true`},
		"number":          {"CONFAB_LOG_STREAMS=8k", `CONFAB_LOG_STREAMS="8k": must be a number; for example 8`},
		"range":           {"CONFAB_LOG_STREAMS=99999999999", `CONFAB_LOG_STREAMS="99999999999": is out of range; for example 8`},
		"minimum":         {"CONFAB_LOG_STREAMS=0", `CONFAB_LOG_STREAMS="0": must be at least 1; for example 8`},
		"maximum":         {"CONFAB_DRAIN_WINDOW=2h", `CONFAB_DRAIN_WINDOW="2h": must be at most 1h; for example 45s`},
		"choice":          {"CONFAB_PRESENCE_SCOPE=Rooms", `CONFAB_PRESENCE_SCOPE="Rooms": must be all or rooms; for example all`},
		"environment":     {"CONFAB_ENV=prod", `CONFAB_ENV="prod": must be production, development or test; for example development`},
		"level":           {"CONFAB_LOG_LEVEL=loud", `CONFAB_LOG_LEVEL="loud": slog: level string "loud": unknown name; for example info`},
		"address":         {"CONFAB_ADMIN_ADDR=9101", `CONFAB_ADMIN_ADDR="9101": must be host:port or :port; for example 127.0.0.1:9101`},
		"nats":            {"CONFAB_NATS_URL=nats://u:p4ss@/", `CONFAB_NATS_URL="nats://[redacted]@/": must be addresses of NATS servers; for example nats://127.0.0.1:4222`},
		"credentials":     {"CONFAB_NATS_CREDS_FILE=" + missing, `CONFAB_NATS_CREDS_FILE="` + missing + `": cannot be read: no such file or directory`},
		"rule":            {"CONFAB_DRAIN_DELAY=2s", `CONFAB_DRAIN_DELAY="2s": must not be longer than the window; for example 1s`},
		"origin":          {"CONFAB_ALLOWED_ORIGINS=https://a.example/", `CONFAB_ALLOWED_ORIGINS="https://a.example/": "https://a.example/" must be scheme://host[:port], scheme://*.host[:port], null or *; for example https://chat.example.com, https://*.example.com`},
		"misspelt name":   {"CONFAB_ALLOWED_ORIGIN=https://a.example", `CONFAB_ALLOWED_ORIGIN: no such setting; --help lists all`},
		"swapped letters": {"CONFAB_LIMIT_MESSAEGS=1", `CONFAB_LIMIT_MESSAEGS: no such setting; --help lists all`},
		"unknown name":    {"CONFAB_COLOUR=red", `CONFAB_COLOUR: no such setting; --help lists all`},
		"unknown secret":  {"CONFAB_AUTH_HMAC_SECRT=hunter2", `CONFAB_AUTH_HMAC_SECRT: no such setting; --help lists all`},
		"secret file":     {"CONFAB_AUTH_HMAC_SECRET_FILE=" + missing, `CONFAB_AUTH_HMAC_SECRET: cannot be read from CONFAB_AUTH_HMAC_SECRET_FILE: open ` + missing + `: no such file or directory`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := problems[settings](t, c.environ); len(got) != 1 || got[0] != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

func TestTenProblemsAreTenLines(t *testing.T) {
	t.Parallel()
	environ := []string{
		"CONFAB_LOG_STREAMS=0", "CONFAB_DRAIN_DELAY=5", "CONFAB_DRAIN_WINDOW=x", "CONFAB_PRESENCE_SCOPE=me",
		"CONFAB_ENABLE_METRICS=yes", "CONFAB_LOG_FORMAT=xml", "CONFAB_ADMIN_ADDR=a b", "CONFAB_LIMIT_JOINS=-1",
		"CONFAB_TYPO=1", "CONFAB_NATS_URL=nats://",
	}
	lines := problems[settings](t, environ...)
	if len(lines) != len(environ) {
		t.Errorf("%d lines:\n%s", len(lines), strings.Join(lines, "\n"))
	}
	for _, e := range environ {
		name, _, _ := strings.Cut(e, "=")
		if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, name) }) {
			t.Errorf("nothing about %s", name)
		}
	}
}

func TestProduction(t *testing.T) {
	t.Parallel()
	got := problems[settings](t, "CONFAB_ENV=production", "CONFAB_ALLOWED_ORIGINS=*",
		"CONFAB_LIMIT_MESSAGES=0", "CONFAB_LIMIT_JOINS=0", "CONFAB_LIMIT_TYPING=0")
	if len(got) != 4 {
		t.Errorf("production accepts what it must refuse: %q", got)
	}
	load(t, "CONFAB_ALLOWED_ORIGINS=*", "CONFAB_LIMIT_MESSAGES=0", "CONFAB_LIMIT_JOINS=0", "CONFAB_LIMIT_TYPING=0")
}

func TestKnownElsewhereIsNoMistake(t *testing.T) {
	t.Parallel()
	type small struct {
		config.Common `default:"ADMIN_ADDR=127.0.0.1:9104"`
	}
	environ := []string{
		"CONFAB_AUTH_HMAC_SECRET_FILE=/nowhere", "CONFAB_EDGE_ADDR=:3001",
		"CONFAB_EDGE_SERVICE_HOST=10.0.0.1", "CONFAB_EDGE_SERVICE_PORT=3001", "CONFAB_EDGE_SERVICE_PORT_WS=3001",
		"CONFAB_EDGE_PORT=tcp://10.0.0.1:3001", "CONFAB_EDGE_PORT_3001_TCP=tcp://10.0.0.1:3001",
		"CONFAB_EDGE_PORT_3001_TCP_ADDR=10.0.0.1",
	}
	if lines := problems[small](t, environ...); lines != nil {
		t.Errorf("refused: %q", lines)
	}
	if lines := problems[small](t, "CONFAB_EDGE_PORT=3001"); len(lines) != 1 {
		t.Errorf("CONFAB_EDGE_PORT=3001 is a mistake: %q", lines)
	}
}

func TestKnownIsSortedAndCoversTheSharedStructs(t *testing.T) {
	t.Parallel()
	known := config.Known()
	if !slices.IsSorted(known) || len(slices.Compact(slices.Clone(known))) != len(known) {
		t.Error("Known is not sorted, or has a name twice")
	}
	all, err := config.Settings[settings]()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		name := strings.TrimSuffix(s.Name, " (_FILE)")
		if !slices.Contains(known, name) {
			t.Errorf("%s is not in Known", name)
		}
	}
}

func TestNestedSettingsShareVariables(t *testing.T) {
	t.Parallel()
	// As the all-in-one has them.
	type suite struct {
		config.Common `default:"ADMIN_ADDR=127.0.0.1:9100"`
		A             settings
		B             struct {
			config.Common `default:"ADMIN_ADDR=127.0.0.1:9102"`
			config.Limits
		}
	}
	s, err := config.Load[suite]([]string{"CONFAB_LIMIT_JOINS=3", "CONFAB_NATS_URL=nats://x:1"})
	if err != nil {
		t.Fatal(err)
	}
	if s.A.Joins != 3 || s.B.Joins != 3 || s.NATSURL != "nats://x:1" || s.A.NATSURL != s.NATSURL {
		t.Errorf("not the same everywhere: %+v", s)
	}
	if s.AdminAddr != "127.0.0.1:9100" || s.A.AdminAddr != "127.0.0.1:9101" || s.B.AdminAddr != "127.0.0.1:9102" {
		t.Errorf("admin addresses %q %q %q", s.AdminAddr, s.A.AdminAddr, s.B.AdminAddr)
	}
	if lines := problems[suite](t, "CONFAB_LIMIT_JOINS=x"); len(lines) != 1 {
		t.Errorf("one mistake, several lines: %q", lines)
	}
}

func TestMistakesInTags(t *testing.T) {
	t.Parallel()
	for name, load := range map[string]func() error{
		"no parser": loads[struct {
			C chan int `env:"A" envDefault:"1"`
		}],
		"option": loads[struct {
			A int `env:"A,unset"`
		}],
		"bad default": loads[struct {
			A int `env:"A" envDefault:"x"`
		}],
		"default too low": loads[struct {
			A int `env:"A" envDefault:"1" min:"2"`
		}],
		"bound": loads[struct {
			A int `env:"A" envDefault:"1" min:"x"`
		}],
		"override nothing": loads[struct {
			config.Common `default:"ADMIN_ADR=:1"`
		}],
		"override syntax": loads[struct {
			config.Common `default:"ADMIN_ADDR"`
		}],
		"not a struct": loads[int],
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := load()
			if _, ok := errors.AsType[*config.Error](err); err == nil || ok {
				t.Errorf("got %v", err)
			}
		})
	}
}

func loads[T any]() error {
	_, err := config.Load[T](nil)
	return err
}

func TestRequired(t *testing.T) {
	t.Parallel()
	type need struct {
		Addr string `env:"EDGE_ADDR,required" example:":3001"`
	}
	if got, want := problems[need](t), "CONFAB_EDGE_ADDR: is required; for example :3001"; len(got) != 1 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

const hunter = "correct-horse-battery-staple-2026"

func TestSecretFile(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		content, want string
		wrong         bool
	}{
		"plain":           {content: hunter, want: hunter},
		"one line break":  {content: hunter + "\n", want: hunter},
		"windows":         {content: hunter + "\r\n", want: hunter},
		"two line breaks": {content: hunter + "\n\n", want: hunter + "\n"},
		"blanks are kept": {content: " " + hunter + " ", want: " " + hunter + " "},
		"empty":           {content: "", wrong: true},
		"only a new line": {content: "\n", wrong: true},
		"endless":         {content: strings.Repeat("x", 65<<10), wrong: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "secret")
			if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := config.Load[settings]([]string{"CONFAB_AUTH_HMAC_SECRET_FILE=" + path})
			if c.wrong != (err != nil) || !c.wrong && s.Secret.Value() != c.want {
				t.Errorf("got %q, %v", s.Secret.Value(), err)
			}
			if c.content == hunter {
				want := `CONFAB_AUTH_HMAC_SECRET=[redacted] and CONFAB_AUTH_HMAC_SECRET_FILE are both set; one is enough`
				got := problems[settings](t, "CONFAB_AUTH_HMAC_SECRET_FILE="+path, "CONFAB_AUTH_HMAC_SECRET="+hunter)
				if len(got) != 1 || got[0] != want {
					t.Errorf("both set: %q", got)
				}
			}
		})
	}
}

// strict complains about its secret.
type strict struct {
	Secret config.Secret `env:"AUTH_HMAC_SECRET"`
}

func (strict) Validate(config.Env) []config.Problem {
	return []config.Problem{config.Bad("AUTH_HMAC_SECRET", "must be longer", "")}
}

func TestSecretIsNeverShown(t *testing.T) {
	t.Parallel()
	s := load(t, "CONFAB_AUTH_HMAC_SECRET="+hunter, "CONFAB_NATS_URL=nats://u:"+hunter+"@h,v:"+hunter+"@i")
	if s.Secret.Value() != hunter || !s.Secret.IsSet() {
		t.Fatal("the secret was not read")
	}
	wrapped := struct{ unexported config.Secret }{s.Secret}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+verb+verb+"\n", s.Secret, struct{ S config.Secret }{s.Secret}, wrapped)
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "secret", s.Secret, "in", struct{ S config.Secret }{s.Secret})
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "secret", s.Secret, "in", struct{ S config.Secret }{s.Secret})
	if err := json.NewEncoder(&out).Encode(s.Secret); err != nil {
		t.Error(err)
	}
	fmt.Fprintln(&out, problems[strict](t, "CONFAB_AUTH_HMAC_SECRET="+hunter))
	hex := fmt.Sprintf("%x", hunter)
	if got := out.String(); strings.Contains(got, hunter) || strings.Contains(got, hex) || !strings.Contains(got, "[redacted]") {
		t.Errorf("a secret shows:\n%s", got)
	}
	if (config.Secret{}).String() != "" || (config.Secret{}).IsSet() {
		t.Error("the zero secret looks set")
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := config.Table[settings](&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"CONFAB_ADMIN_ADDR", "127.0.0.1:9101", "60 (production 30, test 10)", "* (production none)",
		"CONFAB_AUTH_HMAC_SECRET (_FILE)", "CONFAB_DRAIN_WINDOW", "all, rooms", "key of tokens",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("CONFAB_LOG_STREAMS=8\nCONFAB_ENV=production")
	f.Add("CONFAB_NATS_URL=nats://user:pass@host\nCONFAB_X\n=\nCONFAB_EDGE_PORT_1_TCP=")
	f.Add("CONFAB_ALLOWED_ORIGINS=https://*.a,,\nCONFAB_ADMIN_ADDR=\x00")
	f.Fuzz(func(t *testing.T, text string) {
		environ := append(strings.Split(text, "\n"), "CONFAB_AUTH_HMAC_SECRET="+hunter)
		_, err := config.Load[settings](environ)
		if err == nil {
			return
		}
		found, ok := errors.AsType[*config.Error](err)
		if !ok {
			t.Fatalf("a variable gave %v", err)
		}
		if strings.Contains(found.Error(), hunter) {
			t.Errorf("the secret shows: %v", found)
		}
		if n := strings.Count(found.Error(), "\n") + 1; n != len(found.Problems) {
			t.Errorf("%d lines for %d problems", n, len(found.Problems))
		}
	})
}
