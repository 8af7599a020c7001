package cluster

import "syscall"

// processAttributes make a process that ends with this one, and that an interrupt of this one's
// terminal does not reach.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
