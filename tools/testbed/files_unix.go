//go:build unix

package main

import "syscall"

// wantFiles is the limit that raiseFiles tries to set.
const wantFiles = 1 << 20

// raiseFiles raises the number of descriptors that this process and its children may have: to a
// million if the system allows that (usually for root), otherwise as far as it allows. It returns
// the new limit.
func raiseFiles() (int, error) {
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
