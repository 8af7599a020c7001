// Command ratelimit grants permits to send, join and type. See --help.
package main

import (
	"github.com/confab-chat/confab/services/ratelimit"
	"github.com/confab-chat/confab/shared/lifecycle"
)

// version is set by the linker: -X main.version=1.2.3
var version string

func main() { lifecycle.Main(ratelimit.Service(), version) }
