// Command room runs the room service.
package main

import (
	"github.com/confab-chat/confab/services/room"
	"github.com/confab-chat/confab/shared/lifecycle"
)

// version is set by the linker.
var version string

func main() { lifecycle.Main(room.Service(), version) }
