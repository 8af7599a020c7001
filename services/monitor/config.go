package monitor

import (
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/shared/config"
	"github.com/confab-chat/confab/shared/lifecycle"
)

// Config are the settings of monitor.
type Config struct {
	config.Common `default:"ADMIN_ADDR=127.0.0.1:9104"`
	config.Origins
	Addr string `env:"MONITOR_ADDR" envDefault:":3002" doc:"public listener: health, statistics, metrics of the cluster, status page"`
}

// Validate checks what a single field's tag cannot express; see config.Validator.
func (c Config) Validate(config.Env) []config.Problem {
	return config.CheckAddr("MONITOR_ADDR", c.Addr)
}

// Service describes monitor to lifecycle.Main.
func Service() lifecycle.Service[Config] {
	return lifecycle.Service[Config]{
		Name:    wire.ServiceMonitor,
		Summary: "shows the health and statistics of the whole cluster",
		Run:     Run,
	}
}
