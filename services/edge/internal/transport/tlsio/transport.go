package tlsio

import (
	"net"
	"net/netip"

	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
)

// Write implements poll.Transport. It accepts nothing before the handshake is done.
func (s *stream) Write(b []byte) (n int, err error) {
	switch s.state {
	case handshaking:
		s.full = s.full || len(b) > 0
		return 0, nil
	case closing, ended:
		return 0, errClosed
	}
	s.wrote = true
	for n < len(b) && len(s.waiting) == 0 {
		k, err := s.conn.Write(b[n:min(len(b), n+chunk)])
		if err != nil {
			return n, err
		}
		n += k
	}
	s.full = n < len(b)
	return n, nil
}

// CloseWrite implements poll.Transport.
func (s *stream) CloseWrite() {
	switch {
	case s.state == handshaking:
		s.t.CloseWrite()
	case s.state != open:
	default:
		s.sendCloseNotify()
		if s.closeWritePending = len(s.waiting) > 0; !s.closeWritePending {
			s.t.CloseWrite()
		}
	}
}

// Close implements poll.Transport.
func (s *stream) Close() {
	switch s.state {
	case handshaking:
		s.t.Close()
		s.release()
	case open:
		s.sendCloseNotify()
		s.closeTransport()
	}
}

// sendCloseNotify sends the close_notify alert (RFC 8446 section 6.1).
func (s *stream) sendCloseNotify() {
	_ = s.conn.CloseWrite() // the wire never fails; Closed reports a lost peer
}

// Abort implements poll.Transport.
func (s *stream) Abort() {
	if s.state != ended {
		s.t.Abort()
		s.release()
	}
}

// PauseReads implements poll.Transport.
func (s *stream) PauseReads() {
	s.paused = true
	s.t.PauseReads()
}

// ResumeReads implements poll.Transport. Bytes that have already arrived are decrypted first.
func (s *stream) ResumeReads() {
	if !s.paused || s.state > open {
		return
	}
	s.paused = false
	s.t.ResumeReads()
	s.t.Loop().Post(s.decrypt)
}

func (s *stream) SetHandler(h poll.Handler)  { s.handler = h }
func (s *stream) Loop() *poll.Loop           { return s.t.Loop() }
func (s *stream) RemoteAddr() netip.AddrPort { return s.t.RemoteAddr() }

// Detach implements poll.Transport: the connection keeps its TLS.
func (s *stream) Detach() (net.Conn, error) {
	if s.state != open || s.wrote || len(s.waiting) > 0 {
		return nil, poll.ErrDetach
	}
	nc, err := s.t.Detach()
	if err != nil {
		return nil, err
	}
	s.state, s.handler = ended, nil
	s.wire.detach(nc)
	return s.conn, nil
}
