//go:build !linux

package proc

import "syscall"

func child() *syscall.SysProcAttr { return nil }
