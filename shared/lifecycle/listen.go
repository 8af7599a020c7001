package lifecycle

import (
	"errors"
	"net"
	"syscall"
)

// Listen opens the listener of a setting: a TCP listener, see the package's Listen, unless
// OpenListener is set.
func (d Deps) Listen(variable, addr string) (net.Listener, error) {
	if d.OpenListener != nil {
		return d.OpenListener(variable, addr)
	}
	return Listen(variable, addr)
}

// Listen opens a TCP listener for a setting. Its error is an *IOError that names the
// variable, its value, and the problem.
func Listen(variable, addr string) (net.Listener, error) {
	ln, err := net.Listen("tcp", addr)
	if err == nil {
		return ln, nil
	}
	what := variable + "=" + addr
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, &IOError{what, errors.New("the port is in use by another process")}
	case errors.Is(err, syscall.EACCES):
		return nil, &IOError{what, errors.New("not allowed to listen on this address")}
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, &IOError{what, errors.New("this machine has no such address")}
	}
	return nil, &IOError{what, err}
}
