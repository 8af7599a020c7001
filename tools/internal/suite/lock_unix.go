//go:build unix

package suite

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// lockDataDir keeps a second process from opening the same files: JetStream does
// not. The lock goes with the process, however it ends.
func lockDataDir(dir string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s is in use by another confab", dir)
	}
	return func() { f.Close() }, nil
}
