//go:build !linux

package proctest_test

import "syscall"

func child() *syscall.SysProcAttr { return nil }
