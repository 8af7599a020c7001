//go:build unix

package testbed

import "syscall"

// wantFiles is what RaiseFiles tries to get.
const wantFiles = 1 << 20

// RaiseFiles raises how many descriptors this process and those that it starts may
// have: to a million, if it is allowed to (root, where nothing forbids it), else as
// far as it is. It returns what it has got.
func RaiseFiles() (int, error) {
	raised := syscall.Rlimit{Cur: wantFiles, Max: wantFiles}
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised) == nil {
		return wantFiles, nil
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, err
	}
	limit.Cur = limit.Max
	return int(min(limit.Cur, wantFiles)), syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}
