// Command edge holds client connections and fans messages out to them. See --help.
package main

import (
	"github.com/confab-chat/confab/services/edge"
	"github.com/confab-chat/confab/shared/lifecycle"
)

// version is set by the linker: -X main.version=1.2.3
var version string

func main() { lifecycle.Main(edge.Service(), version) }
