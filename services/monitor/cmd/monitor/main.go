// Command monitor shows the health and statistics of the whole cluster. See --help.
package main

import (
	"github.com/confab-chat/confab/services/monitor"
	"github.com/confab-chat/confab/shared/lifecycle"
)

// version is set by the linker: -X main.version=1.2.3
var version string

func main() { lifecycle.Main(monitor.Service(), version) }
