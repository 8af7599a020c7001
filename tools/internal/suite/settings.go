package suite

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge"
	"github.com/confab-chat/confab/services/monitor"
	"github.com/confab-chat/confab/services/ratelimit"
	"github.com/confab-chat/confab/services/room"
	"github.com/confab-chat/confab/shared/config"
)

// own are the settings of the all-in-one itself.
type own struct {
	config.Common `default:"ADMIN_ADDR=127.0.0.1:9100;LOG_LEVEL=info"`
	DataDir       string `env:"DATA_DIR" envDefault:"./.confab" doc:"folder of the embedded NATS server and of the development secret"`
	Durability    string `env:"DURABILITY" envDefault:"durable" oneof:"durable fast" doc:"durable: every acknowledgement waits for the disk; fast: for the operating system"`
}

// Settings are those of all services, read from one environment.
type Settings struct {
	own       own
	edge      edge.Config
	room      room.Config
	ratelimit ratelimit.Config
	monitor   monitor.Config
	embedded  bool // no CONFAB_NATS_URL was given
}

// ShutdownTimeout is the longest time between the first signal and the exit.
func (s Settings) ShutdownTimeout() time.Duration { return s.own.ShutdownTimeout }

// AdminAddr is where the probes answer.
func (s Settings) AdminAddr() string { return s.own.AdminAddr }

// Load reads all settings from an environment as os.Environ gives it, and reports
// every mistake once (a *config.Error).
func Load(environ []string) (s Settings, err error) {
	s.embedded = !slices.ContainsFunc(environ, func(kv string) bool {
		url, ok := strings.CutPrefix(kv, "CONFAB_NATS_URL=")
		return ok && url != ""
	})
	var problems []config.Problem
	collect := func(err error) error {
		if wrong, ok := errors.AsType[*config.Error](err); ok {
			for _, p := range wrong.Problems {
				if !slices.ContainsFunc(problems, func(q config.Problem) bool { return p.String() == q.String() }) {
					problems = append(problems, p)
				}
			}
			return nil
		}
		return err
	}
	errs := make([]error, 5)
	s.own, errs[0] = config.Load[own](environ)
	s.edge, errs[1] = config.Load[edge.Config](environ)
	s.room, errs[2] = config.Load[room.Config](environ)
	s.ratelimit, errs[3] = config.Load[ratelimit.Config](environ)
	s.monitor, errs[4] = config.Load[monitor.Config](environ)
	for _, err := range errs {
		if err := collect(err); err != nil {
			return s, err
		}
	}
	if len(problems) > 0 {
		return s, &config.Error{Problems: problems}
	}
	return s, nil
}

// Row is one setting of the suite and the services that know it.
type Row struct {
	config.Setting
	Services []string // "all", or names; confab is the all-in-one itself
}

// Table lists the settings of all services, by name, each once.
func Table() (rows []Row, err error) {
	add := func(service string, settings []config.Setting, failed error) {
		err = errors.Join(err, failed)
		for _, s := range settings {
			i := slices.IndexFunc(rows, func(r Row) bool { return r.Name == s.Name })
			if i < 0 {
				rows = append(rows, Row{Setting: s})
				i = len(rows) - 1
			}
			rows[i].Services = append(rows[i].Services, service)
			if s.Default != rows[i].Default && !strings.Contains(rows[i].Default, s.Default) {
				rows[i].Default += ", " + s.Default + " " + service
			}
		}
	}
	ownTable, failed := config.Settings[own]()
	add("confab", ownTable, failed)
	edgeTable, failed := config.Settings[edge.Config]()
	add(wire.ServiceEdge, edgeTable, failed)
	roomTable, failed := config.Settings[room.Config]()
	add(wire.ServiceRoom, roomTable, failed)
	limitTable, failed := config.Settings[ratelimit.Config]()
	add(wire.ServiceRateLimit, limitTable, failed)
	monitorTable, failed := config.Settings[monitor.Config]()
	add(wire.ServiceMonitor, monitorTable, failed)
	for i := range rows {
		if len(rows[i].Services) == 5 {
			rows[i].Services = []string{"all"}
		}
	}
	slices.SortFunc(rows, func(a, b Row) int { return strings.Compare(a.Name, b.Name) })
	return rows, err
}

// PrintSettings prints Table for --help.
func PrintSettings(w io.Writer) error {
	rows, err := Table()
	if err != nil {
		return err
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintf(tw, "  %s\t%s\t%s\n", r.Name, r.Default, r.Meaning)
	}
	return tw.Flush()
}
