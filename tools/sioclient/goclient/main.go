// Command goclient is a Socket.IO client in Go, with a third-party library: it joins a room,
// sends, and waits for its message.
//
//	goclient http://localhost:3001 TOKEN ROOM [websocket]
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/zishang520/socket.io/clients/engine/v3/transports"
	"github.com/zishang520/socket.io/clients/socket/v3"
	"github.com/zishang520/socket.io/v3/pkg/types"
)

const patience = 10 * time.Second

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(base, token, room string, only []string) error {
	opts := socket.DefaultOptions()
	if len(only) > 0 {
		opts.SetTransports(types.NewSet(transports.WebSocket))
	}
	opts.SetAuth(map[string]any{"token": token})
	io := socket.NewManager(base, opts).Socket("/chat", opts)
	defer io.Disconnect()
	outcome := make(chan error, 8) // room for every handler below
	io.On("connect_error", func(args ...any) { outcome <- fmt.Errorf("refused: %v", args) })
	io.On("receiveMessage", func(args ...any) {
		if m, ok := args[0].(map[string]any); !ok || m["content"] != "hi" || len(args) != 2 {
			outcome <- fmt.Errorf("received %v", args)
			return
		}
		outcome <- nil
	})
	io.On("connect", func(...any) {
		io.Timeout(patience).EmitWithAck("joinRoom", map[string]any{"roomId": room})(func(args []any, err error) {
			if err != nil {
				outcome <- fmt.Errorf("join: %w", err)
				return
			}
			io.Emit("sendMessage", map[string]any{"roomId": room, "content": "hi"})
		})
	})
	select {
	case err := <-outcome:
		return err
	case <-time.After(patience):
		return fmt.Errorf("nothing received in %v", patience)
	}
}
