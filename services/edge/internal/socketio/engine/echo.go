package engine

import (
	"github.com/confab-chat/confab/proto/engineio"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
)

// Echo is a handler that returns every message to the sender. It serves the conformance suite.
type Echo struct{}

// Message implements Handler.
func (Echo) Message(s *Socket, binary bool, data []byte) {
	op, head := ws.OpBinary, ""
	if !binary {
		op, head = ws.OpText, string(engineio.Message)
	}
	n := len(head) + len(data)
	frame := ws.AppendHeader(nil, op, n)
	s.SendEcho(append(append(frame, head...), data...))
}

func (Echo) Opened(*Socket)             {}
func (Echo) Heartbeat(*Socket)          {}
func (Echo) Drained(s *Socket)          { s.ResumeReads() }
func (Echo) Closed(*Socket, conn.Cause) {}
